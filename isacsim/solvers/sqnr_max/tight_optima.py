"""The way of any response: Newton's method on tight constraints, with as many sensing streams as it takes.

The first way begins with beams of least power that carry what is seen best. Where distortion makes up nearly all of
the noise, f is far from concave and may have several optima: there it also begins with the optimum under noise so loud
that f is nearly linear, and the better end counts. What the first way does not end, and whatever is to begin
elsewhere, goes some steps of the published iteration first (`isacsim.solvers.sqnr_max.dual`): they tell which
constraints bind, and each direction is worked out with care.
"""

from __future__ import annotations

import attrs
import numpy as np

from isacsim.batch import frobenius2, joined, take
from isacsim.solvers.base import Request
from isacsim.solvers.iterate import Stop, iterate
from isacsim.solvers.solution import Solution, Status, gathered
from isacsim.solvers.sqinr.group import Group
from isacsim.solvers.sqinr.repair import inside
from isacsim.solvers.sqnr_max.dual import ascended
from isacsim.solvers.sqnr_max.echo import Response, brightest, value_at
from isacsim.solvers.sqnr_max.starts import carried, start
from isacsim.solvers.sqnr_max.tight_newton import begin, seeded, step
from isacsim.typing import BoolArray, ComplexArray

COLUMNS = 4  # at the start at least: of one or two, some twentieth of members with few users ends in a poorer optimum
GIVEN = 2  # sensing streams of a precoder to start from: no optimum seen needed more beside users that bind
STEPS = 100  # some fifteen are usual; what takes more goes the other way
BINDS = 1e-6  # slack of a constraint that does, where streams are added: those that were tight have that of rounding
DISTORTED = 0.85  # share of distortion in the noise at the start, from which on there is a second one
LOUD = 100.0  # times the noise for the second start: f is nearly linear there, and has one optimum
ROUGH, BRIEF = 1e-2, 10  # tolerance and most steps of that
SHARP = 1e-2  # tolerance where a bound is to be proven: a stream enters it to first order, relative to the option's


def tight_optima(
    group: Group, request: Request, tolerance: float, most: int, careful: bool = False
) -> tuple[Solution, BoolArray]:
    """Solutions of members with a response, with N sensing streams, and which need no other way, (B,).

    Args:
        group: The members, with a least power of less than 1 but for rounding.
        request: What the caller asks; a start by those who are careful alone.
        tolerance: Relative error of the optimality conditions.
        most: Largest number of steps.
        careful: Whether to go the second way.
    """
    parts = []
    for places, response in group.system.objective.responses():
        here = take(group, places)
        each = here.system.objective.proven
        for proven in np.unique(each):
            mine = each == proven
            # A bound that is left open is steep, as where distortion is most of the noise.
            sharp = SHARP ** (1 + careful) * tolerance if proven else tolerance
            stop = Stop(sharp, most if careful else min(most, STEPS), request.time_limit, request.callback)
            some = take(here, mine), take(response, mine)
            solution = _second(*some, request, stop) if careful else _first(*some, stop)
            parts.append((solution, places[mine]))
    solution = gathered(parts, 0.0)
    # What the caller has stopped, has ended; what took more steps than usual is for the other way.
    found = [
        status is Status.STATIONARY or (status is Status.MAX_STEPS and (bool(notes) or most <= STEPS))
        for status, notes in zip(solution.status, solution.notes, strict=True)
    ]
    return solution, np.array(found)


def first(group: Group, response: Response, streams: int) -> ComplexArray:
    """The point to start from, (B, N, K + streams) at most: beams of least power, and what is seen best added to them.

    Streams of their own would only lose their power again: with four columns hardly any optimum has some.
    """
    system = group.system
    beams = inside(system, group.feasible)
    sensing = brightest(response, beams, system.users + streams)
    return carried(system, beams, sensing) if system.users else sensing


def _first(group: Group, response: Response, stop: Stop) -> Solution:
    """Solutions of members of one rank: of two starts, the better end, where f may have several optima."""
    V = first(group, response, min(max(COLUMNS - group.system.users, 0), group.system.antennas))
    value, seen = value_at(response, V)
    # What is no distortion in the noise is that of the receivers: f = tr(Y^H Q Y), where it adds I to Q.
    several = (frobenius2(seen.Y) < (1 - DISTORTED) * value) & ~group.system.objective.proven
    parts = []
    for climb, some in ((_optima, ~several), (_better, several)):
        if some.any():
            parts.append((climb(take(group, some), take(response, some), V[some], stop), np.flatnonzero(some)))
    return gathered(parts, 0.0)


def _better(group: Group, response: Response, V: ComplexArray, stop: Stop) -> Solution:
    """The better one of the points that V (B, N, L), and what is best under louder noise, lead to."""
    loud = begin(group.system, response.louder(LOUD), V, ROUGH)
    loud = iterate(loud, step, attrs.evolve(stop, tolerance=ROUGH, max_steps=BRIEF, callback=None)).precoder
    sound = np.isfinite(loud).all(axis=(-2, -1))[:, None, None]
    starts = np.concatenate([V, np.where(sound, loud, V)])
    solution = _optima(joined([group, group]), joined([response, response]), starts, stop)
    ends = solution.objective.reshape(2, -1), solution.converged.reshape(2, -1)
    best = np.lexsort(ends, axis=0)[-1]  # of those that have converged, if any
    return solution.take(np.arange(len(V)) + best * len(V))


def _second(group: Group, response: Response, request: Request, stop: Stop) -> Solution:
    """Solutions of members of one rank from some published steps behind the start that is asked for."""
    N, K = group.system.antennas, group.system.users
    V = start(group, request, 1 if request.initial is None else min(GIVEN, N))
    V, multipliers = ascended(group.system, V, group.feasible.multipliers)
    return _optima(group, response, V, stop, (multipliers > 0) | (np.arange(K + 1) == K))


def _optima(group: Group, response: Response, V: ComplexArray, stop: Stop, bound: BoolArray | None = None) -> Solution:
    """Solutions from points V (B, N, L) of members of one rank: those that lack streams go on with twice as many.

    With which constraints bind, (B, K+1), the way is the careful one.
    """
    N, K, careful = group.system.antennas, group.system.users, bound is not None
    parts, left, streams = [], np.arange(len(V)), V.shape[-1] - group.system.users
    while True:
        here, mine = take(group, left), take(response, left)
        solution = iterate(begin(here.system, mine, V, stop.tolerance, bound), step, stop, labels=here.places)
        wide = np.pad(solution.precoder, ((0, 0), (0, 0), (0, K + N - solution.precoder.shape[-1])))
        lacks = np.isinf(solution.residual) & (streams < N)
        done = np.flatnonzero(~lacks)
        parts.append((attrs.evolve(solution, precoder=wide).take(done), left[done]))
        if not lacks.any():
            return gathered([part for part in parts if part[1].size], 0.0)
        more, here, V = min(max(streams, 1), N - streams), take(here, lacks), solution.precoder[lacks]
        bound = here.system.slack(V) <= BINDS if careful else None
        again = begin(here.system, take(mine, lacks), V, stop.tolerance, bound)
        V, left, streams = seeded(again, more), left[lacks], streams + more
