"""Hermitian matrices in the real semidefinite programs of the solvers.

A Hermitian matrix A + jB is positive semidefinite when [[A, -B], [B, A]] is.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from isacsim.typing import ComplexArray


def cvxpy() -> Any:
    """The modelling language, imported when it is first needed."""
    import cvxpy

    return cvxpy


@cache
def one_thread(backend: str) -> dict[str, int]:
    """Options that keep a backend of cvxpy to one thread, as `isacsim.threads` does the BLAS.

    On these small programs Clarabel's pool costs more than it saves.
    """
    import clarabel

    # Versions without the setting have no pool.
    known = backend == "CLARABEL" and hasattr(clarabel.DefaultSettings(), "max_threads")
    return {"max_threads": 1} if known else {}


def hermitian_basis(side: int) -> ComplexArray:
    """A basis of the Hermitian matrices over the reals, (N^2, N, N)."""
    E = np.eye(side * side).reshape(side, side, side, side)
    i, j = np.triu_indices(side, 1)
    upper, lower = E[i, j], E[j, i]
    return np.concatenate([E[np.arange(side), np.arange(side)] + 0j, upper + lower, 1j * (upper - lower)])


def embedded(x: Any, basis: ComplexArray) -> Any:
    """The real embedding of the Hermitian matrix of coordinates x, an expression (2N, 2N)."""
    real, imag = basis.real, basis.imag
    stacked = np.block([[real, -imag], [imag, real]])
    side = stacked.shape[-1]
    return cvxpy().reshape(stacked.reshape(len(stacked), -1).T @ x, (side, side), order="F").T


def inverse_trace(entries: Any, weights: Any) -> tuple[Any, Any]:
    """The rule that T is at least ``diag(weights) F^-1 diag(weights)``, and the trace of T.

    Args:
        entries: The upper triangle of the symmetric F, by rows, an expression (P (P + 1) / 2,).
        weights: A parameter (P,).
    """
    cp, size = cvxpy(), weights.size
    i, j = np.triu_indices(size)
    scatter = np.zeros((size**2, i.size))
    scatter[i * size + j, np.arange(i.size)] = scatter[j * size + i, np.arange(i.size)] = 1
    F = cp.reshape(scatter @ entries, (size, size), order="F")
    T, root = cp.Variable((size, size), symmetric=True), cp.diag(weights)
    return cp.bmat([[F, root], [root, T]]) >> 0, cp.trace(T)
