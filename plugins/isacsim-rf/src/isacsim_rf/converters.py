"""Converters of fixed full scale, which no gain control sets: uniform, and sigma-delta.

*Uniform.* Real and imaginary part go to the nearest of the levels ``k step``, |k| <= K = 2^(b-1) - 1,
with K step the full scale (mid-tread): a codebook with thresholds at ``(k - 1/2) step``.

*Sigma-delta.* A modulator of first order and one bit, +-A, integrates the difference of its input
and its output. What is left in its integrator stays within +-A, so that the sum of its outputs is
the sum of its inputs, rounded to multiples of 2A; the mean of M outputs is ``x + e[l-1] - e[l]``
with e the rounding error of the running sum at the step 2A/M. It is uniform, and independent of
x[l]; two in a row are correlated by a Fourier series that only weak input feels, and by the
samples that clip.
"""

from __future__ import annotations

from typing import Any, ClassVar

import attrs
import numpy as np
from attrs import field, frozen

from isacsim import units
from isacsim.api import (
    AnyArray,
    ComplexArray,
    FixedCodebooks,
    FloatArray,
    Hardware,
    InvalidInput,
    LinearModel,
    batched,
    chain_power,
    chainwise_vjp,
    exact_model,
    exact_vjp,
)
from isacsim_rf.chains import covariance, per_chain, repeated, samples

MAX_BITS = 12
TERMS = 100  # of the Fourier series: input a hundredth of a step strong is told from silence


def _bits(_instance: Any, attribute: Any, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not 2 <= value <= MAX_BITS:
        rule = f"must be a whole number from 2 to {MAX_BITS}"
        raise InvalidInput(attribute.name, rule, value, "Leave the stage out for an ideal converter.")


def _even(_instance: Any, attribute: Any, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 2 or value % 2:
        rule = "must be an even whole number of at least 2"
        raise InvalidInput(attribute.name, rule, value, "Take a power of two, 32 for example.")


@frozen
class ClippingDac(Hardware):
    """Uniform converter whose full scale is set once, and not by a gain control.

    The loading factor is full_scale over the power of a chain: with little of it the converter
    clips, with much it wastes bits. The linear model is exact.

    Args:
        bits: Resolution of each of the I and Q converters.
        full_scale: Power of a complex tone that just fills the range: one number, or one for
            each chain (N,), in W.
    """

    component_version: ClassVar[int] = 3  # the correlation of different chains' distortion is exact with many levels

    bits: int = field(validator=_bits)
    full_scale: Any = batched(0, above=0.0, metadata=units.dbm())

    @property
    def largest(self) -> int:
        """Number K of the largest level."""
        return int(2 ** (self.bits - 1) - 1)

    def apply(
        self, x: ComplexArray, rng: np.random.Generator | None = None, *, power: FloatArray | None = None
    ) -> ComplexArray:
        """Quantised samples; there is no gain control, and nothing is random."""
        x = np.ascontiguousarray(samples(x))
        step = self._step(x.shape[-2])[:, None]
        levels = np.clip(np.rint(x.view(float) / step), -self.largest, self.largest)
        return np.asarray((step * levels).view(complex))

    def linear_model(self, R: ComplexArray) -> LinearModel:
        """Bussgang gain and covariance of the distortion, for R (..., N, N), in W."""
        return exact_model(self._maps(R), R)

    def linear_model_vjp(self, R: ComplexArray, gain: AnyArray, distortion: AnyArray) -> ComplexArray:
        """In closed form."""
        return exact_vjp(self._maps(R), R, gain, distortion)

    @property
    def scalar(self) -> bool:
        """Always true."""
        return True

    def _maps(self, R: ComplexArray) -> FixedCodebooks:
        step = self._step(covariance(R).shape[-1])[:, None]
        return FixedCodebooks(
            step * (np.arange(2 * self.largest) - self.largest + 0.5), step * np.ones(2 * self.largest)
        )

    def resolution(self, chains: int) -> FloatArray:
        """The bits of each chain, shape (chains,)."""
        return np.full(chains, float(self.bits))

    def tiled(self, copies: int) -> ClippingDac:
        """The full scale of every chain repeated."""
        return attrs.evolve(self, full_scale=repeated(self.full_scale, copies))

    def _step(self, chains: int) -> FloatArray:
        return np.sqrt(per_chain("full_scale", self.full_scale, chains)) / self.largest


@frozen
class SigmaDelta(Hardware):
    """One-bit sigma-delta converter of first order, with the mean over each sample's bits.

    Input beyond full scale is clipped, to keep the loop from overload. Doubling the
    oversampling takes 6 dB off the noise, not the 9 dB of a sharp decimation filter. The
    linear model is that of clipping and of the loop's noise, one after the other, for each
    chain; it takes the distortion of different chains for uncorrelated, which is right of the noise, and
    wrong where most of the distortion is clipping.

    Args:
        oversampling: Bits M of each of I and Q in a sample; even.
        full_scale: Power of a complex tone that just fills the range, A^2: one number, or one
            for each chain (N,), in W.
    """

    memoryless: ClassVar[bool] = False

    oversampling: int = field(validator=_even)
    full_scale: Any = batched(0, above=0.0, metadata=units.dbm())

    def apply(
        self, x: ComplexArray, rng: np.random.Generator | None = None, *, power: FloatArray | None = None
    ) -> ComplexArray:
        """Clipped and noise-shaped samples; the loop starts empty, and nothing is random."""
        x = np.ascontiguousarray(samples(x))
        parts = np.stack([x.real, x.imag], axis=-2)  # (..., N, 2, L): a loop for each
        largest = self._largest(x.shape[-2])[:, None, None]
        step = 2 * largest / self.oversampling
        total = np.rint(np.cumsum(np.clip(parts, -largest, largest) / step, axis=-1))
        y = step * np.diff(total, axis=-1, prepend=0.0)
        return np.asarray(y[..., 0, :] + 1j * y[..., 1, :])

    def linear_model(self, R: ComplexArray) -> LinearModel:
        """Gain and distortion of each chain, for R (..., N, N), in W."""
        from scipy.special import erf, erfc

        rho = chain_power(R)
        largest = self._largest(rho.shape[-1])
        sigma = np.sqrt(rho / 2)
        a = np.minimum(np.divide(largest, sigma, out=np.full(sigma.shape, np.inf), where=sigma > 0), 1e3)
        gain = erf(a / np.sqrt(2))
        inside = gain - np.sqrt(2 / np.pi) * a * np.exp(-(a**2) / 2)
        clipping = np.maximum(inside + a**2 * erfc(a / np.sqrt(2)) - gain**2, 0.0) * rho
        step = 2 * largest / self.oversampling
        k = np.arange(1, TERMS + 1)
        alike = np.sum(np.exp(-2 * (np.pi * k * (sigma / step)[..., None]) ** 2) / k**2, axis=-1) / (np.pi**2 / 6)
        alike = alike + erfc(a / np.sqrt(2))  # what clips is a whole number of steps: the error stays
        return LinearModel(gain, clipping + step**2 / 3 * np.maximum(1 - alike, 0.0) * (sigma > 0))

    def linear_model_vjp(self, R: ComplexArray, gain: AnyArray, distortion: AnyArray) -> ComplexArray:
        """By differences in the powers."""
        return chainwise_vjp(self, R, gain, distortion)

    def resolution(self, chains: int) -> FloatArray:
        """``1 + log2(oversampling)`` in each chain, shape (chains,).

        Two decisions for each bit of the loop, as many conversion steps a sample as a converter of so many bits takes.
        """
        return np.full(chains, 1 + np.log2(self.oversampling))

    def _largest(self, chains: int) -> FloatArray:
        return np.sqrt(per_chain("full_scale", self.full_scale, chains))
