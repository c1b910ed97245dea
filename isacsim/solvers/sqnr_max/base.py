"""What the solvers of `SqnrMax` share: from a problem to systems that have an answer, and back to precoders."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Iterator
from typing import ClassVar

import attrs
import numpy as np

from isacsim.batch import frobenius2, take
from isacsim.problems.sqnr_max import SqnrMax
from isacsim.solvers.base import Request, Solver
from isacsim.solvers.solution import Solution, Status, gathered, objects
from isacsim.solvers.sqinr.feasibility import Feasibility, certificate, feasibility, least_power_beams
from isacsim.solvers.sqinr.repair import repaired
from isacsim.solvers.sqinr.system import System, systems
from isacsim.solvers.sqnr_max.objectives import Sqnr
from isacsim.typing import BoolArray, ComplexArray, FloatArray, IntArray

ROUNDING = 1e-12  # relative excess of the least power over the power that is no proof
BARELY = 1e-6  # relative excess of the power over the least that is worth a note


class SqnrMaxSolver(Solver):
    """A solver of systems; this class normalises, screens and puts together.

    A user without a requirement has a column of zeros in the precoder: what it could get
    goes to the sensing streams. All power is used.
    """

    problems: ClassVar[tuple[str, ...]] = ("sqnr-max",)
    hardware_aware: ClassVar[bool] = True

    @abstractmethod
    def maximise(
        self, system: System, found: Feasibility, request: Request, who: IntArray, places: IntArray
    ) -> Solution:
        """The solution in normalised units of B members that have an answer.

        `isacsim.solvers.sqnr_max.starts.start` gives the points to start from, with the same
        arguments, and `isacsim.solvers.sqinr.certificate.certify` judges a point with
        multipliers.

        Args:
            system: The members: K asked users, which may be none, and a response that is not zero.
            found: Their least power, less than 1 but for rounding.
            request: What the caller asks.
            who: The asked users, (B, K).
            places: The members' places in the whole batch; callbacks are told these.

        Returns:
            A solution whose precoder holds V (B, N, K + S) with at most N sensing streams, in
            normalised units; its objective, gap and bound have no unit.
        """

    def chunk(self, system: System) -> int:
        """Members that are solved together."""
        return len(system.power)

    def solve(self, problem: SqnrMax, request: Request) -> Solution:
        """The solution of a flat batch, by number of asked users.

        Raises:
            InvalidInput: For hardware that is none of `isacsim.solvers.sqinr.converters`.
        """
        begin = time.perf_counter()
        parts = [part for group in systems(problem) for part in self._parts(problem, *group, request, begin)]
        return _judged(problem, gathered(parts, 0.0), begin)

    def _parts(
        self, problem: SqnrMax, places: IntArray, who: IntArray, system: System, request: Request, begin: float
    ) -> Iterator[tuple[Solution, IntArray]]:
        """Solutions of the members of one system, in W, with their places."""
        found = feasibility(system)
        hopeless = found.power > 1 + ROUNDING
        dull = ~hopeless & (frobenius2(_sqnr(system).G) == 0)
        for at, screened in ((hopeless, _infeasible), (dull, _dull)):
            if at.any():
                here = take(system, at), take(found, at), who[at]
                yield _placed(problem, screened(*here), *here), places[at]
        kept, size = ~hopeless & ~dull, self.chunk(system)
        order = np.cumsum(kept) - 1  # of those kept
        for part in (kept & (order // size == i) for i in range(-(-np.count_nonzero(kept) // size))):
            here = take(system, part), take(found, part), who[part]
            solution = self.maximise(*here[:2], _later(request, begin), who[part], places[part])
            yield _placed(problem, solution, *here), places[part]


def _later(request: Request, begin: float) -> Request:
    """The request with the time that is left of it."""
    if request.time_limit is None:
        return request
    left = request.time_limit - (time.perf_counter() - begin)
    return attrs.evolve(request, time_limit=max(left, np.finfo(float).tiny))


def _sqnr(system: System) -> Sqnr:
    assert isinstance(system.objective, Sqnr)
    return system.objective


def _placed(problem: SqnrMax, solution: Solution, system: System, found: Feasibility, who: IntArray) -> Solution:
    """A solution with precoders of full power (B, N, K_all + N) that meet all SQINRs, in sqrt(W)."""
    K, notes = system.users, solution.notes.copy()
    W = np.zeros((len(who), system.antennas, problem.streams), complex)
    there = np.flatnonzero([status.answered for status in solution.status])
    W[np.setdiff1d(np.arange(len(who)), there)] = np.nan
    if there.size:
        V, lost = repaired(take(system, there), take(found, there), solution.precoder[there])
        V = V * system.scale[there, :, None]
        for k in range(K):
            W[there, :, who[there, k]] = V[..., k]
        W[there, :, problem.users : problem.users + V.shape[-1] - K] = V[..., K:]
        for i in there[lost]:
            notes[i] = (*notes[i], "the last point met no scaling to the SQINRs; these are the beams of least power")
    for i in there[found.power[there] > 1 - BARELY]:
        notes[i] = (*notes[i], f"the power exceeds the least that suffices by {1 / found.power[i] - 1:.1e} of it")
    return attrs.evolve(solution, precoder=W, notes=notes)


def _judged(problem: SqnrMax, solution: Solution, begin: float) -> Solution:
    """The solution with the problem's own objective of its precoders."""
    answered: BoolArray = np.array([status.answered for status in solution.status], bool)
    objective = np.full(answered.shape, np.nan)
    if answered.any():
        objective[answered] = take(problem, answered).objective(solution.precoder[answered])
    return attrs.evolve(solution, objective=objective, runtime=time.perf_counter() - begin)


def _infeasible(system: System, found: Feasibility, who: IntArray) -> Solution:
    """The solution of members whose SQINRs are out of reach; the bound is P_min, in W."""
    told = [certificate(system, found, i, who[i]) for i in range(len(who))]
    none = np.full((len(who), system.antennas, system.users), np.nan, complex)
    return _screened(none, Status.INFEASIBLE, np.nan, np.array([watts for watts, _ in told]), [(n,) for _, n in told])


def _dull(system: System, found: Feasibility, who: IntArray) -> Solution:
    """The solution of members without an echo: the beams of least power, or white sensing streams."""
    white = np.tile(np.eye(system.antennas, dtype=complex), (len(who), 1, 1))
    V = least_power_beams(system, found.multipliers) if system.users else white
    note = ("the target response is zero: every precoder that meets the SQINRs is optimal",)
    return _screened(V, Status.GLOBAL, 0.0, np.zeros(len(who)), [note] * len(who))


def _screened(V: ComplexArray, status: Status, gap: float, bound: FloatArray, notes: list[tuple[str, ...]]) -> Solution:
    """The solution of members that need no iterations."""
    same = np.full(len(V), gap)
    return Solution(
        precoder=V,
        objective=same,
        gap=same,
        residual=same,
        iterations=np.zeros(len(V), int),
        status=objects([status] * len(V)),
        bound=bound,
        notes=objects(notes),
        runtime=0.0,
        trace={"objective": same[:, None], "time": np.zeros((len(V), 1))},
    )
