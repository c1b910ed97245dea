"""The least power that meets SINRs, by the duality of uplink and downlink [Zhao26, Proposition 1].

The users' constraints are, with transmit distortion that grows with the power of each chain and
with ``c_k = 1 + 1 / asked_k``::

    c_k |h_k^H w_k|^2 >= h_k^H R h_k + sum_i e_i |h_ki|^2 R_ii + sigma_k^2

Then ``P_min = sum_k lambda_k sigma_k^2`` with the fixed point of::

    lambda_k = 1 / (c_k h_k^H B^-1 h_k),  B = C + sum_j lambda_j h_j h_j^H,
    C = I + sum_j lambda_j diag(e |h_j|^2)

The same in the words of the uplink: lambda are the powers with which the users, sending
through their channels to the array over noise of covariance C, just reach the SINRs asked.
Written so, with the uplink's error matrix E, nothing cancels where the SINRs are high::

    E = (I + lambda^1/2 H^H C^-1 H lambda^1/2)^-1,   SINR_k = 1 / E_kk - 1

From powers that would do without interference the fixed point iteration rises monotonically,
and each iterate proves a lower bound on P_min, which is the certificate where the power does
not suffice. Newton's method in log(lambda) has the same fixed point within some ten steps:
its Jacobian is a nonsingular M-matrix.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from attrs import frozen

from isacsim.batch import rows, squared, take
from isacsim.solvers.linear import inverse, solved
from isacsim.typing import BoolArray, ComplexArray, FloatArray

NEWTON_STEPS = 60
FIXED_POINT_STEPS = 20_000
ROUNDING = 1e-12  # relative excess of P_min over P that is no proof
HUGE = 150.0  # logarithm of a multiplier at which the search ends
STRIDE = 3.0  # the longest step in that logarithm
FAR = 20.0  # logarithm of a received power beyond which only users that need endless power are, with digits left
RISE = 1e-4  # by how much one round of the fixed point must raise such multipliers, far above their rounding


class Links(Protocol):
    """What the least power depends on.

    Attributes:
        H: Channels, (B, N, K).
        HH: Their conjugate transpose, (B, K, N).
        spread: ``e_i |h_ki|^2``, (B, N, K), or None where the transmitter is ideal.
        asked: SINR that the uplink needs, (B, K).
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
    def asked(self) -> Any: ...  # noqa: D102
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


def uplink(gram: ComplexArray, powers: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """SINRs of the uplink at powers lambda, (B, K), and how they change.

    Also the Jacobian of log SINR by log lambda, (B, K, K), and by how much log SINR can be off for
    each relative error of one in the entries of the matrix that is inverted, (B, K). NaN where the
    powers are so large that no digit of an SINR is left.

    Args:
        gram: H^H C^-1 H for noise of covariance C, (B, K, K).
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


def directions(links: Links, multipliers: FloatArray) -> ComplexArray:
    """``B^-1 H``, (B, N, K): the beams of least power but for their lengths."""
    B = (links.H * multipliers[:, None, :]) @ links.HH
    i = np.arange(B.shape[-1])
    B[:, i, i] += _chain_noise(links, multipliers)
    return np.linalg.solve(B, links.H)


def _chain_noise(links: Links, multipliers: FloatArray) -> FloatArray:
    """The diagonal of C, (B, N)."""
    if links.spread is None:
        return np.ones(links.H.shape[:-1])
    return np.asarray(1 + (links.spread @ multipliers[..., None])[..., 0])


def _reached(links: Links, multipliers: FloatArray) -> tuple[FloatArray, FloatArray]:
    """SINRs of the uplink, (B, K), and the Jacobian of their logarithms, where the noise follows the powers too."""
    gram = links.HH @ (links.H / _chain_noise(links, multipliers)[:, :, None])
    sinr, jacobian, _ = uplink(gram, multipliers)
    if links.spread is not None:
        U = directions(links, multipliers)
        own = np.ascontiguousarray(np.diagonal(links.HH @ U, axis1=-2, axis2=-1).real)
        falls = np.ascontiguousarray(squared(U).swapaxes(-1, -2)) @ links.spread  # of h_k^H B^-1 h_k with lambda_j
        jacobian -= falls * multipliers[:, None, :] * ((1 + sinr) / own)[:, :, None]
    return sinr, jacobian


def _newton(links: Links) -> tuple[FloatArray, BoolArray]:
    """The logarithms of lambda, (B, K), and where they are found."""
    x = np.log(_alone(links))
    done, last = np.zeros(len(x), bool), np.full(len(x), np.inf)
    todo = np.arange(len(x))
    for _ in range(NEWTON_STEPS):
        here = links if todo.size == len(x) else take(links, todo)
        sinr, jacobian = _reached(here, np.exp(x[todo]))
        f = np.log(sinr / here.asked)
        size = np.abs(f).max(axis=-1)
        # The second rule is the floor that rounding sets where users are hard to tell apart.
        met = (size <= 1e-13) | ((size <= 1e-10) & (size >= 0.5 * last[todo]))
        last[todo], done[todo[met]] = size, True
        step = solved(jacobian, -f)
        # Where no power suffices the Jacobian becomes singular: the multipliers run away together.
        step[~np.isfinite(step).all(axis=-1)] = STRIDE
        step *= np.minimum(1.0, STRIDE / np.maximum(np.abs(step).max(axis=-1), STRIDE))[:, None]
        finite = np.isfinite(sinr).all(axis=-1)
        x[todo[finite]] += step[finite]
        todo = todo[~met & finite & (x[todo].max(axis=-1) < HUGE)]
        if not todo.size:
            break
    return x, done


def _alone(links: Links) -> FloatArray:
    """Multipliers that would do without interference and distortion, no more than those needed, (B, K)."""
    return np.asarray(links.asked / np.ascontiguousarray(squared(links.HH)).sum(axis=-1))


def _endless(links: Links, logarithm: FloatArray) -> BoolArray:
    """Whether multipliers that ran away prove that P_min is beyond all bounds, (B,).

    One round of the fixed point from below P_min rises; where it rises from multipliers of
    this size, P_min is beyond what they say.
    """
    received = logarithm + np.log(np.ascontiguousarray(squared(links.HH)).sum(axis=-1))
    largest = received.max(axis=-1)
    far = np.exp(logarithm - largest[:, None] + FAR)
    rises = (_reached(links, far)[0] * (1 + RISE) <= links.asked).all(axis=-1)
    return np.asarray((largest > FAR) & rises & ((far * links.noise).sum(axis=-1) > links.limit))


def _fixed_point(links: Links) -> tuple[FloatArray, bool]:
    """Multipliers (1, K) of one member, from below until they converge or their power exceeds the limit."""
    multipliers = _alone(links)
    for _ in range(FIXED_POINT_STEPS):
        if (multipliers * links.noise).sum() > links.limit * (1 + ROUNDING):
            return multipliers, False
        new = multipliers * links.asked / _reached(links, multipliers)[0]
        if not np.isfinite(new).all():
            break
        if np.abs(new - multipliers).max() <= 1e-13 * new.max():
            return new, True
        multipliers = new
    return multipliers, False
