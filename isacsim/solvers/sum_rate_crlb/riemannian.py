"""What the Riemannian solvers of `SumRateCrlb` share: coordinates, starts and preconditioner.

Every stationary precoder lies in the range of ``N = [H, V]``, since the stationarity
condition ``mu W = C_1 + (crlb_weight Q - rate_weight H Sigma_2 H^H) W`` with mu > 0 has only
columns of N on its right [Fang25, Sec. IV-C]. The iteration therefore runs in an
orthonormal basis of that range, where its cost knows nothing of the number of antennas, and on the surface of
full power (`isacsim.optimisation.riemannian`). It is preconditioned by the matrix of Theorem 1 of [Fang25] without Q::

    M = 2 (rate_weight H Sigma_2 H^H + mu I)
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import attrs
import numpy as np
from attrs import field, frozen

from isacsim.batch import take
from isacsim.checks import number, whole
from isacsim.hardware.loosened import Loosened
from isacsim.optimisation.riemannian import Memory
from isacsim.optimisation.surface import OnSurface
from isacsim.problems.band_sum_rate_crlb import BandSumRateCrlb
from isacsim.problems.sum_rate_crlb import SumRateCrlb
from isacsim.solvers.base import Request, Solver, not_differentiable, other_kind
from isacsim.solvers.iterate import Stop, iterate
from isacsim.solvers.solution import Solution, Status, placed
from isacsim.solvers.starts import drawn
from isacsim.solvers.sum_rate_crlb.band import BandMerit, not_over_a_band
from isacsim.solvers.sum_rate_crlb.hardware import HardwareMerit
from isacsim.solvers.sum_rate_crlb.merit import Merit
from isacsim.solvers.sum_rate_crlb.ridges import Ridge
from isacsim.solvers.sum_rate_crlb.starts import asked, start_names
from isacsim.solvers.sum_rate_crlb.states import RatedState
from isacsim.typing import ComplexArray

# Shares of independent noise in place of correlation, from which a ridge of full correlation is followed; how well
# each is solved, per share; and the most steps. Of an oracle's instance 1e-4 is within 2e-3 of the best known.
LOOSENED = (0.3, 0.03, 3e-3, 1e-4)
TRACKED = 1e-2
FOLLOWED = 300
RIDGES, ALONG = 25, 40  # times that chains join ridges or leave them, and the most steps between


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
    def remember(self, W: ComplexArray) -> Memory:
        """A memory of nothing, for steps of coordinates W (B, N, K+S)."""

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
        basis, merit, starts = merit.reduced(starts)
        solution = self._best(merit, starts, request)
        solution.decision["precoder"] = basis @ solution.precoder  # which nobody else has yet
        return solution

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
            found = self.climb(ridge, Z[:, None], stop)
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
        stop = Stop(self.tolerance, self.max_steps, request.time_limit, request.callback)
        return self.climb(merit, starts, stop)

    def climb(self, merit: OnSurface, W: ComplexArray, stop: Stop) -> Solution:
        """The best of what starts W (B, starts, N, K+S) lead to."""
        members, starts = W.shape[:2]
        origin, flat = np.repeat(np.arange(members), starts), W.reshape(-1, *W.shape[2:])
        state = RatedState.first(take(merit, origin) if starts > 1 else merit, flat, origin, self.remember(flat))
        return iterate(state, RatedState.step, stop, labels=origin).best_of(starts, SumRateCrlb.sense)

    def _starts(self, merit: Merit, streams: int, request: Request) -> ComplexArray:
        """The precoders to start from, (B, starts, N_t, K+S)."""
        found = asked(merit, self.starts, streams, request)
        (antennas, columns), users = merit.N.shape[-2:], merit.users
        hard = users > self.random_load * antennas or (merit.crlb_weight and streams < (columns - users) // 3)
        if not hard or request.initial is not None or request.start is not None:
            return found
        # Without generators each member draws alike, so that it is the same alone or in a batch.
        each = range(merit.members)
        rngs = (request.rngs or [np.random.default_rng(seed) for _ in each] for seed in range(self.random_starts))
        return np.concatenate([found, *(drawn(own, found.shape[2:])[:, None] for own in rngs)], axis=1)
