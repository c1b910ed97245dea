"""Successive convex approximation for `SumRateCrlb` [Fang25, Algorithm 1], by a quadratic surrogate in closed form.

With the multipliers of `isacsim.solvers.sum_rate_crlb.merit` at W [Fang25, eq. (29)]::

    W+ = Pi(C_1 + C_2 W),   C_2 = lambda I + crlb_weight Q - rate_weight H Sigma_2 H^H

which is a projected-gradient step of length 1/(2 lambda), since ``C_1 + C_2 W = g + lambda W``.
The surrogate of the CRLB is an upper bound, so that no lambda of the paper's guarantees
ascent: by default lambda starts from the paper's and is doubled until the objective rises.
"""

from __future__ import annotations

import numpy as np
from attrs import field, frozen

from isacsim.batch import frobenius2, hermitian, rows, spectrum_of
from isacsim.checks import choice, instance
from isacsim.optimisation.search import search
from isacsim.solvers.sum_rate_crlb.base import NO_RULE, SingleStart, users_alone
from isacsim.solvers.sum_rate_crlb.merit import Evaluated, Merit
from isacsim.solvers.sum_rate_crlb.states import MovingState
from isacsim.typing import BoolArray, ComplexArray, FloatArray


@frozen(eq=False)
class SurrogateState(MovingState):
    """Iterates of B members, with what makes the next surrogate."""

    factor: ComplexArray = rows(2)  # whose spectrum gives lambda: R of [H, V], or a Gram matrix of H
    gradient: ComplexArray = rows(2)  # g, as the surrogate has it
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

    def init(self, merit: Merit, W: ComplexArray) -> SurrogateState:
        """The state at the first W."""
        X = self.channels(merit)
        factor = hermitian(X) @ X if self.curvature == "figures" else span_factor(merit)
        point = merit.evaluate(W)
        return self.at(merit, factor, point, point, np.zeros(len(W), bool))

    def channels(self, merit: Merit) -> ComplexArray:
        """What stands for H in the curvature of ``figures``, (B, N, K)."""
        return merit.H

    def seen(self, merit: Merit, point: Evaluated) -> Evaluated:
        """A point as the surrogate sees it."""
        return users_alone(merit, point) if self.published_received_power else point

    def step(self, state: SurrogateState) -> SurrogateState:
        """One iteration of every member, monotone when it backtracks."""
        merit, before = state.merit, state.point
        point, stalled = search(state, self.propose, before, monotone=self.curvature == "backtracking")
        return self.at(merit, state.factor, point, before, stalled)

    def propose(self, state: SurrogateState, attempt: int) -> tuple[ComplexArray, FloatArray]:
        """The closed-form step with lambda doubled ``attempt`` times, and lambda |W+ - W|^2."""
        merit, before = state.merit, state.point.W
        curvature = state.curvature * 2.0**attempt
        W = self.refine(state, curvature, merit.project(state.gradient + curvature[:, None, None] * before))
        return W, curvature * frobenius2(W - before)

    def refine(self, _state: SurrogateState, _curvature: FloatArray, W: ComplexArray) -> ComplexArray:
        """What a solver does with the closed-form W before it becomes the next precoder: nothing."""
        return W

    def at(
        self, merit: Merit, factor: ComplexArray, point: Evaluated, before: Evaluated, stalled: BoolArray
    ) -> SurrogateState:
        """The state at a point, with the surrogate expanded there."""
        Q_V, seen = merit.sensing_multiplier(point), self.seen(merit, point)
        gradient = merit.gradient(point, Q_V)
        measure = rate_curvature if self.curvature == "figures" else spectral_norm
        return SurrogateState.at(
            merit, point, before, stalled, merit.along_surface(point.W, gradient),
            factor=factor,
            gradient=gradient if seen is point else merit.gradient(seen, Q_V),
            curvature=measure(merit, factor, seen.weights, Q_V),
        )  # fmt: skip


def rate_terms(merit: Merit, seen: Evaluated, streams: int) -> tuple[ComplexArray, ComplexArray]:
    """C_1 (B, N, streams) and rate_weight H Sigma_2 H^H (B, N, N), of the surrogate of the rate.

    ``2 Re tr(C_1^H W) - tr(W^H H Sigma_2 H^H W)`` is a lower bound on the weighted sum rate, but
    for a constant, and touches it where the point was seen [Fang25, eq. (16)].
    """
    eta_conj = seen.Z.diagonal(axis1=-2, axis2=-1) / seen.interference
    C_1 = merit.H @ (merit.rate_weight * eta_conj[..., None] * np.eye(merit.users, streams))
    return C_1, (merit.H * (merit.rate_weight * seen.weights)[:, None, :]) @ merit.HH


def span_factor(merit: Merit) -> ComplexArray:
    """R of the QR factorisation of N = [H, V]: spectra of matrices N M N^H are those of R M R^H."""
    return np.linalg.qr(merit.N)[1]


def spectral_norm(merit: Merit, factor: ComplexArray, beta: FloatArray, Q_V: ComplexArray) -> FloatArray:
    """The paper's lambda: |rate_weight H Sigma_2 H^H - crlb_weight Q|_2 [Fang25, Sec. III-B], (B,)."""
    users, side = merit.H.shape[-1], factor.shape[-1]
    M = np.zeros((beta.shape[0], side, side), complex)
    k = np.arange(users)
    M[:, k, k] = merit.rate_weight * beta
    M[:, users:, users:] = -Q_V
    return _largest(factor @ M @ hermitian(factor))


def rate_curvature(merit: Merit, gram: ComplexArray, beta: FloatArray, _Q_V: ComplexArray) -> FloatArray:
    """The lambda of most published figures, of the rate alone, (B,).

    Largest eigenvalue of ``rate_weight X Sigma_2 X^H`` for the Gram matrix X^H X (B, K, K).
    """
    weight = np.sqrt(merit.rate_weight * beta)
    return _largest(weight[:, :, None] * gram * weight[:, None, :])


def _largest(matrix: ComplexArray) -> FloatArray:
    """The largest size of an eigenvalue of Hermitian matrices (B, n, n), (B,); 1 where one is no number."""
    return np.nan_to_num(np.abs(spectrum_of(matrix)).max(axis=-1, initial=0.0), nan=1.0)
