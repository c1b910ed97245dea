"""What Riemannian iterations ask of an objective."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Self, cast

import attrs
import numpy as np

from isacsim.typing import ComplexArray, FloatArray


class OnSurface(ABC):
    """The merit of B members over coordinates Z (B, n, K+S) on what the power leaves, as Riemannian iterations ask.

    Its points are its own records: they have at least the coordinates ``W``, an ``objective``, and, where this class is
    to make a slope of them, ``gradient`` and ``normal`` as `Surface.slope` takes them.
    """

    surface: Any

    @property
    @abstractmethod
    def members(self) -> int:
        """Number B of members."""

    @property
    @abstractmethod
    def power(self) -> FloatArray:
        """Squared norm of the coordinates at full power, (B,), in W."""

    @abstractmethod
    def evaluate(self, Z: ComplexArray) -> Any:
        """The point at coordinates."""

    @abstractmethod
    def magnitude(self, point: Any) -> FloatArray:
        """What a relative change of the precoder would change the objective by, of all its terms, (B,)."""

    @abstractmethod
    def preconditioner(self, point: Any) -> ComplexArray:
        """Inverse of a matrix like the Hessian's."""

    def size(self, point: Any) -> FloatArray:
        """The power that the precoder has, (B,): the squared length of all coordinates, but below a cap."""
        return np.asarray(self.power * self.surface.spent(point.W))

    def residual(self, point: Any, slope2: FloatArray) -> FloatArray:
        """KKT residual (B,): the gradient along the surface, of squared norm ``slope2``, for relative changes of Z.

        It is measured against the magnitudes of all terms, so that neither the scale of W nor a cancellation in the
        objective matters.
        """
        return np.asarray(np.sqrt(slope2 * self.size(point)) / self.magnitude(point))

    def project(self, Z: ComplexArray) -> ComplexArray:
        """The coordinates of full power, or below the cap."""
        return np.asarray(self.surface.project(Z))

    def slope(self, point: Any) -> ComplexArray:
        """Gradient of the objective along the surface, or less what leads above a cap that binds."""
        return np.asarray(self.surface.slope(point.W, point.gradient, point.normal))

    def at(self, point: Any) -> Self:
        """The merit that keeps what is at a cap where that binds at a point and the objective wants more."""
        surface = self.surface.at(point.W, point.gradient, point.normal)
        return self if surface is self.surface else cast(Self, attrs.evolve(cast(Any, self), surface=surface))
