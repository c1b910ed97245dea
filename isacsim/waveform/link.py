"""The users' link at sample level: bits in, decisions out, through the very hardware.

The samples of user k are decomposed onto its own symbols, ``y = c s + e`` with e
uncorrelated with s (Bussgang). Its receiver knows c, from training symbols or from the
linear model of the hardware, and equalises with one tap. What is measured are sums over
the symbols (`Tally`), which take the same memory for any number of them.

Beside each measured quantity stands what the linear model predicts. The two differ: the
model takes the distortion of different transmit chains for uncorrelated, and distortion
and interference for Gaussian.
"""

from __future__ import annotations

from typing import Any, Literal

import attrs
import numpy as np
from attrs import field, frozen

from isacsim.batch import hermitian, squared
from isacsim.checks import choice, whole
from isacsim.hardware.base import Transceiver
from isacsim.link import Link, Reception, transmission
from isacsim.metrics.components import Quantity
from isacsim.typing import AnyArray, ComplexArray, FloatArray, IntArray
from isacsim.waveform.base import Experiment
from isacsim.waveform.intervals import wilson
from isacsim.waveform.modulation import Constellation, Gaussian, Modulation, bit_errors, modulation
from isacsim.waveform.signals import Sources, blocks, radiate, receive

SAMPLES = 2**15  # samples over all transmit chains that are held at once: 512 KiB, about a second-level cache
LARGEST = 2.0**50  # SQINR above which a residual cannot be told from rounding
NORMAL_95 = 1.959963984540054  # two-sided 95 % quantile of the standard normal
# Of links of symbols that carry bits.
ERROR_RATES = (
    Quantity("bit-error-rate", "1", (), "bit error rate, measured"),
    Quantity("bit-error-rate-low", "1", (), "lower end of the 95 % interval of the bit error rate"),
    Quantity("bit-error-rate-high", "1", (), "upper end of the 95 % interval of the bit error rate"),
    Quantity("predicted-bit-error-rate", "1", (), "bit error rate, predicted"),
    Quantity("symbol-error-rate", "1", (), "symbol error rate over all users"),
    Quantity("user-bit-error-rate", "1", ("user",), "bit error rate of each user"),
)


@frozen(eq=False)
class Downlink:
    """The way from symbols to the users' samples, for one precoder.

    Attributes:
        channel: H^H, shape (..., K, N_t), amplitude; user k receives ``h_k^H x_q + n_k``.
        W: Precoder, shape (..., N_t, K+S), in sqrt(W); the first K columns are the users'.
        noise_power: Noise of each user, shape (..., K), in W.
        predicted: What the users receive by the linear model of the hardware; their gain controls
            are set to the power that it has arrive.
        transceiver: The hardware.
    """

    channel: ComplexArray
    W: ComplexArray
    noise_power: FloatArray
    predicted: Reception
    transceiver: Transceiver

    @classmethod
    def of(cls, H: Any, W: Any, noise_power: Any, transceiver: Transceiver) -> Downlink:
        """The way of a precoder W (..., N_t, K+S), in sqrt(W), over the channels H (..., N_t, K)."""
        predicted = Reception.of(H, transmission(W, transceiver), noise_power, transceiver.user)
        noise = np.broadcast_to(np.asarray(noise_power, float), predicted.signal.shape)
        return cls(hermitian(np.asarray(H, complex)), np.asarray(W, complex, order="C"), noise, predicted, transceiver)

    @classmethod
    def over(cls, link: Link) -> Downlink:
        """The way of the precoders of a link."""
        noise = np.broadcast_to(link.drop.noise_power, link.users.signal.shape)
        return cls(hermitian(link.drop.H), link.W, noise, link.users, link.transceiver)

    @property
    def users(self) -> int:
        """Number of users K."""
        return int(self.channel.shape[-2])

    def samples(self, symbols: ComplexArray, sources: Sources) -> ComplexArray:
        """Samples out of the users' receivers, shape (..., K, L), in sqrt(W), for symbols (..., K+S, L)."""
        arriving = self.channel @ radiate(self.W, symbols, self.transceiver.transmit, sources)
        return receive("user", self.transceiver.user, arriving, self.noise_power, self.predicted.power, sources)


@frozen(eq=False)
class Tally:
    """Sums over the symbols of each user; those of two blocks, or trials, add up.

    Attributes:
        symbols: Number of symbols of each user.
        cross: Sum of y s*, shape (..., K).
        sent: Sum of |s|^2, shape (..., K).
        received: Sum of |y|^2, shape (..., K).
        bit_errors: How often each bit of a symbol was decided wrongly, shape (..., K, bits).
        symbol_errors: Symbols that were, shape (..., K).
    """

    symbols: int
    cross: ComplexArray
    sent: FloatArray
    received: FloatArray
    bit_errors: IntArray
    symbol_errors: IntArray

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.symbols + other.symbols,
            self.cross + other.cross,
            self.sent + other.sent,
            self.received + other.received,
            self.bit_errors + other.bit_errors,
            self.symbol_errors + other.symbol_errors,
        )

    def over_subcarriers(self) -> Tally:
        """The sums over the axis of the subcarriers too, where there is one before the users, (..., F, K)."""
        added = {f: getattr(self, f).sum(axis=-2) for f in ("cross", "sent", "received", "symbol_errors")}
        wrong = self.bit_errors.sum(axis=-3)
        return Tally(symbols=self.symbols * self.cross.shape[-2], bit_errors=wrong, **added)

    def behind(self, tap: ComplexArray) -> Tally:
        """The sums behind a tap (..., K)."""
        return attrs.evolve(self, cross=self.cross * tap, received=self.received * squared(tap))

    @classmethod
    def of(cls, s: ComplexArray, y: ComplexArray, sent: AnyArray, decided: AnyArray, bits: int) -> Tally:
        """The sums over symbols s, samples y and the labels sent and decided, each (..., K, L)."""
        missed = np.sum(sent != decided, axis=-1)
        return cls(y.shape[-1], _dot(s, y), _energy(s), _energy(y), bit_errors(sent, decided, bits), missed)

    @property
    def gain(self) -> ComplexArray:
        """Empirical gain c = mean(y s*) / mean|s|^2, shape (..., K), in sqrt(W)."""
        return over(self.cross, self.sent)

    @property
    def sqinr(self) -> FloatArray:
        """Empirical SQINR |c|^2 mean|s|^2 / mean|e|^2, shape (..., K), linear.

        It is at most `LARGEST`, beyond which rounding hides the residual e. Where y is
        Gaussian and the SQINR is g, n symbols estimate it with a bias of (1 + 2 g) / (n - 2)
        and a standard deviation of about sqrt((2 g (1 + g) + 1 / n) / n).
        """
        explained = over(squared(self.cross), self.sent)
        return over(explained, np.maximum(self.received - explained, explained / LARGEST))

    def error_vector_magnitude(self, tap: ComplexArray) -> FloatArray:
        """Root of mean|f y - s|^2 over mean|s|^2 behind the tap f (..., K), shape (..., K), linear."""
        error = squared(tap) * self.received - 2 * (tap * self.cross).real + self.sent
        return np.sqrt(over(np.maximum(error, 0.0), self.sent))


def over(a: AnyArray, b: AnyArray) -> AnyArray:
    """a/b, zero where b is."""
    shape = np.broadcast_shapes(np.shape(a), np.shape(b))
    return np.divide(a, b, out=np.zeros(shape, np.result_type(a, b)), where=b != 0)


def _dot(s: ComplexArray, y: ComplexArray) -> ComplexArray:
    return np.asarray((np.conj(s)[..., None, :] @ y[..., None])[..., 0, 0])


def _energy(z: ComplexArray) -> FloatArray:
    real = np.asarray(z, complex, order="C").view(float)
    return np.asarray((real[..., None, :] @ real[..., None])[..., 0, 0])


@frozen(eq=False)
class Taps:
    """What the users' receivers multiply their samples by, each (..., K), in 1/sqrt(W).

    Attributes:
        unbiased: 1/c, behind which the gain of the own symbols is one: for decisions.
        lmmse: The tap of least mean square error, ``mean(s y*) / mean|y|^2``.
    """

    unbiased: ComplexArray
    lmmse: ComplexArray

    @classmethod
    def of(cls, gain: ComplexArray, received: FloatArray) -> Taps:
        """The taps for a gain c (..., K) and a power (..., K) of samples, in W; zero for a user without gain."""
        return cls(over(np.conj(gain), squared(gain)), over(np.conj(gain), received))


def send(
    way: Downlink, carried: Modulation, symbols: int, sources: Sources, tap: Any = 0.0, errors: int | None = None
) -> Tally:
    """Send symbols in blocks and sum up what arrives.

    Args:
        way: The way to the users.
        carried: What all streams carry.
        symbols: Number of symbols of each stream.
        sources: Where symbols, noise and hardware draw from.
        tap: What samples are multiplied by before decisions, broadcast to (..., K).
        errors: Bit errors over all users, in every member of a batch, after which it ends early.
    """
    _keep_memory()
    none, unlabelled = np.zeros((*way.noise_power.shape, 0), complex), np.zeros((*way.noise_power.shape, 0), np.uint8)
    total = Tally.of(none, none, unlabelled, unlabelled, carried.bits)
    for count in blocks(symbols, max(1, SAMPLES // way.W.shape[-2])):
        total += _send_block(way, carried, count, sources, np.asarray(tap)[..., None])
        if errors is not None and np.all(total.bit_errors.sum(axis=(-2, -1)) >= errors):
            break
    return total


def _send_block(way: Downlink, carried: Modulation, count: int, sources: Sources, tap: AnyArray) -> Tally:
    shape = (*way.noise_power.shape[:-1], way.W.shape[-1], count)
    if isinstance(carried, Constellation):
        labels = carried.draw_labels(sources.symbols, shape)
        s = carried.modulate(labels)
        y = way.samples(s, sources)
        sent, decided = labels[..., : way.users, :], carried.decide(tap * y)
    else:
        s = carried.draw(sources.symbols, shape)
        y = way.samples(s, sources)
        sent = decided = np.zeros((*y.shape[:-1], 0), np.uint8)
    return Tally.of(s[..., : way.users, :], y, sent, decided, carried.bits)


def _keep_memory() -> None:
    """Let the allocator keep the memory of a block of samples for the next one.

    glibc returns large arrays to the system when they are freed, which then zeroes their
    pages anew: that can take longer than all arithmetic on them. What counts as large follows
    the largest array that was freed.
    """
    np.empty(2**21)  # 16 MiB, never touched


def sampled_sqinr(
    H: Any, W: Any, noise_power: Any, transceiver: Transceiver, rng: np.random.Generator, symbols: int = 4096
) -> FloatArray:
    """SQINR of each user measured on Gaussian symbols, shape (..., K), linear; see `Tally.sqinr`.

    Args:
        H: Channels, shape (..., N_t, K), amplitude; user k receives ``h_k^H x_q + n_k``.
        W: Precoder, shape (..., N_t, K+S), in sqrt(W); the first K columns are the users'.
        noise_power: Noise of each user, broadcast to (..., K), in W.
        transceiver: The hardware the samples pass.
        rng: Source of symbols, noise and whatever is random in the hardware.
        symbols: Number of symbols of each stream.
    """
    return send(Downlink.of(H, W, noise_power, transceiver), Gaussian(), symbols, Sources.of(rng)).sqinr


@frozen
class SampledLink(Experiment):
    """Error rates, error vector magnitude, SQINR and rate of the users, measured on samples.

    The rate ln(1 + SQINR) is what Gaussian symbols achieve with a decoder that takes the
    distortion for independent noise. Error rates and their 95 % intervals [Wilson27], which
    take bits for independent, are recorded for constellations alone; where symbols are stopped
    at a number of errors they are biased upward by about one part in that number. Counts and
    ``symbols-sent`` let errors of several trials be pooled.

    Args:
        modulation: What the streams carry: ``qpsk``, ``qam16``, ``qam64``, ``qam256`` or
            ``gaussian``.
        symbols: Number of symbols of each stream, at most.
        errors: Bit errors over all users after which no further symbols are sent; None sends
            them all.
        gain: How a receiver knows its gain c: ``empirical``, from training symbols, or
            ``predicted``, by the linear model of the hardware.
        training: Number of training symbols of each stream.
        equaliser: What the error vector is measured behind: ``one-tap``, 1/c, or ``lmmse``,
            the tap of least mean square error. Decisions are those of the first, which has no
            bias.
    """

    modulation: Modulation = field(factory=Gaussian, converter=modulation)
    symbols: int = field(default=4096, validator=whole(2))
    errors: int | None = field(default=None, validator=whole(1, optional=True))
    gain: Literal["empirical", "predicted"] = field(default="empirical", validator=choice("empirical", "predicted"))
    training: int = field(default=1024, validator=whole(2))
    equaliser: Literal["one-tap", "lmmse"] = field(default="one-tap", validator=choice("one-tap", "lmmse"))

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        """What is measured, and what the linear model predicts of it."""
        always = (
            Quantity("sampled-sqinr", "1", ("user",), "SQINR of each user, measured"),
            Quantity("predicted-sqinr", "1", ("user",), "SQINR of each user, predicted"),
            Quantity("sampled-rate-nats", "nat/s/Hz", ("user",), "rate of each user, measured"),
            Quantity("sampled-sum-rate-nats", "nat/s/Hz", (), "sum rate of the users, measured"),
            Quantity("predicted-sum-rate-nats", "nat/s/Hz", (), "sum rate of the users, predicted"),
            Quantity("evm", "1", ("user",), "error vector magnitude of each user"),
            Quantity("symbols-sent", "1", (), "symbols of each user"),
        )
        if not isinstance(self.modulation, Constellation):
            return always
        return (
            *always,
            *ERROR_RATES,
            Quantity("user-symbol-error-rate", "1", ("user",), "symbol error rate of each user"),
            Quantity("bit-errors", "1", ("user",), "bit errors of each user"),
            Quantity("symbol-errors", "1", ("user",), "symbol errors of each user"),
        )

    def trial(self, link: Link, rng: np.random.Generator) -> dict[str, FloatArray]:
        """All quantities, from the `Tally` of the trial."""
        way, (early, late) = Downlink.over(link), rng.spawn(2)
        taps = self.taps(way, Sources.of(early))
        tally = send(way, self.modulation, self.symbols, Sources.of(late), taps.unbiased, self.errors)
        predicted = link.users.sqinr
        found = {
            "sampled-sqinr": tally.sqinr,
            "predicted-sqinr": predicted,
            "sampled-rate-nats": np.log1p(tally.sqinr),
            "sampled-sum-rate-nats": np.log1p(tally.sqinr).sum(axis=-1),
            "predicted-sum-rate-nats": np.log1p(predicted).sum(axis=-1),
            "evm": tally.error_vector_magnitude(taps.lmmse if self.equaliser == "lmmse" else taps.unbiased),
            "symbols-sent": np.full(len(link.W), float(tally.symbols)),
        }
        if isinstance(self.modulation, Constellation):
            found |= error_rates(self.modulation, tally, predicted)
        return found

    def taps(self, way: Downlink, sources: Sources) -> Taps:
        """The receivers' taps, from training symbols or from the linear model."""
        if self.gain == "empirical":
            learnt = send(way, self.modulation, self.training, sources)
            return Taps.of(learnt.gain, learnt.received / learnt.sent)
        return Taps.of(way.predicted.gain, way.predicted.output_power)


def error_rates(carried: Constellation, tally: Tally, predicted: FloatArray) -> dict[str, FloatArray]:
    """The quantities that constellations alone have."""
    users = max(1, predicted.shape[-1])
    each, symbols = tally.bit_errors.sum(axis=-1), tally.symbols * users
    wrong, bits = each.sum(axis=-1), symbols * carried.bits
    return {
        "bit-error-rate": wrong / bits,
        "bit-error-rate-low": wilson(wrong, bits, -NORMAL_95),
        "bit-error-rate-high": wilson(wrong, bits, NORMAL_95),
        "predicted-bit-error-rate": carried.bit_error_rate(predicted).sum(axis=-1) / users,
        "symbol-error-rate": tally.symbol_errors.sum(axis=-1) / symbols,
        "user-bit-error-rate": each / (tally.symbols * carried.bits),
        "user-symbol-error-rate": tally.symbol_errors / tally.symbols,
        "bit-errors": each.astype(float),
        "symbol-errors": tally.symbol_errors.astype(float),
    }
