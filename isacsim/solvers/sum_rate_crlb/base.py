"""What the solvers of `SumRateCrlb` from one start share: their options, and how they are run."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import attrs
import numpy as np
from attrs import field, frozen

from isacsim.checks import choice, number, whole
from isacsim.problems.sum_rate_crlb import SumRateCrlb
from isacsim.solvers.base import Request, Solver
from isacsim.solvers.iterate import Stop, iterate
from isacsim.solvers.solution import Solution
from isacsim.solvers.sum_rate_crlb.merit import Merit
from isacsim.solvers.sum_rate_crlb.starts import STARTS, asked
from isacsim.solvers.sum_rate_crlb.states import MovingState
from isacsim.typing import ComplexArray

NO_RULE = number(above=0, remedy="Leave it out for no such rule.", optional=True)


@frozen
class SingleStart(Solver):
    """A solver that iterates from one start: over precoders, or, if ``reduced``, over the range of [H, V], or of H.

    Args:
        tolerance: Relative KKT residual at which a member has converged.
        max_steps: Largest number of iterations.
        start: ``mrt`` (maximum ratio), ``rzf`` (regularised zero forcing), ``selected`` (``mrt``
            without a user), ``random``, ``published`` or ``fang25``, the published one with its very numbers.
        step_tolerance: End also when the spectral norm of W+ - W, in sqrt(W), is below this, the rule of the
            published codes; such a member is not converged. None is no such rule.
    """

    problems: ClassVar[tuple[str, ...]] = ("sum-rate-crlb",)
    guarantee: ClassVar[str] = "stationary"
    reduced: ClassVar[bool] = False

    tolerance: float = field(default=1e-4, validator=number(above=0))
    max_steps: int = field(default=4000, validator=whole(1))
    start: str = field(default="mrt", validator=choice(*STARTS))
    step_tolerance: float | None = field(default=None, validator=NO_RULE, kw_only=True)

    def takes(self, problem: Any) -> str | None:
        """Nothing, or a sentence why not: the range of [H, V] holds the optima of a total power only."""
        told = super().takes(problem)
        if told is None and self.reduced and problem.per_antenna:
            told = "takes a total power only, not `per_antenna`"
        return told

    def solve(self, problem: SumRateCrlb, request: Request) -> Solution:
        """Iterate from the request's initial precoder, or from the start."""
        merit = Merit.of(problem)
        W = merit.project(asked(merit, (self.start,), problem.streams, request)[:, 0])
        rules = self.step_tolerance, getattr(self, "change_tolerance", None)
        stop = Stop(self.tolerance, self.max_steps, request.time_limit, request.callback, *rules)
        if not self.reduced:
            return iterate(self.init(merit, W), self.step, stop)
        basis, merit, Z = self.relevant(merit).reduced(W[:, None])
        solution = iterate(self.init(merit, Z[:, 0]), self.step, stop)
        return attrs.evolve(solution, precoder=basis @ solution.precoder)

    def relevant(self, merit: Merit) -> Merit:
        """The merit whose span the iterates lie in, of a solver that is ``reduced``: the whole."""
        return merit

    def init(self, merit: Merit, W: ComplexArray) -> MovingState:
        """The state at the first precoders, or at their coordinates."""
        point = merit.evaluate(W)
        return MovingState.at(merit, point, point, np.zeros(len(W), bool))

    @abstractmethod
    def step(self, state: Any) -> MovingState:
        """One iteration of every member."""
