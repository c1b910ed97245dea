"""Certified lower bounds from the dual of the reduced problem.

With s_k = 1 / (h_k^H M^-1 h_k) and lambda_k = s_k / a_k each M > 0 and mu > 0 with
``Q = mu I - M + sum_k lambda_k h_k h_k^H >= 0`` bounds the objective from below by::

    2 tr(Q^1/2) + 2 (N_t - r) mu^1/2 + sum_k lambda_k sigma_k^2 - mu N_t

Q and lambda are homogeneous in (M, mu). On the ray through them the best bound is::

    (tr(Q^1/2) + (N_t - r) mu^1/2)^2 / (mu N_t - sum_k lambda_k sigma_k^2)

A point whose Q is not positive semidefinite becomes feasible by raising mu.
"""

from __future__ import annotations

import attrs
import numpy as np
from attrs import frozen

from isacsim.batch import hermitian, hermitian_part, rows, squared, take
from isacsim.solvers.crb_min.reduction import Reduced
from isacsim.solvers.linear import inverse, sane, solved
from isacsim.solvers.sqinr.least_power import uplink
from isacsim.typing import ComplexArray, FloatArray

LIFT = 1.01  # by how much more than the least eigenvalue asks for mu is raised
EPS = np.finfo(float).eps
NEAR = 0.01  # surplus, relative to N_t, below which lambda is found anew
LOCAL = 1e-8  # logarithm of lambda up to which one Newton step leaves no more than rounding


@frozen(eq=False)
class Dual:
    """The dual of B reduced problems at M = L L^H and mu."""

    L: ComplexArray = rows(2)  #: A factor of M, (B, r, r), not triangular in general
    mu: FloatArray = rows()  #: Multiplier of the power, (B,)
    inverse: ComplexArray = rows(2)  #: L^-1, (B, r, r)
    Y: ComplexArray = rows(2)  #: L^-1 H, (B, r, K)
    s: FloatArray = rows(1)  #: s_k, (B, K)
    multipliers: FloatArray = rows(1)  #: lambda_k, (B, K)
    Q: ComplexArray = rows(2)  #: (B, r, r)
    surplus: FloatArray = rows()  #: N_t - sum_k lambda_k sigma_k^2 / mu, (B,)
    bound: FloatArray = rows()  #: The proven bound on the objective, (B,); -inf if there is none

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
    Q = hermitian_part(charged - L @ hermitian(L)) + mu[:, None, None] * np.eye(reduced.rank)
    paid = (multipliers * reduced.noise).sum(axis=-1)
    surplus = reduced.antennas - paid / mu
    dual = Dual(L, mu, L_inverse, Y, s, multipliers, Q, surplus, np.full(mu.shape, -np.inf))
    return attrs.evolve(dual, bound=_bound(reduced, dual))


def _bound(reduced: Reduced, dual: Dual) -> FloatArray:
    """The bound of the ray through (M, mu), raised to a positive semidefinite Q; see `Dual`."""
    N, mu = reduced.antennas, dual.mu
    Q, finite = sane(dual.Q)
    spectrum = np.linalg.eigvalsh(Q)
    lift = LIFT * np.maximum(-spectrum[:, 0], 0.0)
    sure = spectrum + lift[:, None] - EPS * reduced.rank * np.abs(spectrum).max(axis=-1, keepdims=True)
    gained = np.sqrt(np.maximum(sure, 0.0)).sum(axis=-1) + reduced.spare * np.sqrt(mu + lift)
    # This Q belongs to another M, by the rounding of its terms: mu pays for that.
    size = reduced.users * mu + squared(dual.L).sum(axis=(-2, -1))
    cost = mu * dual.surplus + (lift + EPS * size) * N
    near = np.flatnonzero(finite & (dual.surplus < NEAR * N) & (spectrum[:, -1] < 0.5 * mu))
    if near.size:
        paid = _paid(take(reduced, near), Q[near], mu[near], dual.multipliers[near])
        exact = (mu * (1 + EPS * reduced.users) + lift)[near] * N - paid
        cost[near] = np.where(np.isfinite(exact), exact, cost[near])
    sound = finite & np.isfinite(cost) & (cost > 0) & (mu > 0)
    return np.where(sound, gained**2 / np.where(sound, cost, 1.0), -np.inf)


def _paid(reduced: Reduced, Q: ComplexArray, mu: FloatArray, multipliers: FloatArray) -> FloatArray:
    """``sum_k lambda_k sigma_k^2`` with the largest lambda that Q and mu allow, (B,); NaN if that is not close by.

    Just above the least power the surplus is no more than what M has lost of mu to rounding.
    From Q and mu themselves lambda follows like the least power, over noise of covariance
    ``mu I - Q``; at SINRs that are lower by what rounding may have raised them.
    """
    noise = mu[:, None, None] * np.eye(reduced.rank) - Q
    sinr, jacobian, off = uplink(reduced.HH @ np.linalg.solve(noise, reduced.H), multipliers)
    step = solved(jacobian, -np.log(sinr / reduced.threshold) - EPS * (1 + off))
    local = np.abs(step).max(axis=-1) <= LOCAL  # False for NaN
    step = np.where(local[:, None], step, np.nan)
    return np.asarray((multipliers * np.exp(step) * reduced.noise).sum(axis=-1))


def from_multipliers(reduced: Reduced, multipliers: FloatArray, Q: ComplexArray, mu: FloatArray) -> Dual:
    """The dual near approximate multipliers lambda (B, K), Q (B, r, r) and mu (B,).

    M is what stationarity makes of them, pushed into the positive definite matrices; the
    lambda that belong to it are found anew, so that errors enter the bound squared.
    """
    M = (reduced.H * np.maximum(multipliers, 0.0)[:, None, :]) @ reduced.HH - hermitian_part(Q)
    M, _ = sane(M + mu[:, None, None] * np.eye(reduced.rank))
    spectrum, U = np.linalg.eigh(M)
    # So far inside that M stays regular; what this takes from the bound is the square of it.
    spectrum = np.maximum(spectrum, 1e-9 * np.maximum(np.abs(mu), spectrum[:, -1])[:, None])
    return evaluate(reduced, U * np.sqrt(spectrum)[:, None, :], mu)
