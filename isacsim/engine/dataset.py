"""The labelled view of a run: sweep axes x evaluation x design x trial."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from isacsim.engine.store import Store
from isacsim.engine.views import AXES, ROWS_FROM, SOLVES, SOLVES_FROM, STEP, TRACE
from isacsim.engine.work import SCALARS, DesignRecord, Entry
from isacsim.solvers.solution import Status
from isacsim.typing import FloatArray

if TYPE_CHECKING:
    import xarray

STATUS = {"units": "1", "long_name": f"how the solve ended, one of {', '.join(map(str, Status))}; empty without one"}


def build_dataset(store: Store) -> xarray.Dataset:
    """All numbers of a run with their dimensions, units and provenance."""
    from isacsim.engine.results import Results

    axes: dict[str, list[Any]] = store.need("axes")
    points: list[dict[str, Any]] = store.need("points")
    trials: int = store.need("trials")
    evaluations, designs = store.need("evaluations"), store.meta("designs")
    lead = [len(values) for values in axes.values()]
    sizes, labels = _extra_axes(store, points)
    variables: dict[str, Any] = {}
    for number, point in enumerate(points):
        at = np.unravel_index(number, lead) if lead else ()
        for entries, rows, which in _tables(store, point["id"], trials):
            start = 0
            for entry in entries:
                if entry.name not in variables:
                    variables[entry.name] = _empty(entry, axes, lead, (evaluations, designs), trials, sizes)
                e, d = evaluations.index(entry.evaluation), designs.index(entry.design)
                values = rows[:, start : start + entry.size].reshape(-1, *entry.shape)
                corner = tuple(slice(0, n) for n in entry.shape)
                variables[entry.name][1][(*at, e, d, which, *corner)] = values
                start += entry.size
    variables.update(_solves(store, axes, lead, points, designs, trials))
    environments = store.environments()
    if len(environments) > 1:
        variables.update(_origins(store, axes, lead, points, designs, trials))
    coords: dict[str, Any] = {**axes, "evaluate": evaluations, "design": designs, "trial": np.arange(trials), **labels}
    index = " ".join([*axes, "evaluate", "design", "trial"])
    provenance = {key: _text(value) for key, value in store.need("provenance").items()}
    made = {"ledger_format": store.format, "environments": _text(list(environments.values()))}
    told = store.need("axis_labels")
    coords = {name: (name, values, _axis_attributes(name, told)) for name, values in coords.items()}
    return Results(variables, coords, {"index_dims": index, **made, **provenance})


def _axis_attributes(name: str, told: dict[str, str]) -> dict[str, str]:
    """Unit and name of an axis, where they are known."""
    if name in told:
        words, _, unit = told[name].rstrip(")").rpartition(" (")
        return {"units": unit if words else "1", "long_name": words or told[name]}
    if name not in AXES:
        return {}
    unit, words = AXES[name]
    return {"units": unit, "long_name": words}


def _tables(store: Store, point: str, trials: int) -> Iterator[tuple[tuple[Entry, ...], FloatArray, slice]]:
    """Entries, rows and trials of a point: those that are whole, then each that is partly done."""
    yield store.layout(point), store.rows(point, trials), slice(None)
    for trial, (entries, row) in store.partial(point).items():
        if trial < trials:
            yield entries, row[None], slice(trial, trial + 1)


def _extra_axes(store: Store, points: list[dict[str, Any]]) -> tuple[dict[str, int], dict[str, list[Any]]]:
    """Longest length, and coordinates, of the quantities' own axes over all points."""
    sizes: dict[str, int] = {}
    labels: dict[str, list[Any]] = {}
    for point in points:
        told = (entries for entries, _ in store.partial(point["id"]).values())
        for entry in (*store.layout(point["id"]), *chain.from_iterable(told)):
            for dim, size in zip(entry.dims, entry.shape, strict=True):
                if size >= sizes.get(dim, 0):
                    sizes[dim] = size
                    labels[dim] = entry.labels.get(dim) or list(range(size))
    return sizes, labels


def _empty(
    entry: Entry, axes: dict[str, Any], lead: list[int], names: tuple[list[str], list[str]], trials: int, sizes: Any
) -> Any:
    dims = (*axes, "evaluate", "design", "trial", *entry.dims)
    shape = (*lead, len(names[0]), len(names[1]), trials, *(sizes[dim] for dim in entry.dims))
    return dims, np.full(shape, np.nan), {"units": entry.unit, "long_name": entry.summary}


def _solves(
    store: Store, axes: dict[str, Any], lead: list[int], points: list[dict[str, Any]], designs: list[str], trials: int
) -> dict[str, Any]:
    """What the solver said of each design and trial, and its traces where they are kept."""
    records = list(_records(store, lead, points, designs, trials))
    shape = (*lead, len(designs), trials)
    arrays = {name: np.full(shape, np.nan) for name in SOLVES}
    status = np.full(shape, "", f"<U{max(len(str(s)) for s in Status)}")
    names = dict.fromkeys(name for _, record in records for name in record.trace)
    steps = max((values.size for _, record in records for values in record.trace.values()), default=0)
    traces = {name: np.full((*shape, steps), np.nan) for name in names}
    for place, record in records:
        for i, scalar in enumerate(SCALARS):
            if scalar in arrays:
                arrays[scalar][place] = record.scalars[i]
        status[place] = str(record.status)
        arrays["solve_time"][place] = record.solve_time
        for name, values in record.trace.items():
            traces[name][place][: values.size] = values
    dims = (*axes, "design", "trial")
    return {
        **{n: (dims, v, {"units": SOLVES[n][0], "long_name": SOLVES[n][1]}) for n, v in arrays.items()},
        "status": (dims, status, STATUS),
        **{TRACE + n: ((*dims, STEP), v, {"units": _unit(n), "long_name": _label(n)}) for n, v in traces.items()},
    }


def _origins(
    store: Store, axes: dict[str, Any], lead: list[int], points: list[dict[str, Any]], designs: list[str], trials: int
) -> dict[str, Any]:
    """Which of the ledger's environments each row and each solve comes from; -1 where there is none."""
    rows = np.stack([store.origins(point["id"], trials) for point in points]).reshape(*lead, trials)
    solves = np.full((*lead, len(designs), trials), -1)
    for place, record in _records(store, lead, points, designs, trials):
        solves[place] = record.environment
    told = "place among the environments of the run; -1 where there is no number"
    return {
        ROWS_FROM: ((*axes, "trial"), rows, {"units": "1", "long_name": told}),
        SOLVES_FROM: ((*axes, "design", "trial"), solves, {"units": "1", "long_name": told}),
    }


def build_precoders(store: Store, design: str) -> xarray.DataArray:
    """The precoders of a design, shape (axes..., trial, antenna, stream); NaN where there is none."""
    import xarray

    axes: dict[str, list[Any]] = store.need("axes")
    points, trials = store.need("points"), store.need("trials")
    lead = [len(values) for values in axes.values()]
    own = [{**point, "design_ids": {k: v for k, v in point["design_ids"].items() if k == design}} for point in points]
    found = [(p, r.precoder) for p, r in _records(store, lead, own, [design], trials) if "precoder" in r.decision]
    sizes = [max((W.shape[axis] for _, W in found), default=0) for axis in (0, 1)]
    array = np.full((*lead, trials, *sizes), complex(np.nan, np.nan))
    for (*at, _, trial), W in found:
        array[(*at, trial, slice(W.shape[0]), slice(W.shape[1]))] = W
    told = {"units": "sqrt(W)", "long_name": f"precoders of the design {design}"}
    return xarray.DataArray(
        array, {**axes, "trial": np.arange(trials)}, (*axes, "trial", "antenna", "stream"), attrs=told
    )


def _records(
    store: Store, lead: list[int], points: list[dict[str, Any]], designs: list[str], trials: int
) -> Iterator[tuple[tuple[Any, ...], DesignRecord]]:
    """Every stored solution, with its place in an array of points x designs x trials."""
    known: dict[str, Any] = {}
    for number, point in enumerate(points):
        at = np.unravel_index(number, lead) if lead else ()
        for name, address in point["design_ids"].items():
            if address not in known:
                known[address] = store.designs(address, range(trials))
            for (_, trial), record in known[address].items():
                yield (*at, designs.index(name), trial), record


def _unit(name: str) -> str:
    return "s" if name == "time" else "1"


def _label(name: str) -> str:
    words = (word.upper() if word in ("crlb", "crb", "sqnr", "kkt") else word for word in name.split("_"))
    return f"{' '.join(words)} of the iterate"


def _text(value: Any) -> Any:
    import json

    return value if isinstance(value, (str, int, float)) else json.dumps(value)
