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

import math
from functools import cache, lru_cache
from typing import NamedTuple

import numpy as np

from isacsim.compiled import compiled, part, writable
from isacsim.hardware.codebooks import Codebook
from isacsim.hardware.gaussian import density, hermite, legendre
from isacsim.typing import AnyArray, FloatArray

NODES = 64  # of the angle: at most 1e-13 of the power at 3 bits, 1e-11 at 6
AT_ONCE = 2**14  # densities of a member in one array: enough for the processor, and few for its cache
# Squared cosine below which derivatives are cut off: they grow as 1/sqrt(1 - r^2) where chains send in phase.
GRAZING = 1e-30
PAIRS = 2**14  # of thresholds, up to which a pair of codebooks is tabulated: some 7 bits each
DEGREES = (32, 64, 128, 256, 512)
SETTLED = 1e-16  # of the output power: the last coefficients of a table
# Cells of a table, and coefficients of each: with degree 512 in all of them, the polynomial of a cell is 1e-15 off.
CELLS, ORDER = 512, 8
ORDERS = 201  # of the series of finer codebooks, whose distortion is correlated for |r| near 1 alone

Jumps = tuple[FloatArray, FloatArray]


def jump_pairs(one: Jumps, other: Jumps, r: FloatArray) -> tuple[FloatArray, FloatArray]:
    """``E[q_i(u) q_j(v)] - E[q_i] E[q_j]`` of all pairs of chains, and its derivative in r, both (..., N, N).

    Args:
        one: Places (..., N, J), in deviations, and heights of the jumps of the first of each pair.
        other: Those of the second.
        r: Correlations, shape (..., N, N), from -1 to 1.
    """
    angle, (node, weight) = np.arcsin(r), _nodes()
    value, end = np.zeros(r.shape), np.zeros(r.shape)
    t, d = (a[..., None, :, None, :] for a in other)
    # Of a member's size alone, so that a member in a batch has the bytes it has alone.
    some = max(1, AT_ONCE // max(1, r.shape[-1] ** 2 * t.shape[-1]))
    for k in range(one[0].shape[-1]):
        s = one[0][..., :, None, k, None, None]
        heights = one[1][..., :, None, k, None, None] * d / (2 * np.pi)
        for first in range(0, NODES, some):
            here = slice(first, first + some)
            bells = _bell(s, t, np.sin(angle[..., None] * node[here])[..., None])
            value += ((heights * bells).sum(axis=-1) * weight[here]).sum(axis=-1)
        end += (heights * _bell(s, t, r[..., None, None])).sum(axis=(-2, -1))
    return angle * value, end / np.sqrt(np.maximum((1 - r) * (1 + r), GRAZING))


@cache
def _nodes() -> tuple[FloatArray, FloatArray]:
    """Shares of an angle, and their weights: denser towards its end, where near jumps leave a peak in phase."""
    x, weight = legendre(NODES)
    return 1 - (1 - x) ** 2, 2 * (1 - x) * weight


def _bell(s: FloatArray, t: FloatArray, r: FloatArray) -> FloatArray:
    """``exp(-(s^2 - 2 r s t + t^2) / (2 (1 - r^2)))``, of which nothing cancels where r is near 1 or -1."""
    size, turned = np.abs(r), np.where(r < 0, -1.0, 1.0) * t
    square = np.maximum((1 - size) * (1 + size), GRAZING)
    return np.asarray(np.exp(-((s - turned) ** 2) / (2 * square) - s * turned / (1 + size)))


class Pair(NamedTuple):
    """``E[Q_1(u) Q_2(v)] - E[u Q_1] E[v Q_2] r`` of two odd codebooks over r: what of them is distortion.

    Polynomials in cells of ``x = 2 asin(r) / pi``, in which both are smooth up to |r| = 1; a row of coefficients each.

    Attributes:
        value: Of the first term over x, an even function.
        slope: Of its derivative in the angle, or in r.
        linear: E[u Q_1] E[v Q_2], where the first term has its linear part.
        angular: Whether the slope is in the angle.
    """

    value: FloatArray
    slope: FloatArray
    linear: float
    angular: bool

    def __call__(self, r: FloatArray) -> FloatArray:
        """At r (...), from -1 to 1."""
        found = np.empty(r.shape)
        compiled(values_each)(writable(r).reshape(-1), self.value, self.linear, found.reshape(-1))
        return found

    def derivative(self, r: FloatArray) -> FloatArray:
        """In r."""
        found, flat = np.empty(r.shape), writable(r).reshape(-1)
        compiled(slopes_each)(flat, self.slope, self.linear, self.angular, found.reshape(-1))
        return found


@lru_cache(maxsize=256)
def pair_of(one: Codebook, other: Codebook) -> Pair:
    """The pair function of two codebooks, worked out once."""
    x = _places()
    r = np.sin(np.pi / 2 * x)
    if one.thresholds.size * other.thresholds.size > PAIRS:
        value, slope = _series(one, other)
        return Pair(_table(np.polyval(value[::-1], r**2) * r / x), _table(np.polyval(slope[::-1], r**2)), 0.0, False)
    slope = _angular_slope(one, other)
    every = np.stack([slope, np.zeros_like(slope)], axis=-1).ravel()  # even orders alone
    value = np.polynomial.chebyshev.chebint(every) * np.pi / 2
    series = np.polynomial.chebyshev.chebval
    return Pair(_table(series(x, value) / x), _table(series(x, every)), one.gain * other.gain, True)


def _angular_slope(one: Codebook, other: Codebook) -> FloatArray:
    """Coefficients of w in even Chebyshev polynomials of x."""
    for degree in DEGREES:
        node = np.cos(np.pi * (np.arange(degree + 1) + 0.5) / (degree + 1))
        w = np.array([_density_in_angle(one, other, np.pi / 2 * abs(x)) for x in node])  # w is even
        order = np.arange(0, degree + 1, 2)
        basis = np.cos(order[:, None] * np.arccos(node))
        slope = 2 / (degree + 1) * (basis @ w)
        slope[0] /= 2
        if np.max(np.abs(slope[-4:])) <= SETTLED * one.power * other.power * degree:
            break
    return np.asarray(slope)


def _density_in_angle(one: Codebook, other: Codebook, angle: float) -> float:
    s, t = one.thresholds[:, None], other.thresholds
    heights = np.diff(one.levels)[:, None] * np.diff(other.levels) / (2 * np.pi)
    return float((heights * _bell(s, t, np.asarray(np.sin(angle)))).sum())


def _series(one: Codebook, other: Codebook) -> tuple[FloatArray, FloatArray]:
    """By Hermite coefficients, of r^(2m) in the value over r and in the slope; the linear one is left out.

    What is above goes to one further order, as the power of a chain asks for.
    """
    value = _coefficients(one) * _coefficients(other)
    value[0] = 0.0
    return value, (2 * np.arange(value.size) + 1) * value


@lru_cache(maxsize=64)
def _coefficients(book: Codebook) -> FloatArray:
    """``c_n = sum_k d_k p(t_k) h_(n-1)(t_k) / sqrt(n)`` for odd n, and the root of what they leave of the power."""
    degrees = np.arange(1, ORDERS + 1, 2)
    found = hermite(book.thresholds, ORDERS)[::2][: degrees.size]
    c = found @ (np.diff(book.levels) * density(book.thresholds)) / np.sqrt(degrees)
    return np.append(c, np.sqrt(max(book.power - (c**2).sum(), 0.0)))


@cache
def _inner() -> FloatArray:
    """Where a polynomial of a cell meets the function, from -1 to 1, (ORDER,)."""
    return np.cos(np.pi * (np.arange(ORDER) + 0.5) / ORDER)


@cache
def _places() -> FloatArray:
    """The same in all cells of [0, 1], (CELLS, ORDER)."""
    return (np.arange(CELLS)[:, None] + (1 + _inner()) / 2) / CELLS


def _table(values: AnyArray) -> FloatArray:
    """Coefficients of polynomials through values at `_places`, (CELLS, ORDER), of ascending powers."""
    return np.ascontiguousarray(np.linalg.solve(np.vander(_inner(), increasing=True), values.T).T)


@part
def looked_up(table: FloatArray, x: float) -> float:
    """A table at x, from 0 to 1: some ten operations, where a series takes a hundred."""
    if not x <= 1.0:
        return np.nan
    place = x * CELLS
    cell = min(int(place), CELLS - 1)
    t, total = 2 * (place - cell) - 1, table[cell, ORDER - 1]
    for k in range(ORDER - 2, -1, -1):
        total = total * t + table[cell, k]
    return total


@part
def value_at(r: float, table: FloatArray, linear: float) -> float:
    """The value of a `Pair` at r."""
    x = math.asin(r) * (2 / math.pi)
    return x * looked_up(table, abs(x)) - linear * r


@part
def slope_at(r: float, table: FloatArray, linear: float, angular: bool) -> float:
    """Its derivative at r."""
    slope = looked_up(table, abs(math.asin(r)) * (2 / math.pi))
    if not angular:
        return slope
    return slope / math.sqrt(max((1 - r) * (1 + r), GRAZING)) - linear


def values_each(r: FloatArray, table: FloatArray, linear: float, out: FloatArray) -> None:
    """Write the values of a `Pair` at correlations (n,)."""
    for i in range(r.size):
        out[i] = value_at(r[i], table, linear)


def slopes_each(r: FloatArray, table: FloatArray, linear: float, angular: bool, out: FloatArray) -> None:
    """Write its derivatives at correlations (n,)."""
    for i in range(r.size):
        out[i] = slope_at(r[i], table, linear, angular)
