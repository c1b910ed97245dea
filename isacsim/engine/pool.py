"""Worker processes, each with a pipe of its own: one that dies or hangs costs its own task and no other."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import Connection, wait
from typing import Any

from attrs import define, field
from threadpoolctl import threadpool_limits

from isacsim.compiled import heard
from isacsim.engine.calls import TaskLost, answer, deliver, pack_call
from isacsim.engine.spawning import SPAWN, require_begun, started
from isacsim.errors import PlausibilityWarning
from isacsim.plugin.isolation import told

WORD = b"word "  # what a worker says before it answers; an answer is a pickle, which begins otherwise


class Packed(Future[bytes]):
    """Of a call that came packed: its result is the packed answer, for `deliver` in another process."""


@define(eq=False)
class _Worker:
    """A process, our end of its pipe, the task that it has, and when that must have ended."""

    process: Any
    pipe: Connection
    ready: bool = False
    future: Future[Any] | None = None
    deadline: float = float("inf")


@define(eq=False)
class Pool(Executor):
    """A `concurrent.futures.Executor` of spawned processes that are replaced when they end.

    Args:
        workers: Number of processes.
        timeout: Longest time of a task, in s; a worker that takes longer is killed.
        memory: Most memory of a worker, in bytes; beyond it an allocation raises `MemoryError`.

    Attributes:
        hear: Who is told, in a thread of the pool, what a worker says while it computes.
    """

    workers: int
    timeout: float = float("inf")
    memory: int | None = None
    hear: Callable[[str], None] | None = field(default=None, init=False)
    _waiting: deque[tuple[Future[Any], bytes]] = field(factory=deque, init=False)
    _crew: list[_Worker] = field(factory=list, init=False)
    _bell: Any = field(init=False)
    _ring: Any = field(init=False)
    _closing: bool = field(default=False, init=False)
    _broken: str = field(default="", init=False)
    _thread: threading.Thread = field(init=False)

    def __attrs_post_init__(self) -> None:
        require_begun()
        self._bell, self._ring = SPAWN.Pipe(duplex=False)
        self._thread = threading.Thread(target=self._run, name="isacsim-pool", daemon=True)
        self._thread.start()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Queue a call; its result, or what it raised, is in the future.

        Raises:
            BrokenProcessPool: If a worker could not start.
        """
        future: Future[Any] = Future()
        self._queue(future, pack_call(fn, args, kwargs))
        return future

    def forward(self, call: bytes) -> Packed:
        """Queue a call of `pack_call`, whose answer is not read here either.

        Raises:
            BrokenProcessPool: If a worker could not start.
        """
        future = Packed()
        self._queue(future, call)
        return future

    def _queue(self, future: Future[Any], call: bytes) -> None:
        if self._broken:
            raise BrokenProcessPool(self._broken)
        self._waiting.append((future, call))
        with contextlib.suppress(OSError):  # it has just broken
            self._ring.send_bytes(b"!")
        self._give_up()  # where it has broken meanwhile, and nobody may be there any more who looks

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the workers when what is queued is done, or when what they have is."""
        while cancel_futures and self._waiting:
            self._waiting.popleft()[0].cancel()
        self._closing = True
        with contextlib.suppress(OSError):  # closed before
            self._ring.send_bytes(b"!")
        if wait:
            self._thread.join()

    def kill(self) -> None:
        """End the workers at once, with what they have."""
        self.timeout = 0.0
        for worker in list(self._crew):
            worker.deadline = 0.0
        self.shutdown(wait=True, cancel_futures=True)

    def _run(self) -> None:
        """Serve, and leave nobody waiting for a future whatever becomes of that."""
        try:
            self._serve()
        except BaseException as error:  # as where no process can be started; a pool without its thread would hang
            self._broken = f"the pool cannot go on: {told(error)}"
        finally:
            self._end()

    def _serve(self) -> None:
        while not self._closing or self._waiting or any(worker.future for worker in self._crew):
            self._assign()
            deadline = min((worker.deadline for worker in self._crew), default=float("inf"))
            rest = None if deadline == float("inf") else max(0.0, deadline - time.monotonic())
            heard = wait([self._bell, *(worker.pipe for worker in self._crew)], rest)
            if self._bell in heard:
                self._bell.recv_bytes()
            for worker in list(self._crew):
                if worker.pipe in heard:
                    self._hear(worker)
                elif time.monotonic() >= worker.deadline:
                    self._lose(worker, f"took longer than {self.timeout:g} s")

    def _end(self) -> None:
        """End the workers, and answer those who still wait for something."""
        for worker in list(self._crew):
            worker.pipe.close()  # which ends it, once it reads
            if worker.ready and worker.future is None:
                worker.process.join(5)
            worker.process.kill()
            worker.process.join()
            if worker.future is not None:
                worker.future.set_exception(BrokenProcessPool(self._broken))
        self._give_up()
        self._bell.close()
        self._ring.close()

    def _give_up(self) -> None:
        """Tell those who wait that the pool is broken, if it is."""
        with contextlib.suppress(IndexError):  # two threads may come here
            while self._broken:
                future, _ = self._waiting.popleft()
                if future.set_running_or_notify_cancel():
                    future.set_exception(BrokenProcessPool(self._broken))

    def _assign(self) -> None:
        """Hand what waits to those who are free, and start workers where there are too few."""
        missing = min(self.workers, len(self._waiting) + sum(w.future is not None for w in self._crew))
        while len(self._crew) < missing and not self._broken:
            self._crew.append(self._start())
        for worker in [w for w in self._crew if w.ready and w.future is None]:
            while self._waiting:
                future, call = self._waiting.popleft()
                if future.set_running_or_notify_cancel():
                    worker.future, worker.deadline = future, time.monotonic() + self.timeout
                    with contextlib.suppress(OSError):  # it has just died, which is heard next
                        worker.pipe.send_bytes(call)
                    break

    def _start(self) -> _Worker:
        ours, theirs = SPAWN.Pipe()
        try:
            process = started(_work, theirs, self.memory)
        finally:
            theirs.close()  # so that the end of the process is the end of the pipe
        return _Worker(process, ours)

    def _hear(self, worker: _Worker) -> None:
        try:
            answered = worker.pipe.recv_bytes()
        except (EOFError, OSError):
            worker.process.join(1)
            self._lose(worker, f"ended with {_exit(worker.process.exitcode)}")
            return
        if not worker.ready:
            worker.ready = True
            return
        if answered.startswith(WORD):
            if self.hear is not None:
                self.hear(answered.removeprefix(WORD).decode())
            return
        future, worker.future, worker.deadline = worker.future, None, float("inf")
        assert future is not None
        if isinstance(future, Packed):
            future.set_result(answered)
        else:
            deliver(answered, future)

    def _lose(self, worker: _Worker, why: str) -> None:
        """Take a worker off the crew, and its task for lost."""
        self._crew.remove(worker)
        worker.process.kill()
        worker.process.join()
        worker.pipe.close()
        if not worker.ready:  # the next one would not start either
            self._broken = f"a worker {why} when it started"
            self._give_up()
        if worker.future is not None:
            worker.future.set_exception(TaskLost(f"the worker process {why}"))


def _exit(code: int | None) -> str:
    """What an exit code says."""
    if code is None or code >= 0:
        return f"exit code {code}"
    with contextlib.suppress(ValueError):
        return signal.Signals(-code).name
    return f"signal {-code}"


def _work(pipe: Connection, memory: int | None) -> None:
    """What a worker does until its pipe, or its parent, ends."""
    prepare_worker(memory)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with contextlib.suppress(EOFError, OSError), heard(lambda text: pipe.send_bytes(WORD + text.encode())):
        pipe.send_bytes(b"ready")
        while True:
            pipe.send_bytes(answer(pipe.recv_bytes()))


def _end_with_parent() -> None:
    """End with the driver, however that ends: nobody would read what is computed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def prepare_worker(memory: int | None = None) -> None:
    """One BLAS thread, no signals but those that kill, and a limit of memory in bytes where the system has one."""
    # They reach the whole process group; the driver alone decides what they mean.
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    import numpy  # noqa: F401  # a BLAS must be loaded before its threads can be limited

    threadpool_limits(1)
    warnings.simplefilter("ignore", PlausibilityWarning)  # the driver rehearses a point, and has told it
    with contextlib.suppress(ImportError, ValueError, OSError):  # no Unix, or a limit below ours
        import resource

        if memory is not None:
            resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
