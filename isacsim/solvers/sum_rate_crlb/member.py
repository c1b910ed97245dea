"""The `SumRateCrlb` objective of one member for ideal hardware, for compiled loops: what `Merit` does for batches.

Value, gradient and preconditioner. The formulas are those of
`isacsim.solvers.sum_rate_crlb.merit`. Parts take the arrays of all members and say which: Numba compiles a view
of an array for as long as some ten of these lines, and each array that is passed on costs it, too.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from isacsim.algebra import invert_positive, real_inner, regular_inverse, write
from isacsim.compiled import part
from isacsim.metrics.fim import CONFUSED, adjoint_into, fim_into
from isacsim.typing import ComplexArray, FloatArray, IntArray

TINY = np.finfo(float).tiny  # keeps mu positive where nothing has power
ROUNDING = 1e-14  # relative, of sums of some ten products
RATE_WEIGHT, CRLB_WEIGHT, PER_ANTENNA, SELECTION = range(4)  # places in `Terms.weights`
# Places in what is told of a precoder and of a start there: behind SEEN are S_k of the users, and behind them I_k.
OBJECTIVE, RATE, CRLB, RESIDUAL, SLOPE, LENGTH, STUCK, STATE, STEP, SEEN = range(10)


class Terms(NamedTuple):
    """What the objectives of B members are made of."""

    N: ComplexArray  #: ``[H, V]``, (B, n, K+m)
    NH: ComplexArray  #: Its conjugate transpose: one product gives the gains of users and targets
    tensor: ComplexArray  #: Terms of the `isacsim.metrics.fim.FimTensor`, (B, terms)
    places: IntArray  #: Where they belong, (terms, 4), of all members
    powers: FloatArray  #: The noise of each user, and last the power, (B, K+1)
    weights: FloatArray  #: By the names RATE_WEIGHT to PER_ANTENNA, and from SELECTION on D, (3+P,), of all members


class Room(NamedTuple):
    """What is worked out for the precoder that was evaluated last."""

    told: FloatArray  #: By the names OBJECTIVE to SEEN, (9+2K,)
    gains: ComplexArray  #: ``N^H W``: Z, and below it Y, (K+m, K+S)
    square: ComplexArray  #: ``K = V^H R V``, later Q_V, (m, m)
    F: FloatArray  #: Of the parameters, later Phi, (P, P); without rows where the CRLB carries no weight
    inverse: FloatArray  #: F^-1, (P, P)
    factor: ComplexArray  #: The gradient in the columns of N, (K+m, K+S)
    M: ComplexArray  #: What the preconditioner is the inverse of, (n, n)


@part
def evaluate(terms: Terms, m: int, W: ComplexArray, room: Room) -> None:
    """Tell what a precoder (n, K+S) of member m is worth; the objective is -inf where F is singular."""
    told, gains, square, inverse, weights = room.told, room.gains, room.square, room.inverse, terms.weights
    powers, rate, bound = terms.powers, 0.0, np.nan
    users, streams = powers.shape[1] - 1, W.shape[1]
    np.dot(terms.NH[m], W, gains)
    for k in range(users):
        signal, interference = 0.0, powers[m, k]
        for j in range(streams):
            gain = real_inner(gains[k, j], gains[k, j])
            if j == k:
                signal = gain
            else:
                interference += gain
        told[SEEN + k], told[SEEN + users + k] = signal, interference
        rate += np.log1p(signal / interference)
    told[OBJECTIVE] = weights[RATE_WEIGHT] * rate
    if weights[CRLB_WEIGHT] > 0:
        for c in range(square.shape[0]):
            for d in range(c + 1):
                total = 0j
                for j in range(streams):
                    total += gains[users + c, j] * np.conj(gains[users + d, j])
                square[c, d], square[d, c] = total, np.conj(total)
        fim_into(terms.tensor[m], terms.places, square, room.F)
        regular_inverse(room.F, CONFUSED, inverse)
        bound = 0.0
        for i in range(inverse.shape[0]):
            if weights[SELECTION + i] > 0:
                bound += weights[SELECTION + i] * inverse[i, i]
        told[OBJECTIVE] -= weights[CRLB_WEIGHT] * bound
    told[RATE], told[CRLB] = rate, bound


@part
def multiplier(terms: Terms, m: int, room: Room) -> None:
    """Write crlb_weight Q in the basis V over K, ``Q = V Q_V V^H``; both are 0 where the CRLB carries no weight."""
    F, inverse, weights = room.F, room.inverse, terms.weights
    if weights[CRLB_WEIGHT] == 0:
        return
    for i in range(F.shape[0]):
        for j in range(i, F.shape[0]):
            F[i, j] = 0.0
            for k in range(F.shape[0]):
                F[i, j] += inverse[i, k] * weights[SELECTION + k] * inverse[k, j]
            F[i, j] *= weights[CRLB_WEIGHT]
    adjoint_into(terms.tensor[m], terms.places, F, room.square)


@part
def differentiate(terms: Terms, m: int, room: Room, gradient: ComplexArray) -> None:
    """Write the half gradient (n, K+S), from Q_V."""
    told, gains, square, factor = room.told, room.gains, room.square, room.factor
    users, weight = terms.powers.shape[1] - 1, terms.weights[RATE_WEIGHT]
    # Of the rate by Z: conj(eta_k) - beta_k Z_kk = Z_kk / T_k, and -beta_k Z_kj = -(S_k / I_k) Z_kj / T_k.
    for k in range(users):
        signal, interference = told[SEEN + k], told[SEEN + users + k]
        own = weight / (signal + interference)
        others = -own * (signal / interference)
        for j in range(factor.shape[1]):
            factor[k, j] = gains[k, j] * (own if j == k else others)
    for c in range(square.shape[0]):
        for j in range(factor.shape[1]):
            total = 0j
            for d in range(square.shape[0]):
                total += square[c, d] * gains[users + d, j]
            factor[users + c, j] = total
    np.dot(terms.N[m], factor, gradient)


@part
def precondition(N: ComplexArray, weights: FloatArray, mu: float, M: ComplexArray, inverse: ComplexArray) -> None:
    """Write M (n, n), ``2 (H diag(weights) H^H + mu I)`` of H, the first K columns of N, and its inverse."""
    largest = 0.0
    for i in range(N.shape[0]):
        for j in range(i + 1):
            total = 0j
            for k in range(weights.size):
                total += N[i, k] * np.conj(N[j, k]) * (2 * weights[k])
            M[i, j], M[j, i] = total, np.conj(total)
        largest = max(largest, M[i, i].real)
    for i in range(N.shape[0]):
        # Rounding could leave it indefinite where mu is next to nothing beside the first term.
        M[i, i] += max(2 * mu, ROUNDING * largest)
    invert_positive(M, inverse)


def evaluate_each(
    terms: Terms, W: ComplexArray, room: Room, told: FloatArray, gains: ComplexArray, inverse: FloatArray
) -> None:
    """Tell what the precoders W of B members are worth, and keep gains (B, K+m, K+S) and F^-1 (B, P, P)."""
    for b in range(len(W)):
        evaluate(terms, b, W[b], room)
        write(room.told, told[b])
        write(room.gains, gains[b])
        write(room.inverse, inverse[b])


def multiplier_each(terms: Terms, inverse: FloatArray, room: Room, Q_V: ComplexArray) -> None:
    """Write crlb_weight Q in the basis V, (B, m, m), from F^-1 (B, P, P)."""
    for b in range(len(Q_V)):
        write(inverse[b], room.inverse)
        multiplier(terms, b, room)
        write(room.square, Q_V[b])


def differentiate_each(
    terms: Terms, told: FloatArray, gains: ComplexArray, Q_V: ComplexArray, room: Room, gradient: ComplexArray
) -> None:
    """Write the half gradients (B, n, K+S) from what was told, gains and Q_V (B, m, m), or one that all share."""
    for b in range(len(gradient)):
        write(told[b], room.told)
        write(gains[b], room.gains)
        write(Q_V[min(b, len(Q_V) - 1)], room.square)
        differentiate(terms, b, room, gradient[b])


def precondition_each(N: ComplexArray, weights: FloatArray, mu: FloatArray, inverse: ComplexArray) -> None:
    """Write the inverses (B, n, n) of ``2 (H diag(weights) H^H + mu I)`` for weights (B, K) and mu (B,)."""
    M = np.empty((N.shape[1], N.shape[1]), np.complex128)
    for b in range(len(inverse)):
        precondition(N[min(b, len(N) - 1)], weights[b], mu[b], M, inverse[b])
