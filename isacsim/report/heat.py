"""Heat maps: a quantity over two axes of its own, a panel for each design, evaluation or value that differs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import frozen

from isacsim.engine.folder import Run
from isacsim.engine.views import Figure
from isacsim.errors import InvalidInput
from isacsim.report.curves import require_recorded, shown_axis
from isacsim.report.places import text_of
from isacsim.typing import FloatArray

if TYPE_CHECKING:
    import xarray
    from matplotlib.figure import Figure as Canvas

MOST_PANELS = 6  # in a row, each wide enough for its ticks
FAINT = (
    0.05  # of the cells have the darkest colour: noise has holes of some 30 dB, which would take half of the colours
)
DEPTH = 60.0  # dB below the largest number that colours tell apart: what is deeper hides what is seen


@frozen(eq=False)
class Heat:
    """The numbers of a heat map.

    Attributes:
        panels: Title and numbers (up, x) of each panel.
        x: Places and label of the horizontal axis.
        up: Those of the vertical one.
        label: What the colours are.
        title: The title.
    """

    panels: tuple[tuple[str, FloatArray], ...]
    x: tuple[FloatArray, str]
    up: tuple[FloatArray, str]
    label: str
    title: str


def heat_of(run: Run, dataset: xarray.Dataset, figure: Figure) -> Heat:
    """The numbers of a figure with ``up``, by its statistic over the trials.

    Raises:
        InvalidInput: If there are more panels than fit, or what it shows was not recorded.
    """
    require_recorded(dataset, figure)
    values = dataset[figure.y].sel(figure.at)
    rest = [str(d) for d in values.dims if d not in (figure.x, figure.up, "trial")]
    flat = (values.mean if figure.statistic == "mean" else values.median)("trial").stack(panel=rest)
    decibels = figure.scale != "linear"
    panels = []
    for i in range(flat.sizes["panel"]):
        one = flat.isel(panel=i)
        numbers = np.asarray(one.transpose(figure.up, figure.x).values, float)
        if np.isfinite(numbers).any():
            several = [d for d in rest if flat[d].values.tolist().count(one[d].item()) < flat.sizes["panel"]]
            told = ", ".join(
                f"{'' if d in ('design', 'evaluate') else d + ' '}{text_of(one[d].item())}" for d in several
            )
            panels.append((told, 10 * np.log10(np.where(numbers > 0, numbers, np.nan)) if decibels else numbers))
    if len(panels) > MOST_PANELS:
        rule = f"must leave at most {MOST_PANELS} panels"
        raise InvalidInput("figure", rule, len(panels), "Fix more axes with `at`, or draw fewer designs.")
    name, unit = values.attrs.get("long_name", figure.y), values.attrs.get("units", "1")
    label = f"{name} (dB)" if decibels else f"{name} ({unit})" if unit != "1" else str(name)
    axes = (shown_axis(dataset, figure.x), shown_axis(dataset, figure.up))
    return Heat(tuple(panels), *axes, label, figure.title or ("" if figure.printed else run.title))


def draw_heat(heat: Heat, figure: Figure) -> Canvas:
    """A heat map on a canvas; all panels share their colours, which end at the noise, or `DEPTH` dB down."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Canvas

    canvas = Canvas(figsize=figure.inches, layout="constrained")
    FigureCanvasAgg(canvas)
    panels: Any = canvas.subplots(1, max(1, len(heat.panels)), sharey=True, squeeze=False)[0]
    numbers = np.concatenate([n[np.isfinite(n)] for _, n in heat.panels]) if heat.panels else np.zeros(1)
    top, low = float(numbers.max()), float(numbers.min())
    if figure.scale != "linear":
        low = max(float(np.quantile(numbers, FAINT)), top - DEPTH)
    mesh = None
    for axes, (told, values) in zip(panels, heat.panels, strict=False):
        mesh = axes.pcolormesh(
            heat.x[0], heat.up[0], values, shading="nearest", cmap="viridis", vmin=low, vmax=top, rasterized=True
        )
        axes.set_xlabel(heat.x[1])
        axes.set_title(told, wrap=True)
    panels[0].set_ylabel(heat.up[1])
    if mesh is not None:
        canvas.colorbar(mesh, ax=list(panels), label=heat.label)
    if heat.title:
        canvas.suptitle(heat.title, fontsize="medium")
    return canvas
