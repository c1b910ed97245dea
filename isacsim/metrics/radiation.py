"""Metrics of the power that is radiated or drawn, under names that scenarios use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from attrs import field, frozen

from isacsim import units
from isacsim.batch import batched
from isacsim.drop import Drop, WidebandDrop
from isacsim.errors import InvalidInput
from isacsim.hardware.power import ConverterPower, PowerModel
from isacsim.link import Link, WidebandLink
from isacsim.metrics.communication import OnSubcarriers, sum_rate_bits_of
from isacsim.metrics.components import Metric, Quantity
from isacsim.metrics.power import energy_efficiency, power_toward
from isacsim.metrics.sensing import sqnr
from isacsim.metrics.spectrum import adjacent_leakage, in_band, mask_limit, radiated_spectrum, whole_band
from isacsim.typing import FloatArray


@frozen
class RadiatedPower(Metric):
    """Power that leaves the transmit chains, in W."""

    quantity = Quantity("radiated-power", "W", (), "power out of the transmit chains")
    over_band = "power"

    def value(self, link: Link) -> FloatArray:
        """`isacsim.metrics.radiated_power`."""
        return link.sent.power


@frozen
class SubcarrierPower(OnSubcarriers):
    """Power that leaves the transmit chains on each active subcarrier, in W; the sum over N is that of the samples."""

    quantity = Quantity("subcarrier-power", "W", ("subcarrier",), "power out of the transmit chains on each subcarrier")

    def of_each(self, link: Link) -> FloatArray:
        """`isacsim.link.Transmission.power`."""
        return link.sent.power


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


@frozen(kw_only=True)
class SpectralMask(Metric):
    """Most power that a spectral mask allows on each of the N bins, in W: a line beside `RadiatedSpectrum`.

    Args:
        offset: Corners of the mask from the carrier, ascending, in Hz.
        limit: What is allowed there over the mean on the active subcarriers, linear: a straight line in decibels
            between corners, level before the first and behind the last.
    """

    wideband = True
    quantity = Quantity("spectral-mask", "W", ("frequency",), "power on each bin that the mask allows")
    over_band = "own"
    offset: FloatArray = batched(1, least=0.0, metadata=units.hertz())
    limit: FloatArray = batched(1, above=0.0, metadata=units.db())

    def __attrs_post_init__(self) -> None:
        if self.offset.ndim > 1 or self.offset.shape != self.limit.shape or np.any(np.diff(self.offset) <= 0):
            got = f"{self.offset.size} offsets and {self.limit.size} limits"
            rule = "must be ascending, with a limit for each"
            raise InvalidInput("offset, limit", rule, got, "Write offset_hz = [1e6, 2e6] and limit_db = [-20, -40].")

    def labels(self, drop: Drop) -> dict[str, Sequence[Any]]:
        """Frequencies of the bins from the carrier, in Hz."""
        return RadiatedSpectrum().labels(drop)

    def value(self, link: Link) -> FloatArray:
        """`isacsim.metrics.spectrum.mask_limit`."""
        spectrum = _spectrum(link, self.quantity.name)
        assert isinstance(link, WidebandLink)
        return mask_limit(spectrum, link.grid, self.offset, self.limit)


@frozen(kw_only=True)
class MaskMargin(SpectralMask):
    """Least distance of the radiated spectrum from a spectral mask beside the active subcarriers, linear.

    Above 1 the mask is kept on every bin.
    """

    quantity = Quantity("mask-margin", "1", (), "least of the mask over the radiated power beside the band")

    def labels(self, drop: Drop) -> dict[str, Sequence[Any]]:
        """None."""
        return {}

    def value(self, link: Link) -> FloatArray:
        """The least over the bins beside the band; infinite where nothing is radiated there."""
        spectrum = _spectrum(link, self.quantity.name)
        assert isinstance(link, WidebandLink)
        beside = np.delete(np.arange(link.grid.subcarriers), in_band(link.grid))
        power = spectrum.sum(axis=-1)[..., beside]
        allowed = mask_limit(spectrum, link.grid, self.offset, self.limit)[..., beside]
        return np.divide(allowed, power, out=np.full(power.shape, np.inf), where=power > 0).min(axis=-1, initial=np.inf)


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
        return energy_efficiency(sum_rate_bits_of(link), sqnr(link.echo), drawn)
