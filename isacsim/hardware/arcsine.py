"""Correlations of what jumps: Price's theorem in the arc sine.

For u, v ~ N(0, 1) of correlation r, q_1 with jumps d_k at t_k and q_2 with jumps d_l at t_l, constant
between them, the derivative of E[q_1(u) q_2(v)] in r is a sum of normal densities of two variables
[Price58]. In the angle ``r = sin t`` it is

    E[q_1 q_2] - E[q_1] E[q_2] = int_0^(asin r) w(t) dt
    w(t) = sum_kl d_k d_l / (2 pi) exp(-(t_k - t_l)^2 / (2 cos^2 t) - t_k t_l / (1 + sin t))

which is smooth up to |r| = 1, where the arc sine has taken the root away; written so that nothing
cancels there. With one jump each w is constant, and this the arcsine law of one bit.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from isacsim.hardware.codebooks import Codebook
from isacsim.hardware.gaussian import density, hermite, legendre
from isacsim.typing import FloatArray

NODES = 48  # of the angle: 4e-15 of the power at 3 bits, 1e-13 at 5
# Squared cosine below which derivatives are cut off: they grow as 1/sqrt(1 - r^2) where chains send in phase.
GRAZING = 1e-30
PAIRS = 2**14  # of thresholds, up to which a pair of codebooks is tabulated: some 7 bits each
DEGREES = (32, 64, 128, 256, 512)
SETTLED = 1e-16  # of the output power: the last coefficients of a table
PART = 2**12  # values of a table at once: 32 KiB an array
ORDERS = 201  # of the series of finer codebooks, whose distortion is correlated for |r| near 1 alone

Jumps = tuple[FloatArray, FloatArray]


def jump_pairs(one: Jumps, other: Jumps, r: FloatArray) -> tuple[FloatArray, FloatArray]:
    """``E[q_i(u) q_j(v)] - E[q_i] E[q_j]`` of all pairs of chains, and its derivative in r, both (..., N, N).

    Args:
        one: Places (..., N, J), in deviations, and heights of the jumps of the first of each pair.
        other: Those of the second.
        r: Correlations, shape (..., N, N), from -1 to 1.
    """
    angle = np.arcsin(r)
    value, end = np.zeros(r.shape), np.zeros(r.shape)
    t, d = (a[..., None, :, :] for a in other)
    for k in range(one[0].shape[-1]):
        s = one[0][..., :, None, k, None]
        heights = one[1][..., :, None, k, None] * d / (2 * np.pi)
        for node, weight in zip(*legendre(NODES), strict=True):
            value += weight * (heights * _bell(s, t, np.sin(angle * node)[..., None])).sum(axis=-1)
        end += (heights * _bell(s, t, r[..., None])).sum(axis=-1)
    return angle * value, end / np.sqrt(np.maximum((1 - r) * (1 + r), GRAZING))


def _bell(s: FloatArray, t: FloatArray, r: FloatArray) -> FloatArray:
    """``exp(-(s - t)^2 / (2 (1 - r^2)) - s t / (1 + r))``."""
    above, below = np.maximum(1 - r, GRAZING / 2), np.maximum(1 + r, GRAZING / 2)
    return np.asarray(np.exp(-((s - t) ** 2) / (2 * above * below) - s * t / below))


class Pair(NamedTuple):
    """``E[Q_1(u) Q_2(v)] - E[u Q_1] E[v Q_2] r`` of two odd codebooks over r: what of them is distortion.

    Attributes:
        value: Coefficients of odd Chebyshev polynomials in 2 asin(r) / pi, or of odd powers of r.
        slope: Of even ones, of the derivative in the angle, or in r.
        linear: E[u Q_1] E[v Q_2], which a table holds and a series does not.
        angular: Whether it is a table in the angle.
    """

    value: FloatArray
    slope: FloatArray
    linear: float
    angular: bool

    def __call__(self, r: FloatArray) -> FloatArray:
        """At r (...), from -1 to 1."""
        if not self.angular:
            return r * _power_series(self.value, r**2)
        return _chebyshev(self.value, np.arcsin(r) * (2 / np.pi), odd=True) - self.linear * r

    def derivative(self, r: FloatArray) -> FloatArray:
        """In r."""
        if not self.angular:
            return _power_series(self.slope, r**2)
        cosine = np.sqrt(np.maximum((1 - r) * (1 + r), GRAZING))
        return _chebyshev(self.slope, np.arcsin(r) * (2 / np.pi), odd=False) / cosine - self.linear


@lru_cache(maxsize=256)
def pair_of(one: Codebook, other: Codebook) -> Pair:
    """The pair function of two codebooks, worked out once."""
    linear = one.gain * other.gain
    if one.thresholds.size * other.thresholds.size > PAIRS:
        return _series(one, other, linear)
    for degree in DEGREES:
        node = np.cos(np.pi * (np.arange(degree + 1) + 0.5) / (degree + 1))
        w = np.array([_density_in_angle(one, other, np.pi / 2 * abs(x)) for x in node])  # w is even
        order = np.arange(0, degree + 1, 2)
        basis = np.cos(order[:, None] * np.arccos(node))
        slope = 2 / (degree + 1) * (basis @ w)
        slope[0] /= 2
        if np.max(np.abs(slope[-4:])) <= SETTLED * one.power * other.power * degree:
            break
    slope = slope[: np.flatnonzero(np.abs(slope) > SETTLED * one.power * other.power).max() + 1]
    value = np.polynomial.chebyshev.chebint(np.stack([slope, np.zeros_like(slope)], axis=-1).ravel())[1::2] * np.pi / 2
    return Pair(value, slope, linear, True)


def _density_in_angle(one: Codebook, other: Codebook, angle: float) -> float:
    s, t = one.thresholds[:, None], other.thresholds
    heights = np.diff(one.levels)[:, None] * np.diff(other.levels) / (2 * np.pi)
    return float((heights * _bell(s, t, np.asarray(np.sin(angle)))).sum())


def _series(one: Codebook, other: Codebook, linear: float) -> Pair:
    """By Hermite coefficients; what is above goes to one further order, as the power of a chain asks for."""
    first, second = _coefficients(one), _coefficients(other)
    value = first * second
    n = 2 * np.arange(value.size) + 1
    value[0] = 0.0
    return Pair(value, n * value, linear, False)


@lru_cache(maxsize=64)
def _coefficients(book: Codebook) -> FloatArray:
    """``c_n = sum_k d_k p(t_k) h_(n-1)(t_k) / sqrt(n)`` for odd n, and the root of what they leave of the power."""
    degrees = np.arange(1, ORDERS + 1, 2)
    found = hermite(book.thresholds, ORDERS)[::2][: degrees.size]
    c = found @ (np.diff(book.levels) * density(book.thresholds)) / np.sqrt(degrees)
    return np.append(c, np.sqrt(max(book.power - (c**2).sum(), 0.0)))


def _chebyshev(c: FloatArray, x: FloatArray, odd: bool) -> FloatArray:
    """``sum_m c_m T_(2m+1)(x)``, or of T_2m unless ``odd``, by Clenshaw's recursion in ``T_2 = 2 x^2 - 1``."""
    flat = x.reshape(-1)
    # In parts that stay in the cache of a core: the recursion goes over them once for each coefficient.
    parts = [_clenshaw(c, flat[i : i + PART], odd) for i in range(0, flat.size, PART)]
    return np.concatenate(parts).reshape(x.shape) if parts else np.zeros(x.shape)


def _clenshaw(c: FloatArray, x: FloatArray, odd: bool) -> FloatArray:
    double = 4 * x**2 - 2
    ahead, here, spare = np.zeros_like(x), np.zeros_like(x), np.empty_like(x)
    for coefficient in c[:0:-1]:
        np.multiply(double, here, out=spare)
        spare -= ahead
        spare += coefficient
        ahead, here, spare = here, spare, ahead
    # The polynomials before the first: T_-1 = x, and T_-2 = T_2.
    return x * (c[0] + (double - 1) * here - ahead) if odd else c[0] + here * double / 2 - ahead


def _power_series(c: FloatArray, x: FloatArray) -> FloatArray:
    total = np.zeros_like(x)
    for coefficient in c[::-1]:
        total = total * x + coefficient
    return total
