"""One BLAS thread: for small matrices it is the fastest, and its results do not depend on the machine."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from functools import cache
from typing import Any


@cache
def _libraries(scipy: bool) -> Any:
    """The controller of the loaded libraries; SciPy brings a BLAS of its own, once it is loaded."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()  # looks through all loaded libraries, hence once


@contextlib.contextmanager
def one_blas_thread() -> Iterator[None]:
    """Within it BLAS uses one thread: more may sum in another order, and change last bits."""
    with _libraries("scipy.linalg" in sys.modules).limit(limits=1, user_api="blas"):
        yield
