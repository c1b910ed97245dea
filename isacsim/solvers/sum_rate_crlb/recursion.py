"""The L-BFGS recursion, to be compiled: the vectors of a member are too short for NumPy.

Pairs (s, y) of B members lie in places that are used in turn, (B, size, n). A place without a
pair has 0 for its reciprocal curvature 1 / <s, y>, (B, size). Vectors are real ones of complex
numbers, whose real and imaginary parts are neighbours.
"""

from __future__ import annotations

import numpy as np

from isacsim.compiled import part
from isacsim.typing import ComplexArray, FloatArray

LEAST_CURVATURE = 1e-10  # of a pair, relative to that of the preconditioner, and reciprocal of the largest


def push(
    steps: FloatArray,
    changes: FloatArray,
    reciprocals: FloatArray,
    scale: FloatArray,
    place: int,
    step: FloatArray,
    change: FloatArray,
    preconditioner: ComplexArray,
) -> None:
    """Write a pair of each member into a place, which stays empty where the curvature is not sound.

    Args:
        steps: s, (B, size, n).
        changes: y, likewise.
        reciprocals: 1 / <s, y>, (B, size).
        scale: gamma = <s, y> / <y, M^-1 y> of the newest pair, (B,).
        place: Where the pairs go.
        step: s of the new pairs, (B, n).
        change: y, likewise.
        preconditioner: M^-1, (B, blocks N, N): one matrix of N x N above the other where it is of blocks.
    """
    for b in range(len(step)):
        curvature = dot(step[b], change[b])
        gamma = curvature / dot(change[b], times(preconditioner[b], change[b]))
        for j in range(step.shape[1]):
            steps[b, place, j], changes[b, place, j] = step[b, j], change[b, j]
        reciprocals[b, place] = 0.0
        # A pair without, or of the wrong, curvature is left out: the Hessian it stands for would not be definite.
        if LEAST_CURVATURE < gamma < 1 / LEAST_CURVATURE:
            reciprocals[b, place], scale[b] = 1 / curvature, gamma


def direct(
    steps: FloatArray,
    changes: FloatArray,
    reciprocals: FloatArray,
    scale: FloatArray,
    oldest: int,
    gradient: FloatArray,
    preconditioner: ComplexArray,
) -> FloatArray:
    """The inverse Hessians times the gradients (B, n): to H_0 through the newest pairs first, and back.

    ``oldest`` is the place of the oldest pairs; the other arguments are those of `push`.
    """
    size = steps.shape[1]
    directions, weights = np.empty_like(gradient), np.zeros(size)
    for b in range(len(gradient)):
        q = gradient[b].copy()
        for age in range(1, size + 1):
            i = (oldest - age) % size
            if reciprocals[b, i] != 0:
                weights[i] = reciprocals[b, i] * dot(steps[b, i], q)
                add(q, -weights[i], changes[b, i])
        q = times(preconditioner[b], q)
        for j in range(q.size):
            q[j] *= scale[b]
        for age in range(size, 0, -1):
            i = (oldest - age) % size
            if reciprocals[b, i] != 0:
                add(q, weights[i] - reciprocals[b, i] * dot(changes[b, i], q), steps[b, i])
        for j in range(q.size):
            directions[b, j] = q[j]
    return directions


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
def times(matrix: ComplexArray, vector: FloatArray) -> FloatArray:
    """Blocks (blocks N, N), one above the other, times those of (blocks N, K+S) that a vector stands for."""
    rows, side = matrix.shape
    X = vector.view(np.complex128).reshape(rows, -1)
    product = np.empty_like(X)
    for i in range(rows):
        first = i // side * side
        for k in range(X.shape[1]):
            total = 0j
            for j in range(side):
                total += matrix[i, j] * X[first + j, k]
            product[i, k] = total
    return product.reshape(-1).view(np.float64)
