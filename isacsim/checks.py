"""Validators of record fields; each error names field, rule, value and remedy."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from isacsim.errors import InvalidInput, doubt, one_of
from isacsim.units import MOST_WATTS

Validator = Callable[[Any, Any, Any], None]


def is_number(value: Any) -> bool:
    """Whether ``value`` is a real scalar; booleans are not."""
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def is_finite(value: Any) -> bool:
    """Whether a real scalar is one that a float can hold."""
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond 1e308
        return False


def whole(least: int, remedy: str = "Check the value.", *, optional: bool = False) -> Validator:
    """A whole number of at least ``least``, or None if ``optional``."""

    def check(_instance: Any, attribute: Any, value: Any) -> None:
        fits = is_number(value) and isinstance(value, (int, np.integer)) and value >= least
        if not (fits or (optional and value is None)):
            raise InvalidInput(attribute.name, f"must be a whole number of at least {least}", value, remedy)

    return check


def number(
    *,
    least: float | None = None,
    above: float | None = None,
    remedy: str = "Check sign and unit.",
    optional: bool = False,
) -> Validator:
    """A finite number of at least ``least`` or greater than ``above``, or None if ``optional``."""
    bound = f" of at least {least:g}" if least is not None else f" greater than {above:g}" if above is not None else ""

    def check(_instance: Any, attribute: Any, value: Any) -> None:
        fits = is_number(value) and is_finite(value)
        fits = fits and (least is None or value >= least) and (above is None or value > above)
        if not (fits or (optional and value is None)):
            raise InvalidInput(attribute.name, f"must be a finite number{bound}", value, remedy)

    return check


class Choice:
    """Validator of one of the given ``values``, which the reference of the scenario format reads."""

    def __init__(self, values: tuple[str, ...]) -> None:
        self.values = values

    def __call__(self, _instance: Any, attribute: Any, value: Any) -> None:
        """Refuse what is none of them."""
        if value not in self.values:
            raise InvalidInput(attribute.name, "must be one of its choices", value, one_of(self.values, str(value)))


def choice(*values: str) -> Choice:
    """One of the given words."""
    return Choice(values)


def choices_of(attribute: Any) -> tuple[str, ...]:
    """The words that a field takes, as far as its validator says them; none where it takes others."""
    validator = attribute.validator
    within = getattr(validator, "_validators", None) or [getattr(validator, "validator", validator)]
    return next((found.values for found in within if isinstance(found, Choice)), ())


def instance(kind: type, remedy: str = "Check the type.") -> Validator:
    """An instance of a class."""

    def check(_instance: Any, attribute: Any, value: Any) -> None:
        if not isinstance(value, kind):
            raise InvalidInput(attribute.name, f"must be an instance of {kind.__name__}", value, remedy)

    return check


MOST_BYTES = 200  # of a name: a file's has at most 255, with its ending
MOST_TEXT = 500  # characters of a title or a label: a figure has no place for more


def carried(field: str, name: str) -> None:
    """Refuse a name that files, datasets or terminals cannot carry.

    Raises:
        InvalidInput: It names ``field``.
    """
    fits = name == name.strip() and name.isprintable() and 0 < len(name.encode(errors="replace")) <= MOST_BYTES
    if not fits or "/" in name or "\\" in name or name in (".", ".."):
        rule = f"must be a name of 1 to {MOST_BYTES} bytes, printable, without / and \\, and no blanks around it"
        raise InvalidInput(field, rule, name or "''", "Rename it.")


def told(field: str, text: Any) -> None:
    """Refuse text that a terminal would obey, or a figure has no place for; anything else passes.

    Raises:
        InvalidInput: It names ``field``.
    """
    if isinstance(text, str) and not (len(text) <= MOST_TEXT and text.replace("\n", "").isprintable()):
        rule = f"must be printable text of at most {MOST_TEXT} characters"
        raise InvalidInput(field, rule, text, "Remove control characters, or shorten it.")


def snapshots(_instance: Any, attribute: Any, value: Any) -> None:
    """A number of samples: whole, and at least 1; validator of a field."""
    sample_count(attribute.name, value)


def sample_count(name: str, value: Any) -> None:
    """Refuse what is no whole number of samples of at least 1; 30.0 is one.

    Raises:
        InvalidInput: It names ``name``.
    """
    remedy = "Give the number of samples L."
    if not (is_number(value) and is_finite(value) and value > 0):
        raise InvalidInput(name, "must be a finite number greater than 0", value, remedy)
    if value != np.floor(value):
        raise InvalidInput(name, "must be a whole number", value, remedy)


@contextlib.contextmanager
def invertible(field: str, what: str) -> Iterator[None]:
    """Within it a matrix that is singular to the accuracy of numbers is told as one.

    Raises:
        InvalidInput: It names ``field`` and ``what`` the matrix is.
    """
    try:
        yield
    except np.linalg.LinAlgError as error:
        remedy = "Check for signals far beyond, or far below, what the hardware is made for."
        raise InvalidInput(field, f"must leave {what} that is regular", str(error), remedy) from None


@contextlib.contextmanager
def fitting(fields: str, *arrays: Any) -> Iterator[None]:
    """Within it arrays that do not go together are refused.

    Args:
        fields: Their names.
        arrays: Those whose shapes are told, in the order of the names.

    Raises:
        InvalidInput: It names ``fields``, and tells the shapes.
    """
    try:
        yield
    except InvalidInput:
        raise
    except ValueError:
        shapes = ", ".join(f"{np.shape(a)} of {name}" for name, a in zip(fields.split(", "), arrays, strict=False))
        remedy = "Axes before those of one member are a batch's: of one length, or 1, or not there."
        raise InvalidInput(fields, f"must have shapes that fit together, unlike {shapes}", "", remedy) from None


def unmasked(name: str, value: Any) -> None:
    """Refuse an array with masked entries: without the mask, what is beneath it would be taken for numbers.

    Raises:
        InvalidInput: It names ``name``.
    """
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        count = np.count_nonzero(np.ma.getmaskarray(value))
        raise InvalidInput(name, "must have no masked entries", f"{count} of them", "Fill or remove them.")


def numbers(name: str, value: Any, axes: int = 0, *, real: bool = False) -> np.ndarray[Any, Any]:
    """``value`` as an array of numbers, which may be NaN, with at least so many axes.

    Raises:
        InvalidInput: It names ``name``.
    """
    kind = "real" if real else "complex"
    unmasked(name, value)
    try:
        array = np.asarray(value)
    except ValueError:
        raise InvalidInput(name, f"must be {kind} numbers", value, "Give a rectangular array of numbers.") from None
    if array.dtype.kind not in ("iuf" if real else "biufc"):
        raise InvalidInput(name, f"must be {kind} numbers", value, "Give a number or a rectangular array of numbers.")
    if array.ndim < axes:
        remedy = f"Its last {axes} axes are those of one member; axes before them are a batch's."
        raise InvalidInput(name, f"must have at least {axes} axes", f"shape {array.shape}", remedy)
    return array


def square(name: str, value: Any, axes: int = 2) -> np.ndarray[Any, Any]:
    """`numbers` whose last two axes are those of square matrices, as of covariances (..., N, N).

    Raises:
        InvalidInput: It names ``name``.
    """
    array = numbers(name, value, axes)
    if array.shape[-1] != array.shape[-2]:
        rule, remedy = "must be square, (..., N, N)", "Of a precoder it is W W^H."
        raise InvalidInput(name, rule, f"shape {array.shape}", remedy)
    return array


def finite_numbers(name: str, value: Any, axes: int = 0) -> None:
    """Refuse what is no array of finite numbers with at least so many axes.

    Raises:
        InvalidInput: It names ``name``.
    """
    if not np.isfinite(numbers(name, value, axes)).all():
        raise InvalidInput(name, "must be finite", value, "Remove NaN and infinite entries.")


def positive(name: str, value: Any, *, infinite: bool = False) -> None:
    """Refuse what is no real number greater than 0, or array of them: a power in W, for example.

    Raises:
        InvalidInput: It names ``name``.
    """
    array = numbers(name, value, real=True)
    if not np.all(array > 0) or not (infinite or np.isfinite(array).all()):
        rule = "must be positive" if infinite else "must be positive and finite"
        raise InvalidInput(name, rule, value, "Check sign and unit.")


def doubt_angles(name: str, value: Any, stacklevel: int = 4) -> None:
    """Warn of angles beyond a full turn, which are degrees as a rule."""
    most = float(np.max(np.abs(value), initial=0.0))
    if most > 2 * math.pi:
        remedy = "Angles are in radians: write np.deg2rad(...) if it is in degrees."
        doubt(name, "should be within a full turn", most, remedy, stacklevel)


def doubt_power(name: str, value: Any, stacklevel: int = 4) -> None:
    """Warn of transmit powers that no base station has."""
    if np.count_nonzero(np.asarray(value) > MOST_WATTS):
        most = float(np.asarray(value).max())
        remedy = "Powers are in W: write 10 ** (p / 10) / 1000 if it is in dBm."
        doubt(name, f"should be at most {MOST_WATTS:g} W", most, remedy, stacklevel)
