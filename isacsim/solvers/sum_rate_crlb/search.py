"""The one backtracking search of the iterative solvers: no step lowers the objective."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Self, TypeVar

import numpy as np
from attrs import frozen

from isacsim.batch import frobenius2, put, rows, take
from isacsim.solvers.sum_rate_crlb.merit import Iterate, Merit
from isacsim.typing import BoolArray, ComplexArray, FloatArray

ARMIJO = 1e-4  # share of the promised increase that a step must deliver
SHRINK = 0.4  # length of a step, of that before it
MAX_ATTEMPTS = 60  # lengths tried: far more than down to the rounding of W


def of_point(name: str, doc: str) -> Any:
    """A property of a state: a field of its ``point``."""
    return property(lambda state: getattr(state.point, name), doc=doc)


@frozen(eq=False)
class PointState:
    """Iterates of B members at a ``point``, as `isacsim.solvers.iterate` sees them."""

    traced: ClassVar[tuple[str, ...]] = ("sum_rate", "crlb")

    point: Any
    residual: FloatArray = rows()
    stalled: BoolArray = rows()

    precoder = of_point("W", "Current precoders, (B, N_t, K+S), in sqrt(W).")
    objective = of_point("objective", "Their objectives, (B,).")
    sum_rate = of_point("sum_rate", "Their sum rates, (B,), in nat/s/Hz.")
    crlb = of_point("crlb", "Their weighted CRLBs, (B,).")


@frozen(eq=False)
class MovingState(PointState):
    """Iterates with the points before them, for the rules of the published code by which a member ends."""

    merit: Merit
    before: Iterate

    @classmethod
    def at(
        cls,
        merit: Merit,
        point: Any,
        before: Iterate,
        stalled: BoolArray,
        slope: ComplexArray | None = None,
        **own: Any,
    ) -> Self:
        """The state at a point, with its gradient along the surface where that is at hand, and ``own`` fields."""
        slope = merit.slope(point) if slope is None else slope
        residual = merit.residual(point, frobenius2(slope))
        return cls(point=point, residual=residual, stalled=stalled, merit=merit, before=before, **own)

    @property
    def move(self) -> FloatArray:
        """Spectral norm of the last change of W, (B,), in sqrt(W)."""
        return np.asarray(np.linalg.norm(self.point.W - self.before.W, 2, axis=(-2, -1)))

    @property
    def change(self) -> FloatArray:
        """Largest relative change of objective, sum rate and CRLB, (B,)."""
        old, new = (np.stack([p.objective, p.sum_rate, p.crlb]) for p in (self.before, self.point))
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.fmax.reduce(np.abs(new - old) / np.abs(old)))  # NaN: a term without weight or users


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
        """The step of full power of an attempt, and what it promises."""
        t = self.length * self.shrink**attempt
        return self.merit.project(self.W + t[:, None, None] * self.direction), t * self.slope


S = TypeVar("S", bound=Any)
P = TypeVar("P", bound=Iterate)
Propose = Callable[[S, int], tuple[ComplexArray, FloatArray]]


def search(line: S, propose: Propose[S], before: P, *, monotone: bool = True) -> tuple[P, BoolArray]:
    """The next points, and which members found none that improves the objective.

    Args:
        line: What proposals are made from, with the `Merit` of B members.
        propose: Precoders of full power for the members that still search, at their n-th
            attempt, and the increase of the objective they promise; later attempts are
            shorter steps.
        before: The points that are to be improved.
        monotone: Whether they are; else the first proposals are taken as they are.
    """
    chosen, good = _attempt(line, propose, before.objective, 0)
    stalled = ~good if monotone else np.zeros(good.shape, bool)
    if not np.count_nonzero(stalled):
        return chosen, stalled
    todo = np.flatnonzero(stalled)
    for attempt in range(1, MAX_ATTEMPTS):
        trial, good = _attempt(take(line, todo), propose, before.objective[todo], attempt)
        if good.any():
            chosen = put(chosen, todo[good], take(trial, good))
            stalled[todo[good]] = False
            todo = todo[~good]
        if not todo.size:
            return chosen, stalled
    return put(chosen, todo, take(before, todo)), stalled


def _attempt(line: S, propose: Propose[S], objective: FloatArray, attempt: int) -> tuple[Any, BoolArray]:
    """The points proposed, and which of them improve the objective as promised."""
    W, promise = propose(line, attempt)
    trial = line.merit.evaluate(W)
    # Strictly more: at the limit of rounding a step that changes nothing is no step.
    return trial, (trial.objective > objective) & (trial.objective >= objective + ARMIJO * promise)
