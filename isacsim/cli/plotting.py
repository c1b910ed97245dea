"""The command `isacsim plot`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from isacsim.cli.opening import opened
from isacsim.errors import InvalidInput


def plot(
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder.")],
    figure: Annotated[list[str] | None, typer.Option(help="Figures to draw; all by default.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the files; the run's own by default.")] = None,
    format_: Annotated[
        list[str] | None, typer.Option("--format", help="File type: png, pdf, svg, pgf or tikz.")
    ] = None,
    size: Annotated[str | None, typer.Option(help="screen, column, page (IEEE), or WIDTHxHEIGHT in inches.")] = None,
    font: Annotated[str | None, typer.Option(help="Font, 'Times New Roman' for example.")] = None,
    font_size: Annotated[float | None, typer.Option(help="Size of the font in points.")] = None,
    style: Annotated[str | None, typer.Option(help="Style sheet of matplotlib, a name or a file.")] = None,
    title: Annotated[str | None, typer.Option(help="Title.")] = None,
    scale: Annotated[str | None, typer.Option(help="Scale of the y axis: auto, linear, log or db.")] = None,
    x_scale: Annotated[str | None, typer.Option(help="Scale of the x axis.")] = None,
    legend: Annotated[str | None, typer.Option(help="Place of the legend: best, 'upper left', outside, none.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")] = False,
) -> None:
    """Draw the figures of a run again, from its stored numbers, for a screen or for a paper."""
    from isacsim.engine.views import Figure
    from isacsim.report.figures import draw_figures

    asked: dict[str, Any] = {
        "size": _size(size), "font": font, "font_size": font_size, "style": style, "title": title, "scale": scale,
        "x_scale": x_scale, "legend": legend, "format": tuple(format_ or ()) or None,
    }  # fmt: skip
    looks = {name: value for name, value in asked.items() if value is not None}
    try:
        Figure("", "", **looks)  # refused before the run is looked for
        files = draw_figures(opened(run_folder), tuple(figure or ()), out, looks=looks)
    except InvalidInput as error:
        raise (error.at(f"--{error.field.replace('_', '-')}") if error.field in asked else error) from None
    if as_json:
        print(json.dumps([str(file) for file in files], indent=2))
    else:
        print("\n".join(map(str, files)) or f"{run_folder}: its scenario has no figures")


def _size(text: str | None) -> Any:
    """A size by name, or two lengths from ``3.5x2.6``."""
    width, by, height = (text or "").partition("x")
    if not by or text is None:
        return text
    try:
        return float(width), float(height)
    except ValueError:
        return text
