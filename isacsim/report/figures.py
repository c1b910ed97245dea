"""Figures of a run, drawn from its dataset alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from isacsim.engine.run import Run
from isacsim.errors import InvalidInput, one_of
from isacsim.report.statistics import STATISTICS

MARKERS, STYLES = "osD^vP*X", ("-", "--", "-.", ":")

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
        raise InvalidInput("out", f"must be a folder that can be written ({error.strerror})", str(folder)) from None


def draw(run: Run, dataset: xarray.Dataset, figure: dict[str, Any], path: Path) -> Path:
    """Draw one figure into a file: a line a series, with its 95 % confidence band."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    canvas = Figure(figsize=(6.4, 4.4), layout="constrained", dpi=150)
    FigureCanvasAgg(canvas)
    axes = canvas.subplots()
    values = dataset[figure["y"]].sel(figure["at"])
    x, ticks = _positions(dataset[figure["x"]].values)
    trials = 0.0
    for label, colour, style, line in _lines(values, figure):
        estimate = STATISTICS[figure["statistic"]](line.transpose(figure["x"], "trial").values)
        trials = max(trials, estimate.count.max())
        color, marker = f"C{colour % 10}", MARKERS[style % 8]
        axes.plot(x, estimate.value, STYLES[style % 4], color=color, marker=marker, markersize=4, label=label)
        axes.fill_between(x, estimate.low, estimate.high, alpha=0.25, color=color, linewidth=0)
    _dress(axes, run, values, figure, ticks, int(trials))
    canvas.savefig(path)
    return path


def _lines(values: xarray.DataArray, figure: dict[str, Any]) -> Iterator[tuple[str, int, int, xarray.DataArray]]:
    """Label, number of the colour and of the style, and numbers over x and trial, of each line.

    A colour stands for a value of the figure's series, a style for the rest of what differs.
    """
    apart = [d for d in values.dims if d not in (figure["x"], "trial")]
    several = [d for d in apart if values.sizes[d] > 1]
    flat, colours, styles = values.stack(line=apart), {}, {}  # type: ignore[var-annotated]
    for i in range(flat.sizes["line"]):
        line = flat.isel(line=i)
        if bool(np.isfinite(line.values).any()):
            place = {d: line[d].item() for d in apart}
            told = [
                str(v) if d in ("design", "evaluate") else f"{d} = {_text(v)}" for d, v in place.items() if d in several
            ]
            colour = colours.setdefault(place.pop(figure["series"]), len(colours))
            style = styles.setdefault(tuple(place.values()), len(styles))
            yield ", ".join(told) or str(line["design"].item()), colour, style, line


def _positions(coordinate: Any) -> tuple[Any, list[str] | None]:
    """Where the values of x lie; those that no scale holds (text, infinity) are spaced evenly."""
    numeric = np.issubdtype(coordinate.dtype, np.number)
    if numeric and np.isfinite(coordinate).all():
        return coordinate, None
    return np.arange(coordinate.size), [_text(value) for value in coordinate]


def _text(value: Any) -> str:
    if isinstance(value, (float, int, np.number)):
        return "∞" if value == np.inf else f"{value:g}"
    return str(value)


def _dress(axes: Axes, run: Run, values: Any, figure: dict[str, Any], ticks: list[str] | None, trials: int) -> None:
    unit = values.attrs["units"]
    axes.set_xlabel(run.axis_labels.get(figure["x"], figure["x"]))
    axes.set_ylabel(values.attrs["long_name"] + (f" ({unit})" if unit != "1" else ""))
    axes.set_yscale(figure["scale"])
    if ticks is not None:
        axes.set_xticks(range(len(ticks)), ticks)
    axes.grid(visible=True, which="both", alpha=0.3)
    axes.set_title(figure["title"] or run.title, fontsize=10, wrap=True)
    if axes.lines:
        title = f"{figure['statistic']} over {trials} trials, 95 % band"
        axes.legend(fontsize=8, title=title, title_fontsize=8)
