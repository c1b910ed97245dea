"""Events of a run, and those who are told of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from attrs import field, frozen


@frozen
class RunStart:
    """A run begins.

    Attributes:
        title: Title of the scenario.
        folder: The run folder.
        requested: Trials of all points.
        done: Those of them that are there already.
        trials: Trials of each point, at most.
        points: Points of the sweep.
        workers: Workers that were asked for.
    """

    title: str
    folder: Path
    requested: int
    done: int
    trials: int = field(default=0, eq=False)
    points: int = field(default=1, eq=False)
    workers: int = field(default=1, eq=False)


@frozen
class ChunkEnd:
    """A chunk is committed: so many of its trials are ``done``, ``failed`` and ``partly`` done.

    Attributes:
        seconds: Time that a worker took for it, in s.
        memory: The most that this worker has held so far, in bytes; 0 where the system does not tell.
    """

    done: int
    failed: int
    partly: int = 0
    seconds: float = field(default=0.0, eq=False)
    memory: int = field(default=0, eq=False)


@frozen
class TrialFailed:
    """A trial failed at a point of the sweep, or what ``part`` names of it: a design, or a measure of one."""

    coords: dict[str, object]
    trial: int
    error: str
    part: str = ""


@frozen
class Word:
    """What a worker says while it computes: that it compiles, for the first use on a machine."""

    text: str


@frozen
class PointSettled:
    """A point of the sweep is as precise as was asked after so many ``trials``, and gets no more."""

    coords: dict[str, object]
    trials: int


@frozen
class RunEnd:
    """A run ends: ``requested = done + partly + failed + skipped``."""

    requested: int
    done: int
    failed: int
    skipped: int
    partly: int = 0


class Observer:
    """Is told what happens in a run; a plugin derives from it and overrides what it needs, or ``on_event`` for all.

    Observers live in the driver's process and cannot change results. One that raises is
    reported at the run's end and told nothing more.
    """

    def run_start(self, event: RunStart) -> None:
        """A run begins."""
        self.on_event("run_start", event)

    def chunk_end(self, event: ChunkEnd) -> None:
        """A chunk is committed."""
        self.on_event("chunk_end", event)

    def trial_failed(self, event: TrialFailed) -> None:
        """A trial failed."""
        self.on_event("trial_failed", event)

    def word(self, event: Word) -> None:
        """A worker says why it takes its time."""
        self.on_event("word", event)

    def point_settled(self, event: PointSettled) -> None:
        """A point has all the trials that it gets, fewer than the scenario's."""
        self.on_event("point_settled", event)

    def run_end(self, event: RunEnd) -> None:
        """A run ends, complete or not."""
        self.on_event("run_end", event)

    def on_event(self, name: str, event: Any) -> None:
        """An event that no method of its own is for: that of the name, unless it is overridden."""
