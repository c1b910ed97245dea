"""The semidefinite relaxation of `PointCrbMin`, which is tight [Liu22].

The Fisher matrix F is linear in the covariance R, and the summed bounds are convex in it: recovery is
that of all least SINRs (`isacsim.solvers.sqinr.repair`), since the objective depends on R alone.
For D with the columns of the identity that are angles, and any Z of its shape, all covariances that
meet the constraints have::

    tr(D^T F^-1 D) >= (tr D^T Z)^2 / max_R tr(Z^T F(R) Z)

with equality for ``Z = F^-1 D`` at the optimum. The right side is the proven bound. With the Z and
the multipliers of the program, which fit each other, its error is that of the program; with Z from a
point near the optimum it is the square root of that.
"""

from __future__ import annotations

from typing import ClassVar

import attrs
import numpy as np
from attrs import field, frozen

from isacsim.batch import hermitian, rows, take
from isacsim.checks import number
from isacsim.metrics.fim import FimTensor, inverse_fim
from isacsim.optimisation.semidefinite import CONVEX, Answer
from isacsim.problems.point_crb_min import PointCrbMin
from isacsim.solvers.base import Request
from isacsim.solvers.solution import Solution, Status
from isacsim.solvers.sqinr.certificate import certify
from isacsim.solvers.sqinr.group import Group
from isacsim.solvers.sqinr.lifted import Lifted, fisher_program, rules
from isacsim.solvers.sqinr.pipeline import SystemSolver, one_by_one, trusted
from isacsim.solvers.sqinr.repair import inside, rank_one, repaired
from isacsim.solvers.sqinr.system import System, groups
from isacsim.typing import ComplexArray, FloatArray, IntArray

PASSES = 3  # programs for a member whose bound is not near enough: each is scaled by the point before


@frozen
class FisherSdr(SystemSolver):
    """Semidefinite relaxation of the CRLBs of angles: the global optimum, with a proven bound.

    One semidefinite program a member (cvxpy, Clarabel), for ideal hardware.

    Args:
        tolerance: Relative gap to the proven bound at which a member is optimal.
        accuracy: Gaps and residuals that the interior-point method is asked for.
    """

    problems: ClassVar[tuple[str, ...]] = ("point-crb-min",)
    guarantee: ClassVar[str] = "global, within a proven gap"
    extra: ClassVar[str] = CONVEX
    modules: ClassVar[tuple[str, ...]] = ("cvxpy",)
    rule: ClassVar[str] = "SINR"
    starts: ClassVar[bool] = False

    tolerance: float = field(default=1e-5, validator=number(above=0))
    accuracy: float = field(default=1e-9, validator=number(above=0))

    def groups(self, problem: PointCrbMin) -> list[Group]:
        """The members by number of asked users."""

        def objective(at: IntArray, lengths: FloatArray, transmit: FloatArray) -> Fisher:
            return Fisher.of(take(problem, at), lengths)

        return groups(problem, problem.min_sinr, objective)

    def optimise(self, group: Group, request: Request) -> Solution:
        """One program a member."""
        return trusted(one_by_one(group, request, self.one), "the best point found is")

    def one(self, group: Group, late: bool) -> Solution:
        """The solution of one member; a point inside all constraints where there is no answer."""
        system = group.system
        spread = np.eye(system.antennas, dtype=complex)[None] / np.sqrt(system.antennas)
        first = np.concatenate([inside(system, group.feasible), spread], axis=-1)
        V, *_ = repaired(system, group.feasible, first)
        best, steps, told = Judged(V, system.objective.value(V), np.full(1, np.nan)), 0, "stopped by the time limit"
        if not late:
            best, steps, told = self.search(group, best)
        status = Status.GLOBAL if best.gap <= self.tolerance else Status.MAX_STEPS if late else Status.STALLED
        told = "" if status.good and not late else told
        gap = best.gap if np.isfinite(best.gap) else np.nan
        rest = Solution.resting(best.V, status, [told], objective=best.value, gap=gap, bound=best.bound)
        return attrs.evolve(rest, iterations=np.array([steps]))

    def search(self, group: Group, best: Judged) -> tuple[Judged, int, str]:
        """The better point and bound of programs for one member, the steps, and what was said of the last program.

        Each program is in units of what the Fisher matrix is at the best point before.
        """
        system, fisher, steps, told = group.system, group.system.objective, 0, ""
        program = fisher_program(system.antennas, system.users, fisher.tensor.parameters, fisher.counted)
        values, units = rules(system)
        scaled_at: ComplexArray | None = None
        for _ in range(PASSES):
            before = steps
            for answer in program.answers(values | fisher.data(), self.accuracy):
                steps, told = before + answer.steps, answer.told
                lifted = Lifted.of(answer, units)
                if lifted is not None:
                    V = rank_one(system, lifted.blocks[None])
                    V, *_ = repaired(system, group.feasible, V)
                    best = fisher.judged(system, V, lifted.multipliers[None], answer).better(best)
                if best.gap <= self.tolerance:
                    return best, steps, told
                if answer.exact:
                    break
            if best.V is scaled_at:  # the next program would be the same again
                break
            scaled_at = best.V
            fisher = fisher.rescaled(best.V)
        return best, steps, told


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
    """The Fisher matrix of B members as it depends on the normalised covariance."""

    V: ComplexArray = rows(2)  #: Transmit basis behind the scale of the precoder, (B, N, 3M)
    tensor: FimTensor = field()  #: What makes it linear
    selection: FloatArray = rows(1)  #: 1 for each parameter that is an angle, (B, P)
    white: FloatArray = rows(1)  #: Its diagonal for a white covariance, or at a point, which scales it, (B, P)

    @classmethod
    def of(cls, problem: PointCrbMin, scale: FloatArray) -> Fisher:
        """That of a flat problem, and the scale (B, N) of its systems."""
        V = np.conj(scale[:, :, None]) * problem.targets.transmit_basis()
        tensor = FimTensor.ideal(problem.targets, problem.radar_noise_power, problem.snapshots)
        white = np.diagonal(tensor.fim(hermitian(V) @ V), axis1=-2, axis2=-1) / V.shape[-2]
        return cls(V, tensor, np.tile(problem.selection, (len(V), 1)), np.ascontiguousarray(white))

    @property
    def counted(self) -> tuple[int, ...]:
        """Places of the parameters that are angles."""
        return tuple(int(i) for i in np.flatnonzero(self.selection[0]))

    @property
    def unit(self) -> float:
        """What a unit of the program's objective is for one member, in rad^2."""
        return float((self.selection / self.white).sum())

    def data(self) -> dict[str, FloatArray]:
        """Parameters of the program of one member, with a unit diagonal of the Fisher matrix of white covariance."""
        return {"information": self.tensor.linear_map(self.V, self.white[0]), "weights": self._weights}

    @property
    def _weights(self) -> FloatArray:
        return np.asarray(1 / np.sqrt(self.white[0, list(self.counted)] * self.unit))

    def rescaled(self, V: ComplexArray) -> Fisher:
        """The same with a unit diagonal at V (B, N, L), where the white covariance is far from the optimum."""
        return attrs.evolve(self, white=np.ascontiguousarray(np.diagonal(self._fim(V), axis1=-2, axis2=-1)))

    def value(self, V: ComplexArray) -> FloatArray:
        """Summed bounds at V (B, N, L), (B,)."""
        inverse, _ = inverse_fim(self._fim(V))
        return np.asarray((np.diagonal(inverse, axis1=-2, axis2=-1) * self.selection).sum(axis=-1))

    def judged(self, system: System, V: ComplexArray, multipliers: FloatArray, answer: Answer) -> Judged:
        """The point V (1, N, L), and what the multipliers of a program prove, the users' and the power's (1, K+1)."""
        scale = 1 / np.sqrt(self.white[0])
        # In [[F, D], [D^T, T]] the multiplier of T is the identity, and that of D is -Z.
        Z = -answer.dual[-1][: scale.size, scale.size :]
        promised = (Z[list(self.counted)].diagonal() * self._weights).sum()
        scaled = scale[:, None] * Z
        theta = self.V @ self.tensor.adjoint((scaled @ scaled.T)[None]) @ hermitian(self.V)
        most = certify(system.to_maximise(theta), V, multipliers).bound
        proven = promised > 0 and most[0] > 0
        bound = self.unit * promised**2 / most if proven else np.full(1, np.nan)
        return Judged(V, self.value(V), bound)

    def _fim(self, V: ComplexArray) -> FloatArray:
        received = hermitian(self.V) @ V
        return self.tensor.fim(received @ hermitian(received))
