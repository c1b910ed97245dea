"""Frequency-selective user channels: taps at delays, seen on the subcarriers of a grid.

``h_k[f]^H = sum_p g_kp^H exp(-2 pi j f tau_p)`` with independent taps of powers that add up to the gain.
Channels are normalised on average, ``E|h|^2 = gain`` on every subcarrier, never one by one: that would
take the fading away.
"""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import numpy as np
from attrs import field, frozen

from isacsim import units
from isacsim.arrays import AntennaArray
from isacsim.batch import batched
from isacsim.channels.late_paths import late_samples
from isacsim.channels.models import BurstModel, per_user
from isacsim.channels.motion import Moments, Motion, rayleigh
from isacsim.checks import choice, number, whole
from isacsim.grid import Grid
from isacsim.typing import ComplexArray, FloatArray

PROFILES = ("A", "B", "C", "D", "E")
SIGHT_DOPPLER = 0.7  # of the line of sight of a tapped delay line, in largest Doppler shifts


class TapChannel(BurstModel):
    """Taps at delays, which turn where users move."""

    speed: float

    @abstractmethod
    def draw_taps(
        self, array: AntennaArray, users: int, rngs: Sequence[np.random.Generator], moments: Moments
    ) -> Motion:
        """The taps of trials at some moments, (trials, T, P, N_t, K)."""

    def draw(
        self, array: AntennaArray, users: int, trials: Sequence[int], rngs: Sequence[np.random.Generator]
    ) -> ComplexArray:
        """Channels at the carrier, where all taps add up; without a grid there is no time that goes by."""
        return np.asarray(self.draw_taps(array, users, rngs, Moments()).taps[:, 0].sum(axis=1))

    def draw_burst(
        self, grid: Grid, array: AntennaArray, users: int, trials: Sequence[int], rngs: Sequence[np.random.Generator]
    ) -> tuple[ComplexArray, Motion | None]:
        """The response of the taps in the first symbol, and the taps, where users move or some exceed the prefix.

        Delays are never rounded to samples.
        """
        motion = self.draw_taps(array, users, rngs, Moments.of(grid, self.speed))
        told = self.speed or late_samples(motion.delays, grid).any()
        return np.asarray(grid.response(motion.delays, motion.taps[:, 0])), motion if told else None


class TappedDelayLine(TapChannel):
    """Independent Rayleigh taps, and a line of sight in some of them.

    Where users move, taps fade as `isacsim.channels.motion.rayleigh` has it, and a line of sight has 0.7 of the largest
    Doppler shift, as TR 38.901 has it for its tapped delay lines [3GPP38901].
    """

    gain: Any
    azimuth: Any

    @abstractmethod
    def power_profile(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Delays in s, powers that add up to 1, and the part of each that is line of sight, each (P,)."""

    def sources(self, array: AntennaArray) -> int:
        """Independent Gaussian numbers that the scattering of a tap is made of; by default one an antenna."""
        return array.size

    def colouring(self, array: AntennaArray, azimuth: FloatArray) -> ComplexArray | None:
        """What makes scattering (K, N_t) of the sources for users in directions (K,), shape (K, N_t, sources).

        The covariance of user k is it times its Hermitian. None, the default, leaves antennas independent.
        """
        return None

    def draw_taps(
        self, array: AntennaArray, users: int, rngs: Sequence[np.random.Generator], moments: Moments
    ) -> Motion:
        """The taps of the profile, line of sight and scattering."""
        delays, power, sight = self.power_profile()
        amplitude = np.sqrt(per_user("gain", self.gain, users))
        seen, scattered = (np.sqrt(power * part)[:, None, None] for part in (sight, 1 - sight))
        line_turns = [turn[:, None, None, None] for turn in moments.turns(np.asarray(SIGHT_DOPPLER * moments.doppler))]
        drawn = []
        for rng in rngs:
            scatter = rayleigh(rng, (delays.size, self.sources(array), users), moments)
            phase, azimuth = np.exp(2j * np.pi * rng.uniform(size=users)), rng.uniform(-np.pi / 3, np.pi / 3, users)
            if self.azimuth is not None:
                azimuth = per_user("azimuth", self.azimuth, users)
            root = self.colouring(array, azimuth)
            line = phase * array.plane_wave(azimuth).T
            each = [
                seen * line * turn + scattered * _coloured(fading, root)
                for turn, fading in zip(line_turns, scatter, strict=True)
            ]
            drawn.append(np.stack(each) * amplitude)
        taps, slopes = np.stack(drawn, axis=1)
        return Motion(delays, taps, slopes)


def _coloured(scatter: ComplexArray, root: ComplexArray | None) -> ComplexArray:
    """Scattering (T, P, sources, K) behind a root (K, N_t, sources), shape (T, P, N_t, K)."""
    if root is None:
        return scatter
    return np.moveaxis(root @ np.moveaxis(scatter, -1, -3).swapaxes(-1, -2), (-3, -2, -1), (-1, -2, -3))


@cache
def _tables() -> Any:
    text = files("isacsim.channels").joinpath("data/tr38901-tdl-1.json").read_text(encoding="utf-8")
    return json.loads(text)


@frozen
class Tdl(TappedDelayLine):
    """Tapped delay line of TR 38.901, profiles A to E [3GPP38901].

    Powers are normalised to add up to 1; the tables do so within some dB alone. The rms delay of a
    profile is the delay spread within 0.02 %, but for D, where it is 0.9937 of it. D and E have a line of
    sight in the first tap (K of 13.3 and 22 dB), of a plane wave on the array.

    Args:
        profile: Which table.
        delay_spread: Scale of its delays, in s.
        gain: Mean power gain: one number, or one for each user (K,), linear.
        azimuth: Directions of the users' lines of sight (K,), in rad; None draws them within 60 degrees.
        speed: Speed of the users, in m/s; it counts on a grid.
    """

    profile: Literal["A", "B", "C", "D", "E"] = field(default="C", validator=choice(*PROFILES))
    delay_spread: float = field(default=100e-9, validator=number(least=0), metadata=units.seconds())
    gain: Any = batched(0, above=0.0, default=1.0, metadata=units.db())
    azimuth: Any = field(default=None, metadata=units.degrees())
    speed: float = field(default=0.0, validator=number(least=0))

    def power_profile(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """The table of the profile, scaled."""
        tables = _tables()
        table = tables["profiles"][self.profile]
        power = 10 ** (np.array(table["power_db"], float) / 10)
        sight = np.zeros(power.size)
        if self.profile in tables["specular"]:
            sight[tables["specular"][self.profile]] = 1.0  # a row of its own, beside the Rayleigh part
        delays: FloatArray = np.array(table["delay"], float) * self.delay_spread
        return delays, np.asarray(power / power.sum()), sight


@frozen
class Exponential(TappedDelayLine):
    """Taps at even delays whose power falls off exponentially, the first with a line of sight if wanted.

    Args:
        delay_spread: Constant of the decay, in s: the rms delay of many close taps.
        taps: Number of taps.
        spacing: Distance of their delays, in s; None lets them end at 5 delay spreads.
        k_factor: Power of the line of sight over that of the scattering in the first tap, linear.
        gain: Mean power gain: one number, or one for each user (K,), linear.
        azimuth: Directions of the users' lines of sight (K,), in rad; None draws them within 60 degrees.
        speed: Speed of the users, in m/s; it counts on a grid.
    """

    delay_spread: float = field(validator=number(above=0), metadata=units.seconds())
    taps: int = field(default=16, validator=whole(1))
    spacing: float | None = field(default=None, validator=number(above=0, optional=True), metadata=units.seconds())
    k_factor: float = field(default=0.0, validator=number(least=0), metadata=units.db())
    gain: Any = batched(0, above=0.0, default=1.0, metadata=units.db())
    azimuth: Any = field(default=None, metadata=units.degrees())
    speed: float = field(default=0.0, validator=number(least=0))

    def power_profile(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """``p ~ exp(-tau / delay_spread)``."""
        return falling(self.delay_spread, self.taps, self.spacing, self.k_factor)


def falling(
    spread: float, taps: int, spacing: float | None, k_factor: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """The profile of `Exponential`, as `TappedDelayLine.power_profile` has it."""
    step = 5 * spread / max(1, taps - 1) if spacing is None else spacing
    delays: FloatArray = step * np.arange(float(taps))
    power = np.exp(-delays / spread)
    sight = np.zeros(taps)
    sight[0] = k_factor / (1 + k_factor)
    return delays, np.asarray(power / power.sum()), sight
