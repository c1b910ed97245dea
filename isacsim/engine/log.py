"""The log of a run: a line of JSON for each event, for whoever looks after long runs."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
from attrs import field, frozen

from isacsim.engine.events import Observer
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

    def on_event(self, name: str, event: Any) -> None:
        """Write an event."""
        line = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": name, **attrs.asdict(event)}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(finite(line), default=str) + "\n")
