"""The labelled view of a run: sweep axes x evaluation x design x trial."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import frozen

from isacsim.engine.coordinates import OwnAxes
from isacsim.engine.store import Solves, Store, Table
from isacsim.engine.views import AXES, COUNT, ROWS_FROM, SOLVES, SOLVES_FROM, STEP, TRACE
from isacsim.engine.work import SCALARS, Entry
from isacsim.errors import InvalidInput, one_of
from isacsim.solvers.solution import Status
from isacsim.typing import AnyArray, ComplexArray, FloatArray, IntArray

if TYPE_CHECKING:
    import xarray

Place = tuple[int, ...]
BUNCH = 512  # trials: enough that a call of NumPy is for many, and so few that they stay in the caches
Layout = tuple[Entry, ...]
STATUS = {"units": "1", "long_name": f"how the solve ended, one of {', '.join(map(str, Status))}; empty without one"}
COUNTED = "trials that are done of the point, which has no more where it is as precise as was asked"
FROM = {"units": "1", "long_name": "place among the environments of the run; -1 where there is no number"}


def build_dataset(store: Store, part: Part | None = None) -> xarray.Dataset:
    """All numbers of a run, or of a part of it, with their dimensions, units and provenance.

    Raises:
        StoreError: If the ledger is damaged, or lacks a design of a trial that is done.
    """
    import pandas

    from isacsim.engine.results import Results

    frame = Frame.of(store, part or Part())
    layouts, partial = store.layouts(), list(store.partials())
    own = OwnAxes()
    for entries in {id(e): e for e in (*layouts.values(), *(entries for _, _, (entries, _) in partial))}.values():
        for entry in entries:
            own.add(entry)
    variables: dict[str, Any] = {}
    for entries, tables in _alike(frame.tables(store), layouts):
        size = sum(entry.size for entry in entries)
        rows = [store.fitting(table, size) for table in tables]
        points, trials = frame.came(tables)
        copies = [rows[i] for i, table in enumerate(tables) for _ in frame.places.get(table.point, ())]
        _fill(frame, own, variables, points, trials, entries, copies)
    for point, trial, (entries, row) in partial:
        at = np.array(frame.places.get(point, ()) if trial in frame.span else (), int)
        _fill(frame, own, variables, at, np.full(at.shape, trial - frame.first), entries, [row[None]] * at.size)
    variables.update(_solves(store, frame))
    if store.meta("stops") is not None:
        variables[COUNT] = (tuple(frame.axes), (frame.origins >= 0).sum(axis=-1), {"units": "1", "long_name": COUNTED})
    environments = store.environments()
    if len(environments) > 1:
        variables[ROWS_FROM] = ((*frame.axes, "trial"), frame.origins, FROM)
    else:
        variables.pop(SOLVES_FROM)
    numbers = pandas.RangeIndex(frame.first, frame.span.stop)  # which takes no memory
    along = {"evaluate": frame.evaluations, "design": frame.designs, "trial": numbers}
    labels, given = {**frame.axes, **along, **own.coordinates()}, store.need("axis_labels")
    coords = {name: (name, values, _axis_attributes(name, given)) for name, values in labels.items()}
    index = " ".join([*frame.axes, "evaluate", "design", "trial"])
    provenance = {key: _text(value) for key, value in store.need("provenance").items()}
    made = {"ledger_format": store.format, "environments": _text(list(environments.values()))}
    attributes = {"index_dims": index, **made, **provenance}
    return Results(variables, coords, attributes)


def _axis_attributes(name: str, told: dict[str, str]) -> dict[str, str]:
    """Unit and name of an axis, where they are known."""
    if name in told:
        words, _, unit = told[name].rstrip(")").rpartition(" (")
        return {"units": unit if words else "1", "long_name": words or told[name]}
    if name not in AXES:
        return {}
    unit, words = AXES[name]
    return {"units": unit, "long_name": words}


@frozen
class Part:
    """What is read of a run.

    Attributes:
        coords: A value of an axis of the sweep, or several, by its name; of other axes all.
        trials: Which trials, in one piece; None is all.
    """

    coords: Mapping[str, Any] = {}
    trials: range | None = None

    def axes(self, axes: dict[str, list[Any]]) -> dict[str, list[Any]]:
        """What there is of the axes, in their order.

        Raises:
            InvalidInput: If there is no such axis or value.
        """
        found = dict(axes)
        for name, chosen in self.coords.items():
            if name not in axes:
                raise InvalidInput("coords", "must name axes of the sweep", name, one_of(axes, name))
            values = list(chosen) if isinstance(chosen, (list, tuple, np.ndarray)) else [chosen]
            for value in values:
                if value not in axes[name]:
                    known = one_of(map(str, axes[name]))
                    raise InvalidInput("coords", f"must have values of the axis {name!r}", value, known)
            found[name] = [value for value in axes[name] if value in values]
        return found

    def span(self, trials: int) -> range:
        """The trials, of so many.

        Raises:
            InvalidInput: If they are in no one piece.
        """
        if self.trials is None:
            return range(trials)
        if self.trials.step != 1 or self.trials.start < 0:
            raise InvalidInput("trials", "must be a range of step 1", self.trials, "Take each of them by `sel`.")
        return range(min(self.trials.start, trials), min(self.trials.stop, trials))


@frozen(eq=False)
class Frame:
    """The axes that all quantities have in common, and where points and designs lie along them.

    Attributes:
        axes: Values of each axis of the sweep.
        evaluations: Names of the evaluations.
        designs: Names of the designs.
        span: The trials.
        places: Which points of the sweep, the last axis running fastest, have an id.
        solved: Place along the axes of the sweep, and the number of the design, for each address of a design.
        origins: The environment that each row comes from, -1 where there is none, ``(*sweep, trials)``.
        limits: Where the trials of each point end, ``(*sweep,)``.
        whole: Whether it has all points.
    """

    axes: dict[str, list[Any]]
    evaluations: list[str]
    designs: list[str]
    span: range
    places: dict[str, list[int]]
    solved: dict[str, list[Place]]
    origins: IntArray
    limits: IntArray
    whole: bool

    @classmethod
    def of(cls, store: Store, part: Part) -> Frame:
        """The frame of a part of a run."""
        all_axes: dict[str, list[Any]] = store.need("axes")
        designs: list[str] = store.need("designs")
        axes, trials, stops = part.axes(all_axes), store.need("trials"), store.stops()
        lead = tuple(len(values) for values in axes.values())
        places: dict[str, list[int]] = {}
        solved: dict[str, list[Place]] = {}
        limits = np.full(lead, trials)
        points = [p for p in store.need("points") if all(p["coords"][name] in axes[name] for name in axes)]
        for number, (at, point) in enumerate(zip(np.ndindex(lead), points, strict=True)):
            places.setdefault(point["id"], []).append(number)
            limits[at] = stops.get(point["id"], trials)
            for name, address in point["design_ids"].items():
                solved.setdefault(address, []).append((*at, designs.index(name)))
        span = part.span(int(limits.max(initial=0)))
        origins = np.full((*lead, len(span)), -1, store.numbers)
        evaluations = store.need("evaluations")
        return cls(axes, evaluations, designs, span, places, solved, origins, limits, axes == all_axes)

    @property
    def first(self) -> int:
        """The first trial."""
        return self.span.start

    @property
    def trials(self) -> int:
        """Number of trials."""
        return len(self.span)

    def tables(self, store: Store) -> Iterator[Table]:
        """The rows that lie in the frame."""
        for point in [""] if self.whole else self.places:
            yield from store.tables(self.span.stop, point, self.first)

    def solves(self, store: Store) -> Iterator[Solves]:
        """The solves that lie in the frame."""
        for design in [""] if self.whole else self.solved:
            yield from store.solves(self.span.stop, design, self.first)

    def came(self, tables: Sequence[Table]) -> tuple[IntArray, IntArray]:
        """Note where the rows of tables come from; returns the places of each, again for points of the same id."""
        there = [(number, table) for table in tables for number in self.places.get(table.point, ())]
        sizes = [len(table.trials) for _, table in there]
        points = np.repeat(np.array([number for number, _ in there], int), sizes)
        trials = np.concatenate([np.zeros(0, int), *(table.trials - self.first for _, table in there)])
        environments = [np.zeros(0, int), *(table.environments for _, table in there)]
        self.origins.reshape(-1, self.trials)[points, trials] = np.concatenate(environments)
        return points, trials

    def empty(self, *behind: int | str, fill: float = np.nan) -> AnyArray:
        """An array of the sweep's axes, and of others of these lengths."""
        return np.full((*self.origins.shape[:-1], *behind), fill)


def _alike(tables: Iterator[Table], layouts: Mapping[str, Layout]) -> Iterator[tuple[Layout, list[Table]]]:
    """Tables whose rows hold the same, some thousand rows at a time.

    A few calls of NumPy for each quantity of each of many points would take longer than all their numbers.
    """
    entries: Layout = ()
    bunch: list[Table] = []
    size = 0
    for table in tables:
        here = layouts.get(table.point, ())
        if bunch and (here is not entries or size >= BUNCH):
            yield entries, bunch
            bunch, size = [], 0
        entries, size = here, size + len(table.trials)
        bunch.append(table)
    if bunch:
        yield entries, bunch


def _fill(
    frame: Frame,
    own: OwnAxes,
    variables: dict[str, Any],
    points: IntArray,
    trials: IntArray,
    entries: Layout,
    parts: Sequence[FloatArray],
) -> None:
    """Put rows, in ``parts`` behind one another, into the variables, which are made where they are new."""
    start, rows = 0, np.concatenate(parts) if parts else np.zeros((0, sum(entry.size for entry in entries)))
    for entry in entries:
        if entry.name not in variables:
            sizes = len(frame.evaluations), len(frame.designs), frame.trials, *map(own.size, entry.dims)
            dims = (*frame.axes, "evaluate", "design", "trial", *entry.dims)
            variables[entry.name] = dims, frame.empty(*sizes), {"units": entry.unit, "long_name": entry.summary}
        values = rows[:, start : start + entry.size].reshape(-1, *entry.shape)
        e, d = frame.evaluations.index(entry.evaluation), frame.designs.index(entry.design)
        array = variables[entry.name][1]
        array = array.reshape(-1, *array.shape[len(frame.axes) :])
        own.put(array[:, e, d], points, trials, entry, values)
        start += entry.size


def _solves(store: Store, frame: Frame) -> dict[str, Any]:
    """What the solver said of each design and trial, where it comes from, and its traces where they are kept."""
    size, names = (len(frame.designs), frame.trials), [*map(str, Status), ""]
    arrays = {name: frame.empty(*size) for name in SOLVES}
    ended = np.full(arrays["objective"].shape, len(names) - 1, np.int8)
    origins, traces = np.full(ended.shape, -1, frame.origins.dtype), []
    for solves in frame.solves(store):
        of = dict(zip(SCALARS, solves.scalars.T, strict=True))
        of["solve_time"] = solves.times
        codes = of.pop("status")
        for place in frame.solved.get(solves.design, ()):
            there = bisect_left(solves.trials, frame.limits[place[:-1]])
            here = solves.trials[:there] - frame.first
            for name, values in of.items():
                arrays[name][place][here] = values[:there]
            ended[place][here] = codes[:there]
            origins[place][here] = solves.environments[:there]
            last = frame.limits[place[:-1]]
            traces += [((*place, t - frame.first), trace) for t, trace in solves.traces.items() if t < last]
    # A design whose row is not found, as where its key is damaged, would be numbers that are silently NaN.
    made = np.zeros(origins.shape[:-1], bool)
    for place in (place for places in frame.solved.values() for place in places):
        made[place] = True
    lost = np.argwhere(made[..., None] & (frame.origins[..., None, :] >= 0) & (origins < 0))
    if lost.size:
        raise store.damaged(f"designs, {frame.designs[lost[0, -2]]}, trial {frame.first + lost[0, -1]}")
    # No wider than the longest name that is there, of which each letter has four bytes in each trial.
    found = np.unique(ended)
    status = np.array([name if code in found else "" for code, name in enumerate(names)])[ended]
    dims = (*frame.axes, "design", "trial")
    merit = store.meta("merit") or SOLVES["objective"]  # runs of earlier versions have none
    told = {**SOLVES, "objective": merit, "bound": (merit[0], SOLVES["bound"][1])}
    numbers = {n: (dims, v, {"units": told[n][0], "long_name": told[n][1]}) for n, v in arrays.items()}
    return {
        **numbers,
        "status": (dims, status, STATUS),
        SOLVES_FROM: (dims, origins, FROM),
        **_traces(frame, traces, dims),
    }


def _traces(frame: Frame, traces: list[tuple[Place, dict[str, FloatArray]]], dims: tuple[str, ...]) -> dict[str, Any]:
    """The traces, each NaN behind its end."""
    steps = max((values.size for _, trace in traces for values in trace.values()), default=0)
    names = dict.fromkeys(name for _, trace in traces for name in trace)
    found = {name: frame.empty(len(frame.designs), frame.trials, steps) for name in names}
    for place, trace in traces:
        for name, values in trace.items():
            found[name][place][: values.size] = values
    return {TRACE + n: ((*dims, STEP), v, {"units": _unit(n), "long_name": _label(n)}) for n, v in found.items()}


def build_precoders(store: Store, design: str) -> xarray.DataArray:
    """The precoders of a design, shape (axes..., trial, antenna, stream); NaN where there is none."""
    import xarray

    frame = Frame.of(store, Part())
    found: list[tuple[Place, ComplexArray]] = []
    for address, places in frame.solved.items():
        where = [place[:-1] for place in places if frame.designs[place[-1]] == design]
        known = store.designs(address, range(frame.trials)) if where else {}
        found += [
            ((*at, trial), r.precoder) for (_, trial), r in known.items() for at in where if "precoder" in r.decision
        ]
    sizes = [max((W.shape[axis] for _, W in found), default=0) for axis in (0, 1)]
    array = np.full((*frame.origins.shape, *sizes), complex(np.nan, np.nan))
    for place, W in found:
        array[place][: W.shape[0], : W.shape[1]] = W
    told = {"units": "sqrt(W)", "long_name": f"precoders of the design {design}"}
    axes = {**frame.axes, "trial": np.arange(frame.trials)}
    return xarray.DataArray(array, axes, (*axes, "antenna", "stream"), attrs=told)


def _unit(name: str) -> str:
    return "s" if name == "time" else "1"


def _label(name: str) -> str:
    words = (word.upper() if word in ("crlb", "crb", "sqnr", "kkt") else word for word in name.split("_"))
    return f"{' '.join(words)} of the iterate"


def _text(value: Any) -> Any:
    import json

    number = isinstance(value, float) or (isinstance(value, int) and abs(value) < 2**63)  # as a file can hold them
    return value if number or isinstance(value, str) else json.dumps(value)
