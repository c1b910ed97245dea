"""The users' OFDM link at sample level: error rates and SQINR on each subcarrier beside the prediction.

As `isacsim.waveform.link`, subcarrier by subcarrier: ``y[f] = c[f] s[f] + e[f]`` and one tap each. The
channel is the same for all symbols of a trial, and shorter than the prefix.

A single carrier with equalisation in the frequency domain (SC-FDE) is the same with one precoder more: s is the DFT of
the symbols over the subcarriers, and decisions are made behind its inverse. All symbols of a user then have the
SQINR ``1 / mean(1 / SQINR[f])`` behind taps 1/c, and ``1 / mean(1 / (1 + SQINR[f])) - 1`` behind taps of least mean
square error, whose bias is taken off.
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
from isacsim.waveform.pilots import smoothed
from isacsim.waveform.signals import Sources, blocks


@frozen(eq=False)
class Sums:
    """What has arrived, each (..., F, K).

    Attributes:
        subcarriers: On each subcarrier, before any tap.
        symbols: Of the symbols that are decided; of OFDM the same.
    """

    subcarriers: Tally
    symbols: Tally

    def __add__(self, other: Sums) -> Sums:
        on = self.subcarriers + other.subcarriers
        return Sums(on, on if self.symbols is self.subcarriers else self.symbols + other.symbols)


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
        single_carrier: Whether symbols are spread over the subcarriers.
    """

    channel: ComplexArray
    W: ComplexArray
    noise_power: FloatArray
    predicted: Reception
    transceiver: Transceiver
    grid: Grid
    single_carrier: bool = False

    @classmethod
    def over(cls, link: WidebandLink, single_carrier: bool = False) -> OfdmDownlink:
        """The way of the precoders of a link."""
        noise = np.broadcast_to(link.drop.noise_power, (*link.W.shape[:-3], link.drop.H.shape[-1]))
        return cls(hermitian(link.drop.H), link.W, noise, link.users, link.transceiver, link.grid, single_carrier)

    @property
    def users(self) -> int:
        """Number of users K."""
        return int(self.channel.shape[-2])

    def received(self, s: ComplexArray, sources: Sources) -> ComplexArray:
        """Subcarriers out of the users' receivers, shape (..., F, K, T), in sqrt(W), for symbols (..., F, K+S, T)."""
        arriving = self.channel @ ofdm.radiate(self.W, s, self.grid, self.transceiver.transmit, sources)
        power = ofdm.band_power(self.predicted.power, self.noise_power, self.grid)
        return ofdm.receive("user", self.transceiver.user, arriving, self.grid, self.noise_power, power, sources)

    def send(self, carried: Modulation, count: int, sources: Sources, tap: Any = 0.0) -> Sums:
        """Send OFDM symbols in blocks and sum up what arrives on each subcarrier.

        Args:
            carried: What all streams carry.
            count: Number of OFDM symbols.
            sources: Where symbols, noise and hardware draw from.
            tap: What subcarriers are multiplied by before decisions, broadcast to (..., F, K).
        """
        length = self.grid.subcarriers * max(self.W.shape[-2:])
        total: Sums | None = None
        for each in blocks(count, max(1, ofdm.SAMPLES // length)):
            part = self._block(carried, each, sources, np.asarray(tap)[..., None])
            total = part if total is None else total + part
        assert total is not None  # count is at least 1
        return total

    def _block(self, carried: Modulation, count: int, sources: Sources, tap: AnyArray) -> Sums:
        d = ofdm.symbols(carried, self.W, count, sources)
        s = ofdm.spread(d) if self.single_carrier else d
        y, users = self.received(s, sources), slice(self.users)
        z = ofdm.despread(tap * y) if self.single_carrier else y
        sent = decided = unlabelled = np.zeros((*y.shape[:-1], 0), np.uint8)
        if isinstance(carried, Constellation):
            sent, decided = carried.decide(d[..., users, :]), carried.decide(z if self.single_carrier else tap * y)
        if not self.single_carrier:
            on = Tally.of(s[..., users, :], y, sent, decided, carried.bits)
            return Sums(on, on)
        on = Tally.of(s[..., users, :], y, unlabelled, unlabelled, carried.bits)
        return Sums(on, Tally.of(d[..., users, :], z, sent, decided, carried.bits))


@frozen
class OfdmLink(Experiment):
    """Error rates, EVM and SQINR of the users on each subcarrier, measured on samples, beside the prediction.

    Hardware is applied to the samples of all subcarriers, with their prefixes. The prediction is the
    linear model of the hardware, whose distortion is exact on each subcarrier where that of a sample is
    (`isacsim.hardware.spectral`).

    Args:
        modulation: What the streams carry: ``qpsk``, ``qam16``, ``qam64``, ``qam256`` or ``gaussian``.
        symbols: Number of OFDM symbols.
        gain: How a receiver knows its gain on each subcarrier: ``empirical``, from training symbols by least
            squares; ``smoothed``, the same with the least mean square error over the band, for paths within
            the prefix (it suits precoders that are alike on neighbouring subcarriers); or ``predicted``, by the linear
            model, which stands for a perfect one.
        training: Number of OFDM symbols for training.
        equaliser: What the error vector is measured behind, and a single carrier is decided behind: ``one-tap``, 1/c,
            or ``lmmse``.
        waveform: ``ofdm``, or ``sc-fde``, a single carrier: symbols are spread by a DFT over the active subcarriers,
            and decided behind its inverse. The prediction takes what converters and amplifiers meet for Gaussian,
            which a single carrier of few levels is not.
    """

    wideband = True

    modulation: Modulation = field(factory=Gaussian, converter=modulation)
    symbols: int = field(default=256, validator=whole(2))
    gain: Literal["empirical", "smoothed", "predicted"] = field(
        default="empirical", validator=choice("empirical", "smoothed", "predicted")
    )
    training: int = field(default=64, validator=whole(2))
    equaliser: Literal["one-tap", "lmmse"] = field(default="one-tap", validator=choice("one-tap", "lmmse"))
    waveform: Literal["ofdm", "sc-fde"] = field(default="ofdm", validator=choice("ofdm", "sc-fde"))

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        """What is measured, and what the linear model predicts of it."""
        band = ("subcarrier", "user")
        always: tuple[Quantity, ...] = (
            Quantity("sampled-subcarrier-sqinr", "1", band, "SQINR of each user on each subcarrier, measured"),
            Quantity("predicted-subcarrier-sqinr", "1", band, "SQINR of each user on each subcarrier, predicted"),
            Quantity("sqinr-error-db", "1", (), "mean over users and subcarriers of measured over predicted, in dB"),
            Quantity("subcarrier-evm", "1", band, "error vector magnitude of each user on each subcarrier"),
            Quantity("sampled-sum-rate-nats", "nat/s/Hz", (), "sum rate of the users over the band, measured"),
            Quantity("predicted-sum-rate-nats", "nat/s/Hz", (), "sum rate of the users over the band, predicted"),
        )
        if self.waveform == "sc-fde":
            always += (
                Quantity("symbol-sqinr", "1", ("user",), "SQINR of each user's symbols, measured"),
                Quantity("predicted-symbol-sqinr", "1", ("user",), "SQINR of each user's symbols, predicted"),
            )
        return (*always, *ERROR_RATES) if isinstance(self.modulation, Constellation) else always

    def labels(self, drop: Drop) -> dict[str, Any]:
        """Signed indices of the subcarriers."""
        grid: Grid = drop.grid  # type: ignore[attr-defined]  # `check` has seen to it
        return {"subcarrier": [int(i) for i in grid.index]}

    def trial(self, link: Link, rng: np.random.Generator) -> dict[str, FloatArray]:
        """All quantities, from the `Tally` of the trial."""
        assert isinstance(link, WidebandLink)
        way, (early, late) = OfdmDownlink.over(link, self.waveform == "sc-fde"), rng.spawn(2)
        taps = self.taps(way, Sources.of(early))
        sums = way.send(self.modulation, self.symbols, Sources.of(late), self._deciding(taps))
        tally = sums.subcarriers
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
        decided, expected = sums.symbols.over_subcarriers(), self._symbol_sqinr(predicted)
        if self.waveform == "sc-fde":
            found |= {"symbol-sqinr": decided.sqinr, "predicted-symbol-sqinr": expected[..., 0, :]}
        if isinstance(self.modulation, Constellation):
            each = error_rates(self.modulation, decided, expected)
            found |= {q.name: each[q.name] for q in self.quantities if q.name in each}
            found["predicted-bit-error-rate"] = self.modulation.bit_error_rate(expected).mean(axis=(-2, -1))
        return found

    def _symbol_sqinr(self, sqinr: FloatArray) -> FloatArray:
        """SQINR of what is decided, (..., F, K), or, of all symbols of a single carrier, (..., 1, K)."""
        if self.waveform == "ofdm":
            return sqinr
        if self.equaliser == "lmmse":
            return np.asarray(1 / (1 / (1 + sqinr)).mean(axis=-2, keepdims=True) - 1)
        with np.errstate(divide="ignore"):
            return np.asarray(1 / (1 / sqinr).mean(axis=-2, keepdims=True))

    def _deciding(self, taps: Taps) -> ComplexArray:
        """The taps before decisions: without bias on each subcarrier, or, of a single carrier, over the band."""
        if self.waveform == "ofdm" or self.equaliser == "one-tap":
            return taps.unbiased
        kept = np.divide(taps.lmmse, taps.unbiased, out=np.zeros_like(taps.lmmse), where=taps.unbiased != 0)
        bias = kept.mean(axis=-2, keepdims=True)
        return np.divide(taps.lmmse, bias, out=np.zeros_like(taps.lmmse), where=bias != 0)

    def taps(self, way: OfdmDownlink, sources: Sources) -> Taps:
        """The receivers' taps on each subcarrier, from training symbols or from the linear model."""
        if self.gain != "predicted":
            learnt = way.send(self.modulation, self.training, sources).subcarriers
            gain = smoothed(learnt, way.grid) if self.gain == "smoothed" else learnt.gain
            return Taps.of(gain, learnt.received / learnt.sent)
        receiver = way.predicted.receiver
        power = np.abs(receiver.gain) ** 2 * way.predicted.power + receiver.distortion_power
        return Taps.of(way.predicted.gain, power)
