"""What hardware does to a signal whose power is spread over subcarriers.

A chain meets samples, not subcarriers: its gain and its distortion follow from the covariance of a
*sample*, which is the mean over all N bins of the covariances R[f] of the subcarriers. To ask the
linear model once for each subcarrier would give each a converter of its own, which is wrong by
several dB.

Of Gaussian symbols the samples of one body are jointly Gaussian with a circulant covariance ::

    C[d] = E x[l + d] x[l]^H = (1/N) sum_f R[f] exp(2 pi j f d / N)

(a unitary DFT; the prefix makes the channel circulant too). A stage without memory has the same gain
on all f. Its distortion has a covariance C_q[d] at each lag, whose DFT is the distortion D[f] of the
subcarriers. Two samples of lag d are jointly Gaussian with the covariance ::

    [[C[0],   C[d]],
     [C[d]^H, C[0]]]

so that C_q[d] is the block beside the diagonal of the distortion of a stage of twice the chains: the
linear model of a stage says its spectrum, exactly where the model is exact. A model that takes
distortion for uncorrelated between chains, as the AQNM does, takes it for white as well.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from attrs import frozen

from isacsim.batch import hermitian
from isacsim.checks import numbers
from isacsim.grid import Grid
from isacsim.hardware.base import Hardware, LinearModel, diagonal_matrix
from isacsim.typing import AnyArray, ComplexArray, FloatArray

LAGS = 2**21  # complex entries of doubled covariances that are held at once: 32 MiB


def autocovariance(R: AnyArray) -> ComplexArray:
    """Covariances C[d] of samples at all N lags, for those of the bins; both (..., N, M, M), in W."""
    return np.asarray(np.fft.ifft(R, axis=-3))


def subcarrier_model(stage: Hardware, R: AnyArray) -> LinearModel:
    """Gain and distortion on each of N bins for Gaussian input of covariance R (..., N, M, M), in W.

    The frequency is the last leading axis of the model: its gain is (..., 1, M), or where coupled
    (..., 1, M, M), its distortion (..., N, M) or (..., N, M, M), in W.
    """
    R = np.asarray(numbers("R", R, axes=3), complex)
    bins, chains = R.shape[-3:-1]
    sample = R.mean(axis=-3)
    model = stage.linear_model(sample)
    gain = np.expand_dims(model.gain, -2 - model.coupled)
    own = (chains,) if model.diagonal else (chains, chains)
    if bins == 1 or model.coupled or not stage.memoryless or _uncorrelated(stage, model, sample):
        white = np.expand_dims(model.distortion, -1 - len(own))
        return LinearModel(gain, np.broadcast_to(white, (*R.shape[:-3], bins, *own)), model.coupled)
    doubled, C = stage.tiled(2), autocovariance(R)
    Cq = np.empty(R.shape, complex)
    Cq[..., 0, :, :] = model.distortion_matrix()
    half = bins // 2  # C_q[-d] = C_q[d]^H
    step = max(1, LAGS // (4 * chains**2 * max(1, sample.size // chains**2)))
    for start in range(1, half + 1, step):
        lags = np.arange(start, min(half + 1, start + step))
        Cq[..., lags, :, :] = _across(doubled, sample, C[..., lags, :, :])
        Cq[..., bins - lags, :, :] = hermitian(Cq[..., lags, :, :])
    return LinearModel(gain, np.fft.fft(Cq, axis=-3))


def _uncorrelated(stage: Hardware, model: LinearModel, sample: ComplexArray) -> bool:
    """Whether a model takes distortion for uncorrelated; that of a single chain is a number and does not say it."""
    if not model.diagonal or sample.shape[-1] > 1:
        return model.diagonal
    return stage.tiled(2).linear_model(sample * np.eye(2)).diagonal


def _across(doubled: Hardware, sample: ComplexArray, C: ComplexArray) -> ComplexArray:
    """Covariance of the distortion at the lags of C (..., lags, M, M), in W; the samples' own is (..., M, M)."""
    here = np.broadcast_to(sample[..., None, :, :], C.shape)
    pair = np.concatenate([np.concatenate([here, C], axis=-1), np.concatenate([hermitian(C), here], axis=-1)], axis=-2)
    chains = C.shape[-1]
    return np.asarray(doubled.linear_model(pair).distortion_matrix()[..., :chains, chains:])


@frozen
class OverBand(Hardware):
    """A stage as the active subcarriers of a grid see it: their covariances go in together.

    Its linear model takes R (..., F, M, M) with the subcarriers on the last leading axis, the only one
    over which it sums.

    Args:
        stage: The stage, which meets samples.
        grid: The grid.
        floor: Power on each bin that is not active, broadcast to (..., M), in W: noise.
    """

    stage: Hardware
    grid: Grid
    floor: Any = 0.0

    def apply(
        self, x: ComplexArray, rng: np.random.Generator | None = None, *, power: FloatArray | None = None
    ) -> ComplexArray:
        """Samples through the stage."""
        return self.stage.apply(x, rng, power=power)

    def linear_model(self, R: AnyArray) -> LinearModel:
        """Gain (..., 1, M) and distortion (..., F, M[, M]) on the active subcarriers."""
        R = np.asarray(numbers("R", R, axes=3), complex)
        chains = R.shape[-1]
        floor = np.broadcast_to(np.asarray(self.floor, float), (*R.shape[:-3], chains))
        whole = self.grid.spread(R, -3, diagonal_matrix(floor).astype(complex))
        model = self.stage.spectral_model(whole)
        axis = model.distortion.ndim - 2 if model.diagonal else model.distortion.ndim - 3
        return LinearModel(model.gain, np.take(model.distortion, self.grid.bins, axis=axis), model.coupled)

    @property
    def is_ideal(self) -> bool:
        """Whether the stage is."""
        return self.stage.is_ideal

    @property
    def memoryless(self) -> bool:  # type: ignore[override]  # of what it stands for
        """Whether the stage is."""
        return self.stage.memoryless

    @property
    def scale_free(self) -> bool:
        """Whether the stage is, and there is no noise beside the signal."""
        return self.stage.scale_free and not np.any(self.floor)


def adjacent_leakage(D: AnyArray, R: AnyArray, grid: Grid) -> FloatArray:
    """Power outside the active subcarriers over that on them, of each chain, shape (..., M), linear.

    Args:
        D: Distortion on all N bins, shape (..., N, M) or (..., N, M, M), in W.
        R: What is left of the signal there, shape (..., N, M, M), in W.
        grid: The grid.
    """
    own = np.diagonal(R, axis1=-2, axis2=-1).real
    power = own + (D.real if D.ndim < R.ndim else np.diagonal(D, axis1=-2, axis2=-1).real)
    inside = np.zeros(grid.subcarriers, bool)
    inside[grid.bins] = True
    return np.asarray(power[..., ~inside, :].sum(axis=-2) / power[..., inside, :].sum(axis=-2))
