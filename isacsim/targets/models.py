"""Target models of scenarios: each draws the scenes of a batch of trials."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from attrs import field, frozen

from isacsim import units
from isacsim.arrays import AntennaArray
from isacsim.batch import batched
from isacsim.checks import instance, number
from isacsim.errors import InvalidInput
from isacsim.grid import LIGHT, Grid
from isacsim.lasting import kept
from isacsim.random import complex_normal
from isacsim.targets.scene import PointTargets, ResponseMatrix, Scene

Rngs = Sequence[np.random.Generator]
FEW = 32  # scenes that are kept of a sweep over them: each with a megabyte, of large arrays and many targets


class TargetModel(ABC):
    """Draws scenes; a plugin derives from it."""

    @abstractmethod
    def draw(self, tx_array: AntennaArray, rx_array: AntennaArray, trials: Sequence[int], rngs: Rngs) -> Scene:
        """The scenes of ``trials``, with one leading axis, or without one if all share a scene.

        Args:
            tx_array: Transmit array.
            rx_array: Sensing receive array.
            trials: Trial numbers.
            rngs: One generator for each trial.
        """

    def draw_band(
        self, grid: Grid, tx_array: AntennaArray, rx_array: AntennaArray, trials: Sequence[int], rngs: Rngs
    ) -> Scene:
        """The scenes of ``trials`` of an OFDM signal; by default those of `draw`, whatever the grid."""
        return self.draw(tx_array, rx_array, trials, rngs)


class _Fixed(TargetModel):
    """The same points in every trial."""

    azimuth: Any
    zenith: Any
    reflection: Any
    range: Any
    velocity: Any
    fold: bool

    def draw(self, tx_array: AntennaArray, rx_array: AntennaArray, trials: Sequence[int], rngs: Rngs) -> Scene:
        """The same scene for all trials."""
        return self._scene(tx_array, rx_array)

    @partial(kept, most=FEW)  # with all that is worked out of it, for the next tasks
    def _scene(self, tx_array: AntennaArray, rx_array: AntennaArray) -> PointTargets:
        # One zenith or reflection stands for every target.
        delay = 2 * np.asarray(self.range) / LIGHT
        azimuth = np.atleast_1d(self.azimuth)
        return PointTargets(
            tx_array, rx_array, azimuth, self.zenith, self.reflection, delay, self.velocity, self.fold
        )  # fmt: skip


def require_equal_lists(record: Any, *names: str) -> None:
    """Refuse fields that are no lists as long as the first; one number stands for all targets.

    Raises:
        InvalidInput: It names all of them, and tells their lengths.
    """
    shapes = {name: np.shape(getattr(record, name)) for name in names}
    first = shapes[names[0]]
    if not set(shapes.values()) <= {(), first} or len(first) != 1:
        told = ", ".join(f"{' x '.join(map(str, shape))} of {name}" for name, shape in shapes.items() if shape)
        remedy = "Give one entry a target; a complex number is text, '0.3+0.1j'."
        raise InvalidInput(", ".join(names), "must be lists of equal length", told, remedy)


@frozen
class PointTarget(_Fixed):
    """One fixed point target.

    Args:
        azimuth: Azimuth, in rad.
        zenith: Zenith (polar angle, broadside pi/2), in rad.
        reflection: Complex reflection coefficient, amplitude.
        range: Range from a monostatic radar, in m; it counts on a grid, as the velocity does.
        velocity: Radial velocity, positive where it comes nearer, in m/s.
        fold: Whether ranges and velocities that a grid takes for others are let in, and show up as these. They are
            refused otherwise.
    """

    azimuth: float = field(metadata=units.degrees())
    zenith: float = field(default=np.pi / 2, metadata=units.degrees())
    reflection: complex = 1.0
    range: float = field(default=0.0, validator=number(least=0), metadata=units.metres())
    velocity: float = field(default=0.0, validator=number())
    fold: bool = field(default=False, validator=instance(bool))


@frozen
class FixedPoints(_Fixed):
    """Several fixed point targets.

    The CRLB has infinite mean over randomly drawn scenes, so that a study averages over
    channels for a fixed scene.

    Args:
        azimuth: Azimuths, shape (M,), in rad.
        zenith: Zeniths (polar angle, broadside pi/2), one number or (M,), in rad.
        reflection: Complex reflection coefficients, one number or (M,), amplitude.
        range: Ranges from a monostatic radar, one number or (M,), in m; they count on a grid.
        velocity: Radial velocities, positive where a target comes nearer, one number or (M,), in m/s.
        fold: Whether ranges and velocities that a grid takes for others are let in, and show up as these. They are
            refused otherwise.
    """

    azimuth: Any = batched(1, metadata=units.degrees())
    zenith: Any = batched(1, scalar=True, default=np.pi / 2, metadata=units.degrees())
    reflection: Any = batched(1, dtype=complex, scalar=True, default=1.0)
    range: Any = batched(1, scalar=True, least=0.0, default=0.0, metadata=units.metres())
    velocity: Any = batched(1, scalar=True, default=0.0)
    fold: bool = field(default=False, validator=instance(bool))

    def __attrs_post_init__(self) -> None:
        require_equal_lists(self, "azimuth", "zenith", "reflection", "range", "velocity")


@frozen
class ExtendedTarget(TargetModel):
    """Extended target whose response has i.i.d. CN(0, variance) entries [Xu25, Sec. II].

    Args:
        variance: Mean power of an entry of G, linear.
    """

    variance: float = field(default=1.0, validator=number(above=0), metadata=units.db())

    def draw(self, tx_array: AntennaArray, rx_array: AntennaArray, trials: Sequence[int], rngs: Rngs) -> Scene:
        """An independent response for each trial."""
        shape = (rx_array.size, tx_array.size)
        return ResponseMatrix(np.stack([np.sqrt(self.variance) * complex_normal(rng, shape) for rng in rngs]))
