"""The augmented Lagrangian method: an objective f on a surface that is to rise, under constraints ``c_k(W) >= 0``.

The augmented Lagrangian

    f - sum_k (max(lambda_k - rho c_k, 0)^2 - lambda_k^2) / (2 rho)

is raised by a Riemannian iteration; where that has arrived, ``lambda_k <- max(lambda_k - rho c_k, 0)``. A point where
the gradient vanishes, no c_k is negative and none with a multiplier positive meets the first-order conditions.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Self

import attrs
import numpy as np
from attrs import field, frozen

from isacsim.batch import inner, put, rows, take
from isacsim.optimisation.lbfgs import LastPairs
from isacsim.optimisation.riemannian import RiemannianState
from isacsim.optimisation.surface import OnSurface
from isacsim.typing import BoolArray, ComplexArray, FloatArray

TINY = np.finfo(float).tiny
ACTIVE = 1e-9  # multiplier, in units of the objective over those of a slack, from which a constraint counts as one
STEEPER, STEEPEST = 5.0, 1e7  # what rho grows by, and to
FALLEN = 0.25  # share of the last violation above which the penalty grows
COARSE, FINER = 1e-2, 0.1  # residual at which multipliers move first, and of the next time
IDLE = 12  # moves of the multipliers without progress after which a member has stalled
MEMORY = 20  # curvature pairs: the penalty has a steep direction for each constraint
MARGIN = 1e-11  # slack by which constraints are met: more than rounding, less than what is told
CORRECTIONS, LONGEST = 20, 0.2  # Newton corrections, and the length of one relative to the coordinates
RIDGE = 1e-13  # of the normals of constraints that cannot be told apart


@frozen(eq=False)
class ConstrainedPoint:
    """The augmented Lagrangian at coordinates, with its derivative.

    Attributes:
        W: The coordinates, (B, n, m).
        objective: The augmented Lagrangian, (B,).
        gradient: Half gradient in the coordinates, (B, n, m).
        normal: As `isacsim.optimisation.surface.Surface.slope` takes it, (B, n, m).
        slack: c_k, (B, C); infinite for what is no constraint.
        push: ``max(lambda_k - rho c_k, 0)``, (B, C).
    """

    W: ComplexArray = rows(2)
    objective: FloatArray = rows()
    gradient: ComplexArray = rows(2)
    normal: ComplexArray = rows(2)
    slack: FloatArray = rows(1)
    push: FloatArray = rows(1)

    @property
    def violation(self) -> FloatArray:
        """The largest by which a constraint is missed, (B,)."""
        return np.maximum(-self.slack, 0.0).max(axis=-1, initial=0.0)

    @property
    def loose(self) -> FloatArray:
        """The largest slack of a constraint with a multiplier, (B,)."""
        held = self.push > ACTIVE
        return np.where(held, np.maximum(self.slack, 0.0), 0.0).max(axis=-1, initial=0.0)


@frozen(eq=False)
class Constrained(OnSurface):
    """An objective under constraints, whose points are `ConstrainedPoint`.

    Attributes:
        multipliers: lambda, (B, C).
        penalty: rho, (B,).
    """

    multipliers: FloatArray = rows(1)
    penalty: FloatArray = rows()

    @property
    def members(self) -> int:
        """Number B of members."""
        return len(self.multipliers)

    @abstractmethod
    def normals(self, Z: ComplexArray) -> tuple[FloatArray, FloatArray]:
        """The slacks c (B, C) at coordinates Z, and their gradients along the surface as real vectors (B, C, 2 n m)."""

    def pushed(self, slack: FloatArray) -> tuple[FloatArray, FloatArray]:
        """``max(lambda_k - rho c_k, 0)`` for slacks (B, C), and what the constraints take from the objective, (B,)."""
        rho = self.penalty[:, None]
        push = np.maximum(self.multipliers - np.where(np.isinf(slack), 0.0, rho * slack), 0.0)
        return push, ((push**2 - self.multipliers**2) / (2 * rho)).sum(axis=-1)

    def moved(self, members: BoolArray, point: ConstrainedPoint, steeper: BoolArray) -> Self:
        """With the multipliers of ``members`` at a point, and steeper penalties for some of them."""
        penalty = np.where(members & steeper, np.minimum(STEEPER * self.penalty, STEEPEST), self.penalty)
        multipliers = np.where(members[:, None], point.push, self.multipliers)
        return attrs.evolve(self, multipliers=multipliers, penalty=penalty)


@frozen(eq=False)
class Ascent:
    """Iterates of B members."""

    iteration: RiemannianState = field()
    tolerance: float = field()  # residual at which a member has converged
    goal: FloatArray = rows()  # residual at which the multipliers move
    last: FloatArray = rows()  # violation and loose slack when they last did
    idle: FloatArray = rows()  # moves without progress

    @classmethod
    def first(cls, merit: Constrained, W: ComplexArray, tolerance: float) -> Self:
        """The state at the first coordinates W (B, n, m)."""
        members, none = np.arange(len(W)), np.zeros(len(W))
        iteration = RiemannianState.first(merit, W, members, LastPairs.none(MEMORY, W))
        return cls(iteration, tolerance, none + COARSE, none + np.inf, none)

    @property
    def point(self) -> ConstrainedPoint:
        """Where the members are."""
        found: ConstrainedPoint = self.iteration.point
        return found

    @property
    def violation(self) -> FloatArray:
        """The largest by which a constraint is missed, (B,)."""
        return self.point.violation

    @property
    def residual(self) -> FloatArray:
        """Of the first-order conditions: gradient, violation, and slack of constraints with a multiplier, (B,)."""
        return np.maximum(self.iteration.residual, np.maximum(self.violation, self.point.loose))

    @property
    def stalled(self) -> BoolArray:
        """Which members get no further."""
        return np.asarray(self.idle > IDLE)

    def step(self) -> Self:
        """One monotone iteration of every member, and new multipliers where it has arrived."""
        now = self.iteration.step()
        arrived = np.asarray((now.residual <= self.goal) | now.stalled)
        if not arrived.any():
            return attrs.evolve(self, iteration=now)
        point, merit = now.point, now.line.merit
        off = np.maximum(point.violation, point.loose)
        slow = off > FALLEN * self.last
        still = (slow | now.stalled) & (self.goal <= self.tolerance)
        merit = merit.moved(arrived, point, slow & (off > self.tolerance))
        here = take(merit, arrived)
        fresh = here.evaluate(point.W[arrived])
        preconditioner = now.preconditioner.copy()
        preconditioner[arrived] = here.preconditioner(fresh)
        point = put(point, np.flatnonzero(arrived), fresh)
        memory = now.memory.forget(arrived & (slow | now.stalled))
        never = np.zeros(arrived.shape, bool)
        return attrs.evolve(
            self,
            iteration=now.ready(merit, now.origin, point, never, memory, preconditioner, now.count),
            goal=np.where(arrived, np.maximum(FINER * self.goal, self.tolerance), self.goal),
            last=np.where(arrived, off, self.last),
            idle=np.where(arrived, np.where(still, self.idle + 1, 0), self.idle),
        )


def tightened(merit: Constrained, W: ComplexArray, push: FloatArray) -> tuple[ComplexArray, FloatArray]:
    """Coordinates near W (B, n, m) that meet the constraints, with equality where pushed; and the least slack.

    Newton corrections of least length along the surface, ``dW = J^T (J J^T)^-1 (margin - c)``.

    Args:
        merit: The constraints.
        W: Coordinates.
        push: Multipliers, (B, C).
    """
    held = push > ACTIVE
    if not held.shape[-1]:
        return W, np.full(len(W), np.inf)
    slack, normals = merit.normals(W)
    for _ in range(CORRECTIONS):
        held = held | (slack < 0)
        off = np.where(held, MARGIN - slack, 0.0)
        todo = np.abs(off).max(axis=-1) > MARGIN
        if not todo.any():
            break
        J = np.where(held[..., None], normals, 0.0)
        gram, k = J @ J.swapaxes(-1, -2), np.arange(held.shape[-1])
        gram[:, k, k] += np.where(held, RIDGE * gram[:, k, k] + TINY, 1.0)
        price = np.linalg.solve(gram, off[..., None])
        step = (J.swapaxes(-1, -2) @ price)[..., 0].view(complex).reshape(W.shape)
        # Far from the constraints a step is no correction: it is cut, and the next one goes on.
        length = np.sqrt(inner(step, step) / inner(W, W)) / LONGEST
        moved = merit.project(W + step / np.maximum(1.0, length)[:, None, None])
        W = np.where((todo & np.isfinite(moved).all(axis=(-2, -1)))[:, None, None], moved, W)
        slack, normals = merit.normals(W)
    return W, slack.min(axis=-1)
