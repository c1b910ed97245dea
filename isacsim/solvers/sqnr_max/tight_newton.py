"""Newton's method on the points that meet their constraints with equality, batched.

Each step maximises the second-order model of the Lagrangian in the tangent space of the tight constraints, within a
trust region (`isacsim.solvers.sqnr_max.conjugate_gradients`), and goes back to equality along the normals. A user
whose multiplier is negative has slack at the optimum: its constraint is let go, and taken up again where a step
violates it.
Derived in docs/derivations/newton-mm, section 5.
"""

from __future__ import annotations

from typing import ClassVar

import attrs
import numpy as np
from attrs import field, frozen

from isacsim.batch import frobenius2, put, real_vectors, rows, take, tuples
from isacsim.compiled import compiled
from isacsim.linalg.stacked import eigh
from isacsim.solvers.sqinr.certificate import certify
from isacsim.solvers.sqinr.system import Constraints, System
from isacsim.solvers.sqinr.tight import Tangent, settled
from isacsim.solvers.sqnr_max.conjugate_gradients import SHORTER, Rooms, Steps, point_at, room, rounded, steps_each
from isacsim.solvers.sqnr_max.echo import Echoes, Response, Seen, echoes_at, echoes_of, value_at
from isacsim.solvers.sqnr_max.lagrangian import Turning, first_radius, lagrangian_at, missing, positive
from isacsim.typing import BoolArray, ComplexArray, FloatArray, IntArray

TAKEN, POOR, GOOD = 1e-3, 0.25, 0.75  # shares of the promised rise: of a step that is taken, a poor one, a good one
LONGER = 2.0  # growth of the radius after a good step that it had cut short
FORCING, SHARPER = 0.2, 3.0  # relative error of a direction at most, and relative to the root of that of its point
CAREFUL = 0.04  # of these errors on the second way, in double precision: directions of little curvature count there
ENOUGH = 0.3  # error of the last direction, relative to the tolerance
ROUNDING = 1e-12  # relative rise that says nothing
BELIEVED = 1e-2  # residual below which a negative multiplier is
SHARE = 1e-2  # of the power, for new streams
MOVED = 0.02  # change of f, relative, up to which a metric is kept
IDLE, PATIENT = 4, 30  # trials that promise no more than rounding, after which a member has stalled: and the second way


@frozen(eq=False)
class TightState:
    """Iterates of B members, in normalised units, and the steps that are tried next."""

    traced: ClassVar[tuple[str, ...]] = ("products",)

    constraints: Constraints = tuples()
    response: Response = tuples()
    rounded: Response = tuples()  #: In the precision of directions
    precoder: ComplexArray = rows(2)  # (B, N, K + S)
    objective: FloatArray = rows()  # f
    multipliers: FloatArray = rows(1)  # (B, K+1)
    tight: BoolArray = rows(1)  # which constraints are, (B, K+1)
    error: FloatArray = rows()  # of stationarity
    careful: bool = field()
    complete: BoolArray = rows()  # whether no new stream gains more than the tolerance
    steps: FloatArray = rows(2)  # of falling length, (B, 3, 2NL)
    rise: FloatArray = rows(1)  # what each promises, (B, 3)
    length: FloatArray = rows(1)  # in the metric, (B, 3)
    radius: FloatArray = rows()
    idle: IntArray = rows()
    products: IntArray = rows()
    turning: Turning | None = field()  #: None before the first point
    places: IntArray = rows()  # in the system, which stays whole: nothing but a bound asks for its objective
    whole: tuple[System] = field()
    tolerance: float = field()
    room: Rooms = field()  # of one member, that of all by turns

    @property
    def system(self) -> System:
        """Constraints and objective."""
        return take(self.whole[0], self.places)

    @property
    def residual(self) -> FloatArray:
        """Relative error of stationarity, (B,); infinite where a stream is missing."""
        return np.where((self.error > self.tolerance) | self.complete, self.error, np.inf)

    @property
    def stalled(self) -> BoolArray:
        """Which members get no further, (B,)."""
        lacks = (self.error <= self.tolerance) & ~self.complete
        return np.asarray((self.idle > (PATIENT if self.careful else IDLE)) | lacks)

    @property
    def bound(self) -> FloatArray:
        """Upper bound on f where first order proves one, (B,)."""
        bound, proven = np.full(len(self.precoder), np.nan), self.whole[0].objective.proven
        known = proven[self.places] & (self.error <= self.tolerance)
        if known.any():
            here = take(self, known)
            bound[known] = certify(here.system, here.precoder, here.multipliers).bound
        return bound


def begin(
    system: System, response: Response, V: ComplexArray, tolerance: float, bound: BoolArray | None = None
) -> TightState:
    """The state at points near V (B, N, L) that meet constraints with equality.

    Args:
        system: The members.
        response: Their response.
        V: The points.
        tolerance: Relative error of stationarity at which a member has converged.
        bound: Which constraints do, (B, K+1), for a way of careful directions. Without it all do, where there are
            points that can.
    """
    members, K, n, constraints = len(V), system.users, len(SHORTER), system.constraints
    way, broken = settled(constraints, V, np.ones((members, K + 1), bool) if bound is None else bound)
    if broken.any():  # far from equality: with the power alone, until a step violates an SQINR
        at = np.flatnonzero(broken)
        alone, broken[at] = settled(take(constraints, at), V[at], np.tile(np.arange(K + 1) == K, (at.size, 1)))
        way = put(way, at, alone)
    none, count = np.zeros(members), np.zeros(members, int)
    careful = bound is not None
    factors = rounded(response, not careful)
    state = TightState(
        constraints=constraints,
        response=response,
        rounded=factors,
        precoder=way.V,
        objective=none,
        multipliers=np.zeros((members, K + 1)),
        tight=way.tight,
        error=none,
        careful=careful,
        complete=none.astype(bool),
        steps=np.zeros((members, n, 2 * V[0].size)),
        rise=np.zeros((members, n)),
        length=np.zeros((members, n)),
        radius=none,
        idle=np.where(broken, PATIENT + 1, 0),
        products=count,
        turning=None,
        places=np.arange(members),
        whole=(system,),
        tolerance=tolerance,
        room=room(system.H, factors, V),
    )
    return _looked(state, Trial(way, *value_at(response, way.V), ~broken, state.radius, state.idle))


@frozen(eq=False)
class Trial:
    """Where a step leads B members, and whether they go there."""

    way: Tangent = field()
    value: FloatArray = rows()
    known: Seen = tuples()
    taken: BoolArray = rows()
    radius: FloatArray = rows()
    idle: IntArray = rows()


def step(state: TightState) -> TightState:
    """The longest step of each member that brings what it promises, or a smaller radius; and the next steps."""
    trial = _tried(state, 0)
    for shorter in range(1, len(SHORTER) + 1):
        left = np.flatnonzero(~trial.taken)
        if not left.size:
            break
        here = attrs.evolve(take(state, left), radius=trial.radius[left], idle=trial.idle[left])
        trial = put(trial, left, _tried(here, shorter) if shorter < len(SHORTER) else _stayed(here))
    return _looked(state, trial)


def _tried(state: TightState, shorter: int) -> Trial:
    """Steps of one of the lengths."""
    step, rise, length = state.steps[:, shorter], state.rise[:, shorter], state.length[:, shorter]
    moved = state.precoder + np.ascontiguousarray(step).view(complex).reshape(state.precoder.shape)
    way, broken = settled(state.constraints, moved, state.tight)
    value, known = value_at(state.response, way.V)
    gained = np.where(broken, -np.inf, value - state.objective)
    flat = rise <= ROUNDING * state.objective
    taken = (gained > TAKEN * rise) | (flat & (np.abs(gained) <= ROUNDING * state.objective))
    cut = length >= 0.99 * state.radius
    radius = np.where(cut & (gained > GOOD * rise), LONGER * state.radius, state.radius)
    radius = np.where(gained >= POOR * rise, radius, SHORTER[1] * length)
    return Trial(way, value, known, taken, radius, state.idle + flat)


def _stayed(state: TightState) -> Trial:
    """Where members are: with another radius they have other steps."""
    way, _ = settled(state.constraints, state.precoder, state.tight)
    value, known = value_at(state.response, way.V)
    return Trial(way, value, known, np.ones(len(value), bool), state.radius, state.idle)


def _looked(state: TightState, there: Trial) -> TightState:
    """The state where members have gone, with multipliers, errors, and the steps to try next."""
    way, value = there.way, there.value
    echoes = echoes_at(state.response, value, there.known)
    way, multipliers, gradient, error = _priced(state, way, echoes)
    ended, complete = error <= state.tolerance, np.zeros(len(value), bool)
    ends = np.flatnonzero(ended)
    if ends.size:
        lacks = missing(state.constraints, state.response, echoes, multipliers, ends)
        complete[ends] = [positive(lack, state.tolerance * value[i]) for i, lack in zip(ends, lacks, strict=True)]
    state = attrs.evolve(
        state, precoder=way.V, objective=value, multipliers=multipliers, tight=way.tight, error=error,
        complete=complete, radius=there.radius, idle=there.idle,
    )  # fmt: skip
    if ends.size == len(value):
        return state
    turning = _turning(state, echoes)
    lagrangian = lagrangian_at(state.constraints, echoes, way, state.multipliers, turning)
    radius, fresh = state.radius, state.radius == 0
    if fresh.any():
        radius = np.where(fresh, first_radius(lagrangian, way, gradient), radius)
    accuracy = (CAREFUL if state.careful else 1.0) * np.minimum(FORCING, SHARPER * np.sqrt(state.error))
    accuracy = np.maximum(accuracy, ENOUGH * state.tolerance / state.error)
    shape = state.rise.shape
    steps = Steps(np.zeros((*shape, 2 * gradient[0].size)), np.zeros(shape), np.zeros(shape), np.zeros(shape[0], int))
    # Members that have ended come along with a radius of zero: their path has one segment of no length, which is none.
    reach = np.where(ended, 0.0, radius)
    single = not state.careful
    data = (state.rounded, rounded(point_at(echoes), single))
    asked = (real_vectors(gradient), reach, accuracy)
    compiled(steps_each)(*data, *rounded(lagrangian, single), *asked, *state.room, steps)
    return attrs.evolve(
        state, steps=steps.step, rise=steps.rise, length=steps.length, radius=radius,
        products=state.products + np.where(ended, 0, steps.products), turning=turning,
    )  # fmt: skip


def _turning(state: TightState, echoes: Echoes) -> Turning:
    """The metric of each member, made anew where f has risen much since."""
    kept, value = state.turning, echoes.value
    if kept is None or (anew := ~(np.abs(value - kept.value) <= MOVED * value)).all():
        return Turning.at(state.constraints, state.response, echoes, state.multipliers, not state.careful)
    if not anew.any():
        return kept
    at = np.flatnonzero(anew)
    here = take(state.constraints, at), take(state.response, at), take(echoes, at), state.multipliers[at]
    return put(kept, at, Turning.at(*here, not state.careful))


def _priced(state: TightState, way: Tangent, echoes: Echoes) -> tuple[Tangent, FloatArray, ComplexArray, FloatArray]:
    """Normals, multipliers next to stationarity, half of the Lagrangian's gradient, (B, N, L), and the error, (B,)."""
    size = np.sqrt(frobenius2(way.V)) / np.maximum(echoes.value, np.finfo(float).tiny)
    for _ in range(way.tight.shape[-1]):
        multipliers = -way.components(echoes.half)
        gradient = echoes.half + way.mixed(multipliers)
        error = np.sqrt(frobenius2(gradient)) * size
        near = (error <= BELIEVED) & (multipliers[:, :-1].min(axis=-1, initial=0.0) < 0)
        if not near.any():
            break
        # A constraint that is let go before the others' face is gone through comes back with the next step, and so on.
        pulls = way.pulls(multipliers)
        pull = pulls.max(axis=-1, initial=0.0) * size
        goes = near & (pull > np.where(error <= state.tolerance, 0.0, error))
        if not goes.any():
            break
        at = np.flatnonzero(goes)
        tight = way.tight[at]
        tight[np.arange(at.size), pulls[at].argmax(axis=-1)] = False
        way = put(way, at, settled(take(state.constraints, at), way.V[at], tight)[0])
    return way, multipliers, gradient, np.where(np.isfinite(error), error, np.inf)


def seeded(state: TightState, streams: int) -> ComplexArray:
    """V (B, N, L + streams) of stationary points with new streams of little power where they gain most."""
    echoes = echoes_of(state.response, state.precoder)
    lacks = missing(state.constraints, state.response, echoes, state.multipliers, np.arange(len(echoes.value)))
    fresh = eigh(lacks)[1][:, :, :streams]
    share = SHARE / streams
    return np.concatenate([np.sqrt(1 - SHARE) * state.precoder, np.sqrt(share) * fresh], axis=-1)
