"""Data converters of low resolution: the AQNM and the mid-rise quantiser.

Real and imaginary part are quantised separately, each against its own share of the
chain's power [Xu25, eqs. (2), (4)]. With ``alpha = 1 - beta`` the additive quantisation
noise model is ``y = alpha x + q``, ``cov(q) = alpha (1 - alpha) diag(R_x)``.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from functools import lru_cache
from typing import Any, ClassVar, Literal, Self

import attrs
import numpy as np
from attrs import field, frozen

from isacsim import units
from isacsim.batch import same_array
from isacsim.checks import choice, fitting, instance, number, numbers, square
from isacsim.errors import InvalidInput
from isacsim.hardware.base import Hardware, LinearModel, chain_power, cotangent_diagonal, diagonal_matrix
from isacsim.hardware.codebooks import MAX_BITS, Codebook, aqnm_distortion, lloyd_max, mid_rise
from isacsim.hardware.expansions import exact_model, exact_vjp
from isacsim.hardware.gain_control import GainControlled, Tables
from isacsim.hardware.kernels import quantise_rows
from isacsim.keywords import keywords
from isacsim.lasting import kept
from isacsim.typing import AnyArray, ComplexArray, FloatArray

BITS = units.worded("whole number, inf, or a list of one a chain")


def _bits(value: Any) -> FloatArray:
    remedy = f"Give a whole number from 1 to {MAX_BITS} (inf is ideal), or one for each chain."
    try:
        bits = np.asarray(value)
    except ValueError:
        raise InvalidInput("bits", "must be numbers", value, remedy) from None
    if bits.dtype.kind not in "iuf":
        raise InvalidInput("bits", "must be numbers", value, remedy)
    bits = np.array(bits, dtype=float)
    finite = bits[np.isfinite(bits)]
    whole = not np.any(np.isnan(bits)) and np.all((finite == np.round(finite)) & (finite >= 1) & (finite <= MAX_BITS))
    if bits.ndim > 1 or bits.size == 0 or not whole or np.any(bits == -np.inf):
        raise InvalidInput("bits", f"must be whole numbers from 1 to {MAX_BITS}, or inf", value, remedy)
    bits.flags.writeable = False
    return bits


def _per_chain(bits: FloatArray, shape: tuple[int, ...], of: Callable[[float], float]) -> FloatArray:
    """``of(bits)`` for every chain, broadcast to the shape (..., N) of the chains."""
    if bits.ndim == 1 and bits.size != shape[-1]:
        raise InvalidInput(
            "bits",
            f"must be one number, or one for each of the {shape[-1]} chains",
            bits,
            "Match the number of chains.",
        )
    return np.broadcast_to(np.array([of(float(b)) for b in bits.flat]).reshape(bits.shape), shape)


def _model(R: AnyArray, gain: FloatArray, noise: FloatArray) -> LinearModel:
    """The model of chains (N,) whose gain and share of distortion do not depend on their input."""
    power = chain_power(R)
    gains = np.empty(power.shape)
    gains[...] = gain
    return LinearModel(gains, noise * power)


def _model_vjp(R: AnyArray, noise: FloatArray, distortion: AnyArray) -> ComplexArray:
    return diagonal_matrix(noise * cotangent_diagonal(distortion, R)).astype(complex)


def quantise(
    x: ComplexArray, bits: FloatArray, codebook: Callable[[int], Codebook], power: FloatArray | None
) -> ComplexArray:
    """Each chain of x (..., N, L) through the codebook of its bits, scaled to its power."""
    x = np.asarray(numbers("x", x, axes=2), complex, order="C")
    if not x.size:
        return x
    real = x.view(float)  # real and imaginary parts in turn: one scale and one codebook for both
    if power is None:
        power = (real[..., None, :] @ real[..., None])[..., 0, 0] / x.shape[-1]
    rows = real.reshape(-1, real.shape[-1])
    with fitting("x, power", x, power):
        scale = np.sqrt(np.broadcast_to(numbers("power", power, real=True), x.shape[:-1]).reshape(-1) / 2)
    y = np.empty_like(rows)
    if bits.ndim == 0:
        _quantise_alike(rows, scale, float(bits), codebook, y)
    else:
        chains = _per_chain(bits, x.shape[:-1], float).reshape(-1)
        for b in np.unique(bits):
            at = chains == b
            part = np.empty_like(rows[at])
            _quantise_alike(rows[at], scale[at], b, codebook, part)
            y[at] = part
    return y.view(complex).reshape(x.shape)


def _quantise_alike(
    rows: FloatArray, scale: FloatArray, bits: float, codebook: Callable[[int], Codebook], out: FloatArray
) -> None:
    if np.isinf(bits):
        np.copyto(out, rows)
    else:
        quantise_rows(rows, scale, codebook(int(bits)), out)


@frozen
class Converter(Hardware):
    """A converter of few bits for each of I and Q, whose full scale follows the power of its chain.

    Args:
        bits: Resolution of each of the I and Q converters: one number, or one for each
            chain; inf is ideal.
    """

    bits: FloatArray = field(converter=_bits, eq=same_array, metadata=BITS)

    @abstractmethod
    def codebook(self, bits: int) -> Codebook:
        """The codebook of a number of bits."""

    def apply(
        self, x: ComplexArray, rng: np.random.Generator | None = None, *, power: FloatArray | None = None
    ) -> ComplexArray:
        """Quantised samples; nothing is random."""
        return quantise(x, self.bits, self.codebook, power)

    def tiled(self, copies: int) -> Self:
        """The bits of every chain repeated."""
        return attrs.evolve(self, bits=np.tile(self.bits, copies)) if self.bits.ndim else self

    @property
    def scale_free(self) -> bool:
        """Always true: full scale follows the power of each chain."""
        return True

    @property
    def is_ideal(self) -> bool:
        """Whether every chain has infinite resolution."""
        return bool(np.isinf(self.bits).all())

    def resolution(self, chains: int) -> FloatArray:
        """The bits of each chain, shape (chains,)."""
        return _per_chain(self.bits, (chains,), float)


@keywords()
@frozen
class Aqnm(Converter):
    """Converter of few bits: Lloyd-Max or uniform codebook, and its quantisation-noise model.

    ``table="lloyd-max"`` applies the Lloyd-Max codebook and models it by the distortion
    factors of the AQNM literature (above 5 bits a formula, 3 % off the codebook);
    ``table="uniform"`` is the mid-rise quantiser with the optimal step, for which the
    model is exact.

    Args:
        bits: Resolution of each of the I and Q converters: one number, or one for each
            chain; inf is ideal.
        table: Which codebook.
    """

    table: Literal["lloyd-max", "uniform"] = field(default="lloyd-max", validator=choice("lloyd-max", "uniform"))

    def codebook(self, bits: int) -> Codebook:
        """The codebook of a number of bits."""
        return lloyd_max(bits) if self.table == "lloyd-max" else mid_rise(bits)

    def distortion_factor(self, bits: float) -> float:
        """The factor beta of the linear model for a converter of ``bits`` bits."""
        if self.table == "lloyd-max" or np.isinf(bits):
            return aqnm_distortion(bits)
        return mid_rise(int(bits)).distortion

    def linear_model(self, R: ComplexArray) -> LinearModel:
        """Gain alpha = 1 - beta and distortion alpha (1 - alpha) diag(R)."""
        return _model(R, *self._factors(square("R", R).shape[-1]))

    def linear_model_vjp(self, R: ComplexArray, gain: AnyArray, distortion: AnyArray) -> ComplexArray:
        """Of the distortion's diagonal alone: the gain is fixed."""
        return _model_vjp(R, self._factors(square("R", R).shape[-1])[1], distortion)

    def tables(self, chains: int) -> Tables:
        """Gain and distortion of each chain."""
        return Tables.uncorrelated(*self._factors(chains))

    @kept  # of every precoder that is judged
    def _factors(self, chains: int) -> tuple[FloatArray, FloatArray]:
        """Gain alpha and distortion alpha (1 - alpha), each (chains,); not to be written to."""
        alpha = 1 - _per_chain(self.bits, (chains,), self.distortion_factor)
        noise = alpha * (1 - alpha)
        alpha.flags.writeable = noise.flags.writeable = False
        return alpha, noise


@keywords()
@frozen
class MidRise(Converter):
    """Uniform mid-rise quantiser ``clip(step (floor(x/step) + 1/2))``.

    Args:
        bits: Resolution of each of the I and Q converters: one number, or one for each
            chain; inf is ideal.
        step: Step in standard deviations of the real part; None is the optimal one.
        correlated: Whether the linear model has the correlation of different chains' distortion, as
            the device has; False takes it for zero, as the additive quantisation noise model does.
    """

    component_version: ClassVar[int] = 2  # the linear model has the correlation of different chains' distortion

    step: float | None = field(
        default=None, validator=number(above=0, remedy="Leave it out for the optimal step.", optional=True)
    )
    correlated: bool = field(default=True, validator=instance(bool))

    def codebook(self, bits: int) -> Codebook:
        """The codebook of a number of bits."""
        return mid_rise(bits, self.step)

    def linear_model(self, R: ComplexArray) -> LinearModel:
        """Bussgang gain, and the covariance of the distortion, exact for Gaussian input."""
        maps = self._maps(square("R", R).shape[-1])
        if self.correlated and not self.is_ideal:
            return exact_model(maps, R)
        noise = maps.at(np.ones(len(maps.books)))
        return _model(R, noise.linear, noise.own)

    def linear_model_vjp(self, R: ComplexArray, gain: AnyArray, distortion: AnyArray) -> ComplexArray:
        """Of the distortion alone: the gain is fixed."""
        maps = self._maps(square("R", R).shape[-1])
        if self.correlated and not self.is_ideal:
            return exact_vjp(maps, R, gain, distortion)
        noise = maps.at(np.ones(len(maps.books)))
        return _model_vjp(R, noise.own, distortion)

    @property
    def scalar(self) -> bool:
        """Whether the model is that of the map, correlations included."""
        return self.correlated

    def tables(self, chains: int) -> Tables:
        """The pair functions of the codebooks."""
        maps = self._maps(chains)
        return maps.tables if self.correlated else Tables.uncorrelated(maps.gain, maps.noise)

    def _maps(self, chains: int) -> GainControlled:
        bits = _per_chain(self.bits, (chains,), float)
        return _gain_controlled(tuple(bits.tolist()), self.step)


@lru_cache(maxsize=64)
def _gain_controlled(bits: tuple[float, ...], step: float | None) -> GainControlled:
    """The maps of mid-rise chains of so many bits, which each linear model asks for again."""
    return GainControlled(tuple(None if np.isinf(b) else mid_rise(int(b), step) for b in bits))
