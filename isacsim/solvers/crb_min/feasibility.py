"""Can the SINRs be met at all? The least power that meets them [Zhao26, Proposition 1].

``P_min = sum_k lambda_k sigma_k^2`` with the fixed point of::

    lambda_k = 1 / (a_k h_k^H (I + sum_j lambda_j h_j h_j^H)^-1 h_k)

Iterated from zero it rises monotonically, and each iterate proves a lower bound on P_min,
which is the certificate where the power does not suffice. Newton's method in log(lambda)
has the same fixed point within some ten steps: its Jacobian is a nonsingular M-matrix.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from attrs import frozen

from isacsim.batch import rows, squared, take
from isacsim.solvers.crb_min.linear import solved
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


def gains(reduced: Reduced, multipliers: FloatArray) -> ComplexArray:
    """``H^H (I + H diag(lambda) H^H)^-1 H``, (B, K, K)."""
    B = np.eye(reduced.rank) + (reduced.H * multipliers[:, None, :]) @ reduced.HH
    return reduced.HH @ np.linalg.solve(B, reduced.H)


def _newton(reduced: Reduced) -> tuple[FloatArray, BoolArray]:
    """The logarithms of lambda, (B, K), and where they are found."""
    x = -np.log(reduced.ratio)
    done, last = np.zeros(len(x), bool), np.full(len(x), np.inf)
    todo = np.arange(len(x))
    for _ in range(NEWTON_STEPS):
        here = reduced if todo.size == len(x) else take(reduced, todo)
        G = gains(here, np.exp(x[todo]))
        g = np.ascontiguousarray(np.diagonal(G, axis1=-2, axis2=-1).real)
        f = x[todo] + np.log(here.ratio * g)
        size = np.abs(f).max(axis=-1)
        # The second rule is the floor that rounding sets where the multipliers are large.
        met = (size <= 1e-13) | ((size <= 1e-10) & (size >= 0.5 * last[todo]))
        last[todo], done[todo[met]] = size, True
        jacobian = np.eye(reduced.users) - squared(G) * np.exp(x[todo])[:, None, :] / g[:, :, None]
        step = solved(jacobian, -f)
        step *= np.minimum(1.0, 3.0 / np.maximum(np.abs(step).max(axis=-1), 3.0))[:, None]
        going = ~met & np.isfinite(step).all(axis=-1)
        x[todo[going]] += step[going]
        # Beyond this multiplier no power that is worth a name suffices.
        todo = todo[going & (x[todo].max(axis=-1) < 150)]
        if not todo.size:
            break
    return x, done


def _fixed_point(reduced: Reduced) -> tuple[FloatArray, bool]:
    """Multipliers (1, K) of one member from zero until they converge or their power exceeds N_t."""
    multipliers = np.zeros_like(reduced.noise)
    for _ in range(FIXED_POINT_STEPS):
        g = np.diagonal(gains(reduced, multipliers), axis1=-2, axis2=-1).real
        new = 1 / (reduced.ratio * g)
        if (new * reduced.noise).sum() > reduced.antennas * (1 + ROUNDING):
            return new, False
        if np.abs(new - multipliers).max() <= 1e-13 * new.max():
            return new, True
        multipliers = new
    return multipliers, False
