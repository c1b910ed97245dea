"""`riemannian-lbfgs` for ideal hardware, compiled: all starts of a member step by step beside each other.

The iteration is that of `isacsim.solvers.sum_rate_crlb.riemannian`. Nothing of it grows with the batch, and a
member's starts stay in the processor's cache until they have ended.
"""

from __future__ import annotations

import time
from typing import NamedTuple

import attrs
import numpy as np

from isacsim.compiled import compiled, part
from isacsim.solvers.iterate import Progress, Stop
from isacsim.solvers.solution import Solution, Status, objects
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
    TINY,
    Room,
    Terms,
    differentiate,
    evaluate,
    multiplier,
    precondition,
)
from isacsim.solvers.sum_rate_crlb.merit import Merit, Point, seen
from isacsim.solvers.sum_rate_crlb.recursion import (
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
    times,
)
from isacsim.solvers.sum_rate_crlb.rivals import REACH, RENEW_EVERY, compare
from isacsim.solvers.sum_rate_crlb.search import ARMIJO, MAX_ATTEMPTS, SHRINK, PointState
from isacsim.solvers.surface import along_surface, to_surface
from isacsim.typing import ComplexArray, FloatArray, IntArray

# What became of a start: it goes on, or ended as its name says, broken where the objective is no number.
GOING, MET, STALLED, BROKEN = range(4)
FIRST_ROWS = 64  # steps of the first call: most members end within them, and their trace is small


class Climb(NamedTuple):
    """Where B starts are."""

    preconditioner: ComplexArray  #: M^-1, (B, n, n)
    told: FloatArray  #: By the names of `isacsim.solvers.sum_rate_crlb.member`, OBJECTIVE to SEEN, (B, 9+2K)


@part
def rise(terms: Terms, m: int, way: Way, told: FloatArray, b: int, first: bool, room: Room) -> bool:
    """Whether a step along the direction was found that improves the objective as promised; the first is taken."""
    length, real, W = told[b, LENGTH], way.real, way.matrix[b, TRIED]
    for _ in range(MAX_ATTEMPTS):
        for j in range(real.shape[2]):
            real[b, TRIED, j] = real[b, PRECODER, j] + length * real[b, DIRECTION, j]
        to_surface(W, terms.powers[m, -1], terms.weights[PER_ANTENNA] > 0)
        evaluate(terms, m, W, room)
        gain = room.told[OBJECTIVE] - told[b, OBJECTIVE]
        # Strictly more: at the limit of rounding a step that changes nothing is no step.
        if first or (gain > 0 and gain >= ARMIJO * length * told[b, SLOPE]):
            return True
        length *= SHRINK
    return False


@part
def slope_there(terms: Terms, m: int, way: Way, b: int, room: Room) -> None:
    """Write the gradient along the surface of full power at the precoder that was tried."""
    gradient = way.matrix[b, FRESH]
    multiplier(terms, m, room)
    differentiate(terms, m, room, gradient)
    along_surface(way.matrix[b, TRIED], terms.powers[m, -1], terms.weights[PER_ANTENNA] > 0, gradient)


@part
def follow(terms: Terms, m: int, room: Room, inverse: ComplexArray) -> None:
    """Renew the preconditioner; see `isacsim.solvers.sum_rate_crlb.merit.Merit.preconditioner`."""
    told, powers, radial = room.told, terms.powers, 0.0
    users = powers.shape[1] - 1
    weights = np.empty(users)
    for k in range(users):
        signal, interference = told[SEEN + k], told[SEEN + users + k]
        weights[k] = terms.weights[RATE_WEIGHT] * signal / (interference * (signal + interference))
        radial += weights[k] * powers[m, k]
    if terms.weights[CRLB_WEIGHT] > 0:
        radial += terms.weights[CRLB_WEIGHT] * told[CRLB]
    precondition(terms.N[m], weights, max(radial / powers[m, users], TINY), room.M, inverse)


@part
def move(way: Way, b: int, seen: FloatArray, told: FloatArray, s: FloatArray, y: FloatArray) -> None:
    """Go where was tried, and write the pair of the step and of what the gradient fell by."""
    real = way.real
    for j in range(s.size):
        s[j] = real[b, TRIED, j] - real[b, PRECODER, j]  # what leaves the surface is of higher order, as it is in y
        y[j] = real[b, GRADIENT, j] - real[b, FRESH, j]
        real[b, PRECODER, j], real[b, GRADIENT, j] = real[b, TRIED, j], real[b, FRESH, j]
    for i in range(seen.size):
        if i <= CRLB or i >= SEEN:
            told[b, i] = seen[i]


@part
def head(terms: Terms, m: int, way: Way, told: FloatArray, b: int, memory: Pairs, oldest: int, M: ComplexArray) -> None:
    """Choose an ascent direction, which may leave the tangent space, and the first length along it."""
    gradient, direction, power = way.real[b, GRADIENT], way.real[b, DIRECTION], terms.powers[m, -1]
    direct(memory, b, oldest, M, way)
    slope = dot(gradient, direction)
    if not slope > 0:
        forget(memory.numbers, b)
        times(M, way.matrix[b, GRADIENT], way.matrix[b, DIRECTION])
        slope = dot(gradient, direction)
    # At first at most as long as W itself.
    told[b, SLOPE], told[b, LENGTH] = slope, np.sqrt(power / max(dot(direction, direction), power))
    scale = terms.weights[RATE_WEIGHT] * told[b, RATE]
    if terms.weights[CRLB_WEIGHT] > 0:
        scale += terms.weights[CRLB_WEIGHT] * told[b, CRLB]
    told[b, RESIDUAL] = np.sqrt(dot(gradient, gradient) * power) / scale


@part
def stop(told: FloatArray, b: int, numbers: FloatArray) -> None:
    """A start that its memory has misled tries once more without; one without is stuck."""
    told[b, STUCK] = 1.0
    for i in range(numbers.shape[1] // 2):
        if numbers[b, i] != 0:
            told[b, STUCK] = 0.0
    forget(numbers, b)


@part
def conclude(told: FloatArray, b: int, trace: FloatArray, row: int, tolerance: float, count: int) -> None:
    """Note where a start is in a row of the trace, and what becomes of it."""
    for i in range(4):
        trace[b, row, i] = told[b, i]
    told[b, STEP] = count
    if not np.isfinite(told[b, OBJECTIVE]):
        told[b, STATE] = BROKEN
    elif told[b, RESIDUAL] <= tolerance:
        told[b, STATE] = MET
    elif told[b, STUCK] > 0:
        told[b, STATE] = STALLED


def climb_each(
    terms: Terms,
    way: Way,
    climb: Climb,
    memory: Pairs,
    room: Room,
    begin: int,
    trace: FloatArray,
    tolerance: float,
) -> None:
    """Take the starts of B members, as many for each, further from step ``begin`` on, as far as there is a trace.

    The trace (starts, steps, 4) gets objective, rate, CRLB and residual of each step. Step 0 leads to the start itself.
    """
    members, told, size = len(terms.powers), climb.told, memory.numbers.shape[1] // 2
    starts = len(trace) // members
    for m in range(members):
        for count in range(begin, begin + trace.shape[1]):
            place = count % size
            for b in range(m * starts, (m + 1) * starts):
                if told[b, STATE] != GOING:
                    continue
                M = climb.preconditioner[b]
                if rise(terms, m, way, told, b, count == 0, room):
                    slope_there(terms, m, way, b, room)
                    if count % RENEW_EVERY == 0:
                        follow(terms, m, room, M)
                    move(way, b, room.told, told, memory.pairs[b, 0, place], memory.pairs[b, 1, place])
                    if count > 0:  # the way to full power tells nothing of the curvature
                        judge(memory, b, place, M, way)
                else:
                    stop(told, b, memory.numbers)
                head(terms, m, way, told, b, memory, (count + 1) % size, M)
            if count % RENEW_EVERY == 0:
                # Before the first step none is behind.
                compare(way.matrix, told, m * starts, starts, REACH if count > 0 else np.inf)
            going = False
            for b in range(m * starts, (m + 1) * starts):
                if told[b, STATE] == GOING:
                    conclude(told, b, trace, count - begin, tolerance, count)
                    going = going or told[b, STATE] == GOING
            if not going:
                break


def ascend(merit: Merit, W: ComplexArray, origin: IntArray, size: int, rules: Stop) -> Solution:
    """Stationary points from precoders W (B, n, K+S), the best of the starts of each of the problems ``origin`` (B,).

    Without a callback or a time limit nobody looks at the steps, and many are one call; the times of the trace are
    then spread evenly over them.
    """
    began, (count, n, streams), members = time.perf_counter(), W.shape, 1 + int(origin[-1])
    way, memory, room = no_way(count, n, streams), no_pairs(count, size, 2 * n * streams), merit.room(streams)
    way.matrix[:, PRECODER] = W
    climb, terms = Climb(np.empty((count, n, n), complex), np.zeros((count, room.told.size))), merit.terms(members)
    watched, done, told = rules.callback is not None or rules.time_limit is not None, 0, ""
    calls: list[tuple[FloatArray, float]] = []
    while done <= rules.max_steps and not told and (climb.told[:, STATE] == GOING).any():
        going = np.flatnonzero(climb.told[:, STATE] == GOING)
        rows = 1 if watched else min(FIRST_ROWS << len(calls), rules.max_steps + 1 - done)
        trace = np.full((count, rows, 4), np.nan)
        compiled(climb_each)(terms, way, climb, memory, room, done, trace, rules.tolerance)
        calls.append((trace, time.perf_counter() - began))
        if done and watched:
            told = _interrupted(
                rules, done, origin[going], way.matrix[going, PRECODER], climb.told[going], calls[-1][1]
            )
        done += rows
    objective = climb.told[:, OBJECTIVE].reshape(members, -1)
    best = np.where(np.isfinite(objective), objective, -np.inf).argmax(axis=1) + np.arange(0, count, count // members)
    solution = _solution(way.matrix[best, PRECODER], climb.told[best], told)
    tables = _tables(best, solution.iterations, calls)
    return attrs.evolve(solution, trace=tables, runtime=time.perf_counter() - began)


def _interrupted(rules: Stop, step: int, labels: IntArray, W: ComplexArray, told: FloatArray, elapsed: float) -> str:
    """Why all end here, as a note: what the callback says, which sees the starts that were going, and the clock."""
    if rules.callback is not None:
        state = PointState(Point(W, *seen(told)), told[:, RESIDUAL], told[:, STUCK] > 0)
        if rules.callback(Progress(step, labels, state, elapsed)):
            return "stopped by the callback"
    over = rules.time_limit is not None and elapsed > rules.time_limit
    return "stopped by the time limit" if over else ""


def _solution(W: ComplexArray, told: FloatArray, note: str) -> Solution:
    """What became of starts at W, without their trace, from what is told of them; a note on those that went on."""
    ends, steps, broken = told[:, STATE].astype(int), told[:, STEP].astype(int), told[:, STATE] == BROKEN
    notes = {GOING: note, BROKEN: "the objective became infinite or NaN at step {}", MET: "", STALLED: ""}
    status = {GOING: Status.MAX_STEPS, MET: Status.STATIONARY, STALLED: Status.STALLED, BROKEN: Status.FAILED}
    each = [notes[end].format(step) for end, step in zip(ends, steps, strict=True)]
    nothing = np.full(len(W), np.nan)
    return Solution(
        decision={"precoder": np.where(broken[:, None, None], np.nan, W)},
        objective=np.where(broken, np.nan, told[:, OBJECTIVE]),
        gap=nothing,
        residual=np.where(broken, np.nan, told[:, RESIDUAL]),
        iterations=steps,
        status=objects([status[end] for end in ends]),
        bound=nothing,
        notes=objects([(told,) if told else () for told in each]),
    )


def _tables(best: IntArray, steps: IntArray, calls: list[tuple[FloatArray, float]]) -> dict[str, FloatArray]:
    """The trace of the ``best`` starts, each (B, steps + 1): NaN after a start's end."""
    length, times, since, done = int(steps.max()) + 1, [], 0.0, 0
    for trace, until in calls:
        rows = max(min(trace.shape[1], length - done), 0)
        times.append(np.linspace(since, until, rows + 1)[1:])
        since, done = until, done + rows
    noted = np.concatenate([trace[best] for trace, _ in calls], axis=1)[:, :length]
    names = {"objective": OBJECTIVE, "residual": RESIDUAL, "sum_rate": RATE, "crlb": CRLB}
    tables = {name: np.ascontiguousarray(noted[..., place]) for name, place in names.items()}
    return {**tables, "time": np.where(np.isnan(noted[..., 0]), np.nan, np.concatenate(times))}
