"""Riemannian L-BFGS for `SumRateCrlb`: the fast solver of this problem.

The iteration is that of `isacsim.solvers.sum_rate_crlb.riemannian`; here is its memory, whose
inverse Hessian starts from ``H_0 = gamma M^-1`` with the preconditioner M^-1.
"""

from __future__ import annotations

import attrs
import numpy as np
from attrs import field, frozen

from isacsim.batch import rows
from isacsim.checks import whole
from isacsim.compiled import compiled
from isacsim.optimisation.lbfgs import (
    DIRECTION,
    GRADIENT,
    Pairs,
    Way,
    direct_each,
    judge_each,
    no_pairs,
    no_way,
)
from isacsim.optimisation.riemannian import OnSurface
from isacsim.solvers.iterate import Stop
from isacsim.solvers.solution import Solution
from isacsim.solvers.sum_rate_crlb.ascent import ascend
from isacsim.solvers.sum_rate_crlb.hardware import HardwareMerit
from isacsim.solvers.sum_rate_crlb.merit import Merit
from isacsim.solvers.sum_rate_crlb.riemannian import Memory, RiemannianSolver
from isacsim.typing import BoolArray, ComplexArray, FloatArray, IntArray


@frozen(eq=False)
class LastPairs(Memory):
    """Curvature pairs of B members as real vectors, in places that are used in turn.

    They are the bulk of a state and are not copied: a memory is whole until the next pair is pushed.
    """

    pairs: FloatArray = rows(2)  # s and y, (B, 2 size, 2 N (K+S))
    numbers: FloatArray = rows(1)  # as in `isacsim.optimisation.lbfgs.Pairs`
    place: int = field()  # of the next pair, and so of the oldest one

    @classmethod
    def none(cls, size: int, gradient: FloatArray) -> LastPairs:
        """Room for ``size`` pairs of vectors like the gradients (B, 2 N (K+S))."""
        return cls(*no_pairs(len(gradient), size, gradient.shape[1]), 0)

    @property
    def size(self) -> int:
        """Number of places."""
        return self.pairs.shape[1] // 2

    @property
    def empty(self) -> BoolArray:
        """Of which members there is no pair, (B,)."""
        return np.asarray(~self.numbers[:, : self.size].any(axis=-1))

    def direction(self, gradient: FloatArray, preconditioner: ComplexArray) -> FloatArray:
        """The inverse Hessian times the gradient."""
        way = self._way(preconditioner)
        way.real[:, GRADIENT] = gradient
        compiled(direct_each)(Pairs(self.pairs, self.numbers), self.place, preconditioner, way)
        return way.real[:, DIRECTION]

    def push(self, step: FloatArray, change: FloatArray, preconditioner: ComplexArray) -> LastPairs:
        """With the pairs of the members that have a sound curvature in the place of the oldest."""
        self.pairs[:, self.place], self.pairs[:, self.size + self.place] = step, change
        memory = Pairs(self.pairs, self.numbers)
        compiled(judge_each)(memory, self.place, preconditioner, self._way(preconditioner))
        return LastPairs(*memory, (self.place + 1) % self.size)

    def forget(self, members: BoolArray) -> LastPairs:
        """Without the pairs of ``members``."""
        nothing = no_pairs(1, self.size, 0).numbers
        return attrs.evolve(self, numbers=np.where(members[:, None], nothing, self.numbers))

    def _way(self, preconditioner: ComplexArray) -> Way:
        members, side = preconditioner.shape[:2]
        return no_way(members, side, self.pairs.shape[2] // (2 * side))


@frozen
class RiemannianLbfgs(RiemannianSolver):
    """MMSE-preconditioned Riemannian L-BFGS: finds a stationary point, not a global optimum.

    Monotone, batched over realisations, and more than ten times faster than SCA at equal or
    better objective. The best of several starts counts: bad local optima become more
    frequent with the load K / N_t, above ``random_load`` of which random starts join, and
    where a stream must light several targets: see `RiemannianSolver`. Derived in docs/derivations/riemannian-lbfgs.

    Args:
        tolerance: Relative KKT residual at which a member has converged. The objective is then
            within about its square, relative, of the stationary point's.
        max_steps: Largest number of iterations.
        memory: Number of curvature pairs kept.
    """

    memory: int = field(default=10, validator=whole(1))

    def remember(self, gradient: FloatArray) -> LastPairs:
        """Room for curvature pairs of vectors like the gradients."""
        return LastPairs.none(self.memory, gradient)

    def climb(self, merit: OnSurface, W: ComplexArray, origin: IntArray, stop: Stop) -> Solution:
        """Where all starts lead; in one compiled loop where the merit is compiled."""
        if isinstance(merit, Merit):
            return ascend(merit, W, origin, self.memory, stop)
        if isinstance(merit, HardwareMerit) and merit.link is not None:
            return ascend(merit.ideal, W, origin, self.memory, stop, merit.link)
        return super().climb(merit, W, origin, stop)
