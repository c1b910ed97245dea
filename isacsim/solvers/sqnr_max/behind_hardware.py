"""`SqnrMax` behind any hardware with a derivative: certificates, starts, ascents, and SQINRs met to the last digits.

Whether SQINRs can be met is no convex question behind exact models. What can be proven is that they cannot: the chains
put out an effective precoder and distortion that is positive semidefinite, together of the power that
there is, so that the SQINRs are at most those of that precoder over ideal chains. Members whose least power
there is above the power are infeasible behind any chains.
"""

from __future__ import annotations

import time
from functools import reduce
from typing import ClassVar

import attrs
import numpy as np
from attrs import field, frozen

from isacsim.batch import frobenius2, take
from isacsim.checks import number, whole
from isacsim.hardware.base import Ideal, Transceiver
from isacsim.hardware.converters import not_converters
from isacsim.optimisation.augmented import Ascent, tightened
from isacsim.problems.sqnr_max import SqnrMax
from isacsim.solvers.base import Request, Solver, not_differentiable, other_kind
from isacsim.solvers.iterate import Stop, iterate, of_point
from isacsim.solvers.solution import Solution, Status, gathered, placed
from isacsim.solvers.sqinr.group import Group
from isacsim.solvers.sqinr.pipeline import infeasible
from isacsim.solvers.sqnr_max.augmented import AugmentedMerit, lacking
from isacsim.solvers.sqnr_max.base import EMPTY
from isacsim.solvers.sqnr_max.believed import believed
from isacsim.solvers.sqnr_max.objectives import sqnr_groups
from isacsim.solvers.sqnr_max.starts import start
from isacsim.solvers.starts import check_name
from isacsim.typing import AnyArray, ComplexArray, FloatArray, IntArray

STARTS = ("believed", "least-power")
SENSING = 2  # streams of a start
PART = 1e-3  # of the power, for a sensing stream that is new
NOTHING = 1e-9  # of the power: a sensing stream that is none
ROUNDS = 4  # of new streams
MISSED = -1e-10  # relative slack from which an SQINR is missed
WANTING = 10.0  # tolerances that a new stream must gain to be taken
ALIKE = 1e-9  # relative difference of objectives that is none: the square of a residual is below it
FAR = (
    "no precoder was found that meets the SQINRs, the nearest misses one by {:.3g}, relative; that none does is not "
    "proven"
)
LACKS = "one more sensing stream would gain"


class Climb(Ascent):
    """The ascent as `iterate` sees it."""

    traced: ClassVar[tuple[str, ...]] = ("violation",)

    precoder = of_point("W", "Coordinates Z, (B, N_t, K+S).")
    objective = of_point("sqnr", "The radar SQNR, (B,).")

    @property
    def decision(self) -> dict[str, AnyArray]:
        """The coordinates, and the multipliers that go with them."""
        return {"precoder": self.point.W, "multipliers": self.point.push}


@frozen
class AugmentedLagrangian(Solver):
    """Augmented Lagrangian method with the iteration of `riemannian-lbfgs`, through the exact models of hardware.

    Stationary through the hardware's own linear model, sensing streams included that were not there at the
    start, and no worse than where it starts from: the design of ``newton-mm`` for the additive noise model of the
    same hardware, moved until it meets the SQINRs. These are met to 1e-10. That no precoder meets them is proven
    where the least power of ideal chains is above the power; where none is found and nothing is proven, a
    member has failed.

    Args:
        tolerance: Residual of the first-order conditions, relative to SQNR and SQINRs, at which a member has converged.
        max_steps: Largest number of iterations from each start and with each new stream.
    """

    problems: ClassVar[tuple[str, ...]] = ("sqnr-max",)
    guarantee: ClassVar[str] = "stationary, behind exact models of hardware"

    tolerance: float = field(default=1e-5, validator=number(above=0))
    max_steps: int = field(default=1000, validator=whole(1))

    def takes(self, problem: SqnrMax) -> str | None:
        """Nothing, or a sentence why not: hardware without a derivative."""
        return other_kind(self, problem) or not_differentiable(problem)

    def solve(self, problem: SqnrMax, request: Request) -> Solution:
        """Certificates for members that have no answer, and the ascents of the others."""
        begin, parts = time.perf_counter(), []
        for group in sqnr_groups(over_ideal_chains(problem)):
            hopeless = group.feasible.exceeds(group.system.limit)
            if hopeless.any():
                here = take(group, hopeless)
                parts.append((infeasible(problem, here), here.places))
            if not hopeless.all():
                here = take(group, ~hopeless)
                parts.append((self._best(take(problem, here.places), here, request), here.places))
        return gathered(parts, time.perf_counter() - begin)

    def _best(self, problem: SqnrMax, group: Group, request: Request) -> Solution:
        """The best of what the starts lead to, of the members of a group."""
        merit = AugmentedMerit.of(problem)
        found = (self._from(merit, Z, request, group.places) for Z in starts(merit, group, request))
        best = reduce(lambda best, other: better(other, best), found)
        dull = np.broadcast_to(frobenius2(problem.G) == 0, group.places.shape)
        return attrs.evolve(best, decision={"precoder": merit.precoder(best.precoder)}).marked(dull, note=EMPTY)

    def _from(self, merit: AugmentedMerit, Z: ComplexArray, request: Request, places: IntArray) -> Solution:
        """What starts (B, N_t, K + N_t) lead to, or they themselves where that is no better; by streams in use."""
        users, parts = merit.problem.users, []
        Z, used = compressed(Z, users)
        for streams in np.unique(used):
            at = np.flatnonzero(used == streams)
            here, first = take(merit, at), np.ascontiguousarray(Z[at][..., :streams])
            found = self.climbed(here, first, request, places[at], ROUNDS)
            rest = Solution.resting(first, Status.STALLED, ["the start itself is better than what it led to"] * at.size)
            parts.append((better(finished(here, rest, np.zeros(here.multipliers.shape)), found), at))
        return gathered(parts, sum(part.runtime for part, _ in parts))

    def climbed(
        self, merit: AugmentedMerit, Z: ComplexArray, request: Request, labels: IntArray, rounds: int
    ) -> Solution:
        """Where ascents from Z (B, N_t, L) end, with one more stream where that gains; precoders (B, N_t, K + N_t)."""
        stop = Stop(self.tolerance, self.max_steps, request.time_limit, request.callback)
        state = Climb.first(merit, Z, self.tolerance)
        solution = iterate(state, Climb.step, stop, labels=labels)
        Z, push, alive = solution.precoder, solution.decision["multipliers"], solution.answered
        here = attrs.evolve(merit, multipliers=np.where(alive[:, None], push, 0.0))
        gain, stream = lacking(here, np.where(alive[:, None, None], Z, 1.0))
        missing = alive & (gain > WANTING * self.tolerance) & (Z.shape[-1] < merit.problem.streams)
        solution = finished(merit, solution, push)
        if not missing.any():
            return solution
        if request.late or not rounds:
            return solution.marked(missing & solution.converged, Status.STALLED, LACKS)
        fresh = np.sqrt(PART * frobenius2(Z))[:, None] * stream
        wider = np.concatenate([np.sqrt(1 - PART) * Z, fresh[..., None]], axis=-1)[missing]
        other = self.climbed(take(here, missing), wider, request, labels[missing], rounds - 1)
        before = solution.take(missing)
        other = better(before, attrs.evolve(other, iterations=other.iterations + before.iterations))
        return placed(other, missing, solution)


def over_ideal_chains(problem: SqnrMax) -> SqnrMax:
    """The problem of the effective precoder without distortion, whose SQINRs no precoder of ``problem`` exceeds.

    Where the chains pass on a fixed share of the power, the part of it that is signal is kept.
    """
    merit, user = AugmentedMerit.of(problem), problem.transceiver.user
    fits = not_converters(Transceiver(user=user), {"user": problem.users}) is None
    transceiver = Transceiver(user=user if fits else Ideal())
    if merit.surface.capped:
        return attrs.evolve(problem, transceiver=transceiver)
    return attrs.evolve(problem, H=merit.channels, G=problem.G @ merit.gain, transceiver=transceiver)


def starts(merit: AugmentedMerit, group: Group, request: Request) -> list[ComplexArray]:
    """Coordinates to start from, each (B, N_t, K + N_t): the request's own, or what the name of a start stands for.

    ``least-power`` has the beams of least power over ideal chains and the strongest sensing streams, ``believed``
    is the design for the additive noise model of the hardware; without a name both are tried.

    Raises:
        InvalidInput: For an unknown name.
    """
    if request.initial is not None:
        return [merit.project(merit.surface.coordinates(request.initial[group.places]))]
    names = STARTS if request.start is None else (request.start,)
    for name in names:
        check_name(name, STARTS)
    system, users = group.system, merit.problem.users
    V = start(group, Request(), min(SENSING, system.antennas)) * system.scale[:, :, None]
    beams = np.zeros((len(V), system.antennas, merit.problem.streams), complex)
    np.put_along_axis(beams, group.columns[:, None, :], V[..., : system.users], axis=-1)
    beams[..., users : users + V.shape[-1] - system.users] = V[..., system.users :]
    beams = merit.driven(beams)
    return [beams if name == "least-power" else merit.driven(believed(merit, beams)) for name in names]


def compressed(W: ComplexArray, users: int) -> tuple[ComplexArray, IntArray]:
    """W (B, ..., N_t, L) with as few sensing streams as have their covariance, and the columns in use, (B,)."""
    U, sizes, _ = np.linalg.svd(W[..., users:], full_matrices=False)
    power = frobenius2(W.reshape(len(W), -1, W.shape[-1]))
    strong = sizes**2 > NOTHING * power.reshape(-1, *(1,) * (sizes.ndim - 1))
    sensing = U * np.where(strong, sizes, 0.0)[..., None, :]
    used = strong.sum(axis=-1).reshape(len(W), -1).max(axis=-1)
    return np.concatenate([W[..., :users], sensing], axis=-1), np.maximum(users + used, 1)


def finished(merit: AugmentedMerit, solution: Solution, push: FloatArray) -> Solution:
    """A solution in coordinates whose SQINRs are met with equality where there is a multiplier ``push`` (B, K).

    Precoders get all streams of the problem. A member whose SQINRs cannot be met from where it is has failed.
    """
    alive = solution.answered
    Z = np.where(alive[:, None, None], solution.precoder, 1.0)
    Z, worst = tightened(merit, Z, np.where(alive[:, None], push, 0.0))
    missed = alive & ~(worst >= MISSED)
    objective = merit.judged(Z)
    notes = [FAR.format(-short) for short in worst[missed]]
    kept = alive & ~missed
    Z = np.pad(Z, ((0, 0), (0, 0), (0, merit.problem.streams - Z.shape[-1])))
    return attrs.evolve(
        solution,
        decision={"precoder": np.where(kept[:, None, None], Z, np.nan)},
        objective=np.where(kept, objective, np.nan),
    ).marked(missed, Status.FAILED, notes)


def better(one: Solution, other: Solution) -> Solution:
    """Member by member ``other``, or ``one`` where it is better by more than what is left of an iteration."""
    ahead = np.isfinite(one.objective) & ~(one.objective <= other.objective * (1 + ALIKE))
    return placed(one.take(ahead), ahead, other) if ahead.any() else other
