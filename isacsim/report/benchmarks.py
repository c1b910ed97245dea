"""The tables of a benchmark, on the terminal and as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from attrs import frozen
from rich.table import Table

from isacsim.benchmark.comparison import Comparison, Verdict
from isacsim.benchmark.quality import shortfall
from isacsim.benchmark.results import Results

SOLVERS = ("size", "solver", "of", "time", "ratio", "best", "gap", "viol.", "steps", "status")
HARDWARE = ("face", "stage", "time", "throughput")


def rows(results: Results) -> Iterator[dict[str, Any]]:
    """A row for each case: numbers for scripts, NaN where there is none."""
    for result in results.results:
        case, quality = result.case, result.quality
        row = {
            "subject": case.subject,
            "size": case.size,
            "name": case.name,
            "mode": case.mode,
            "members": case.members,
            "time": result.seconds(),
            "rounds": len(result.rounds),
            "error": result.error,
        }
        if quality is not None:
            reference = results.best(case.subject, case.size)
            off = shortfall(quality, reference, result.sense)
            row |= {
                "ratio": results.ratio(result),
                "shortfall": float(np.max(off[~np.isnan(off)], initial=-np.inf)) if np.any(~np.isnan(off)) else np.nan,
                "gap": quality.worst("gap"),
                "residual": quality.worst("residual"),
                "violation": quality.worst("violation"),
                "iterations": float(np.median(quality.iterations)),
                "status": quality.counts(),
            }
        yield row


@frozen
class Section:
    """One table: of a problem, or of hardware.

    Attributes:
        title: Its title.
        headings: Its columns.
        cells: Its rows.
        notes: What is not in it, and why.
    """

    title: str
    headings: tuple[str, ...]
    cells: list[tuple[str, ...]]
    notes: list[str]


def sections(results: Results) -> Iterator[Section]:
    """The tables, one for each problem, and one of hardware."""
    every = list(rows(results))
    for subject in dict.fromkeys(row["subject"] for row in every):
        here = [row for row in every if row["subject"] == subject]
        order = list(dict.fromkeys(row["size"] for row in here))
        here.sort(key=lambda row: order.index(row["size"]))
        notes = [f"{row['size']} {row['name']}: {row['error']}" for row in here if row["error"]]
        measured = [row for row in here if not row["error"]]
        headings, cells = (HARDWARE, _hardware_cells) if subject == "hardware" else (SOLVERS, _solver_cells)
        yield Section(subject, headings, [cells(row) for row in measured], notes)


def _solver_cells(row: dict[str, Any]) -> tuple[str, ...]:
    calls = f"{row['members']}" if row["mode"] == "alone" else f"x{row['members']}"
    ratio = "" if np.isnan(row["ratio"]) else f"{row['ratio']:.3g}"
    objective = "" if np.isnan(row["shortfall"]) else "best" if row["shortfall"] <= 1e-9 else f"{-row['shortfall']:.0e}"
    gap = _small(row["gap"]) or (f"{_small(row['residual'])} r" if row["residual"] >= 0 else "")
    counts = row["status"]
    status = next(iter(counts)) if len(counts) == 1 else ", ".join(f"{n} {name}" for name, n in counts.items())
    return (
        row["size"], row["name"], calls, _duration(row["time"]), ratio, objective,
        gap, _small(row["violation"]), f"{row['iterations']:.0f}", status,
    )  # fmt: skip


def _hardware_cells(row: dict[str, Any]) -> tuple[str, ...]:
    unit = "samples" if row["size"] == "apply" else "covariances"
    return row["size"], row["name"], _duration(row["time"]), f"{1 / row['time']:.3g} {unit}/s"


def _small(value: float) -> str:
    return "" if np.isnan(value) else "0" if value == 0 else f"{value:.0e}"


def _duration(seconds: float) -> str:
    units = ((1, "s"), (1e3, "ms"), (1e6, "us"))
    scale, unit = next(((scale, unit) for scale, unit in units if seconds * scale >= 1), (1e9, "ns"))
    return f"{seconds * scale:.3g} {unit}"


LEGEND = (
    "of: realisations, solved one by one, or x as one batch. time: of one of them.\n"
    "ratio: the published algorithm's time over it. best: the worst member's\n"
    "distance from the best objective found, relative. gap (r: KKT residual) and\n"
    "violation: the largest of the members. steps: the median."
)


def tables(results: Results) -> Iterator[Table | str]:
    """The tables for a terminal, and the notes on each."""
    for section in sections(results):
        for size in dict.fromkeys(row[0] for row in section.cells):
            view = Table(
                title=f"{section.title} {size}",
                title_justify="left",
                box=None,
                padding=(0, 1, 0, 0),
                header_style="bold",
            )
            for heading in section.headings[1:]:
                left = heading in ("solver", "stage", "status")
                view.add_column(heading, justify="left" if left else "right", no_wrap=heading != "status")
            for row in section.cells:
                if row[0] == size:
                    view.add_row(*row[1:])
            yield view
        yield from section.notes
    yield LEGEND


def markdown(results: Results) -> str:
    """The tables as Markdown, with where they come from."""
    made = results.made
    libraries = ", ".join(f"{k} {v}" for k, v in made["library_versions"].items() if k in ("numpy", "scipy", "cvxpy"))
    parts = [
        f"{made['machine']} ({made['processor']}), Python {made['python_version']}, {libraries}, "
        f"isacsim {made['isacsim_version']}, seed {made['seed']}, {made['created_time'][:10]}: `{made['command']}`."
    ]
    for section in sections(results):
        rule = _line(["---"] * len(section.headings))
        lines = [f"### {section.title}", "", _line(section.headings), rule, *map(_line, section.cells)]
        parts.append("\n".join(lines))
        if section.notes:
            parts.append("\n".join(f"- {note}" for note in section.notes))
    return "\n\n".join(parts)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def verdicts(comparisons: Sequence[Comparison]) -> Table:
    """The comparison as a table, a row for each case."""
    view = Table(box=None, padding=(0, 1, 0, 0))
    for column in ("case", "verdict", "ratio of times"):
        view.add_column(column, no_wrap=True)
    for c in comparisons:
        view.add_row(c.case.title, c.verdict.value, str(c.ratio or c.error))
    return view


def summary(comparisons: Sequence[Comparison]) -> str:
    """One line on all cases."""
    counted = [(v, sum(c.verdict is v for c in comparisons)) for v in Verdict]
    return f"{len(comparisons)} cases: " + ", ".join(f"{n} {v.value}" for v, n in counted if n)


def comparison_rows(comparisons: Sequence[Comparison]) -> list[dict[str, Any]]:
    """The comparison for scripts."""
    return [
        {
            "case": c.case.title,
            "verdict": c.verdict.name.lower(),
            "ratio": c.ratio.value if c.ratio else None,
            "low": c.ratio.low if c.ratio else None,
            "high": c.ratio.high if c.ratio else None,
            "losses": [str(loss) for loss in c.losses],
            "error": c.error,
        }
        for c in comparisons
    ]


def sentence(c: Comparison) -> str:
    """One line on a case that regressed."""
    if c.error:
        return f"{c.case.title} failed: {c.error}"
    slower = f"takes {c.ratio} times as long" if c.timed and c.ratio is not None and c.ratio.slower else ""
    return f"{c.case.title}: {'; '.join(filter(None, [*map(str, c.losses), slower]))}"
