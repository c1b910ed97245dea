"""The spectrum that hardware radiates, beside the band of the signal too: spectral regrowth."""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np

from isacsim.checks import numbers
from isacsim.errors import InvalidInput
from isacsim.grid import Grid
from isacsim.hardware.base import Hardware
from isacsim.hardware.spectral import OverBand
from isacsim.link import Transmission
from isacsim.typing import FloatArray, IntArray


def whole_band(grid: Grid) -> Grid:
    """The grid with all of its N bins in use."""
    return attrs.evolve(grid, active=None)


def in_band(grid: Grid) -> IntArray:
    """Places of the active subcarriers among all N bins in ascending order of frequency, shape (F,)."""
    return grid.index + grid.subcarriers // 2


def radiated_spectrum(W: Any, transmit: Hardware, grid: Grid) -> FloatArray:
    """Power that leaves each transmit chain on each bin, shape (..., N, N_t), in W.

    Its mean over N is the power of a sample.

    Args:
        W: Precoders of the active subcarriers, shape (..., F, N_t, K+S), in sqrt(W).
        transmit: The transmit chains.
        grid: The grid.

    Returns:
        All N bins in ascending order of frequency, of the linear model of the chains (`isacsim.hardware.spectral`).

    Raises:
        InvalidInput: If W has not the active subcarriers.
    """
    W = np.asarray(numbers("W", W, axes=3), complex)
    if W.shape[-3] != grid.used:
        rule = f"must have the {grid.used} active subcarriers on its third axis from the end"
        raise InvalidInput("W", rule, f"shape {W.shape}", "Pass (..., F, N_t, K+S).")
    over = np.zeros((*W.shape[:-3], grid.subcarriers, *W.shape[-2:]), complex)
    over[..., in_band(grid), :, :] = W
    return Transmission.of(over, OverBand(transmit, whole_band(grid))).antenna_power


def mask_limit(spectrum: FloatArray, grid: Grid, offset: Any, limit: Any) -> FloatArray:
    """Most power that a spectral mask allows all chains together on each bin, shape (..., N), in W.

    Args:
        spectrum: Power of each chain on all N bins in ascending order, shape (..., N, M), in W.
        grid: The grid.
        offset: Corners of the mask from the carrier, ascending, shape (n,), in Hz.
        limit: What is allowed there, over the mean on the active subcarriers, shape (n,), linear. In decibels the mask
            is a straight line between corners, and level before the first and behind the last.
    """
    power = np.asarray(spectrum).sum(axis=-1)
    apart = np.abs(whole_band(grid).frequencies)
    allowed = np.exp(np.interp(apart, offset, np.log(limit)))
    return np.asarray(power[..., in_band(grid)].mean(axis=-1, keepdims=True) * allowed)


def adjacent_leakage(spectrum: FloatArray, grid: Grid) -> FloatArray:
    """Power beside the active subcarriers over that on them, of all chains together, shape (...), linear.

    The bins reach to half the sampling rate; what a device puts out beyond is folded back among them. 0 where
    nothing is radiated.

    Args:
        spectrum: Power of each chain on all N bins in ascending order, shape (..., N, M), in W.
        grid: The grid.
    """
    power = np.asarray(spectrum).sum(axis=-1)
    inside = power[..., in_band(grid)].sum(axis=-1)
    beside = np.delete(power, in_band(grid), axis=-1).sum(axis=-1)
    return np.divide(beside, inside, out=np.where(beside > 0, np.inf, 0.0), where=inside > 0)
