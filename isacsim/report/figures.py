"""Figures of a run, drawn from its dataset alone."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import evolve, frozen

from isacsim.engine.run import Run
from isacsim.engine.views import Figure
from isacsim.errors import InvalidInput, one_of
from isacsim.report.statistics import STATISTICS, Estimate
from isacsim.typing import AnyArray, FloatArray

MARKERS, STYLES = "osD^vP*X", ("-", "--", "-.", ":")
MANY = 40  # points of a line from which on they have neither markers nor error bars

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes


def draw_figures(run: Run, names: tuple[str, ...] = (), folder: Path | None = None, kind: str = "png") -> list[Path]:
    """Draw figures of a run into a folder, by default its own; returns the files.

    Args:
        run: The run.
        names: Figures of its scenario; none is all.
        folder: Where to; None is the run folder.
        kind: File type that matplotlib knows, ``png`` or ``pdf`` for example.

    Raises:
        InvalidInput: For an unknown figure, or a folder that cannot be written.
    """
    for name in names:
        if name not in run.figures:
            raise InvalidInput("figure", "must be a figure of the run", name, one_of(run.figures, name))
    dataset, folder = run.dataset(), folder or run.path
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return [
            draw(run, dataset, run.figures[name], folder / f"{name}.{kind}") for name in names or tuple(run.figures)
        ]
    except OSError as error:
        rule = f"must be a folder that can be written ({error.strerror})"
        raise InvalidInput("out", rule, str(folder), "Choose another folder.") from None


def draw(run: Run, dataset: xarray.Dataset, figure: Figure, path: Path) -> Path:
    """Draw one figure into a file: a line a series, with its 95 % confidence band, or the one it names.

    Numbers that the scenario expects of what a line shows are crosses of its colour.

    Raises:
        InvalidInput: If the trace it shows was not recorded.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Canvas

    canvas = Canvas(figsize=(6.4, 4.4), layout="constrained", dpi=150)
    FigureCanvasAgg(canvas)
    axes = canvas.subplots()
    ticks = _ticks(dataset, figure)
    trials, banded = 0.0, False
    for line in _lines(dataset, figure):
        y = line.estimate(figure, line.quantity)
        x = line.estimate(figure, figure.x) if figure.along else y
        across, up = _placed(figure.x_scale if figure.along else "linear", x.value), _placed(figure.scale, y.value)
        if not np.isfinite(across + up).any():
            continue
        few = y.value.size < MANY
        trials = max(trials, y.count.max())
        banded |= bool(np.isfinite(y.low).any()) and (few or not figure.along)
        color, marker = f"C{line.colour % 10}", MARKERS[line.marker % 8] if few else ""
        look: dict[str, Any] = {"linestyle": STYLES[line.stroke % 4], "color": color, "marker": marker, "markersize": 4}
        if figure.along:
            xerr, yerr = (np.stack([e.value - e.low, e.high - e.value]) if few else None for e in (x, y))
            axes.errorbar(across, up, yerr=yerr, xerr=xerr, elinewidth=0.8, label=line.label, **look)
        else:
            x_values = _coordinate(dataset, figure) if ticks is None else np.arange(len(ticks))
            axes.plot(x_values, up, label=line.label, **look)
            recorded = figure.band if line.quantity == figure.y else ()
            low, high = [line.estimate(figure, end).value for end in recorded] or (y.low, y.high)
            axes.fill_between(x_values, low, high, alpha=0.25, color=color, linewidth=0)
            for numbers in _expected(run, figure, line):
                axes.plot(x_values, _scaled(figure.scale, numbers), "x", color=color, markersize=9, label="_expected")
    several = f"{figure.statistic} over {int(trials)} trials" if trials > 1 else "one trial"
    told = several + (", band as recorded" if figure.band else ", 95 % band" if banded else "")
    _dress(axes, run, dataset, figure, ticks, told)
    canvas.savefig(path)
    return path


@frozen(eq=False)
class Line:
    """A line of a figure.

    Attributes:
        label: Its label.
        quantity: Name of the quantity on the y axis.
        colour: Number of its colour, which stands for a value of the figure's series.
        marker: Number of its marker, which stands for the rest of what differs.
        stroke: Number of its line style: the quantity's where there are several, else the marker's.
        place: Coordinates of all that differs.
        values: Its numbers, of the figure's quantities.
    """

    label: str
    quantity: str
    colour: int
    marker: int
    stroke: int
    place: dict[str, Any]
    values: xarray.Dataset

    def estimate(self, figure: Figure, name: str) -> Estimate:
        """The figure's statistic of a quantity on its scale, at each place of the axis that is followed."""
        found = STATISTICS[figure.statistic](self.values[name].transpose(figure.followed, "trial").values)
        scale = figure.x_scale if name == figure.x else figure.scale
        if scale != "db":
            return found
        return evolve(found, **{end: _scaled(scale, getattr(found, end)) for end in ("value", "low", "high")})


def _lines(dataset: xarray.Dataset, figure: Figure) -> Iterator[Line]:
    quantities = (figure.y, *figure.beside)
    for name in (*quantities, figure.x):
        if name not in dataset and name not in dataset.dims:
            raise InvalidInput("figure", "must show what was recorded", name, one_of(map(str, dataset), name))
    shown = dataset[[*quantities, *figure.band, *([figure.x] if figure.along else [])]].sel(figure.at)
    apart = [str(d) for d in shown[figure.y].dims if d not in (figure.followed, "trial")]
    if figure.along:
        apart += [str(d) for d in shown[figure.x].dims if d not in (*apart, figure.followed, "trial")]
    several = [d for d in apart if shown.sizes[d] > 1]
    flat, colours, styles = shown.stack(line=apart), {}, {}  # type: ignore[var-annotated]
    for quantity, i in product(quantities, range(flat.sizes["line"])):
        values = flat.isel(line=i)
        if bool(np.isfinite(values[quantity].values).any()):
            place = {d: values[d].item() for d in apart}
            told = [_told(d, place[d]) for d in several]
            if figure.beside:
                told.append(str(values[quantity].attrs["long_name"]))
            rest = tuple(v for d, v in place.items() if d != figure.series)
            colour = colours.setdefault(place.get(figure.series), len(colours))
            marker = styles.setdefault(rest, len(styles))
            stroke = quantities.index(quantity) if figure.beside else marker
            yield Line(", ".join(told) or str(place["design"]), quantity, colour, marker, stroke, place, values)


def _told(dim: str, value: Any) -> str:
    return str(value) if dim in ("design", "evaluate") else f"{dim} = {_text(value)}"


def _expected(run: Run, figure: Figure, line: Line) -> Iterator[tuple[float, ...]]:
    """Numbers that are expected of what a line shows."""
    for e in run.expectations.values():
        place = {**figure.at, **line.place}
        named = {**e.at, **{k: v for k, v in (("design", e.design), ("evaluate", e.evaluate)) if v}}
        same = (e.quantity, e.statistic, e.over) == (line.quantity, figure.statistic, figure.x)
        if same and all(place.get(key, value) == value for key, value in named.items()):
            yield e.values


def _ticks(dataset: xarray.Dataset, figure: Figure) -> list[str] | None:
    """Labels of the values of x that no scale holds (text, infinity) and that are spaced evenly."""
    if figure.along:
        return None
    coordinate = _coordinate(dataset, figure)
    if np.issubdtype(coordinate.dtype, np.number) and np.isfinite(coordinate).all():
        return None
    return [_text(value) for value in coordinate]


def _coordinate(dataset: xarray.Dataset, figure: Figure) -> AnyArray:
    return np.asarray(dataset[figure.x].values if figure.x in dataset.coords else np.arange(dataset.sizes[figure.x]))


def _text(value: Any) -> str:
    if isinstance(value, (float, int, np.number)):
        return "∞" if value == np.inf else f"{value:g}"
    return str(value)


def _scaled(scale: str, values: Any) -> AnyArray:
    """Power ratios in dB where that is the scale; a value of 0 has none, and neither has a low end below it."""
    if scale != "db":
        return np.asarray(values)
    values = np.asarray(values, float)
    return 10 * np.log10(np.where(values > 0, values, np.nan))


def _placed(scale: str, values: FloatArray) -> FloatArray:
    """Values without those that a logarithmic scale has no place for: a line to them would run off the figure."""
    return np.where(values > 0, values, np.nan) if scale == "log" else values


def _named(values: xarray.DataArray, scale: str) -> str:
    unit = values.attrs["units"]
    if scale == "db":
        unit = "dB" if unit == "1" else f"dB over 1 {unit}"
    return str(values.attrs["long_name"]) + (f" ({unit})" if unit != "1" else "")


def _dress(axes: Axes, run: Run, dataset: xarray.Dataset, figure: Figure, ticks: list[str] | None, title: str) -> None:
    label = (
        _named(dataset[figure.x], figure.x_scale)
        if figure.along
        else run.axis_labels.get(figure.x, figure.x.replace("-", " "))
    )
    axes.set_xlabel(label)
    axes.set_ylabel(_named(dataset[figure.y], figure.scale), wrap=True)
    axes.set_xscale("linear" if figure.x_scale == "db" else figure.x_scale)
    axes.set_yscale("linear" if figure.scale == "db" else figure.scale)
    if ticks is not None:
        axes.set_xticks(range(len(ticks)), ticks)
    axes.grid(visible=True, which="both", alpha=0.3)
    axes.set_title(figure.title or run.title, fontsize=10, wrap=True)
    if axes.lines:
        if any(line.get_label() == "_expected" for line in axes.lines):
            title += "; x: expected"
        points = sum(np.size(line.get_xdata()) for line in axes.lines)
        look: dict[str, Any] = {"fontsize": 8, "title": title, "title_fontsize": 8}
        # Where many lines leave no place for it, and where "best" would look for one for seconds.
        if len(axes.lines) > 8 or points > 100 * MANY:
            axes.figure.legend(**look, loc="outside lower center", ncols=2)
        else:
            axes.legend(**look, loc="best")
