"""Where a measure gave no number although its design has an answer."""

from __future__ import annotations

from typing import Any

import numpy as np
from attrs import frozen

from isacsim.engine.store import Store
from isacsim.engine.work import SCALARS
from isacsim.solvers.solution import Status


@frozen
class Unnumbered:
    """A quantity that is NaN, or has one in it, in some trials of a point.

    Attributes:
        coords: Value of each axis of the sweep.
        evaluation: Name of the evaluation.
        design: Name of the design.
        quantity: Name of the quantity.
        trials: The trials.
    """

    coords: dict[str, Any]
    evaluation: str
    design: str
    quantity: str
    trials: tuple[int, ...]


def unnumbered(store: Store) -> list[Unnumbered]:
    """Every quantity with NaN of designs that have an answer, point by point."""
    trials, layouts = store.need("trials"), store.layouts()
    found: dict[tuple[str, str, str, str], list[int]] = {}
    for table in store.tables(trials):
        start = 0
        for entry in layouts.get(table.point, ()):
            lacks = np.isnan(table.rows[:, start : start + entry.size]).any(axis=1)
            if lacks.any():
                key = table.point, entry.evaluation, entry.design, entry.name
                found.setdefault(key, []).extend(table.trials[lacks].tolist())
            start += entry.size
    answered = _answered(store, trials) if found else {}
    points: dict[str, dict[str, Any]] = {
        point["id"]: point for point in reversed(store.need("points") if found else [])
    }
    told = []
    for (at, evaluation, design, name), numbers in found.items():
        point = points.get(at, {"design_ids": {}})
        there = answered.get(point["design_ids"].get(design, ""), set())
        lacking = tuple(trial for trial in numbers if trial in there)
        if lacking:
            told.append(Unnumbered(point["coords"], evaluation, design, name, lacking))
    return told


def _answered(store: Store, trials: int) -> dict[str, set[int]]:
    """Trials with an answer, by the address of the design."""
    codes, found = [status.code for status in Status if status.answered], dict[str, set[int]]()
    for solves in store.solves(trials):
        status = solves.scalars[:, SCALARS.index("status")]
        found.setdefault(solves.design, set()).update(solves.trials[np.isin(status, codes)].tolist())
    return found
