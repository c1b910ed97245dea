"""Successive convex approximation for `SumRateCrlb` [Fang25, Algorithm 1].

The surrogate and its maximiser are in `isacsim.solvers.sum_rate_crlb.surrogate`; here it is
maximised over whole precoders.
"""

from __future__ import annotations

from attrs import frozen

from isacsim.solvers.sum_rate_crlb.surrogate import SurrogateSolver


@frozen
class Sca(SurrogateSolver):
    """SCA with a monotone objective: finds a stationary point, not a global optimum.

    Simple and faithful to the paper, slower than second-order methods: some hundreds of
    iterations, each of cost linear in the number of antennas. Only ``backtracking`` is
    monotone: the other curvatures are published ones, which descend or even diverge on
    scenes of a large CRLB.

    Args:
        tolerance: Relative KKT residual at which a member has converged.
        max_steps: Largest number of iterations.
        start: ``mrt`` (maximum ratio), ``rzf`` (regularised zero forcing), ``selected`` (``mrt``
            without a user), ``random``, ``published`` or ``fang25``, the published one with its very numbers.
        curvature: Rule for lambda: ``backtracking`` (the paper's, doubled until the objective
            rises), ``paper`` (the spectral norm of rate_weight H Sigma_2 H^H - crlb_weight Q)
            or ``figures`` (rate_weight times the largest eigenvalue of H Sigma_2 H^H, with
            which most published figures were made).
        published_received_power: As the published code, leave the sensing streams out of the
            received powers T_k of the update, whose steps then do not follow the gradient.
        step_tolerance: End also when the spectral norm of W+ - W, in sqrt(W), is below this,
            the rule of the published code; such a member is not converged. None is no such rule.
        change_tolerance: End also when objective, sum rate and CRLB each change by less than this
            share of their last values. None is no such rule.
    """
