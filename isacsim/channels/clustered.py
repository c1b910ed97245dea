"""Clustered delay lines: clusters of rays whose directions at the base station and at the user are given by tables.

``h_k[f]^H = sum_c exp(-2 pi j f tau_c) sqrt(p_c / 20) sum_m exp(j phi_cm) a(aod_cm, zod_cm)^H``: each cluster has 20
rays about its direction, of random phases, and which direction of departure belongs to which of arrival is drawn
[3GPP38901, Sec. 7.7.1]. Users and base station have vertically polarised antennas, so that the cross-polarisation
ratio, which is of power that goes into the other polarisation, plays no part. A user that moves has the Doppler shift
of each ray that its direction of arrival gives.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any, Literal, NamedTuple

import numpy as np
from attrs import field, frozen

from isacsim import units
from isacsim.arrays import AntennaArray
from isacsim.batch import batched
from isacsim.channels.models import per_user
from isacsim.channels.motion import Moments, Motion
from isacsim.channels.wideband import PROFILES, TapChannel
from isacsim.checks import choice, number
from isacsim.typing import ComplexArray, FloatArray

ANGLES = ("aod", "zod", "aoa", "zoa")  # departure and arrival, azimuth and zenith


@cache
def tables() -> Any:
    """The tables as they lie in the file."""
    text = files("isacsim.channels").joinpath("data/tr38901-cdl-1.json").read_text(encoding="utf-8")
    return json.loads(text)


class Rays(NamedTuple):
    """The rays of a profile as its table has them, before anything is drawn, scaled or turned.

    Attributes:
        delay: Of each cluster, in delay spreads, (C,).
        power: Of each ray, (C, R); all add up to 1. A line of sight is a cluster whose power is in its first ray.
        angles: Azimuth and zenith of departure and of arrival by their names in `ANGLES`, each (C, R), in rad.
        sight: Whether the first cluster is a line of sight.
    """

    delay: FloatArray
    power: FloatArray
    angles: dict[str, FloatArray]
    sight: bool


@cache
def rays(profile: str) -> Rays:
    """The rays of a profile."""
    whole = tables()
    table, sight = whole["profiles"][profile], profile in whole["specular"]
    power = 10 ** (np.array(table["power_db"], float) / 10)
    half = np.array(whole["offsets"])
    offsets = np.ravel([half, -half], "F")  # in pairs of either sign, as the table lists them
    share = np.full((power.size, offsets.size), 1 / offsets.size)
    spread = np.ones(power.size)
    if sight:
        share[0], spread[0] = np.eye(1, offsets.size), 0.0
    angles = {
        name: np.deg2rad(
            np.array(table[f"{name}_deg"], float)[:, None] + table["spread_deg"][name] * np.outer(spread, offsets)
        )
        for name in ANGLES
    }
    return Rays(np.array(table["delay"], float), (power / power.sum())[:, None] * share, angles, sight)


def circular(angles: FloatArray, power: FloatArray) -> tuple[float, float]:
    """Mean and spread of angles with powers that add up to 1, in rad [3GPP38901, Annex A]."""
    mean = np.sum(power * np.exp(1j * angles))
    return float(np.angle(mean)), float(np.sqrt(-2 * np.log(min(1.0, abs(mean)))))


def turned(drawn: Rays, name: str, towards: Any, spread: float | None) -> FloatArray:
    """Angles of a profile, turned and scaled [3GPP38901, eq. (7.7-5)], in rad.

    Args:
        drawn: The rays.
        name: Which of `ANGLES`.
        towards: Directions (K,) of the lines of sight, or of the mean of a profile without one; None leaves it there.
        spread: Spread that angles are scaled to; None leaves that of the table.

    Returns:
        Shape (K, C, R), or (1, C, R) where ``towards`` is None.
    """
    angles = drawn.angles[name]
    mean, own = circular(angles, drawn.power)
    off = (angles - mean + np.pi) % (2 * np.pi) - np.pi  # from the mean, by the shorter way
    off = off * (1.0 if spread is None else spread / own)
    centre = angles[0, 0] if drawn.sight else mean
    towards = np.full(1, centre) if towards is None else np.asarray(towards)
    return np.asarray(towards[:, None, None] + off - (off[0, 0] if drawn.sight else 0.0))


@frozen
class Cdl(TapChannel):
    """Clustered delay line of TR 38.901, profiles A to E [3GPP38901].

    Powers are normalised to add up to 1, so that the mean power of a channel is the gain where elements have no
    pattern. D and E have a line of sight. Users have the same table, each turned into a direction of its own.

    Args:
        profile: Which table.
        delay_spread: Scale of its delays, in s: their rms but for 0.9937 of it in D.
        gain: Mean power gain: one number, or one for each user (K,), linear.
        azimuth: Directions of departure of the users' lines of sight, or of the mean over the rays of A to C, (K,),
            in rad; None draws them within 60 degrees.
        zenith: The same of zenith angles, one number, or one for each user (K,); None is that of the table.
        azimuth_spread: Spread that azimuths of departure are scaled to, in rad; None is that of the table.
        zenith_spread: Spread that zenith angles of departure are scaled to, in rad; None is that of the table.
        speed: Speed of the users, in m/s, each in a random direction on the ground; it counts on a grid.
    """

    profile: Literal["A", "B", "C", "D", "E"] = field(default="C", validator=choice(*PROFILES))
    delay_spread: float = field(default=100e-9, validator=number(least=0), metadata=units.seconds())
    gain: Any = batched(0, above=0.0, default=1.0, metadata=units.db())
    azimuth: Any = field(default=None, metadata=units.degrees())
    zenith: Any = field(default=None, metadata=units.degrees())
    azimuth_spread: float | None = field(
        default=None, validator=number(least=0, optional=True), metadata=units.degrees()
    )
    zenith_spread: float | None = field(
        default=None, validator=number(least=0, optional=True), metadata=units.degrees()
    )
    speed: float = field(default=0.0, validator=number(least=0))

    def draw_taps(
        self, array: AntennaArray, users: int, rngs: Sequence[np.random.Generator], moments: Moments
    ) -> Motion:
        """Sums of rays, a cluster a tap."""
        profile, amplitude = rays(self.profile), np.sqrt(per_user("gain", self.gain, users))
        taps, slopes = np.stack([self._trial(array, users, rng, moments) for rng in rngs], axis=1)
        return Motion(profile.delay * self.delay_spread, taps * amplitude, slopes * amplitude)

    def _trial(self, array: AntennaArray, users: int, rng: np.random.Generator, moments: Moments) -> ComplexArray:
        """Taps of unit gain and their slopes, shape (2, T, C, N_t, K)."""
        profile = rays(self.profile)
        shape = (users, *profile.power.shape)
        azimuth, heading = rng.uniform(-np.pi / 3, np.pi / 3, users), 2 * np.pi * rng.uniform(size=users)
        phase = np.exp(2j * np.pi * rng.uniform(size=shape))
        order = rng.permuted(np.broadcast_to(np.arange(shape[-1]), (3, *shape)), axis=-1)
        if profile.sight:
            order[:, :, 0] = np.arange(shape[-1])  # one ray, and nothing to couple
        if self.azimuth is not None:
            azimuth = per_user("azimuth", self.azimuth, users)
        zenith = None if self.zenith is None else per_user("zenith", self.zenith, users)
        aod = turned(profile, "aod", azimuth, self.azimuth_spread)
        zod = turned(profile, "zod", zenith, self.zenith_spread) % (2 * np.pi)
        zod = np.minimum(zod, 2 * np.pi - zod)  # beyond a pole is on its other side
        aoa, zoa = (np.broadcast_to(profile.angles[name], shape) for name in ("aoa", "zoa"))
        zod, aoa, zoa = (
            np.take_along_axis(np.broadcast_to(angles, shape), places, -1)
            for angles, places in zip((zod, aoa, zoa), order, strict=True)
        )
        waves = (np.sqrt(profile.power) * phase)[..., None] * array.plane_wave(aod, zod)  # (K, C, R, N_t)
        shifts = moments.doppler * np.sin(zoa) * np.cos(aoa - heading[:, None, None])
        each = [np.moveaxis(turn, 0, -2) @ waves for turn in moments.turns(shifts)]  # (K, C, T, N_t)
        return np.moveaxis(np.stack(each), (1, 2, 3, 4), (4, 2, 1, 3))
