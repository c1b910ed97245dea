"""How much work a task is: as much as takes some time, judged by the tasks that came back."""

from __future__ import annotations

from attrs import define, field

from isacsim.engine.work import Cost

# Of a task, in s. Handing one out and committing it take some milliseconds, which are then less than a
# hundredth; and what a crash or a second Ctrl-C can cost is half a second of each worker.
AIM = 0.5
# What a batch costs whatever its size, as an iteration in Python does, may be half of a task at most, while that
# takes less than so many seconds: a batch of sixteen designs can take twice the time of one.
MOST_SECONDS = 10 * AIM
# A task may be so many times as large as the one that it is judged by: the first of a worker compiles and
# opens files, and a small one tells little of a large one.
GROWTH = 4
# Of a task's time at least, if that of processors is to count: a machine that others use lets a task wait, and how long
# tells nothing of its size. One that waits for something else, a measuring device or another machine, has hardly any.
LEAST_BUSY = 1 / 16
# What a task took is forgotten after so many further ones: of a busy machine it tells too much, and larger ones are
# tried again.
MEMORY = 8
# Of the numbers that a task brings home: with a few in flight for each worker, the driver holds little.
MOST_BYTES = 16 * 2**20


@define
class Pace:
    """Finds the size of tasks; nothing of the results depends on it.

    Attributes:
        items: Pairs of a point and a trial that a task is to have.
        seen: Seconds that the last task of each size took, rising with the size: what a larger one has
            undercut, as it does the first of a worker that compiled, is forgotten.
        count: Of the tasks that came back.
    """

    items: int = 1
    seen: dict[int, float] = field(factory=dict)
    count: int = 0
    _at: dict[int, int] = field(factory=dict, init=False)  # `count` when each of `seen` came

    def observe(self, items: int, cost: Cost) -> None:
        """Take in what a task of so many items has cost."""
        seconds = cost.busy if cost.busy > LEAST_BUSY * cost.seconds else cost.seconds
        hurried = seconds < AIM and cost.bytes < MOST_BYTES
        if hurried and items * GROWTH < self.items:  # what is left over at an end: mostly its fixed costs
            return
        self.count += 1
        self._at[items] = self.count
        kept = {n: s for n, s in self.seen.items() if n != items and (n < items) == (s < seconds)}
        self.seen = {n: s for n, s in kept.items() if self.count - self._at[n] < MEMORY} | {items: seconds}
        most = items * min(MOST_BYTES / max(cost.bytes, 1), GROWTH)
        self.items = max(1, int(min(self._fitting(items, seconds), most)))

    def _fitting(self, items: int, seconds: float) -> float:
        """How many items take `AIM`, or where the fixed costs are much of that, twice those."""
        least, largest = min(self.seen), max(self.seen)
        if least == largest:  # whether there are fixed costs is seen by a larger task
            proportional = items * AIM / max(seconds, 1e-9)
            return max(proportional, 2 * items) if seconds < MOST_SECONDS else proportional
        each = (self.seen[largest] - self.seen[least]) / (largest - least)
        fixed = max(self.seen[least] - each * least, 0.0)
        aim = max(AIM, min(2 * fixed, MOST_SECONDS))
        return max(aim - fixed, 0.0) / max(each, 1e-9)

    def lost(self, items: int) -> None:
        """Take in that a task of so many items took too long, or its worker with it."""
        self.seen = {}
        self.items = max(1, min(self.items, items // 2))
