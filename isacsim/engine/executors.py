"""Executors: where tasks run."""

from __future__ import annotations

import multiprocessing
import signal
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from typing import Any

from attrs import frozen
from threadpoolctl import threadpool_limits


class ExecutorFactory(ABC):
    """Opens a `concurrent.futures.Executor`; a plugin derives from it."""

    @abstractmethod
    def open(self, workers: int) -> Executor:
        """An executor of ``workers`` workers, each with one BLAS thread.

        Results do not depend on the executor; one thread a worker keeps them so, because a
        BLAS may sum in another order with more.
        """

    def abandon(self, executor: Executor) -> None:
        """Give up what runs on an executor that `open` made; it is not used again."""
        executor.shutdown(wait=False, cancel_futures=True)


class _Here(Executor):
    """Runs a task when it is submitted, in this process, with one BLAS thread until it is shut down."""

    def __init__(self) -> None:
        # Once, not for each task: looking through the libraries takes as long as a small task.
        self._limits = threadpool_limits(1)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._limits.restore_original_limits()


@frozen
class Serial(ExecutorFactory):
    """One task after another in this process."""

    def open(self, workers: int) -> Executor:
        """An executor without workers."""
        return _Here()


@frozen
class Processes(ExecutorFactory):
    """Fresh worker processes on this machine."""

    def open(self, workers: int) -> Executor:
        """A pool of spawned processes: a fork would copy the threads of a BLAS in unknown states."""
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker)

    def abandon(self, executor: Executor) -> None:
        """Terminate the workers; an interpreter that ends would wait for them otherwise."""
        executor.shutdown(wait=False, cancel_futures=True)
        for child in multiprocessing.active_children():
            child.terminate()


def _start_worker() -> None:
    # Ctrl-C reaches the whole process group; the driver alone decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    import numpy  # noqa: F401  # a BLAS must be loaded before its threads can be limited

    threadpool_limits(1)
