"""The best point under a surrogate: dual Newton method in the K + 1 multipliers.

The maximum of ``2 Re tr(C^H V) - tr(V^H M V)`` under the constraints of a `System` has the
dual function, with ``Phi = M + sum_j lambda_j (h_j h_j^H + diag(e |h_j|^2)) + mu I``::

    D(lambda, mu) = Re tr(C^H V) - sum_k lambda_k + mu,  v_l = Phi_l^-1 c_l

where Phi_l is Phi for a sensing stream and ``Phi - lambda_k c_k h_k h_k^H`` for the beam of user
k. D is convex where all Phi_l are positive definite, which for M > 0 and multipliers that are
not negative is ``s_k = lambda_k c_k h_k^H Phi^-1 h_k < 1``. Its gradient is the slack of the
constraints at V: at the minimum V meets them, and strong duality makes V the best point.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from attrs import frozen

from isacsim.batch import inner, rows, squared, take
from isacsim.solvers.linear import adjoint, inverse, solved
from isacsim.solvers.sqnr_max.system import System
from isacsim.typing import BoolArray, ComplexArray, FloatArray, IntArray

STEPS = 120
TRIALS = 40  # shortened steps in a row after which a member stays where it is
ARMIJO = 1e-4  # share of the predicted fall that a step must bring
ROUNDING = 1e-13  # relative change of D that rounding explains
FLATTENS = 0.5  # where D is flat to rounding, by how much a step must lower its slope


@frozen(eq=False)
class DualPoint:
    """The dual function of B members at one point.

    Attributes:
        value: D, (B,).
        gained: Its term ``Re tr(C^H V)``, (B,).
        terms: Sum of the sizes of its terms, which sets its rounding, (B,).
        slope: Its gradient, the slack of the constraints at V, (B, K+1).
        V: The point that is best for these multipliers, (B, N, L).
        share: s_k, (B, K).
        inside: Whether all s_k < 1, (B,); elsewhere the rest means nothing.
        inverse: ``Phi^-1``, (B, N, N).
        U: ``Phi^-1 H``, (B, N, K).
        HU: ``H^H Phi^-1 H``, (B, K, K).
        received: ``H^H V``, (B, K, L).
        boost: ``Phi_k^-1 = Phi^-1 + boost_k u_k u_k^H`` for the beam of user k, (B, K).
    """

    value: Any = rows()
    gained: Any = rows()
    terms: Any = rows()
    slope: Any = rows(1)
    V: Any = rows(2)
    share: Any = rows(1)
    inside: Any = rows()
    inverse: Any = rows(2)
    U: Any = rows(2)
    HU: Any = rows(2)
    received: Any = rows(2)
    boost: Any = rows(1)


def evaluate(system: System, C: ComplexArray, M: ComplexArray, multipliers: FloatArray) -> DualPoint:
    """The dual function of surrogates C (B, N, L), M (B, N, N) at multipliers (B, K+1)."""
    K = system.users
    i, k = np.arange(system.antennas), np.arange(K)
    Phi = M + (system.H * multipliers[:, None, :-1]) @ system.HH
    Phi[:, i, i] += (system.load @ multipliers[..., None])[..., 0]
    inverted = inverse(Phi)
    both = inverted @ np.concatenate([system.H, C], axis=-1)
    U, V = both[..., :K], both[..., K:]
    HU = system.HH @ U
    weights = multipliers[:, :-1] * system.ratio
    share = weights * HU[:, k, k].real
    inside = (share < 1).all(axis=-1) & np.isfinite(share).all(axis=-1)
    boost = weights / np.where(share < 1, 1 - share, 1.0)
    received = system.HH @ V
    own = boost * received[:, k, k]
    V[..., :K] += U * own[:, None, :]
    received[..., :K] += HU * own[:, None, :]
    slope = system.slack_of(received, squared(V).sum(axis=-1))
    gained, spent = inner(C, V), multipliers[:, :-1].sum(axis=-1)
    value, terms = gained + multipliers[:, -1] - spent, gained + multipliers[:, -1] + spent
    V = np.ascontiguousarray(V)
    U = np.ascontiguousarray(U)
    return DualPoint(value, gained, terms, slope, V, share, inside, inverted, U, HU, received, boost)


def curvature(system: System, point: DualPoint) -> FloatArray:
    """The Hessian of D, (B, K+1, K+1): ``2 Re sum_l (E_i v_l)^H Phi_l^-1 (E_j v_l)`` with ``E_j = dPhi_l / dz_j``.

    For all columns E_j is made of the features [I, H] of the constraints, so that the sum over
    columns is one Hadamard product; what is special about a user's own column has rank one.
    """
    K = system.users
    k = np.arange(K)
    inverted, U, HU, V, received = point.inverse, point.U, point.HU, point.V, point.received
    RF = V @ adjoint(V)
    Rh = V @ adjoint(received)
    on_chains = inverted.real * RF.real + inverted.imag * RF.imag
    across = system.load_rows @ (U.real * Rh.real + U.imag * Rh.imag)
    Rhh = received @ adjoint(received)
    half = system.load_rows @ (on_chains @ system.load)
    half[..., :K] += across
    half[:, :K] += np.swapaxes(across, -1, -2)
    half[:, :K, :K] += HU.real * Rhh.real + HU.imag * Rhh.imag
    # Own column: E_k lacks c_k h_k h_k^H, and Phi_k^-1 has a term of rank one more.
    own = system.ratio * received[:, k, k]
    W = system.load_rows @ (np.conj(U) * V[..., :K])  # u_k^H E_j v_k, (B, K+1, K)
    W[:, :K] += np.conj(HU) * received[..., :K]
    cross = (np.conj(own)[:, None, :] * W).real
    half[..., :K] -= cross
    half[:, :K] -= np.swapaxes(cross, -1, -2)
    half[:, k, k] += squared(own) * HU[:, k, k].real
    W[:, k, k] -= own * HU[:, k, k].real
    half += ((np.conj(W) * point.boost[:, None, :]) @ np.swapaxes(W, -1, -2)).real
    return np.asarray(half + np.swapaxes(half, -1, -2))


def minimise(
    system: System, C: ComplexArray, M: ComplexArray, multipliers: FloatArray, tolerance: FloatArray
) -> tuple[FloatArray, ComplexArray]:
    """Multipliers (B, K+1) at the minimum of the dual function, and V (B, N, L) there.

    Projected Newton steps, scaled by the diagonal, with a line search of its own for each
    member, so that one evaluation serves all members that are not done.

    Args:
        system: The members.
        C: Linear terms, (B, N, L).
        M: Quadratic terms, (B, N, N), positive definite.
        multipliers: Where to start, (B, K+1), not negative.
        tolerance: Largest violation, or slack of a constraint with a multiplier, and largest
            share of what V gains that slacks times multipliers make up, (B,).
    """
    search = _Search(multipliers, C)
    live = np.arange(len(C))
    for _ in range(STEPS):
        whole = live.size == len(C)
        here = (system, C, M) if whole else (take(system, live), C[live], M[live])
        point = evaluate(*here, search.trial[live])
        accepted = search.accepts(live, point)
        if accepted.all():
            live = search.advance(live, here[0], point, tolerance)
        else:
            refused = search.shorten(live[~accepted], take(point, ~accepted))
            going = live[:0]
            if accepted.any():
                ahead = take(here[0], accepted), take(point, accepted)
                going = search.advance(live[accepted], *ahead, tolerance)
            live = np.sort(np.concatenate([going, refused]))
        if not live.size:
            break
    return search.multipliers, search.V


class _Search:
    """Where each member of a batch stands: its best point, and the next one to try."""

    def __init__(self, multipliers: FloatArray, C: ComplexArray) -> None:
        members = len(C)
        self.multipliers, self.trial = multipliers.copy(), multipliers.copy()
        self.V = np.zeros_like(C)
        self.value, self.slope = np.full(members, np.inf), np.zeros_like(multipliers)
        self.share = np.zeros((members, multipliers.shape[-1] - 1))
        self.off = np.full(members, np.inf)
        self.step, self.length = np.zeros_like(multipliers), np.ones(members)
        self.fresh, self.refusals = np.ones(members, bool), np.zeros(members, int)

    def accepts(self, live: IntArray, point: DualPoint) -> BoolArray:
        """Which trials are inside the domain and low enough."""
        predicted = (self.slope[live] * (self.trial[live] - self.multipliers[live])).sum(axis=-1)
        with np.errstate(invalid="ignore"):
            low = point.value <= self.value[live] + ARMIJO * predicted + ROUNDING * point.terms
        return np.asarray(point.inside & (self.fresh[live] | low))

    def shorten(self, live: IntArray, point: DualPoint) -> IntArray:
        """Bring the trials of refused members nearer to where they come from; those that go on."""
        share, before, fresh = point.share, self.share[live], self.fresh[live]
        many = self.refusals[live] > 3
        # A first point outside the domain: smaller multipliers of the users, then a larger one of the power.
        factor = np.where((share >= 1) & ~point.inside[:, None], 0.7 / np.where(share > 0, share, 1.0), 1.0)
        first = self.trial[live].copy()
        first[:, :-1] *= factor * np.where(many, 0.5, 1.0)[:, None]
        first[:, -1] = first[:, -1] * np.where(many, 1.5, 1.0) + 1e-12
        # A step that leaves the domain ends well before its boundary.
        leaves = (share >= 1) & (share > before)
        reach = np.where(leaves, (1 - before) / np.where(leaves, share - before, 1.0), 1.0).min(axis=-1, initial=1.0)
        self.length[live] *= np.where(point.inside, 0.5, np.clip(0.8 * reach, 0.1, 0.7))
        self.refusals[live] += 1
        later = np.maximum(self.multipliers[live] + self.length[live, None] * self.step[live], 0.0)
        self.trial[live] = np.where(fresh[:, None], first, later)
        return live[self.refusals[live] <= TRIALS]

    def advance(self, live: IntArray, system: System, point: DualPoint, tolerance: FloatArray) -> IntArray:
        """Move to the trials and choose the next step; the members that are not done."""
        z, slope = self.trial[live], point.slope
        self.multipliers[live], self.value[live], self.slope[live] = z, point.value, slope
        self.V[live], self.share[live], self.fresh[live] = point.V, point.share, False
        active = (z <= 1e-14 * (1 + z.max(axis=-1, keepdims=True))) & (slope > 0)
        off = np.where(active | (z <= 0), np.maximum(-slope, 0.0), np.abs(slope)).max(axis=-1)
        off = np.maximum(off, (z * np.abs(slope)).sum(axis=-1) / point.gained)
        flattens = off <= FLATTENS * self.off[live]
        self.off[live] = off
        going = off >= tolerance[live]
        if not going.all():
            if not going.any():
                return live[:0]
            live, z, slope, active, flattens = (x[going] for x in (live, z, slope, active, flattens))
            system, point = take(system, going), take(point, going)
        step = _newton_step(curvature(system, point), slope, active)
        pays = (-(slope * step).sum(axis=-1) >= ROUNDING * point.terms) | flattens
        pays &= np.isfinite(step).all(axis=-1)
        at = live[pays]
        self.step[at], self.length[at], self.refusals[at] = step[pays], 1.0, 0
        self.trial[at] = np.maximum(z[pays] + step[pays], 0.0)
        return at


def _newton_step(curvature: FloatArray, slope: FloatArray, active: BoolArray) -> FloatArray:
    """Newton step (B, K+1) of the multipliers that are not ``active``, which stay at zero."""
    scale = np.sqrt(np.maximum(np.diagonal(curvature, axis1=-2, axis2=-1), 1e-100))
    A = curvature / (scale[:, :, None] * scale[:, None, :])
    A[active[:, :, None] | active[:, None, :]] = 0.0
    j = np.arange(slope.shape[-1])
    A[:, j, j] = 1.0 + 1e-13
    return np.asarray(-solved(A, np.where(active, 0.0, slope / scale)) / scale)
