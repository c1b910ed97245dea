"""What a receiver makes of training symbols: its gain on each subcarrier, as it was measured or smoothed over the band.

Least squares give ``c_LS[f] = c[f] + e[f]`` with errors of the variance that n symbols leave. Gains of neighbouring
subcarriers are alike where paths are short. A receiver that knows no more than that they are within the prefix takes
taps of equal mean power on its samples for a prior, of covariance ::

    B[f, f'] = mean over d = 0..N_c of exp(-2 pi j (f - f') d / N)

times the mean power of the gains, and the linear estimate of least mean square error is ``R (R + Sigma)^-1 c_LS``.
"""

from __future__ import annotations

import numpy as np

from isacsim.batch import squared
from isacsim.grid import Grid
from isacsim.typing import ComplexArray, FloatArray
from isacsim.waveform.link import Tally


def prior(grid: Grid) -> ComplexArray:
    """Covariance (F, F) of gains of unit mean power, whose paths are anywhere within the prefix."""
    delays = np.arange(grid.prefix + 1)
    apart = np.exp(-2j * np.pi * np.outer(grid.index, delays) / grid.subcarriers)
    return np.asarray(apart @ np.conj(apart).T / len(delays))


def smoothed(learnt: Tally, grid: Grid) -> ComplexArray:
    """Gains (..., F, K) of least mean square error from sums over training symbols, in sqrt(W)."""
    gain, explained = learnt.gain, squared(learnt.gain) * learnt.sent
    left = np.maximum(learnt.received - explained, 0.0) / max(1, learnt.symbols - 1)
    sent = np.where(learnt.sent > 0, learnt.sent, 1.0)
    variance = (left / sent).mean(axis=-2, keepdims=True)  # noise of a band is alike on its subcarriers
    power = np.maximum((squared(gain) - variance).mean(axis=-2, keepdims=True), 0.0)
    return estimate(gain, power, variance, grid)


def estimate(gain: ComplexArray, power: FloatArray, variance: FloatArray, grid: Grid) -> ComplexArray:
    """The linear estimate of gains (..., F, K) of mean power (..., 1, K), of errors of a variance (..., 1, K), in W."""
    values, basis = np.linalg.eigh(prior(grid))
    values = np.maximum(values, 0.0)[:, None]
    told = values * power
    kept = np.divide(told, told + variance, out=np.zeros(np.broadcast_shapes(told.shape, variance.shape)),
                     where=told + variance > 0)  # fmt: skip
    return np.asarray(basis @ (kept * (np.conj(basis).T @ gain)))
