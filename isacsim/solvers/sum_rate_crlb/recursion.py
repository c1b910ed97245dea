"""The L-BFGS recursion of one member, for compiled loops: its vectors are too short for NumPy.

Pairs (s, y) lie in places that are used in turn. A place without a pair has 0 for its reciprocal
curvature 1 / <s, y>. Vectors are real ones of complex numbers, whose real and imaginary parts are
neighbours.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from isacsim.compiled import part
from isacsim.typing import ComplexArray, FloatArray

LEAST_CURVATURE = 1e-10  # of a pair, relative to that of the preconditioner, and reciprocal of the largest


class Pairs(NamedTuple):
    """Curvature pairs of B members; there are ``size`` places for vectors (n,)."""

    pairs: FloatArray  #: s and y, (B, 2, size, n)
    numbers: FloatArray  #: 1 / <s, y> of each place; gamma = <s, y> / <y, M^-1 y> of the newest; room, (B, 2 size + 1)


class Way(NamedTuple):
    """Vectors of B members in slots by name: as complex matrices, and as their real numbers in the same memory."""

    matrix: ComplexArray  #: (B, slots, N, K+S)
    real: FloatArray  #: (B, slots, n)


PRECODER, GRADIENT, DIRECTION, SCRATCH, TRIED, FRESH = range(6)  # slots


def no_pairs(members: int, size: int, length: int) -> Pairs:
    """Room for ``size`` pairs of vectors (length,) for each of B members."""
    pairs = Pairs(np.zeros((members, 2, size, length)), np.zeros((members, 2 * size + 1)))
    pairs.numbers[:, size] = 1.0
    return pairs


def no_way(members: int, rows: int, columns: int) -> Way:
    """Room for vectors of B members."""
    matrix = np.zeros((members, FRESH + 1, rows, columns), complex)
    return Way(matrix, matrix.reshape(members, FRESH + 1, -1).view(float))


@part
def forget(numbers: FloatArray, b: int) -> None:
    """Forget all pairs of a member."""
    size = numbers.shape[1] // 2
    for i in range(size):
        numbers[b, i] = 0.0
    numbers[b, size] = 1.0


@part
def judge(memory: Pairs, b: int, place: int, preconditioner: ComplexArray, way: Way) -> None:
    """Judge the pair that was written to a place, which stays empty where the curvature is not sound.

    Args:
        memory: Of all members, the new pair in its place.
        b: The member.
        place: Where the pair is.
        preconditioner: M^-1, (N, N), or blocks of it one above the other.
        way: Vectors, of which the slots SCRATCH and DIRECTION are written to.
    """
    s, y, real, numbers = memory.pairs[b, 0, place], memory.pairs[b, 1, place], way.real, memory.numbers
    for j in range(y.size):
        real[b, SCRATCH, j] = y[j]
    times(preconditioner, way.matrix[b, SCRATCH], way.matrix[b, DIRECTION])
    curvature, size = dot(s, y), numbers.shape[1] // 2
    gamma = curvature / dot(y, real[b, DIRECTION])
    numbers[b, place] = 0.0
    # A pair without, or of the wrong, curvature is left out: the Hessian it stands for would not be definite.
    if LEAST_CURVATURE < gamma < 1 / LEAST_CURVATURE:
        numbers[b, place], numbers[b, size] = 1 / curvature, gamma


@part
def direct(memory: Pairs, b: int, oldest: int, preconditioner: ComplexArray, way: Way) -> None:
    """Write the inverse Hessian times the gradient: to H_0 through the newest pairs first, and back.

    Args:
        memory: Pairs of all members.
        b: The member.
        oldest: The place of the oldest pair.
        preconditioner: M^-1, (N, N), or blocks of it one above the other.
        way: Vectors: the slot DIRECTION is the result for the slot GRADIENT, and SCRATCH is written to.
    """
    pairs, numbers, q, direction = memory.pairs, memory.numbers, way.real[b, SCRATCH], way.real[b, DIRECTION]
    size = numbers.shape[1] // 2
    for j in range(q.size):
        q[j] = way.real[b, GRADIENT, j]
    for age in range(1, size + 1):
        i = (oldest - age) % size
        if numbers[b, i] != 0:
            weight = numbers[b, i] * dot(pairs[b, 0, i], q)
            numbers[b, size + 1 + i] = weight
            add(q, -weight, pairs[b, 1, i])
    times(preconditioner, way.matrix[b, SCRATCH], way.matrix[b, DIRECTION])
    for j in range(q.size):
        direction[j] *= numbers[b, size]
    for age in range(size, 0, -1):
        i = (oldest - age) % size
        if numbers[b, i] != 0:
            add(direction, numbers[b, size + 1 + i] - numbers[b, i] * dot(pairs[b, 1, i], direction), pairs[b, 0, i])


def judge_each(memory: Pairs, place: int, preconditioner: ComplexArray, way: Way) -> None:
    """`judge` for B members."""
    for b in range(len(preconditioner)):
        judge(memory, b, place, preconditioner[b], way)


def direct_each(memory: Pairs, oldest: int, preconditioner: ComplexArray, way: Way) -> None:
    """`direct` for B members."""
    for b in range(len(preconditioner)):
        direct(memory, b, oldest, preconditioner[b], way)


@part
def dot(x: FloatArray, y: FloatArray) -> float:
    """Inner product of vectors (n,), as the two sums that a processor adds at the same time."""
    real = imaginary = 0.0
    for j in range(0, x.size, 2):
        real += x[j] * y[j]
        imaginary += x[j + 1] * y[j + 1]
    return real + imaginary


@part
def add(x: FloatArray, factor: float, y: FloatArray) -> None:
    """Add so many times y to x (n,)."""
    for j in range(x.size):
        x[j] += factor * y[j]


@part
def times(matrix: ComplexArray, X: ComplexArray, result: ComplexArray) -> None:
    """Write blocks (blocks N, N), one above the other, times those of X (blocks N, K+S)."""
    side = matrix.shape[1]
    for i in range(0, matrix.shape[0], side):
        np.dot(matrix[i : i + side], X[i : i + side], result[i : i + side])
