"""The default for `SqnrMax`: multipliers of a point target, and Newton's method on tight constraints for all others.

Each ends at a first-order optimum in the space of covariances, of which bounds prove what they can. Steps of the
published minorisation-maximisation [Xu25, Algorithm 1], which gave the solver its name, lead to where the second way
of Newton's method begins.
"""

from __future__ import annotations

from typing import Any, ClassVar

import attrs
import numpy as np
from attrs import field, frozen

from isacsim.batch import all_of, take
from isacsim.checks import number, whole
from isacsim.hardware.converters import NotConverters
from isacsim.problems.sqnr_max import SqnrMax
from isacsim.solvers.base import Request
from isacsim.solvers.solution import Solution, Status, gathered
from isacsim.solvers.sqinr.group import Group
from isacsim.solvers.sqinr.system import System
from isacsim.solvers.sqnr_max.base import SqnrMaxSolver
from isacsim.solvers.sqnr_max.point import point_optima
from isacsim.solvers.sqnr_max.tight_optima import tight_optima
from isacsim.typing import BoolArray, IntArray

SHARE = 0.5  # of these steps, which the augmented Lagrangian may take: each costs more


@frozen
class NewtonMm(SqnrMaxSolver):
    """Newton's method on tight constraints, batched, certified to first order.

    Some fifteen steps lead to a point that is stationary in the space of covariances, sensing streams
    included that were not there at the start (`isacsim.solvers.sqnr_max.tight_optima`). It is
    proven to be the global optimum where `isacsim.solvers.sqinr.certificate` has a proof. Where distortion makes up
    nearly all of the noise there is a second start, from the optimum under louder noise, and the better end counts.
    One point target takes no steps: its optimum is a search in the K + 1 multipliers
    (`isacsim.solvers.sqnr_max.point`). Where that is not the end, or a start is
    asked for by name or as a precoder, steps of the published minorisation-maximisation come first. Neither these nor
    those to the second start are counted.
    Behind hardware that is more than data converters as the AQNM has them ``augmented-lagrangian`` does the work,
    at its own tolerance where that is coarser. Derived in docs/derivations/newton-mm.

    Args:
        tolerance: Relative residual of the optimality conditions at which a member has
            converged, and gap to its bound at which it is globally optimal.
        max_steps: Largest number of steps; some hundred are taken where many points are nearly as good as the best.
            Of ``augmented-lagrangian`` half as many.
    """

    guarantee: ClassVar[str] = "stationary; global with a proof for ideal hardware and point targets"

    tolerance: float = field(default=1e-6, validator=number(above=0))
    max_steps: int = field(default=2000, validator=whole(1))

    def takes(self, problem: SqnrMax) -> str | None:
        """Nothing, or a sentence why not: hardware that is no converter and has no derivative."""
        return None if super().takes(problem) is None else behind_hardware(self).takes(problem)

    def solve(self, problem: SqnrMax, request: Request) -> Solution:
        """The solution of a flat batch, for the hardware designed for."""
        try:
            return super().solve(problem, request)
        except NotConverters:  # as their ratios of distortion are worked out, before anything else
            return behind_hardware(self).solve(problem, request)

    def chunk(self, system: System) -> int:
        """Members whose arrays take some 64 MB together."""
        return max(1, 2**17 // system.antennas**2)

    def optimise(self, group: Group, request: Request) -> Solution:
        """Optima of point targets in multipliers, of others on tight constraints; what these do not end, with care."""
        plain = request.initial is None and request.start is None
        ways = [self._tight, self._careful] if plain else [self._careful]
        if plain and group.system.objective.target.there.any():  # others need not wait until that way is compiled
            ways.insert(0, self._of_points)
        left = np.arange(group.places.size)
        parts: list[tuple[Solution, IntArray]] = []
        for way in ways:
            solution, found = way(group if left.size == group.places.size else take(group, left), request)
            if not parts and all_of(found):
                return solution
            if found.any():
                parts.append((solution.take(found), left[found]))
                left = left[~found]
            if not left.size:
                break
        streams = group.system.users + group.system.antennas  # a way may have found less than N of sensing
        return gathered([(_widened(one, streams), places) for one, places in parts], 0.0)

    def _of_points(self, group: Group, request: Request) -> tuple[Solution, BoolArray]:
        """The solution of members with one point target, and which these are."""
        return point_optima(group, self.tolerance)

    def _tight(self, group: Group, request: Request, careful: bool = False) -> tuple[Solution, BoolArray]:
        """The solution on tight constraints, globally optimal where gaps are closed, and which members have one."""
        solution, found = tight_optima(group, request, self.tolerance, self.max_steps, careful)
        gap = (solution.bound - solution.objective) / group.system.objective.size(solution.objective)
        closed = (gap <= self.tolerance) & solution.converged
        solution = attrs.evolve(solution, gap=gap).marked(closed, Status.GLOBAL)
        return solution, found & ~(gap > self.tolerance)

    def _careful(self, group: Group, request: Request) -> tuple[Solution, BoolArray]:
        """The solution on tight constraints the second way, of all members."""
        return self._tight(group, request, careful=True)[0], np.ones(group.places.size, bool)


def _widened(solution: Solution, columns: int) -> Solution:
    """A solution whose precoders have columns of zeros up to so many."""
    V = solution.precoder
    return attrs.evolve(solution, precoder=np.pad(V, ((0, 0), (0, 0), (0, columns - V.shape[-1]))))


def behind_hardware(solver: NewtonMm) -> Any:
    """What solves a problem whose hardware is no converter."""
    from isacsim.solvers.sqnr_max.behind_hardware import AugmentedLagrangian  # which starts from designs of this file

    tolerance = max(solver.tolerance, AugmentedLagrangian().tolerance)
    return AugmentedLagrangian(tolerance, max(int(SHARE * solver.max_steps), 1))
