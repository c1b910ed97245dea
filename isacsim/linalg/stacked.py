"""Stacked linear algebra in which a singular member disturbs no other."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from isacsim.batch import hermitian_part
from isacsim.typing import AnyArray, BoolArray, ComplexArray, FloatArray

ONE_BY_ONE = 32  # rows from which on half of the arithmetic is worth a call for each member
BISECTIONS = 40  # which leave 1e-12 of the interval


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


def from_spectrum(U: ComplexArray, spectrum: FloatArray) -> ComplexArray:
    """``U diag(spectrum) U^H``, (..., n, n)."""
    return np.asarray((U * spectrum[..., None, :]) @ adjoint(U))


def root(X: ComplexArray) -> ComplexArray:
    """Hermitian root of matrices (B, n, n) that are positive semidefinite but for rounding."""
    spectrum, U = np.linalg.eigh(X)
    return from_spectrum(U, np.sqrt(np.maximum(spectrum, 0.0)))


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


def way_inside(change: ComplexArray, base: ComplexArray, part: float) -> FloatArray:
    """Step lengths (B,), of at most 1, that go a part of the way to where ``base + length change`` is singular.

    It is 0 where a change (B, n, n) is no number; ``base`` (B, n, n) is Hermitian and positive definite.
    """
    sound = np.asarray(np.isfinite(change).all(axis=(-2, -1)))
    change = np.where(sound[:, None, None], change, 0.0)
    spectrum, U = np.linalg.eigh(base)
    half = U / np.sqrt(np.maximum(spectrum, np.finfo(float).tiny))[:, None, :]
    least = np.linalg.eigvalsh(hermitian_part(adjoint(half) @ change @ half)).min(axis=-1, initial=np.inf)
    share = np.where(least < 0, np.minimum(1.0, part / np.where(least < 0, -least, 1.0)), 1.0)
    return np.asarray(np.where(sound, share, 0.0))


def largest_eigenvalue(spectrum: FloatArray, seen: FloatArray, weights: FloatArray) -> FloatArray:
    """The largest eigenvalue of ``U diag(spectrum) U^H + weight_k h_k h_k^H`` for each k, (B, K), from above.

    Bisection of the secular equation ``sum_i weight |u_i^H h|^2 / (x - w_i) = 1``.

    Args:
        spectrum: w, rising, (B, N).
        seen: ``|u_i^H h_k|^2``, (B, K, N).
        weights: Not negative, (B, K).
    """
    terms = weights[..., None] * seen
    low = np.broadcast_to(spectrum[:, -1:], weights.shape)
    high = low + terms.sum(axis=-1)
    for _ in range(BISECTIONS):
        x = (low + high) / 2
        with np.errstate(divide="ignore", invalid="ignore"):
            right = (terms / (x[..., None] - spectrum[:, None, :])).sum(axis=-1) <= 1
        low, high = np.where(right, low, x), np.where(right, x, high)
    return np.asarray(high)


class Border(NamedTuple):
    """What couples the F blocks on the diagonal of a matrix, ``blocks + left inner^-1 right^T``."""

    left: FloatArray  # (F, n, p)
    inner: FloatArray  # (p, p)
    right: FloatArray  # (F, n, p)

    def solved(self, blocks: FloatArray, b: FloatArray) -> FloatArray:
        """Solutions (F, n) for blocks (F, n, n) and a right side (F, n)."""
        both = solutions(blocks, np.concatenate([b[..., None], self.left], axis=-1))
        x, through = both[..., 0], both[..., 1:]
        back = np.swapaxes(self.right, -1, -2)
        small = self.inner + (back @ through).sum(axis=0)
        y = solved(small[None], (back @ x[..., None]).sum(axis=0).T)
        return np.asarray(x - (through @ y[0][:, None])[..., 0])
