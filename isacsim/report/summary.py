"""The table that a run ends with."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
from rich.table import Table

from isacsim.engine.run import Run
from isacsim.report.statistics import mean, median
from isacsim.solvers.solution import Status


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


def table(run: Run) -> Table:
    """The rows as a table: mean and half-width of the 95 % interval."""
    found = list(rows(run))
    quantities = list(dict.fromkeys((row["quantity"], row["unit"]) for row in found))
    lead = [*run.axes, "evaluate", "design"]
    view = Table(title=run.title or None, caption="mean over the trials ± half the 95 % interval")
    for dim in lead:
        view.add_column(dim)
    for name, unit in quantities:
        view.add_column(name + (f"\n({unit})" if unit != "1" else ""), justify="right")
    cells: dict[tuple[Any, ...], dict[str, str]] = {}
    for row in found:
        half = f" ± {row['half_width']:.2g}" if np.isfinite(row["half_width"]) else ""
        cells.setdefault(tuple(row[d] for d in lead), {})[row["quantity"]] = f"{row['mean']:.4g}{half}"
    for place, values in cells.items():
        view.add_row(*(_text(p) for p in place), *(values.get(name, "") for name, _ in quantities))
    return view


def statuses(run: Run) -> dict[str, int]:
    """How many solves ended with each status."""
    dataset = run.dataset()
    solved = {(p["design_ids"][d], d): p["coords"] for p in run.points for d in p["design_ids"]}
    codes: list[float] = []
    for (_, design), coords in solved.items():
        codes += dataset["status"].sel({**coords, "design": design}).values.ravel().tolist()
    counted = [c for c in codes if not np.isnan(c)]
    return {str(s): counted.count(float(s.code)) for s in Status if counted.count(float(s.code))}


def _text(value: Any) -> str:
    if isinstance(value, float):
        return "∞" if value == np.inf else f"{value:g}"
    return str(value)
