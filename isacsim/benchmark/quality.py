"""How good answers are, member by member: what is kept of a solution, and when it got worse.

For a fixed seed these numbers repeat to the last bit on one machine. Elsewhere other
libraries round otherwise: an iteration then ends a few steps earlier or later, with another
residual below its tolerance. The margins here are for that, and no wider.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from attrs import field, frozen

from isacsim.problems.base import Problem
from isacsim.solvers.solution import Solution, Status
from isacsim.typing import FloatArray

ROUNDING = 1e-7  # relative: what rounding leaves of an objective, a gap or a slack
SHORTFALL = 0.5  # an objective may lose half its distance from the best again
FACTOR = 3.0  # a residual that does not meet the tolerance may grow by this much
STEPS = 0.2  # iterations may grow by a fifth
SPARE_STEPS = 3.0  # and, in the mean of the members, by this many


def _number(value: Any) -> float:
    return float("nan") if value is None else float(value)  # JSON has no NaN: it is written as null


def _numbers(values: Any) -> tuple[float, ...]:
    return tuple(map(_number, values))


@frozen
class Quality:
    """What a solver reached on each of M members; NaN where it does not say.

    Attributes:
        objective: The problem's merit.
        gap: Relative duality gap.
        residual: Relative norm of the KKT residual.
        violation: Largest relative violation of a constraint.
        iterations: Steps taken.
        status: Name of the status.
        tolerance: What the solver promises; NaN if nothing.
    """

    objective: tuple[float, ...] = field(converter=_numbers)
    gap: tuple[float, ...] = field(converter=_numbers)
    residual: tuple[float, ...] = field(converter=_numbers)
    violation: tuple[float, ...] = field(converter=_numbers)
    iterations: tuple[float, ...] = field(converter=_numbers)
    status: tuple[str, ...]
    tolerance: float = field(converter=_number)

    @property
    def answered(self) -> list[bool]:
        """Which members have a precoder."""
        return [Status[name].answered for name in self.status]

    def worst(self, name: str) -> float:
        """The largest value of a field over the members that have one, else NaN."""
        values = np.array(getattr(self, name))
        return float(np.max(values[~np.isnan(values)], initial=-np.inf)) if np.any(~np.isnan(values)) else np.nan

    def counts(self) -> dict[str, int]:
        """How many members ended with each status."""
        return {name: self.status.count(name) for name in dict.fromkeys(self.status)}


def quality_of(problems: list[Problem], solutions: list[Solution], tolerance: float) -> Quality:
    """The quality of solutions, each of a problem or of a batch of them."""

    def joined(name: str) -> FloatArray:
        return np.concatenate([np.ravel(np.asarray(getattr(s, name), float)) for s in solutions])

    return Quality(
        objective=joined("objective"),
        gap=joined("gap"),
        residual=joined("residual"),
        violation=np.concatenate([_violation(p, s) for p, s in zip(problems, solutions, strict=True)]),
        iterations=joined("iterations"),
        status=tuple(str(status) for s in solutions for status in np.ravel(s.status)),
        tolerance=tolerance,
    )


def _violation(problem: Problem, solution: Solution) -> FloatArray:
    lead = np.shape(solution.objective)
    worst = np.zeros(lead)
    for slack in problem.constraints(problem.argument(solution.decision)).values():
        own = np.asarray(slack, float).reshape((*lead, -1))
        worst = np.fmax(worst, -own.min(axis=-1, initial=np.inf))
    return np.ravel(np.where(np.isnan(solution.objective), np.nan, worst))


def best(qualities: list[Quality], sense: int) -> FloatArray:
    """The best objective of each member, over answers that violate no constraint by 1e-6; NaN without one."""
    members = max((len(q.objective) for q in qualities), default=0)
    merit = np.full(members, -np.inf)
    for q in qualities:
        here = sense * np.array(q.objective)
        fair = ~np.isnan(here) & (np.array(q.violation) <= 1e-6)
        merit[: here.size] = np.fmax(merit[: here.size], np.where(fair, here, -np.inf))
    return np.where(np.isfinite(merit), sense * merit, np.nan)


def shortfall(quality: Quality, reference: FloatArray, sense: int) -> FloatArray:
    """How far each objective is from the best, relative; negative where it is better."""
    known = reference[: len(quality.objective)]
    return sense * (known - np.array(quality.objective)) / np.abs(known)


@frozen
class Loss:
    """One thing that got worse.

    Attributes:
        what: Its name: a field of `Quality`.
        before: What it was.
        now: What it is.
        member: The member it is worst at; -1 is all of them.
    """

    what: str
    before: float | str
    now: float | str
    member: int = -1

    def __str__(self) -> str:
        told = [value if isinstance(value, str) else f"{value:.4g}" for value in (self.before, self.now)]
        if told[0] == told[1]:
            told = [f"{value:.9g}" for value in (self.before, self.now)]
        where = f" of member {self.member}" if self.member >= 0 else ""
        return f"{self.what}{where}: {' -> '.join(told)}"


def losses(before: Quality, now: Quality, reference: FloatArray, sense: int) -> Iterator[Loss]:
    """What is worse now than before, over the members that both have.

    Args:
        before: The quality that was.
        now: The quality that is.
        reference: Best objective that was known of each member, (M,).
        sense: That of the problem.
    """
    count = min(len(before.status), len(now.status))
    kept = [i for i in range(count) if _rank(now.status[i]) <= _rank(before.status[i])]
    for i in range(count):
        if i not in kept:
            yield Loss("status", before.status[i], now.status[i], i)
    yield from _objectives(before, now, kept, reference, sense)
    for what in ("gap", "residual", "violation"):
        yield from _grown(what, before, now, kept)
    steps = [np.array(q.iterations)[:count] for q in (before, now)]
    old, new = (float(np.mean(s)) if count else 0.0 for s in steps)
    if new > (1 + STEPS) * old + SPARE_STEPS:
        yield Loss("iterations", old, new)


def _rank(status: str) -> int:
    """0 with a proof, 1 where the solver's own test is met, 2 with an answer, 3 without."""
    s = Status[status]
    # INFEASIBLE and UNIDENTIFIABLE are answers too: that there is none.
    if s in (Status.GLOBAL, Status.OPTIMAL, Status.INFEASIBLE, Status.UNIDENTIFIABLE):
        return 0
    return 1 if s.good else 2 if s.answered else 3


def _objectives(before: Quality, now: Quality, kept: list[int], reference: FloatArray, sense: int) -> Iterator[Loss]:
    found: list[tuple[float, Loss]] = []
    for i in kept:
        old, new = before.objective[i], now.objective[i]
        if np.isnan(old):
            continue
        short = max(sense * (reference[i] - old) / abs(reference[i]), 0.0) if i < reference.size else 0.0
        fall = sense * (old - new) / abs(old)
        if not fall <= ROUNDING + SHORTFALL * np.nan_to_num(short):
            found.append((fall, Loss("objective", old, new, i)))
    if found:
        yield max(found, key=lambda entry: np.nan_to_num(entry[0], nan=np.inf))[1]


def _grown(what: str, before: Quality, now: Quality, kept: list[int]) -> Iterator[Loss]:
    """The member at which a measure of error grew most, if it grew beyond what it may."""
    found: list[tuple[float, Loss]] = []
    for i in kept:
        old, new = getattr(before, what)[i], getattr(now, what)[i]
        if np.isnan(old):
            continue
        promise = 0.0 if what == "violation" or np.isnan(before.tolerance) else before.tolerance
        allowed = max(FACTOR * old, promise, ROUNDING)
        if not new <= allowed:
            found.append((new / allowed, Loss(what, old, new, i)))
    if found:
        yield max(found, key=lambda entry: np.nan_to_num(entry[0], nan=np.inf))[1]
