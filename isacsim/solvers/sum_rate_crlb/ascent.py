"""`riemannian-lbfgs` for ideal hardware and gain controls, compiled: all starts of a member step side by side.

The iteration is that of `isacsim.solvers.sum_rate_crlb.riemannian`. Nothing of it grows with the batch, and a
member's starts stay in the processor's cache until they have ended.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from isacsim.compiled import compiled, part
from isacsim.optimisation.ascent import (
    LENGTH,
    OBJECTIVE,
    RESIDUAL,
    SLOPE,
    STATE,
    STEP,
    STUCK,
    head,
    move,
    promised,
    stop,
    tread,
)
from isacsim.optimisation.lbfgs import FRESH, PRECODER, TRIED, Pairs, Way, judge, no_pairs, no_way
from isacsim.optimisation.preconditioner import precondition
from isacsim.optimisation.riemannian import RENEW_EVERY
from isacsim.optimisation.search import FAST, LEAST, MAX_ATTEMPTS, PATIENT, SHRINK
from isacsim.optimisation.spheres import along_surface, to_surface
from isacsim.solvers.course import Course
from isacsim.solvers.iterate import BROKEN, GOING, MET, STALLED, Stop
from isacsim.solvers.solution import Solution
from isacsim.solvers.sum_rate_crlb.distorted import Disturbed, disturb, disturbance
from isacsim.solvers.sum_rate_crlb.member import (
    CRLB,
    CRLB_WEIGHT,
    PER_ANTENNA,
    RATE,
    RATE_WEIGHT,
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

TRACED = "objective", "residual", "sum_rate", "crlb"
FIRST_ROWS = 64  # steps of the first call: most members end within them, and their trace is small


class Climb(NamedTuple):
    """Where B starts are."""

    preconditioner: ComplexArray  #: M^-1, (B, n, n)
    told: FloatArray  #: As in `Room`, (B, 9+2K)


@part
def conclude(told: FloatArray, starts: range, trace: FloatArray, row: int, tolerance: float, count: int) -> bool:
    """Note where starts are in a row of the trace, and what becomes of them; whether one goes on."""
    going = False
    for b in starts:
        if told[b, STATE] != GOING:
            continue
        trace[b, row, 0], trace[b, row, 1] = told[b, OBJECTIVE], told[b, RESIDUAL]
        trace[b, row, 2], trace[b, row, 3] = told[b, RATE], told[b, CRLB]
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
def advance(
    terms: Terms, link: Disturbed | None, way: Way, climb: Climb, memory: Pairs, room: Room, m: int, b: int, count: int
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
        mu = follow(noise, weights, now, betas)
        if link is not None:
            disturbance(link, m, W, betas, gains, tensor[m], places, F, square, gradient)
        along_surface(W, power, apart, gradient)
        if count % RENEW_EVERY == 0:
            precondition(N[m], betas, mu, square_M, M)
        move(flat, now, here, own, count % size)
        if count > 0:  # the way to full power tells nothing of the curvature
            judge(own, curvatures, count % size, M, vectors, flat)
    else:
        stop(here, curvatures)
    magnitude = weights[RATE_WEIGHT] * here[RATE] + (weights[CRLB_WEIGHT] * here[CRLB] if charged else 0.0)
    head(power, magnitude, here, own, curvatures, (count + 1) % size, M, vectors, flat)


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

    The trace (starts, steps, 4) gets what `TRACED` names of each step.
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
    course = Course(told[:, STATE], told[:, STEP]).run(rules, FIRST_ROWS, len(TRACED), advance, look, origin)
    best = told[:, OBJECTIVE].reshape(members, -1).argmax(axis=1) + np.arange(0, count, starts)
    there = told[best]
    values = {"objective": there[:, OBJECTIVE], "residual": there[:, RESIDUAL]}
    traced = {name: column for column, name in enumerate(TRACED)}
    return course.solution(best, way.matrix[best, PRECODER], values, traced)
