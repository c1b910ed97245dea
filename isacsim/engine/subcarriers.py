"""Designs for OFDM: a narrowband problem for each subcarrier, and one solution for all of them.

The power is split evenly over the active subcarriers (`isacsim.drop.WidebandDrop.subcarriers`), so that
the problems of a trial are members of one batch. A problem that is ``wideband`` takes all subcarriers in one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from isacsim.drop import Drop, WidebandDrop
from isacsim.engine.scenario import Design
from isacsim.hardware.base import Transceiver
from isacsim.problems.base import Requirements
from isacsim.solvers.solution import Solution, Status, objects
from isacsim.solvers.solve import solve
from isacsim.typing import AnyArray


def posed_on(drop: Drop, requirements: Requirements) -> Drop:
    """The realisations that a problem is posed on: the subcarriers of a wideband drop, unless it takes them in one."""
    return drop.subcarriers() if isinstance(drop, WidebandDrop) and not requirements.wideband else drop


def solved(design: Design, drop: Drop, believed: Transceiver, rngs: Sequence[np.random.Generator]) -> Solution:
    """The solution of a design for the trials of a drop; of OFDM precoders (B, F, N_t, K+S)."""
    problem = design.problem.pose(posed_on(drop, design.problem), believed)
    if not isinstance(drop, WidebandDrop) or design.problem.wideband:
        return solve(problem, design.solver, rng=list(rngs))
    each = [own for rng in rngs for own in rng.spawn(drop.grid.used)]
    return _joined(solve(problem, design.solver, rng=each), drop.grid.used)


def _joined(solution: Solution, subcarriers: int) -> Solution:
    """One member of each ``subcarriers`` members: means of objective and bound, and the worst of the others.

    The band is as far solved as its worst subcarrier, and has no precoder where one has none.
    """

    def split(array: Any) -> AnyArray:
        array = np.asarray(array)
        return array.reshape(-1, subcarriers, *array.shape[1:])

    order = list(Status)
    status = [max(of, key=order.index) for of in split(solution.status)]
    notes = [tuple(dict.fromkeys(note for one in of for note in one)) for of in split(solution.notes)]
    return Solution(
        decision={name: split(array) for name, array in solution.decision.items()},
        objective=split(solution.objective).mean(axis=1),
        gap=split(solution.gap).max(axis=1),
        residual=split(solution.residual).max(axis=1),
        iterations=split(solution.iterations).max(axis=1),
        status=objects(status),
        bound=split(solution.bound).mean(axis=1),
        notes=objects(notes),
        runtime=solution.runtime,
        least_power=split(solution.least_power).max(axis=1),
    )
