"""The users' OFDM link at sample level: error rates and SQINR on each subcarrier beside the prediction.

As `isacsim.waveform.link`, subcarrier by subcarrier: ``y[f] = c[f] s[f] + e[f]`` and one tap each. The
channel is the same for all symbols of a trial, and shorter than the prefix.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from attrs import field, frozen

from isacsim.batch import hermitian
from isacsim.checks import choice, whole
from isacsim.drop import Drop
from isacsim.grid import Grid
from isacsim.hardware.base import Transceiver
from isacsim.link import Link, Reception, WidebandLink
from isacsim.metrics.components import Quantity
from isacsim.typing import AnyArray, ComplexArray, FloatArray
from isacsim.waveform import ofdm
from isacsim.waveform.base import Experiment
from isacsim.waveform.link import ERROR_RATES, Tally, Taps, error_rates
from isacsim.waveform.modulation import Constellation, Gaussian, Modulation, modulation
from isacsim.waveform.signals import Sources, blocks


@frozen(eq=False)
class OfdmDownlink:
    """The way from symbols to what the users get on each subcarrier.

    Attributes:
        channel: H^H, shape (..., F, K, N_t), amplitude.
        W: Precoders, shape (..., F, N_t, K+S), in sqrt(W).
        noise_power: Noise of each user, shape (..., K), in W.
        predicted: What the users receive by the linear model of the hardware.
        transceiver: The hardware.
        grid: The grid.
    """

    channel: ComplexArray
    W: ComplexArray
    noise_power: FloatArray
    predicted: Reception
    transceiver: Transceiver
    grid: Grid

    @classmethod
    def over(cls, link: WidebandLink) -> OfdmDownlink:
        """The way of the precoders of a link."""
        noise = np.broadcast_to(link.drop.noise_power, (*link.W.shape[:-3], link.drop.H.shape[-1]))
        return cls(hermitian(link.drop.H), link.W, noise, link.users, link.transceiver, link.grid)

    @property
    def users(self) -> int:
        """Number of users K."""
        return int(self.channel.shape[-2])

    def received(self, s: ComplexArray, sources: Sources) -> ComplexArray:
        """Subcarriers out of the users' receivers, shape (..., F, K, T), in sqrt(W), for symbols (..., F, K+S, T)."""
        arriving = self.channel @ ofdm.radiate(self.W, s, self.grid, self.transceiver.transmit, sources)
        power = ofdm.band_power(self.predicted.power, self.noise_power, self.grid)
        return ofdm.receive("user", self.transceiver.user, arriving, self.grid, self.noise_power, power, sources)

    def send(self, carried: Modulation, count: int, sources: Sources, tap: Any = 0.0) -> Tally:
        """Send OFDM symbols in blocks and sum up what arrives on each subcarrier.

        Args:
            carried: What all streams carry.
            count: Number of OFDM symbols.
            sources: Where symbols, noise and hardware draw from.
            tap: What subcarriers are multiplied by before decisions, broadcast to (..., F, K).
        """
        length = self.grid.subcarriers * max(self.W.shape[-2:])
        total: Tally | None = None
        for each in blocks(count, max(1, ofdm.SAMPLES // length)):
            part = self._block(carried, each, sources, np.asarray(tap)[..., None])
            total = part if total is None else total + part
        assert total is not None  # count is at least 1
        return total

    def _block(self, carried: Modulation, count: int, sources: Sources, tap: AnyArray) -> Tally:
        s = ofdm.symbols(carried, self.W, count, sources)
        y, own = self.received(s, sources), s[..., : self.users, :]
        sent = decided = np.zeros((*y.shape[:-1], 0), np.uint8)
        if isinstance(carried, Constellation):
            sent, decided = carried.decide(own), carried.decide(tap * y)
        return Tally.of(own, y, sent, decided, carried.bits)


@frozen
class OfdmLink(Experiment):
    """Error rates, EVM and SQINR of the users on each subcarrier, measured on samples, beside the prediction.

    Hardware is applied to the samples of all subcarriers, with their prefixes. The prediction is the
    linear model of the hardware, whose distortion is exact on each subcarrier where that of a sample is
    (`isacsim.hardware.spectral`).

    Args:
        modulation: What the streams carry: ``qpsk``, ``qam16``, ``qam64``, ``qam256`` or ``gaussian``.
        symbols: Number of OFDM symbols.
        gain: How a receiver knows its gain on each subcarrier: ``empirical``, from training symbols, or
            ``predicted``, by the linear model.
        training: Number of OFDM symbols for training.
        equaliser: What the error vector is measured behind: ``one-tap``, 1/c, or ``lmmse``.
    """

    wideband = True

    modulation: Modulation = field(factory=Gaussian, converter=modulation)
    symbols: int = field(default=256, validator=whole(2))
    gain: Literal["empirical", "predicted"] = field(default="empirical", validator=choice("empirical", "predicted"))
    training: int = field(default=64, validator=whole(2))
    equaliser: Literal["one-tap", "lmmse"] = field(default="one-tap", validator=choice("one-tap", "lmmse"))

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        """What is measured, and what the linear model predicts of it."""
        band = ("subcarrier", "user")
        always = (
            Quantity("sampled-subcarrier-sqinr", "1", band, "SQINR of each user on each subcarrier, measured"),
            Quantity("predicted-subcarrier-sqinr", "1", band, "SQINR of each user on each subcarrier, predicted"),
            Quantity("sqinr-error-db", "1", (), "mean over users and subcarriers of measured over predicted, in dB"),
            Quantity("subcarrier-evm", "1", band, "error vector magnitude of each user on each subcarrier"),
            Quantity("sampled-sum-rate-nats", "nat/s/Hz", (), "sum rate of the users over the band, measured"),
            Quantity("predicted-sum-rate-nats", "nat/s/Hz", (), "sum rate of the users over the band, predicted"),
        )
        if not isinstance(self.modulation, Constellation):
            return always
        return (*always, *ERROR_RATES)

    def labels(self, drop: Drop) -> dict[str, Any]:
        """Signed indices of the subcarriers."""
        grid: Grid = drop.grid  # type: ignore[attr-defined]  # `check` has seen to it
        return {"subcarrier": [int(i) for i in grid.index]}

    def trial(self, link: Link, rng: np.random.Generator) -> dict[str, FloatArray]:
        """All quantities, from the `Tally` of the trial."""
        assert isinstance(link, WidebandLink)
        way, (early, late) = OfdmDownlink.over(link), rng.spawn(2)
        taps = self.taps(way, Sources.of(early))
        tally = way.send(self.modulation, self.symbols, Sources.of(late), taps.unbiased)
        measured, predicted = tally.sqinr, link.users.sqinr
        served = np.where((measured > 0) & (predicted > 0), measured / np.where(predicted > 0, predicted, 1.0), 1.0)
        found = {
            "sampled-subcarrier-sqinr": measured,
            "predicted-subcarrier-sqinr": predicted,
            "sqinr-error-db": 10 * np.log10(served).mean(axis=(-2, -1)),
            "subcarrier-evm": tally.error_vector_magnitude(taps.lmmse if self.equaliser == "lmmse" else taps.unbiased),
            "sampled-sum-rate-nats": np.log1p(measured).sum(axis=-1).mean(axis=-1),
            "predicted-sum-rate-nats": np.log1p(predicted).sum(axis=-1).mean(axis=-1),
        }
        if isinstance(self.modulation, Constellation):
            each = error_rates(self.modulation, tally.over_subcarriers(), predicted)
            found |= {q.name: each[q.name] for q in self.quantities if q.name in each}
            rate = self.modulation.bit_error_rate(predicted)
            found["predicted-bit-error-rate"] = rate.mean(axis=(-2, -1))
        return found

    def taps(self, way: OfdmDownlink, sources: Sources) -> Taps:
        """The receivers' taps on each subcarrier, from training symbols or from the linear model."""
        if self.gain == "empirical":
            learnt = way.send(self.modulation, self.training, sources)
            return Taps.of(learnt.gain, learnt.received / learnt.sent)
        receiver = way.predicted.receiver
        power = np.abs(receiver.gain) ** 2 * way.predicted.power + receiver.distortion_power
        return Taps.of(way.predicted.gain, power)
