"""What the solvers of `CrbMin` share: from a problem to reduced ones, and back to precoders."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import ClassVar

import numpy as np

from isacsim.batch import replaced, take
from isacsim.linalg.stacked import inverse, trace
from isacsim.problems.crb_min import CrbMin
from isacsim.solvers.crb_min.recovery import Beams
from isacsim.solvers.crb_min.reduction import Reduced, precoders, reductions
from isacsim.solvers.crb_min.white import white, white_beams
from isacsim.solvers.solution import Solution, Status
from isacsim.solvers.sqinr.group import Group
from isacsim.solvers.sqinr.pipeline import SqinrSolver
from isacsim.typing import BoolArray, ComplexArray


class CrbMinSolver(SqinrSolver):
    """A solver of reduced problems; its solutions hold `Beams.coordinates` (B, r, K+r), in reduced units.

    `isacsim.solvers.crb_min.recovery.cheapest` gives beams that meet all constraints to start from.
    """

    problems: ClassVar[tuple[str, ...]] = ("crb-min",)
    guarantee: ClassVar[str] = "global, within a proven gap"
    rule: ClassVar[str] = "SINR"
    starts: ClassVar[bool] = False
    #: Users' beams of members whose optimum is white, and which members those are; this default looks for none
    white: ClassVar[Callable[[Reduced], tuple[ComplexArray, BoolArray]]] = partial(white, steps=0)

    def groups(self, problem: CrbMin) -> list[Group]:
        """The reduced problems by rank of the channels."""
        return reductions(problem)

    def closed_form(self, group: Group) -> tuple[Group, Solution] | None:
        """The members whose white covariance meets every SINR."""
        if not (may := group.system.open).any():
            return None
        group = take(group, may)
        V, plain = (type(self).white if group.system.users else white)(group.system)
        if not plain.any():
            return None
        group = take(group, plain)
        beams = white_beams(group.system, V[plain])
        notes = ["the white covariance (P/N_t) I meets every SINR"] * group.places.size
        best, optimal = beams.objective, Status.OPTIMAL
        rest = Solution.resting(beams.coordinates, optimal, notes, objective=best, bound=best, gap=0.0, violation=0.0)
        return group, rest

    def finished(self, problem: CrbMin, group: Group, solution: Solution) -> Solution:
        """A solution of reduced problems in W, with gaps to its own bound."""
        unit = group.system.unit
        trace = dict(solution.trace)
        # An iterate that violates constraints can be better than the optimum: how far it is off counts.
        trace["gap"] = np.abs(trace["objective"] / solution.bound[:, None] - 1)
        for name in ("objective", "bound"):
            if name in trace:
                trace[name] = trace[name] / unit[:, None]
        return replaced(
            solution,
            decision={"precoder": precoders(group.system, solution.precoder)},
            objective=solution.objective / unit,
            gap=solution.objective / solution.bound - 1,
            bound=solution.bound / unit,
            trace=trace,
        )


def certified(reduced: Reduced, solution: Solution, tolerance: float) -> Solution:
    """A solution in reduced units with the exact objective of its beams, optimal where its bound proves that."""
    S = Beams.of(solution.precoder, solution.objective).covariance
    answered: BoolArray = np.asarray(np.isfinite(S).all(axis=(-2, -1)))
    S = np.where(answered[:, None, None], S, np.eye(reduced.rank))
    objective = trace(inverse(S))
    if reduced.spare:
        objective = objective + reduced.spare**2 / (reduced.antennas - trace(S))
    objective = np.where(answered, objective, np.nan)
    bound = np.fmax(solution.bound, reduced.antennas)  # that of the white covariance, for all
    proven = (objective / bound - 1 <= tolerance) & solution.answered
    return replaced(solution, objective=objective, bound=bound).marked(proven, Status.OPTIMAL)
