"""The exact second-order model of any memoryless device, from its samples out alone.

What kind of map the device is, is found by trying it: *circular* turns with its input (amplifiers);
*rails* treats real and imaginary part alike and apart (converters, clipping); anything else is
*general*. Circular maps and rails are expanded by quadrature in panels that halve until a polynomial
follows the map to its ends, after the jumps of rails have been found by bisection; general maps on a polar
grid. What comes out is exact to about

==================================================  ============
codebook, behind a gain control or of fixed scale    1e-13
rails, smooth or with kinks                          1e-11
circular, smooth                                     1e-12
circular with a kink, correlations up to 0.99        1e-8
general, smooth                                      1e-8
general with jumps                                   1e-2 to 1e-4
==================================================  ============

relative to the largest distortion.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from enum import Enum
from functools import lru_cache
from types import FunctionType
from typing import Any, Literal

import attrs
import numpy as np
from attrs import frozen

from isacsim.batch import squared
from isacsim.errors import InvalidInput
from isacsim.hardware.base import Hardware
from isacsim.hardware.cells import LEVELS, Cells
from isacsim.hardware.chain import Series
from isacsim.hardware.codebooks import Codebook
from isacsim.hardware.expansions import Expander, Expansion, Ito, Rails, with_rest
from isacsim.hardware.gain_control import GainControlled, Quantised
from isacsim.hardware.gaussian import density, hermite, laguerre, legendre
from isacsim.typing import ComplexArray, FloatArray

Kind = Literal["circular", "rails", "general"]
Map = Callable[[FloatArray], Any]

PROBES = 64
SAME = 1e-9  # of the largest output: what two outputs of one map may differ by
REACH = 9.0  # deviations of a part: what is beyond has a probability of 1e-19
DECADES = range(-9, 10)  # of the input power, in W, that the kind of a map is tried at
SEEN = 8.5  # deviations up to which jumps are looked for
CELLS = 4096  # among which jumps are looked for: two in one, 0.004 deviations apart, are told as one
BISECTIONS = 50  # until a cell is as small as rounding
STEEP = 4.0  # times the median step between cells, which a jump exceeds
PANELS = 16  # before any is halved
PANEL_NODES = 16
MOST_PANELS = 1000  # beyond it a map is no more followed: it is none, or jumps everywhere
HALVINGS = 30
FOLLOWED = 1e-12  # of the largest output: the last coefficients in a panel that is fine enough
ENVELOPE = 6.5  # roots of the mean power: exp(-42) is below rounding
TURNED_ORDERS = 64  # of circular maps: a soft limiter to 1e-8 at correlations of 0.99
RAIL_DEGREES = 64
DEGREE = 13  # p + q of general maps
RINGS, ANGLES = 48, 64  # of the polar grid: smooth maps are exact on it
FINE = 4  # times as many where a map jumps
SMOOTH = 1e-7  # of the output: by which coefficients of a map without jumps differ on two grids
HEAVY = 1e-8  # share of the power in the last panel, from which on it is not finite
KEPT = 256  # expansions of a device, each for one power of every chain
PLAIN = (int, float, complex, str, bytes, bool, type(None), np.generic, Enum, FunctionType, type)


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
    try:
        key = _Valued(device, value_of(device))
    except TypeError:  # no record of plain values, arrays and such records
        return _tried(device, chains)
    return _kept(key, chains)


@lru_cache(maxsize=256)
def _kept(key: _Valued, chains: int) -> Expander:
    return _tried(key.device, chains)


def _tried(device: Hardware, chains: int) -> Expander:
    kind = kind_of(device, chains)
    if kind == "general" and (cells := _cells(device, chains)) is not None:
        return cells
    if not _follows_power(device, chains):
        return FixedScale(device, chains, kind)
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
    return Cells(before, rest, _is_fourfold(rest, chains)) if fits else None


def _is_fourfold(device: Hardware, chains: int) -> bool:
    x = _probes() * np.ones((chains, 1))
    y = device.apply(x, None, power=np.ones(chains))
    return bool(np.abs(device.apply(1j * x, None, power=np.ones(chains)) - 1j * y).max() <= SAME * np.abs(y).max())


def is_one_map(device: Hardware, chains: int) -> bool:
    """Whether the exact model of stages in series is found: not where a general map jumps, as behind an amplifier."""
    try:
        key = _Valued(device, value_of(device))
    except TypeError:
        return False  # of what is not kept a chain would try all anew for each model
    return _found_as_one(key, chains)


@lru_cache(maxsize=256)
def _found_as_one(key: _Valued, chains: int) -> bool:
    maps = maps_of(key.device, chains)
    if isinstance(maps, FixedScale) and maps.kind == "general":
        return all(_is_smooth(key.device, np.full(chains, power)) for power in (1e-3, 1.0, 1e3))
    if isinstance(maps, Scaled) and isinstance(maps.unit, Ito) and len(maps.unit.b) > 1:
        return _is_smooth(key.device, np.ones(chains))
    return True


def _is_smooth(device: Hardware, rho: FloatArray) -> bool:
    coarse, fine = (_on_grid(_of_unit(device, rho), k) for k in (1, 2))
    return _apart(coarse, fine) <= SMOOTH


def value_of(item: Any) -> Hashable:
    """What tells ``item`` from others, or TypeError where that is not known."""
    kind = type(item)
    if attrs.has(kind):
        return kind, tuple(value_of(getattr(item, f.name)) for f in attrs.fields(kind))
    if isinstance(item, np.ndarray) and not item.dtype.hasobject:
        return kind, item.shape, item.dtype.str, item.tobytes()
    if isinstance(item, (tuple, list)):
        return kind, tuple(value_of(entry) for entry in item)
    if isinstance(item, PLAIN):
        return kind, item
    raise TypeError(f"{kind.__name__} is no plain value")


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


class FixedScale(Expander):
    """Maps that are expanded for each power anew, and the last of which are kept."""

    def __init__(self, device: Hardware, chains: int, kind: Kind) -> None:
        self.device, self.chains, self.kind = device, chains, kind
        self._member = lru_cache(maxsize=KEPT)(self._expand)

    def at(self, rho: FloatArray) -> Expansion:
        """Member by member: the panels of one know nothing of the others."""
        members = [self._member(power.tobytes()) for power in rho.reshape(-1, self.chains)]
        return _stacked(members, rho.shape[:-1]) if members else _none(self._member, rho)

    def silence(self, shape: tuple[int, ...]) -> FloatArray:
        """Power without input."""
        y = self.device.apply(np.zeros((self.chains, 1), complex), None, power=np.zeros(self.chains))
        return np.asarray(np.broadcast_to(squared(y)[..., 0], shape))

    def _expand(self, rho: bytes) -> Expansion:
        return expand(self.device, np.frombuffer(rho), self.kind)


def _none(member: Callable[[bytes], Expansion], rho: FloatArray) -> Expansion:
    """For no members at all: the axes of one."""
    one = member(np.ones(rho.shape[-1]).tobytes())
    return one.scaled(np.ones(rho.shape), np.ones(rho.shape))


def _stacked(members: list[Any], lead: tuple[int, ...]) -> Expansion:
    """Expansions of one kind as one of leading axes."""

    def joined(arrays: list[Any]) -> Any:
        return np.stack(arrays).reshape((*lead, *arrays[0].shape))

    first = members[0]
    linear, own = (joined([getattr(each, name) for each in members]) for name in ("linear", "own"))
    if isinstance(first, Ito):
        b = [(turns, joined([each.b[k][1] for each in members])) for k, (turns, _) in enumerate(first.b)]
        return Ito(linear, own, tuple(b))
    most = max(each.places.shape[-1] for each in members)
    padded = [[_padded(a, most) for a in (each.places, each.heights)] for each in members]
    c, jumped = (joined([getattr(each, name) for each in members]) for name in ("c", "jumped"))
    return Rails(linear, own, c, jumped, *(joined(list(a)) for a in zip(*padded, strict=True)))


def _padded(a: FloatArray, size: int) -> FloatArray:
    return np.concatenate([a, np.zeros((*a.shape[:-1], size - a.shape[-1]))], axis=-1)


# ---- what kind of map it is


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
        except (TypeError, AttributeError) as error:  # of the generator that is not there
            raise _no_map(device) from error
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


# ---- expansions for one power of each chain


def expand(device: Hardware, rho: FloatArray, kind: Kind) -> Expansion:
    """The expansion of maps of a known kind for the powers rho (N,), in W."""
    if kind == "circular":
        return _circular(
            lambda r: device.apply(np.sqrt(rho)[:, None] * r.astype(complex), None, power=rho), device, rho
        )
    if kind == "rails":
        sigma = np.sqrt(rho / 2)[:, None]
        return _rails(lambda u: device.apply((sigma * u * (1 + 1j)).astype(complex), None, power=rho).real, device, rho)
    return _general(_of_unit(device, rho))


def _circular(f: Map, device: Hardware, rho: FloatArray) -> Ito:
    """By quadrature over the envelope."""
    edges = np.broadcast_to(np.linspace(0, ENVELOPE, PANELS + 1), (rho.size, PANELS + 1))
    r, weight = _nodes(_followed(f, edges))
    F, weight = f(r), weight * 2 * r * np.exp(-(r**2))
    _refuse_what_grows(device, squared(F) * weight, rho)
    h = laguerre(r**2, 1, TURNED_ORDERS)
    linear = (F * weight * h[0]).sum(axis=-1, keepdims=True)
    rest = F - linear * h[0]
    b = np.concatenate([linear, np.einsum("nu,mnu->nm", rest * weight, h[1:])], axis=-1)
    return Ito.of({1: b}, (squared(rest) * weight).sum(axis=-1))


def _rails(q: Map, device: Hardware, rho: FloatArray) -> Rails:
    """By quadrature over a part between jumps, which are found first."""
    chains = rho.size
    places, heights = _jumps(q, chains)
    even = np.broadcast_to(np.linspace(-REACH, REACH, 2 * PANELS + 1), (chains, 2 * PANELS + 1))
    u, weight = _nodes(
        _followed(q, np.sort(np.concatenate([even, np.where(heights, places, REACH)], axis=-1), axis=-1))
    )
    F, weight = q(u), weight * density(u)
    _refuse_what_grows(device, F**2 * weight, rho)
    h = hermite(u, RAIL_DEGREES)
    c = np.einsum("nu,mnu->nm", F * weight, h)
    degrees = np.arange(1, RAIL_DEGREES + 1)
    at = hermite(places, RAIL_DEGREES - 1)
    jumped = np.einsum("nk,mnk->nm", heights * density(places), at) / np.sqrt(degrees)
    jumped = np.concatenate([np.zeros((chains, 1)), jumped], axis=-1)  # the mean is in c alone
    own = 2 * ((F - c[:, 1:2] * u) ** 2 * weight).sum(axis=-1)
    c = with_rest(c, own, heights)
    jumped = np.pad(jumped, [(0, 0), (0, c.shape[-1] - jumped.shape[-1])])
    return Rails(np.sqrt(2) * c[:, 1], own, c, jumped, places, heights)


def _jumps(q: Map, chains: int) -> tuple[FloatArray, FloatArray]:
    """Places (N, J) and heights of the jumps of q, filled up with heights of 0; all cells are halved at once."""
    # No threshold that a device would have lies on the border of a cell.
    edges = np.linspace(-SEEN, SEEN, CELLS + 1) * (1 + 1e-9) + 1e-9
    value = q(np.broadcast_to(edges, (chains, CELLS + 1)))
    step, size = np.abs(np.diff(value, axis=-1)), np.abs(value).max()
    steep = step > np.maximum(STEEP * np.median(step, axis=-1, keepdims=True), SAME * size)
    most = int(steep.sum(axis=-1).max())
    cell = np.argsort(~steep, axis=-1, kind="stable")[:, :most]
    low, high = edges[cell], edges[cell + 1]
    below, above = np.take_along_axis(value, cell, -1), np.take_along_axis(value, cell + 1, -1)
    for _ in range(BISECTIONS if most else 0):
        middle = (low + high) / 2
        between = q(middle)
        left = np.abs(between - below) > np.abs(above - between)
        high, above = np.where(left, middle, high), np.where(left, between, above)
        low, below = np.where(left, low, middle), np.where(left, below, between)
    jumps = np.abs(above - below) > 100 * SAME * size  # what is smooth has shrunk with its cell
    kept = jumps.any(axis=0)
    return np.where(jumps, (low + high) / 2, 0.0)[:, kept], np.where(jumps, above - below, 0.0)[:, kept]


def _followed(f: Map, edges: FloatArray) -> FloatArray:
    """Edges (N, P + 1) of panels, halved until a polynomial through the nodes meets the map at both ends.

    The ends count: a kink between the last node and the end would be overlooked.
    """
    t = legendre(PANEL_NODES)[0]
    to_series = np.linalg.inv(np.polynomial.legendre.legvander(2 * t - 1, PANEL_NODES - 1)).T
    at_ends = np.polynomial.legendre.legvander(np.array([-1.0, 1.0]), PANEL_NODES - 1).T
    for _ in range(HALVINGS):
        low, width = edges[:, :-1], np.diff(edges, axis=-1)
        x = low[..., None] + width[..., None] * t
        value = f(x.reshape(len(edges), -1)).reshape(x.shape)
        ends = np.stack([f(low + 1e-10 * width), f(low + width * (1 - 1e-10))], axis=-1)
        series, size = value @ to_series, np.abs(value).max()
        rough = np.abs(series[..., -2:]).max(axis=-1) > FOLLOWED * size
        missed = np.abs(series @ at_ends - ends).max(axis=-1) > 100 * FOLLOWED * size
        halved = ((rough | missed) & (width > 1e-8)).any(axis=0)
        if not halved.any() or edges.shape[-1] > MOST_PANELS:
            break
        edges = np.sort(np.concatenate([edges, (low + width / 2)[:, halved]], axis=-1), axis=-1)
    return edges


def _nodes(edges: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Nodes and weights of panels, each (N, P * PANEL_NODES)."""
    t, w = legendre(PANEL_NODES)
    low, width = edges[:, :-1, None], np.diff(edges, axis=-1)[..., None]
    return (low + width * t).reshape(len(edges), -1), (width * w).reshape(len(edges), -1)


def _refuse_what_grows(device: Hardware, power: FloatArray, rho: FloatArray) -> None:
    """Refuse a map whose power (N, n) at the nodes is in the last of them; a dead zone has next to none there."""
    last, whole = power[:, -PANEL_NODES:].sum(axis=-1), power.sum(axis=-1)
    if not np.all((last <= HEAVY * whole) | (whole <= FOLLOWED * rho)):
        remedy = "Bound the output of large samples, as any device does."
        raise InvalidInput("hardware", "must put out a finite power for Gaussian input", device, remedy)


def _of_unit(device: Hardware, rho: FloatArray) -> Callable[[ComplexArray], ComplexArray]:
    """The map over z ~ CN(0, 1)."""
    return lambda z: device.apply(np.sqrt(rho)[:, None] * z, None, power=rho)


def _general(f: Callable[[ComplexArray], ComplexArray]) -> Ito:
    """On a polar grid, finer where the coefficients say that the map jumps."""
    coarse, fine = (_on_grid(f, k) for k in (1, 2))
    return fine if _apart(coarse, fine) <= SMOOTH else _on_grid(f, FINE)


def _apart(one: Ito, other: Ito) -> float:
    """Largest difference of coefficients that both have, relative to the output."""
    off = max(np.abs(b - c)[..., :-1].max(initial=0.0) for (_, b), (_, c) in zip(one.b, other.b, strict=True))
    return float(off / np.sqrt(other.power.max()))


def _on_grid(f: Callable[[ComplexArray], ComplexArray], times: int) -> Ito:
    z, weight = polar_grid(RINGS * times, ANGLES * times)
    F = f(z)
    u, angle, b = squared(z), np.angle(z), {}
    for turns in range(-DEGREE, DEGREE + 1):
        orders = (DEGREE - abs(turns)) // 2
        radial = laguerre(u, abs(turns), max(orders, 1))[: orders + 1]
        b[turns] = F @ (radial * np.exp(-1j * turns * angle) * weight).T
    return Ito.of(b, squared(F - b[1][:, :1] * z) @ weight)


@lru_cache(maxsize=4)
def polar_grid(rings: int, angles: int) -> tuple[ComplexArray, FloatArray]:
    """Points and weights of CN(0, 1): rings turned by the golden ratio against each other."""
    t, w = legendre(rings)
    u = ENVELOPE**2 * t**2
    start = (np.arange(rings) * 0.6180339887498949 % 1) / angles
    angle = 2 * np.pi * (np.arange(angles) / angles + start[:, None])
    weight = 2 * ENVELOPE**2 * t * w * np.exp(-u) / angles
    return (np.sqrt(u)[:, None] * np.exp(1j * angle)).ravel(), np.repeat(weight, angles)


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
        levels = np.concatenate([[0.0], np.cumsum(d)]) - d.sum() / 2
        name = np.round(np.concatenate([t, levels]), 12).tobytes()
        found.append(books.setdefault(name, Codebook(t, levels, float(linear), float(power))))
    return tuple(found)
