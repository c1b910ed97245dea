"""Loops compiled by Numba when they are first called.

For arithmetic that NumPy could only do in several passes over memory, or in many calls on the short
vectors of one member. A function to be compiled is plain Python that works alone, too. What
is kept on disk is renewed when its own file changes: functions that call one another stay in one file.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any


@cache
def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """``function`` compiled, with what is compiled kept on disk where there is a place for it.

    The arithmetic is that of IEEE 754 in the order in which it is written, so that the bytes
    are those of the function itself.
    """
    import numba

    options: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # neither the package nor the user has a folder that can be written
        return numba.njit(**options)(function)
