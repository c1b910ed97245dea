"""Correlated distortion of fine codebooks: sums over thresholds, with the linear part taken out of them.

At the angle phi from full correlation, ``r = cos phi``, c = sin phi is the deviation of v for a given u, and the
derivative of E[q_1 q_2] in the arc sine (`isacsim.hardware.arcsine`) is

    w = sum_l d_l p(t_l) sum_k d_k n((t_k - r t_l) / c)

with the density n of N(0, 1). All but a share of some step^2 of w is the linear part ``c g_1 g_2``, which a
difference would leave the rounding of. Where the t_k are at equal distances, and so the jumps, the sum over all
integers k is by Poisson's formula ``c`` and a ripple, and of those that are no thresholds there are two tails ::

    w - c g_1 g_2 = c g_2 (1 - g_1) + sum_l d_l p(t_l) [ripple(r t_l) - tail(r t_l) - tail(-r t_l)]

The ripple is what steps have in common, and is gone where c is some steps; the tails are the overload.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from isacsim.hardware.codebooks import Codebook
from isacsim.hardware.gaussian import density
from isacsim.typing import FloatArray

REACH = 9.0  # deviations, beyond which a density is 1e-18 of the largest
EQUAL = 1e-8  # of a step, by which distances and jumps of equal ones may differ: bisected ones are 1e-13 off
SHARP = 1 / 3  # steps of c, below which single thresholds are summed, and from which on four waves of the ripple
WAVES = 4  # exp(-2 (pi 5 / 3)^2) is 1e-24
SMOOTH = 1.4  # steps of c, from which on the ripple is less than 1e-16
WIDE = 16.0  # steps of c, from which on three terms of Euler and Maclaurin have a tail to 1e-16
# Of those terms, in the odd derivatives of the density at the end of a midpoint rule.
ENDS = ((1, 1 / 24), (3, -7 / 5760), (5, 31 / 967680))


class Lattice(NamedTuple):
    """Thresholds ``k step``, |k| <= last, at each of which the level rises by ``scale step``."""

    step: float
    last: int
    scale: float

    @classmethod
    def of(cls, book: Codebook) -> Lattice | None:
        """That of a codebook as far as a Gaussian reaches; None where distances or jumps differ."""
        t, d = jumps_of(book)
        last = t.size // 2
        step = float(np.ptp(t)) / max(2 * last, 1)
        uniform = t.size % 2 == 1 and np.abs(t - step * np.arange(-last, last + 1)).max() <= EQUAL * step
        if not uniform or np.abs(d - d[0]).max() > EQUAL * d[0]:
            return None
        return cls(step, last, float(d[0]) / step)

    @property
    def shortfall(self) -> float:
        """By how much the gain over the scale is less than 1."""
        return float(2 * self.tail(np.zeros(1), 1.0)[0])

    def ripple(self, a: FloatArray, c: float) -> FloatArray:
        """``sum_k step n((k step - a) / c) - c`` of all integers k, at a (L,)."""
        if c >= SHARP * self.step:
            turns, wave = 2 * np.pi * a / self.step, 2 * np.pi * c / self.step
            return 2 * c * sum(np.exp(-((wave * m) ** 2) / 2) * np.cos(m * turns) for m in range(1, WAVES + 1))
        beside = a / self.step - np.rint(a / self.step)
        near = np.arange(-3, 4) - beside[:, None]
        return self.step * density(near * (self.step / c)).sum(axis=-1) - c

    def tail(self, a: FloatArray, c: float) -> FloatArray:
        """``sum_k step n((k step - a) / c)`` of the integers k beyond the last threshold, at a (L,)."""
        if c >= WIDE * self.step:
            from scipy.special import eval_hermitenorm, ndtr

            z = ((self.last + 0.5) * self.step - a) / c
            ends = sum(share * (self.step / c) ** (n + 1) * eval_hermitenorm(n, z) for n, share in ENDS)
            return np.asarray(c * (ndtr(-z) - density(z) * ends))
        first = np.maximum(self.last + 1, np.ceil((a - REACH * c) / self.step))
        k = first[:, None] + np.arange(int(2 * REACH * c / self.step) + 1)
        return self.step * density((k * self.step - a[:, None]) / c).sum(axis=-1)


def jumps_of(book: Codebook) -> tuple[FloatArray, FloatArray]:
    """Thresholds within reach, and the jumps there."""
    near = np.abs(book.thresholds) < REACH
    return book.thresholds[near], np.diff(book.levels)[near]


def spacing(book: Codebook) -> float:
    """The least distance of thresholds within reach; infinite for one."""
    return float(np.diff(jumps_of(book)[0]).min(initial=np.inf))


def distorted_slope(one: Codebook, other: Codebook, angles: FloatArray) -> FloatArray:
    """``w - c g_1 g_2`` of two odd codebooks at angles (n,) from full correlation, from 0 to pi / 2."""
    one, other = sorted((one, other), key=spacing)
    lattice = Lattice.of(one)
    if lattice is None:
        return np.array([_by_pairs(one, other, float(angle)) for angle in angles])
    short = lattice.scale * lattice.shortfall * other.gain
    return np.array([np.sin(angle) * short + lattice.scale * _rest(lattice, other, float(angle)) for angle in angles])


def _rest(lattice: Lattice, other: Codebook, angle: float) -> float:
    """The sum over l, by those above 0: both codebooks are odd."""
    t, d = jumps_of(other)
    t, d = t[t >= 0], np.where(t > 0, 2 * d, d)[t >= 0]
    c, weight = np.sin(angle), d * density(t)
    a, last = t - 2 * np.sin(angle / 2) ** 2 * t, lattice.last * lattice.step  # r t, where r is rounded near 1
    total = 0.0
    if c < SMOOTH * lattice.step:
        total += float(weight @ lattice.ripple(a, c))
    for side in (a, -a):
        near = side > last - REACH * c
        total -= float(weight[near] @ lattice.tail(side[near], c))
    return total


def _by_pairs(one: Codebook, other: Codebook, angle: float) -> float:
    """By all pairs of thresholds: codebooks of no equal steps have few enough of them."""
    (s, e), (t, d), c = jumps_of(one), jumps_of(other), np.sin(angle)
    off = s[:, None] - t + 2 * np.sin(angle / 2) ** 2 * t
    return float(e @ density(off / c) @ (d * density(t)) - c * one.gain * other.gain)
