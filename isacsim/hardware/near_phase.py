"""Pairs of chains that are nearly in phase: sums over the few thresholds of one that are near one of the other.

At full correlation two residuals ``e = q - E q - g u`` share an integral over the cells that the thresholds of both
make. At ``r = 1 - eta^2 / 2`` a jump d of the one at s and a jump e of the other at t share less by ``d e T``,

    T = 1 / (2 pi) int_0^eta exp(-(s - t)^2 / (2 x^2)) exp(-m^2 / (2 - x^2 / 2)) / sqrt(1 - x^2 / 4) dx

with ``m = (s + t) / 2``, which is nothing where they are some eta apart. What does not know their distance is a series
in Laguerre polynomials of m^2 / 2, whose terms have closed forms.
"""

from __future__ import annotations

import math

from isacsim.compiled import part
from isacsim.typing import FloatArray, IntArray

REACH = 10.0  # deviations, beyond which a density is 2e-22 of the largest
APART = 8.0  # deviations between two thresholds, beyond which they share 1e-15 of what equal ones do
TINY = 1e-14  # what is left of the series in eta^2 / 4
# Deviations of a cell, over which three and five nodes of Gauss and Legendre have a product of residuals to rounding;
# weights of the middle, then places and weights of those beside it.
NARROW, WIDTH = 0.02, 0.25
THREE = (0.8888888888888888, 0.7745966692414834, 0.5555555555555556)
FIVE = (0.5688888888888889, 0.5384693101056831, 0.4786286704993665, 0.9061798459386640, 0.2369268850561891)


@part
def tail_of(x: float) -> float:
    """P(u > x) of N(0, 1)."""
    return 0.5 * math.erfc(x * math.sqrt(0.5))


@part
def product_at(u: float, a: float, g: float, b: float, h: float) -> float:
    """Of two residuals between thresholds, times a density."""
    return (a - g * u) * (b - h * u) * math.exp(-0.5 * u * u)


@part
def beside(u: float, away: float, a: float, g: float, b: float, h: float) -> float:
    """The sum of two of these."""
    return product_at(u - away, a, g, b, h) + product_at(u + away, a, g, b, h)


@part
def shared_of(s: FloatArray, d: FloatArray, line: FloatArray, t: FloatArray, e: FloatArray, other: FloatArray) -> float:
    """E[e_i(u) e_j(u)] of two maps with thresholds in ascending order, mean and slope of the line in ``line`` (2,)."""
    a, b, i, j, total = -line[0], -other[0], 0, 0, 0.0
    low = -REACH
    while low < REACH:
        while i < s.size and s[i] <= low:
            a += d[i]
            i += 1
        while j < t.size and t[j] <= low:
            b += e[j]
            j += 1
        high = min(low + WIDTH, REACH)
        if i < s.size:
            high = min(high, s[i])
        if j < t.size:
            high = min(high, t[j])
        half, middle = (high - low) / 2, (high + low) / 2
        here = product_at(middle, a, line[1], b, other[1]) * (THREE[0] if high - low < NARROW else FIVE[0])
        if high - low < NARROW:
            here += THREE[2] * beside(middle, half * THREE[1], a, line[1], b, other[1])
        else:
            here += FIVE[2] * beside(middle, half * FIVE[1], a, line[1], b, other[1])
            here += FIVE[4] * beside(middle, half * FIVE[3], a, line[1], b, other[1])
        total += half * here
        low = high
    return total / math.sqrt(2 * math.pi)


@part
def unshared_of(gap: float, middle: float, eta: float, terms: int) -> float:
    """``2 pi T`` of two jumps ``gap`` apart."""
    x, z = gap / eta, middle * middle / 2
    bell, before = math.exp(-0.5 * x * x), math.sqrt(2 * math.pi) * tail_of(x)
    integral = eta * (bell - x * before)  # of exp(-gap^2 / (2 x^2)) from 0 to eta; then of x^2 times it
    lower, polynomial, power, total = 0.0, 1.0, eta, integral
    for n in range(1, terms):
        lower, polynomial = polynomial, ((2 * n - 1.5 - z) * polynomial - (n - 1.5) * lower) / n
        power *= eta * eta
        integral = (power * bell - gap * gap * integral) / (2 * n + 1)
        total += polynomial * integral / 4.0**n
    return total * math.exp(-z)


@part
def terms_for(eta: float) -> int:
    """How many terms of `unshared_of` are not `TINY`, up to `REACH`: of exp(-x^2 m^2 / 8)."""
    terms, term = 0, 1.0
    while term > TINY:
        terms += 1
        term *= REACH * REACH * eta * eta / (8 * terms)
    return terms


@part
def near_of(s: FloatArray, d: FloatArray, t: FloatArray, e: FloatArray, eta: float, found: FloatArray) -> None:
    """The sum of ``d e T``, and of the densities of both at thresholds, into ``found`` (2,)."""
    first, unshared, both, terms = 0, 0.0, 0.0, terms_for(eta)
    for i in range(s.size):
        if abs(s[i]) > REACH:
            continue
        while first < t.size and t[first] < s[i] - APART * eta:
            first += 1
        j = first
        while j < t.size and t[j] <= s[i] + APART * eta:
            gap, middle = abs(s[i] - t[j]), (s[i] + t[j]) / 2
            unshared += d[i] * e[j] * unshared_of(gap, middle, eta, terms)
            both += d[i] * e[j] * math.exp(-0.5 * (gap / eta) ** 2 - middle * middle / (2 - eta * eta / 2))
            j += 1
    found[0], found[1] = unshared / (2 * math.pi), both / (2 * math.pi)


@part
def residual_at(x: float, c: float, t: FloatArray, e: FloatArray, line: FloatArray, below: int, level: float) -> float:
    """E[e_j(v)] for v of mean x and deviation c; ``level`` is the sum of the jumps before number ``below``."""
    total, j = level - line[0] - line[1] * x, below
    while j < t.size and t[j] <= x + APART * c:
        if c > 0:
            total += e[j] * tail_of((t[j] - x) / c)
        else:
            total += e[j] * (0.5 if t[j] == x else 1.0)  # a map has the mean of its levels where it jumps
        j += 1
    return total


@part
def pulsed_of(s: FloatArray, d: FloatArray, t: FloatArray, e: FloatArray, line: FloatArray, r: float) -> float:
    """``sum_k d_k p(s_k) E[e_j(v) | u = s_k]``."""
    c, below, level, total = math.sqrt((1 - r) * (1 + r)), 0, 0.0, 0.0
    for i in range(s.size):
        if abs(s[i]) > REACH:
            continue
        x = r * s[i]
        while below < t.size and t[below] < x - APART * c:
            level += e[below]
            below += 1
        total += d[i] * math.exp(-0.5 * s[i] * s[i]) * residual_at(x, c, t, e, line, below, level)
    return total / math.sqrt(2 * math.pi)


def shared_each(
    s: FloatArray,
    d: FloatArray,
    t: FloatArray,
    e: FloatArray,
    line: FloatArray,
    other: FloatArray,
    pairs: IntArray,
    out: FloatArray,
) -> None:
    """Write what pairs (n, 2) of the chains of a member share in phase: thresholds and jumps (N, J), lines (N, 2)."""
    for k in range(len(pairs)):
        i, j = pairs[k, 0], pairs[k, 1]
        out[k] = shared_of(s[i], d[i], line[i], t[j], e[j], other[j])


def near_each(
    s: FloatArray, d: FloatArray, t: FloatArray, e: FloatArray, pairs: IntArray, eta: FloatArray, out: FloatArray
) -> None:
    """Write what `near_of` has of pairs at distances eta (n,) into ``out`` (n, 2)."""
    for k in range(len(pairs)):
        i, j = pairs[k, 0], pairs[k, 1]
        near_of(s[i], d[i], t[j], e[j], eta[k], out[k])


def pulsed_each(
    s: FloatArray,
    d: FloatArray,
    t: FloatArray,
    e: FloatArray,
    other: FloatArray,
    pairs: IntArray,
    r: FloatArray,
    out: FloatArray,
) -> None:
    """Write what pulses of the first and residuals of the second of pairs share at correlations r (n,)."""
    for k in range(len(pairs)):
        i, j = pairs[k, 0], pairs[k, 1]
        out[k] = pulsed_of(s[i], d[i], t[j], e[j], other[j], r[k])
