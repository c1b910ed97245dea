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

from collections.abc import Iterator
from typing import Any

import numpy as np
from attrs import frozen

from isacsim.batch import hermitian, hermitian_part
from isacsim.checks import square
from isacsim.grid import Grid
from isacsim.hardware.base import Hardware, LinearModel, Remodelled, diagonal_matrix
from isacsim.typing import AnyArray, ComplexArray, IntArray

LAGS = 2**21  # complex entries of doubled covariances that are held at once: 32 MiB


def autocovariance(R: AnyArray) -> ComplexArray:
    """Covariances C[d] of samples at all N lags, for those of the bins; both (..., N, M, M), in W."""
    return np.asarray(np.fft.ifft(R, axis=-3))


def subcarrier_model(stage: Hardware, R: AnyArray) -> LinearModel:
    """Gain and distortion on each of N bins for Gaussian input of covariance R (..., N, M, M), in W.

    The frequency is the last leading axis of the model: its gain is (..., 1, M), or where coupled
    (..., 1, M, M), its distortion (..., N, M) or (..., N, M, M), in W.
    """
    R = np.asarray(square("R", R, axes=3), complex)
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
    for lags in _portions(bins // 2, sample):  # C_q[-d] = C_q[d]^H
        Cq[..., lags, :, :] = _across(doubled, sample, C[..., lags, :, :])
        Cq[..., bins - lags, :, :] = hermitian(Cq[..., lags, :, :])
    return LinearModel(gain, np.fft.fft(Cq, axis=-3))


def subcarrier_model_vjp(stage: Hardware, R: AnyArray, gain: AnyArray, distortion: AnyArray) -> ComplexArray:
    """Cotangent of R (..., N, M, M) for those of what `subcarrier_model` gives; see `Hardware.linear_model_vjp`.

    All bins share the covariance of a sample, so that each gets the average of what comes back; where distortion is
    told lag by lag, that goes back through the covariance at its lag.

    Args:
        stage: The stage.
        R: Covariances of the input, in W.
        gain: Cotangent of the gain, on each bin or summed over all, (..., N, M) or (..., 1, M); matrices where coupled.
        distortion: Cotangent of the distortion, (..., N, M) or (..., N, M, M), Hermitian.
    """
    R = np.asarray(square("R", R, axes=3), complex)
    bins, chains = R.shape[-3:-1]
    sample = R.mean(axis=-3)
    model = stage.linear_model(sample)
    gain = np.asarray(gain).sum(axis=-2 - model.coupled)
    distortion = np.asarray(distortion)
    axis = -3 if distortion.ndim == R.ndim else -2
    if bins == 1 or model.coupled or not stage.memoryless or _uncorrelated(stage, model, sample):
        back = stage.linear_model_vjp(sample, gain, distortion.sum(axis=axis)) / bins
        return np.broadcast_to(back[..., None, :, :], R.shape)
    E = np.fft.ifft(distortion if axis == -3 else diagonal_matrix(distortion), axis=-3, norm="forward")
    own = stage.linear_model_vjp(sample, gain, hermitian_part(E[..., 0, :, :]))
    doubled, C, half = stage.tiled(2), autocovariance(R), bins // 2
    back = np.zeros(R.shape, complex)
    for lags in _portions(half, sample):
        twice = np.where(lags == bins - lags, 1.0, 2.0)[:, None, None]  # the lag -d is told by d
        corner = twice / 2 * E[..., lags, :, :]
        nothing = np.zeros_like(corner)
        through = doubled.linear_model_vjp(
            _paired(sample, C[..., lags, :, :]),
            np.zeros((*corner.shape[:-2], 2 * chains)),
            np.block([[nothing, corner], [hermitian(corner), nothing]]),
        )
        here, across = through[..., :chains, :], through[..., chains:, :]
        own = own + (here[..., :chains] + across[..., chains:]).sum(axis=-3)
        back[..., lags, :, :] = here[..., chains:] + hermitian(across[..., :chains])
    back[..., 0, :, :] = own
    return hermitian_part(np.fft.fft(back, axis=-3) / bins)


def _portions(half: int, sample: ComplexArray) -> Iterator[IntArray]:
    """The lags from 1 to ``half``, in portions of so many as are held at once."""
    chains = sample.shape[-1]
    step = max(1, LAGS // (4 * chains**2 * max(1, sample.size // chains**2)))
    for start in range(1, half + 1, step):
        yield np.arange(start, min(half + 1, start + step))


def _uncorrelated(stage: Hardware, model: LinearModel, sample: ComplexArray) -> bool:
    """Whether a model takes distortion for uncorrelated; that of a single chain is a number and does not say it."""
    if not model.diagonal or sample.shape[-1] != 1:
        return model.diagonal
    return stage.tiled(2).linear_model(sample * np.eye(2)).diagonal


def _across(doubled: Hardware, sample: ComplexArray, C: ComplexArray) -> ComplexArray:
    """Covariance of the distortion at the lags of C (..., lags, M, M), in W; the samples' own is (..., M, M)."""
    chains = C.shape[-1]
    return np.asarray(doubled.linear_model(_paired(sample, C)).distortion_matrix()[..., :chains, chains:])


def _paired(sample: ComplexArray, C: ComplexArray) -> ComplexArray:
    """Covariance of two samples, (..., lags, 2M, 2M), of covariance C (..., lags, M, M); their own is (..., M, M)."""
    here = np.broadcast_to(sample[..., None, :, :], C.shape)
    return np.block([[here, C], [hermitian(C), here]])


@frozen
class OverBand(Remodelled):
    """A stage as the active subcarriers of a grid see it: their covariances go in together.

    Its linear model takes R (..., F, M, M) with the subcarriers on the last leading axis, the only one
    over which it sums.

    Args:
        device: The stage, which meets samples.
        grid: The grid.
        floor: Power on each bin that is not active, broadcast to (..., M), in W: noise.
    """

    grid: Grid
    floor: Any = 0.0

    def linear_model(self, R: AnyArray) -> LinearModel:
        """Gain (..., 1, M) and distortion (..., F, M[, M]) on the active subcarriers."""
        R = np.asarray(square("R", R, axes=3), complex)
        chains = R.shape[-1]
        floor = np.broadcast_to(np.asarray(self.floor, float), (*R.shape[:-3], chains))
        whole = self.grid.spread(R, -3, diagonal_matrix(floor).astype(complex))
        model = self.device.spectral_model(whole)
        axis = model.distortion.ndim - 2 if model.diagonal else model.distortion.ndim - 3
        return LinearModel(model.gain, np.take(model.distortion, self.grid.bins, axis=axis), model.coupled)

    def linear_model_vjp(self, R: AnyArray, gain: AnyArray, distortion: AnyArray) -> ComplexArray:
        """Cotangent of R (..., F, M, M) for those of gain and distortion on the active subcarriers."""
        R = np.asarray(square("R", R, axes=3), complex)
        floor = np.broadcast_to(np.asarray(self.floor, float), (*R.shape[:-3], R.shape[-1]))
        whole = self.grid.spread(R, -3, diagonal_matrix(floor).astype(complex))
        distortion = np.asarray(distortion, complex)
        axis = -3 if distortion.ndim == R.ndim else -2
        told = np.broadcast_to(distortion, R.shape if axis == -3 else R.shape[:-1])
        back = self.device.spectral_model_vjp(whole, gain, self.grid.spread(told, axis))
        return np.take(back, self.grid.bins, axis=-3)

    @property
    def differentiable(self) -> bool:
        """Whether there is a derivative of the spectrum."""
        return self.device.spectrum_differentiable

    @property
    def is_ideal(self) -> bool:
        """Whether the stage is."""
        return self.device.is_ideal

    @property
    def memoryless(self) -> bool:  # type: ignore[override]  # of what it stands for
        """Whether the stage is."""
        return self.device.memoryless

    @property
    def scale_free(self) -> bool:
        """Whether the stage is, and there is no noise beside the signal."""
        return self.device.scale_free and not np.any(self.floor)
