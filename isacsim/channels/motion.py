"""Taps of users over a burst of OFDM symbols: how they turn where users move, and how late they are.

A tap is a sum of plane waves, ``g(t) = sum_r c_r exp(2 pi j nu_r t)``, and a wave that arrives at the angle psi from
where the user goes has the Doppler shift ``nu = f_D cos(psi)`` with ``f_D = speed / wavelength``. Taps and their slopes
are kept in the middle of each body. Within a body of duration 1/D they change by a straight line, whose error is of
second order in f_D/D, which is 0.02 for 30 m/s at 28 GHz and 120 kHz.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from attrs import field, frozen

from isacsim.batch import batched, same_array
from isacsim.channels.late_paths import LatePaths
from isacsim.grid import Grid
from isacsim.random import complex_normal
from isacsim.typing import ComplexArray, FloatArray

WAVES = 16  # of a Rayleigh tap; its kurtosis then is 2 - 1/16, and that of a Gaussian one 2


@frozen
class Moments:
    """When taps are looked at, and how fast they turn.

    Attributes:
        doppler: Largest Doppler shift f_D, in Hz.
        times: Times (T,) from the middle of the first body, in s.
    """

    doppler: float = 0.0
    times: FloatArray = field(factory=lambda: np.zeros(1), eq=same_array)

    @classmethod
    def of(cls, grid: Grid, speed: float) -> Moments:
        """The symbols of a grid for users of a speed in m/s; the first alone for those at rest."""
        return cls(speed / grid.wavelength, grid.times) if speed else cls()

    def turns(self, shifts: FloatArray) -> tuple[ComplexArray, ComplexArray]:
        """``exp(2 pi j nu t)`` of shifts nu (...), in Hz, and its derivative in t, each (T, ...)."""
        rate = 2j * np.pi * shifts
        turned = np.exp(np.multiply.outer(self.times, rate))
        return turned, rate * turned


class Fading(NamedTuple):
    """What fades at the `Moments`, (T, ...), and its derivative in time, in 1/s."""

    value: ComplexArray
    slope: ComplexArray


def rayleigh(rng: np.random.Generator, shape: tuple[int, ...], moments: Moments) -> Fading:
    """Independent Rayleigh fading of unit power, of autocorrelation ``J_0(2 pi f_D t)`` over time.

    Waves come from all around, one from each of `WAVES` equal sectors, so that the autocorrelation over draws is that
    of infinitely many. How many moments there are changes nothing of the others.
    """
    if not moments.doppler:
        still = complex_normal(rng, shape)[None]
        return Fading(still, np.zeros_like(still))
    turned = 2 * np.pi * rng.uniform(size=shape)
    phase = np.exp(2j * np.pi * rng.uniform(size=(WAVES, *shape))) / np.sqrt(WAVES)
    value, slope = (np.zeros((moments.times.size, *shape), complex) for _ in range(2))
    for wave, amplitude in enumerate(phase):
        turn, rate = moments.turns(moments.doppler * np.cos((2 * np.pi * wave + turned) / WAVES))
        value += amplitude * turn
        slope += amplitude * rate
    return Fading(value, slope)


@frozen
class Motion:
    """Taps of users over the symbols of a burst; of users at rest those of the first symbol, which stand for all.

    Attributes:
        delays: Delays (P,), in s.
        taps: Taps in the middle of each body, shape (..., T, P, N_t, K), amplitude.
        slopes: Their derivatives in time, of the same shape, in 1/s.
    """

    delays: FloatArray = field(eq=same_array)
    taps: ComplexArray = batched(4, dtype=complex)
    slopes: ComplexArray = batched(4, dtype=complex)

    @property
    def symbols(self) -> int:
        """Number of OFDM symbols T."""
        return int(self.taps.shape[-4])

    def at(self, grid: Grid, symbol: int) -> tuple[ComplexArray, ComplexArray]:
        """Channels in the middle of a body and their derivatives, in 1/s, each (..., F, N_t, K)."""
        value, slope = (grid.response(self.delays, a[..., symbol, :, :, :]) for a in (self.taps, self.slopes))
        return value, slope

    def late(self, grid: Grid, symbol: int) -> LatePaths | None:
        """The paths that are longer than the prefix, at a symbol of the burst; None where there are none."""
        return LatePaths.of(grid, self.delays, self.taps[..., symbol, :, :, :])

    def times(self, amplitude: FloatArray) -> Motion:
        """The same for users whose amplitudes are ``amplitude`` (..., K) times as large."""
        factor = amplitude[..., None, None, None, :]
        return Motion(self.delays, self.taps * factor, self.slopes * factor)
