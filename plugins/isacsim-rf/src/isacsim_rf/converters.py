"""A uniform converter of fixed full scale: it clips where the signal is strong, and loses it where it is weak.

Real and imaginary part go to the nearest of the levels ``k step``, |k| <= K = 2^(b-1) - 1, with
K step the full scale (mid-tread). For a Gaussian real part of deviation sigma, whose density and
tail probability are p and Q, the thresholds t_k = (k - 1/2) step give in closed form ::

    gain   = 2 step sum_k p(t_k)
    power  = 2 step^2 sum_k (2k - 1) Q(t_k)         k = 1 ... K

by E[x f(x)] = sigma^2 E[f'(x)] and by summation over the steps of f^2.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from attrs import field, frozen

from isacsim import Hardware, InvalidInput, LinearModel, units
from isacsim.batch import batched
from isacsim.hardware.base import chain_power
from isacsim.typing import ComplexArray, FloatArray
from isacsim_rf.chains import per_chain, samples

MAX_BITS = 12


def _bits(_instance: Any, attribute: Any, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not 2 <= value <= MAX_BITS:
        rule = f"must be a whole number from 2 to {MAX_BITS}"
        raise InvalidInput(attribute.name, rule, value, "Leave the stage out for an ideal converter.")


@frozen
class ClippingDac(Hardware):
    """Uniform converter whose full scale is set once, and not by a gain control.

    The loading factor is full_scale over the power of a chain: with little of it the converter
    clips, with much it wastes bits. The linear model is exact for each chain, and takes the
    distortion of different chains for uncorrelated.

    Args:
        bits: Resolution of each of the I and Q converters.
        full_scale: Power of a complex tone that just fills the range: one number, or one for
            each chain (N,), in W.
    """

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
        """Bussgang gain and distortion of each chain, for R (..., N, N), in W."""
        from scipy.special import ndtr

        rho = chain_power(np.asarray(R))
        step = self._step(rho.shape[-1])
        sigma = np.sqrt(rho / 2)
        relative = np.divide(step, sigma, out=np.full(sigma.shape, np.inf), where=sigma > 0)[..., None]
        k = np.arange(1, self.largest + 1)
        finite = np.minimum(relative, 1e3)  # where nothing leaves level 0 any more
        t = (k - 0.5) * finite
        gain = 2 * np.sum(finite * np.exp(-(t**2) / 2), axis=-1) / np.sqrt(2 * np.pi)
        power = 2 * step**2 * np.sum((2 * k - 1) * ndtr(-t), axis=-1)
        return LinearModel(gain, np.maximum(2 * power - gain**2 * rho, 0.0))

    def _step(self, chains: int) -> FloatArray:
        return np.sqrt(per_chain("full_scale", self.full_scale, chains)) / self.largest
