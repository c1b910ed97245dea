"""Equalised samples of the users, as they lie in the plane: the constellation that a receiver sees."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from attrs import field, frozen

from isacsim.checks import whole
from isacsim.link import Link, WidebandLink
from isacsim.metrics.components import Quantity
from isacsim.typing import ComplexArray, FloatArray
from isacsim.waveform import ofdm
from isacsim.waveform.base import Experiment
from isacsim.waveform.link import Downlink, Taps
from isacsim.waveform.modulation import QPSK, Constellation, Modulation, modulation
from isacsim.waveform.ofdm_link import OfdmDownlink
from isacsim.waveform.signals import Sources


@frozen
class ReceivedConstellation(Experiment):
    """Samples of each user behind the tap 1/c of the linear model, in units of the symbols sent.

    On a grid they are what lies on the subcarriers, one OFDM symbol behind the other, each behind a tap of its own.

    Args:
        modulation: What the streams carry, as in the experiment ``link``.
        symbols: Number of symbols of each stream.
    """

    wideband: ClassVar[bool | None] = None

    modulation: Modulation = field(default=QPSK, converter=modulation)
    symbols: int = field(default=500, validator=whole(1))

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        """In-phase and quadrature part of each sample."""
        return (
            Quantity("constellation-i", "1", ("user", "symbol"), "in-phase part"),
            Quantity("constellation-q", "1", ("user", "symbol"), "quadrature part"),
        )

    def trial(self, link: Link, rng: np.random.Generator) -> dict[str, FloatArray]:
        """The parts of ``y / c``."""
        if isinstance(link, WidebandLink):
            return self._parts(self._over_band(link, Sources.of(rng)))
        way, sources = Downlink.over(link), Sources.of(rng)
        shape = (1, link.W.shape[-1], self.symbols)
        carried = self.modulation
        if isinstance(carried, Constellation):
            s = carried.modulate(carried.draw_labels(sources.symbols, shape))
        else:
            s = carried.draw(sources.symbols, shape)
        tap = Taps.of(way.predicted.gain, way.predicted.output_power).unbiased
        return self._parts(tap[..., None] * way.samples(s, sources))

    def _over_band(self, link: WidebandLink, sources: Sources) -> ComplexArray:
        """Equalised samples (1, K, symbols) of the subcarriers."""
        way = OfdmDownlink.over(link)[0]
        s = ofdm.symbols(self.modulation, link.W, -(-self.symbols // link.grid.used), sources)
        tap = Taps.of(way.predicted.gain, way.predicted.output_power).unbiased
        z = np.moveaxis(tap[..., None] * way.received(s, sources), -3, -1)  # (1, K, T, F)
        return z.reshape(*z.shape[:-2], -1)[..., : self.symbols]

    @staticmethod
    def _parts(z: ComplexArray) -> dict[str, FloatArray]:
        return {"constellation-i": z.real, "constellation-q": z.imag}
