"""The way of every problem with least SQINRs: from a flat batch to groups that have an answer, and back.

Members are grouped by shape and normalised; those whose power does not suffice get a certificate, those
whose optimum is known in closed form are done, the others are solved chunk by chunk. A
problem adds how it is normalised, what is optimised, and the way back to precoders in W.
"""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import numpy as np

from isacsim.batch import all_of, replaced, take
from isacsim.compiled import compiled
from isacsim.solvers.base import Request, Solver, refuse_starts
from isacsim.solvers.solution import Solution, Status, gathered
from isacsim.solvers.sqinr.group import Group, certificate
from isacsim.solvers.sqinr.repair import repaired
from isacsim.typing import BoolArray, ComplexArray, IntArray

LOST = "the last point met no scaling to the SQINRs; these are the beams of least power"
FAR = 1e-2  # gap to its bound from which on a point that no method converged to is no answer
BARELY = 1e-6  # relative excess of the power over the least that is worth a note


class SqinrSolver(Solver):
    """A solver of groups; this class groups, screens and puts together."""

    rule: ClassVar[str] = "SQINR"  #: What its problem calls an SQINR
    starts: ClassVar[bool] = True  #: Whether it can be told where to start; one that cannot finds the global optimum

    @abstractmethod
    def groups(self, problem: Any) -> list[Group]:
        """The members of a flat batch by shape, in normalised units, with what their SQINRs need."""

    @abstractmethod
    def optimise(self, group: Group, request: Request) -> Solution:
        """The solution in normalised units of members that have an answer."""

    @abstractmethod
    def finished(self, problem: Any, group: Group, solution: Solution) -> Solution:
        """A solution in normalised units with precoders (B, N_t, K+S) in sqrt(W), and values in the problem's units."""

    def closed_form(self, group: Group) -> tuple[Group, Solution] | None:
        """Of members that have an answer those that need no search, with it in normalised units; none by default."""
        return None

    def chunk(self, system: Any) -> int:
        """Members that are solved together."""
        return int(system.H.shape[0])

    def solve(self, problem: Any, request: Request) -> Solution:
        """The solution of a flat batch, by the shape of its members' constraints."""
        if not self.starts:
            refuse_starts(request)
        begin = time.perf_counter()
        parts = [part for group in self.groups(problem) for part in self._parts(problem, group, request, begin)]
        return gathered(parts, time.perf_counter() - begin)

    def _parts(self, problem: Any, group: Group, request: Request, begin: float) -> Iterator[tuple[Solution, IntArray]]:
        """Solutions of the members of one group, in W, with their places; traces tell the time since ``begin``."""
        hopeless = group.feasible.exceeds(group.system.limit)
        if hopeless.any():
            here = take(group, hopeless)
            yield infeasible(problem, here, self.rule), here.places
            if here.places.size == hopeless.size:
                return
        group = take(group, ~hopeless)
        if (known := self.closed_form(group)) is not None:
            here, solution = known
            yield self.finished(problem, here, _later(solution, begin)), here.places
            if here.places.size == group.places.size:
                return
            group = take(group, ~np.isin(group.places, here.places))
        members, size = group.places.size, self.chunk(group.system)
        for first in range(0, members, size):
            here = group if size >= members else take(group, np.arange(first, min(first + size, members)))
            waited = time.perf_counter() - begin
            solution = self.optimise(here, request)
            yield self.finished(problem, here, _later(solution, begin, waited)), here.places


def infeasible(problem: Any, group: Group, rule: str = "SQINR") -> Solution:
    """The solution of members whose SQINRs are out of reach; the bound is the least power, in W."""
    told = [certificate(take(group, np.array([i])), rule) for i in range(group.places.size)]
    nothing = np.full((len(told), problem.H.shape[-2], problem.streams), np.nan, complex)
    notes, bound = [note for _, note in told], np.array([watts for watts, _ in told])
    return Solution.resting(nothing, Status.INFEASIBLE, notes, bound=bound, least_power=bound)


def one_by_one(group: Group, request: Request, one: Callable[[Group, bool], Solution]) -> Solution:
    """The solution of members that are solved alone, by ``one``, which is told whether the time is over."""
    begin, parts = time.perf_counter(), []
    for i in range(group.places.size):
        at = np.array([i])
        parts.append((_later(one(take(group, at), request.late), begin), at))
    return gathered(parts, time.perf_counter() - begin)


def _later(solution: Solution, begin: float, waited: float | None = None) -> Solution:
    """A solution that nobody else has yet: its times from ``begin``, of what began after ``waited`` s or took none."""
    solution.trace["time"] += time.perf_counter() - begin if waited is None else waited
    return solution


def trusted(solution: Solution, fallback: str) -> Solution:
    """A solution without the points of stalled members that no bound on the least value shows to be near.

    Args:
        solution: What was found for a problem that is minimised.
        fallback: What such a point is, for the note.
    """
    far = solution.ended(Status.STALLED) & ~(solution.objective / solution.bound - 1 <= FAR)
    if not far.any():
        return solution
    arrays = {name: getattr(solution, name).copy() for name in ("objective", "status", "notes")}
    W = solution.precoder.copy()
    W[far], arrays["objective"][far] = np.nan, np.nan
    for i in np.flatnonzero(far):
        arrays["status"][i] = Status.FAILED
        arrays["notes"][i] = (f"no answer, and {fallback} far off: {'; '.join(solution.notes[i])}",)
    return replaced(solution, decision={**solution.decision, "precoder": W}, **arrays)


class SystemSolver(SqinrSolver):
    """A solver of groups whose system is a `isacsim.solvers.sqinr.system.System`.

    A user without a requirement has a column of zeros in the precoder: what it could get
    goes to the sensing streams. All power is used.
    """

    #: Whether the objective of its system, of less arithmetic, is the problem's own: only points that are moved are
    #: judged anew then, and by that
    own_units: ClassVar[bool] = False

    def finished(self, problem: Any, group: Group, solution: Solution) -> Solution:
        """A solution with precoders of full power (B, N_t, K+N_t) that meet all SQINRs, and the problem's objective."""
        answered = solution.answered
        objective, notes = solution.objective.copy(), solution.notes.copy()
        W = np.zeros((answered.size, group.system.antennas, problem.streams), complex)
        if not all_of(answered):
            W[~answered], objective[~answered] = np.nan, np.nan
        for columns, places in _by_columns(solution.precoder, answered, group.system.users + 1):
            here = group if places.size == answered.size else take(group, places)
            V, moved, lost = repaired(here.system, here.feasible, solution.precoder[places, :, :columns])
            compiled(send_each)(V, here.system.scale, here.columns, places, problem.users, W)
            if not self.own_units:
                objective[places] = take(problem, here.places).objective(W[places])
            elif moved.any():
                objective[places[moved]] = take(here, moved).system.objective.value(V[moved])
            for i in places[lost]:
                notes[i] = (*notes[i], LOST)
        for i in (answered & (group.feasible.power > 1 - BARELY)).nonzero()[0]:
            excess = 1 / group.feasible.power[i] - 1
            notes[i] = (*notes[i], f"the power exceeds the least that suffices by {excess:.1e} of it")
        decision = {**solution.decision, "precoder": W}
        return replaced(solution, decision=decision, objective=objective, notes=notes)


def send_each(
    V: ComplexArray, scale: ComplexArray, columns: IntArray, places: IntArray, users: int, W: ComplexArray
) -> None:
    """Write V (b, N, K+S) at the places of its members in W (B, N_t, K_all+S): beams at their columns, streams last."""
    K = columns.shape[1]
    for b in range(V.shape[0]):
        for i in range(V.shape[1]):
            for s in range(V.shape[2]):
                W[places[b], i, columns[b, s] if s < K else users + s - K] = V[b, i, s] * scale[b, i]


def _by_columns(V: ComplexArray, answered: BoolArray, few: int) -> Iterator[tuple[int, IntArray]]:
    """How many columns of V (B, N, L) are in use, ``few`` or all, and the places of members that use so many.

    Most precoders have one sensing stream at most, and room for N: what is zero is not gone through.
    """
    wide = np.asarray(V[:, :, few:].any(axis=(1, 2)))
    for columns, there in ((few, answered & ~wide), (V.shape[-1], answered & wide)):
        if (places := there.nonzero()[0]).size:
            yield columns, places
