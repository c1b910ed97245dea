"""One linearisation of the saddle point that `primal-dual-newton` solves.

The dual function of `isacsim.solvers.crb_min.dual` with ``2 tr Q^1/2 = min_R tr(R Q) + tr R^-1``
and a barrier on M::

    max_{M, mu} min_R  tr(R Q) + tr R^-1 + 2 (N_t - r) mu^1/2 + sum_k lambda_k sigma_k^2 - mu N_t + eps log det M

R is a variable of its own, so that Q need not be positive on the way. Changes are written
``dM = L (X + xi I) L^H`` and ``dmu = xi mu``: xi scales both, which Q follows without any
cancellation between them, also where the power barely suffices and both grow without bound.
E is the sensing covariance on the range, the partner of M (E M = eps I), in coordinates in
which M is the identity. The directions X are vectors of `isacsim.solvers.hermitian`.

All here are parts for compiled loops, of one member.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from isacsim.algebra import real_inner, real_trace, scale_columns, scale_rows, symmetrise
from isacsim.blas import multiply, scalar_product, write
from isacsim.compiled import brief
from isacsim.lapack import (
    add_gram,
    adjoint_multiply,
    combine,
    eigen,
    factorise,
    multiply_adjoint,
    substitute,
)
from isacsim.solvers.crb_min.reduction import CHARGE, NOISE, SHARE
from isacsim.solvers.hermitian import coordinates_into, dyads_into, subtract_congruence
from isacsim.typing import ComplexArray, FloatArray

LEAST = float(np.finfo(float).tiny ** (1 / 4))  # eigenvalue of R, whose fourth power is a number
SPREAD = 100.0  # by how much the eigenvalues of E may differ from eps

# Where a member is, `matrices`: L, L^-1, Q, R, E in coordinates in which M is the identity, and the covariance of the
# best sensing streams; and `tall`: L^-1 H, and the best beams.
FACTOR, INVERSE, DUAL, COVARIANCE, STREAMS, SENSING = range(6)
SEEN, USERS = range(2)
# What is told of it.
OBJECTIVE, BOUND, RESIDUAL, MU, SURPLUS, EPS, LARGEST, CAUTION, LENGTH = range(9)
COUNT, FAILURES, IDLE, REFERENCE, STATE, STEP, PIVOT, SLOPE_XI, DECREMENT = range(9, 18)
# Places in a `Room`, by its fields. Change of Q for X, block of X, and its Cholesky factor.
JACOBIAN, CURVED, FOLDED = range(3)
# Dyads of the channels in the eigenbasis of R, of L^H v_k, and of those behind a step.
RECEIVED, BEAMS, PRICED = range(3)
# Change of R for one of Q with the sign turned, and its root; Q, Q - R^-2 and R + its residual in the eigenbasis of R;
# gradient by X without the barrier, cross term of X and xi, and the solutions for both; X, and X with the second-order
# term; gradient with the barrier; room.
WEIGHTS, ROOTS, Q_HERE, EXCESS, EFFECTIVE, SLOPE, SCALING, PREDICTED, SIDE, DIRECTION, BENT, AIMED, SPARE = range(13)
# Adjoint of the eigenvectors of R; L and E where the curvature of the s_k is diagonal, and C^H with C^H E C = I;
# X + xi I, the adjoint of its eigenvectors, second-order term, and change of R; L, L^-1, Q and R behind a step; room.
BASIS, TURNED_L, TURNED_E, ROOT, WHOLE, AXES, SECOND, CHANGE, NEW_L, NEW_INVERSE, NEW_Q, NEW_R, ONE, OTHER, LEFT = (
    range(15)
)
# Channels in the eigenbasis of R, L^H v_k, L^-1 H behind a step, and room.
CHANNELS, TURNED, NEW_SEEN, AWAY = range(4)
RHO, SIZES, SPECTRUM, LEVELS = range(4)  # eigenvalues of R, of the curvature of the s_k and of X + xi I; room
POWERS, NEW_S, PRICES = range(3)  # of the users; s_k behind a step; room


class Room(NamedTuple):
    """What a step writes to, of one member; r^2 + 1 real unknowns."""

    square: FloatArray  #: (3, r^2, r^2)
    dyads: FloatArray  #: (3, K, r^2)
    vectors: FloatArray  #: (13, r^2)
    small: ComplexArray  #: (15, r, r)
    tall: ComplexArray  #: (4, r, K)
    spectra: FloatArray  #: (4, r)
    users: FloatArray  #: (3, K)


def room(r: int, K: int) -> Room:
    """Room for a member of rank r with K users."""
    n = r * r
    square, dyads, vectors = np.zeros((3, n, n)), np.zeros((3, K, n)), np.zeros((13, n))
    small, tall = np.zeros((15, r, r), complex), np.zeros((4, r, K), complex)
    return Room(square, dyads, vectors, small, tall, np.zeros((4, r)), np.zeros((3, K)))


@brief
def linearise(
    H: ComplexArray,
    terms: FloatArray,
    antennas: int,
    matrices: ComplexArray,
    Y: ComplexArray,
    s: FloatArray,
    told: FloatArray,
    room: Room,
) -> bool:
    """Write the Newton system at a dual point, R and E of one member; whether it is positive definite."""
    square, dyads, vectors, small, tall, spectra, users = room
    J, A, factor = square[JACOBIAN], square[CURVED], square[FOLDED]
    beams, rho = dyads[BEAMS], spectra[RHO]
    turn(H, terms, matrices, Y, s, told[EPS], small, tall, spectra, users)
    dyads_into(tall[CHANNELS], dyads[RECEIVED])
    dyads_into(tall[TURNED], beams)
    weigh(rho, vectors[WEIGHTS], vectors[ROOTS])
    differentiate(terms[SHARE], J, dyads, small)
    slopes(terms[CHARGE], antennas - len(H), matrices[DUAL], told, J, beams, vectors, small, rho)
    curve(s, J, A, factor, beams, dyads[PRICED], vectors[ROOTS], spectra[SIZES], users)
    sound = fold(A, factor)
    for slope, solution in ((SLOPE, PREDICTED), (SCALING, SIDE)):
        write(vectors[slope], vectors[solution])
        substitute(factor, vectors[solution])
    curvature = told[PIVOT]
    told[PIVOT] = max(curvature - scalar_product(vectors[SCALING], vectors[SIDE]), 1e-14 * curvature)
    return sound


@brief
def turn(
    H: ComplexArray,
    terms: FloatArray,
    matrices: ComplexArray,
    Y: ComplexArray,
    s: FloatArray,
    eps: float,
    small: ComplexArray,
    tall: ComplexArray,
    spectra: FloatArray,
    users: FloatArray,
) -> None:
    """Write the eigenbasis of R, and L, E and the beams turned so that the curvature of the s_k is diagonal."""
    basis, back, product = small[BASIS], small[ONE], small[OTHER]
    h, v, priced = tall[CHANNELS], tall[AWAY], tall[TURNED]
    E, turned, rho = matrices[STREAMS], small[TURNED_E], spectra[RHO]
    powers = users[POWERS]
    write(matrices[COVARIANCE], basis)
    eigen(basis, rho)
    for i in range(rho.size):
        rho[i] = max(rho[i], LEAST)
    multiply(basis, H, h)
    for k in range(powers.size):
        power = terms[NOISE, k]
        for i in range(rho.size):
            power += rho[i] * real_inner(h[i, k], h[i, k])
        powers[k] = power * terms[SHARE, k]
    scale_columns(Y, s, v)
    scale_columns(v, powers, priced)
    multiply_adjoint(priced, v, back)
    combine(0.5, E, 1.0, back)
    eigen(back, spectra[SIZES])
    multiply_adjoint(matrices[FACTOR], back, small[TURNED_L])
    multiply(back, v, tall[TURNED])
    multiply(back, E, product)
    multiply_adjoint(product, back, turned)
    clip(turned, small[ROOT], product, eps, spectra[SPECTRUM], spectra[LEVELS])


@brief
def clip(
    E: ComplexArray, root: ComplexArray, scaled: ComplexArray, eps: float, spectrum: FloatArray, levels: FloatArray
) -> None:
    """Bring the eigenvalues of E near eps, and write C^H with ``C^H E C = I``."""
    write(E, root)
    eigen(root, spectrum)
    for i in range(spectrum.size):
        spectrum[i] = min(max(spectrum[i], eps / SPREAD), eps * SPREAD)
        levels[i] = 1 / np.sqrt(spectrum[i])
    scale_rows(root, spectrum, scaled)
    adjoint_multiply(root, scaled, E)
    symmetrise(E)
    scale_rows(root, levels, root)


@brief
def weigh(rho: FloatArray, weights: FloatArray, roots: FloatArray) -> None:
    """Write by how much coordinates of R fall when those of Q rise, R = Q^-1/2 linearised, and the roots of that."""
    r, k = rho.size, rho.size
    above = r * (r - 1) // 2
    for i in range(r):
        weights[i] = rho[i] * rho[i] * rho[i] / 2
        for j in range(i + 1, r):
            both = rho[i] * rho[j]
            weights[k] = weights[k + above] = both * both / (rho[i] + rho[j])
            k += 1
    for i in range(r * r):
        roots[i] = np.sqrt(weights[i])


@brief
def differentiate(shares: FloatArray, J: FloatArray, dyads: FloatArray, small: ComplexArray) -> None:
    """Write the change of Q, in the eigenbasis of R, for X."""
    priced, C = dyads[PRICED], small[ONE]
    scale_rows(dyads[BEAMS], shares, priced)
    adjoint_multiply(dyads[RECEIVED], priced, J)
    multiply(small[BASIS], small[TURNED_L], C)
    subtract_congruence(C, J)


@brief
def slopes(
    charges: FloatArray,
    spare: int,
    Q: ComplexArray,
    told: FloatArray,
    J: FloatArray,
    beams: FloatArray,
    vectors: FloatArray,
    small: ComplexArray,
    rho: FloatArray,
) -> None:
    """Write Q in the eigenbasis of R, both gradients, and the terms of xi in the system."""
    basis, product, turned = small[BASIS], small[ONE], small[OTHER]
    q, weights, E = vectors[Q_HERE], vectors[WEIGHTS], small[TURNED_E]
    excess, effective = vectors[EXCESS], vectors[EFFECTIVE]
    slope, scaling, term = vectors[SLOPE], vectors[SCALING], vectors[SPARE]
    multiply(basis, Q, product)
    multiply_adjoint(product, basis, turned)
    coordinates_into(turned, q)
    write(q, excess)
    for i in range(rho.size):
        excess[i] -= 1 / (rho[i] * rho[i])
    for i in range(q.size):
        effective[i] = -weights[i] * excess[i]
        scaling[i] = weights[i] * q[i]
    for i in range(rho.size):
        effective[i] += rho[i]
    mu = told[MU]
    share = spare * np.sqrt(mu)
    told[PIVOT] = share / 2 + real_trace(E) + scalar_product(q, scaling)
    told[SLOPE_XI] = share - mu * told[SURPLUS] + scalar_product(effective, q)
    multiply(charges, beams, term)
    multiply(effective, J, slope)
    combine(1.0, term, 1.0, slope)
    multiply(scaling, J, term)
    coordinates_into(E, scaling)
    combine(1.0, term, 1.0, scaling)


@brief
def curve(
    s: FloatArray,
    J: FloatArray,
    A: FloatArray,
    scaled: FloatArray,
    beams: FloatArray,
    priced: FloatArray,
    roots: FloatArray,
    sizes: FloatArray,
    users: FloatArray,
) -> None:
    """Write the block of X: that of Q, less that of the s_k, and of their change with X^2 and the barrier."""
    powers, prices = users[POWERS], users[PRICES]
    r, k = sizes.size, sizes.size
    scale_rows(J, roots, scaled)
    add_gram(scaled, 1.0, 0.0, A)
    for u in range(s.size):
        prices[u] = np.sqrt(2 * powers[u] / s[u])
    scale_rows(beams, prices, priced)
    add_gram(priced, -1.0, 1.0, A)
    above = r * (r - 1) // 2
    for i in range(r):  # F X + X F for the diagonal F of these sizes is diagonal in coordinates
        A[i, i] += 2 * sizes[i]
        for j in range(i + 1, r):
            both = sizes[i] + sizes[j]
            A[k, k] += both
            A[k + above, k + above] += both
            k += 1


@brief
def fold(A: FloatArray, factor: FloatArray) -> bool:
    """Write the Cholesky factor of the block of X; whether there is one.

    A matrix that rounding has made indefinite gets the smallest shift of its diagonal that mends it.
    """
    last, shift = len(A) - 1, 1e-15  # from the rounding of the diagonal up to where the step would be another one
    write(A, factor)
    factorise(factor)
    while not np.isfinite(factor[last, last]) and shift < 1e-2:
        mend(A, shift, factor)
        factorise(factor)
        shift *= 100
    return bool(np.isfinite(factor[last, last]))


@brief
def mend(A: FloatArray, shift: float, factor: FloatArray) -> None:
    """Write A with some more of its diagonal."""
    n, total = len(A), 0.0
    write(A, factor)
    for i in range(n):
        total += abs(A[i, i])
    for i in range(n):
        factor[i, i] += shift * (abs(A[i, i]) + total / n)


@brief
def direct(solution: FloatArray, right_xi: float, pivot: float, vectors: FloatArray) -> float:
    """Write X over the solution of the block of X alone; xi."""
    xi = (right_xi - scalar_product(vectors[SCALING], solution)) / pivot
    combine(-xi, vectors[SIDE], 1.0, solution)
    return xi
