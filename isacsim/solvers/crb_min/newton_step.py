"""One step of the saddle primal-dual Newton method for `CrbMin`.

A predictor, without a barrier, tells how far the boundary is, and from that comes the weight
of the barrier. A corrector aims at it, with the second-order term of the predictor. The
search halves the step until the residual of the saddle point, in the metric of the Newton
matrix at hand, has fallen by enough: a test that no change of coordinates affects. The weight
of the barrier may rise again, which frees an iterate that has come too near the boundary.
"""

from __future__ import annotations

import numpy as np

from isacsim.compiled import brief
from isacsim.linalg.blas import multiply, scalar_product, write
from isacsim.linalg.hermitian import coordinates_into, dyads_into, matrix_into
from isacsim.linalg.lapack import (
    adjoint_multiply,
    combine,
    eigenvalues,
    factorise,
    invert,
    multiply_adjoint,
    scale,
    substitute,
)
from isacsim.linalg.parts import finite, real_trace, scale_columns, scale_rows, shift, symmetrise, write_identity
from isacsim.solvers.crb_min.dual import MU, PROVEN, Dual, Scratch, along, dual_at
from isacsim.solvers.crb_min.newton_system import (
    BOUND,
    CAUTION,
    COUNT,
    DECREMENT,
    EPS,
    FAILURES,
    IDLE,
    LARGEST,
    LENGTH,
    OBJECTIVE,
    PIVOT,
    REFERENCE,
    RESIDUAL,
    SLOPE_XI,
    Frame,
    Iterate,
    Response,
    Room,
    Step,
    System,
    direct,
    linearise,
)
from isacsim.solvers.crb_min.recovery import tight_at
from isacsim.solvers.crb_min.reduction import CHARGE, SHARE, Member
from isacsim.typing import ComplexArray, FloatArray

BOUNDARY = 0.995  # share of the way to the boundary of M and of E
NEAR = 0.9  # the same for mu and R, whose boundaries curve
LEAST_SHARE = 1e-3  # of the barrier that a step leaves, however far its predictor reaches
TRIALS = 8  # halvings of a step
CENTRED = 0.5  # a residual below this, relative to that of the barrier, is small enough
LEAST_CAUTION, MOST_CAUTION = 0.2, 10.0  # bounds of the barrier per unit of Newton decrement
SETTLING = 12  # first steps, of which none counts as idle
FALL = 0.7  # of its reference, to which a gap must have fallen for a step that is not idle


@brief
def share(least: float, boundary: float) -> float:
    """Step length, of at most 1, that goes ``boundary`` of the way to where 1 + length least = 0."""
    return min(1.0, boundary / max(-least, 1e-300)) if least < 0 else 1.0


@brief
def least_of(root: ComplexArray, A: ComplexArray, here: Scratch) -> float:
    """Smallest eigenvalue of ``C^H A C``, given C^H; -inf where it is no number."""
    product, whole, spectrum = here.small[0], here.small[1], here.spectra[0]
    multiply(root, A, product)
    multiply_adjoint(product, root, whole)
    eigenvalues(whole, spectrum)
    return spectrum[0] if np.isfinite(spectrum[0]) else -np.inf


@brief
def predict(told: FloatArray, frame: Frame, system: System, step: Step, here: Scratch) -> float:
    """The reach of the direction without a barrier, whose second-order term and decrement are written."""
    whole, second, rate, E = step.whole, step.second, step.change, frame.E
    x, spectrum = step.X, here.spectra[0]
    write(system.slope, x)
    substitute(system.factor, x)
    xi = direct(x, told[SLOPE_XI], told[PIVOT], system)
    told[DECREMENT] = scalar_product(system.slope, x) + told[SLOPE_XI] * xi
    matrix_into(x, whole)
    shift(whole, xi)
    multiply(E, whole, rate)
    symmetrise(rate)
    combine(-1.0, E, -1.0, rate)
    write(whole, second)
    eigenvalues(second, spectrum)
    reach = min(share(spectrum[0], BOUNDARY), share(xi, NEAR))
    reach = min(reach, share(least_of(frame.root, rate, here), BOUNDARY))
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
    sigma = min(max((1 - reach) * (1 - reach), LEAST_SHARE), 1.0)
    if started and length < 0.5:
        sigma = max(sigma, 1.0 if length < 0.2 else 0.5)
    eps = min(sigma * real_trace(E) / r, told[EPS])
    eps = max(eps, told[CAUTION] * told[DECREMENT] / r)
    eps = max(eps, 0.05 * tolerance * abs(told[BOUND]) / r)
    told[EPS] = min(eps, min(4 * told[EPS], told[LARGEST]))


@brief
def correct(told: FloatArray, system: System, step: Step, here: Scratch) -> float:
    """Write the direction X towards the barrier, and the second-order term that it has; xi."""
    straight, second, aimed, bent = step.X, step.second, here.vectors[0], here.vectors[1]
    r, eps, pivot = len(second), told[EPS], told[PIVOT]
    write(system.slope, aimed)
    for i in range(r):
        aimed[i] += eps
    write(aimed, straight)
    substitute(system.factor, straight)
    coordinates_into(second, bent)
    combine(1.0, aimed, -1.0, bent)
    substitute(system.factor, bent)
    rising = told[SLOPE_XI] + eps * r
    xi = direct(straight, rising, pivot, system)
    told[DECREMENT] = max(scalar_product(aimed, straight) + rising * xi, 1e-300)
    bent_xi = direct(bent, rising - real_trace(second), pivot, system)
    if scalar_product(aimed, bent) + rising * bent_xi > 0 and told[LENGTH] >= 0.3:
        write(bent, straight)
        return bent_xi
    write_identity(second, 0.0)
    return xi


@brief
def longest(xi: float, rho: FloatArray, response: Response, step: Step, here: Scratch) -> float:
    """Write X + xi I, and the change of R; the longest step that keeps M, mu and R positive."""
    J, weights, Q, excess, _ = response
    X, whole, _, _, change, _ = step
    moved, relative, levels = here.vectors[0], here.small[0], here.spectra[0]
    matrix_into(X, whole)
    shift(whole, xi)
    write(whole, relative)
    eigenvalues(relative, levels)
    least = levels[0]
    multiply(J, X, moved)
    combine(xi, Q, 1.0, moved)
    combine(1.0, excess, 1.0, moved)
    for i in range(moved.size):
        moved[i] *= -weights[i]
    matrix_into(moved, change)
    for i in range(levels.size):
        levels[i] = 1 / np.sqrt(rho[i])
    scale_rows(change, levels, relative)
    scale_columns(relative, levels, relative)
    eigenvalues(relative, levels)
    length = min(share(least, BOUNDARY), share(xi, NEAR))
    length = min(length, share(levels[0], NEAR))
    return length if np.isfinite(least) and np.isfinite(levels[0]) and np.isfinite(xi) else 0.0


@brief
def move(problem: Member, length: float, frame: Frame, step: Step, trial: Dual, here: Scratch) -> None:
    """Write dual and R, in its old eigenbasis, after a step of ``length`` to a mu that is known."""
    R, rho, stretch = step.R, frame.rho, step.stretch
    scale(length, step.whole, stretch)
    shift(stretch, 1.0)
    factorise(stretch)
    multiply(frame.L, stretch, trial.L)
    scale(length, step.change, R)
    for i in range(rho.size):
        R[i, i] += rho[i]
    dual_at(problem, trial, here)


@brief
def residual_of(problem: Member, mu: float, told: FloatArray, room: Room, here: Scratch) -> float:
    """The residual after a step from mu, in the metric of the old system."""
    frame, response, system, step, trial = room
    one, other, r = here.small[0], here.small[1], frame.rho.size
    term, slope, solution, effective = here.vectors[0], here.vectors[1], here.vectors[2], response.effective
    respond(frame.basis, step.R, trial.Q, response, here)
    receive(problem.terms, frame, trial, effective, slope, here)
    write(step.stretch, one)
    invert(one)
    adjoint_multiply(one, one, other)  # (I + length (X + xi I))^-1: of the barrier
    coordinates_into(other, term)
    combine(told[EPS], term, 1.0, slope)
    multiply(effective, response.J, term)
    combine(1.0, term, 1.0, slope)
    total, rising = (problem.antennas - r) / np.sqrt(trial.numbers[MU]) - problem.antennas, 0.0
    for i in range(r):
        total, rising = total + effective[i], rising + slope[i]
    rising += mu * total
    write(slope, solution)
    substitute(system.factor, solution)
    xi = direct(solution, rising, told[PIVOT], system)
    return scalar_product(slope, solution) + rising * xi


@brief
def respond(basis: ComplexArray, R: ComplexArray, Q: ComplexArray, response: Response, here: Scratch) -> None:
    """Write R behind a step, less what its residual changes, in its old eigenbasis."""
    one, other, left = here.small[0], here.small[1], here.small[2]
    weights, effective, term = response.weights, response.effective, here.vectors[0]
    write(R, one)
    invert(one)
    multiply(one, one, other)
    multiply(basis, Q, one)
    multiply_adjoint(one, basis, left)
    combine(-1.0, other, 1.0, left)  # Q - R^-2
    coordinates_into(left, term)
    coordinates_into(R, effective)
    for i in range(term.size):
        effective[i] -= weights[i] * term[i]


@brief
def receive(
    terms: FloatArray, frame: Frame, trial: Dual, effective: FloatArray, slope: FloatArray, here: Scratch
) -> None:
    """Write the users' part of the gradient behind a step, less that of the old beams, which J^T brings."""
    received, powers, priced, term = here.rows[0], here.rows[1], here.dyads, here.vectors[0]
    v, turned = here.tall[0], here.tall[1]
    along(trial, v)
    adjoint_multiply(frame.L, v, turned)
    dyads_into(turned, priced)
    multiply(frame.received, effective, received)
    for k in range(received.size):
        received[k] *= terms[SHARE, k]
        powers[k] = received[k] + terms[CHARGE, k]
    multiply(powers, priced, slope)
    multiply(received, frame.beams, term)
    combine(-1.0, term, 1.0, slope)


@brief
def arrive(trial: Dual, R: ComplexArray, basis: ComplexArray, at: Iterate, here: Scratch) -> None:
    """Write where the step has led to."""
    dual, product = at.dual, here.small[0]
    write(trial.L, dual.L)
    write(trial.inverse, dual.inverse)
    write(trial.Y, dual.Y)
    write(trial.s, dual.s)
    write(trial.Q, dual.Q)
    write(trial.numbers, dual.numbers)
    multiply(R, basis, product)
    adjoint_multiply(basis, product, at.R)
    symmetrise(at.R)


@brief
def follow(E: ComplexArray, eps: float, frame: Frame, step: Step, here: Scratch) -> None:
    """Write E after its own step, in the coordinates of the M that the step leads to."""
    inside, change, product = frame.E, here.small[2], here.small[0]
    multiply(inside, step.whole, change)
    symmetrise(change)
    combine(-1.0, inside, -1.0, change)
    combine(-1.0, step.second, 1.0, change)
    shift(change, eps)
    reach = share(least_of(frame.root, change, here), BOUNDARY)
    combine(reach, change, 1.0, inside)
    multiply(inside, step.stretch, product)
    adjoint_multiply(step.stretch, product, E)
    symmetrise(E)
    if not finite(E):
        write_identity(E, eps)


@brief
def keep_best(problem: Member, at: Iterate, here: Scratch) -> bool:
    """Write beams of the iterate, and keep them where they are better than those before; whether they are any."""
    dual, users, sensing, product = at.dual, here.tall[1], here.small[1], here.small[2]
    along(dual, users)
    multiply(at.E, dual.inverse, product)
    adjoint_multiply(dual.inverse, product, sensing)
    symmetrise(sensing)
    objective = tight_at(problem, users, sensing, here)
    if objective < at.told[OBJECTIVE]:
        at.told[OBJECTIVE] = objective
        write(users, at.users)
        write(sensing, at.sensing)
    return bool(np.isfinite(objective))


@brief
def count_idle(told: FloatArray) -> None:
    """Write the gap, and how many steps have brought no progress."""
    gap = (told[OBJECTIVE] - told[BOUND]) / abs(told[BOUND])
    told[COUNT] += 1
    told[IDLE] = 0.0 if gap <= FALL * told[REFERENCE] or told[COUNT] <= SETTLING else told[IDLE] + 1
    told[REFERENCE], told[RESIDUAL] = min(told[REFERENCE], gap), gap


@brief
def newton_step(problem: Member, at: Iterate, room: Room, here: Scratch, tolerance: float) -> None:
    """One predictor, one corrector and one search of a member; ``tolerance`` is the gap that is aimed at."""
    frame, response, system, step, trial = room
    told, mu, good = at.told, at.dual.numbers[MU], False
    sound = linearise(problem, at, room, here)
    aim_at(told, frame.E, predict(told, frame, system, step, here), tolerance)
    xi = correct(told, system, step, here)
    length = longest(xi, frame.rho, response, step, here)
    length = length if sound else 0.0
    for halving in range(TRIALS):
        if not length > 0:
            break
        trial.numbers[MU] = mu * (1 + length * xi)
        move(problem, length, frame, step, trial, here)
        left = residual_of(problem, mu, told, room, here)
        good = left <= (1 - length / 4) * (1 - length / 4) * told[DECREMENT] or left <= CENTRED * told[EPS] * len(at.R)
        good = (good or halving == TRIALS - 1) and finite(trial.Q) and finite(step.R)
        if good:
            arrive(trial, step.R, frame.basis, at, here)
            told[BOUND] = max(told[BOUND], trial.numbers[PROVEN])
            break
        length /= 2
    told[LENGTH], told[FAILURES] = (length, 0.0) if good else (0.0, told[FAILURES] + 1)
    if good:
        follow(at.E, told[EPS], frame, step, here)
    else:
        write_identity(at.E, told[EPS])
    keep_best(problem, at, here)
    count_idle(told)
