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

import numpy as np
from attrs import frozen

from isacsim.batch import hermitian, hermitian_part, rows, squared
from isacsim.solvers.crb_min.dual import Dual
from isacsim.solvers.crb_min.reduction import Reduced
from isacsim.solvers.hermitian import congruence, coordinates, dyads, upper_entries
from isacsim.solvers.linear import trace
from isacsim.typing import BoolArray, ComplexArray, FloatArray

TINY = np.finfo(float).tiny
SPREAD = 100.0  # by how much the eigenvalues of E may differ from eps


@frozen(eq=False)
class NewtonSystem:
    """The Newton system of B members; r^2 + 1 real unknowns each."""

    L: ComplexArray = rows(2)  #: Factor of M, turned so that the curvature of the s_k is diagonal, (B, r, r)
    E: ComplexArray = rows(2)  #: Sensing covariance in the coordinates of L, (B, r, r)
    E_root: ComplexArray = rows(2)  #: C with ``C^H E C = I``, (B, r, r)
    rho: FloatArray = rows(1)  #: Eigenvalues of R, (B, r)
    U: ComplexArray = rows(2)  #: Its eigenvectors, (B, r, r)
    weights: FloatArray = rows(1)  #: Change of R for one of Q with the sign turned, in coordinates, (B, r^2)
    Q: FloatArray = rows(1)  #: Q in the eigenbasis of R, (B, r^2)
    excess: FloatArray = rows(1)  #: Q - R^-2 in the eigenbasis of R, (B, r^2)
    received: FloatArray = rows(2)  #: Dyads of the channels in the eigenbasis of R, (B, r^2, K)
    beams: FloatArray = rows(2)  #: Dyads of L^H v_k, (B, r^2, K)
    J: FloatArray = rows(2)  #: Change of Q for X, (B, r^2, r^2)
    scaling: FloatArray = rows(1)  #: Cross term of X and xi, (B, r^2)
    factor: FloatArray = rows(2)  #: Cholesky factor of the block of X, (B, r^2, r^2)
    side: FloatArray = rows(1)  #: Solution for the cross term, (B, r^2)
    pivot: FloatArray = rows()  #: Schur complement for xi, (B,)
    slope: FloatArray = rows(1)  #: Gradient by X, without the barrier, (B, r^2)
    slope_xi: FloatArray = rows()  #: Gradient by xi, without the barrier, (B,)
    predicted: FloatArray = rows(1)  #: Solution for the slope, (B, r^2)
    sound: BoolArray = rows()  #: Which members have a positive definite system, (B,)

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
    received, beams, weights = dyads(h), dyads(v), _coordinate_weights(rho)
    J = received @ np.swapaxes(beams / reduced.ratio[:, None, :], -1, -2) - congruence(UH @ L)
    Q = coordinates(UH @ dual.Q @ U)
    excess = Q.copy()
    excess[:, :r] -= 1 / rho**2
    effective = -weights * excess
    effective[:, :r] += rho
    spare_share = reduced.spare * np.sqrt(dual.mu)
    slope = times_transposed(J, effective) + times(beams, reduced.noise / reduced.ratio)
    scaling = times_transposed(J, weights * Q) + coordinates(E)
    curved = _curvature(J, weights, beams, 2 * powers / dual.s, sizes)
    factor, solutions, sound = factorised(curved, np.stack([slope, scaling], axis=1))
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
    return hermitian_part((U * spectrum[:, None, :]) @ hermitian(U)), U / np.sqrt(spectrum)[:, None, :]


def _coordinate_weights(rho: FloatArray) -> FloatArray:
    """By how much each coordinate of R falls when that of Q rises: R = Q^-1/2 linearised, (B, r^2)."""
    i, j = upper_entries(rho.shape[-1])
    above = (rho[:, i] * rho[:, j]) ** 2 / (rho[:, i] + rho[:, j])
    return np.concatenate([rho**3 / 2, above, above], axis=-1)


def _curvature(
    J: FloatArray, weights: FloatArray, beams: FloatArray, powers: FloatArray, sizes: FloatArray
) -> FloatArray:
    """The block of X, (B, r^2, r^2): that of Q, less that of the s_k, and of their change with X^2 and the barrier."""
    scaled = np.sqrt(weights)[:, :, None] * J
    A = np.swapaxes(scaled, -1, -2) @ scaled
    A -= (beams * powers[:, None, :]) @ np.swapaxes(beams, -1, -2)
    i, j = upper_entries(sizes.shape[-1])
    above = sizes[:, i] + sizes[:, j]  # F X + X F for the diagonal F of these sizes is diagonal in coordinates
    diagonal = np.arange(A.shape[-1])
    A[:, diagonal, diagonal] += np.concatenate([2 * sizes, above, above], axis=-1)
    return A


def factorised(A: FloatArray, right: FloatArray) -> tuple[FloatArray, FloatArray, BoolArray]:
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
        shift = 1e-15  # from the rounding of the diagonal up to where the step would be another one
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
