"""The labelled view of a run: sweep axes x evaluation x design x trial."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from isacsim.engine.coordinates import OwnAxes
from isacsim.engine.frame import Frame, Part, Place
from isacsim.engine.store import Store, Table
from isacsim.engine.views import AXES, COUNT, ROWS_FROM, SOLVES, SOLVES_FROM, STEP, TRACE
from isacsim.engine.work import SCALARS, Entry
from isacsim.solvers.solution import Status
from isacsim.typing import ComplexArray, FloatArray, IntArray

if TYPE_CHECKING:
    import xarray

BUNCH = 512  # trials: enough that a call of NumPy is for many, and so few that they stay in the caches
Layout = tuple[Entry, ...]
STATUS = "status"
ENDED = {"units": "1", "long_name": f"how the solve ended, one of {', '.join(map(str, Status))}; empty without one"}
COUNTED = "trials that are done of the point, which has no more where it is as precise as was asked"
FROM = {"units": "1", "long_name": "place among the environments of the run; -1 where there is no number"}


def build_dataset(store: Store, part: Part | None = None) -> xarray.Dataset:
    """All numbers of a run, or of a part of it, with their dimensions, units and provenance.

    Raises:
        StoreError: If the ledger is damaged, or lacks a design of a trial that is done.
    """
    frame, own = Frame.of(store, part or Part()), own_axes(store)
    return labelled(store, frame, own, read(store, frame, own))


def own_axes(store: Store) -> OwnAxes:
    """The axes that the quantities of a run have of their own."""
    own = OwnAxes()
    for entry in _entries(store):
        own.add(entry)
    return own


def _entries(store: Store) -> list[Entry]:
    """What rows of a run hold, all points together."""
    layouts = {id(entries): entries for entries in store.layouts().values()}
    some = (entries for _, _, (entries, _) in store.partials())
    return [entry for entries in (*layouts.values(), *some) for entry in entries]


def read(store: Store, frame: Frame, own: OwnAxes) -> dict[str, Any]:
    """The variables of a frame: dimensions, numbers and attributes of each, by name.

    Raises:
        StoreError: If the ledger is damaged, or lacks a design of a trial that is done.
    """
    variables: dict[str, Any] = {}
    for entry in _entries(store):
        if entry.name not in variables and frame.part.has(entry.name):
            sizes = len(frame.evaluations), len(frame.designs), frame.trials, *map(own.size, entry.dims)
            dims = (*frame.axes, "evaluate", "design", "trial", *entry.dims)
            variables[entry.name] = dims, frame.empty(*sizes), {"units": entry.unit, "long_name": entry.summary}
    for entries, tables in _alike(frame.tables(store), store.layouts()):
        size = sum(entry.size for entry in entries)
        rows = [store.fitting(table, size) for table in tables]
        points, trials = frame.came(tables)
        copies = [rows[i] for i, table in enumerate(tables) for _ in frame.places.get(table.point, ())]
        _fill(frame, own, variables, points, trials, entries, copies)
    for point, trial, (entries, row) in store.partials():
        if (at := frame.places.get(point)) and trial in frame.span:
            trials = np.full(len(at), trial - frame.first)
            _fill(frame, own, variables, np.array(at), trials, entries, [row[None]] * len(at))
    variables.update(_solves(store, frame))
    if store.meta("stops") is not None:
        variables[COUNT] = (tuple(frame.axes), (frame.origins >= 0).sum(axis=-1), {"units": "1", "long_name": COUNTED})
    if len(store.environments()) > 1:
        variables[ROWS_FROM] = ((*frame.axes, "trial"), frame.origins, FROM)
    else:
        variables.pop(SOLVES_FROM, None)
    return {name: told for name, told in variables.items() if frame.part.has(name)}


def labelled(store: Store, frame: Frame, own: OwnAxes, variables: dict[str, Any]) -> xarray.Dataset:
    """The dataset of variables, with their coordinates and where they come from."""
    import pandas

    from isacsim.engine.results import Results

    numbers = pandas.RangeIndex(frame.first, frame.span.stop)  # which takes no memory
    along = {"evaluate": frame.evaluations, "design": frame.designs, "trial": numbers}
    labels, given = {**frame.axes, **along, **own.coordinates()}, store.need("axis_labels")
    coords = {name: (name, values, _axis_attributes(name, given)) for name, values in labels.items()}
    index = " ".join([*frame.axes, "evaluate", "design", "trial"])
    provenance = {key: _text(value) for key, value in store.need("provenance").items()}
    made = {"ledger_format": store.format, "environments": _text(list(store.environments().values()))}
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
    """Put rows, in ``parts`` behind one another, into those of their variables that are read."""
    start, rows = 0, np.concatenate(parts) if parts else np.zeros((0, sum(entry.size for entry in entries)))
    for entry in entries:
        values = rows[:, start : start + entry.size].reshape(-1, *entry.shape)
        start += entry.size
        if entry.name not in variables:
            continue
        e, d = frame.evaluations.index(entry.evaluation), frame.designs.index(entry.design)
        array = variables[entry.name][1]
        array = array.reshape(-1, *array.shape[len(frame.axes) :])
        own.put(array[:, e, d], points, trials, entry, values)


def _solves(store: Store, frame: Frame) -> dict[str, Any]:
    """What the solver said of each design and trial, where it comes from, and its traces where they are kept."""
    part, lengths = frame.part, store.longest_traces()
    if part.names is not None and part.names.isdisjoint([*SOLVES, STATUS, SOLVES_FROM, *map(TRACE.__add__, lengths)]):
        return {}
    size, names = (len(frame.designs), frame.trials), [*map(str, Status), ""]
    arrays = {name: frame.empty(*size) for name in SOLVES if part.has(name)}
    traces = {n: frame.empty(*size, max(lengths.values())) for n in lengths if part.has(TRACE + n)}
    ended = np.full((*frame.origins.shape[:-1], *size), len(names) - 1, np.int8)
    origins = np.full(ended.shape, -1, frame.origins.dtype)
    for solves in frame.solves(store):
        of = dict(zip(SCALARS, solves.scalars.T, strict=True))
        of["solve_time"] = solves.times
        codes = of.pop("status")
        for place in frame.solved.get(solves.design, ()):
            last = frame.limits[place[:-1]]
            there = bisect_left(solves.trials, last)
            here = solves.trials[:there] - frame.first
            for name in arrays:
                arrays[name][place][here] = of[name][:there]
            ended[place][here] = codes[:there]
            origins[place][here] = solves.environments[:there]
            for trial, trace in ((t, trace) for t, trace in solves.traces.items() if t < last):
                for name in traces.keys() & trace.keys():
                    traces[name][place][trial - frame.first, : trace[name].size] = trace[name]
    _require_solved(store, frame, origins)
    # No wider than the longest name that is there, of which each letter has four bytes in each trial.
    found = np.unique(ended)
    told = np.array([name if code in found else "" for code, name in enumerate(names)])
    dims = (*frame.axes, "design", "trial")
    merit = store.meta("merit") or SOLVES["objective"]  # runs of earlier versions have none
    said = {**SOLVES, "objective": merit, "bound": (merit[0], SOLVES["bound"][1])}
    return {
        **{n: (dims, v, {"units": said[n][0], "long_name": said[n][1]}) for n, v in arrays.items()},
        **({STATUS: (dims, told[ended], ENDED)} if part.has(STATUS) else {}),
        SOLVES_FROM: (dims, origins, FROM),
        **{TRACE + n: ((*dims, STEP), v, {"units": _unit(n), "long_name": _label(n)}) for n, v in traces.items()},
    }


def _require_solved(store: Store, frame: Frame, origins: IntArray) -> None:
    """Refuse trials without their designs, as where the key of a row is damaged: NaN would be silent."""
    made = np.zeros(origins.shape[:-1], bool)
    for place in (place for places in frame.solved.values() for place in places):
        made[place] = True
    lost = np.argwhere(made[..., None] & (frame.origins[..., None, :] >= 0) & (origins < 0))
    if lost.size:
        raise store.damaged(f"designs, {frame.designs[lost[0, -2]]}, trial {frame.first + lost[0, -1]}")


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
