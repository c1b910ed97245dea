"""The log of a run: a line of JSON for each event, for whoever looks after long runs."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
from attrs import field, frozen

from isacsim.engine.events import ChunkEnd, Observer, PointSettled, RunEnd, RunStart, TrialFailed, Word
from isacsim.errors import InvalidInput
from isacsim.strictjson import finite


def _can_be_written(_: Any, attribute: Any, path: Path) -> None:
    if path.is_dir() or not path.parent.is_dir():
        remedy = "Name a file in a folder that is there."
        raise InvalidInput(attribute.name, "must be a file, in a folder that is there", str(path), remedy)


@frozen
class RunLog(Observer):
    """Writes a line of JSON for each event: its time, its name and what it tells, times in s and memory in bytes.

    Each line is in the file before the run goes on. A run that is continued adds to it.

    Attributes:
        path: The file.
    """

    path: Path = field(converter=Path, validator=_can_be_written)

    def run_start(self, event: RunStart) -> None:
        """A run begins."""
        self._write("run_start", event)

    def chunk_end(self, event: ChunkEnd) -> None:
        """A chunk is committed."""
        self._write("chunk_end", event)

    def trial_failed(self, event: TrialFailed) -> None:
        """A trial failed."""
        self._write("trial_failed", event)

    def word(self, event: Word) -> None:
        """A worker compiles."""
        self._write("word", event)

    def point_settled(self, event: PointSettled) -> None:
        """A point has all its trials."""
        self._write("point_settled", event)

    def run_end(self, event: RunEnd) -> None:
        """A run ends."""
        self._write("run_end", event)

    def _write(self, name: str, event: Any) -> None:
        told = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": name, **attrs.asdict(event)}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(finite(told), default=str) + "\n")
