"""The way of any response: Newton's method on tight constraints, with as many sensing streams as it takes.

The first way begins with beams of least power that carry what is seen best. What it does not end, and whatever is
to begin elsewhere, goes some steps of the published iteration first (`isacsim.solvers.sqnr_max.dual`): they tell which
constraints bind, and each direction is worked out with care.
"""

from __future__ import annotations

import attrs
import numpy as np

from isacsim.batch import take
from isacsim.solvers.base import Request
from isacsim.solvers.iterate import Stop, iterate
from isacsim.solvers.solution import Solution, Status, gathered
from isacsim.solvers.sqinr.group import Group
from isacsim.solvers.sqinr.repair import inside
from isacsim.solvers.sqnr_max.dual import ascended
from isacsim.solvers.sqnr_max.echo import Response, brightest
from isacsim.solvers.sqnr_max.starts import carried, start
from isacsim.solvers.sqnr_max.tight_newton import begin, seeded, step
from isacsim.typing import BoolArray, ComplexArray

COLUMNS = 4  # at the start at least: of one or two, some twentieth of members with few users ends in a poorer optimum
GIVEN = 2  # sensing streams of a precoder to start from: no optimum seen needed more beside users that bind
STEPS = 100  # some fifteen are usual; what takes more goes the other way
BINDS = 1e-6  # slack of a constraint that does, where streams are added: those that were tight have that of rounding
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
            sharp = SHARP * tolerance if proven else tolerance
            solution = _optima(take(here, mine), take(response, mine), request, sharp, most, careful)
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


def _begun(group: Group, response: Response, request: Request, careful: bool) -> tuple[ComplexArray, BoolArray | None]:
    """Points to start from, (B, N, L), and which constraints bind there, (B, K+1), where that is known."""
    N, K = group.system.antennas, group.system.users
    if not careful:
        return first(group, response, min(max(COLUMNS - K, 0), N)), None
    V = start(group, request, 1 if request.initial is None else min(GIVEN, N))
    V, multipliers = ascended(group.system, V, group.feasible.multipliers)
    return V, (multipliers > 0) | (np.arange(K + 1) == K)


def _optima(group: Group, response: Response, request: Request, tolerance: float, most: int, careful: bool) -> Solution:
    """Solutions of members of one rank: those that lack streams go on with twice as many."""
    N, K = group.system.antennas, group.system.users
    (V, bound), parts, left = _begun(group, response, request, careful), [], np.arange(group.places.size)
    streams = V.shape[-1] - K
    while True:
        here, mine = take(group, left), take(response, left)
        stop = Stop(tolerance, most if careful else min(most, STEPS), request.time_limit, request.callback)
        solution = iterate(begin(here.system, mine, V, tolerance, bound), step, stop, labels=here.places)
        wide = np.pad(solution.precoder, ((0, 0), (0, 0), (0, K + N - solution.precoder.shape[-1])))
        lacks = np.isinf(solution.residual) & (streams < N)
        done = np.flatnonzero(~lacks)
        parts.append((attrs.evolve(solution, precoder=wide).take(done), left[done]))
        if not lacks.any():
            return gathered([part for part in parts if part[1].size], 0.0)
        more, here, V = min(max(streams, 1), N - streams), take(here, lacks), solution.precoder[lacks]
        bound = here.system.slack(V) <= BINDS if careful else None
        again = begin(here.system, take(mine, lacks), V, tolerance, bound)
        V, left, streams = seeded(again, more), left[lacks], streams + more
