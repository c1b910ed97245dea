"""Globally optimal designs where the SQNR rises with a ratio of linear functions [Xu25, Sec. III-A].

The semidefinite relaxation [Xu25, problem (12)] is tight, since its objective depends on the
covariance alone (`isacsim.solvers.sqinr.repair`). [Xu25] has it for a point target and
transmit converters of one resolution; with Dinkelbach's method it covers mixed ones too,
where the receive converters have one resolution (`isacsim.solvers.sqnr_max.fractional`).
"""

from __future__ import annotations

import time
from typing import Any, ClassVar

import attrs
import numpy as np
from attrs import field, frozen

from isacsim.batch import take
from isacsim.checks import choice, number, whole
from isacsim.linalg.hermitian import coordinates
from isacsim.solvers.base import Request, refuse_starts
from isacsim.solvers.iterate import Stop, iterate
from isacsim.solvers.solution import Solution, Status, gathered, objects
from isacsim.solvers.sqinr.certificate import certify
from isacsim.solvers.sqinr.group import Group
from isacsim.solvers.sqinr.lifted import Lifted, linear_program, rules
from isacsim.solvers.sqinr.repair import inside, rank_one, repaired
from isacsim.solvers.sqnr_max.base import ProgramState, SqnrMaxSolver
from isacsim.solvers.sqnr_max.fractional import Ratio, cases
from isacsim.solvers.sqnr_max.newton_mm import NewtonMm
from isacsim.typing import ComplexArray, FloatArray

ROUTES = ("dual", "program")
RELAXED = (
    "the response is not one for which sdr is exact: the beams maximise a bound on the SQNR, and are no local optimum; "
    "'newton-mm' finds one"
)
SHARPER = 0.3  # tolerance of a linear problem, relative to the whole's


@frozen(eq=False)
class SdrState(ProgramState):
    """Iterates of B members of one case, with the ratio that their SQNR rises with."""

    ratio: Ratio

    @property
    def residual(self) -> FloatArray:
        """Relative gap to the bound, (B,)."""
        return np.asarray(self.bound / self.objective - 1)


@frozen
class Sdr(SqnrMaxSolver):
    """Semidefinite relaxation: the global optimum for one point target, and for ideal converters.

    Exact for a point target with transmit converters of one resolution, or with receive
    converters of one resolution, and for any target through ideal converters; the users' are
    free. For other responses it maximises a bound on the SQNR that leaves out the distortion in
    proportion to the echo: such a member is told as stalled, with the proven bound and a note.

    Args:
        tolerance: Relative gap to the proven bound at which a member is optimal.
        route: ``dual`` solves in the K+1 multipliers, with the machinery of the default
            solver; ``program`` solves the published semidefinite program (cvxpy, Clarabel).
        max_steps: Largest number of linear problems, of Dinkelbach's method.
        accuracy: Gaps and residuals that the interior-point method of ``program`` is asked for.
    """

    guarantee: ClassVar[str] = "global for a point target or ideal converters, with a proof; else a proven gap"

    tolerance: float = field(default=1e-6, validator=number(above=0))
    route: str = field(default="dual", validator=choice(*ROUTES))
    max_steps: int = field(default=20, validator=whole(1))
    accuracy: float = field(default=1e-9, validator=number(above=0))

    def optimise(self, group: Group, request: Request) -> Solution:
        """Solve the members of one case together."""
        refuse_starts(request)
        case = np.array(cases(group.system.objective))
        parts, begin = [], time.perf_counter()
        stop = Stop(self.tolerance, self.max_steps, request.time_limit, request.callback)
        for name in np.unique(case):
            at = np.flatnonzero(case == name)
            here = take(group, at)
            state = self.init(here, Ratio.of(here.system.objective, str(name)))
            solution = iterate(state, self.step, stop, Status.GLOBAL, here.places)
            parts.append((_told(solution, str(name)), at))
        return gathered(parts, time.perf_counter() - begin)

    def init(self, group: Group, ratio: Ratio) -> SdrState:
        """The state at points that keep every SQINR."""
        system = group.system
        safe, members = inside(system, group.feasible), group.places.size
        streams = np.zeros((members, system.antennas, system.antennas), complex)
        if not system.users:
            streams += np.eye(system.antennas) / np.sqrt(system.antennas)
        V = np.concatenate([safe, streams], axis=-1)
        return SdrState.at(group, V, ratio=ratio)

    def step(self, state: SdrState) -> SdrState:
        """The maximum of the ratio of every member, or one linear problem of Dinkelbach's method for it."""
        group, whole = state.group, self.route == "dual"
        here = attrs.evolve(group, system=attrs.evolve(group.system, objective=state.ratio.alike))
        V, bound, told = (self.by_dual if whole else self.by_program)(here, state.precoder)
        V, *_ = repaired(group.system, group.feasible, V)
        objective = group.system.objective.value(V)
        better = objective > state.objective
        bound = np.fmax(np.fmin(state.ratio.sqnr(bound), state.bound), objective)  # but for rounding it is no less
        return attrs.evolve(
            state,
            precoder=np.where(better[:, None, None], V, state.precoder),
            objective=np.where(better, objective, state.objective),
            bound=bound,
            stalled=~better | state.ratio.alike.ideal | whole,
            told=told,
        )

    def by_program(self, group: Group, V: ComplexArray) -> tuple[ComplexArray, FloatArray, Any]:
        """Points of large N - q D for the ratio q at V (B, N, K+N), proven bounds on it (B,), and what told of trouble.

        V is kept where the backend has no answer.
        """
        system, found = group.system, np.array(V)
        multipliers, told = np.zeros((len(V), system.users + 1)), objects([""] * len(V))
        _, gradient = system.objective.first_order(V)
        for i, theta in enumerate(gradient):
            one, unit = take(system, np.array([i])), np.linalg.norm(theta)
            values, units = rules(one)
            form = {"theta": coordinates(theta) / unit}
            answer = linear_program(system.antennas, system.users).solve(values | form, self.accuracy)
            lifted = Lifted.of(answer, units)
            if lifted is not None:
                found[i] = rank_one(one, lifted.blocks[None])[0]
                multipliers[i] = unit * lifted.multipliers
            told[i] = "" if answer.near else answer.told
        return found, certify(system, V, multipliers).bound, told

    def by_dual(self, group: Group, V: ComplexArray) -> tuple[ComplexArray, FloatArray, Any]:
        """The same of the largest ratios by the default solver, all members together."""
        here = attrs.evolve(group, places=np.arange(len(V)))
        solution = NewtonMm(tolerance=SHARPER * self.tolerance).optimise(here, Request())
        found = np.zeros_like(V)
        found[..., : solution.precoder.shape[-1]] = solution.precoder
        return found, solution.bound, objects([""] * len(V))


def _told(solution: Solution, case: str) -> Solution:
    """The solution of an iteration whose residual is the gap, with a note where it is one of a relaxation."""
    trace = dict(solution.trace)
    trace["gap"] = trace.pop("residual")
    proven = np.isfinite(solution.bound)
    loose = ~solution.ended(Status.GLOBAL) & (case == "other")
    return attrs.evolve(
        solution.marked(loose, note=RELAXED),
        gap=np.where(proven, solution.residual, np.nan),
        residual=np.full(proven.shape, np.nan),
        bound=np.where(proven, solution.bound, np.nan),
        trace=trace,
    )
