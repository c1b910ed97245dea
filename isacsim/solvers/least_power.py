"""The least power that meets SINRs, by the duality of uplink and downlink [Zhao26, Proposition 1].

The users' constraints are, with transmit distortion that grows with the power of each chain::

    c_k |h_k^H w_k|^2 >= h_k^H R h_k + sum_i e_i |h_ki|^2 R_ii + sigma_k^2

Then ``P_min = sum_k lambda_k sigma_k^2`` with the fixed point of::

    lambda_k = 1 / (c_k h_k^H B^-1 h_k),  B = I + sum_j lambda_j (h_j h_j^H + diag(e |h_j|^2))

Iterated from zero it rises monotonically, and each iterate proves a lower bound on P_min,
which is the certificate where the power does not suffice. Newton's method in log(lambda)
has the same fixed point within some ten steps: its Jacobian is a nonsingular M-matrix.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from attrs import frozen

from isacsim.batch import rows, squared, take
from isacsim.solvers.linear import solved
from isacsim.typing import BoolArray, ComplexArray, FloatArray

NEWTON_STEPS = 60
FIXED_POINT_STEPS = 20_000
ROUNDING = 1e-12  # relative excess of P_min over P that is no proof
HUGE = 150.0  # logarithm of a multiplier at which the search ends
FAR = 30.0  # of one that is of no power worth a name, and leaves rounding room for a proof


class Links(Protocol):
    """What the least power depends on.

    Attributes:
        H: Channels, (B, N, K).
        HH: Their conjugate transpose, (B, K, N).
        spread: ``e_i |h_ki|^2``, (B, N, K), or None where the transmitter is ideal.
        ratio: c_k, (B, K).
        noise: sigma_k^2, (B, K).
        limit: The power that is there; a lower bound on P_min need not go beyond it.
    """

    @property
    def H(self) -> Any: ...  # noqa: D102
    @property
    def HH(self) -> Any: ...  # noqa: D102
    @property
    def spread(self) -> Any: ...  # noqa: D102
    @property
    def ratio(self) -> Any: ...  # noqa: D102
    @property
    def noise(self) -> Any: ...  # noqa: D102
    @property
    def limit(self) -> float: ...  # noqa: D102


@frozen(eq=False)
class LeastPower:
    """The least power of B members.

    Attributes:
        power: P_min, or a lower bound on it where that exceeds the limit, (B,); infinite where
            none that is worth a name suffices.
        multipliers: lambda, (B, K).
        known: Whether the power is P_min; elsewhere it is a lower bound, (B,).
    """

    power: Any = rows()
    multipliers: Any = rows(1)
    known: Any = rows()

    def exceeds(self, limit: float) -> BoolArray:
        """Which members have no answer with a power of ``limit``, proven, (B,)."""
        return np.asarray(self.power > limit * (1 + ROUNDING))


def least_power(links: Links) -> LeastPower:
    """The least power that meets the SINRs, by Newton's method, and by the fixed point where that fails."""
    logarithm, known = _newton(links)
    multipliers = np.where(known[:, None], np.exp(np.where(known[:, None], logarithm, 0.0)), 0.0)
    endless = np.zeros(known.shape, bool)
    for i in np.flatnonzero(~known):
        at = np.array([i])
        endless[at] = _endless(take(links, at), logarithm[at])
        if not endless[i]:
            multipliers[at], known[at] = _fixed_point(take(links, at))
    power = (multipliers * links.noise).sum(axis=-1)
    return LeastPower(np.where(endless, np.inf, power), multipliers, known)


def _endless(links: Links, logarithm: FloatArray) -> BoolArray:
    """Whether multipliers that ran away prove that P_min is beyond all bounds, (B,).

    One round of the fixed point from below P_min rises; where it rises from multipliers of
    this size, P_min is beyond what they say.
    """
    largest = logarithm.max(axis=-1)
    far = np.exp(logarithm - largest[:, None] + FAR)
    g = np.diagonal(links.HH @ directions(links, far), axis1=-2, axis2=-1).real
    return np.asarray((largest > FAR) & (links.ratio * g * far <= 1 + 1e-9).all(axis=-1))


def directions(links: Links, multipliers: FloatArray) -> ComplexArray:
    """``B^-1 H``, (B, N, K): the beams of least power but for their lengths."""
    N = links.H.shape[-2]
    B = np.eye(N) + (links.H * multipliers[:, None, :]) @ links.HH
    if links.spread is not None:
        i = np.arange(N)
        B[:, i, i] += (links.spread @ multipliers[..., None])[..., 0]
    return np.linalg.solve(B, links.H)


def _newton(links: Links) -> tuple[FloatArray, BoolArray]:
    """The logarithms of lambda, (B, K), and where they are found."""
    # What each user would need alone, but for the noise that grows with its power.
    x = -np.log(links.ratio * np.ascontiguousarray(squared(links.HH)).sum(axis=-1))
    done, last = np.zeros(len(x), bool), np.full(len(x), np.inf)
    todo = np.arange(len(x))
    for _ in range(NEWTON_STEPS):
        here = links if todo.size == len(x) else take(links, todo)
        U = directions(here, np.exp(x[todo]))
        G = here.HH @ U
        g = np.ascontiguousarray(np.diagonal(G, axis1=-2, axis2=-1).real)
        f = x[todo] + np.log(here.ratio * g)
        size = np.abs(f).max(axis=-1)
        # The second rule is the floor that rounding sets where the multipliers are large.
        met = (size <= 1e-13) | ((size <= 1e-10) & (size >= 0.5 * last[todo]))
        last[todo], done[todo[met]] = size, True
        falls = squared(G)  # of g_k with lambda_j
        if here.spread is not None:
            falls = falls + np.ascontiguousarray(squared(U).swapaxes(-1, -2)) @ here.spread
        jacobian = np.eye(x.shape[-1]) - falls * np.exp(x[todo])[:, None, :] / g[:, :, None]
        step = solved(jacobian, -f)
        step *= np.minimum(1.0, 3.0 / np.maximum(np.abs(step).max(axis=-1), 3.0))[:, None]
        going = ~met & np.isfinite(step).all(axis=-1)
        x[todo[going]] += step[going]
        todo = todo[going & (x[todo].max(axis=-1) < HUGE)]
        if not todo.size:
            break
    return x, done


def _fixed_point(links: Links) -> tuple[FloatArray, bool]:
    """Multipliers (1, K) of one member from zero until they converge or their power exceeds the limit."""
    multipliers = np.zeros_like(links.noise)
    for _ in range(FIXED_POINT_STEPS):
        g = np.diagonal(links.HH @ directions(links, multipliers), axis1=-2, axis2=-1).real
        new = 1 / (links.ratio * g)
        if (new * links.noise).sum() > links.limit * (1 + ROUNDING):
            return new, False
        if np.abs(new - multipliers).max() <= 1e-13 * new.max():
            return new, True
        multipliers = new
    return multipliers, False
