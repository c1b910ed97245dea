"""What becomes of a run when a trial fails."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import define, field

from isacsim.checks import choice
from isacsim.engine.plan import Task
from isacsim.engine.sealed import Sealed
from isacsim.engine.work import only_apart

ON_FAILURE = ("skip", "retry", "abort")
Came = list[tuple[Task, Sealed]]


class Aborted(Exception):
    """A trial has failed, and the run is to end for it."""


@define
class Policy:
    """What is done about a trial of which something failed.

    Attributes:
        on_failure: ``skip`` keeps why it failed and goes on; ``retry`` runs it once more, alone, and keeps what comes
            of that; ``abort`` ends the run, and keeps what is in flight.
    """

    on_failure: str = field(default="skip", validator=choice(*ON_FAILURE))
    _tried: set[tuple[str, int]] = field(factory=set, init=False)

    def taken(self, task: Task, outcome: Sealed) -> tuple[Came, list[Task]]:
        """What is to be kept of a task, by the parts of it that are settled, and what is to be run once more."""
        failed = [] if self.on_failure != "retry" else [key for key in _failed(outcome) if key not in self._tried]
        if not failed:
            return [(task, outcome)], []
        self._tried.update(failed)
        for key in failed:
            del outcome.failures[key]
            outcome.partial.pop(key, None)
        again = {point.id: [t for at, t in failed if at == point.id] for point in task.points}
        rest = [Task((p,), tuple(t for t in task.trials if t not in again[p.id])) for p in task.points]
        came = [(Task(task.points, ()), outcome), *((part, Sealed()) for part in rest)]
        return came, [Task((p,), (trial,)) for p in task.points for trial in again[p.id]]

    def judge(self, came: Iterable[tuple[Task, Sealed]]) -> None:
        """See whether the run is to go on behind what is kept.

        Raises:
            Aborted: If it is not.
        """
        if self.on_failure == "abort" and any(_failed(outcome) for _, outcome in came):
            raise Aborted


def _failed(outcome: Sealed) -> list[tuple[str, int]]:
    """The points and trials of which something failed; other axes come again as often as they are asked for."""
    return [key for key, parts in outcome.failures.items() if not only_apart(parts)]
