"""Points that keep every constraint, from what a program returned.

From covariances R_k of any rank follow beams of rank one with the same R and the same SQINRs,
``v_k = R_k h_k / sqrt(h_k^H R_k h_k)``, since R_k - v_k v_k^H >= 0 goes to the sensing streams
[Liu20, Theorem 1]. In W it is the channel behind the gains, g_k = A_t h_k, that stands in the
place of h_k: with transmit chains that differ the two are not parallel.

What a program returns misses constraints by its tolerance. With the phases of the beams such
that h_k^H v_k > 0 the points that keep the SQINRs are a convex set, so that a small share of a
point inside makes up for it.
"""

from __future__ import annotations

import numpy as np

from isacsim.batch import frobenius2, squared
from isacsim.errors import InvalidInput
from isacsim.solvers.base import Request
from isacsim.solvers.sqnr_max.feasibility import Feasibility, least_power_beams
from isacsim.solvers.sqnr_max.system import System
from isacsim.typing import BoolArray, ComplexArray, FloatArray

KEPT = -1e-12  # slack, in units of the noise, that counts as none: rounding
FIRST, HALVINGS = 1e-11, 8  # first share of a point inside that is tried; and how often the range of it is halved


def rank_one(system: System, users: ComplexArray, total: ComplexArray) -> ComplexArray:
    """Beams and N sensing streams (B, N, K+N) of covariances.

    Args:
        system: The members.
        users: R_k, (B, K, N, N).
        total: R, (B, N, N).
    """
    h = np.ascontiguousarray(system.H.swapaxes(-1, -2))[..., None]  # (B, K, N, 1)
    beams = (users @ h)[..., 0]
    received = (np.conj(h[..., 0]) * beams).sum(axis=-1).real
    beams = beams / np.sqrt(np.maximum(received, np.finfo(float).tiny))[..., None]
    beams = np.ascontiguousarray(beams.swapaxes(-1, -2))
    rest = total - beams @ np.conj(beams).swapaxes(-1, -2)
    spectrum, U = np.linalg.eigh((rest + np.conj(rest).swapaxes(-1, -2)) / 2)
    sensing = U * np.sqrt(np.maximum(spectrum, 0.0))[:, None, :]
    return np.concatenate([beams, sensing[:, :, ::-1]], axis=-1)


def inside(system: System, found: Feasibility) -> ComplexArray:
    """The beams of least power (B, N, K), scaled to full power: they keep every SQINR with a margin."""
    if not system.users:
        return np.zeros((len(system.power), system.antennas, 0), complex)
    beams = least_power_beams(system, found.multipliers)
    return np.asarray(beams / np.sqrt(frobenius2(beams))[:, None, None], complex)


def repaired(system: System, safe: ComplexArray, V: ComplexArray) -> ComplexArray:
    """Points of full power near V (B, N, K+S) that keep every SQINR, (B, N, K+S).

    Args:
        system: The members.
        safe: Points `inside`, (B, N, K).
        V: Points that miss constraints by little; their phases are kept.
    """
    streams = np.zeros_like(V[..., system.users :])
    safe = np.concatenate([safe * np.conj(_phases(system, safe)), streams], axis=-1)
    phases = _phases(system, V)
    turn = np.concatenate([phases, streams[:, :1] + 1], axis=-1)
    V = _full(V * np.conj(turn))
    low, high = np.zeros(len(V)), np.zeros(len(V))
    missed = ~_kept(system, V)
    while missed.any():  # ends at the latest with the safe point itself
        low = np.where(missed, high, low)
        high = np.where(missed, np.clip(10 * high, FIRST, 1.0), high)
        missed &= ~_kept(system, _mixed(V, safe, high)) & (high < 1)
    for _ in range(HALVINGS if high.any() else 0):
        middle = np.sqrt(np.maximum(low, FIRST / 10) * high)
        kept = _kept(system, _mixed(V, safe, middle))
        low, high = np.where(kept, low, middle), np.where(kept & (high > 0), middle, high)
    return _mixed(V, safe, high) * turn


def _kept(system: System, V: ComplexArray) -> BoolArray:
    return np.asarray((system.slack(V)[:, :-1] >= KEPT).all(axis=-1))


def _mixed(V: ComplexArray, safe: ComplexArray, share: FloatArray) -> ComplexArray:
    return _full((1 - share)[:, None, None] * V + share[:, None, None] * safe)


def _phases(system: System, V: ComplexArray) -> ComplexArray:
    """Phases of h_k^H v_k, (B, 1, K)."""
    k = np.arange(system.users)
    own = (system.HH @ V[..., : system.users])[:, k, k]
    size = np.sqrt(squared(own))
    return np.asarray(np.where(size > 0, own / np.where(size > 0, size, 1.0), 1.0)[:, None, :])


def _full(V: ComplexArray) -> ComplexArray:
    """V scaled to unit power; more power keeps every SQINR."""
    size: FloatArray = np.sqrt(frobenius2(V))
    return np.asarray(V / np.where(size > 0, size, 1.0)[:, None, None])


def refuse_starts(request: Request) -> None:
    """Refuse a start, which a solver that finds the global optimum has no use for.

    Raises:
        InvalidInput: If the caller gave one.
    """
    for name, key in (("initial", "initial"), ("start", "starts")):
        value = getattr(request, name)
        if value is not None:
            raise InvalidInput(
                key, "must not be given to a solver that finds the global optimum from any start", value,
                "Leave it out.",
            )  # fmt: skip
