"""Can the SINRs be met at all? The least power that meets them [Zhao26, Proposition 1].

``P_min = sum_k lambda_k sigma_k^2`` with the fixed point of::

    lambda_k = 1 / (a_k h_k^H (I + sum_j lambda_j h_j h_j^H)^-1 h_k)

The same in the words of uplink and downlink: lambda are the powers with which the users,
sending through their channels to the array over noise of variance one, just reach the SINRs
that they need. Written so, with the uplink's error matrix E, nothing cancels where the SINRs
are high::

    E = (I + lambda^1/2 H^H H lambda^1/2)^-1,   SINR_k = 1 / E_kk - 1

From powers that would do without interference the fixed point iteration rises monotonically,
and each iterate proves a lower bound on P_min, which is the certificate where the power does
not suffice. Newton's method in log(lambda) has the same fixed point within some ten steps:
its Jacobian is a nonsingular M-matrix.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from attrs import frozen

from isacsim.batch import rows, squared, take
from isacsim.solvers.crb_min.linear import inverse, solved
from isacsim.solvers.crb_min.reduction import Reduced
from isacsim.typing import BoolArray, ComplexArray, FloatArray

NEWTON_STEPS = 60
FIXED_POINT_STEPS = 20_000
ROUNDING = 1e-12  # relative excess of P_min over P that is no proof


@frozen(eq=False)
class LeastPower:
    """The least power of B reduced problems.

    Attributes:
        power: P_min, or a lower bound on it where that exceeds N_t, (B,).
        multipliers: lambda, (B, K).
        known: Whether the power is P_min; elsewhere it is a lower bound, (B,).
    """

    power: Any = rows()
    multipliers: Any = rows(1)
    known: Any = rows()

    def exceeds(self, antennas: int) -> BoolArray:
        """Which members have no answer, proven, (B,)."""
        return np.asarray(self.power > antennas * (1 + ROUNDING))


def least_power(reduced: Reduced) -> LeastPower:
    """The least power that meets the SINRs, by Newton's method, and by the fixed point where that fails."""
    logarithm, known = _newton(reduced)
    multipliers = np.where(known[:, None], np.exp(np.where(known[:, None], logarithm, 0.0)), 0.0)
    for i in np.flatnonzero(~known):
        at = np.array([i])
        multipliers[at], known[at] = _fixed_point(take(reduced, at))
    return LeastPower((multipliers * reduced.noise).sum(axis=-1), multipliers, known)


def uplink(gram: ComplexArray, powers: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """SINRs of the uplink at powers lambda, (B, K), and how they change.

    Also the Jacobian of log SINR by log lambda, (B, K, K), and by how much log SINR can be off for
    each relative error of one in the entries of the matrix that is inverted, (B, K). NaN where the
    powers are so large that no digit of an SINR is left.

    Args:
        gram: H^H H, or H^H C^-1 H for noise of covariance C, (B, K, K).
        powers: lambda.
    """
    root = np.sqrt(powers)
    received = root[:, :, None] * gram * root[:, None, :]
    matrix = np.eye(powers.shape[-1]) + received
    E = inverse(matrix)
    error = np.ascontiguousarray(np.diagonal(E, axis1=-2, axis2=-1).real)
    rest = np.ascontiguousarray(np.diagonal(received @ E, axis1=-2, axis2=-1).real)  # 1 - error, without cancellation
    both = error * rest
    both = np.where(both > 0, both, np.nan)
    jacobian = -squared(E) / both[:, :, None]
    users = np.arange(powers.shape[-1])
    jacobian[:, users, users] = 1.0
    size = np.abs(E)
    off = ((size @ np.abs(matrix)) * size).sum(axis=-1) / np.where(error > 0, error, np.nan)  # E is Hermitian
    return rest**2 / both, jacobian, off


def _newton(reduced: Reduced) -> tuple[FloatArray, BoolArray]:
    """The logarithms of lambda, (B, K), and where they are found."""
    gram = reduced.HH @ reduced.H
    x = np.log(reduced.min_sinr)
    done, last = np.zeros(len(x), bool), np.full(len(x), np.inf)
    todo = np.arange(len(x))
    for _ in range(NEWTON_STEPS):
        sinr, jacobian, _ = uplink(gram[todo], np.exp(x[todo]))
        f = np.log(sinr / reduced.min_sinr[todo])
        size = np.abs(f).max(axis=-1)
        # The second rule is the floor that rounding sets where users are hard to tell apart.
        met = (size <= 1e-13) | ((size <= 1e-10) & (size >= 0.5 * last[todo]))
        last[todo], done[todo[met]] = size, True
        step = solved(jacobian, -f)
        step *= np.minimum(1.0, 3.0 / np.maximum(np.abs(step).max(axis=-1), 3.0))[:, None]
        finite = np.isfinite(step).all(axis=-1)
        x[todo[finite]] += step[finite]
        # Beyond this multiplier no power that is worth a name suffices.
        todo = todo[~met & finite & (x[todo].max(axis=-1) < 150)]
        if not todo.size:
            break
    return x, done


def _fixed_point(reduced: Reduced) -> tuple[FloatArray, bool]:
    """Multipliers (1, K) of one member, from below until they converge or their power exceeds N_t."""
    gram, multipliers = reduced.HH @ reduced.H, reduced.min_sinr
    for _ in range(FIXED_POINT_STEPS):
        if (multipliers * reduced.noise).sum() > reduced.antennas * (1 + ROUNDING):
            return multipliers, False
        new = multipliers * reduced.min_sinr / uplink(gram, multipliers)[0]
        if not np.isfinite(new).all():
            break
        if np.abs(new - multipliers).max() <= 1e-13 * new.max():
            return new, True
        multipliers = new
    return multipliers, False
