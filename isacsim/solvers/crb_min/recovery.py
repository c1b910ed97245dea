"""Beams of rank one that meet every SINR, and what they cost [Zhao26, Theorem 3].

From V_k follow ``w_k = V_k h_k / sqrt(h_k^H V_k h_k)`` and the sensing covariance
``E = sum_k (V_k - w_k w_k^H) >= 0``, with the same R and the same SINRs. What an iteration
returns meets the SINRs but roughly; with the directions and E kept, the powers that meet
them with equality follow from K linear equations.
"""

from __future__ import annotations

import numpy as np
from attrs import frozen

from isacsim.batch import hermitian, hermitian_part, rows, squared
from isacsim.solvers.crb_min.reduction import Reduced
from isacsim.solvers.linear import inverse, root, solved, trace
from isacsim.solvers.sqinr.least_power import directions
from isacsim.solvers.sqinr.repair import along_channels
from isacsim.typing import BoolArray, ComplexArray, FloatArray

# Without spare dimensions an excess of power of this is rounding.
EXCESS = 1e-14
# With spare dimensions this share of the power must be left for them: less is rounding.
LEFT = 1e-14
# Shares of a safe point that are mixed into one that violates constraints a little.
SHARES = (0.0, 1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2)


@frozen(eq=False)
class Beams:
    """Beams of B reduced problems and their exact objective."""

    users: ComplexArray = rows(2)  #: Users' precoders, (B, r, K)
    sensing: ComplexArray = rows(2)  #: Covariance E of the sensing streams on the range, (B, r, r)
    objective: FloatArray = rows()  #: tr(R^-1) in reduced units, (B,); inf where the beams do not fit the power

    @property
    def precoder(self) -> ComplexArray:
        """Coordinates (B, r, K+r) for `isacsim.solvers.crb_min.reduction.precoders`."""
        return np.concatenate([self.users, root(self.sensing)], axis=-1)

    def better(self, other: Beams) -> Beams:
        """Member by member these beams or, where it is lower in objective, the other's."""
        first = self.objective <= other.objective
        if first.all():
            return self
        chosen = first[:, None, None]
        return Beams(
            users=np.where(chosen, self.users, other.users),
            sensing=np.where(chosen, self.sensing, other.sensing),
            objective=np.where(first, self.objective, other.objective),
        )


def tight_beams(reduced: Reduced, along: ComplexArray, sensing: ComplexArray) -> Beams:
    """Beams ``along`` v_k (B, r, K) with h_k^H v_k = 1 that meet each SINR with equality, beside ``sensing`` E >= 0.

    Without spare dimensions the sensing streams are scaled so that the power is spent.
    """
    cross = squared(reduced.HH @ along)  # (B, K, K): user by beam
    k = np.arange(reduced.users)
    system = -cross
    system[:, k, k] = cross[:, k, k] / reduced.threshold
    if reduced.spare:
        powers = solved(system, reduced.noise + reduced.received(sensing))
    else:
        powers, added = solved(system, reduced.noise), solved(system, reduced.received(sensing))
        lengths = squared(np.swapaxes(along, -1, -2)).sum(axis=-1)
        left, cost = reduced.antennas - (powers * lengths).sum(axis=-1), (added * lengths).sum(axis=-1) + trace(sensing)
        share = np.where((left > 0) & (cost > 0), left / np.where(cost > 0, cost, 1.0), 0.0)
        powers, sensing = powers + share[:, None] * added, share[:, None, None] * sensing
    found = np.asarray((powers > 0).all(axis=-1) & np.isfinite(powers).all(axis=-1))
    users = along * np.sqrt(np.where(found[:, None], powers, 1.0))[:, None, :]
    return _fitted(reduced, users, sensing, found)


def _fitted(reduced: Reduced, users: ComplexArray, sensing: ComplexArray, found: BoolArray) -> Beams:
    """The beams with their objective, scaled to full power where there is no spare dimension."""
    S = users @ hermitian(users) + sensing
    spent = trace(S)
    if not reduced.spare:
        scale = reduced.antennas / spent
        found = found & (scale >= 1 - EXCESS)
        users, sensing = users * np.sqrt(scale)[:, None, None], sensing * scale[:, None, None]
        S = S * scale[:, None, None]
        rest = np.zeros_like(spent)
    else:
        found = found & (spent < reduced.antennas * (1 - LEFT))
        rest = reduced.spare**2 / np.where(found, reduced.antennas - spent, 1.0)
    inside = trace(inverse(np.where(found[:, None, None], S, np.eye(reduced.rank))))
    found = found & (inside > 0)  # False for NaN
    return Beams(users, sensing, np.where(found, inside + rest, np.inf))


def recovered(reduced: Reduced, V: ComplexArray, start: Beams) -> Beams:
    """Beams from the matrices V (B, M, r, r) of the K users and, if M > K, of the sensing streams.

    Where V violates a constraint a little, a small share of ``start`` (beams that keep all of
    them) makes up for it: the relaxed problem is convex. Beams no better than ``start`` are
    not returned.
    """
    power = np.maximum(trace(V.sum(axis=1)), np.finfo(float).tiny)
    V = V * np.minimum(reduced.antennas / power, 1.0)[:, None, None, None]
    old = np.ascontiguousarray(np.swapaxes(start.users, -1, -2))
    begun = old[..., :, None] * np.conj(old)[..., None, :]
    total, begun_total = V.sum(axis=1), begun.sum(axis=1) + start.sensing
    best = start
    for share in SHARES:
        mixed = (1 - share) * V[:, : reduced.users] + share * begun
        users, _ = along_channels(reduced.H, mixed)
        best = best.better(repaired(reduced, users, (1 - share) * total + share * begun_total))
    return best


def repaired(reduced: Reduced, users: ComplexArray, S: ComplexArray) -> Beams:
    """Beams near ``users`` (B, r, K) and the covariance S (B, r, r) that meet every SINR.

    What a user has above its SINR goes to the sensing streams first, which leaves S and the
    SINRs of the others as they are.
    """
    own = np.diagonal(reduced.HH @ users, axis1=-2, axis2=-1)  # h_k^H w_k
    needed = (reduced.noise + reduced.received(S)) / reduced.ratio
    kept = users * np.sqrt(np.minimum(needed / np.maximum(squared(own), np.finfo(float).tiny), 1.0))[:, None, :]
    spectrum, U = np.linalg.eigh(hermitian_part(S - kept @ hermitian(kept)))
    sensing = (U * np.maximum(spectrum, 0.0)[:, None, :]) @ hermitian(U)
    return tight_beams(reduced, users / np.where(own != 0, own, 1.0)[:, None, :], sensing)


def cheapest(reduced: Reduced, multipliers: FloatArray) -> Beams:
    """The beams of least power, of multipliers (B, K), which fit the power of every problem that has an answer."""
    along, (members, r, _) = directions(reduced, multipliers), reduced.H.shape
    gain = np.diagonal(reduced.HH @ along, axis1=-2, axis2=-1).real
    return tight_beams(reduced, along / gain[:, None, :], np.zeros((members, r, r), complex))


def shortfall(reduced: Reduced, V: ComplexArray) -> FloatArray:
    """By how much V (B, M, r, r), as for `recovered`, misses SINRs and power, relative, (B,); 0 where it keeps all."""
    S, (_, received) = V.sum(axis=1), along_channels(reduced.H, V[:, : reduced.users])
    missing = 1 - reduced.ratio * received / (reduced.noise + reduced.received(S))
    excess = trace(S) / reduced.antennas - 1
    return np.maximum(np.maximum(missing.max(axis=-1), excess), 0.0)
