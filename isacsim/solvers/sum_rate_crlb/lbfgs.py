"""Riemannian L-BFGS for `SumRateCrlb`: the fast solver of this problem.

Every stationary precoder lies in the range of ``N = [H, V]``, since the stationarity
condition ``mu W = C_1 + (crlb_weight Q - rate_weight H Sigma_2 H^H) W`` with mu > 0 has only
columns of N on its right [Fang25, Sec. IV-C]. The iteration therefore runs in an
orthonormal basis of that range, where its cost knows nothing of the number of antennas,
and on the surface of full power, with the projection onto its tangent space as transport.
It is preconditioned by the matrix of Theorem 1 of [Fang25] without Q::

    H_0 = gamma M^-1,   M = 2 (rate_weight H Sigma_2 H^H + mu I)
"""

from __future__ import annotations

from typing import Any, ClassVar

import attrs
import numpy as np
from attrs import field, frozen

from isacsim.batch import frobenius2, hermitian, inner, rows, take
from isacsim.checks import number, whole
from isacsim.problems.sum_rate_crlb import SumRateCrlb
from isacsim.problems.sum_rate_crlb_merit import Merit, Point
from isacsim.solvers.base import Request, Solver
from isacsim.solvers.iterate import Stop, iterate
from isacsim.solvers.solution import Solution
from isacsim.solvers.sum_rate_crlb.search import PointState, search
from isacsim.solvers.sum_rate_crlb.starts import start, start_names
from isacsim.typing import BoolArray, ComplexArray, FloatArray

REFRESH_EVERY, REFRESH_UNTIL = 5, 60  # iterations at which the preconditioner is renewed


@frozen(eq=False)
class Memory:
    """Curvature pairs of B members as real vectors, the newest first; an inverse of 0 marks an empty place."""

    steps: Any = rows(2)  # s, (B, memory, 2 N (K+S))
    changes: Any = rows(2)  # y, likewise
    inverses: Any = rows(1)  # 1 / <s, y>, (B, memory)

    @classmethod
    def empty(cls, size: int, W: ComplexArray) -> Memory:
        """Room for ``size`` pairs of the shape of W (B, N, K+S)."""
        shape = (W.shape[0], size, 2 * W.shape[1] * W.shape[2])
        return cls(np.zeros(shape), np.zeros(shape), np.zeros(shape[:2]))

    def times(self, g: ComplexArray, inverse: ComplexArray) -> ComplexArray:
        """The inverse Hessian times g by the two-loop recursion, with ``inverse`` as H_0 / gamma."""
        used = int(np.count_nonzero(self.inverses.any(axis=0)))
        q, weights = _flat(g), []
        for j in range(used):
            weights.append(self.inverses[:, j] * _dot(self.steps[:, j], q))
            q = q - weights[j][:, None] * self.changes[:, j]
        q = _flat(inverse @ _shaped(q, g))
        newest = self.changes[:, 0]
        curvature = self.inverses[:, 0] * _dot(newest, _flat(inverse @ _shaped(newest, g)))
        q = q / np.where(curvature > 0, curvature, 1.0)[:, None]
        for j in reversed(range(used)):
            weight = weights[j] - self.inverses[:, j] * _dot(self.changes[:, j], q)
            q = q + weight[:, None] * self.steps[:, j]
        return _shaped(q, g)

    def push(self, s: ComplexArray, y: ComplexArray) -> Memory:
        """With the pairs (s, y) of the members where <s, y> is safely positive."""
        product = inner(s, y)
        kept = product > 1e-10 * frobenius2(s)
        inverses = 1 / np.where(kept, product, 1.0)

        def shifted(old: Any, new: Any) -> Any:
            moved = np.concatenate([new[:, None], old[:, :-1]], axis=1)
            return moved if kept.all() else np.where(kept.reshape(-1, *[1] * (old.ndim - 1)), moved, old)

        return Memory(shifted(self.steps, _flat(s)), shifted(self.changes, _flat(y)), shifted(self.inverses, inverses))

    def forget(self, members: BoolArray) -> Memory:
        """Without the pairs of ``members``."""
        return attrs.evolve(self, inverses=np.where(members[:, None], 0.0, self.inverses)) if members.any() else self


def _flat(W: ComplexArray) -> FloatArray:
    """Complex matrices (B, N, n) as real vectors (B, 2 N n)."""
    return np.ascontiguousarray(W).view(float).reshape(W.shape[0], -1)


def _shaped(q: FloatArray, like: ComplexArray) -> ComplexArray:
    """Real vectors as complex matrices of the shape of ``like``."""
    return np.ascontiguousarray(q).view(complex).reshape(like.shape)


def _dot(a: FloatArray, b: FloatArray) -> FloatArray:
    """Dot product of each member's real vectors (B, D)."""
    return np.asarray(a[:, None, :] @ b[:, :, None])[:, 0, 0]


@frozen(eq=False)
class LbfgsState(PointState):
    """Iterates of B members, with the direction of the next search."""

    merit: Merit
    point: Point = field()
    gradient: Any = rows(2)  # of the objective, along the surface of full power
    residual: Any = rows()
    stalled: Any = rows()
    memory: Memory = field()
    inverse: Any = rows(2)  # M^-1
    direction: Any = rows(2)
    slope: Any = rows()  # of the objective along the direction
    count: int = field()


@frozen
class RiemannianLbfgs(Solver):
    """MMSE-preconditioned Riemannian L-BFGS: finds a stationary point, not a global optimum.

    Monotone, batched over realisations, and some ten times faster than SCA at equal or
    better objective. The best of several starts counts: bad local optima become more
    frequent with the load K / N_t, above ``random_load`` of which random starts join.

    Args:
        tolerance: Relative KKT residual at which a member has converged.
        max_steps: Largest number of iterations.
        memory: Number of curvature pairs kept.
        starts: Names of the starts: ``mrt``, ``rzf`` or ``random``.
        random_load: Load K / N_t above which random starts join.
        random_starts: Number of random starts that join.
    """

    problems: ClassVar[tuple[str, ...]] = ("sum-rate-crlb",)

    tolerance: float = field(default=1e-6, validator=number(above=0))
    max_steps: int = field(default=2000, validator=whole(1))
    memory: int = field(default=10, validator=whole(1))
    starts: tuple[str, ...] = field(default=("mrt", "rzf"), converter=start_names)
    random_load: float = field(default=0.4, validator=number(least=0))
    random_starts: int = field(default=6, validator=whole(0))

    def solve(self, problem: SumRateCrlb, request: Request) -> Solution:
        """Iterate all starts of all members as one batch, and keep the best of each."""
        merit = Merit.of(problem)
        starts = self._starts(merit, problem.streams, request)
        every = np.repeat(np.arange(merit.members), len(starts))
        W, merit = np.stack(starts, axis=1).reshape(-1, *starts[0].shape[1:]), take(merit, every)
        stop = Stop(self.tolerance, self.max_steps, request.time_limit, request.callback)
        if problem.per_antenna:  # the multiplier is a diagonal matrix then, and W leaves the range
            solution = iterate(self.init(merit, W), self.step, stop, labels=every)
        else:
            basis = merit.span()
            solution = iterate(self.init(merit.within(basis), hermitian(basis) @ W), self.step, stop, labels=every)
            solution = attrs.evolve(solution, precoder=basis @ solution.precoder)
        return solution.best_of(len(starts), problem.sense)

    def _starts(self, merit: Merit, streams: int, request: Request) -> list[ComplexArray]:
        """The precoders to start from, each (B, N_t, K+S)."""
        if request.initial is not None:
            return [request.initial]
        if request.start is not None:
            return [start(merit, request.start, streams, request.rngs)]
        found = [start(merit, name, streams, request.rngs) for name in self.starts]
        antennas, users = merit.H.shape[-2:]
        if users > self.random_load * antennas:
            for seed in range(self.random_starts):
                # Without generators each member draws alike, so that it is the same alone or in a batch.
                rngs = request.rngs or [np.random.default_rng(seed) for _ in range(merit.members)]
                found.append(start(merit, "random", streams, rngs))
        return found

    def init(self, merit: Merit, W: ComplexArray) -> LbfgsState:
        """The state at the first precoders W (B, N, K+S)."""
        point = merit.evaluate(merit.project(W))
        fresh, memory = np.zeros(W.shape[0], bool), Memory.empty(self.memory, W)
        return self._state(merit, point, merit.slope(point), fresh, memory, merit.preconditioner(point), 0)

    def step(self, state: LbfgsState) -> LbfgsState:
        """One monotone iteration of every member."""
        merit = state.merit
        point, stuck = search(state, propose)
        gradient = merit.slope(point)
        s = merit.tangent(point.W, point.W - state.point.W)
        y = merit.tangent(point.W, state.gradient) - gradient
        memory = state.memory.push(s, y).forget(stuck)
        # A member that its memory has misled tries once more without.
        stalled = stuck & ~state.memory.inverses.any(axis=-1)
        old = state.count % REFRESH_EVERY or state.count > REFRESH_UNTIL
        inverse = state.inverse if old else merit.preconditioner(point)
        return self._state(merit, point, gradient, stalled, memory, inverse, state.count + 1)

    @staticmethod
    def _state(
        merit: Merit,
        point: Point,
        gradient: ComplexArray,
        stalled: BoolArray,
        memory: Memory,
        inverse: ComplexArray,
        count: int,
    ) -> LbfgsState:
        direction = merit.tangent(point.W, memory.times(gradient, inverse))
        slope = inner(gradient, direction)
        poor = ~(slope > 1e-10 * np.sqrt(frobenius2(gradient) * frobenius2(direction)))
        if poor.any():
            memory = memory.forget(poor)
            direction = np.where(poor[:, None, None], merit.tangent(point.W, inverse @ gradient), direction)
            slope = inner(gradient, direction)
        return LbfgsState(
            merit=merit,
            point=point,
            gradient=gradient,
            residual=merit.residual(point, gradient),
            stalled=stalled,
            memory=memory,
            inverse=inverse,
            direction=direction,
            slope=slope,
            count=count,
        )


def propose(state: LbfgsState, attempt: int) -> tuple[ComplexArray, FloatArray]:
    """A step along the direction, at most as long as W itself and 0.4 times the one before."""
    length = np.sqrt(frobenius2(state.direction))
    t = np.minimum(1.0, np.sqrt(state.merit.power) / np.maximum(length, np.finfo(float).tiny)) * 0.4**attempt
    return state.merit.project(state.point.W + t[:, None, None] * state.direction), t * state.slope
