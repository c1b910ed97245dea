"""Minorisation-maximisation with anchors extrapolated by Newton's method, the default for `SqnrMax`.

Any anchor is legal: the maximum of the surrogate taken there is a point that meets the
constraints [Xu25, Algorithm 1]. Taken at the last point, the objective cannot fall; taken where
a Newton step of the optimality conditions leads, it nearly always rises much further, and
near an optimum the error squares. An anchor that lowers the objective is drawn back towards
the last point, at worst onto it. A proximal term, which keeps the surrogate below f and
touching it, makes each subproblem strongly concave.
"""

from __future__ import annotations

from typing import Any, ClassVar

import attrs
import numpy as np
from attrs import field, frozen

from isacsim.batch import all_of, frobenius2, inner, put, rows, take
from isacsim.checks import number, whole
from isacsim.compiled import compiled
from isacsim.problems.sqnr_max import SqnrMax
from isacsim.solvers.base import Request
from isacsim.solvers.iterate import Stop, iterate
from isacsim.solvers.solution import Solution, Status, gathered
from isacsim.solvers.sqinr.certificate import proven_bound
from isacsim.solvers.sqinr.converters import NotConverters
from isacsim.solvers.sqinr.group import Group
from isacsim.solvers.sqinr.kkt import Kkt, conditions
from isacsim.solvers.sqinr.objective import Proof, Surrogate
from isacsim.solvers.sqinr.system import System
from isacsim.solvers.sqnr_max.base import SqnrMaxSolver
from isacsim.solvers.sqnr_max.dual import minimise
from isacsim.solvers.sqnr_max.newton_system import newton_direction
from isacsim.solvers.sqnr_max.objectives import Sqnr
from isacsim.solvers.sqnr_max.point import point_optima
from isacsim.solvers.sqnr_max.starts import start
from isacsim.solvers.sqnr_max.tight_optima import tight_optima
from isacsim.typing import BoolArray, ComplexArray, FloatArray, IntArray

FIRST_POWER = 0.35  # first multiplier of the power, relative to the size of C
FIRST_USERS = 0.4  # first multipliers of the users, relative to those of the least power
PROXIMAL = 0.01  # weight of the proximal term, relative to the objective
COARSE, FINE = 1e-2, 1e-11  # tolerances of the subproblems, in units of the noise
INNER = 0.1  # tolerance of a subproblem relative to the last progress
ROUNDING = 1e-10  # relative fall of the objective that counts as none
BLUR = 1e-4  # weight of the multipliers in what that is relative to: they enlarge rounding
PLAIN = 3  # steps before the first one of Newton's method
SHARE = 1e-3  # of the power, for a sensing stream that is new
NEAR = 3e-4  # error below which a Newton step may end where an optimum is
LEAST_LENGTH = 0.02  # of a step that is tried before a plain one
NEW_STREAMS = 8  # after which a member that still lacks one has stalled
STILL = 1e-11  # relative progress that is none
RESOLUTION = 1e-12  # relative rounding of the terms that make up a bound
NEARLY = 1e-3  # violation below which a direction is judged by the objective
POOR = 1e-5  # progress of a Newton step, relative to the square of the error, below which it leads to a saddle
IDLE = 6  # steps without progress after which a member has stalled
MORE_STEPS = 5  # of the augmented Lagrangian for one of these, which costs as much


@frozen(eq=False)
class NewtonMmState:
    """Iterates of B members, in normalised units."""

    traced: ClassVar[tuple[str, ...]] = ("violation",)

    system: System
    proof: Proof
    precoder: ComplexArray = rows(2)  # V, (B, N, K + S)
    multipliers: FloatArray = rows(1)
    surrogate: Surrogate = field()  # at V
    kkt: Kkt = field()  # at V
    error: FloatArray = rows()  # of the conditions, with the streams that there are
    gain: FloatArray = rows()  # what a new stream would gain
    residual: FloatArray = rows()
    bound: FloatArray = rows()  # proven, on f; NaN where there is no proof, or it is not yet near
    length: FloatArray = rows()  # of the next Newton step; 0 is a plain step
    longest: FloatArray = rows()  # length after the next plain step
    accuracy: FloatArray = rows()  # tolerance of the next subproblem
    share: FloatArray = rows()  # of the power, for the next new stream
    idle: FloatArray = rows()  # steps without progress
    added: FloatArray = rows()  # new sensing streams so far
    tolerance: float = field()

    @property
    def objective(self) -> FloatArray:
        """f, (B,)."""
        return np.asarray(self.surrogate.value)

    @property
    def violation(self) -> FloatArray:
        """The largest relative violation of a constraint, (B,)."""
        return np.asarray(self.kkt.violation)

    @property
    def missing(self) -> BoolArray:
        """Which members are stationary with the streams that they have, but lack one."""
        return np.asarray((self.error <= self.tolerance) & (self.gain > self.tolerance))

    @property
    def stalled(self) -> BoolArray:
        """Which members get no further."""
        stuck = self.idle > IDLE
        if self.missing.any():
            stuck = stuck | (self.missing & ((self.added >= NEW_STREAMS) | crowded(self.system.users, self.precoder)))
        return np.asarray(stuck)


@frozen
class NewtonMm(SqnrMaxSolver):
    """Monotone minorisation-maximisation with Newton anchors, batched, certified to first order.

    Three plain steps, which are not counted, and some six more lead to a point that is stationary
    in the space of covariances, sensing streams included that were not there at the start. It is
    proven to be the global optimum where `isacsim.solvers.sqinr.certificate` has a proof.

    One point target takes no steps: its optimum is a search in the K + 1 multipliers
    (`isacsim.solvers.sqnr_max.point`). All others go to Newton's method on tight constraints
    (`isacsim.solvers.sqnr_max.tight_optima`) first, in some fifteen steps. Where these have no answer, or a start is
    asked for by name or as a precoder, the member is iterated as told above.
    Behind hardware that is more than data converters as the AQNM has them ``augmented-lagrangian`` does the work,
    at its own tolerance where that is coarser. Derived in docs/derivations/newton-mm.

    Args:
        tolerance: Relative residual of the optimality conditions at which a member has
            converged, and gap to its bound at which it is globally optimal.
        max_steps: Largest number of steps after those; of ``augmented-lagrangian`` five times as many.
    """

    guarantee: ClassVar[str] = "stationary; global with a proof for ideal hardware and point targets"

    tolerance: float = field(default=1e-6, validator=number(above=0))
    max_steps: int = field(default=200, validator=whole(1))

    def takes(self, problem: SqnrMax) -> str | None:
        """Nothing, or a sentence why not: hardware that is no converter and has no derivative."""
        return None if super().takes(problem) is None else behind_hardware(self).takes(problem)

    def solve(self, problem: SqnrMax, request: Request) -> Solution:
        """The solution of a flat batch, for the hardware designed for."""
        try:
            return super().solve(problem, request)
        except NotConverters:  # as their ratios of distortion are worked out, before anything else
            return behind_hardware(self).solve(problem, request)

    def chunk(self, system: System) -> int:
        """Members whose arrays take some 64 MB together."""
        return max(1, 2**17 // system.antennas**2)

    def optimise(self, group: Group, request: Request) -> Solution:
        """Optima of point targets in few multipliers, of others on tight constraints; where that fails, steps."""
        plain = isinstance(group.system.objective, Sqnr) and request.initial is None and request.start is None
        ways = (self._of_points, self._tight, self._iterated) if plain else (self._iterated,)
        left = np.arange(group.places.size)
        parts: list[tuple[Solution, IntArray]] = []
        for way in ways:
            solution, found = way(group if left.size == group.places.size else take(group, left), request)
            if not parts and all_of(found):
                return solution
            if found.any():
                parts.append((solution.take(found), left[found]))
                left = left[~found]
            if not left.size:
                break
        users, N = group.system.users, group.system.antennas  # a way may have found less than N streams
        wide = [attrs.evolve(one, precoder=_widened(one.precoder, users, N)) for one, _ in parts]
        return gathered([(one, places) for one, (_, places) in zip(wide, parts, strict=True)], 0.0)

    def _of_points(self, group: Group, request: Request) -> tuple[Solution, BoolArray]:
        """The solution of members with one point target, and which these are."""
        return point_optima(group, self.tolerance)

    def _tight(self, group: Group, request: Request) -> tuple[Solution, BoolArray]:
        """The solution on tight constraints, and which members have one."""
        solution, found = tight_optima(group, request, self.tolerance, self.max_steps)
        solution = _proven(group.system, solution, self.tolerance)
        return solution, found & ~(solution.gap > self.tolerance)

    def _iterated(self, group: Group, request: Request) -> tuple[Solution, BoolArray]:
        """The solution by steps from a start, of all members."""
        system = group.system
        # A linear objective without users is best served by one stream, its top eigenvector.
        alone = not system.users and system.objective.proof().linear.all()
        V = start(group, request, 1 if alone else min(2, system.antennas))
        solution = self._run(system, V, group.feasible.multipliers, request, group.places)
        return solution, np.ones(group.places.size, bool)

    def _run(self, system: System, V: ComplexArray, least: FloatArray, request: Request, labels: IntArray) -> Solution:
        """The solution from the points V, with N sensing streams."""
        stop = Stop(self.tolerance, self.max_steps, request.time_limit, request.callback)
        solution = iterate(self.init(system, V, least), self.step, stop, labels=labels)
        K, streams = system.users, V.shape[-1] - system.users
        stalled = solution.ended(Status.STALLED)
        more = np.zeros(stalled.shape, bool)
        if streams < system.antennas and stalled.any():
            more[stalled] = crowded(K, solution.precoder[stalled])
        wide = _widened(solution.precoder, K, system.antennas)
        done = _proven(system, attrs.evolve(solution, precoder=wide), self.tolerance)
        if not more.any():
            return done
        wide = wide[more, :, : K + min(2 * streams, system.antennas)]
        other = self._run(take(system, more), wide, least[more], request, labels[more])
        other = other.marked(np.ones(len(wide), bool), note=f"went on with more than {streams} sensing streams")
        parts = [(done.take(~more), np.flatnonzero(~more))] if not more.all() else []
        return gathered([*parts, (other, np.flatnonzero(more))], 0.0)

    def init(self, system: System, V: ComplexArray, least: FloatArray) -> NewtonMmState:
        """The state a few plain steps after points V of full power.

        They lead into the basin of the published iteration, which Newton's method may leave far from
        an optimum. Multipliers begin in proportion to those of the least power (B, K).
        """
        surrogate = system.objective.surrogate(V)
        mu = FIRST_POWER * np.sqrt(frobenius2(surrogate.C))
        multipliers = np.concatenate([FIRST_USERS * least * mu[:, None], mu[:, None]], axis=-1)
        none = np.zeros(len(V))
        state = self._state(
            V,
            multipliers,
            surrogate,
            system=system,
            proof=system.objective.proof(),
            length=none,
            longest=none,
            accuracy=none + COARSE,
            share=none + SHARE,
            idle=none,
            added=none,
        )
        for _ in range(PLAIN):
            state = self._climb(state, state.precoder, state.multipliers, state.surrogate, np.zeros(len(V), bool))
        return attrs.evolve(state, length=none + 1, longest=none + 1, idle=none)

    def _at(
        self, state: NewtonMmState, V: ComplexArray, multipliers: FloatArray, surrogate: Surrogate
    ) -> NewtonMmState:
        """The state at other points, with the settings of a state."""
        kept = ("system", "proof", "length", "longest", "accuracy", "share", "idle", "added")
        return self._state(V, multipliers, surrogate, **{name: getattr(state, name) for name in kept})

    def _state(self, V: ComplexArray, multipliers: FloatArray, surrogate: Surrogate, **settings: Any) -> NewtonMmState:
        """The state at points V (B, N, L)."""
        kkt = conditions(settings["system"], V, multipliers, surrogate)
        error, gain = kkt.errors(multipliers, V, surrogate.size)
        residual = np.maximum(error, gain)
        bound = np.full(residual.shape, np.nan)
        near = np.flatnonzero(settings["proof"].known & (residual <= self.tolerance))
        if near.size:
            here = (take(settings["system"], near), take(settings["proof"], near), take(kkt, near))
            bound[near] = proven_bound(*here, V[near], multipliers[near])
            gap = (bound - surrogate.value) / surrogate.size
            terms = multipliers.sum(axis=-1) / surrogate.size + 1
            sharp = RESOLUTION * terms * settings["proof"].steepness(V, surrogate.value) <= self.tolerance
            residual = np.where(sharp, np.fmax(residual, gap), residual)
        return NewtonMmState(
            precoder=V,
            multipliers=multipliers,
            surrogate=surrogate,
            kkt=kkt,
            error=error,
            gain=gain,
            residual=residual,
            bound=bound,
            tolerance=self.tolerance,
            **settings,
        )

    def step(self, state: NewtonMmState) -> NewtonMmState:
        """One anchor; where it is not yet an optimum itself, the maximum of the surrogate there."""
        missing = state.missing
        anchor, multipliers = _anchor(state, missing)
        surrogate = state.system.objective.surrogate(anchor)
        near = ((state.error <= NEAR) | (state.idle > 1)) & (state.length == 1) & ~missing
        ends = np.zeros(near.shape, bool)
        if near.any():
            here = take(state, near)
            there = self._at(here, anchor[near], multipliers[near], take(surrogate, near))
            ends[near] = arrived = (there.residual <= self.tolerance) & (_rise(here, there) >= -ROUNDING)
            if ends.all():
                return there
        rest = ~ends
        left = (take(state, rest), anchor[rest], multipliers[rest], take(surrogate, rest), missing[rest])
        climbed = self._climb(*left)
        if not ends.any():
            return climbed
        return put(put(state, np.flatnonzero(ends), take(there, arrived)), np.flatnonzero(rest), climbed)

    def _climb(
        self,
        state: NewtonMmState,
        anchor: ComplexArray,
        multipliers: FloatArray,
        surrogate: Surrogate,
        missing: BoolArray,
    ) -> NewtonMmState:
        """The maximum of the surrogates, where it is better than what was there."""
        # The proximal term -weight ||V - anchor||^2 touches at the anchor.
        weight = PROXIMAL * surrogate.size
        C = surrogate.C + weight[:, None, None] * anchor
        M = surrogate.M.copy()
        i = np.arange(state.system.antennas)
        M[:, i, i] += weight[:, None]
        multipliers, V = minimise(state.system, C, M, multipliers, state.accuracy)
        new = self._at(state, V, multipliers, state.system.objective.surrogate(V))
        rise = _rise(state, new)
        accepted = rise >= -ROUNDING
        settings = _settings(state, accepted, missing, np.abs(rise))
        new = attrs.evolve(new, **settings)
        kept = np.flatnonzero(~accepted)
        return put(new, kept, take(attrs.evolve(state, **settings), kept)) if kept.size else new


def behind_hardware(solver: NewtonMm) -> Any:
    """What solves a problem whose hardware is no converter."""
    from isacsim.solvers.sqnr_max.behind_hardware import AugmentedLagrangian  # which starts from designs of this file

    tolerance = max(solver.tolerance, AugmentedLagrangian().tolerance)
    return AugmentedLagrangian(tolerance, MORE_STEPS * solver.max_steps)


def _settings(state: NewtonMmState, accepted: BoolArray, missing: BoolArray, progress: FloatArray) -> dict[str, Any]:
    """Lengths, accuracies and counts after a step."""
    names = ("length", "longest", "accuracy", "share", "idle", "added")
    settings = {name: getattr(state, name).copy() for name in names}
    compiled(adapt_each)(accepted, missing, progress, state.error, *settings.values())
    return settings


def adapt_each(
    accepted: BoolArray,
    missing: BoolArray,
    progress: FloatArray,
    error: FloatArray,
    length: FloatArray,
    longest: FloatArray,
    accuracy: FloatArray,
    share: FloatArray,
    idle: FloatArray,
    added: FloatArray,
) -> None:
    """Adapt the last six arrays (B,) to what a step has brought, member by member."""
    for b in range(len(length)):
        idle[b] += 1
        if accepted[b]:
            accuracy[b] = min(accuracy[b], INNER * min(progress[b], error[b] ** 2))
            accuracy[b] = min(max(accuracy[b], FINE), COARSE)
            if progress[b] > STILL or missing[b]:
                idle[b] = 0
        if missing[b]:
            added[b] += 1
            share[b] = SHARE if accepted[b] else 0.1 * share[b]
            if accepted[b]:
                length[b] = 0.0
        elif not accepted[b]:
            length[b] = 0.3 * length[b] if length[b] > LEAST_LENGTH else 0.0
        elif length[b] == 0:
            length[b], longest[b] = longest[b], 0.125
        elif STILL < progress[b] < POOR * error[b] ** 2:
            length[b] = 0.0
        else:
            length[b] = min(1.0, 4 * length[b])


def _rise(old: NewtonMmState, new: NewtonMmState) -> FloatArray:
    """By how much the objective rises, relative, each corrected to first order for what it violates, (B,).

    With the multipliers of a surrogate's maximum, taken at the old point, this is never negative,
    however coarsely they are found: it is the rise of one Lagrangian.
    """
    gained = new.objective - old.objective + (new.multipliers * (new.kkt.slack - old.kkt.slack)).sum(axis=-1)
    return np.asarray(gained / (new.surrogate.size + BLUR * new.multipliers.sum(axis=-1)))


def _anchor(state: NewtonMmState, missing: BoolArray) -> tuple[ComplexArray, FloatArray]:
    """Where the surrogates are taken (B, N, L), and multipliers to start from (B, K+1).

    Of full power, but for plain steps: only a surrogate that touches f at the last point itself,
    whatever constraint that violates a little, makes sure that the objective rises.
    """
    anchor, multipliers = state.precoder.copy(), state.multipliers.copy()
    far = np.flatnonzero((state.length > 0) & ~missing)
    if far.size:
        here = state if far.size == len(anchor) else take(state, far)
        length = here.length[:, None]
        dV, change = _extrapolation(here)
        anchor[far] = here.precoder + length[..., None] * dV
        multipliers[far] = np.maximum(here.multipliers + length * change, 0.2 * here.multipliers)
    for i in np.flatnonzero(missing):
        anchor[i] = _with_stream(state, int(i))
    power = np.where((state.length > 0) | missing, frobenius2(anchor), 1.0)
    return anchor / np.sqrt(power)[:, None, None], multipliers


def _extrapolation(state: NewtonMmState) -> tuple[ComplexArray, FloatArray]:
    """The Newton step of V and of the multipliers; away from a saddle that it would lead to."""
    dV, change = newton_direction(state.system, state.precoder, state.multipliers, state.surrogate, state.kkt)
    sound = np.asarray(np.isfinite(dV).all(axis=(-2, -1)) & np.isfinite(change).all(axis=-1))
    dV, change = np.where(sound[:, None, None], dV, 0.0), np.where(sound[:, None], change, 0.0)
    judged = (state.error > state.tolerance) & (state.violation <= NEARLY)
    falls = np.asarray(judged & (inner(state.kkt.left, dV) < 0), bool)
    return np.where(falls[:, None, None], -dV, dV), np.where(falls[:, None], 0.0, change)


def _with_stream(state: NewtonMmState, i: int) -> ComplexArray:
    """V of member i (N, L) with its weakest sensing stream replaced by one along the direction that gains most."""
    K, share = state.system.users, float(state.share[i])
    U, sizes, _ = np.linalg.svd(state.precoder[i][:, K:], full_matrices=False)
    sensing = np.sqrt(1 - share) * U * sizes
    sensing[:, -1] = np.sqrt(share) * state.kkt.U[i][:, -1]
    return np.concatenate([np.sqrt(1 - share) * state.precoder[i][:, :K], sensing], axis=-1)


def crowded(users: int, V: ComplexArray) -> BoolArray:
    """Which members use all sensing streams that they have, (B,)."""
    sizes = np.linalg.svd(V[..., users:], compute_uv=False)
    return np.asarray(sizes[:, -1] > 1e-5)


def _widened(V: ComplexArray, users: int, streams: int) -> ComplexArray:
    """V (B, N, K + S) with zero columns for ``streams`` sensing streams."""
    return np.pad(V, ((0, 0), (0, 0), (0, users + streams - V.shape[-1])))


def _proven(system: System, solution: Solution, tolerance: float) -> Solution:
    """A solution with gaps to its bounds, globally optimal where they are closed."""
    gap = (solution.bound - solution.objective) / system.objective.size(solution.objective)
    closed = (gap <= tolerance) & solution.converged
    return attrs.evolve(solution, gap=gap).marked(closed, Status.GLOBAL)
