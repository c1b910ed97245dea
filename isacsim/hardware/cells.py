"""A converter followed by any memoryless stage: the exact expansion, cell by cell.

Behind codebooks the map of a chain is constant on rectangles: ``f = g(l_k + j l_m)`` for parts in the cells k
and m. Its coefficients in products of Hermite polynomials of the two parts are sums over cells,
``E[f h_a(u) h_b(v)] = (I F I^T)_ab`` with ``I_a[k]`` the integral of h_a and the normal density over the cell,
which has a closed form. Of each degree n = a + b they turn into those of complex Hermite polynomials by a
unitary matrix,

    H_pq(z) = 2^(-n/2) (p! q!)^(-1/2) (u + j v)^p (u - j v)^q + ...,  u^a v^b -> sqrt(a! b!) h_a(u) h_b(v)

Coefficients of a map that jumps fall slowly, and nearly all of what is above the last degree is that of the parts
alone, ``q(u) + j q(v)`` with ``q(u) = E[f | u]``, whose series costs little and goes far.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from math import lgamma

import numpy as np
from attrs import frozen

from isacsim.batch import squared
from isacsim.hardware.base import Hardware
from isacsim.hardware.expansions import Expander, Expansion, Ito, Rails, with_rest
from isacsim.hardware.gain_control import Quantised
from isacsim.hardware.gaussian import density, hermite
from isacsim.hardware.jumps import FAR
from isacsim.typing import AnyArray, ComplexArray, FloatArray

DEGREE = 33  # p + q: 0.001 dB of an SQINR; without the parts above it would be 0.04 dB off
BEYOND = (
    40.0  # deviations, where the density is 0 in floating point and polynomials of the last degree are not infinite
)
LAST = 151  # degree of the parts
LEVELS = 64  # of a codebook, up to which all pairs of its levels are tried


@frozen(eq=False)
class Cells(Expander):
    """Chains of codebooks, and a stage behind them.

    Args:
        first: Maps that are codebooks, odd or not.
        rest: What follows.
        fourfold: Whether the rest turns by right angles with its input, as all stages do that treat real and
            imaginary part alike: then p - q is 1 modulo 4.
        unturned: Whether it leaves real input real: then the parts have a series of their own above the last degree.
    """

    first: Expander
    rest: Hardware
    fourfold: bool
    unturned: bool

    def at(self, rho: FloatArray) -> Expansion:
        """By sums over the cells."""
        from scipy.special import ndtr

        before = self.first.at(rho)
        t, levels = _codebooks(before, rho)
        end = np.zeros((*t.shape[:-1], 1))  # of its own shape: a weak chain may meet no threshold
        edges = np.concatenate([end, ndtr(t), end + 1], axis=-1)
        kept = -hermite(t, DEGREE - 1) * density(t) / np.sqrt(np.arange(1, DEGREE + 1)).reshape(-1, *[1] * t.ndim)
        none = np.zeros((*kept.shape[:-1], 1))
        inner = np.diff(np.concatenate([none, kept, none], axis=-1), axis=-1)
        chance = np.diff(edges, axis=-1)
        integrals = np.moveaxis(np.concatenate([chance[None], inner]), 0, -2)
        points = (levels[..., :, None] + 1j * levels[..., None, :]).reshape(*levels.shape[:-1], levels.shape[-1] ** 2)
        F = self.rest.apply(points, None, power=before.power).reshape(*levels.shape, levels.shape[-1])
        T = integrals @ F @ integrals.swapaxes(-1, -2)
        power = (squared(F) * chance[..., :, None] * chance[..., None, :]).sum(axis=(-2, -1))
        b = {turns: _turned(T, turns) for turns in self._turns()}
        own = np.maximum(power - squared(b[1][..., 0]), 0.0)
        parts = (F * chance[..., None, :]).sum(axis=-1)  # E[f | u], in the cells of u
        if not (self.fourfold and self.unturned):
            return Ito.of(b, own)
        tail = _tail(t, parts.real, chance)
        return Tailed(b[1][..., 0], own, Ito.of(b, np.maximum(own - tail.own, 0.0)), tail)

    def _turns(self) -> list[int]:
        every = range(-DEGREE, DEGREE + 1)
        return [turns for turns in every if not self.fourfold or turns % 4 == 1]


@frozen(eq=False)
class Tailed(Expansion):
    """A series, and what its parts have above its last degree.

    Attributes:
        linear: E[f z*], shape (..., N), in sqrt(W).
        own: Power of the rest, shape (..., N), in W.
        series: Up to a degree.
        tail: Of the parts, above it.
    """

    linear: AnyArray
    own: FloatArray
    series: Ito
    tail: Rails

    def distortion(self, other: Tailed, xi: ComplexArray) -> ComplexArray:
        """The sum of both: of different degrees nothing is correlated."""
        return self.series.distortion(other.series, xi) + self.tail.distortion(other.tail, xi)

    def toward(self, xi: ComplexArray, g: ComplexArray) -> ComplexArray:
        """The sum of both."""
        return self.series.toward(xi, g) + self.tail.toward(xi, g)

    def scaled(self, amplitude: AnyArray, power: AnyArray) -> Tailed:
        """Both alike."""
        parts = self.series.scaled(amplitude, power), self.tail.scaled(amplitude, power)
        return Tailed(amplitude * self.linear, power * self.own, *parts)

    def combined(self, parts: Sequence[tuple[float, Tailed]]) -> Tailed:
        """Part by part."""
        series = self.series.combined([(w, each.series) for w, each in parts])
        tail = self.tail.combined([(w, each.tail) for w, each in parts])
        linear = np.asarray(sum(w * each.linear for w, each in parts))
        return Tailed(linear, np.asarray(sum(w * each.own for w, each in parts)), series, tail)


def _tail(t: FloatArray, levels: FloatArray, chance: FloatArray) -> Rails:
    """The degrees above the last of odd rails with thresholds t (..., N, J) and levels (..., N, J + 1)."""
    degrees = np.arange(DEGREE + 2 - DEGREE % 2, LAST + 1, 2)  # odd ones
    t = np.clip(t, -BEYOND, BEYOND)
    h = hermite(t, LAST)[degrees - 1]
    kept = np.stack([(np.diff(levels, axis=-1) * density(t) * each).sum(axis=-1) for each in h], axis=-1)
    c = np.zeros((*levels.shape[:-1], LAST + 1))
    c[..., degrees] = kept / np.sqrt(degrees)
    low = hermite(t, DEGREE)[:DEGREE]
    below = np.stack([(np.diff(levels, axis=-1) * density(t) * each).sum(axis=-1) for each in low], axis=-1)
    below = below / np.sqrt(np.arange(1, DEGREE + 1))
    square = (levels**2 * chance).sum(axis=-1)
    own = np.maximum(2 * (square - (below**2).sum(axis=-1)), 0.0)
    none = t[..., :0]
    c = with_rest(c, own, none)
    return Rails(np.zeros_like(own), own, c, 0 * c, none, none)


def _codebooks(before: object, rho: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Thresholds (..., N, J), in deviations, and levels (..., N, J + 1), in sqrt(W), filled up with cells never met."""
    if isinstance(before, Rails):
        order = np.argsort(np.where(before.heights != 0, before.places, FAR), axis=-1)
        t, d = (np.take_along_axis(a, order, axis=-1) for a in (before.places, before.heights))
        t = np.where(d != 0, t, FAR)
        rise = np.concatenate([np.zeros((*d.shape[:-1], 1)), np.cumsum(d, axis=-1)], axis=-1)
        # The mean fixes the level that the steps start from.
        from scipy.special import ndtr

        return t, rise + (before.c[..., :1] - (d * ndtr(-t)).sum(axis=-1, keepdims=True))
    assert isinstance(before, Quantised)
    most = max(book.thresholds.size for book in before.books if book is not None)
    t, levels = np.full((len(before.books), most), FAR), np.zeros((len(before.books), most + 1))
    for i, book in enumerate(before.books):
        assert book is not None
        t[i, : book.thresholds.size] = book.thresholds
        levels[i, : book.levels.size] = book.levels
        levels[i, book.levels.size :] = book.levels[-1]
    return np.broadcast_to(t, (*rho.shape, most)), before.scale[..., None] / np.sqrt(2) * levels


def _turned(T: ComplexArray, turns: int) -> ComplexArray:
    """Coefficients of the orders p - q = ``turns``, shape (..., N, m), of those in products (..., N, a, b)."""
    found = []
    for n in range(abs(turns), DEGREE + 1, 2):
        a = np.arange(n + 1)
        found.append(T[..., a, n - a] @ _basis(n, (n + turns) // 2))
    return np.stack(found, axis=-1)


@cache
def _basis(n: int, p: int) -> ComplexArray:
    """Conjugate coefficients of H_{p, n-p} in h_a(u) h_(n-a)(v), a = 0 ... n; integers are exact to n = 50."""
    series = np.ones(1, complex)
    for k in range(n):
        series = np.convolve(series, [1j if k < p else -1j, 1])  # ascending powers of u
    logs = [lgamma(a + 1) + lgamma(n - a + 1) - lgamma(p + 1) - lgamma(n - p + 1) for a in range(n + 1)]
    return np.asarray(np.conj(series) * np.exp(0.5 * np.array(logs) - 0.5 * n * np.log(2)))
