"""Scalar quantisers of a real standard Gaussian: codebooks and their distortion.

`lloyd_max` is the distortion-optimal codebook [Max60]; `mid_rise` the uniform one. Both
are computed, not tabulated. `aqnm_distortion` is the factor beta that the AQNM
literature uses, a table to 5 bits and a high-resolution formula above.
"""

from __future__ import annotations

from functools import cache, cached_property

import numpy as np
from attrs import frozen

from isacsim.hardware.gaussian import legendre
from isacsim.typing import FloatArray

MAX_BITS = 16
NARROW, CELL_NODES = 0.25, 8  # deviations: cells over which eight nodes have a mean to rounding

# Distortion factors of the Lloyd-Max quantiser as the AQNM literature prints them, to
# four digits; the 4- and 5-bit entries are up to 0.3 % below the codebook's own.
AQNM_TABLE = {1: 0.3634, 2: 0.1175, 3: 0.03454, 4: 0.009497, 5: 0.002499}


@frozen(eq=False)
class Codebook:
    """A symmetric scalar quantiser for unit-variance real Gaussian input.

    Attributes:
        thresholds: Decision thresholds in ascending order, 2**bits - 1 of them.
        levels: Output levels in ascending order, 2**bits of them.
        gain: Bussgang gain E[x Q(x)].
        power: Output power E[Q(x)^2].
        step: Distance of the levels of a uniform codebook, else None.
    """

    thresholds: FloatArray
    levels: FloatArray
    gain: float
    power: float
    step: float | None = None

    @cached_property
    def distortion(self) -> float:
        """Mean square error E[(x - Q(x))^2], cell by cell: differences of powers leave their rounding of fine steps."""
        t, y = np.append(self.thresholds, np.inf), self.levels
        below = np.insert(t[:-1], 0, -np.inf)
        narrow = t - below < NARROW
        node, weight = legendre(CELL_NODES)
        width = (t - below)[narrow, None]
        x = below[narrow, None] + width * node
        fine = (width * weight * (x - y[narrow, None]) ** 2 * _density(x)).sum()
        chance = np.where(below > 0, _tail(below) - _tail(t), _tail(-t) - _tail(-below))
        low, high = (np.where(np.isinf(edge), 0.0, edge - 2 * y) * _density(edge) for edge in (below, t))
        return float(fine + ((1 + y**2) * chance + low - high)[~narrow].sum())

    @property
    def noise(self) -> float:
        """Power of the part of Q(x) that is uncorrelated with x."""
        return self.distortion - (1 - self.gain) ** 2


def _tail(x: FloatArray) -> FloatArray:
    from scipy.special import ndtr

    return np.asarray(ndtr(-x))


def _density(x: FloatArray) -> FloatArray:
    return np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)


def _mirrored(thresholds: FloatArray, levels: FloatArray, step: float | None = None) -> Codebook:
    """Codebook from its positive half; ``thresholds`` starts with 0."""
    upper = np.append(thresholds[1:], np.inf)
    probability = _tail(thresholds) - _tail(upper)
    mass = _density(thresholds) - _density(upper)
    return Codebook(
        thresholds=np.concatenate([-thresholds[:0:-1], thresholds]),
        levels=np.concatenate([-levels[::-1], levels]),
        gain=float(2 * (levels * mass).sum()),
        power=float(2 * (levels**2 * probability).sum()),
        step=step,
    )


@cache
def lloyd_max(bits: int) -> Codebook:
    """The distortion-optimal codebook of ``bits`` bits [Max60].

    Newton's method on the centroid conditions, started from the companding
    approximation of high resolution, whose thresholds are those of a Gaussian of
    three times the variance.
    """
    from scipy.linalg import solve_banded
    from scipy.special import ndtri

    half = 2 ** (bits - 1)
    y = np.sqrt(3) * ndtri(0.5 + (np.arange(half) + 0.5) / (2 * half))
    for _ in range(100):
        t = np.concatenate([[0.0], (y[:-1] + y[1:]) / 2])
        upper = np.append(t[1:], np.inf)
        probability, density = _tail(t) - _tail(upper), _density(t)
        above = np.append(density[1:], 0.0)
        centroid = (density - above) / probability
        d_lower = density * (centroid - t) / probability
        d_upper = above * (np.where(np.isinf(upper), 0.0, upper) - centroid) / probability
        d_lower[0] = 0.0  # the threshold at zero is fixed by symmetry
        bands = np.zeros((3, half))
        bands[0, 1:] = -d_upper[:-1] / 2
        bands[1] = 1 - (d_lower + d_upper) / 2
        bands[2, :-1] = -d_lower[1:] / 2
        move = solve_banded((1, 1), bands, centroid - y)
        y = y + move
        if np.max(np.abs(move)) < 1e-13:
            break
    step = float(2 * y[0]) if bits == 1 else None  # two levels are uniform
    return _mirrored(np.concatenate([[0.0], (y[:-1] + y[1:]) / 2]), y, step)


@cache
def mid_rise(bits: int, step: float | None = None) -> Codebook:
    """The uniform mid-rise codebook with ``step``, by default the distortion-optimal one."""
    if step is None:
        from scipy.optimize import brentq

        # At the optimum E[x Q] = E[Q^2]; with a smaller step the quantiser is overloaded.
        step = float(brentq(lambda s: _uniform(bits, s).power - _uniform(bits, s).gain, 1e-6, 4.0, xtol=1e-15))
    return _uniform(bits, step)


def _uniform(bits: int, step: float) -> Codebook:
    k = np.arange(2 ** (bits - 1))
    return _mirrored(step * k, step * (k + 0.5), step)


def aqnm_distortion(bits: float) -> float:
    """Distortion factor beta of the AQNM for Lloyd-Max quantisers of ``bits`` bits; inf gives 0.

    Above 5 bits it is (sqrt(3) pi / 2) 2^(-2 bits); the text of [Xu25] has the root over
    the whole of 3 pi, which is 43 % too small.
    """
    if np.isinf(bits):
        return 0.0
    return AQNM_TABLE.get(int(bits), np.sqrt(3) * np.pi / 2 * 2.0 ** (-2 * bits))
