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
from isacsim.hardware.jumps import IN_PHASE
from isacsim.hardware.lattices import distorted_slope, jumps_of, spacing
from isacsim.typing import AnyArray, FloatArray

GRAZING = 1e-30  # the least squared cosine: nothing is divided by 0
DEGREES = (32, 64, 128, 256, 512)
SETTLED = 1e-16  # of the output power: the last coefficients of a table
# Cells of a table, and coefficients of each: with degree 512 in all of them, the polynomial of a cell is 1e-15 off.
CELLS, ORDER = 512, 8
# Step below which tables are denser towards full correlation: those of 7 bits and more.
FINE = 0.1
PANELS, POINTS = 64, 12  # of such a table: polynomials that the cells are filled from


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
        slope: Of its derivative in the angle.
        linear: E[u Q_1] E[v Q_2], where the first term has its linear part.
        grading: Distance of x from 1 down to which cells are denser towards it; 0 for cells of one size.
    """

    value: FloatArray
    slope: FloatArray
    linear: float
    grading: float

    def __call__(self, r: FloatArray) -> FloatArray:
        """At r (...), from -1 to 1."""
        found = np.empty(r.shape)
        compiled(values_each)(writable(r).reshape(-1), self.value, self.linear, self.grading, found.reshape(-1))
        return found

    def derivative(self, r: FloatArray) -> FloatArray:
        """In r."""
        found, flat = np.empty(r.shape), writable(r).reshape(-1)
        compiled(slopes_each)(flat, self.slope, self.linear, self.grading, found.reshape(-1))
        return found


@lru_cache(maxsize=256)
def pair_of(one: Codebook, other: Codebook) -> Pair:
    """The pair function of two codebooks, worked out once."""
    step = min(spacing(one), spacing(other))
    if step < FINE:
        return _graded(one, other, step)
    slope, x = _angular_slope(one, other), _places()
    every = np.stack([slope, np.zeros_like(slope)], axis=-1).ravel()  # even orders alone
    value = np.polynomial.chebyshev.chebint(every) * np.pi / 2
    series = np.polynomial.chebyshev.chebval
    return Pair(_table(series(x, value) / x), _table(series(x, every)), one.gain * other.gain, 0.0)


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
    (s, e), (t, d) = jumps_of(one), jumps_of(other)
    return float((e[:, None] * d / (2 * np.pi) * _bell(s[:, None], t, np.asarray(np.sin(angle)))).sum())


def _graded(one: Codebook, other: Codebook, step: float) -> Pair:
    """Tables that are denser towards full correlation, as far down as what the finer steps have in common."""
    grading = step / np.pi**2  # step / (2 pi) of the angle, by which the first wave of a sawtooth has fallen to 1/e
    node = np.cos(np.pi * (np.arange(POINTS) + 0.5) / POINTS)
    place = (np.arange(PANELS)[:, None] + (1 + node) / 2) / PANELS
    reach = np.arcsinh(1 / grading)
    apart = grading * np.sinh((1 - place) * reach)  # 1 - x
    slope = distorted_slope(one, other, np.pi / 2 * apart.ravel()).reshape(place.shape)
    per_place = np.pi / 2 * reach * np.hypot(grading, apart) / (2 * PANELS)  # of the angle, and of a panel's -1 to 1
    series = np.polynomial.chebyshev
    slopes, rises = (series.chebfit(node, values.T, POINTS - 1) for values in (slope, slope * per_place))
    value = series.chebint(rises, lbnd=-1)  # from the beginning of each panel
    value[0] += np.concatenate([[0.0], np.cumsum(series.chebval(1.0, value))[:-1]])
    within = (_places() * PANELS).reshape(PANELS, -1) - np.arange(PANELS)[:, None]
    found = [_table_values(each, 2 * within - 1) for each in (value, slopes)]
    x = 1 - grading * np.sinh((1 - _places()) * reach)
    return Pair(_table(found[0] / x), _table(found[1]), 0.0, grading)


def _table_values(series: AnyArray, within: FloatArray) -> FloatArray:
    """Chebyshev series of panels (n, PANELS) at places in them (PANELS, m), as those of cells (CELLS, ORDER)."""
    values = np.polynomial.chebyshev.chebval(within, series[..., None], tensor=False)
    return np.asarray(values, float).reshape(CELLS, ORDER)


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
def place_of(r: float, grading: float) -> float:
    """Where a table of a `Pair` has |r|, from 0 to 1."""
    x = abs(math.asin(r)) * (2 / math.pi)
    return 1 - math.asinh((1 - x) / grading) / math.asinh(1 / grading) if grading > 0 else x


@part
def value_at(r: float, table: FloatArray, linear: float, grading: float) -> float:
    """The value of a `Pair` at r."""
    r = math.copysign(1.0, r) if abs(r) > 1 - IN_PHASE else r
    return math.asin(r) * (2 / math.pi) * looked_up(table, place_of(r, grading)) - linear * r


@part
def slope_at(r: float, table: FloatArray, linear: float, grading: float) -> float:
    """Its derivative at r."""
    if abs(r) > 1 - IN_PHASE:
        return 0.0
    return looked_up(table, place_of(r, grading)) / math.sqrt((1 - r) * (1 + r)) - linear


def values_each(r: FloatArray, table: FloatArray, linear: float, grading: float, out: FloatArray) -> None:
    """Write the values of a `Pair` at correlations (n,)."""
    for i in range(r.size):
        out[i] = value_at(r[i], table, linear, grading)


def slopes_each(r: FloatArray, table: FloatArray, linear: float, grading: float, out: FloatArray) -> None:
    """Write its derivatives at correlations (n,)."""
    for i in range(r.size):
        out[i] = slope_at(r[i], table, linear, grading)
