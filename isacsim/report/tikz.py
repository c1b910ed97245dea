"""A figure as a TikZ picture for pgfplots, which takes its fonts from the document."""

from __future__ import annotations

import math

from isacsim.engine.views import Figure
from isacsim.report.curves import Curve, Plot

# The marks and dashes of matplotlib's figures, as pgfplots calls them.
MARKS = ("o", "square", "diamond", "triangle", "triangle*", "pentagon", "x", "star", "+", "oplus", "otimes", "asterisk")
DASHES = ("solid", "dashed", "dashdotted", "dotted", "densely dashdotted", "loosely dashed", "densely dashed",
          "loosely dotted")  # fmt: skip
COLOURS = ("0072B2", "D55E00", "009E73", "CC79A7", "000000", "E69F00", "56B4E9", "7F7F7F")
ESCAPES = {c: "\\" + c for c in "%&#$_{}"} | {"\\": "\\textbackslash{}", "^": "\\^{}", "~": "\\~{}", "∞": "$\\infty$",
           "°": "$^\\circ$", "±": "$\\pm$"}  # fmt: skip


def tikz(plot: Plot, figure: Figure) -> str:
    """The text of a file to input into a LaTeX document that uses the package pgfplots."""
    width, height = figure.inches
    options = [
        f"width={width:g}in, height={height:g}in",
        f"xlabel={{{_text(plot.x.label)}}}, ylabel={{{_text(plot.y.label)}}}",
        f"xmode={'log' if plot.x.kind == 'log' else 'normal'}, ymode={'log' if plot.y.kind == 'log' else 'normal'}",
        "grid=major, unbounded coords=jump, legend cell align=left",
    ]
    if plot.title:
        options.append(f"title={{{_text(plot.title)}}}")
    if plot.x.ticks:
        places, texts = plot.x.ticks
        told = ",".join(f"{{{_text(text)}}}" for text in texts)
        options.append(f"xtick={{{','.join(f'{p:g}' for p in places)}}}, xticklabels={{{told}}}")
    colours = [f"\\definecolor{{isacsim{i}}}{{HTML}}{{{c}}}" for i, c in enumerate(COLOURS)]
    head = ["% " + plot.note, *colours, "\\begin{tikzpicture}", "\\begin{axis}[", *(f"  {o}," for o in options), "]"]
    body = [line for curve in plot.curves for line in _curve(curve, figure)]
    return "\n".join([*head, *body, "\\end{axis}", "\\end{tikzpicture}", ""])


def _curve(curve: Curve, figure: Figure) -> list[str]:
    look = "only marks, mark=*, mark size=0.5pt" if figure.dots else (
        f"{DASHES[curve.stroke % len(DASHES)]}, mark={MARKS[curve.marker % len(MARKS)]}, mark options={{solid}}"
    )  # fmt: skip
    points = " ".join(f"({_number(x)},{_number(y)})" for x, y in zip(curve.x, curve.y, strict=True))
    lines = [f"\\addplot[isacsim{curve.colour % len(COLOURS)}, {look}] coordinates {{{points}}};"]
    return lines + ([] if figure.legend == "none" else [f"\\addlegendentry{{{_text(curve.label)}}}"])


def _number(value: float) -> str:
    return f"{value:.8g}" if math.isfinite(value) else "nan"


def _text(text: str) -> str:
    return "".join(ESCAPES.get(c, c) for c in text)
