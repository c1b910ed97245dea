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

from isacsim.batch import frobenius2, hermitian_part, squared, take
from isacsim.linalg.stacked import solved
from isacsim.solvers.sqinr.group import Feasibility
from isacsim.solvers.sqinr.least_power import directions
from isacsim.solvers.sqinr.system import System
from isacsim.typing import BoolArray, ComplexArray, FloatArray

KEPT = -1e-12  # slack, in units of the noise, that counts as none: rounding
FIRST, HALVINGS = 1e-11, 8  # first share of a point inside that is tried; and how often the range of it is halved


def along_channels(H: ComplexArray, V: ComplexArray) -> tuple[ComplexArray, FloatArray]:
    """Beams ``V_k h_k / sqrt(h_k^H V_k h_k)``, (B, N, K), and what they are divided by, squared, (B, K).

    Args:
        H: Channels, (B, N, K).
        V: Covariances V_k, (B, K, N, N).
    """
    h = np.ascontiguousarray(H.swapaxes(-1, -2))
    Vh = (V @ h[..., None])[..., 0]
    received = (np.conj(h) * Vh).sum(axis=-1).real
    beams = Vh / np.sqrt(np.maximum(received, np.finfo(float).tiny))[..., None]
    return np.ascontiguousarray(beams.swapaxes(-1, -2)), received


def rank_one(system: System, users: ComplexArray, total: ComplexArray) -> ComplexArray:
    """Beams and N sensing streams (B, N, K+N) of covariances.

    Args:
        system: The members.
        users: R_k, (B, K, N, N).
        total: R, (B, N, N).
    """
    beams, _ = along_channels(system.H, users)
    spectrum, U = np.linalg.eigh(hermitian_part(total - beams @ np.conj(beams).swapaxes(-1, -2)))
    sensing = U * np.sqrt(np.maximum(spectrum, 0.0))[:, None, :]
    return np.concatenate([beams, sensing[:, :, ::-1]], axis=-1)


def least_power_beams(system: System, multipliers: FloatArray) -> ComplexArray:
    """The beams that meet every SQINR with the least power, (B, N, K)."""
    U = directions(system, multipliers)
    U = U / np.sqrt(np.ascontiguousarray(squared(U).swapaxes(-1, -2)).sum(axis=-1))[:, None, :]
    k = np.arange(system.users)
    received = squared(system.HH @ U)
    matrix = -received - np.swapaxes(system.spread, -1, -2) @ squared(U)
    matrix[:, k, k] += system.ratio * received[:, k, k]
    powers = solved(matrix, np.ones(system.ratio.shape))
    return np.asarray(U * np.sqrt(np.maximum(powers, 0.0))[:, None, :], complex)


def inside(system: System, feasible: Feasibility) -> ComplexArray:
    """The beams of least power (B, N, K), scaled to full power: they keep every SQINR with a margin."""
    if not system.users:
        return np.zeros((len(system.unit), system.antennas, 0), complex)
    return full(least_power_beams(system, feasible.multipliers))


def repaired(system: System, feasible: Feasibility, V: ComplexArray) -> tuple[ComplexArray, BoolArray]:
    """Points of full power near V that keep every SQINR, (B, N, K+S), and which had to be given up.

    Args:
        system: The members.
        feasible: What their SQINRs need, with a least power of at most 1.
        V: Points that miss constraints by little; the phases of their beams are kept. Where no share
            of V can be kept, the beams of least power take its place.
    """
    V, lost = full(V), np.zeros(len(V), bool)
    missed = np.flatnonzero(~_kept(system, V))
    if missed.size:
        V[missed], lost[missed] = _inwards(take(system, missed), take(feasible, missed), V[missed])
    return V, lost


def _inwards(system: System, feasible: Feasibility, V: ComplexArray) -> tuple[ComplexArray, BoolArray]:
    """`repaired` of points of full power that miss an SQINR."""
    missed = np.ones(len(V), bool)
    streams = np.zeros_like(V[..., system.users :])
    safe = inside(system, feasible)
    safe = np.concatenate([safe * np.conj(_phases(system, safe)), streams], axis=-1)
    turn = np.concatenate([_phases(system, V), streams[:, :1] + 1], axis=-1)
    turned = V * np.conj(turn)
    low, high = np.zeros(len(V)), np.zeros(len(V))
    while missed.any():  # ends at the latest with the safe point itself
        low = np.where(missed, high, low)
        high = np.where(missed, np.clip(10 * high, FIRST, 1.0), high)
        missed &= ~_kept(system, _mixed(turned, safe, high)) & (high < 1)
    for _ in range(HALVINGS):
        middle = np.sqrt(np.maximum(low, FIRST / 10) * high)
        kept = _kept(system, _mixed(turned, safe, middle))
        low, high = np.where(kept, low, middle), np.where(kept, middle, high)
    return _mixed(turned, safe, high) * turn, np.asarray(high == 1)


def full(V: ComplexArray) -> ComplexArray:
    """V (B, N, L) scaled to unit power: more power keeps every SQINR."""
    size: FloatArray = np.sqrt(frobenius2(V))
    return np.asarray(V / np.where(size > 0, size, 1.0)[:, None, None])


def _kept(system: System, V: ComplexArray) -> BoolArray:
    return np.asarray((system.slack(V)[:, :-1] >= KEPT).all(axis=-1))


def _mixed(V: ComplexArray, safe: ComplexArray, share: FloatArray) -> ComplexArray:
    return full((1 - share)[:, None, None] * V + share[:, None, None] * safe)


def _phases(system: System, V: ComplexArray) -> ComplexArray:
    """Phases of h_k^H v_k, (B, 1, K)."""
    k = np.arange(system.users)
    own = (system.HH @ V[..., : system.users])[:, k, k]
    size = np.sqrt(squared(own))
    return np.asarray(np.where(size > 0, own / np.where(size > 0, size, 1.0), 1.0)[:, None, :])
