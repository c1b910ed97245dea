"""The one backtracking search of iterations: no step lowers the objective."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from attrs import frozen

from isacsim.batch import put, rows, take
from isacsim.typing import BoolArray, ComplexArray, FloatArray

ARMIJO = 1e-4  # share of the promised increase that a step must deliver
SHRINK = 0.4  # length of a step, of that before it
PATIENT, FAST = 10, 0.1  # attempts after which there is a kink, mostly, and a step is shortened faster, by that
MAX_ATTEMPTS = 60  # lengths tried: far more than down to the rounding of W
LEAST = 2.2e-16  # promised increase, relative, below which a step is not shortened: the rounding of an objective


@frozen(eq=False)
class Line:
    """Where B members search, along what, and how."""

    merit: Any
    W: ComplexArray = rows(2)
    direction: ComplexArray = rows(2)
    length: FloatArray = rows()  # of the first step, in directions
    slope: FloatArray = rows()  # of the objective along the direction, as far as it is promised
    shrink: float = SHRINK

    def propose(self, attempt: int) -> tuple[ComplexArray, FloatArray]:
        """The step of an attempt, taken back to where coordinates may lie, and what it promises."""
        t = self.length * self.shrink ** min(attempt, PATIENT) * FAST ** max(attempt - PATIENT, 0)
        return self.merit.project(self.W + t[:, None, None] * self.direction), t * self.slope


S = TypeVar("S", bound=Any)
P = TypeVar("P", bound=Any)
Propose = Callable[[S, int], tuple[ComplexArray, FloatArray]]


def search(line: S, propose: Propose[S], before: P, *, monotone: bool = True) -> tuple[P, BoolArray]:
    """The next points, and which members found none that improves the objective.

    Args:
        line: What proposals are made from, with the ``merit`` of B members, which evaluates them.
        propose: Coordinates for the members that still search, at their n-th attempt, and the increase of
            the objective they promise; later attempts are shorter steps.
        before: The points that are to be improved.
        monotone: Whether they are; else the first proposals are taken as they are.
    """
    chosen, good, lost = _attempt(line, propose, before.objective, 0)
    stalled = ~good if monotone else np.zeros(good.shape, bool)
    if not np.count_nonzero(stalled):
        return chosen, stalled
    todo = np.flatnonzero(stalled & ~lost)
    for attempt in range(1, MAX_ATTEMPTS):
        if not todo.size:
            break
        trial, good, lost = _attempt(take(line, todo), propose, before.objective[todo], attempt)
        if good.any():
            chosen = put(chosen, todo[good], take(trial, good))
            stalled[todo[good]] = False
        todo = todo[~(good | lost)]
    rest = np.flatnonzero(stalled)
    return put(chosen, rest, take(before, rest)) if rest.size else chosen, stalled


def _attempt(line: S, propose: Propose[S], objective: FloatArray, attempt: int) -> tuple[Any, BoolArray, BoolArray]:
    """The points proposed, which of them improve the objective as promised, and of which no shorter one could.

    What a step promises that is lost in rounding cannot be told from what it does not bring.
    """
    W, promise = propose(line, attempt)
    trial = line.merit.evaluate(W)
    # Strictly more: at the limit of rounding a step that changes nothing is no step.
    good = (trial.objective > objective) & (trial.objective >= objective + ARMIJO * promise)
    return trial, good, promise < LEAST * np.abs(objective)
