"""Successive convex approximation for `SumRateCrlb` [Fang25, Algorithm 1].

One iteration maximises a quadratic surrogate in closed form [Fang25, eq. (29)]::

    W+ = Pi(C_1 + C_2 W),   C_2 = lambda I + crlb_weight Q - rate_weight H Sigma_2 H^H

which is a projected-gradient step of length 1/(2 lambda), since ``C_1 + C_2 W = g + lambda W``.
The surrogate of the CRLB is an upper bound, so that the paper's lambda does not guarantee
ascent; here lambda starts from the paper's rule and is doubled until the objective rises.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from attrs import field, frozen

from isacsim.batch import frobenius2, rows
from isacsim.checks import choice, number, whole
from isacsim.problems.sum_rate_crlb import SumRateCrlb
from isacsim.problems.sum_rate_crlb_merit import Merit, Point
from isacsim.solvers.base import Request, Solver
from isacsim.solvers.iterate import Stop, iterate
from isacsim.solvers.solution import Solution
from isacsim.solvers.sum_rate_crlb.search import PointState, search
from isacsim.solvers.sum_rate_crlb.starts import STARTS, start
from isacsim.typing import BoolArray, ComplexArray, FloatArray


@frozen(eq=False)
class ScaState(PointState):
    """Iterates of B members, with the gradient and the curvature of the next surrogate."""

    merit: Merit
    basis: Any = rows(2)
    point: Point = field()
    gradient: Any = rows(2)
    curvature: Any = rows()
    residual: Any = rows()
    stalled: Any = rows()


@frozen
class Sca(Solver):
    """SCA with a monotone objective: finds a stationary point, not a global optimum.

    Simple and faithful to the paper, slower than second-order methods: some hundreds of
    iterations, each of cost linear in the number of antennas.

    Args:
        tolerance: Relative KKT residual at which a member has converged.
        max_steps: Largest number of iterations.
        start: ``mrt`` (maximum ratio), ``rzf`` (regularised zero forcing) or ``random``.
    """

    problems: ClassVar[tuple[str, ...]] = ("sum-rate-crlb",)

    tolerance: float = field(default=1e-4, validator=number(above=0))
    max_steps: int = field(default=4000, validator=whole(1))
    start: str = field(default="mrt", validator=choice(*STARTS))

    def solve(self, problem: SumRateCrlb, request: Request) -> Solution:
        """Iterate from the request's initial precoder, or from the start."""
        state = self.init(problem, request)
        return iterate(state, self.step, Stop(self.tolerance, self.max_steps, request.time_limit, request.callback))

    def init(self, problem: SumRateCrlb, request: Request) -> ScaState:
        """The state at the first precoder."""
        merit = Merit.of(problem)
        if request.initial is None:
            W = start(merit, request.start or self.start, problem.streams, request.rngs)
        else:
            W = merit.project(request.initial)
        members = W.shape[0]
        return _state(merit, span_factor(merit), merit.evaluate(W), np.zeros(members, bool))

    def step(self, state: ScaState) -> ScaState:
        """One monotone iteration of every member."""
        point, stalled = search(state, propose)
        return _state(state.merit, state.basis, point, stalled)


def _state(merit: Merit, basis: ComplexArray, point: Point, stalled: BoolArray) -> ScaState:
    eta, beta, Q_V = merit.multipliers(point)
    gradient = merit.gradient(point, eta, beta, Q_V)
    return ScaState(
        merit=merit,
        basis=basis,
        point=point,
        gradient=gradient,
        curvature=spectral_norm(merit, basis, beta, Q_V),
        residual=merit.residual(point, 2 * merit.tangent(point.W, gradient)),
        stalled=stalled,
    )


def span_factor(merit: Merit) -> ComplexArray:
    """R of the QR factorisation of [H, V]: spectra of matrices N M N^H are those of R M R^H."""
    batch = np.broadcast_shapes(merit.H.shape[:-2], merit.V.shape[:-2])
    N = np.concatenate([np.broadcast_to(x, batch + x.shape[-2:]) for x in (merit.H, merit.V)], axis=-1)
    return np.linalg.qr(N)[1]


def spectral_norm(merit: Merit, basis: ComplexArray, beta: FloatArray, Q_V: ComplexArray) -> FloatArray:
    """The paper's lambda: |rate_weight H Sigma_2 H^H - crlb_weight Q|_2 [Fang25, Sec. III-B], (B,)."""
    users, side = merit.H.shape[-1], basis.shape[-1]
    M = np.zeros((beta.shape[0], side, side), complex)
    k = np.arange(users)
    M[:, k, k] = merit.rate_weight * beta
    M[:, users:, users:] = -merit.crlb_weight * Q_V
    matrix = basis @ M @ np.conj(basis).swapaxes(-1, -2)
    finite = np.all(np.isfinite(matrix), axis=(-2, -1))
    spectrum = np.linalg.eigvalsh(np.where(finite[:, None, None], matrix, 0.0))
    return np.where(finite, np.maximum(-spectrum[:, 0], spectrum[:, -1]), 1.0)


def propose(state: ScaState, attempt: int) -> tuple[ComplexArray, FloatArray]:
    """The closed-form step with lambda doubled ``attempt`` times, and lambda |W+ - W|^2."""
    curvature = state.curvature * 2.0**attempt
    W = state.merit.project(state.gradient + curvature[:, None, None] * state.point.W)
    return W, curvature * frobenius2(W - state.point.W)
