"""Expansions of the maps of chains for one power of each, by quadrature.

Circular maps and rails are integrated in panels that halve until a polynomial follows the map to its
ends, after the jumps of rails have been found by bisection; general maps on a polar grid.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, Literal

import numpy as np

from isacsim.batch import squared
from isacsim.errors import InvalidInput
from isacsim.hardware.base import Hardware
from isacsim.hardware.expansions import Expansion, Ito, Rails, with_rest
from isacsim.hardware.gaussian import density, hermite, laguerre, legendre
from isacsim.hardware.jumps import coefficients
from isacsim.typing import AnyArray, ComplexArray, FloatArray

Kind = Literal["circular", "rails", "general"]
Map = Callable[[FloatArray], Any]
Jumps = tuple[FloatArray, FloatArray]

SAME = 1e-9  # of the largest output: what two outputs of one map may differ by
REACH = 9.0  # deviations of a part: what is beyond has a probability of 1e-19
SEEN = 8.5  # deviations up to which jumps are looked for
# Cells among which jumps are looked for: two in one, 0.004 deviations apart, are told as one. Four times as many, and
# so on to the most, where more cells than those of some kinks have two.
CELLS, MOST_CELLS, KINKS = 4096, 2**18, 8
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
EXACT = 1e-14  # of the output: by which they differ where the coarsest grid has all digits, as far from saturation
SMOOTH = 1e-7  # of the output: by which coefficients of a map without jumps differ on two grids
HEAVY = 1e-8  # share of the power in the last panel, from which on it is not finite


def expand(device: Hardware, rho: FloatArray, kind: Kind) -> Expansion:
    """The expansion of maps of a known kind for the powers rho (N,), in W."""
    return expand_below(device, rho, kind, (1.0,))[0]


def expand_below(device: Hardware, rho: FloatArray, kind: Kind, shares: Iterable[float]) -> list[Expansion]:
    """The expansions for some shares, from about 1/2 to 1, of the powers rho (N,), in W.

    Maps that do not hear the power are sampled once, where rho asks for it: quadrature at a share has the same nodes
    at other deviations.
    """
    if kind == "circular":
        r, weight, F = _of_envelopes(device, rho)
        return [_circular(r / np.sqrt(share), weight / np.sqrt(share), F, rho.size) for share in shares]
    if kind == "rails":
        jumps = jumps_of(device, rho)
        u, weight, F = _of_parts(device, rho, jumps)
        roots = np.sqrt(np.fromiter(shares, float))
        return [_rails(u / root, weight / root, F, jumps[0] / root, jumps[1]) for root in roots]
    fineness = fineness_for(device, rho)
    return [on_grid(of_unit(device, rho * share), fineness) for share in shares]


def _part(device: Hardware, rho: FloatArray) -> Map:
    """The map q of the real part over u ~ N(0, 1), as of the imaginary one."""
    sigma = np.sqrt(rho / 2)[:, None]
    return lambda u: device.apply((sigma * u * (1 + 1j)).astype(complex), None, power=rho).real


def _of_envelopes(device: Hardware, rho: FloatArray) -> tuple[FloatArray, FloatArray, AnyArray]:
    """Nodes of the envelope, their weights, and circular maps there, each (N, n); one row for chains that are alike."""

    def f(r: FloatArray) -> AnyArray:
        return device.apply(np.sqrt(rho)[:, None] * r.astype(complex), None, power=rho)

    edges = np.broadcast_to(np.linspace(0, ENVELOPE, PANELS + 1), (rho.size, PANELS + 1))
    r, weight = _nodes(_followed(f, edges))
    F = f(r)
    _refuse_what_grows(device, squared(F) * weight * 2 * r * np.exp(-(r**2)), rho)
    return _of_one(r, weight, F)


def _circular(r: FloatArray, weight: FloatArray, F: AnyArray, chains: int) -> Ito:
    """By quadrature over the envelope."""
    weight, h = weight * 2 * r * np.exp(-(r**2)), laguerre(r**2, 1, TURNED_ORDERS)
    linear = (F * weight * h[0]).sum(axis=-1, keepdims=True)
    rest = F - linear * h[0]
    b = np.concatenate([linear, np.einsum("nu,mnu->nm", rest * weight, h[1:])], axis=-1)
    own = (squared(rest) * weight).sum(axis=-1)
    return Ito.of({1: np.broadcast_to(b, (chains, b.shape[-1]))}, np.broadcast_to(own, chains))


def _of_parts(device: Hardware, rho: FloatArray, jumps: Jumps) -> tuple[FloatArray, FloatArray, AnyArray]:
    """Nodes between the jumps of a part, their weights, and rails there, each (N, n); one row for chains alike."""
    q, (places, heights), chains = _part(device, rho), jumps, rho.size
    even = np.broadcast_to(np.linspace(-REACH, REACH, 2 * PANELS + 1), (chains, 2 * PANELS + 1))
    u, weight = _nodes(
        _followed(q, np.sort(np.concatenate([even, np.where(heights, places, REACH)], axis=-1), axis=-1))
    )
    F = q(u)
    _refuse_what_grows(device, F**2 * weight * density(u), rho)
    return _of_one(u, weight, F)


def _of_one(*arrays: AnyArray) -> Any:
    """Arrays (N, n), or of one chain where all have the same."""
    return tuple(each[:1] for each in arrays) if all((each == each[:1]).all() for each in arrays) else arrays


def _rails(u: FloatArray, weight: FloatArray, F: FloatArray, places: FloatArray, heights: FloatArray) -> Rails:
    """By quadrature over a part between jumps."""
    chains, weight = len(places), weight * density(u)
    # Chain by chain: there are as many polynomials as degrees, at some hundred thousand nodes of a fine staircase.
    series = [hermite(nodes, RAIL_DEGREES) @ values for nodes, values in zip(u, F * weight, strict=True)]
    c = np.broadcast_to(np.stack(series), (chains, RAIL_DEGREES + 1))
    jumped = coefficients(places, heights, RAIL_DEGREES)
    own = np.broadcast_to(2 * ((F - c[: len(F), 1:2] * u) ** 2 * weight).sum(axis=-1), chains)
    c = with_rest(c, own, heights)
    jumped = np.pad(jumped, [(0, 0), (0, c.shape[-1] - jumped.shape[-1])])
    return Rails(np.sqrt(2) * c[:, 1], own, c, jumped, places, heights)


def jumps_of(device: Hardware, rho: FloatArray) -> Jumps:
    """Places (N, J) of the jumps of rails, in deviations at the powers rho (N,), and heights, filled up with 0.

    All cells are halved at once.
    """
    q = _part(device, rho)
    edges, value = _sampled(q, rho.size)
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


def _sampled(q: Map, chains: int) -> tuple[FloatArray, FloatArray]:
    """Edges (n,) of cells, and the map there, (N, n): few have two thresholds of a staircase, and most of them none."""
    count, edges, value = CELLS, _edges(CELLS), q(np.broadcast_to(_edges(CELLS), (chains, CELLS + 1)))
    while count < MOST_CELLS:
        finer = _edges(4 * count)
        there = q(np.broadcast_to(finer, (chains, 4 * count + 1)))
        # Changes in a cell, between which a staircase rests; what is smooth changes everywhere.
        changes = (np.diff(there, axis=-1) != 0).reshape(chains, count, 4).sum(axis=-1)
        resting, crowded = (((changes >= least) & (changes < 4)).sum(axis=-1).max() for least in (1, 2))
        if crowded <= KINKS and resting <= count / 4:
            break
        count, edges, value = 4 * count, finer, there
    return edges, value


def _edges(count: int) -> FloatArray:
    """Edges of cells; no threshold that a device would have lies on one."""
    return np.asarray(np.linspace(-SEEN, SEEN, count + 1) * (1 + 1e-9) + 1e-9)


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
    if not np.all((last <= HEAVY * whole) | (whole <= HEAVY * rho)):
        remedy = "Bound the output of large samples, as any device does."
        raise InvalidInput("hardware", "must put out a finite power for Gaussian input", device, remedy)


def of_unit(device: Hardware, rho: FloatArray) -> Callable[[ComplexArray], ComplexArray]:
    """The map over z ~ CN(0, 1)."""
    return lambda z: device.apply(np.sqrt(rho)[:, None] * z, None, power=rho)


def fineness_for(device: Hardware, rho: FloatArray) -> int:
    """How fine a grid a general map takes at the powers rho (N,): `FINE` where its coefficients say that it jumps."""
    coarse, fine = (on_grid(of_unit(device, rho), k) for k in (1, 2))
    off = apart(coarse, fine)
    return 1 if off <= EXACT else 2 if off <= SMOOTH else FINE


def is_smooth(device: Hardware, rho: FloatArray) -> bool:
    """Whether a general map does not jump, for the powers rho (N,)."""
    return fineness_for(device, rho) < FINE


def orders_of_general() -> list[tuple[int, int]]:
    """The turns of general maps, and how many orders each has."""
    return [(turns, (DEGREE - abs(turns)) // 2 + 1) for turns in range(-DEGREE, DEGREE + 1)]


def apart(one: Ito, other: Ito) -> float:
    """Largest difference of coefficients that both have, relative to the output."""
    off = max(np.abs(b - c)[..., :-1].max(initial=0.0) for (_, b), (_, c) in zip(one.b, other.b, strict=True))
    return float(off / np.sqrt(other.power.max()))


def on_grid(f: Callable[[ComplexArray], ComplexArray], times: int) -> Ito:
    """The expansion of maps of z ~ CN(0, 1), on a grid of so many times the rings and angles."""
    z, weight = polar_grid(RINGS * times, ANGLES * times)
    whole = f(z)
    (F,) = _of_one(whole)
    # The angles of a ring are even, so that one transform of it has the integrals over them of all turns.
    turned = np.fft.fft(F.reshape(len(F), RINGS * times, ANGLES * times))
    b = {turns: turned[..., turns] @ radial for turns, radial in _basis(times)}
    own = squared(F - b[1][:, :1] * z) @ weight
    every = {turns: np.broadcast_to(each, (len(whole), each.shape[-1])) for turns, each in b.items()}
    return Ito.of(every, np.broadcast_to(own, len(whole)))


@lru_cache(maxsize=4)
def _basis(times: int) -> list[tuple[int, ComplexArray]]:
    """Conjugate polynomials of each turn where the rings of a grid begin, times the weights there, (rings, orders)."""
    z, weight = (each[:: ANGLES * times] for each in polar_grid(RINGS * times, ANGLES * times))
    u, angle, found = squared(z), np.angle(z), []
    for turns, orders in orders_of_general():
        radial = laguerre(u, abs(turns), max(orders - 1, 1))[:orders]
        found.append((turns, (radial * np.exp(-1j * turns * angle) * weight).T))
    return found


@lru_cache(maxsize=4)
def polar_grid(rings: int, angles: int) -> tuple[ComplexArray, FloatArray]:
    """Points and weights of CN(0, 1): rings turned by the golden ratio against each other."""
    t, w = legendre(rings)
    u = ENVELOPE**2 * t**2
    start = (np.arange(rings) * 0.6180339887498949 % 1) / angles
    angle = 2 * np.pi * (np.arange(angles) / angles + start[:, None])
    weight = 2 * ENVELOPE**2 * t * w * np.exp(-u) / angles
    return (np.sqrt(u)[:, None] * np.exp(1j * angle)).ravel(), np.repeat(weight, angles)
