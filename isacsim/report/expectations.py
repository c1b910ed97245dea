"""A run beside the numbers that its scenario expects."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import frozen
from rich.table import Table

from isacsim.engine.folder import Run
from isacsim.engine.statistics import STATISTICS
from isacsim.engine.views import Expectation

if TYPE_CHECKING:
    import xarray


@frozen
class Finding:
    """One number that was expected, and what the run found.

    Attributes:
        coords: Where in the sweep.
        expected: The number.
        found: The run's statistic; NaN without trials.
        error: Its standard error; NaN with fewer than two trials.
        allowed: Largest difference that counts as met.
    """

    coords: dict[str, Any]
    expected: float
    found: float
    error: float
    allowed: float

    @property
    def met(self) -> bool:
        """Whether the run came close enough."""
        return abs(self.found - self.expected) <= self.allowed


@frozen
class Judgement:
    """How a run stands to one entry of its scenario's ``expect`` tables."""

    name: str
    expectation: Expectation
    comparisons: tuple[Finding, ...]

    @property
    def met(self) -> bool:
        """Whether all its numbers are met."""
        return all(c.met for c in self.comparisons)

    @property
    def as_known(self) -> bool:
        """Whether they are met, or are known not to be."""
        return self.met == self.expectation.holds


def verdicts(run: Run) -> list[Judgement]:
    """How the run stands to everything its scenario expects."""
    dataset = run.dataset()
    return [Judgement(name, e, tuple(_compare(dataset, e))) for name, e in run.expectations.items()]


def _compare(dataset: xarray.Dataset, e: Expectation) -> Iterator[Finding]:
    samples = dataset[e.quantity].sel(e.at)
    for dim, name in (("design", e.design), ("evaluate", e.evaluate)):
        if dim in samples.dims:
            samples = samples.sel({dim: name}) if name else samples.isel({dim: 0})
    errors = e.errors * len(e.values) if len(e.errors) == 1 else e.errors
    places = samples[e.over].values.tolist() if e.over else [None]
    for expected, own, value in zip(e.values, errors, places, strict=True):
        if not np.isnan(expected):
            chosen = samples.sel({e.over: value}) if e.over else samples
            estimate = STATISTICS[e.statistic](chosen.values.ravel())  # an axis of one value need not be fixed
            found, error = float(estimate.value), float(estimate.error)
            spread = e.standard_errors * np.hypot(np.nan_to_num(error), own)
            allowed = e.absolute + e.relative * abs(expected) + spread
            coords = {**e.at, **({e.over: value} if e.over else {})}
            yield Finding(coords, expected, found, error, float(allowed))


def heading(judged: Judgement) -> str:
    """What is compared with what."""
    e = judged.expectation
    what = " ".join(filter(None, (e.statistic, e.quantity, e.design and f"of {e.design}", e.evaluate)))
    note = f"\n{e.note}" if e.note else ""
    return f"\n{judged.name}: {what}, {e.kind} ({e.source}){note}"


def table(judged: Judgement) -> Table:
    """The numbers of a verdict as a table, a row for each."""
    e = judged.expectation
    view = Table()
    view.add_column(e.over or "at")
    for column in ("found", "expected", "allowed"):
        view.add_column(column, justify="right")
    view.add_column("verdict")
    for c in judged.comparisons:
        place = str(c.coords[e.over]) if e.over else ", ".join(f"{key} = {value}" for key, value in c.coords.items())
        error = f" ± {c.error:.2g}" if np.isfinite(c.error) else ""
        view.add_row(place, f"{c.found:.6g}{error}", f"{c.expected:.6g}", f"{c.allowed:.2g}", verdict(judged, c))
    return view


def verdict(judged: Judgement, comparison: Finding) -> str:
    """What is said of one number."""
    if np.isnan(comparison.found):
        return "no data"
    if comparison.met:
        return "met"
    return "MISSED" if judged.expectation.holds else "differs, as known"


def summary(judged: list[Judgement]) -> str:
    """One line on all of them."""
    numbers = [c for v in judged for c in v.comparisons]
    met = sum(c.met for c in numbers)
    surprises = [v.name for v in judged if not v.as_known]
    known = sum(len(v.comparisons) - sum(c.met for c in v.comparisons) for v in judged if not v.expectation.holds)
    told = f"{met} of {len(numbers)} numbers met" + (f", {known} differ as known" if known else "")
    return told + (f"; against expectation: {', '.join(surprises)}" if surprises else "")


def rows(judged: list[Judgement]) -> list[dict[str, Any]]:
    """The verdicts for scripts, a row for each number."""
    return [
        {
            **c.coords,
            "expectation": v.name,
            "quantity": v.expectation.quantity,
            "design": v.expectation.design,
            "found": c.found,
            "standard_error": c.error,
            "expected": c.expected,
            "allowed": c.allowed,
            "verdict": verdict(v, c),
            "kind": v.expectation.kind,
            "source": v.expectation.source,
        }
        for v in judged
        for c in v.comparisons
    ]
