"""A range-Doppler map to look at, from samples through the hardware (`isacsim.waveform.radar`)."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from attrs import field, frozen

from isacsim.checks import choice, instance, whole
from isacsim.drop import Drop, WidebandDrop
from isacsim.grid import LIGHT, Grid
from isacsim.link import Link
from isacsim.metrics.components import Quantity
from isacsim.typing import FloatArray, IntArray
from isacsim.waveform.modulation import QPSK, Modulation, modulation
from isacsim.waveform.radar import WINDOWS, BurstExperiment, window
from isacsim.waveform.signals import Sources


@frozen
class RangeDopplerMap(BurstExperiment):
    """Power on the cells of range and velocity over that of noise and distortion as predicted, mean of bursts.

    The receiver looks into the direction of the first target; all targets are there, as steady as the scene has
    them. Ranges end where the prefix does, beyond which there is no target.

    Args:
        bursts: Bursts whose maps are averaged.
        modulation: What the streams carry.
        window: Window over subcarriers and over symbols: ``hann``, ``hamming``, ``blackman`` or ``rectangular``.
        static_removed: As for ``range-doppler``.
    """

    bursts: int = field(default=1, validator=whole(1))
    modulation: Modulation = field(default=QPSK, converter=modulation)
    window: Literal["rectangular", "hann", "hamming", "blackman"] = field(default="hann", validator=choice(*WINDOWS))
    static_removed: bool = field(default=False, validator=instance(bool))

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        """The map."""
        summary = "power over the floor"
        return (Quantity("range-doppler-map", "1", ("range", "velocity"), summary),)

    def labels(self, drop: Drop) -> dict[str, Any]:
        """Ranges, in m, and radial velocities, in m/s, of the cells."""
        if not isinstance(drop, WidebandDrop):
            return {}
        grid = drop.grid
        shifts = np.arange(grid.symbols) - grid.symbols // 2
        return {
            "range": (_within_prefix(grid) * grid.range_step).tolist(),
            "velocity": (shifts * grid.velocity_step).tolist(),
        }

    def trial(self, link: Link, rng: np.random.Generator) -> dict[str, FloatArray]:
        """The map of one trial."""
        radar, sources = self.radar(link), Sources.of(rng)
        grid = radar.grid
        w = np.outer(window(self.window, grid.used), window(self.window, grid.symbols))
        total = np.zeros((grid.used, grid.symbols))
        for _ in range(self.bursts):
            total += radar.look(radar.burst(sources, radar.targets.reflection[0]), 0).map(w)
        kept = np.fft.fftshift(total[_within_prefix(grid)], axes=1)
        return {"range-doppler-map": kept[None] / self.bursts}


def _within_prefix(grid: Grid) -> IntArray:
    """Cells of range that a target may lie in."""
    reach = grid.prefix / grid.rate * LIGHT / 2
    return np.arange(min(grid.used, int(reach / grid.range_step) + 1))
