"""Loops compiled by Numba when they are first called.

For arithmetic that NumPy could only do in several passes over memory, or in calls that take
longer than it. What is compiled is plain Python that works alone, too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import FunctionType
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


def part(function: F) -> F:
    """``function`` itself, which compiled ones may call, and parts of them."""
    function.is_part = True  # type: ignore[attr-defined]
    return function


@cache
def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """``function`` compiled, with what is compiled kept on disk where there is a place for it.

    The arithmetic is that of IEEE 754 in the order in which it is written, so that the bytes
    are those of the function itself, but for matrix products and factorisations, where SciPy's
    BLAS takes the place of NumPy's.
    """
    import numba

    parts = parts_of(function)
    for each in parts:
        _registered(each)
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
    try:
        result = numba.njit(cache=True, **options)(function)
    except RuntimeError:  # neither the package nor the user has a folder that can be written
        return numba.njit(**options)(function)
    # Numba renews what is on disk when the file of the function changes, not when those of its parts do.
    kept = result._cache._cache_file
    kept._source_stamp = (kept._source_stamp, _digest(parts))
    return result


def parts_of(function: Any) -> list[FunctionType]:
    """The parts that a function calls, and those that they call."""
    found: dict[FunctionType, None] = {}
    todo = [function]
    while todo:
        here = todo.pop()
        used = (here.__globals__.get(name) for name in here.__code__.co_names)
        new = [each for each in used if getattr(each, "is_part", False) and each not in found]
        found.update(dict.fromkeys(new))
        todo += new
    return list(found)


@cache
def _registered(function: FunctionType) -> Any:
    from numba.extending import register_jitable

    return register_jitable(function)


def _digest(parts: list[FunctionType]) -> str:
    """Of all files that the parts are in."""
    files = sorted({each.__code__.co_filename for each in parts})
    return hashlib.sha256(b"".join(Path(file).read_bytes() for file in files)).hexdigest()
