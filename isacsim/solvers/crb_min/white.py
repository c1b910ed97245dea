"""When the white covariance is optimal: no SINR costs anything then.

``tr(R^-1) >= N_t^2 / P`` for every R of power P, with equality at ``R = (P/N_t) I`` alone. That
one meets the SINRs if there is a contraction V (r x K) with ``Re h_k^H v_k >= c_k``: its
columns are the users' precoders, ``I - V V^H`` is left for sensing.
"""

from __future__ import annotations

import numpy as np

from isacsim.batch import hermitian, hermitian_part, squared
from isacsim.optimisation.contraction import STEPS, contraction
from isacsim.solvers.crb_min.recovery import Beams
from isacsim.solvers.crb_min.reduction import Reduced
from isacsim.typing import BoolArray, ComplexArray


def white(reduced: Reduced, steps: int = STEPS) -> tuple[ComplexArray, BoolArray]:
    """Beams (B, r, K) with which the white covariance meets every SINR, and for which members; see `contraction`."""
    return contraction(reduced.H, np.sqrt((1 + reduced.noise) / reduced.ratio), steps)


def white_beams(reduced: Reduced, V: ComplexArray) -> Beams:
    """The users' beams V (B, r, K), with sensing streams that make their covariance white."""
    sensing = hermitian_part(np.eye(reduced.rank) - V @ hermitian(V))
    return Beams(V, sensing, np.full(reduced.unit.shape, float(reduced.antennas)))


def degenerate(reduced: Reduced) -> tuple[ComplexArray, BoolArray]:
    """Likewise beams that all lie along one channel.

    Condition (12) of [Zhao26, Theorem 4]: for some i the powers that the users need along h_i
    sum to at most P / N_t. Only then can every optimum leave an SINR slack, so that a method
    which asks for equality fails.
    """
    cross = squared(reduced.HH @ reduced.H)  # of channels of unit norm: |h_k^H h_i|^2
    with np.errstate(divide="ignore"):
        powers = ((1 + reduced.noise) / reduced.ratio)[:, :, None] / cross
    powers = np.ascontiguousarray(np.swapaxes(powers, -1, -2))  # (B, i, k)
    total = powers.sum(axis=-1)
    best = total.argmin(axis=-1)
    members = np.arange(best.size)
    found = total[members, best] <= 1
    chosen = np.where(found[:, None], powers[members, best], 0.0)
    return reduced.H[members, :, best][:, :, None] * np.sqrt(chosen)[:, None, :], found
