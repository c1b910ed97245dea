"""What a process has one of, which foreign code can change and which is put back behind it."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import contextlib
import gc
import locale
import operator
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any
from weakref import WeakSet

import numpy as np
from attrs import frozen

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

# The handler of a signal; that of `signal` looks for it in an enumeration, which takes sixty times as long.
handler_of: Callable[[int], Any] = _signal.getsignal
# Threads that foreign code left running, for which no command waits. A thread that is done is gone from it.
LEFT: WeakSet[threading.Thread] = WeakSet()


@frozen(eq=False)
class Setting:
    """Something that a process has one of.

    Attributes:
        name: What it is, in words.
        read: Its value.
        put_back: Makes a value that was read the present one.
        same: Whether a value found behind foreign code is as good as the one before it.
    """

    name: str
    read: Callable[[], Any]
    put_back: Callable[[Any], Any]
    same: Callable[[Any, Any], bool] = operator.eq


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Ends copies of the process that foreign code made and forgot: they would do all that follows once more."""
    process = os.getpid()
    try:
        yield
    finally:
        if os.getpid() != process:
            os._exit(0)


@contextlib.contextmanager
def undisturbed() -> Iterator[list[str]]:
    """Within it foreign code runs; behind it the process is as it was.

    Fills a list with what had to be put back, in words. What is printed goes to standard error: what
    a command prints may be read by a script. Threads other than the main one have their own handling of
    floating-point errors; all else belongs to the process, and is left to the main thread.
    """
    changed: list[str] = []
    with alone(), np.errstate():
        if threading.current_thread() is not threading.main_thread():
            yield changed
            return
        running = set(threading.enumerate())
        before = [(setting, setting.read()) for setting in SETTINGS]
        try:
            with _living(), _descriptors(changed), _streams(changed):
                yield changed
        finally:
            changed += [setting.name for setting, value in before if _put_back(setting, value)]
            left = [t for t in threading.enumerate() if t not in running and not t.daemon]
            LEFT.update(left)
            changed += [f"the threads, of which {thread.name!r} is left running" for thread in left]


def _put_back(setting: Setting, value: Any) -> bool:
    """Whether a setting had changed, and is put back as far as that can be."""
    try:
        if setting.same(value, setting.read()):
            return False
        setting.put_back(value)
    except Exception:  # such as a folder that is gone, or a limit below what is in use
        return False
    return True


@contextlib.contextmanager
def _living() -> Iterator[None]:
    """Makes an exception of `os._exit`, which would end a command without a word, and with an exit code of its own."""
    process, end = os.getpid(), os._exit

    def refuse(code: int) -> None:
        if os.getpid() != process:  # a copy, which ends so by right
            end(code)
        raise SystemExit(code)

    os._exit = refuse  # type: ignore[assignment]
    try:
        yield
    finally:
        os._exit = end


class Lent:
    """A stream in whose place foreign code may write, and which it cannot close.

    A logger keeps the stream that it finds when it is made: this one stays as good as what is behind it.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._stream)

    def close(self) -> None:
        """Nothing but what is written so far, to where it goes."""
        self._stream.flush()

    def detach(self) -> Any:
        """What is beneath cannot be had alone."""
        raise ValueError("standard streams are lent, and cannot be detached")


@contextlib.contextmanager
def _streams(changed: list[str]) -> Iterator[None]:
    """Lends standard error in the place of both streams; what was closed all the same is opened again."""
    names = ("stdout", "stderr")
    before = [getattr(sys, name) for name in names]
    lent = None if sys.stderr is None else Lent(sys.stderr)
    for name in names:
        setattr(sys, name, lent)
    try:
        yield
    finally:
        for number, (name, stream) in enumerate(zip(names, before, strict=True), 1):
            if getattr(sys, name) is not lent or getattr(stream, "closed", False):
                changed.append(f"sys.{name}")
            setattr(sys, name, _opened(stream, number))


def _opened(stream: Any, number: int) -> Any:
    """A stream, or another one to the same descriptor where it was closed."""
    if not getattr(stream, "closed", False):
        return stream
    try:
        return open(number, "w", encoding=stream.encoding, errors="backslashreplace", buffering=1, closefd=False)
    except (OSError, AttributeError):  # it was none of a descriptor
        return stream


@contextlib.contextmanager
def _descriptors(changed: list[str]) -> Iterator[None]:
    """Lends the descriptor of standard error for that of output; which of the three are closed is opened again."""
    with contextlib.suppress(Exception):  # of a reader who has left, or a stream that is closed
        sys.stdout.flush()
    saved = {number: copy for number in range(3) if (copy := _duplicate(number)) is not None}
    if 1 in saved and 2 in saved:
        os.dup2(2, 1)
    try:
        yield
    finally:
        for number, copy in saved.items():
            expected = saved.get(2, copy) if number == 1 else copy
            if _identity(number) != _identity(expected):
                changed.append(f"descriptor {number}")
            os.dup2(copy, number)
            os.close(copy)


def _duplicate(number: int) -> int | None:
    """A copy of a descriptor, above the three, of which others may be closed; none of one that is closed."""
    try:
        return os.dup(number) if fcntl is None else fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, 3)
    except OSError:
        return None


def _identity(number: int) -> tuple[int, int] | None:
    try:
        found = os.fstat(number)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _attribute(module: Any, name: str) -> Setting:
    """An attribute of a module that stands for the whole process."""
    return Setting(
        f"{module.__name__}.{name}",
        lambda: getattr(module, name),
        lambda value: setattr(module, name, value),
        operator.is_,
    )


def _general(entry: tuple[Any, ...]) -> bool:
    """Whether a filter of warnings concerns everybody's: no message, no module, and a category of Python itself.

    A library that is imported may well ask for silence of its own warnings.
    """
    _, message, category, module, _ = entry
    return message is None and module is None and category.__module__ == "builtins"


def _same_filters(before: tuple[Any, ...], after: tuple[Any, ...]) -> bool:
    return [f for f in after if f in before or _general(f)] == list(before)


def _filter(before: tuple[Any, ...]) -> None:
    own = [f for f in warnings.filters if f not in before and not _general(f)]
    warnings.resetwarnings()  # makes known that there are others
    warnings.filters[:] = [*own, *before]  # type: ignore[index]


# Those by which a program is ended, stopped or woken: asking for all 64 takes longer than many an import.
SIGNALS = [
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGPIPE", "SIGCHLD", "SIGALRM")
    if hasattr(signal, name)
]


def _handlers() -> dict[int, Any]:
    return {number: handler_of(number) for number in SIGNALS}


def _handle(before: dict[int, Any]) -> None:
    for number, handler in before.items():
        if handler is not None and handler_of(number) != handler:  # None is one that Python cannot set
            signal.signal(number, handler)


def _alarmed() -> bool:
    return hasattr(signal, "getitimer") and signal.getitimer(signal.ITIMER_REAL)[0] > 0


def _kept(before: Any, after: Any) -> bool:
    """Whether all that was there still is, and is the same; more may have come."""
    if isinstance(before, dict):
        return before == after or all(after.get(key) == value for key, value in before.items())
    return set(before) <= set(after)


def _search(before: tuple[str, ...]) -> None:
    sys.path[:] = [*before, *(path for path in sys.path if path not in before)]


def _variables() -> dict[Any, Any]:
    """Environment variables as Python keeps them: to decode each takes a hundred times as long as this copy."""
    return dict(os.environ._data)  # type: ignore[attr-defined]


def _set(before: dict[Any, Any]) -> None:
    for key, value in before.items():
        os.environ[os.environ.decodekey(key)] = os.environ.decodevalue(value)


def _folder() -> str:
    try:
        return os.getcwd()
    except OSError:  # it is gone, and the program lives on in it
        return "."


SETTINGS = (
    Setting("the working folder", _folder, os.chdir),
    Setting("environment variables", _variables, _set, _kept),
    Setting("sys.path", lambda: tuple(sys.path), _search, _kept),
    Setting("how NumPy handles floating-point errors", np.geterr, lambda how: np.seterr(**how)),
    Setting("how NumPy prints", np.get_printoptions, lambda how: np.set_printoptions(**how)),
    Setting("filters of warnings", lambda: tuple(warnings.filters), _filter, _same_filters),
    Setting("handlers of signals", _handlers, _handle),
    Setting(
        "the alarm clock",
        _alarmed,
        lambda _: signal.setitimer(signal.ITIMER_REAL, 0),
        lambda before, after: before or not after,
    ),
    Setting("the locale", lambda: locale.setlocale(locale.LC_ALL), lambda name: locale.setlocale(locale.LC_ALL, name)),
    Setting("the limit of recursion", sys.getrecursionlimit, sys.setrecursionlimit),
    Setting("the switch interval", sys.getswitchinterval, sys.setswitchinterval),
    Setting("garbage collection", gc.isenabled, lambda on: gc.enable() if on else gc.disable()),
    Setting("tracing", sys.gettrace, sys.settrace, operator.is_),
    Setting("profiling", sys.getprofile, sys.setprofile, operator.is_),
    _attribute(sys, "stdin"),
    _attribute(sys, "excepthook"),
    _attribute(sys, "unraisablehook"),
    _attribute(sys, "displayhook"),
    _attribute(threading, "excepthook"),
    _attribute(warnings, "showwarning"),
)
