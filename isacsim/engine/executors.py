"""Executors: where tasks run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import ExitStack
from typing import Any

from attrs import field, frozen
from threadpoolctl import threadpool_limits

from isacsim.checks import number, whole
from isacsim.compiled import heard
from isacsim.engine.pool import Pool
from isacsim.memory import machine_memory
from isacsim.threads import allowed

# An equal share of a machine of many cores may be less than what an interpreter with its libraries and a common
# trial take; workers seldom reach it at the same time, so that a smaller limit would only fail trials that fit.
LEAST_MEMORY = 2 * 2**30  # bytes


class ExecutorFactory(ABC):
    """Opens a `concurrent.futures.Executor`; a plugin derives from it."""

    @abstractmethod
    def open(self, workers: int) -> Executor:
        """An executor of ``workers`` workers, each with one BLAS thread.

        Results do not depend on the executor; one thread a worker keeps them so, because a
        BLAS may sum in another order with more. Where a task takes its worker with it and the
        others go on, its future raises `isacsim.engine.calls.TaskLost`.
        """

    def width(self, executor: Executor, workers: int) -> int:
        """How many tasks an executor that `open` made computes at once now, of ``workers`` asked for."""
        return workers

    def listen(self, executor: Executor, hear: Callable[[str], None]) -> None:  # noqa: B027  # nothing to hear
        """Have an executor that `open` made call ``hear`` with what its workers say, from any thread.

        Of nothing by default. What is worth a word is why a task takes long: kernels that are compiled.
        """

    def abandon(self, executor: Executor) -> None:
        """Give up what runs on an executor that `open` made; it is not used again."""
        executor.shutdown(wait=False, cancel_futures=True)


class _Here(Executor):
    """Runs a task when it is submitted, in this process, with one BLAS thread until it is shut down."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        # Once, not for each task: looking through the libraries takes as long as a small task.
        self._limits = threadpool_limits(1)
        self._kept = ExitStack()

    def listen(self, hear: Callable[[str], None]) -> None:
        self._kept.enter_context(heard(hear))

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            with allowed(self._threads):
                future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._limits.restore_original_limits()
        self._kept.close()


@frozen
class Serial(ExecutorFactory):
    """One task after another in this process.

    Args:
        threads: Number of threads that share the realisations of a task where a design is solved for; see
            `isacsim.solve`. Results do not depend on it.
    """

    threads: int = field(default=1, validator=whole(1))

    def open(self, workers: int) -> Executor:
        """An executor without workers."""
        return _Here(self.threads)

    def listen(self, executor: Executor, hear: Callable[[str], None]) -> None:
        """Tell what is compiled."""
        if isinstance(executor, _Here):
            executor.listen(hear)


@frozen
class Processes(ExecutorFactory):
    """Fresh worker processes on this machine.

    Args:
        trial_timeout: Longest time of a trial, in s; a batch that takes longer is cut until the trial
            is found, which fails. Compiling kernels for the first time counts too.
        memory_gb: Most memory of a worker, in GB; by default an equal share of the machine's, with one for the
            driver, and at least 2 GiB. A trial that needs more fails.
    """

    trial_timeout: float | None = field(default=None, validator=number(above=0, optional=True))
    memory_gb: float | None = field(default=None, validator=number(above=0, optional=True))

    def open(self, workers: int) -> Executor:
        """A pool of spawned processes."""
        if self.memory_gb is None:
            memory = max(machine_memory() // (workers + 1), LEAST_MEMORY)
        else:
            memory = int(self.memory_gb * 1e9)
        return Pool(workers, self.trial_timeout or float("inf"), memory)

    def listen(self, executor: Executor, hear: Callable[[str], None]) -> None:
        """Tell what workers compile."""
        if isinstance(executor, Pool):
            executor.hear = hear

    def abandon(self, executor: Executor) -> None:
        """End the workers; an interpreter that ends would wait for them otherwise."""
        executor.kill() if isinstance(executor, Pool) else super().abandon(executor)
