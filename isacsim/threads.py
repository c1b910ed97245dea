"""One BLAS thread: for small matrices it is the fastest, and its results do not depend on the machine."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from functools import cache
from typing import Any


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
