"""What a worker does: draw, design, judge. Pure: a task in, an outcome out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np
from attrs import define, field, frozen

from isacsim.batch import flatten, take
from isacsim.drop import Drop
from isacsim.engine.plan import Point, Task
from isacsim.engine.scenario import Evaluation, Scenario
from isacsim.link import Link
from isacsim.metrics.power import rescale_to_radiated
from isacsim.random import Generators, Stream, complex_normal, generator
from isacsim.solvers.solution import Status
from isacsim.solvers.solve import solve
from isacsim.typing import AnyArray, BoolArray, ComplexArray, FloatArray

# Scalars that are kept of each solve, in this order.
SCALARS = ("objective", "gap", "residual", "bound", "iterations", "status")


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
        return list(Status)[int(self.scalars[SCALARS.index("status")])]


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


@define
class Outcome:
    """What came of a task.

    Attributes:
        layouts: Entries of the rows of each point, by its id.
        rows: Values of a point and trial, (size,), by (id, trial).
        designs: Solutions that were computed, by (design id, trial).
        failures: Error texts, by (point id, trial).
    """

    layouts: dict[str, tuple[Entry, ...]] = field(factory=dict)
    rows: dict[tuple[str, int], FloatArray] = field(factory=dict)
    designs: dict[tuple[str, int], DesignRecord] = field(factory=dict)
    failures: dict[tuple[str, int], str] = field(factory=dict)

    def add(self, other: Outcome) -> None:
        """Take in the outcome of another part of the task."""
        for name in ("layouts", "rows", "designs", "failures"):
            getattr(self, name).update(getattr(other, name))


Known = dict[tuple[str, int], DesignRecord]


def work(task: Task, known: Known) -> Outcome:
    """Compute a task; ``known`` are stored solutions that need no new solve.

    When a batch breaks, its parts are computed one by one, so that what fails is one
    trial at one point, with its error.
    """
    outcome = Outcome()
    try:
        _compute(task, known, outcome)
    except Exception as error:  # a component can fail in any way, and the rest must go on
        parts = halves(task)
        if not parts:
            (point,), (trial,) = task.points, task.trials
            return Outcome(failures={(point.id, trial): f"{type(error).__name__}: {error}"})
        outcome = Outcome()
        for part in parts:
            outcome.add(work(part, {**known, **outcome.designs}))
    return outcome


def halves(task: Task) -> list[Task]:
    """The two halves of a task, by its trials if it can be; none of a single trial at a point."""
    for name in ("trials", "points"):
        whole = getattr(task, name)
        if len(whole) > 1:
            middle = len(whole) // 2
            return [attrs.evolve(task, **{name: part}) for part in (whole[:middle], whole[middle:])]
    return []


def _compute(task: Task, known: Known, outcome: Outcome) -> None:
    drops: dict[str, Drop] = {}
    designs: dict[str, list[DesignRecord]] = {}
    for point in task.points:
        s = point.scenario
        if point.drop_id not in drops:
            drops[point.drop_id] = flatten(s.drop(task.trials), (len(task.trials),))
        drop = drops[point.drop_id]
        for name, address in point.design_ids.items():
            if address not in designs:
                designs[address] = _design(s, name, address, drop, task.trials, known, outcome)
        _judge(point, drop, task.trials, designs, outcome)


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
        problem = design.problem.pose(believed, scenario.transceiver(design.hardware))
        solution = solve(problem, design.solver, rng=[generator(scenario.seed, Stream.SOLVER, t) for t in numbers])
        scalars = np.stack([_scalar(solution, field) for field in SCALARS], axis=-1)
        share = solution.runtime / len(numbers)
        for i, trial in enumerate(numbers):
            trace = _steps(solution.trace, i) if design.trace else {}
            decision = {"precoder": solution.precoder[i]}
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
    return drop if chosen.all() else take(drop, chosen)


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
    here = _some(drop, chosen)
    if evaluation.power == "radiated":
        W = rescale_to_radiated(W, hardware.transmit, here.power)
    numbers = tuple(t for t, ok in zip(trials, chosen, strict=True) if ok)
    link, found = Link(W, here, hardware), []
    for measure in measures:
        rngs = Generators(scenario.seed, Stream.WAVEFORM, numbers)
        values, labels = measure.measure(link, rngs), measure.labels(here)
        for q in measure.quantities:
            whole = np.full((len(trials), *values[q.name].shape[1:]), np.nan)
            whole[answered] = values[q.name] if answered.any() else np.nan
            told = {dim: list(labels[dim]) for dim in q.dims if dim in labels}
            shape = whole.shape[1:]
            found.append((Entry(label, name, q.name, q.unit, q.dims, shape, told, q.summary), whole))
    return found
