"""Bounds on ranges and velocities, from OFDM signals, under names that scenarios use."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from attrs import field, frozen

from isacsim.checks import choice, instance
from isacsim.errors import InvalidInput
from isacsim.grid import LIGHT
from isacsim.link import ADDRESSED, MODES, Link, Mode, WidebandLink, in_words
from isacsim.metrics.bounds import root_mean
from isacsim.metrics.components import Metric, Quantity
from isacsim.metrics.delay_doppler import information_of_band, kinds_of, require_unambiguous, static_kept
from isacsim.targets.scene import PointTargets
from isacsim.typing import FloatArray

ALL = ("azimuth", "zenith", "delay", "doppler", "reflection")


@frozen
class GridBound(Metric):
    """A bound on one kind of unknown of point targets on a grid, each (M,), or on the RMSE over the targets.

    Args:
        unknowns: What is not known of the targets: of ``azimuth``, ``zenith`` (of planar arrays), ``delay``,
            ``doppler`` and ``reflection``.
        mode: As for ``crlb``.
        static_removed: Whether the receiver takes all that stands still out of what it receives, as in
            ``range-doppler``, instead of knowing its background: a mean over symbols.

    Of a target beyond the prefix counts what is left of it; what strays to other subcarriers and symbols is noise.

    Attributes:
        kind: The kind of unknown, ``delay`` or ``doppler``.
        rmse: Whether it is the one over the targets.
    """

    wideband = True
    over_band = "own"
    kind: ClassVar[str]
    rmse: ClassVar[bool] = False

    unknowns: tuple[str, ...] = field(default=ALL, converter=tuple)
    mode: Mode = field(default="signal", converter=in_words, validator=choice(*MODES), metadata=ADDRESSED)
    static_removed: bool = field(default=False, validator=instance(bool))

    def value(self, link: Link) -> FloatArray:
        """From `isacsim.metrics.delay_doppler`; infinite where it cannot be estimated."""
        if not isinstance(link, WidebandLink) or not isinstance(link.drop.targets, PointTargets):
            rule = "must be asked of point targets and an OFDM signal"
            raise InvalidInput("metrics", rule, self.quantity.name, "Add base_station.grid, and use kind 'points'.")
        targets, grid = link.drop.targets, link.grid
        require_unambiguous(targets, grid)
        kinds = kinds_of(targets, self.unknowns)
        if self.kind not in kinds:
            raise InvalidInput("unknowns", f"must name {self.kind}", self.unknowns, "It is known otherwise; add it.")
        echo, kept = link.echo.knowing(self.mode), None
        if self.static_removed:
            echo, kept = echo.cancelled(), static_kept(grid, min(link.W.shape[-2:]))
        bounds = information_of_band(targets, echo, grid, self.unknowns, kept).bounds
        first = kinds.index(self.kind) * targets.count
        # Of a monostatic radar: a range for each second of delay, a radial velocity for each hertz of Doppler.
        unit = {"delay": LIGHT / 2, "doppler": grid.wavelength / 2}[self.kind]
        own = np.ascontiguousarray(bounds[..., first : first + targets.count] * unit**2)
        return root_mean(own) if self.rmse else own


@frozen
class RangeCrlb(GridBound):
    """CRLB of the range of each target, in m^2."""

    quantity = Quantity("range-crlb", "m^2", ("target",), "CRLB of the range of each target")
    kind = "delay"


@frozen
class RangeRmseBound(GridBound):
    """Root of the mean CRLB of the targets' ranges, in m: no unbiased estimates have a smaller RMSE."""

    quantity = Quantity("range-rmse-bound", "m", (), "least RMSE of the targets' ranges")
    kind, rmse = "delay", True


@frozen
class VelocityCrlb(GridBound):
    """CRLB of the radial velocity of each target, in (m/s)^2."""

    quantity = Quantity("velocity-crlb", "m^2/s^2", ("target",), "CRLB of the radial velocity of each target")
    kind = "doppler"


@frozen
class VelocityRmseBound(GridBound):
    """Root of the mean CRLB of the targets' velocities, in m/s: no unbiased estimates have a smaller RMSE."""

    quantity = Quantity("velocity-rmse-bound", "m/s", (), "least RMSE of the targets' radial velocities")
    kind, rmse = "doppler", True
