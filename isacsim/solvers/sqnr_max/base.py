"""What the solvers of `SqnrMax` share: their systems, and members without an echo."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
from attrs import frozen

from isacsim.batch import rows, take
from isacsim.hardware.converters import not_converters, white_ratios
from isacsim.problems.sqnr_max import SqnrMax
from isacsim.solvers.base import other_kind
from isacsim.solvers.solution import Solution, Status, objects
from isacsim.solvers.sqinr.group import Group
from isacsim.solvers.sqinr.pipeline import SystemSolver
from isacsim.solvers.sqinr.repair import least_power_beams
from isacsim.solvers.sqnr_max.objectives import sqnr_groups
from isacsim.typing import AnyArray, BoolArray, ComplexArray, FloatArray

EMPTY = "the target response is zero: every precoder that meets the SQINRs is optimal"


@frozen(eq=False)
class ProgramState:
    """Iterates of B members, in normalised units, each the answer of a program.

    Attributes:
        group: The members.
        precoder: The iterates, (B, N, K+N).
        objective: Their SQNR, (B,).
        bound: Proven bound on the SQNR, (B,); not finite where there is none.
        stalled: Which members' last program had no better point, (B,).
        told: What the backend said to a last program that gave it trouble, (B,).
    """

    traced: ClassVar[tuple[str, ...]] = ("bound",)

    group: Group
    precoder: ComplexArray = rows(2)
    objective: FloatArray = rows()
    bound: FloatArray = rows()
    stalled: BoolArray = rows()
    told: AnyArray = rows()

    @classmethod
    def at(cls, group: Group, V: ComplexArray, **own: Any) -> Self:
        """The state at points V before the first program, with ``own`` fields."""
        value, members = group.system.objective.value(V), len(V)
        nothing, no = np.full(members, np.inf), np.zeros(members, bool)
        return cls(group, V, value, nothing, no, objects([""] * members), **own)


class SqnrMaxSolver(SystemSolver):
    """A solver of systems that maximises the radar SQNR.

    It is given members that have an answer and an echo: K asked users, which may be none, a response that is not zero,
    and a least power of less than 1 but for rounding. It returns V (B, N, K + S) with at most N sensing streams; its
    objective, gap and bound have no unit. `isacsim.solvers.sqnr_max.starts.start` gives points to start from, and
    `isacsim.solvers.sqinr.certificate.certify` judges a point with multipliers.
    """

    problems: ClassVar[tuple[str, ...]] = ("sqnr-max",)
    own_units: ClassVar[bool] = True  # the SQNR has none

    def takes(self, problem: SqnrMax) -> str | None:
        """Nothing, or a sentence why not: hardware that is none of `isacsim.hardware.converters`."""
        if told := other_kind(self, problem):
            return told
        antennas, receivers = problem.H.shape[-2], problem.G.shape[-2]
        return not_converters(problem.transceiver, {"transmit": antennas, "receive": receivers, "user": problem.users})

    def groups(self, problem: SqnrMax) -> list[Group]:
        """The members by number of asked users."""
        return sqnr_groups(problem)

    def closed_form(self, group: Group) -> tuple[Group, Solution] | None:
        """Members without an echo: the beams of least power, or white sensing streams."""
        dark = ~group.system.objective.target.gains.any(axis=-1)
        if not dark.any():
            return None
        here = take(group, dark)
        V = np.tile(np.eye(here.system.antennas, dtype=complex), (here.places.size, 1, 1))
        if here.system.users:
            V = least_power_beams(here.system, here.feasible.multipliers)
        nothing = {"objective": 0.0, "gap": 0.0, "residual": 0.0, "bound": 0.0}
        return here, Solution.resting(V, Status.GLOBAL, [EMPTY] * len(V), **nothing)

    def improved_over_band(self, through: SqnrMax, W: ComplexArray, total: float) -> Solution:
        """A stationary point of a band behind hardware, from precoders W (F, N_t, K+N_t); see `over_band`."""
        from isacsim.solvers.sqnr_max.over_band import ascended  # stands on this file

        return ascended(through, W, total)

    def bound_over_band(self, problem: SqnrMax, bound: FloatArray, share: float) -> FloatArray:
        """A bound B on the mean SQNR of a band with ideal receivers, for N_r converters.

        One that adds e of what arrives in a sample has, of the SNR x_j before it, ``x_j / (1 + e + e share x_j)`` at
        most, where ``share`` of the bins is active. That is concave in x_j, which add up to at most B.
        """
        receivers = problem.G.shape[-2]
        e = white_ratios(problem.transceiver.receive, receivers).min()
        return np.asarray(bound / (1 + e + e * share * bound / receivers))
