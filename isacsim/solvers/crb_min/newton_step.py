"""One step of the saddle primal-dual Newton method for `CrbMin`.

A predictor, without a barrier, tells how far the boundary is, and from that comes the weight
of the barrier. A corrector aims at it, with the second-order term of the predictor. The
search halves the step until the residual of the saddle point, in the metric of the Newton
matrix at hand, has fallen by enough: a test that no change of coordinates affects. The weight
of the barrier may rise again, which frees an iterate that has come too near the boundary.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from isacsim.algebra import finite, real_trace, scale_columns, scale_rows, shift, symmetrise, write_identity
from isacsim.blas import multiply, scalar_product, write
from isacsim.compiled import brief
from isacsim.lapack import adjoint_multiply, combine, eigen, eigenvalues, invert, multiply_adjoint, scale, substitute
from isacsim.solvers.crb_min.dual import Scratch, along, dual_at
from isacsim.solvers.crb_min.newton_system import (
    AIMED,
    AWAY,
    AXES,
    BASIS,
    BEAMS,
    BENT,
    BOUND,
    CAUTION,
    CHANGE,
    COUNT,
    COVARIANCE,
    DECREMENT,
    DIRECTION,
    DUAL,
    EFFECTIVE,
    EPS,
    EXCESS,
    FACTOR,
    FAILURES,
    FOLDED,
    IDLE,
    INVERSE,
    JACOBIAN,
    LARGEST,
    LEFT,
    LENGTH,
    LEVELS,
    MU,
    NEW_INVERSE,
    NEW_L,
    NEW_Q,
    NEW_R,
    NEW_S,
    NEW_SEEN,
    OBJECTIVE,
    ONE,
    OTHER,
    PIVOT,
    POWERS,
    PREDICTED,
    PRICED,
    PRICES,
    Q_HERE,
    RECEIVED,
    REFERENCE,
    RESIDUAL,
    RHO,
    ROOT,
    SECOND,
    SEEN,
    SENSING,
    SLOPE,
    SLOPE_XI,
    SPARE,
    SPECTRUM,
    STREAMS,
    SURPLUS,
    TURNED,
    TURNED_E,
    TURNED_L,
    USERS,
    WEIGHTS,
    WHOLE,
    Room,
    direct,
    linearise,
)
from isacsim.solvers.crb_min.recovery import tight_at
from isacsim.solvers.crb_min.reduction import CHARGE, SHARE
from isacsim.solvers.hermitian import coordinates_into, dyads_into, matrix_into
from isacsim.typing import ComplexArray, FloatArray

BOUNDARY = 0.98  # share of the way to the boundary of M and of E
NEAR = 0.9  # the same for mu and R, whose boundaries curve
TRIALS = 8  # halvings of a step
CENTRED = 0.5  # a residual below this, relative to that of the barrier, is small enough
LEAST_CAUTION, MOST_CAUTION = 0.2, 10.0  # bounds of the barrier per unit of Newton decrement
SETTLING = 12  # first steps, of which none counts as idle
FALL = 0.7  # of its reference, to which a gap must have fallen for a step that is not idle


class Iterates(NamedTuple):
    """Where B members are, in reduced units; `isacsim.solvers.crb_min.newton_system` has names for the places."""

    matrices: ComplexArray  #: (B, 6, r, r)
    tall: ComplexArray  #: (B, 2, r, K)
    s: FloatArray  #: s_k, (B, K)
    told: FloatArray  #: (B, 18)


@brief
def share(least: float, boundary: float) -> float:
    """Step length, of at most 1, that goes ``boundary`` of the way to where 1 + length least = 0."""
    return min(1.0, boundary / max(-least, 1e-300)) if least < 0 else 1.0


@brief
def least_of(root: ComplexArray, A: ComplexArray, small: ComplexArray, spectrum: FloatArray) -> float:
    """Smallest eigenvalue of ``C^H A C``, given C^H; -inf where it is no number."""
    product, whole = small[ONE], small[OTHER]
    multiply(root, A, product)
    multiply_adjoint(product, root, whole)
    eigenvalues(whole, spectrum)
    return spectrum[0] if np.isfinite(spectrum[0]) else -np.inf


@brief
def predict(told: FloatArray, vectors: FloatArray, small: ComplexArray, spectrum: FloatArray) -> float:
    """The reach of the direction without a barrier, whose second-order term and decrement are written."""
    whole, rate, E = small[WHOLE], small[CHANGE], small[TURNED_E]
    second, x = small[SECOND], vectors[PREDICTED]
    xi = direct(x, told[SLOPE_XI], told[PIVOT], vectors)
    told[DECREMENT] = scalar_product(vectors[SLOPE], x) + told[SLOPE_XI] * xi
    matrix_into(x, whole)
    shift(whole, xi)
    multiply(E, whole, rate)
    symmetrise(rate)
    combine(-1.0, E, -1.0, rate)
    write(whole, second)
    eigenvalues(second, spectrum)
    reach = min(share(spectrum[0], BOUNDARY), share(xi, NEAR))
    reach = min(reach, share(least_of(small[ROOT], rate, small, spectrum), BOUNDARY))
    multiply(rate, whole, second)
    symmetrise(second)
    scale(reach * reach, second, second)
    return reach


@brief
def aim_at(told: FloatArray, E: ComplexArray, reach: float, tolerance: float) -> None:
    """Write the next weight of the barrier, and the next caution."""
    r, length, started = len(E), told[LENGTH], told[COUNT] > 0
    if started:
        change = 1 / 3 if length >= 0.9 else 3.0 if length < 0.6 else 1.0
        told[CAUTION] = min(max(told[CAUTION] * change, LEAST_CAUTION), MOST_CAUTION)
    sigma = min(max((1 - reach) * (1 - reach), 0.01), 1.0)
    if started and length < 0.5:
        sigma = max(sigma, 1.0 if length < 0.2 else 0.5)
    eps = min(sigma * real_trace(E) / r, told[EPS])
    eps = max(eps, told[CAUTION] * told[DECREMENT] / r)
    eps = max(eps, 0.05 * tolerance * abs(told[BOUND]) / r)
    told[EPS] = min(eps, min(4 * told[EPS], told[LARGEST]))


@brief
def correct(told: FloatArray, factor: FloatArray, vectors: FloatArray, small: ComplexArray) -> float:
    """Write the direction X towards the barrier, and the second-order term that it has; xi."""
    aimed, straight, bent = vectors[AIMED], vectors[DIRECTION], vectors[BENT]
    r, second, eps = small.shape[1], small[SECOND], told[EPS]
    write(vectors[SLOPE], aimed)
    for i in range(r):
        aimed[i] += eps
    write(aimed, straight)
    substitute(factor, straight)
    coordinates_into(second, bent)
    combine(1.0, aimed, -1.0, bent)
    substitute(factor, bent)
    rising, pivot = told[SLOPE_XI] + eps * r, told[PIVOT]
    xi = direct(straight, rising, pivot, vectors)
    told[DECREMENT] = max(scalar_product(aimed, straight) + rising * xi, 1e-300)
    bent_xi = direct(bent, rising - real_trace(second), pivot, vectors)
    if scalar_product(aimed, bent) + rising * bent_xi > 0 and told[LENGTH] >= 0.3:
        write(bent, straight)
        return bent_xi
    write_identity(second, 0.0)
    return xi


@brief
def longest(xi: float, J: FloatArray, vectors: FloatArray, small: ComplexArray, spectra: FloatArray) -> float:
    """Write the change of R, and the spectrum of X + xi I; the longest step that keeps M, mu and R positive."""
    whole, axes, change = small[WHOLE], small[AXES], small[CHANGE]
    moved, weights, relative = vectors[SPARE], vectors[WEIGHTS], small[ONE]
    rho, spectrum, levels = spectra[RHO], spectra[SPECTRUM], spectra[LEVELS]
    matrix_into(vectors[DIRECTION], whole)
    shift(whole, xi)
    write(whole, axes)
    eigen(axes, spectrum)
    multiply(J, vectors[DIRECTION], moved)
    combine(xi, vectors[Q_HERE], 1.0, moved)
    combine(1.0, vectors[EXCESS], 1.0, moved)
    for i in range(moved.size):
        moved[i] *= -weights[i]
    matrix_into(moved, change)
    for i in range(levels.size):
        levels[i] = 1 / np.sqrt(rho[i])
    scale_rows(change, levels, relative)
    scale_columns(relative, levels, relative)
    eigenvalues(relative, levels)
    length = min(share(spectrum[0], BOUNDARY), share(xi, NEAR))
    length = min(length, share(levels[0], NEAR))
    return length if np.isfinite(spectrum[0]) and np.isfinite(levels[0]) and np.isfinite(xi) else 0.0


@brief
def move(
    H: ComplexArray,
    HH: ComplexArray,
    terms: FloatArray,
    antennas: int,
    told: FloatArray,
    mu: float,
    length: float,
    small: ComplexArray,
    seen: ComplexArray,
    spectra: FloatArray,
    users: FloatArray,
    here: Scratch,
) -> tuple[float, float]:
    """Write dual and R, in its old eigenbasis, after a step of ``length`` to mu; its surplus and bound."""
    L, R, sizes = small[NEW_L], small[NEW_R], spectra[LEVELS]
    lengthen(length, spectra[SPECTRUM], sizes)
    multiply_adjoint(small[TURNED_L], small[AXES], L)
    scale_columns(L, sizes, L)
    scale(length, small[CHANGE], R)
    for i in range(sizes.size):
        R[i, i] += spectra[RHO, i]
    return dual_at(
        H, HH, terms, antennas, L, mu, small[NEW_INVERSE], seen, users[NEW_S], users[PRICES], small[NEW_Q], here
    )


@brief
def residual_of(
    terms: FloatArray,
    antennas: int,
    told: FloatArray,
    mu: float,
    length: float,
    square: FloatArray,
    dyads: FloatArray,
    vectors: FloatArray,
    small: ComplexArray,
    tall: ComplexArray,
    spectra: FloatArray,
    users: FloatArray,
) -> float:
    """The residual after a step, in the metric of the old system."""
    one, other, axes = small[ONE], small[OTHER], small[AXES]
    effective, slope, solution = vectors[EFFECTIVE], vectors[AIMED], vectors[PREDICTED]
    term, levels = vectors[SPARE], spectra[LEVELS]
    respond(vectors[WEIGHTS], effective, term, small)
    receive(terms, dyads, effective, slope, term, small, tall, users)
    lengthen(length, spectra[SPECTRUM], levels)
    for i in range(levels.size):
        levels[i] = told[EPS] / (levels[i] * levels[i])
    scale_rows(axes, levels, one)
    adjoint_multiply(axes, one, other)  # the barrier
    coordinates_into(other, term)
    combine(1.0, term, 1.0, slope)
    multiply(effective, square[JACOBIAN], term)
    combine(1.0, term, 1.0, slope)
    total, rising = (antennas - levels.size) / np.sqrt(mu) - antennas, 0.0
    for i in range(levels.size):
        total, rising = total + effective[i], rising + slope[i]
    rising += told[MU] * total
    write(slope, solution)
    substitute(square[FOLDED], solution)
    xi = direct(solution, rising, told[PIVOT], vectors)
    return scalar_product(slope, solution) + rising * xi


@brief
def respond(weights: FloatArray, effective: FloatArray, term: FloatArray, small: ComplexArray) -> None:
    """Write R behind a step, less what its residual changes, in its old eigenbasis."""
    one, other, left = small[ONE], small[OTHER], small[LEFT]
    basis, R = small[BASIS], small[NEW_R]
    write(R, one)
    invert(one)
    multiply(one, one, other)
    multiply(basis, small[NEW_Q], one)
    multiply_adjoint(one, basis, left)
    combine(-1.0, other, 1.0, left)  # Q - R^-2
    coordinates_into(left, term)
    coordinates_into(R, effective)
    for i in range(term.size):
        effective[i] -= weights[i] * term[i]


@brief
def receive(
    terms: FloatArray,
    dyads: FloatArray,
    effective: FloatArray,
    slope: FloatArray,
    term: FloatArray,
    small: ComplexArray,
    tall: ComplexArray,
    users: FloatArray,
) -> None:
    """Write the users' part of the gradient behind a step, less that of the old beams, which J^T brings."""
    received, powers = users[PRICES], users[POWERS]
    v, turned = tall[AWAY], tall[TURNED]
    along(small[NEW_INVERSE], tall[NEW_SEEN], users[NEW_S], v)
    adjoint_multiply(small[TURNED_L], v, turned)
    dyads_into(turned, dyads[PRICED])
    multiply(dyads[RECEIVED], effective, received)
    for k in range(received.size):
        received[k] *= terms[SHARE, k]
        powers[k] = received[k] + terms[CHARGE, k]
    multiply(powers, dyads[PRICED], slope)
    multiply(received, dyads[BEAMS], term)
    combine(-1.0, term, 1.0, slope)


@brief
def arrive(
    matrices: ComplexArray, Y: ComplexArray, s: FloatArray, small: ComplexArray, seen: ComplexArray, new_s: FloatArray
) -> None:
    """Write where the step has led to: L, its inverse, Q and R."""
    product, basis, R = small[ONE], small[BASIS], matrices[COVARIANCE]
    write(small[NEW_L], matrices[FACTOR])
    write(small[NEW_INVERSE], matrices[INVERSE])
    write(small[NEW_Q], matrices[DUAL])
    multiply(small[NEW_R], basis, product)
    adjoint_multiply(basis, product, R)
    symmetrise(R)
    write(seen, Y)
    write(new_s, s)


@brief
def follow(E: ComplexArray, eps: float, length: float, small: ComplexArray, spectra: FloatArray) -> None:
    """Write E after its own step, in the coordinates of the M that a step of ``length`` leads to."""
    change, here, product = small[LEFT], small[TURNED_E], small[ONE]
    axes, sizes = small[AXES], spectra[LEVELS]
    multiply(here, small[WHOLE], change)
    symmetrise(change)
    combine(-1.0, here, -1.0, change)
    combine(-1.0, small[SECOND], 1.0, change)
    shift(change, eps)
    reach = share(least_of(small[ROOT], change, small, sizes), BOUNDARY)
    combine(reach, change, 1.0, here)
    multiply(axes, here, product)
    multiply_adjoint(product, axes, E)
    symmetrise(E)
    lengthen(length, spectra[SPECTRUM], sizes)
    scale_rows(E, sizes, E)
    scale_columns(E, sizes, E)
    if not finite(E):
        write_identity(E, eps)


@brief
def lengthen(length: float, spectrum: FloatArray, sizes: FloatArray) -> None:
    """Write by how much a step stretches the axes of M."""
    for i in range(sizes.size):
        sizes[i] = np.sqrt(1 + length * spectrum[i])


@brief
def keep_best(
    H: ComplexArray,
    HH: ComplexArray,
    terms: FloatArray,
    antennas: int,
    matrices: ComplexArray,
    tall: ComplexArray,
    s: FloatArray,
    told: FloatArray,
    users: ComplexArray,
    sensing: ComplexArray,
    product: ComplexArray,
    here: Scratch,
) -> bool:
    """Write beams of the iterate, and keep them where they are better than those before; whether they are any."""
    inverse = matrices[INVERSE]
    along(inverse, tall[SEEN], s, users)
    multiply(matrices[STREAMS], inverse, product)
    adjoint_multiply(inverse, product, sensing)
    symmetrise(sensing)
    objective = tight_at(H, HH, terms, antennas, users, sensing, here)
    if objective < told[OBJECTIVE]:
        told[OBJECTIVE] = objective
        write(users, tall[USERS])
        write(sensing, matrices[SENSING])
    return bool(np.isfinite(objective))


@brief
def count_idle(told: FloatArray) -> None:
    """Write the gap, and how many steps have brought no progress."""
    gap = (told[OBJECTIVE] - told[BOUND]) / abs(told[BOUND])
    told[COUNT] += 1
    told[IDLE] = 0.0 if gap <= FALL * told[REFERENCE] or told[COUNT] <= SETTLING else told[IDLE] + 1
    told[REFERENCE], told[RESIDUAL] = min(told[REFERENCE], gap), gap


@brief
def newton_step(
    H: ComplexArray,
    HH: ComplexArray,
    terms: FloatArray,
    antennas: int,
    matrices: ComplexArray,
    tall: ComplexArray,
    s: FloatArray,
    told: FloatArray,
    room: Room,
    here: Scratch,
    tolerance: float,
) -> None:
    """One predictor, one corrector and one search of a member; ``tolerance`` is the gap that is aimed at."""
    square, dyads, vectors, small, wide, spectra, users = room
    Y, E = tall[SEEN], matrices[STREAMS]
    seen, good = wide[NEW_SEEN], False
    sound = linearise(H, terms, antennas, matrices, Y, s, told, room)
    aim_at(told, small[TURNED_E], predict(told, vectors, small, spectra[SPECTRUM]), tolerance)
    xi = correct(told, square[FOLDED], vectors, small)
    length = longest(xi, square[JACOBIAN], vectors, small, spectra)
    length = length if sound else 0.0
    for trial in range(TRIALS):
        if not length > 0:
            break
        mu = told[MU] * (1 + length * xi)
        surplus, bound = move(H, HH, terms, antennas, told, mu, length, small, seen, spectra, users, here)
        left = residual_of(terms, antennas, told, mu, length, square, dyads, vectors, small, wide, spectra, users)
        good = left <= (1 - length / 4) * (1 - length / 4) * told[DECREMENT] or left <= CENTRED * told[EPS] * len(H)
        good = (good or trial == TRIALS - 1) and finite(small[NEW_Q]) and finite(small[NEW_R])
        if good:
            arrive(matrices, Y, s, small, seen, users[NEW_S])
            told[MU], told[SURPLUS], told[BOUND] = mu, surplus, max(told[BOUND], bound)
            break
        length /= 2
    told[LENGTH], told[FAILURES] = (length, 0.0) if good else (0.0, told[FAILURES] + 1)
    if good:
        follow(E, told[EPS], length, small, spectra)
    else:
        write_identity(E, told[EPS])
    keep_best(H, HH, terms, antennas, matrices, tall, s, told, wide[AWAY], small[ONE], small[OTHER], here)
    count_idle(told)
