"""Calls and their answers as bytes, and what else can become of a call."""

from __future__ import annotations

import contextlib
import os
import pickle
import socket
from collections.abc import Callable
from concurrent.futures import Future
from multiprocessing.reduction import ForkingPickler
from typing import Any

from isacsim.engine.spawning import Unguarded
from isacsim.plugin.isolation import told


class TaskLost(Exception):
    """A task took its worker with it, or ran too long; the executor goes on with the others."""


class OtherCode(Exception):
    """Who was to compute has other code than the driver; its numbers would be mixed with others."""


def pack_call(fn: Callable[..., Any], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> bytes:
    """A call as bytes."""
    return bytes(ForkingPickler.dumps((fn, args, kwargs or {})))


def answer(call: bytes) -> bytes:
    """Whether a call raised, and what it raised or returned, as bytes."""
    try:
        try:
            fn, args, kwargs = pickle.loads(call)
        except Unguarded:
            raise
        except Exception as error:  # what is not installed here
            raise OtherCode(f"{this_process()} cannot read what it is to compute: {told(error)}") from None
        return bytes(ForkingPickler.dumps((False, fn(*args, **kwargs))))
    except BaseException as error:
        return pack_error(error)


def pack_error(error: BaseException) -> bytes:
    """An exception as an answer; one that cannot travel goes as its text."""
    with contextlib.suppress(Exception):
        packed = bytes(ForkingPickler.dumps((True, error)))
        pickle.loads(packed)
        return packed
    return bytes(ForkingPickler.dumps((True, RuntimeError(told(error)))))


def deliver(packed: bytes, future: Future[Any]) -> None:
    """Give a future what a call raised or returned, by its packed answer."""
    try:
        raised, value = pickle.loads(packed)
    except Exception as error:  # of a class that is made there and cannot be here
        raised, value = True, TaskLost(f"the answer of a worker cannot be read: {told(error)}")
    if raised:
        future.set_exception(value)
    else:
        future.set_result(value)


def this_process() -> str:
    """Which process this is, for messages that reach another host."""
    return f"process {os.getpid()} on {socket.gethostname()}"
