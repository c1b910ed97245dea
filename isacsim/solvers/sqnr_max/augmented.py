"""The augmented Lagrangian method: `SqnrMax` behind any hardware with a derivative.

Exact models of hardware are not linear in the covariance, so that surrogates of the SQNR lose their touch and
the SQINRs their cones. What is left is a smooth problem,

    max ln SQNR(W)  with  c_k(W) = (1 + 1/least_k) (ln(1 + SQINR_k) - ln(1 + least_k)) >= 0

on the surface that the power leaves (`isacsim.solvers.surface`). Next to zero c_k is the relative slack of the SQINR;
far from it, it bends less. The augmented Lagrangian

    ln SQNR - sum_k (max(lambda_k - rho c_k, 0)^2 - lambda_k^2) / (2 rho)

is raised by the iteration of `riemannian-lbfgs`; where that has arrived, ``lambda_k <- max(lambda_k - rho c_k, 0)``.
A point where the gradient vanishes, no c_k is negative and none with a multiplier positive meets the first-order
conditions.
"""

from __future__ import annotations

from typing import ClassVar

import attrs
import numpy as np
from attrs import field, frozen

from isacsim.batch import hermitian, hermitian_part, inner, put, real_vectors, rows, squared, take
from isacsim.link import Echo, Reception, Transmission
from isacsim.metrics.cotangents import Cotangent, pulled_back, rate_cotangent, sqnr_cotangent
from isacsim.metrics.sensing import sqnr
from isacsim.optimisation.lbfgs import LastPairs
from isacsim.optimisation.preconditioner import damped_inverse
from isacsim.optimisation.riemannian import RiemannianState
from isacsim.problems.sqnr_max import SqnrMax
from isacsim.solvers.iterate import of_point
from isacsim.solvers.surface import Driven, PowerSurface, even_gain
from isacsim.typing import AnyArray, BoolArray, ComplexArray, FloatArray

TINY = np.finfo(float).tiny
ACTIVE = 1e-9  # multiplier, in nats of the SQNR a nat of rate, from which a constraint counts as one
PENALTY, STEEPER, STEEPEST = 10.0, 5.0, 1e7  # rho at first, what it grows by, and to
FALLEN = 0.25  # share of the last violation above which the penalty grows
COARSE, FINER = 1e-2, 0.1  # residual at which multipliers move first, and of the next time
IDLE = 12  # moves of the multipliers without progress after which a member has stalled
MEMORY = 20  # curvature pairs: the penalty has a steep direction for each user
MARGIN = 1e-11  # nats by which SQINRs are met: more than rounding, less than what is told
CORRECTIONS, LONGEST = 20, 0.2  # Newton corrections, and the length of one relative to the precoder
RIDGE = 1e-13  # of the normals of users that cannot be told apart
FAINT = 1e-8  # amplitude of streams that only probe, relative: their power is below rounding


@frozen(eq=False)
class AugmentedPoint:
    """The augmented Lagrangian at coordinates, with its derivative.

    Attributes:
        W: The coordinates, (B, N_t, K+S).
        objective: The augmented Lagrangian, (B,).
        gradient: Half gradient in the coordinates, (B, N_t, K+S).
        normal: That of the radiated power of the antennas at a cap; zero elsewhere.
        weights: Weight of each user's channel in the preconditioner, (B, K).
        sqnr: The radar SQNR, (B,).
        slack: c_k, (B, K); infinite for a user who is asked for nothing.
        push: ``max(lambda_k - rho c_k, 0)``, (B, K).
    """

    W: ComplexArray = rows(2)
    objective: FloatArray = rows()
    gradient: ComplexArray = rows(2)
    normal: ComplexArray = rows(2)
    weights: FloatArray = rows(1)
    sqnr: FloatArray = rows()
    slack: FloatArray = rows(1)
    push: FloatArray = rows(1)

    @property
    def violation(self) -> FloatArray:
        """The largest by which an SQINR falls short, (B,), relative to what is asked."""
        return np.maximum(-self.slack, 0.0).max(axis=-1, initial=0.0)

    @property
    def loose(self) -> FloatArray:
        """The largest slack of a user with a multiplier, (B,), relative to what is asked."""
        held = self.push > ACTIVE
        return np.where(held, np.maximum(self.slack, 0.0), 0.0).max(axis=-1, initial=0.0)


@frozen(eq=False)
class AugmentedMerit(Driven):
    """The augmented Lagrangian of a flat `SqnrMax`, with what a Riemannian solver asks of a merit.

    Attributes:
        problem: The problem.
        surface: What the power leaves.
        gain: Of the chains, from the coordinates, `even_gain`.
        multipliers: lambda, (B, K).
        penalty: rho, (B,).
    """

    problem: SqnrMax = field()
    surface: PowerSurface = field()
    gain: ComplexArray = field()
    multipliers: FloatArray = rows(1)
    penalty: FloatArray = rows()

    @classmethod
    def of(cls, problem: SqnrMax) -> AugmentedMerit:
        """That of a flat problem without multipliers yet."""
        members, _, users = problem.H.shape
        surface = PowerSurface.of(problem)
        gain = even_gain(surface.transmit, surface.scale)
        return cls(problem, surface, gain, np.zeros((members, users)), np.full(members, PENALTY))

    @property
    def members(self) -> int:
        """Number B of members."""
        return len(self.multipliers)

    @property
    def channels(self) -> ComplexArray:
        """H behind the gain of the chains, in the coordinates, (B, N_t, K)."""
        return hermitian(self.gain) @ self.problem.H

    def evaluate(self, Z: ComplexArray) -> AugmentedPoint:
        """The augmented Lagrangian at Z (B, N_t, K+S), and its derivative."""
        W = self.surface.precoder(Z)
        sent = Transmission.of(W, self.surface.transmit)
        users, echo, slack = self.seen(sent)
        rho = self.penalty[:, None]
        push = np.maximum(self.multipliers - np.where(np.isinf(slack), 0.0, rho * slack), 0.0)
        value, cotangent = self.worth(echo)
        cost = ((push**2 - self.multipliers**2) / (2 * rho)).sum(axis=-1)
        share = np.where(value > 0, 1 / np.where(value > 0, value, 1.0), 0.0)
        cotangent = cotangent.times(share.reshape(-1, *(1,) * (W.ndim - 3))) + self._slacks(sent, users, push)
        received = squared(hermitian(self.channels) @ Z.reshape(W.shape)).sum(axis=-1) + self.problem.noise_power
        return AugmentedPoint(
            W=Z,
            objective=np.log(np.maximum(value, TINY)) - cost,
            gradient=self._gradient(W, sent, cotangent),
            normal=self.surface.normal(W, sent),
            weights=self._relative * push.reshape(received.shape) * users.sqinr / received,
            sqnr=value,
            slack=slack,
            push=push,
        )

    def worth(self, echo: Echo) -> tuple[FloatArray, Cotangent]:
        """The radar SQNR, (B,), and its derivative."""
        return sqnr(echo), sqnr_cotangent(echo, self.problem.transceiver.receive)

    def judged(self, Z: ComplexArray) -> FloatArray:
        """The objective of the problem at coordinates, (B,)."""
        return np.asarray(self.problem.objective(self.surface.precoder(Z)))

    def seen(self, sent: Transmission) -> tuple[Reception, Echo, FloatArray]:
        """What users and sensing receiver get of a transmission, and the slacks c (B, K)."""
        problem, hardware = self.problem, self.problem.transceiver
        users = Reception.of(problem.H, sent, problem.noise_power, hardware.user)
        echo = Echo.of(problem.G, sent, problem.radar_noise_power, hardware.receive)
        least = np.broadcast_to(problem.min_sqinr, users.sqinr.shape)
        slack = self._relative * (np.log1p(users.sqinr) - np.log1p(least))
        return users, echo, np.where(least > 0, slack, np.inf)

    @property
    def _relative(self) -> FloatArray:
        """The factor ``1 + 1/least_k`` of the slacks, (B, K); 0 for a user who is asked for nothing."""
        least = self.problem.min_sqinr
        return np.where(least > 0, 1 + 1 / np.where(least > 0, least, 1.0), 0.0)

    def normals(self, Z: ComplexArray) -> tuple[FloatArray, FloatArray]:
        """The slacks c (B, K) at Z, and their gradients along the surface as real vectors (B, K, 2 N_t (K+S))."""
        W = self.surface.precoder(Z)
        sent = Transmission.of(W, self.surface.transmit)
        users, _, slack = self.seen(sent)
        normal, found = self.surface.normal(W, sent), []
        for k in range(slack.shape[-1]):
            own = np.arange(slack.shape[-1]) == k
            gradient = self._gradient(W, sent, self._slacks(sent, users, own.astype(float)))
            found.append(real_vectors(self.surface.slope(Z, gradient, normal)))
        return slack, np.stack(found, axis=1)

    def _slacks(self, sent: Transmission, users: Reception, weights: FloatArray) -> Cotangent:
        """The derivative of ``sum_k weights_k c_k``."""
        return rate_cotangent(self.problem.H, sent, users, self.problem.transceiver.user, self._relative * weights)

    def _gradient(self, W: ComplexArray, sent: Transmission, cotangent: Cotangent) -> ComplexArray:
        return self.surface.precoder(pulled_back(W, sent, self.surface.transmit, cotangent))

    def moved(self, members: BoolArray, point: AugmentedPoint, steeper: BoolArray) -> AugmentedMerit:
        """With the multipliers of ``members`` at a point, and steeper penalties for some of them."""
        penalty = np.where(members & steeper, np.minimum(STEEPER * self.penalty, STEEPEST), self.penalty)
        multipliers = np.where(members[:, None], point.push, self.multipliers)
        return attrs.evolve(self, multipliers=multipliers, penalty=penalty)

    def value(self, Z: ComplexArray) -> FloatArray:
        """The objective at coordinates, (B,)."""
        return self.evaluate(Z).objective

    def preconditioner(self, point: AugmentedPoint) -> ComplexArray:
        """Inverse of ``2 (H diag(weights) H^H + mu I)``, with mu of an SQNR that grows with the power."""
        radial = 1 + (point.weights * self.problem.noise_power).sum(axis=-1)
        return damped_inverse(self.channels, point.weights, radial / self.size(point))

    def magnitude(self, point: AugmentedPoint) -> FloatArray:
        """That of the logarithm and of the slacks that count, in nats, (B,)."""
        return np.asarray(1 + point.push.sum(axis=-1))


@frozen(eq=False)
class AugmentedState:
    """Iterates of B members."""

    traced: ClassVar[tuple[str, ...]] = ("violation",)

    ascent: RiemannianState = field()
    goal: FloatArray = rows()  # residual at which the multipliers move
    last: FloatArray = rows()  # violation and loose slack when they last did
    idle: FloatArray = rows()  # moves without progress

    @property
    def point(self) -> AugmentedPoint:
        """Where the members are."""
        found: AugmentedPoint = self.ascent.point
        return found

    precoder = of_point("W", "Coordinates Z, (B, N_t, K+S).")
    objective = of_point("sqnr", "The radar SQNR, (B,).")
    violation = of_point("violation", "The largest by which an SQINR falls short, (B,), relative to what is asked.")

    @property
    def decision(self) -> dict[str, AnyArray]:
        """The coordinates, and the multipliers that go with them."""
        return {"precoder": self.point.W, "multipliers": self.point.push}

    @property
    def residual(self) -> FloatArray:
        """Of the first-order conditions: gradient, violation, and slack of users with a multiplier, (B,)."""
        return np.maximum(self.ascent.residual, np.maximum(self.violation, self.point.loose))

    @property
    def stalled(self) -> BoolArray:
        """Which members get no further."""
        return np.asarray(self.idle > IDLE)


@frozen
class Ascent:
    """The iteration, to a tolerance."""

    tolerance: float

    def init(self, merit: AugmentedMerit, Z: ComplexArray) -> AugmentedState:
        """The state at the first coordinates Z (B, N_t, K+S)."""
        members = np.arange(len(Z))
        ascent, none = RiemannianState.first(merit, Z, members, LastPairs.none(MEMORY, Z)), np.zeros(len(Z))
        return AugmentedState(ascent, none + COARSE, none + np.inf, none)

    def step(self, state: AugmentedState) -> AugmentedState:
        """One monotone iteration of every member, and new multipliers where it has arrived."""
        ascent = state.ascent.step()
        arrived = np.asarray((ascent.residual <= state.goal) | ascent.stalled)
        if not arrived.any():
            return attrs.evolve(state, ascent=ascent)
        point, merit = ascent.point, ascent.line.merit
        off = np.maximum(point.violation, point.loose)
        slow = off > FALLEN * state.last
        still = (slow | ascent.stalled) & (state.goal <= self.tolerance)
        merit = merit.moved(arrived, point, slow & (off > self.tolerance))
        here = take(merit, arrived)
        fresh = here.evaluate(point.W[arrived])
        preconditioner = ascent.preconditioner.copy()
        preconditioner[arrived] = here.preconditioner(fresh)
        point = put(point, np.flatnonzero(arrived), fresh)
        memory = ascent.memory.forget(arrived & (slow | ascent.stalled))
        never = np.zeros(arrived.shape, bool)
        ascent = RiemannianState.ready(merit, ascent.origin, point, never, memory, preconditioner, ascent.count)
        return AugmentedState(
            ascent=ascent,
            goal=np.where(arrived, np.maximum(FINER * state.goal, self.tolerance), state.goal),
            last=np.where(arrived, off, state.last),
            idle=np.where(arrived, np.where(still, state.idle + 1, 0), state.idle),
        )


def tightened(merit: AugmentedMerit, Z: ComplexArray, push: FloatArray) -> tuple[ComplexArray, FloatArray]:
    """Coordinates near Z (B, N_t, K+S) that meet the SQINRs, with equality where pushed; and the least slack.

    Newton corrections of least length along the surface, ``dZ = J^T (J J^T)^-1 (margin - c)``.

    Args:
        merit: The problem.
        Z: Coordinates.
        push: Multipliers, (B, K).
    """
    held = push > ACTIVE
    if not held.shape[-1]:
        return Z, np.full(len(Z), np.inf)
    slack, normals = merit.normals(Z)
    for _ in range(CORRECTIONS):
        held = held | (slack < 0)
        off = np.where(held, MARGIN - slack, 0.0)
        todo = np.abs(off).max(axis=-1) > MARGIN
        if not todo.any():
            break
        J = np.where(held[..., None], normals, 0.0)
        gram, k = J @ J.swapaxes(-1, -2), np.arange(held.shape[-1])
        gram[:, k, k] += np.where(held, RIDGE * gram[:, k, k] + TINY, 1.0)
        price = np.linalg.solve(gram, off[..., None])
        step = (J.swapaxes(-1, -2) @ price)[..., 0].view(complex).reshape(Z.shape)
        # Far from the SQINRs a step is no correction: it is cut, and the next one goes on.
        length = np.sqrt(inner(step, step) / inner(Z, Z)) / LONGEST
        moved = merit.project(Z + step / np.maximum(1.0, length)[:, None, None])
        Z = np.where((todo & np.isfinite(moved).all(axis=(-2, -1)))[:, None, None], moved, Z)
        slack, normals = merit.normals(Z)
    return Z, slack.min(axis=-1)


def lacking(merit: AugmentedMerit, Z: ComplexArray) -> tuple[FloatArray, ComplexArray]:
    """What one more sensing stream would gain, (B,), in nats for all of the power, and along what, (B, n).

    The gradient of a stream that serves no user is a Hermitian matrix times the stream, the same for all
    of them: streams too weak to count show it. Where coordinates are blocks of several subcarriers, each has its own
    matrix, and the new stream the more power on one the more it gains there.
    """
    rows, streams = Z.shape[-2:]
    antennas = merit.surface.scale.shape[-1]
    weak = FAINT * np.sqrt(inner(Z, Z) / rows)[:, None, None] * np.tile(np.eye(antennas), (rows // antennas, 1))
    point = merit.evaluate(np.concatenate([Z, weak], axis=-1))
    slope = merit.slope(point)[..., streams:] / 2 / weak[:, :1, :1]
    spectrum, U = np.linalg.eigh(hermitian_part(slope.reshape(len(Z), -1, antennas, antennas)))
    gain = spectrum[..., -1]
    share = np.maximum(gain, 0.0)
    share = share / np.maximum(share.sum(axis=-1, keepdims=True), TINY)
    stream = np.sqrt(share)[..., None] * U[..., -1]
    return gain.max(axis=-1) * merit.size(point), np.ascontiguousarray(stream.reshape(len(Z), rows))
