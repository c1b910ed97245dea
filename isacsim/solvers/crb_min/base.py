"""What the solvers of `CrbMin` share: from a problem to reduced ones, and back to precoders."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Iterator
from typing import ClassVar

import attrs
import numpy as np

from isacsim.batch import take
from isacsim.problems.crb_min import CrbMin
from isacsim.solvers.base import Request, Solver, refuse_starts
from isacsim.solvers.crb_min.recovery import Beams, cheapest
from isacsim.solvers.crb_min.reduction import Reduced, precoders, reductions
from isacsim.solvers.crb_min.white import white_beams
from isacsim.solvers.linear import inverse, trace
from isacsim.solvers.solution import Solution, Status, gathered, objects
from isacsim.solvers.sqinr.least_power import LeastPower, least_power
from isacsim.threads import one_blas_thread
from isacsim.typing import BoolArray, IntArray


class CrbMinSolver(Solver):
    """A solver of reduced problems; this class reduces, screens and puts together."""

    problems: ClassVar[tuple[str, ...]] = ("crb-min",)

    @abstractmethod
    def minimise(
        self, reduced: Reduced, start: Beams, least: LeastPower, request: Request, labels: IntArray
    ) -> Solution:
        """The solution in reduced units of B problems that have an answer.

        Args:
            reduced: The problems.
            start: Beams that meet all constraints, those of least power.
            least: The least power.
            request: What the caller asks.
            labels: The members' places in the whole batch.

        Returns:
            A solution whose precoder holds coordinates (B, r, K+r).
        """

    def closed_form(self, reduced: Reduced) -> tuple[Beams, BoolArray]:
        """Beams of members whose optimum is white, and which members those are; none by default."""
        return white_beams(reduced, steps=0)

    def chunk(self, reduced: Reduced) -> int:
        """Members that are solved together."""
        return len(reduced.unit)

    def solve(self, problem: CrbMin, request: Request) -> Solution:
        """The solution of a flat batch, by rank of the channels."""
        refuse_starts(request)
        import scipy.linalg  # noqa: F401  # its BLAS must be there to be limited

        begin = time.perf_counter()
        with one_blas_thread():
            parts = [part for at, reduced in reductions(problem) for part in self._parts(reduced, at, request, begin)]
        return gathered(parts, time.perf_counter() - begin)

    def _parts(
        self, reduced: Reduced, places: IntArray, request: Request, begin: float
    ) -> Iterator[tuple[Solution, IntArray]]:
        """Solutions of the members of one rank, in W, with their places; traces tell the time since ``begin``."""
        left = np.arange(places.size)
        beams, plain = self.closed_form(reduced) if reduced.users else white_beams(reduced)
        if plain.any():
            waited = time.perf_counter() - begin
            yield _finished(take(reduced, plain), _white(take(beams, plain)), waited), places[plain]
        left = left[~plain]
        if not left.size:
            return
        least = least_power(take(reduced, left))
        hopeless = least.exceeds(reduced.antennas)
        if hopeless.any():
            at = left[hopeless]
            yield _infeasible(take(reduced, at), take(least, hopeless)), places[at]
        size = self.chunk(reduced)
        kept = np.flatnonzero(~hopeless)
        for part in (kept[i : i + size] for i in range(0, kept.size, size)):
            here, cost = take(reduced, left[part]), take(least, part)
            waited = time.perf_counter() - begin
            solution = self.minimise(here, cheapest(here, cost), cost, request, places[left[part]])
            yield _finished(here, solution, waited), places[left[part]]


def _white(beams: Beams) -> Solution:
    """The solution, in reduced units, of members whose white covariance meets every SINR."""
    members = beams.objective.size
    nothing, zero = np.full(members, np.nan), np.zeros((members, 1))
    note = ("the white covariance (P/N_t) I meets every SINR",)
    return Solution(
        precoder=beams.precoder,
        objective=beams.objective,
        gap=zero[:, 0],
        residual=nothing,
        iterations=np.zeros(members, int),
        status=objects([Status.OPTIMAL] * members),
        bound=beams.objective,
        notes=objects([note] * members),
        runtime=0.0,
        trace={"objective": beams.objective[:, None], "violation": zero, "time": zero},
    )


def _infeasible(reduced: Reduced, least: LeastPower) -> Solution:
    """The solution of members whose power does not suffice; the bound is one on the power, in W."""
    members = least.power.size
    nothing = np.full(members, np.nan)
    needed = least.power * reduced.unit
    notes = [
        (f"infeasible: the SINRs need at least {least_power:.9g} W, and the power is {power:.9g} W",)
        for least_power, power in zip(needed, reduced.antennas * reduced.unit, strict=True)
    ]
    return Solution(
        precoder=np.full((members, reduced.antennas, reduced.users + reduced.antennas), np.nan, complex),
        objective=nothing,
        gap=nothing,
        residual=nothing,
        iterations=np.zeros(members, int),
        status=objects([Status.INFEASIBLE] * members),
        bound=needed,
        notes=objects(notes),
        runtime=0.0,
        trace={"objective": nothing[:, None], "time": np.zeros((members, 1))},
    )


def certified(reduced: Reduced, solution: Solution, tolerance: float) -> Solution:
    """A solution in reduced units with the exact objective of its beams, optimal where its bound proves that."""
    W = solution.precoder
    answered = np.isfinite(W).all(axis=(-2, -1))
    S = np.where(answered[:, None, None], W @ np.conj(W).swapaxes(-1, -2), np.eye(reduced.rank))
    objective = trace(inverse(S))
    if reduced.spare:
        objective = objective + reduced.spare**2 / (reduced.antennas - trace(S))
    objective = np.where(answered, objective, np.nan)
    bound = np.fmax(solution.bound, reduced.antennas)  # that of the white covariance, for all
    proven = objective / bound - 1 <= tolerance
    status = [Status.OPTIMAL if p and s.answered else s for p, s in zip(proven, solution.status, strict=True)]
    return attrs.evolve(solution, objective=objective, bound=bound, status=objects(status))


def _finished(reduced: Reduced, solution: Solution, waited: float) -> Solution:
    """A solution of reduced problems in W, with gaps to its own bound, and times from ``waited`` s earlier on."""
    unit = reduced.unit
    trace = {**solution.trace, "time": solution.trace["time"] + waited}
    if np.isnan(solution.residual).all():
        trace.pop("residual", None)
    # An iterate that violates constraints can be better than the optimum: how far it is off counts.
    trace["gap"] = np.abs(trace["objective"] / solution.bound[:, None] - 1)
    for name in ("objective", "bound"):
        if name in trace:
            trace[name] = trace[name] / unit[:, None]
    return attrs.evolve(
        solution,
        precoder=precoders(reduced, solution.precoder),
        objective=solution.objective / unit,
        gap=solution.objective / solution.bound - 1,
        bound=solution.bound / unit,
        trace=trace,
    )
