"""Whether a later run is slower or worse than an earlier one, beyond noise.

Times are compared after division by those of the kernel (`isacsim.benchmark.clock`), as the
ratio of the medians over the rounds. Resampling the rounds gives its interval, and a case
counts as slower when all of it lies above a margin. That margin is for what rounds cannot
show: that one of the two runs as a whole met the machine in another state. Whoever sees a
slower case measures it again; only what is slower twice is a regression.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

import numpy as np
from attrs import frozen

from isacsim.benchmark.cases import Case
from isacsim.benchmark.quality import Loss, losses
from isacsim.benchmark.results import MACHINE, Result, Results
from isacsim.typing import FloatArray

MARGIN = 1.25
LEVEL = 0.99
RESAMPLES = 2000
FEW = 3  # fewer rounds have no interval of their own,
SPREAD = 1.6  # and are taken to be off by up to this factor


@frozen
class Ratio:
    """How many times longer something takes now, and the interval that the rounds allow."""

    value: float
    low: float
    high: float

    @property
    def slower(self) -> bool:
        """Whether all of the interval is beyond the margin."""
        return self.low > MARGIN

    @property
    def faster(self) -> bool:
        """Whether all of it is below its inverse."""
        return self.high < 1 / MARGIN

    def __str__(self) -> str:
        return f"{self.value:.2f} ({self.low:.2f} to {self.high:.2f})"


def ratio(before: FloatArray, now: FloatArray) -> Ratio:
    """The ratio of the medians of two sets of rounds (R,), with its bootstrap interval."""
    value = float(np.median(now) / np.median(before))
    if min(before.size, now.size) < FEW:
        return Ratio(value, value / SPREAD, value * SPREAD)
    rng = np.random.default_rng(0)
    drawn = [np.median(rng.choice(x, (RESAMPLES, x.size)), axis=1) for x in (now, before)]
    low, high = np.quantile(drawn[0] / drawn[1], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Ratio(value, float(low), float(high))


class Verdict(Enum):
    """What is said of a case."""

    SAME = "same"
    SLOWER = "SLOWER"
    WORSE = "WORSE"
    FASTER = "faster"
    FAILED = "FAILED"
    GONE = "absent"

    @property
    def regression(self) -> bool:
        """Whether it counts as one."""
        return self in (Verdict.SLOWER, Verdict.WORSE, Verdict.FAILED)


@frozen
class Comparison:
    """How one case stands to what it was.

    Attributes:
        case: The case.
        ratio: Of its times; None where one of both has none.
        losses: What of its quality got worse.
        error: Why it was not measured; empty if it was.
        failed: Whether it failed.
        timed: Whether times count.
    """

    case: Case
    ratio: Ratio | None
    losses: tuple[Loss, ...] = ()
    error: str = ""
    failed: bool = False
    timed: bool = True

    @property
    def verdict(self) -> Verdict:
        """The gravest thing to say."""
        if self.error:
            return Verdict.FAILED if self.failed else Verdict.GONE
        if self.losses:
            return Verdict.WORSE
        if self.ratio is None or not self.timed:
            return Verdict.SAME
        return Verdict.SLOWER if self.ratio.slower else Verdict.FASTER if self.ratio.faster else Verdict.SAME


def compare(before: Results, now: Results, *, times: bool = True) -> list[Comparison]:
    """The cases of the later run that the earlier one measured.

    Args:
        before: The earlier run.
        now: The later run.
        times: Whether times count; they never do between machines.
    """
    timed = times and same_machine(before, now)
    pairs = ((before.find(result.case), result) for result in now.results)
    return [_compared(old, new, before, timed) for old, new in pairs if old and old.rounds]


def _compared(old: Result, new: Result, before: Results, timed: bool) -> Comparison:
    if new.error:
        return Comparison(old.case, None, (), new.error, new.failed, timed)
    lost: tuple[Loss, ...] = ()
    if old.quality and new.quality:
        reference = before.best(old.case.subject, old.case.size)
        lost = tuple(losses(old.quality, new.quality, reference, old.sense))
    return Comparison(old.case, ratio(old.relative, new.relative), lost, timed=timed)


def same_machine(before: Results, now: Results) -> bool:
    """Whether both runs come from machines that are alike, so that times can be compared."""
    return all(before.made.get(key) == now.made.get(key) for key in MACHINE)


def differences(before: Results, now: Results) -> list[str]:
    """What is another version or machine, as sentences."""
    found = [
        f"{key.removesuffix('_version').replace('_', ' ')}: {before.made.get(key)} -> {now.made.get(key)}"
        for key in ("isacsim_version", "python_version", *MACHINE)
        if before.made.get(key) != now.made.get(key)
    ]
    old, new = (dict(r.made.get("library_versions", {})) for r in (before, now))
    return found + [f"{n}: {old.get(n)} -> {new.get(n)}" for n in {**old, **new} if old.get(n) != new.get(n)]


def suspects(comparisons: Sequence[Comparison]) -> list[Case]:
    """Cases that are slower at a first look, and worth a second one."""
    return [c.case for c in comparisons if c.timed and c.ratio is not None and c.ratio.slower and not c.error]
