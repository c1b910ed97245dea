"""The one driver of iterations: it alone owns stopping, trace, time and finished members.

A solver contributes a state and a pure step. The state is a record of arrays with one
leading batch axis, which carries its own objective and residual, so that nothing is
evaluated twice; a member that has ended leaves the batch.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Protocol, TypeVar

import numpy as np
from attrs import field, frozen

from isacsim.batch import is_batched, take
from isacsim.checks import number, whole
from isacsim.errors import InvalidInput
from isacsim.solvers.solution import Solution, Status, objects
from isacsim.typing import AnyArray, BoolArray, ComplexArray, FloatArray, IntArray


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
    book = _Book(state)
    members = np.arange(state.objective.size)
    labels = members if labels is None else labels
    for count in range(stop.max_steps + 1):
        if count:
            state = step(state)
        elapsed = time.perf_counter() - begin
        book.note(members, state, elapsed)
        limit = _limit(stop, count, labels, members, state, elapsed)
        broken, met = ~np.isfinite(state.objective), state.residual <= stop.tolerance
        ended, rules = broken | met | state.stalled, _rules(stop, count, state)
        if limit is not None:
            ended[:] = True
        for rule in rules.values():
            ended |= rule
        if not np.count_nonzero(ended):
            continue
        final = state if ended.all() else take(state, ended)
        decision = decided(final)  # of the members that end only: some states have work to do for it
        book.bound[members[ended]] = getattr(final, "bound", np.nan)
        told = getattr(final, "told", None)
        for place, i in enumerate(np.flatnonzero(ended)):
            if broken[i]:
                book.close(members[i], Status.FAILED, count, f"the objective became infinite or NaN at step {count}")
            elif met[i] or state.stalled[i]:
                note = "" if told is None else told[place]
                book.close(members[i], reached if met[i] else Status.STALLED, count, note, place, decision)
            else:
                note = next((note for note, rule in rules.items() if rule[i]), limit)
                book.close(members[i], Status.MAX_STEPS, count, note, place, decision)
        if ended.all():
            break
        state, members = take(state, ~ended), members[~ended]
    return book.solution(time.perf_counter() - begin)


def decided(state: Any) -> Mapping[str, AnyArray]:
    """The arrays of a state's decision by name: its ``decision``, or its precoder alone."""
    return state.decision if hasattr(state, "decision") else {"precoder": state.precoder}


def _limit(stop: Stop, count: int, labels: IntArray, members: IntArray, state: Any, elapsed: float) -> str | None:
    """What limit all members have met, as a note on them, empty for that of steps; None if none."""
    limit = "" if count == stop.max_steps else None
    if stop.time_limit is not None and elapsed > stop.time_limit:
        limit = "stopped by the time limit"
    if count and stop.callback is not None and stop.callback(Progress(count, labels[members], state, elapsed)):
        limit = "stopped by the callback"
    return limit


def _rules(stop: Stop, count: int, state: Any) -> dict[str, BoolArray]:
    """Which members meet a rule that is no convergence, by the note on them."""
    rules = {}
    if stop.step_tolerance is not None and count:
        rules[f"stopped by a step shorter than {stop.step_tolerance:g}"] = np.asarray(state.move < stop.step_tolerance)
    if stop.change_tolerance is not None and count:
        rules[f"stopped by changes below {stop.change_tolerance:g}"] = np.asarray(state.change < stop.change_tolerance)
    return rules


class _Book:
    """Keeps the record of each member of the whole batch."""

    def __init__(self, state: State) -> None:
        size = state.objective.size
        self.decision = {
            name: np.full((size, *x.shape[1:]), np.nan, np.result_type(x, float)) for name, x in decided(state).items()
        }
        self.status = objects([Status.FAILED] * size)
        self.notes = objects([()] * size)
        self.iterations = np.zeros(size, int)
        self.bound = np.full(size, np.nan)
        self.members: list[IntArray] = []  # of each row
        self.rows: dict[str, list[Any]] = {n: [] for n in ("objective", "residual", *state.traced, "time")}

    def note(self, members: IntArray, state: Any, elapsed: float) -> None:
        self.members.append(members)
        for name, rows in self.rows.items():
            rows.append(elapsed if name == "time" else getattr(state, name))

    def close(
        self,
        member: int,
        status: Status,
        count: int,
        note: str | None,
        place: int = 0,
        decision: Mapping[str, AnyArray] | None = None,
    ) -> None:
        """Note how a member ended, with its decision at a place of those of several; NaN without one."""
        self.status[member], self.iterations[member] = status, count
        for name in decision or {}:
            self.decision[name][member] = (decision or {})[name][place]
        self.notes[member] = (note,) if note else ()

    def _tables(self) -> dict[str, FloatArray]:
        """What was noted, each (members, steps + 1): NaN after a member's end."""
        counts = [members.size for members in self.members]
        places = np.concatenate(self.members), np.repeat(np.arange(len(counts)), counts)
        tables = {}
        for name, rows in self.rows.items():
            tables[name] = np.full((self.status.size, len(counts)), np.nan)
            tables[name][places] = np.repeat(rows, counts) if name == "time" else np.concatenate(rows)
        return tables

    def solution(self, runtime: float) -> Solution:
        trace = self._tables()
        last = (np.arange(self.status.size), self.iterations)
        answered = np.array([s.answered for s in self.status], bool)
        nothing = np.full(self.status.size, np.nan)
        return Solution(
            decision=self.decision,
            objective=np.where(answered, trace["objective"][last], np.nan),
            gap=nothing,
            residual=np.where(answered, trace["residual"][last], np.nan),
            iterations=self.iterations,
            status=self.status,
            bound=self.bound,
            notes=self.notes,
            runtime=runtime,
            trace=trace,
        )
