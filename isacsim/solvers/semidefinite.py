"""The real conic programs of the solvers: Hermitian matrices in them, and how they are solved.

A Hermitian matrix A + jB is positive semidefinite when [[A, -B], [B, A]] is.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np

from isacsim.typing import ComplexArray

# What each backend calls its tolerances: gaps and residuals.
BACKENDS = {"CLARABEL": ("tol_gap_abs", "tol_gap_rel", "tol_feas"), "SCS": ("eps_abs", "eps_rel")}


def cvxpy() -> Any:
    """The modelling language, imported when it is first needed."""
    import cvxpy

    return cvxpy


@cache
def _one_thread(backend: str) -> dict[str, int]:
    """Options that keep a backend to one thread, as `isacsim.threads` does the BLAS.

    On these small programs Clarabel's pool costs more than it saves.
    """
    import clarabel

    # Versions without the setting have no pool.
    known = backend == "CLARABEL" and hasattr(clarabel.DefaultSettings(), "max_threads")
    return {"max_threads": 1} if known else {}


def solved(
    problem: Any,
    parameters: Mapping[str, Any],
    values: Mapping[str, Any],
    accuracy: float | None = None,
    backend: str = "CLARABEL",
) -> bool:
    """Solve a compiled program for values of its parameters; whether the backend has an answer.

    The answer lies in the program until its next call, for which several threads need a lock.

    Args:
        problem: The program.
        parameters: Its parameters by name.
        values: Their values by name.
        accuracy: Gaps and residuals that the backend is asked for; None is its own choice.
        backend: One of `BACKENDS`.
    """
    cp = cvxpy()
    for name, parameter in parameters.items():
        parameter.value = values[name]
    options = _one_thread(backend) | ({} if accuracy is None else dict.fromkeys(BACKENDS[backend], accuracy))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of an inaccurate solution; the caller judges what it is worth
        try:
            # Without a warm start the answer does not depend on what was solved before.
            problem.solve(solver=backend, warm_start=False, **options)
        except cp.error.SolverError:
            return False
    return problem.status in (cp.OPTIMAL, cp.OPTIMAL_INACCURATE)


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
