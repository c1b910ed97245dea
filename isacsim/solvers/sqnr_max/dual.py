"""Steps of the published minorisation-maximisation, each a dual Newton method in K + 1 multipliers.

The maximum of ``2 Re tr(C^H V) - tr(V^H M V)`` under the constraints of a `System` has the
dual function, with ``Phi = M + sum_j lambda_j (h_j h_j^H + diag(e |h_j|^2)) + mu I``::

    D(lambda, mu) = Re tr(C^H V) - sum_k lambda_k + mu,  v_l = Phi_l^-1 c_l

where Phi_l is Phi for a sensing stream and ``Phi - lambda_k c_k h_k h_k^H`` for the beam of user
k. D is convex where all Phi_l are positive definite, which for M > 0 and multipliers that are
not negative is ``s_k = lambda_k c_k h_k^H Phi^-1 h_k < 1``. Its gradient is the slack of the
constraints at V: at the minimum V meets them, and strong duality makes V the best point.
Derived in docs/derivations/newton-mm, section 4.
"""

from __future__ import annotations

from typing import Self

import numpy as np
from attrs import frozen

from isacsim.batch import frobenius2, inner, put, real_vectors, rows, take
from isacsim.linalg.stacked import positive_inverse, solved
from isacsim.solvers.sqinr.system import System, prices
from isacsim.typing import BoolArray, ComplexArray, FloatArray

PLAIN = 5  # steps: they lead past poorer optima, and tell which constraints bind
FIRST_POWER = 0.35  # first multiplier of the power, relative to the size of C
FIRST_USERS = 0.4  # first multipliers of the users, relative to those of the least power
PROXIMAL = 0.01  # weight of the proximal term, relative to the objective: D then has a minimum
SEARCH = 1e-6  # tolerance of a search: slacks, in units of the noise, and what they cost of the gain
STEPS = 120  # of a search, far beyond the some ten that it takes
TRIALS = 40  # shortened steps in a row after which a member stays where it is
SHORTER = 0.5  # what is left of a step that falls too little, or leaves the domain
ARMIJO = 1e-4  # share of the predicted fall that a step must bring
ROUNDING = 1e-13  # relative change of D that rounding explains
FLATTENS = 0.5  # where D is flat to rounding, by how much a step must lower its slope
ZERO = 1e-14  # a multiplier below this share of the largest is none


def ascended(system: System, V: ComplexArray, least: FloatArray) -> tuple[ComplexArray, FloatArray]:
    """Points (B, N, L) some steps after points V, and their multipliers (B, K+1); ``least`` are those of least power.

    Only for a radar SQNR. The proximal term ``-weight ||V - anchor||^2`` touches at the anchor.
    """
    objective, i = system.objective, np.arange(system.antennas)
    mu = FIRST_POWER * np.sqrt(frobenius2(objective.surrogate(V).C))[:, None]
    z = first = np.concatenate([FIRST_USERS * least * mu, mu], axis=-1)  # in the domain of D, whatever M is
    for _ in range(PLAIN):
        surrogate = objective.surrogate(V)
        weight, M = PROXIMAL * objective.size(surrogate.value), surrogate.M.copy()
        M[:, i, i] += weight[:, None]
        problem = Subproblem(system, surrogate.C + weight[:, None, None] * V, M)
        best = minimum(problem, np.where(DualPoint.at(problem, z).inside[:, None], z, first))
        sound = np.asarray(np.isfinite(best.V).all(axis=(-2, -1)))
        V, z = np.where(sound[:, None, None], best.V, V), np.where(sound[:, None], best.multipliers, z)
    return V, z


@frozen(eq=False)
class Subproblem:
    """What B members maximise, and under which constraints."""

    system: System
    C: ComplexArray = rows(2)  #: Linear term of the surrogate, (B, N, L)
    M: ComplexArray = rows(2)  #: Quadratic term, positive definite, (B, N, N)


@frozen(eq=False)
class DualPoint:
    """The dual function at multipliers of B members; where some s_k is 1 or more only ``share`` means something."""

    multipliers: FloatArray = rows(1)  #: lambda and mu, (B, K+1)
    value: FloatArray = rows()  #: D, (B,)
    gain: FloatArray = rows()  #: Its term ``Re tr(C^H V)``, (B,)
    slope: FloatArray = rows(1)  #: Its gradient, the slack of the constraints at V, (B, K+1)
    V: ComplexArray = rows(2)  #: The point that is best for these multipliers, (B, N, L)
    share: FloatArray = rows(1)  #: s_k, (B, K)
    inverse: ComplexArray = rows(2)  #: ``Phi^-1``, (B, N, N)
    U: ComplexArray = rows(2)  #: ``Phi^-1 H``, (B, N, K)

    @classmethod
    def at(cls, problem: Subproblem, z: FloatArray) -> Self:
        """That at multipliers z (B, K+1)."""
        system, k = problem.system, np.arange(problem.system.users)
        inverse = positive_inverse(problem.M + prices(system.constraints, z))
        U, V = inverse @ system.H, inverse @ problem.C
        share = z[:, :-1] * system.ratio * (system.HH @ U)[:, k, k].real
        own = _boost(system, z, share) * (system.HH @ V)[:, k, k]
        V[:, :, : k.size] += U * own[:, None, :]
        gain = inner(problem.C, V)
        return cls(z, gain + z[:, -1] - z[:, :-1].sum(axis=-1), gain, system.slack(V), V, share, inverse, U)

    @property
    def inside(self) -> BoolArray:
        """Whether all Phi_l are positive definite, (B,)."""
        return np.asarray((self.share < 1).all(axis=-1))

    @property
    def size(self) -> FloatArray:
        """Sum of the sizes of the terms of D, which sets its rounding, (B,)."""
        return np.asarray(self.gain + self.multipliers.sum(axis=-1))

    @property
    def rests(self) -> BoolArray:
        """Which multipliers are zero and would become negative, (B, K+1)."""
        largest = self.multipliers.max(axis=-1, keepdims=True)
        return np.asarray((self.slope > 0) & (self.multipliers <= ZERO * (1 + largest)))

    @property
    def error(self) -> FloatArray:
        """The largest violation, or slack of a constraint with a multiplier, or share of the gain in slacks, (B,)."""
        off = np.where(self.multipliers > 0, np.abs(self.slope), -self.slope)
        costs = (self.multipliers * np.abs(self.slope)).sum(axis=-1) / self.gain
        return np.maximum(np.where(self.rests, 0.0, off).max(axis=-1), costs)

    def step(self, system: System) -> FloatArray:
        """The Newton step of the multipliers that do not rest, (B, K+1); NaN where the Hessian is singular.

        The Hessian is ``2 Re sum_l (E_i v_l)^H Phi_l^-1 (E_j v_l)`` with ``E_j = dPhi_l / dz_j``.
        """
        K, rests, received = system.users, self.rests, system.HH @ self.V
        k, j = np.arange(K), np.arange(K + 1)
        received[:, k, k] *= 1 - system.ratio
        EV = system.load.swapaxes(-1, -2)[..., None] * self.V[:, None]  # (B, K+1, N, L)
        EV[:, :K] += system.H.swapaxes(-1, -2)[..., None] * received[:, :, None, :]
        flat, turned = real_vectors(EV), real_vectors(self.inverse[:, None] @ EV)
        along = (np.conj(self.U)[:, None] * EV[..., :K]).sum(axis=-2)  # u_k^H E_j v_k, (B, K+1, K)
        along = along * np.sqrt(_boost(system, self.multipliers, self.share))[:, None]
        own = np.ascontiguousarray(along).view(float)
        bend = 2 * (flat @ turned.swapaxes(-1, -2) + own @ own.swapaxes(-1, -2))
        scale = np.sqrt(np.maximum(bend[:, j, j], np.finfo(float).tiny))
        bend = np.where(rests[:, :, None] | rests[:, None, :], 0.0, bend / (scale[:, :, None] * scale[:, None, :]))
        bend[:, j, j] = 1 + ROUNDING  # in units of the diagonal; so much more keeps it regular
        return np.asarray(solved(bend, np.where(rests, 0.0, -self.slope / scale)) / scale)


def _boost(system: System, z: FloatArray, share: FloatArray) -> FloatArray:
    """``Phi_k^-1 = Phi^-1 + boost_k u_k u_k^H`` for the beam of user k, (B, K); 0 outside the domain."""
    return np.where(share < 1, z[:, :-1] * system.ratio / np.where(share < 1, 1 - share, 1.0), 0.0)


def minimum(problem: Subproblem, z: FloatArray) -> DualPoint:
    """The minimum of the dual function, from multipliers (B, K+1) in its domain on: projected Newton steps."""
    here, last = DualPoint.at(problem, z), np.full(len(z), np.inf)
    alive = here.inside
    for _ in range(STEPS):
        off, step = here.error, here.step(problem.system)
        fall = -(here.slope * step).sum(axis=-1)
        alive = alive & (off >= SEARCH) & ((fall >= ROUNDING * here.size) | (off <= FLATTENS * last))
        left, last = np.flatnonzero(alive), off
        if not left.size:
            break
        for length in SHORTER ** np.arange(TRIALS):
            old = take(here, left)
            trial = DualPoint.at(take(problem, left), np.maximum(old.multipliers + length * step[left], 0.0))
            predicted = (old.slope * (trial.multipliers - old.multipliers)).sum(axis=-1)
            low = trial.inside & (trial.value <= old.value + ARMIJO * predicted + ROUNDING * trial.size)
            here, left = put(here, left[low], take(trial, low)), left[~low]
            if not left.size:
                break
        alive[left] = False
    return here
