"""The numbers of a figure as it shows them: lines, bands, axes and words. Nothing here draws."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import evolve, frozen

from isacsim.engine.folder import Run
from isacsim.engine.statistics import STATISTICS
from isacsim.engine.views import STEP, Figure
from isacsim.errors import InvalidInput, one_of
from isacsim.report.places import text_of
from isacsim.typing import AnyArray, FloatArray
from isacsim.units import shown

if TYPE_CHECKING:
    import xarray

DECADES = 100.0  # ratio of the largest to the smallest number from which on a logarithm shows more
MANY = 40  # points of a line from which on it has no error bars, and a marker at some of them only
MOST_TICKS = 9  # swept values that have a tick each; of more, those that the drawing library chooses
FLOOR = 3.0  # where a logarithm has no place for the low end of a band, it ends this far below the least number


@frozen(eq=False)
class Scale:
    """An axis of a figure.

    Attributes:
        label: What it shows, with the unit.
        kind: ``linear`` or ``log``; numbers in dB are linear.
        ticks: Places and texts of the ticks; None leaves them to the drawing library.
        infinite: Where infinity lies; None where it is not shown.
    """

    label: str
    kind: str = "linear"
    ticks: tuple[list[float], list[str]] | None = None
    infinite: float | None = None


@frozen(eq=False)
class Curve:
    """A line of a figure, as it is drawn.

    Attributes:
        label: Its entry of the legend.
        quantity: Name of the quantity on the y axis.
        colour: Number of its colour, which stands for a value of the figure's series.
        marker: Number of its marker: each line's own, so that it is told apart in grey.
        stroke: Number of its line style: that of what differs beside the series, if anything does.
        place: Coordinates of all that differs.
        x: Where its points lie, shape (points,).
        y: Its numbers.
        across: Ends of the intervals of x, shape (2, points); NaN where there are none.
        band: Ends of the band of y, shape (2, points); NaN where there is none.
        expected: Numbers that the scenario expects, each shape (points,).
        trials: Most trials that entered.
    """

    label: str
    quantity: str
    colour: int
    marker: int
    stroke: int
    place: dict[str, Any]
    x: FloatArray
    y: FloatArray
    across: FloatArray
    band: FloatArray
    expected: tuple[FloatArray, ...]
    trials: int


@frozen(eq=False)
class Plot:
    """All of a figure but its looks.

    Attributes:
        curves: Its lines.
        x: Its horizontal axis.
        y: Its vertical axis.
        heading: What the entries of the legend are values of; empty where they say so themselves.
        note: Which statistic is shown, and what the bands are.
        title: Its title.
    """

    curves: tuple[Curve, ...]
    x: Scale
    y: Scale
    heading: str
    note: str
    title: str


def plot_of(run: Run, dataset: xarray.Dataset, figure: Figure) -> Plot:
    """The numbers of a figure.

    Raises:
        InvalidInput: If the trace it shows was not recorded.
    """
    require_recorded(dataset, figure)
    found = list(_lines(dataset, figure))
    y_unit = _Unit.of(dataset[figure.y], _resolved(figure, "y", found))
    if figure.along:
        x_unit = _Unit.of(dataset[figure.x], _resolved(figure, "x", found))
        across, places = Scale(x_unit.label, x_unit.kind), None
    else:
        x_unit = None
        across, places = _placed(run, dataset, figure)
    curves = [c for c in (_curve(run, figure, line, x_unit, y_unit, places) for line in found) if c is not None]
    if figure.dots:
        curves = list(_pooled(figure, curves))
    curves = _told_apart(dataset, figure, curves, run.axis_labels)
    heading = _heading(figure, curves, run.axis_labels)
    title = figure.title or ("" if figure.printed else run.title)
    return Plot(tuple(curves), across, Scale(y_unit.label, y_unit.kind), heading, _note(figure, curves), title)


def require_recorded(dataset: xarray.Dataset, figure: Figure) -> None:
    """Refuse a figure of what no trial has, as where its measure fails in all of them.

    Raises:
        InvalidInput: If it is one.
    """
    for name in (figure.y, *figure.beside, figure.x, *([figure.up] if figure.up else [])):
        if name not in dataset and name not in dataset.dims:
            raise InvalidInput("figure", "must show what was recorded", name, one_of(map(str, dataset), name))


def _lines(dataset: xarray.Dataset, figure: Figure) -> Iterator[tuple[str, dict[str, Any], xarray.Dataset]]:
    """Quantity, place and numbers of each line that has any."""
    quantities = (figure.y, *figure.beside)
    shown = dataset[[*quantities, *figure.band, *([figure.x] if figure.along else [])]].sel(figure.at)
    apart = [str(d) for d in shown[figure.y].dims if d not in (figure.followed, "trial")]
    if figure.along:
        apart += [str(d) for d in shown[figure.x].dims if d not in (*apart, figure.followed, "trial")]
    if figure.followed == STEP:
        shown = shown.map(_held, keep_attrs=True)
    flat = shown.stack(line=apart)
    for quantity, i in product(quantities, range(flat.sizes["line"])):
        values = flat.isel(line=i)
        if bool(np.isfinite(values[quantity].values).any()):
            yield quantity, {d: values[d].item() for d in apart}, values


def _held(values: xarray.DataArray) -> xarray.DataArray:
    """Traces that stay at the last iterate: the mean over trials is then over all of them at each step."""
    if STEP not in values.dims:
        return values
    last = values.transpose(..., STEP).copy()
    steps = np.where(np.isnan(last.values), 0, np.arange(last.sizes[STEP]))
    last.values = np.take_along_axis(last.values, np.maximum.accumulate(steps, axis=-1), axis=-1)
    return last


@frozen
class _Unit:
    """How numbers of a unit are shown: angles in degrees, powers in dBm, ratios in dB where that is asked."""

    label: str
    kind: str
    factor: float = 1.0
    decibels: bool = False

    @classmethod
    def of(cls, values: xarray.DataArray, scale: str) -> _Unit:
        """The way to show a quantity on a scale."""
        unit, factor = shown(values.attrs.get("units", "1"))
        name = values.attrs.get("long_name", values.name)
        if scale != "db":
            return cls(f"{name} ({unit})" if unit != "1" else str(name), scale, factor)
        if unit == "W":
            unit, factor = "dBm", 1e3
        else:
            unit = "dB" if unit == "1" else f"dB over 1 {unit}"
        return cls(f"{name} ({unit})", "linear", factor, decibels=True)

    def shown(self, values: Any) -> FloatArray:
        """Numbers as the axis shows them; one that a logarithm has no place for is NaN."""
        values = self.factor * np.asarray(values, float)
        if self.decibels:
            return 10 * np.log10(np.where(values > 0, values, np.nan))
        return np.where(values > 0, values, np.nan) if self.kind == "log" else values


def _resolved(figure: Figure, axis: str, found: Sequence[tuple[str, dict[str, Any], xarray.Dataset]]) -> str:
    """The scale of an axis of quantities, chosen by what it shows where that is left open."""
    asked, name = (figure.scale, figure.y) if axis == "y" else (figure.x_scale, figure.x)
    if asked != "auto":
        return asked
    if name == "beampattern" or not found:
        return "db" if found else "linear"
    statistic = STATISTICS[figure.statistic]
    numbers = np.concatenate(
        [np.ravel(statistic(v[name].transpose(..., "trial").values).value) for _, _, v in found if name in v]
    )
    return _scale_for(numbers)


def _scale_for(numbers: Any) -> str:
    numbers = np.asarray(numbers, float)
    numbers = numbers[np.isfinite(numbers)]
    wide = numbers.size > 2 and numbers.min() > 0 and numbers.max() >= DECADES * numbers.min()
    return "log" if wide else "linear"


def _placed(run: Run, dataset: xarray.Dataset, figure: Figure) -> tuple[Scale, FloatArray]:
    """The axis that lines run along: numbers to scale, with infinity beyond the largest, and words evenly spaced."""
    there = figure.x in dataset.coords
    values: AnyArray = np.asarray(dataset[figure.x].values if there else np.arange(dataset.sizes[figure.x]))
    attributes = dataset[figure.x].attrs if there else {}
    (unit, factor), name = shown(attributes.get("units", "1")), attributes.get("long_name", figure.x)
    label = run.axis_labels.get(figure.x, name if unit == "1" else f"{name} ({unit})")
    if figure.categories or not np.issubdtype(values.dtype, np.number):
        places = np.arange(len(values), dtype=float)
        return Scale(label, ticks=(places.tolist(), [text_of(v) for v in values.tolist()])), places
    places = values.astype(float) * factor
    kind: str = figure.x_scale
    if kind == "auto":  # a swept axis is to scale as it was written, in dBm for example
        kind = "linear" if figure.x in run.axes else _scale_for(places)
    finite = np.sort(places[np.isfinite(places)])
    infinite = None
    if finite.size < places.size:
        infinite = _beyond(finite, kind)
        places = np.where(np.isfinite(places), places, infinite)
    if kind == "linear" and len(places) > MOST_TICKS and infinite is None:
        return Scale(label, kind), places
    if kind == "log" and figure.x not in run.axes:
        return Scale(label, kind), places
    texts = [text_of(v) if np.isfinite(v) else "∞" for v in values.tolist()]
    return Scale(label, kind, (places.tolist(), texts), infinite), places


def shown_axis(dataset: xarray.Dataset, name: str) -> tuple[FloatArray, str]:
    """Places along an axis of a quantity as they are shown, and its label with the unit."""
    there = name in dataset.coords
    places = np.asarray(dataset[name].values if there else np.arange(dataset.sizes[name]), float)
    attributes = dataset[name].attrs if there else {}
    (unit, factor), words = shown(attributes.get("units", "1")), attributes.get("long_name", name)
    return places * factor, words if unit == "1" else f"{words} ({unit})"


def _beyond(finite: FloatArray, kind: str) -> float:
    """Where infinity lies: one and a half usual steps beyond the largest number."""
    if not finite.size:
        return 1.0
    ends = np.log(finite) if kind == "log" else finite
    step = float(np.median(np.diff(ends))) if ends.size > 1 else 1.0
    place = ends[-1] + max(1.5 * step, 0.15 * (ends[-1] - ends[0]))
    return float(np.exp(place) if kind == "log" else place)


def _curve(
    run: Run, figure: Figure, line: tuple[str, dict[str, Any], Any], x_unit: _Unit | None, y_unit: _Unit, places: Any
) -> Curve | None:
    """A line as it is drawn; None where nothing of it can be shown."""
    quantity, place, values = line
    if figure.dots:
        return _dots(figure, line, x_unit, y_unit, places)
    statistic = STATISTICS[figure.statistic]

    def estimate(name: str) -> Any:
        return statistic(values[name].transpose(figure.followed, "trial").values)

    up = estimate(quantity)
    y, ends = y_unit.shown(up.value), [up.low, up.high]
    across = np.full((2, y.size), np.nan)
    if x_unit is None:
        x = np.asarray(places, float)
        if figure.band:  # of y; what is drawn beside it has none, which would be of another kind
            own = quantity == figure.y
            ends = [estimate(end).value if own else np.full(y.shape, np.nan) for end in figure.band]
    else:
        over = estimate(figure.x)
        x, across = x_unit.shown(over.value), np.stack([x_unit.shown(e) for e in (over.low, over.high)])
    if figure.followed not in run.axes:  # the places of other lines along the quantity's own axis are no gaps
        kept = up.count > 0
        x, y, across, ends = x[kept], y[kept], across[:, kept], [end[kept] for end in ends]
    if not np.isfinite(x + y).any():
        return None
    band = _band(y_unit, y, ends)
    expected = tuple(y_unit.shown(numbers) for numbers in _expected(run, figure, quantity, place))
    return Curve("", quantity, 0, 0, 0, place, x, y, across, band, expected, int(up.count.max()))


def _band(unit: _Unit, y: FloatArray, ends: list[Any]) -> FloatArray:
    """Ends of the band of a line; a low end that a logarithm has no place for lies a little below all numbers."""
    low, high = (unit.shown(end) for end in ends)
    if unit.decibels or unit.kind == "log":
        shown = np.concatenate([y, low])
        least = np.min(shown[np.isfinite(shown)], initial=np.inf)
        floor = least - 10 * np.log10(FLOOR) if unit.decibels else least / FLOOR
        low = np.where(np.isfinite(y) & np.isfinite(high) & np.isnan(low), floor, low)
    return np.stack([low, high])


def _dots(
    figure: Figure, line: tuple[str, dict[str, Any], Any], x_unit: _Unit | None, y_unit: _Unit, places: Any
) -> Curve:
    """Every number of every trial, as dots."""
    quantity, place, values = line
    up = values[quantity].transpose(figure.followed, "trial").values
    y = y_unit.shown(up).ravel()
    if x_unit is None:
        x = np.repeat(np.asarray(places, float), up.shape[1])
    else:
        x = x_unit.shown(values[figure.x].transpose(figure.followed, "trial").values).ravel()
    nothing = np.full((2, y.size), np.nan)
    return Curve("", quantity, 0, 0, 0, place, x, y, nothing, nothing, (), up.shape[1])


def _pooled(figure: Figure, curves: list[Curve]) -> Iterator[Curve]:
    """The dots of each value of the series together: clouds are told apart by colour alone."""
    for value in dict.fromkeys(c.place.get(figure.series) for c in curves):
        of = [c for c in curves if c.place.get(figure.series) == value]
        pooled: dict[str, Any] = {
            name: np.concatenate([getattr(c, name) for c in of], axis=-1) for name in ("x", "y", "across", "band")
        }
        yield evolve(of[0], place={figure.series: value}, **pooled)


def _told_apart(dataset: Any, figure: Figure, curves: list[Curve], labels: dict[str, str]) -> list[Curve]:
    """The lines with their looks, and with the words in which they differ from each other and no others."""
    several = [d for d in (curves[0].place if curves else ()) if len({c.place[d] for c in curves}) > 1]
    rests = [tuple(v for d, v in c.place.items() if d != figure.series) for c in curves]
    colours = {v: i for i, v in enumerate(dict.fromkeys(c.place.get(figure.series) for c in curves))}
    markers = {v: i for i, v in enumerate(dict.fromkeys(tuple(c.place.values()) for c in curves))}
    strokes = {v: i for i, v in enumerate(dict.fromkeys(rests))}
    quantities = (figure.y, *figure.beside)
    found = []
    for curve, rest in zip(curves, rests, strict=True):
        words = [_told(d, curve.place[d], several, labels) for d in several]
        if figure.beside and (curve.quantity != figure.y or not words):
            words.append(str(dataset[curve.quantity].attrs["long_name"]))
        colour = colours[curve.place.get(figure.series)]
        stroke = strokes[rest] if len(strokes) > 1 else colour
        found.append(
            evolve(
                curve,
                label=", ".join(words) or str(curve.place.get("design", "")),
                colour=colour,
                marker=markers[tuple(curve.place.values())],
                stroke=quantities.index(curve.quantity) if figure.beside else stroke,
            )
        )
    return found


def _told(dim: str, value: Any, several: Sequence[str], labels: dict[str, str]) -> str:
    """A value in the legend: alone where the heading says of what, else with its unit, or its name."""
    if dim not in labels or isinstance(value, str):
        return text_of(value) if dim in ("design", "evaluate") or isinstance(value, str) else f"{dim} {text_of(value)}"
    unit, one = _unit_in(labels[dim]), len(several) == 1
    alike = sum(_unit_in(labels.get(d, "")) == unit for d in several) > 1
    if one:
        return text_of(value)
    return f"{text_of(value)} {unit}" if unit and not alike else f"{dim.replace('-', ' ')} = {text_of(value)}"


def _unit_in(label: str) -> str:
    return label.rpartition(" (")[2].rstrip(")") if label.endswith(")") else ""


def _heading(figure: Figure, curves: Sequence[Curve], labels: dict[str, str]) -> str:
    several = [d for d in (curves[0].place if curves else ()) if len({c.place[d] for c in curves}) > 1]
    alone = len(several) == 1 and not figure.beside
    return labels.get(several[0], "") if alone else ""


def _note(figure: Figure, curves: Sequence[Curve]) -> str:
    """Which statistic of how many trials is shown, what the bands are, and what the crosses."""
    trials = max((c.trials for c in curves), default=0)
    if figure.dots:
        return f"all of {trials} trials" if trials > 1 else "one trial"
    told = f"{figure.statistic} over {trials} trials" if trials > 1 else "one trial"
    if figure.band:
        told += ", band as recorded"
    elif any(np.isfinite(c.band).any() and not (figure.along and c.y.size >= MANY) for c in curves):
        told += ", 95 % band"
    return told + ("; x: expected" if any(c.expected for c in curves) else "")


def _expected(run: Run, figure: Figure, quantity: str, own: dict[str, Any]) -> Iterator[tuple[float, ...]]:
    """Numbers that are expected of what a line shows."""
    for e in run.expectations.values():
        place = {**figure.at, **own}
        named = {**e.at, **{k: v for k, v in (("design", e.design), ("evaluate", e.evaluate)) if v}}
        same = (e.quantity, e.statistic, e.over) == (quantity, figure.statistic, figure.x)
        if same and all(place.get(key, value) == value for key, value in named.items()):
            yield e.values
