"""Globally optimal designs where the SQNR rises with a ratio of linear functions [Xu25, Sec. III-A].

The semidefinite relaxation [Xu25, problem (12)] is tight, since its objective depends on the
covariance alone (`isacsim.solvers.sqinr.recovery`). [Xu25] has it for a point target and
transmit converters of one resolution; with Dinkelbach's method it covers mixed ones too,
where the receive converters have one resolution (`isacsim.solvers.sqnr_max.fractional`).
"""

from __future__ import annotations

import time
from typing import Any, ClassVar

import attrs
import numpy as np
from attrs import field, frozen

from isacsim.batch import rows, take
from isacsim.checks import choice, number, whole
from isacsim.solvers.base import Request, refuse_starts
from isacsim.solvers.iterate import Stop, iterate
from isacsim.solvers.solution import Solution, Status, gathered, objects
from isacsim.solvers.sqinr.certificate import certify
from isacsim.solvers.sqinr.feasibility import Feasibility
from isacsim.solvers.sqinr.lifted import coordinates, linear_program
from isacsim.solvers.sqinr.recovery import rank_one
from isacsim.solvers.sqinr.repair import inside, repaired
from isacsim.solvers.sqinr.system import System
from isacsim.solvers.sqnr_max.base import SqnrMaxSolver
from isacsim.solvers.sqnr_max.fractional import Ratio, cases, ratios
from isacsim.solvers.sqnr_max.newton_mm import NewtonMm
from isacsim.solvers.sqnr_max.objectives import Sqnr
from isacsim.typing import ComplexArray, FloatArray, IntArray

ROUTES = ("dual", "program")
RELAXED = (
    "the response is not one for which sdr is exact: the beams maximise a bound on the SQNR, and are no local optimum; "
    "'newton-mm' finds one"
)
SHARPER = 0.3  # tolerance of a linear problem, relative to the whole's


@frozen(eq=False)
class SdrState:
    """Iterates of B members of one case, in normalised units.

    Attributes:
        system: The members.
        found: What their SQINRs need.
        ratio: What their SQNR rises with.
        who: The asked users, (B, K).
        V: The iterates, (B, N, K+N).
        objective: Their SQNR, (B,).
        bound: Proven bound on the SQNR, (B,).
        stalled: Which members' last problem had no better point, (B,).
    """

    traced: ClassVar[tuple[str, ...]] = ("bound",)

    system: System
    found: Feasibility
    ratio: Ratio
    who: Any = rows(1)
    V: Any = rows(2)
    objective: Any = rows()
    bound: Any = rows()
    stalled: Any = rows()

    @property
    def precoder(self) -> ComplexArray:
        """The iterates."""
        return np.asarray(self.V)

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

    tolerance: float = field(default=1e-6, validator=number(above=0))
    route: str = field(default="dual", validator=choice(*ROUTES))
    max_steps: int = field(default=20, validator=whole(1))
    accuracy: float = field(default=1e-9, validator=number(above=0))

    def maximise(
        self, system: System, found: Feasibility, request: Request, who: IntArray, places: IntArray
    ) -> Solution:
        """Solve the members of one case together."""
        refuse_starts(request)
        objective = system.objective
        assert isinstance(objective, Sqnr)
        case = np.array(cases(objective))
        parts, begin = [], time.perf_counter()
        stop = Stop(self.tolerance, self.max_steps, request.time_limit, request.callback)
        for name in np.unique(case):
            at = np.flatnonzero(case == name)
            ratio = ratios(take(objective, at), str(name))
            state = self.init(take(system, at), take(found, at), ratio, who[at])
            solution = iterate(state, self.step, stop, Status.GLOBAL, places[at])
            parts.append((_told(solution, str(name)), at))
        return gathered(parts, time.perf_counter() - begin)

    def init(self, system: System, found: Feasibility, ratio: Ratio, who: IntArray) -> SdrState:
        """The state at points that keep every SQINR."""
        safe, members = inside(system, found), len(system.power)
        streams = np.zeros((members, system.antennas, system.antennas), complex)
        if not system.users:
            streams += np.eye(system.antennas) / np.sqrt(system.antennas)
        V = np.concatenate([safe, streams], axis=-1)
        objective = system.objective.surrogate(V).value
        unknown, no = np.full(members, np.inf), np.zeros(members, bool)
        return SdrState(system, found, ratio, who, V, objective, unknown, no)

    def step(self, state: SdrState) -> SdrState:
        """One linear problem for every member: that of Dinkelbach's method."""
        q = np.divide(*state.ratio.parts(state.V))
        theta = state.ratio.theta(q)
        by = self.by_program if self.route == "program" else self.by_dual
        V, most = by(state.system.to_maximise(theta), theta, state)
        V, _ = repaired(state.system, state.found, V)
        objective = state.system.objective.surrogate(V).value
        better = objective > state.objective
        # With N - q D at most U, and D at least the offset, no ratio exceeds this.
        bound = q + np.maximum(most - q * state.ratio.offset, 0.0) / state.ratio.offset
        return attrs.evolve(
            state,
            V=np.where(better[:, None, None], V, state.V),
            objective=np.where(better, objective, state.objective),
            bound=np.fmin(state.ratio.sqnr(bound), state.bound),
            stalled=~better | state.ratio.linear,
        )

    def by_program(self, linear: System, theta: ComplexArray, state: SdrState) -> tuple[ComplexArray, FloatArray]:
        """Points (B, N, K+N) of large linear objectives and proven bounds on these (B,), a program a member."""
        side, users = linear.antennas, linear.users
        V, multipliers = np.array(state.V), np.zeros((len(state.V), users + 1))  # where there is no answer
        for i in range(len(V)):
            one, unit = take(linear, np.array([i])), np.linalg.norm(theta[i])
            compiled = linear_program(side, users)
            form = coordinates(theta[i] / unit, compiled.basis)
            lifted = compiled.solve(one, {"theta": form}, self.accuracy)
            if lifted is not None:
                V[i] = rank_one(one, lifted.users[None], lifted.total[None])[0]
                multipliers[i] = unit * lifted.multipliers
        return V, certify(linear, V, multipliers).bound

    def by_dual(self, linear: System, theta: ComplexArray, state: SdrState) -> tuple[ComplexArray, FloatArray]:
        """The same by the default solver, all members together."""
        newton = NewtonMm(tolerance=SHARPER * self.tolerance)
        solution = newton.maximise(linear, state.found, Request(), state.who, np.arange(len(theta)))
        return solution.precoder, solution.bound


def _told(solution: Solution, case: str) -> Solution:
    """The solution of an iteration whose residual is the gap, with a note where it is one of a relaxation."""
    trace = dict(solution.trace)
    trace["gap"] = trace.pop("residual")
    proven = np.isfinite(solution.bound)
    notes = solution.notes
    if case == "other":
        loose = [status is not Status.GLOBAL for status in solution.status]
        notes = objects([(*own, RELAXED) if is_loose else own for own, is_loose in zip(notes, loose, strict=True)])
    return attrs.evolve(
        solution,
        gap=np.where(proven, solution.residual, np.nan),
        residual=np.full(proven.shape, np.nan),
        bound=np.where(proven, solution.bound, np.nan),
        notes=notes,
        trace=trace,
    )
