"""OFDM at sample level: subcarriers into samples and back, through the very hardware.

Hardware meets the samples of all subcarriers together, prefix included. What is linear, channels and
echoes within the prefix, is applied on the subcarriers: as long as the prefix covers it, that is exact.
"""

from __future__ import annotations

import numpy as np

from isacsim.batch import squared
from isacsim.grid import Grid
from isacsim.hardware.base import Hardware
from isacsim.typing import AnyArray, ComplexArray, FloatArray, IntArray
from isacsim.waveform.modulation import Gaussian, Modulation
from isacsim.waveform.signals import Sources, through

SAMPLES = 2**18  # of all chains that are held at once: 4 MiB


def modulate(X: ComplexArray, grid: Grid) -> ComplexArray:
    """Samples of subcarriers X (..., F, M, T), with prefixes, shape (..., M, T (N + N_c)), in sqrt(W)."""
    N, prefix = grid.subcarriers, grid.prefix
    whole = np.zeros((*X.shape[:-3], *X.shape[-2:], N), complex)
    whole[..., grid.bins] = np.moveaxis(X, -3, -1)
    body = np.fft.ifft(whole, axis=-1, norm="ortho")
    if prefix:
        body = np.concatenate([body[..., N - prefix :], body], axis=-1)
    return np.ascontiguousarray(body.reshape(*body.shape[:-2], -1))


def symbols_ago(X: ComplexArray, grid: Grid, ago: IntArray) -> ComplexArray:
    """Subcarriers X (..., F, M, T), in sqrt(W), ``ago`` (M,) symbols later; before the first is silence."""
    if not ago.any():
        return X
    later, turn = np.zeros_like(X), np.exp(2j * np.pi * grid.frequencies[:, None] * grid.duration)
    for m, k in enumerate(ago):
        later[..., m, k:] = (turn**k) * X[..., m, : max(0, X.shape[-1] - k)]
    return later


def spilled(X: ComplexArray, grid: Grid, late: IntArray) -> ComplexArray:
    """What `modulate` is short of where the first samples are those of the symbol before, (..., M, T (N + N_c)).

    Args:
        X: Subcarriers as they arrive, delayed, shape (..., F, M, T), in sqrt(W); before the first symbol is silence.
        grid: The grid.
        late: How many samples of a body that are, beside those of the prefix, (M,).
    """
    change = -X
    change[..., 1:] += X[..., :-1] * np.exp(2j * np.pi * grid.frequencies[:, None, None] * grid.duration)
    samples = grid.subcarriers + grid.prefix
    before = np.arange(samples) < np.where(late > 0, grid.prefix + late, 0)[:, None]
    return modulate(change, grid) * np.tile(before, X.shape[-1])


def demodulate(x: ComplexArray, grid: Grid) -> ComplexArray:
    """Active subcarriers of samples x (..., M, T (N + N_c)), shape (..., F, M, T), in sqrt(W)."""
    symbols = x.reshape(*x.shape[:-1], -1, grid.subcarriers + grid.prefix)
    bins = np.fft.fft(symbols[..., grid.prefix :], axis=-1, norm="ortho")
    return np.ascontiguousarray(np.moveaxis(bins[..., grid.bins], -1, -3))


def symbols(carried: Modulation, W: ComplexArray, count: int, sources: Sources) -> ComplexArray:
    """Symbols of the streams of W (..., F, N_t, K+S) on each subcarrier, shape (..., F, K+S, count).

    Drawn OFDM symbol by OFDM symbol, so that a signal does not depend on the blocks it is cut into.
    """
    shape = (count, *W.shape[:-2], W.shape[-1])
    return np.ascontiguousarray(np.moveaxis(carried.draw(sources.symbols, shape), 0, -1))


def spread(d: ComplexArray) -> ComplexArray:
    """Symbols d (..., F, K, T) of a single carrier as subcarriers: their unitary DFT, whose samples are d again."""
    return np.asarray(np.fft.fft(d, axis=-3, norm="ortho"))


def despread(s: ComplexArray) -> ComplexArray:
    """The symbols of subcarriers s (..., F, K, T): the inverse of `spread`."""
    return np.asarray(np.fft.ifft(s, axis=-3, norm="ortho"))


def sample_power(W: ComplexArray, grid: Grid) -> FloatArray:
    """Power of the samples of each chain, shape (..., N_t), in W, for precoders W (..., F, N_t, K+S)."""
    return np.asarray(squared(W).sum(axis=(-3, -1)) / grid.subcarriers)


def radiate(W: ComplexArray, s: ComplexArray, grid: Grid, transmit: Hardware, sources: Sources) -> ComplexArray:
    """Active subcarriers out of the transmit chains, shape (..., F, N_t, T), in sqrt(W).

    Args:
        W: Precoders, shape (..., F, N_t, K+S), in sqrt(W).
        s: Symbols, shape (..., F, K+S, T).
        grid: The grid.
        transmit: The transmit chains.
        sources: Where the hardware draws from.
    """
    X = W @ s
    if transmit.is_ideal:
        return X
    x = through("transmit", transmit, modulate(X, grid), sample_power(W, grid), sources)
    return demodulate(x, grid)


def ramp(grid: Grid) -> FloatArray:
    """Time of each sample of a body from its middle, shape (N,), in s."""
    return np.asarray((np.arange(grid.subcarriers) - (grid.subcarriers - 1) / 2) / grid.rate)


def drifted(Y: ComplexArray, grid: Grid) -> ComplexArray:
    """Active subcarriers of what grows with the time from the middle of a body, (..., F, M, T), in sqrt(W).

    Args:
        Y: What arrives through the derivative of the channel, shape (..., F, M, T), in sqrt(W)/s.
        grid: The grid.
    """
    body = np.fft.ifft(grid.spread(Y, -3), axis=-3)
    return np.asarray(np.fft.fft(body * ramp(grid)[:, None, None], axis=-3)[..., grid.bins, :, :])


def leaked(power: FloatArray, grid: Grid) -> FloatArray:
    """Power that `drifted` leaves on each subcarrier, (..., F, M), in W, for ``power`` (..., F, M) in W/s^2."""
    response = np.abs(np.fft.fft(ramp(grid)) / grid.subcarriers) ** 2
    whole = np.fft.fft(grid.spread(power, -2), axis=-2) * np.fft.fft(response)[:, None]
    return np.maximum(np.fft.ifft(whole, axis=-2).real[..., grid.bins, :], 0.0)


def receive(
    side: str, device: Hardware, Y: ComplexArray, grid: Grid, noise: FloatArray, power: FloatArray, sources: Sources
) -> ComplexArray:
    """Active subcarriers out of receive chains that add thermal noise to all bins, (..., F, M, T), in sqrt(W).

    Args:
        side: Whose chains they are, for messages.
        device: The receive chains.
        Y: What arrives without noise, shape (..., F, M, T), in sqrt(W).
        grid: The grid.
        noise: Noise of each chain, broadcast to (..., M), in W.
        power: Power of the samples that gain controls are set to, shape (..., M), in W.
        sources: Where noise and hardware draw from.
    """
    own, count = Y.shape[:-3] + Y.shape[-2:-1], Y.shape[-1]
    root = np.sqrt(np.broadcast_to(noise, own))
    if device.is_ideal:
        n = _noise(sources, count, own, grid.used)
        return Y + np.moveaxis(root[..., None, None] * n, -1, -3)
    n = _noise(sources, count, own, grid.subcarriers + grid.prefix)
    y = modulate(Y, grid) + root[..., None] * n.reshape(*own, -1)
    return demodulate(through(side, device, y, power, sources), grid)


def _noise(sources: Sources, count: int, own: tuple[int, ...], samples: int) -> ComplexArray:
    """Unit noise of chains ``own`` (..., M), symbol by symbol, shape (..., M, count, samples)."""
    return np.moveaxis(Gaussian().draw(sources.noise, (count, *own, samples)), 0, -2)


def band_power(power: AnyArray, floor: AnyArray, grid: Grid) -> FloatArray:
    """Power of samples (..., M), in W: ``power`` (..., F, M) on active bins, ``floor`` (..., M) on the others."""
    idle = grid.subcarriers - grid.used
    return np.asarray((power.sum(axis=-2) + idle * np.asarray(floor)) / grid.subcarriers)
