"""What is worked out of a record that never changes is kept as long as the record lives."""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable
from enum import Enum
from functools import wraps
from typing import Any, TypeVar

import attrs
import numpy as np

V = TypeVar("V")


def lasting(value: Any) -> bool:
    """Whether nothing of ``value`` can change: numbers, text, arrays that are read-only, and frozen records of these.

    A record whose hash is that of its fields promises so much of itself; whether an object of another class changes,
    as one that a user writes for a trial may, nobody knows.
    """
    if isinstance(value, np.ndarray):
        return not value.flags.writeable
    if isinstance(value, tuple):
        return all(map(lasting, value))
    if attrs.has(type(value)):
        hashed: Any = type(value).__hash__
        by_fields = hashed is not None and hashed is not object.__hash__
        return by_fields and all(lasting(getattr(value, f.name)) for f in attrs.fields(type(value)))
    return value is None or isinstance(value, bool | int | float | complex | str | np.generic | Enum)


def kept(function: Callable[..., V], *, most: int | None = None) -> Callable[..., V]:
    """``function`` of a record and of other values, asked once for what is `lasting`, where the others have a hash.

    Records are told apart by what they are, not by what is in them: no comparison of arrays is made. Of what takes
    memory, something is kept of the last records alone, of which there are at ``most`` so many.
    """
    found: dict[int, tuple[weakref.ref[Any], dict[Any, V]]] = {}

    @wraps(function)
    def asked(record: Any, *rest: Any) -> V:
        place = id(record)
        known = found.get(place)
        if known is None or known[0]() is not record:
            if not (lasting(record) and hasattr(record, "__weakref__")):
                return function(record, *rest)
            # Its place may be another's later on.
            known = found[place] = weakref.ref(record, lambda _: found.pop(place, None)), {}
            for old in list(found)[:-most] if most else ():
                found.pop(old, None)
        with contextlib.suppress(KeyError, TypeError):  # of a value without a hash
            return known[1][rest]
        value = function(record, *rest)
        if lasting(rest):
            with contextlib.suppress(TypeError):
                known[1][rest] = value
        return value

    return asked
