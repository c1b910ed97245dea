"""Beams of rank one that meet every SINR, and what they cost [Zhao26, Theorem 3].

From V_k follow ``w_k = V_k h_k / sqrt(h_k^H V_k h_k)`` and the sensing covariance
``E = sum_k (V_k - w_k w_k^H) >= 0``, with the same R and the same SINRs. What an iteration
returns meets the SINRs but roughly; with the directions and E kept, the powers that meet
them with equality follow from K linear equations.
"""

from __future__ import annotations

import numpy as np
from attrs import frozen

from isacsim.batch import hermitian, hermitian_part, put, rows, squared, take
from isacsim.compiled import brief, compiled, few_passes
from isacsim.linalg.blas import multiply
from isacsim.linalg.lapack import adjoint_multiply, combine, invert, multiply_adjoint, scale
from isacsim.linalg.parts import real_inner, real_trace, scale_columns, solve_into
from isacsim.linalg.stacked import from_spectrum, root, trace
from isacsim.records import blank, laid, member
from isacsim.solvers.crb_min.dual import Scratch
from isacsim.solvers.crb_min.reduction import NOISE, THRESHOLD, Member, Reduced, Sizes
from isacsim.solvers.sqinr.least_power import uplink
from isacsim.solvers.sqinr.repair import along_channels
from isacsim.typing import ComplexArray, FloatArray

# Without spare dimensions an excess of power of this is rounding.
EXCESS = 1e-14
# With spare dimensions this share of the power must be left for them: less is rounding.
LEFT = 1e-14
# Shares of a safe point that are mixed into one that violates constraints a little.
SHARES = (0.0, 1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2)


@frozen(eq=False)
class Beams:
    """Beams of B normalised problems over n dimensions, and their exact objective."""

    users: ComplexArray = rows(2)  #: Users' precoders, (B, n, K)
    sensing: ComplexArray = rows(2)  #: Covariance of the sensing streams, (B, n, n)
    objective: FloatArray = rows()  #: In normalised units, (B,); inf where there are none, or they do not fit the power

    @classmethod
    def of(cls, coordinates: ComplexArray, objective: FloatArray) -> Beams:
        """Those that `coordinates` are."""
        K = coordinates.shape[-1] - coordinates.shape[-2]
        return cls(np.ascontiguousarray(coordinates[..., :K]), np.ascontiguousarray(coordinates[..., K:]), objective)

    @property
    def covariance(self) -> ComplexArray:
        """That of all streams, (B, n, n)."""
        return np.asarray(self.users @ hermitian(self.users) + self.sensing)

    @property
    def coordinates(self) -> ComplexArray:
        """Users' precoders beside the covariance, (B, n, K+n)."""
        return np.concatenate([self.users, self.sensing], axis=-1)

    @property
    def precoder(self) -> ComplexArray:
        """Users' precoders beside the Hermitian root of the covariance, (B, n, K+n)."""
        return np.concatenate([self.users, root(self.sensing)], axis=-1)

    def better(self, other: Beams) -> Beams:
        """Member by member these beams or, where it is lower in objective, the other's."""
        first = self.objective <= other.objective
        if first.all():
            return self
        return put(self, ~first, take(other, ~first))


def tight_beams(reduced: Reduced, along: ComplexArray, sensing: ComplexArray) -> Beams:
    """Beams ``along`` v_k (B, r, K) with h_k^H v_k = 1 that meet each SINR with equality, beside ``sensing`` E >= 0.

    Without spare dimensions the sensing streams are scaled so that the power is spent.
    """
    users, sensing, objective = np.array(along, order="C"), np.array(sensing, order="C"), np.empty(len(along))
    sizes = reduced.sizes
    compiled(tight_each)(reduced.arrays, users, sensing, objective, blank(Scratch, sizes), sizes)
    return Beams(users, sensing, objective)


@brief
def tight_at(problem: Member, users: ComplexArray, sensing: ComplexArray, here: Scratch) -> float:
    """Write `tight_beams` of one member over their directions, and over ``sensing``; the objective."""
    H, terms, antennas = problem
    cross, seen, system = here.cross[0], here.tall[0], here.system
    powers, added, share = here.rows[0], here.rows[1], 1.0
    r, K = H.shape
    adjoint_multiply(H, users, cross)
    multiply(sensing, H, seen)
    for k in range(K):
        powers[k], added[k] = terms[NOISE, k], 0.0
        for i in range(r):
            added[k] += real_inner(H[i, k], seen[i, k])
    gains(cross, terms, system)
    solve_into(system, powers)
    gains(cross, terms, system)
    solve_into(system, added)
    if antennas == r:
        left, cost = float(antennas), real_trace(sensing)
        for k in range(K):
            for i in range(r):
                length = real_inner(users[i, k], users[i, k])
                left, cost = left - powers[k] * length, cost + added[k] * length
        share = left / cost if left > 0 and cost > 0 else 0.0
        scale(share, sensing, sensing)
    least = np.inf
    for k in range(K):
        power = powers[k] + share * added[k]
        least = power if not power > least else least
        powers[k] = np.sqrt(max(power, 0.0))
    if not least > 0:
        return np.inf
    scale_columns(users, powers, users)
    return fitted(int(antennas), users, sensing, here.small[0])


@brief
def gains(cross: ComplexArray, terms: FloatArray, system: FloatArray) -> None:
    """Write the matrix (K, K) of what users get and hear for a power of 1, of cross gains (K, K) of user by beam."""
    for k in range(len(cross)):
        for j in range(len(cross)):
            system[k, j] = -real_inner(cross[k, j], cross[k, j])
        system[k, k] /= -terms[THRESHOLD, k]


@brief
def fitted(antennas: int, users: ComplexArray, sensing: ComplexArray, S: ComplexArray) -> float:
    """The objective of beams, infinite beyond the power; scaled to full power where there is no spare dimension.

    Their covariance is written to S, and inverted there.
    """
    r, rest = len(sensing), 0.0
    multiply_adjoint(users, users, S)
    combine(1.0, sensing, 1.0, S)
    spent = real_trace(S)
    if antennas > r:
        found, rest = spent < antennas * (1 - LEFT), (antennas - r) * (antennas - r) / (antennas - spent)
    else:
        factor = antennas / spent
        found = factor >= 1 - EXCESS
        scale(np.sqrt(factor), users, users)
        scale(factor, sensing, sensing)
        scale(factor, S, S)
    invert(S)
    inside = real_trace(S)
    return inside + rest if found and inside > 0 else np.inf


@few_passes
def tight_each(
    problems: Member, users: ComplexArray, sensing: ComplexArray, objective: FloatArray, work: FloatArray, sizes: Sizes
) -> None:
    """Write `tight_beams` of B members over their directions."""
    here = laid(Scratch, work, sizes)
    for b in range(objective.size):
        objective[b] = tight_at(member(problems, b), users[b], sensing[b], here)


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
    sensing = from_spectrum(U, np.maximum(spectrum, 0.0))
    return tight_beams(reduced, users / np.where(own != 0, own, 1.0)[:, None, :], sensing)


def cheapest(reduced: Reduced, multipliers: FloatArray) -> Beams:
    """The beams of least power, of multipliers (B, K), which fit the power of every problem that has an answer."""
    (_, _, along), (members, r, _) = uplink(reduced.H, reduced.load, multipliers), reduced.H.shape
    gain = np.diagonal(reduced.HH @ along, axis1=-2, axis2=-1).real
    return tight_beams(reduced, along / gain[:, None, :], np.zeros((members, r, r), complex))


def shortfall(reduced: Reduced, V: ComplexArray) -> FloatArray:
    """By how much V (B, M, r, r), as for `recovered`, misses SINRs and power, relative, (B,); 0 where it keeps all."""
    S, (_, received) = V.sum(axis=1), along_channels(reduced.H, V[:, : reduced.users])
    missing = 1 - reduced.ratio * received / (reduced.noise + reduced.received(S))
    excess = trace(S) / reduced.antennas - 1
    return np.maximum(np.maximum(missing.max(axis=-1), excess), 0.0)
