"""One trial at one point of a run, computed again in this process and compared with what the ledger has of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any, Literal

import attrs
import numpy as np
from attrs import frozen
from threadpoolctl import threadpool_limits

from isacsim.engine.code import Code
from isacsim.engine.plan import Point, Task
from isacsim.engine.provenance import differences
from isacsim.engine.rebuilt import point_of, rebuilt
from isacsim.engine.scenario import Scenario
from isacsim.engine.store import Store
from isacsim.engine.work import DesignRecord, Entry, Failure, Outcome, attempt, fitting, work
from isacsim.errors import InvalidInput, StoreError, one_of
from isacsim.plugin import Registry
from isacsim.typing import FloatArray

Stored = Literal["done", "partly done", "failed", "nothing"]
Debugger = Callable[[TracebackType | None], Any]


@frozen(eq=False)
class Values:
    """The numbers of a trial, and where each lies among them."""

    entries: tuple[Entry, ...] = ()
    row: FloatArray = attrs.field(factory=lambda: np.zeros(0))

    def __iter__(self) -> Iterator[tuple[Entry, FloatArray]]:
        start = 0
        for entry in self.entries:
            yield entry, self.row[start : start + entry.size].reshape(entry.shape)
            start += entry.size


@frozen(eq=False)
class Replay:
    """What a trial at a point gave when it was run again, and how that differs from what is stored of it.

    Attributes:
        coords: Value of each axis of the sweep.
        trial: The trial.
        values: Each entry with its numbers.
        solutions: The solution of each design that has one.
        failures: What is missing, and why.
        stored: What the ledger has of the trial.
        differences: Where they differ, a sentence each; times are not compared.
        code: Where today's code is another than that of what is stored, as ``what: was -> is``.
    """

    coords: dict[str, Any]
    trial: int
    values: tuple[tuple[Entry, FloatArray], ...]
    solutions: dict[str, DesignRecord]
    failures: tuple[Failure, ...]
    stored: Stored
    differences: tuple[str, ...]
    code: tuple[str, ...]

    @property
    def same(self) -> bool:
        """Whether the ledger has something of the trial, and all of it came again with the same bytes."""
        return self.stored != "nothing" and not self.differences

    @property
    def verdict(self) -> str:
        """The comparison, in words."""
        if self.stored == "nothing":
            return "nothing"
        return f"{self.stored}; {'; '.join(self.differences) or 'the same bytes'}"


def replay(
    store: Store,
    point: Mapping[str, Any],
    trial: int,
    registry: Registry,
    *,
    scenario: Scenario | None = None,
    debug: Debugger | None = None,
) -> Replay:
    """Run one trial at one point again; see `isacsim.Run.replay`."""
    told = _chosen(store, point)
    _require_trial(trial, store.need("trials"))
    here = scenario or rebuilt(store.need("provenance")["scenario"], registry)
    again = point_of(here, told["coords"], registry)
    number = _environment_of(store, told, trial)
    code = tuple(_other_code(store, again, registry, number))
    if again.id != told["id"] and not code:
        raise StoreError(
            f"run: the scenario is not that of {store.folder} at {told['coords']}: its results have another address. "
            "Give the scenario that was run."
        )
    with threadpool_limits(1):  # as in a worker: a BLAS may sum in another order with more
        task = Task((again,), (trial,))
        if debug is not None:
            _debugged(task, debug)
        outcome = work(task, {})
    values, solutions, failures = _parts(outcome, again, trial, store.layout(told["id"]))
    before = _stored(store, told, trial)
    changes = () if before[0] == "nothing" else tuple(_changes(before, (values, solutions, failures)))
    return Replay(told["coords"], trial, tuple(values), solutions, failures, before[0], changes, code)


def _debugged(task: Task, debug: Debugger) -> None:
    """Show a debugger the first exception of a task."""
    try:
        attempt(task)
    except Exception as error:
        debug(error.__traceback__)
    except KeyboardInterrupt as error:  # of who has waited long enough, and wants to know where it hangs
        debug(error.__traceback__)
        raise


def _chosen(store: Store, point: Mapping[str, Any]) -> dict[str, Any]:
    """The one point of a run that has these coordinates."""
    axes: dict[str, list[Any]] = store.need("axes")
    for axis, value in point.items():
        if axis not in axes:
            raise InvalidInput("point", "must name axes of the sweep", axis, one_of(axes, axis))
        if value not in axes[axis]:
            raise InvalidInput("point", f"must have a value of the axis {axis!r}", value, one_of(map(str, axes[axis])))
    found = [p for p in store.need("points") if all(p["coords"][axis] == value for axis, value in point.items())]
    if len({p["id"] for p in found}) > 1:
        missing = [axis for axis in axes if axis not in point]
        example = " and ".join(f"{axis}={axes[axis][0]}" for axis in missing)
        remedy = f"Give {', '.join(missing)} as well, {example} for example."
        raise InvalidInput("point", f"must be one of {len(found)} points", dict(point) or "none of them", remedy)
    chosen: dict[str, Any] = found[0]
    return chosen


def _require_trial(trial: Any, trials: int) -> None:
    if isinstance(trial, bool) or not isinstance(trial, int) or not 0 <= trial < trials:
        raise InvalidInput(
            "trial", f"must be a whole number from 0 to {trials - 1}", trial, "Choose a trial of the run."
        )


def _environment_of(store: Store, told: dict[str, Any], trial: int) -> int | None:
    """Number of the environment that the numbers of a trial come from; the last one where it has none."""
    row = store.row(told["id"], trial)
    return row[1] if row else max(store.environments(), default=None)


def _other_code(store: Store, point: Point, registry: Registry, number: int | None) -> Iterator[str]:
    before = {} if number is None else store.environments().get(number, {})
    s = point.scenario
    used = [s.base_station, s.users, s.targets, s.hardware, s.design, s.evaluate, s.background]
    yield from differences(before, Code.of(registry, used).environment)


def _parts(
    outcome: Outcome, point: Point, trial: int, layout: tuple[Entry, ...]
) -> tuple[Values, dict[str, DesignRecord], tuple[Failure, ...]]:
    """Numbers, solutions and failures of the one trial of an outcome, as a ledger would keep them."""
    key = point.id, trial
    solved = {name: outcome.designs.get((address, trial)) for name, address in point.design_ids.items()}
    if key in outcome.rows and outcome.layouts[point.id] != (layout or outcome.layouts[point.id]):
        outcome.set_apart(point.id, layout)
    if key in outcome.rows:
        values = Values(outcome.layouts[point.id], outcome.rows[key])
    else:
        part = outcome.partial.get(key)
        values = Values(*(fitting(part, layout) if part and layout else part or ()))
    return values, {n: r for n, r in solved.items() if r is not None}, outcome.failures.get(key, ())


def _stored(
    store: Store, told: dict[str, Any], trial: int
) -> tuple[Stored, Values, dict[str, DesignRecord], tuple[Failure, ...]]:
    """What the ledger has of a trial."""
    known = {name: store.designs(address, [trial]) for name, address in told["design_ids"].items()}
    solutions = {name: record for name, found in known.items() for record in found.values()}
    row, failures = store.row(told["id"], trial), store.failures(told["id"]).get(trial, ())
    partial = store.partial(told["id"]).get(trial)
    if row is not None:
        return "done", Values(store.layout(told["id"]), row[0]), solutions, ()
    if partial is not None:
        return "partly done", Values(*partial), solutions, failures
    return ("failed" if failures else "nothing"), Values(), solutions, failures


def _changes(
    before: tuple[Stored, Values, dict[str, DesignRecord], tuple[Failure, ...]],
    now: tuple[Values, dict[str, DesignRecord], tuple[Failure, ...]],
) -> Iterator[str]:
    """Where what is stored and what came again differ."""
    _, values, solutions, failures = before
    yield from _compared(_solved(solutions), _solved(now[1]))
    yield from _compared(_measured(values), _measured(now[0]))
    was, here = ({failure.part: failure for failure in of} for of in (failures, now[2]))
    for part in was.keys() - here.keys():
        yield f"{part or 'the trial'} failed then ({was[part].error}) and does not now"
    for part in here.keys() - was.keys():
        yield f"{part or 'the trial'} fails now ({here[part].error}) and did not then"
    for part in was.keys() & here.keys():
        old, new = was[part], here[part]
        if (old.type, old.error) != (new.type, new.error):
            yield f"{part or 'the trial'} failed otherwise then: {old.error}"
        if old.inputs and new.inputs and old.inputs != new.inputs:
            yield f"{part or 'the trial'} had other inputs then"


def _solved(solutions: dict[str, DesignRecord]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, record in solutions.items():
        found |= {f"{key} of design {name}": array for key, array in record.decision.items()}
        found |= {f"trace {key} of design {name}": a for key, a in record.trace.items() if key != "time"}
        found[f"solver's scalars of design {name}"] = record.scalars
    return found


def _measured(values: Iterable[tuple[Entry, FloatArray]]) -> dict[str, Any]:
    return {f"{entry.name} of design {entry.design} in evaluate.{entry.evaluation}": array for entry, array in values}


def _compared(was: dict[str, Any], now: dict[str, Any]) -> Iterator[str]:
    """Where arrays under the same name have other bytes; what only one side has is told by failures."""
    for name in (name for name in was if name in now):
        old, new = np.asarray(was[name]), np.asarray(now[name])
        if old.shape != new.shape:
            yield f"{name} has the shape {new.shape}, and had {old.shape}"
        elif old.tobytes() != new.tobytes():
            both = np.isfinite(old) & np.isfinite(new)
            scale = np.abs(old[both]).max(initial=0.0)
            gap = np.abs(new[both] - old[both]).max(initial=0.0) / scale if scale else np.inf
            yield f"{name} differs by {gap:.2g} of its largest entry" if both.all() else f"{name} differs in its holes"
