"""User channel models: each draws H (trials, N_t, K); user k receives ``h_k^H x + n_k``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from attrs import field, frozen

from isacsim import units
from isacsim.arrays import AntennaArray
from isacsim.batch import as_array, batched, same_array
from isacsim.channels.motion import Motion
from isacsim.checks import number
from isacsim.errors import InvalidInput
from isacsim.grid import Grid
from isacsim.random import complex_normal
from isacsim.typing import ComplexArray, FloatArray


class ChannelModel(ABC):
    """Draws user channels; a plugin derives from it."""

    @abstractmethod
    def draw(
        self, array: AntennaArray, users: int, trials: Sequence[int], rngs: Sequence[np.random.Generator]
    ) -> ComplexArray:
        """Channels H of ``trials``, shape (len(trials), N_t, K), amplitude.

        Args:
            array: Transmit array, with N_t elements.
            users: Number of users K.
            trials: Trial numbers.
            rngs: One generator for each trial.
        """

    def draw_band(
        self, grid: Grid, array: AntennaArray, users: int, trials: Sequence[int], rngs: Sequence[np.random.Generator]
    ) -> ComplexArray:
        """Channels on the active subcarriers of a grid, shape (len(trials), F, N_t, K), amplitude.

        This default is flat over the band: `draw` on every subcarrier.
        """
        flat = self.draw(array, users, trials, rngs)[:, None]
        return np.ascontiguousarray(np.broadcast_to(flat, (len(flat), grid.used, *flat.shape[2:])))

    def draw_burst(
        self, grid: Grid, array: AntennaArray, users: int, trials: Sequence[int], rngs: Sequence[np.random.Generator]
    ) -> tuple[ComplexArray, Motion | None]:
        """Channels as `draw_band` has them, those of the first symbol, and how they go on over a burst.

        This default is a channel that stays: `draw_band` and None.
        """
        return self.draw_band(grid, array, users, trials, rngs), None


class BurstModel(ChannelModel):
    """A channel model whose band is the beginning of a burst."""

    @abstractmethod
    def draw_burst(
        self, grid: Grid, array: AntennaArray, users: int, trials: Sequence[int], rngs: Sequence[np.random.Generator]
    ) -> tuple[ComplexArray, Motion | None]:
        """Channels of the first symbol, (len(trials), F, N_t, K), amplitude, and how they go on."""

    def draw_band(
        self, grid: Grid, array: AntennaArray, users: int, trials: Sequence[int], rngs: Sequence[np.random.Generator]
    ) -> ComplexArray:
        """The channels that `draw_burst` begins with; it says what is refused."""
        return self.draw_burst(grid, array, users, trials, rngs)[0]


@frozen
class Rayleigh(ChannelModel):
    """Independent Rayleigh fading: entries of h_k are CN(0, gain_k).

    Args:
        gain: Mean power gain: one number, or one for each user (K,), linear.
    """

    gain: Any = batched(0, above=0.0, default=1.0, metadata=units.db())

    def draw(
        self, array: AntennaArray, users: int, trials: Sequence[int], rngs: Sequence[np.random.Generator]
    ) -> ComplexArray:
        """Independent channels."""
        gain = per_user("gain", self.gain, users)
        return np.stack([complex_normal(rng, (array.size, users)) for rng in rngs]) * np.sqrt(gain)


def _directions(value: Any) -> FloatArray | None:
    return None if value is None else as_array("azimuth", value)


@frozen
class Rician(ChannelModel):
    """Rician fading: a line-of-sight steering vector plus Rayleigh scattering.

    ``h_k = sqrt(gain_k) (sqrt(kappa/(1+kappa)) e^{j psi} a(azimuth_k, zenith_k) +
    sqrt(1/(1+kappa)) g_k)`` with g_k of i.i.d. CN(0, 1) entries a uniform phase psi, and a plane wave a at the
    antennas (`isacsim.arrays.AntennaArray.plane_wave`): of unit magnitude, but for the pattern of an element.

    Args:
        k_factor: Power of the line of sight over that of the scattering, linear.
        gain: Mean power gain: one number, or one for each user (K,), linear.
        azimuth: Directions of the users (K,), in rad; None draws them uniformly from the
            sector.
        zenith: Zenith angle of the users: one number, or one for each user (K,), in rad.
        sector: Half-width of the sector about broadside, in rad.
    """

    k_factor: float = field(validator=number(least=0), metadata=units.db())
    gain: Any = batched(0, above=0.0, default=1.0, metadata=units.db())
    azimuth: Any = field(default=None, converter=_directions, eq=same_array, metadata=units.degrees())
    zenith: Any = batched(0, default=np.pi / 2, metadata=units.degrees())
    sector: float = field(default=np.pi / 3, validator=number(least=0), metadata=units.degrees())

    def draw(
        self, array: AntennaArray, users: int, trials: Sequence[int], rngs: Sequence[np.random.Generator]
    ) -> ComplexArray:
        """Independent channels, with directions as configured."""
        gain = per_user("gain", self.gain, users)
        zenith = per_user("zenith", self.zenith, users)
        line, scatter = np.sqrt(self.k_factor / (1 + self.k_factor)), np.sqrt(1 / (1 + self.k_factor))
        drawn = []
        for rng in rngs:
            azimuth = rng.uniform(-self.sector, self.sector, users)
            if self.azimuth is not None:
                azimuth = per_user("azimuth", self.azimuth, users)
            phase = np.exp(2j * np.pi * rng.uniform(size=users))
            drawn.append(
                line * phase * array.plane_wave(azimuth, zenith).T + scatter * complex_normal(rng, (array.size, users))
            )
        return np.stack(drawn) * np.sqrt(gain)


def per_user(name: str, value: Any, users: int) -> Any:
    """One value for each user, shape (K,), of a single one or of one for each."""
    if np.ndim(value) > 1 or np.size(value) not in (1, users):
        raise InvalidInput(
            name, f"must be one number, or one for each of the {users} users", value, "Match users.count."
        )
    return np.broadcast_to(value, (users,))
