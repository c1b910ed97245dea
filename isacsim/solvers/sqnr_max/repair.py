"""Points that miss constraints by a little, made to meet them.

The constraints are linear in the powers of the columns: with K factors for the users' beams
and one for all sensing streams, SQINRs and power can be met with equality.
"""

from __future__ import annotations

import numpy as np

from isacsim.batch import frobenius2, squared, take
from isacsim.solvers.linear import solved
from isacsim.solvers.sqnr_max.feasibility import Feasibility, least_power_beams
from isacsim.solvers.sqnr_max.system import System
from isacsim.typing import BoolArray, ComplexArray, FloatArray

ROUNDING = 1e-10  # relative violation that is left alone


def repaired(system: System, found: Feasibility, V: ComplexArray) -> tuple[ComplexArray, BoolArray]:
    """Points of full power that meet all SQINRs, (B, N, K+S), and which had to be given up.

    Where V, scaled to full power, misses an SQINR, its columns are scaled so that all are met
    with equality. Where no scaling does that, the beams of least power take its place.
    """
    V = V / np.sqrt(frobenius2(V))[:, None, None]
    received = system.HH @ V
    slack = system.slack_of(received, squared(V).sum(axis=-1))
    off = np.flatnonzero(system.violation(slack, received) > ROUNDING)
    lost = np.zeros(len(V), bool)
    if off.size:
        part, K = take(system, off), system.users
        powers = _powers(part, V[off])
        fits = np.asarray((powers > 0).all(axis=-1))
        V = V.copy()
        factors = np.sqrt(np.where(fits[:, None], powers, 1.0))
        V[off, :, :K] *= factors[:, None, :-1]
        V[off, :, K:] *= factors[:, None, -1:]
        lost[off[~fits]] = True
        beams = least_power_beams(part, found.multipliers[off])[~fits]
        V[off[~fits]] = 0.0
        V[off[~fits], :, :K] = beams / np.sqrt(frobenius2(beams))[:, None, None]
    return V, lost


def _powers(system: System, V: ComplexArray) -> FloatArray:
    """Factors of the powers of each beam and of all sensing streams that meet all constraints, (B, K+1)."""
    K = system.users
    k = np.arange(K)
    drawn = system.load_rows @ squared(V)  # (B, K+1, L)
    gains = squared(system.HH @ V)
    drawn[:, :K] += gains
    drawn[:, k, k] -= system.ratio * gains[:, k, k]
    matrix = np.concatenate([drawn[..., :K], drawn[..., K:].sum(axis=-1, keepdims=True)], axis=-1)
    right = np.ones(matrix.shape[:-1])
    right[:, :K] = -1.0
    return solved(matrix, right)
