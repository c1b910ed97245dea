"""The errors isacsim raises on purpose; each is one line a person can act on."""

from __future__ import annotations

import contextlib
import difflib
import sysconfig
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from pathlib import Path
from traceback import extract_tb
from typing import Any

HOUSE = Path(__file__).parent
PACKAGES = {"site-packages", "dist-packages"}  # where installed distributions lie, also within Python's own folder


class IsacsimError(Exception):
    """Base of every error that isacsim raises on purpose."""


class InvalidInput(IsacsimError, ValueError):
    """An argument or a scenario entry breaks a rule.

    The message names the field, the rule, the value and the remedy, in that order.
    """

    def __init__(self, field: str, rule: str, value: Any = "", remedy: str = "") -> None:
        # All four stay in `args`, so that the error survives the way back from a worker.
        super().__init__(field, rule, brief(value), remedy)

    def __reduce__(self) -> tuple[Any, ...]:
        # Not through __init__, which would shorten and quote the value's text again.
        return type(self).__new__, (type(self), *self.args)

    @property
    def field(self) -> str:
        """The argument or the scenario path at fault."""
        return str(self.args[0])

    def at(self, path: str) -> InvalidInput:
        """The same error with ``path`` in place of the field's own name."""
        moved = InvalidInput(path, self.args[1], "", self.args[3])
        moved.args = (path, *self.args[1:])
        return moved

    def __str__(self) -> str:
        field, rule, value, remedy = (printable(one_line(str(part))) for part in self.args)
        got = f", got {value}" if value else ""
        return f"{field}: {rule}{got}.{' ' + remedy if remedy else ''}"


class PluginError(IsacsimError):
    """A plugin is broken, or two plugins offer the same name."""


class StoreError(IsacsimError):
    """A run folder cannot be created, opened or continued."""


class PlausibilityWarning(UserWarning):
    """A number that can be, and hardly is what was meant: it is used as it is.

    ``warnings.simplefilter("ignore", isacsim.PlausibilityWarning)`` silences it.
    """


_DOUBTING: ContextVar[bool] = ContextVar("doubting", default=True)


_PLACED: ContextVar[Callable[[str], str]] = ContextVar("placed", default=str)


def doubt(field: str, rule: str, value: Any, remedy: str, stacklevel: int = 3) -> None:
    """Warn of an implausible number, in the form of `InvalidInput`."""
    if _DOUBTING.get():
        warnings.warn(
            str(InvalidInput(_PLACED.get()(field), rule, value, remedy)), PlausibilityWarning, stacklevel=stacklevel
        )


@contextlib.contextmanager
def doubts_at(placed: Callable[[str], str]) -> Iterator[None]:
    """Within it a doubt of a field is told at the place that ``placed`` gives to it."""
    token = _PLACED.set(placed)
    try:
        yield
    finally:
        _PLACED.reset(token)


@contextlib.contextmanager
def without_doubts() -> Iterator[None]:
    """Within it nothing is doubted: it is made of what was doubted where it was read, in the units of the file."""
    token = _DOUBTING.set(False)
    try:
        yield
    finally:
        _DOUBTING.reset(token)


def brief(value: Any, limit: int = 80) -> str:
    """``value`` as text short enough for one line of an error."""
    if isinstance(value, str) and value == "":
        return ""
    shape = getattr(value, "shape", ())
    text = f"an array of shape {shape}" if shape and value.size > 8 else repr(value)
    text = " ".join(text.split())
    if len(text) <= limit:
        return text
    head = (limit - 3) // 2  # of a long path its end tells most, of an expression its beginning
    return f"{text[:head]}...{text[head + 3 - limit :]}"


def printable(text: str) -> str:
    """``text`` with escapes in place of what a terminal would obey, hide or cannot encode."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def one_line(text: str, limit: int = 1000) -> str:
    """``text`` on one line, without its middle if it is longer than any name or rule of ours can be."""
    text = " ".join(text.split())
    return text if len(text) <= limit else f"{text[: limit // 10]}...{text[-limit // 10 :]}"


MOST_LETTERS, MOST_NAMES = 100, 1000  # of a name, and of those that are compared with it
LEAST_PART = 4  # letters of a part of a name that tells which is meant


def one_of(known: Iterable[str], name: str = "") -> str:
    """A remedy that lists the valid names, the nearest to ``name`` first."""
    names = sorted(known)
    # Each comparison takes the product of both lengths, and neither of a real name is long.
    near = [known for known in names if len(known) <= MOST_LETTERS][:MOST_NAMES] if len(name) <= MOST_LETTERS else []
    # Capitals and underscores are the commonest slips; a part of a name, such as lbfgs, is meant for the whole.
    typed = name.lower().replace("_", "-")
    close = [each for each in near if each.lower().replace("_", "-") == typed]
    close = close or difflib.get_close_matches(name, near, n=1, cutoff=0.5)
    close = close or [each for each in near if len(typed) >= LEAST_PART and typed in each.lower()]
    hint = f"Did you mean {close[0]!r}? " if close else ""
    return f"{hint}Valid: {', '.join(names) or 'none'}."


def _passes_on(file: str) -> bool:
    """Whether a file is of isacsim, or of what calls are only passed through: Python's own modules, and NumPy."""
    if file.startswith("<") or Path(file).is_relative_to(HOUSE):
        return True
    parts = Path(file).parts
    return "numpy" in parts if PACKAGES & {*parts} else Path(file).is_relative_to(sysconfig.get_path("stdlib"))


def origin(error: BaseException) -> tuple[str, int]:
    """File, with the folder before it, and line that an exception comes from.

    Of a complaint of ours that is the place outside of isacsim, of Python and of NumPy, if there is any, that called
    with what is wrong.
    """
    frames = [*extract_tb(error.__traceback__)]
    if isinstance(error, IsacsimError):
        house = [f for f in frames if Path(f.filename).is_relative_to(HOUSE)]
        frames = [f for f in frames if not _passes_on(f.filename)] or house or frames
    if not frames:
        return "", 0
    return "/".join(Path(frames[-1].filename).parts[-2:]), frames[-1].lineno or 0
