"""The `SumRateCrlb` objective of one member for ideal hardware, for compiled loops: what `Merit` does for batches.

Value, gradient and preconditioner. The formulas are those of
`isacsim.solvers.sum_rate_crlb.merit`. Parts take the arrays of one member that they need, and no records: what a
record takes to compile grows with all that is in it, at each call.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from isacsim.compiled import part
from isacsim.linalg.blas import multiply
from isacsim.linalg.parts import real_inner, regular_inverse
from isacsim.metrics.fim import CONFUSED, adjoint_into, fim_into
from isacsim.optimisation.ascent import OBJECTIVE, OWN
from isacsim.optimisation.preconditioner import TINY
from isacsim.typing import ComplexArray, FloatArray, IntArray

RATE_WEIGHT, CRLB_WEIGHT, PER_ANTENNA, SELECTION = range(4)  # places in `Terms.weights`
# Places in what is told of a precoder behind what is told of any start: from SEEN on S_k of the users, and then I_k.
RATE, CRLB, SEEN = range(OWN, OWN + 3)


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

    told: FloatArray  #: By the names of `isacsim.optimisation.ascent`, RATE, CRLB and SEEN, (9+2K,)
    gains: ComplexArray  #: ``N^H W``: Z, and below it Y, (K+m, K+S)
    square: ComplexArray  #: ``K = V^H R V``, later Q_V, (m, m)
    F: FloatArray  #: Of the parameters, later Phi, (P, P); without rows where the CRLB carries no weight
    inverse: FloatArray  #: F^-1, (P, P)
    factor: ComplexArray  #: The gradient in the columns of N, (K+m, K+S)
    M: ComplexArray  #: What the preconditioner is the inverse of, (n, n)
    betas: FloatArray  #: The weights of the users in it, (K,)


@part
def rates(
    NH: ComplexArray, powers: FloatArray, weights: FloatArray, W: ComplexArray, told: FloatArray, gains: ComplexArray
) -> None:
    """Tell what a precoder (n, K+S) of a member is worth to the users, and write the gains."""
    users, streams, weight, rate = powers.size - 1, W.shape[1], weights[RATE_WEIGHT], 0.0
    multiply(NH, W, gains)
    for k in range(users):
        signal, interference = 0.0, powers[k]
        for j in range(streams):
            gain = real_inner(gains[k, j], gains[k, j])
            if j == k:
                signal = gain
            else:
                interference += gain
        told[SEEN + k], told[SEEN + users + k] = signal, interference
        rate += math.log1p(signal / interference)
    told[OBJECTIVE], told[RATE], told[CRLB] = weight * rate, rate, np.nan


@part
def bound(
    tensor: ComplexArray,
    places: IntArray,
    weights: FloatArray,
    gains: ComplexArray,
    square: ComplexArray,
    F: FloatArray,
    inverse: FloatArray,
    told: FloatArray,
) -> None:
    """Take the CRLB of a member off the objective, which is -inf where F is singular."""
    side, total = inverse.shape[0], 0.0
    covariance(gains, square)
    fim_into(tensor, places, square, F)
    regular_inverse(F, CONFUSED, inverse)
    for i in range(side):
        if weights[SELECTION + i] > 0:
            total += weights[SELECTION + i] * inverse[i, i]
    told[OBJECTIVE] -= weights[CRLB_WEIGHT] * total
    told[CRLB] = total


@part
def covariance(gains: ComplexArray, square: ComplexArray) -> None:
    """Write ``K = Y Y^H`` (m, m) of Y, the last rows of the gains."""
    side, streams = square.shape[0], gains.shape[1]
    users = gains.shape[0] - side
    for c in range(side):
        for d in range(c + 1):
            total = 0j
            for j in range(streams):
                total += gains[users + c, j] * gains[users + d, j].conjugate()
            square[c, d], square[d, c] = total, total.conjugate()


@part
def multiplier(
    tensor: ComplexArray,
    places: IntArray,
    weights: FloatArray,
    inverse: FloatArray,
    Phi: FloatArray,
    Q_V: ComplexArray,
) -> None:
    """Write crlb_weight Q of a member in the basis V, ``Q = V Q_V V^H``, from F^-1."""
    side, price = Phi.shape[0], weights[CRLB_WEIGHT]
    for i in range(side):
        for j in range(i, side):
            total = 0.0
            for k in range(side):
                total += inverse[i, k] * weights[SELECTION + k] * inverse[k, j]
            Phi[i, j] = total * price
    adjoint_into(tensor, places, Phi, Q_V)


@part
def differentiate(
    N: ComplexArray,
    weight: float,
    told: FloatArray,
    gains: ComplexArray,
    square: ComplexArray,
    factor: ComplexArray,
    gradient: ComplexArray,
) -> None:
    """Write the half gradient (n, K+S) of a member, from Q_V."""
    side, streams = square.shape[0], factor.shape[1]
    users = factor.shape[0] - side
    # Of the rate by Z: conj(eta_k) - beta_k Z_kk = Z_kk / T_k, and -beta_k Z_kj = -(S_k / I_k) Z_kj / T_k.
    for k in range(users):
        signal, interference = told[SEEN + k], told[SEEN + users + k]
        own = weight / (signal + interference)
        others = -own * (signal / interference)
        for j in range(streams):
            factor[k, j] = gains[k, j] * (own if j == k else others)
    for c in range(side):
        for j in range(streams):
            total = 0j
            for d in range(side):
                total += square[c, d] * gains[users + d, j]
            factor[users + c, j] = total
    multiply(N, factor, gradient)


@part
def follow(powers: FloatArray, weights: FloatArray, told: FloatArray, betas: FloatArray) -> float:
    """Write the users' weights in the preconditioner, by which their rates fall with noise, and mu; see `Merit`."""
    users, radial = powers.size - 1, 0.0
    for k in range(users):
        signal, interference = told[SEEN + k], told[SEEN + users + k]
        beta = weights[RATE_WEIGHT] * signal / (interference * (signal + interference))
        radial += beta * powers[k]
        betas[k] = beta
    if weights[CRLB_WEIGHT] > 0:
        radial += weights[CRLB_WEIGHT] * told[CRLB]
    return max(radial / powers[users], TINY)


def evaluate_each(
    terms: Terms,
    W: ComplexArray,
    room: Room,
    told: FloatArray,
    gains: ComplexArray,
    Q_V: ComplexArray,
    gradient: ComplexArray,
) -> None:
    """Tell what the precoders W of B members are worth, and write gains, what the CRLB pulls by, and the half gradient.

    These are (B, K+m, K+S), (B, m, m) as of `multiplier`, which is left as it is where the CRLB carries no weight,
    and (B, n, K+S).
    """
    N, NH, tensor, places, powers, weights = terms
    square, F, inverse, factor = room.square, room.F, room.inverse, room.factor
    for b in range(len(W)):
        rates(NH[b], powers[b], weights, W[b], told[b], gains[b])
        if weights[CRLB_WEIGHT] > 0:
            bound(tensor[b], places, weights, gains[b], square, F, inverse, told[b])
            multiplier(tensor[b], places, weights, inverse, F, Q_V[b])
        differentiate(N[b], weights[RATE_WEIGHT], told[b], gains[b], Q_V[b], factor, gradient[b])
