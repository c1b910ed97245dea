"""Modulations: what symbols are sent, and for constellations which bits they stand for.

A constellation point is known by its label, a whole number whose binary digits are the
bits of the symbol. In the square constellations here the first half of them selects the
real part and the second half the imaginary part, each by a Gray code: neighbours differ
in one bit.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
from attrs import field, frozen

from isacsim.errors import InvalidInput, one_of
from isacsim.plugin import default_registry
from isacsim.typing import AnyArray, ComplexArray, FloatArray, IntArray

ORDERS = (4, 16, 64, 256)


class Modulation(ABC):
    """Symbols of unit mean power."""

    @property
    def bits(self) -> int:
        """Bits of a symbol; 0 where it carries none."""
        return 0

    @abstractmethod
    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> ComplexArray:
        """Independent symbols of the given shape, drawn one after another: two draws join to a longer one."""


class Constellation(Modulation):
    """A modulation with finitely many symbols, which carry 1 to 8 bits each."""

    @abstractmethod
    def modulate(self, labels: AnyArray) -> ComplexArray:
        """The symbols of labels (...), shape (...)."""

    @abstractmethod
    def decide(self, z: ComplexArray) -> AnyArray:
        """Labels of the symbols that samples z (...) are nearest to, shape (...), as uint8.

        Args:
            z: Samples of unit gain: symbols plus noise.
        """

    @abstractmethod
    def bit_error_rate(self, snr: Any) -> FloatArray:
        """Bit error rate in white Gaussian noise, shape (...), in closed form.

        Args:
            snr: Power of the symbols over that of the noise, shape (...), linear.
        """

    def draw_labels(self, rng: np.random.Generator, shape: tuple[int, ...]) -> AnyArray:
        """Labels of equally likely bits, shape ``shape``, as uint8."""
        # A whole word each: a word that is divided would be lost in part at the end of a draw.
        random = rng.integers(2**32, size=shape, dtype=np.uint32)
        return random.astype(np.uint8) & np.uint8(2**self.bits - 1)

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> ComplexArray:
        """Symbols of equally likely bits, shape ``shape``."""
        return self.modulate(self.draw_labels(rng, shape))

    def labels(self, bits: Any) -> AnyArray:
        """Labels (...) of bits (..., B), the first one the most significant, as uint8."""
        bits = np.asarray(bits)
        if bits.ndim < 1 or bits.shape[-1] != self.bits or not np.all((bits == 0) | (bits == 1)):
            remedy = f"Reshape the stream to (..., {self.bits}): the bits of a symbol along the last axis."
            raise InvalidInput("bits", f"must be 0 or 1, {self.bits} for each symbol", bits, remedy)
        return (bits.astype(np.uint8) << np.arange(self.bits - 1, -1, -1, dtype=np.uint8)).sum(-1, dtype=np.uint8)

    def unpack(self, labels: AnyArray) -> AnyArray:
        """Bits (..., B) of labels (...), as uint8; undoes `labels`."""
        return (np.asarray(labels)[..., None] >> np.arange(self.bits - 1, -1, -1, dtype=np.uint8)) & np.uint8(1)


def bit_errors(sent: AnyArray, decided: AnyArray, bits: int) -> IntArray:
    """How often each bit of labels (..., L) was decided wrongly, the most significant first, shape (..., bits)."""
    differ = sent ^ decided
    counts = np.empty((*differ.shape[:-1], bits), np.int64)
    for b in range(bits):
        np.sum((differ >> np.uint8(bits - 1 - b)) & np.uint8(1), axis=-1, dtype=np.int64, out=counts[..., b])
    return counts


@frozen
class Gaussian(Modulation):
    """Gaussian symbols CN(0, 1): what achievable rates assume. They carry no bits."""

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> ComplexArray:
        """Independent symbols of the given shape."""
        draws = rng.standard_normal((*shape, 2))
        draws *= np.sqrt(0.5)
        return draws.view(complex)[..., 0]


def _order(_instance: Any, attribute: Any, value: Any) -> None:
    if value not in ORDERS:
        raise InvalidInput(attribute.name, f"must be one of {', '.join(map(str, ORDERS))}", value, "Choose one.")


@frozen
class Qam(Constellation):
    """Square quadrature amplitude modulation with a Gray code, QPSK among them.

    Its closed forms follow from those of its two amplitude modulations of m = sqrt(M)
    levels. With half the distance of levels over the standard deviation of the noise
    ``a = sqrt(3 snr / (M - 1))``, a level moves by n places or more to one side with
    probability Q((2 n - 1) a); weighing each by the bits that change gives the exact bit
    error rate ``sum_n w_n Q((2 n - 1) a)``.

    Args:
        order: Number M of symbols: 4, 16, 64 or 256.
    """

    order: int = field(default=16, validator=_order)

    @property
    def bits(self) -> int:
        """Bits of a symbol, log2 M."""
        return self.order.bit_length() - 1

    @property
    def sides(self) -> int:
        """Levels m of the real and of the imaginary part."""
        return int(2 ** (self.bits // 2))

    @property
    def half_distance(self) -> float:
        """Half the distance of neighbours, sqrt(3 / (2 (M - 1)))."""
        return float(np.sqrt(1.5 / (self.order - 1)))

    def modulate(self, labels: AnyArray) -> ComplexArray:
        """The symbols of labels (...), shape (...)."""
        return np.asarray(_points(self).take(labels))

    def decide(self, z: ComplexArray) -> AnyArray:
        """Labels of the symbols that samples z (...) are nearest to, shape (...), as uint8."""
        parts = np.asarray(z, complex, order="C")[..., None].view(float)  # (..., 2)
        level = parts * (0.5 / self.half_distance)
        level += self.sides / 2
        np.floor(level, out=level)
        np.clip(level, 0, self.sides - 1, out=level)
        index = level.astype(np.uint8)
        index ^= index >> 1  # the Gray code of a place is the place, carries left out
        return (index[..., 0] << np.uint8(self.bits // 2)) | index[..., 1]

    def bit_error_rate(self, snr: Any) -> FloatArray:
        """Bit error rate in white Gaussian noise, shape (...); snr as in the base class."""
        return self._weighted(lambda a2: _tail(np.sqrt(a2)), snr)

    def faded_bit_error_rate(self, snr: Any, branches: int = 1) -> FloatArray:
        """Mean bit error rate over Rayleigh fading, shape (...).

        The SNR is the sum of ``branches`` independent exponential ones, as behind a
        maximum-ratio combiner of receive antennas or beamformer of transmit antennas.

        Args:
            snr: Mean SNR of each branch, shape (...), linear.
            branches: Number of branches.
        """
        return self._weighted(lambda a2: _faded_tail(a2, branches), snr)

    def symbol_error_rate(self, snr: Any) -> FloatArray:
        """Symbol error rate in white Gaussian noise, shape (...); snr as for `bit_error_rate`."""
        a = np.sqrt(2 * np.asarray(snr, float)) * self.half_distance
        wrong = 2 * (1 - 1 / self.sides) * _tail(a)
        return np.asarray(wrong * (2 - wrong))

    def _weighted(self, of: Any, snr: Any) -> FloatArray:
        """Sum over n of w_n of((2 n - 1)^2 a^2)."""
        a2 = 2 * np.asarray(snr, float) * self.half_distance**2
        weights = _weights(self.sides)
        return np.asarray(sum(w * of((2 * n + 1) ** 2 * a2) for n, w in enumerate(weights)))


@cache
def _points(modulation: Qam) -> ComplexArray:
    """Every symbol, at the index of its label, shape (M,)."""
    labels = np.arange(modulation.order)
    sides = modulation.sides
    place = np.empty(sides, int)
    place[_gray(np.arange(sides))] = np.arange(sides)
    level = (2 * place - (sides - 1)) * modulation.half_distance
    return level[labels // sides] + 1j * level[labels % sides]


def _gray(place: IntArray) -> IntArray:
    return place ^ (place >> 1)


@cache
def _weights(sides: int) -> tuple[float, ...]:
    """Weights w_n of the bit error rate, n = 1, ..., m - 1: bits that one more place changes, on average."""
    code = _gray(np.arange(sides))
    apart = np.vectorize(int.bit_count, otypes=[float])(code[:, None] ^ code)  # bits that differ between two levels
    found = []
    for n in range(1, sides):
        up = np.diagonal(apart, n) - np.diagonal(apart, n - 1)[:-1]
        down = np.diagonal(apart, -n) - np.diagonal(apart, 1 - n)[1:]
        found.append(float((up.sum() + down.sum()) / (sides * (sides.bit_length() - 1))))
    return tuple(found)


def _tail(x: FloatArray) -> FloatArray:
    """Q(x), the probability that a standard normal exceeds x."""
    from scipy.special import ndtr

    return np.asarray(ndtr(-x))


def _faded_tail(a2: FloatArray, branches: int) -> FloatArray:
    """Mean of Q(sqrt(x)) over a sum x of ``branches`` exponential variables of mean ``a2``.

    With mu = sqrt(a2 / (2 + a2)) and p = (1 - mu) / 2 it is ``p^L sum_(k<L) C(L-1+k, k) (1-p)^k``.
    """
    from scipy.special import comb

    mu = np.sqrt(a2 / (2 + a2))
    p = 1 / (1 + mu) / (2 + a2)  # (1 - mu) / 2 without the cancellation
    total = sum(comb(branches - 1 + k, k) * (1 - p) ** k for k in range(branches))
    return np.asarray(p**branches * total)


QPSK, QAM16, QAM64, QAM256 = map(Qam, ORDERS)


def modulation(value: Any) -> Modulation:
    """A modulation itself, or what a scenario calls one: ``"qam16"`` or ``{"kind": "qam", "order": 16}``.

    Names are looked up in the registry of this process.

    Raises:
        InvalidInput: If it names none.
    """
    if isinstance(value, Modulation):
        return value
    table = {"kind": value} if isinstance(value, str) else value
    if not isinstance(table, Mapping) or "kind" not in table:
        remedy = one_of(default_registry().names("modulations"))
        raise InvalidInput("modulation", "must be a modulation, or a name or a table of one", value, remedy)
    options = {key: entry for key, entry in table.items() if key != "kind"}
    try:
        made: Modulation = default_registry().make("modulations", table["kind"], options)
    except InvalidInput as error:
        raise error.at(f"modulation.{error.field}") from None
    return made
