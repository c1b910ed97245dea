"""The driver: submits tasks to an executor, commits what comes back, tells observers."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from concurrent.futures.process import BrokenProcessPool
from queue import Empty, SimpleQueue
from typing import Any

from attrs import define, field

from isacsim.engine.backlog import Backlog
from isacsim.engine.calls import OtherCode, TaskLost
from isacsim.engine.events import ChunkEnd, Observer, TrialFailed, Word
from isacsim.engine.executors import ExecutorFactory
from isacsim.engine.pace import Pace
from isacsim.engine.plan import Task
from isacsim.engine.policy import Aborted, Policy
from isacsim.engine.sealed import Sealed
from isacsim.engine.store import Store
from isacsim.engine.work import Failure, Known, halves
from isacsim.errors import InvalidInput


@define
class Driver:
    """Runs the work of a backlog to its end, whatever happens to workers and observers.

    Attributes:
        store: Where outcomes are committed; the driver is its only writer.
        factory: Opens executors.
        workers: Number of workers.
        job: What workers call.
        observers: Who is told.
        complaints: Observers that raised, with their errors.
        policy: What is done about trials that fail.
    """

    store: Store
    factory: ExecutorFactory
    workers: int
    job: Callable[[Task, Known], Sealed]
    observers: list[Observer]
    complaints: list[str] = field(factory=list)
    policy: Policy = field(factory=Policy)
    _pace: Pace = field(factory=Pace, init=False)
    _layouts: dict[str, str] = field(factory=dict, init=False)

    def run(self, backlog: Backlog) -> bool:
        """Do all that is left; returns whether it came to the end without an interruption.

        Ctrl-C stops submitting, and commits what is in flight; a second one abandons that. So does a failed trial
        where the policy says so.
        A task that takes its worker with it is cut until the trial is found that does; that trial
        has failed. Where all of a pool breaks, what was in flight is run again one at a time.

        Raises:
            InvalidInput: If workers cannot start, or have other code.
        """
        queue, died = _Queue(backlog), False
        while queue:
            executor = self.factory.open(self.workers)
            self.factory.listen(executor, queue.hear)
            try:
                if died:
                    _try(executor)
                self._drain(executor, queue)
            except BrokenProcessPool:
                died = True
                self.factory.abandon(executor)
                try:
                    self._bury(queue)
                except Aborted:
                    return False
            except (KeyboardInterrupt, Aborted):
                self._finish(executor, queue)
                return False
            except BaseException:
                self.factory.abandon(executor)
                raise
            executor.shutdown()
        return True

    def _bury(self, queue: _Queue) -> None:
        """Keep that a trial took the pool with it, or run it once more."""
        for task in queue.bury():
            came, again = self.policy.taken(task, _lost(task, "the worker process died"))
            queue.put_back(*again)
            self._keep(came, queue.backlog)

    def tell(self, event: str, record: Any) -> None:
        """Tell every observer of an event; one that raises is told nothing more."""
        for observer in list(self.observers):
            try:
                getattr(observer, event)(record)
            except (Exception, SystemExit) as error:  # an observer must not stop or change a run
                self.observers.remove(observer)
                self.complaints.append(f"{type(observer).__name__} raised in {event}: {error!r}")

    def _drain(self, executor: Executor, queue: _Queue) -> None:
        while queue:
            width = max(1, self.factory.width(executor, self.workers))
            while len(queue.flying) < queue.window(width):
                task = queue.next(self._items(queue.backlog, width))
                if task is None:
                    break
                known = self._known(task)
                try:
                    future = executor.submit(self.job, task, known)
                except BrokenProcessPool:
                    queue.suspect(task)
                    raise
                queue.fly(future, task)
                if future.done():  # it was computed here and now: it is kept before the next
                    break
            landed = queue.landed()
            for text in queue.words():
                self.tell("word", Word(text))
            self._take(landed, queue)

    def _items(self, backlog: Backlog, width: int) -> int:
        """How much the next task is to have: towards the end no more than a share of what is left."""
        return max(1, min(self._pace.items, -(-backlog.items // width)))

    def _take(self, futures: Sequence[Future[Sealed]], queue: _Queue) -> None:
        """Commit what came of tasks, and cut in halves those that cannot be taken as a whole."""
        came: list[tuple[Task, Sealed]] = []
        try:
            for future in futures:
                task = queue.flying[future]
                outcome, parts = self._of(future, task)
                del queue.flying[future]
                if not parts:
                    kept, parts = self.policy.taken(task, outcome)
                    came += kept
                queue.put_back(*parts)
        finally:
            self._keep(came, queue.backlog)

    def _of(self, future: Future[Sealed], task: Task) -> tuple[Sealed, list[Task]]:
        """What came of a task, and its halves where it cannot be taken as a whole."""
        try:
            outcome = future.result()
        except TaskLost as error:
            self._pace.lost(task.items)
            return _lost(task, str(error)), halves(task)
        except OtherCode as error:
            remedy = "Install the same versions where it computes."
            raise InvalidInput("executor", "must compute with the driver's code", str(error), remedy) from None
        self._pace.observe(task.items, outcome.cost)
        return outcome, halves(task) if self._strange(outcome) else []  # each trial's own axes are found alone

    def _strange(self, outcome: Sealed) -> bool:
        """Whether there are rows with other axes than those of an outcome at one of its points."""
        return any(
            told != (self._layouts.get(point) or self._layouts.setdefault(point, self.store.layout_told(point) or told))
            for point, told in outcome.layouts.items()
        )

    def _finish(self, executor: Executor, queue: _Queue) -> None:
        """Commit what is in flight after an interruption; a second one abandons it."""
        try:
            for future, task in list(queue.flying.items()):
                with contextlib.suppress(TaskLost, OtherCode):  # it is missing, as it was before
                    if not future.cancel():
                        self._commit([(task, future.result())])
        except (KeyboardInterrupt, BrokenProcessPool):
            self.factory.abandon(executor)
        else:
            executor.shutdown()

    def _known(self, task: Task) -> Known:
        known: Known = {}
        for address in {a for point in task.points for a in point.design_ids.values()}:
            known.update(self.store.designs(address, task.trials))
        return known

    def _keep(self, came: Sequence[tuple[Task, Sealed]], backlog: Backlog) -> None:
        """Commit what came of tasks, and see what is to be done because of it."""
        self._commit(came)
        for task, _ in came:
            backlog.settled(task)
        self.policy.judge(came)

    def _commit(self, came: Sequence[tuple[Task, Sealed]]) -> None:
        if came:  # once for all: what a commit costs is that the disk has it
            self.store.commit(*(outcome for _, outcome in came))
        for task, outcome in came:
            coords = {point.id: point.coords for point in task.points}
            for (point, trial), parts in outcome.failures.items():
                for what in parts:
                    self.tell("trial_failed", TrialFailed(coords[point], trial, what.error, what.part))
            partly, cost = len(outcome.partial), outcome.cost
            counts = outcome.done, len(outcome.failures) - partly, partly
            self.tell("chunk_end", ChunkEnd(*counts, seconds=cost.seconds, memory=cost.memory))


class _Queue:
    """Work to come, tasks that are suspected of a worker's death, and those in flight.

    Args:
        backlog: The work.
    """

    def __init__(self, backlog: Backlog) -> None:
        self.backlog = backlog
        self._again: list[Task] = []
        self._suspects: list[Task] = []
        self._alone = False
        self._landed: SimpleQueue[Future[Sealed] | None] = SimpleQueue()
        self._words: SimpleQueue[str] = SimpleQueue()
        self.flying: dict[Future[Sealed], Task] = {}

    def __bool__(self) -> bool:
        return bool(self.backlog or self._again or self._suspects or self.flying)

    def window(self, width: int) -> int:
        """How many tasks may be in flight where ``width`` are computed at once; a suspect flies alone."""
        # Two for each that computes: the next one is there when it has done with one.
        return 1 if self._alone or self._suspects else 2 * width

    def next(self, items: int) -> Task | None:
        """The next task to submit, if it is a new one of at most so many items; None if there is none."""
        self._alone = bool(self._suspects)
        if self._alone or self._again:
            return (self._suspects if self._alone else self._again).pop()
        return self.backlog.take(items)

    def fly(self, future: Future[Sealed], task: Task) -> None:
        """Take note of a task that is submitted."""
        self.flying[future] = task
        future.add_done_callback(self._landed.put)

    def hear(self, text: str) -> None:
        """Take note of what a worker says."""
        self._words.put(text)
        self._landed.put(None)

    def words(self) -> list[str]:
        """What workers have said."""
        return [self._words.get() for _ in range(self._words.qsize())]

    def landed(self) -> list[Future[Sealed]]:
        """The futures that are done, in the order in which they came; waits for one, or for a word."""
        found = [self._landed.get()]
        with contextlib.suppress(Empty):
            while True:
                found.append(self._landed.get_nowait())
        return [future for future in found if future in self.flying]  # others flew before a pool broke

    def put_back(self, *tasks: Task) -> None:
        """Take back tasks to be submitted again, before all others."""
        self._again.extend(tasks)

    def suspect(self, task: Task) -> None:
        """Take back a task that could not be submitted, as the pool was broken."""
        self._suspects.append(task)

    def bury(self) -> list[Task]:
        """Take the tasks in flight back after a death; returns the one that is its cause for sure."""
        dead, self.flying = list(self.flying.values()), {}
        parts = halves(dead[0]) if len(dead) == 1 else dead
        self._suspects += parts
        return [] if parts else dead


def _try(executor: Executor) -> None:
    """Make sure that workers can start at all.

    Raises:
        InvalidInput: If they cannot.
    """
    try:
        executor.submit(int).result()
    except BrokenProcessPool as error:
        remedy = "Guard the script with `if __name__ == '__main__':`, or use executor='serial'."
        raise InvalidInput("executor", "must be able to start its workers", str(error), remedy) from None


def _lost(task: Task, why: str) -> Sealed:
    failure = Failure(f"{why} over this trial; `isacsim replay` shows where", "TaskLost")
    return Sealed(failures={(point.id, trial): (failure,) for point in task.points for trial in task.trials})
