"""Metrics under names that scenarios use: thin records around the functions of this folder."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import wraps
from inspect import isfunction, signature
from typing import Any, ClassVar, Literal

import numpy as np
from attrs import field, frozen

from isacsim import units
from isacsim.batch import batched
from isacsim.checks import choice, instance
from isacsim.deprecation import warn_deprecated
from isacsim.drop import Drop, WidebandDrop
from isacsim.errors import InvalidInput
from isacsim.grid import LIGHT, Grid
from isacsim.hardware.power import ConverterPower, PowerModel
from isacsim.link import Link, Mode, WidebandLink
from isacsim.metrics.attainable import sqinr_bound
from isacsim.metrics.delay_doppler import information_of_band, kinds_of, require_unambiguous, static_kept
from isacsim.metrics.fim import information_of
from isacsim.metrics.power import energy_efficiency, power_toward
from isacsim.metrics.sensing import combiner_sqnr, response_bound, sqnr
from isacsim.metrics.spectrum import adjacent_leakage, radiated_spectrum, whole_band
from isacsim.targets.scene import ParametricScene, PointTargets, parametric
from isacsim.typing import FloatArray


@frozen
class Quantity:
    """A named array that a run records for each trial.

    Attributes:
        name: Variable name in the dataset.
        unit: Its unit, ``1`` for a ratio.
        dims: Names of its axes behind the trial.
        summary: What it is, in one line.
    """

    name: str
    unit: str
    dims: tuple[str, ...] = ()
    summary: str = ""


class Measure(ABC):
    """Judges precoders on realisations, through hardware.

    Attributes:
        wideband: Whether it is of an OFDM signal alone, on the grid of the base station.
    """

    wideband: ClassVar[bool] = False

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for name in ("measure", "value", "trial"):
            if isfunction(cls.__dict__.get(name)):
                setattr(cls, name, _taking_a_link(cls.__dict__[name], f"{cls.__name__}.{name}"))

    @property
    @abstractmethod
    def quantities(self) -> tuple[Quantity, ...]:
        """What it records."""

    def labels(self, drop: Drop) -> dict[str, Sequence[Any]]:
        """Coordinates of the quantities' axes; an axis without an entry is numbered."""
        return {}

    def check(self, link: Link) -> None:  # noqa: B027  # nothing to refuse
        """Refuse what could be measured in no trial; ``link`` is that of a stand-in for the precoders.

        Asked before a run, so that it must be cheap; nothing is refused by default.

        Raises:
            InvalidInput: If it cannot be measured.
        """

    @abstractmethod
    def measure(self, link: Link, rngs: Sequence[np.random.Generator]) -> dict[str, FloatArray]:
        """Values by quantity, each with the leading axis B of the link.

        Args:
            link: The precoders, the realisations they are judged on and the hardware they meet;
                all measures of an evaluation read the same one.
            rngs: One generator for each of the B trials.
        """


def _taking_a_link(method: Any, told: str) -> Any:
    """The method, behind an adapter where it takes (W, drop, transceiver, ...), as in version 1 of the plugin API."""
    if list(signature(method).parameters)[1:4] != ["W", "drop", "transceiver"]:
        return method
    new = "one that takes a link, and reads link.W, link.drop and link.transceiver"
    warn_deprecated(f"{told}(W, drop, transceiver)", new, gone="0.2", stacklevel=3)

    @wraps(method)
    def adapted(self: Any, link: Link, *rest: Any) -> Any:
        return method(self, link.W, link.drop, link.transceiver, *rest)

    del adapted.__wrapped__  # a class made anew by attrs is not to be adapted again
    return adapted


class Metric(Measure):
    """A measure of one quantity in closed form.

    Attributes:
        over_band: What becomes of the values (B, F, ...) on the subcarriers of an OFDM signal: their
            ``mean``; ``power``, their sum over the N bins, of what is a power of samples; ``own``,
            where `value` says that itself; None refuses.
    """

    quantity: ClassVar[Quantity]
    over_band: ClassVar[Literal["mean", "power", "own"] | None] = None

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        """The one quantity."""
        return (self.quantity,)

    @abstractmethod
    def value(self, link: Link) -> FloatArray:
        """The quantity, with leading axis B."""

    def measure(self, link: Link, rngs: Sequence[np.random.Generator]) -> dict[str, FloatArray]:
        """The value, by the quantity's name."""
        if not isinstance(link, WidebandLink):
            return {self.quantity.name: self.value(link)}
        if self.over_band is None:
            rule = "must have a meaning over a band, which this one lacks"
            raise InvalidInput("metrics", rule, self.quantity.name, "Judge without base_station.grid.")
        value = self.value(link)
        if self.over_band == "mean":
            value = value.mean(axis=1)
        elif self.over_band == "power":
            value = value.sum(axis=1) / link.grid.subcarriers
        return {self.quantity.name: value}


@frozen
class SumRateNats(Metric):
    """Sum rate of the users, in nat/s/Hz."""

    quantity = Quantity("sum-rate-nats", "nat/s/Hz", (), "sum rate of the users")
    over_band = "mean"

    def value(self, link: Link) -> FloatArray:
        """`isacsim.metrics.sum_rate`."""
        return np.asarray(np.log1p(link.users.sqinr).sum(axis=-1))


@frozen
class SumRateBits(Metric):
    """Sum rate of the users, in bit/s/Hz."""

    quantity = Quantity("sum-rate-bits", "bit/s/Hz", (), "sum rate of the users")
    over_band = "mean"

    def value(self, link: Link) -> FloatArray:
        """`isacsim.metrics.sum_rate_bits`."""
        return _sum_rate_bits(link)


@frozen
class RateNats(Metric):
    """Rate of each user, in nat/s/Hz."""

    quantity = Quantity("rate-nats", "nat/s/Hz", ("user",), "rate of each user")
    over_band = "mean"

    def value(self, link: Link) -> FloatArray:
        """`isacsim.metrics.rate_nats`."""
        return np.log1p(link.users.sqinr)


@frozen
class Sqinr(Metric):
    """Signal-to-quantisation-interference-and-noise ratio of each user, linear."""

    quantity = Quantity("sqinr", "1", ("user",), "SQINR of each user")
    over_band = "mean"

    def value(self, link: Link) -> FloatArray:
        """`isacsim.metrics.sqinr`."""
        return link.users.sqinr


@frozen
class SubcarrierSqinr(Metric):
    """SQINR of each user on each active subcarrier, linear."""

    quantity = Quantity("subcarrier-sqinr", "1", ("subcarrier", "user"), "SQINR of each user on each subcarrier")
    over_band = "own"

    def labels(self, drop: Drop) -> dict[str, Sequence[Any]]:
        """Signed indices of the subcarriers."""
        return _subcarriers(drop)

    def value(self, link: Link) -> FloatArray:
        """`isacsim.link.WidebandLink.users`; without a grid there is one subcarrier."""
        values = link.users.sqinr
        return values if isinstance(link, WidebandLink) else values[:, None]


@frozen
class MeanSqinr(Metric):
    """Mean of the users' SQINRs, linear: the axis of [Xu25, Fig. 1]."""

    quantity = Quantity("mean-sqinr", "1", (), "mean SQINR of the users")
    over_band = "mean"

    def value(self, link: Link) -> FloatArray:
        """The mean of `isacsim.metrics.sqinr`; NaN without users."""
        values = link.users.sqinr
        return values.mean(axis=-1) if values.shape[-1] else np.full(values.shape[:-1], np.nan)


@frozen
class MinSqinr(Metric):
    """The least of the users' SQINRs, on any subcarrier, linear: what a requirement is compared with."""

    quantity = Quantity("min-sqinr", "1", (), "least SQINR of the users")
    over_band = "own"

    def value(self, link: Link) -> FloatArray:
        """The least of `isacsim.metrics.sqinr`; infinite without users."""
        values = link.users.sqinr
        return np.asarray(values.min(axis=tuple(range(1, values.ndim)), initial=np.inf))


@frozen
class SqinrBound(Metric):
    """The largest SQINR of each user, were it served alone, linear."""

    quantity = Quantity("sqinr-bound", "1", ("user",), "largest SQINR of each user, were it served alone")

    def value(self, link: Link) -> FloatArray:
        """`isacsim.metrics.sqinr_bound`, which no precoder of the drop's power exceeds."""
        bound = sqinr_bound(link.drop.H, link.drop.power, link.drop.noise_power, link.transceiver)
        return np.broadcast_to(bound, (len(link.W), bound.shape[-1]))


@frozen
class CrlbTrace(Metric):
    """Sum of the CRLBs of all target parameters, tr(F^-1): rad^2 and squared amplitudes.

    Args:
        mode: What the sensing receiver knows: ``x``, the digital signal, or ``xq``, also
            what the transmit chains make of it.
    """

    quantity = Quantity("crlb", "1", (), "sum of the CRLBs of all target parameters")
    over_band = "own"
    mode: Mode = field(default="x", validator=choice("x", "xq"))

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
    mode: Mode = field(default="x", validator=choice("x", "xq"))

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
    mode: Mode = field(default="x", validator=choice("x", "xq"))

    def value(self, link: Link) -> FloatArray:
        """From `isacsim.metrics.crlb`; infinite where an angle cannot be estimated."""
        targets = parametric("targets", link.drop.targets, "a Cramer-Rao bound")
        angles = np.array([unit == "rad" for unit in targets.units])
        if not angles.any():
            raise InvalidInput("targets", "must have an unknown angle", targets.unknowns, "Ask for crlb-parameters.")
        return _root_mean(_crlb(link, self.mode)[..., angles])


def _root_mean(bounds: FloatArray) -> FloatArray:
    """Root of the mean of bounds (..., n) on variances, each positive and perhaps infinite, (...)."""
    return np.sqrt(np.ascontiguousarray(bounds).mean(axis=-1))


class _GridCrlb(Metric):
    """A bound on one kind of unknown of point targets on a grid, each (M,), or on the RMSE over the targets."""

    wideband = True
    rmse: ClassVar[bool] = False

    unknowns: tuple[str, ...]
    mode: Mode
    static_removed: bool
    kind: ClassVar[str]

    def scale(self, grid: Grid) -> float:
        """Factor of the variance from s^2 or Hz^2 to that of the quantity."""
        raise NotImplementedError

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
        own = np.ascontiguousarray(bounds[..., first : first + targets.count] * self.scale(grid))
        return _root_mean(own) if self.rmse else own


def _squared_metres(grid: Grid) -> float:
    """From the variance of a delay to that of the range of a monostatic radar, in m^2/s^2."""
    return (LIGHT / 2) ** 2


def _squared_speed(grid: Grid) -> float:
    """From the variance of a Doppler shift to that of the radial velocity, in m^2."""
    return (grid.wavelength / 2) ** 2


def _unknowns() -> Any:
    return field(default=("azimuth", "zenith", "delay", "doppler", "reflection"), converter=tuple)


@frozen
class RangeCrlb(_GridCrlb):
    """CRLB of the range of each target, in m^2.

    Args:
        unknowns: What is not known of the targets: of ``azimuth``, ``zenith`` (of planar arrays), ``delay``,
            ``doppler`` and ``reflection``.
        mode: As for ``crlb``.
        static_removed: Whether the receiver takes all that stands still out of what it receives, as in
            ``range-doppler``, instead of knowing its background: a mean over symbols.
    """

    quantity = Quantity("range-crlb", "m^2", ("target",), "CRLB of the range of each target")
    over_band = "own"
    kind = "delay"
    unknowns: tuple[str, ...] = _unknowns()
    mode: Mode = field(default="x", validator=choice("x", "xq"))
    static_removed: bool = field(default=False, validator=instance(bool))

    def scale(self, grid: Grid) -> float:
        """``(c/2)^2``."""
        return _squared_metres(grid)


@frozen
class RangeRmseBound(_GridCrlb):
    """Root of the mean CRLB of the targets' ranges, in m: no unbiased estimates have a smaller RMSE.

    Args:
        unknowns: As for ``range-crlb``.
        mode: As for ``crlb``.
        static_removed: As for ``range-crlb``.
    """

    quantity = Quantity("range-rmse-bound", "m", (), "least RMSE of the targets' ranges")
    over_band = "own"
    kind, rmse = "delay", True
    unknowns: tuple[str, ...] = _unknowns()
    mode: Mode = field(default="x", validator=choice("x", "xq"))
    static_removed: bool = field(default=False, validator=instance(bool))

    def scale(self, grid: Grid) -> float:
        """``(c/2)^2``."""
        return _squared_metres(grid)


@frozen
class VelocityCrlb(_GridCrlb):
    """CRLB of the radial velocity of each target, in (m/s)^2.

    Args:
        unknowns: As for ``range-crlb``.
        mode: As for ``crlb``.
        static_removed: As for ``range-crlb``.
    """

    quantity = Quantity("velocity-crlb", "m^2/s^2", ("target",), "CRLB of the radial velocity of each target")
    over_band = "own"
    kind = "doppler"
    unknowns: tuple[str, ...] = _unknowns()
    mode: Mode = field(default="x", validator=choice("x", "xq"))
    static_removed: bool = field(default=False, validator=instance(bool))

    def scale(self, grid: Grid) -> float:
        """``(wavelength/2)^2``."""
        return _squared_speed(grid)


@frozen
class VelocityRmseBound(_GridCrlb):
    """Root of the mean CRLB of the targets' velocities, in m/s: no unbiased estimates have a smaller RMSE.

    Args:
        unknowns: As for ``range-crlb``.
        mode: As for ``crlb``.
        static_removed: As for ``range-crlb``.
    """

    quantity = Quantity("velocity-rmse-bound", "m/s", (), "least RMSE of the targets' radial velocities")
    over_band = "own"
    kind, rmse = "doppler", True
    unknowns: tuple[str, ...] = _unknowns()
    mode: Mode = field(default="x", validator=choice("x", "xq"))
    static_removed: bool = field(default=False, validator=instance(bool))

    def scale(self, grid: Grid) -> float:
        """``(wavelength/2)^2``."""
        return _squared_speed(grid)


@frozen
class RadarSqnr(Metric):
    """Radar SQNR with the best symbol-dependent combiner, linear."""

    quantity = Quantity("radar-sqnr", "1", (), "radar SQNR, tr(Q^-1 N)")
    over_band = "mean"

    def value(self, link: Link) -> FloatArray:
        """`isacsim.metrics.radar_sqnr`."""
        return sqnr(link.echo)


@frozen
class RadarSqnrCombiner(Metric):
    """Radar SQNR with the best fixed combiner, linear."""

    quantity = Quantity("radar-sqnr-combiner", "1", (), "radar SQNR of one combiner, lambda_max(Q^-1 N)")

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
    mode: Mode = field(default="x", validator=choice("x", "xq"))

    def value(self, link: Link) -> FloatArray:
        """`isacsim.metrics.response_crb`."""
        return response_bound(link.echo.knowing(self.mode), link.drop.snapshots)


@frozen
class RadiatedPower(Metric):
    """Power that leaves the transmit chains, in W."""

    quantity = Quantity("radiated-power", "W", (), "power out of the transmit chains")
    over_band = "power"

    def value(self, link: Link) -> FloatArray:
        """`isacsim.metrics.radiated_power`."""
        return link.sent.power


@frozen
class SubcarrierPower(Metric):
    """Power that leaves the transmit chains on each active subcarrier, in W; the sum over N is that of the samples."""

    quantity = Quantity("subcarrier-power", "W", ("subcarrier",), "power out of the transmit chains on each subcarrier")
    over_band = "own"

    def labels(self, drop: Drop) -> dict[str, Sequence[Any]]:
        """Signed indices of the subcarriers."""
        return _subcarriers(drop)

    def value(self, link: Link) -> FloatArray:
        """`isacsim.link.Transmission.power`; without a grid there is one subcarrier."""
        power = link.sent.power
        return power if isinstance(link, WidebandLink) else power[:, None]


@frozen
class RadiatedSpectrum(Metric):
    """Power that leaves the transmit chains on each of the N bins, those beside the band too, in W."""

    wideband = True
    quantity = Quantity("radiated-spectrum", "W", ("frequency",), "radiated power on each bin")
    over_band = "own"

    def labels(self, drop: Drop) -> dict[str, Sequence[Any]]:
        """Frequencies of the bins from the carrier, in Hz."""
        return {"frequency": whole_band(drop.grid).frequencies.tolist()} if isinstance(drop, WidebandDrop) else {}

    def value(self, link: Link) -> FloatArray:
        """`isacsim.metrics.spectrum.radiated_spectrum`, of all chains together."""
        return np.asarray(_spectrum(link, self.quantity.name).sum(axis=-1))


@frozen
class AdjacentLeakage(Metric):
    """Radiated power beside the active subcarriers over that on them, linear: what hardware regrows."""

    wideband = True
    quantity = Quantity("adjacent-leakage", "1", (), "radiated power beside the band over that within")
    over_band = "own"

    def value(self, link: Link) -> FloatArray:
        """`isacsim.metrics.spectrum.adjacent_leakage`."""
        spectrum = _spectrum(link, self.quantity.name)
        assert isinstance(link, WidebandLink)
        return adjacent_leakage(spectrum, link.grid)


def _spectrum(link: Link, name: str) -> FloatArray:
    if not isinstance(link, WidebandLink):
        raise InvalidInput("metrics", "must have a band, for a spectrum", name, "Add base_station.grid.")
    return radiated_spectrum(link.W, link.transceiver.transmit, link.grid)


@frozen
class Beampattern(Metric):
    """Radiated power toward a grid of azimuths, in W.

    Args:
        azimuth: The grid, in rad.
        zenith: Zenith of the cut, in rad.
    """

    quantity = Quantity("beampattern", "W", ("azimuth",), "radiated power toward each azimuth")
    over_band = "power"
    azimuth: FloatArray = batched(1, default=np.linspace(-np.pi / 2, np.pi / 2, 181), metadata=units.degrees())
    zenith: float = field(default=np.pi / 2, metadata=units.degrees())

    def labels(self, drop: Drop) -> dict[str, Sequence[Any]]:
        """The azimuths, in rad."""
        return {"azimuth": [float(a) for a in self.azimuth]}

    def value(self, link: Link) -> FloatArray:
        """`isacsim.metrics.beampattern`."""
        return power_toward(link.sent, link.drop.tx_array, self.azimuth, self.zenith)


@frozen
class EnergyEfficiency(Metric):
    """Users' and radar rate over the power drawn, in bit/s/Hz/W.

    Args:
        power_model: What base station and users consume.
    """

    quantity = Quantity("energy-efficiency", "bit/s/Hz/W", (), "rate over power drawn")
    power_model: PowerModel = field(factory=ConverterPower)

    def value(self, link: Link) -> FloatArray:
        """`isacsim.metrics.energy_efficiency`."""
        drop = link.drop
        sizes = drop.tx_array.size, drop.rx_array.size, drop.H.shape[-1]
        drawn = self.power_model.consumption(link.transceiver, *sizes, drop.power)
        return energy_efficiency(_sum_rate_bits(link), sqnr(link.echo), drawn)


def _subcarriers(drop: Drop) -> dict[str, Sequence[Any]]:
    return {"subcarrier": [int(i) for i in drop.grid.index]} if isinstance(drop, WidebandDrop) else {}


def _sum_rate_bits(link: Link) -> FloatArray:
    return np.asarray((np.log1p(link.users.sqinr) / np.log(2)).sum(axis=-1))


def _crlb(link: Link, mode: Mode) -> FloatArray:
    if isinstance(link, WidebandLink):  # delays and velocities are known
        targets = parametric("targets", link.drop.targets, "a Cramer-Rao bound")
        if not isinstance(targets, PointTargets):
            raise InvalidInput("targets", "must be point targets on a grid", type(targets).__name__, "Use 'points'.")
        known = ("azimuth", "zenith", "reflection")
        return information_of_band(targets, link.echo.knowing(mode), link.grid, known).bounds
    return information_of(link.drop.targets, link.echo.knowing(mode), link.drop.snapshots).bounds
