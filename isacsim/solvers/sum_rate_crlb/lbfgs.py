"""Riemannian L-BFGS for `SumRateCrlb`: the fast solver of this problem.

The iteration is that of `isacsim.solvers.sum_rate_crlb.riemannian`, with the memory of
`isacsim.optimisation.lbfgs`; where the merit is compiled, so is the whole of it.
"""

from __future__ import annotations

from attrs import field, frozen

from isacsim.checks import whole
from isacsim.optimisation.lbfgs import LastPairs
from isacsim.optimisation.surface import OnSurface
from isacsim.solvers.iterate import Stop
from isacsim.solvers.solution import Solution
from isacsim.solvers.sum_rate_crlb.ascent import ascend
from isacsim.solvers.sum_rate_crlb.hardware import HardwareMerit
from isacsim.solvers.sum_rate_crlb.merit import Merit
from isacsim.solvers.sum_rate_crlb.riemannian import RiemannianSolver
from isacsim.typing import ComplexArray


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

    def remember(self, W: ComplexArray) -> LastPairs:
        """Room for the curvature pairs of such coordinates."""
        return LastPairs.none(self.memory, W)

    def climb(self, merit: OnSurface, W: ComplexArray, stop: Stop) -> Solution:
        """Where all starts lead; in one compiled loop where the merit is compiled."""
        if isinstance(merit, Merit):
            return ascend(merit, W, self.memory, stop)
        if isinstance(merit, HardwareMerit) and merit.link is not None:
            return ascend(merit.ideal, W, self.memory, stop, merit.link)
        return super().climb(merit, W, stop)
