"""One linearisation of the saddle point that `primal-dual-newton` solves.

The dual function of `isacsim.solvers.crb_min.dual` with ``2 tr Q^1/2 = min_R tr(R Q) + tr R^-1``
and a barrier on M::

    max_{M, mu} min_R  tr(R Q) + tr R^-1 + 2 (N_t - r) mu^1/2 + sum_k lambda_k sigma_k^2 - mu N_t + eps log det M

R is a variable of its own, so that Q need not be positive on the way. Changes are written
``dM = L (X + xi I) L^H`` and ``dmu = xi mu``: xi scales both, which Q follows without any
cancellation between them, also where the power barely suffices and both grow without bound.
E is the sensing covariance on the range, the partner of M (E M = eps I), in coordinates in
which M is the identity. The directions X are vectors of `isacsim.linalg.hermitian`.

All here are parts for compiled loops, of one member.
"""

from __future__ import annotations

from typing import Annotated, NamedTuple

import numpy as np

from isacsim.compiled import brief
from isacsim.linalg.blas import multiply, scalar_product, write
from isacsim.linalg.hermitian import coordinates_into, dyads_into, subtract_congruence
from isacsim.linalg.lapack import (
    add_gram,
    adjoint_multiply,
    combine,
    eigen,
    factorise,
    invert,
    multiply_adjoint,
    substitute,
)
from isacsim.linalg.parts import real_inner, real_trace, scale_columns, scale_rows, symmetrise
from isacsim.solvers.crb_min.dual import MU, SURPLUS, Dual, Scratch
from isacsim.solvers.crb_min.reduction import CHARGE, NOISE, SHARE, Member
from isacsim.typing import ComplexArray, FloatArray

LEAST = float(np.finfo(float).tiny ** (1 / 4))  # eigenvalue of R, whose fourth power is a number
SPREAD = 100.0  # by how much the eigenvalues of E may differ from eps

# What is told of an iterate, and of the system and the step at it.
OBJECTIVE, BOUND, RESIDUAL, VIOLATION, EPS, LARGEST, CAUTION, LENGTH, COUNT = range(9)
FAILURES, IDLE, REFERENCE, STATE, STEP, PIVOT, SLOPE_XI, DECREMENT = range(9, 17)


class Iterate(NamedTuple):
    """Where a member is, in reduced units; in NumPy B of them, with one more axis in front."""

    told: Annotated[FloatArray, "17"]  #: By the names OBJECTIVE to DECREMENT; first, so that its block begins with it
    users: Annotated[ComplexArray, "r K"]  #: Beams of the users, the best so far
    sensing: Annotated[ComplexArray, "r r"]  #: Covariance of the sensing streams beside them
    R: Annotated[ComplexArray, "r r"]
    E: Annotated[ComplexArray, "r r"]  #: In coordinates in which M is the identity
    dual: Dual


class Frame(NamedTuple):
    """Coordinates in which R is diagonal, and those of M in which the curvature F of the s_k is."""

    basis: Annotated[ComplexArray, "r r"]  #: Adjoint of the eigenvectors of R
    rho: Annotated[FloatArray, "r"]  #: Its eigenvalues
    received: Annotated[FloatArray, "K n"]  #: Dyads of the channels in them
    L: Annotated[ComplexArray, "r r"]  #: The factor of M, turned
    E: Annotated[ComplexArray, "r r"]  #: In its coordinates
    root: Annotated[ComplexArray, "r r"]  #: C^H with ``C^H E C = I``
    beams: Annotated[FloatArray, "K n"]  #: Dyads of L^H v_k
    powers: Annotated[FloatArray, "K"]  #: p_k


class Response(NamedTuple):
    """How Q and R follow M and mu: ``dQ = J X + xi Q``, ``dR = -weights (dQ + excess)``, in the eigenbasis of R."""

    J: Annotated[FloatArray, "n n"]
    weights: Annotated[FloatArray, "n"]  #: By how much coordinates of R fall when those of Q rise
    Q: Annotated[FloatArray, "n"]
    excess: Annotated[FloatArray, "n"]  #: Q - R^-2
    effective: Annotated[FloatArray, "n"]  #: R less weights times excess


class System(NamedTuple):
    """The Newton system in X and xi."""

    F: Annotated[FloatArray, "r"]  #: The diagonal of F
    A: Annotated[FloatArray, "n n"]  #: Block of X
    factor: Annotated[FloatArray, "n n"]  #: Its Cholesky factor
    slope: Annotated[FloatArray, "n"]  #: Gradient by X, without the barrier
    scaling: Annotated[FloatArray, "n"]  #: Block of X and xi
    side: Annotated[FloatArray, "n"]  #: A^-1 times that


class Step(NamedTuple):
    """A direction, and what a step along it changes."""

    X: Annotated[FloatArray, "n"]
    whole: Annotated[ComplexArray, "r r"]  #: X + xi I
    #: The Cholesky factor of I + length (X + xi I): L times it is L behind the step
    stretch: Annotated[ComplexArray, "r r"]
    second: Annotated[ComplexArray, "r r"]  #: Second-order term of E M
    change: Annotated[ComplexArray, "r r"]  #: Of R, in its eigenbasis
    R: Annotated[ComplexArray, "r r"]  #: R behind the step, in its old eigenbasis


class Room(NamedTuple):
    """What a step writes to, of one member; r^2 + 1 real unknowns."""

    frame: Frame
    response: Response
    system: System
    step: Step
    trial: Dual  #: The dual behind a step


class Work(NamedTuple):
    """What parts write to on their way, of one member."""

    room: Room
    here: Scratch


@brief
def linearise(problem: Member, at: Iterate, room: Room, here: Scratch) -> bool:
    """Write the Newton system at a dual point, R and E of one member; whether it is positive definite."""
    (frame, response, system, _, _), dual = room, at.dual
    told, factor, scaling, side = at.told, system.factor, system.scaling, system.side
    turn(problem, at, frame, system.F, here)
    weigh(frame.rho, response.weights)
    differentiate(problem.terms[SHARE], frame, response.J, here)
    slopes(problem, dual, told, frame, response, system, here)
    curve(dual.s, frame, response, system, here)
    sound = fold(system.A, factor)
    write(scaling, side)
    substitute(factor, side)
    curvature = told[PIVOT]
    told[PIVOT] = max(curvature - scalar_product(scaling, side), 1e-14 * curvature)
    return sound


@brief
def turn(problem: Member, at: Iterate, frame: Frame, F: FloatArray, here: Scratch) -> None:
    """Write the eigenbasis of R, and L, E and the beams turned so that the curvature of the s_k is diagonal."""
    (H, terms, _), dual = problem, at.dual
    basis, rho, received, L, E, root, beams, powers = frame
    back, product, v, turned = here.small[0], here.small[1], here.tall[0], here.tall[1]
    write(at.R, basis)
    eigen(basis, rho)
    for i in range(rho.size):
        rho[i] = max(rho[i], LEAST)
    multiply(basis, H, turned)
    dyads_into(turned, received)
    for k in range(powers.size):
        power = terms[NOISE, k]
        for i in range(rho.size):
            power += rho[i] * real_inner(turned[i, k], turned[i, k])
        powers[k] = power * terms[SHARE, k]
    scale_columns(dual.Y, dual.s, v)
    scale_columns(v, powers, turned)
    multiply_adjoint(turned, v, back)
    combine(0.5, at.E, 1.0, back)
    eigen(back, F)
    multiply_adjoint(dual.L, back, L)
    multiply(back, v, turned)
    dyads_into(turned, beams)
    multiply(back, at.E, product)
    multiply_adjoint(product, back, E)
    clip(E, root, product, at.told[EPS], here.spectra[0], here.spectra[1])


@brief
def clip(
    E: ComplexArray, root: ComplexArray, scaled: ComplexArray, eps: float, spectrum: FloatArray, levels: FloatArray
) -> None:
    """Bring the eigenvalues of E near eps, and write C^H with ``C^H E C = I``."""
    write(E, root)
    factorise(root)
    invert(root)
    if real_trace(E) <= eps * SPREAD and squares(root) <= SPREAD / eps:  # traces of E and E^-1: nearly always
        return
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
def squares(A: ComplexArray) -> float:
    """Sum of the squared magnitudes of all entries."""
    total = 0.0
    for row in range(len(A)):
        for each in range(len(A)):
            total += real_inner(A[row, each], A[row, each])
    return total


@brief
def weigh(rho: FloatArray, weights: FloatArray) -> None:
    """Write by how much coordinates of R fall when those of Q rise: R = Q^-1/2, linearised."""
    r, k = rho.size, rho.size
    above = r * (r - 1) // 2
    for i in range(r):
        weights[i] = rho[i] * rho[i] * rho[i] / 2
        for j in range(i + 1, r):
            both = rho[i] * rho[j]
            weights[k] = weights[k + above] = both * both / (rho[i] + rho[j])
            k += 1


@brief
def differentiate(shares: FloatArray, frame: Frame, J: FloatArray, here: Scratch) -> None:
    """Write the change of Q, in the eigenbasis of R, for X."""
    priced, C = here.dyads, here.small[0]
    scale_rows(frame.beams, shares, priced)
    adjoint_multiply(frame.received, priced, J)
    multiply(frame.basis, frame.L, C)
    subtract_congruence(C, J)


@brief
def slopes(
    problem: Member, dual: Dual, told: FloatArray, frame: Frame, response: Response, system: System, here: Scratch
) -> None:
    """Write Q in the eigenbasis of R, both gradients, and the terms of xi in the system."""
    basis, rho, E = frame.basis, frame.rho, frame.E
    J, weights, q, excess, effective = response
    slope, scaling = system.slope, system.scaling
    product, turned, term = here.small[0], here.small[1], here.vectors[0]
    multiply(basis, dual.Q, product)
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
    mu = dual.numbers[MU]
    share = (problem.antennas - rho.size) * np.sqrt(mu)
    told[PIVOT] = share / 2 + real_trace(E) + scalar_product(q, scaling)
    told[SLOPE_XI] = share - mu * dual.numbers[SURPLUS] + scalar_product(effective, q)
    multiply(problem.terms[CHARGE], frame.beams, term)
    multiply(effective, J, slope)
    combine(1.0, term, 1.0, slope)
    multiply(scaling, J, term)
    coordinates_into(E, scaling)
    combine(1.0, term, 1.0, scaling)


@brief
def curve(s: FloatArray, frame: Frame, response: Response, system: System, here: Scratch) -> None:
    """Write the block of X: that of Q, less that of the s_k, and of their change with X^2 and the barrier."""
    powers, F, A, scaled = frame.powers, system.F, system.A, system.factor
    roots, prices, priced = here.vectors[0], here.rows[0], here.dyads
    for i in range(roots.size):
        roots[i] = np.sqrt(response.weights[i])
    scale_rows(response.J, roots, scaled)
    add_gram(scaled, 1.0, 0.0, A)
    for u in range(s.size):
        prices[u] = np.sqrt(2 * powers[u] / s[u])
    scale_rows(frame.beams, prices, priced)
    add_gram(priced, -1.0, 1.0, A)
    r, k = F.size, F.size
    above = r * (r - 1) // 2
    for i in range(r):  # F X + X F for the diagonal F is diagonal in coordinates
        A[i, i] += 2 * F[i]
        for j in range(i + 1, r):
            both = F[i] + F[j]
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
def direct(solution: FloatArray, right_xi: float, pivot: float, system: System) -> float:
    """Write X over the solution of the block of X alone; xi."""
    xi = (right_xi - scalar_product(system.scaling, solution)) / pivot
    combine(-xi, system.side, 1.0, solution)
    return xi
