"""Riemannian conjugate gradients for `SumRateCrlb`: the simple fallback.

The iteration is that of `isacsim.solvers.sum_rate_crlb.riemannian` with another memory, the last step.
"""

from __future__ import annotations

from attrs import frozen

from isacsim.optimisation.conjugate_gradient import LastStep
from isacsim.solvers.sum_rate_crlb.riemannian import RiemannianSolver
from isacsim.typing import ComplexArray


@frozen
class RiemannianCg(RiemannianSolver):
    """MMSE-preconditioned Riemannian conjugate gradients: finds a stationary point, not a global optimum.

    Monotone, from the starts of `riemannian-lbfgs` and with its preconditioner and line search;
    it remembers one step only, and takes more of them. Starts as of `RiemannianSolver`.

    Args:
        tolerance: Relative KKT residual at which a member has converged.
        max_steps: Largest number of iterations.
    """

    def remember(self, W: ComplexArray) -> LastStep:
        """No step yet."""
        return LastStep.none(W)
