"""Orthonormal bases of the ranges of tall matrices, and what is seen in them."""

from __future__ import annotations

import numpy as np

from isacsim.compiled import compiled, writable
from isacsim.linalg.blas import multiply, write
from isacsim.linalg.lapack import orthonormalise
from isacsim.typing import ComplexArray


def in_range(
    N: ComplexArray, NH: ComplexArray, W: ComplexArray
) -> tuple[ComplexArray, ComplexArray, ComplexArray, ComplexArray]:
    """Bases Q (B, n, c) of the ranges of N (B, n, c), ``Q^H N``, its conjugate transpose, and ``Q^H W``.

    Args:
        N: Matrices with no more columns than rows, or one for all.
        NH: Their conjugate transposes, (B, c, n).
        W: Matrices that are seen in them, (B, starts, n, m).
    """
    (onto, Q), (own, ownH) = np.empty((2, *NH.shape), complex), np.empty((2, len(N), *NH.shape[1:2] * 2), complex)
    Q, Z = Q.reshape(N.shape), np.empty((*W.shape[:2], NH.shape[1], W.shape[3]), complex)
    compiled(reduce_each)(N, NH, onto, Q, own, ownH, writable(W), Z)
    return Q, own, ownH, Z


def reduce_each(
    N: ComplexArray,
    NH: ComplexArray,
    onto: ComplexArray,
    basis: ComplexArray,
    own: ComplexArray,
    ownH: ComplexArray,
    W: ComplexArray,
    Z: ComplexArray,
) -> None:
    """Write orthonormal bases Q (B, n, c) of the ranges of N (B, n, c), and what is seen in them.

    That is ``Q^H N``, its conjugate transpose, and ``Q^H W`` of precoders W (B, starts, n, K+S); a basis may be of one
    N for all. ``onto`` is room for Q^H.
    """
    for b in range(len(N)):
        write(NH[b], onto[b])
        orthonormalise(onto[b])
        multiply(onto[b], N[b], own[b])
        for i in range(onto.shape[1]):
            for j in range(onto.shape[1]):
                ownH[b, j, i] = own[b, i, j].conjugate()
            for j in range(onto.shape[2]):
                basis[b, j, i] = onto[b, i, j].conjugate()
    for b in range(len(W)):
        for s in range(W.shape[1]):
            multiply(onto[min(b, len(onto) - 1)], W[b, s], Z[b, s])
