"""Figures of a run, drawn from its dataset alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np

from isacsim.engine.folder import Run
from isacsim.engine.sinks import replacing
from isacsim.engine.views import FORMATS, Figure
from isacsim.errors import InvalidInput, one_of
from isacsim.report import curves
from isacsim.report.curves import Curve, Plot, plot_of
from isacsim.report.heat import Heat, draw_heat, heat_of
from isacsim.report.tikz import tikz

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

# Colours that people with any colour vision tell apart, darkest contrasts first: those of Okabe and Ito
# without the yellow, which is too light for a line on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00", "#56B4E9", "#7F7F7F")
MARKERS = "osD^v<>pX*hP"
STYLES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)), (0, (8, 3)), (0, (3, 1, 1, 1)), (0, (1, 3)))
FLAT = 1e-4  # of its size: what a quantity varies less by is what solvers leave, and no course to be looked at
MARKED = 8  # markers of such a line
COVERED = 0.18  # of a figure, beyond which a legend hides curves wherever it is put within the axes
FILES = {"tikz": "tex"}  # endings of files that are not the format's name


def draw_figures(
    run: Run,
    names: tuple[str, ...] = (),
    folder: Path | None = None,
    kind: str | tuple[str, ...] = (),
    looks: Mapping[str, Any] | None = None,
    undrawn: dict[str, str] | None = None,
) -> list[Path]:
    """Draw figures of a run into a folder, by default its own; returns the files.

    Args:
        run: The run.
        names: Figures of its scenario; none is all.
        folder: Where to; None is the run folder.
        kind: File type, or types, in place of each figure's ``format``.
        looks: Fields of `Figure` in place of each figure's own, ``size`` for example.
        undrawn: Takes why a figure cannot be drawn, by its name, and the others are; None raises it.

    Raises:
        InvalidInput: For an unknown figure, one of what no trial has, a look that it cannot have, or a folder that
            cannot be written.
    """
    for name in names:
        if name not in run.figures:
            raise InvalidInput("figure", "must be a figure of the run", name, one_of(run.figures, name))
    changes = {**(looks or {}), **({"format": kind} if kind else {})}
    dataset, folder, files = run.dataset(), folder or run.path, []
    for name in names or tuple(run.figures):
        try:
            figure = attrs.evolve(run.figures[name], **changes)
            files += _files(plotted(run, dataset, figure), figure, name, folder)
        except InvalidInput as error:
            if undrawn is None:
                raise
            undrawn[name] = str(error)
    return files


def plotted(run: Run, dataset: xarray.Dataset, figure: Figure) -> Plot | Heat:
    """What a figure shows.

    Raises:
        InvalidInput: If no trial has it, or if it does not fit.
    """
    return heat_of(run, dataset, figure) if figure.up else plot_of(run, dataset, figure)


def _files(plot: Plot | Heat, figure: Figure, name: str, folder: Path) -> list[Path]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return [save(plot, figure, folder / f"{name}.{FILES.get(f, f)}", f) for f in figure.format]
    except OSError as error:
        rule = f"must be a folder that can be written ({error.strerror})"
        raise InvalidInput("out", rule, str(folder), "Choose another folder.") from None


def save(plot: Plot | Heat, figure: Figure, path: Path, form: str) -> Path:
    """Draw a figure into a file of a format; equal numbers give equal files.

    Raises:
        InvalidInput: For a font or a style that is not there, or for PGF without LaTeX.
    """
    if form not in FORMATS:
        raise InvalidInput("format", "must be a file type of figures", form, one_of(FORMATS, form))
    with replacing(path) as part:  # a link is replaced, and what it leads to stays
        _save(plot, figure, part, form)
    return path


def _save(plot: Plot | Heat, figure: Figure, path: Path, form: str) -> None:
    if form == "tikz":
        if isinstance(plot, Heat):
            raise InvalidInput("format", "must not be tikz for a heat map", form, "Use pdf.")
        path.write_text(tikz(plot, figure), encoding="utf-8")
        return
    metadata = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}.get(form)
    with looks_of(figure, form):
        canvas = draw_heat(plot, figure) if isinstance(plot, Heat) else draw(plot, figure)
        try:
            canvas.savefig(path, format=form, metadata=metadata)
        except RuntimeError as error:
            if form != "pgf":
                raise
            remedy = "Install LaTeX with xelatex, or choose tikz, which needs none."
            raise InvalidInput("format", "must be one that can be made here", form, remedy) from error


@contextmanager
def looks_of(figure: Figure, form: str = "png") -> Iterator[None]:
    """The settings of matplotlib that a figure asks for.

    Raises:
        InvalidInput: For a font or a style that is not there.
    """
    import matplotlib
    from matplotlib import style

    size = figure.font_size or (8.0 if figure.printed else 10.0)
    settings: dict[str, Any] = {
        "font.size": size,
        "axes.titlesize": size,
        "axes.labelsize": size,
        "legend.fontsize": 0.85 * size,
        "legend.title_fontsize": 0.85 * size,
        "lines.linewidth": 1.0 if figure.printed else 1.4,
        "lines.markersize": 3.5 if figure.printed else 5.0,
        "axes.linewidth": 0.6 if figure.printed else 0.8,
        "grid.linewidth": 0.4,
        "grid.alpha": 0.4,
        "savefig.dpi": 300 if figure.printed else 150,
        "axes.formatter.useoffset": False,  # a tick is what it says, not the rest of a number beside the axis
        "axes.formatter.min_exponent": 3,  # 0.01 to 100 as such also where an axis is logarithmic
        "pdf.fonttype": 42,  # journals refuse Type 3
        "svg.hashsalt": "isacsim",  # else names within the file are random
    }
    if figure.printed and not figure.font:
        settings |= {"font.family": "STIXGeneral", "mathtext.fontset": "stix"}  # they come with matplotlib
    sheets: list[Any] = [settings]
    if figure.style:
        sheets.append(figure.style)
    if figure.font:
        sheets.append({"font.family": _font(figure.font)})
    if form == "pgf":
        sheets.append({"pgf.rcfonts": False})  # the fonts of the document
    with matplotlib.rc_context():
        for sheet in sheets:
            try:
                style.use(sheet)
            except (OSError, ValueError) as error:
                known = one_of(style.available, figure.style)
                raise InvalidInput("style", f"must be a style sheet ({error})", figure.style, known) from None
        yield


def _font(name: str) -> str:
    from matplotlib import font_manager

    if name in ("serif", "sans-serif", "monospace"):
        return name
    try:
        font_manager.findfont(name, fallback_to_default=False)
    except ValueError:
        remedy = one_of({font.name for font in font_manager.fontManager.ttflist}, name)
        raise InvalidInput("font", "must be a font that is installed", name, remedy) from None
    return name


def draw(plot: Plot, figure: Figure) -> Canvas:
    """A figure on a canvas: a line a series with its band, and crosses where numbers are expected."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Canvas

    canvas = Canvas(figsize=figure.inches, layout="constrained")
    FigureCanvasAgg(canvas)
    axes = canvas.subplots()
    for number, curve in enumerate(plot.curves):
        _draw_curve(axes, plot, figure, curve, number)
    _dress(axes, plot, figure)
    if plot.curves:
        _legend(axes, plot, figure)
    return canvas


def _draw_curve(axes: Axes, plot: Plot, figure: Figure, curve: Curve, number: int) -> None:
    color, few = COLOURS[curve.colour % len(COLOURS)], curve.y.size < curves.MANY
    marker = MARKERS[curve.marker % len(MARKERS)]
    look: dict[str, Any]
    if figure.dots:
        look = {"markersize": 2.0, "alpha": 0.6, "linestyle": "none", "rasterized": True}  # thousands of paths are slow
        axes.plot(curve.x, curve.y, color=color, marker=marker, label=curve.label, **look)
        return
    look = {
        "linestyle": STYLES[curve.stroke % len(STYLES)],
        "color": color,
        "marker": marker,
        "markerfacecolor": "none",  # so that one shows through where two lines coincide
        "label": curve.label,
    }
    if not few:  # some markers only, and of each line at other places
        step = max(1, curve.y.size // MARKED)
        look["markevery"] = ((number * step) // max(1, len(plot.curves)), step)
    if figure.along:
        ends = (np.abs(curve.band - curve.y), np.abs(curve.across - curve.x)) if few else (None, None)
        axes.errorbar(curve.x, curve.y, yerr=ends[0], xerr=ends[1], elinewidth=0.8, **look)
        return
    kept = _finite_part(curve, plot)
    axes.plot(curve.x[kept], curve.y[kept], **look)
    if not kept.all():  # infinity is a place of its own, and no line leads there
        beyond = {**look, "label": "_infinite", "linestyle": "none"}
        beyond.pop("markevery", None)
        axes.plot(curve.x[~kept], curve.y[~kept], **beyond)
    _draw_band(axes, curve, kept, color)
    for numbers in curve.expected:
        axes.plot(curve.x, numbers, "x", color=color, markersize=1.8 * _setting("lines.markersize"), label="_expected")


def _finite_part(curve: Curve, plot: Plot) -> Any:
    return np.ones(curve.x.size, bool) if plot.x.infinite is None else curve.x < plot.x.infinite


def _draw_band(axes: Axes, curve: Curve, kept: Any, color: str) -> None:
    low, high = curve.band
    axes.fill_between(curve.x[kept], low[kept], high[kept], alpha=0.2, color=color, linewidth=0)
    if not kept.all():
        bars = np.abs(curve.band[:, ~kept] - curve.y[~kept])
        axes.errorbar(curve.x[~kept], curve.y[~kept], yerr=bars, fmt="none", ecolor=color, elinewidth=0.8)


def _dress(axes: Axes, plot: Plot, figure: Figure) -> None:
    axes.set_xlabel(plot.x.label)
    axes.set_ylabel(plot.y.label, wrap=True)
    axes.set_xscale(plot.x.kind)
    axes.set_yscale(plot.y.kind)
    low, high = axes.get_ylim()
    if plot.y.kind == "linear" and high - low < FLAT * max(abs(low), abs(high)):
        middle, around = (low + high) / 2, 10 * FLAT * max(abs(low), abs(high))
        axes.set_ylim(middle - around, middle + around)
    if plot.x.ticks is not None:
        axes.set_xticks(*plot.x.ticks)
        axes.minorticks_off() if plot.y.kind == "linear" else axes.xaxis.set_minor_locator(_no_ticks())
    if plot.x.infinite is not None:
        last = max(t for t in plot.x.ticks[0] if t < plot.x.infinite) if plot.x.ticks and plot.x.ticks[0][1:] else None
        if last is not None:
            axes.axvline((last + plot.x.infinite) / 2, color="0.6", linewidth=0.6, linestyle=":")
    if figure.dots and figure.along:
        axes.set_aspect("equal", adjustable="datalim")
    axes.grid(visible=True, which="major")
    axes.set_axisbelow(True)
    if plot.title:
        axes.set_title(plot.title, wrap=True)


def _no_ticks() -> Any:
    from matplotlib.ticker import NullLocator

    return NullLocator()


def _legend(axes: Axes, plot: Plot, figure: Figure) -> None:
    if figure.legend == "none":
        return
    points, (width, height) = sum(curve.y.size for curve in plot.curves), figure.inches
    labels = [curve.label for curve in plot.curves]
    look: dict[str, Any] = {
        "markerscale": 2.0 if figure.dots else 1.0,
        "title": "\n".join(filter(None, (plot.heading, plot.note))),
    }
    # Where many lines leave no place for it, and where "best" would look for one for seconds.
    crowded = len(labels) > 1.2 * width or points > 100 * curves.MANY
    covering = _entry(labels) * _lines(look, len(labels)) > COVERED * width * height
    if figure.legend == "outside" or (figure.legend == "best" and (crowded or covering)):
        _legend_below(axes.get_figure(), look, labels, width)
        return
    legend = axes.legend(**look, **{"loc": figure.legend})
    if figure.legend == "best" and _hides(legend, axes):
        legend.remove()
        _legend_below(axes.get_figure(), look, labels, width)


def _hides(legend: Any, axes: Axes) -> bool:
    """Whether a legend lies over a curve, where it has been put."""
    canvas: Any = axes.get_figure()
    canvas.draw_without_rendering()  # which puts it somewhere
    box = legend.get_window_extent()
    curves = [line for line in axes.get_lines() if not str(line.get_label()).startswith("_")]
    paths = [line.get_transform().transform_path(line.get_path()) for line in curves]
    return any(path.cleaned(remove_nans=True).intersects_bbox(box, filled=False) for path in paths)


def _legend_below(canvas: Any, look: dict[str, Any], labels: list[str], width: float) -> None:
    """The legend below the axes, in as many columns as fit, on a figure that is higher by as much."""
    columns = max(1, min(4, int(width / _entry(labels))))
    canvas.set_figheight(canvas.get_figheight() + _lines(look, -(-len(labels) // columns)))
    canvas.legend(**look, loc="outside lower center", ncols=columns)


def _entry(labels: list[str]) -> float:
    """Width of the longest entry of a legend, in inches: handle and gaps take some four letters."""
    return _setting("legend.fontsize") / 72 * (0.55 * max(map(len, labels), default=0) + 4)


def _lines(look: dict[str, Any], rows: int) -> float:
    """Height of a legend of so many rows, in inches."""
    return 1.5 * _setting("legend.fontsize") / 72 * (rows + len(look["title"].splitlines()))


def _setting(name: str) -> float:
    """A size that is set, in points."""
    import matplotlib
    from matplotlib.font_manager import FontProperties

    settings: Any = matplotlib.rcParams
    value = settings[name]
    return FontProperties(size=value).get_size_in_points() if name.endswith("fontsize") else float(value)
