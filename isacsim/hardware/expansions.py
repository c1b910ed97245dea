"""Exact second-order models of memoryless maps under Gaussian signals, and their derivatives.

A chain puts out ``f_i(x_i)``. Of jointly Gaussian inputs E[x_j | x_i] is linear, so that with
``a_i = E[f_i z*] / sqrt(rho_i)`` the rest ``q = y - A x`` is uncorrelated with the input of every
chain. Its covariance is that of the outputs less the linear part,
``D_ij = E[f_i f_j*] - a_i R_ij a_j*``, a function of rho_i, rho_j and the correlation xi_ij: correlated
between chains, unlike in the additive quantisation noise model. The mean of a map that has one counts
as distortion.

An `Expansion` holds what this function takes of each chain. Its derivative in a power needs none of
the map, which may jump: expansions are vectors, and their differences in the logarithm of the power
are one, too.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, Self

import numpy as np
from attrs import frozen

from isacsim.batch import hermitian_part, squared
from isacsim.hardware.base import Hardware, LinearModel, chain_power, cotangent_diagonal, diagonal_matrix
from isacsim.hardware.gaussian import correlations
from isacsim.hardware.jumps import Expanded, Jumps, covariances, pulsed_coefficients
from isacsim.typing import AnyArray, ComplexArray, FloatArray

# Nepers of power between the places of a difference: truncation h^4 and rounding 1e-16 / h weigh the same.
SHIFT = 1e-3
DIFFERENCES = ((-2, 1.0 / 12), (-1, -8.0 / 12), (1, 8.0 / 12), (2, -1.0 / 12))  # of fourth order
FAINT = 1e-200  # W, where the gain of a silent chain is taken: as far down as the square of a power is a number


class Expansion(ABC):
    """Outputs of N chains of given input powers, as pairs of them see each other.

    Attributes:
        linear: E[f_i z*], shape (..., N), in sqrt(W).
        own: What the rest of f_i has of power, E|f_i|^2 - |E[f_i z*]|^2, shape (..., N), in W; a field of its
            own, since weak distortion would be lost in a difference of powers.
    """

    linear: AnyArray
    own: FloatArray

    @property
    def power(self) -> FloatArray:
        """E|f_i|^2, shape (..., N), in W."""
        return np.asarray(self.own + squared(self.linear))

    @abstractmethod
    def distortion(self, other: Self, xi: ComplexArray) -> ComplexArray:
        """``E[f_i g_j*]`` less its linear part, f of self and g of the ``other``, shape (..., N, N), in W."""

    @abstractmethod
    def toward(self, xi: ComplexArray, g: ComplexArray) -> ComplexArray:
        """Cotangent of xi for the cotangent g of `distortion` with itself, both (..., N, N)."""

    @abstractmethod
    def scaled(self, amplitude: AnyArray, power: AnyArray) -> Self:
        """Coefficients times ``amplitude``, and the power of the rest times ``power``, both (..., N)."""

    @abstractmethod
    def combined(self, parts: Sequence[tuple[float, Self]]) -> Self:
        """The sum of weights times expansions of the same maps."""


class Expander(ABC):
    """Maps of chains, which have an expansion for any powers of their inputs."""

    @abstractmethod
    def at(self, rho: FloatArray) -> Expansion:
        """The expansion for the powers rho (..., N), which are positive, in W."""

    def slope(self, rho: FloatArray) -> Expansion:
        """Its derivative in the logarithm of each chain's power."""
        parts = [(weight / SHIFT, self.at(rho * np.exp(step * SHIFT))) for step, weight in DIFFERENCES]
        return parts[0][1].combined(parts)

    def silence(self, shape: tuple[int, ...]) -> FloatArray:
        """Power out of chains (..., N) without input, in W."""
        return np.zeros(shape)


def exact_model(maps: Expander, R: ComplexArray) -> LinearModel:
    """Gain and covariance of the distortion, for Gaussian input of covariance R (..., N, N), in W."""
    rho, xi = correlations(R)
    here = maps.at(_heard(rho))
    gain = here.linear / np.sqrt(_heard(rho))
    silent = 0.0 if np.all(rho > 0) else maps.silence(rho.shape)
    own = np.where(rho > 0, here.own, silent)
    own = np.where(np.isfinite(rho), own, np.nan)
    if rho.shape[-1] == 1:
        return LinearModel(gain, own)
    others = _with_diagonal(xi, 0.0)
    return LinearModel(gain, _with_diagonal(hermitian_part(_of_heard(here.distortion(here, others), rho)), own))


def exact_vjp(maps: Expander, R: ComplexArray, gain: AnyArray, distortion: AnyArray) -> ComplexArray:
    """Cotangent of R (..., N, N) of `exact_model`; see `isacsim.Hardware.linear_model_vjp`.

    A silent chain has none: the covariance of one cannot be changed to second order.
    """
    rho, xi = correlations(R)
    matrix = hermitian_part(distortion) if np.ndim(distortion) == xi.ndim else diagonal_matrix(distortion)
    own = np.diagonal(matrix, axis1=-2, axis2=-1).real
    g = _of_heard(_with_diagonal(matrix, 0.0), rho)
    here, slope = maps.at(_heard(rho)), maps.slope(_heard(rho))
    root = np.sqrt(_heard(rho))
    to_xi = here.toward(xi, g)
    along = (np.conj(gain) * (slope.linear - here.linear / 2)).real / root
    along = along + own * slope.own
    pairs = 2 * np.conj(g) * slope.distortion(here, xi) - np.conj(to_xi) * xi
    along = np.where(rho > 0, along + pairs.real.sum(axis=-1), 0.0)
    off = to_xi / (root[..., :, None] * root[..., None, :])
    return hermitian_part(_with_diagonal(off, along / root**2))


def chainwise_vjp(device: Hardware, R: ComplexArray, gain: AnyArray, distortion: AnyArray) -> ComplexArray:
    """Cotangent of R (..., N, N) of a device whose model knows the power of each chain alone.

    By differences of its linear model in the logarithm of the power, of all chains at once; see
    `isacsim.Hardware.linear_model_vjp`.
    """
    power = chain_power(R)
    slope = np.zeros(power.shape)
    for step, weight in DIFFERENCES:
        model = device.linear_model(diagonal_matrix(power * np.exp(step * SHIFT)))
        f = (np.conj(gain) * model.gain).real + cotangent_diagonal(distortion, R) * model.distortion_power
        slope += weight / SHIFT * f
    return diagonal_matrix(np.divide(slope, power, out=np.zeros(power.shape), where=power > 0)).astype(complex)


def _heard(rho: FloatArray) -> FloatArray:
    return np.where(rho > 0, rho, FAINT)


def _of_heard(matrix: AnyArray, rho: FloatArray) -> AnyArray:
    """A matrix (..., N, N) without the rows and columns of silent chains."""
    heard = rho > 0
    if heard.all():
        return matrix
    return np.where(heard[..., :, None] & heard[..., None, :], matrix, 0.0)


def _with_diagonal(matrix: AnyArray, d: Any) -> AnyArray:
    """A copy of matrices (..., N, N) with the diagonals d (..., N)."""
    copy = np.array(matrix, order="C")
    copy.reshape(*copy.shape[:-2], copy.shape[-1] ** 2)[..., :: copy.shape[-1] + 1] = d  # also of no members
    return copy


@frozen(eq=False)
class Ito(Expansion):
    """Series in complex Hermite polynomials H_pq, orthonormal for z ~ CN(0, 1).

    ``E[H_pq(z_i) H_pq(z_j)*] = xi^p (xi*)^q``, and none of different orders: with the coefficients
    ``b_pq = E[f H_pq*]`` the distortion is ``sum b_i,pq b_j,pq* xi^p (xi*)^q`` over all orders but
    (1, 0), positive semidefinite in every term. (0, 0) is the mean, (0, 1) the image of an IQ imbalance,
    (2, 1) the third order of an amplifier.

    Attributes:
        b: Pairs of turns l = p - q and coefficients (..., N, orders m = min(p, q)), from the lowest; that of
            (1, 0) is in ``linear``, and 0 there.
    """

    linear: AnyArray
    own: FloatArray
    b: tuple[tuple[int, AnyArray], ...]

    @classmethod
    def of(cls, b: Mapping[int, AnyArray], own: FloatArray) -> Ito:
        """Of the coefficients by turns, and the power of the rest (..., N).

        What is above the orders that are kept goes to one further order: the diagonal is exact then, and so
        are chains that are alike.
        """
        silent = np.zeros_like(b[1][..., :1])
        kept = {**b, 1: np.concatenate([silent, b[1][..., 1:]], axis=-1)}
        lost = np.sqrt(np.maximum(own - sum(squared(each).sum(axis=-1) for each in kept.values()), 0.0))
        kept[1] = np.concatenate([kept[1], lost[..., None]], axis=-1)
        return cls(b[1][..., 0], own, tuple(kept.items()))

    def distortion(self, other: Ito, xi: ComplexArray) -> ComplexArray:
        """``sum b_i,pq b_j,pq* xi^p (xi*)^q``."""
        total = np.zeros(xi.shape, complex)
        for (turns, b), (_, c) in zip(self.b, other.b, strict=True):
            total += _turned(xi, turns) * _radial(b, c, xi)[0]
        return total

    def toward(self, xi: ComplexArray, g: ComplexArray) -> ComplexArray:
        """By the derivatives of xi^p (xi*)^q in xi and in xi*."""
        by_xi, by_conj = np.zeros(xi.shape, complex), np.zeros(xi.shape, complex)
        for turns, b in self.b:
            value, slope = _radial(b, b, xi)
            turned = _turned(xi, turns)
            by_xi += turned * slope * np.conj(xi)
            by_conj += turned * slope * xi
            lower = abs(turns) * value * _turned(xi, turns - np.sign(turns)) if turns else 0.0
            by_xi, by_conj = (by_xi + lower, by_conj) if turns > 0 else (by_xi, by_conj + lower)
        return np.asarray(np.conj(np.conj(g) * by_xi) + np.conj(g) * by_conj)

    def scaled(self, amplitude: AnyArray, power: AnyArray) -> Ito:
        """All coefficients alike."""
        b = [(turns, amplitude[..., None] * each) for turns, each in self.b]
        return Ito(amplitude * self.linear, power * self.own, tuple(b))

    def combined(self, parts: Sequence[tuple[float, Ito]]) -> Ito:
        """Coefficients add."""
        b = [(turns, _sum((w, each.b[k][1]) for w, each in parts)) for k, (turns, _) in enumerate(self.b)]
        linear, own = (_sum((w, getattr(each, name)) for w, each in parts) for name in ("linear", "own"))
        return Ito(linear, own, tuple(b))


def _radial(b: AnyArray, c: AnyArray, xi: ComplexArray) -> tuple[ComplexArray, ComplexArray]:
    """``sum_m b_im c_jm* |xi|^(2m)`` and its derivative in |xi|^2, by Horner's rule."""
    ratio, c = squared(xi), np.conj(c)
    value, slope = np.zeros(xi.shape, complex), np.zeros(xi.shape, complex)
    for m in reversed(range(b.shape[-1])):
        slope = slope * ratio + value
        value = value * ratio + b[..., :, None, m] * c[..., None, :, m]
    return value, slope


def with_rest(c: FloatArray, own: FloatArray, jumps: FloatArray) -> FloatArray:
    """Coefficients c (..., N, n) of rails, and one more odd degree for what they leave of ``own`` (..., N).

    Chains that are alike are exact then. Where a chain has ``jumps``, what is left of the series is their part.
    """
    kept = 2 * (c**2).sum(axis=-1) - 2 * c[..., 1] ** 2
    rest = np.where((jumps != 0).any(axis=-1), 0.0, np.sqrt(np.maximum(own - kept, 0.0) / 2))[..., None]
    return np.concatenate([c, *([0 * rest] if c.shape[-1] % 2 == 0 else []), rest], axis=-1)


def _sum(terms: Iterable[tuple[float, AnyArray]]) -> AnyArray:
    return np.asarray(sum(weight * array for weight, array in terms))


def _turned(xi: ComplexArray, turns: int) -> ComplexArray:
    return np.asarray(xi**turns if turns >= 0 else np.conj(xi) ** -turns)


@frozen(eq=False)
class Rails(Expansion):
    """The same map q of real and imaginary part, ``f = q(Re x) + j q(Im x)``, with what jumps in it apart.

    The parts of two chains have the correlations Re xi and, with one sign or the other, Im xi. With
    ``K_ij(r) = E[q_i(u) q_j(v)] = sum_n c_in c_jn r^n`` in Hermite coefficients
    ``C = 2 K(Re xi) + j (K(Im xi) - K(-Im xi))``. Coefficients of a map that jumps fall too slowly, by
    n^(-3/2) in the square; `isacsim.hardware.jumps` has what its jumps share, and the series the rest.

    Attributes:
        linear: E[f z*], shape (..., N), in sqrt(W).
        own: Power of the rest, shape (..., N), in W.
        c: Coefficients of degrees 0, 1, ..., shape (..., N, degrees), in sqrt(W).
        jumped: Those of the jumps alone, of the same shape.
        places: Where the map jumps, in deviations of the part, shape (..., N, J).
        heights: By how much, of the same shape, in sqrt(W).
        pulsed: Whether these are areas of pulses, of a derivative.
        sorted_jumps: The same as it is correlated, where it is known.
    """

    linear: AnyArray
    own: FloatArray
    c: FloatArray
    jumped: FloatArray
    places: FloatArray
    heights: FloatArray
    pulsed: bool = False
    sorted_jumps: Jumps | None = None

    @cached_property
    def expanded(self) -> Expanded:
        """As `isacsim.hardware.jumps.covariances` takes it."""
        jumps = self.sorted_jumps or Jumps.of(self.places, self.heights, self.pulsed)
        return Expanded(self.c, self.jumped, jumps)

    def distortion(self, other: Rails, xi: ComplexArray) -> ComplexArray:
        """``2 K(Re xi) + j (K(Im xi) - K(-Im xi))``, less what is linear."""
        real, imag, minus = self._pairs(other, xi)
        D = 2 * real + 1j * (imag - minus)
        return _whole(D) if other is self else D

    def toward(self, xi: ComplexArray, g: ComplexArray) -> ComplexArray:
        """``2 K'(Re xi) Re g + j (K'(Im xi) + K'(-Im xi)) Im g``."""
        real, imag, minus = self._pairs(self, xi, slopes=True)
        return _whole(2 * real * g.real + 1j * (imag + minus) * g.imag)

    def scaled(self, amplitude: AnyArray, power: AnyArray) -> Rails:
        """Coefficients and heights alike; places are in deviations."""
        return Rails(
            amplitude * self.linear,
            power * self.own,
            amplitude[..., None] * self.c,
            amplitude[..., None] * self.jumped,
            np.broadcast_to(self.places, (*np.shape(amplitude), self.places.shape[-1])),
            amplitude[..., None] * self.heights,
            self.pulsed,
        )

    def combined(self, parts: Sequence[tuple[float, Rails]]) -> Rails:
        """Coefficients add, and jumps come together."""
        return Rails(
            _sum((w, each.linear) for w, each in parts),
            _sum((w, each.own) for w, each in parts),
            _sum((w, each.c) for w, each in parts),
            _sum((w, each.jumped) for w, each in parts),
            np.concatenate([each.places for _, each in parts], axis=-1),
            np.concatenate([w * each.heights for w, each in parts], axis=-1),
        )

    def pulsing(self, slope: Rails) -> Rails:
        """Their derivative in the logarithm of the power, of the ``slope`` that differences have of them.

        Jumps of a fixed amplitude move by half of their place: the derivative is one of pulses, which no difference
        shows where chains are so near in phase that jumps correlate over less than they were moved.
        """
        areas = self.heights * self.places / 2
        jumped = pulsed_coefficients(self.places, areas, slope.c.shape[-1])
        jumped[..., -1] = 0.0  # which stands for the rest of maps without jumps
        c = slope.c - slope.jumped + jumped
        return Rails(slope.linear, slope.own, c, jumped, self.places, areas, pulsed=True)

    def _pairs(self, other: Rails, xi: ComplexArray, *, slopes: bool = False) -> Iterable[FloatArray]:
        """K without its linear part, or its derivative, at Re xi, Im xi and -Im xi; see `covariances`."""
        mine = self.expanded
        theirs = mine if other is self else other.expanded
        odd = not (mine.c[..., ::2].any() or theirs.c[..., ::2].any())
        r = np.stack([xi.real, xi.imag, *([] if odd else [-xi.imag])], axis=-3)
        found = np.moveaxis(covariances(mine, theirs, r, slopes), -3, 0)
        return (*found, found[1] if slopes else -found[1]) if odd else found


def _whole(upper: ComplexArray) -> ComplexArray:
    """Hermitian matrices (..., N, N) of what they have on the diagonal and above it; 0 is below it."""
    diagonal = np.diagonal(upper, axis1=-2, axis2=-1).real
    return _with_diagonal(upper + np.conj(upper).swapaxes(-1, -2), diagonal)
