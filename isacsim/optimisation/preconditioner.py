"""The inverse of a Gram matrix of few columns beside a multiple of the identity, as a preconditioner."""

from __future__ import annotations

import numpy as np

from isacsim.compiled import compiled, part, writable
from isacsim.linalg.parts import invert_positive
from isacsim.typing import ComplexArray, FloatArray

TINY = np.finfo(float).tiny  # keeps mu positive where nothing has power
ROUNDING = 1e-14  # relative, of sums of some ten products


def damped_inverse(N: ComplexArray, weights: FloatArray, mu: FloatArray) -> ComplexArray:
    """Inverse of ``2 (H diag(weights) H^H + mu I)``, (B, n, n), for weights (B, K) and mu (B,).

    H are the first K columns of N (B, n, K or more); one matrix N may be shared.
    """
    inverse = np.empty((len(weights), *N.shape[-2:-1] * 2), complex)
    compiled(precondition_each, allocates=True)(writable(N), writable(weights), np.maximum(mu, TINY), inverse)
    return inverse


@part
def precondition(N: ComplexArray, weights: FloatArray, mu: float, M: ComplexArray, inverse: ComplexArray) -> None:
    """Write M (n, n), ``2 (H diag(weights) H^H + mu I)`` of H, the first K columns of N, and its inverse."""
    n, largest = N.shape[0], 0.0
    for i in range(n):
        total = 0j
        for j in range(i + 1):
            total = 0j
            for k in range(weights.size):
                total += N[i, k] * N[j, k].conjugate() * (2 * weights[k])
            M[i, j], M[j, i] = total, total.conjugate()
        largest = max(largest, total.real)
    # Rounding could leave it indefinite where mu is next to nothing beside the first term.
    added = max(2 * mu, ROUNDING * largest)
    for i in range(n):
        M[i, i] += added
    invert_positive(M, inverse)


def precondition_each(N: ComplexArray, weights: FloatArray, mu: FloatArray, inverse: ComplexArray) -> None:
    """Write the inverses (B, n, n) of ``2 (H diag(weights) H^H + mu I)`` for weights (B, K) and mu (B,)."""
    M = np.empty((N.shape[1], N.shape[1]), np.complex128)
    for b in range(len(inverse)):
        precondition(N[min(b, len(N) - 1)], weights[b], mu[b], M, inverse[b])
