"""Correlations of maps that jump, at any correlation of their inputs and for any number of jumps.

For u, v ~ N(0, 1) of correlation r the covariance of two maps is ``sum_n c_n c'_n r^n`` in their Hermite coefficients.
Those of a jump fall by n^(-3/2) in the square, so that the series serves as far as r^n does. Beyond, the jumps of a
map less their mean and their line,

    e(u) = sum_k d_k (1[u > t_k] - P(u > t_k)) - g u,  g = sum_k d_k p(t_k)

have ``E[e_i(u) e_j(v)]`` from products of their transforms (`isacsim.hardware.smoothed`), and where the angle between
u and v is less than the thresholds are apart, from the few pairs of them that are near (`isacsim.hardware.near_phase`).
Nothing is a difference of what is large: fine steps leave little, and have it to rounding of its root.

The derivative of the jumps in the logarithm of a power that moves the thresholds is one of pulses,
``sum_k d_k t_k / 2`` at t_k; they are correlated likewise with the jumps of another chain.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from isacsim.compiled import brief, compiled, part, writable
from isacsim.hardware.gaussian import density
from isacsim.hardware.near_phase import APART, REACH, near_each, pulsed_each, shared_each
from isacsim.hardware.smoothed import Octave, octave_of, products_each, windowed
from isacsim.typing import FloatArray, IntArray

SERIES = 0.65  # of |r|, up to which a series of 64 degrees is left by less than 1e-12
WIDEST = float(np.sqrt(2 * (1 - SERIES)))  # eta, for ``|r| = 1 - eta^2 / 2``, from which on there are transforms
# By which a correlation misses 1 by rounding alone: as much moves the distortion by its root, a step of 1e-7. Chains
# within it are in phase, and the derivative is that along what keeps them so: off it there is none.
IN_PHASE = 1e-14
# Eta up to which pairs of thresholds may be summed, as far as the series of `near_phase` goes; and octaves of eta that
# may have transforms: below 4e-4 there would be a hundred thousand waves.
MOST, OCTAVES = 0.25, 11
# What a pair of thresholds takes, and a wave of a window: the cheaper of both ways is gone.
PAIR, WAVE = 60.0, 20.0
FAR = 1e3  # deviations, beyond which no threshold is met
GRAZING = 1e-150  # in place of an eta of 0, that nothing is divided by it


class Jumps(NamedTuple):
    """Jumps of the maps of N chains, or pulses, which are the derivative of jumps.

    Attributes:
        places: In deviations, in ascending order, shape (..., N, J).
        heights: By how much, or the areas of pulses, shape (..., N, J); 0 where a chain has fewer.
        line: Mean of jumps that begin at 0, and slope of the line through them, shape (..., N, 2).
        pulsed: Whether they are pulses.
    """

    places: FloatArray
    heights: FloatArray
    line: FloatArray
    pulsed: bool

    @classmethod
    def of(cls, places: FloatArray, heights: FloatArray, pulsed: bool = False) -> Jumps:
        """Of jumps in any order."""
        from scipy.special import ndtr

        t = np.where(heights != 0, np.clip(places, -FAR, FAR), FAR)
        d = np.broadcast_to(heights, t.shape)
        if (np.diff(t, axis=-1) < 0).any():
            order = np.argsort(t, axis=-1, kind="stable")
            t, d = np.take_along_axis(t, order, axis=-1), np.take_along_axis(d, order, axis=-1)
        line = np.stack([(d * ndtr(-t)).sum(axis=-1), (d * density(t)).sum(axis=-1)], axis=-1)
        return cls(writable(t), writable(d), line, pulsed)

    def turned(self) -> Jumps:
        """Those of the maps of -u."""
        whole = self.heights.sum(axis=-1)
        line = np.stack([self.line[..., 0] - whole, -self.line[..., 1]], axis=-1)
        return Jumps(writable(-self.places[..., ::-1]), writable(-self.heights[..., ::-1]), line, self.pulsed)

    def members(self) -> Iterator[Jumps]:
        """Those of each member."""
        for t, d, line in zip(*(_flat(a, 2) for a in (self.places, self.heights, self.line)), strict=True):
            yield Jumps(t, d, line, self.pulsed)

    @property
    def odd(self) -> bool:
        """Whether all maps are odd, or the pulses of odd ones."""
        d = -self.heights if self.pulsed else self.heights
        return bool(np.all((self.places == -self.places[..., ::-1]) & (self.heights == d[..., ::-1])))

    def neighbours(self, eta: float) -> float:
        """Pairs of thresholds that two chains of a member have nearer than eta has them share, on average."""
        near = np.abs(self.places) < REACH
        count = near.sum(axis=-1)
        low, high = (np.where(near, sign * self.places, -REACH).max(axis=-1) for sign in (-1, 1))
        span = np.maximum(low + high, 1e-9)
        return float((count * np.minimum(1 + 2 * APART * eta * count / span, count)).mean())


def _flat(array: FloatArray, core: int) -> FloatArray:
    """An array as kernels take it, with one leading axis before the last ``core``."""
    lead = array.ndim - core
    return writable(array).reshape(math.prod(array.shape[:lead]), *array.shape[lead:])


class Expanded(NamedTuple):
    """Maps of chains as they are correlated: Hermite coefficients, those of the jumps alone (..., N, n), and jumps."""

    c: FloatArray
    jumped: FloatArray
    jumps: Jumps


def covariances(one: Expanded, other: Expanded, r: FloatArray, slopes: bool = False) -> FloatArray:
    """Covariance of pairs of maps without its linear part, and with the means; or its derivative in r.

    Of the chains of one and the same argument those above the diagonal and on it alone; below it is 0.

    Args:
        one: The first of each pair.
        other: The second.
        r: Some correlations of each, shape (..., S, N, N), from -1 to 1.
        slopes: Whether the derivative is asked for.
    """
    *lead, count, n, _ = r.shape
    r = _flat(np.where(np.abs(r) > 1 - IN_PHASE, np.sign(r), r), 3)
    series = [_flat(np.broadcast_to(a, (*lead, *a.shape[-2:])), 2) for a in one[:2] + other[:2]]
    found = np.zeros(r.shape)
    compiled(series_each)(*series, r, slopes, one is other, found)
    far = np.abs(r) > SERIES
    if one is other:
        far &= np.triu(np.ones((n, n), bool))
    if far.any() and one.jumps.places.shape[-1] and other.jumps.places.shape[-1]:
        for k, (first, second) in enumerate(zip(one.jumps.members(), other.jumps.members(), strict=True)):
            if far[k].any():
                first = second if one is other else first
                found[k][far[k]] += _of_member(
                    first, second, writable(np.argwhere(far[k])[:, 1:]), r[k][far[k]], slopes
                )
    return found.reshape(*lead, count, n, n)


def own_covariances(one: Jumps, jumps: Jumps) -> FloatArray:
    """E[e_i(u)^2] of jumps, or E[p_i(u) e_i(u)] with ``one`` as pulses, shape (..., N)."""
    flat = [_flat(a, 1) for a in (one.places, one.heights, jumps.places, jumps.heights, jumps.line)]
    pairs, found = np.repeat(np.arange(len(flat[0]))[:, None], 2, axis=1), np.empty(len(flat[0]))
    if one.pulsed:
        compiled(pulsed_each)(*flat, pairs, np.ones(len(found)), found)
    else:
        compiled(shared_each)(*flat[:4], flat[4], flat[4], pairs, found)
    return found.reshape(one.places.shape[:-1])


def _of_member(one: Jumps, other: Jumps, pairs: IntArray, r: FloatArray, slopes: bool) -> FloatArray:
    """Those of pairs (n, 2) of a member's chains at correlations r (n,), of their jumps alone, octave by octave."""
    eta, found = np.sqrt(2 * (1 - np.abs(r))), np.empty(r.size)
    number = np.minimum(np.floor(np.log2(WIDEST / np.maximum(eta, GRAZING))), OCTAVES).astype(int)
    near = number == OCTAVES
    for k in np.unique(number[~near]).tolist():
        here = number == k
        octave, chains = octave_of(k, WIDEST), sum(np.unique(each).size for each in pairs[here].T)
        sums = PAIR * int(here.sum()) * other.neighbours(WIDEST / 2**k)
        if WIDEST / 2**k <= MOST and sums < WAVE * chains * octave.waves * (1 + octave.windows.size):
            near |= here
        else:
            found[here] = _apart(one, other, pairs[here], r[here], octave, slopes)
    for sign in (1, -1):
        here = near & (r * sign > 0)
        if here.any():
            second = other if sign > 0 else other.turned()
            found[here] = _near(one, second, pairs[here], np.abs(r[here]), slopes) * (sign if slopes else 1)
    return found


def _near(one: Jumps, other: Jumps, pairs: IntArray, r: FloatArray, slopes: bool) -> FloatArray:
    """Where eta is small, and r positive: by the thresholds that are near each other."""
    found, both = np.empty(r.size), np.empty((r.size, 2))
    jumps = one.places, one.heights, other.places, other.heights
    if one.pulsed:
        compiled(pulsed_each)(*jumps, other.line, pairs, r, found)
        return found
    compiled(near_each)(*jumps, pairs, np.maximum(np.sqrt(2 * (1 - r)), GRAZING), both)
    linear = one.line[pairs[:, 0], 1] * other.line[pairs[:, 1], 1]
    if slopes:
        return np.where(r < 1, both[:, 1] / np.sqrt(np.maximum((1 - r) * (1 + r), GRAZING)) - linear, 0.0)
    compiled(shared_each)(*jumps, one.line, other.line, pairs, found)
    return found + linear * (1 - r) - both[:, 0]


def _apart(one: Jumps, other: Jumps, pairs: IntArray, r: FloatArray, octave: Octave, slopes: bool) -> FloatArray:
    """Where eta is in an octave: by transforms of the chains that are met."""
    parts = ("imag",) if one.odd and other.odd else ("real", "imag")
    if one is other:
        chains, rows = np.unique(pairs, return_inverse=True)
        X = Y = _windowed(one, chains, octave, parts)
        rows = rows.reshape(pairs.shape)
    else:
        (mine, first), (theirs, second) = (np.unique(each, return_inverse=True) for each in pairs.T)
        X, Y = _windowed(one, mine, octave, parts), _windowed(other, theirs, octave, parts)
        rows = np.stack([first, second], axis=-1)
    parity = np.repeat([1.0 if each == "real" else -1.0 for each in parts], octave.windows.size)
    room, found = (np.empty((2, octave.waves)), np.empty((2, octave.windows.size))), np.empty((r.size, 2))
    given = writable(rows), r, (octave.middle, octave.half), octave.weights
    compiled(products_each)(X, Y, *given, *room, parity, found)
    return found[:, 1] * np.sign(r) if slopes else found[:, 0]


def _windowed(jumps: Jumps, chains: IntArray, octave: Octave, parts: tuple[str, ...]) -> FloatArray:
    return windowed(jumps.places[chains], jumps.heights[chains], jumps.line[chains], jumps.pulsed, octave, parts)


@brief
def series_at(c: FloatArray, j: FloatArray, d: FloatArray, k: FloatArray, r: float, slopes: bool) -> float:
    """``sum_n c_n d_n r^n`` but the linear term, less what jumps alone have of it where |r| is beyond the series."""
    share, square, last = 1.0 if abs(r) > SERIES else 0.0, r * r, c.size - 1
    odd, even = 0.0, 0.0  # degrees apart: two sums that do not wait for each other
    if last % 2 == 0 and last > 0:
        even = (last if slopes else 1.0) * (c[last] * d[last] - share * j[last] * k[last])
        last -= 1
    for n in range(last, 2, -2):
        upper, lower = c[n] * d[n] - share * j[n] * k[n], c[n - 1] * d[n - 1] - share * j[n - 1] * k[n - 1]
        odd = odd * square + (n * upper if slopes else upper)
        even = even * square + ((n - 1) * lower if slopes else lower)
    if slopes:
        return square * odd + r * even
    return square * (r * odd + even) + c[0] * d[0] - share * j[0] * k[0]


def series_each(
    c: FloatArray,
    j: FloatArray,
    d: FloatArray,
    k: FloatArray,
    r: FloatArray,
    slopes: bool,
    upper: bool,
    out: FloatArray,
) -> None:
    """Write the sums of `series_at`, of coefficients (B, N, degrees) at r (B, S, N, N), into ``out``, which is 0.

    Those above the diagonal and on it alone, where ``upper``.
    """
    for b in range(len(r)):
        for s in range(r.shape[1]):
            for m in range(r.shape[2]):
                for n in range(m if upper else 0, r.shape[3]):
                    out[b, s, m, n] = series_at(c[b, m], j[b, m], d[b, n], k[b, n], r[b, s, m, n], slopes)


def coefficients(places: FloatArray, heights: FloatArray, degree: int) -> FloatArray:
    """Hermite coefficients ``c_n = sum_k d_k p(t_k) h_(n-1)(t_k) / sqrt(n)`` of jumps (..., N, J); 0 for the mean.

    Shape (..., N, degree + 1).
    """
    t, d = (_flat(np.broadcast_to(a, places.shape), 1) for a in (places, heights))
    found, root = np.zeros((len(t), degree + 1)), np.sqrt(np.arange(degree + 1.0))
    compiled(coefficients_each)(t, d * density(t), root, np.empty((2, t.shape[1])), found)
    return found.reshape(*places.shape[:-1], degree + 1)


def pulsed_coefficients(places: FloatArray, areas: FloatArray, degrees: int) -> FloatArray:
    """Those of pulses, ``c_n = sum_k a_k p(t_k) h_n(t_k)``, (..., N, degrees); 0 for the mean."""
    found = coefficients(places, areas, degrees)[..., 1:] * np.sqrt(np.arange(1, degrees + 1))
    found[..., 0] = 0.0
    return np.asarray(found)


@part
def raised(t: FloatArray, one: float, other: float, room: FloatArray) -> float:
    """Polynomials at t (J,), of which ``room`` (2, J) has two degrees, of the next; the sum of those of the last."""
    for k in range(t.size):
        last = room[1, k]
        room[1, k] = t[k] * last * one - other * room[0, k]
        room[0, k] = last
    a, b, c, d, end = 0.0, 0.0, 0.0, 0.0, t.size - t.size % 4
    for k in range(0, end, 4):  # four sums that do not wait for each other
        a += room[0, k]
        b += room[0, k + 1]
        c += room[0, k + 2]
        d += room[0, k + 3]
    for k in range(end, t.size):
        a += room[0, k]
    return (a + b) + (c + d)


def coefficients_each(t: FloatArray, share: FloatArray, root: FloatArray, room: FloatArray, out: FloatArray) -> None:
    """Write coefficients of chains (N, J), for ``share`` d p, into ``out`` (N, degrees), by roots of the degrees."""
    for i in range(len(t)):
        for k in range(t.shape[1]):
            room[0, k], room[1, k] = 0.0, share[i, k]
        for n in range(1, out.shape[1]):
            out[i, n] = raised(t[i], 1 / root[n], root[n - 1] / root[n], room) / root[n]
