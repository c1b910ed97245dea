"""A live progress bar, as an observer of a run."""

from __future__ import annotations

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from isacsim.engine.events import ChunkEnd, Observer, RunEnd, RunStart, TrialFailed


class ProgressBar(Observer):
    """Shows how many trials are done, how many failed, and how long it will take."""

    def __init__(self, console: Console | None = None) -> None:
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("[red]{task.fields[failed]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console or Console(stderr=True),
        )
        self._task = TaskID(0)
        self._failed = 0

    def run_start(self, event: RunStart) -> None:
        """Show the bar."""
        self._task = self._bar.add_task("trials", total=event.requested, completed=event.done, failed="")
        self._bar.start()

    def chunk_end(self, event: ChunkEnd) -> None:
        """Move the bar."""
        self._bar.advance(self._task, event.done + event.partly + event.failed)

    def trial_failed(self, event: TrialFailed) -> None:
        """Count the failure; the first one is told at once."""
        self._failed += 1
        part = f"{event.part} of " if event.part else ""
        self._bar.update(self._task, failed=f"{self._failed} failed")
        if self._failed == 1:
            self._bar.console.print(f"{part}trial {event.trial} failed at {event.coords}: {event.error}", markup=False)

    def run_end(self, event: RunEnd) -> None:
        """Leave the bar as it is."""
        self._bar.stop()
