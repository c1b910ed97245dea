"""Certified lower bounds from the dual of the reduced problem.

With s_k = 1 / (h_k^H M^-1 h_k) and lambda_k = s_k / a_k each M > 0 and mu > 0 with
``Q = mu I - M + sum_k lambda_k h_k h_k^H >= 0`` bounds the objective from below by::

    2 tr(Q^1/2) + 2 (N_t - r) mu^1/2 + sum_k lambda_k sigma_k^2 - mu N_t

Q and lambda are homogeneous in (M, mu). On the ray through them the best bound is::

    (tr(Q^1/2) + (N_t - r) mu^1/2)^2 / (mu N_t - sum_k lambda_k sigma_k^2)

A point whose Q is not positive semidefinite becomes feasible by raising mu.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from attrs import frozen

from isacsim.batch import hermitian, rows, squared
from isacsim.solvers.crb_min.reduction import Reduced
from isacsim.solvers.linear import herm, inverse, sane
from isacsim.typing import ComplexArray, FloatArray

LIFT = 1.01  # by how much more than the least eigenvalue asks for mu is raised
EPS = np.finfo(float).eps
ROUNDING = 4 * EPS  # of an eigenvalue of Q, relative to mu, for each dimension


@frozen(eq=False)
class Dual:
    """The dual of B reduced problems at M = L L^H and mu.

    Attributes:
        L: A factor of M, (B, r, r), not triangular in general.
        mu: Multiplier of the power, (B,).
        inverse: L^-1, (B, r, r).
        Y: L^-1 H, (B, r, K).
        s: s_k, (B, K).
        multipliers: lambda_k, (B, K).
        Q: (B, r, r).
        surplus: N_t - sum_k lambda_k sigma_k^2 / mu, (B,).
        bound: The proven bound on the objective, (B,); -inf if there is none.
    """

    L: Any = rows(2)
    mu: Any = rows()
    inverse: Any = rows(2)
    Y: Any = rows(2)
    s: Any = rows(1)
    multipliers: Any = rows(1)
    Q: Any = rows(2)
    surplus: Any = rows()
    bound: Any = rows()

    @property
    def directions(self) -> ComplexArray:
        """v_k = s_k M^-1 h_k, along which the users' beams of least weight lie, (B, r, K)."""
        return (hermitian(self.inverse) @ self.Y) * self.s[:, None, :]


def evaluate(reduced: Reduced, L: ComplexArray, mu: FloatArray) -> Dual:
    """The dual at ``M = L L^H`` and mu."""
    L_inverse = inverse(L)
    Y = L_inverse @ reduced.H
    s = 1 / squared(np.swapaxes(Y, -1, -2)).sum(axis=-1)
    multipliers = s / reduced.ratio
    charged = (reduced.H * multipliers[:, None, :]) @ reduced.HH
    Q = herm(charged - L @ hermitian(L)) + mu[:, None, None] * np.eye(reduced.rank)
    paid = (multipliers * reduced.noise).sum(axis=-1)
    surplus = reduced.antennas - paid / mu
    return Dual(L, mu, L_inverse, Y, s, multipliers, Q, surplus, _bound(reduced, Q, mu, surplus))


def _bound(reduced: Reduced, Q: ComplexArray, mu: FloatArray, surplus: FloatArray) -> FloatArray:
    """The bound of the ray through (M, mu), raised to a positive semidefinite Q."""
    Q, finite = sane(Q)
    spectrum = np.linalg.eigvalsh(Q)
    lift = np.where(spectrum[:, 0] > 0, 0.0, ROUNDING * reduced.rank * mu - LIFT * spectrum[:, 0])
    roots = np.sqrt(np.maximum(spectrum + lift[:, None], 0.0)).sum(axis=-1)
    gained = roots + reduced.spare * np.sqrt(mu + lift)
    # Just above the least power the surplus is little more than the rounding of its terms.
    cost = mu * surplus + (lift + EPS * reduced.users * mu) * reduced.antennas
    sound = finite & np.isfinite(cost) & (cost > 0) & (mu > 0)
    return np.where(sound, gained**2 / np.where(sound, cost, 1.0), -np.inf)


def from_multipliers(reduced: Reduced, multipliers: FloatArray, Q: ComplexArray, mu: FloatArray) -> Dual:
    """The dual near approximate multipliers lambda (B, K), Q (B, r, r) and mu (B,).

    M is what stationarity makes of them, pushed into the positive definite matrices; the
    lambda that belong to it are found anew, so that errors enter the bound squared.
    """
    M = (reduced.H * np.maximum(multipliers, 0.0)[:, None, :]) @ reduced.HH - herm(Q)
    M, _ = sane(M + mu[:, None, None] * np.eye(reduced.rank))
    spectrum, U = np.linalg.eigh(M)
    spectrum = np.maximum(spectrum, 1e-9 * np.maximum(np.abs(mu), spectrum[:, -1])[:, None])
    return evaluate(reduced, U * np.sqrt(spectrum)[:, None, :], mu)
