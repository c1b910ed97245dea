"""Interior-point solutions of the semidefinite relaxation of `CrbMin`, reduced and not [Zhao26].

The relaxation is tight: beams of rank one with the same objective follow from its answer.
"""

from __future__ import annotations

from typing import ClassVar

import attrs
import numpy as np
from attrs import field, frozen

from isacsim.batch import hermitian, hermitian_part
from isacsim.checks import choice, number
from isacsim.linalg.stacked import inverse, trace
from isacsim.optimisation.semidefinite import BACKENDS, CONVEX
from isacsim.solvers.base import Request
from isacsim.solvers.crb_min.base import CrbMinSolver, certified
from isacsim.solvers.crb_min.dual import Dual, from_multipliers
from isacsim.solvers.crb_min.program import solved
from isacsim.solvers.crb_min.recovery import Beams, cheapest, recovered, shortfall
from isacsim.solvers.crb_min.reduction import Reduced
from isacsim.solvers.solution import Solution, Status
from isacsim.solvers.sqinr.group import Group
from isacsim.solvers.sqinr.lifted import Lifted
from isacsim.solvers.sqinr.pipeline import one_by_one, trusted
from isacsim.typing import ComplexArray, FloatArray


@frozen
class RIpm(CrbMinSolver):
    """Interior-point method on the range of the channels, in at most K matrices of K x K [Zhao26].

    One semidefinite program a member, through cvxpy. The beams returned meet every SINR; a
    member whose multipliers do not prove the gap is told as stalled, with its bracket.

    Args:
        tolerance: Relative duality gap at which a member is optimal.
        accuracy: What the backend is asked for: gaps and residuals.
        backend: ``CLARABEL`` (interior point) or ``SCS`` (first order, of low accuracy).
    """

    tolerance: float = field(default=1e-6, validator=number(above=0))
    accuracy: float = field(default=1e-9, validator=number(above=0))
    backend: str = field(default="CLARABEL", validator=choice(*BACKENDS))

    reduces: ClassVar[bool] = True
    extra: ClassVar[str] = CONVEX
    modules: ClassVar[tuple[str, ...]] = ("cvxpy",)

    def optimise(self, group: Group, request: Request) -> Solution:
        """One program a member."""
        found = certified(group.system, one_by_one(group, request, self.one), self.tolerance)
        return trusted(found, "the beams of least power are")

    def one(self, group: Group, late: bool) -> Solution:
        """The solution of one member; the beams of least power where there is no answer."""
        reduced, start = group.system, cheapest(group.system, group.feasible.multipliers)
        answer, told = (None, "stopped by the time limit") if late else self.ask(reduced)
        beams, bound, violation = start, np.full(1, np.nan), np.full(1, np.nan)
        if answer is not None:
            beams, dual, violation = judged(reduced, answer, start)
            bound = dual.bound
        rest = Solution.resting(
            beams.coordinates, Status.MAX_STEPS if late else Status.STALLED, [told],
            objective=beams.objective, bound=bound, violation=violation,
        )  # fmt: skip
        return attrs.evolve(rest, iterations=np.array([answer.steps if answer else 0]))

    def ask(self, reduced: Reduced, root: ComplexArray | None = None) -> tuple[Lifted | None, str]:
        """The answer of the program of one member, on the range of the channels, and what is to be told of it.

        Args:
            reduced: The member.
            root: C of the covariance C C^H that the program is relative to; None is the white one.
        """
        space = reduced if self.reduces else reduced.whole
        root = np.eye(space.rank, dtype=complex) if root is None else root
        answer, told = solved(space, root, space.users + int(not self.reduces), self.backend, self.accuracy)
        if answer is None or self.reduces:
            return answer, told
        U = reduced.basis[0]
        return attrs.evolve(answer, blocks=np.conj(U).T @ answer.blocks @ U), told


@frozen
class Ipm(RIpm):
    """Interior-point method on the whole array, a baseline: K + 1 matrices of N_t x N_t [Zhao26].

    It has the options of ``r-ipm``.
    """

    reduces: ClassVar[bool] = False


def judged(reduced: Reduced, answer: Lifted, start: Beams) -> tuple[Beams, Dual, FloatArray]:
    """Beams, dual and the violation of constraints of one member's answer on the range."""
    V = hermitian_part(answer.blocks)[None]
    Q, mu = _stationary(reduced, V.sum(axis=1), answer)
    dual = from_multipliers(reduced, answer.multipliers[None, : reduced.users], Q, mu)
    return recovered(reduced, V, start), dual, shortfall(reduced, V)


def _stationary(reduced: Reduced, S: ComplexArray, answer: Lifted) -> tuple[ComplexArray, FloatArray]:
    """Q = R^-2 on the range and mu = R^-2 outside, to which the optimum sets them."""
    S_inverse = inverse(S)
    mu = (reduced.spare / (reduced.antennas - trace(S))) ** 2 if reduced.spare else answer.multipliers[-1:]
    return S_inverse @ hermitian(S_inverse), mu
