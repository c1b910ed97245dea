"""`CrbMin` behind converters: the problem without a scale, its dual, and beams from a dual point.

Converters distort in proportion to power, so that with all power spent every constant is a share of
it: ``1 = tr(R) / P``. What is left of the problem has no scale. In coordinates in which the bound is
``tr(R^-1)``::

    min  tr(R^-1) tr(diag(psi) R)
    s.t. c_k h_k^H R_k h_k >= tr(B_k R),  B_k = h_k h_k^H + diag(b_k),  R = sum_k R_k + R_r

with psi, the noise of the sensing receiver that each chain's power brings, and b_k, what user k
receives of its distortion and of its own noise. It is convex with ``tr(diag(psi) R) <= 1``, and R_k
may have any rank, since the objective depends on R alone. Each M > 0 on the range of the channels,
with a basis U, proves a bound::

    sqrt(objective) >= X(M) = tr( Q^1/2 ),  Q = diag(psi) + sum_k (s_k / c_k) B_k - U M U^H,
    s_k = 1 / (h_k^H U M^-1 U^H h_k)

X is concave, and its largest value is the optimum: there R = Q^-1/2. The diagonal of the distortion
mixes the range of the channels with what no user sees, so that Q has the size of the array, where
`isacsim.solvers.crb_min.dual` needs that of the range alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import numpy as np
from attrs import frozen

from isacsim.batch import hermitian, hermitian_part, rows, squared
from isacsim.linalg.stacked import Border, eigh, forms, from_spectrum, inverse, solved, trace
from isacsim.optimisation.contraction import contraction
from isacsim.solvers.crb_min.recovery import Beams
from isacsim.solvers.sqinr.group import Group
from isacsim.typing import AnyArray, BoolArray, ComplexArray, FloatArray

EPS = np.finfo(float).eps
PORTION = 4e6  # entries of matrices for each user and antenna that are held at once: 64 MiB
ROUNDED = 4.0  # units in the last place by which an entry of Q can be off, of the terms it is a sum of


def portions(members: int, entries: int) -> Iterator[slice]:
    """Members in portions of so many as are held at once, of so many entries each."""
    step = max(1, int(PORTION / max(1, entries)))
    return (slice(first, min(first + step, members)) for first in range(0, members, step))


@frozen(eq=False)
class ResponseBound:
    """The objective over a `isacsim.solvers.sqinr.system.System` of unit power: ``tr(C R^-1) tr(diag(psi) R)``.

    Attributes:
        cost: The diagonal of C, (B, N), in 1/W.
        noise: psi, (B, N).
    """

    cost: FloatArray = rows(1)
    noise: FloatArray = rows(1)


@frozen(eq=False)
class Homogeneous:
    """B problems; all arrays are of the coordinates in which the bound is ``tr(R^-1)``."""

    H: ComplexArray = rows(2)  #: h_k, (B, N, K)
    HH: ComplexArray = rows(2)  #: Their conjugate transpose, (B, K, N)
    load: FloatArray = rows(2)  #: b_k, (B, N, K)
    ratio: FloatArray = rows(1)  #: c_k, (B, K)
    psi: FloatArray = rows(1)  #: (B, N)
    basis: ComplexArray = rows(2)  #: U, (B, N, r)
    inside: ComplexArray = rows(2)  #: U^H h_k, (B, r, K)
    cost: FloatArray = rows(1)  #: What each R_ii takes of the power, (B, N)
    scale: ComplexArray = rows(1)  #: Precoders are ``diag(scale)`` times beams, but for their power, (B, N)

    boundary: ClassVar[float] = 0.98  #: Share of the way to the boundary of M and of E that a step goes

    @classmethod
    def of(cls, group: Group) -> Homogeneous:
        """The problems of a group whose objective is a `ResponseBound`."""
        system, cost, noise = group.system, group.system.objective.cost, group.system.objective.noise
        scale, load = np.sqrt(cost), cost[:, :, None] * (system.spread + 1)
        H, psi = scale[:, :, None] * system.H, cost * noise
        return cls(**channels(H), load=load, ratio=system.ratio, psi=psi, cost=cost, scale=scale)

    @property
    def rank(self) -> int:
        """Number r of dimensions of M: the smaller of antennas and users."""
        return int(self.basis.shape[-1])

    @property
    def dimensions(self) -> int:
        """Those of all M that one barrier keeps from the boundary."""
        return self.rank

    def total(self, values: AnyArray) -> AnyArray:
        """Sums (B,) over the rows that are one problem: here each is one of its own."""
        return values

    def least(self, values: AnyArray) -> AnyArray:
        """The least (B,) over these rows."""
        return values

    def value(self, R: ComplexArray) -> FloatArray:
        """The objective at R (B, N, N), (B,)."""
        chains = np.ascontiguousarray(np.diagonal(R, axis1=-2, axis2=-1).real)
        return np.asarray(self.total(trace(inverse(R))) * self.total((self.psi * chains).sum(axis=-1)))

    def precoder(self, beams: Beams) -> ComplexArray:
        """Precoders (B, N, K+N); their power is still to be scaled."""
        return self.scale[:, :, None] * beams.precoder

    def paid(self, charged: FloatArray) -> tuple[FloatArray, FloatArray]:
        """What multipliers (B, K) of the constraints add to Q: its diagonal (B, N), and weights (B, K) of h_k h_k^H."""
        return (self.load @ charged[..., None])[..., 0], charged

    def powers(self, received: FloatArray, along: ComplexArray, drawn: FloatArray) -> FloatArray:
        """Powers (B, K) of beams that meet each SQINR with equality; NaN where there are none.

        Args:
            received: ``|h_k^H v_j|^2``, (B, K, K).
            along: The beams v_j, (B, N, K).
            drawn: What the constraints draw from all other streams, (B, K).
        """
        system = self._own(received) - np.swapaxes(self.load, -1, -2) @ squared(along)
        return solved(system, drawn)

    def _own(self, received: FloatArray) -> FloatArray:
        """What beams of unit power give their constraint and take from the others, (B, K, K), but for loads."""
        k, system = np.arange(received.shape[-1]), -received
        system[:, k, k] += self.ratio * received[:, k, k]
        return np.asarray(system)

    def drawn(self, X: ComplexArray) -> FloatArray:
        """``tr(B_k X)`` for each user and Hermitian X (B, N, N), (B, K)."""
        chains = np.ascontiguousarray(np.diagonal(X, axis1=-2, axis2=-1).real)
        return np.asarray(forms(self.H, self.HH, X) + (chains[:, None, :] @ self.load)[:, 0, :])

    def border(self, VH: ComplexArray, weights: FloatArray, outer: ComplexArray, seen: FloatArray) -> Border | None:
        """What couples rows in Newton's matrix; nothing, where each is a problem of its own."""
        return None

    def start(self, multipliers: FloatArray, least: FloatArray) -> tuple[ComplexArray, FloatArray]:
        """M on the ray of the least power but for its length, (B, r, r), and the largest length, (B,).

        With the multipliers lambda (B, K) of the least power (B,) and ``B = C + sum_k lambda_k B_k - least C``, C
        the diagonal of the cost, ``M = (U^H B^-1 U)^-1`` makes ``s_k = lambda_k c_k``: of Q is
        left ``diag(psi) - (1 - least) C`` and what is positive semidefinite. So there is a point inside
        also next to the least power, where M grows without bound. With the diagonal D of B, less the channels, it is
        ``(U^H D^-1 U)^-1 + sum_k lambda_k U^H h_k h_k^H U``, in which nothing cancels.
        """
        diagonal, charged = self.paid(multipliers)
        left = (1 - least)[:, None] * self.cost
        M = inverse(hermitian_part(hermitian(self.basis) @ (self.basis / (diagonal + left)[..., None])))
        M = M + (self.inside * charged[:, None, :]) @ hermitian(self.inside)
        longest = (self.psi / np.maximum(left, EPS * self.cost)).min(axis=-1)
        return hermitian_part(M), self.least(np.asarray(longest))


def channels(H: ComplexArray) -> dict[str, ComplexArray]:
    """What a `Homogeneous` problem has of its channels, by the names of its fields."""
    # Of unit norm, no user's distance decides where the basis is accurate.
    U, _, _ = np.linalg.svd(H / np.sqrt(squared(H).sum(axis=-2, keepdims=True)), full_matrices=False)
    return {"H": H, "HH": hermitian(H), "basis": U, "inside": hermitian(U) @ H}


@frozen(eq=False)
class HomogeneousDual:
    """The dual at M = L L^H."""

    L: ComplexArray = rows(2)  #: (B, r, r), not triangular in general
    beams: ComplexArray = rows(2)  #: ``L^H v_k`` with ``v_k = s_k M^-1 U^H h_k``, of squared length s_k, (B, r, K)
    s: FloatArray = rows(1)  #: s_k, (B, K)
    spectrum: FloatArray = rows(1)  #: Eigenvalues of Q, rising, (B, N)
    V: ComplexArray = rows(2)  #: Their eigenvectors, (B, N, N)
    X: FloatArray = rows()  #: tr(Q^1/2), (B,); -inf where Q is not positive definite
    bound: FloatArray = rows()  #: The proven bound on the objective, (B,)

    @property
    def R(self) -> ComplexArray:
        """Q^-1/2, (B, N, N)."""
        return from_spectrum(self.V, 1 / np.sqrt(self.spectrum))


def evaluate(problem: Homogeneous, L: ComplexArray) -> HomogeneousDual:
    """The dual at ``M = L L^H``."""
    Y = inverse(L) @ problem.inside
    s = 1 / np.ascontiguousarray(squared(Y).swapaxes(-1, -2)).sum(axis=-1)
    diagonal, charged = problem.paid(s / problem.ratio)
    outer, diagonal = problem.basis @ L, problem.psi + diagonal
    Q = (problem.H * charged[:, None, :]) @ problem.HH - outer @ hermitian(outer)
    i = np.arange(Q.shape[-1])
    Q[:, i, i] += diagonal
    spectrum, V = eigh(hermitian_part(Q))
    positive = spectrum[:, 0] > EPS * spectrum[:, -1]  # False for NaN
    X = np.where(positive, np.sqrt(np.where(positive[:, None], spectrum, 1.0)).sum(axis=-1), -np.inf)
    # Rounding of Q is at most a share of diag(psi), which the multiplier of its constraint pays.
    size = (
        diagonal.max(axis=-1)
        + trace(outer @ hermitian(outer))
        + squared(problem.H * np.sqrt(charged)[:, None]).sum(axis=(-2, -1))
    )
    off = np.sqrt(1 + ROUNDED * EPS * size / problem.psi.min(axis=-1))
    proven = problem.total(np.where(positive, X / off, -np.inf))
    bound = np.where(np.isfinite(proven), proven**2, -np.inf)
    return HomogeneousDual(L, Y * s[:, None, :], s, spectrum, V, X, bound)


def beams_at(problem: Homogeneous, dual: HomogeneousDual, E: ComplexArray) -> Beams:
    """Beams of a dual point, with the sensing covariance E on the range in coordinates in which M is the identity.

    At the optimum ``U^H R U = sum_k p_k v_k v_k^H + 2 E``. The beams lie along ``R U (U^H R U)^-1 v_k``,
    which users see as they see v_k; what is left of R for sensing is positive semidefinite by
    construction, and powers that meet each SQINR with equality follow from K linear equations.
    """
    R = dual.R
    cross = R @ problem.basis
    mapped = cross @ inverse(hermitian_part(hermitian(problem.basis) @ cross))  # U^H of it is the identity
    half = mapped @ hermitian(inverse(dual.L))
    along = half @ dual.beams
    sensing = hermitian_part(R - mapped @ hermitian(cross) + half @ (2 * E) @ hermitian(half))
    powers = problem.powers(squared(problem.HH @ along), along, problem.drawn(sensing))
    found: BoolArray = np.asarray(problem.least(np.asarray((powers > 0).all(axis=-1))))
    users = along * np.sqrt(np.where(found[:, None], powers, 1.0))[:, None, :]
    total = np.where(found[:, None, None], users @ hermitian(users) + sensing, np.eye(R.shape[-1]))
    value = problem.value(total)
    return Beams(users, sensing, np.where(found & (value > 0), value, np.inf))


def unconstrained_beams(problem: Homogeneous) -> tuple[Beams, BoolArray]:
    """Beams with the optimal covariance ``diag(psi)^-1/2`` of no SQINRs, and for which members they meet all.

    Where ``R^1/2 V`` are the beams for a contraction V, the rest of R is left for sensing.
    """
    chains = problem.psi**-0.5  # of R
    half = np.sqrt(chains)[:, :, None]
    seen = half * problem.H
    length = np.sqrt(np.ascontiguousarray(squared(seen).swapaxes(-1, -2)).sum(axis=-1))
    drawn = problem.drawn(np.asarray(chains[:, :, None] * np.eye(chains.shape[-1]), complex))
    V, found = contraction(seen / length[:, None, :], np.sqrt(drawn / problem.ratio) / length)
    found = np.asarray(problem.least(found))
    rest = hermitian_part(np.eye(half.shape[-2]) - V @ hermitian(V))
    best = problem.total(np.sqrt(problem.psi).sum(axis=-1)) ** 2
    return Beams(half * V, half * rest * half.swapaxes(-1, -2), best), found
