"""The one driver of iterations: it alone owns stopping, trace, time and finished members.

A solver contributes a state and a pure step. The state is a record of arrays with one
leading batch axis, which carries its own objective and residual, so that nothing is
evaluated twice; a member that has ended leaves the batch.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Protocol, TypeVar

import numpy as np
from attrs import field, frozen

from isacsim.batch import is_batched, replaced, take
from isacsim.checks import number, whole
from isacsim.errors import InvalidInput
from isacsim.solvers.solution import Solution, Status, gathered, objects, without
from isacsim.typing import AnyArray, BoolArray, ComplexArray, FloatArray, IntArray

# How members end: going on until a limit, or as the name says, broken where the objective is no number.
GOING, MET, STALLED, BROKEN = range(4)


class State(Protocol):
    """What `iterate` needs to see of a state of B members."""

    traced: ClassVar[tuple[str, ...]]

    @property
    def precoder(self) -> ComplexArray:
        """Current precoders, (B, N_t, K+S); the state of another decision has arrays by name, ``decision``, instead."""

    @property
    def objective(self) -> FloatArray:
        """Their objectives, (B,)."""

    @property
    def residual(self) -> FloatArray:
        """Their KKT residuals, (B,)."""

    @property
    def stalled(self) -> Any:
        """Which members cannot improve any more, (B,)."""


def of_point(name: str, doc: str) -> Any:
    """A property of a state: a field of its ``point``."""
    return property(lambda state: getattr(state.point, name), doc=doc)


S = TypeVar("S", bound=State)


@frozen(eq=False)
class Progress:
    """What a callback sees after each step.

    Attributes:
        step: Steps taken so far.
        members: Indices of the members still iterating, in the flat batch.
        state: The solver's whole state of those members.
        time: Time since the start, in s.
    """

    step: int
    members: IntArray
    state: Any
    time: float


Callback = Callable[[Progress], Any]
TIME_LIMIT = number(above=0, remedy="Give seconds, or leave it out.", optional=True)


@frozen
class Stop:
    """When an iteration ends.

    Args:
        tolerance: A member has converged when its residual is at most this.
        max_steps: Largest number of steps.
        time_limit: Largest time, in s; None is no limit.
        callback: Called after each step; a true result stops all members.
        step_tolerance: A member ends, converged or not, when the ``move`` of its state is below
            this; None is no such rule.
        change_tolerance: Likewise for the ``change`` of its state.
    """

    tolerance: float = field(validator=number(above=0))
    max_steps: int = field(validator=whole(1))
    time_limit: float | None = field(default=None, validator=TIME_LIMIT)
    callback: Callback | None = None
    step_tolerance: float | None = None
    change_tolerance: float | None = None


def iterate(
    state: S,
    step: Callable[[S], S],
    stop: Stop,
    reached: Status = Status.STATIONARY,
    labels: IntArray | None = None,
) -> Solution:
    """Step ``state`` until every member has ended.

    Args:
        state: State of B members at the start.
        step: One iteration of all members of a state.
        stop: When to end.
        reached: Status of a member whose residual meets the tolerance.
        labels: What a callback is told as the member's index; None is its place in the batch.

    Returns:
        The solution of the flat batch; the gap is NaN, and so is the bound where the state of a
        member that ends has no ``bound``. What a state has ``told`` of a member becomes a note where it ends by itself.

    Raises:
        InvalidInput: For a state whose members cannot be told apart.
    """
    begin = time.perf_counter()
    if not is_batched(state):
        raise InvalidInput(
            "state", "must be a record whose arrays are fields made by isacsim.batch.rows", type(state).__name__,
            "Write precoder = rows(2), objective = rows() and so on: members that have ended leave it.",
        )  # fmt: skip
    members = np.arange(state.objective.size)
    labels = members if labels is None else labels
    traced, noted, ends = ("objective", "residual", *state.traced), [], []
    for count in range(stop.max_steps + 1):
        if count:
            state = step(state)
        elapsed = time.perf_counter() - begin
        noted.append((members, *(getattr(state, name) for name in traced), elapsed))
        rules = _rules(stop, Progress(count, labels[members], state, elapsed))
        own_end = ~np.isfinite(state.objective), state.residual <= stop.tolerance, np.asarray(state.stalled)
        how = np.select(own_end, (BROKEN, MET, STALLED), GOING)
        ended = np.logical_or.reduce([how != GOING, *rules.values()])
        if not np.count_nonzero(ended):
            continue
        own = {note: rule[ended] for note, rule in rules.items()}
        # Of the members that end only: some states have work to do for their decision.
        ends.append((_ended(take(state, ended), count, how[ended], own, reached), members[ended]))
        if ended.all():
            break
        state, members = take(state, ~ended), members[~ended]
    solution = gathered(ends, time.perf_counter() - begin)
    return replaced(solution, trace=_tables(noted, (*traced, "time"), solution.status.size))


def decided(state: Any) -> Mapping[str, AnyArray]:
    """The arrays of a state's decision by name: its ``decision``, or its precoder alone."""
    return state.decision if hasattr(state, "decision") else {"precoder": state.precoder}


def _rules(stop: Stop, now: Progress) -> dict[str, BoolArray]:
    """Which members end without having converged, by the note on them, of which the first counts; none of steps."""
    rules, every = {}, np.ones(now.members.size, bool)
    if stop.step_tolerance is not None and now.step:
        rules[f"stopped by a step shorter than {stop.step_tolerance:g}"] = now.state.move < stop.step_tolerance
    if stop.change_tolerance is not None and now.step:
        rules[f"stopped by changes below {stop.change_tolerance:g}"] = now.state.change < stop.change_tolerance
    if (why := interrupted(stop, now)) or now.step == stop.max_steps:
        rules[why] = every
    return rules


def interrupted(stop: Stop, now: Progress) -> str:
    """Why all members end here, as a note: what the callback says, which is told of steps, and the clock."""
    if now.step and stop.callback is not None and stop.callback(now):
        return "stopped by the callback"
    return "stopped by the time limit" if stop.time_limit is not None and now.time > stop.time_limit else ""


def _ended(state: Any, count: int, ends: IntArray, rules: dict[str, BoolArray], reached: Status) -> Solution:
    """What became of the members of a state, which all end; without their trace."""
    told = list(getattr(state, "told", [""] * ends.size))
    for i in np.flatnonzero(ends == GOING):
        told[i] = next(note for note, rule in rules.items() if rule[i])
    values = {name: getattr(state, name) for name in ("objective", "residual", "bound") if hasattr(state, name)}
    return concluded(ends.tolist(), np.full(ends.size, count), told, decided(state), values, reached)


def concluded(
    ends: Sequence[float],
    steps: IntArray,
    told: Sequence[str],
    decision: Mapping[str, AnyArray],
    values: Mapping[str, FloatArray],
    reached: Status = Status.STATIONARY,
    **rest: Any,
) -> Solution:
    """The solution of members that have ended, (B,).

    Args:
        ends: How each of them did, going on at a limit, for example.
        steps: After how many steps, (B,).
        told: A remark on each, which is empty or becomes a note; a member that is broken has its own.
        decision: Arrays by name.
        values: Objectives and residuals, and what else there is of a gap or a bound, (B,), by name.
        reached: Status of a member that has converged.
        **rest: Other fields, the trace for example.
    """
    if BROKEN in ends:
        broken = np.array(ends) == BROKEN
        decision, values = without(decision, broken), without(values, broken)
        lost = "the objective became infinite or NaN at step {}"
        told = [lost.format(n) if end == BROKEN else note for end, n, note in zip(ends, steps, told, strict=True)]
    status = Status.MAX_STEPS, reached, Status.STALLED, Status.FAILED
    nothing = np.full(len(ends), np.nan)
    fields: dict[str, Any] = {"gap": nothing, "bound": nothing, "least_power": nothing, **values, **rest}
    return Solution(
        decision=decision,
        iterations=steps,
        status=objects([status[int(end)] for end in ends]),
        notes=objects([(note,) if note else () for note in told]),
        **fields,
    )


def _tables(noted: list[tuple[Any, ...]], names: Sequence[str], size: int) -> dict[str, FloatArray]:
    """What was noted, each (size, steps + 1): NaN after a member's end.

    Args:
        noted: Members at each step, and their values by the names.
        names: The names.
        size: Number of members of the whole batch.
    """
    tables = {name: np.full((size, len(noted)), np.nan) for name in names}
    for count, (members, *values) in enumerate(noted):
        for name, value in zip(names, values, strict=True):
            tables[name][members, count] = value
    return tables
