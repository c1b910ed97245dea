"""Newton's method on the dual of `CrbMin` behind converters.

M of `isacsim.solvers.crb_min.homogeneous` is ascended along ``dM = L Y L^H`` with a barrier, ``X(M) + eps
log det M``. Its partner E, the sensing covariance on the range (E M = eps I), is an iterate of its own: in
coordinates in which M is the identity the Newton matrix takes E in the place of eps I, which is what lets eps
fall by orders of magnitude a step. A predictor without the barrier tells by how much. The
step is accepted where barrier and dual rise together, so that no iterate leaves the domain.
"""

from __future__ import annotations

from typing import Any, ClassVar

import attrs
import numpy as np
from attrs import field, frozen

from isacsim.batch import hermitian, hermitian_part, put, rows, take
from isacsim.checks import number, whole
from isacsim.grid import Grid
from isacsim.hardware.converters import distortion_ratios, not_converters
from isacsim.linalg.hermitian import coordinates, dyads, matrices, upper_entries, weighted_congruence
from isacsim.linalg.stacked import Border, from_spectrum, solved, trace, way_inside
from isacsim.problems.crb_min import CrbMin
from isacsim.solvers.base import Request, other_kind
from isacsim.solvers.crb_min.band import Band, BandChains, kept_over_band, none_over_band, told_over_band
from isacsim.solvers.crb_min.homogeneous import (
    Homogeneous,
    HomogeneousDual,
    ResponseBound,
    beams_at,
    evaluate,
    portions,
    unconstrained_beams,
)
from isacsim.solvers.crb_min.recovery import Beams
from isacsim.solvers.iterate import Stop, iterate
from isacsim.solvers.solution import Solution, Status
from isacsim.solvers.sqinr.group import Group
from isacsim.solvers.sqinr.least_power import ROUNDING
from isacsim.solvers.sqinr.pipeline import SystemSolver, trusted
from isacsim.solvers.sqinr.system import groups
from isacsim.typing import BoolArray, ComplexArray, FloatArray, IntArray

FIRST_BARRIER = 0.1  # weight of the first barrier, relative to X / r
LENGTHS = 10.0 ** np.arange(-4, 0.1, 0.5)  # of the start, relative to the longest, of which the best counts
NEAR = 0.1  # share of its smallest eigenvalue that Q keeps in a step: a root has no slope to turn back by at 0
TRIALS = 12  # halvings of a step
ARMIJO = 1e-4  # share of the promised increase that a step must deliver
SPREAD = 100.0  # by how much the eigenvalues of E may differ from eps
CAUTION = 0.3  # least weight of the barrier, relative to how much X could still rise by centring
LAST_BARRIER = 0.05  # smallest weight of the barrier, relative to what the tolerance allows


@frozen(eq=False)
class DualState:
    """Iterates of B members."""

    traced: ClassVar[tuple[str, ...]] = ("bound",)

    problem: Homogeneous
    dual: HomogeneousDual
    E: ComplexArray = rows(2)  #: In coordinates in which M is the identity, (B, r, r)
    eps: FloatArray = rows()
    beams: Beams = field()  #: The best so far
    bound: FloatArray = rows()  #: The best so far
    failures: FloatArray = rows()  #: Steps in a row that found no ascent
    idle: FloatArray = rows()  #: Steps since the gap last fell by a good part
    reference: FloatArray = rows()  #: That gap
    patience: int = field()

    @property
    def precoder(self) -> ComplexArray:
        """Precoders (B, N, K+N) in the coordinates of the system."""
        return self.problem.precoder(self.beams)

    @property
    def objective(self) -> FloatArray:
        """Objectives of the best beams; of members that have none yet a number that is no less."""
        return np.where(np.isfinite(self.beams.objective), self.beams.objective, np.finfo(float).max)

    @property
    def residual(self) -> FloatArray:
        """The relative duality gap."""
        return np.asarray(self.objective / self.bound - 1)

    @property
    def stalled(self) -> BoolArray:
        """Which members get no further."""
        return np.asarray((self.failures >= 3) | (self.idle >= self.patience))


@frozen(eq=False)
class Equations:
    """The Newton system at a dual point; the directions Y are vectors of `isacsim.linalg.hermitian`."""

    L: ComplexArray = rows(2)  #: Factor of M, turned so that what multiplies Y^2 is diagonal
    E: ComplexArray = rows(2)  #: In its coordinates
    matrix: FloatArray = rows(2)  #: (B, r^2, r^2)
    slope: FloatArray = rows(1)  #: Gradient of X, (B, r^2)
    border: Border | None = None  #: What couples the members, where they are the subcarriers of a band

    def direction(self, right: FloatArray) -> ComplexArray:
        """Y (B, r, r) for a right side (B, r^2); NaN where the matrix is singular."""
        return matrices(solved(self.matrix, right) if self.border is None else self.border.solved(self.matrix, right))


def equations(problem: Homogeneous, state: DualState) -> Equations:
    """The second-order model of ``X + eps log det M`` at a state, with E in the place of eps I.

    X is a trace of Q^1/2, whose second derivative has the weights ``1 / (a b (a + b))`` for eigenvalues
    a^2 and b^2 of Q, and Q changes by ``sum_k (v_k^H dM v_k) B_k / c_k - U dM U^H``. The s_k bend with
    ``2 [ (v_k^H dM v_k)^2 / s_k - v_k^H dM M^-1 dM v_k ]``.
    """
    dual, r = state.dual, problem.rank
    roots, VH = np.sqrt(dual.spectrum), hermitian(dual.V)
    prices = problem.drawn(dual.R) / problem.ratio  # p_k, of all that constraint k draws
    bent = (dual.beams * prices[:, None, :]) @ hermitian(dual.beams)
    sizes, turn = np.linalg.eigh(hermitian_part(bent + state.E))
    outer, beams = VH @ (problem.basis @ (dual.L @ turn)), hermitian(turn) @ dual.beams
    gradient = hermitian(turn) @ bent @ turn - (hermitian(outer) / roots[:, None, :]) @ outer
    seen = dyads(beams)  # (B, r^2, K)
    weights = 1 / (roots[:, :, None] * roots[:, None, :] * (roots[:, :, None] + roots[:, None, :]))
    both, pulled = _bent_by_prices(problem, VH, dual.V, weights, outer)
    both -= np.eye(both.shape[-1]) * (prices / dual.s)[:, None, :]
    across = (seen @ both - pulled) @ np.swapaxes(seen, -1, -2)
    A = (across + np.swapaxes(across, -1, -2) + weighted_congruence(outer, weights)) / 2
    i, j = upper_entries(r)
    above, at = (sizes[:, i] + sizes[:, j]) / 2, np.arange(r * r)
    A[:, at, at] += np.concatenate([sizes, above, above], axis=-1)
    E, slope = hermitian_part(hermitian(turn) @ state.E @ turn), coordinates(hermitian_part(gradient)) / 2
    return Equations(dual.L @ turn, E, A, slope, problem.border(VH, weights, outer, seen))


def _bent_by_prices(
    problem: Homogeneous, VH: ComplexArray, V: ComplexArray, weights: FloatArray, outer: ComplexArray
) -> tuple[FloatArray, FloatArray]:
    """Second derivative of X by what the beams draw, (B, K, K), and by that and M, (B, r^2, K), member after member."""
    (antennas, users), r = problem.H.shape[-2:], problem.rank
    both, pulled = np.empty((len(V), users, users)), np.empty((len(V), r * r, users))
    for part in portions(len(V), users * antennas**2):
        B = _prices(problem, part, VH[part], V[part])
        weighed, flat = weights[part, None] * B, (*B.shape[:2], -1)
        both[part] = weighed.view(float).reshape(flat) @ B.view(float).reshape(flat).swapaxes(-1, -2) / 2
        turned = hermitian(outer[part])[:, None] @ weighed @ outer[part, None]
        pulled[part] = coordinates(turned).swapaxes(-1, -2)
    return both, pulled


def _prices(problem: Homogeneous, part: slice, VH: ComplexArray, V: ComplexArray) -> ComplexArray:
    """``B_k / c_k`` of some members in the eigenbasis V of Q, (b, K, N, N)."""
    H, load, ratio = (x if len(x) == 1 else x[part] for x in (problem.H, problem.load, problem.ratio))
    h = np.ascontiguousarray((VH @ H / np.sqrt(ratio)[:, None, :]).swapaxes(-1, -2))
    loads = np.ascontiguousarray((load / ratio[:, None, :]).swapaxes(-1, -2))
    B = (VH[:, None] * loads[:, :, None, :]) @ V[:, None]
    B += h[..., :, None] * np.conj(h)[..., None, :]
    return B


def dual_step(state: DualState, tolerance: float) -> DualState:
    """One predictor, one corrector and one search of all members; ``tolerance`` is the gap that is aimed at."""
    problem, r = state.problem, state.problem.dimensions
    system, one = equations(problem, state), np.eye(problem.rank)
    predicted = system.direction(system.slope)
    rate = -system.E - hermitian_part(system.E @ predicted)
    whole, part = np.broadcast_to(one.astype(complex), predicted.shape), problem.boundary
    reach = problem.least(np.minimum(way_inside(predicted, whole, part), way_inside(rate, system.E, part)))
    floor = LAST_BARRIER * tolerance * problem.total(state.dual.X) / r
    eps = np.clip((1 - reach) ** 2, 0.01, 1.0) * problem.total(trace(system.E)) / r
    off = system.slope + coordinates(system.E)  # 0 on the central path
    astray = -problem.least(-(off * coordinates(system.direction(off))).sum(axis=-1))
    eps = np.maximum(np.minimum(np.maximum(eps, CAUTION * astray / problem.rank), 4 * state.eps), floor)
    target = eps[:, None, None] * one
    bend = (reach**2)[:, None, None] * hermitian_part(rate @ predicted)
    slope = system.slope + coordinates(target)
    Y = system.direction(slope - coordinates(bend))
    uphill = problem.total((slope * coordinates(Y)).sum(axis=-1)) > 0
    plain = system.direction(slope)
    Y, bend = np.where(uphill[:, None, None], Y, plain), np.where(uphill[:, None, None], bend, 0.0)
    rise = problem.total((slope * coordinates(Y)).sum(axis=-1))
    dual, length = _search(state, system, Y, eps, rise)
    change = target - system.E - hermitian_part(system.E @ Y) - bend
    good = length > 0
    E = np.where(good[:, None, None], _moved(system, Y, length, change, eps, part), target)
    beams = state.beams.better(beams_at(problem, dual, E))
    bound = np.maximum(state.bound, dual.bound)
    gap = beams.objective / bound - 1
    improved = gap <= 0.7 * state.reference
    return attrs.evolve(
        state, dual=dual, E=E, eps=eps, beams=beams, bound=bound,
        failures=np.where(good, 0, state.failures + 1), idle=np.where(improved, 0, state.idle + 1),
        reference=np.where(improved, gap, state.reference),
    )  # fmt: skip


def _search(
    state: DualState, system: Equations, Y: ComplexArray, eps: FloatArray, rise: FloatArray
) -> tuple[HomogeneousDual, FloatArray]:
    """The dual after the step, halved until it pays, and its length; 0 of members that stay where they are."""
    one = np.broadcast_to(np.eye(Y.shape[-1], dtype=complex), Y.shape)
    length = np.where(rise > 0, state.problem.least(way_inside(Y, one, state.problem.boundary)), 0.0)
    spectrum, W = np.linalg.eigh(np.where((length > 0)[:, None, None], Y, 0.0))
    turned, dual, todo = system.L @ W, state.dual, np.flatnonzero(length > 0)
    for _ in range(TRIALS):
        if not todo.size:
            break
        sizes = 1 + length[todo, None] * spectrum[todo]
        here = take(state.problem, todo)
        trial = evaluate(here, turned[todo] * np.sqrt(sizes)[:, None, :])
        gained = here.total(trial.X - state.dual.X[todo] + eps[todo] * np.log(sizes).sum(axis=-1))
        # Below the rounding of X an increase cannot be seen.
        pays = gained >= ARMIJO * length[todo] * rise[todo] - 1e-15 * here.total(state.dual.X[todo])
        pays &= here.least(trial.spectrum[:, 0] >= NEAR * state.dual.spectrum[todo, 0])
        if pays.any():
            dual = put(dual, todo[pays], take(trial, pays))
        todo = todo[~pays]
        length[todo] /= 2
    length[todo] = 0.0
    return dual, length


def _moved(
    system: Equations, Y: ComplexArray, length: FloatArray, change: ComplexArray, eps: FloatArray, part: float
) -> ComplexArray:
    """E after its own step, near eps I, in the coordinates of the M that a step of ``length`` leads to."""
    sound = np.isfinite(change).all(axis=(-2, -1)) & (length > 0)
    Y, change = (np.where(sound[:, None, None], X, 0.0) for X in (Y, change))
    E = system.E + way_inside(change, system.E, part)[:, None, None] * change
    spectrum, W = np.linalg.eigh(Y)
    sizes = np.sqrt(1 + length[:, None] * spectrum)
    E = hermitian_part(sizes[:, :, None] * (hermitian(W) @ E @ W) * sizes[:, None, :])
    spectrum, U = np.linalg.eigh(E)
    spectrum = np.clip(spectrum, eps[:, None] / SPREAD, eps[:, None] * SPREAD)
    return hermitian_part(from_spectrum(U, spectrum))


@frozen
class DualNewton(SystemSolver):
    """Newton's method on the dual of the problem behind converters, in min(K, N_t)^2 unknowns, certified.

    It takes what `primal-dual-newton` hands it: converters of any resolution on all sides. Ideal ones are the
    limit of many bits, which it takes as well.

    Args:
        tolerance: Relative duality gap at which a member is optimal.
        max_steps: Largest number of steps.
        patience: Steps without a fall of the gap by 30 % after which a member has stalled.
    """

    problems: ClassVar[tuple[str, ...]] = ("crb-min",)
    guarantee: ClassVar[str] = "global, within a proven gap"
    starts: ClassVar[bool] = False

    tolerance: float = field(default=1e-8, validator=number(above=0))
    max_steps: int = field(default=80, validator=whole(1))
    patience: int = field(default=20, validator=whole(1))

    def takes(self, problem: Any) -> str | None:
        """Nothing, or a sentence why not: hardware that is none of `isacsim.hardware.converters`."""
        if told := other_kind(self, problem):
            return told
        chains = {"transmit": problem.H.shape[-2], "receive": problem.receivers, "user": problem.users}
        return not_converters(problem.transceiver, chains)

    def groups(self, problem: CrbMin) -> list[Group]:
        """The members, which all have K users."""
        members, receivers = len(problem.H), problem.receivers
        _, receive = distortion_ratios(problem.transceiver.receive, receivers, "transceiver.receive")
        power, thermal = np.broadcast_to(problem.power, (members,)), problem.radar_noise_power
        echo = np.broadcast_to(problem.power * problem.response_variance / thermal, (members,))

        def objective(at: IntArray, lengths: FloatArray, transmit: FloatArray) -> ResponseBound:
            # A chain's power 1 + e times that of its signal: the share e of it is distortion.
            noise = 1 + receive.mean() + echo[at, None] * (receive.mean() + transmit / (1 + transmit))
            return ResponseBound((1 + transmit) / power[at, None], noise)

        return groups(problem, problem.min_sinr, objective)

    def chunk(self, system: Any) -> int:
        """Members that go through the caches together: their largest array has N^2 K entries."""
        antennas, users = system.H.shape[-2:]
        return max(1, int(2e5 / (antennas**2 * max(users, 1))))

    def closed_form(self, group: Group) -> tuple[Group, Solution] | None:
        """The members whose ``R = diag(psi)^-1/2``, the optimum without SQINRs, meets every one of them."""
        problem = Homogeneous.of(group)
        free, found = unconstrained_beams(problem)
        if not found.any():
            return None
        group, V, best = take(group, found), problem.precoder(free)[found], free.objective[found]
        notes = ["what is optimal without SINRs meets every one of them"] * group.places.size
        return group, Solution.resting(V, Status.OPTIMAL, notes, objective=best, bound=best, gap=0.0)

    def optimise(self, group: Group, request: Request) -> Solution:
        """Newton steps from the best point on the ray of the least power."""
        stop = Stop(self.tolerance, self.max_steps, request.time_limit, request.callback)
        state = self.init(Homogeneous.of(group), group.feasible.multipliers, group.feasible.power)
        solution = iterate(state, self.step, stop, Status.OPTIMAL, group.places)
        return attrs.evolve(solution, residual=np.full(group.places.size, np.nan))

    def init(self, problem: Homogeneous, multipliers: FloatArray, least: FloatArray) -> DualState:
        """The state at the best of some points on the ray of the least power (B,), with its multipliers (B, K)."""
        M, longest = problem.start(multipliers, least)
        factor, r = np.linalg.cholesky(M), problem.dimensions
        tried = [evaluate(problem, factor * np.sqrt(t * longest)[:, None, None]) for t in LENGTHS * (1 - 1e-3)]
        totals = [problem.total(d.X) for d in tried]
        scores = np.array([X + FIRST_BARRIER * X * np.log(t) for X, t in zip(totals, LENGTHS, strict=True)])
        best = np.where(np.isfinite(scores), scores, -np.inf).argmax(axis=0)
        dual = tried[0]
        for i in range(1, len(tried)):
            at = best == i
            dual = put(dual, np.flatnonzero(at), take(tried[i], at)) if at.any() else dual
        eps = FIRST_BARRIER * problem.total(dual.X) / max(r, 1)
        E = np.asarray(eps[:, None, None] * np.eye(problem.rank), complex)
        beams, none = beams_at(problem, dual, E), np.zeros(eps.size)
        return DualState(problem, dual, E, eps, beams, dual.bound, none, none, none + np.inf, self.patience)

    def step(self, state: DualState) -> DualState:
        """One step of all members."""
        return dual_step(state, self.tolerance)

    def over_band(
        self, through: CrbMin, met: ComplexArray, grid: Grid, total: float, unlike: ComplexArray | None
    ) -> Solution | None:
        """The solution of the subcarriers (F,) of one band that share their chains.

        It is one convex problem (`isacsim.solvers.crb_min.band`), and proven to be solved where these are converters.
        Of other chains it is that of converters like them, with powers that keep the SQINRs through the chains
        themselves: its status is ``HEURISTIC``, and anything else where no powers do.

        Args:
            through: The problems, behind hardware that meets the whole band.
            met: Precoders (F, N_t, L), in sqrt(W), at which chains are taken as converters.
            grid: The grid.
            total: Power of all subcarriers, in W.
            unlike: Precoders that differ from these in every respect, at which converters are the same; where they are
                not, there is no solution. None is for other chains.
        """
        chains = BandChains.at(through, met, grid)
        if unlike is not None and not chains.same(BandChains.at(through, unlike, grid)):
            return None
        band = Band.over(through, chains, grid, total)
        multipliers, least = band.least_power()
        if least > 1 + ROUNDING:
            return none_over_band(through, least * total, total)
        beams, found = unconstrained_beams(band)
        if found.all():
            rows = Solution.resting(band.precoder(beams), Status.OPTIMAL, [""] * len(found), bound=beams.objective)
        else:
            # Some subcarriers may have no beams before the path is nearly at its end: only steps end the search.
            newton = attrs.evolve(self, patience=self.max_steps)
            state = newton.init(band, multipliers, np.full(len(band.H), least))
            rows = iterate(state, self.step, Stop(self.tolerance, self.max_steps), Status.OPTIMAL)
        solution = told_over_band(band, rows, self.tolerance, total)
        return kept_over_band(through, solution, grid, total) if unlike is None else solution

    def finished(self, problem: CrbMin, group: Group, solution: Solution) -> Solution:
        """A solution with precoders that meet all SQINRs, optimal where its bound proves that."""
        solution = super().finished(problem, group, solution)
        gap = solution.objective / solution.bound - 1
        trace = {**solution.trace, "gap": solution.trace["objective"] / solution.bound[:, None] - 1}
        trace.pop("residual", None)
        proven = (gap <= self.tolerance * (1 + 1e-6)) & solution.answered
        solution = attrs.evolve(solution, gap=gap, trace=trace).marked(proven, Status.OPTIMAL)
        return trusted(solution, "a point that meets all SQINRs is")
