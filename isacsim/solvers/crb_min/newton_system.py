"""One linearisation of the saddle point that `primal-dual-newton` solves.

The dual function of `isacsim.solvers.crb_min.dual` with ``2 tr Q^1/2 = min_R tr(R Q) + tr R^-1``
and a barrier on M::

    max_{M, mu} min_R  tr(R Q) + tr R^-1 + 2 (N_t - r) mu^1/2 + sum_k lambda_k sigma_k^2 - mu N_t + eps log det M

R is a variable of its own, so that Q need not be positive on the way. Changes are written
``dM = L (X + xi I) L^H`` and ``dmu = xi mu``: xi scales both, which Q follows without any
cancellation between them, also where the power barely suffices and both grow without bound.
E is the sensing covariance on the range, the partner of M (E M = eps I), in coordinates in
which M is the identity. The directions X are vectors of `isacsim.solvers.hermitian`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from attrs import frozen

from isacsim.batch import hermitian, rows, squared
from isacsim.solvers.crb_min.dual import Dual
from isacsim.solvers.crb_min.reduction import Reduced
from isacsim.solvers.hermitian import congruence, coordinates, dyads, upper_entries
from isacsim.solvers.linear import herm, trace
from isacsim.typing import ComplexArray, FloatArray

TINY = np.finfo(float).tiny
SPREAD = 100.0  # by how much the eigenvalues of E may differ from eps


@frozen(eq=False)
class NewtonSystem:
    """The Newton system of B members; r^2 + 1 real unknowns each.

    Attributes:
        L: Factor of M, turned so that the curvature of the s_k is diagonal, (B, r, r).
        E: Sensing covariance in the coordinates of L, (B, r, r).
        E_root: C with ``C^H E C = I``, (B, r, r).
        rho: Eigenvalues of R, (B, r).
        U: Its eigenvectors, (B, r, r).
        weights: Change of R for one of Q with the sign turned, in coordinates, (B, r^2).
        Q: Q in the eigenbasis of R, (B, r^2).
        excess: Q - R^-2 in the eigenbasis of R, (B, r^2).
        received: Dyads of the channels in the eigenbasis of R, (B, r^2, K).
        beams: Dyads of L^H v_k, (B, r^2, K).
        J: Change of Q for X, (B, r^2, r^2).
        scaling: Cross term of X and xi, (B, r^2).
        factor: Cholesky factor of the block of X, (B, r^2, r^2).
        side: Solution for the cross term, (B, r^2).
        pivot: Schur complement for xi, (B,).
        slope: Gradient by X, without the barrier, (B, r^2).
        slope_xi: Gradient by xi, without the barrier, (B,).
        predicted: Solution for the slope, (B, r^2).
        sound: Which members have a positive definite system, (B,).
    """

    L: Any = rows(2)
    E: Any = rows(2)
    E_root: Any = rows(2)
    rho: Any = rows(1)
    U: Any = rows(2)
    weights: Any = rows(1)
    Q: Any = rows(1)
    excess: Any = rows(1)
    received: Any = rows(2)
    beams: Any = rows(2)
    J: Any = rows(2)
    scaling: Any = rows(1)
    factor: Any = rows(2)
    side: Any = rows(1)
    pivot: Any = rows()
    slope: Any = rows(1)
    slope_xi: Any = rows()
    predicted: Any = rows(1)
    sound: Any = rows()

    def direction(self, solution: FloatArray, right_xi: FloatArray) -> tuple[FloatArray, FloatArray]:
        """X (B, r^2) and xi (B,) where ``solution`` is that of the block of X alone."""
        xi = (right_xi - dot(self.scaling, solution)) / self.pivot
        return solution - xi[:, None] * self.side, xi

    def covariance_change(self, X: FloatArray, xi: FloatArray) -> FloatArray:
        """Change of R in its eigenbasis, (B, r^2)."""
        return -self.weights * (times(self.J, X) + xi[:, None] * self.Q + self.excess)


def dot(x: FloatArray, y: FloatArray) -> FloatArray:
    """Inner products of the rows, (B,)."""
    return (x * y).sum(axis=-1)


def times(A: FloatArray, x: FloatArray) -> FloatArray:
    """Stacked products of matrix and vector, (B, m)."""
    return (A @ x[..., None])[..., 0]


def times_transposed(A: FloatArray, x: FloatArray) -> FloatArray:
    """Stacked products of transposed matrix and vector, (B, n)."""
    return (x[:, None, :] @ A)[:, 0, :]


def linearise(reduced: Reduced, dual: Dual, R: ComplexArray, E: ComplexArray, eps: FloatArray) -> NewtonSystem:
    """The Newton system at a dual point, R (B, r, r) and E (B, r, r), for a barrier of weight eps (B,)."""
    r = reduced.rank
    rho, U = np.linalg.eigh(R)
    rho = np.maximum(rho, TINY ** (1 / 4))
    UH = hermitian(U)
    h = UH @ reduced.H
    powers = ((rho[:, None, :] @ squared(h))[:, 0, :] + reduced.noise) / reduced.ratio
    v = dual.Y * dual.s[:, None, :]
    sizes, turn = np.linalg.eigh((v * powers[:, None, :]) @ hermitian(v) + E / 2)
    L, v = dual.L @ turn, hermitian(turn) @ v
    E, E_root = _clipped(hermitian(turn) @ E @ turn, eps)
    received, beams = dyads(h), dyads(v)
    weights = _coordinate_weights(rho)
    shares = beams / reduced.ratio[:, None, :]
    J = received @ np.swapaxes(shares, -1, -2) - congruence(UH @ L)
    scaled = np.sqrt(weights)[:, :, None] * J
    A = np.swapaxes(scaled, -1, -2) @ scaled
    A -= (beams * (2 * powers / dual.s)[:, None, :]) @ np.swapaxes(beams, -1, -2)
    diagonal = np.arange(r * r)
    A[:, diagonal, diagonal] += _pair_sums(sizes)
    Q = coordinates(UH @ dual.Q @ U)
    excess = Q.copy()
    excess[:, :r] -= 1 / rho**2
    effective = -weights * excess
    effective[:, :r] += rho
    spare_share = reduced.spare * np.sqrt(dual.mu)
    slope = times_transposed(J, effective) + times(beams, reduced.noise / reduced.ratio)
    scaling = times_transposed(J, weights * Q) + coordinates(E)
    factor, solutions, sound = factorised(A, np.stack([slope, scaling], axis=1))
    curvature = dot(Q, weights * Q) + spare_share / 2 + trace(E)
    return NewtonSystem(
        L=L,
        E=E,
        E_root=E_root,
        rho=rho,
        U=U,
        weights=weights,
        Q=Q,
        excess=excess,
        received=received,
        beams=beams,
        J=J,
        scaling=scaling,
        factor=factor,
        side=solutions[:, 1],
        pivot=np.maximum(curvature - dot(scaling, solutions[:, 1]), 1e-14 * curvature),
        slope=slope,
        slope_xi=dot(effective, Q) + spare_share - dual.mu * dual.surplus,
        predicted=solutions[:, 0],
        sound=sound,
    )


def _clipped(E: ComplexArray, eps: FloatArray) -> tuple[ComplexArray, ComplexArray]:
    """E with its eigenvalues near eps, and C with ``C^H E C = I``."""
    spectrum, U = np.linalg.eigh(E)
    spectrum = np.clip(spectrum, eps[:, None] / SPREAD, eps[:, None] * SPREAD)
    return herm((U * spectrum[:, None, :]) @ hermitian(U)), U / np.sqrt(spectrum)[:, None, :]


def _coordinate_weights(rho: FloatArray) -> FloatArray:
    """By how much each coordinate of R falls when that of Q rises: R = Q^-1/2 linearised, (B, r^2)."""
    i, j = upper_entries(rho.shape[-1])
    above = (rho[:, i] * rho[:, j]) ** 2 / (rho[:, i] + rho[:, j])
    return np.concatenate([rho**3 / 2, above, above], axis=-1)


def _pair_sums(sizes: FloatArray) -> FloatArray:
    """``F X + X F`` for the diagonal F of ``sizes`` (B, r) is diagonal in coordinates, (B, r^2)."""
    i, j = upper_entries(sizes.shape[-1])
    above = sizes[:, i] + sizes[:, j]
    return np.concatenate([2 * sizes, above, above], axis=-1)


def factorised(A: FloatArray, right: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Cholesky factors of A (B, n, n), solutions for ``right`` (B, m, n), and where it worked.

    NumPy has no stacked triangular solve, hence the loop over members. A matrix that rounding
    has made indefinite gets the smallest shift of its diagonal that mends it.
    """
    from scipy.linalg import lapack

    solutions, sound = np.zeros_like(right), np.ones(len(A), bool)
    factors = np.empty_like(A)
    for b in range(len(A)):
        # Transposed, a C-ordered array is the Fortran-ordered one that LAPACK takes as it is.
        factor, failed = lapack.dpotrf(A[b].T, lower=1, clean=0)
        shift = 1e-15
        while failed and shift < 1e-2:
            diagonal = np.abs(np.diagonal(A[b]))
            factor, failed = lapack.dpotrf(A[b].T + np.diag(shift * (diagonal + diagonal.mean())), lower=1, clean=0)
            shift *= 100
        sound[b] = not failed
        factors[b] = factor.T
        if not failed:
            solutions[b] = lapack.dpotrs(factor, right[b].T, lower=1)[0].T
    return factors, solutions, sound


def solved_again(system: NewtonSystem, right: FloatArray) -> FloatArray:
    """Solutions of the block of X for ``right`` (B, m, r^2), with the factor at hand."""
    from scipy.linalg import lapack

    solutions = np.zeros_like(right)
    for b in np.flatnonzero(system.sound):
        solutions[b] = lapack.dpotrs(system.factor[b].T, right[b].T, lower=1)[0].T
    return solutions
