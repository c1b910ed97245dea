"""WMMSE with semidefinite relaxation for `SumRateCrlb`, a baseline of [Fang25, Fig. 3].

Each iteration replaces the rate by its quadratic lower bound at W
(`isacsim.solvers.sum_rate_crlb.sca.rate_terms`) and relaxes the covariance of all
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

from typing import ClassVar

import numpy as np
from attrs import field, frozen

from isacsim.batch import frobenius2, put, rows, take
from isacsim.checks import instance, number, whole
from isacsim.linalg.stacked import aligned, factor
from isacsim.optimisation.search import Line, search
from isacsim.optimisation.semidefinite import CONVEX
from isacsim.solvers.solution import objects
from isacsim.solvers.sum_rate_crlb.base import SingleStart
from isacsim.solvers.sum_rate_crlb.merit import Evaluated, Merit
from isacsim.solvers.sum_rate_crlb.sdr_program import optimum
from isacsim.solvers.sum_rate_crlb.states import MovingState
from isacsim.typing import AnyArray, BoolArray, ComplexArray

SHORT = 1e-2  # length of a step along the gradient, relative to the precoder, whose objective is next to its optimum


@frozen(eq=False)
class WmmseState(MovingState):
    """Iterates of B members in coordinates, with what their programs returned."""

    told: AnyArray = rows()  # what the backend said to a last program that gave it trouble


@frozen
class WmmseSdr(SingleStart):
    """WMMSE with semidefinite relaxation: finds a stationary point, not a global optimum.

    Monotone without the published options; a member whose program promises what its few
    sensing streams cannot hold ends as stalled. Each iteration solves one semidefinite
    program a member, of at most K+3M coordinates, by Clarabel: a slow reference, of tens of
    iterations. Takes a total power only. The published figures took 2000 steps at most, and a
    ``step_tolerance`` of 1e-4.

    Args:
        published_charge: As the published code, charge the sensing streams' interference
            without the weights of the rate's bound.
        published_recovery: As the published code, neither charge nor transmit what the
            users' covariance exceeds W_c W_c^H by.
    """

    reduced: ClassVar[bool] = True
    extra: ClassVar[str] = CONVEX
    modules: ClassVar[tuple[str, ...]] = ("cvxpy",)

    tolerance: float = field(default=1e-3, validator=number(above=0))
    max_steps: int = field(default=100, validator=whole(1))
    published_charge: bool = field(default=False, validator=instance(bool))
    published_recovery: bool = field(default=False, validator=instance(bool))

    def init(self, merit: Merit, W: ComplexArray) -> WmmseState:
        """The state at the coordinates W of the first precoder."""
        point = merit.evaluate(W)
        return WmmseState.at(merit, point, point, np.zeros(len(W), bool), told=objects([""] * len(W)))

    def step(self, state: WmmseState) -> WmmseState:
        """One program for every member, and the step toward its solution."""
        merit, before = state.merit, state.point
        alone = [np.array([i]) for i in range(len(before.W))]
        found = [self.target(take(merit, i), take(before, i)) for i in alone]
        target = np.concatenate([W for W, _ in found])
        if self.published_charge or self.published_recovery:
            point, stalled = merit.evaluate(merit.project(target)), np.zeros(len(found), bool)
        else:  # a part of the way to the target, which promises nothing but ascent
            whole_way, nothing = np.ones(len(found)), np.zeros(len(found))
            line = Line(merit, before.W, target - before.W, whole_way, nothing, shrink=0.5)
            point, stalled = search(line, Line.propose, before)
            solved = np.any(target != before.W, axis=(-2, -1))
            if (stalled & solved).any():
                point, stuck = uphill(merit, before, point, stalled & solved)
                stalled = np.where(solved, stuck, stalled)
        return WmmseState.at(merit, point, before, stalled, told=objects([note for _, note in found]))

    def target(self, merit: Merit, point: Evaluated) -> tuple[ComplexArray, str]:
        """The precoder of the program of one member, (1, N, K+S), and what its backend had to tell.

        W itself where it has no solution.
        """
        power = merit.power[0]
        answer, told = optimum(merit, point, self.published_charge, self.published_recovery)
        if answer is None:
            return point.W, told
        W_c, R, R_s = answer
        excess = R_s if self.published_recovery else R + R_s - W_c @ np.conj(W_c).T
        if not merit.rate_weight:  # then no user minds what its stream carries
            W_c, excess = W_c[:, :0], R + R_s
        old = point.W[0, :, W_c.shape[1] :] / np.sqrt(power)
        W = np.concatenate([W_c, aligned(factor(excess, old.shape[1]), old)], axis=1)
        return np.sqrt(power) * W[None], told


def uphill(merit: Merit, before: Evaluated, point: Evaluated, lost: BoolArray) -> tuple[Evaluated, BoolArray]:
    """The points with a step along the gradient for those members that are ``lost``, and which of them found none.

    Next to a stationary point a program is not solved well enough for its solution to lie uphill.
    """
    here, start = take(merit, lost), take(before, lost)
    slope = here.slope(start)
    length = SHORT * np.sqrt(frobenius2(start.W) / np.maximum(frobenius2(slope), np.finfo(float).tiny))
    found, stuck = search(Line(here, start.W, slope, length, frobenius2(slope)), Line.propose, start)
    stalled = lost.copy()
    stalled[lost] = stuck
    return put(point, np.flatnonzero(lost), found), stalled
