"""The table that a run ends with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import product
from typing import Any, Literal

import numpy as np
from rich.table import Table

from isacsim.engine.folder import Run
from isacsim.engine.statistics import mean, median
from isacsim.report.places import at_place
from isacsim.solvers.solution import Status
from isacsim.units import shown

LOOKED_AT = 20  # solves of a heuristic whose notes are read


def rows(run: Run) -> Iterator[dict[str, Any]]:
    """Mean and median of every scalar quantity at every point, design and evaluation."""
    dataset = run.dataset()
    lead = [*run.axes, "evaluate", "design"]
    quantities = [n for n, v in dataset.items() if tuple(v.dims) == (*lead, "trial")]
    for values in product(*(dataset[dim].values.tolist() for dim in lead)):
        place = dict(zip(lead, values, strict=True))
        for name in quantities:
            samples = dataset[name].sel(place).values
            if not np.isnan(samples).all():
                average, middle = mean(samples), median(samples)
                yield {
                    **place,
                    "quantity": str(name),
                    "unit": dataset[name].attrs["units"],
                    "mean": float(average.value),
                    "half_width": float(average.high - average.value),
                    "median": float(middle.value),
                    "trials": int(average.count),
                }


def table(run: Run, width: float = np.inf) -> Table:
    """The rows as a table: mean and half-width of the 95 % interval.

    Args:
        run: The run.
        width: Characters of a line; where columns for all quantities do not fit it, each has rows.
    """
    lead = [*run.axes, "evaluate", "design"]
    cells: dict[tuple[str, ...], dict[str, str]] = {}
    units: dict[str, str] = {}
    for row in rows(run):
        unit, factor = shown(row["unit"])
        half = f" ± {factor * row['half_width']:.2g}" if np.isfinite(row["half_width"]) else ""
        cells.setdefault(tuple(_text(row[d]) for d in lead), {})[row["quantity"]] = f"{factor * row['mean']:.4g}{half}"
        units[row["quantity"]] = f"({unit})" if unit != "1" else ""
    heads = [*lead, *(f"{name}\n{unit}".strip() for name, unit in units.items())]
    lines = [(*place, *(values.get(name, "") for name in units)) for place, values in cells.items()]
    if _width(heads, lines) > width:
        heads = [*lead, "quantity", "mean"]
        lines = [(*p, f"{name} {units[name]}".strip(), cell) for p, c in cells.items() for name, cell in c.items()]
    view = Table(title=run.title or None, caption="mean over the trials ± half the 95 % interval")
    for head in heads:
        side: Literal["left", "right"] = "left" if head in (*lead, "quantity") else "right"
        view.add_column(head, justify=side, no_wrap=head in lead, overflow="fold")  # nothing is cut short
    for line in lines:
        view.add_row(*line)
    return view


def _width(heads: list[str], lines: list[tuple[str, ...]]) -> int:
    """Characters of a line of a table, with the frame."""
    columns = [[part for cell in column for part in cell.splitlines()] for column in zip(heads, *lines, strict=True)]
    return 1 + sum(max(map(len, column)) + 3 for column in columns)


def statuses(run: Run) -> dict[str, int]:
    """How many solves ended with each status."""
    return _counted([name for _, _, names in _solves(run) for name in names])


def solves(run: Run) -> list[dict[str, Any]]:
    """Each design at each point where it is solved anew: how many solves, their statuses, time and steps."""
    dataset, found = run.dataset(), []
    for coords, design, names in _solves(run):
        counted = _counted(names)
        here = dataset[["solve_time", "iterations"]].sel({**coords, "design": design})
        if counted:
            place = {"design": design, "at": coords, "solves": sum(counted.values()), "statuses": counted}
            time, steps = (float(np.nanmedian(here[name].values)) for name in ("solve_time", "iterations"))
            found.append({**place, "time": time, "iterations": steps})
    return found


def status_lines(run: Run, most: int = 20) -> list[str]:
    """The statuses of each design, a line for each point where they are not the same at all; at most ``most``."""
    found: dict[str, list[tuple[dict[str, Any], dict[str, int]]]] = {}
    for row in solves(run):
        found.setdefault(row["design"], []).append((row["at"], row["statuses"]))
    lines = []
    for design, points in found.items():
        names = {name for _, counted in points for name in counted}
        if len(names) == 1:
            lines.append(f"{design}: {sum(n for _, counted in points for n in counted.values())} {names.pop()}")
            continue
        for at, counted in points:
            told = ", ".join(f"{count} {name}" for name, count in counted.items())
            lines.append(f"{design}{at_place(at)}: {told}")
    more = [f"and {len(lines) - most} more such lines: see isacsim.report.summary.solves"] if len(lines) > most else []
    return lines[:most] + more


def remarks(run: Run) -> list[dict[str, Any]]:
    """Why designs have no answer, and what heuristics miss: of each such status of a design the first note.

    Of heuristics, most of which miss nothing, the first solves are looked at.
    """
    found: dict[tuple[str, Status], dict[str, Any]] = {}
    looked: Counter[str] = Counter()
    for coords, design, names in _solves(run):
        for trial, name in enumerate(names):
            status = Status[name] if name else None
            if status is None or (design, status) in found:
                continue
            if status.answered and (status is not Status.HEURISTIC or looked[design] == LOOKED_AT):
                continue
            looked[design] += status.answered
            notes = run.design(design, trial, **coords).notes
            if notes:
                place = {"design": design, "status": str(status), "at": coords, "trial": trial}
                found[design, status] = {**place, "note": "; ".join(notes)}
    return list(found.values())


def unnumbered(run: Run) -> list[str]:
    """Where measures of designs that have an answer gave NaN, a line each quantity and point."""
    lines = []
    for lack in run.unnumbered():
        more = f" and {len(lack.trials) - 1} more" if len(lack.trials) > 1 else ""
        place = f"{lack.quantity} of {lack.design} in evaluate.{lack.evaluation}{at_place(lack.coords)}"
        lines.append(f"no number: {place}, trial {lack.trials[0]}{more}")
    return lines


def failures(run: Run, most: int = 20) -> list[str]:
    """What failed by point and part, a line each with the first trial of it and how many more; at most ``most``."""
    found: dict[tuple[str, str, str], list[Any]] = {}
    for failure in run.failures():
        at = at_place(failure.coords)
        found.setdefault((failure.what.part or "all of it", at, failure.error), []).append(failure)
    lines = []
    for (part, at, error), of in list(found.items())[:most]:
        more = f" and {len(of) - 1} more" if len(of) > 1 else ""
        place = f" ({of[0].what.place})" if of[0].what.place else ""
        lines.append(f"failed: {part}{at}, trial {of[0].trial}{more}: {error}{place}")
    return lines + ([f"and {len(found) - most} more such lines: see Run.failures()"] if len(found) > most else [])


def _counted(names: list[str]) -> dict[str, int]:
    """How often each status is among the names."""
    return {str(s): names.count(str(s)) for s in Status if str(s) in names}


def _solves(run: Run) -> list[tuple[dict[str, Any], str, list[str]]]:
    """Coordinates, design and the names of the trials' statuses of every solve, once where points share it."""
    status = run.dataset()["status"]
    solved: dict[tuple[str, str], dict[str, Any]] = {}
    for point in run.points:
        for design, address in point["design_ids"].items():
            solved.setdefault((address, design), point["coords"])
    return [(c, d, status.sel({**c, "design": d}).values.ravel().tolist()) for (_, d), c in solved.items()]


def _text(value: Any) -> str:
    if isinstance(value, float):
        return "∞" if value == np.inf else f"{value:g}"
    return str(value)
