"""The semidefinite relaxation of `PointCrbMin`, which is tight [Liu22].

The Fisher matrix is linear in the covariance R, and the summed bounds are convex in it. Rules
and recovery are those of `SqnrMax` (`isacsim.solvers.sqinr.lifted`, ``.recovery``), since
the objective depends on R alone.
"""

from __future__ import annotations

import time
from typing import Any, ClassVar

import attrs
import numpy as np
from attrs import field, frozen

from isacsim.batch import hermitian, take
from isacsim.checks import number
from isacsim.metrics.fim import FimTensor, inverse_fim
from isacsim.problems.point_crb_min import PointCrbMin
from isacsim.problems.sqnr_max import SqnrMax
from isacsim.solvers.base import Request, Solver, refuse_starts
from isacsim.solvers.solution import Solution, Status, gathered, objects
from isacsim.solvers.sqinr.certificate import certify
from isacsim.solvers.sqinr.feasibility import Feasibility
from isacsim.solvers.sqinr.lifted import fisher_program
from isacsim.solvers.sqinr.recovery import rank_one
from isacsim.solvers.sqinr.repair import inside, repaired
from isacsim.solvers.sqinr.system import System
from isacsim.solvers.sqnr_max.base import SqnrMaxSolver
from isacsim.typing import ComplexArray, FloatArray, IntArray

PASSES = 3  # programs for a member whose bound is not near enough: each is scaled by the point before


@frozen
class FisherSdr(Solver):
    """Semidefinite relaxation of the CRLBs of angles: the global optimum, with a proven bound.

    One semidefinite program a member (cvxpy, Clarabel), for ideal hardware.

    Args:
        tolerance: Relative gap to the proven bound at which a member is optimal.
        accuracy: Gaps and residuals that the interior-point method is asked for.
    """

    problems: ClassVar[tuple[str, ...]] = ("point-crb-min",)

    tolerance: float = field(default=1e-4, validator=number(above=0))
    accuracy: float = field(default=1e-9, validator=number(above=0))

    def solve(self, problem: PointCrbMin, request: Request) -> Solution:
        """Solve on the systems of the `SqnrMax` that has the same constraints."""
        refuse_starts(request)
        constrained = SqnrMax(
            H=problem.H,
            G=problem.targets.response(),
            min_sqinr=problem.min_sinr,
            power=problem.power,
            noise_power=problem.noise_power,
            radar_noise_power=problem.radar_noise_power,
        )
        solution = _OnSystems(self, problem).solve(constrained, request)
        objective = np.full(solution.objective.shape, np.nan)
        answered = np.array([status.answered for status in solution.status])
        if answered.any():
            objective[answered] = take(problem, answered).objective(solution.precoder[answered])
        return attrs.evolve(solution, objective=objective)


@frozen
class _OnSystems(SqnrMaxSolver):
    """Minimises the bounds of a problem over what a `System` allows."""

    options: FisherSdr
    problem: PointCrbMin

    def maximise(
        self, system: System, found: Feasibility, request: Request, who: IntArray, places: IntArray
    ) -> Solution:
        """One program a member."""
        begin, parts = time.perf_counter(), []
        for i in range(len(places)):
            at = np.array([i])
            late = request.time_limit is not None and time.perf_counter() - begin > request.time_limit
            one = take(self.problem, places[at])
            fisher = Fisher.of(one, system.scale[at])
            solution = self.one(take(system, at), fisher, take(found, at), late)
            elapsed = np.full((1, 1), time.perf_counter() - begin)
            parts.append((attrs.evolve(solution, trace={**solution.trace, "time": elapsed}), at))
        return gathered(parts, time.perf_counter() - begin)

    def one(self, system: System, fisher: Fisher, feasible: Feasibility, late: bool) -> Solution:
        """The solution of one member; points inside all constraints where there is no answer."""
        spread = np.eye(system.antennas, dtype=complex)[None] / np.sqrt(system.antennas)
        first = np.concatenate([inside(system, feasible), spread], axis=-1)
        found = fisher.judged(system, repaired(system, feasible, first)[0], np.zeros((1, system.users + 1)))
        program = fisher_program(system.antennas, system.users, fisher.tensor.parameters)
        note, steps = "stopped by the time limit" if late else "the interior-point method returned no answer", 0
        for _ in range(0 if late else PASSES):
            lifted = program.solve(system, fisher.data(program.basis), self.options.accuracy)
            if lifted is None:
                break
            V, _ = repaired(system, feasible, rank_one(system, lifted.users[None], lifted.total[None]))
            judged = fisher.judged(system, V, fisher.unit * lifted.multipliers[None])
            found, note, steps = judged.better(found), "", steps + lifted.steps
            if found.gap <= self.options.tolerance:
                break
            fisher = fisher.rescaled(V)
        met = found.gap <= self.options.tolerance
        status = Status.GLOBAL if met else Status.MAX_STEPS if late else Status.STALLED
        return Solution(
            precoder=found.V,
            objective=found.value,
            gap=np.array([found.gap if np.isfinite(found.gap) else np.nan]),
            residual=np.full(1, np.nan),
            iterations=np.array([steps]),
            status=objects([status]),
            bound=found.bound,
            notes=objects([(note,) if note else ()]),
            runtime=0.0,
            trace={"objective": found.value[:, None]},
        )


@frozen(eq=False)
class Judged:
    """A point V (1, N, K+S) of one member, its summed bounds and a proven bound on the least, (1,) in rad^2."""

    V: ComplexArray
    value: FloatArray
    bound: FloatArray

    @property
    def gap(self) -> float:
        """Relative gap; infinite where nothing is proven."""
        return float(self.value[0] / self.bound[0] - 1) if self.bound[0] > 0 else np.inf

    def better(self, other: Judged) -> Judged:
        """The better point of two, and the better bound."""
        best = self if self.value[0] <= other.value[0] else other
        return Judged(best.V, best.value, np.fmax(self.bound, other.bound))


@frozen(eq=False)
class Fisher:
    """The Fisher matrix of one member as it depends on the normalised covariance.

    Attributes:
        V: Transmit basis behind the scale of the precoder, (1, N, 3M).
        tensor: What makes it linear.
        selection: 1 for each parameter that is an angle, (P,).
        white: Its diagonal for a white covariance, or at a point, which scales it, (P,).
    """

    V: ComplexArray
    tensor: FimTensor
    selection: FloatArray
    white: FloatArray

    @classmethod
    def of(cls, problem: PointCrbMin, scale: FloatArray) -> Fisher:
        """That of a problem of one member, and the scale (1, N) of its system."""
        V = np.conj(scale[:, :, None]) * problem.targets.transmit_basis()
        tensor = FimTensor.ideal(problem.targets, problem.radar_noise_power, problem.snapshots)
        white = np.diagonal(tensor.fim(hermitian(V) @ V)[0]) / V.shape[-2]
        return cls(V, tensor, problem.selection, white)

    @property
    def unit(self) -> float:
        """What a unit of the program's objective is, in rad^2."""
        return float((self.selection / self.white).sum())

    def data(self, basis: ComplexArray) -> dict[str, Any]:
        """Parameters of the program, with a unit diagonal of the Fisher matrix of white covariance."""
        scale = 1 / np.sqrt(self.white)
        F = np.stack([self.tensor.fim(hermitian(self.V) @ B @ self.V)[0] for B in basis], axis=-1)
        F = F * (scale[:, None] * scale)[..., None]
        return {
            "information": F[np.triu_indices(len(scale))],
            "weights": scale * self.selection / np.sqrt(self.unit),
        }

    def rescaled(self, V: ComplexArray) -> Fisher:
        """The same with a unit diagonal at V (1, N, L), where the white covariance is far from the optimum."""
        return attrs.evolve(self, white=np.diagonal(self._fim(V)[0]))

    def judged(self, system: System, V: ComplexArray, multipliers: FloatArray) -> Judged:
        """The point V (1, N, L), and what multipliers (1, K+1) prove."""
        inverse, _ = inverse_fim(self._fim(V))
        value = (np.diagonal(inverse, axis1=-2, axis2=-1) * self.selection).sum(axis=-1)
        falling = self.V @ self.tensor.adjoint((inverse * self.selection) @ inverse) @ hermitian(self.V)
        # The bounds are convex in R: no point is below the tangent at V by more than the excess.
        linear = certify(system.to_maximise(falling), V, multipliers)
        return Judged(V, value, value - (linear.bound - linear.value))

    def _fim(self, V: ComplexArray) -> FloatArray:
        received = hermitian(self.V) @ V
        return self.tensor.fim(received @ hermitian(received))
