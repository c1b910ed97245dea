"""When the white covariance is optimal: no SINR costs anything then.

``tr(R^-1) >= N_t^2 / P`` for every R of power P, with equality at ``R = (P/N_t) I`` alone. That
one meets the SINRs if there is a contraction V (r x K) with ``Re h_k^H v_k >= c_k``: its
columns are the users' precoders, ``I - V V^H`` is left for sensing. By duality there is one
unless some weights t >= 0 have::

    ||H diag(t)||_* < sum_k t_k c_k        (nuclear norm)

The left side is the most that a contraction gets, and the polar factor of H diag(t) gets it.
"""

from __future__ import annotations

import numpy as np

from isacsim.batch import hermitian, hermitian_part, squared
from isacsim.solvers.crb_min.recovery import Beams
from isacsim.solvers.crb_min.reduction import Reduced
from isacsim.typing import BoolArray, ComplexArray, FloatArray

STEPS = 40  # of which ten do where SINRs are far from the border; a member that is missed takes the iteration
POWER = 2.0  # exponent of the update of the weights


def white(reduced: Reduced, steps: int = STEPS) -> tuple[ComplexArray, BoolArray]:
    """Beams (B, r, K) with which the white covariance meets every SINR, and for which members; see `contraction`."""
    needed = np.sqrt((1 + reduced.noise) / reduced.ratio)
    V, found = np.zeros_like(reduced.H), np.zeros(len(needed), bool)
    # Equal weights prove of most members that there are none, without a polar factor.
    left = reduced.open
    if left.any():
        V[left], found[left] = contraction(reduced.H[left], needed[left], steps)
    return V, found


def contraction(H: ComplexArray, needed: FloatArray, steps: int = STEPS) -> tuple[ComplexArray, BoolArray]:
    """Contractions V (B, r, K) with ``Re h_k^H v_k >= c_k``, and for which members they are found.

    The weights of users that get too little are raised until all get enough, or until the
    weights prove that there is no such contraction, or for so many steps.

    Args:
        H: Channels of unit norm, (B, r, K).
        needed: c_k, (B, K), positive.
        steps: Largest number of steps.
    """
    weights, V = np.ones_like(needed), np.zeros_like(H)
    found = np.zeros(len(needed), bool)
    todo = np.arange(len(needed))
    for _ in range(steps if H.shape[-2] else 0):
        h = H[todo]
        polar, norm = _polar(h * weights[todo][:, None, :])
        reached = np.ascontiguousarray(np.diagonal(hermitian(h) @ polar, axis1=-2, axis2=-1).real)
        enough = (reached >= needed[todo]).all(axis=-1)
        V[todo[enough]], found[todo[enough]] = polar[enough], True
        hopeless = _proven(norm, (weights[todo] * needed[todo]).sum(axis=-1))
        going = ~enough & ~hopeless & (reached > 0).all(axis=-1)
        weights[todo[going]] *= (needed[todo[going]] / reached[going]) ** POWER
        todo = todo[going]
        if not todo.size:
            break
    return V, found | (needed.shape[-1] == 0)


def _proven(nuclear: FloatArray, asked: FloatArray) -> BoolArray:
    """Where no contraction V has so large a Re tr((H diag(weights))^H V) as is asked: none has more than the norm."""
    return np.asarray(nuclear < asked * (1 - 1e-12))  # to rounding


def white_beams(reduced: Reduced, V: ComplexArray) -> Beams:
    """The users' beams V (B, r, K), with sensing streams that make their covariance white."""
    sensing = hermitian_part(np.eye(reduced.rank) - V @ hermitian(V))
    return Beams(V, sensing, np.full(reduced.unit.shape, float(reduced.antennas)))


def _polar(A: ComplexArray) -> tuple[ComplexArray, FloatArray]:
    """Polar factors (B, r, K), partial isometries, and nuclear norms (B,)."""
    U, spectrum, VH = np.linalg.svd(A, full_matrices=False)
    return U @ VH, spectrum.sum(axis=-1)


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
