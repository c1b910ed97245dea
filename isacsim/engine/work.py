"""What a worker does: draw, design, judge. Pure: a task in, an outcome out."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from traceback import format_exception
from typing import Any

import attrs
import numpy as np
from attrs import define, field, frozen

from isacsim.batch import flatten, read_only, take
from isacsim.drop import Drop
from isacsim.engine.identity import digest
from isacsim.engine.plan import Point, Task
from isacsim.engine.returned import checked
from isacsim.engine.scenario import Evaluation, Scenario
from isacsim.engine.subcarriers import solved
from isacsim.errors import origin
from isacsim.link import link_over
from isacsim.memory import peak_memory
from isacsim.metrics.power import radiating
from isacsim.plugin.isolation import Ending, cause, contained, told
from isacsim.plugin.surroundings import undisturbed
from isacsim.random import Generators, Stream, complex_normal, generator
from isacsim.solvers.solution import Status
from isacsim.typing import AnyArray, BoolArray, ComplexArray, FloatArray

# Scalars that are kept of each solve, in this order.
SCALARS = ("objective", "gap", "residual", "bound", "iterations", "status")
STATUSES = list(Status)


@frozen(eq=False)
class DesignRecord:
    """The solution of one design for one trial, as it is stored.

    Attributes:
        scalars: The `SCALARS`, shape (6,); the status is its code.
        decision: What was decided, by name; of a design of precoders ``precoder`` is among it.
        notes: The solver's remarks.
        solve_time: This trial's share of the time of its batch, in s.
        trace: The solver's trace by name, each (steps+1,), where the design keeps it; its
            ``time`` is that of the whole batch, in s.
        environment: Number of what it was computed with, as the ledger counts it.
    """

    scalars: FloatArray
    decision: dict[str, AnyArray]
    notes: tuple[str, ...]
    solve_time: float
    trace: dict[str, FloatArray] = field(factory=dict)
    environment: int = 0

    @property
    def precoder(self) -> ComplexArray:
        """W, shape (N_t, K+S), in sqrt(W)."""
        return self.decision["precoder"]

    @property
    def status(self) -> Status:
        """How the solve ended."""
        return STATUSES[int(self.scalars[SCALARS.index("status")])]


@frozen
class Entry:
    """Where a quantity of a point lies in its stored rows.

    Attributes:
        evaluation: Name of the evaluation.
        design: Name of the design judged.
        name: Name of the quantity.
        unit: Its unit.
        dims: Its axes.
        shape: Their lengths.
        labels: Their coordinates, where they have any.
        summary: What it is.
    """

    evaluation: str
    design: str
    name: str
    unit: str
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    labels: dict[str, list[Any]]
    summary: str

    @property
    def size(self) -> int:
        """Numbers it takes in a row."""
        return int(np.prod(self.shape, dtype=int))


@frozen
class Failure:
    """Why a trial, one of its designs or one measure of a design has no numbers at a point.

    Attributes:
        error: The exception: its type and what it says.
        type: Its type.
        file: The file it comes from, with the folder before it; empty if unknown.
        line: The line there.
        design: Name of the design; empty where the whole trial failed.
        evaluation: Name of the evaluation; empty where the design failed.
        measure: Names of the quantities that are missing; empty where all of the evaluation are.
        traceback: Where it was raised, call by call, as Python prints it.
        seed_key: Address of its randomness: the seed, the stream and the trial; empty if unknown.
        inputs: Digest of the realisation, and of the precoder that was measured; empty if there was none.
    """

    error: str
    type: str = ""
    file: str = ""
    line: int = 0
    design: str = ""
    evaluation: str = ""
    measure: str = ""
    traceback: str = ""
    seed_key: tuple[int, ...] = field(default=(), converter=tuple)
    inputs: str = ""

    @property
    def part(self) -> str:
        """What is missing, in words; empty for the whole trial."""
        told = [f"design {self.design}"] if self.design else []
        told += [f"in evaluate.{self.evaluation}"] if self.evaluation else []
        return " ".join(told + ([f"({self.measure})"] if self.measure else []))

    @property
    def place(self) -> str:
        """File and line; empty if unknown."""
        return f"{self.file}:{self.line}" if self.file else ""

    @classmethod
    def of(cls, error: BaseException, **part: Any) -> Failure:
        """What an exception says of a part of a trial, of which the fields ``part`` are known."""
        error = cause(error)
        text = "".join(format_exception(error)).encode(errors="backslashreplace").decode()
        file, line = origin(error)
        return cls(told(error), type(error).__name__, file, line, **part, traceback=text)


@frozen
class Cost:
    """What a task took in its worker.

    Attributes:
        seconds: Time, in s.
        busy: Of it the time of processors, in s.
        bytes: Of the numbers that came of it.
        memory: The most that the worker has held so far, in bytes; 0 where the system does not tell.
    """

    seconds: float = 0.0
    busy: float = 0.0
    bytes: int = 0
    memory: int = 0


OTHER_AXES = (
    "InvalidInput: a measure must have the same axes in all trials of a point, and has others here than in the first "
    "one. Fill up with NaN where a trial has fewer values."
)
Partial = tuple[tuple["Entry", ...], FloatArray]


@define
class Outcome:
    """What came of a task.

    Attributes:
        layouts: Entries of the rows of each point, by its id.
        rows: Values of a point and trial, (size,), by (id, trial).
        designs: Solutions that were computed, by (design id, trial).
        failures: What is missing of a trial and why, by (point id, trial).
        partial: Entries and values of what there is of a trial that is not whole, by (point id, trial).
        cost: What it took; nothing of it is kept.
    """

    layouts: dict[str, tuple[Entry, ...]] = field(factory=dict)
    rows: dict[tuple[str, int], FloatArray] = field(factory=dict)
    designs: dict[tuple[str, int], DesignRecord] = field(factory=dict)
    failures: dict[tuple[str, int], tuple[Failure, ...]] = field(factory=dict)
    partial: dict[tuple[str, int], Partial] = field(factory=dict)
    cost: Cost = Cost()

    @property
    def bytes(self) -> int:
        """Of its rows and its solutions."""
        solutions = (array for record in self.designs.values() for array in record.decision.values())
        traces = (array for record in self.designs.values() for array in record.trace.values())
        return sum(array.nbytes for array in chain(self.rows.values(), solutions, traces))

    def add(self, other: Outcome) -> None:
        """Take in the outcome of another part of the task, of trials behind or points beside these."""
        for point in [p for p, entries in other.layouts.items() if self.layouts.get(p, entries) != entries]:
            other.set_apart(point, self.layouts[point])
        for name in ("layouts", "rows", "designs", "partial", "failures"):
            getattr(self, name).update(getattr(other, name))

    def bring_back(self, key: tuple[str, int]) -> None:
        """Take a trial that was set apart for one that is whole after all."""
        self.rows[key] = self.partial.pop(key)[1]
        del self.failures[key]

    def set_apart(self, point: str, layout: tuple[Entry, ...]) -> None:
        """Take a point's rows, which have other axes than its layout, for partly done; no number of them is lost."""
        entries = self.layouts.pop(point)
        for key in [key for key in self.rows if key[0] == point]:
            self.partial[key] = entries, self.rows.pop(key)
            self.failures[key] = misfits(entries, layout)


def only_apart(failures: Iterable[Failure]) -> bool:
    """Whether nothing is missing of a trial, which has but other axes."""
    return all(failure.error == OTHER_AXES for failure in failures)


def misfits(entries: tuple[Entry, ...], layout: tuple[Entry, ...]) -> tuple[Failure, ...]:
    """What is to be said of entries that a point's layout has not, or has with other axes."""
    return tuple(
        Failure(OTHER_AXES, "InvalidInput", design=e.design, evaluation=e.evaluation, measure=e.name)
        for e in entries
        if e not in layout
    )


def fitting(part: Partial, layout: tuple[Entry, ...]) -> Partial:
    """What a layout has of entries and their numbers."""
    entries, row = part
    ends = np.cumsum([entry.size for entry in entries])
    places = [np.arange(end - e.size, end) for e, end in zip(entries, ends, strict=True) if e in layout]
    return tuple(e for e in entries if e in layout), row[np.concatenate([*places, np.zeros(0, int)])]


Known = dict[tuple[str, int], DesignRecord]
Clock = Callable[[], float]


def measured(
    task: Task, known: Known, clock: Clock = time.perf_counter, processor: Clock = time.process_time
) -> Outcome:
    """`work`, with what it took by a clock, and by that of the process."""
    begin, before = clock(), processor()
    outcome = work(task, known)
    outcome.cost = Cost(clock() - begin, processor() - before, outcome.bytes, peak_memory())
    return outcome


@contained()  # once for what is within, each of which has little to do beside it
@undisturbed()  # the driver may live in this process, and the next task will
def work(task: Task, known: Known) -> Outcome:
    """Compute a task; ``known`` are stored solutions that need no new solve.

    When a batch breaks, its parts are computed one by one, and of the trial at the point that
    breaks each design and each measure by itself: what fails is a row of one of them.
    """
    outcome = Outcome()
    with contextlib.suppress(Exception):  # a component can fail in any way, and the rest must go on
        _compute(task, known, outcome)
        return outcome
    whole = Outcome(designs=outcome.designs)  # what is solved is solved
    parts = halves(task)
    if not parts:
        whole.add(_piecemeal(task.points[0], task.trials, {**known, **whole.designs}))
    for part in parts:
        whole.add(work(part, {**known, **whole.designs}))
    return whole


def _piecemeal(point: Point, trials: tuple[int, ...], known: Known) -> Outcome:
    """What there is of one trial at one point, design by design and measure by measure, and why the rest is not."""
    scenario, outcome, key = point.scenario, Outcome(), (point.id, trials[0])
    try:
        drop = _drawn(scenario, trials)
    except Exception as error:
        return Outcome(failures={key: (Failure.of(error, seed_key=_seed_key(scenario, Stream.CHANNEL, trials)),)})
    failures, records, found = [], {}, []
    for name, address in point.design_ids.items():
        try:
            records[name] = _design(scenario, name, address, drop, trials, known, outcome)
        except Exception as error:
            where = {"seed_key": _seed_key(scenario, Stream.SOLVER, trials), "inputs": _inputs(drop)}
            failures.append(Failure.of(error, design=name, **where))
    for label, evaluation in scenario.evaluate.items():
        for name in evaluation.designs or tuple(scenario.design):
            if name in records:
                there, missing = _measured(scenario, label, name, records[name], drop, trials)
                found += there
                failures += missing
    entries = tuple(entry for entry, _ in found)
    row = np.concatenate([values.ravel() for _, values in found]) if found else np.zeros(0)
    if failures:
        outcome.failures[key] = tuple(failures)
        if found:
            outcome.partial[key] = entries, row
    else:  # it broke in company only
        outcome.layouts[point.id], outcome.rows[key] = entries, row
    return outcome


def _measured(
    scenario: Scenario, label: str, name: str, records: list[DesignRecord], drop: Drop, trials: tuple[int, ...]
) -> tuple[list[tuple[Entry, FloatArray]], list[Failure]]:
    """What measures there are of an evaluation of one design, and why the others are not."""
    whole: Evaluation = scenario.evaluate[label]
    found, missing = [], []
    for table in ("metrics", "experiments"):
        for measure in getattr(whole, table):
            alone: dict[str, Any] = {"metrics": (), "experiments": (), table: (measure,)}
            one = attrs.evolve(whole, **alone)
            try:
                found += _evaluate(scenario, label, one, name, records, drop, trials)
            except Exception as error:
                lost = ", ".join(q.name for q in measure.quantities)
                where = {"seed_key": _seed_key(scenario, Stream.WAVEFORM, trials), "inputs": _inputs(drop, records)}
                missing.append(Failure.of(error, design=name, evaluation=label, measure=lost, **where))
    if not found and len({failure.error for failure in missing}) == 1:  # as of a power that cannot be radiated
        missing = [attrs.evolve(missing[0], measure="")]
    return found, missing


def _seed_key(scenario: Scenario, stream: Stream, trials: tuple[int, ...]) -> tuple[int, ...]:
    return scenario.seed, int(stream), trials[0]


def _inputs(drop: Drop, records: Sequence[DesignRecord] = ()) -> str:
    """Digest of a realisation and of what was decided for it; none of what has no address."""
    try:
        return digest([drop, [record.decision for record in records]])
    except TypeError:
        return ""


def halves(task: Task) -> list[Task]:
    """The two halves of a task, by its trials if it can be; none of a single trial at a point."""
    for name in ("trials", "points"):
        whole = getattr(task, name)
        if len(whole) > 1:
            middle = len(whole) // 2
            return [attrs.evolve(task, **{name: part}) for part in (whole[:middle], whole[middle:])]
    return []


def attempt(task: Task) -> Outcome:
    """`work` that lets an exception through, with its traceback: for who looks for what raises."""
    outcome = Outcome()
    try:
        _compute(task, {}, outcome)
    except Ending as error:  # the exception as the component raised it
        raise cause(error) from None
    return outcome


def _compute(task: Task, known: Known, outcome: Outcome) -> None:
    drops: dict[str, Drop] = {}
    designs: dict[str, list[DesignRecord]] = {}
    broken: Exception | None = None
    for point in task.points:
        s = point.scenario
        if point.drop_id not in drops:
            drops[point.drop_id] = _drawn(s, task.trials)
        drop = drops[point.drop_id]
        for name, address in point.design_ids.items():
            if address not in designs:
                try:
                    designs[address] = _design(s, name, address, drop, task.trials, known, outcome)
                except Exception as error:  # the others are solved as one batch all the same
                    broken = broken or error
        if broken is None:
            _judge(point, drop, task.trials, designs, outcome)
    if broken is not None:
        raise broken


@contained()
def _drawn(scenario: Scenario, trials: tuple[int, ...]) -> Drop:
    return read_only(flatten(scenario.drop(trials), (len(trials),)))


@contained()
def _design(
    scenario: Scenario, name: str, address: str, drop: Drop, trials: tuple[int, ...], known: Known, outcome: Outcome
) -> list[DesignRecord]:
    """The solutions of one design for the trials: the known ones, and the others solved."""
    missing = np.array([(address, trial) not in known for trial in trials])
    if missing.any():
        design = scenario.design[name]
        numbers = [t for t, lacks in zip(trials, missing, strict=True) if lacks]
        errors = [generator(scenario.seed, Stream.ESTIMATE, t) for t in numbers]
        believed = _believed(_some(drop, missing), design.channel_error, errors)
        rngs = [generator(scenario.seed, Stream.SOLVER, t) for t in numbers]
        solution = solved(design, believed, scenario.transceiver(design.hardware), rngs)
        scalars = np.stack([_scalar(solution, field) for field in SCALARS], axis=-1)
        share = solution.runtime / len(numbers)
        for i, trial in enumerate(numbers):
            trace = _steps(solution.trace, i) if design.trace else {}
            decision = {key: array[i] for key, array in solution.decision.items()}
            record = DesignRecord(scalars[i], decision, tuple(solution.notes[i]), share, trace)
            outcome.designs[address, trial] = record
    return [known.get((address, trial)) or outcome.designs[address, trial] for trial in trials]


def _believed(drop: Drop, error: float, rngs: Sequence[np.random.Generator]) -> Drop:
    """The drop with the channels that a designer knows: H and an error of variance ``error`` in each entry."""
    if not error:
        return drop
    E = np.stack([complex_normal(rng, drop.H.shape[1:]) for rng in rngs])
    return attrs.evolve(drop, H=drop.H + np.sqrt(error) * E)


def _steps(trace: dict[str, FloatArray], member: int) -> dict[str, FloatArray]:
    """The trace of one member, up to its last step."""
    steps = np.flatnonzero(~np.isnan(trace["time"][member]))
    return {name: values[member, : steps[-1] + 1 if steps.size else 0] for name, values in trace.items()}


def _some(drop: Drop, chosen: BoolArray) -> Drop:
    chosen_ones = take(drop, chosen)
    return drop if chosen_ones is drop else read_only(chosen_ones)  # which it is already where all are chosen


def _scalar(solution: Any, name: str) -> FloatArray:
    if name == "status":
        return np.array([status.code for status in solution.status], float)
    return np.asarray(getattr(solution, name), float)


def _judge(
    point: Point, drop: Drop, trials: tuple[int, ...], designs: dict[str, list[DesignRecord]], outcome: Outcome
) -> None:
    """Rows of one point: every evaluation of every design, behind one another."""
    scenario, entries, columns = point.scenario, [], []
    for label, evaluation in scenario.evaluate.items():
        for name in evaluation.designs or tuple(scenario.design):
            records = designs[point.design_ids[name]]
            for entry, values in _evaluate(scenario, label, evaluation, name, records, drop, trials):
                entries.append(entry)
                columns.append(values.reshape(len(trials), -1))
    outcome.layouts[point.id] = tuple(entries)
    for trial, row in zip(trials, np.concatenate(columns, axis=1), strict=True):
        outcome.rows[point.id, trial] = row


@contained()
@np.errstate(all="ignore")  # what is beyond the range of numbers is told by the values
def _evaluate(
    scenario: Scenario,
    label: str,
    evaluation: Evaluation,
    name: str,
    records: list[DesignRecord],
    drop: Drop,
    trials: tuple[int, ...],
) -> list[tuple[Entry, FloatArray]]:
    """Entries and values of one evaluation of one design; NaN where there is no precoder."""
    answered = np.array([record.status.answered for record in records])
    hardware = scenario.transceiver(evaluation.hardware)
    measures = (*evaluation.metrics, *evaluation.experiments)
    # Shapes come from the members that have a precoder; without any, from a stand-in.
    chosen = answered if answered.any() else np.ones_like(answered)
    W = np.stack([r.precoder for r, ok in zip(records, chosen, strict=True) if ok])
    W = W if answered.any() else np.full_like(W, 1.0)
    W.flags.writeable = False  # the next measure is to find it as it was
    here = _some(drop, chosen)
    link, found = link_over(W, here, hardware), []
    if evaluation.power != "designed":
        link = radiating(link, here.power, per_antenna=evaluation.power == "per-antenna")
    numbers = tuple(t for t, ok in zip(trials, chosen, strict=True) if ok)
    for measure in measures:
        rngs = Generators(scenario.seed, Stream.WAVEFORM, numbers)
        for q, values, names in checked(measure, measure.measure(link, rngs), measure.labels(here), len(W)):
            shape = values.shape[1:]
            whole = np.full((len(trials), *shape), np.nan)
            whole[answered] = values if answered.any() else np.nan
            found.append((Entry(label, name, q.name, q.unit, q.dims, shape, names, q.summary), whole))
    return found
