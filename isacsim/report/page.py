"""A run as one page of HTML that needs nothing beside it: for a colleague, a phone, an archive."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np

from isacsim.engine.folder import Run
from isacsim.engine.sinks import replacing
from isacsim.engine.views import STEP, TRACE, Figure
from isacsim.errors import InvalidInput
from isacsim.report import expectations, summary
from isacsim.report.curves import Plot
from isacsim.report.figures import draw, looks_of, plotted
from isacsim.report.heat import Heat, draw_heat
from isacsim.report.places import place_of, text_of
from isacsim.units import shown

if TYPE_CHECKING:
    import xarray

MOST_ROWS = 400  # rows of a table; more are no reading matter, and `isacsim export` has them all
MOST_POINTS = 100  # points of a line that say their numbers, so that traces of thousands of steps stay small
TRACES = ("trace-objective", "trace-residual")  # what is drawn of solvers that keep their trace


def write_page(run: Run, path: Path | None = None) -> Path:
    """Write the page of a run, by default ``report.html`` in its folder; returns the file.

    Raises:
        InvalidInput: If the file cannot be written.
    """
    path = path or run.path / "report.html"
    text = page(run)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as part:
            part.write_text(text, encoding="utf-8")
    except OSError as error:
        rule = f"must be a file that can be written ({error.strerror})"
        raise InvalidInput("out", rule, str(path), "Choose another file.") from None
    return path


def page(run: Run) -> str:
    """The whole page: sections without content are left out."""
    dataset = run.dataset()
    sections: dict[str, Callable[[Run, xarray.Dataset], Iterator[str]]] = {
        "Figures": _figures,
        "Results": _results,
        "Expected numbers": _expected,
        "Solvers": _solvers,
        "Failures": _failures,
        "Traces": _traces,
        "Scenario": _scenario,
        "Provenance": _provenance,
    }
    made = {title: "\n".join(make(run, dataset)) for title, make in sections.items()}
    made = {title: text for title, text in made.items() if text}
    links = "".join(f'<a href="#{_anchor(title)}">{title}</a>' for title in made)
    body = "\n".join(f'<section id="{_anchor(t)}"><h2>{t}</h2>\n{text}</section>' for t, text in made.items())
    title = escape(run.title or run.path.name)
    home = files("isacsim.report")
    style, script = ((home / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{title}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<link rel="icon" href="data:,">\n<style>\n{style}</style>\n</head>\n<body>\n<h1>{title}</h1>\n'
        f"<p>{escape(str(run.counts()))}</p>\n<nav>{links}</nav>\n{body}\n"
        f"<script>\n{script}</script>\n</body>\n</html>\n"
    )


def _anchor(title: str) -> str:
    return title.lower().replace(" ", "-")


def _figures(run: Run, dataset: xarray.Dataset) -> Iterator[str]:
    shown = [_figure(run, dataset, figure) for figure in run.figures.values()] if run.counts().requested else []
    if any(shown):
        yield f'<div class="figures">{"".join(shown)}</div>'


def _traces(run: Run, dataset: xarray.Dataset) -> Iterator[str]:
    """Convergence at the last point of the sweep, for each trace that no figure of the scenario shows."""
    drawn = {figure.y for figure in run.figures.values()}
    at = {name: values[-1] for name, values in run.axes.items()}
    asked = [
        Figure(STEP, name, statistic="median", title=f"{name.removeprefix(TRACE)}, last point of the sweep", at=at)
        for name in TRACES
        if name in dataset and name not in drawn and bool(np.isfinite(dataset[name].sel(at).values).any())
    ]
    if asked:
        yield f'<div class="figures">{"".join(_figure(run, dataset, figure) for figure in asked)}</div>'


def _figure(run: Run, dataset: xarray.Dataset, figure: Figure) -> str:
    """An image, and beside it the numbers of its points, each with its place as a part of width and height."""
    figure = attrs.evolve(figure, size="screen", format=("svg",))
    try:
        plot = plotted(run, dataset, figure)
    except InvalidInput as error:
        return f"<p>{escape(str(error))}</p>\n"
    if not (plot.panels if isinstance(plot, Heat) else plot.curves):
        return ""
    with looks_of(figure, "svg"):
        canvas, stream = draw_heat(plot, figure) if isinstance(plot, Heat) else draw(plot, figure), io.BytesIO()
        canvas.savefig(stream, format="svg", metadata={"Date": None})
        points = [] if isinstance(plot, Heat) else list(_points(plot, canvas))
    image = base64.b64encode(stream.getvalue()).decode("ascii")
    width, height = (round(96 * inches) for inches in (canvas.get_figwidth(), canvas.get_figheight()))
    told = f"{plot.label} over {plot.x[1]}" if isinstance(plot, Heat) else f"{plot.y.label} over {plot.x.label}"
    alt = escape(f"{plot.title}: {told}", quote=True)
    return (
        f'<figure class="figure"><img alt="{alt}" width="{width}" height="{height}" '
        f'src="data:image/svg+xml;base64,{image}"><script type="application/json">{_json(points)}</script></figure>\n'
    )


def _points(plot: Plot, canvas: Any) -> Iterator[list[Any]]:
    axes = canvas.axes[0]
    size = np.array([canvas.bbox.width, canvas.bbox.height])
    for curve in plot.curves:
        for i in np.unique(np.linspace(0, curve.y.size - 1, min(curve.y.size, MOST_POINTS)).astype(int)):
            if not np.isfinite(curve.x[i] + curve.y[i]):
                continue
            place = axes.transData.transform((curve.x[i], curve.y[i])) / size
            low, high = curve.band[:, i]
            ends = f" ({low:.4g} to {high:.4g})" if np.isfinite(low + high) else ""
            across = "∞" if curve.x[i] == plot.x.infinite else f"{curve.x[i]:.5g}"
            text = f"{curve.label}\n{plot.x.label}: {across}\n{plot.y.label}: {curve.y[i]:.5g}{ends}"
            yield [round(float(place[0]), 4), round(1 - float(place[1]), 4), text]


def _json(value: Any) -> str:
    """JSON that may stand in a script element."""
    return json.dumps(value, ensure_ascii=False).replace("<", "\\u003c")


def _results(run: Run, dataset: xarray.Dataset) -> Iterator[str]:
    found = list(summary.rows(run))
    places = [*run.axes, "evaluate", "design"]
    heads = [*places, "quantity", "unit", "mean", "± 95 %", "median", "trials"]
    lines = []
    for row in found:
        unit, factor = shown(row["unit"])
        average, half, middle = (factor * row[name] for name in ("mean", "half_width", "median"))
        told = [f"{average:.5g}", f"{half:.2g}" if np.isfinite(half) else "", f"{middle:.5g}"]
        named = [row["quantity"], "" if unit == "1" else unit]
        lines.append([*(row[name] for name in places), *named, *told, row["trials"]])
    yield from _table(heads, lines, numbers=heads[-4:])


def _expected(run: Run, dataset: xarray.Dataset) -> Iterator[str]:
    judged = expectations.verdicts(run)
    heads = ("expectation", "quantity", "at", "found", "expected", "allowed", "verdict", "source")
    lines = [
        [
            row["expectation"], row["quantity"], place_of({k: v for k, v in row.items() if k in run.axes}),
            f"{row['found']:.6g}", f"{row['expected']:.6g}", f"{row['allowed']:.2g}", row["verdict"], row["source"],
        ]
        for row in expectations.rows(judged)
    ]  # fmt: skip
    if judged:
        yield f"<p>{escape(expectations.summary(judged))}</p>"
        yield from _table(heads, lines, numbers=("found", "expected", "allowed"))


def _solvers(run: Run, dataset: xarray.Dataset) -> Iterator[str]:
    heads = ("design", "at", "solves", "statuses", "median time (s)", "median steps")
    lines = [
        [row["design"], place_of(row["at"]), row["solves"], _counted(row["statuses"]), f"{row['time']:.3g}",
         f"{row['iterations']:.0f}"]
        for row in summary.solves(run)
    ]  # fmt: skip
    yield from _table(heads, lines, numbers=("solves", "median time (s)", "median steps"))
    for remark in summary.remarks(run):
        at = f"{remark['design']} at {place_of(remark['at']) or 'the point'}, trial {remark['trial']}"
        yield f'<p class="note">{escape(at)}: <b>{escape(remark["status"])}</b>. {escape(remark["note"])}</p>'


def _failures(run: Run, dataset: xarray.Dataset) -> Iterator[str]:
    yield from (f'<p class="note bad">{escape(line)}</p>' for line in summary.failures(run))


def _scenario(run: Run, dataset: xarray.Dataset) -> Iterator[str]:
    asked = json.loads(dataset.attrs["scenario"])
    yield f"<details><summary>Every record, in SI units</summary><pre>{escape(_outline(asked))}</pre></details>"


def _outline(value: Any, depth: int = 0) -> str:
    """Nested records as indented lines."""
    lines = []
    for key, entry in value.items() if isinstance(value, Mapping) else enumerate(value):
        nested = isinstance(entry, (dict, list)) and len(json.dumps(entry)) > 80
        pad = "  " * depth
        lines.append(f"{pad}{key}:\n{_outline(entry, depth + 1)}" if nested else f"{pad}{key}: {json.dumps(entry)}")
    return "\n".join(lines)


def _provenance(run: Run, dataset: xarray.Dataset) -> Iterator[str]:
    kept = {k: v for k, v in dataset.attrs.items() if k not in ("scenario", "environments", "index_dims")}
    yield from _table(("what", "value"), [[k.replace("_", " "), v] for k, v in kept.items()], text=("value",))


def _table(
    heads: Sequence[str], lines: Iterable[Sequence[Any]], numbers: Sequence[str] = (), text: Sequence[str] = ()
) -> Iterator[str]:
    """A table; none of no lines."""
    lines = list(lines)
    if not lines:
        return
    kinds = {**dict.fromkeys(numbers, "number"), **dict.fromkeys(text, "text")}
    yield '<div class="wide"><table><thead><tr>'
    yield "".join(f'<th class="{kinds.get(h, "")}">{escape(h)}</th>' for h in heads) + "</tr></thead><tbody>"
    for line in lines[:MOST_ROWS]:
        cells = (_cell(kinds.get(h, ""), v) for h, v in zip(heads, line, strict=True))
        yield f"<tr>{''.join(cells)}</tr>"
    yield "</tbody></table></div>"
    if len(lines) > MOST_ROWS:
        yield f'<p class="note">{len(lines) - MOST_ROWS} more rows: <code>isacsim export</code> writes all.</p>'


VERDICTS = {"met": "good", "MISSED": "bad"}


def _cell(kind: str, value: Any) -> str:
    text = text_of(value)
    return f'<td class="{" ".join(filter(None, (kind, VERDICTS.get(text, ""))))}">{escape(text)}</td>'


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {status}" for status, count in counts.items())
