"""Smoothed gradient descent-ascent for `SumRateCrlb`, a baseline of [Fang25, Fig. 3].

With ``-tr(D F^-1) = min_Y tr(Y^T F Y) - 2 tr(D^(1/2) Y)`` the problem is a max-min one. The
dual variable Y enters at its minimiser, which gives the exact gradient g, and the precoder
is drawn to an average W^ of the former ones::

    W+ = Pi(W + step_size (2 g - smoothing (W - W^))),   W^+ = W^ + averaging (W+ - W^)

The published code, too, uses the exact gradient: it updates a Y that nothing depends on.
It adds the term of W^, which turns the smoothing into momentum, and its step is fixed.
"""

from __future__ import annotations

import numpy as np
from attrs import field, frozen

from isacsim.batch import frobenius2, inner, rows
from isacsim.checks import instance, number
from isacsim.optimisation.search import Line, search
from isacsim.solvers.sum_rate_crlb.base import SingleStart
from isacsim.solvers.sum_rate_crlb.merit import Merit
from isacsim.solvers.sum_rate_crlb.sca import spectral_norm, users_alone
from isacsim.solvers.sum_rate_crlb.states import MovingState
from isacsim.typing import ComplexArray


@frozen(eq=False)
class FpSgdaState(MovingState):
    """Iterates of B members, with the averages of the former ones."""

    average: ComplexArray = rows(2)  # W^


@frozen
class FpSgda(SingleStart):
    """Smoothed gradient ascent: finds a stationary point, not a global optimum.

    Monotone unless a ``step_size`` is given, and slow: a reference to compare with. A member
    whose average takes more than half of the ascent away starts it afresh. Published with a ``step_tolerance`` of 1e-5.

    Args:
        step_size: Fixed step in W, 5e-6 as published (1e-5 in one figure); such a step may
            descend. None is 1/(2 lambda) with the lambda of `sca`, halved until the objective
            rises.
        smoothing: Weight of the distance to the average, in 1/W; 10 as published (1 in one
            figure).
        averaging: Share of the way to the precoder that the average takes in each iteration.
        published_momentum: As the published code, add the term of the average: momentum.
        published_received_power: As the published code of `sca`, leave the sensing streams out of
            the received powers T_k of the update, whose steps then do not follow the gradient.
    """

    step_size: float | None = field(
        default=None, validator=number(above=0, remedy="Leave it out for a search.", optional=True)
    )
    smoothing: float = field(default=10.0, validator=number(least=0))
    averaging: float = field(default=0.02, validator=number(above=0))
    published_momentum: bool = field(default=False, validator=instance(bool))
    published_received_power: bool = field(default=False, validator=instance(bool))

    def init(self, merit: Merit, W: ComplexArray) -> FpSgdaState:
        """The state at the first precoder, which is its own average."""
        point = merit.evaluate(W)
        return FpSgdaState.at(merit, point, point, np.zeros(len(W), bool), average=W)

    def step(self, state: FpSgdaState) -> FpSgdaState:
        """One iteration of every member, monotone when it searches."""
        merit, before = state.merit, state.point
        line, average = self.ahead(state)
        point, stuck = search(line, Line.propose, before, monotone=self.step_size is None)
        stalled = stuck & np.all(average == before.W, axis=(-2, -1))
        average = average + self.averaging * (point.W - average)
        average = np.where(stuck[:, None, None], point.W, average)
        return FpSgdaState.at(merit, point, before, stalled, average=average)

    def ahead(self, state: FpSgdaState) -> tuple[Line, ComplexArray]:
        """Where the next steps are searched for, and the averages, some of which start afresh here."""
        merit, point, average = state.merit, state.point, state.average
        seen = users_alone(merit, point) if self.published_received_power else point
        weight = self.smoothing if self.published_momentum else -self.smoothing
        direction, slope = 2 * seen.gradient + weight * (point.W - average), merit.slope(point)
        if self.step_size is None:
            length = 0.5 / spectral_norm(merit, point)
            poor = (inner(slope, direction) < 0.5 * frobenius2(slope))[:, None, None]
            average, direction = np.where(poor, point.W, average), np.where(poor, 2 * seen.gradient, direction)
        else:
            length = np.full(len(average), self.step_size)
        return Line(merit, point.W, direction, length, inner(slope, direction), shrink=0.5), average
