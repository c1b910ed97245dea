"""Smoothed gradient descent-ascent for `SumRateCrlb`, a baseline of [Fang25, Fig. 3].

With ``-tr(D F^-1) = min_Y tr(Y^T F Y) - 2 tr(D^(1/2) Y)`` the problem is a max-min one. The
dual variable Y enters at its minimiser, which gives the exact gradient g, and the precoder
is drawn to an average W^ of the former ones::

    W+ = Pi(W + step_size (2 g - smoothing (W - W^))),   W^+ = W^ + averaging (W+ - W^)

The published code, too, uses the exact gradient: it updates a Y that nothing depends on.
It adds the term of W^, which turns the smoothing into momentum, and its step is fixed.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from attrs import field, frozen

from isacsim.batch import frobenius2, inner, rows
from isacsim.checks import choice, instance, number, whole
from isacsim.problems.sum_rate_crlb import SumRateCrlb
from isacsim.solvers.base import Request, Solver
from isacsim.solvers.iterate import Stop, iterate
from isacsim.solvers.solution import Solution
from isacsim.solvers.sum_rate_crlb.merit import Merit, Point
from isacsim.solvers.sum_rate_crlb.search import PointState, search
from isacsim.solvers.sum_rate_crlb.starts import STARTS, first
from isacsim.solvers.sum_rate_crlb.surrogate import moved, span_factor, spectral_norm, users_alone
from isacsim.typing import BoolArray, ComplexArray, FloatArray


@frozen(eq=False)
class FpSgdaState(PointState):
    """Iterates of B members, with the direction of the next step."""

    merit: Merit
    factor: Any = rows(2)
    point: Point = field()
    average: Any = rows(2)  # W^
    direction: Any = rows(2)  # 2 g - smoothing (W - W^)
    step_size: Any = rows()  # in W
    residual: Any = rows()
    stalled: Any = rows()
    move: Any = rows()


@frozen
class FpSgda(Solver):
    """Smoothed gradient ascent: finds a stationary point, not a global optimum.

    Monotone unless a ``step_size`` is given, and slow: a reference to compare with. A member
    whose average takes more than half of the ascent away starts it afresh.

    Args:
        tolerance: Relative KKT residual at which a member has converged.
        max_steps: Largest number of iterations.
        start: ``mrt`` (maximum ratio), ``rzf`` (regularised zero forcing), ``selected`` (``mrt``
            without a user), ``random``, ``published`` or ``fang25``.
        step_size: Fixed step in W, 5e-6 as published (1e-5 in one figure); such a step may
            descend. None is 1/(2 lambda) with the lambda of `sca`, halved until the objective
            rises.
        smoothing: Weight of the distance to the average, in 1/W; 10 as published (1 in one
            figure).
        averaging: Share of the way to the precoder that the average takes in each iteration.
        published_momentum: As the published code, add the term of the average: momentum.
        published_received_power: As the published code of `sca`, leave the sensing streams out of
            the received powers T_k of the update, whose steps then do not follow the gradient.
        step_tolerance: End also when the spectral norm of W+ - W, in sqrt(W), is below this,
            1e-5 as published; such a member is not converged. None is no such rule.
    """

    problems: ClassVar[tuple[str, ...]] = ("sum-rate-crlb",)
    guarantee: ClassVar[str] = "stationary"

    tolerance: float = field(default=1e-4, validator=number(above=0))
    max_steps: int = field(default=4000, validator=whole(1))
    start: str = field(default="mrt", validator=choice(*STARTS))
    step_size: float | None = field(
        default=None, validator=number(above=0, remedy="Leave it out for a search.", optional=True)
    )
    smoothing: float = field(default=10.0, validator=number(least=0))
    averaging: float = field(default=0.02, validator=number(above=0))
    published_momentum: bool = field(default=False, validator=instance(bool))
    published_received_power: bool = field(default=False, validator=instance(bool))
    step_tolerance: float | None = field(
        default=None, validator=number(above=0, remedy="Leave it out for no such rule.", optional=True)
    )

    def solve(self, problem: SumRateCrlb, request: Request) -> Solution:
        """Iterate from the request's initial precoder, or from the start."""
        stop = Stop(self.tolerance, self.max_steps, request.time_limit, request.callback, self.step_tolerance)
        return iterate(self.init(problem, request), self.step, stop)

    def init(self, problem: SumRateCrlb, request: Request) -> FpSgdaState:
        """The state at the first precoder, which is its own average."""
        merit = Merit.of(problem)
        W = first(merit, problem.streams, request, self.start)
        members = W.shape[0]
        fresh, still = np.zeros(members, bool), np.full(members, np.inf)
        return self._state(merit, span_factor(merit), merit.evaluate(W), W, fresh, still)

    def step(self, state: FpSgdaState) -> FpSgdaState:
        """One iteration of every member, monotone when it searches."""
        merit, before = state.merit, state.point
        if self.step_size is None:
            point, stuck = search(state, propose, before)
        else:
            point, stuck = merit.evaluate(propose(state, 0)[0]), np.zeros(state.stalled.shape, bool)
        average = state.average + self.averaging * (point.W - state.average)
        stalled = stuck & np.all(state.average == before.W, axis=(-2, -1))
        average = np.where(stuck[:, None, None], point.W, average)
        return self._state(merit, state.factor, point, average, stalled, moved(point, before, self.step_tolerance))

    def _state(
        self,
        merit: Merit,
        factor: ComplexArray,
        point: Point,
        average: ComplexArray,
        stalled: BoolArray,
        move: FloatArray,
    ) -> FpSgdaState:
        Q_V = merit.sensing_multiplier(point)
        g = merit.gradient(point, Q_V)
        slope = 2 * merit.tangent(point.W, g)
        if self.published_received_power:
            g = merit.gradient(users_alone(merit, point), Q_V)
        weight = self.smoothing if self.published_momentum else -self.smoothing
        direction = 2 * g + weight * (point.W - average)
        if self.step_size is None:
            step_size = 0.5 / spectral_norm(merit, factor, merit.rate_multipliers(point)[1], Q_V)
            poor = (inner(slope, direction) < 0.5 * frobenius2(slope))[:, None, None]
            average, direction = np.where(poor, point.W, average), np.where(poor, 2 * g, direction)
        else:
            step_size = np.full(stalled.shape, self.step_size)
        return FpSgdaState(
            merit=merit,
            factor=factor,
            point=point,
            average=average,
            direction=direction,
            step_size=step_size,
            residual=merit.residual(point, frobenius2(slope)),
            stalled=stalled,
            move=move,
        )


def propose(state: FpSgdaState, attempt: int) -> tuple[ComplexArray, FloatArray]:
    """The step halved ``attempt`` times, and the increase |W+ - W|^2 / (2 step_size)."""
    step_size = state.step_size * 0.5**attempt
    W = state.merit.project(state.point.W + step_size[:, None, None] * state.direction)
    return W, frobenius2(W - state.point.W) / (2 * step_size)
