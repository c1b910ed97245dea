"""Points that keep all constraints, from what a method returned.

From covariances R_k of any rank, of a program, follow beams of rank one with the same R and the
same SQINRs, ``v_k = R_k h_k / sqrt(h_k^H R_k h_k)``, since R_k - v_k v_k^H >= 0 goes to the
sensing streams [Liu20, Theorem 1]. In W it is the channel behind the gains, g_k = A_t h_k, that
stands in the place of h_k: with transmit chains that differ the two are not parallel.

A point can miss constraints by a little. With the phases of the beams such that h_k^H v_k > 0,
the points that keep the SQINRs are a convex set: a small share of a point inside makes up for
what a point misses. It moves nothing else, also where some SQINRs are not met with equality.
"""

from __future__ import annotations

import numpy as np

from isacsim.batch import all_of, frobenius2, squared, take
from isacsim.compiled import compiled, part, writable
from isacsim.linalg.blas import multiply
from isacsim.linalg.parts import real_inner
from isacsim.linalg.stacked import adjoint, factor, solved
from isacsim.records import member
from isacsim.solvers.sqinr.least_power import LeastPower, uplink
from isacsim.solvers.sqinr.system import Constraints, System, write_slack
from isacsim.typing import BoolArray, ComplexArray, FloatArray

KEPT = -1e-12  # slack, in units of the noise, that counts as none: rounding
STILL = 1e-12  # change of the power that counts as none
FIRST, HALVINGS = 1e-11, 8  # first share of a point inside that is tried; and how often the range of it is halved


def along_channels(H: ComplexArray, V: ComplexArray) -> tuple[ComplexArray, FloatArray]:
    """Beams ``V_k h_k / sqrt(h_k^H V_k h_k)``, (B, N, K), and what they are divided by, squared, (B, K).

    Where a user receives nothing its beam is zero; of what a failed program returns it may be less than nothing.

    Args:
        H: Channels, (B, N, K).
        V: Covariances V_k, (B, K, N, N).
    """
    h = np.ascontiguousarray(H.swapaxes(-1, -2))
    Vh = (V @ h[..., None])[..., 0]
    received = (np.conj(h) * Vh).sum(axis=-1).real
    beams = Vh / np.sqrt(np.where(received > 0, received, np.inf))[..., None]
    return np.ascontiguousarray(beams.swapaxes(-1, -2)), received


def rank_one(system: System, R: ComplexArray) -> ComplexArray:
    """Beams and N sensing streams (B, N, K+N) of covariances (B, M, N, N), those of the K users first."""
    beams, _ = along_channels(system.H, R[:, : system.users])
    sensing = factor(R.sum(axis=1) - beams @ adjoint(beams), system.antennas)
    return np.concatenate([beams, sensing], axis=-1)


def least_power_beams(system: System, multipliers: FloatArray) -> ComplexArray:
    """The beams that meet every SQINR with the least power, (B, N, K)."""
    _, _, U = uplink(system.H, system.load, multipliers)
    U = U / np.sqrt(np.ascontiguousarray(squared(U).swapaxes(-1, -2)).sum(axis=-1))[:, None, :]
    k = np.arange(system.users)
    received = squared(system.HH @ U)
    matrix = -received - np.swapaxes(system.spread, -1, -2) @ squared(U)
    matrix[:, k, k] += system.ratio * received[:, k, k]
    powers = solved(matrix, np.ones(system.ratio.shape))
    return np.asarray(U * np.sqrt(np.maximum(powers, 0.0))[:, None, :], complex)


def inside(system: System, feasible: LeastPower) -> ComplexArray:
    """The beams of least power (B, N, K), scaled to full power: they keep every SQINR with a margin."""
    if not system.users:
        return np.zeros((len(system.unit), system.antennas, 0), complex)
    return full(least_power_beams(system, feasible.multipliers))


def repaired(system: System, feasible: LeastPower, V: ComplexArray) -> tuple[ComplexArray, BoolArray, BoolArray]:
    """Points of full power near V that keep every SQINR, (B, N, K+S).

    Also which of them moved, by more than rounding, and which had to be given up, both (B,).

    Args:
        system: The members.
        feasible: What their SQINRs need, with a least power of at most 1.
        V: Points that miss constraints by little; the phases of their beams are kept. Where no share
            of V can be kept, the beams of least power take its place.
    """
    V, (N, K), lost = writable(V), system.H.shape[1:], np.zeros(len(V), bool)
    moved, kept = np.empty(len(V), bool), np.empty(len(V), bool)
    place = np.empty((K, V.shape[-1]), complex), np.empty(N), np.empty(K + 1)
    compiled(fill_each)(system.constraints, V, *place, moved, kept)
    if not all_of(kept):
        missed = np.flatnonzero(~kept)
        V[missed], lost[missed] = _inwards(take(system, missed), take(feasible, missed), V[missed])
    return V, moved, lost


def fill_each(
    constraints: Constraints,
    V: ComplexArray,
    received: ComplexArray,
    chain: FloatArray,
    slack: FloatArray,
    moved: BoolArray,
    kept: BoolArray,
) -> None:
    """Scale points V (B, N, L) to full power, and tell which moved, and which keep every SQINR, member by member."""
    for b in range(len(V)):
        mine = member(constraints, b)
        power = fill(V[b], chain)
        multiply(mine.HH, V[b], received)
        write_slack(mine, received, chain, slack)
        kept[b] = True
        for k in range(slack.size - 1):
            kept[b] = kept[b] and slack[k] >= KEPT
        moved[b] = not (kept[b] and abs(power - 1) <= STILL)


@part
def fill(V: ComplexArray, chain: FloatArray) -> float:
    """Scale V (N, L) to unit power, and write its share of each chain, (N,); the power that it had."""
    power = 0.0
    for i in range(V.shape[0]):
        chain[i] = 0.0
        for s in range(V.shape[1]):
            chain[i] += real_inner(V[i, s], V[i, s])
        power += chain[i]
    length = 1 / np.sqrt(power) if power > 0 else 1.0
    for i in range(V.shape[0]):
        chain[i] *= length * length
        for s in range(V.shape[1]):
            V[i, s] *= length
    return power


def _inwards(system: System, feasible: LeastPower, V: ComplexArray) -> tuple[ComplexArray, BoolArray]:
    """`repaired` of points of full power that miss an SQINR."""
    missed, (low, high), safe = np.ones(len(V), bool), np.zeros((2, len(V))), np.zeros_like(V)
    safe[..., : system.users] = inside(system, feasible)
    safe = in_phase(system, safe, V)
    while missed.any():  # ends at the latest with the safe point itself
        low = np.where(missed, high, low)
        high = np.where(missed, np.clip(10 * high, FIRST, 1.0), high)
        missed &= ~_kept(system, _mixed(V, safe, high)) & (high < 1)
    for _ in range(HALVINGS):
        middle = np.sqrt(np.maximum(low, FIRST / 10) * high)
        kept = _kept(system, _mixed(V, safe, middle))
        low, high = np.where(kept, low, middle), np.where(kept, middle, high)
    return _mixed(V, safe, high), np.asarray(high == 1)


def in_phase(system: System, V: ComplexArray, like: ComplexArray) -> ComplexArray:
    """V (B, N, L) with beams whose users receive them in the phases in which they receive those of another point."""
    k = np.arange(system.users)
    along = (system.HH @ like)[:, k, k] * np.conj((system.HH @ V)[:, k, k])
    turned = V.copy()
    turned[:, :, : k.size] *= np.exp(1j * np.angle(along))[:, None, :]
    return turned


def full(V: ComplexArray) -> ComplexArray:
    """V (B, N, L) scaled to unit power: more power keeps every SQINR."""
    size: FloatArray = np.sqrt(frobenius2(V))
    return np.asarray(V / np.where(size > 0, size, 1.0)[:, None, None])


def _kept(system: System, V: ComplexArray) -> BoolArray:
    return np.asarray((system.slack(V)[:, :-1] >= KEPT).all(axis=-1))


def _mixed(V: ComplexArray, safe: ComplexArray, share: FloatArray) -> ComplexArray:
    return full((1 - share)[:, None, None] * V + share[:, None, None] * safe)
