"""Riemannian conjugate gradients for `SumRateCrlb`: the simple fallback.

The iteration is that of `isacsim.solvers.sum_rate_crlb.riemannian`; here is its memory, the last
step. With z = M^-1 g the direction is ``d = z - min(<z, y> / <s, y>, 0) s``, conjugate to the
last step s where y is the curvature times s (Hestenes-Stiefel, restarted along z where d would turn back).
"""

from __future__ import annotations

import attrs
import numpy as np
from attrs import frozen

from isacsim.batch import dot, rows
from isacsim.solvers.sum_rate_crlb.riemannian import Memory, RiemannianSolver, times
from isacsim.typing import BoolArray, ComplexArray, FloatArray

GROWTH = 1.5  # of what the next step promises, over what the last one did


@frozen(eq=False)
class LastStep(Memory):
    """The last step of B members, where its curvature was positive."""

    step: FloatArray = rows(1)  # s, (B, 2 N (K+S))
    change: FloatArray = rows(1)  # y, likewise
    reciprocal: FloatArray = rows()  # 1 / <s, y>, (B,); 0 of an empty memory

    @property
    def empty(self) -> BoolArray:
        """Of which members no step is remembered, (B,)."""
        return self.reciprocal == 0

    def direction(self, gradient: FloatArray, preconditioner: ComplexArray) -> FloatArray:
        """The conjugate direction, as long that the full step promises a little more than the last one did."""
        z = times(preconditioner, gradient)
        turn = np.maximum(-dot(z, self.change) * self.reciprocal, 0.0)
        d = z + turn[:, None] * self.step
        length = GROWTH * dot(self.step, gradient + self.change) / dot(gradient, d)
        return np.where((self.empty | ~(length > 0))[:, None], d, length[:, None] * d)

    def push(self, step: FloatArray, change: FloatArray, preconditioner: ComplexArray) -> LastStep:
        """With a step in the place of the one before."""
        curvature = dot(step, change)
        return LastStep(step, change, np.where(curvature > 0, 1 / curvature, 0.0))

    def forget(self, members: BoolArray) -> LastStep:
        """Without the steps of ``members``."""
        return attrs.evolve(self, reciprocal=np.where(members, 0.0, self.reciprocal))


@frozen
class RiemannianCg(RiemannianSolver):
    """MMSE-preconditioned Riemannian conjugate gradients: finds a stationary point, not a global optimum.

    Monotone, from the starts of `riemannian-lbfgs` and with its preconditioner and line search;
    it remembers one step only, and takes more of them. Starts as of `RiemannianSolver`.

    Args:
        tolerance: Relative KKT residual at which a member has converged.
        max_steps: Largest number of iterations.
    """

    def remember(self, gradient: FloatArray) -> LastStep:
        """No step yet."""
        nothing = np.zeros_like(gradient)
        return LastStep(nothing, nothing, np.zeros(gradient.shape[0]))
