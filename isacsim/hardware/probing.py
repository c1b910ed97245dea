"""The exact second-order model of any memoryless device, from its samples out alone.

What kind of map the device is, is found by trying it: *circular* turns with its input (amplifiers);
*rails* treats real and imaginary part alike and apart (converters, clipping); anything else is
*general*. `isacsim.hardware.quadrature` expands each kind, `isacsim.hardware.cells` what begins with a
codebook. What comes out is exact to about

==================================================  ======================
codebook, behind a gain control or of fixed scale    1e-13, of 12 bits 1e-12
rails, smooth or with kinks                          1e-11
circular, smooth                                     1e-12
circular with a kink, correlations up to 0.99        1e-8
general, smooth                                      1e-8
general with jumps                                   1e-2 to 1e-4
==================================================  ======================

relative to the largest distortion.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from enum import Enum
from functools import lru_cache
from pathlib import Path
from types import FunctionType
from typing import Any

import attrs
import numpy as np
from attrs import frozen

from isacsim.errors import InvalidInput
from isacsim.hardware.base import Hardware, diagonal_matrix
from isacsim.hardware.cells import LEVELS, Cells
from isacsim.hardware.chain import Series
from isacsim.hardware.codebooks import Codebook
from isacsim.hardware.envelopes import Envelopes
from isacsim.hardware.expansions import Expander, Expansion, Ito, Rails
from isacsim.hardware.fixed_scale import FixedScale
from isacsim.hardware.gain_control import GainControlled, Quantised
from isacsim.hardware.quadrature import SAME, Kind, expand, is_smooth
from isacsim.typing import ComplexArray, FloatArray

PROBES = 64
DECADES = range(-9, 10)  # of the input power, in W, that the kind of a map is tried at
PLAIN = (int, float, complex, str, bytes, bool, type(None), np.generic, Enum, FunctionType, type)


@frozen(eq=False)
class _Itself:
    """What stands for nothing but itself; it is held, so that no other object comes to have its identity."""

    item: object

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Itself) and self.item is other.item

    def __hash__(self) -> int:
        return id(self.item)


@frozen(eq=False)
class _Valued:
    """A device that stands for its value, as a key of what is kept."""

    device: Hardware
    value: Hashable

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Valued) and self.value == other.value

    def __hash__(self) -> int:
        return hash(self.value)


def maps_of(device: Hardware, chains: int) -> Expander:
    """The maps of a device's chains, found by trying it; kept by its value, so that equal devices share them.

    Raises:
        InvalidInput: If the device draws samples, or has memory.
    """
    return _kept(_Valued(device, value_of(device)), chains)


def hears(device: Hardware, chains: int) -> bool:
    """Whether a device's output changes with the power that it is told; kept by its value."""
    return _listens(_Valued(device, value_of(device)), chains)


@lru_cache(maxsize=256)
def _listens(key: _Valued, chains: int) -> bool:
    return not _is_deaf(key.device, chains)


def power_behind(device: Hardware, power: FloatArray) -> FloatArray:
    """Power (..., N) that a device puts out for input of ``power`` (..., N), in W; of one member it is kept."""
    if power.ndim > 1:
        R = diagonal_matrix(power)
        return device.linear_model(R).output_power(R)
    return _power_behind(_Valued(device, value_of(device)), np.asarray(power, np.float64).tobytes()).copy()


# A search for jumps asks for the same power at each of its fifty steps, and a derivative at four beside it.
@lru_cache(maxsize=1024)
def _power_behind(key: _Valued, power: bytes) -> FloatArray:
    R = diagonal_matrix(np.frombuffer(power).copy())
    return key.device.linear_model(R).output_power(R)


@lru_cache(maxsize=256)
def _kept(key: _Valued, chains: int) -> Expander:
    return _tried(key.device, chains)


def _tried(device: Hardware, chains: int) -> Expander:
    if isinstance(device, Series) and (known := device.envelopes(chains)) is not None:
        maps: Envelopes = known
        return maps
    kind = kind_of(device, chains)
    if kind == "general" and (cells := _cells(device, chains)) is not None:
        return cells
    if not _follows_power(device, chains):
        return FixedScale(device, chains, kind, deaf=_is_deaf(device, chains))
    unit = expand(device, np.ones(chains), kind)
    if isinstance(unit, Rails) and (books := _codebooks(unit)) is not None:
        return GainControlled(books)
    return Scaled(unit)


def _cells(device: Hardware, chains: int) -> Cells | None:
    """Of stages in series that begin with codebooks of few levels."""
    if not isinstance(device, Series):
        return None
    first, rest = device.stages[0], Series(device.stages[1:])
    before = maps_of(first, chains)
    unit = before.at(np.ones(chains))
    if isinstance(unit, Quantised):
        fits = all(book is not None and book.levels.size <= LEVELS for book in unit.books)
    elif isinstance(unit, Rails):
        smooth = np.abs(unit.c[:, 1:] - unit.jumped[:, 1:]).max()
        fits = 0 < unit.places.shape[-1] < LEVELS and bool(smooth <= SAME * np.sqrt(unit.power.max()))
    else:
        fits = False
    return Cells(before, rest, _is_fourfold(rest, chains), _is_unturned(rest, chains)) if fits else None


def _is_fourfold(device: Hardware, chains: int) -> bool:
    x = _probes() * np.ones((chains, 1))
    y = device.apply(x, None, power=np.ones(chains))
    return bool(np.abs(device.apply(1j * x, None, power=np.ones(chains)) - 1j * y).max() <= SAME * np.abs(y).max())


def _is_unturned(device: Hardware, chains: int) -> bool:
    for decade in DECADES:
        rho = np.full(chains, 10.0**decade)
        y = device.apply(np.sqrt(rho)[:, None] * np.abs(_probes()).astype(complex), None, power=rho)
        if np.isfinite(y).all() and np.abs(y.imag).max() > SAME * np.abs(y).max():
            return False
    return True


def is_one_map(device: Hardware, chains: int) -> bool:
    """Whether the exact model of stages in series is found: not where a general map jumps, as behind an amplifier."""
    return _found_as_one(_Valued(device, value_of(device)), chains)


@lru_cache(maxsize=256)
def _found_as_one(key: _Valued, chains: int) -> bool:
    maps = maps_of(key.device, chains)
    if isinstance(maps, FixedScale) and maps.kind == "general":
        return all(is_smooth(key.device, np.full(chains, power)) for power in (1e-3, 1.0, 1e3))
    if isinstance(maps, Scaled) and isinstance(maps.unit, Ito) and len(maps.unit.b) > 1:
        return is_smooth(key.device, np.ones(chains))
    return True


def value_of(item: Any) -> Hashable:
    """What tells ``item`` from others.

    Records, other devices and containers are told by what is in them, anything else by its identity: a device
    that is changed in such a part, as by training its network, is to be made anew.
    """
    kind = type(item)
    if attrs.has(kind):
        read = getattr(item, "fingerprint", None)  # of the file that it was read from, which stands for the path
        said = (getattr(item, f.name) for f in attrs.fields(kind))
        return kind, read, tuple(value_of(value) for value in said if not (read and isinstance(value, Path)))
    if isinstance(item, np.ndarray) and not item.dtype.hasobject:
        return kind, item.shape, item.dtype.str, item.tobytes()
    if isinstance(item, (tuple, list)):
        return kind, tuple(value_of(entry) for entry in item)
    if isinstance(item, dict):
        return kind, tuple((value_of(key), value_of(entry)) for key, entry in item.items())
    if isinstance(item, PLAIN):
        return kind, item
    if isinstance(item, Hardware):
        return kind, value_of(object.__getstate__(item))  # attributes and slots
    return kind, _Itself(item)


@frozen(eq=False)
class Scaled(Expander):
    """Maps behind a gain control, which one expansion tells for all powers.

    Attributes:
        unit: For input of 1 W in each chain.
    """

    unit: Expansion

    def at(self, rho: FloatArray) -> Expansion:
        """Amplitudes grow with the root of the power."""
        return self.unit.scaled(np.sqrt(rho), rho)

    def slope(self, rho: FloatArray) -> Expansion:
        """In closed form."""
        return self.unit.scaled(np.sqrt(rho) / 2, rho)


def kind_of(device: Hardware, chains: int) -> Kind:
    """The structure of a device's maps, tried over all powers.

    Raises:
        InvalidInput: If two answers to one input differ, or depend on the samples before.
    """
    found: Kind = "circular"
    for decade in DECADES:
        rho = np.full(chains, 10.0**decade)
        x = np.sqrt(rho)[:, None] * _probes()

        def f(x: ComplexArray, rho: FloatArray = rho) -> ComplexArray:
            return device.apply(x, None, power=rho)

        try:
            y = f(x)
        except (TypeError, AttributeError) as error:
            _require_apply(device, x, rho)
            raise _no_map(device) from error  # of the generator that is not there
        if not np.isfinite(y).all():
            continue  # far beyond what the device is made for
        order = 27 * np.arange(PROBES) % PROBES  # any will do in which no sample follows the one that it did
        if np.abs(f(x) - y).max() > 0 or np.abs(f(x[:, order]) - y[:, order]).max() > SAME * np.abs(y).max():
            raise _no_map(device)
        if found == "circular" and not _is_circular(f, x, y):
            found = "rails"
        if found == "rails" and not _is_rails(f, x, y):
            return "general"
    return found


def _require_apply(device: Hardware, x: ComplexArray, rho: FloatArray) -> None:
    """Refuse a device that takes no samples with a generator either, with what it raises."""
    try:
        device.apply(x, np.random.default_rng(0), power=rho)
    except (TypeError, AttributeError) as error:
        rule = "must take what apply(x, rng=None, *, power=None) is given"
        raise InvalidInput("hardware", rule, device, f"It raised {type(error).__name__}: {error}.") from error


def _no_map(device: Hardware) -> InvalidInput:
    remedy = (
        "Override linear_model (estimate_linear_model gives three digits, chain by chain), or say memoryless = False."
    )
    return InvalidInput(
        "hardware", "must give the same output for a sample each time to be told from apply", device, remedy
    )


def _probes() -> ComplexArray:
    """Points of CN(0, 1) away from the axes, where a threshold may lie."""
    k = np.arange(PROBES)
    radius = np.sqrt(-np.log1p(-(k + 0.5) / PROBES))
    return np.asarray(radius * np.exp(2j * np.pi * (0.6180339887498949 * k + 0.137)))


def _is_circular(f: Callable[[ComplexArray], ComplexArray], x: ComplexArray, y: ComplexArray) -> bool:
    turns = (np.exp(1j * a) for a in (0.3, 1.1, 2.6))
    return all(np.abs(f(x * turn) - y * turn).max() <= SAME * np.abs(y).max() for turn in turns)


def _is_rails(f: Callable[[ComplexArray], ComplexArray], x: ComplexArray, y: ComplexArray) -> bool:
    other_imag, other_real = f(x.real + 1j * np.roll(x.imag, 7, axis=-1)), f(np.roll(x.real, 5, axis=-1) + 1j * x.imag)
    swapped = f(x.imag + 1j * x.real)
    off = np.abs(other_imag.real - y.real) + np.abs(other_real.imag - y.imag) + np.abs(swapped - (y.imag + 1j * y.real))
    return bool(off.max() <= SAME * np.abs(y).max())


def _follows_power(device: Hardware, chains: int) -> bool:
    """Whether the output is in proportion to the input where the power that it is told is, too."""
    x = _probes() * np.ones((chains, 1))
    y = device.apply(x, None, power=np.ones(chains))
    for scale in (2.0**-7, 1.7, 2.0**9):
        z = device.apply(scale * x, None, power=np.full(chains, scale**2))
        if np.abs(z - scale * y).max() > SAME * scale * np.abs(y).max():
            return False
    return True


def _is_deaf(device: Hardware, chains: int) -> bool:
    """Whether the output does not change with the power that the map is told."""
    for decade in DECADES:
        rho = np.full(chains, 10.0**decade)
        x = np.sqrt(rho)[:, None] * _probes()
        y, other = device.apply(x, None, power=rho), device.apply(x, None, power=3 * rho)
        if np.isfinite(y).all() and np.abs(other - y).max() > SAME * np.abs(y).max():
            return False
    return True


def _codebooks(unit: Rails) -> tuple[Codebook | None, ...] | None:
    """The odd codebooks that rails of 1 W are, or None where a chain is anything else."""
    size = np.sqrt(unit.power.max())
    if np.abs(unit.c - unit.jumped).max() > SAME * size or not unit.places.shape[-1]:
        return None
    books: dict[bytes, Codebook] = {}
    found = []
    for places, heights, power, linear in zip(unit.places, unit.heights, unit.power, unit.linear, strict=True):
        order = np.argsort(places[heights != 0])
        t, d = places[heights != 0][order], heights[heights != 0][order] * np.sqrt(2)
        if not t.size or np.abs(t + t[::-1]).max() > 1e-12 or np.abs(d - d[::-1]).max() > 1e-12 * size:
            return None
        # Odd to the last digit: that a threshold is 0 and not next to it says which jumps have a mirror image.
        t, d = (t - t[::-1]) / 2, (d + d[::-1]) / 2
        levels = np.concatenate([[0.0], np.cumsum(d)]) - d.sum() / 2
        name = np.round(np.concatenate([t, levels]), 12).tobytes()
        found.append(books.setdefault(name, Codebook(t, levels, float(linear), float(power))))
    return tuple(found)
