"""What is missing of a run, handed out in tasks of the size that is asked for."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence

from attrs import define, field, frozen

from isacsim.engine.plan import Plan, Point, Task


@frozen
class Lot:
    """Trials that are missing of all of some points."""

    points: tuple[Point, ...]
    trials: Sequence[int]

    @property
    def items(self) -> int:
        """Pairs of a point and a trial."""
        return len(self.points) * len(self.trials)


@define
class Backlog:
    """The work of a run, group by group of points that share designs.

    Attributes:
        plan: The plan.
        trials: Trials asked for of each point.
        done: The trials that are there of a point's id.
        chunk: Number of trials of a task; None leaves the size to who takes it.
    """

    plan: Plan
    trials: int
    done: Callable[[str], set[int]]
    chunk: int | None = None
    _groups: Iterator[tuple[int, ...]] = field(init=False)
    _unopened: int = field(init=False)
    _ready: deque[Lot] = field(factory=deque, init=False)
    _items: int = field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        self._groups, self._unopened = iter(self.plan.groups), len(self.plan.points)
        self._open()

    def __bool__(self) -> bool:
        return bool(self._ready)

    @property
    def items(self) -> int:
        """Pairs of a point and a trial that are left, at most."""
        return self._items + self._unopened * self.trials

    def take(self, items: int) -> Task | None:
        """The next task, of at most so many items but of one trial at least; None if nothing is left.

        A task that has room for more than a lot goes on with further points of which the same trials are missing.
        """
        if not self._ready:
            return None
        lot = self._ready[0]
        size = self.chunk or max(1, items // len(lot.points))
        if size < len(lot.trials):
            self._ready[0] = Lot(lot.points, lot.trials[size:])
            return self._handed(lot.points, lot.trials[:size])
        points = list(self._ready.popleft().points)
        self._open()
        while self._ready and self.chunk is None and self._fits(len(points), lot.trials, items):
            points += self._ready.popleft().points
            self._open()
        return self._handed(tuple(points), lot.trials)

    def _fits(self, points: int, trials: Sequence[int], items: int) -> bool:
        """Whether the next lot fits a task of so many points."""
        lot = self._ready[0]
        return (points + len(lot.points)) * len(trials) <= items and lot.trials == trials

    def _handed(self, points: tuple[Point, ...], trials: Sequence[int]) -> Task:
        task = Task(points, tuple(trials))
        self._items -= task.items
        return task

    def _open(self) -> None:
        """Look up groups until there is one of which something is missing."""
        while not self._ready and (group := next(self._groups, None)) is not None:
            self._unopened -= len(group)
            self._ready.extend(missing([self.plan.points[i] for i in group], range(self.trials), self.done))
            self._items += sum(lot.items for lot in self._ready)


def missing(points: Sequence[Point], trials: range, done: Callable[[str], set[int]]) -> Iterator[Lot]:
    """What is missing of points that share designs, in lots of trials that are missing of the same points."""
    present = [done(point.id) for point in points]
    if not any(present):
        yield Lot(tuple(points), trials)
        return
    found: dict[tuple[bool, ...], list[int]] = {}
    for trial in trials:
        lacking = tuple(trial not in there for there in present)
        if any(lacking):
            found.setdefault(lacking, []).append(trial)
    for lacking, numbers in found.items():
        yield Lot(tuple(p for p, lacks in zip(points, lacking, strict=True) if lacks), numbers)
