"""What a run would take, before it is begun: numbers, disk and memory."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any

from attrs import frozen

from isacsim.drop import Drop
from isacsim.engine.scenario import Design, Scenario
from isacsim.engine.views import SOLVES
from isacsim.errors import InvalidInput
from isacsim.memory import COMPLEX, machine_memory, size_told
from isacsim.metrics.components import Measure
from isacsim.plugin.isolation import contained

NUMBER = 8  # bytes
ROW, SOLVE = 60, 250  # bytes of a row beside its numbers, and of a solve beside its decision, as measured
MOST_TRIALS = 10**9  # at all points together: at a millisecond each, twelve days of one core


@frozen
class Estimate:
    """What a run would take.

    Attributes:
        trials: Trials of all points together.
        solves: Solves, at most.
        numbers: Numbers of a trial at a point.
        disk: Size of its ledger, in bytes.
        memory: Size of its dataset, in bytes.
    """

    trials: int
    solves: int
    numbers: int
    disk: int
    memory: int

    @classmethod
    def of(cls, scenario: Scenario, points: int, solves: int) -> Estimate:
        """The estimate of a scenario of so many points, and so many solves a trial."""
        trials, sizes = points * scenario.trials, _sizes(scenario)
        judged = {label: len(e.designs or scenario.design) for label, e in scenario.evaluate.items()}
        row = sum(size * judged[label] for (label, _), size in sizes.items())
        dense = len(scenario.evaluate) * len(scenario.design)  # the dataset has a place for each pair
        whole = dense * sum({quantity: size for (_, quantity), size in sizes.items()}.values())
        station = scenario.base_station
        bins = 1 if station.grid is None else station.grid.used
        decision = COMPLEX * bins * max(_entries(scenario, design) for design in scenario.design.values())
        disk = trials * (ROW + NUMBER * row) + solves * scenario.trials * (SOLVE + decision)
        memory = trials * NUMBER * (whole + len(scenario.design) * (len(SOLVES) + 2))
        return cls(trials, solves * scenario.trials, row, disk, memory)

    def require(self, folder: Path) -> None:
        """Refuse what would end after long work, or never.

        Raises:
            InvalidInput: If the ledger cannot be on the disk of ``folder``, the dataset not in memory, or the trials
                are beyond any patience.
        """
        remedy = "Take fewer trials or points; --yes runs it all the same (`any_size` in Python)."
        place = next((p for p in (folder, *folder.absolute().parents) if p.exists()), Path())
        free, there = shutil.disk_usage(place).free, machine_memory()
        if self.trials > MOST_TRIALS:
            raise InvalidInput("trials", f"must be at most {MOST_TRIALS} at all points together", self.trials, remedy)
        for what, where, needed, have in (
            ("the ledger", f"on the disk of {place}", self.disk, free),
            ("the dataset", "in memory", self.memory, there),
        ):
            if needed > have:
                rule = f"must fit {where}: {what} takes about {size_told(needed)}, and there are {size_told(have)}"
                raise InvalidInput("trials", rule, self.trials, remedy)

    def __str__(self) -> str:
        return (
            f"about {size_told(self.disk)} on disk and {size_told(self.memory)} as a dataset, "
            f"{self.numbers} numbers a trial and point"
        )


def _entries(scenario: Scenario, design: Design) -> int:
    """Entries of a design's precoder; of sensing streams as many as antennas where their number is not given."""
    antennas, sensing = scenario.base_station.transmit_array.size, getattr(design.problem, "sensing_streams", None)
    return antennas * (scenario.users.count + (sensing if isinstance(sensing, int) else antennas))


def _sizes(scenario: Scenario) -> dict[tuple[str, str], int]:
    """Numbers of each quantity of an evaluation, for one design, as far as labels of axes tell them."""
    try:
        with contained():
            drop = scenario.drop((scenario.trials - 1,))
    except Exception:  # a model can fail in any way at one trial; the others will tell
        return {}
    return {
        (label, quantity): size
        for label, evaluation in scenario.evaluate.items()
        for measure in (*evaluation.metrics, *evaluation.experiments)
        for quantity, size in _sizes_of(measure, drop)
    }


def _sizes_of(measure: Measure, drop: Drop) -> list[tuple[str, int]]:
    """Numbers of each quantity; an axis that is not labelled counts once, but users, which are known."""
    lengths: dict[str, int] = {"user": drop.H.shape[-1], **labelled(measure, drop)}
    return [(q.name, math.prod(lengths.get(dim, 1) for dim in q.dims)) for q in measure.quantities]


def labelled(measure: Measure, drop: Drop) -> dict[str, int]:
    """Lengths of the axes that a measure has labels for; none if it cannot tell them here."""
    try:
        with contained():
            named: Any = measure.labels(drop)
            return {dim: len(labels) for dim, labels in named.items()}
    except Exception:  # told by a rehearsal, or by the trials
        return {}
