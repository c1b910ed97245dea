"""A drop: a batch of realisations of everything that is not hardware or precoder."""

from __future__ import annotations

from typing import Any

from attrs import field, frozen

from isacsim.arrays import AntennaArray
from isacsim.batch import batched
from isacsim.targets.background import Background
from isacsim.targets.scene import Scene


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

    H: Any = batched(2, dtype=complex)
    targets: Scene = field()
    tx_array: AntennaArray = field()
    rx_array: AntennaArray = field()
    power: Any = batched(0, above=0.0)
    noise_power: Any = batched(1, above=0.0)
    radar_noise_power: Any = batched(0, above=0.0)
    snapshots: int = 1
    background: Background | None = None
