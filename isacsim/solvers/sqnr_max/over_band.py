"""`SqnrMax` on all subcarriers of a band behind hardware that meets them together: one stationary point.

The augmented Lagrangian of the mean SQNR over the band (`isacsim.solvers.sqnr_max.augmented`), with a constraint for
each user on each subcarrier. Precoders stand as one tall matrix, (F N_t, K+S), one block above the other. What is given
is the power that leaves the chains on the active subcarriers: with chains whose output is in proportion to their input
it grows with the square of the precoders, so that full power is a surface on which scaling leads back.
"""

from __future__ import annotations

from typing import Any, Self, cast

import attrs
import numpy as np
from attrs import field, frozen

from isacsim.batch import frobenius2, inner, real_vectors, rows
from isacsim.hardware.base import Hardware
from isacsim.hardware.spectral import OverBand
from isacsim.link import Echo, Reception, Transmission
from isacsim.metrics.cotangents import Cotangent, power_cotangent, pulled_back, rate_cotangent
from isacsim.optimisation.preconditioner import damped_inverse
from isacsim.optimisation.surface import Surface
from isacsim.problems.sqnr_max import SqnrMax
from isacsim.solvers.base import Request
from isacsim.solvers.solution import Solution
from isacsim.solvers.sqnr_max.augmented import TINY, AugmentedMerit, AugmentedPoint
from isacsim.solvers.sqnr_max.behind_hardware import NOTHING, ROUNDS, AugmentedLagrangian
from isacsim.solvers.surface import even_gain
from isacsim.typing import ComplexArray, FloatArray

# rho at first, times F: each constraint is of one of F terms of a mean. Where multipliers start near those of the end a
# steep penalty only makes the problem worse: 24 subcarriers take 590 steps with it, and with 10 more than 1000.
PENALTY = 0.5
STEPS = 3000  # of one ascent


@frozen(eq=False)
class InBand(Surface):
    """The precoders of a band that radiate a power on its subcarriers, in tall coordinates (1, F N_t, K+S).

    Attributes:
        transmit: The chains, as subcarriers see them.
        power: On all subcarriers together, (1,), in W.
        blocks: Number F of subcarriers.
        scale: Of the coordinates, which are the precoders themselves, (1, N_t).
    """

    transmit: Hardware = field()
    power: FloatArray = rows()
    blocks: int = field()
    scale: FloatArray = rows(1)

    def precoder(self, Z: ComplexArray) -> ComplexArray:
        """The precoders (1, F, N_t, K+S) of coordinates."""
        return Z.reshape(len(Z), self.blocks, -1, Z.shape[-1])

    def coordinates(self, W: ComplexArray) -> ComplexArray:
        """The coordinates of precoders (1, F, N_t, K+S)."""
        return np.ascontiguousarray(W.reshape(len(W), -1, W.shape[-1]))

    def project(self, Z: ComplexArray) -> ComplexArray:
        """The coordinates scaled to full power."""
        power = Transmission.of(self.precoder(Z), self.transmit).power.sum(axis=-1)
        return np.asarray(Z * np.sqrt(self.power / power)[:, None, None])

    def normal(self, W: ComplexArray, sent: Transmission) -> ComplexArray:
        """Half gradient of the power, (1, F N_t, K+S)."""
        return self.coordinates(pulled_back(W, sent, self.transmit, power_cotangent(sent)))

    def slope(self, Z: ComplexArray, gradient: ComplexArray, normal: ComplexArray) -> ComplexArray:
        """Gradient along the surface, (1, F N_t, K+S), of a half gradient and the normal there."""
        price = inner(Z, gradient) / inner(Z, normal)
        return np.asarray(2 * (gradient - price[:, None, None] * normal))


@frozen(eq=False)
class BandAugmentedMerit(AugmentedMerit):
    """The augmented Lagrangian over one band: the problem has the leading axes (1, F), and F K constraints."""

    @classmethod
    def over(cls, through: SqnrMax, total: float) -> BandAugmentedMerit:
        """That of narrowband problems (F,) through hardware that meets the band, with a power of all, in W."""
        (F, antennas, users), transmit = through.H.shape, through.transceiver.transmit
        names = ("H", "G", "min_sqinr", "power", "noise_power", "radar_noise_power")
        changes: dict[str, Any] = {name: np.asarray(getattr(through, name))[None] for name in names}
        problem = attrs.evolve(through, **changes)
        scale = np.ones((1, antennas))
        surface = cast(Any, InBand(transmit, np.array([total]), F, scale))  # a surface of its own
        chains = transmit.stage if isinstance(transmit, OverBand) else transmit
        return cls(problem, surface, even_gain(chains, scale), np.zeros((1, F * users)), np.array([PENALTY / F]))

    def priced(self, Z: ComplexArray) -> Self:
        """With the multipliers next to stationarity at coordinates, as if all constraints were met with equality."""
        alone = attrs.evolve(self, penalty=np.array([TINY]))  # the logarithm of the objective, and nothing else
        point = alone.evaluate(Z)
        _, normals = self.normals(Z)
        slope = real_vectors(self.surface.slope(Z, point.gradient, point.normal))
        multipliers, *_ = np.linalg.lstsq(normals[0].T, -slope[0], rcond=None)
        return attrs.evolve(self, multipliers=np.maximum(multipliers, 0.0)[None])

    @property
    def power(self) -> FloatArray:
        """That of all subcarriers, (1,), in W."""
        return np.asarray(self.surface.power)

    def size(self, point: AugmentedPoint) -> FloatArray:
        """Squared length of the coordinates, (1,)."""
        return inner(point.W, point.W)

    def worth(self, echo: Echo) -> tuple[FloatArray, Cotangent]:
        """The mean of the SQNR over the band, (1,), and its derivative."""
        each, cotangent = super().worth(echo)
        return each.mean(axis=-1), cotangent.times(1 / each.shape[-1])

    def judged(self, Z: ComplexArray) -> FloatArray:
        """The mean of the objectives at coordinates, (1,)."""
        return super().judged(Z).mean(axis=-1)

    def seen(self, sent: Transmission) -> tuple[Reception, Echo, FloatArray]:
        """What is got of a transmission on each subcarrier, and the slacks c (1, F K)."""
        users, echo, slack = super().seen(sent)
        return users, echo, slack.reshape(len(slack), -1)

    def _slacks(self, sent: Transmission, users: Reception, weights: FloatArray) -> Cotangent:
        problem = self.problem
        weights = self._relative * weights.reshape(users.sqinr.shape)
        return rate_cotangent(problem.H, sent, users, problem.transceiver.user, weights)

    def _gradient(self, W: ComplexArray, sent: Transmission, cotangent: Cotangent) -> ComplexArray:
        return np.asarray(self.surface.coordinates(pulled_back(W, sent, self.surface.transmit, cotangent)))

    def preconditioner(self, point: AugmentedPoint) -> ComplexArray:
        """That of the narrowband problem on each subcarrier, (1, F N_t, N_t), at one price of power."""
        (_, F, antennas, users), weights = self.channels.shape, point.weights
        price = (1 + (weights * self.problem.noise_power).sum(axis=(-2, -1))) / self.size(point)
        H = np.ascontiguousarray(self.channels.reshape(-1, antennas, users))
        return damped_inverse(H, weights.reshape(F, users), np.repeat(price, F)).reshape(1, -1, antennas)


def ascended(through: SqnrMax, W: ComplexArray, total: float) -> Solution:
    """Where an ascent from precoders W (F, N_t, K+N_t) ends, one member with precoders (1, F, N_t, K+N_t).

    Args:
        through: Narrowband problems (F,), through hardware that meets the band and is in proportion to its input.
        W: Where to start from.
        total: The power of all subcarriers, in W.
    """
    solver = AugmentedLagrangian(max_steps=STEPS)
    merit = BandAugmentedMerit.over(through, total)
    users = through.users
    U, sizes, _ = np.linalg.svd(W[..., users:], full_matrices=False)
    strong = sizes**2 > NOTHING * frobenius2(W).sum()
    used = users + int(strong.sum(axis=-1).max())
    Z = np.concatenate([W[..., :users], U * np.where(strong, sizes, 0.0)[:, None, :]], axis=-1)[..., : max(used, 1)]
    Z = merit.project(merit.surface.coordinates(Z[None]))
    found = solver.climbed(merit.priced(Z), Z, Request(), np.zeros(1, int), ROUNDS)
    return attrs.evolve(found, decision={"precoder": merit.surface.precoder(found.precoder)})
