"""The memory of L-BFGS: the recursion of one member for compiled loops, and that of a batch by them.

The inverse Hessian starts from ``H_0 = gamma M^-1`` with the preconditioner M^-1.
Pairs (s, y) lie in places that are used in turn. A place without a pair has 0 for its reciprocal
curvature 1 / <s, y>. Vectors are real ones of complex numbers, whose real and imaginary parts are
neighbours.
"""

from __future__ import annotations

from typing import NamedTuple

import attrs
import numpy as np
from attrs import field, frozen

from isacsim.batch import rows
from isacsim.compiled import compiled, part
from isacsim.linalg.blas import multiply
from isacsim.optimisation.riemannian import Memory
from isacsim.typing import BoolArray, ComplexArray, FloatArray

LEAST_CURVATURE = 1e-10  # of a pair, relative to that of the preconditioner, and reciprocal of the largest


class Pairs(NamedTuple):
    """Curvature pairs of B members; there are ``size`` places for vectors (n,)."""

    pairs: FloatArray  #: s of each place, and behind them y, (B, 2 size, n)
    numbers: FloatArray  #: 1 / <s, y> of each place; gamma = <s, y> / <y, M^-1 y> of the newest; room, (B, 2 size + 1)


class Way(NamedTuple):
    """Vectors of B members in slots by name: as complex matrices, and as their real numbers in the same memory."""

    matrix: ComplexArray  #: (B, slots, N, K+S)
    real: FloatArray  #: (B, slots, n)


PRECODER, GRADIENT, DIRECTION, SCRATCH, TRIED, FRESH = range(6)  # slots


def no_pairs(members: int, size: int, length: int) -> Pairs:
    """Room for ``size`` pairs of vectors (length,) for each of B members."""
    # Vectors of places without a pair are never read.
    pairs = Pairs(np.empty((members, 2 * size, length)), np.zeros((members, 2 * size + 1)))
    pairs.numbers[:, size] = 1.0
    return pairs


def no_way(members: int, rows: int, columns: int) -> Way:
    """Room for vectors of B members."""
    matrix = np.zeros((members, FRESH + 1, rows, columns), complex)
    return Way(matrix, matrix.reshape(members, FRESH + 1, -1).view(float))


@part
def forget(numbers: FloatArray) -> None:
    """Forget all pairs of a member."""
    size = numbers.size // 2
    for i in range(size):
        numbers[i] = 0.0
    numbers[size] = 1.0


@part
def judge(
    pairs: FloatArray,
    numbers: FloatArray,
    place: int,
    preconditioner: ComplexArray,
    way: ComplexArray,
    real: FloatArray,
) -> None:
    """Judge the pair that was written to a place, which stays empty where the curvature is not sound.

    Args:
        pairs: Those of the member, the new one in its place.
        numbers: Theirs.
        place: Where the pair is.
        preconditioner: M^-1, (N, N), or blocks of it one above the other.
        way: Vectors of the member, of which the slots SCRATCH and DIRECTION are written to.
        real: Their real numbers.
    """
    size = numbers.size // 2
    y = size + place
    for j in range(real.shape[1]):
        real[SCRATCH, j] = pairs[y, j]
    times(preconditioner, way)
    curvature = dot(pairs, place, pairs, y)
    gamma = curvature / dot(pairs, y, real, DIRECTION)
    numbers[place] = 0.0
    # A pair without, or of the wrong, curvature is left out: the Hessian it stands for would not be definite.
    if LEAST_CURVATURE < gamma < 1 / LEAST_CURVATURE:
        numbers[place], numbers[size] = 1 / curvature, gamma


@part
def direct(
    pairs: FloatArray,
    numbers: FloatArray,
    oldest: int,
    preconditioner: ComplexArray,
    way: ComplexArray,
    real: FloatArray,
) -> None:
    """Write the inverse Hessian times the gradient: to H_0 through the newest pairs first, and back.

    Args:
        pairs: Those of the member.
        numbers: Theirs.
        oldest: The place of the oldest pair.
        preconditioner: M^-1, (N, N), or blocks of it one above the other.
        way: Vectors of the member: the slot DIRECTION is the result for the slot GRADIENT, and SCRATCH is written to.
        real: Their real numbers.
    """
    size, length = numbers.size // 2, real.shape[1]
    for j in range(length):
        real[SCRATCH, j] = real[GRADIENT, j]
    i = oldest
    for _ in range(size):
        i = (i if i > 0 else size) - 1
        share = numbers[i]
        if share != 0:
            weight = share * dot(pairs, i, real, SCRATCH)
            numbers[size + 1 + i] = weight
            add(real, SCRATCH, -weight, pairs, size + i)
    times(preconditioner, way)
    gamma = numbers[size]
    for j in range(length):
        real[DIRECTION, j] *= gamma
    for _ in range(size):
        share = numbers[i]
        if share != 0:
            weight = numbers[size + 1 + i] - share * dot(pairs, size + i, real, DIRECTION)
            add(real, DIRECTION, weight, pairs, i)
        i = i + 1 if i + 1 < size else 0


def judge_each(memory: Pairs, place: int, preconditioner: ComplexArray, way: Way) -> None:
    """`judge` for B members."""
    for b in range(len(preconditioner)):
        judge(memory.pairs[b], memory.numbers[b], place, preconditioner[b], way.matrix[b], way.real[b])


def direct_each(memory: Pairs, oldest: int, preconditioner: ComplexArray, way: Way) -> None:
    """`direct` for B members."""
    for b in range(len(preconditioner)):
        direct(memory.pairs[b], memory.numbers[b], oldest, preconditioner[b], way.matrix[b], way.real[b])


# Vectors are named by where they are: a row of an array is a view, which takes longer to compile than these loops.


@part
def dot(X: FloatArray, x: int, Y: FloatArray, y: int) -> float:
    """Inner product of rows x of X and y of Y (slots, n), as the two sums that a processor adds at the same time."""
    real = imaginary = 0.0
    for j in range(0, X.shape[1], 2):
        real += X[x, j] * Y[y, j]
        imaginary += X[x, j + 1] * Y[y, j + 1]
    return real + imaginary


@part
def add(X: FloatArray, x: int, factor: float, Y: FloatArray, y: int) -> None:
    """Add so many times row y of Y (slots, n) to row x of X."""
    for j in range(X.shape[1]):
        X[x, j] += factor * Y[y, j]


@part
def times(matrix: ComplexArray, way: ComplexArray) -> None:
    """Write blocks (blocks N, N), one above the other, times those of the slot SCRATCH, to the slot DIRECTION."""
    side = matrix.shape[1]
    for i in range(0, matrix.shape[0], side):
        multiply(matrix[i : i + side], way[SCRATCH, i : i + side], way[DIRECTION, i : i + side])


@frozen(eq=False)
class LastPairs(Memory):
    """Curvature pairs of B members as real vectors, in places that are used in turn.

    They are the bulk of a state and are not copied: a memory is whole until the next pair is pushed.
    """

    pairs: FloatArray = rows(2)  # s and y, (B, 2 size, 2 n m)
    numbers: FloatArray = rows(1)  # as in `Pairs`
    place: int = field()  # of the next pair, and so of the oldest one

    @classmethod
    def none(cls, size: int, W: ComplexArray) -> LastPairs:
        """Room for ``size`` pairs of coordinates W (B, n, m)."""
        return cls(*no_pairs(len(W), size, 2 * W[0].size), 0)

    @property
    def size(self) -> int:
        """Number of places."""
        return self.pairs.shape[1] // 2

    @property
    def empty(self) -> BoolArray:
        """Of which members there is no pair, (B,)."""
        return np.asarray(~self.numbers[:, : self.size].any(axis=-1))

    def direction(self, gradient: FloatArray, preconditioner: ComplexArray) -> FloatArray:
        """The inverse Hessian times the gradient."""
        way = self._way(preconditioner)
        way.real[:, GRADIENT] = gradient
        compiled(direct_each)(Pairs(self.pairs, self.numbers), self.place, preconditioner, way)
        return way.real[:, DIRECTION]

    def push(self, step: FloatArray, change: FloatArray, preconditioner: ComplexArray) -> LastPairs:
        """With the pairs of the members that have a sound curvature in the place of the oldest."""
        self.pairs[:, self.place], self.pairs[:, self.size + self.place] = step, change
        memory = Pairs(self.pairs, self.numbers)
        compiled(judge_each)(memory, self.place, preconditioner, self._way(preconditioner))
        return LastPairs(*memory, (self.place + 1) % self.size)

    def forget(self, members: BoolArray) -> LastPairs:
        """Without the pairs of ``members``."""
        nothing = no_pairs(1, self.size, 0).numbers
        return attrs.evolve(self, numbers=np.where(members[:, None], nothing, self.numbers))

    def _way(self, preconditioner: ComplexArray) -> Way:
        members, side = preconditioner.shape[:2]
        return no_way(members, side, self.pairs.shape[2] // (2 * side))
