"""WMMSE with semidefinite relaxation for `SumRateCrlb`, a baseline of [Fang25, Fig. 3].

Each iteration replaces the rate by its quadratic lower bound at W
(`isacsim.solvers.sum_rate_crlb.surrogate.rate_terms`) and relaxes the covariance of all
streams to R, in an orthonormal basis of the range of [H, V]::

    max  2 Re tr(C_1^H W_c) - rate_weight tr(H Sigma_2 H^H R) - crlb_weight tr(D F(R)^-1)
    s.t. tr(R) <= power,  [R W_c; W_c^H I] >= 0

The sensing streams are the strongest eigenvectors of R - W_c W_c^H. Where they are too few
for its rank the program promises too much: the step toward its solution is then shortened
until the objective rises. The published code charges the covariance of the sensing streams
with h_k^H R_s h_k, without the weights of Sigma_2, and drops R_c - W_c W_c^H, which it does
not charge either.
"""

from __future__ import annotations

from typing import Any, ClassVar

import attrs
import numpy as np
from attrs import field, frozen

from isacsim.batch import frobenius2, hermitian, rows, take
from isacsim.checks import choice, instance, number, whole
from isacsim.problems.sum_rate_crlb import SumRateCrlb
from isacsim.solvers.base import Request, Solver, not_total_power
from isacsim.solvers.hermitian import basis
from isacsim.solvers.iterate import Stop, iterate
from isacsim.solvers.solution import Solution, objects
from isacsim.solvers.sum_rate_crlb.merit import Merit, Point
from isacsim.solvers.sum_rate_crlb.sdr_program import SdrData, solved
from isacsim.solvers.sum_rate_crlb.search import PointState, search
from isacsim.solvers.sum_rate_crlb.starts import STARTS, first
from isacsim.solvers.sum_rate_crlb.surrogate import moved, rate_terms
from isacsim.typing import BoolArray, ComplexArray, FloatArray


@frozen(eq=False)
class SdrState(PointState):
    """Iterates of B members in coordinates, with what their programs returned."""

    merit: Merit
    point: Point = field()
    target: Any = rows(2)  # the precoders that the programs of the last iteration returned
    residual: Any = rows()
    stalled: Any = rows()
    move: Any = rows()
    told: Any = rows()  # what the backend said to a last program that gave it trouble


@frozen
class WmmseSdr(Solver):
    """WMMSE with semidefinite relaxation: finds a stationary point, not a global optimum.

    Monotone without the published options; a member whose program promises what its few
    sensing streams cannot hold ends as stalled. Each iteration solves one semidefinite
    program a member, of at most K+3M coordinates, by Clarabel: a slow reference, of tens of
    iterations. Takes a total power only.

    Args:
        tolerance: Relative KKT residual at which a member has converged.
        max_steps: Largest number of iterations; 2000 in the published figures.
        start: ``mrt`` (maximum ratio), ``rzf`` (regularised zero forcing), ``selected`` (``mrt``
            without a user), ``random``, ``published`` or ``fang25``.
        published_charge: As the published code, charge the sensing streams' interference
            without the weights of the rate's bound.
        published_recovery: As the published code, neither charge nor transmit what the
            users' covariance exceeds W_c W_c^H by.
        step_tolerance: End also when the spectral norm of W+ - W, in sqrt(W), is below this,
            1e-4 as published; such a member is not converged. None is no such rule.
    """

    problems: ClassVar[tuple[str, ...]] = ("sum-rate-crlb",)
    guarantee: ClassVar[str] = "stationary"

    tolerance: float = field(default=1e-3, validator=number(above=0))
    max_steps: int = field(default=100, validator=whole(1))
    start: str = field(default="mrt", validator=choice(*STARTS))
    published_charge: bool = field(default=False, validator=instance(bool))
    published_recovery: bool = field(default=False, validator=instance(bool))
    step_tolerance: float | None = field(
        default=None, validator=number(above=0, remedy="Leave it out for no such rule.", optional=True)
    )

    def takes(self, problem: Any) -> str | None:
        """Nothing, or a sentence why not: the range of [H, V] holds the optima of a total power only."""
        return super().takes(problem) or not_total_power(problem)

    def solve(self, problem: SumRateCrlb, request: Request) -> Solution:
        """Iterate in coordinates of the range, and return to precoders."""
        merit = Merit.of(problem)
        span = merit.span()
        W = hermitian(span) @ first(merit, problem.streams, request, self.start)
        stop = Stop(self.tolerance, self.max_steps, request.time_limit, request.callback, self.step_tolerance)
        solution = iterate(self.init(merit.within(span), W), self.step, stop)
        return attrs.evolve(solution, precoder=span @ solution.precoder)

    def init(self, merit: Merit, W: ComplexArray) -> SdrState:
        """The state at the coordinates W of the first precoder."""
        members = W.shape[0]
        return _state(
            merit, merit.evaluate(W), W, np.zeros(members, bool), np.full(members, np.inf), objects([""] * members)
        )

    def step(self, state: SdrState) -> SdrState:
        """One program for every member, and the step toward its solution."""
        merit, before = state.merit, state.point
        found = [self.target(*take_one(merit, before, i)) for i in range(before.objective.size)]
        target, told = np.concatenate([W for W, _ in found]), objects([note for _, note in found])
        if self.published_charge or self.published_recovery:
            point, stalled = merit.evaluate(merit.project(target)), np.zeros(len(found), bool)
        else:
            point, stalled = search(attrs.evolve(state, target=target), propose, before)
        return _state(merit, point, target, stalled, moved(point, before, self.step_tolerance), told)

    def target(self, merit: Merit, point: Point) -> tuple[ComplexArray, str]:
        """The precoder of the program of one member, (1, N, K+S), and what its backend had to tell.

        W itself where it has no solution.
        """
        separate = self.published_charge or self.published_recovery
        answer, told = solved(self.data(merit, point), not self.published_recovery, separate)
        if answer is None:
            return point.W, told
        W_c, total = answer.W, answer.R + answer.R_s
        excess = answer.R_s if self.published_recovery else total - W_c @ np.conj(W_c).T
        if not merit.rate_weight:  # then no user minds what its stream carries
            W_c, excess = W_c[:, :0], total
        old = point.W[0, :, W_c.shape[1] :] / np.sqrt(merit.power[0])
        W = np.concatenate([W_c, aligned(factor(excess, old.shape[1]), old)], axis=1)
        return np.sqrt(merit.power[0]) * W[None], told

    def data(self, merit: Merit, point: Point) -> SdrData:
        """The data of the program of one member."""
        eta, beta = merit.rate_multipliers(point)
        power = merit.power[0]
        users = merit.H.shape[-1]
        C_1, charge = (x[0] for x in rate_terms(merit, eta, beta, users))
        unweighted = merit.rate_weight * (merit.H @ merit.HH)[0]
        information, weights = _sensing(merit, point)
        return SdrData(
            C_1=np.sqrt(power) * C_1,
            charge=power * charge,
            sensing_charge=power * (unweighted if self.published_charge else charge),
            information=power * information,
            weights=weights,
        )


def take_one(merit: Merit, point: Point, i: int) -> tuple[Merit, Point]:
    """Merit and point of member i alone."""
    return take(merit, np.array([i])), take(point, np.array([i]))


def _sensing(merit: Merit, point: Point) -> tuple[FloatArray, FloatArray]:
    """F of each basis matrix (P, P, N^2), scaled to a unit diagonal at the point, and root weights (P,)."""
    if not merit.crlb_weight:
        return np.zeros((0, 0, merit.H.shape[-2] ** 2)), np.zeros(0)
    K = merit.VH @ basis(merit.H.shape[-2]) @ merit.V
    diagonal = np.diagonal(merit.tensor.fim(point.Y @ hermitian(point.Y))[0])
    scale = 1 / np.sqrt(diagonal)
    F = np.moveaxis(merit.tensor.fim(K), 0, -1)
    return F * (scale[:, None] * scale)[..., None], scale * np.sqrt(merit.crlb_weight * merit.selection)


def factor(R: ComplexArray, columns: int) -> ComplexArray:
    """The (N, columns) matrix X for which X X^H is nearest to R."""
    spectrum, U = np.linalg.eigh((R + np.conj(R).T) / 2)
    X = np.zeros((R.shape[0], columns), complex)
    kept = min(columns, R.shape[0])
    X[:, :kept] = (U * np.sqrt(np.maximum(spectrum, 0.0)))[:, ::-1][:, :kept]
    return X


def aligned(X: ComplexArray, old: ComplexArray) -> ComplexArray:
    """X turned, with X X^H unchanged, to be nearest to ``old``."""
    U, _, Vh = np.linalg.svd(np.conj(X).T @ old)
    return X @ (U @ Vh)


def _state(
    merit: Merit, point: Point, target: ComplexArray, stalled: BoolArray, move: FloatArray, told: Any
) -> SdrState:
    return SdrState(
        merit=merit,
        point=point,
        target=target,
        residual=merit.residual(point, frobenius2(merit.slope(point))),
        stalled=stalled,
        move=move,
        told=told,
    )


def propose(state: SdrState, attempt: int) -> tuple[ComplexArray, FloatArray]:
    """A part of the way to the target, halved ``attempt`` times; it promises nothing but ascent."""
    W = state.point.W + 0.5**attempt * (state.target - state.point.W)
    return state.merit.project(W), np.zeros(W.shape[0])
