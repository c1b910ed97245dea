"""Objectives on a surface: what a Riemannian iteration asks of both.

Coordinates are complex matrices, and real vectors at the same time: inner products are real parts.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Self, cast

import attrs
import numpy as np

from isacsim.typing import ComplexArray, FloatArray

FULL = 1 - 1e-9  # share of a cap from which it binds


class Surface(ABC):
    """Where coordinates (B, n, m) of B members may lie: on a surface, or, where it is ``capped``, also below it."""

    @property
    def capped(self) -> bool:
        """Whether the surface is a cap only."""
        return False

    @abstractmethod
    def project(self, Z: ComplexArray) -> ComplexArray:
        """Coordinates taken back to the surface."""

    @abstractmethod
    def slope(self, Z: ComplexArray, gradient: ComplexArray, normal: ComplexArray) -> ComplexArray:
        """Gradient along the surface, of a half gradient and a normal at Z; less what leads above a cap that binds."""

    def at(self, Z: ComplexArray, gradient: ComplexArray, normal: ComplexArray) -> Self:
        """The surface as steps from Z are to see it: what a cap holds there, stays at the cap."""
        return self

    def driven(self, Z: ComplexArray, objective: Callable[[ComplexArray], FloatArray]) -> ComplexArray:
        """A start on the surface; below a cap the best of some, by an ``objective`` of coordinates, (B,)."""
        return self.project(Z)

    def spent(self, Z: ComplexArray) -> FloatArray:
        """Squared norm of the coordinates over that on the surface, (B,), 1 but below a cap."""
        return np.ones(len(Z))


class OnSurface(ABC):
    """The objective of B members over coordinates W (B, n, m) on a surface, as iterations ask for it.

    Its points are its own records: they have at least the coordinates ``W``, an ``objective``, and, where this class is
    to make a slope of them, ``gradient`` and ``normal`` as `Surface.slope` takes them.
    """

    @property
    @abstractmethod
    def surface(self) -> Surface:
        """The surface."""

    @property
    @abstractmethod
    def members(self) -> int:
        """Number B of members."""

    @property
    @abstractmethod
    def power(self) -> FloatArray:
        """Squared norm of the coordinates on the surface, (B,)."""

    @abstractmethod
    def evaluate(self, W: ComplexArray) -> Any:
        """The point at coordinates."""

    @abstractmethod
    def magnitude(self, point: Any) -> FloatArray:
        """What a relative change of W would change the objective by, of all its terms, (B,)."""

    @abstractmethod
    def preconditioner(self, point: Any) -> ComplexArray:
        """Inverse of a matrix like the Hessian's, (B, n, n), the same for each column of W.

        Or one for each of several blocks of its rows, one above the other, (B, blocks n', n').
        """

    def size(self, point: Any) -> FloatArray:
        """Squared norm of the coordinates, (B,), which off the surface, below it, is less than on it."""
        return np.asarray(self.power * self.surface.spent(point.W))

    def residual(self, point: Any, slope2: FloatArray) -> FloatArray:
        """KKT residual (B,): the gradient along the surface, of squared norm ``slope2``, for relative changes of W.

        It is measured against the magnitudes of all terms, so that neither the scale of W nor a cancellation in the
        objective matters.
        """
        return np.asarray(np.sqrt(slope2 * self.size(point)) / self.magnitude(point))

    def project(self, W: ComplexArray) -> ComplexArray:
        """The coordinates taken back to the surface."""
        return np.asarray(self.surface.project(W))

    def slope(self, point: Any) -> ComplexArray:
        """Gradient of the objective along the surface, (B, n, m)."""
        return np.asarray(self.surface.slope(point.W, point.gradient, point.normal))

    def at(self, point: Any) -> Self:
        """The objective on the surface as steps from a point are to see it."""
        surface = self.surface.at(point.W, point.gradient, point.normal)
        return self if surface is self.surface else cast(Self, attrs.evolve(cast(Any, self), surface=surface))
