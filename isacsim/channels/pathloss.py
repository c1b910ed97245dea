"""Path loss and shadowing of urban users, in front of any model of their fading."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from attrs import field, frozen

from isacsim import units
from isacsim.arrays import AntennaArray
from isacsim.batch import batched
from isacsim.channels.models import BurstModel, ChannelModel, per_user
from isacsim.channels.motion import Motion
from isacsim.checks import choice, instance, number
from isacsim.errors import InvalidInput
from isacsim.grid import Grid, carrier_of
from isacsim.typing import ComplexArray, FloatArray

NEAREST, FARTHEST = 10.0, 5000.0  # m, of the table
LOWEST, HIGHEST = 1.5, 22.5  # m, heights of users in the table
ENVIRONMENT = 1.0  # m, the effective height of what stands around; UMa draws it for users of 13 m and more
TABLE_LIGHT = 3e8  # m/s, as note 1 of the table has it


@frozen
class _Row:
    """Numbers of a scenario in Table 7.4.1-1; losses are in dB, of distances in m and carriers in GHz."""

    base: float  # height of the base station, m
    sight: float  # loss at 1 m and 1 GHz in line of sight
    slope: float  # dB a decade of distance, before the breakpoint
    beyond: float  # takes from the 40 dB a decade behind the breakpoint what they are too much until there
    blocked: tuple[float, float, float, float]  # constant, a decade of distance, of frequency, and a metre of height
    shadowing: tuple[float, float]  # deviation in line of sight and without, dB


ROWS = {
    "umi": _Row(10.0, 32.4, 21.0, 9.5, (22.4, 35.3, 21.3, 0.3), (4.0, 7.82)),
    "uma": _Row(25.0, 28.0, 22.0, 9.0, (13.54, 39.08, 20.0, 0.6), (4.0, 6.0)),
}
MODELS = ("umi-los", "umi-nlos", "uma-los", "uma-nlos")


def path_loss_db(model: str, distance: Any, carrier: float, user_height: Any = LOWEST) -> FloatArray:
    """Median path loss [3GPP38901, Table 7.4.1-1], in dB, shape (...).

    Args:
        model: One of `MODELS`: a street canyon or a macro cell, in line of sight or without.
        distance: Distances on the ground (...), in m, of 10 m to 5 km.
        carrier: Carrier frequency, in Hz.
        user_height: Heights of the users' antennas (...), in m.
    """
    row, ground, height = ROWS[model[:3]], np.asarray(distance, float), np.asarray(user_height, float)
    apart, ghz = row.base - height, np.log10(carrier / 1e9)
    through_air = np.log10(np.hypot(ground, apart))
    bend = 4 * (row.base - ENVIRONMENT) * (height - ENVIRONMENT) * carrier / TABLE_LIGHT
    far = 40 * through_air - row.beyond * np.log10(bend**2 + apart**2)
    sight = row.sight + 20 * ghz + np.where(ground <= bend, row.slope * through_air, far)
    if model.endswith("-los"):
        return np.asarray(sight)
    constant, slope, of_carrier, a_metre = row.blocked
    blocked = constant + slope * through_air + of_carrier * ghz - a_metre * (height - LOWEST)
    return np.maximum(sight, blocked)


@frozen
class PathLoss(BurstModel):
    """Users at distances of an urban cell: fading of another model, with path loss and shadowing of TR 38.901.

    The base station is 10 m high in a street canyon (UMi) and 25 m in a macro cell (UMa). The deviation of the
    log-normal shadowing, independent among users, is 4 dB in line of sight, and without 7.82 dB (UMi) and
    6 dB (UMa) [3GPP38901, Table 7.4.1-1]. Gains of some -100 dB want noise powers of W that are as small.

    Args:
        channel: Model of the fading; its gain counts beside the path loss.
        distance: Distances on the ground, one number, or one for each user (K,), in m.
        model: Street canyon or macro cell, in line of sight or without.
        shadowing: Whether there is any.
        user_height: Height of the users' antennas, one number, or one for each user (K,), in m.
        carrier: Carrier frequency, in Hz; None is that of the grid.
    """

    channel: ChannelModel = field(validator=instance(ChannelModel))
    distance: Any = batched(0, metadata=units.metres())
    model: Literal["umi-los", "umi-nlos", "uma-los", "uma-nlos"] = field(default="umi-los", validator=choice(*MODELS))
    shadowing: bool = field(default=True, validator=instance(bool))
    user_height: Any = batched(0, default=LOWEST, metadata=units.metres())
    carrier: float | None = field(default=None, validator=number(above=0, optional=True), metadata=units.hertz())

    def __attrs_post_init__(self) -> None:
        _within("distance", self.distance, NEAREST, FARTHEST, "m on the ground")
        _within("user_height", self.user_height, LOWEST, HIGHEST, "m")
        if self.model.startswith("uma") and np.any(self.user_height >= 13):
            rule = "must be below 13 m in a macro cell, whose surroundings have a random height above it"
            raise InvalidInput("user_height", rule, self.user_height, "Lower the users, or use umi.")
        if self.carrier is not None:
            _within("carrier", self.carrier, 0.5e9, 100e9, "Hz")

    def draw(
        self, array: AntennaArray, users: int, trials: Sequence[int], rngs: Sequence[np.random.Generator]
    ) -> ComplexArray:
        """Channels of the model, attenuated.

        Raises:
            InvalidInput: If the carrier is not given.
        """
        carrier = carrier_of(self.carrier)
        H = self.channel.draw(array, users, trials, rngs)
        return H * self._amplitude(carrier, users, rngs)[:, None]

    def draw_burst(
        self, grid: Grid, array: AntennaArray, users: int, trials: Sequence[int], rngs: Sequence[np.random.Generator]
    ) -> tuple[ComplexArray, Motion | None]:
        """Channels of the model over a burst, attenuated alike.

        Raises:
            InvalidInput: If the carrier is another one than that of the grid.
        """
        carrier = carrier_of(self.carrier, grid)
        _within("carrier", carrier, 0.5e9, 100e9, "Hz")
        H, motion = self.channel.draw_burst(grid, array, users, trials, rngs)
        amplitude = self._amplitude(carrier, users, rngs)
        return H * amplitude[:, None, None], None if motion is None else motion.times(amplitude)

    def _amplitude(self, carrier: float, users: int, rngs: Sequence[np.random.Generator]) -> FloatArray:
        """Of each user, (trials, K); shadowing is drawn last, so that the fading is that of the model alone."""
        distance, height = (per_user(name, getattr(self, name), users) for name in ("distance", "user_height"))
        loss = np.broadcast_to(path_loss_db(self.model, distance, carrier, height), (len(rngs), users))
        if self.shadowing:
            deviation = ROWS[self.model[:3]].shadowing[self.model.endswith("-nlos")]
            loss = loss + deviation * np.stack([rng.standard_normal(users) for rng in rngs])
        return np.asarray(10 ** (-loss / 20))


def _within(name: str, value: Any, least: float, most: float, unit: str) -> None:
    if np.any(np.asarray(value) < least) or np.any(np.asarray(value) > most):
        rule = f"must be from {least:g} to {most:g} {unit}, for which the table of TR 38.901 is made"
        raise InvalidInput(name, rule, value, "Set gain_db of the channel itself for another.")
