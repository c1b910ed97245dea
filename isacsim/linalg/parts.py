"""Linear algebra of one member, for compiled loops: no batch axis, no copy where none is needed.

What breaks down becomes NaN, and stops no other member. Plain loops take Numba a fifth of a second
to compile where a function of `numpy.linalg` takes one to six, most of them for messages that no
one reads; below some sixteen unknowns they are the faster ones, too. What is larger goes to
`isacsim.linalg.blas` and `isacsim.linalg.lapack`.
"""

from __future__ import annotations

import numpy as np

from isacsim.compiled import brief, part
from isacsim.linalg.lapack import scale
from isacsim.typing import AnyArray, BoolArray, ComplexArray, FloatArray


@part
def real_inner(a: complex, b: complex) -> float:
    """``Re conj(a) b``."""
    return a.real * b.real + a.imag * b.imag


@part
def imaginary_inner(a: complex, b: complex) -> float:
    """``Im conj(a) b``."""
    return a.real * b.imag - a.imag * b.real


@brief
def symmetrise(A: ComplexArray) -> None:
    """Write the Hermitian part of A (n, n) over it."""
    for i in range(A.shape[0]):
        for j in range(i + 1):
            above, below = A[j, i], A[i, j]
            value = complex(0.5 * (below.real + above.real), 0.5 * (below.imag - above.imag))
            A[i, j], A[j, i] = value, value.conjugate()


@brief
def write_identity(A: ComplexArray, value: float) -> None:
    """Write a multiple of the identity over A (n, n)."""
    for i in range(A.shape[0]):
        for j in range(A.shape[0]):
            A[i, j] = value if i == j else 0.0


@brief
def finite(A: ComplexArray) -> bool:
    """Whether all numbers of A (m, n) are finite, and their sum."""
    total = 0.0
    for i in range(A.shape[0]):
        for j in range(A.shape[1]):
            total += abs(A[i, j].real) + abs(A[i, j].imag)
    return bool(np.isfinite(total))


@brief
def shift(A: ComplexArray, value: float) -> None:
    """Add a multiple of the identity to A (n, n)."""
    for i in range(A.shape[0]):
        A[i, i] += value


@brief
def real_trace(A: ComplexArray) -> float:
    """Real trace of A (n, n)."""
    total = 0.0
    for i in range(A.shape[0]):
        total += A[i, i].real
    return total


@brief
def scale_rows(A: AnyArray, d: FloatArray, into: AnyArray) -> None:
    """Write ``diag(d) A``; ``into`` may be A."""
    for i in range(d.size):
        scale(d[i], A[i], into[i])


@brief
def scale_columns(A: ComplexArray, d: FloatArray, into: ComplexArray) -> None:
    """Write ``A diag(d)``, likewise."""
    for i in range(A.shape[0]):
        for j in range(d.size):
            value = A[i, j]  # Numba multiplies by a real number as by a complex one
            into[i, j] = complex(value.real * d[j], value.imag * d[j])


@brief
def orthonormalise_rows(A: ComplexArray, least: float) -> int:
    """Write orthonormal rows over the first of A (m, n) that span all of them; how many.

    The longest row of what the others have left comes next, until none is longer than ``least``: a QR factorisation
    with pivots, by Gram and Schmidt. Each goes through it twice, which is enough for any length.
    """
    m, n = A.shape
    for j in range(m):
        longest, most = j, 0.0
        for k in range(j, m):
            size = squared_norm(A[k])
            if size > most:
                longest, most = k, size
        if j == n or not most > least * least:
            return j
        for i in range(n):
            A[longest, i], A[j, i] = A[j, i], A[longest, i]
        normalise_row(A[j])
        for k in range(j):
            take_off(A[k], A[j])
        normalise_row(A[j])
        for k in range(j + 1, m):
            take_off(A[j], A[k])
    return m


@brief
def squared_norm(a: ComplexArray) -> float:
    """Squared length of a vector (n,)."""
    total = 0.0
    for each in a:
        total += real_inner(each, each)
    return total


@brief
def normalise_row(a: ComplexArray) -> None:
    """Scale a vector (n,) to unit length."""
    scale(1 / np.sqrt(squared_norm(a)), a, a)


@brief
def take_off(q: ComplexArray, a: ComplexArray) -> None:
    """Subtract from a vector (n,) what of it lies along q of unit length."""
    along = 0j
    for i in range(q.size):
        along += q[i].conjugate() * a[i]
    for i in range(q.size):
        a[i] -= along * q[i]


@part
def solve_into(A: FloatArray, x: FloatArray) -> None:
    """Write the solution (n,) of ``A x = b`` over b, by elimination with pivots; A is overwritten.

    NaN or infinite where A is singular or no number. Few unknowns: from some 40 on LAPACK is faster.
    """
    n = x.size
    for k in range(n):
        pivot = k
        for i in range(k + 1, n):
            if abs(A[i, k]) > abs(A[pivot, k]):
                pivot = i
        for j in range(k, n):
            A[pivot, j], A[k, j] = A[k, j], A[pivot, j]
        x[pivot], x[k] = x[k], x[pivot]
        for i in range(k + 1, n):
            factor = A[i, k] / A[k, k]
            for j in range(k + 1, n):
                A[i, j] -= factor * A[k, j]
            x[i] -= factor * x[k]
    for k in range(n - 1, -1, -1):
        for j in range(k + 1, n):
            x[k] -= A[k, j] * x[j]
        x[k] /= A[k, k]
    for k in range(n):
        if not np.isfinite(x[k]):
            x[:] = np.nan  # the first number of a singular system may look sound


@part
def invert_positive(A: AnyArray, inverse: AnyArray) -> bool:
    """Write the inverse of a Hermitian A (n, n), by Gauss-Jordan elimination without pivoting; whether A is positive.

    A positive definite matrix needs no pivoting, and of another one some pivot is not positive: then
    the inverse means nothing.
    """
    side, positive = A.shape[0], True
    for i in range(side):
        for j in range(side):
            inverse[i, j] = A[i, j]
    for k in range(side):
        pivot = inverse[k, k].real
        positive = positive and pivot > 0
        share = 1 / pivot  # a complex number over a real one is compiled as one over a complex one
        for i in range(side):
            if i != k:
                factor = inverse[k, i].conjugate() * share  # A stays Hermitian but for the columns that are done
                for j in range(side):
                    inverse[i, j] -= factor * inverse[k, j]
                inverse[i, k] = factor
        for j in range(side):
            inverse[k, j] *= share
        inverse[k, k] = -share
    for i in range(side):  # the sweeps leave the inverse with its sign turned
        for j in range(side):
            inverse[i, j] = -inverse[i, j]
    return positive


@part
def regular_inverse(A: AnyArray, least: float, inverse: AnyArray) -> bool:
    """Write the inverse of a Hermitian A (n, n), and whether it is regular: elsewhere the inverse is infinite.

    Regular is a positive definite matrix of which, scaled to a unit diagonal, the inverse has a
    diagonal below 1 / ``least``.
    """
    sound = invert_positive(A, inverse)
    for k in range(A.shape[0]):
        sound = sound and inverse[k, k].real * A[k, k].real * least < 1
    if not sound:
        for i in range(A.shape[0]):
            for j in range(A.shape[0]):
                inverse[i, j] = np.inf
    return sound


def invert_each(A: AnyArray, least: float, inverse: AnyArray, regular: BoolArray) -> None:
    """Write the inverses of Hermitian A (B, n, n), and which are regular; see `regular_inverse`."""
    for b in range(A.shape[0]):
        regular[b] = regular_inverse(A[b], least, inverse[b])
