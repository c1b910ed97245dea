"""`SqnrMax` behind any hardware with a derivative, as the augmented Lagrangian method takes it.

Exact models of hardware are not linear in the covariance, so that surrogates of the SQNR lose their touch and
the SQINRs their cones. What is left is a smooth problem,

    max ln SQNR(W)  with  c_k(W) = (1 + 1/least_k) (ln(1 + SQINR_k) - ln(1 + least_k)) >= 0

on the surface that the power leaves (`isacsim.solvers.surface`), for `isacsim.optimisation.augmented`. Next to zero c_k
is the relative slack of the SQINR; far from it, it bends less. On the F subcarriers of a band, which are further
leading axes of a problem, it is the mean of the SQNR, and there are F K constraints; precoders stand as one tall
matrix, (F N_t, K+S), one block above the other.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from attrs import field, frozen

from isacsim.batch import hermitian, hermitian_part, inner, real_vectors, rows, squared
from isacsim.hardware.converters import even_gain
from isacsim.link import Echo, Reception, Transmission
from isacsim.metrics.cotangents import Cotangent, pulled_back, rate_cotangent, sqnr_cotangent
from isacsim.metrics.sensing import sqnr
from isacsim.optimisation.augmented import TINY, Constrained, ConstrainedPoint
from isacsim.optimisation.preconditioner import damped_inverse
from isacsim.problems.sqnr_max import SqnrMax
from isacsim.solvers.surface import Driven, PowerSurface
from isacsim.typing import ComplexArray, FloatArray

PENALTY = 10.0  # rho at first
FAINT = 1e-8  # amplitude of streams that only probe, relative: their power is below rounding


@frozen(eq=False)
class AugmentedPoint(ConstrainedPoint):
    """The augmented Lagrangian of ln SQNR, whose slacks are in relative SQINRs.

    Attributes:
        weights: Weight of each user's channel in the preconditioner, (B, K), over a band (B, F, K).
        sqnr: The radar SQNR, (B,).
    """

    weights: FloatArray = rows(1)
    sqnr: FloatArray = rows()


@frozen(eq=False)
class AugmentedMerit(Constrained, Driven):
    """The augmented Lagrangian of a `SqnrMax` of B members, with what a Riemannian solver asks of a merit.

    Attributes:
        problem: The problem, flat, or over bands with the leading axes (B, F).
        surface: What the power leaves, `PowerSurface` or one like it.
        gain: Of the chains, from the coordinates, `even_gain`.
    """

    problem: SqnrMax = field()
    surface: Any = field()
    gain: ComplexArray = field()

    @classmethod
    def of(cls, problem: SqnrMax) -> AugmentedMerit:
        """That of a flat problem without multipliers yet."""
        members, _, users = problem.H.shape
        surface = PowerSurface.of(problem)
        gain = even_gain(surface.transmit, surface.scale)
        return cls(np.zeros((members, users)), np.full(members, PENALTY), problem, surface, gain)

    @property
    def power(self) -> FloatArray:
        """What leaves the chains of each member, (B,), in W."""
        return np.asarray(self.surface.power)

    @property
    def channels(self) -> ComplexArray:
        """H behind the gain of the chains, in the coordinates, (..., N_t, K)."""
        return hermitian(self.gain) @ self.problem.H

    def evaluate(self, Z: ComplexArray) -> AugmentedPoint:
        """The augmented Lagrangian at Z (B, N_t, K+S), over a band (B, F N_t, K+S), and its derivative."""
        problem, W = self.problem, self.precoder(Z)
        sent = Transmission.of(W, self.surface.transmit)
        users, slack = self._heard(sent)
        push, cost = self.pushed(slack)
        echo = Echo.of(problem.G, sent, problem.radar_noise_power, problem.transceiver.receive)
        each = sqnr(echo).reshape(len(Z), -1)
        value = each.mean(axis=-1)
        share = np.where(value > 0, 1 / (each.shape[-1] * np.where(value > 0, value, 1.0)), 0.0)
        cotangent = sqnr_cotangent(echo, problem.transceiver.receive).times(share.reshape(-1, *(1,) * (W.ndim - 3)))
        cotangent = cotangent + self._slacks(sent, users, push)
        received = squared(hermitian(self.channels) @ Z.reshape(W.shape)).sum(axis=-1) + problem.noise_power
        return AugmentedPoint(
            W=Z,
            objective=np.log(np.maximum(value, TINY)) - cost,
            gradient=self._gradient(W, sent, cotangent),
            normal=self.surface.normal(W, sent),
            slack=slack,
            push=push,
            weights=self._relative * push.reshape(received.shape) * users.sqinr / received,
            sqnr=value,
        )

    def judged(self, Z: ComplexArray) -> FloatArray:
        """The objective of the problem at coordinates, over a band its mean, (B,)."""
        return np.asarray(self.problem.objective(self.precoder(Z)).reshape(len(Z), -1).mean(axis=-1))

    def _heard(self, sent: Transmission) -> tuple[Reception, FloatArray]:
        """What users receive of a transmission, and the slacks c (B, K), over a band (B, F K)."""
        problem = self.problem
        users = Reception.of(problem.H, sent, problem.noise_power, problem.transceiver.user)
        least = np.broadcast_to(problem.min_sqinr, users.sqinr.shape)
        slack = self._relative * (np.log1p(users.sqinr) - np.log1p(least))
        return users, np.where(least > 0, slack, np.inf).reshape(len(slack), -1)

    @property
    def _relative(self) -> FloatArray:
        """The factor ``1 + 1/least_k`` of the slacks, (..., K); 0 for a user who is asked for nothing."""
        least = self.problem.min_sqinr
        return np.where(least > 0, 1 + 1 / np.where(least > 0, least, 1.0), 0.0)

    def normals(self, Z: ComplexArray) -> tuple[FloatArray, FloatArray]:
        """The slacks c (B, K) at Z, and their gradients along the surface as real vectors (B, K, 2 N_t (K+S))."""
        W = self.precoder(Z)
        sent = Transmission.of(W, self.surface.transmit)
        (users, slack), normal, found = self._heard(sent), self.surface.normal(W, sent), []
        for own in np.eye(slack.shape[-1]):
            gradient = self._gradient(W, sent, self._slacks(sent, users, np.tile(own, (len(Z), 1))))
            found.append(real_vectors(self.surface.slope(Z, gradient, normal)))
        return slack, np.stack(found, axis=1)

    def _slacks(self, sent: Transmission, users: Reception, weights: FloatArray) -> Cotangent:
        """The derivative of the sum of the slacks times weights (B, K), over a band (B, F K)."""
        weights = self._relative * weights.reshape(users.sqinr.shape)
        return rate_cotangent(self.problem.H, sent, users, self.problem.transceiver.user, weights)

    def _gradient(self, W: ComplexArray, sent: Transmission, cotangent: Cotangent) -> ComplexArray:
        """Half gradient by coordinates, of that by precoders."""
        back = self.surface.scale[..., None] * pulled_back(W, sent, self.surface.transmit, cotangent)
        return np.asarray(back.reshape(len(W), -1, W.shape[-1]))

    def value(self, Z: ComplexArray) -> FloatArray:
        """The augmented Lagrangian at coordinates, (B,)."""
        return self.evaluate(Z).objective

    def preconditioner(self, point: AugmentedPoint) -> ComplexArray:
        """Inverse of ``2 (H diag(weights) H^H + mu I)``, with mu of an SQNR that grows with the power.

        Over a band one for each subcarrier, at one price of power.
        """
        (*leading, antennas, users), members = self.channels.shape, len(point.W)
        each = math.prod(leading)
        price = 1 + (point.weights * self.problem.noise_power).reshape(members, -1).sum(axis=-1)
        H = np.ascontiguousarray(self.channels.reshape(each, antennas, users))
        mu = np.repeat(price / self.size(point), each // members)
        inverse = damped_inverse(H, point.weights.reshape(each, users), mu)
        return inverse.reshape(members, -1, antennas)

    def magnitude(self, point: AugmentedPoint) -> FloatArray:
        """That of the logarithm and of the slacks that count, in nats, (B,)."""
        return np.asarray(1 + point.push.sum(axis=-1))


def lacking(merit: AugmentedMerit, Z: ComplexArray) -> tuple[FloatArray, ComplexArray]:
    """What one more sensing stream would gain, (B,), in nats for all of the power, and along what, (B, n).

    The gradient of a stream that serves no user is a Hermitian matrix times the stream, the same for all
    of them: streams too weak to count show it. Where coordinates are blocks of several subcarriers, each has its own
    matrix, and the new stream the more power on one the more it gains there.
    """
    rows, streams = Z.shape[-2:]
    antennas = merit.gain.shape[-1]
    weak = FAINT * np.sqrt(inner(Z, Z) / rows)[:, None, None] * np.tile(np.eye(antennas), (rows // antennas, 1))
    point = merit.evaluate(np.concatenate([Z, weak], axis=-1))
    slope = merit.slope(point)[..., streams:] / 2 / weak[:, :1, :1]
    spectrum, U = np.linalg.eigh(hermitian_part(slope.reshape(len(Z), -1, antennas, antennas)))
    gain = spectrum[..., -1]
    share = np.maximum(gain, 0.0)
    share = share / np.maximum(share.sum(axis=-1, keepdims=True), TINY)
    stream = np.sqrt(share)[..., None] * U[..., -1]
    return gain.max(axis=-1) * merit.size(point), np.ascontiguousarray(stream.reshape(len(Z), rows))
