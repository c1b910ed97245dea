"""The driver: submits chunks to an executor, commits what comes back, tells observers."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from attrs import define, field

from isacsim.engine.calls import OtherCode, TaskLost
from isacsim.engine.events import ChunkEnd, Observer, TrialFailed
from isacsim.engine.executors import ExecutorFactory
from isacsim.engine.plan import Task
from isacsim.engine.store import Store
from isacsim.engine.work import Entry, Failure, Known, Outcome, halves, work
from isacsim.errors import InvalidInput


@define
class Driver:
    """Runs tasks to their end, whatever happens to workers and observers.

    Attributes:
        store: Where outcomes are committed; the driver is its only writer.
        factory: Opens executors.
        workers: Number of workers.
        observers: Who is told.
        complaints: Observers that raised, with their errors.
        job: What workers call.
    """

    store: Store
    factory: ExecutorFactory
    workers: int
    observers: list[Observer]
    complaints: list[str] = field(factory=list)
    job: Callable[[Task, Known], Outcome] = work
    _layouts: dict[str, tuple[Entry, ...]] = field(factory=dict, init=False)

    def run(self, tasks: Iterator[Task]) -> bool:
        """Run all tasks; returns whether it came to the end without an interruption.

        Ctrl-C stops submitting, and commits what is in flight; a second one abandons that.
        A task that takes its worker with it is cut until the trial is found that does; that trial
        has failed. Where all of a pool breaks, what was in flight is run again one at a time.

        Raises:
            InvalidInput: If workers cannot start, or have other code.
        """
        queue, died = _Queue(tasks), False
        while queue:
            executor = self.factory.open(self.workers)
            try:
                if died:
                    _try(executor)
                self._drain(executor, queue)
            except BrokenProcessPool:
                died = True
                self.factory.abandon(executor)
                for task in queue.bury():
                    self._commit(task, _lost(task, "the worker process died"))
            except KeyboardInterrupt:
                self._finish(executor, queue)
                return False
            except BaseException:
                self.factory.abandon(executor)
                raise
            executor.shutdown()
        return True

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
            # Two for each that computes: the next one is there when it has done with one.
            window = 2 * self.factory.width(executor, self.workers)
            while (task := queue.next(window)) is not None:
                known = self._known(task)
                try:
                    queue.flying[executor.submit(self.job, task, known)] = task
                except BrokenProcessPool:
                    queue.suspect(task)
                    raise
            finished, _ = wait(queue.flying, return_when=FIRST_COMPLETED)
            for future in [f for f in queue.flying if f in finished]:  # in the order of their submission
                self._take(future, queue)

    def _take(self, future: Future[Outcome], queue: _Queue) -> None:
        """Commit what came of a task, or cut it in halves where it cannot be taken as a whole."""
        task = queue.flying[future]
        try:
            outcome = future.result()
        except TaskLost as error:
            parts, outcome = halves(task), _lost(task, str(error))
        except OtherCode as error:
            remedy = "Install the same versions where it computes."
            raise InvalidInput("executor", "must compute with the driver's code", str(error), remedy) from None
        else:
            strange = self._strange(outcome)
            parts = halves(task) if strange else []
            for point, layout in strange.items():
                outcome.keep(point, layout)
        del queue.flying[future]
        if parts:
            queue.put_back(*parts)
        else:
            self._commit(task, outcome)

    def _strange(self, outcome: Outcome) -> dict[str, tuple[Entry, ...]]:
        """The points of which there are rows with other axes than those of an outcome, and the axes of those."""
        known = {point: self._layouts.setdefault(point, self.store.layout(point) or entries)
                 for point, entries in outcome.layouts.items()}  # fmt: skip
        return {point: layout for point, layout in known.items() if layout != outcome.layouts[point]}

    def _finish(self, executor: Executor, queue: _Queue) -> None:
        """Commit what is in flight after an interruption; a second one abandons it."""
        try:
            for future, task in list(queue.flying.items()):
                with contextlib.suppress(TaskLost, OtherCode):  # it is missing, as it was before
                    if not future.cancel():
                        self._commit(task, future.result())
        except (KeyboardInterrupt, BrokenProcessPool):
            self.factory.abandon(executor)
        else:
            executor.shutdown()

    def _known(self, task: Task) -> Known:
        known: Known = {}
        for address in {a for point in task.points for a in point.design_ids.values()}:
            known.update(self.store.designs(address, task.trials))
        return known

    def _commit(self, task: Task, outcome: Outcome) -> None:
        self.store.commit(outcome)
        coords = {point.id: point.coords for point in task.points}
        for (point, trial), parts in outcome.failures.items():
            for what in parts:
                self.tell("trial_failed", TrialFailed(coords[point], trial, what.error, what.part))
        partly = len(outcome.partial)
        self.tell("chunk_end", ChunkEnd(len(outcome.rows), len(outcome.failures) - partly, partly))


class _Queue:
    """Tasks to come, those that are suspected of a worker's death, and those in flight.

    Args:
        tasks: Tasks to come.
    """

    def __init__(self, tasks: Iterator[Task]) -> None:
        self._tasks = tasks
        self._ahead: Task | None = next(tasks, None)
        self._again: list[Task] = []
        self._suspects: list[Task] = []
        self._alone = False
        self.flying: dict[Future[Outcome], Task] = {}

    def __bool__(self) -> bool:
        return bool(self._ahead or self._again or self._suspects or self.flying)

    def next(self, window: int) -> Task | None:
        """The next task to submit, or None if there is none or it must wait.

        Args:
            window: Largest number in flight; a suspect flies alone.
        """
        if len(self.flying) >= (1 if self._alone or self._suspects else window):
            return None
        self._alone = bool(self._suspects)
        if self._alone or self._again:
            return (self._suspects if self._alone else self._again).pop()
        task, self._ahead = self._ahead, next(self._tasks, None) if self._ahead else None
        return task

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


def _lost(task: Task, why: str) -> Outcome:
    failure = Failure(f"{why} over this trial; run it with --executor serial to see why", "TaskLost")
    return Outcome(failures={(point.id, trial): (failure,) for point in task.points for trial in task.trials})
