"""The saddle primal-dual Newton method, the default for `CrbMin`.

Where it starts, when it stops, and what becomes of a member that stalls; a step is that of
`isacsim.solvers.crb_min.newton_step`. Every iterate yields beams that meet all constraints and
a proven lower bound; the best of both bracket the optimum.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import attrs
import numpy as np
from attrs import field, frozen

from isacsim.batch import hermitian, hermitian_part, take
from isacsim.checks import number, whole
from isacsim.grid import Grid
from isacsim.problems.crb_min import CrbMin
from isacsim.solvers.base import Request
from isacsim.solvers.crb_min.base import CrbMinSolver, certified
from isacsim.solvers.crb_min.dual import evaluate
from isacsim.solvers.crb_min.dual_newton import DualNewton
from isacsim.solvers.crb_min.ipm import RIpm, judged
from isacsim.solvers.crb_min.newton_step import NewtonState, beams_at, newton_step
from isacsim.solvers.crb_min.recovery import Beams, cheapest
from isacsim.solvers.crb_min.reduction import Reduced
from isacsim.solvers.crb_min.white import white_beams
from isacsim.solvers.iterate import Stop, iterate
from isacsim.solvers.solution import Solution, Status
from isacsim.solvers.sqinr.group import Feasibility, Group
from isacsim.solvers.sqinr.least_power import ROUNDING
from isacsim.typing import BoolArray, ComplexArray, FloatArray

FIRST_BARRIER = 0.1  # weight of the first barrier, relative to the objective


@frozen
class PrimalDualNewton(CrbMinSolver):
    """Saddle primal-dual Newton method in the r^2 + 1 unknowns of the dual, certified.

    Some ten steps to a proven gap of 1e-8, batched over realisations. A member whose gap does
    not close is handed to ``r-ipm``, and if that does not close it either, it is told as
    stalled, with its bracket. Where the white covariance meets every SINR it is the answer.
    Within some 1e-6 of the least power the rounding of the SINRs, of 1e-14, shows in the objective,
    and the gap may stay open at that. Behind converters ``dual-newton`` does the work, with the same
    tolerance, steps and patience. Derived in docs/derivations/primal-dual-newton.

    Args:
        tolerance: Relative duality gap at which a member is optimal.
        max_steps: Largest number of steps.
        patience: Steps without a fall of the gap by 30 % after which a member has stalled.
        fallback: Largest number of users for which a member that stalls is handed to ``r-ipm``,
            whose time rises with a high power of it; 0 is never.
    """

    tolerance: float = field(default=1e-8, validator=number(above=0))
    max_steps: int = field(default=80, validator=whole(1))
    patience: int = field(default=20, validator=whole(1))
    fallback: int = field(default=12, validator=whole(0))

    white: ClassVar[Callable[[Reduced], tuple[Beams, BoolArray]]] = white_beams

    @property
    def behind_converters(self) -> DualNewton:
        """What solves a problem whose hardware is not ideal."""
        return DualNewton(self.tolerance, self.max_steps, self.patience)

    def takes(self, problem: CrbMin) -> str | None:
        """Nothing, or a sentence why not: hardware that is none of `isacsim.solvers.sqinr.converters`."""
        return self.behind_converters.takes(problem)

    def solve(self, problem: CrbMin, request: Request) -> Solution:
        """The solution of a flat batch, for the hardware designed for."""
        if problem.transceiver.is_ideal:
            return super().solve(problem, request)
        return self.behind_converters.solve(problem, request)

    def over_band(
        self, through: CrbMin, met: ComplexArray, grid: Grid, total: float, unlike: ComplexArray | None
    ) -> Solution | None:
        """What `DualNewton.over_band` finds."""
        return self.behind_converters.over_band(through, met, grid, total, unlike)

    def optimise(self, group: Group, request: Request) -> Solution:
        """Newton steps, chunk by chunk."""
        reduced, least = group.system, group.feasible
        start = cheapest(reduced, least.multipliers)
        stop = Stop(self.tolerance, self.max_steps, request.time_limit, request.callback)
        solution = iterate(self.init(reduced, start, least), self.step, stop, Status.OPTIMAL, group.places)
        if reduced.users <= self.fallback:
            for i in np.flatnonzero([status is Status.STALLED for status in solution.status]):
                solution = self._rescued(reduced, start, solution, int(i), request)
        return attrs.evolve(solution, residual=np.full(group.places.size, np.nan))

    def _rescued(self, reduced: Reduced, start: Beams, solution: Solution, i: int, request: Request) -> Solution:
        """The solution with member i improved by what ``r-ipm`` finds, and by Newton steps from there."""
        one, W = take(reduced, np.array([i])), solution.precoder[[i]]
        sensing = W[..., reduced.users :]
        beams = Beams(W[..., : reduced.users], sensing @ hermitian(sensing), solution.objective[[i]])
        spectrum, U = np.linalg.eigh(W[0] @ np.conj(W[0]).T)
        # Directions that hardly radiate keep a part, without which the scaled program would be singular.
        answer, told = RIpm().ask(one, U * np.sqrt(np.maximum(spectrum, 1e-12 * spectrum[-1])))
        handed = f"handed to r-ipm after {solution.iterations[i]} steps" + ("" if answer else ", which had no answer")
        names = ("precoder", "objective", "bound", "status", "notes")
        arrays = {name: getattr(solution, name).copy() for name in names}
        arrays["notes"][i] = (handed, told) if told else (handed,)
        if answer is not None:
            found, dual, _ = judged(one, answer, take(start, np.array([i])))
            beams = beams.better(found)
            bound = np.fmax(solution.bound[[i]], dual.bound)
            gap = np.maximum(beams.objective / bound - 1, self.tolerance)
            S = beams.users @ hermitian(beams.users) + beams.sensing
            eps = gap * beams.objective / one.rank
            state = NewtonState.first(one, dual, S, eps, (beams, bound), self.patience)
            stop = Stop(self.tolerance, self.max_steps, request.time_limit)
            other = certified(one, iterate(state, self.step, stop, Status.OPTIMAL), self.tolerance)
            for name in names[:-1]:
                arrays[name][i] = getattr(other, name)[0]
        return attrs.evolve(solution, **arrays)

    def chunk(self, reduced: Reduced) -> int:
        """Members that go through the caches together."""
        r = reduced.rank
        return 400 if r <= 6 else 200 if r <= 9 else max(4, int(4e5 / r**4))

    def init(self, reduced: Reduced, start: Beams, least: Feasibility) -> NewtonState:
        """The state at the best point on the ray of the least power: M = t (I + H diag(lambda) H^H)."""
        N, r = reduced.antennas, reduced.rank
        M = hermitian_part(np.eye(r) + (reduced.H * least.multipliers[:, None, :]) @ reduced.HH)
        L = np.asarray(np.linalg.cholesky(M), complex)
        value = np.maximum(N, evaluate(reduced, L, np.ones(len(L))).bound)  # what the least power alone proves
        eps = FIRST_BARRIER * value / r
        mu, t = _on_the_ray(least.power, N, r, eps)
        dual = evaluate(reduced, L * np.sqrt(t)[:, None, None], mu)
        E = np.asarray(eps[:, None, None] * np.eye(r), complex)
        first = beams_at(reduced, dual, E)
        R = first.users @ hermitian(first.users) + first.sensing
        fits = np.isfinite(first.objective)[:, None, None]
        R = np.where(fits, hermitian_part(R), np.eye(r) / np.sqrt(np.maximum(mu - t, 1e-12))[:, None, None])
        bound = np.maximum(dual.bound, value)
        return NewtonState.first(reduced, dual, R, eps, (first.better(start), bound), self.patience)

    def step(self, state: NewtonState) -> NewtonState:
        """One step of all members."""
        return newton_step(state, self.tolerance)


def _on_the_ray(power: FloatArray, N: int, r: int, eps: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The mu and t that maximise dual and barrier for Q = q I, mu = q + t: bisection on mu^-1/2."""
    power = np.minimum(power, N * (1 - ROUNDING))  # at the least power itself mu is infinite
    low, high = np.zeros_like(power), np.ones_like(power)
    if r < N:
        high = np.minimum(high, (N - power) / (N - r))

    def gap(w: FloatArray) -> FloatArray:
        u = (N - (N - r) * w) / r  # q^-1/2
        return 1 / w**2 - 1 / u**2

    for _ in range(30):  # to 1e-9 of where the root can be, which is close enough to start
        w = (low + high) / 2
        t = gap(w)
        slope = (N - r) * w + eps * r / np.where(t > 0, t, 1.0) - (N - power)
        above = (t <= 0) | (slope > 0)
        low, high = np.where(above, low, w), np.where(above, w, high)
    w = (low + high) / 2
    return 1 / w**2, np.maximum(gap(w), 1e-12)
