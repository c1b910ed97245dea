"""Successive convex approximation for `SumRateCrlb` [Fang25, Algorithm 1], by a quadratic surrogate in closed form.

With the multipliers of `isacsim.solvers.sum_rate_crlb.merit` at W [Fang25, eq. (29)]::

    W+ = Pi(C_1 + C_2 W),   C_2 = lambda I + crlb_weight Q - rate_weight H Sigma_2 H^H

which is a projected-gradient step of length 1/(2 lambda), since ``C_1 + C_2 W = g + lambda W``.
The surrogate of the CRLB is an upper bound, so that no lambda of the paper's guarantees
ascent: by default lambda starts from the paper's and is doubled until the objective rises.
"""

from __future__ import annotations

import attrs
import numpy as np
from attrs import field, frozen

from isacsim.batch import frobenius2, hermitian, rows, spectrum_of, squared
from isacsim.checks import choice, instance
from isacsim.optimisation.search import search
from isacsim.solvers.sum_rate_crlb.base import NO_RULE, SingleStart
from isacsim.solvers.sum_rate_crlb.merit import Evaluated, Merit
from isacsim.solvers.sum_rate_crlb.states import MovingState
from isacsim.typing import ComplexArray, FloatArray


@frozen(eq=False)
class Surrogate:
    """The surrogates of B members, and where they are expanded."""

    merit: Merit
    seen: Evaluated  # the points as the surrogates see them
    curvature: FloatArray = rows()  # lambda, in 1/W


@frozen
class Sca(SingleStart):
    """SCA with a monotone objective: finds a stationary point, not a global optimum.

    Simple and faithful to the paper, slower than second-order methods: some hundreds of
    iterations, each of cost linear in the number of antennas. Only ``backtracking`` is
    monotone: the other curvatures are published ones, which descend or even diverge on
    scenes of a large CRLB.

    Args:
        curvature: Rule for lambda: ``backtracking`` (the paper's, doubled until the objective
            rises), ``paper`` (the spectral norm of rate_weight H Sigma_2 H^H - crlb_weight Q)
            or ``figures`` (rate_weight times the largest eigenvalue of H Sigma_2 H^H, with
            which most published figures were made; in ``ld-sca`` of N^H H Sigma_2 H^H N).
        published_received_power: As the published code, leave the sensing streams out of the
            received powers T_k of the update, whose steps then do not follow the gradient.
        change_tolerance: End also when objective, sum rate and CRLB each change by less than this
            share of their last values, 1e-5 in the published data of Table I. None is no such rule.
    """

    curvature: str = field(default="backtracking", validator=choice("backtracking", "paper", "figures"))
    published_received_power: bool = field(default=False, validator=instance(bool))
    change_tolerance: float | None = field(default=None, validator=NO_RULE, kw_only=True)

    def step(self, state: MovingState) -> MovingState:
        """One iteration of every member, monotone when it backtracks."""
        merit, before = state.merit, state.point
        seen = users_alone(merit, before) if self.published_received_power else before
        curvature = self.rate_curvature(merit, seen) if self.curvature == "figures" else spectral_norm(merit, seen)
        surrogate = Surrogate(merit, seen, curvature)
        point, stalled = search(surrogate, self.propose, before, monotone=self.curvature == "backtracking")
        return MovingState.at(merit, point, before, stalled)

    def propose(self, surrogate: Surrogate, attempt: int) -> tuple[ComplexArray, FloatArray]:
        """The closed-form step with lambda doubled ``attempt`` times, and lambda |W+ - W|^2."""
        seen, curvature = surrogate.seen, surrogate.curvature * 2.0**attempt
        W = surrogate.merit.project(seen.gradient + curvature[:, None, None] * seen.W)
        W = self.refine(surrogate, curvature, W)
        return W, curvature * frobenius2(W - seen.W)

    def refine(self, _surrogate: Surrogate, _curvature: FloatArray, W: ComplexArray) -> ComplexArray:
        """What a solver does with the closed-form W before it becomes the next precoder: nothing."""
        return W

    def rate_curvature(self, merit: Merit, seen: Evaluated) -> FloatArray:
        """The lambda of most published figures: the largest eigenvalue of ``rate_weight X Sigma_2 X^H``, (B,)."""
        X = merit.NH @ merit.H if self.reduced else merit.H  # as the published codes have it
        weight = np.sqrt(merit.rate_weight * seen.weights)
        return _largest(weight[:, :, None] * (hermitian(X) @ X) * weight[:, None, :])


def users_alone(merit: Merit, point: Evaluated) -> Evaluated:
    """The point as the published update sees it: no sensing stream reaches a user."""
    if point.Z.shape[-1] == merit.users:
        return point
    gains = squared(point.Z[..., : merit.users])
    interference = np.where(np.eye(merit.users, dtype=bool), 0.0, gains).sum(axis=-1) + merit.noise_power
    seen = attrs.evolve(point, interference=interference)
    C_1, rate = rate_terms(merit, seen, point.W.shape[-1])
    return attrs.evolve(seen, gradient=C_1 - rate @ point.W + merit.V @ (point.Q_V @ point.Y))


def rate_terms(merit: Merit, seen: Evaluated, streams: int) -> tuple[ComplexArray, ComplexArray]:
    """C_1 (B, N, streams) and rate_weight H Sigma_2 H^H (B, N, N), of the surrogate of the rate.

    ``2 Re tr(C_1^H W) - tr(W^H H Sigma_2 H^H W)`` is a lower bound on the weighted sum rate, but
    for a constant, and touches it where the point was seen [Fang25, eq. (16)].
    """
    eta_conj = seen.Z.diagonal(axis1=-2, axis2=-1) / seen.interference
    C_1 = merit.H @ (merit.rate_weight * eta_conj[..., None] * np.eye(merit.users, streams))
    return C_1, (merit.H * (merit.rate_weight * seen.weights)[:, None, :]) @ merit.HH


def spectral_norm(merit: Merit, seen: Evaluated) -> FloatArray:
    """The paper's lambda: |rate_weight H Sigma_2 H^H - crlb_weight Q|_2 [Fang25, Sec. III-B], (B,)."""
    users, beta, R = merit.users, seen.weights, merit.factor
    M = np.zeros((len(beta), R.shape[-1], R.shape[-1]), complex)
    k = np.arange(users)
    M[:, k, k] = merit.rate_weight * beta
    M[:, users:, users:] = -seen.Q_V
    return _largest(R @ M @ hermitian(R))


def _largest(matrix: ComplexArray) -> FloatArray:
    """The largest size of an eigenvalue of Hermitian matrices (B, n, n), (B,); 1 where one is no number."""
    return np.nan_to_num(np.abs(spectrum_of(matrix)).max(axis=-1, initial=0.0), nan=1.0)
