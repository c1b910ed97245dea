"""Pairs of chains that correlate: the transforms of what they leave of a line, and products of these.

For u, v ~ N(0, 1) of correlation r > 0 the density of both is, but for a constant,

    exp(-(u^2 + v^2) / (2 (1 + r))) exp(-r (u - v)^2 / (2 (1 - r^2)))

With transforms F over u of ``e(u) exp(-u^2 / (2 (1 + r)))`` the covariance of two residuals is thereby

    E[e_i(u) e_j(v)] = 1 / (P sqrt(2 pi r)) sum_k exp(-w_k^2 (1 - r^2) / (2 r)) F_i(w_k)* F_j(w_k),  w_k = 2 pi k / P

to rounding, where P is so long that copies are out of sight: as many waves as P has of ``eta = sqrt(2 (1 - r))``.
The window hardly depends on r. In each octave of eta transforms are taken with a few windows, and the sum is
interpolated between these. A negative r turns one of the maps round: its transform is conjugate.

Transforms are those of samples on a grid, of maps that a narrow Gaussian has smoothed, divided by its own. A jump
changes them at the points beside it alone, by polynomials in its distance from the nearest.
"""

from __future__ import annotations

import math
from functools import cache
from typing import NamedTuple

import numpy as np

from isacsim.compiled import compiled, part
from isacsim.hardware.gaussian import density, hermite
from isacsim.typing import FloatArray, IntArray

# P, in deviations. Two copies meet where both windows are exp(-P^2 / 8) = 2e-22, and the cut at the ends, which is in
# all waves, is of exp(-P^2 / 16) = 1e-11: with 18 deviations 12 bits were off by 2e-10 of their distortion.
PERIOD = 20.0
ENDS = 7.5  # waves in sight, in units of 1 / eta: exp(-ENDS^2 / 2) = 6e-13
FIRST = 64  # waves that are kept in the first octave, with seven more than are in sight, which windows mix
FINER = 4  # points of a grid for each wave
NARROW = 2.74  # of the Gaussian that smooths, over the last wave kept: copies of a grid are exp(-4 NARROW^2) = 9e-14
BESIDE = 13  # points on each side of a jump, where it is smoothed: 7.4 deviations of that Gaussian
TERMS = 13  # of a polynomial in the distance, of up to 0.29 such deviations: the next is 3e-13
# By octave; afterwards two. The sum is one of exp(-2 u^2 y), over a range that shrinks by four: interpolated to some
# 1e-11 for what jumps at six deviations, where converters of many bits have their overload.
WINDOWS = (13, 9, 6, 5, 4, 4, 3, 3, 3)
BLOCK = 32  # waves whose weights follow from each other, which adds up rounding
AT_ONCE = 2**20  # points of grids


class Octave(NamedTuple):
    """Windows ``exp(-u^2 (1 / 4 + y))`` for correlations whose eta is in an octave.

    Attributes:
        waves: How many waves are kept.
        windows: The y of each, shape (Q,).
        middle: Of the range of y.
        half: Half of its length.
        weights: Polynomials over the range (from -1 to 1) that are 1 at one window and 0 at the others, (Q, Q).
    """

    waves: int
    windows: FloatArray
    middle: float
    half: float
    weights: FloatArray


@cache
def octave_of(number: int, widest: float) -> Octave:
    """That of eta from ``widest / 2^(number + 1)`` to ``widest / 2^number``."""
    count = WINDOWS[number] if number < len(WINDOWS) else 2
    high, low = ((widest / 2**k) ** 2 / (4 * (4 - (widest / 2**k) ** 2)) for k in (number, number + 1))
    node = np.cos(np.pi * (np.arange(count) + 0.5) / count)
    weights = np.linalg.inv(np.vander(node, increasing=True)).T
    middle, half = (high + low) / 2, (high - low) / 2
    return Octave(FIRST * 2**number, middle + half * node, middle, half, np.ascontiguousarray(weights))


class Grid(NamedTuple):
    """Points of one period, and what a jump, or a pulse, adds at those beside it.

    Attributes:
        places: Where maps are sampled, shape (points,).
        table: Polynomials in the distance of a jump from the nearest point, in steps, (TERMS, 2 BESIDE).
        envelope: By which samples are multiplied: a Gaussian times a window is one again, nearer to 0 and narrower.
        sharpened: By which transforms are, (waves,).
    """

    places: FloatArray
    table: FloatArray
    envelope: FloatArray
    sharpened: FloatArray


@cache
def grid_of(waves: int, pulsed: bool) -> Grid:
    """For as many waves, with the window at r = 1."""
    last, points = 2 * np.pi * waves / PERIOD, FINER * waves
    width, x = NARROW / last, PERIOD * (np.arange(points) / points - 0.5)
    sharpened = np.exp((NARROW * np.arange(waves) / waves) ** 2 / 2) * PERIOD / points
    shrunk = 1.0 if pulsed else 1 + width**2 / 2
    places, width = x / shrunk, width / np.sqrt(shrunk)
    envelope = np.ones(points) if pulsed else np.exp(-(x**2) / (4 * shrunk)) / np.sqrt(shrunk)
    step = PERIOD / points / shrunk / width
    return Grid(places, _beside(step) / width if pulsed else _beside(step, jumps=True), envelope, sharpened)


def _beside(step: float, jumps: bool = False) -> FloatArray:
    """Taylor's coefficients of N(0, 1), or of its distribution, at the points beside one, over steps back."""
    from scipy.special import gammaln, ndtr

    z, n = np.asarray(step * np.arange(-BESIDE, BESIDE), float), np.arange(TERMS)
    # The derivative of degree n of the density is (-1)^n He_n times it.
    derivatives = hermite(z, TERMS - 1) * ((-1.0) ** n * np.exp(gammaln(n + 1) / 2))[:, None] * density(z)
    if jumps:
        derivatives = np.concatenate([ndtr(z)[None], derivatives[:-1]])
    return np.ascontiguousarray(derivatives * (step**n / np.exp(gammaln(n + 1)))[:, None])


def windowed(
    t: FloatArray, d: FloatArray, line: FloatArray, pulsed: bool, octave: Octave, parts: tuple[str, ...]
) -> FloatArray:
    """Transforms of chains with all windows of an octave, (N, parts times Q, waves).

    Args:
        t: Thresholds in deviations, shape (N, J).
        d: Jumps there, or areas of pulses.
        line: Mean and slope of the line through jumps, shape (N, 2).
        pulsed: Whether they are pulses.
        octave: The octave.
        parts: "real" or "imag", or both.
    """
    grid, points = grid_of(octave.waves, pulsed), 2 * octave.waves
    u = PERIOD * (np.arange(points) / points - 0.5)
    windows = np.exp(-(u**2) * octave.windows[:, None])
    found = np.empty((len(t), len(parts) * octave.windows.size, octave.waves))
    some = max(1, AT_ONCE // grid.places.size)
    for first in range(0, len(t), some):
        here = slice(first, first + some)
        heights = d[here] * np.exp(-(t[here] ** 2) / 4) if pulsed else d[here]
        room = np.zeros((len(heights), grid.places.size + 2 * BESIDE))
        compiled(spread_each)(t[here], heights, line[here], grid.places, grid.table, not pulsed, np.zeros(TERMS), room)
        transform = np.fft.rfft(room[:, BESIDE:-BESIDE] * grid.envelope)[:, : octave.waves] * grid.sharpened
        # A grid begins at -P / 2: all transforms have the same signs, which no product of two shows.
        each = np.fft.rfft(np.fft.irfft(transform, points)[:, None] * windows)[..., : octave.waves]
        found[here] = np.concatenate([getattr(each, name) for name in parts], axis=1)
    return found


@part
def stepped(t: FloatArray, d: FloatArray, line: FloatArray, x: FloatArray, out: FloatArray) -> None:
    """Write what jumps add at all points above those beside them, less the line."""
    step, level = (x[-1] - x[0]) / (x.size - 1), -line[0]
    for k in range(t.size):
        point = math.floor((t[k] - x[0]) / step + 0.5) + 2 * BESIDE
        if point < out.size:
            out[int(max(point, 0.0))] += d[k]
    for m in range(out.size):
        level += out[m]
        out[m] = level - line[1] * (x[0] + (m - BESIDE) * step)


def spread_each(
    t: FloatArray,
    d: FloatArray,
    line: FloatArray,
    x: FloatArray,
    table: FloatArray,
    jumps: bool,
    moments: FloatArray,
    out: FloatArray,
) -> None:
    """Write smoothed maps of chains at points x (n,) into ``out`` (N, n and BESIDE at each end), which is 0.

    Args:
        t: Thresholds in deviations, in ascending order, shape (N, J).
        d: Jumps there, or areas of pulses.
        line: Mean and slope of the line through jumps, shape (N, 2).
        x: The points.
        table: That of a `Grid`.
        jumps: Whether they are jumps.
        moments: Room for sums, shape (TERMS,), which is 0.
        out: Where the result goes.
    """
    step = (x[-1] - x[0]) / (x.size - 1)  # the difference of two neighbours has rounding of their places
    for i in range(len(t)):
        if jumps:
            stepped(t[i], d[i], line[i], x, out[i])
        last, point, place = -1, -1, 0.0
        for k in range(t.shape[1] + 1):
            if k < t.shape[1]:
                place = (t[i, k] - x[0]) / step
                point = int(min(max(math.floor(place + 0.5), -1.0), x.size + 1.0))
            if last >= 0 and (point != last or k == t.shape[1]):  # jumps next to one point go together
                for n in range(TERMS):
                    share = moments[n]
                    for m in range(2 * BESIDE):
                        out[i, last + m] += share * table[n, m]
                    moments[n] = 0.0
                last = -1
            if k < t.shape[1] and 0 <= point <= x.size:
                last, share = point, d[i, k]
                for n in range(TERMS):
                    moments[n] += share
                    share *= point - place


@part
def decay(beta: float, count: int, weight: FloatArray) -> None:
    """Write ``exp(-beta k^2)``, and that times k^2, of the waves k < count into ``weight`` (2, waves)."""
    turn = math.exp(-2 * beta)
    for first in range(0, count, BLOCK):
        here, ratio = math.exp(-beta * first * first), math.exp(-beta * (2 * first + 1))
        for k in range(first, min(first + BLOCK, count)):
            weight[0, k], weight[1, k] = here, here * k * k
            here *= ratio
            ratio *= turn
    weight[0, 0] *= 0.5  # waves come in pairs, but for the first


@part
def windows_at(y: float, weights: FloatArray, share: FloatArray) -> None:
    """Write the weight of each window, and its derivative in y, into ``share`` (2, Q)."""
    for q in range(len(weights)):
        value, slope = 0.0, 0.0
        for k in range(weights.shape[1] - 1, -1, -1):
            slope = slope * y + value
            value = value * y + weights[q, k]
        share[0, q], share[1, q] = value, slope


@part
def product_of(
    X: FloatArray, Y: FloatArray, r: float, octave: tuple[float, float], weight: FloatArray, share: FloatArray,
    parity: FloatArray, found: FloatArray,
) -> None:  # fmt: skip
    """Write the covariance at r, and its derivative in |r|, into ``found`` (2,), for windowed transforms (L, waves)."""
    a, unit = abs(r), 2 * math.pi / PERIOD
    beta = (1 - a) * (1 + a) / (2 * a) * unit * unit
    count = min(int(ENDS / (unit * math.sqrt(2 * (1 - a)))) + 2, X.shape[1])
    decay(beta, count, weight)
    value, slope, windows = 0.0, 0.0, share.shape[1]
    for row in range(len(X)):
        plain, squared = 0.0, 0.0
        for k in range(count):
            both = X[row, k] * Y[row, k]
            plain += weight[0, k] * both
            squared += weight[1, k] * both
        sign, q = parity[row] if r < 0 else 1.0, row % windows
        value += sign * share[0, q] * plain
        by_beta = unit * unit * (1 / (2 * a * a) + 0.5) * squared
        by_window = -share[1, q] / (2 * octave[1] * (1 + a) * (1 + a)) * plain
        slope += sign * (share[0, q] * by_beta + by_window)
    scale = 2 / (PERIOD * math.sqrt(2 * math.pi * a))
    found[0], found[1] = scale * value, scale * (slope - value / (2 * a))


def products_each(
    X: FloatArray, Y: FloatArray, pairs: IntArray, r: FloatArray, octave: tuple[float, float], weights: FloatArray,
    weight: FloatArray, share: FloatArray, parity: FloatArray, out: FloatArray,
) -> None:  # fmt: skip
    """Write covariances and their derivatives in |r| of pairs of chains at correlations r (n,) into ``out`` (n, 2).

    Args:
        X: Windowed transforms of the first of each pair, shape (N, L, waves).
        Y: Those of the second.
        pairs: Which two, shape (n, 2).
        r: Correlations, shape (n,), from -1 to 1.
        octave: Middle and half length of the range of the windows' y.
        weights: Polynomials of the windows.
        weight: Room for weights, shape (2, waves).
        share: Room for shares of windows, shape (2, Q).
        parity: Of each of the L parts, 1 for the real one and -1 for the imaginary one.
        out: Where the result goes.
    """
    for k in range(len(pairs)):
        a = abs(r[k])
        windows_at(((1 - a) / (4 * (1 + a)) - octave[0]) / octave[1], weights, share)
        product_of(X[pairs[k, 0]], Y[pairs[k, 1]], r[k], octave, weight, share, parity, out[k])
