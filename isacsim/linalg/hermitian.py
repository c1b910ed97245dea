"""Hermitian matrices as real vectors, in an orthonormal basis.

A matrix (..., r, r) has the r^2 coordinates of its diagonal and of root two times the real and
imaginary parts above it, so that inner products are those of the matrices.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from isacsim.compiled import brief, part
from isacsim.linalg.parts import imaginary_inner, real_inner
from isacsim.typing import ComplexArray, FloatArray, IntArray

SQRT2 = float(np.sqrt(2.0))


@lru_cache(maxsize=64)
def upper_entries(r: int) -> tuple[IntArray, IntArray]:
    """Rows and columns of the entries above the diagonal."""
    i, j = np.triu_indices(r, 1)
    return i, j


def coordinates(X: ComplexArray) -> FloatArray:
    """Coordinates (..., r^2) of Hermitian matrices (..., r, r)."""
    i, j = upper_entries(X.shape[-1])
    upper = SQRT2 * X[..., i, j]
    return np.concatenate([np.diagonal(X, axis1=-2, axis2=-1).real, upper.real, upper.imag], axis=-1)


def matrices(x: FloatArray) -> ComplexArray:
    """Hermitian matrices (..., r, r) of coordinates (..., r^2)."""
    r = int(np.sqrt(x.shape[-1]))
    i, j = upper_entries(r)
    X = np.empty((*x.shape[:-1], r, r), complex)
    upper = (x[..., r : r + i.size] + 1j * x[..., r + i.size :]) / SQRT2
    X[..., i, j], X[..., j, i] = upper, np.conj(upper)
    X[..., np.arange(r), np.arange(r)] = x[..., :r]
    return X


@lru_cache(maxsize=64)
def basis(r: int) -> ComplexArray:
    """The basis, (r^2, r, r)."""
    E = matrices(np.eye(r * r))
    E.flags.writeable = False
    return E


def dyads(h: ComplexArray) -> FloatArray:
    """Coordinates (B, r^2, K) of ``h_k h_k^H`` for the columns of h (B, r, K)."""
    i, j = upper_entries(h.shape[-2])
    upper = SQRT2 * (h[:, i] * np.conj(h[:, j]))
    return np.concatenate([h.real**2 + h.imag**2, upper.real, upper.imag], axis=1)


def weighted_congruence(C: ComplexArray, weights: FloatArray) -> FloatArray:
    """The matrix (B, r^2, r^2) of ``Y -> C^H (weights o C Y C^H) C`` in coordinates, for C (B, N, r).

    Its entries in the usual basis factor over the rows of C, which makes it cheaper by N / r^2 than the
    product of what `subtract_congruence` works out.
    """
    (members, rows_of_C, r), E = C.shape, basis(C.shape[-1]).reshape(-1, C.shape[-1] ** 2)
    pairs = (np.conj(C)[:, :, :, None] * C[:, :, None, :]).reshape(members, rows_of_C, r * r)
    tensor = pairs.swapaxes(-1, -2) @ (weights @ np.conj(pairs))  # of (a, c) by (b, d)
    tensor = tensor.reshape(members, r, r, r, r).swapaxes(-3, -2).reshape(members, r * r, r * r)
    return np.asarray((np.conj(E) @ tensor @ E.T).real)


# The same of one member, for compiled loops.


@brief
def coordinates_into(X: ComplexArray, x: FloatArray) -> None:
    """Write the coordinates (r^2,) of a Hermitian matrix (r, r)."""
    r, k = X.shape[0], X.shape[0]
    above = r * (r - 1) // 2
    for a in range(r):
        x[a] = X[a, a].real
        for b in range(a + 1, r):
            entry = X[a, b]
            x[k], x[k + above] = SQRT2 * entry.real, SQRT2 * entry.imag
            k += 1


@brief
def matrix_into(x: FloatArray, X: ComplexArray) -> None:
    """Write the Hermitian matrix (r, r) of coordinates (r^2,)."""
    r, k = X.shape[0], X.shape[0]
    above = r * (r - 1) // 2
    for a in range(r):
        X[a, a] = x[a]
        for b in range(a + 1, r):
            entry = complex(x[k] / SQRT2, x[k + above] / SQRT2)
            X[a, b], X[b, a] = entry, entry.conjugate()
            k += 1


@part
def dyads_into(h: ComplexArray, D: FloatArray) -> None:
    """Write the coordinates (K, r^2) of ``h_k h_k^H`` for the columns of h (r, K)."""
    r, users = h.shape
    above = r * (r - 1) // 2
    for u in range(users):
        k = r
        for a in range(r):
            one = h[a, u]
            D[u, a] = real_inner(one, one)
            for b in range(a + 1, r):
                D[u, k] = SQRT2 * real_inner(one, h[b, u])
                D[u, k + above] = SQRT2 * imaginary_inner(h[b, u], one)
                k += 1


@brief
def subtract_congruence(C: ComplexArray, J: FloatArray) -> None:
    """Subtract the matrix of ``X -> C X C^H`` in coordinates from J (r^2, r^2), for C (r, r)."""
    r = C.shape[0]
    row, above = r, r * (r - 1) // 2
    for a in range(r):
        subtract_row(C[a], C[a], J[a], J[a], SQRT2, 0.0)
        for b in range(a + 1, r):
            subtract_row(C[a], C[b], J[row], J[row + above], 1.0, 1.0)
            row += 1


@part
def subtract_row(
    x: ComplexArray, y: ComplexArray, real: FloatArray, imaginary: FloatArray, scale: float, turned: float
) -> None:
    """Subtract what entry (a, b) of ``C X C^H`` is of X, for rows x and y of C; of the diagonal there is one half."""
    r = x.size
    column, above = r, r * (r - 1) // 2
    for i in range(r):
        u, v = x[i], y[i]
        real[i] -= SQRT2 / scale * real_inner(u, v)
        imaginary[i] -= turned * SQRT2 * imaginary_inner(v, u)
        for j in range(i + 1, r):
            straight, crossed = real_inner(u, y[j]), real_inner(x[j], v)
            turn, back = imaginary_inner(y[j], u), imaginary_inner(v, x[j])
            real[column] -= (straight + crossed) / scale
            real[column + above] += (turn - back) / scale
            imaginary[column] -= turned * (turn + back)
            imaginary[column + above] -= turned * (straight - crossed)
            column += 1
