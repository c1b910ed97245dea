"""Amplitude devices: the complex gain of a sample depends on its power alone (AM/AM and AM/PM).

``f(x) = x phi(|x|^2)`` has the orders (m+1, m) alone, whose radial parts in ``u = |z|^2`` are
``sqrt(u) L_m^(1)(u) / sqrt(m + 1)``, up to signs. In them the derivative in the power is, by
integration by parts, a sum of the next order,
``2 rho db_m/drho = (2m + 1) b_m + 2 sqrt((m + 1) (m + 2)) b_(m+1)``, of any map, smooth or not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from attrs import frozen

from isacsim.batch import squared
from isacsim.hardware.expansions import Expander, Ito
from isacsim.hardware.gaussian import laguerre, legendre
from isacsim.typing import AnyArray, BoolArray, FloatArray

ORDERS = 40  # a soft limiter to 2e-5 of its power at correlations of 0.99, smooth maps to 1e-9
NODES = 64  # of the panels below the first bend and above the last
BETWEEN = 12  # of each between two bends that are near, as where tables are interpolated: it is narrow
APART = 2.0  # times the power of a bend, beyond which the next one is not near: stages in series bend anywhere
SPAN = 40.0  # length of a panel in mean powers: exp(-40) is below rounding
BISECTIONS = 60  # of a bend behind another device
REST = 1e-13  # share of the power that is told from the rounding of a difference of powers


@frozen(eq=False)
class Envelopes(Expander):
    """Chains that compress envelopes, and may turn phases with them.

    Args:
        response: Complex gain of samples of the powers (..., N, n) in W, of the same shape.
        knee: Powers at which the response bends, shape (N,), or (N, J) in ascending order, in W: panels of the
            quadrature meet there.
    """

    response: Callable[[FloatArray], AnyArray]
    knee: FloatArray

    def at(self, rho: FloatArray) -> Ito:
        """By quadrature over the exponential law of |x|^2."""
        return self._expanded(rho)[0]

    def slope(self, rho: FloatArray) -> Ito:
        """By the next order."""
        here, ahead, moment = self._expanded(rho)
        m = np.arange(ORDERS + 1)
        b = np.concatenate([here.linear[..., None], here.b[0][1][..., 1 : ORDERS + 1]], axis=-1)
        grown = (2 * m + 1) / 2 * b + np.sqrt((m + 1) * (m + 2)) * np.concatenate([b[..., 1:], ahead], axis=-1)
        rest = here.b[0][1][..., -1]
        # The power above the kept orders, of which the coefficient of the last one is the root.
        own = moment - 2 * (np.conj(here.linear) * grown[..., 0]).real
        lost = own - 2 * (np.conj(b) * grown).real[..., 1:].sum(axis=-1)
        known = rest**2 > REST * here.power
        last = np.where(known, lost / (2 * np.where(known, rest, 1.0)), 0.0)
        above = np.concatenate([np.zeros_like(b[..., :1]), grown[..., 1:], last[..., None]], axis=-1)
        return Ito(grown[..., 0], own, ((1, above),))

    def _expanded(self, rho: FloatArray) -> tuple[Ito, AnyArray, FloatArray]:
        """The expansion, the coefficient after the last (..., N, 1), and the derivative of the power (..., N)."""
        knee = self.knee if self.knee.ndim == 2 else self.knee[:, None]
        # A question to the device alone, so that a member in a batch has the bytes it has alone.
        wide = np.asarray((knee[:, 1:] > APART * knee[:, :-1]).any(axis=0))
        u, weight = _nodes(np.minimum(knee / rho[..., None], SPAN), wide)
        F = np.sqrt(rho[..., None] * u) * self.response(rho[..., None] * u)
        h = laguerre(u, 1, ORDERS + 1)
        linear = np.sum(F * weight * h[0], axis=-1)
        rest = F - linear[..., None] * h[0]  # the orders above are orthogonal to what is taken away
        b = np.stack([linear, *(np.sum(rest * weight * each, axis=-1) for each in h[1:])], axis=-1)
        moment = (squared(F) * weight * (u - 1)).sum(axis=-1)
        return Ito.of({1: b[..., :-1]}, (squared(rest) * weight).sum(axis=-1)), b[..., -1:], moment


def in_series(parts: Sequence[Envelopes]) -> Envelopes:
    """The envelopes of devices one behind the other: gains multiply, each at the power that reaches its device."""

    def response(power: FloatArray) -> AnyArray:
        gain: Any = 1.0
        for part in parts:
            gain = gain * part.response(power * squared(gain))
        return gain

    knees = [parts[0].knee if parts[0].knee.ndim == 2 else parts[0].knee[:, None]]
    for i, part in enumerate(parts[1:], 1):
        knee = part.knee if part.knee.ndim == 2 else part.knee[:, None]
        knees.append(_reaching(in_series(parts[:i]) if i > 1 else parts[0], knee))
    return Envelopes(response, np.sort(np.concatenate(knees, axis=-1), axis=-1))


def _reaching(before: Envelopes, power: FloatArray) -> FloatArray:
    """Input powers (N, J) at which devices put out some power, by bisection; far out where they never do."""
    low, high = np.full(power.shape, -30.0), np.full(power.shape, 30.0)  # of the logarithm to 10, in W
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        at = 10**middle
        above = at * squared(before.response(at)) >= power
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    return np.asarray(10**high)


def _nodes(edge: FloatArray, wide: BoolArray) -> tuple[FloatArray, FloatArray]:
    """Nodes and weights (..., N, n) for the mean of a function of u ~ Exp(1) that bends at ``edge`` (..., N, J).

    The panels between bends that are ``wide`` (J - 1,) have as many as those at both ends.
    """
    t, w = legendre(NODES)
    first, last = edge[..., :1], edge[..., -1:]
    below, above = first * t, last + SPAN * t**2  # the square resolves a bend that lies close to 0
    points, weights = [below], [first * w * np.exp(-below)]
    low, width = edge[..., :-1, None], np.diff(edge, axis=-1)[..., None]
    for chosen, (s, v) in ((~wide, legendre(BETWEEN)), (wide, (t**2, 2 * t * w))):
        if chosen.any():
            shape = (*edge.shape[:-1], np.count_nonzero(chosen) * s.size)  # also of no members
            inner = (low[..., chosen, :] + width[..., chosen, :] * s).reshape(shape)
            points.append(inner)
            weights.append((width[..., chosen, :] * v).reshape(shape) * np.exp(-inner))
    points.append(above)
    weights.append(2 * SPAN * t * w * np.exp(-above))
    return np.concatenate(points, axis=-1), np.concatenate(weights, axis=-1)
