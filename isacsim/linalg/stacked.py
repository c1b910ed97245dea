"""Stacked linear algebra in which a singular member disturbs no other."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from isacsim.batch import hermitian_part
from isacsim.typing import AnyArray, BoolArray, ComplexArray, FloatArray

ONE_BY_ONE = 32  # rows from which on half of the arithmetic is worth a call for each member


def adjoint(X: ComplexArray) -> ComplexArray:
    """Conjugate transpose of matrices (..., m, n) for a product: BLAS takes its rows as columns, without a copy."""
    return np.asarray(np.conj(X).swapaxes(-1, -2))


def trace(X: AnyArray) -> FloatArray:
    """Real trace of square matrices (..., n, n), shape (...)."""
    return np.ascontiguousarray(np.diagonal(X, axis1=-2, axis2=-1).real).sum(axis=-1)


def forms(H: ComplexArray, HH: ComplexArray, X: ComplexArray) -> FloatArray:
    """h_k^H X h_k for the columns of H (B, n, K), with its conjugate transpose, and Hermitian X (B, n, n), (B, K)."""
    return np.ascontiguousarray(((HH @ X) * np.swapaxes(H, -1, -2)).real).sum(axis=-1)


def inverse(matrices: AnyArray) -> AnyArray:
    """Inverses (B, n, n); NaN for a matrix that is exactly singular."""
    return _each(np.linalg.inv, matrices)


def positive_inverse(matrices: ComplexArray) -> ComplexArray:
    """Inverses (B, n, n) of Hermitian matrices, by Cholesky's factors; NaN for one that is not positive definite.

    Small ones are not tested for it.
    """
    n = matrices.shape[-1]
    if n < ONE_BY_ONE:
        return inverse(matrices)
    from scipy.linalg.lapack import zpotrf, zpotri

    result, half = matrices.copy(), _lower_half(n)
    for each in result:  # from beginning to end, as long as it is at hand
        failed = zpotrf(each.T, clean=0, overwrite_a=1)[1] or zpotri(each.T, overwrite_c=1)[1]
        if failed:
            each[...] = np.nan
        real = each.view(float)
        real *= half  # to LAPACK the lower triangle is an upper one; what is above was left as it was
        each += np.conj(each.T)
    return result


@cache
def _lower_half(n: int) -> FloatArray:
    """What leaves of a matrix (n, n), seen as real numbers, its lower triangle with half of the diagonal, (n, 2n)."""
    return np.repeat(np.tri(n) - 0.5 * np.eye(n), 2, axis=1)


def solved(matrices: FloatArray, right: FloatArray) -> FloatArray:
    """Solutions (B, n) of stacked systems; NaN for a matrix that is exactly singular."""
    return solutions(matrices, right[..., None])[..., 0]


def solutions(matrices: AnyArray, right: AnyArray) -> AnyArray:
    """Solutions (B, n, m) of stacked systems for m right sides each; NaN for a matrix that is exactly singular."""
    return _each(np.linalg.solve, matrices, right)


def _each(function: Callable[..., Any], *stacks: AnyArray) -> AnyArray:
    """A function of stacks whose values are like the last one; NaN where a matrix of a member is singular."""
    try:
        return np.asarray(function(*stacks))
    except np.linalg.LinAlgError:
        result = np.full_like(stacks[-1], np.nan)
        for i, member in enumerate(zip(*stacks, strict=True)):
            with contextlib.suppress(np.linalg.LinAlgError):
                result[i] = function(*member)
        return result


def sane(matrices: AnyArray) -> tuple[AnyArray, BoolArray]:
    """The matrices (B, n, n) with the identity where one is not finite, and which are finite."""
    finite = np.asarray(np.isfinite(matrices).all(axis=(-2, -1)))
    if finite.all():
        return matrices, finite
    return np.where(finite[:, None, None], matrices, np.eye(matrices.shape[-1])), finite


def eigh(X: ComplexArray) -> tuple[FloatArray, ComplexArray]:
    """Eigenvalues (B, n), rising, and eigenvectors (B, n, n) of Hermitian matrices; NaN where one is no number."""
    with contextlib.suppress(np.linalg.LinAlgError):
        spectrum, U = np.linalg.eigh(X)
        if np.isfinite(spectrum).all():
            return spectrum, U
    sound, finite = sane(X)
    spectrum, U = np.linalg.eigh(sound)
    spectrum[~finite], U[~finite] = np.nan, np.nan
    return spectrum, U


def root(X: ComplexArray) -> ComplexArray:
    """Hermitian root of matrices (B, n, n) that are positive semidefinite but for rounding."""
    spectrum, U = np.linalg.eigh(X)
    return (U * np.sqrt(np.maximum(spectrum, 0.0))[:, None, :]) @ np.conj(U).swapaxes(-1, -2)


def factor(X: ComplexArray, columns: int) -> ComplexArray:
    """The matrices F (..., n, columns) for which ``F F^H`` is nearest to Hermitian X (..., n, n), strongest first."""
    spectrum, U = np.linalg.eigh(hermitian_part(X))
    F = np.zeros((*X.shape[:-1], columns), complex)
    strongest = (U * np.sqrt(np.maximum(spectrum, 0.0))[..., None, :])[..., ::-1]
    F[..., : X.shape[-1]] = strongest[..., :columns]
    return F


def aligned(F: ComplexArray, other: ComplexArray) -> ComplexArray:
    """F (..., n, m) turned, with ``F F^H`` unchanged, to be nearest to another."""
    U, _, VH = np.linalg.svd(adjoint(F) @ other)
    return np.asarray(F @ (U @ VH))
