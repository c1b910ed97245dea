"""Antenna arrays: steering vectors and their angle derivatives.

Places are counted in half wavelengths. Azimuth theta and zenith phi (the polar angle from the array's
vertical axis: broadside is pi/2) give the element at the place n_h across and n_v up the phase
``pi (n_h sin(theta) sin(phi) + n_v cos(phi))``, with the first element as reference
[Fang25, Sec. II-A]; the angle phi is called elevation there. Elements are ordered as
``kron(a_h, a_v)``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import lru_cache
from typing import Any

import attrs
import numpy as np
from attrs import field, frozen

from isacsim.checks import fitting, instance, number, numbers, whole
from isacsim.elements import ElementPattern
from isacsim.errors import InvalidInput
from isacsim.keywords import keywords
from isacsim.memory import must_fit
from isacsim.typing import ComplexArray, FloatArray


class AntennaArray(ABC):
    """An array in a plane; `UniformLinearArray`, `UniformPlanarArray` and `PlacedArray` are final."""

    normalized: bool
    conjugate: bool
    element: ElementPattern | None = None

    @property
    @abstractmethod
    def grid(self) -> tuple[FloatArray, FloatArray]:
        """Place of every element across and up, in half wavelengths, each (N,)."""

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

    def plane_wave(self, azimuth: Any, zenith: Any = np.pi / 2) -> ComplexArray:
        """What a plane wave of unit amplitude is at the elements, (..., N): `steering` however it is normed."""
        a = self.steering(azimuth, zenith)
        if self.element is None:
            return np.asarray(a / np.abs(a))
        return a * np.sqrt(self.size) if self.normalized else a

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
        if azimuth.shape != zenith.shape:
            with fitting("azimuth, zenith", azimuth, zenith):
                np.broadcast_shapes(azimuth.shape, zenith.shape)
        sin, cos = np.sin(zenith), np.cos(zenith)
        across = horizontal * np.sin(azimuth)
        j_pi, scale = self._sign * np.pi, self.size**-0.5 if self.normalized else 1.0
        a = scale * np.exp(j_pi * (across * sin + vertical * cos))
        turn = j_pi * a
        basis = a, turn * (horizontal * (np.cos(azimuth) * sin)), turn * (across * cos - vertical * sin)
        if self.element is None:
            return basis
        g, *slopes = self.element.basis(azimuth, zenith)
        in_azimuth, in_zenith = (g * turned + slope * a for turned, slope in zip(basis[1:], slopes, strict=True))
        return g * a, in_azimuth, in_zenith

    @property
    def _sign(self) -> complex:
        return -1j if self.conjugate else 1j


SPACING = number(above=0, remedy="Give the distance of elements in wavelengths; 0.5 is usual.")

ELEMENT = attrs.validators.optional(instance(ElementPattern, "Take Tr38901Element(), for example."))


@lru_cache(maxsize=64)
def _grid(horizontal: int, vertical: int, across: float = 0.5, up: float = 0.5) -> tuple[FloatArray, FloatArray]:
    """Places of elements at distances in wavelengths, in the order of kron(a_h, a_v); not to be written to."""
    must_fit("elements", "an array", f"{horizontal} x {vertical}", (horizontal, vertical))
    columns = np.repeat(2 * across * np.arange(float(horizontal)), vertical)
    rows = np.tile(2 * up * np.arange(float(vertical)), horizontal)
    for indices in (columns, rows):
        indices.setflags(write=False)
    return columns, rows


@keywords()
@frozen
class UniformPlanarArray(AntennaArray):
    """Planar array of ``horizontal`` columns and ``vertical`` rows.

    Args:
        horizontal: Elements along the horizontal axis.
        vertical: Elements along the vertical axis.
        normalized: Unit-norm steering vectors (the default); else unit-magnitude entries.
        conjugate: Turn the sign of the phase.
        element: Amplitude pattern of each element; None radiates alike into all directions. Vectors then have its
            gain for a norm, or for the magnitude of their entries.
        spacing: Distance of columns, and of rows, in wavelengths.
        vertical_spacing: Distance of rows, where it is another one.
    """

    horizontal: int = field(validator=whole(1, "Give the number of elements."))
    vertical: int = field(validator=whole(1, "Give the number of elements."))
    normalized: bool = field(default=True, validator=instance(bool))
    conjugate: bool = field(default=False, validator=instance(bool))
    spacing: float = field(default=0.5, validator=SPACING)
    vertical_spacing: float | None = field(default=None, validator=attrs.validators.optional(SPACING))
    element: ElementPattern | None = field(default=None, validator=ELEMENT)

    @property
    def size(self) -> int:
        """Number of elements N."""
        return self.horizontal * self.vertical

    @property
    def grid(self) -> tuple[FloatArray, FloatArray]:
        """Place of every element across and up, in half wavelengths, in the order of kron(a_h, a_v)."""
        return _grid(self.horizontal, self.vertical, self.spacing, self.vertical_spacing or self.spacing)

    @property
    def planar(self) -> bool:
        """Always true: the phase depends on the zenith angle."""
        return True


@keywords()
@frozen
class UniformLinearArray(AntennaArray):
    """Horizontal row of ``elements``; targets lie at zenith pi/2, which is no unknown.

    Args:
        elements: Number of elements.
        normalized: Unit-norm steering vectors (the default); else unit-magnitude entries.
        conjugate: Turn the sign of the phase.
        element: Amplitude pattern of each element; None radiates alike into all directions. Vectors then have its
            gain for a norm, or for the magnitude of their entries.
        spacing: Distance of elements, in wavelengths.
    """

    elements: int = field(validator=whole(1, "Give the number of elements."))
    normalized: bool = field(default=True, validator=instance(bool))
    conjugate: bool = field(default=False, validator=instance(bool))
    spacing: float = field(default=0.5, validator=SPACING)
    element: ElementPattern | None = field(default=None, validator=ELEMENT)

    @property
    def size(self) -> int:
        """Number of elements N."""
        return self.elements

    @property
    def grid(self) -> tuple[FloatArray, FloatArray]:
        """Place of every element across, in half wavelengths, and zero."""
        return _grid(self.elements, 1, self.spacing)

    @property
    def planar(self) -> bool:
        """Always false."""
        return False


def _places(value: Any) -> tuple[float, ...]:
    places = np.atleast_1d(np.asarray(numbers("across, up", value, real=True), float))
    if places.ndim != 1 or not places.size or not np.isfinite(places).all():
        rule = "must be a list of finite places in wavelengths"
        raise InvalidInput("across, up", rule, value, "Write across = [0, 0.5, 1.1].")
    return tuple(places.tolist())


@keywords()
@frozen
class PlacedArray(AntennaArray):
    """Elements at any places in a plane, in the order in which they are given.

    Args:
        across: Place of each element along the horizontal axis, in wavelengths.
        up: Place along the vertical axis, in wavelengths: one for all, or one each.
        normalized: Unit-norm steering vectors (the default); else unit-magnitude entries.
        conjugate: Turn the sign of the phase.
        element: Amplitude pattern of each element; None radiates alike into all directions. Vectors then have its
            gain for a norm, or for the magnitude of their entries.
    """

    across: tuple[float, ...] = field(converter=_places)
    up: tuple[float, ...] = field(default=(0.0,), converter=_places)
    normalized: bool = field(default=True, validator=instance(bool))
    conjugate: bool = field(default=False, validator=instance(bool))
    element: ElementPattern | None = field(default=None, validator=ELEMENT)

    def __attrs_post_init__(self) -> None:
        if len(self.up) not in (1, len(self.across)):
            got = f"{len(self.across)} and {len(self.up)} places"
            remedy = "Give both lists the same length, or one `up` for all."
            raise InvalidInput("across, up", "must have one entry for each element", got, remedy)
        if len(set(zip(*(axis.tolist() for axis in self.grid), strict=True))) < len(self.across):
            raise InvalidInput("across, up", "must be another place for each element", "", "Move one of them.")

    @property
    def grid(self) -> tuple[FloatArray, FloatArray]:
        """Place of every element across and up, in half wavelengths."""
        across = 2 * np.asarray(self.across)
        return across, 2 * np.broadcast_to(np.asarray(self.up), across.shape)

    @property
    def planar(self) -> bool:
        """Whether elements differ in height, so that the phase depends on the zenith angle."""
        return len(set(self.up)) > 1
