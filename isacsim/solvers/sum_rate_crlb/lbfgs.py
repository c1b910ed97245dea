"""Riemannian L-BFGS for `SumRateCrlb`: the fast solver of this problem.

The iteration is that of `isacsim.solvers.sum_rate_crlb.riemannian`; here is its memory, whose
inverse Hessian starts from ``H_0 = gamma M^-1`` with the preconditioner M^-1.
"""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
from attrs import field, frozen

from isacsim.batch import dot, rows
from isacsim.checks import whole
from isacsim.solvers.sum_rate_crlb.riemannian import Memory, RiemannianSolver, times
from isacsim.typing import BoolArray, ComplexArray, FloatArray

LEAST_CURVATURE = 1e-10  # of a pair, relative to that of the preconditioner, and reciprocal of the largest


@frozen(eq=False)
class Pairs(Memory):
    """Curvature pairs of B members as real vectors, in places that are used in turn.

    With ``R_ij = <s_i, y_j>`` where pair i is not newer than pair j, and 0 elsewhere, the two loops of
    the L-BFGS recursion are two products with R^-1. A pair that comes appends a column to R^-1,
    and one that goes takes its row and column along. Those of an empty place are 0. The pairs are
    the bulk of a state and are not copied: a memory is whole until the next pair is pushed.
    """

    steps: Any = rows(2)  # s, (B, size, 2 N (K+S))
    changes: Any = rows(2)  # y, likewise
    inverse: Any = rows(2)  # R^-1, (B, size, size)
    curvatures: Any = rows(1)  # <s, y>, (B, size)
    scale: Any = rows()  # gamma, (B,): <s, y> / <y, M^-1 y> of the newest pair
    place: int = field()  # of the next pair

    @classmethod
    def none(cls, size: int, gradient: FloatArray) -> Pairs:
        """Room for ``size`` pairs of vectors like the gradients (B, 2 N (K+S))."""
        members = gradient.shape[0]
        pairs, square = np.zeros((members, size, gradient.shape[1])), np.zeros((members, size, size))
        return cls(pairs, pairs.copy(), square, square[..., 0].copy(), np.ones(members), 0)

    @property
    def empty(self) -> BoolArray:
        """Of which members there is no pair, (B,)."""
        return ~self.inverse.any(axis=(-2, -1))

    def direction(self, gradient: FloatArray, preconditioner: ComplexArray) -> FloatArray:
        """The inverse Hessian times the gradient: to H_0 through the newest pairs first, and back."""
        a = self.inverse @ (self.steps @ gradient[..., None])
        q = gradient - (a.swapaxes(-1, -2) @ self.changes)[:, 0]
        q = self.scale[:, None] * times(preconditioner, q)
        b = self.curvatures[..., None] * a - self.changes @ q[..., None]
        return q + ((b.swapaxes(-1, -2) @ self.inverse) @ self.steps)[:, 0]

    def push(self, step: FloatArray, change: FloatArray, preconditioner: ComplexArray) -> Pairs:
        """With the pairs of the members that have a sound curvature in the place of the oldest."""
        place = self.place
        self.steps[:, place], self.changes[:, place] = step, change
        products = self.steps @ change[..., None]
        curvature = products[:, place, 0]
        scale, reciprocal = curvature / dot(change, times(preconditioner, change)), 1 / curvature
        sound = (scale > LEAST_CURVATURE) & (scale < 1 / LEAST_CURVATURE)
        if np.count_nonzero(sound) < sound.size:
            scale, reciprocal = np.where(sound, scale, self.scale), np.where(sound, reciprocal, 0.0)
        inverse, curvatures = self.inverse.copy(), self.curvatures.copy()
        inverse[:, place, :] = inverse[:, :, place] = 0.0
        inverse[:, :, place] = -reciprocal[:, None] * (inverse @ products)[..., 0]
        inverse[:, place, place], curvatures[:, place] = reciprocal, curvature
        return Pairs(self.steps, self.changes, inverse, curvatures, scale, (place + 1) % curvatures.shape[1])

    def forget(self, members: BoolArray) -> Pairs:
        """Without the pairs of ``members``."""
        inverse = np.where(members[:, None, None], 0.0, self.inverse)
        return attrs.evolve(self, inverse=inverse, scale=np.where(members, 1.0, self.scale))


@frozen
class RiemannianLbfgs(RiemannianSolver):
    """MMSE-preconditioned Riemannian L-BFGS: finds a stationary point, not a global optimum.

    Monotone, batched over realisations, and some ten times faster than SCA at equal or
    better objective. The best of several starts counts: bad local optima become more
    frequent with the load K / N_t, above ``random_load`` of which random starts join, and
    where a stream must light several targets.

    Args:
        tolerance: Relative KKT residual at which a member has converged. The objective is then
            within about its square, relative, of the stationary point's.
        max_steps: Largest number of iterations.
        starts: Names of the starts: ``mrt``, ``rzf``, ``random``, ``published`` or ``fang25``.
        random_load: Load K / N_t above which random starts join; they also do with fewer
            streams than targets.
        random_starts: Number of random starts that join.
        memory: Number of curvature pairs kept.
    """

    memory: int = field(default=10, validator=whole(1))

    def remember(self, gradient: FloatArray) -> Pairs:
        """Room for curvature pairs of vectors like the gradients."""
        return Pairs.none(self.memory, gradient)
