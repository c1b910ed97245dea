"""One BLAS thread: for small matrices it is the fastest, and its results do not depend on the machine."""

from __future__ import annotations

import contextlib
import ctypes
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar, copy_context
from functools import cache
from typing import Any, TypeVar, cast

T = TypeVar("T")
_ALLOWED = ContextVar("threads", default=1)


@cache
def _libraries(scipy: bool) -> list[Any]:
    """The BLAS libraries that are loaded; SciPy brings one of its own, once it is loaded."""
    from threadpoolctl import ThreadpoolController

    # Looks through all loaded libraries, hence once.
    return ThreadpoolController().select(user_api="blas").lib_controllers


@contextlib.contextmanager
def one_blas_thread() -> Iterator[None]:
    """Within it BLAS uses one thread: more may sum in another order, and change last bits."""
    # As `threadpoolctl.threadpool_limits` does, which takes longer than a small problem to find nothing to change.
    counts = [(library, library.get_num_threads()) for library in _libraries("scipy.linalg" in sys.modules)]
    more = [(library, count) for library, count in counts if count != 1]
    for library, _ in more:
        library.set_num_threads(1)
    try:
        yield
    finally:
        for library, count in more:
            library.set_num_threads(count)


@contextlib.contextmanager
def allowed(count: int) -> Iterator[None]:
    """Within it a batch may be solved in so many threads where its caller does not say how many."""
    token = _ALLOWED.set(count)
    try:
        yield
    finally:
        _ALLOWED.reset(token)


def allowance() -> int:
    """How many threads a batch may be solved in here."""
    return _ALLOWED.get()


class _Helper(threading.Thread):
    """A thread that makes one call, in which holds what holds where it is made."""

    def __init__(self, call: Callable[[], Any]) -> None:
        super().__init__(daemon=True)
        self.call = copy_context().run, call
        self.value: Any = None
        self.error: BaseException | None = None

    def run(self) -> None:
        within, call = self.call
        try:
            self.value = within(call)
        except BaseException as error:
            self.error = error

    def interrupt(self) -> None:
        """Raise in it what Ctrl-C raises in the main thread, which is where it takes its next step in Python."""
        if self.ident is not None and self.is_alive():
            with contextlib.suppress(AttributeError):  # a Python that is not CPython
                ctypes.pythonapi.PyThreadState_SetAsyncExc(
                    ctypes.c_ulong(self.ident), ctypes.py_object(KeyboardInterrupt)
                )


def side_by_side(calls: Sequence[Callable[[], T]]) -> list[T]:
    """What calls return: the first is made in this thread, each other in a thread of its own.

    Of errors that of the first call is raised that has one. Where this thread is interrupted, or its call fails, the
    others are interrupted too; none goes on when this returns.
    """

    def alone(call: Callable[[], T]) -> T:
        with allowed(1):  # what they call in turn shares these threads
            return call()

    helpers = [_Helper(lambda call=call: alone(call)) for call in calls[1:]]  # type: ignore[misc]
    try:
        for helper in helpers:
            helper.start()
        first = alone(calls[0])
        for helper in helpers:
            helper.join()
    except BaseException:
        for helper in helpers:
            helper.interrupt()
        for helper in helpers:
            if helper.ident is not None:
                helper.join()
        raise
    for helper in helpers:
        if helper.error is not None:
            raise helper.error
    return [first, *(cast(T, helper.value) for helper in helpers)]
