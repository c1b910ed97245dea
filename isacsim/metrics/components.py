"""Metrics under names that scenarios use: thin records around the functions of this folder."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from attrs import field, frozen

from isacsim import units
from isacsim.batch import batched
from isacsim.checks import choice
from isacsim.drop import Drop
from isacsim.hardware.base import Transceiver
from isacsim.hardware.power import ConverterPower, PowerModel
from isacsim.metrics.attainable import sqinr_bound
from isacsim.metrics.fim import crlb
from isacsim.metrics.power import beampattern, energy_efficiency, radiated_power
from isacsim.metrics.rate import rate_nats, sqinr, sum_rate, sum_rate_bits
from isacsim.metrics.sensing import Mode, radar_sqnr, radar_sqnr_combiner, response_crb
from isacsim.targets.scene import PointTargets
from isacsim.typing import ComplexArray, FloatArray


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
    """Judges precoders on realisations, through hardware."""

    @property
    @abstractmethod
    def quantities(self) -> tuple[Quantity, ...]:
        """What it records."""

    def labels(self, drop: Drop) -> dict[str, Sequence[Any]]:
        """Coordinates of the quantities' axes; an axis without an entry is numbered."""
        return {}

    @abstractmethod
    def measure(
        self, W: ComplexArray, drop: Drop, transceiver: Transceiver, rngs: Sequence[np.random.Generator]
    ) -> dict[str, FloatArray]:
        """Values by quantity, each with the leading axis B of the precoders.

        Args:
            W: Precoders, shape (B, N_t, K+S), in sqrt(W).
            drop: The realisations they are judged on.
            transceiver: The hardware they meet.
            rngs: One generator for each of the B trials.
        """


class Metric(Measure):
    """A measure of one quantity in closed form."""

    quantity: ClassVar[Quantity]

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        """The one quantity."""
        return (self.quantity,)

    @abstractmethod
    def value(self, W: ComplexArray, drop: Drop, transceiver: Transceiver) -> FloatArray:
        """The quantity, with leading axis B."""

    def measure(
        self, W: ComplexArray, drop: Drop, transceiver: Transceiver, rngs: Sequence[np.random.Generator]
    ) -> dict[str, FloatArray]:
        """The value, by the quantity's name."""
        return {self.quantity.name: self.value(W, drop, transceiver)}


@frozen
class SumRateNats(Metric):
    """Sum rate of the users, in nat/s/Hz."""

    quantity = Quantity("sum-rate-nats", "nat/s/Hz", (), "sum rate of the users")

    def value(self, W: ComplexArray, drop: Drop, transceiver: Transceiver) -> FloatArray:
        """`isacsim.metrics.sum_rate`."""
        return sum_rate(drop.H, W, drop.noise_power, transceiver)


@frozen
class SumRateBits(Metric):
    """Sum rate of the users, in bit/s/Hz."""

    quantity = Quantity("sum-rate-bits", "bit/s/Hz", (), "sum rate of the users")

    def value(self, W: ComplexArray, drop: Drop, transceiver: Transceiver) -> FloatArray:
        """`isacsim.metrics.sum_rate_bits`."""
        return sum_rate_bits(drop.H, W, drop.noise_power, transceiver)


@frozen
class RateNats(Metric):
    """Rate of each user, in nat/s/Hz."""

    quantity = Quantity("rate-nats", "nat/s/Hz", ("user",), "rate of each user")

    def value(self, W: ComplexArray, drop: Drop, transceiver: Transceiver) -> FloatArray:
        """`isacsim.metrics.rate_nats`."""
        return rate_nats(drop.H, W, drop.noise_power, transceiver)


@frozen
class Sqinr(Metric):
    """Signal-to-quantisation-interference-and-noise ratio of each user, linear."""

    quantity = Quantity("sqinr", "1", ("user",), "SQINR of each user")

    def value(self, W: ComplexArray, drop: Drop, transceiver: Transceiver) -> FloatArray:
        """`isacsim.metrics.sqinr`."""
        return sqinr(drop.H, W, drop.noise_power, transceiver)


@frozen
class MeanSqinr(Metric):
    """Mean of the users' SQINRs, linear: the axis of [Xu25, Fig. 1]."""

    quantity = Quantity("mean-sqinr", "1", (), "mean SQINR of the users")

    def value(self, W: ComplexArray, drop: Drop, transceiver: Transceiver) -> FloatArray:
        """The mean of `isacsim.metrics.sqinr`; NaN without users."""
        values = sqinr(drop.H, W, drop.noise_power, transceiver)
        return values.mean(axis=-1) if values.shape[-1] else np.full(values.shape[:-1], np.nan)


@frozen
class MinSqinr(Metric):
    """The least of the users' SQINRs, linear: what a requirement is compared with."""

    quantity = Quantity("min-sqinr", "1", (), "least SQINR of the users")

    def value(self, W: ComplexArray, drop: Drop, transceiver: Transceiver) -> FloatArray:
        """The least of `isacsim.metrics.sqinr`; infinite without users."""
        values = sqinr(drop.H, W, drop.noise_power, transceiver)
        return np.asarray(values.min(axis=-1, initial=np.inf))


@frozen
class SqinrBound(Metric):
    """The largest SQINR of each user, were it served alone, linear."""

    quantity = Quantity("sqinr-bound", "1", ("user",), "largest SQINR of each user, were it served alone")

    def value(self, W: ComplexArray, drop: Drop, transceiver: Transceiver) -> FloatArray:
        """`isacsim.metrics.sqinr_bound`, which no precoder of the drop's power exceeds."""
        bound = sqinr_bound(drop.H, drop.power, drop.noise_power, transceiver)
        return np.broadcast_to(bound, (len(W), bound.shape[-1]))


@frozen
class CrlbTrace(Metric):
    """Sum of the CRLBs of all target parameters, tr(F^-1): rad^2 and squared amplitudes.

    Args:
        mode: What the sensing receiver knows: ``x``, the digital signal, or ``xq``, also
            what the transmit chains make of it.
    """

    quantity = Quantity("crlb", "1", (), "sum of the CRLBs of all target parameters")
    mode: Mode = field(default="x", validator=choice("x", "xq"))

    def value(self, W: ComplexArray, drop: Drop, transceiver: Transceiver) -> FloatArray:
        """The sum over `isacsim.metrics.crlb`."""
        return np.asarray(_crlb(W, drop, transceiver, self.mode).sum(axis=-1))


@frozen
class CrlbParameters(Metric):
    """CRLB of each target parameter: rad^2 for angles, squared amplitude for reflections.

    Args:
        mode: As for ``crlb``.
    """

    quantity = Quantity("crlb-parameters", "1", ("parameter",), "CRLB of each target parameter")
    mode: Mode = field(default="x", validator=choice("x", "xq"))

    def labels(self, drop: Drop) -> dict[str, Sequence[Any]]:
        """Names of the parameters."""
        return {"parameter": drop.targets.labels} if isinstance(drop.targets, PointTargets) else {}

    def value(self, W: ComplexArray, drop: Drop, transceiver: Transceiver) -> FloatArray:
        """`isacsim.metrics.crlb`."""
        return _crlb(W, drop, transceiver, self.mode)


def _crlb(W: ComplexArray, drop: Drop, transceiver: Transceiver, mode: Mode) -> FloatArray:
    return crlb(drop.targets, W, drop.radar_noise_power, drop.snapshots, transceiver, mode)  # type: ignore[arg-type]


@frozen
class RadarSqnr(Metric):
    """Radar SQNR with the best symbol-dependent combiner, linear."""

    quantity = Quantity("radar-sqnr", "1", (), "radar SQNR, tr(Q^-1 N)")

    def value(self, W: ComplexArray, drop: Drop, transceiver: Transceiver) -> FloatArray:
        """`isacsim.metrics.radar_sqnr`."""
        return radar_sqnr(drop.targets.response(), W, drop.radar_noise_power, transceiver)


@frozen
class RadarSqnrCombiner(Metric):
    """Radar SQNR with the best fixed combiner, linear."""

    quantity = Quantity("radar-sqnr-combiner", "1", (), "radar SQNR of one combiner, lambda_max(Q^-1 N)")

    def value(self, W: ComplexArray, drop: Drop, transceiver: Transceiver) -> FloatArray:
        """`isacsim.metrics.radar_sqnr_combiner`."""
        return radar_sqnr_combiner(drop.targets.response(), W, drop.radar_noise_power, transceiver)


@frozen
class ResponseCrb(Metric):
    """CRB on the target response, summed over its entries: what ``crb-min`` minimises.

    Args:
        mode: As for ``crlb``.
    """

    quantity = Quantity("response-crb", "1", (), "CRB on the target response")
    mode: Mode = field(default="x", validator=choice("x", "xq"))

    def value(self, W: ComplexArray, drop: Drop, transceiver: Transceiver) -> FloatArray:
        """`isacsim.metrics.response_crb`."""
        response = drop.targets.response()
        return response_crb(response, W, drop.radar_noise_power, drop.snapshots, transceiver, self.mode)


@frozen
class RadiatedPower(Metric):
    """Power that leaves the transmit chains, in W."""

    quantity = Quantity("radiated-power", "W", (), "power out of the transmit chains")

    def value(self, W: ComplexArray, drop: Drop, transceiver: Transceiver) -> FloatArray:
        """`isacsim.metrics.radiated_power`."""
        return radiated_power(W, transceiver.transmit)


@frozen
class Beampattern(Metric):
    """Radiated power toward a grid of azimuths, in W.

    Args:
        azimuth: The grid, in rad.
        zenith: Zenith of the cut, in rad.
    """

    quantity = Quantity("beampattern", "W", ("azimuth",), "radiated power toward each azimuth")
    azimuth: Any = batched(1, default=np.linspace(-np.pi / 2, np.pi / 2, 181), metadata=units.degrees())
    zenith: float = field(default=np.pi / 2, metadata=units.degrees())

    def labels(self, drop: Drop) -> dict[str, Sequence[Any]]:
        """The azimuths, in rad."""
        return {"azimuth": [float(a) for a in self.azimuth]}

    def value(self, W: ComplexArray, drop: Drop, transceiver: Transceiver) -> FloatArray:
        """`isacsim.metrics.beampattern`."""
        return beampattern(W, drop.tx_array, self.azimuth, self.zenith, transceiver.transmit)


@frozen
class EnergyEfficiency(Metric):
    """Users' and radar rate over the power drawn, in bit/s/Hz/W.

    Args:
        power_model: What base station and users consume.
    """

    quantity = Quantity("energy-efficiency", "bit/s/Hz/W", (), "rate over power drawn")
    power_model: PowerModel = field(factory=ConverterPower)

    def value(self, W: ComplexArray, drop: Drop, transceiver: Transceiver) -> FloatArray:
        """`isacsim.metrics.energy_efficiency`."""
        sizes = drop.tx_array.size, drop.rx_array.size, drop.H.shape[-1]
        drawn = self.power_model.consumption(transceiver, *sizes, drop.power)
        rate = sum_rate_bits(drop.H, W, drop.noise_power, transceiver)
        return energy_efficiency(
            rate, radar_sqnr(drop.targets.response(), W, drop.radar_noise_power, transceiver), drawn
        )
