"""`SqnrMax` on all subcarriers of a band behind hardware that meets them together: one stationary point.

The augmented Lagrangian of the mean SQNR (`isacsim.solvers.sqnr_max.augmented`). What is given is the power that leaves
the chains on the active subcarriers: with chains whose output is in proportion to their input it grows with the square
of the precoders, so that full power is a surface on which scaling leads back.
"""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
from attrs import field, frozen

from isacsim.batch import inner, real_vectors, rows
from isacsim.hardware.base import Hardware
from isacsim.hardware.converters import even_gain
from isacsim.hardware.spectral import OverBand
from isacsim.link import Transmission
from isacsim.metrics.cotangents import power_cotangent, pulled_back
from isacsim.optimisation.augmented import TINY
from isacsim.optimisation.surface import Surface
from isacsim.problems.sqnr_max import SqnrMax
from isacsim.solvers.base import Request
from isacsim.solvers.solution import Solution
from isacsim.solvers.sqnr_max.augmented import AugmentedMerit
from isacsim.solvers.sqnr_max.behind_hardware import ROUNDS, AugmentedLagrangian, compressed
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

    def spent(self, Z: ComplexArray) -> FloatArray:
        """Squared norm of the coordinates over the power, (1,), which chains set."""
        return inner(Z, Z) / self.power


def merit_over(through: SqnrMax, total: float) -> AugmentedMerit:
    """The augmented Lagrangian of narrowband problems (F,) through hardware that meets the band, of a power in W."""
    (F, antennas, users), transmit = through.H.shape, through.transceiver.transmit
    names = ("H", "G", "min_sqinr", "power", "noise_power", "radar_noise_power")
    changes: dict[str, Any] = {name: np.asarray(getattr(through, name))[None] for name in names}
    problem, scale = attrs.evolve(through, **changes), np.ones((1, antennas))
    surface = InBand(transmit, np.array([total]), F, scale)
    gain = even_gain(transmit.device if isinstance(transmit, OverBand) else transmit, scale)
    return AugmentedMerit(np.zeros((1, F * users)), np.array([PENALTY / F]), problem, surface, gain)


def priced(merit: AugmentedMerit, Z: ComplexArray) -> AugmentedMerit:
    """With the multipliers next to stationarity at coordinates, as if all constraints were met with equality."""
    alone = attrs.evolve(merit, penalty=np.array([TINY]))  # the logarithm of the objective, and nothing else
    slope, (_, normals) = real_vectors(alone.slope(alone.evaluate(Z))), merit.normals(Z)
    multipliers, *_ = np.linalg.lstsq(normals[0].T, -slope[0], rcond=None)
    return attrs.evolve(merit, multipliers=np.maximum(multipliers, 0.0)[None])


def ascended(through: SqnrMax, W: ComplexArray, total: float) -> Solution:
    """Where an ascent from precoders W (F, N_t, K+N_t) ends, one member with precoders (1, F, N_t, K+N_t).

    Args:
        through: Narrowband problems (F,), through hardware that meets the band and is in proportion to its input.
        W: Where to start from.
        total: The power of all subcarriers, in W.
    """
    solver, merit = AugmentedLagrangian(max_steps=STEPS), merit_over(through, total)
    Z, used = compressed(W[None], through.users)
    Z = merit.project(merit.surface.coordinates(Z[..., : used[0]]))
    found = solver.climbed(priced(merit, Z), Z, Request(), np.zeros(1, int), ROUNDS)
    return attrs.evolve(found, decision={"precoder": merit.precoder(found.precoder)})
