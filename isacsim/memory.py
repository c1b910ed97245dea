"""What fits in the memory of this machine: sizes that cannot are refused before the work, with the estimate."""

from __future__ import annotations

import contextlib
import math
import os
import sys
from functools import cache
from pathlib import Path
from typing import Any

from isacsim.errors import InvalidInput

COMPLEX = 16  # bytes of a number


@cache
def machine_memory() -> int:
    """Memory of this machine or container, in bytes; beyond any size where the system does not tell it."""
    try:
        physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):  # Windows has no sysconf
        return sys.maxsize
    for told in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError):  # no container, or one without a limit, "max"
            return min(physical, int(Path(told).read_text()))
    return physical


def peak_memory() -> int:
    """The most that this process has held, in bytes; 0 where the system does not tell it."""
    try:
        import resource
    except ImportError:  # Windows
        return 0
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def must_fit(field: str, what: str, value: Any, *shapes: tuple[int, ...]) -> None:
    """Refuse a size whose arrays of complex numbers take more memory than there is.

    Args:
        field: The field that is too large.
        what: What has these arrays, for the message.
        value: Its value.
        shapes: Shapes of arrays that are there at the same time.

    Raises:
        InvalidInput: It tells the estimate, which is a lower bound, and the memory.
    """
    needed, there = COMPLEX * sum(math.prod(map(int, shape)) for shape in shapes), machine_memory()
    if needed > there:
        rule = f"must fit in memory: {what} takes at least {size_told(needed)}, and there are {size_told(there)}"
        raise InvalidInput(field, rule, value, "Take less of it.")


def size_told(count: int) -> str:
    """A number of bytes in words, rounded down."""
    if count >= 10**15:
        return f"10^{len(str(count)) - 10} GB"
    for unit, name in ((10**9, "GB"), (10**6, "MB")):
        if count >= unit:
            return f"{count // unit} {name}"
    return f"{count // 1000} kB"
