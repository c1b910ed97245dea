"""The way of one point target, in K + 1 multipliers: solutions of what `point_kernel` finds, judged by their bounds."""

from __future__ import annotations

import numpy as np

from isacsim.compiled import compiled
from isacsim.solvers.solution import Solution, Status, objects
from isacsim.solvers.sqinr.group import Group
from isacsim.solvers.sqnr_max.point_kernel import point_each, room, search
from isacsim.typing import BoolArray


def point_optima(group: Group, tolerance: float) -> tuple[Solution, BoolArray]:
    """Solutions of members with one point target, and for which of them they are within the tolerance, (B,).

    The others are to be solved by another method: some of their users have slack beside others
    that have none, or rounding is in the way. The optimum is global, with a bound, where
    `isacsim.solvers.sqinr.objective.Proof` says that first order proves one.

    Args:
        group: The members, with a least power of less than 1 but for rounding.
        tolerance: Relative error of the optimality conditions, and gap to the bound, that is allowed.
    """
    system, target = group.system, group.system.objective.target
    (members, N, K), proof = system.H.shape, system.objective.proof()
    V, multipliers = np.zeros((members, N, K + N), complex), np.zeros((members, K + 1))
    value, excess, found = np.zeros(members), np.zeros(members), np.zeros(members, bool)
    results = (V, multipliers, value, excess, found)
    compiled(point_each)(system.constraints, target, group.feasible.multipliers, room(N, K), search(K), *results)
    used = np.ascontiguousarray(V[:, :, : K + 1])
    violation = np.maximum(-system.slack(used), 0.0).max(axis=-1)
    relative = excess / system.objective.size(value)
    gap = proof.steepness(used, value) * relative
    # A violation counts as in `isacsim.solvers.sqinr.kkt.Kkt.errors`.
    residual = np.maximum(np.where(proof.known, gap, relative), 1e4 * violation)
    values = {"objective": value, "gap": gap, "residual": np.maximum(residual, 0.0), "bound": (1 + gap) * value}
    status = [Status.GLOBAL if closed else Status.STATIONARY for closed in gap <= tolerance]
    solution = Solution.resting(V, objects(status), [""] * members, **values)
    return solution, np.asarray(found & (residual <= tolerance))
