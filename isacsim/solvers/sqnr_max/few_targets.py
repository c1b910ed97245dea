"""Responses of low rank: the curvature of the radar SQNR in fewer functions of the covariance.

With ``G = (G A) A^H`` for A of r orthonormal columns, the SQNR depends on R through R_ii and
the Hermitian ``J = A^H R A`` alone. Its r^2 coordinates are ``|.|^2``-forms ``z^H R z`` along
A u for the vectors u of `polarisation`.
"""

from __future__ import annotations

import numpy as np

from isacsim.batch import frobenius2, hermitian, squared
from isacsim.random import complex_normal
from isacsim.solvers.sqinr.curvature import Curvature
from isacsim.solvers.sqnr_max.fractional import NOTHING
from isacsim.typing import ComplexArray, FloatArray, IntArray

MOST = 4  # the largest rank that counts as low


def row_space(G: ComplexArray) -> tuple[IntArray, ComplexArray]:
    """Ranks (B,) of matrices (B, N_r, N), MOST + 1 standing for more, and orthonormal bases (B, N, MOST).

    Only the first ``rank`` columns of a basis mean anything. Gram-Schmidt with pivots.
    """
    rest, whole = G.copy(), frobenius2(G)
    rank = np.zeros(len(G), int)
    basis = np.zeros((len(G), G.shape[-1], MOST), complex)
    for r in range(MOST):
        left = frobenius2(rest) > NOTHING * whole
        rank += left
        powers = squared(rest).sum(axis=-1)
        row = np.take_along_axis(rest, powers.argmax(axis=-1)[:, None, None], axis=-2)[:, 0]
        size = np.sqrt(np.where(left, powers.max(axis=-1), 1.0))
        a = np.conj(row) / size[:, None]
        basis[..., r] = a
        rest = rest - (rest @ a[..., None]) * np.conj(a)[:, None, :]
    return rank + (frobenius2(rest) > NOTHING * whole), basis


def factors(G: ComplexArray, most: int) -> tuple[IntArray, ComplexArray, ComplexArray]:
    """Ranks (B,) of matrices (B, N_r, N), most + 1 standing for more, and ``G = B A^H``: B (B, N_r, r), A (B, N, r).

    Seen along most + 1 directions that no matrix knows of, the columns of G span what all of them span. B is
    orthonormal; of both the first ``rank`` columns count.
    """
    receivers, N = G.shape[-2:]
    drawn = complex_normal(np.random.default_rng(0), (N, min(most + 1, receivers, N)))
    B, R = np.linalg.qr(G @ drawn)
    sizes = squared(np.diagonal(R, axis1=-2, axis2=-1))
    rank = (sizes > NOTHING * frobenius2(R)[:, None]).sum(axis=-1)
    return rank, B, hermitian(G) @ B


def polarisation(r: int) -> tuple[ComplexArray, IntArray, IntArray]:
    """Vectors u (r, r^2) whose forms ``u^H J u`` fix a Hermitian J, and its entries above the diagonal.

    They are e_i, then ``(e_i + e_j) / sqrt 2``, then ``(e_i + i e_j) / sqrt 2``.
    """
    i, j = np.triu_indices(r, 1)
    e = np.eye(r, dtype=complex)
    return np.concatenate([e, (e[:, i] + e[:, j]) / np.sqrt(2), (e[:, i] + 1j * e[:, j]) / np.sqrt(2)], axis=1), i, j


def coefficients(b: ComplexArray) -> FloatArray:
    """``b_n J b_n^H`` of rows b_n (B, n, r) in the forms of `polarisation`, (B, n, r^2)."""
    r = b.shape[-1]
    _, i, j = polarisation(r)
    across = b[..., i] * np.conj(b[..., j])
    result = np.concatenate([squared(b), 2 * across.real, 2 * across.imag], axis=-1)
    for pair, (first, second) in enumerate(zip(i, j, strict=True)):
        shared = across[..., pair].real + across[..., pair].imag
        result[..., first] -= shared
        result[..., second] -= shared
    return result


def reduced(full: Curvature, basis: ComplexArray, V: ComplexArray) -> Curvature:
    """The curvature in R_ii and in the forms of A^H R A, for A (B, N, r)."""
    N, r = basis.shape[-2:]
    receivers = full.gains.shape[-2]
    u, _, _ = polarisation(r)
    of_features = coefficients(full.features @ basis)
    of_q, of_x = of_features[:, :receivers], of_features[:, receivers:]
    to_q = np.swapaxes(of_q, -1, -2)
    form = np.empty((len(V), N + r * r, N + r * r))
    form[:, :N, :N] = full.form[:, :N, :N]
    form[:, :N, N:] = full.form[:, :N, N:] @ of_q
    form[:, N:, N:] = to_q @ full.form[:, N:, N:] @ of_q
    # The terms -2 rates_a rho_a x_a^H dR x_a, with rho = (R_ii, gains R_ii + q).
    weighted = full.rates[..., None] * of_x
    form[:, :N, N:] -= weighted[:, :N] + np.swapaxes(full.gains, -1, -2) @ weighted[:, N:]
    across = to_q @ weighted[:, N:]
    form[:, N:, N:] -= across + np.swapaxes(across, -1, -2)
    form[:, N:, :N] = np.swapaxes(form[:, :N, N:], -1, -2)
    features = hermitian(basis @ u)
    return Curvature(features, features @ V, form, full.rates[:, :0], full.gains[:, :0])
