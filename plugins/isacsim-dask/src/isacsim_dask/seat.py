"""What sits at a dask worker: a pool of processes, and the answers that the driver has not taken yet."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import threading
from collections.abc import Sequence
from functools import partial
from typing import Any

from distributed import get_worker
from lz4 import frame

from isacsim.api import Pool, pack_error

# s; a driver that takes nothing for so long has been told that nothing is there. An actor whose driver is
# gone is let go when the last call of a method of it has ended.
LONGEST_TAKE = 5.0
# bytes; a share below what an interpreter with its libraries and a common trial take would fail trials that fit.
LEAST_MEMORY = 2 * 2**30
WORD = -1  # in the place of a call's number: what a process says while it computes


class Seat:
    """An actor: calls go to it and answers come from it directly, past the scheduler.

    Trials run in processes of a pool of its own, one for each thread of the worker: a trial that ends its
    process, hangs or takes all memory leaves the worker as it is, which answers its scheduler meanwhile.

    Args:
        timeout: Longest time of a trial, in s.
        memory: Most memory of a process, in bytes; None is an equal share of the worker's, if that has a limit.
    """

    def __init__(self, timeout: float, memory: int | None) -> None:
        worker = get_worker()
        slots = worker.state.nthreads
        limit = worker.memory_manager.memory_limit
        if memory is None and limit:
            memory = max(limit // slots, LEAST_MEMORY)
        # A nanny makes its worker a daemon, which multiprocessing allows no children, lest they be left over.
        # Those of a pool end with their parent.
        multiprocessing.current_process().daemon = False
        self._pool = Pool(slots, timeout, memory)
        self._answers = _Answers()
        self._pool.hear = self._answers.say

    async def give(self, calls: Sequence[tuple[int, bytes]]) -> None:
        """Queue packed calls, each with its number."""
        self._answers.loop = asyncio.get_running_loop()
        for number, call in calls:
            future = self._pool.forward(frame.decompress(call))
            # Not a method of the seat, which would be kept by what it waits for.
            future.add_done_callback(partial(self._answers.hear, number))

    async def take(self) -> list[tuple[int, bytes]]:
        """The answers and words that have come since the last time; waits for one for some seconds."""
        return await self._answers.take()

    async def close(self) -> None:
        """End the processes, with what they have."""
        await asyncio.to_thread(self._pool.kill)

    def __del__(self) -> None:
        if hasattr(self, "_pool"):
            threading.Thread(target=self._pool.kill, daemon=True).start()  # which waits for processes to end


class _Answers:
    """Compressed answers in the order in which they came; filled by a thread of the pool."""

    def __init__(self) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None  # of the worker
        self._there: list[tuple[int, bytes]] = []
        self._news = asyncio.Event()

    def hear(self, number: int, future: Any) -> None:
        error = future.exception()
        self._keep(number, frame.compress(future.result() if error is None else pack_error(error)))

    def say(self, text: str) -> None:
        self._keep(WORD, text.encode())

    def _keep(self, number: int, content: bytes) -> None:
        with contextlib.suppress(RuntimeError):  # the worker has ended its loop
            if self.loop is not None:
                self.loop.call_soon_threadsafe(self._put, number, content)

    def _put(self, number: int, content: bytes) -> None:
        self._there.append((number, content))
        self._news.set()

    async def take(self) -> list[tuple[int, bytes]]:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._news.wait(), LONGEST_TAKE)
        self._news.clear()
        there, self._there = self._there, []
        return there
