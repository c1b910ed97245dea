"""What came of a run, for people and for scripts."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

MOST_LINES = 20  # of one kind


def summary(finished: Any, figures: list[Path], undrawn: dict[str, str]) -> dict[str, Any]:
    """All that is told of a run, as a script can read it."""
    import attrs

    from isacsim.report import expectations
    from isacsim.report.summary import remarks, rows, statuses, unnumbered

    counts = finished.counts()
    return {
        "run": str(finished.path),
        "requested": counts.requested,
        "done": counts.done,
        "partly": counts.partly,
        "failed": counts.failed,
        "skipped": counts.skipped,
        "failures": [
            {"at": f.coords, "trial": f.trial, **attrs.asdict(f.what), "error": f.error} for f in finished.failures()
        ],
        "complaints": list(finished.complaints),
        "solves": statuses(finished),
        "remarks": remarks(finished),
        "unnumbered": unnumbered(finished),
        "figures": [str(path) for path in figures],
        "undrawn": undrawn,
        "results": list(rows(finished)),
        "expected": expectations.rows(expectations.verdicts(finished)),
    }


def tell(finished: Any, figures: list[Path], undrawn: dict[str, str]) -> None:
    """Print what there is to say of a run."""
    from isacsim.cli.tables import console
    from isacsim.report import expectations
    from isacsim.report.places import at_place
    from isacsim.report.summary import failures, remarks, status_lines, statuses, table, unnumbered

    counts = finished.counts()
    out = console()
    if counts.done or counts.partly:
        numbers = table(finished, out.width)
        if numbers.row_count:
            out.print(numbers)
        print("solves:  " + ", ".join(f"{n} {s}" for s, n in statuses(finished).items()))
        by_place = status_lines(finished, MOST_LINES)
        for line in by_place if len(by_place) > 1 else ():
            print(f"         {line}")
        for remark in remarks(finished):
            print(f"         {remark['design']}{at_place(remark['at'])}, trial {remark['trial']}: {remark['note']}")
        for line in unnumbered(finished)[:MOST_LINES]:
            print(f"         {line}")
        if finished.expectations:
            print(f"expected: {expectations.summary(expectations.verdicts(finished))} (`isacsim verify`)")
    print(f"trials:  {counts}")
    for line in failures(finished):
        print(f"         {line}")
    for complaint in finished.complaints:
        print(f"observer: {complaint}", file=sys.stderr)
    print(f"run:     {finished.path}")
    for path in figures:
        print(f"figure:  {path}")
    for name, why in undrawn.items():
        print(f"figure:  {name} is not drawn. {why}")
    if not counts.complete:
        print(f"continue with --resume --out {finished.path}", file=sys.stderr)
