"""What the Riemannian solvers of `SumRateCrlb` share: coordinates, starts, line search and preconditioner.

Every stationary precoder lies in the range of ``N = [H, V]``, since the stationarity
condition ``mu W = C_1 + (crlb_weight Q - rate_weight H Sigma_2 H^H) W`` with mu > 0 has only
columns of N on its right [Fang25, Sec. IV-C]. The iteration therefore runs in an
orthonormal basis of that range, where its cost knows nothing of the number of antennas,
and on the surface of full power: gradients are projected onto its tangent space, steps are scaled back to
it, and curvature pairs are plain differences. It is preconditioned by the matrix of Theorem 1 of [Fang25] without Q::

    M = 2 (rate_weight H Sigma_2 H^H + mu I)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import attrs
import numpy as np
from attrs import field, frozen

from isacsim.batch import dot, hermitian, real_vectors, replaced, rows, take
from isacsim.checks import number, whole
from isacsim.optimisation.riemannian import OnSurface
from isacsim.optimisation.search import Line, search
from isacsim.problems.band_sum_rate_crlb import BandSumRateCrlb
from isacsim.problems.sum_rate_crlb import SumRateCrlb
from isacsim.solvers.base import Request, Solver, not_differentiable, other_kind
from isacsim.solvers.iterate import Stop, iterate
from isacsim.solvers.solution import Solution, Status, placed
from isacsim.solvers.starts import drawn
from isacsim.solvers.sum_rate_crlb.band import BandMerit, not_over_a_band
from isacsim.solvers.sum_rate_crlb.hardware import HardwareMerit, Loosened
from isacsim.solvers.sum_rate_crlb.merit import Merit
from isacsim.solvers.sum_rate_crlb.ridges import Ridge
from isacsim.solvers.sum_rate_crlb.rivals import RENEW_EVERY, beaten
from isacsim.solvers.sum_rate_crlb.starts import start_all, start_names
from isacsim.solvers.sum_rate_crlb.states import PointState
from isacsim.typing import BoolArray, ComplexArray, FloatArray, IntArray

# Shares of independent noise in place of correlation, from which a ridge of full correlation is followed; how well
# each is solved, per share; and the most steps. Of an oracle's instance 1e-4 is within 2e-3 of the best known.
LOOSENED = (0.3, 0.03, 3e-3, 1e-4)
TRACKED = 1e-2
FOLLOWED = 300
RIDGES, ALONG = 25, 40  # times that chains join ridges or leave them, and the most steps between


class Memory(ABC):
    """What a solver remembers of the former steps of B members, to choose its directions by.

    Precoders, steps and gradients are real vectors here, (B, 2 N (K+S)).
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
class RiemannianState(PointState):
    """Iterates of B members, with the direction of the next search."""

    line: Line
    origin: IntArray = rows()  # index of the problem that a member is a start of
    gradient: FloatArray = rows(1)  # of the objective, along the surface of full power, as a real vector
    memory: Memory
    preconditioner: ComplexArray = rows(2)  # M^-1
    count: int


@frozen
class RiemannianSolver(Solver):
    """What `riemannian-lbfgs` and `riemannian-cg` share: their options, and one iteration.

    Args:
        tolerance: Relative KKT residual at which a member has converged.
        max_steps: Largest number of iterations.
        starts: Names of the starts: ``mrt``, ``rzf``, ``selected``, ``random``, ``published`` or
            ``fang25``.
        random_load: Load K / N_t above which random starts join; they also do with fewer
            streams than targets.
        random_starts: Number of random starts that join.
    """

    problems: ClassVar[tuple[str, ...]] = ("sum-rate-crlb", "band-sum-rate-crlb")
    guarantee: ClassVar[str] = "stationary, the best of several starts"

    tolerance: float = field(default=1e-5, validator=number(above=0))
    max_steps: int = field(default=2000, validator=whole(1))
    starts: tuple[str, ...] = field(default=("mrt", "rzf", "selected"), converter=start_names)
    random_load: float = field(default=0.3, validator=number(least=0))
    random_starts: int = field(default=14, validator=whole(0))

    def takes(self, problem: Any) -> str | None:
        """Nothing, or a sentence why not: hardware without a derivative, or whose antenna powers hang together."""
        return other_kind(self, problem) or not_differentiable(problem) or not_over_a_band(problem)

    @abstractmethod
    def remember(self, gradient: FloatArray) -> Memory:
        """A memory of nothing, for vectors like the gradients (B, 2 N (K+S))."""

    def solve(self, problem: SumRateCrlb | BandSumRateCrlb, request: Request) -> Solution:
        """Iterate all starts of all members as one batch, and keep the best of each."""
        if isinstance(problem, BandSumRateCrlb):
            return self._over_band(problem, request)
        if not (problem.transceiver.is_ideal and problem.channels_known):
            return self._behind_hardware(problem, request)
        merit = Merit.of(problem)
        starts = self._starts(merit, problem.streams, request)
        merit = merit.relevant()
        if problem.per_antenna:  # there W leaves the range: the multiplier is a matrix
            return self._best(merit, starts, request)
        onto, merit = merit.reduced()
        solution = self._best(merit, onto[:, None] @ starts, request)
        return replaced(solution, decision={"precoder": hermitian(onto) @ solution.precoder})

    def _behind_hardware(self, problem: SumRateCrlb, request: Request) -> Solution:
        """The solution over the whole array: the gradient of distortion leaves the range of [H, V].

        Exact models of converters have no derivative where two chains are correlated as far as can be, and a
        member that is drawn there stalls anywhere along that ridge. It is followed from chains that are less so,
        and the better of both goes on along the ridges that it is on (`isacsim.solvers.sum_rate_crlb.ridges`).
        """
        solution = self._from(problem, request)
        lost = solution.ended(Status.STALLED)
        antennas = problem.H.shape[-2]
        if not lost.any() or problem.transceiver.transmit.linear_model(np.eye(antennas, dtype=complex)).diagonal:
            return solution
        rest, stalled = take(problem, lost), solution.take(lost)
        followed = self._followed(rest, stalled, request)
        better = followed.objective > stalled.objective
        there = placed(followed.take(better), better, stalled) if better.any() else stalled
        return placed(self._along_ridges(rest, there, request), lost, solution)

    def _followed(self, rest: SumRateCrlb, there: Solution, request: Request) -> Solution:
        """What stalled members lead to from chains that are less correlated."""
        for share in (*LOOSENED, 0.0):
            transmit = Loosened(rest.transceiver.transmit, share) if share else rest.transceiver.transmit
            easier = attrs.evolve(self, tolerance=max(self.tolerance, TRACKED * share), max_steps=FOLLOWED)
            here = attrs.evolve(rest, transceiver=attrs.evolve(rest.transceiver, transmit=transmit))
            found = easier._from(here, attrs.evolve(request, initial=there.precoder, start=None))
            there = attrs.evolve(found, iterations=there.iterations + found.iterations)
        return there

    def _along_ridges(self, problem: SumRateCrlb, solution: Solution, request: Request) -> Solution:
        """Members of a solution taken on along their ridges, which more chains join and which they leave for better."""
        for _ in range(RIDGES):
            lost = solution.ended(Status.STALLED, Status.MAX_STEPS)
            if not lost.any():
                break
            merit, there = HardwareMerit.of(take(problem, lost)), solution.take(lost)
            Z = merit.surface.coordinates(there.precoder)
            ridge = Ridge.at_precoders(merit, Z)
            stop = Stop(self.tolerance, ALONG, request.time_limit, request.callback)
            found = self.climb(ridge, Z, np.arange(ridge.members), stop)
            Z, leaves = ridge.left(found.precoder)
            steps = there.iterations + found.iterations
            found = attrs.evolve(found, precoder=merit.precoder(Z), iterations=steps)
            solution = placed(found.marked(leaves, Status.STALLED), lost, solution)
        return solution

    def _from(self, problem: SumRateCrlb, request: Request) -> Solution:
        """The best that the starts lead to behind hardware."""
        merit = HardwareMerit.of(problem)
        starts = self._starts(merit.ideal, problem.streams, request).swapaxes(0, 1)
        if request.initial is not None:
            starts = merit.surface.coordinates(starts)
        else:
            starts = np.stack([merit.driven(merit.ideal.project(Z)) for Z in starts])
        solution = self._best(merit, starts.swapaxes(0, 1), request)
        return attrs.evolve(solution, precoder=merit.precoder(solution.precoder))

    def _over_band(self, problem: BandSumRateCrlb, request: Request) -> Solution:
        """The best that the starts lead to, all subcarriers in one."""
        merit = BandMerit.of(problem)
        if request.initial is not None:
            starts = [merit.stacked(request.initial[:, : merit.blocks])]
        elif request.start is not None:
            starts = [merit.start(request.start, request)]
        else:
            starts = [merit.start(name, request) for name in self.starts]
            if problem.rate_weight and problem.users > self.random_load * problem.H.shape[-2]:
                # Of random starts of a whole band each would be bad somewhere: each subcarrier gets its own best.
                alone = attrs.evolve(problem.subcarriers(), crlb_weight=0.0, sensing_streams=0)
                mine = attrs.evolve(request, rngs=merit.spawned(request.rngs), callback=None)
                starts.append(merit.around(self.solve(alone, mine).precoder))
            starts = [merit.driven(Z) for Z in starts]
        solution = self._best(merit, np.stack(starts, axis=1), request)
        return attrs.evolve(solution, precoder=merit.precoder(solution.precoder))

    def _best(self, merit: OnSurface, starts: ComplexArray, request: Request) -> Solution:
        """The best of what all starts (B, starts, N, K+S) lead to, as coordinates of the merit."""
        every = np.repeat(np.arange(merit.members), starts.shape[1])
        stop = Stop(self.tolerance, self.max_steps, request.time_limit, request.callback)
        return self.climb(merit, starts.reshape(-1, *starts.shape[2:]), every, stop)

    def climb(self, merit: OnSurface, W: ComplexArray, origin: IntArray, stop: Stop) -> Solution:
        """The best of what precoders W (B, N, K+S) lead to, starts of the problems ``origin`` (B,)."""
        members = merit.members
        state = self.init(take(merit, origin) if len(origin) > members else merit, W, origin)
        return iterate(state, self.step, stop, labels=origin).best_of(len(origin) // members, SumRateCrlb.sense)

    def _starts(self, merit: Merit, streams: int, request: Request) -> ComplexArray:
        """The precoders to start from, (B, starts, N_t, K+S)."""
        if request.initial is not None:
            return request.initial[:, None]
        names = self.starts if request.start is None else (request.start,)
        found = start_all(merit, names, streams, request.rngs)
        (antennas, columns), users = merit.N.shape[-2:], merit.users
        few = users > self.random_load * antennas or (merit.crlb_weight and streams < (columns - users) // 3)
        if not few or request.start is not None:
            return found
        # Without generators each member draws alike, so that it is the same alone or in a batch.
        each = range(merit.members)
        rngs = (request.rngs or [np.random.default_rng(seed) for _ in each] for seed in range(self.random_starts))
        return np.concatenate([found, *(drawn(own, found.shape[2:])[:, None] for own in rngs)], axis=1)

    def init(self, merit: OnSurface, W: ComplexArray, origin: IntArray) -> RiemannianState:
        """The state at the first precoders W (B, N, K+S), starts of the problems ``origin`` (B,)."""
        point = merit.evaluate(merit.project(W))
        gradient, stalled = real_vectors(merit.slope(point)), beaten(point, np.ones(len(origin)), origin, np.inf)
        return ready(merit, origin, point, gradient, stalled, self.remember(gradient), merit.preconditioner(point), 0)

    def step(self, state: RiemannianState) -> RiemannianState:
        """One monotone iteration of every member."""
        merit, before, count = state.line.merit, state.point, state.count + 1
        point, stuck = search(state.line, Line.propose, before)
        gradient = real_vectors(merit.slope(point))
        renew = count % RENEW_EVERY == 0
        preconditioner = merit.preconditioner(point) if renew else state.preconditioner
        step = real_vectors(point.W - before.W)  # what leaves the surface is of higher order, as it is in the change
        memory, stalled = state.memory.push(step, state.gradient - gradient, preconditioner), stuck
        if np.count_nonzero(stuck):  # a member that its memory has misled tries once more without
            memory, stalled = memory.forget(stuck), stuck & state.memory.empty
        if renew:
            stalled = stalled | beaten(point, state.line.slope, state.origin)
        return ready(merit, state.origin, point, gradient, stalled, memory, preconditioner, count)


def ready(
    merit: OnSurface,
    origin: IntArray,
    point: Any,
    gradient: FloatArray,
    stalled: BoolArray,
    memory: Memory,
    preconditioner: ComplexArray,
    count: int,
) -> RiemannianState:
    """The state at a point, with an ascent direction, which may leave the tangent space."""
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
    return RiemannianState(
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


def times(preconditioner: ComplexArray, vectors: FloatArray) -> FloatArray:
    """M^-1, blocks (B, blocks N, N) one above the other, times what real vectors (B, 2 blocks N (K+S)) stand for."""
    members, rows, side = preconditioner.shape
    blocks = preconditioner.reshape(members, rows // side, side, side)
    products = blocks @ vectors.view(complex).reshape(members, rows // side, side, -1)
    return real_vectors(products.reshape(members, rows, -1))
