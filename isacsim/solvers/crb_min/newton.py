"""The saddle primal-dual Newton method, the default for `CrbMin`.

Each step solves the Newton system of `isacsim.solvers.crb_min.newton_system` twice, as
predictor and corrector, and goes along the corrected direction until the residual of the
saddle point, measured by the matrix at hand, has fallen by enough (a test that no change of
coordinates affects). The weight of the barrier follows what the predictor promises, and may
rise again. Every iterate yields beams that meet all constraints and a proven lower bound;
the best of both bracket the optimum.
"""

from __future__ import annotations

from typing import Any, ClassVar

import attrs
import numpy as np
from attrs import field, frozen

from isacsim.batch import hermitian, put, rows, take
from isacsim.checks import number, whole
from isacsim.solvers.base import Request
from isacsim.solvers.crb_min.base import CrbMinSolver, certified
from isacsim.solvers.crb_min.coordinates import coordinates, dyads, matrices
from isacsim.solvers.crb_min.dual import Dual, evaluate
from isacsim.solvers.crb_min.ipm import RIpm, judged
from isacsim.solvers.crb_min.newton_system import NewtonSystem, dot, linearise, solved_again, times, times_transposed
from isacsim.solvers.crb_min.recovery import Beams, tight_beams
from isacsim.solvers.crb_min.reduction import Reduced
from isacsim.solvers.crb_min.white import white_beams
from isacsim.solvers.iterate import Stop, iterate
from isacsim.solvers.least_power import LeastPower
from isacsim.solvers.linear import herm, inverse, sane, trace
from isacsim.solvers.solution import Solution, Status
from isacsim.typing import BoolArray, ComplexArray, FloatArray, IntArray

FIRST_BARRIER = 0.1  # weight of the first barrier, relative to the objective
BOUNDARY = 0.98  # share of the way to the boundary of M and of E
NEAR = 0.9  # the same for mu and R, whose boundaries curve
TRIALS = 8  # halvings of a step
CENTRED = 0.5  # a residual below this, relative to that of the barrier, is small enough
CAUTION = (0.2, 10.0)  # bounds of the barrier per unit of Newton decrement


@frozen(eq=False)
class NewtonState:
    """Iterates of B members, in reduced units."""

    traced: ClassVar[tuple[str, ...]] = ("bound", "violation")

    reduced: Reduced
    dual: Dual
    R: Any = rows(2)
    E: Any = rows(2)  # in coordinates in which M is the identity
    eps: Any = rows()
    largest_eps: Any = rows()
    caution: Any = rows()
    length: Any = rows()  # of the last step
    beams: Beams = field()  # the best so far
    bound: Any = rows()  # the best so far
    count: Any = rows()
    failures: Any = rows()  # steps that the search refused, in a row
    idle: Any = rows()  # steps since the gap last fell by a good part
    reference: Any = rows()  # that gap
    patience: int = field()

    @property
    def precoder(self) -> ComplexArray:
        """Coordinates of the best beams, (B, r, K+r)."""
        return self.beams.precoder

    @property
    def objective(self) -> FloatArray:
        """Their objectives, (B,)."""
        return np.asarray(self.beams.objective)

    @property
    def residual(self) -> FloatArray:
        """The relative gap between objective and bound, (B,)."""
        return np.asarray((self.objective - self.bound) / np.abs(self.bound))

    @property
    def violation(self) -> FloatArray:
        """Relative violation of the constraints: the beams meet them by construction."""
        return np.zeros(self.objective.shape)

    @property
    def stalled(self) -> BoolArray:
        """Which members get no further."""
        return np.asarray((self.failures >= 3) | (self.idle >= self.patience))


@frozen
class PrimalDualNewton(CrbMinSolver):
    """Saddle primal-dual Newton method in the r^2 + 1 unknowns of the dual, certified.

    Some ten steps to a proven gap of 1e-8, batched over realisations. A member whose gap does
    not close is handed to ``r-ipm``, and if that does not close it either, it is told as
    stalled, with its bracket. Where the white covariance meets every SINR it is the answer.

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

    def closed_form(self, reduced: Reduced) -> tuple[Beams, BoolArray]:
        """Beams with the white covariance, and which members they serve."""
        return white_beams(reduced)

    def minimise(
        self, reduced: Reduced, start: Beams, least: LeastPower, request: Request, labels: IntArray
    ) -> Solution:
        """Newton steps, chunk by chunk."""
        stop = Stop(self.tolerance, self.max_steps, request.time_limit, request.callback)
        solution = iterate(self.init(reduced, start, least), self.step, stop, Status.OPTIMAL, labels)
        if reduced.users <= self.fallback:
            for i in np.flatnonzero([status is Status.STALLED for status in solution.status]):
                solution = self._rescued(reduced, start, solution, int(i), request)
        return attrs.evolve(solution, residual=np.full(labels.shape, np.nan))

    def _rescued(self, reduced: Reduced, start: Beams, solution: Solution, i: int, request: Request) -> Solution:
        """The solution with member i improved by what ``r-ipm`` finds, and by Newton steps from there."""
        one, W = take(reduced, np.array([i])), solution.precoder[[i]]
        sensing = W[..., reduced.users :]
        beams = Beams(W[..., : reduced.users], sensing @ hermitian(sensing), solution.objective[[i]])
        spectrum, U = np.linalg.eigh(W[0] @ np.conj(W[0]).T)
        answer = RIpm().ask(one, U * np.sqrt(np.maximum(spectrum, 1e-12 * spectrum[-1])))
        note = f"handed to r-ipm after {solution.iterations[i]} steps"
        names = ("precoder", "objective", "bound", "status", "notes")
        arrays = {name: getattr(solution, name).copy() for name in names}
        arrays["notes"][i] = (note if answer is not None else f"{note}, which had no answer",)
        if answer is not None:
            found, dual, _ = judged(one, answer, take(start, np.array([i])))
            beams = beams.better(found)
            bound = np.fmax(solution.bound[[i]], dual.bound)
            gap = np.maximum(beams.objective / bound - 1, self.tolerance)
            S = beams.users @ hermitian(beams.users) + beams.sensing
            state = self._state(one, dual, S, gap * beams.objective / one.rank, beams, bound)
            stop = Stop(self.tolerance, self.max_steps, request.time_limit)
            other = certified(one, iterate(state, self.step, stop, Status.OPTIMAL), self.tolerance)
            for name in names[:-1]:
                arrays[name][i] = getattr(other, name)[0]
        return attrs.evolve(solution, **arrays)

    def chunk(self, reduced: Reduced) -> int:
        """Members that go through the caches together."""
        r = reduced.rank
        return 400 if r <= 6 else 200 if r <= 9 else max(4, int(4e5 / r**4))

    def init(self, reduced: Reduced, start: Beams, least: LeastPower) -> NewtonState:
        """The state at the best point on the ray of the least power: M = t (I + H diag(lambda) H^H)."""
        N, r = reduced.antennas, reduced.rank
        M = herm(np.eye(r) + (reduced.H * least.multipliers[:, None, :]) @ reduced.HH)
        L = np.asarray(np.linalg.cholesky(M), complex)
        value = np.maximum(N, evaluate(reduced, L, np.ones(len(L))).bound)  # what the least power alone proves
        eps = FIRST_BARRIER * value / r
        mu, t = _on_the_ray(least.power, N, r, eps)
        dual = evaluate(reduced, L * np.sqrt(t)[:, None, None], mu)
        E = eps[:, None, None] * np.eye(r, dtype=complex)
        first = _beams(reduced, dual, E)
        R = first.users @ hermitian(first.users) + first.sensing
        fits = np.isfinite(first.objective)[:, None, None]
        R = np.where(fits, herm(R), np.eye(r) / np.sqrt(np.maximum(mu - t, 1e-12))[:, None, None])
        return self._state(reduced, dual, R, eps, first.better(start), np.maximum(dual.bound, value))

    def _state(
        self, reduced: Reduced, dual: Dual, R: ComplexArray, eps: FloatArray, beams: Beams, bound: FloatArray
    ) -> NewtonState:
        """A first state with a barrier of weight eps."""
        none = np.zeros(eps.size)
        return NewtonState(
            reduced=reduced,
            dual=dual,
            R=R,
            E=eps[:, None, None] * np.eye(reduced.rank, dtype=complex),
            eps=eps,
            largest_eps=eps,
            caution=none + CAUTION[0],
            length=none + 1,
            beams=beams,
            bound=bound,
            count=none,
            failures=none,
            idle=none,
            reference=none + np.inf,
            patience=self.patience,
        )

    def step(self, state: NewtonState) -> NewtonState:
        """One predictor, one corrector, one search."""
        system = linearise(state.reduced, state.dual, state.R, state.E, state.eps)
        predicted, E_rate, reach, decrement = _predictor(system)
        eps, caution = _barrier(state, system, reach, decrement, self.tolerance)
        target = eps[:, None, None] * np.eye(state.reduced.rank)
        second = reach[:, None, None] ** 2 * herm(E_rate @ predicted)
        X, xi, second, decrement = _corrector(state, system, eps, second)
        scaled, finite = sane(matrices(X) + xi[:, None, None] * np.eye(state.reduced.rank))
        spectrum, W = np.linalg.eigh(scaled)
        dR, sound = sane(matrices(system.covariance_change(X, xi)))
        sound &= finite & system.sound & np.isfinite(xi)
        length = np.where(sound, _longest(system, spectrum, xi, dR), 0.0)
        move = Move(spectrum, W, np.where(sound, xi, 0.0), dR)
        dual, R, length, good = _search(state, system, move, length, eps, decrement)
        dE = target - system.E - herm(system.E @ scaled) - second
        E = system.E + _share(_least(system.E_root, dE), BOUNDARY)[:, None, None] * dE
        sizes = np.sqrt(1 + length[:, None] * spectrum)
        E = herm(sizes[:, :, None] * (hermitian(W) @ E @ W) * sizes[:, None, :])
        E, finite = sane(E)
        E = np.where((good & finite)[:, None, None], E, target)
        return _judged(state, dual, R, E, eps, caution, length, good)


@frozen(eq=False)
class Move:
    """A direction: spectrum (B, r) and eigenvectors W of X + xi I, xi, and the change of R in its eigenbasis."""

    spectrum: Any = rows(1)
    W: Any = rows(2)
    xi: Any = rows()
    change: Any = rows(2)


def _on_the_ray(power: FloatArray, N: int, r: int, eps: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The mu and t that maximise dual and barrier for Q = q I, mu = q + t: bisection on mu^-1/2."""
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


def _beams(reduced: Reduced, dual: Dual, E: ComplexArray) -> Beams:
    """Beams of a dual point and of E in the coordinates of its factor."""
    L = dual.inverse
    return tight_beams(reduced, dual.directions, herm(hermitian(L) @ E @ L))


def _least(C: ComplexArray, X: ComplexArray) -> FloatArray:
    """Smallest eigenvalue of ``C^H X C``, (B,); -inf where it is not finite."""
    whole, finite = sane(hermitian(C) @ X @ C)
    return np.where(finite, np.linalg.eigvalsh(whole)[:, 0], -np.inf)


def _share(least: FloatArray, boundary: float) -> FloatArray:
    """Step length, of at most 1, that goes ``boundary`` of the way to where 1 + length least = 0."""
    return np.where(least < 0, np.minimum(1.0, boundary / np.maximum(-least, 1e-300)), 1.0)


def _predictor(system: NewtonSystem) -> tuple[ComplexArray, ComplexArray, FloatArray, FloatArray]:
    """The direction without a barrier: X + xi I, the change of E, the reach, and the decrement."""
    x, xi = system.direction(system.predicted, system.slope_xi)
    decrement = dot(system.slope, x) + system.slope_xi * xi
    X = matrices(x) + xi[:, None, None] * np.eye(system.E.shape[-1])
    E_rate = -system.E - herm(system.E @ X)
    X, _ = sane(X)
    least = np.asarray(np.linalg.eigvalsh(X)[:, 0], float)
    reach = np.minimum(_share(least, BOUNDARY), _share(xi, NEAR))
    return X, E_rate, np.minimum(reach, _share(_least(system.E_root, E_rate), BOUNDARY)), decrement


def _barrier(
    state: NewtonState, system: NewtonSystem, reach: FloatArray, decrement: FloatArray, tolerance: float
) -> tuple[FloatArray, FloatArray]:
    """The next weight of the barrier, and the next caution."""
    r, length, caution = state.reduced.rank, state.length, state.caution
    started = state.count > 0
    change = np.where(length >= 0.9, 1 / 3, np.where(length < 0.6, 3.0, 1.0))
    caution = np.where(started, np.clip(caution * change, *CAUTION), caution)
    sigma = np.clip((1 - reach) ** 2, 0.01, 1.0)
    short = started & (length < 0.5)
    sigma = np.where(short, np.maximum(sigma, np.where(length < 0.2, 1.0, 0.5)), sigma)
    eps = np.minimum(sigma * trace(system.E) / r, state.eps)
    eps = np.maximum(eps, caution * decrement / r)
    eps = np.maximum(eps, 0.05 * tolerance * np.abs(state.bound) / r)
    return np.minimum(eps, np.minimum(4 * state.eps, state.largest_eps)), caution


def _corrector(
    state: NewtonState, system: NewtonSystem, eps: FloatArray, second: ComplexArray
) -> tuple[FloatArray, FloatArray, ComplexArray, FloatArray]:
    """X, xi, the second-order term that was used, and the squared Newton decrement without it."""
    r = state.reduced.rank
    slope = system.slope.copy()
    slope[:, :r] += eps[:, None]
    slope_xi = system.slope_xi + eps * r
    solutions = solved_again(system, np.stack([slope, slope - coordinates(second)], axis=1))
    X, xi = system.direction(solutions[:, 0], slope_xi)
    decrement = dot(slope, X) + slope_xi * xi
    X_bent, xi_bent = system.direction(solutions[:, 1], slope_xi - trace(second))
    ascends = dot(slope, X_bent) + slope_xi * xi_bent > 0
    bend = ascends & (state.length >= 0.3)
    X, xi = np.where(bend[:, None], X_bent, X), np.where(bend, xi_bent, xi)
    return X, xi, np.where(bend[:, None, None], second, 0.0), np.maximum(decrement, 1e-300)


def _longest(system: NewtonSystem, spectrum: FloatArray, xi: FloatArray, dR: ComplexArray) -> FloatArray:
    """The longest step that keeps M, mu and R positive, (B,)."""
    scale = 1 / np.sqrt(system.rho)
    relative, finite = sane(scale[:, :, None] * dR * scale[:, None, :])
    length = np.minimum(_share(spectrum[:, 0], BOUNDARY), _share(xi, NEAR))
    length = np.minimum(length, _share(np.asarray(np.linalg.eigvalsh(relative)[:, 0], float), NEAR))
    return np.where(finite & np.isfinite(length), length, 0.0)


def _search(
    state: NewtonState, system: NewtonSystem, move: Move, length: FloatArray, eps: FloatArray, decrement: FloatArray
) -> tuple[Dual, ComplexArray, FloatArray, BoolArray]:
    """Dual, R and length after the step, halved until it pays, and which members went anywhere."""
    dual, R, good = state.dual, state.R, np.zeros(length.size, bool)
    todo = np.flatnonzero(length > 0)
    for trial in range(TRIALS):
        if not todo.size:
            break
        everyone = todo.size == length.size
        here = (state, system, move) if everyone else (take(state, todo), take(system, todo), take(move, todo))
        at = length[todo]
        new, R_new, left = _trial(*here, at, eps[todo])
        pays = (left <= (1 - at / 4) ** 2 * decrement[todo]) | (left <= CENTRED * eps[todo] * state.reduced.rank)
        pays |= trial == TRIALS - 1
        pays &= np.isfinite(new.Q).all(axis=(-2, -1)) & np.isfinite(R_new).all(axis=(-2, -1))
        if pays.all() and everyone:
            return new, R_new, length, np.ones(length.size, bool)
        if pays.any():
            dual, R = put(dual, todo[pays], take(new, pays)), R.copy()
            R[todo[pays]], good[todo[pays]] = R_new[pays], True
        todo = todo[~pays]
        length[todo] /= 2
    return dual, R, np.where(good, length, 0.0), good


def _trial(
    state: NewtonState, system: NewtonSystem, move: Move, length: FloatArray, eps: FloatArray
) -> tuple[Dual, ComplexArray, FloatArray]:
    """Dual and R after a step of ``length``, and its residual in the metric of the old system."""
    reduced, r = state.reduced, state.reduced.rank
    sizes = 1 + length[:, None] * move.spectrum
    L = (system.L @ move.W) * np.sqrt(sizes)[:, None, :]
    new = evaluate(reduced, L, state.dual.mu * (1 + length * move.xi))
    R = length[:, None, None] * move.change + system.rho[:, :, None] * np.eye(r)
    R_inverse = inverse(R)
    UH = hermitian(system.U)
    left = UH @ new.Q @ system.U - R_inverse @ R_inverse
    effective = coordinates(R) - system.weights * coordinates(left)
    received = times_transposed(system.received, effective)
    powers = (received + reduced.noise) / reduced.ratio
    beams = dyads(hermitian(system.L) @ new.directions)
    pulled = times_transposed(system.J, effective) - times(system.beams, received / reduced.ratio)
    barrier = (move.W * (eps[:, None] / sizes)[:, None, :]) @ hermitian(move.W)
    slope = times(beams, powers) + pulled + coordinates(barrier)
    total = effective[:, :r].sum(axis=-1) + reduced.spare / np.sqrt(new.mu) - reduced.antennas
    slope_xi = slope[:, :r].sum(axis=-1) + state.dual.mu * total
    X, xi = system.direction(solved_again(system, slope[:, None])[:, 0], slope_xi)
    return new, herm(system.U @ R @ UH), dot(slope, X) + slope_xi * xi


def _judged(
    state: NewtonState,
    dual: Dual,
    R: ComplexArray,
    E: ComplexArray,
    eps: FloatArray,
    caution: FloatArray,
    length: FloatArray,
    good: BoolArray,
) -> NewtonState:
    """The next state, with the best beams and bound so far."""
    beams = state.beams.better(_beams(state.reduced, dual, E))
    bound = np.maximum(state.bound, dual.bound)
    gap = (beams.objective - bound) / np.abs(bound)
    count = state.count + 1
    improved = (gap <= 0.7 * state.reference) | (count <= 12)
    return attrs.evolve(
        state,
        dual=dual,
        R=R,
        E=E,
        eps=eps,
        caution=caution,
        length=length,
        beams=beams,
        bound=bound,
        count=count,
        failures=np.where(good, 0, state.failures + 1),
        idle=np.where(improved, 0, state.idle + 1),
        reference=np.minimum(state.reference, gap),
    )
