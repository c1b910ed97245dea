"""The command `isacsim bench`."""

from __future__ import annotations

import json
import shlex
import sys
import time
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from attrs import evolve

from isacsim.errors import InvalidInput, one_of
from isacsim.plugin import Registry
from isacsim.strictjson import finite

if TYPE_CHECKING:
    from isacsim.benchmark.comparison import Comparison
    from isacsim.benchmark.results import Results
    from isacsim.benchmark.selection import Selection

FORMATS = ("table", "markdown")


def bench(
    context: typer.Context,
    problem: Annotated[list[str] | None, typer.Option(metavar="NAME", help="A problem; all by default.")] = None,
    solver: Annotated[list[str] | None, typer.Option(metavar="NAME", help="A solver; all by default.")] = None,
    hardware: Annotated[list[str] | None, typer.Option(metavar="NAME", help="A hardware stage.")] = None,
    full: Annotated[bool, typer.Option("--full", help="All sizes of the papers' sweeps; takes long.")] = False,
    rounds: Annotated[int | None, typer.Option(min=1, help="Largest number of rounds.")] = None,
    against: Annotated[Path | None, typer.Option(metavar="FILE", help="Compare with the results in a file.")] = None,
    quality: Annotated[
        bool, typer.Option("--quality", help="With --against: two rounds; times are told and decide nothing.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="File for the results; a new one under runs/ by default.")] = None,
    kind: Annotated[str, typer.Option("--format", help="What is printed: table or markdown.")] = "table",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")] = False,
) -> None:
    """Measure time and quality of solvers and hardware, and compare with an earlier run."""
    from isacsim.benchmark.comparison import compare
    from isacsim.benchmark.results import read, write
    from isacsim.benchmark.selection import Selection

    if kind not in FORMATS:
        raise InvalidInput("--format", "must be a form of the tables", kind, one_of(FORMATS, kind))
    if out is not None and out.exists():
        raise InvalidInput("--out", "must not exist", str(out), "Choose another file.")
    if against is not None and full:
        raise InvalidInput("--full", "must not be given beside --against", "", "The file says what is measured.")
    if quality and against is None:
        raise InvalidInput("--quality", "needs --against", "", "Name the file to compare with.")
    registry: Registry = context.obj
    selection = Selection(tuple(problem or ()), tuple(solver or ()), tuple(hardware or ()), full)
    before = read(against) if against is not None else None
    rounds = rounds or (2 if quality else None)
    found = _measure(selection, before, rounds, registry, times=not quality, quiet=as_json)
    file = out or _new_file()
    write(found, file)
    comparisons = compare(before, found, times=not quality) if before is not None else []
    if as_json:
        _print_json(found, comparisons, file)
    else:
        _tell(found, before, comparisons, kind, file)
    if any(c.verdict.regression for c in comparisons) or any(r.failed for r in found.results):
        raise typer.Exit(1)


def _new_file() -> Path:
    """A file under runs/ that is not there."""
    base = f"bench-{time.strftime('%Y%m%d-%H%M%S')}"
    names = (f"{base}{f'-{i}' if i else ''}.json" for i in count())
    return next(file for name in names if not (file := Path("runs") / name).exists())


def _measure(
    selection: Selection, before: Results | None, rounds: int | None, registry: Registry, *, times: bool, quiet: bool
) -> Results:
    """The results; with an earlier run, those that look slower are measured twice."""
    from rich.console import Console

    from isacsim.benchmark.comparison import compare, suspects
    from isacsim.benchmark.results import Results, made
    from isacsim.benchmark.suite import SECOND_LOOK, measure

    effort = evolve(selection.effort, rounds=rounds or selection.effort.rounds)
    with Console(stderr=True, quiet=quiet).status("") as status:
        planned = selection.again(before, registry) if before else selection.planned(registry, status.update)
        command = shlex.join(["isacsim", *sys.argv[1:]])
        measured = measure(planned, effort, registry, status.update)
        found = Results({**made(registry), "command": command}, tuple(measured))
        if before and (again := suspects(compare(before, found, times=times))):
            blank = [r for r in planned if r.case in again]
            found = found.replaced(measure(blank, SECOND_LOOK, registry, status.update))
    return found


def _tell(found: Results, before: Results | None, comparisons: list[Comparison], kind: str, file: Path) -> None:
    from isacsim.benchmark.comparison import differences, same_machine
    from isacsim.cli.tables import console, print_whole
    from isacsim.report import benchmarks

    if kind == "markdown":
        print(benchmarks.markdown(found))
    else:
        for table in benchmarks.tables(found):
            console().print(table) if isinstance(table, str) else print_whole(table)
    if before is not None:
        print_whole(benchmarks.verdicts(comparisons))
        for text in differences(before, found):
            print(f"differs:    {text}")
        if not same_machine(before, found):
            print("times:      from another machine, and for information only")
        for c in comparisons:
            if c.verdict.regression:
                print(f"regression: {benchmarks.sentence(c)}")
        print(f"compared:   {benchmarks.summary(comparisons)}")
    for result in found.results:
        if result.failed:
            print(f"failed:     {result.case.title}: {result.error}", file=sys.stderr)
    print(f"results:    {file}", file=sys.stderr if kind == "markdown" else sys.stdout)


def _print_json(found: Results, comparisons: list[Comparison], file: Path) -> None:
    from isacsim.report import benchmarks

    told: dict[str, Any] = {
        "made": found.made,
        "results": list(benchmarks.rows(found)),
        "comparison": benchmarks.comparison_rows(comparisons),
        "file": str(file),
    }
    print(json.dumps(finite(told), indent=2))
