"""Oscillators ``y = e^(j phi) x``: free-running, in a phase-locked loop, and off the carrier.

The gain of the linear model is the mean of e^(j phi), over the noise and over the block that a
receiver tracks the phase for; all the rest is distortion. For a Gaussian phase of variance v
the mean is exp(-v/2). Where all chains share the oscillator, the distortion has the covariance
of the signal itself, ``(1 - gain^2) R``: it is coherent over the array, as the beams are.

The phase remembers, so that of an OFDM signal, whose samples at lag d have the covariance C[d], the
distortion at that lag is ``(r(d) - gain^2) C[d]`` with ``r(d) = E e^(j phi(l + d) - j phi(l))``: each subcarrier
leaks to its neighbours, by as much as the phase is slow.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import numpy as np
from attrs import field, frozen

from isacsim import units
from isacsim.api import (
    AnyArray,
    ComplexArray,
    FloatArray,
    Hardware,
    InvalidInput,
    LinearModel,
    chain_power,
    diagonal_matrix,
    instance,
    number,
    whole,
)
from isacsim_rf.chains import covariance, samples


class _Oscillator(Hardware):
    """Phase noise with one oscillator for all chains, or one for each."""

    common: bool

    @abstractmethod
    def phases(self, shape: tuple[int, ...], rng: np.random.Generator) -> FloatArray:
        """Phases of independent oscillators, shape (..., oscillators, L), in rad."""

    @abstractmethod
    def moments(self) -> tuple[float, float]:
        """Mean of e^(j phi), and the variance within a block of what is expected of it."""

    @abstractmethod
    def lagged(self, lags: FloatArray) -> tuple[AnyArray, AnyArray]:
        """Means of e^(j phi(l + d) - j phi'(l)) at lags d (n,): of one oscillator, and of two."""

    def apply(
        self, x: ComplexArray, rng: np.random.Generator | None = None, *, power: FloatArray | None = None
    ) -> ComplexArray:
        """Samples with turned phases, drawn from ``rng``.

        Raises:
            InvalidInput: If a sample is not finite, or there is no ``rng``.
        """
        x = samples(x)
        if self.is_ideal:
            return x
        if rng is None:
            raise InvalidInput("rng", "is required", None, "Pass a numpy.random.Generator.")
        shape = (*x.shape[:-2], 1, x.shape[-1]) if self.common else x.shape
        return x * np.exp(1j * self.phases(shape, rng))

    def linear_model(self, R: ComplexArray) -> LinearModel:
        """Mean turn as gain and the rest as distortion, for input of covariance R (..., N, N), in W."""
        R = covariance(R)
        mean, spread = self.moments()
        gain, lost = np.full(R.shape[:-1], mean), max(1 - mean**2, 0.0)
        if R.shape[-1] == 1 or (spread == 0 and not self.common):
            return LinearModel(gain, lost * chain_power(R))
        return LinearModel(gain, self._shared(R, lost, spread))

    def spectral_model(self, R: AnyArray) -> LinearModel:
        """As `linear_model`, on all bins of an OFDM signal with the covariances R (..., N, M, M), in W.

        Of a body of N samples the lags d and d - N come together, ``1 - d/N`` and ``d/N`` of them.
        """
        R = covariance(R)
        bins = R.shape[-3]
        share, (mean, spread) = np.arange(bins) / bins, self.moments()
        one, two = (
            (1 - share) * r[:-1] + share * np.conj(r[:0:-1]) - mean**2 for r in self.lagged(np.arange(bins + 1))
        )
        one[0], two[0] = max(1 - mean**2, 0.0), spread  # to the last digit those of a sample
        own = np.fft.fft(self._shared(np.fft.ifft(R, axis=-3), one[:, None, None], two[:, None, None]), axis=-3)
        apart = R.shape[-1] == 1 or not (self.common or np.any(two))
        gain = np.full((*R.shape[:-3], 1, R.shape[-1]), mean)
        return LinearModel(gain, chain_power(own) if apart else own)

    def _shared(self, R: ComplexArray, lost: AnyArray, spread: AnyArray) -> ComplexArray:
        """Covariance of the distortion: ``lost`` within a chain, and across chains if they have one oscillator."""
        if self.common:
            return np.asarray(lost * R)
        within = np.eye(R.shape[-1])
        return np.asarray((spread * (1 - within) + lost * within) * R)

    def linear_model_vjp(self, R: ComplexArray, gain: AnyArray, distortion: AnyArray) -> ComplexArray:
        """The distortion is linear in R, and so is its adjoint; the gain is fixed."""
        g = distortion if np.ndim(distortion) == np.ndim(R) else diagonal_matrix(distortion)
        mean, spread = self.moments()
        return np.asarray(self._shared(g, max(1 - mean**2, 0.0), spread), complex)


@frozen
class PhaseNoise(_Oscillator):
    """Free-running oscillator: a Wiener phase that a receiver tracks once a block.

    From sample to sample the phase moves by a Gaussian step of variance
    2 pi linewidth / sampling_rate; the spectrum is a Lorentzian of that width. At the first
    sample of each block the phase error is 0, as after an ideal estimate of the common phase
    there, and grows until the next. The first sample that is sent lies anywhere in a block, so
    that the linear model, the mean over a block, holds for any number of samples.

    Args:
        linewidth: Full width of the oscillator's line at half of its peak (3 dB), in Hz.
        sampling_rate: Samples per second, in Hz.
        block: Samples between two estimates of the phase.
        common: Whether one oscillator drives all chains.
    """

    linewidth: float = field(validator=number(least=0), metadata=units.hertz())
    sampling_rate: float = field(validator=number(above=0), metadata=units.hertz())
    block: int = field(validator=whole(1))
    common: bool = field(default=True, validator=instance(bool))

    @property
    def step(self) -> float:
        """Variance of the phase's step from sample to sample, in rad^2."""
        return 2 * np.pi * self.linewidth / self.sampling_rate

    def phases(self, shape: tuple[int, ...], rng: np.random.Generator) -> FloatArray:
        """Wiener phases from a random place in a block on, restarted at each block."""
        *lead, count = shape
        start = int(rng.integers(self.block))
        blocks = -(-(start + count) // self.block)
        steps = np.sqrt(self.step) * rng.standard_normal((*lead, blocks, self.block))
        steps[..., 0] = 0.0
        path = np.cumsum(steps, axis=-1).reshape((*lead, blocks * self.block))
        return np.ascontiguousarray(path[..., start : start + count])

    def moments(self) -> tuple[float, float]:
        """Mean over the block of exp(-l step / 2), l = 0 ... block - 1, and its variance."""
        if self.is_ideal:
            return 1.0, 0.0
        mean, square = (np.expm1(-a * self.block) / (self.block * np.expm1(-a)) for a in (self.step / 2, self.step))
        return float(mean), float(max(square - mean**2, 0.0))

    def lagged(self, lags: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Means over the place l in a block, beyond whose end the phase starts anew; by sums of powers."""
        if self.is_ideal:
            return np.ones(lags.shape), np.ones(lags.shape)
        d = lags % self.block
        inside = np.exp(-self.step * d / 2)
        beyond = np.exp(-self.step * (self.block - d) / 2) * self._decayed(d)
        apart = (inside * self._decayed(self.block - d) + beyond) / self.block
        return np.where(lags < self.block, (inside * (self.block - d) + beyond) / self.block, apart), apart

    def _decayed(self, count: FloatArray) -> FloatArray:
        """Sum of exp(-l step), l = 0 ... count - 1."""
        return np.asarray(np.expm1(-self.step * count) / np.expm1(-self.step))

    @property
    def is_ideal(self) -> bool:
        """Whether the phase never moves within a block."""
        return self.linewidth == 0 or self.block == 1


@frozen
class PllPhaseNoise(_Oscillator):
    """Oscillator in a phase-locked loop: a stationary Gaussian phase of given deviation.

    The loop is of first order: the phase error forgets with the loop's bandwidth, so that its
    spectrum is flat within and falls off beyond. The linear model depends on the deviation
    alone: gain exp(-rms^2/2), distortion 1 - exp(-rms^2) of the power.

    Args:
        rms: Standard deviation of the phase error, in rad.
        bandwidth: One-sided bandwidth of the loop (3 dB), in Hz.
        sampling_rate: Samples per second, in Hz.
        common: Whether one oscillator drives all chains.
    """

    rms: float = field(validator=number(least=0), metadata=units.degrees())
    bandwidth: float = field(validator=number(above=0), metadata=units.hertz())
    sampling_rate: float = field(validator=number(above=0), metadata=units.hertz())
    common: bool = field(default=True, validator=instance(bool))

    def phases(self, shape: tuple[int, ...], rng: np.random.Generator) -> FloatArray:
        """A stationary first-order autoregression."""
        from scipy.signal import lfilter

        drive = self.rms * rng.standard_normal(shape)
        drive[..., 1:] *= np.sqrt(1 - self.memory**2)
        return np.asarray(lfilter([1.0], [1.0, -self.memory], drive, axis=-1))

    def moments(self) -> tuple[float, float]:
        """exp(-rms^2/2); it is the same for every sample."""
        return float(np.exp(-(self.rms**2) / 2)), 0.0

    def lagged(self, lags: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The phase has the correlation ``memory^d``."""
        alike = np.exp(-(self.rms**2) * (1 - self.memory ** np.asarray(lags, float)))
        return alike, np.full(alike.shape, np.exp(-(self.rms**2)))

    @property
    def memory(self) -> float:
        """Correlation of the phase from sample to sample."""
        return float(np.exp(-2 * np.pi * self.bandwidth / self.sampling_rate))

    @property
    def is_ideal(self) -> bool:
        """Whether the phase never moves."""
        return self.rms == 0


@frozen
class CarrierOffset(_Oscillator):
    """A carrier that is off: a phase that runs on evenly, and that a receiver takes out once a block.

    It is 0 in the middle of what is behind the prefix of each block, as after an ideal estimate of the common phase
    of a symbol; samples begin with a block. Of an offset of a part e of the spacing a subcarrier keeps
    ``sin(pi e) / (N sin(pi e / N))`` of its amplitude, and the rest of its power leaks to the others.

    Args:
        offset: Offset of the carrier, in Hz.
        sampling_rate: Samples per second, in Hz.
        block: Samples between two estimates of the phase: those of an OFDM symbol with its prefix, N + N_c.
        prefix: Samples at the beginning of each block that a receiver leaves out, N_c; the linear model is of the
            others.
    """

    memoryless: ClassVar[bool] = False  # it goes by the place of a sample
    common: ClassVar[bool] = True  # a phase that is not random is the same in all chains

    offset: float = field(validator=number(), metadata=units.hertz())
    sampling_rate: float = field(validator=number(above=0), metadata=units.hertz())
    block: int = field(validator=whole(1))
    prefix: int = field(default=0, validator=whole(0))

    def __attrs_post_init__(self) -> None:
        if self.prefix >= self.block:
            rule = f"must be less than the block of {self.block} samples"
            raise InvalidInput("prefix", rule, self.prefix, "A block is a prefix and a body.")

    @property
    def step(self) -> float:
        """What the phase turns by from sample to sample, in rad."""
        return 2 * np.pi * self.offset / self.sampling_rate

    def apply(
        self, x: ComplexArray, rng: np.random.Generator | None = None, *, power: FloatArray | None = None
    ) -> ComplexArray:
        """Samples with turned phases; nothing is drawn.

        Raises:
            InvalidInput: If a sample is not finite.
        """
        x = samples(x)
        place = np.arange(x.shape[-1]) % self.block - self.prefix - (self.block - self.prefix - 1) / 2
        return x if self.is_ideal else x * np.exp(1j * self.step * place)

    def phases(self, shape: tuple[int, ...], rng: np.random.Generator) -> FloatArray:
        """Not drawn: `apply` needs no generator."""
        raise NotImplementedError

    def moments(self) -> tuple[float, float]:
        """Mean of e^(j phi) over a body: the Dirichlet kernel."""
        body, half = self.block - self.prefix, self.step / 2
        return (float(np.sin(body * half) / (body * np.sin(half))) if np.sin(half) else 1.0), 0.0

    def lagged(self, lags: FloatArray) -> tuple[AnyArray, AnyArray]:
        """The turn itself."""
        turn = np.exp(1j * self.step * np.asarray(lags, float))
        return turn, turn

    @property
    def is_ideal(self) -> bool:
        """Whether the carrier is on its place."""
        return self.offset == 0
