"""Point targets told by range and radar cross-section: the radar equation, and fluctuation from trial to trial."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from attrs import field, frozen

from isacsim import units
from isacsim.arrays import AntennaArray
from isacsim.batch import batched
from isacsim.checks import instance, number, whole
from isacsim.errors import InvalidInput
from isacsim.grid import LIGHT, Grid, carrier_of
from isacsim.targets.models import Rngs, TargetModel, require_equal_lists
from isacsim.targets.scene import PointTargets, Scene
from isacsim.typing import FloatArray

DEGREES_OF_FREEDOM = {0: 0, 1: 2, 2: 2, 3: 4, 4: 4}  # of the chi-square of the power by Swerling's number; 0 is steady


def echo_power(rcs: Any, distance: Any, wavelength: float) -> FloatArray:
    """Power that an isotropic antenna receives of one watt radiated by another at the same place, shape (...).

    The radar equation ``lambda^2 sigma / ((4 pi)^3 r^4)``.

    Args:
        rcs: Radar cross-sections sigma (...), in m^2.
        distance: Ranges r (...), in m.
        wavelength: Wavelength of the carrier, in m.
    """
    return np.asarray(wavelength**2 * np.asarray(rcs) / ((4 * np.pi) ** 3 * np.asarray(distance, float) ** 4))


@frozen
class RadarTargets(TargetModel):
    """Point targets whose reflections follow from range and radar cross-section.

    A reflection has the root of the radar equation for a magnitude, and a uniform phase that is drawn for each
    trial. Elements have the gain of their pattern, in the steering vectors; those of unit norm are
    scaled up to N_t N_r. The cross-section is steady (Swerling 0), or fluctuates as an exponential (1, 2) or as a
    chi-square of four degrees of freedom (3, 4) about its mean [Swerling60]. A trial is one look at
    the targets, so that 1 and 2, and 3 and 4, are drawn alike; the experiment `range-doppler` has fluctuation of its
    own, and wants one of the two steady. The mean CRLB over Swerling 1 is infinite: study its median, or its quantiles.
    Cross-sections may also differ from trial to trial as log-normal numbers about their means: TR 38.901 has
    -12.81 dBsm with a spread of 3.74 dB for a small drone, and -1.37 dBsm with 3.94 dB for a person, whose angle does
    not matter [3GPP38901, Section 7.9.2.1]. A summary of what RAN1 agreed on for Release 19 has the same for the drone;
    the numbers of the person were found in copies of the report alone.

    Args:
        azimuth: Azimuths, shape (M,), in rad.
        range: Ranges from the monostatic radar, one number or (M,), in m.
        rcs: Mean radar cross-sections, one number or (M,), in m^2.
        zenith: Zeniths (polar angle, broadside pi/2), one number or (M,), in rad.
        velocity: Radial velocities, positive where a target comes nearer, one number or (M,), in m/s.
        swerling: Fluctuation of the cross-sections, 0 to 4.
        carrier: Carrier frequency, in Hz; None is that of the grid.
        spread: One standard deviation of a log-normal cross-section of the same mean, as a factor; 1 is none.
        fold: Whether ranges and velocities that a grid takes for others are let in, and show up as these. They are
            refused otherwise.
    """

    azimuth: Any = batched(1, metadata=units.degrees())
    range: Any = batched(1, scalar=True, above=0.0, metadata=units.metres())
    rcs: Any = batched(1, scalar=True, above=0.0, default=1.0, metadata=units.dbsm())
    zenith: Any = batched(1, scalar=True, default=np.pi / 2, metadata=units.degrees())
    velocity: Any = batched(1, scalar=True, default=0.0)
    swerling: int = field(default=0, validator=whole(0))
    carrier: float | None = field(default=None, validator=number(above=0, optional=True), metadata=units.hertz())
    spread: float = field(default=1.0, validator=number(least=1), metadata=units.db())
    fold: bool = field(default=False, validator=instance(bool))

    def __attrs_post_init__(self) -> None:
        require_equal_lists(self, "azimuth", "range", "rcs", "zenith", "velocity")
        if self.swerling not in DEGREES_OF_FREEDOM:
            raise InvalidInput("swerling", "must be from 0 to 4", self.swerling, "0 is a steady target.")

    def draw(self, tx_array: AntennaArray, rx_array: AntennaArray, trials: Sequence[int], rngs: Rngs) -> Scene:
        """A scene for each trial, with phases and cross-sections of its own.

        Raises:
            InvalidInput: If the carrier is not given.
        """
        return self._scene(carrier_of(self.carrier), tx_array, rx_array, rngs)

    def draw_band(
        self, grid: Grid, tx_array: AntennaArray, rx_array: AntennaArray, trials: Sequence[int], rngs: Rngs
    ) -> Scene:
        """A scene for each trial, at the carrier of the grid.

        Raises:
            InvalidInput: If the carrier is another one than that of the grid.
        """
        return self._scene(carrier_of(self.carrier, grid), tx_array, rx_array, rngs)

    def _scene(self, carrier: float, tx_array: AntennaArray, rx_array: AntennaArray, rngs: Rngs) -> Scene:
        count = self.azimuth.size
        turn = np.exp(2j * np.pi * np.stack([rng.uniform(size=count) for rng in rngs]))
        power = echo_power(self.rcs, self.range, LIGHT / carrier)
        freedom = DEGREES_OF_FREEDOM[self.swerling]
        if freedom:
            power = power * np.stack([rng.chisquare(freedom, count) for rng in rngs]) / freedom
        if self.spread > 1:
            deviation = np.log(self.spread)  # the mean of exp(s z) is exp(s^2 / 2)
            normal = np.stack([rng.standard_normal(count) for rng in rngs])
            power = power * np.exp(deviation * normal - deviation**2 / 2)
        # Steering vectors of unit norm hold 1 / N of the power that N elements gather.
        gathered = np.prod([array.size if array.normalized else 1 for array in (tx_array, rx_array)])
        delay = 2 * self.range / LIGHT
        reflection = turn * np.sqrt(gathered * power)
        return PointTargets(
            tx_array, rx_array, self.azimuth, self.zenith, reflection, delay, self.velocity, self.fold
        )  # fmt: skip
