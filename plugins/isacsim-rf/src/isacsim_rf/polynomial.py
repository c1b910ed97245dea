"""The memory polynomial: an amplifier of odd orders that remembers a few samples.

With P the reference power ``y[l] = sum_q sum_k c_qk x[l-q] (|x[l-q]|^2 / P)^k``, k = 0, 1, ...,
so that order 2k+1 has the coefficient c_qk. The moments E|z|^(2n) = n! of z ~ CN(0, 1) give the
coefficients of `isacsim.api.Ito` in closed form, tap by tap, with rho the chain's power::

    b_qm = sqrt(rho) sum_k c_qk (rho/P)^k (k+1)! (-1)^m binomial(k, m) / sqrt(m+1)
"""

from __future__ import annotations

from functools import cache
from math import comb, factorial
from typing import Any, ClassVar

import numpy as np
from attrs import field, frozen

from isacsim import units
from isacsim.api import (
    AnyArray,
    ComplexArray,
    Expander,
    FloatArray,
    Hardware,
    InvalidInput,
    Ito,
    LinearModel,
    batched,
    exact_model,
    exact_vjp,
    number,
    squared,
)
from isacsim_rf.chains import covariance, samples


@frozen
class MemoryPolynomial(Hardware):
    """Amplifier given by complex coefficients of odd orders, for each tap of its memory.

    The linear model is exact for Gaussian input that is white in time. Its gain is that of the
    present sample: what comes through the taps behind counts as distortion, as it is for a
    receiver of one tap. A polynomial bends up again beyond the range that it was fitted in.

    Args:
        reference: Power P at which |x|^2/P is 1, in W.
        coefficients: c_qk, shape (taps, orders): row q of the tap q samples back, column k of
            the order 2k+1; complex.
    """

    memoryless: ClassVar[bool] = False

    reference: float = field(validator=number(above=0), metadata=units.dbm())
    coefficients: Any = batched(2, dtype=complex)

    def __attrs_post_init__(self) -> None:
        c = self.coefficients
        if c.ndim != 2 or c.size == 0:
            raise InvalidInput("coefficients", "must be a table of taps and orders", c, "Give a row for each tap.")

    def apply(
        self, x: ComplexArray, rng: np.random.Generator | None = None, *, power: FloatArray | None = None
    ) -> ComplexArray:
        """Amplified samples; before the first there is silence, and nothing is random."""
        x = samples(x)
        t, y = squared(x) / self.reference, np.zeros_like(x)
        for tap, c in enumerate(self.coefficients[: x.shape[-1]]):
            y[..., tap:] += (x * np.polynomial.polynomial.polyval(t, c))[..., : x.shape[-1] - tap]
        return y

    def linear_model(self, R: ComplexArray) -> LinearModel:
        """Gain, and covariance of the distortion with that of the memory, for R (..., N, N), in W."""
        return exact_model(_Taps(self.coefficients, self.reference), covariance(R))

    def linear_model_vjp(self, R: ComplexArray, gain: AnyArray, distortion: AnyArray) -> ComplexArray:
        """By differences in the powers, in closed form in the correlations."""
        return exact_vjp(_Taps(self.coefficients, self.reference), covariance(R), gain, distortion)


@frozen(eq=False)
class _Taps(Expander):
    """A series for each tap: input that is white in time has nothing in common with what it was."""

    coefficients: ComplexArray
    reference: float

    def at(self, rho: FloatArray) -> Ito:
        """All coefficients; but for that of the gain all count as distortion."""
        powers = (rho[..., None] / self.reference) ** np.arange(self.coefficients.shape[1])
        root = np.sqrt(rho)[..., None]
        b = [root * np.sum(powers[..., None, :] * (c * moments(len(c))), axis=-1) for c in self.coefficients]
        linear = b[0][..., 0]
        b[0] = np.concatenate([np.zeros_like(linear)[..., None], b[0][..., 1:]], axis=-1)
        own = np.stack([squared(each).sum(axis=-1) for each in b]).sum(axis=0)
        return Ito(linear, own, tuple((1, each) for each in b))


@cache
def moments(count: int) -> FloatArray:
    """``(k+1)! (-1)^m binomial(k, m) / sqrt(m+1)``, shape (orders m, orders k), for so many orders."""
    orders = range(count)
    rows = [[factorial(k + 1) * (-1) ** m * comb(k, m) / np.sqrt(m + 1) for k in orders] for m in orders]
    return np.array(rows, float)
