"""Metrics of the sensing receiver under names that scenarios use: bounds and the radar SQNR."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from attrs import field, frozen

from isacsim.checks import choice
from isacsim.drop import Drop
from isacsim.errors import InvalidInput
from isacsim.link import ADDRESSED, MODES, Link, Mode, WidebandLink, in_words
from isacsim.metrics.components import Metric, Quantity
from isacsim.metrics.delay_doppler import information_of_band
from isacsim.metrics.fim import information_of
from isacsim.metrics.sensing import combiner_sqnr, response_bound, sqnr
from isacsim.targets.scene import ParametricScene, PointTargets, parametric
from isacsim.typing import FloatArray


@frozen
class CrlbTrace(Metric):
    """Sum of the CRLBs of all target parameters, tr(F^-1): rad^2 and squared amplitudes.

    Args:
        mode: What the sensing receiver knows: ``signal``, the digital one, or ``radiated``, also
            what the transmit chains make of it.
    """

    quantity = Quantity("crlb", "1", (), "sum of the CRLBs of all target parameters")
    over_band = "own"
    mode: Mode = field(default="signal", converter=in_words, validator=choice(*MODES), metadata=ADDRESSED)

    def value(self, link: Link) -> FloatArray:
        """The sum over `isacsim.metrics.crlb`."""
        return np.asarray(_crlb(link, self.mode).sum(axis=-1))


@frozen
class CrlbParameters(Metric):
    """CRLB of each target parameter: rad^2 for angles, squared amplitude for reflections.

    Args:
        mode: As for ``crlb``.
    """

    quantity = Quantity("crlb-parameters", "1", ("parameter",), "CRLB of each target parameter")
    over_band = "own"
    mode: Mode = field(default="signal", converter=in_words, validator=choice(*MODES), metadata=ADDRESSED)

    def labels(self, drop: Drop) -> dict[str, Sequence[Any]]:
        """Names of the parameters."""
        return {"parameter": drop.targets.labels} if isinstance(drop.targets, ParametricScene) else {}

    def value(self, link: Link) -> FloatArray:
        """`isacsim.metrics.crlb`."""
        return _crlb(link, self.mode)


@frozen
class AngleRmseBound(Metric):
    """Root of the mean CRLB of all angles of the targets, in rad: no unbiased estimates have a smaller RMSE.

    Args:
        mode: As for ``crlb``.
    """

    quantity = Quantity("angle-rmse-bound", "rad", (), "least RMSE of the targets' angles")
    over_band = "own"
    mode: Mode = field(default="signal", converter=in_words, validator=choice(*MODES), metadata=ADDRESSED)

    def value(self, link: Link) -> FloatArray:
        """From `isacsim.metrics.crlb`; infinite where an angle cannot be estimated."""
        targets = parametric("targets", link.drop.targets, "a Cramer-Rao bound")
        angles = np.array([unit == "rad" for unit in targets.units])
        if not angles.any():
            raise InvalidInput("targets", "must have an unknown angle", targets.unknowns, "Ask for crlb-parameters.")
        return root_mean(_crlb(link, self.mode)[..., angles])


def root_mean(bounds: FloatArray) -> FloatArray:
    """Root of the mean of bounds (..., n) on variances, each positive and perhaps infinite, (...)."""
    return np.sqrt(np.ascontiguousarray(bounds).mean(axis=-1))


@frozen
class RadarSqnr(Metric):
    """Radar SQNR with the best symbol-dependent combiner, linear."""

    quantity = Quantity("radar-sqnr", "1", (), "radar SQNR")
    over_band = "mean"

    def value(self, link: Link) -> FloatArray:
        """`isacsim.metrics.radar_sqnr`."""
        return sqnr(link.echo)


@frozen
class RadarSqnrCombiner(Metric):
    """Radar SQNR with the best fixed combiner, linear."""

    quantity = Quantity("radar-sqnr-combiner", "1", (), "radar SQNR of one combiner")

    def value(self, link: Link) -> FloatArray:
        """`isacsim.metrics.radar_sqnr_combiner`."""
        return combiner_sqnr(link.echo)


@frozen
class ResponseCrb(Metric):
    """CRB on the target response, summed over its entries: what ``crb-min`` minimises.

    Args:
        mode: As for ``crlb``.
    """

    quantity = Quantity("response-crb", "1", (), "CRB on the target response")
    mode: Mode = field(default="signal", converter=in_words, validator=choice(*MODES), metadata=ADDRESSED)

    def value(self, link: Link) -> FloatArray:
        """`isacsim.metrics.response_crb`."""
        return response_bound(link.echo.knowing(self.mode), link.drop.snapshots)


def _crlb(link: Link, mode: Mode) -> FloatArray:
    if isinstance(link, WidebandLink):  # delays and velocities are known
        targets = parametric("targets", link.drop.targets, "a Cramer-Rao bound")
        if not isinstance(targets, PointTargets):
            raise InvalidInput("targets", "must be point targets on a grid", type(targets).__name__, "Use 'points'.")
        known = ("azimuth", "zenith", "reflection")
        return information_of_band(targets, link.echo.knowing(mode), link.grid, known).bounds
    return information_of(link.drop.targets, link.echo.knowing(mode), link.drop.snapshots).bounds
