"""The users' OFDM link at sample level: error rates and SQINR on each subcarrier beside the prediction.

As `isacsim.waveform.link`, subcarrier by subcarrier: ``y[f] = c[f] s[f] + e[f]`` and one tap each.

A single carrier with equalisation in the frequency domain (SC-FDE) is the same with one precoder more: s is the DFT of
the symbols over the subcarriers, and decisions are made behind its inverse. All symbols of a user then have the
SQINR ``1 / mean(1 / SQINR[f])`` behind taps 1/c, and ``1 / mean(1 / (1 + SQINR[f])) - 1`` behind taps of least mean
square error, whose bias is taken off.
"""

from __future__ import annotations

from functools import reduce
from operator import add
from typing import Any, ClassVar, Literal, cast

import attrs
import numpy as np
from attrs import field, frozen

from isacsim.batch import hermitian, squared
from isacsim.channels.late_paths import LatePaths
from isacsim.checks import choice, instance, whole
from isacsim.drop import Drop, WidebandDrop
from isacsim.grid import Grid
from isacsim.hardware.base import Transceiver
from isacsim.hardware.chain import map_within
from isacsim.link import Link, Reception, WidebandLink, band_reception
from isacsim.metrics.components import Quantity
from isacsim.typing import AnyArray, ComplexArray, FloatArray
from isacsim.waveform import ofdm
from isacsim.waveform.arriving import DRAWN, Composition, cumulants, products, refined
from isacsim.waveform.base import Experiment
from isacsim.waveform.link import ERROR_RATES, Tally, Taps, error_rates, over
from isacsim.waveform.modulation import Constellation, Gaussian, Modulation, modulation
from isacsim.waveform.pilots import smoothed
from isacsim.waveform.signals import Sources, blocks


@frozen(eq=False)
class Sums:
    """What has arrived, each (..., F, K).

    Attributes:
        subcarriers: On each subcarrier, before any tap.
        symbols: Of the symbols that are decided; of OFDM the same.
        powers: Sums over the samples that arrive, without noise, of their second and fourth power, (2, ..., K).
    """

    subcarriers: Tally
    symbols: Tally
    powers: FloatArray

    def __add__(self, other: Sums) -> Sums:
        on = self.subcarriers + other.subcarriers
        symbols = on if self.symbols is self.subcarriers else self.symbols + other.symbols
        return Sums(on, symbols, self.powers + other.powers)

    def behind(self, tap: ComplexArray) -> Sums:
        """The same, where subcarriers have passed a tap (..., F, K) before they are summed up."""
        on = self.subcarriers.behind(tap)
        return Sums(on, on if self.symbols is self.subcarriers else self.symbols, self.powers)


def bodies(Y: ComplexArray, grid: Grid) -> ComplexArray:
    """Samples of bodies of the active subcarriers Y (..., F, K, T), shape (..., N, K, T), in sqrt(W)."""
    return np.asarray(np.fft.ifft(grid.spread(Y, -3), axis=-3, norm="ortho"))


def sample_powers(Y: ComplexArray, grid: Grid) -> FloatArray:
    """Sums over the samples of bodies Y (..., F, K, T) of their second and fourth power, (2, ..., K), in W and W^2."""
    power = squared(bodies(Y, grid))
    return np.stack([power.sum(axis=(-3, -1)), (power * power).sum(axis=(-3, -1))])


@frozen(eq=False)
class OfdmDownlink:
    """The way from symbols to what the users get on each subcarrier.

    Attributes:
        channel: H^H, shape (..., F, K, N_t), amplitude.
        W: Precoders, shape (..., F, N_t, K+S), in sqrt(W).
        noise_power: Noise of each user, shape (..., K), in W.
        linear: What the users receive by the linear model of the hardware, which gain controls are set by.
        predicted: The same, or what `beyond_covariance` makes of it.
        transceiver: The hardware.
        grid: The grid.
        single_carrier: Whether symbols are spread over the subcarriers.
        slope: Derivative of the channel in time, of its shape, in 1/s; None where it stays.
        late: Paths of the channel that are longer than the prefix; None where there are none.
    """

    channel: ComplexArray
    W: ComplexArray
    noise_power: FloatArray
    linear: Reception
    predicted: Reception
    transceiver: Transceiver
    grid: Grid
    single_carrier: bool = False
    slope: ComplexArray | None = None
    late: LatePaths | None = None

    @classmethod
    def over(cls, link: WidebandLink, single_carrier: bool = False) -> list[OfdmDownlink]:
        """The ways of the precoders of a link: of each symbol of a burst, or one where the channel stays."""
        drop, W, chains, grid = cast(WidebandDrop, link.drop), link.W, link.transceiver, link.grid
        noise = np.broadcast_to(drop.noise_power, (*W.shape[:-3], drop.H.shape[-1]))
        if drop.motion is None:
            return [cls(hermitian(drop.H), W, noise, link.users, link.users, chains, grid, single_carrier)]
        ways = []
        for symbol in range(drop.motion.symbols):
            H, slope = drop.motion.at(grid, symbol)
            leaked, late = ofdm.leaked(link.sent.power_along(slope), grid), drop.motion.late(grid, symbol)
            linear = band_reception(H, link.sent, noise, chains, grid, leaked, late)
            turns = hermitian(slope) if slope.any() else None
            ways.append(cls(hermitian(H), W, noise, linear, linear, chains, grid, single_carrier, turns, late))
        return ways

    @property
    def heard(self) -> ComplexArray:
        """What a body has of the channels, shape (..., F, N_t, K): less than all of paths longer than the prefix."""
        H = hermitian(self.channel)
        return H if self.late is None else H - self.late.lost()

    @property
    def users(self) -> int:
        """Number of users K."""
        return int(self.channel.shape[-2])

    def received(self, s: ComplexArray, sources: Sources) -> ComplexArray:
        """Subcarriers out of the users' receivers, shape (..., F, K, T), in sqrt(W), for symbols (..., F, K+S, T)."""
        return self._out(self._arriving(s, sources), sources)

    def kurtosis(self, sums: Sums) -> FloatArray:
        """Of the samples at each receiver with their noise, ``E|y|^4 / (E|y|^2)^2``, shape (..., K)."""
        count = sums.subcarriers.symbols * self.grid.subcarriers
        second, fourth = sums.powers / count
        with_noise = fourth + 4 * second * self.noise_power + 2 * self.noise_power**2
        return np.asarray(with_noise / (second + self.noise_power) ** 2)

    def _arriving(self, s: ComplexArray, sources: Sources) -> ComplexArray:
        """Subcarriers at the users' antennas without noise, shape (..., F, K, T), in sqrt(W)."""
        return self.over_channel(ofdm.radiate(self.W, s, self.grid, self.transceiver.transmit, sources))

    def over_channel(self, x: ComplexArray) -> ComplexArray:
        """Subcarriers at the users without noise, (..., F, K, T), for those out of the chains (..., F, N_t, T)."""
        arriving = self.channel @ x
        if self.slope is not None:
            arriving += ofdm.drifted(self.slope @ x, self.grid)
        if self.late is not None:
            arriving += self.late.spilled(x)
        return np.asarray(arriving)

    def _out(self, arriving: ComplexArray, sources: Sources) -> ComplexArray:
        power = ofdm.band_power(self.linear.power, self.noise_power, self.grid)
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
        early = int(self.late is not None)  # a symbol before the first
        d = ofdm.symbols(carried, self.W, early + count, sources)
        s = ofdm.spread(d) if self.single_carrier else d
        arriving, users = self._arriving(s, sources)[..., early:], slice(self.users)
        d, s = d[..., early:], s[..., early:]
        y, powers = self._out(arriving, sources), sample_powers(arriving, self.grid)
        z = ofdm.despread(tap * y) if self.single_carrier else y
        sent = decided = unlabelled = np.zeros((*y.shape[:-1], 0), np.uint8)
        if isinstance(carried, Constellation):
            sent, decided = carried.decide(d[..., users, :]), carried.decide(z if self.single_carrier else tap * y)
        if not self.single_carrier:
            on = Tally.of(s[..., users, :], y, sent, decided, carried.bits)
            return Sums(on, on, powers)
        on = Tally.of(s[..., users, :], y, unlabelled, unlabelled, carried.bits)
        return Sums(on, Tally.of(d[..., users, :], z, sent, decided, carried.bits), powers)


def beyond_covariance(ways: list[OfdmDownlink], link: WidebandLink) -> list[OfdmDownlink]:
    """The ways of a link, whose prediction knows the fourth cumulants of what arrives (`isacsim.waveform.arriving`)."""
    W, chains, grid, sent = link.W, link.transceiver, link.grid, link.sent
    device = map_within(chains.user)
    if chains.transmit.is_ideal or device.is_ideal:
        return ways
    distortion = [sent.distortion_along(way.heard) for way in ways]
    at = [Composition.of(way.linear, D, way.noise_power, grid) for way, D in zip(ways, distortion, strict=True)]
    sums: list[Any] = [0.0] * len(ways)
    # A seed of its own: the law of what arrives belongs to the link, and all members are tried with the same symbols.
    sources, count = Sources.of(np.random.default_rng(0)), -(-DRAWN // grid.subcarriers)
    first, early = W[(0,) * (W.ndim - 3)], int(any(way.late is not None for way in ways))
    for each in blocks(count, max(1, ofdm.SAMPLES // (grid.subcarriers * max(W.shape[-2:])))):
        s = ofdm.symbols(Gaussian(), first, early + each, sources)
        x, u = ofdm.radiate(W, s, grid, chains.transmit, sources), sent.precoder @ s
        for i, way in enumerate(ways):
            y, linear = (bodies(way.over_channel(z)[..., early:], grid) for z in (x, u))
            sums[i] = sums[i] + products(y, linear, at[i])
    kappa = [cumulants(each, count * grid.subcarriers) for each in sums]
    return [
        attrs.evolve(way, predicted=refined(way.linear, D, way.noise_power, device, grid, k))
        for way, D, k in zip(ways, distortion, kappa, strict=True)
    ]


BURST = (
    Quantity("sampled-burst-rate-nats", "nat/s/Hz", ("symbol",), "sum rate of the users in each symbol, measured"),
    Quantity("predicted-burst-rate-nats", "nat/s/Hz", ("symbol",), "sum rate of the users in each symbol, predicted"),
)


def _rate(sqinr: FloatArray) -> FloatArray:
    """Sum rate over the band, shape (...), in nat/s/Hz, of SQINRs (..., F, K)."""
    return np.asarray(np.log1p(sqinr).sum(axis=-1).mean(axis=-1))


def _harmonic(sqinr: FloatArray, axis: int, keepdims: bool = False) -> FloatArray:
    """Harmonic mean along an axis: that of noises behind taps 1/c."""
    if sqinr.shape[axis] == 1:
        return sqinr if keepdims else sqinr.squeeze(axis)
    with np.errstate(divide="ignore"):
        return np.asarray(1 / (1 / sqinr).mean(axis=axis, keepdims=keepdims))


@frozen
class OfdmLink(Experiment):
    """Error rates, EVM and SQINR of the users on each subcarrier, measured on samples, beside the prediction.

    Hardware is applied to the samples of all subcarriers, with their prefixes. The prediction is the
    linear model of the hardware, whose distortion is exact on each subcarrier where that of a sample is
    (`isacsim.hardware.spectral`).

    The linear model takes what meets a device for Gaussian. Behind transmit chains that distort, samples at the users
    are not: all antennas send functions of the same few streams. ``received-kurtosis`` is below the 2 of Gaussian
    samples then, and users with converters of few bits do better: by 0.4 dB where it is 0.28 below, with two streams
    and one bit on both sides. The prediction knows fourth cumulants of what arrives (`isacsim.waveform.arriving`), and
    is within 0.1 dB in the mean; metrics of a design, such as ``subcarrier-sqinr``, are those of the linear model.

    Paths longer than the prefix bring the end of the symbol before, and lose the orthogonality of subcarriers, in
    samples and prediction (`isacsim.channels.late_paths`). Those of recorded channels count as if it covered them.

    Where users move, the channel turns from symbol to symbol of the burst of the grid, and within a body by a straight
    line, by which subcarriers leak into others. Precoders stay those of the channel of the first symbol, where
    training is sent too; receivers follow their own gain from there, as pilots let them. Quantities are over the whole
    burst.

    Args:
        modulation: What the streams carry: ``qpsk``, ``qam16``, ``qam64``, ``qam256`` or ``gaussian``.
        symbols: Number of OFDM symbols; where users move, in whole bursts.
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
        burst: Whether rates are recorded for each symbol of the burst too. Those measured are of few symbols each, and
            n of them show an SQINR g larger by (1 + 2 g)/n in the mean.
    """

    wideband = True
    component_version: ClassVar[int] = 2  # the prediction knows fourth cumulants of what arrives

    modulation: Modulation = field(factory=Gaussian, converter=modulation)
    symbols: int = field(default=256, validator=whole(2))
    gain: Literal["empirical", "smoothed", "predicted"] = field(
        default="empirical", validator=choice("empirical", "smoothed", "predicted")
    )
    training: int = field(default=64, validator=whole(2))
    equaliser: Literal["one-tap", "lmmse"] = field(default="one-tap", validator=choice("one-tap", "lmmse"))
    waveform: Literal["ofdm", "sc-fde"] = field(default="ofdm", validator=choice("ofdm", "sc-fde"))
    burst: bool = field(default=False, validator=instance(bool))

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
            Quantity("received-kurtosis", "1", ("user",), "kurtosis of the samples at each user's converters"),
        )
        if self.waveform == "sc-fde":
            always += (
                Quantity("symbol-sqinr", "1", ("user",), "SQINR of each user's symbols, measured"),
                Quantity("predicted-symbol-sqinr", "1", ("user",), "SQINR of each user's symbols, predicted"),
            )
        always += BURST if self.burst else ()
        return (*always, *ERROR_RATES) if isinstance(self.modulation, Constellation) else always

    def labels(self, drop: Drop) -> dict[str, Any]:
        """Signed indices of the subcarriers, and places of the symbols in a burst."""
        grid: Grid = drop.grid  # type: ignore[attr-defined]  # `check` has seen to it
        symbols = {"symbol": list(range(grid.symbols))} if self.burst else {}
        return {"subcarrier": [int(i) for i in grid.index], **symbols}

    def trial(self, link: Link, rng: np.random.Generator) -> dict[str, FloatArray]:
        """All quantities, from the `Tally` of the trial."""
        assert isinstance(link, WidebandLink)
        ways, (early, late) = beyond_covariance(OfdmDownlink.over(link, self.waveform == "sc-fde"), link), rng.spawn(2)
        taps, sources = self.taps(ways[0], Sources.of(early)), Sources.of(late)
        each = [self._sent(way, ways[0], taps, -(-self.symbols // len(ways)), sources) for way in ways]
        sums, every = reduce(add, each), np.stack([way.predicted.sqinr for way in ways])
        tally, measured, predicted = sums.subcarriers, sums.subcarriers.sqinr, _harmonic(every, 0)
        served = np.where((measured > 0) & (predicted > 0), measured / np.where(predicted > 0, predicted, 1.0), 1.0)
        found = {
            "sampled-subcarrier-sqinr": measured,
            "predicted-subcarrier-sqinr": predicted,
            "sqinr-error-db": 10 * np.log10(served).mean(axis=(-2, -1)),
            "subcarrier-evm": tally.error_vector_magnitude(taps.lmmse if self.equaliser == "lmmse" else taps.unbiased),
            "sampled-sum-rate-nats": _rate(measured),
            "predicted-sum-rate-nats": _rate(predicted),
            "received-kurtosis": np.mean([way.kurtosis(part) for way, part in zip(ways, each, strict=True)], axis=0),
        }
        if self.burst:
            rates = np.stack([part.subcarriers.sqinr for part in each]), every
            shape = (*predicted.shape[:-2], link.grid.symbols)
            for name, rate in zip(BURST, rates, strict=True):
                found[name.name] = np.array(np.broadcast_to(np.moveaxis(_rate(rate), 0, -1), shape))
        decided, expected = sums.symbols.over_subcarriers(), self._symbol_sqinr(every)
        if self.waveform == "sc-fde":
            found |= {"symbol-sqinr": decided.sqinr, "predicted-symbol-sqinr": _harmonic(expected, 0)[..., 0, :]}
        if isinstance(self.modulation, Constellation):
            rates_of = error_rates(self.modulation, decided, predicted)
            found |= {q.name: rates_of[q.name] for q in self.quantities if q.name in rates_of}
            found["predicted-bit-error-rate"] = self.modulation.bit_error_rate(expected).mean(axis=(0, -2, -1))
        return found

    def _sent(self, way: OfdmDownlink, first: OfdmDownlink, taps: Taps, count: int, sources: Sources) -> Sums:
        """What arrives of one symbol of a burst at receivers that follow their gains from the first."""
        if way is first:
            return way.send(self.modulation, count, sources, self._deciding(taps))
        turn = over(first.predicted.gain, way.predicted.gain)
        return way.send(self.modulation, count, sources, self._deciding(taps) * turn).behind(turn)

    def _symbol_sqinr(self, sqinr: FloatArray) -> FloatArray:
        """SQINR of what is decided, (..., F, K), or, of all symbols of a single carrier, (..., 1, K)."""
        if self.waveform == "ofdm":
            return sqinr
        if self.equaliser == "lmmse":
            return np.asarray(1 / (1 / (1 + sqinr)).mean(axis=-2, keepdims=True) - 1)
        return _harmonic(sqinr, -2, keepdims=True)

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
