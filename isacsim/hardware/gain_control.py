"""Odd codebooks behind a gain control, which sets full scale to the power of each chain.

The chain puts out ``sigma_i Q_i(Re x / sigma_i)``, and its imaginary part likewise. The distortion is in
proportion to the powers, ``D_ij = sqrt(rho_i rho_j) (d(Re xi) + j d(Im xi))`` with one function d for each
pair of codebooks (`isacsim.hardware.arcsine.Pair`), and ``D_ii = rho_i (E[Q_i^2] - E[u Q_i]^2)``. The
additive quantisation noise model has this diagonal, where levels are centroids, and zero beside it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np
from attrs import frozen

from isacsim.compiled import part
from isacsim.hardware.arcsine import CELLS, ORDER, Pair, pair_of, slope_at, value_at
from isacsim.hardware.base import Hardware
from isacsim.hardware.codebooks import Codebook
from isacsim.hardware.expansions import Expander, Expansion
from isacsim.linalg.parts import real_inner
from isacsim.typing import ComplexArray, FloatArray, IntArray

Books = tuple[Codebook | None, ...]
CORRELATION, DISTORTION, COTANGENT = range(3)  # slots of what compiled loops work out for a member


class Tables(NamedTuple):
    """What compiled loops see of N chains behind gain controls: all of their models, as numbers."""

    gain: FloatArray  #: Of each chain, (N,)
    noise: FloatArray  #: Power of what each puts out beside it, for input of 1 W, (N,)
    kinds: IntArray  #: Which pair function two chains have, (N, N); -1 where nothing is correlated
    cells: FloatArray  #: Value of each pair function, and behind it its slope, (functions, 2, cells, coefficients)
    numbers: FloatArray  #: What is linear in each, and how its table is graded, (functions, 2)

    @classmethod
    def uncorrelated(cls, gain: FloatArray, noise: FloatArray) -> Tables:
        """Those of chains whose distortion is uncorrelated, (N,)."""
        kinds = np.full((gain.size, gain.size), -1)
        return cls(np.array(gain), np.array(noise), kinds, np.empty((0, 2, CELLS, ORDER)), np.empty((0, 2)))


@frozen(eq=False)
class GainControlled(Expander):
    """Chains with a codebook each, or None for ideal ones."""

    books: Books

    @cached_property
    def gain(self) -> FloatArray:
        """Gain of each codebook, (N,)."""
        return np.array([1.0 if book is None else book.gain for book in self.books])

    @cached_property
    def noise(self) -> FloatArray:
        """Power of what each puts out beside it, for input of 1 W, (N,)."""
        return np.array([0.0 if book is None else book.noise for book in self.books])

    @cached_property
    def tables(self) -> Tables:
        """The same as numbers."""
        nothing, functions = Tables.uncorrelated(self.gain, self.noise), _pairs(self.books)
        pairs = [pair_of(*books) for books, _ in functions]
        for k, (_, places) in enumerate(functions):
            nothing.kinds.reshape(-1)[np.concatenate(places)] = k
        if not pairs:
            return nothing
        cells = np.array([(pair.value, pair.slope) for pair in pairs])
        return nothing._replace(cells=cells, numbers=np.array([(pair.linear, pair.grading) for pair in pairs]))

    def at(self, rho: FloatArray) -> Quantised:
        """Gain and power of each codebook, scaled."""
        scale = np.sqrt(rho)
        return Quantised(self.gain * scale, self.noise * rho, scale, self.books)

    def slope(self, rho: FloatArray) -> Quantised:
        """Amplitudes grow with the root of the power."""
        return self.at(rho).scaled(np.full(rho.shape, 0.5), np.ones(rho.shape))


def tables_of(device: Hardware, chains: int) -> Tables | None:
    """A device's `Tables`, unless its class has a linear model of its own beside those that it inherits."""
    model, tables = (_origin(type(device), name) for name in ("linear_model", "tables"))
    return device.tables(chains) if issubclass(tables, model) else None


def _origin(kind: type, name: str) -> type:
    return next(each for each in kind.__mro__ if name in vars(each))


@frozen(eq=False)
class Quantised(Expansion):
    """Outputs of `GainControlled` chains.

    Attributes:
        linear: E[f z*], shape (..., N), in sqrt(W).
        own: Power of the rest, shape (..., N), in W.
        scale: Root of the input power, shape (..., N), in sqrt(W).
        books: Of each chain.
    """

    linear: FloatArray
    own: FloatArray
    scale: FloatArray
    books: Books

    def distortion(self, other: Quantised, xi: ComplexArray) -> ComplexArray:
        """``sqrt(rho_i rho_j) (d(Re xi) + j d(Im xi))``."""
        unit = self._over_pairs(xi, lambda pair, parts: pair(parts))
        return np.asarray(self.scale[..., :, None] * unit * other.scale[..., None, :])

    def toward(self, xi: ComplexArray, g: ComplexArray) -> ComplexArray:
        """``sqrt(rho_i rho_j) (d'(Re xi) Re g + j d'(Im xi) Im g)``."""
        # Alike on both sides of the diagonal, in the imaginary part as well.
        slope = self._over_pairs(xi, lambda pair, parts: pair.derivative(parts), mirrored=np.asarray)
        unit = slope.real * g.real + 1j * (slope.imag * g.imag)
        return np.asarray(self.scale[..., :, None] * unit * self.scale[..., None, :])

    def scaled(self, amplitude: FloatArray, power: FloatArray) -> Quantised:
        """By the scale."""
        return Quantised(amplitude * self.linear, power * self.own, amplitude * self.scale, self.books)

    def combined(self, parts: Sequence[tuple[float, Quantised]]) -> Quantised:
        """Scales add."""
        raise NotImplementedError("the derivative of codebooks under gain control has a closed form")

    def _over_pairs(
        self,
        xi: ComplexArray,
        of: Callable[[Pair, FloatArray], FloatArray],
        mirrored: Callable[[ComplexArray], ComplexArray] = np.conj,
    ) -> ComplexArray:
        """``of`` both parts of the correlation of each pair of chains, and below the diagonal ``mirrored``; 0 on it."""
        flat = xi.reshape(*xi.shape[:-2], xi.shape[-1] ** 2)
        found = np.zeros_like(flat)
        for (one, other), (above, below) in _pairs(self.books):
            parts = np.ascontiguousarray(flat.take(above, axis=-1)).view(float)
            value = of(pair_of(one, other), parts).view(complex)
            found[..., above] = value
            found[..., below] = mirrored(value)
        return found.reshape(xi.shape)


@lru_cache(maxsize=256)
def _pairs(books: Books) -> list[tuple[tuple[Codebook, Codebook], tuple[IntArray, IntArray]]]:
    """Places above the diagonal of each pair of codebooks, and those below, among the N^2 of a matrix."""
    known = list({id(book): book for book in books if book is not None}.values())
    kind = np.array([-1 if book is None else [id(each) for each in known].index(id(book)) for book in books])
    n = len(books)
    i, j = np.triu_indices(n, 1)
    found = []
    for a, one in enumerate(known):
        for b, other in enumerate(known[a:], a):
            at = ((kind[i] == a) & (kind[j] == b)) | ((kind[i] == b) & (kind[j] == a))
            if at.any():
                found.append(((one, other), (n * i[at] + j[at], n * j[at] + i[at])))
    return found


# The same of one member, for compiled loops.


@part
def distort(
    tables: FloatArray, numbers: FloatArray, kinds: IntArray, chains: FloatArray, Z: ComplexArray, square: ComplexArray
) -> None:
    """Write correlations and distortion of N chains for an input ``diag(scale) Z`` of one member, Z (N, K+S).

    Args:
        tables: ``cells`` of their `Tables`.
        numbers: Those of `Tables`.
        kinds: Likewise.
        chains: The scale, and what each puts out beside its input for 1 W of it, (2, N).
        Z: Coordinates.
        square: By the names CORRELATION to COTANGENT, (3, N, N); powers are on the diagonal of the first.
    """
    for i in range(Z.shape[0]):
        power = 0.0
        for s in range(Z.shape[1]):
            power += real_inner(Z[i, s], Z[i, s])
        power *= chains[0, i] * chains[0, i]
        square[CORRELATION, i, i], square[DISTORTION, i, i] = power, chains[1, i] * power
        for j in range(i):
            kind, xi, d = kinds[i, j], 0j, 0j
            root = math.sqrt(power * square[CORRELATION, j, j].real)
            if kind >= 0 and root > 0:
                for s in range(Z.shape[1]):
                    xi += Z[i, s] * Z[j, s].conjugate()
                xi *= chains[0, i] * chains[0, j] / root
                xi /= max(abs(xi), 1.0)  # rounding
                value, linear, grading = tables[kind, 0], numbers[kind, 0], numbers[kind, 1]
                d = root * complex(value_at(xi.real, value, linear, grading), value_at(xi.imag, value, linear, grading))
            square[CORRELATION, i, j], square[CORRELATION, j, i] = xi, xi.conjugate()
            square[DISTORTION, i, j], square[DISTORTION, j, i] = d, d.conjugate()


@part
def pull(tables: FloatArray, numbers: FloatArray, kinds: IntArray, scale: FloatArray, square: ComplexArray) -> None:
    """Write the cotangent of ``Z Z^H`` over that of the distortion, of which the lower triangle counts.

    The closed form of `isacsim.hardware.expansions.exact_vjp`, for what `distort` wrote.
    """
    xi, D, G = square[CORRELATION], square[DISTORTION], square[COTANGENT]
    for i in range(scale.size):
        G[i, i] = G[i, i].real * D[i, i].real
        for j in range(i):
            kind, root, g, u = kinds[i, j], math.sqrt(xi[i, i].real * xi[j, j].real), G[i, j], 0j
            if kind >= 0 and root > 0:
                slope, linear, grading = tables[kind, 1], numbers[kind, 0], numbers[kind, 1]
                u = complex(
                    slope_at(xi[i, j].real, slope, linear, grading) * g.real,
                    slope_at(xi[i, j].imag, slope, linear, grading) * g.imag,
                )
                own = real_inner(g, D[i, j]) - root * real_inner(u, xi[i, j])
                G[i, i] += own
                G[j, j] += own
            u *= scale[i] * scale[j]
            G[i, j], G[j, i] = u, u.conjugate()
    for i in range(scale.size):
        power = xi[i, i].real
        G[i, i] *= scale[i] * scale[i] / power if power > 0 else 0.0
