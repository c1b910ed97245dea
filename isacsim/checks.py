"""Validators of record fields; each error names field, rule, value and remedy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from isacsim.errors import InvalidInput, one_of

Validator = Callable[[Any, Any, Any], None]


def is_number(value: Any) -> bool:
    """Whether ``value`` is a real scalar; booleans are not."""
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


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
        fits = is_number(value) and np.isfinite(value)
        fits = fits and (least is None or value >= least) and (above is None or value > above)
        if not (fits or (optional and value is None)):
            raise InvalidInput(attribute.name, f"must be a finite number{bound}", value, remedy)

    return check


def choice(*values: str) -> Validator:
    """One of the given words."""

    def check(_instance: Any, attribute: Any, value: Any) -> None:
        if value not in values:
            raise InvalidInput(attribute.name, "must be one of its choices", value, one_of(values, str(value)))

    return check


def instance(kind: type, remedy: str = "Check the type.") -> Validator:
    """An instance of a class."""

    def check(_instance: Any, attribute: Any, value: Any) -> None:
        if not isinstance(value, kind):
            raise InvalidInput(attribute.name, f"must be an instance of {kind.__name__}", value, remedy)

    return check
