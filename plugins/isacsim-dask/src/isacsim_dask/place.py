"""Where a scheduler is."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol

from attrs import frozen
from distributed import LocalCluster

from isacsim.api import InvalidInput


class Place(Protocol):
    """A cluster that a client can connect to."""

    def entered(self) -> contextlib.AbstractAsyncContextManager[Place]:
        """The place with a cluster in it, as long as it is used."""

    async def address(self, patience: float) -> str:
        """Address of the scheduler, once it is known."""


@frozen
class Remote:
    """A scheduler that somebody else has started."""

    fixed: str | None
    file: str | None

    @contextlib.asynccontextmanager
    async def entered(self) -> AsyncIterator[Place]:
        """Nothing is started, and nothing ended."""
        yield self

    async def address(self, patience: float) -> str:
        """The address that was given, or what the file says now: another scheduler writes another one.

        Raises:
            InvalidInput: If there is no such file.
        """
        if self.file is None:
            return str(self.fixed)
        deadline = time.monotonic() + patience
        while True:
            with contextlib.suppress(OSError, ValueError, KeyError):  # not there yet, or half of it
                return str(json.loads(Path(self.file).read_text(encoding="utf-8"))["address"])
            if time.monotonic() > deadline:
                remedy = "Start `dask scheduler --scheduler-file` on a folder that all nodes share."
                raise InvalidInput("executor.scheduler_file", "must be what a scheduler has written", self.file, remedy)
            await asyncio.sleep(0.2)


@frozen
class Local:
    """A cluster on this machine: one dask worker, of so many processes that compute."""

    workers: int

    @contextlib.asynccontextmanager
    async def entered(self) -> AsyncIterator[Place]:
        """Started, and ended with its use."""
        cluster = LocalCluster(
            n_workers=1,
            threads_per_worker=self.workers,
            processes=False,  # what computes is a process of its own; another one would import the calling script
            asynchronous=True,
            dashboard_address=None,
            silence_logs=logging.ERROR,
        )
        async with cluster:
            yield Remote(cluster.scheduler_address, None)

    async def address(self, patience: float) -> str:
        """None before it is entered."""
        raise NotImplementedError
