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
from isacsim.plugin.surroundings import undisturbed

NUMBER = 8  # bytes
# In pages of 4 KiB, SQLite's default, rows of 1 KiB have a further page each, as those of a precoder of 16 x 4.
PAGE = 8192  # bytes of the ledger
# Bytes of a row beside its numbers, and of a solve beside its decision, as measured where each trial has a row of its
# own. Quick trials share rows and take less, which is not known before the run.
ROW, SOLVE = 60, 250
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
        disk = trials * _stored(ROW + NUMBER * row) + solves * scenario.trials * _stored(SOLVE + decision)
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


def _stored(row: int) -> int:
    """Bytes that a row takes: one of more than a quarter of a page has an eighth there, and whole pages of its own."""
    return row if row <= PAGE // 4 else PAGE // 8 + PAGE * math.ceil((row - PAGE // 8) / PAGE)


def _entries(scenario: Scenario, design: Design) -> int:
    """Entries of a design's precoder, with as many sensing streams as its problem has by default.

    As many as antennas where it has no default that is known.
    """
    antennas, users = scenario.base_station.transmit_array.size, scenario.users.count
    sensing = getattr(design.problem, "sensing_streams", antennas)
    if sensing is None:
        targets: Any = getattr(_drop(scenario), "targets", None)
        sensing = max(0, getattr(targets, "sensing_streams", getattr(targets, "count", antennas + users)) - users)
    return antennas * (users + int(sensing))


def _drop(scenario: Scenario) -> Drop | None:
    """The realisation of the last trial; None where it fails."""
    try:
        with undisturbed(), contained():
            return scenario.drop((scenario.trials - 1,))
    except Exception:  # a model can fail in any way at one trial; the others will tell
        return None


def _sizes(scenario: Scenario) -> dict[tuple[str, str], int]:
    """Numbers of each quantity of an evaluation, for one design, as far as labels of axes tell them."""
    drop = _drop(scenario)
    if drop is None:
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
        with undisturbed(), contained():
            named: Any = measure.labels(drop)
            return {dim: len(labels) for dim, labels in named.items()}
    except Exception:  # told by a rehearsal, or by the trials
        return {}
