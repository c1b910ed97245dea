"""Foreign code, and what it can raise: anything, as text, and nothing of it ends the program."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from isacsim.errors import PluginError, printable
from isacsim.plugin.surroundings import alone, handler_of, undisturbed

LONGEST = 500
# The name of a class, whatever its metaclass makes of it.
_name_of: Callable[[type], str] = type.__dict__["__name__"].__get__


def guarded(call: Callable[..., Any], *arguments: Any) -> Any:
    """What ``call`` returns, as `watched`, of which nothing is told."""
    return watched(call, *arguments)[0]


def watched(call: Callable[..., Any], *arguments: Any) -> tuple[Any, list[str]]:
    """What ``call`` returns, and what it changed of the process, which is put back; raises as `shielded`."""

    def undone() -> tuple[Any, list[str]]:
        with undisturbed() as changed:
            found = call(*arguments)
        return found, changed

    found: tuple[Any, list[str]] = shielded(undone)
    return found


def shielded(call: Callable[..., Any], *arguments: Any) -> Any:
    """What ``call`` returns; whatever it raises becomes a `PluginError` with its text.

    That includes `SystemExit` and a `KeyboardInterrupt` that the foreign code raises itself.
    Ctrl-C of a user ends the program as ever, also where the foreign code swallows it: it
    comes as a signal, which is noted while ``call`` runs.

    Raises:
        PluginError: In place of what ``call`` raises.
        KeyboardInterrupt: If the user interrupted it.
    """
    try:
        with contained():
            return call(*arguments)
    except Exception as error:
        raise PluginError(told(cause(error))) from cause(error)


class Ending(Exception):
    """In place of what foreign code raised to end the program, which is its cause."""


@contextlib.contextmanager
def contained() -> Iterator[None]:
    """Lets nothing out that ends the program, but a Ctrl-C of a user; also a decorator.

    Nor does it let out how NumPy is to handle floating-point errors, by which the next component would fail.

    Raises:
        Ending: In place of `SystemExit`, a `KeyboardInterrupt` and the like of foreign code.
        KeyboardInterrupt: If the user interrupted it, also where the foreign code swallows that.
    """
    with alone(), np.errstate(), _noted_interrupts() as pressed:
        try:
            yield
        except BaseException as error:
            if pressed():
                raise KeyboardInterrupt from error
            if isinstance(error, Exception):
                raise
            raise Ending(told(error)) from error
    if pressed():
        raise KeyboardInterrupt


def cause(error: BaseException) -> BaseException:
    """What foreign code raised."""
    return error.__cause__ or error if isinstance(error, Ending) else error


def told(error: BaseException) -> str:
    """Type and text of an error of foreign code as one line, whatever its own methods do.

    A `PluginError` is a sentence of ours, and needs no type.
    """
    name = "" if type(error) is PluginError else _name_of(type(error))
    try:
        text = str.__str__(str(error))  # of a subclass of str its characters alone
    except BaseException as second:
        text = f"its text cannot be told, {_name_of(type(second))}"
    line = printable(" ".join(text.split()))
    line = line if len(line) <= LONGEST else f"{line[:LONGEST]}..."
    return ": ".join(part for part in (name, line) if part)


class _Note:
    """A handler that counts how often Ctrl-C is pressed, and does what the one before it does."""

    def __init__(self, before: Callable[[int, Any], Any]) -> None:
        self.before, self.count = before, 0

    def __call__(self, number: int, frame: Any) -> Any:
        self.count += 1
        return self.before(number, frame)


@contextlib.contextmanager
def _noted_interrupts() -> Iterator[Callable[[], bool]]:
    """Tells whether Ctrl-C was pressed within it; within another one the handler of that counts."""
    before = handler_of(signal.SIGINT)
    # Signals come to the main thread alone; where none is handled, no interrupt is a user's.
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield lambda: False
        return
    note = before if isinstance(before, _Note) else _Note(before)
    count = note.count
    if note is not before:
        signal.signal(signal.SIGINT, note)
    try:
        yield lambda: note.count > count
    finally:
        if handler_of(signal.SIGINT) is not before:
            signal.signal(signal.SIGINT, before)
