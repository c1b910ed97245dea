"""Hermitian matrices in the real semidefinite programs of the solvers.

A Hermitian matrix A + jB is positive semidefinite when [[A, -B], [B, A]] is.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from isacsim.typing import ComplexArray


def cvxpy() -> Any:
    """The modelling language, imported when it is first needed."""
    import cvxpy

    return cvxpy


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
