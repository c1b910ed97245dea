"""How much work a task is: as much as takes some time, judged by the tasks that came back."""

from __future__ import annotations

from attrs import define

from isacsim.engine.work import Cost

# Of a task, in s. Handing one out and committing it take some milliseconds, which are then less than a
# hundredth; and what a crash or a second Ctrl-C can cost is half a second of each worker.
AIM = 0.5
# A task may be so many times as large as the one that it is judged by: the first of a worker compiles and
# opens files, and a small one tells little of a large one.
GROWTH = 4
# Of the numbers that a task brings home: with a few in flight for each worker, the driver holds little.
MOST_BYTES = 16 * 2**20


@define
class Pace:
    """Finds the size of tasks; nothing of the results depends on it.

    Attributes:
        items: Pairs of a point and a trial that a task is to have.
    """

    items: int = 1

    def observe(self, items: int, cost: Cost) -> None:
        """Take in what a task of so many items has cost."""
        hurried = cost.seconds < AIM and cost.bytes < MOST_BYTES
        if hurried and items * GROWTH < self.items:  # what is left over at an end: mostly its fixed costs
            return
        share = min(AIM / max(cost.seconds, 1e-9), MOST_BYTES / max(cost.bytes, 1))
        self.items = max(1, int(items * min(share, GROWTH)))

    def lost(self, items: int) -> None:
        """Take in that a task of so many items took too long, or its worker with it."""
        self.items = max(1, min(self.items, items // 2))
