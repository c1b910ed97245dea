"""Preconditioned ascent on a surface, monotone, in which a memory of former steps chooses the directions.

Gradients are projected onto the tangent space, steps are taken back to the surface, and curvature is that of plain
differences: what leaves the surface is of higher order.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Self

import numpy as np
from attrs import field, frozen

from isacsim.batch import dot, real_vectors, rows
from isacsim.optimisation.search import Line, search
from isacsim.optimisation.surface import OnSurface
from isacsim.typing import BoolArray, ComplexArray, FloatArray, IntArray

RENEW_EVERY = 5  # iterations after which the preconditioner is renewed, and starts are compared


class Memory(ABC):
    """What a solver remembers of the former steps of B members, to choose its directions by.

    Steps and gradients are real vectors here, (B, 2 n m).
    """

    @abstractmethod
    def direction(self, gradient: FloatArray, preconditioner: ComplexArray) -> FloatArray:
        """An ascent direction, if the memory is sound: ``M^-1 gradient`` where it is empty."""

    @abstractmethod
    def push(self, step: FloatArray, change: FloatArray, preconditioner: ComplexArray) -> Memory:
        """With a step s, and by how much the gradient fell along it, y."""

    @abstractmethod
    def forget(self, members: BoolArray) -> Memory:
        """Without what was remembered of ``members``."""

    @property
    @abstractmethod
    def empty(self) -> BoolArray:
        """Of which members nothing is remembered, (B,)."""


@frozen(eq=False)
class RiemannianState:
    """Iterates of B members, with the direction of the next search."""

    line: Line
    origin: IntArray = rows()  # index of the problem that a member is a start of
    point: Any
    gradient: FloatArray = rows(1)  # of the objective, along the surface, as a real vector
    residual: FloatArray = rows()
    stalled: BoolArray = rows()
    memory: Memory
    preconditioner: ComplexArray = rows(2)  # M^-1
    count: int = field()

    @classmethod
    def first(cls, merit: OnSurface, W: ComplexArray, origin: IntArray, memory: Memory) -> Self:
        """The state at the first coordinates W (B, n, m), starts of problems ``origin`` (B,), with an empty memory."""
        point = merit.evaluate(merit.project(W))
        stalled = cls.beaten(point, origin)
        return cls.ready(merit, origin, point, stalled, memory, merit.preconditioner(point), 0)

    @classmethod
    def ready(
        cls,
        merit: OnSurface,
        origin: IntArray,
        point: Any,
        stalled: BoolArray,
        memory: Memory,
        preconditioner: ComplexArray,
        count: int,
        gradient: FloatArray | None = None,
    ) -> Self:
        """The state at a point, with an ascent direction, which may leave the tangent space."""
        gradient = real_vectors(merit.slope(point)) if gradient is None else gradient
        direction = memory.direction(gradient, preconditioner)
        slope = dot(gradient, direction)
        poor = ~(slope > 0)
        if np.count_nonzero(poor):
            memory = memory.forget(poor)
            direction = np.where(poor[:, None], times(preconditioner, gradient), direction)
            slope = dot(gradient, direction)
        # At first at most as long as W itself.
        size = merit.size(point)
        length = np.sqrt(size / np.maximum(dot(direction, direction), size))
        return cls(
            line=Line(merit.at(point), point.W, direction.view(complex).reshape(point.W.shape), length, slope),
            origin=origin,
            point=point,
            gradient=gradient,
            residual=merit.residual(point, dot(gradient, gradient)),
            stalled=stalled,
            memory=memory,
            preconditioner=preconditioner,
            count=count,
        )

    def step(self) -> Self:
        """One monotone iteration of every member."""
        merit, before, count = self.line.merit, self.point, self.count + 1
        point, stuck = search(self.line, Line.propose, before)
        gradient = real_vectors(merit.slope(point))
        renew = count % RENEW_EVERY == 0
        preconditioner = merit.preconditioner(point) if renew else self.preconditioner
        step = real_vectors(point.W - before.W)  # what leaves the surface is of higher order, as it is in the change
        memory, stalled = self.memory.push(step, self.gradient - gradient, preconditioner), stuck
        if np.count_nonzero(stuck):  # a member that its memory has misled tries once more without
            memory, stalled = memory.forget(stuck), stuck & self.memory.empty
        if renew:
            stalled = stalled | self.beaten(point, self.origin, self.line.slope)
        return self.ready(merit, self.origin, point, stalled, memory, preconditioner, count, gradient)

    @staticmethod
    def beaten(point: Any, origin: IntArray, slope: FloatArray | None = None) -> BoolArray:
        """Which starts need not go on from a point, beside others of their problem, (B,): here none.

        Args:
            point: The point.
            origin: Index of the problem that each is a start of, (B,).
            slope: Of the objective along the step that led there, (B,); None at the beginning.
        """
        return np.zeros(len(origin), bool)


def times(preconditioner: ComplexArray, vectors: FloatArray) -> FloatArray:
    """M^-1, blocks (B, blocks n', n') one above the other, times what real vectors (B, 2 blocks n' m) stand for."""
    members, rows, side = preconditioner.shape
    blocks = preconditioner.reshape(members, rows // side, side, side)
    products = blocks @ vectors.view(complex).reshape(members, rows // side, side, -1)
    return real_vectors(products.reshape(members, rows, -1))
