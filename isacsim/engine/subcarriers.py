"""Designs for OFDM: a narrowband problem for each subcarrier, and one solution for all of them.

The power is split over the active subcarriers evenly (`isacsim.drop.WidebandDrop.subcarriers`), so that the problems of
a trial are members of one batch, or by one price for all (`isacsim.solvers.joint_power`). A problem that is
``wideband`` takes all subcarriers in one.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np

from isacsim.drop import Drop, WidebandDrop
from isacsim.engine.scenario import Design
from isacsim.errors import InvalidInput
from isacsim.hardware.base import Transceiver
from isacsim.problems.base import Problem, Requirements
from isacsim.solvers.joint_power import Answer, Split
from isacsim.solvers.solution import Solution, Status, objects
from isacsim.solvers.solve import solve
from isacsim.typing import AnyArray, FloatArray


def posed_on(drop: Drop, requirements: Requirements) -> Drop:
    """The realisations that a problem is posed on: the subcarriers of a wideband drop, unless it takes them in one."""
    return drop.subcarriers() if isinstance(drop, WidebandDrop) and not requirements.wideband else drop


def check_split(design: Design, drop: Drop, problem: Problem) -> None:
    """Refuse a joint split where there is none to be found.

    Raises:
        InvalidInput: On ``split``.
    """
    if design.split == "even":
        return
    if not isinstance(drop, WidebandDrop) or design.problem.wideband:
        rule = "must be 'even' where there is no problem for each subcarrier"
        raise InvalidInput("split", rule, design.split, "Add base_station.grid, or leave it out.")
    if not problem.convex_in_power:
        rule = f"must be 'even' where the optimum is not convex in the power, as of {problem.kind} here"
        if not problem.transceiver.is_ideal:
            rule = "must be 'even' behind hardware: the power of all subcarriers makes the distortion on each"
        remedy = "Believe in ideal hardware with crb-min or sqnr-max, or use band-sum-rate-crlb."
        raise InvalidInput("split", rule, design.split, remedy)


def solved(design: Design, drop: Drop, believed: Transceiver, rngs: Sequence[np.random.Generator]) -> Solution:
    """The solution of a design for the trials of a drop; of OFDM precoders (B, F, N_t, K+S)."""
    problem = design.problem.pose(posed_on(drop, design.problem), believed)
    if not isinstance(drop, WidebandDrop) or design.problem.wideband:
        return solve(problem, design.solver, rng=list(rngs))
    if design.split == "joint":
        return _jointly(problem, design, drop)
    each = [own for rng in rngs for own in rng.spawn(drop.grid.used)]
    return _joined(solve(problem, design.solver, rng=each), drop.grid.used)


def _jointly(problem: Any, design: Design, drop: WidebandDrop) -> Solution:
    """The solution at the best split of the power: its gap is that of the split."""
    F, begin = drop.grid.used, time.perf_counter()
    sense, total = problem.sense, np.asarray(drop.power) * drop.grid.subcarriers
    total = np.broadcast_to(total, (problem.members // F,)).astype(float)

    def ask(power: FloatArray) -> Answer:
        found = solve(attrs.evolve(problem, power=power.ravel()), design.solver)
        answered = np.array([status.answered for status in found.status])
        c = np.where(answered, -sense * found.objective, np.inf)
        bound = np.where(answered & np.isfinite(found.bound), -sense * found.bound, c)
        return Answer(*(x.reshape(power.shape) for x in (c, np.minimum(bound, c), found.least_power)))

    split = Split.of(ask, total, F)
    joined = _joined(solve(attrs.evolve(problem, power=split.power.ravel()), design.solver), F)
    told = joined.notes.copy()
    for i, status in enumerate(joined.status):
        if status.answered:
            told[i] = (*told[i], f"power split over subcarriers within {split.gap[i]:.1e} of the optimum, relative")
    answered = np.isfinite(joined.objective)
    gap = np.where(answered, np.maximum(split.gap, joined.gap), joined.gap)
    bound = np.where(answered, -sense * split.bound / F, joined.bound)
    return attrs.evolve(joined, gap=gap, bound=bound, notes=told, runtime=time.perf_counter() - begin)


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
