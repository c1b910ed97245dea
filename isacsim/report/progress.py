"""A live progress bar, as an observer of a run."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from isacsim.engine.events import ChunkEnd, Observer, PointSettled, RunEnd, RunStart, TrialFailed, Word
from isacsim.report.places import at_place

MOST_FAILURES = 10  # kinds of failure that are told while they happen; the summary has all


class _Count(ProgressColumn):
    """Trials as they were asked for: of each point, where there are several."""

    def render(self, task: Task) -> Text:
        points, total = task.fields["points"], int(task.total or 0)
        count = f"{int(task.completed) // points}/{-(-total // points)} trials"
        return Text(count + (f" x {points} points" if points > 1 else ""), no_wrap=True)


class _Pace(ProgressColumn):
    """Trials a second, workers that are busy and the memory of the largest; or why nothing moves."""

    def render(self, task: Task) -> Text:
        if task.fields["word"]:
            return Text(task.fields["word"], style="yellow", no_wrap=True, overflow="ellipsis")
        told = [f"{task.speed:.3g}/s"] if task.speed else []
        if task.elapsed and task.fields["seconds"]:
            told.append(f"{task.fields['seconds'] / task.elapsed:.1f}/{task.fields['workers']} busy")
        if task.fields["memory"]:
            told.append(f"{task.fields['memory'] / 1e6:.0f} MB")
        return Text(" ".join(told), no_wrap=True)


class ProgressBar(Observer):
    """Shows how many trials are done, how many failed, how fast it goes and how long it will take."""

    def __init__(self, console: Console | None = None) -> None:
        self._bar = Progress(
            SpinnerColumn(),
            _Count(),
            BarColumn(bar_width=10),  # all of it fits 80 characters
            _Pace(),
            TextColumn("[red]{task.fields[failed]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(compact=True),
            console=console or Console(stderr=True, emoji=False),
        )
        self._task = TaskID(0)
        self._trials = 0
        self._failed = 0
        self._told: set[tuple[str, str]] = set()

    def run_start(self, event: RunStart) -> None:
        """Show the bar."""
        self._trials = event.trials
        told: dict[str, Any] = {"failed": "", "word": "starting", "seconds": 0.0, "memory": 0}
        self._task = self._bar.add_task("trials", total=event.requested, completed=event.done)
        self._bar.update(self._task, points=event.points, workers=event.workers, **told)
        self._bar.start()

    def word(self, event: Word) -> None:
        """Say why nothing moves."""
        self._bar.update(self._task, word=event.text.removeprefix("isacsim: "))

    def chunk_end(self, event: ChunkEnd) -> None:
        """Move the bar."""
        fields = self._bar.tasks[self._task].fields
        told: dict[str, Any] = {
            "seconds": fields["seconds"] + event.seconds,
            "memory": max(fields["memory"], event.memory),
        }
        self._bar.update(self._task, advance=event.done + event.partly + event.failed, word="", **told)

    def point_settled(self, event: PointSettled) -> None:
        """Take off what the point does not need."""
        total = self._bar.tasks[self._task].total or 0
        self._bar.update(self._task, total=total - max(0, self._trials - event.trials))

    def trial_failed(self, event: TrialFailed) -> None:
        """Count the failure; the first of each kind is told at once."""
        self._failed += 1
        self._bar.update(self._task, failed=f"{self._failed} failed")
        kind = event.part, event.error
        if kind not in self._told and len(self._told) < MOST_FAILURES:
            self._told.add(kind)
            part = f"{event.part} of " if event.part else ""
            line = f"{part}trial {event.trial} failed{at_place(event.coords)}: {event.error}"
            self._bar.console.print(line, markup=False)

    def run_end(self, event: RunEnd) -> None:
        """Leave the bar as it is."""
        self._bar.stop()
