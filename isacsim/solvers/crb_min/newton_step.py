"""One step of the saddle primal-dual Newton method for `CrbMin`.

A predictor, without a barrier, tells how far the boundary is, and from that comes the weight
of the barrier. A corrector aims at it, with the second-order term of the predictor. The
search halves the step until the residual of the saddle point, in the metric of the Newton
matrix at hand, has fallen by enough: a test that no change of coordinates affects. The weight
of the barrier may rise again, which frees an iterate that has come too near the boundary.
"""

from __future__ import annotations

from typing import ClassVar

import attrs
import numpy as np
from attrs import field, frozen

from isacsim.batch import hermitian, hermitian_part, put, rows, take
from isacsim.solvers.crb_min.dual import Dual, evaluate
from isacsim.solvers.crb_min.newton_system import NewtonSystem, dot, linearise, solved_again, times, times_transposed
from isacsim.solvers.crb_min.recovery import Beams, tight_beams
from isacsim.solvers.crb_min.reduction import Reduced
from isacsim.solvers.hermitian import coordinates, dyads, matrices
from isacsim.solvers.linear import inverse, sane, trace
from isacsim.typing import BoolArray, ComplexArray, FloatArray

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
    R: ComplexArray = rows(2)
    E: ComplexArray = rows(2)  #: in coordinates in which M is the identity
    eps: FloatArray = rows()
    largest_eps: FloatArray = rows()
    caution: FloatArray = rows()
    length: FloatArray = rows()  #: of the last step
    beams: Beams = field()  #: the best so far
    bound: FloatArray = rows()  #: the best so far
    count: FloatArray = rows()
    failures: FloatArray = rows()  #: steps that the search refused, in a row
    idle: FloatArray = rows()  #: steps since the gap last fell by a good part
    reference: FloatArray = rows()  #: that gap
    patience: int = field()  #: steps without a fall of the gap by 30 % after which a member has stalled

    @classmethod
    def first(
        cls,
        reduced: Reduced,
        dual: Dual,
        R: ComplexArray,
        eps: FloatArray,
        best: tuple[Beams, FloatArray],
        patience: int,
    ) -> NewtonState:
        """The state at a dual point and R, for a barrier of weight eps, with the best beams and bound known."""
        E, none = np.asarray(eps[:, None, None] * np.eye(reduced.rank), complex), np.zeros(eps.size)
        caution, length, reference = none + CAUTION[0], none + 1, none + np.inf
        return cls(reduced, dual, R, E, eps, eps, caution, length, *best, none, none, none, reference, patience)

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


def beams_at(reduced: Reduced, dual: Dual, E: ComplexArray) -> Beams:
    """Beams of a dual point and of E in the coordinates of its factor."""
    L = dual.inverse
    return tight_beams(reduced, dual.directions, hermitian_part(hermitian(L) @ E @ L))


def newton_step(state: NewtonState, tolerance: float) -> NewtonState:
    """The state after one predictor, one corrector and one search; ``tolerance`` is the gap that is aimed at."""
    system = linearise(state.reduced, state.dual, state.R, state.E, state.eps)
    predicted, E_rate, reach, decrement = _predictor(system)
    eps, caution = _barrier(state, system, reach, decrement, tolerance)
    target = eps[:, None, None] * np.eye(state.reduced.rank)
    second = reach[:, None, None] ** 2 * hermitian_part(E_rate @ predicted)
    X, xi, second, decrement = _corrector(state, system, eps, second)
    scaled, finite = sane(matrices(X) + xi[:, None, None] * np.eye(state.reduced.rank))
    spectrum, W = np.linalg.eigh(scaled)
    dR, sound = sane(matrices(system.covariance_change(X, xi)))
    sound &= finite & system.sound & np.isfinite(xi)
    length = np.where(sound, _longest(system, spectrum, xi, dR), 0.0)
    move = Move(spectrum, W, np.where(sound, xi, 0.0), dR)
    dual, R, length, good = _search(state, system, move, length, eps, decrement)
    dE = target - system.E - hermitian_part(system.E @ scaled) - second
    E, finite = sane(_moved(system, move, length, dE))
    E = np.where((good & finite)[:, None, None], E, target)
    beams = state.beams.better(beams_at(state.reduced, dual, E))
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


@frozen(eq=False)
class Move:
    """A direction: spectrum (B, r) and eigenvectors W of X + xi I, xi, and the change of R in its eigenbasis."""

    spectrum: FloatArray = rows(1)
    W: ComplexArray = rows(2)
    xi: FloatArray = rows()
    change: ComplexArray = rows(2)


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
    E_rate = -system.E - hermitian_part(system.E @ X)
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
    # J^T belongs to the old beams: their share is taken out again.
    pulled = times_transposed(system.J, effective) - times(system.beams, received / reduced.ratio)
    barrier = (move.W * (eps[:, None] / sizes)[:, None, :]) @ hermitian(move.W)
    slope = times(beams, powers) + pulled + coordinates(barrier)
    total = effective[:, :r].sum(axis=-1) + reduced.spare / np.sqrt(new.mu) - reduced.antennas
    slope_xi = slope[:, :r].sum(axis=-1) + state.dual.mu * total
    X, xi = system.direction(solved_again(system, slope[:, None])[:, 0], slope_xi)
    return new, hermitian_part(system.U @ R @ UH), dot(slope, X) + slope_xi * xi


def _moved(system: NewtonSystem, move: Move, length: FloatArray, dE: ComplexArray) -> ComplexArray:
    """E after its own step along dE, in the coordinates of the M that a step of ``length`` leads to."""
    E = system.E + _share(_least(system.E_root, dE), BOUNDARY)[:, None, None] * dE
    sizes = np.sqrt(1 + length[:, None] * move.spectrum)
    return hermitian_part(sizes[:, :, None] * (hermitian(move.W) @ E @ move.W) * sizes[:, None, :])
