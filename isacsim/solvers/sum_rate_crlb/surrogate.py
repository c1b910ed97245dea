"""The quadratic surrogate of `SumRateCrlb` that `sca` and `ld-sca` maximise in closed form.

With the multipliers of `isacsim.solvers.sum_rate_crlb.merit` at W [Fang25, eq. (29)]::

    W+ = Pi(C_1 + C_2 W),   C_2 = lambda I + crlb_weight Q - rate_weight H Sigma_2 H^H

which is a projected-gradient step of length 1/(2 lambda), since ``C_1 + C_2 W = g + lambda W``.
The surrogate of the CRLB is an upper bound, so that no lambda of the paper's guarantees
ascent: by default lambda starts from the paper's and is doubled until the objective rises.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import attrs
import numpy as np
from attrs import field, frozen

from isacsim.batch import frobenius2, hermitian, rows, squared
from isacsim.checks import choice, instance, number, whole
from isacsim.problems.sum_rate_crlb import SumRateCrlb
from isacsim.solvers.base import Request, Solver
from isacsim.solvers.iterate import Stop, iterate
from isacsim.solvers.solution import Solution
from isacsim.solvers.sum_rate_crlb.merit import Merit, Point
from isacsim.solvers.sum_rate_crlb.search import PointState, search
from isacsim.solvers.sum_rate_crlb.starts import STARTS
from isacsim.typing import BoolArray, ComplexArray, FloatArray


@frozen(eq=False)
class SurrogateState(PointState):
    """Iterates of B members, with what makes the next surrogate."""

    merit: Merit
    factor: Any = rows(2)  # whose spectrum gives lambda: R of [H, V], or a Gram matrix of H
    point: Point = field()
    eta: Any = rows(1)
    beta: Any = rows(1)
    Q_V: Any = rows(2)
    gradient: Any = rows(2)  # g, as the surrogate has it
    curvature: Any = rows()  # lambda, in 1/W
    residual: Any = rows()
    stalled: Any = rows()
    move: Any = rows()  # spectral norm of the last change of W; infinite if not asked for
    change: Any = rows()  # largest relative change of the objective and its terms, likewise


@frozen
class SurrogateSolver(Solver):
    """What `sca` and `ld-sca` share: their options, and one iteration."""

    problems: ClassVar[tuple[str, ...]] = ("sum-rate-crlb",)
    guarantee: ClassVar[str] = "stationary"

    tolerance: float = field(default=1e-4, validator=number(above=0))
    max_steps: int = field(default=4000, validator=whole(1))
    start: str = field(default="mrt", validator=choice(*STARTS))
    curvature: str = field(default="backtracking", validator=choice("backtracking", "paper", "figures"))
    published_received_power: bool = field(default=False, validator=instance(bool))
    step_tolerance: float | None = field(
        default=None, validator=number(above=0, remedy="Leave it out for no such rule.", optional=True)
    )
    change_tolerance: float | None = field(
        default=None, validator=number(above=0, remedy="Leave it out for no such rule.", optional=True)
    )

    def solve(self, problem: SumRateCrlb, request: Request) -> Solution:
        """Iterate from the request's initial precoder, or from the start."""
        limits = self.step_tolerance, self.change_tolerance
        stop = Stop(self.tolerance, self.max_steps, request.time_limit, request.callback, *limits)
        return iterate(self.init(problem, request), self.step, stop)

    @abstractmethod
    def init(self, problem: SumRateCrlb, request: Request) -> SurrogateState:
        """The state at the first precoder."""

    def fresh(self, merit: Merit, W: ComplexArray, X: ComplexArray) -> SurrogateState:
        """The state at the first W; X (B, N, K) stands for H in the curvature of ``figures``."""
        factor = hermitian(X) @ X if self.curvature == "figures" else span_factor(merit)
        return self.at(merit, factor, merit.evaluate(W), np.zeros(W.shape[0], bool))

    def step(self, state: SurrogateState) -> SurrogateState:
        """One iteration of every member, monotone when it backtracks."""
        merit, before = state.merit, state.point
        if self.curvature == "backtracking":
            point, stalled = search(state, self.propose, before)
        else:
            point = merit.evaluate(self.propose(state, 0)[0])
            stalled = np.zeros(state.stalled.shape, bool)
        return self.at(merit, state.factor, point, stalled, before)

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
        self, merit: Merit, factor: ComplexArray, point: Point, stalled: BoolArray, before: Point | None = None
    ) -> SurrogateState:
        """The state at a point, with the surrogate expanded there; nothing is ``before`` the first one."""
        Q_V = merit.sensing_multiplier(point)
        gradient = merit.gradient(point, Q_V)
        residual = merit.residual(point, frobenius2(2 * merit.tangent(point.W, gradient)))
        seen = point
        if self.published_received_power and point.Z.shape[-1] > point.Z.shape[-2]:
            seen = users_alone(merit, point)
            gradient = merit.gradient(seen, Q_V)
        eta, beta = merit.rate_multipliers(seen)
        measure = rate_curvature if self.curvature == "figures" else spectral_norm
        return SurrogateState(
            merit=merit,
            factor=factor,
            point=point,
            eta=eta,
            beta=beta,
            Q_V=Q_V,
            gradient=gradient,
            curvature=measure(merit, factor, beta, Q_V),
            residual=residual,
            stalled=stalled,
            move=moved(point, before, self.step_tolerance),
            change=changed(point, before, self.change_tolerance),
        )


def moved(point: Point, before: Point | None, step_tolerance: float | None) -> FloatArray:
    """Spectral norm of W+ - W (B,), in sqrt(W); infinite where no rule asks for it."""
    if step_tolerance is None or before is None:
        return np.full(point.objective.shape, np.inf)
    return np.asarray(np.linalg.norm(point.W - before.W, 2, axis=(-2, -1)))


def changed(point: Point, before: Point | None, change_tolerance: float | None) -> FloatArray:
    """Largest relative change of objective, sum rate and CRLB (B,); infinite where no rule asks for it."""
    if change_tolerance is None or before is None:
        return np.full(point.objective.shape, np.inf)
    old, new = (np.stack([p.objective, p.sum_rate, p.crlb]) for p in (before, point))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.fmax.reduce(np.abs(new - old) / np.abs(old)))  # NaN: a term without weight or users


def surrogate(state: SurrogateState, curvature: FloatArray) -> tuple[ComplexArray, ComplexArray]:
    """C_1 (B, N, K+S) and C_2 (B, N, N) of the surrogate at a state, for the lambda (B,)."""
    merit = state.merit
    C_1, rate = rate_terms(merit, state.eta, state.beta, state.point.Z.shape[-1])
    sensing = merit.V @ (state.Q_V @ merit.VH)
    return C_1, sensing - rate + curvature[:, None, None] * np.eye(merit.H.shape[-2])


def rate_terms(merit: Merit, eta: ComplexArray, beta: FloatArray, streams: int) -> tuple[ComplexArray, ComplexArray]:
    """C_1 (B, N, streams) and rate_weight H Sigma_2 H^H (B, N, N), of the surrogate of the rate.

    ``2 Re tr(C_1^H W) - tr(W^H H Sigma_2 H^H W)`` is a lower bound on the weighted sum rate, but
    for a constant, and touches it where the multipliers were taken [Fang25, eq. (16)].
    """
    own = np.eye(eta.shape[-1], streams)
    C_1 = merit.H @ (merit.rate_weight * np.conj(eta)[..., None] * own)
    return C_1, (merit.H * (merit.rate_weight * beta)[:, None, :]) @ merit.HH


def users_alone(merit: Merit, point: Point) -> Point:
    """The point as the published update sees it: no sensing stream reaches a user."""
    users = merit.H.shape[-1]
    gains = squared(point.Z[..., :users])
    interference = np.where(np.eye(users, dtype=bool), 0.0, gains).sum(axis=-1) + merit.noise_power
    return attrs.evolve(point, interference=interference)


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
    spectrum, finite = eigenvalues(factor @ M @ hermitian(factor))
    return np.where(finite, np.maximum(-spectrum[:, 0], spectrum[:, -1]), 1.0)


def rate_curvature(merit: Merit, gram: ComplexArray, beta: FloatArray, _Q_V: ComplexArray) -> FloatArray:
    """The lambda of most published figures, of the rate alone, (B,).

    Largest eigenvalue of ``rate_weight X Sigma_2 X^H`` for the Gram matrix X^H X (B, K, K).
    """
    weight = np.sqrt(merit.rate_weight * beta)
    spectrum, finite = eigenvalues(weight[:, :, None] * gram * weight[:, None, :])
    return np.where(finite, spectrum.max(axis=-1, initial=0.0), 1.0)


def eigenvalues(matrix: ComplexArray) -> tuple[FloatArray, BoolArray]:
    """Eigenvalues of Hermitian matrices (B, n, n), ascending, and where they are finite."""
    finite = np.all(np.isfinite(matrix), axis=(-2, -1))
    return np.linalg.eigvalsh(np.where(finite[:, None, None], matrix, 0.0)), finite
