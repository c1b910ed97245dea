"""The published majorisation-minimisation for `SqnrMax`, a baseline [Xu25, Sec. III-B]."""

from __future__ import annotations

from typing import ClassVar

import attrs
import numpy as np
from attrs import field, frozen

from isacsim.batch import rows, take
from isacsim.checks import number, whole
from isacsim.optimisation.semidefinite import CONVEX
from isacsim.solvers.base import Request
from isacsim.solvers.iterate import Stop, iterate
from isacsim.solvers.solution import Solution, Status, objects
from isacsim.solvers.sqinr.certificate import certify
from isacsim.solvers.sqinr.group import Group
from isacsim.solvers.sqinr.repair import repaired
from isacsim.solvers.sqnr_max.base import ProgramState, SqnrMaxSolver
from isacsim.solvers.sqnr_max.starts import start
from isacsim.solvers.sqnr_max.surrogate_program import maximise_surrogate
from isacsim.typing import ComplexArray, FloatArray


@frozen(eq=False)
class MmState(ProgramState):
    """Iterates of B members, with their KKT residual for the multipliers of the last program."""

    residual: FloatArray = rows()


@frozen
class Mm(SqnrMaxSolver):
    """Majorisation-minimisation with one second-order cone program a step [Xu25, problem (19)].

    The SQNR never falls. Steps become short long before the optimum: from the first start some
    hundred of them come within 1e-4 of it. Each takes an interior-point method (cvxpy,
    Clarabel) for each member: a slow reference for the default solver.

    Args:
        tolerance: Relative KKT residual at which a member has converged.
        max_steps: Largest number of steps.
        accuracy: Gaps and residuals that the interior-point method is asked for.
    """

    guarantee: ClassVar[str] = "stationary"
    extra: ClassVar[str] = CONVEX
    modules: ClassVar[tuple[str, ...]] = ("cvxpy",)

    tolerance: float = field(default=1e-3, validator=number(above=0))
    max_steps: int = field(default=300, validator=whole(1))
    accuracy: float = field(default=1e-8, validator=number(above=0))

    def optimise(self, group: Group, request: Request) -> Solution:
        """Iterate from a start with N sensing streams."""
        V = start(group, request, group.system.antennas)
        stop = Stop(self.tolerance, self.max_steps, request.time_limit, request.callback)
        return proven(iterate(self.init(group, V), self.step, stop, labels=group.places), self.tolerance)

    def init(self, group: Group, V: ComplexArray) -> MmState:
        """The state at points V; their residual is known after the first step."""
        V, *_ = repaired(group.system, group.feasible, V)
        return MmState.at(group, V, residual=np.full(len(V), np.inf))

    def step(self, state: MmState) -> MmState:
        """One program for every member."""
        system = state.group.system
        surrogate = system.objective.surrogate(state.precoder)
        V, multipliers = np.array(state.precoder), np.zeros((len(state.precoder), system.users + 1))
        answered, told = np.zeros(len(V), bool), objects([""] * len(V))
        for i in range(len(V)):
            at = np.array([i])
            found, multipliers[i], told[i] = maximise_surrogate(take(system, at), take(surrogate, at), self.accuracy)
            if found is not None:
                V[i], answered[i] = found, True
        V, *_ = repaired(system, state.group.feasible, V)
        # The program's own accuracy can lower the SQNR near the optimum: such a step is not taken.
        better = answered & (system.objective.value(V) > state.objective)
        V = np.where(better[:, None, None], V, state.precoder)
        certificate = certify(system, V, multipliers)
        value, bound, residual = certificate.value, certificate.bound, certificate.residual
        return MmState(state.group, V, value, bound, ~better, told, residual)


def proven(solution: Solution, tolerance: float) -> Solution:
    """A solution with gaps to its bound, globally optimal where that is within the tolerance."""
    bound = np.where(np.isfinite(solution.bound), solution.bound, np.nan)
    with np.errstate(invalid="ignore"):
        gap = bound / solution.objective - 1
        closed = (gap <= tolerance) & solution.answered
    return attrs.evolve(solution, bound=bound, gap=gap).marked(closed, Status.GLOBAL)
