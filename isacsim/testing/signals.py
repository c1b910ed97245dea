"""Contracts of what signals are made of: antenna arrays and modulations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from isacsim.arrays import AntennaArray, PlacedArray
from isacsim.elements import ElementPattern
from isacsim.random import complex_normal
from isacsim.testing.rules import alone, attempt, difference, outcome, record, require, shaped
from isacsim.typing import ComplexArray
from isacsim.waveform.modulation import Constellation, Modulation, bit_errors

AZIMUTH = np.array([-0.7, 0.1, 0.9])  # rad, away from every singular geometry
ZENITH = np.array([1.2, 1.7, 0.8])
SYMBOLS = 2**14
DEVIATIONS = 5  # standard errors: a sound component fails once in two million checks


def check_array(array: AntennaArray) -> None:
    """Check an antenna array: shape and norm of steering vectors, and their derivatives against differences.

    Raises:
        ContractError: If it breaks a rule.
    """
    record(array, AntennaArray)
    _check_places(array)
    size = attempt(array, "have a size", lambda: array.size)

    def basis(azimuth: Any, zenith: Any) -> Any:
        given = {"azimuth": azimuth, "zenith": zenith}
        return outcome(array, "give steering vectors", lambda _: array.steering_basis(azimuth, zenith), **given)

    for a in (found := basis(AZIMUTH, ZENITH)):
        shape = (AZIMUTH.size, size)
        require(array, np.shape(a) == shape, f"give vectors and derivatives of shape {shape}", np.shape(a))
        require(array, np.iscomplexobj(a) and np.isfinite(a).all(), "give finite complex numbers", a)
    if array.normalized and array.element is None:
        norms = np.linalg.norm(found[0], axis=-1)
        # Rounding of N squares.
        require(array, abs(norms - 1) < 1e-12 * size, "give steering vectors of unit norm", norms)
    if array.element is None:
        _check_phases(array, found[0])
    alone(array, "steering vector", 3, lambda i: [a[i] for a in found], lambda i: list(basis(AZIMUTH[i], ZENITH[i])))
    _check_derivatives(array, found)
    if not array.planar:
        turn = basis(AZIMUTH, np.pi / 2)[2]
        # What is left of cos(pi/2) in floating point, times the extent of the array.
        require(array, abs(turn) < 1e-12 * size, "resolve the zenith where it says that it is planar", turn)


def _check_places(array: AntennaArray) -> None:
    """The fields that every array has, and elements at places of their own."""
    for name in ("normalized", "conjugate"):
        require(array, isinstance(getattr(array, name, None), bool), f"have a field {name!r}, True or False")
    require(array, isinstance(array.planar, (bool, np.bool_)), "say by True or False if it is `planar`", array.planar)
    grid = attempt(array, "give the places of its elements", lambda: array.grid)
    places = [np.asarray(axis) for axis in grid] if isinstance(grid, (tuple, list)) else []
    vectors = len(places) == 2 and all(isinstance(axis, np.ndarray) and axis.dtype.kind in "fiu" for axis in grid)
    fits = vectors and places[0].shape == places[1].shape and places[0].ndim == 1
    require(array, fits, "give as `grid` two real arrays (N,), the places of its N elements across and up", grid)
    require(array, all(np.isfinite(axis).all() for axis in places), "have finite places in its `grid`", grid)
    apart = len({*zip(*(axis.tolist() for axis in places), strict=True)}) == places[0].size
    require(array, apart, "have another place for each element (in half wavelengths)", grid)


def _check_phases(array: AntennaArray, a: ComplexArray) -> None:
    """Elements are where `grid` says, and `conjugate` says the sign: by both, imported channels are put in order."""
    expected = AntennaArray.steering_basis(array, AZIMUTH, ZENITH)[0]
    off = np.abs(
        np.exp(1j * np.angle(a * np.conj(a[:, :1]))) - np.exp(1j * np.angle(expected * np.conj(expected[:, :1])))
    )
    # Rounding of phases that grow with the extent of the array.
    allowed = 1e-12 * (1 + np.max(np.abs(np.concatenate(array.grid))))
    require(array, off <= allowed, "have phases by its `grid`, with the sign of `conjugate`", f"{np.max(off):.3g} off")


def check_element(element: ElementPattern) -> None:
    """Check a pattern of elements: gains of directions, and their derivatives against differences.

    Raises:
        ContractError: If it breaks a rule.
    """
    record(element, ElementPattern)

    def gains(azimuth: Any, zenith: Any) -> Any:
        given = {"azimuth": azimuth, "zenith": zenith}
        return outcome(element, "give gains", lambda _: element.gains(azimuth, zenith), **given)

    for g in (found := gains(AZIMUTH, ZENITH)):
        good = np.shape(g) == AZIMUTH.shape and np.isrealobj(g) and np.isfinite(g).all()
        require(element, good, f"give a gain and derivatives of shape {AZIMUTH.shape}, real and finite", g)
    require(element, np.all(np.asarray(found[0]) >= 0), "give amplitudes, which are not negative", found[0])
    alone(element, "gain", 3, lambda i: [g[i] for g in found], lambda i: list(gains(AZIMUTH[i], ZENITH[i])))
    # The array of one element is its pattern.
    one = PlacedArray([0.0], element=element)
    _check_derivatives(one, [np.asarray(g)[..., None] for g in found], 1e-3, (element, "its amplitude"))


def _check_derivatives(
    array: AntennaArray, found: Sequence[ComplexArray], step: float = 0.02, told: tuple[Any, str] | None = None
) -> None:
    who, what = told or (array, "its steering vectors")
    a, *derivatives = found
    for name, derivative, turn in zip(("azimuth", "zenith"), derivatives, ((1, 0), (0, 1)), strict=True):
        largest = max(abs(derivative).max(), abs(a).max())
        # In units of the phase across the array 0.02: the remainder of the sixth-order formula is
        # 0.02^6/140 of the derivative, and rounding 1e-16/0.02. Patterns turn faster than their size tells.
        h = step * abs(a).max() / largest
        slope = sum(
            w * (array.steering(AZIMUTH + k * h * turn[0], ZENITH + k * h * turn[1])) for k, w in _differences()
        ) / (60 * h)
        off = abs(slope - derivative).max() / largest
        require(who, off < 1e-9, f"give the derivative in {name} of {what}, in 1/rad", f"{off:.3g} off")


def _differences() -> list[tuple[int, float]]:
    """Places and weights of the central difference of sixth order, over 60 h."""
    return [(s * k, s * w) for k, w in ((1, 45.0), (2, -9.0), (3, 1.0)) for s in (1, -1)]


def check_modulation(modulation: Modulation) -> None:
    """Check a modulation: unit power, draws that join, and of a constellation its decisions and error rate.

    Raises:
        ContractError: If it breaks a rule.
    """
    record(modulation, Modulation)
    shape = (SYMBOLS // 16, 16)
    x = outcome(modulation, f"draw symbols of shape {shape}", lambda rngs: modulation.draw(rngs[0], shape), [0])
    fits = isinstance(x, np.ndarray) and x.shape == shape
    require(modulation, fits, f"draw symbols of shape {shape}", shaped(x))
    require(modulation, np.iscomplexobj(x) and np.isfinite(x).all(), "draw finite complex symbols", x)
    power = abs(x.ravel()) ** 2
    allowed = DEVIATIONS * power.std() / np.sqrt(power.size) + 1e-12
    require(modulation, abs(power.mean() - 1) < allowed, "draw symbols of unit mean power", f"{power.mean():.6g}")
    rng = np.random.default_rng(0)
    parts = np.concatenate([modulation.draw(rng, (n, 16)) for n in (100, shape[0] - 100)])
    require(modulation, not difference(x, parts), "draw symbols that two draws join to", difference(x, parts))
    if isinstance(modulation, Constellation):
        attempt(modulation, "modulate and decide", _check_constellation, modulation)
    else:
        require(modulation, modulation.bits == 0, "carry no bits unless it is a Constellation", modulation.bits)


def _check_constellation(modulation: Constellation) -> None:
    bits = modulation.bits
    require(modulation, bits in range(1, 9), "carry 1 to 8 bits a symbol", bits)
    labels = np.arange(2**bits, dtype=np.uint8)
    points = modulation.modulate(labels)
    power = np.mean(abs(points) ** 2)
    # The constellation is exact up to the rounding of its points.
    require(modulation, abs(power - 1) < 1e-12, "have unit mean power over its points", f"{power:.6g}")
    decided = modulation.decide(points)
    require(modulation, np.array_equal(decided, labels), "decide for the label of each of its points", decided)
    snrs = np.logspace(-1, 5, 61)
    rates = modulation.bit_error_rate(snrs)
    require(modulation, np.shape(rates) == snrs.shape, "give a bit error rate for each SNR", np.shape(rates))
    require(modulation, (rates >= 0) & (rates <= 0.5), "give bit error rates from 0 to 0.5", rates)
    require(modulation, np.diff(rates) <= 1e-12, "give bit error rates that fall with the SNR", rates)
    _check_error_rate(modulation, snrs[np.argmin(abs(rates - 0.05))])


def _check_error_rate(modulation: Constellation, snr: float) -> None:
    """The closed form, at an SNR where errors are frequent, against decisions on noisy samples."""
    rng = np.random.default_rng(1)
    sent = modulation.draw_labels(rng, (SYMBOLS,))
    noisy = modulation.modulate(sent) + complex_normal(rng, (SYMBOLS,)) / np.sqrt(snr)
    wrong = np.array(
        [
            bit_errors(sent[n : n + 64], modulation.decide(noisy[n : n + 64]), modulation.bits).sum()
            for n in range(0, SYMBOLS, 64)
        ]
    ) / (64 * modulation.bits)
    expected, allowed = float(modulation.bit_error_rate(snr)), DEVIATIONS * wrong.std() / np.sqrt(wrong.size)
    off = abs(wrong.mean() - expected) < allowed
    told = f"{wrong.mean():.4g} for {expected:.4g} at an SNR of {snr:.3g}"
    require(modulation, off, "make the bit errors of its closed form", told)
