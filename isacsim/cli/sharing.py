"""The commands `isacsim report`, `compare` and `export`: what others get of a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from isacsim.cli.opening import opened
from isacsim.strictjson import finite

Folder = Annotated[Path, typer.Argument(metavar="RUN", help="Run folder.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]


def report(
    run_folder: Folder,
    out: Annotated[Path | None, typer.Option(help="File to write; report.html in the run folder by default.")] = None,
    as_json: Json = False,
) -> None:
    """Write a run as one HTML page that needs nothing beside it."""
    from isacsim.report.page import write_page

    path = write_page(opened(run_folder), out)
    print(json.dumps(str(path)) if as_json else path)


def compare(
    run_folder: Folder,
    other: Annotated[Path, typer.Argument(metavar="OTHER", help="Run folder to compare with.")],
    design: Annotated[str | None, typer.Option(help="A design of the first run; all by default.")] = None,
    other_design: Annotated[str | None, typer.Option(help="The design of the other run to compare it with.")] = None,
    as_json: Json = False,
) -> None:
    """Compare two runs point by point: paired differences OTHER - RUN with 95 % intervals."""
    from isacsim.cli.tables import print_whole
    from isacsim.report import comparison

    found = comparison.compare(opened(run_folder), opened(other), design=design, other_design=other_design)
    rows = comparison.rows(found)
    if as_json:
        print(json.dumps(finite(rows), indent=2))
    else:
        print_whole(comparison.table(rows))


def export(
    run_folder: Folder,
    to: Annotated[str, typer.Option(help="Format: mat, parquet, csv, netcdf or npz.")],
    out: Annotated[Path | None, typer.Option(help="File to write; in the run folder by default.")] = None,
    precoders: Annotated[bool, typer.Option(help="Write the precoders as well, where the format has a place.")] = True,
    as_json: Json = False,
) -> None:
    """Write the numbers of a run, precoders included, for other programs."""
    from isacsim.report.export import export as write

    path = write(opened(run_folder), to, out, precoders=precoders)
    print(json.dumps(str(path)) if as_json else path)
