"""Antenna arrays: steering vectors and their angle derivatives.

Half-wavelength spacing. Azimuth theta and zenith phi (the polar angle from the array's
vertical axis: broadside is pi/2) give the element at column n_h and row n_v the phase
``pi (n_h sin(theta) sin(phi) + n_v cos(phi))``, with the first element as reference
[Fang25, Sec. II-A]; the angle phi is called elevation there. Elements are ordered as
``kron(a_h, a_v)``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import lru_cache
from typing import Any

import numpy as np
from attrs import field, frozen

from isacsim.checks import fitting, instance, numbers, whole
from isacsim.memory import must_fit
from isacsim.typing import ComplexArray, FloatArray


class AntennaArray(ABC):
    """A half-wavelength array; `UniformLinearArray` and `UniformPlanarArray` are final."""

    normalized: bool
    conjugate: bool

    @property
    @abstractmethod
    def grid(self) -> tuple[FloatArray, FloatArray]:
        """Column and row index of every element, each (N,)."""

    @property
    @abstractmethod
    def planar(self) -> bool:
        """Whether the array resolves the zenith angle."""

    @property
    def size(self) -> int:
        """Number of elements N."""
        return self.grid[0].size

    def steering(self, azimuth: Any, zenith: Any = np.pi / 2) -> ComplexArray:
        """Steering vectors a, shape (..., N); the angles in rad broadcast to (...)."""
        return self.steering_basis(azimuth, zenith)[0]

    def steering_derivatives(self, azimuth: Any, zenith: Any = np.pi / 2) -> tuple[ComplexArray, ComplexArray]:
        """Derivatives of `steering` in azimuth and in zenith, each (..., N), in 1/rad."""
        _, in_azimuth, in_zenith = self.steering_basis(azimuth, zenith)
        return in_azimuth, in_zenith

    def steering_basis(self, azimuth: Any, zenith: Any = np.pi / 2) -> tuple[ComplexArray, ComplexArray, ComplexArray]:
        """`steering` and its derivatives in azimuth and in zenith, each (..., N)."""
        azimuth, zenith = (
            np.asarray(numbers(name, angle, real=True), float)[..., None]
            for name, angle in (("azimuth", azimuth), ("zenith", zenith))
        )
        horizontal, vertical = self.grid
        with fitting("azimuth, zenith"):
            np.broadcast_shapes(azimuth.shape, zenith.shape)
        sin, cos = np.sin(zenith), np.cos(zenith)
        across = horizontal * np.sin(azimuth)
        j_pi, scale = self._sign * np.pi, self.size**-0.5 if self.normalized else 1.0
        a = scale * np.exp(j_pi * (across * sin + vertical * cos))
        turn = j_pi * a
        return a, turn * (horizontal * (np.cos(azimuth) * sin)), turn * (across * cos - vertical * sin)

    @property
    def _sign(self) -> complex:
        return -1j if self.conjugate else 1j


@lru_cache(maxsize=64)
def _grid(horizontal: int, vertical: int) -> tuple[FloatArray, FloatArray]:
    """Column and row index of every element, in the order of kron(a_h, a_v); not to be written to."""
    must_fit("elements", "an array", f"{horizontal} x {vertical}", (horizontal, vertical))
    columns = np.repeat(np.arange(float(horizontal)), vertical)
    rows = np.tile(np.arange(float(vertical)), horizontal)
    for indices in (columns, rows):
        indices.setflags(write=False)
    return columns, rows


@frozen
class UniformPlanarArray(AntennaArray):
    """Planar array of ``horizontal`` columns and ``vertical`` rows.

    Args:
        horizontal: Elements along the horizontal axis.
        vertical: Elements along the vertical axis.
        normalized: Unit-norm steering vectors (the default); else unit-magnitude entries.
        conjugate: Turn the sign of the phase.
    """

    horizontal: int = field(validator=whole(1, "Give the number of elements."))
    vertical: int = field(validator=whole(1, "Give the number of elements."))
    normalized: bool = field(default=True, validator=instance(bool))
    conjugate: bool = field(default=False, validator=instance(bool))

    @property
    def size(self) -> int:
        """Number of elements N."""
        return self.horizontal * self.vertical

    @property
    def grid(self) -> tuple[FloatArray, FloatArray]:
        """Column and row index of every element, in the order of kron(a_h, a_v)."""
        return _grid(self.horizontal, self.vertical)

    @property
    def planar(self) -> bool:
        """Always true: the phase depends on the zenith angle."""
        return True


@frozen
class UniformLinearArray(AntennaArray):
    """Horizontal row of ``elements``; targets lie at zenith pi/2, which is no unknown.

    Args:
        elements: Number of elements.
        normalized: Unit-norm steering vectors (the default); else unit-magnitude entries.
        conjugate: Turn the sign of the phase.
    """

    elements: int = field(validator=whole(1, "Give the number of elements."))
    normalized: bool = field(default=True, validator=instance(bool))
    conjugate: bool = field(default=False, validator=instance(bool))

    @property
    def size(self) -> int:
        """Number of elements N."""
        return self.elements

    @property
    def grid(self) -> tuple[FloatArray, FloatArray]:
        """Column index of every element, and row zero."""
        return _grid(self.elements, 1)

    @property
    def planar(self) -> bool:
        """Always false."""
        return False
