"""A drop: a batch of realisations of everything that is not hardware or precoder."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from attrs import field, frozen

from isacsim.arrays import AntennaArray
from isacsim.batch import batch_shape, batched, flatten, take
from isacsim.channels.motion import Motion
from isacsim.checks import instance
from isacsim.errors import InvalidInput
from isacsim.grid import Grid
from isacsim.targets.background import Background
from isacsim.targets.scene import Scene
from isacsim.typing import ComplexArray


@frozen
class Drop:
    """Realisations that a design problem is posed for and a precoder is judged on.

    Attributes:
        H: User channels, shape (..., N_t, K), amplitude.
        targets: The scene the sensing receiver sees.
        tx_array: Transmit array.
        rx_array: Sensing receive array.
        power: Transmit power budget, shape (...), in W.
        noise_power: Noise of each user, shape (..., K), in W.
        radar_noise_power: Noise of each sensing receive chain, shape (...), in W.
        snapshots: Samples L in a coherent sensing interval.
        background: What the sensing receiver hears beside the targets; None is nothing.
    """

    H: ComplexArray = batched(2, dtype=complex)
    targets: Scene = field()
    tx_array: AntennaArray = field()
    rx_array: AntennaArray = field()
    power: Any = batched(0, above=0.0)
    noise_power: Any = batched(1, above=0.0)
    radar_noise_power: Any = batched(0, above=0.0)
    snapshots: int = 1
    background: Background | None = None


@frozen(kw_only=True)
class WidebandDrop(Drop):
    """Realisations of an OFDM signal; the subcarriers are an axis of each realisation, and no batch axis.

    ``power`` is that of the radiated samples, the mean over all N bins: of precoders W[f] it is
    ``(1/N) sum_f ||W[f]||^2``. ``noise_power`` and ``radar_noise_power`` are those of a sample, which
    are those of a subcarrier too.

    Attributes:
        H: User channels on the active subcarriers, shape (..., F, N_t, K), amplitude.
        grid: The grid.
        motion: The taps of the channels over a burst that begins with H; None is a channel that stays, of paths that
            the prefix covers.
    """

    H: ComplexArray = batched(3, dtype=complex)
    grid: Grid = field(validator=instance(Grid))
    motion: Motion | None = None

    def __attrs_post_init__(self) -> None:
        if self.H.shape[-3] != self.grid.used:
            rule = f"must have a channel for each of {self.grid.used} active subcarriers"
            raise InvalidInput("H", rule, f"shape {self.H.shape}", "H is (..., F, N_t, K).")

    def subcarriers(self) -> Drop:
        """Each subcarrier as a narrowband realisation of its own, the subcarriers running fastest.

        The power is split evenly over the F active ones: ``power * N / F`` each. Hardware that is
        believed in then sees the chain powers that it has, if they are alike on all subcarriers.
        """
        shape = batch_shape(self) or (1,)
        flat, F, members = flatten(self, shape), self.grid.used, math.prod(shape)
        each = np.repeat(np.arange(members), F)
        rest = take(flat, each)
        H = np.broadcast_to(flat.H, (members, *flat.H.shape[1:]))  # channels may be shared by all members
        return Drop(
            H=np.ascontiguousarray(H.reshape(len(each), *H.shape[-2:])),
            targets=rest.targets,
            tx_array=self.tx_array,
            rx_array=self.rx_array,
            power=rest.power * (self.grid.subcarriers / F),
            noise_power=rest.noise_power,
            radar_noise_power=rest.radar_noise_power,
            snapshots=self.snapshots,
            background=rest.background,
        )
