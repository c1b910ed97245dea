"""Mutual coupling of antennas: ``y = C x``, the last stage of a transmitter, the first of a receiver.

The chains leak into each other, so the gain of the linear model is the matrix C itself. Powers
are those of the samples: C is not normalised, and the radiated power is tr(C R C^H).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from attrs import field, frozen

from isacsim.api import AnyArray, ComplexArray, FloatArray, Hardware, InvalidInput, LinearModel, batched, whole
from isacsim_rf.chains import covariance, samples

CONDITION = 1e10  # beyond it a receiver could not undo the coupling in double precision


class _Coupling(Hardware):
    """Chains that are mixed by a matrix."""

    def coupling(self, chains: int) -> ComplexArray:
        """The matrix C, shape (N, N)."""
        raise NotImplementedError

    def apply(
        self, x: ComplexArray, rng: np.random.Generator | None = None, *, power: FloatArray | None = None
    ) -> ComplexArray:
        """``C x``; nothing is random."""
        x = samples(x)
        return self.coupling(x.shape[-2]) @ x

    def linear_model(self, R: ComplexArray) -> LinearModel:
        """Gain C, a matrix, and no distortion."""
        shape = covariance(R).shape
        return LinearModel(np.broadcast_to(self.coupling(shape[-1]), shape), np.zeros(shape[:-1]), coupled=True)

    def linear_model_vjp(self, R: ComplexArray, gain: AnyArray, distortion: AnyArray) -> ComplexArray:
        """Zero: neither gain nor distortion depends on the input."""
        return np.zeros(covariance(R).shape, complex)


def _regular(name: str, C: ComplexArray) -> ComplexArray:
    if np.linalg.cond(C) > CONDITION:
        raise InvalidInput(name, "must give an invertible coupling matrix", C, "Weaken the coupling.")
    C.flags.writeable = False
    return C


@frozen
class MutualCoupling(_Coupling):
    """Coupling by a given matrix, measured or computed.

    Args:
        matrix: C, shape (N, N), complex; C_ij is what chain j adds to antenna i.
    """

    matrix: Any = batched(2, dtype=complex)

    def __attrs_post_init__(self) -> None:
        shape = self.matrix.shape
        if len(shape) != 2 or shape[0] != shape[1] or not shape[0]:
            raise InvalidInput("matrix", "must be a square matrix", self.matrix, "Give a row for each antenna.")
        _regular("matrix", self.matrix)

    @property
    def chains(self) -> int:
        """Number of antennas of the matrix."""
        return len(self.matrix)

    def coupling(self, chains: int) -> ComplexArray:
        """The matrix."""
        if len(self.matrix) != chains:
            rule = f"must have a row for each of the {chains} chains"
            raise InvalidInput("matrix", rule, self.matrix, "Match the number of antennas.")
        return np.asarray(self.matrix)


def _weak(_instance: Any, attribute: Any, value: Any) -> None:
    if not abs(value) < 1:
        raise InvalidInput(attribute.name, "must be below 1 in magnitude", value, "Weaken the coupling.")


@frozen
class NeighbourCoupling(_Coupling):
    """Coupling that decays with the distance of the elements, ``C_ij = c^d``.

    d counts the steps from element to element, along the row of a linear array, and along rows
    and columns of a planar one. With a ``reach`` the matrix is banded, the form that is usual
    for uniform linear arrays [Friedlander91]; the decay fills the band in.

    Args:
        coefficient: c, coupling of adjacent elements, complex.
        reach: Largest d that couples; None couples all.
        vertical: Elements in a column of a planar array; 1 is a linear array.
    """

    coefficient: complex = field(converter=complex, validator=_weak)
    reach: int | None = field(default=None, validator=whole(1, optional=True))
    vertical: int = field(default=1, validator=whole(1))

    def coupling(self, chains: int) -> ComplexArray:
        """The matrix for a number of chains, elements in the order of `isacsim.UniformPlanarArray`."""
        if chains % self.vertical:
            rule = f"must divide the {chains} chains"
            raise InvalidInput("vertical", rule, self.vertical, "Match the columns of the array.")
        return _decaying(self.coefficient, self.reach, self.vertical, chains)

    @property
    def is_ideal(self) -> bool:
        """Whether nothing couples."""
        return self.coefficient == 0


@lru_cache(maxsize=32)
def _decaying(coefficient: complex, reach: int | None, vertical: int, chains: int) -> ComplexArray:
    column, row = np.divmod(np.arange(chains), vertical)  # a = kron(a_h, a_v)
    steps = np.abs(column[:, None] - column) + np.abs(row[:, None] - row)
    C = np.where(steps <= (chains if reach is None else reach), coefficient**steps, 0)
    return _regular("coefficient", np.asarray(C, complex))
