"""Hermitian matrices as real vectors, in an orthonormal basis.

A matrix (..., r, r) has the r^2 coordinates of its diagonal and of root two times the real and
imaginary parts above it, so that inner products are those of the matrices.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from isacsim.typing import ComplexArray, FloatArray, IntArray

SQRT2 = np.sqrt(2.0)


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


def congruence(C: ComplexArray) -> FloatArray:
    """The matrix (B, r^2, r^2) of ``X -> C X C^H`` in coordinates, for C (B, r, r)."""
    r = C.shape[-1]
    i, j = upper_entries(r)
    size = i.size
    matrix = np.empty((C.shape[0], r * r, r * r))
    rows, bottom, right, last = slice(0, r), slice(r, r + size), slice(r, r + size), slice(r + size, None)
    matrix[:, rows, :r] = C.real**2 + C.imag**2
    top, low = C[:, i], C[:, j]  # rows a and b of the entries (a, b) above the diagonal
    corner = SQRT2 * (top * np.conj(low))
    matrix[:, bottom, :r], matrix[:, last, :r] = corner.real, corner.imag
    across = SQRT2 * (C[:, :, i] * np.conj(C[:, :, j]))
    matrix[:, rows, right], matrix[:, rows, last] = across.real, -across.imag
    straight, crossed = top[:, :, i] * np.conj(low[:, :, j]), top[:, :, j] * np.conj(low[:, :, i])
    both, difference = straight + crossed, straight - crossed
    matrix[:, bottom, right], matrix[:, last, right] = both.real, both.imag
    matrix[:, bottom, last], matrix[:, last, last] = -difference.imag, difference.real
    return matrix
