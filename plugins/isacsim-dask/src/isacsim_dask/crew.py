"""The workers of a cluster as an executor of the standard library."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import threading
import time
import uuid
from collections import OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from attrs import define, field
from distributed import Client
from lz4 import frame

from isacsim.api import InvalidInput, OtherCode, TaskLost, deliver, pack_call
from isacsim_dask.place import Place
from isacsim_dask.seat import WORD, Seat

LOG = logging.getLogger(__name__)
LOOK = 1.0  # s between looks at which workers there are
LONGEST_KNOCK = 5.0  # s at one address; a scheduler that was started again may have another one
# Workers that a call may be lost with. Some are killed for reasons that are not its own, as where a queue's time
# is up; four in a row are not. Dask allows three by default, for the same reason.
MOST_LOSSES = 4
# Calls at a worker for each of its processes: the next one is there when one is done.
AHEAD = 2
CONNECTIONS = 8192  # of the driver; two for each worker


@define(eq=False)
class _Call:
    """A packed call, its future, and how many workers were lost that had it."""

    packed: bytes
    future: Future[Any]
    losses: int = 0


@define(eq=False)
class _Member:
    """A worker that computes: its seat, its processes, who talks to it, and the calls that it has by number."""

    address: str
    seat: Any
    slots: int
    sits: asyncio.Task[Any] | None
    has: dict[int, _Call] = field(factory=dict)


class _Refused(Exception):
    """A worker that cannot compute for this driver."""


class Crew(Executor):
    """All workers of a cluster, each with a `Seat`; a thread of its own talks to them.

    The scheduler is asked for workers and places seats. Calls and answers go between driver and seats in
    bundles, so that the scheduler has no part in a task.

    Args:
        place: Where the cluster is.
        options: What a seat is made with.
        patience: How long a scheduler may be away, in s.
        direct: Whether workers are connected to directly.

    Attributes:
        width: Processes that compute now.
        hear: Who is told what workers say, and which of them come and go, in a thread of the crew.

    Raises:
        InvalidInput: If no scheduler answers.
    """

    def __init__(self, place: Place, options: tuple[float, int | None], patience: float, direct: bool) -> None:
        self.width = 0
        self.hear: Callable[[str], None] | None = None
        self._place, self._options, self._patience, self._direct = place, options, patience, direct
        self._waiting: deque[_Call] = deque()
        self._members: dict[str, _Member] = {}
        self._refused: dict[str, str] = {}
        # Those with a process that has nothing to do, and those with room for a call ahead; longest first.
        self._idle: OrderedDict[_Member, None] = OrderedDict()
        self._ahead: OrderedDict[_Member, None] = OrderedDict()
        self._numbers = itertools.count()
        self._rung = self._closing = False
        self._error: BaseException | None = None
        self._opened: Future[None] = Future()
        self._loop = asyncio.new_event_loop()
        self._main = self._loop.create_task(self._serve())
        self._errands: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="isacsim-dask", daemon=True)
        self._thread.start()
        try:
            self._opened.result()
        except BaseException:  # Ctrl-C too
            self.kill()
            raise

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Queue a call; its result, or what it raised, is in the future."""
        if self._error is not None:
            raise self._error
        call = _Call(frame.compress(pack_call(fn, args, kwargs)), Future())
        self._waiting.append(call)
        self._ring()
        return call.future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Leave the cluster when what is queued is done, or when what workers have is."""
        while cancel_futures and self._waiting:
            self._waiting.popleft().future.cancel()
        self._closing = True
        self._ring()
        if wait:
            self._thread.join()

    def kill(self) -> None:
        """Leave the cluster at once."""
        self._closing = True
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._main.cancel)
        self._thread.join()

    def _ring(self) -> None:
        """Have the thread look for calls; once for all that come meanwhile."""
        if not self._rung:
            self._rung = True
            with contextlib.suppress(RuntimeError):  # the loop has ended, and with it what could be done
                self._loop.call_soon_threadsafe(self._assign)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            with contextlib.suppress(asyncio.CancelledError):
                self._loop.run_until_complete(self._main)
        except BaseException as error:
            self._error = error
        finally:
            why = self._error or TaskLost("the run was given up")
            if not self._opened.done():
                self._opened.set_exception(why)
            for call in self._waiting:
                if not call.future.done():
                    call.future.set_exception(why)
            self._loop.close()

    async def _serve(self) -> None:
        async with self._place.entered() as place:
            while not self._done:
                client = await self._connected(place)
                try:
                    with client.as_current():  # by which seats know their client; it is no other's
                        await self._attend(client)
                except OSError as error:
                    self._say(f"the scheduler is gone ({error}); waiting {self._patience:g} s for one")
                finally:
                    with contextlib.suppress(OSError):
                        await asyncio.wait_for(client.close(), 10)

    async def _connected(self, place: Place) -> Client:
        """A client of the scheduler that is at the place now.

        Raises:
            InvalidInput: If none answers.
        """
        deadline = time.monotonic() + self._patience
        while True:
            left = max(deadline - time.monotonic(), 0.1)
            address = await place.address(left)
            try:
                return await Client(
                    address,
                    asynchronous=True,
                    timeout=min(left, LONGEST_KNOCK),
                    direct_to_workers=self._direct,
                    connection_limit=CONNECTIONS,
                    set_as_default=False,
                )
            except OSError as error:
                if time.monotonic() > deadline:
                    rule = f"must be the address of a scheduler that answers within {self._patience:g} s ({error})"
                    remedy = "Start it; a run that was begun goes on with --resume."
                    raise InvalidInput("executor.address", rule, address, remedy) from None
            await asyncio.sleep(0.2)

    @property
    def _done(self) -> bool:
        return self._closing and not self._waiting and not any(m.has for m in self._members.values())

    async def _attend(self, client: Client) -> None:
        """Seat workers as they come, until all is done.

        Raises:
            OSError: If the scheduler does not answer.
        """
        sitting: dict[str, asyncio.Task[None]] = {}
        first = True
        try:
            while not self._done:
                if client.status != "running":  # it would go on knocking at the same address
                    raise OSError(f"the client is {client.status}")
                there = await asyncio.wait_for(client.nthreads(), self._patience)
                for address in [a for a, sits in sitting.items() if a not in there or sits.done()]:
                    sitting.pop(address).cancel()
                for address, slots in there.items():
                    if address not in sitting and address not in self._refused:
                        sitting[address] = asyncio.create_task(self._sit(client, address, slots))
                self._fail_if_all_are_refused(there)
                if not self._opened.done() and (not first or not there):
                    self._opened.set_result(None)
                first = False
                self._changed.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._changed.wait(), LOOK)
        finally:
            for sits in sitting.values():
                sits.cancel()
            await asyncio.gather(*sitting.values(), return_exceptions=True)

    async def _sit(self, client: Client, address: str, slots: int) -> None:
        """Give a worker a seat, and take its answers until it is lost."""
        key = f"isacsim-seat-{uuid.uuid4()}"
        future = client.submit(Seat, *self._options, actor=True, workers=[address], key=key)
        try:
            seat = await future
        except Exception as error:  # what is not installed there, for example
            self._refuse(address, f"{type(error).__name__}: {error}")
            return
        member = self._members[address] = _Member(address, seat, slots, asyncio.current_task())
        self.width += slots
        self._changed.set()
        self._offer(member)
        self._assign()
        if self.hear is not None:  # which has the driver look at the width
            self.hear(f"the worker at {address} computes, with {slots} processes")
        why = "it is gone"
        try:
            while True:
                for number, content in await seat.take():
                    if number != WORD:
                        self._take(member, number, content)
                    elif self.hear is not None:
                        self.hear(f"{address}: {content.decode()}")
                self._assign()
        except _Refused as error:
            self._refuse(address, str(error))
        except Exception as error:  # dask tells of a lost worker by several types
            why = str(error)
        finally:
            self._leave(member, why)
            with contextlib.suppress(Exception):
                await asyncio.wait_for(seat.close(), 5)

    def _take(self, member: _Member, number: int, packed: bytes) -> None:
        """Give a call its answer; one that says nothing of the call is no answer."""
        call = member.has.get(number)
        if call is None:
            return
        heard: Future[Any] = Future()
        deliver(frame.decompress(packed), heard)
        error = heard.exception()
        if isinstance(error, (OtherCode, BrokenProcessPool)):
            raise _Refused(str(error))
        del member.has[number]
        self._offer(member)
        if error is None:
            call.future.set_result(heard.result())
        else:
            call.future.set_exception(error)

    def _refuse(self, address: str, why: str) -> None:
        self._refused[address] = f"{address}: {why}"
        self._say(f"a worker is left out, {self._refused[address]}")

    def _say(self, text: str) -> None:
        """Tell whoever listens; where nobody does, the log, which is on standard error by default."""
        LOG.warning("%s", text) if self.hear is None else self.hear(text)

    def _fail_if_all_are_refused(self, there: dict[str, int]) -> None:
        """Say why, where nobody that is there can compute."""
        if there and not self._members and all(address in self._refused for address in there):
            why = "; ".join(self._refused[address] for address in there)
            while self._waiting:
                self._waiting.popleft().future.set_exception(OtherCode(why))

    def _leave(self, member: _Member, why: str) -> None:
        """Let others have what a worker had that is lost or refused."""
        del self._members[member.address]
        self._idle.pop(member, None)
        self._ahead.pop(member, None)
        self.width -= member.slots
        blamed = member.address not in self._refused
        if blamed and not self._done:
            self._say(f"the worker at {member.address} is lost with {len(member.has)} tasks ({why})")
        for call in member.has.values():
            call.losses += blamed
            if call.losses < MOST_LOSSES:
                self._waiting.appendleft(call)
            else:
                call.future.set_exception(TaskLost(f"{MOST_LOSSES} workers were lost"))
        member.has.clear()
        self._changed.set()
        self._assign()

    def _offer(self, member: _Member) -> None:
        """Note what room a worker has."""
        self._idle.pop(member, None)
        self._ahead.pop(member, None)
        if len(member.has) < member.slots:
            self._idle[member] = None
        elif len(member.has) < AHEAD * member.slots:
            self._ahead[member] = None

    def _assign(self) -> None:
        """Hand what waits to those who are freest."""
        self._rung = False
        given: dict[_Member, list[tuple[int, bytes]]] = {}
        while self._waiting and (free := self._idle or self._ahead):
            member, call = next(iter(free)), self._waiting.popleft()
            if call.future.running() or call.future.set_running_or_notify_cancel():
                number = next(self._numbers)
                member.has[number] = call
                given.setdefault(member, []).append((number, call.packed))
                self._offer(member)
        for member, calls in given.items():
            errand = asyncio.ensure_future(self._give(member, calls))
            self._errands.add(errand)
            errand.add_done_callback(self._errands.discard)
        if self._done:
            self._changed.set()

    async def _give(self, member: _Member, calls: list[tuple[int, bytes]]) -> None:
        try:
            await member.seat.give(calls)
        except Exception as error:  # dask tells of a lost worker by several types
            if isinstance(error, BrokenProcessPool):
                self._refuse(member.address, str(error))
            if member.sits is not None:
                member.sits.cancel()  # it has not what it was to have, as where a connection breaks
