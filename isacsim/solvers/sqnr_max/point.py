"""The way of one point target, in K + 1 multipliers: solutions of what `point_kernel` finds, judged by their bounds."""

from __future__ import annotations

import numpy as np

from isacsim.compiled import compiled
from isacsim.records import blank
from isacsim.solvers.solution import Solution, Status
from isacsim.solvers.sqinr.group import Group
from isacsim.solvers.sqnr_max.point_conditions import Sizes
from isacsim.solvers.sqnr_max.point_kernel import BOUND, GAP, RESIDUAL, VALUE, Work, point_each
from isacsim.typing import BoolArray


def point_optima(group: Group, tolerance: float) -> tuple[Solution, BoolArray]:
    """Solutions of members with one point target, and for which of them they are within the tolerance, (B,).

    They have K beams and one stream, of full power. The other members are to be solved by another method: some of
    their users have slack beside others that have none, or rounding is in the way. The optimum is global, with a
    bound, where first order proves one.

    Args:
        group: The members, with a least power of less than 1 but for rounding.
        tolerance: Relative error of the optimality conditions, and gap to the bound, that is allowed.
    """
    system, least = group.system, group.feasible.multipliers
    members, N, K = system.H.shape
    V, multipliers = np.empty((members, N, K + 1), complex), np.empty((members, K + 1))
    judged, found = np.empty((5, members)), np.empty(members, bool)
    results = (V, multipliers, judged, found)
    target, sizes = system.objective.target, Sizes(N, K)
    compiled(point_each)(system.constraints, target, least, tolerance, blank(Work, sizes), sizes, *results)
    status = [Status.GLOBAL if closed else Status.STATIONARY for closed in judged[GAP] <= tolerance]
    values = {"objective": judged[VALUE], "gap": judged[GAP], "residual": judged[RESIDUAL], "bound": judged[BOUND]}
    return Solution.resting(V, status, [""] * members, **values), found
