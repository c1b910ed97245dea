"""Linear algebra of one member, for the compiled loops of solvers: no batch axis, no copy where none is needed.

What breaks down becomes NaN, and stops no other member. Numba compiles no narrower ``except`` than that of `Exception`.
"""

from __future__ import annotations

import numpy as np
import scipy.linalg  # noqa: F401 - its BLAS serves compiled code, and must be there before it is limited to one thread

from isacsim.compiled import part
from isacsim.typing import AnyArray, ComplexArray, FloatArray


@part
def real_inner(a: complex, b: complex) -> float:
    """``Re conj(a) b``."""
    return a.real * b.real + a.imag * b.imag


@part
def product(A: AnyArray, B: AnyArray) -> AnyArray:
    """A B."""
    return A @ B


@part
def outer(A: ComplexArray, B: ComplexArray) -> ComplexArray:
    """A B^H."""
    return A @ np.conj(B).T


@part
def turned(A: ComplexArray, B: ComplexArray) -> ComplexArray:
    """A^H B."""
    return np.conj(A).T @ B


@part
def scaled(A: ComplexArray, scale: FloatArray) -> ComplexArray:
    """A diag(scale)."""
    return A * scale


@part
def rows_squared(A: ComplexArray) -> FloatArray:
    """Squared norm of each row of A (m, n), (m,)."""
    result = np.zeros(len(A))
    for i in range(A.shape[0]):
        for j in range(A.shape[1]):
            result[i] += real_inner(A[i, j], A[i, j])
    return result


@part
def inverted(A: ComplexArray) -> ComplexArray:
    """Inverse (n, n); NaN where A is singular or no number."""
    try:
        return np.ascontiguousarray(np.linalg.inv(A))
    except Exception:
        return np.full_like(A, np.nan)


@part
def solved(A: FloatArray, b: FloatArray) -> FloatArray:
    """Solution (n,) of ``A x = b``; NaN where A is singular or no number."""
    try:
        return np.asarray(np.linalg.solve(A, b))
    except Exception:
        return np.full_like(b, np.nan)


@part
def eigh(A: ComplexArray) -> tuple[FloatArray, ComplexArray]:
    """Eigenvalues (n,), rising, and eigenvectors (n, n) of a Hermitian matrix; NaN where it is no number."""
    try:
        spectrum, U = np.linalg.eigh(A)
        return spectrum, np.ascontiguousarray(U)
    except Exception:
        return np.full(len(A), np.nan), np.full_like(A, np.nan)


@part
def put(values: AnyArray, into: AnyArray) -> None:
    """``into[...] = values``, of one shape, which Numba takes a second longer to compile, for its error message."""
    to = into.ravel()
    for i, value in enumerate(values.flat):
        to[i] = value
