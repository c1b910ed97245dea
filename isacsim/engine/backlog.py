"""What is missing of a run, handed out in tasks of the size that is asked for."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence

from attrs import Factory, define, field, frozen

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
class _Group:
    """Points that share designs and lack trials; those below ``upto`` are ready or out, ``out`` items of them."""

    points: tuple[Point, ...]
    upto: int = 0
    out: int = 0


@define
class Backlog:
    """The work of a run, group by group of points that share designs.

    Attributes:
        plan: The plan.
        trials: Most trials of each point.
        done: The trials that are there of a point's id.
        chunk: Number of trials of a task; None leaves the size to who takes it.
        looks: The numbers of trials at which a point is looked at, the last of which is ``trials``. No
            trial behind one is begun before all those below it are back.
        enough: Whether a point has enough with its first trials.
    """

    plan: Plan
    trials: int
    done: Callable[[str], set[int]]
    chunk: int | None = None
    looks: Sequence[int] = field(default=Factory(lambda self: (self.trials,), takes_self=True))
    enough: Callable[[Point, int], bool] = field(default=lambda point, trials: False)
    _groups: Iterator[tuple[int, ...]] = field(init=False)
    _unopened: int = field(init=False)
    _open: dict[str, _Group] = field(factory=dict, init=False)
    _ready: deque[Lot] = field(factory=deque, init=False)
    _items: int = field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        self._groups, self._unopened = iter(self.plan.groups), len(self.plan.points)
        self._fill()

    def __bool__(self) -> bool:
        """Whether there is something to take; `settled` can bring more."""
        return bool(self._ready)

    @property
    def items(self) -> int:
        """Pairs of a point and a trial that can be taken before something is settled, at most."""
        return self._items + self._unopened * self.looks[0]

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
        points = list(self._next().points)
        while self._ready and self.chunk is None and self._fits(len(points), lot.trials, items):
            points += self._next().points
        return self._handed(tuple(points), lot.trials)

    def settled(self, task: Task) -> None:
        """Take in that all of a task is committed: what failed of it has failed."""
        for point in task.points:
            group = self._open[point.id]
            group.out -= len(task.trials)
            if not group.out:
                self._look(group)
                self._advance(group)

    def _next(self) -> Lot:
        lot = self._ready.popleft()
        self._fill()
        return lot

    def _fits(self, points: int, trials: Sequence[int], items: int) -> bool:
        """Whether the next lot fits a task of so many points."""
        lot = self._ready[0]
        return (points + len(lot.points)) * len(trials) <= items and lot.trials == trials

    def _handed(self, points: tuple[Point, ...], trials: Sequence[int]) -> Task:
        task = Task(points, tuple(trials))
        self._items -= task.items
        return task

    def _fill(self) -> None:
        """Open groups until something can be taken."""
        while not self._ready and (group := next(self._groups, None)) is not None:
            self._unopened -= len(group)
            self._advance(_Group(tuple(self.plan.points[i] for i in group)))

    def _advance(self, group: _Group) -> None:
        """Put in what is missing up to the next look, beyond those at which nothing is."""
        while group.points and group.upto < self.trials:
            stage = range(group.upto, next(look for look in self.looks if look > group.upto))
            lots, group.upto = list(missing(group.points, stage, self.done)), stage.stop
            if lots:
                group.out = sum(lot.items for lot in lots)
                self._items += group.out
                self._open.update((point.id, group) for point in group.points)
                self._ready.extend(lots)
                return
            self._look(group)
        for point in group.points:
            self._open.pop(point.id, None)

    def _look(self, group: _Group) -> None:
        """Let go of the points that have enough."""
        if group.upto < self.trials:
            settled = [self.enough(point, group.upto) for point in group.points]
            for point in (p for p, has in zip(group.points, settled, strict=True) if has):
                self._open.pop(point.id, None)
            group.points = tuple(p for p, has in zip(group.points, settled, strict=True) if not has)


def missing(points: Sequence[Point], trials: range, done: Callable[[str], set[int]]) -> Iterator[Lot]:
    """What is missing of points that share designs, in lots of trials that are missing of the same points."""
    present = [done(point.id) for point in points]
    if not any(present):
        if trials:
            yield Lot(tuple(points), trials)
        return
    found: dict[tuple[bool, ...], list[int]] = {}
    for trial in trials:
        lacking = tuple(trial not in there for there in present)
        if any(lacking):
            found.setdefault(lacking, []).append(trial)
    for lacking, numbers in found.items():
        yield Lot(tuple(p for p, lacks in zip(points, lacking, strict=True) if lacks), numbers)
