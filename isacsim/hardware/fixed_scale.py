"""Maps of a fixed scale, whose expansion follows the power of each chain.

What a chain puts out is averaged over a Gaussian, so that the coefficients of its expansion are smooth in the
logarithm of the power, kinks and jumps of the map included, which stay at their amplitudes. In each octave of the power
they are polynomials through the expansions at some powers, made once a device, with one search for jumps. The
polynomials are tried between these powers. Where they miss, as where the quadrature is rougher than they are, and of
maps that follow the power that they are told, each power is expanded by itself.
"""

from __future__ import annotations

from functools import cache, lru_cache
from typing import NamedTuple

import numpy as np

from isacsim.batch import squared
from isacsim.hardware.base import Hardware
from isacsim.hardware.expansions import Expander, Expansion, Ito, Rails, with_rest
from isacsim.hardware.jumps import coefficients
from isacsim.hardware.quadrature import (
    RAIL_DEGREES,
    Kind,
    expand,
    expand_below,
    is_smooth,
    orders_of_general,
)
from isacsim.typing import AnyArray, FloatArray, IntArray

# Powers of an octave: high orders of a kink turn often where it is far out. General maps, which are sampled anew for
# each power, are tried with few first: enough wherever they are linear or saturated, through most of a wide search.
NODES, FEW = 32, 10
TRIED = (-0.97, 0.06, 0.55)  # places in an octave, from -1 to 1, where polynomials and expansions are compared
# Of the distortion in the octave, its root for amplitudes, and of the output: the accuracy of rails, and of sums.
MET, ROUNDING = 1e-11, 1e-12
OCTAVES = 128  # of a device that are kept
POWERS = 256  # expansions of a device that are kept, each for one power of every chain
TOGETHER = 8  # numbers of jumps are rounded up to these, so that sums do not depend on other members


class Told(NamedTuple):
    """What the expansion of chains is made of again, for leading axes that hold one or more of them.

    Attributes:
        coefficients: All that the kind of expansion has, and last the power of the rest, shape (..., n).
        places: Where rails jump, in deviations, shape (..., J).
        heights: By how much, in sqrt(W).
    """

    coefficients: AnyArray
    places: FloatArray
    heights: FloatArray


class Octave(NamedTuple):
    """What is known of N chains for the powers of an octave.

    Attributes:
        series: Chebyshev coefficients of what `Told` has, shape (nodes, N, n), or of one for all chains.
        places: Amplitudes at which rails jump, shape (N, J), in sqrt(W).
        heights: By how much, in sqrt(W).
    """

    series: AnyArray
    places: FloatArray
    heights: FloatArray

    def at(self, place: FloatArray, chains: IntArray) -> AnyArray:
        """The coefficients (E, n) of some chains, at places (E,) from -1 to 1; by Clenshaw, entry by entry."""
        of = np.zeros_like(chains) if self.series.shape[1] == 1 else chains
        ahead, here = np.zeros((2, place.size, self.series.shape[-1]), self.series.dtype)
        for term in self.series[:0:-1]:
            ahead, here = here, 2 * place[:, None] * here - ahead + term[of]
        return place[:, None] * here - ahead + self.series[0][of]


class FixedScale(Expander):
    """The maps of a device's chains, which do not follow the power.

    Args:
        device: The device.
        chains: Number of chains N.
        kind: What kind of maps they are.
        deaf: Whether they do not hear the power that they are told, either.
    """

    def __init__(self, device: Hardware, chains: int, kind: Kind, *, deaf: bool) -> None:
        self.device, self.chains, self.kind, self.deaf = device, chains, kind, deaf
        self._member = lru_cache(maxsize=POWERS)(self._expanded)
        self._octave = lru_cache(maxsize=OCTAVES)(self._fitted)

    def at(self, rho: FloatArray) -> Expansion:
        """Chain by chain from the octave of its power; else from what the powers of a member have."""
        flat = rho.reshape(-1, self.chains)
        octaves = np.floor(np.log2(flat)).astype(int)
        rest, found = np.ones(flat.shape, bool), []
        for k in np.unique(octaves).tolist() if self.deaf else []:
            if (octave := self._octave(k)) is not None:
                here = octaves == k
                rest &= ~here
                sigma = np.sqrt(flat[here] / 2)[:, None]
                chains = np.nonzero(here)[1]
                coefficients = octave.at(2 * (np.log2(flat[here]) - k) - 1, chains)
                found.append((here, Told(coefficients, octave.places[chains] / sigma, octave.heights[chains])))
        for m in np.flatnonzero(rest.any(axis=-1)):
            here = rest & (np.arange(len(flat)) == m)[:, None]
            found.append((here, Told(*(each[here[m]] for each in self._member(flat[m].tobytes())))))
        if not found:  # no members: the axes of one
            found = [(rest, Told(*(each[:0] for each in self._member(np.ones(self.chains).tobytes()))))]
        told = _joined(found, rho.shape)
        return _rails(told) if self.kind == "rails" else _ito(told, general=self.kind == "general")

    def slope(self, rho: FloatArray) -> Expansion:
        """By differences; that of jumps in closed form, where they stay at their amplitudes."""
        found, here = super().slope(rho), self.at(rho)
        return here.pulsing(found) if self.deaf and isinstance(found, Rails) and isinstance(here, Rails) else found

    def silence(self, shape: tuple[int, ...]) -> FloatArray:
        """Power without input."""
        y = self.device.apply(np.zeros((self.chains, 1), complex), None, power=np.zeros(self.chains))
        return np.asarray(np.broadcast_to(squared(y)[..., 0], shape))

    def _expanded(self, rho: bytes) -> Told:
        return _told(expand(self.device, np.frombuffer(rho), self.kind))

    def _fitted(self, number: int) -> Octave | None:
        """The octave from 2^number W on; None where polynomials miss."""
        top = np.full(self.chains, 2.0 ** (number + 1))
        if self.kind != "general":
            return self._through(NODES, top)
        return (self._through(FEW, top) or self._through(NODES, top)) if is_smooth(self.device, top) else None

    def _through(self, count: int, top: FloatArray) -> Octave | None:
        """Polynomials through the expansions at some powers below ``top`` (N,); None where they miss those tried."""
        nodes, to_series = _nodes(count)
        shares = [2.0 ** ((x - 1) / 2) for x in (*nodes, *TRIED, 1.0)]
        found = [_told(each) for each in expand_below(self.device, top, self.kind, shares)]
        values = np.stack([told.coefficients for told in found])
        if (values == values[:, :1]).all():  # chains that are alike share theirs
            values = values[:, :1]
        series = np.tensordot(to_series, values[:count], axes=1)
        octave = Octave(series, found[-1].places * np.sqrt(top / 2)[:, None], found[-1].heights)
        tried = zip(TRIED, found[count:], strict=False)
        return octave if all(_meets(octave, x, told.coefficients) for x, told in tried) else None


def _meets(octave: Octave, place: float, known: AnyArray) -> bool:
    """Whether the polynomials have the coefficients (N, n) that are known at a place, to a share of the distortion."""
    chains = np.arange(len(known))
    off, top = (np.abs(octave.at(np.full(chains.size, x), chains) - y) for x, y in ((place, known), (1.0, 0.0)))
    own, power = np.maximum(np.abs(known[:, -1]), top[:, -1]), squared(known[:, :-1]).max(axis=-1)
    near = MET * np.sqrt(own) + ROUNDING * np.sqrt(power)
    return bool(np.all(off[:, :-1].max(axis=-1) <= near) and np.all(off[:, -1] <= MET * own + ROUNDING * power))


@cache
def _nodes(count: int) -> tuple[FloatArray, FloatArray]:
    """Chebyshev nodes, and the matrix from values there to coefficients."""
    angle = np.pi * (np.arange(count) + 0.5) / count
    to_series = 2 / count * np.cos(np.arange(count)[:, None] * angle)
    to_series[0] /= 2
    return np.cos(angle), to_series


def _told(found: Expansion) -> Told:
    """What is told of the chains of an expansion, (N, ...)."""
    own = np.asarray(found.own)[..., None]
    if isinstance(found, Rails):
        degrees = RAIL_DEGREES + 1  # less than what stands for the rest of a series
        smooth = found.c[..., :degrees] - found.jumped[..., :degrees]
        return Told(np.concatenate([smooth, own], axis=-1), found.places, found.heights)
    assert isinstance(found, Ito)
    parts = [b if turns != 1 else np.concatenate([found.linear[..., None], b[..., 1:-1]], -1) for turns, b in found.b]
    nothing = np.zeros((*own.shape[:-1], 0))
    return Told(np.concatenate([*parts, own], axis=-1), nothing, nothing)


def _joined(found: list[tuple[AnyArray, Told]], shape: tuple[int, ...]) -> Told:
    """What is told of the chains of all members (..., N), by which of them (B, N) each part is of."""
    jumps = -(-max(told.places.shape[-1] for _, told in found) // TOGETHER) * TOGETHER
    first, mask = found[0][1], found[0][0]
    coefficients = np.empty((*mask.shape, first.coefficients.shape[-1]), first.coefficients.dtype)
    places, heights = np.zeros((2, *mask.shape, jumps))
    for here, told in found:
        coefficients[here] = told.coefficients
        places[here, : told.places.shape[-1]], heights[here, : told.heights.shape[-1]] = told.places, told.heights
    return Told(*(each.reshape(*shape, each.shape[-1]) for each in (coefficients, places, heights)))


def _rails(told: Told) -> Rails:
    own, jumped = np.maximum(told.coefficients[..., -1], 0.0), coefficients(told.places, told.heights, RAIL_DEGREES)
    c = told.coefficients[..., :-1] + jumped
    linear, c = np.sqrt(2) * c[..., 1], with_rest(c, own, told.heights)
    jumped = np.concatenate([jumped, np.zeros((*c.shape[:-1], c.shape[-1] - jumped.shape[-1]))], axis=-1)
    return Rails(linear, own, c, jumped, told.places, told.heights)


def _ito(told: Told, *, general: bool) -> Ito:
    b, own, first = {}, np.maximum(told.coefficients[..., -1].real, 0.0), 0
    for turns, orders in orders_of_general() if general else ((1, told.coefficients.shape[-1] - 1),):
        b[turns] = told.coefficients[..., first : first + orders]
        first += orders
    return Ito.of(b, own)
