"""The saddle primal-dual Newton method, the default for `CrbMin`.

Where it starts, when it stops, and what becomes of a member that stalls; a step is that of
`isacsim.solvers.crb_min.newton_step`. Every iterate yields beams that meet all constraints and
a proven lower bound; the best of both bracket the optimum.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import numpy as np
from attrs import field, frozen

from isacsim.batch import put, replaced, rows, take
from isacsim.checks import number, whole
from isacsim.compiled import compiled, few_passes
from isacsim.grid import Grid
from isacsim.problems.crb_min import CrbMin
from isacsim.records import blank, laid, member
from isacsim.solvers.base import Request
from isacsim.solvers.course import Course
from isacsim.solvers.crb_min.base import CrbMinSolver, certified
from isacsim.solvers.crb_min.dual_newton import DualNewton
from isacsim.solvers.crb_min.ipm import RIpm, judged
from isacsim.solvers.crb_min.newton_start import begin, near
from isacsim.solvers.crb_min.newton_step import newton_step
from isacsim.solvers.crb_min.newton_system import (
    BOUND,
    DECREMENT,
    FAILURES,
    IDLE,
    OBJECTIVE,
    RESIDUAL,
    STATE,
    STEP,
    VIOLATION,
    Iterate,
    Work,
)
from isacsim.solvers.crb_min.recovery import Beams, cheapest
from isacsim.solvers.crb_min.reduction import Member, Reduced, Sizes
from isacsim.solvers.crb_min.white import white
from isacsim.solvers.iterate import BROKEN, GOING, MET, STALLED, Stop
from isacsim.solvers.solution import Solution, Status, objects
from isacsim.solvers.sqinr.group import Group
from isacsim.typing import BoolArray, ComplexArray, FloatArray, IntArray

FIRST_ROWS = 32  # steps of the first call: nearly all members end within them
REFUSED = 3  # steps in a row that the search refuses, after which a member has stalled


@frozen(eq=False)
class Bracket:
    """What a callback sees of B members, in reduced units: coordinates (B, r, K+r) of the best beams, and a bound."""

    precoder: ComplexArray = rows(2)
    objective: FloatArray = rows()
    bound: FloatArray = rows()
    residual: FloatArray = rows()  #: The relative gap between them


@frozen
class PrimalDualNewton(CrbMinSolver):
    """Saddle primal-dual Newton method in the r^2 + 1 unknowns of the dual, certified.

    Four to ten steps to a proven gap of 1e-8, batched over realisations. A member whose gap does
    not close is handed to ``r-ipm``, and if that does not close it either, it is told as
    stalled, with its bracket. Where the white covariance meets every SINR it is the answer.
    Within some 1e-6 of the least power the rounding of the SINRs, of 1e-14, shows in the objective,
    and the gap may stay open at that. Behind converters ``dual-newton`` does the work, with the same
    tolerance, steps and patience. Derived in docs/derivations/primal-dual-newton.

    Args:
        tolerance: Relative duality gap at which a member is optimal.
        max_steps: Largest number of steps.
        patience: Steps without a fall of the gap by 30 % after which a member has stalled.
        fallback: Largest number of users for which a member that stalls is handed to ``r-ipm``,
            whose time rises with a high power of it; 0 is never.
    """

    tolerance: float = field(default=1e-8, validator=number(above=0))
    max_steps: int = field(default=80, validator=whole(1))
    patience: int = field(default=20, validator=whole(1))
    fallback: int = field(default=12, validator=whole(0))

    white: ClassVar[Callable[[Reduced], tuple[ComplexArray, BoolArray]]] = white

    @property
    def behind_converters(self) -> DualNewton:
        """What solves a problem whose hardware is not ideal."""
        return DualNewton(self.tolerance, self.max_steps, self.patience)

    takes = DualNewton.takes  # what it hands on

    def solve(self, problem: CrbMin, request: Request) -> Solution:
        """The solution of a flat batch, for the hardware designed for."""
        if problem.transceiver.is_ideal:
            return super().solve(problem, request)
        return self.behind_converters.solve(problem, request)

    def over_band(
        self, through: CrbMin, met: ComplexArray, grid: Grid, total: float, unlike: ComplexArray | None
    ) -> Solution | None:
        """What `DualNewton.over_band` finds."""
        return self.behind_converters.over_band(through, met, grid, total, unlike)

    def optimise(self, group: Group, request: Request) -> Solution:
        """Newton steps, member by member."""
        reduced, least = group.system, group.feasible
        stop = Stop(self.tolerance, self.max_steps, request.time_limit, request.callback)
        blocks = blank(Iterate, reduced.sizes, len(least.power))
        known = least.multipliers, least.power
        solution = descend(reduced, blocks, known, stop, self.patience, group.places)
        stalled = [i for i, end in enumerate(solution.status) if end is Status.STALLED]
        for i in stalled if reduced.users <= self.fallback else []:
            solution = self._rescued(reduced, least.multipliers, solution, i, request)
        return solution

    def _rescued(
        self, reduced: Reduced, multipliers: FloatArray, solution: Solution, i: int, request: Request
    ) -> Solution:
        """The solution with member i improved by what ``r-ipm`` finds, and by Newton steps from there."""
        at = np.array([i])
        one, mine = take(reduced, at), solution.take(at)
        beams = Beams.of(mine.precoder, mine.objective)
        spectrum, U = np.linalg.eigh(beams.covariance[0])
        # Directions that hardly radiate keep a part, without which the scaled program would be singular.
        answer, told = RIpm().ask(one, U * np.sqrt(np.maximum(spectrum, 1e-12 * spectrum[-1])))
        handed = f"handed to r-ipm after {mine.iterations[0]} steps" + ("" if answer else ", which had no answer")
        if answer is not None:
            found, dual, _ = judged(one, answer, cheapest(one, multipliers[at]))
            beams = beams.better(found)
            bound = np.fmax(mine.bound, dual.bound)
            eps = np.maximum(beams.objective / bound - 1, self.tolerance) * beams.objective / one.rank
            blocks, known = near(dual, eps, beams, bound, one.sizes), (multipliers[at], np.array([np.nan]))
            stop = Stop(self.tolerance, self.max_steps, request.time_limit)
            again = certified(one, descend(one, blocks, known, stop, self.patience, at), self.tolerance)
            better = {name: getattr(again, name) for name in ("decision", "objective", "bound", "status")}
            mine = replaced(mine, **better)
        return put(solution, at, replaced(mine, notes=objects([(handed, told) if told else (handed,)])))

    def chunk(self, reduced: Reduced) -> int:
        """Members that are handed over together: some MB of iterates."""
        return max(4, int(4e6 / (reduced.rank**2 + reduced.antennas * (reduced.users + reduced.antennas))))


@few_passes
def descend_each(
    problems: Member,
    multipliers: FloatArray,
    power: FloatArray,
    blocks: FloatArray,
    beams: ComplexArray,
    work: FloatArray,
    sizes: Sizes,
    first: int,
    trace: FloatArray,
    tolerance: float,
    patience: int,
) -> None:
    """Take B members further from step ``first`` on, as far as there is a trace (B, steps, 4).

    It gets objective, bound, residual and violation of each step, and ``beams`` (B, r, K+r) the best in the end. Step 0
    leads to the start of members whose least power is told as a number; the others have started elsewhere.
    """
    room, here = laid(Work, work, sizes)
    for b in range(len(power)):
        problem, at, count = member(problems, b), laid(Iterate, blocks[b], sizes), first
        told = at.told
        while told[STATE] == GOING and count < first + trace.shape[1]:
            if count > 0:
                newton_step(problem, at, room, here, tolerance)
            elif np.isfinite(power[b]):
                begin(problem, multipliers[b], power[b], at, here)
            for i in range(trace.shape[2]):
                trace[b, count - first, i] = told[i]
            told[STEP] = count
            if not np.isfinite(told[OBJECTIVE]):
                told[STATE] = BROKEN
            elif told[RESIDUAL] <= tolerance:
                told[STATE] = MET
            elif told[FAILURES] >= REFUSED or told[IDLE] >= patience:
                told[STATE] = STALLED
            count += 1
        for i in range(sizes.r):
            for j in range(beams.shape[2]):
                beams[b, i, j] = at.users[i, j] if j < sizes.K else at.sensing[i, j - sizes.K]


def descend(
    reduced: Reduced,
    blocks: FloatArray,
    known: tuple[FloatArray, FloatArray],
    rules: Stop,
    patience: int,
    labels: IntArray,
) -> Solution:
    """What the iterates in blocks lead to, in reduced units; a callback is told their ``labels`` (B,).

    ``known`` are the multipliers and the least power of members that have not started, NaN of those that have.
    """
    problems, sizes, told = reduced.arrays, reduced.sizes, blocks[:, : DECREMENT + 1]
    work, beams = blank(Work, sizes), np.empty((len(told), sizes.r, sizes.K + sizes.r), complex)

    def advance(done: int, trace: FloatArray) -> None:
        compiled(descend_each)(problems, *known, blocks, beams, work, sizes, done, trace, rules.tolerance, patience)

    def look(going: BoolArray) -> Bracket:
        objective, bound, gap = told[going, : RESIDUAL + 1].T
        return Bracket(Beams.of(beams[going], objective).precoder, objective, bound, gap)

    course = Course(told[:, STATE], told[:, STEP]).run(rules, FIRST_ROWS, VIOLATION + 1, advance, look, labels)
    values = {"objective": told[:, OBJECTIVE], "residual": np.full(len(told), np.nan), "bound": told[:, BOUND]}
    # The beams meet the constraints by construction: nothing is ever written to their violation.
    traced = {"objective": OBJECTIVE, "bound": BOUND, "violation": VIOLATION}
    return course.solution(np.arange(len(told)), beams, values, traced, Status.OPTIMAL)
