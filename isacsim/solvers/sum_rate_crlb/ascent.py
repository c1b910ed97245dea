"""`riemannian-lbfgs` for ideal hardware and gain controls, compiled: all starts of a member step side by side.

The iteration is that of `isacsim.solvers.sum_rate_crlb.riemannian`. Nothing of it grows with the batch, and a
member's starts stay in the processor's cache until they have ended.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from isacsim.compiled import compiled, part
from isacsim.optimisation.lbfgs import (
    DIRECTION,
    FRESH,
    GRADIENT,
    PRECODER,
    TRIED,
    Pairs,
    Way,
    direct,
    dot,
    forget,
    judge,
    no_pairs,
    no_way,
)
from isacsim.optimisation.preconditioner import precondition
from isacsim.optimisation.riemannian import RENEW_EVERY
from isacsim.optimisation.search import ARMIJO, FAST, LEAST, MAX_ATTEMPTS, PATIENT, SHRINK
from isacsim.optimisation.spheres import along_surface, to_surface
from isacsim.solvers.course import Course
from isacsim.solvers.iterate import BROKEN, GOING, MET, STALLED, Stop
from isacsim.solvers.solution import Solution
from isacsim.solvers.sum_rate_crlb.distorted import Disturbed, disturb, disturbance
from isacsim.solvers.sum_rate_crlb.member import (
    CRLB,
    CRLB_WEIGHT,
    LENGTH,
    OBJECTIVE,
    PER_ANTENNA,
    RATE,
    RATE_WEIGHT,
    RESIDUAL,
    SEEN,
    SLOPE,
    STATE,
    STEP,
    STUCK,
    Room,
    Terms,
    bound,
    differentiate,
    follow,
    multiplier,
    rates,
)
from isacsim.solvers.sum_rate_crlb.merit import Iterate, Merit, seen
from isacsim.solvers.sum_rate_crlb.rivals import REACH, compare
from isacsim.solvers.sum_rate_crlb.states import PointState
from isacsim.typing import BoolArray, ComplexArray, FloatArray

FIRST_ROWS = 64  # steps of the first call: most members end within them, and their trace is small


class Climb(NamedTuple):
    """Where B starts are."""

    preconditioner: ComplexArray  #: M^-1, (B, n, n)
    told: FloatArray  #: By the names of `isacsim.solvers.sum_rate_crlb.member`, OBJECTIVE to SEEN, (B, 9+2K)


@part
def tread(real: FloatArray, length: float) -> None:
    """Write where a step of some length along the direction leads, of real numbers (slots, n)."""
    for j in range(real.shape[1]):
        real[TRIED, j] = real[PRECODER, j] + length * real[DIRECTION, j]


@part
def move(real: FloatArray, seen: FloatArray, told: FloatArray, pairs: FloatArray, place: int) -> None:
    """Go where was tried, and write the pair of the step and of what the gradient fell by."""
    y = pairs.shape[0] // 2 + place
    for j in range(real.shape[1]):
        there, slope = real[TRIED, j], real[FRESH, j]
        pairs[place, j] = there - real[PRECODER, j]  # what leaves the surface is of higher order, as it is in y
        pairs[y, j] = real[GRADIENT, j] - slope
        real[PRECODER, j], real[GRADIENT, j] = there, slope
    for i in range(seen.size):
        if i <= CRLB or i >= SEEN:
            told[i] = seen[i]


@part
def head(
    power: float,
    weights: FloatArray,
    told: FloatArray,
    pairs: FloatArray,
    numbers: FloatArray,
    oldest: int,
    M: ComplexArray,
    way: ComplexArray,
    real: FloatArray,
) -> None:
    """Choose an ascent direction, which may leave the tangent space, and the first length along it."""
    slope = 0.0
    for _ in range(2):
        direct(pairs, numbers, oldest, M, way, real)
        slope = dot(real, GRADIENT, real, DIRECTION)
        if slope > 0:
            break
        forget(numbers)
    # At first at most as long as W itself.
    told[SLOPE], told[LENGTH] = slope, math.sqrt(power / max(dot(real, DIRECTION, real, DIRECTION), power))
    scale = weights[RATE_WEIGHT] * told[RATE]
    if weights[CRLB_WEIGHT] > 0:
        scale += weights[CRLB_WEIGHT] * told[CRLB]
    told[RESIDUAL] = math.sqrt(dot(real, GRADIENT, real, GRADIENT) * power) / scale


@part
def stop(told: FloatArray, numbers: FloatArray) -> None:
    """A start that its memory has misled tries once more without; one without is stuck."""
    told[STUCK] = 1.0
    for i in range(numbers.size // 2):
        if numbers[i] != 0:
            told[STUCK] = 0.0
    forget(numbers)


@part
def conclude(told: FloatArray, starts: range, trace: FloatArray, row: int, tolerance: float, count: int) -> bool:
    """Note where starts are in a row of the trace, and what becomes of them; whether one goes on."""
    going = False
    for b in starts:
        if told[b, STATE] != GOING:
            continue
        for i in range(4):
            trace[b, row, i] = told[b, i]
        state = GOING
        if not math.isfinite(told[b, OBJECTIVE]):
            state, told[b, OBJECTIVE] = BROKEN, -np.inf  # less than any other start's
        elif told[b, RESIDUAL] <= tolerance:
            state = MET
        elif told[b, STUCK] > 0:
            state = STALLED
        going = going or state == GOING
        told[b, STEP], told[b, STATE] = count, state
    return going


@part
def promised(objective: float, told: FloatArray, length: float) -> bool:
    """Whether a step of some length improves the objective by as much as its slope promises."""
    gain = objective - told[OBJECTIVE]
    # Strictly more: at the limit of rounding a step that changes nothing is no step.
    return gain > 0 and gain >= ARMIJO * length * told[SLOPE]


@part
def advance(
    terms: Terms,
    link: Disturbed | None,
    way: Way,
    climb: Climb,
    memory: Pairs,
    room: Room,
    m: int,
    b: int,
    count: int,
) -> None:
    """Take start b, which is one of member m, a step further, or stop it; step 0 leads to the start itself."""
    N, NH, tensor, places, powers, weights = terms
    now, gains, square, F, inverse, factor, square_M, betas = room
    here, vectors, flat, M = climb.told[b], way.matrix[b], way.real[b], climb.preconditioner[b]
    own, curvatures, W, gradient = memory.pairs[b], memory.numbers[b], vectors[TRIED], vectors[FRESH]
    noise, power, size = powers[m], powers[m, -1], len(curvatures) // 2
    charged, apart = weights[CRLB_WEIGHT] > 0, weights[PER_ANTENNA] > 0
    found, length = False, here[LENGTH]
    for attempt in range(MAX_ATTEMPTS):
        tread(flat, length)
        to_surface(W, power, apart)
        if link is not None:
            disturb(link, m, W, noise, tensor[m])
        rates(NH[m], noise, weights, W, now, gains)
        if charged:
            bound(tensor[m], places, weights, gains, square, F, inverse, now)
        found = count == 0 or promised(now[OBJECTIVE], here, length)
        if found or length * here[SLOPE] < LEAST * abs(here[OBJECTIVE]):
            break
        length *= SHRINK if attempt < PATIENT else FAST
    if found:
        if charged:
            multiplier(tensor[m], places, weights, inverse, F, square)
        differentiate(N[m], weights[RATE_WEIGHT], now, gains, square, factor, gradient)
        if link is not None:
            disturbance(link, m, W, weights, now, gains, places, F, square, gradient)
        along_surface(W, power, apart, gradient)
        if count % RENEW_EVERY == 0:
            precondition(N[m], betas, follow(noise, weights, now, betas), square_M, M)
        move(flat, now, here, own, count % size)
        if count > 0:  # the way to full power tells nothing of the curvature
            judge(own, curvatures, count % size, M, vectors, flat)
    else:
        stop(here, curvatures)
    head(power, weights, here, own, curvatures, (count + 1) % size, M, vectors, flat)


def climb_each(
    terms: Terms,
    link: Disturbed | None,
    way: Way,
    climb: Climb,
    memory: Pairs,
    room: Room,
    begin: int,
    trace: FloatArray,
    tolerance: float,
) -> None:
    """Take the starts of B members, as many for each, further from step ``begin`` on, as far as there is a trace.

    The trace (starts, steps, 4) gets objective, rate, CRLB and residual of each step.
    Behind hardware ``link`` tells who hears its distortion, and each precoder has its own noise and terms; without,
    Numba leaves out what is there for it.
    """
    (matrix, _), (_, told) = way, climb
    members, starts = len(terms.powers), len(trace) // len(terms.powers)
    for m in range(members):
        each = range(m * starts, (m + 1) * starts)
        for count in range(begin, begin + trace.shape[1]):
            for b in each:
                if told[b, STATE] == GOING:
                    advance(terms, link, way, climb, memory, room, m, b, count)
            if count % RENEW_EVERY == 0:
                compare(matrix, told, m * starts, starts, REACH if count > 0 else np.inf)  # none is behind at first
            if not conclude(told, each, trace, count - begin, tolerance, count):
                break


def ascend(merit: Merit, W: ComplexArray, size: int, rules: Stop, link: Disturbed | None = None) -> Solution:
    """The best stationary points that starts W (B, starts, n, K+S) lead to, with room for ``size`` pairs.

    Behind hardware W are coordinates, and the ``link`` is to be told.
    """
    (members, starts, n, streams), count = W.shape, W.shape[0] * W.shape[1]
    way, memory, room = no_way(count, n, streams), no_pairs(count, size, 2 * n * streams), merit.room(streams)
    way.matrix[:, PRECODER] = W.reshape(count, n, streams)
    climb, terms = Climb(np.empty((count, n, n), complex), np.zeros((count, room.told.size))), merit.terms(members)
    told = climb.told

    def advance(done: int, trace: FloatArray) -> None:
        compiled(climb_each)(terms, link, way, climb, memory, room, done, trace, rules.tolerance)

    def look(going: BoolArray) -> PointState:
        point = Iterate(way.matrix[going, PRECODER], *seen(told[going]))
        return PointState(point, told[going, RESIDUAL], told[going, STUCK] > 0)

    origin = np.arange(count) // starts
    course = Course(told[:, STATE], told[:, STEP]).run(rules, FIRST_ROWS, RESIDUAL + 1, advance, look, origin)
    best = told[:, OBJECTIVE].reshape(members, -1).argmax(axis=1) + np.arange(0, count, starts)
    there = told[best]
    values = {"objective": there[:, OBJECTIVE], "residual": there[:, RESIDUAL]}
    traced = {"objective": OBJECTIVE, "residual": RESIDUAL, "sum_rate": RATE, "crlb": CRLB}
    return course.solution(best, way.matrix[best, PRECODER], values, traced)
