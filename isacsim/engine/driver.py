"""The driver: submits chunks to an executor, commits what comes back, tells observers."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from attrs import define, field

from isacsim.engine.events import ChunkEnd, Observer, TrialFailed
from isacsim.engine.executors import ExecutorFactory
from isacsim.engine.plan import Task
from isacsim.engine.store import Store
from isacsim.engine.work import Known, Outcome, work

# A task that is in flight at this many deaths of a worker is taken for their cause.
MAX_DEATHS = 3


@define
class Driver:
    """Runs tasks to their end, whatever happens to workers and observers.

    Attributes:
        store: Where outcomes are committed; the driver is its only writer.
        factory: Opens executors.
        workers: Number of workers.
        observers: Who is told.
        complaints: Observers that raised, with their errors.
    """

    store: Store
    factory: ExecutorFactory
    workers: int
    observers: list[Observer]
    complaints: list[str] = field(factory=list)

    def run(self, tasks: Iterator[Task]) -> bool:
        """Run all tasks; returns whether it came to the end without an interruption.

        Ctrl-C stops submitting, and commits what is in flight; a second one abandons that.
        """
        queue = _Queue(tasks)
        window = 2 * self.workers
        while queue:
            executor = self.factory.open(self.workers)
            try:
                self._drain(executor, queue, window)
            except BrokenProcessPool:
                # Who killed the worker is unknown: from now on one task at a time.
                window = 1
                for task in queue.bury(MAX_DEATHS):
                    self._commit(task, _lost(task))
            except KeyboardInterrupt:
                self._finish(queue)
                return False
            finally:
                executor.shutdown(wait=True, cancel_futures=True)
        return True

    def tell(self, event: str, record: Any) -> None:
        """Tell every observer of an event; one that raises is told nothing more."""
        for observer in list(self.observers):
            try:
                getattr(observer, event)(record)
            except Exception as error:  # an observer must not stop or change a run
                self.observers.remove(observer)
                self.complaints.append(f"{type(observer).__name__} raised in {event}: {error!r}")

    def _drain(self, executor: Executor, queue: _Queue, window: int) -> None:
        while queue:
            while len(queue.flying) < window and (task := queue.next()) is not None:
                queue.flying[executor.submit(work, task, self._known(task))] = task
            finished, _ = wait(queue.flying, return_when=FIRST_COMPLETED)
            for future in finished:
                outcome = future.result()
                self._commit(queue.flying.pop(future), outcome)

    def _finish(self, queue: _Queue) -> None:
        """Commit what is in flight, after an interruption."""
        for future, task in list(queue.flying.items()):
            if not future.cancel():
                try:
                    self._commit(task, future.result())
                except (KeyboardInterrupt, BrokenProcessPool):
                    return

    def _known(self, task: Task) -> Known:
        known: Known = {}
        for address in {a for point in task.points for a in point.design_ids.values()}:
            known.update(self.store.designs(address, task.trials))
        return known

    def _commit(self, task: Task, outcome: Outcome) -> None:
        self.store.commit(outcome)
        coords = {point.id: point.coords for point in task.points}
        for (point, trial), error in outcome.failures.items():
            self.tell("trial_failed", TrialFailed(coords[point], trial, error))
        self.tell("chunk_end", ChunkEnd(len(outcome.rows), len(outcome.failures)))


class _Queue:
    """Tasks to come, those that wait for another try, and those in flight."""

    def __init__(self, tasks: Iterator[Task]) -> None:
        self._tasks = tasks
        self._again: list[Task] = []
        self._deaths: dict[tuple[Any, ...], int] = {}
        self._ahead: Task | None = next(tasks, None)
        self.flying: dict[Future[Outcome], Task] = {}

    def __bool__(self) -> bool:
        return bool(self._ahead or self._again or self.flying)

    def next(self) -> Task | None:
        """The next task to submit, or None."""
        if self._again:
            return self._again.pop()
        task, self._ahead = self._ahead, next(self._tasks, None) if self._ahead else None
        return task

    def bury(self, limit: int) -> list[Task]:
        """Take the tasks in flight back after a death; returns those that met ``limit`` deaths."""
        lost: list[Task] = []
        for task in self.flying.values():
            key = (*(point.id for point in task.points), *task.trials)
            self._deaths[key] = self._deaths.get(key, 0) + 1
            (lost if self._deaths[key] >= limit else self._again).append(task)
        self.flying.clear()
        return lost


def _lost(task: Task) -> Outcome:
    text = f"the worker process died {MAX_DEATHS} times over these trials; run them with --workers 1 to see why"
    return Outcome(failures={(point.id, trial): text for point in task.points for trial in task.trials})
