"""What the power leaves to precoders behind hardware, and how an iteration moves on it.

- Behind chains whose output is in proportion to their input, as it is of converters with gain control, the
  power is ``sum_i a_i ||row_i||^2``: in coordinates ``Z = diag(a)^1/2 W`` the sphere (or, for equal antenna
  powers, the product of spheres) of ideal hardware, and full power is optimal.
- Behind others, amplifiers for example, the drive is free below a cap: the best one may lie inside, where more
  power costs more distortion than it brings. A precoder above the cap is scaled back to it, and there
  gradients lose what would lead above it again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import numpy as np
from attrs import field, frozen

from isacsim.batch import inner, rows
from isacsim.hardware.base import Hardware
from isacsim.hardware.converters import power_shares
from isacsim.link import Transmission
from isacsim.metrics.cotangents import power_cotangent, pulled_back
from isacsim.optimisation.limits import largest
from isacsim.optimisation.spheres import Spheres
from isacsim.optimisation.surface import FULL, OnSurface
from isacsim.typing import BoolArray, ComplexArray, FloatArray

# Drives that a start is tried at, in dB below the cap, and beside the best of them: deep in saturation the
# objective knows nothing of the drive any more, and no gradient leads out.
DRIVES, BETWEEN = range(6, 73, 6), (-3, 3)


@frozen(eq=False)
class PowerSurface(Spheres):
    """The precoders of B members that the power allows, in coordinates ``W = diag(scale) Z``.

    Attributes:
        transmit: The chains.
        scale: Of the coordinates, (1, N_t).
        capped: Whether the power is a cap instead of a surface.
        held: Which antennas steps are to leave at their cap, (B, N_t), or (B, 1) of all alike.
    """

    transmit: Hardware = field()
    scale: FloatArray = rows(1)
    capped: bool = field()
    held: BoolArray = rows(1)

    @classmethod
    def of(cls, problem: Any) -> PowerSurface:
        """That of a flat problem with H, a power and a transceiver."""
        antennas, transmit = problem.H.shape[-2], problem.transceiver.transmit
        shares = power_shares(transmit, antennas)
        scale = np.ones(antennas) if shares is None else 1 / np.sqrt(shares)
        free = np.zeros((1, 1), bool)
        return cls(problem.power, getattr(problem, "per_antenna", False), transmit, scale[None], shares is None, free)

    def precoder(self, Z: ComplexArray) -> ComplexArray:
        """The precoder of coordinates Z (B, N_t, K+S)."""
        return np.asarray(self.scale[..., None] * Z)

    def coordinates(self, W: ComplexArray) -> ComplexArray:
        """The coordinates of a precoder W (B, N_t, K+S)."""
        return np.asarray(W / self.scale[..., None])

    def project(self, Z: ComplexArray) -> ComplexArray:
        """The nearest coordinates of full power, or those scaled back to the cap."""
        return kept(Z, self.transmit, self.power, self.apart, self.held) if self.capped else super().project(Z)

    def normal(self, W: ComplexArray, sent: Transmission) -> ComplexArray:
        """Half gradient of the radiated power of the antennas at a cap, in Z, (B, N_t, K+S); zero elsewhere."""
        if not (self.capped and (full := self._full(sent)).any()):
            return np.zeros_like(W)
        return np.where(full[..., None], pulled_back(W, sent, self.transmit, power_cotangent(sent)), 0.0)

    def _full(self, sent: Transmission) -> BoolArray:
        """Which antennas are at a cap, all where it is the total, (B, N_t)."""
        antennas, power = sent.antenna_power.shape[-1], self.power[:, None]
        if self.apart:
            return np.asarray(sent.antenna_power * antennas >= FULL * power)
        return np.broadcast_to(sent.power[:, None] >= FULL * power, sent.antenna_power.shape)

    def slope(self, Z: ComplexArray, gradient: ComplexArray, normal: ComplexArray) -> ComplexArray:
        """Gradient along the surface, or less what leads above a cap that binds, (B, N_t, K+S).

        Args:
            Z: Coordinates, (B, N_t, K+S), as are the others.
            gradient: Half gradient of the objective in them.
            normal: `normal` there.
        """
        if not self.capped:
            return super().slope(Z, gradient, normal)
        rise, cost = self._radial(Z, gradient, normal)
        price = np.where(cost > 0, np.maximum(rise, 0.0) / np.where(cost > 0, cost, 1.0), 0.0)
        return 2 * (gradient - price * normal)

    def at(self, Z: ComplexArray, gradient: ComplexArray, normal: ComplexArray) -> PowerSurface:
        """The surface that keeps the antennas at the cap where it binds at Z and the objective wants above it."""
        if not self.capped:
            return self
        rise, cost = self._radial(Z, gradient, normal)
        return attrs.evolve(self, held=((cost > 0) & (rise > 0))[..., 0])

    def _radial(self, Z: ComplexArray, g: ComplexArray, normal: ComplexArray) -> tuple[FloatArray, FloatArray]:
        """Slopes of the objective and, at a cap, of the power, as the precoder or each row grows."""
        axes = -1 if self.apart else (-2, -1)
        rise = (Z.real * g.real + Z.imag * g.imag).sum(axis=axes, keepdims=True)
        return rise, (Z.real * normal.real + Z.imag * normal.imag).sum(axis=axes, keepdims=True)

    def spent(self, Z: ComplexArray) -> FloatArray:
        """Share of the power that coordinates (B, N_t, K+S) have, (B,): 1 but below a cap."""
        return np.minimum(inner(Z, Z) / self.power, 1.0) if self.capped else np.ones(len(Z))

    def driven(self, Z: ComplexArray, objective: Callable[[ComplexArray], FloatArray]) -> ComplexArray:
        """The coordinates at the best of some drives up to the cap; behind gain controls those of full power.

        Args:
            Z: Coordinates (B, N_t, K+S).
            objective: Of coordinates, (B,).
        """
        best = self.project(Z)
        if not self.capped:
            return best
        top, value, drive = best, objective(best), np.zeros(len(best))
        for grid in ([np.full(drive.shape, float(dB)) for dB in DRIVES], None):
            for below in [drive + step for step in BETWEEN] if grid is None else grid:
                trial = self.project(10 ** (-below / 20)[:, None, None] * top)
                found = objective(trial)
                better = ~(found <= value)  # also where the value is NaN
                best, value = np.where(better[:, None, None], trial, best), np.where(better, found, value)
                drive = np.where(better, below, drive)
        return best


class Driven(OnSurface):
    """The merit of a flat ``problem`` behind hardware, whose drive may be free."""

    problem: Any
    surface: Any

    @property
    def power(self) -> FloatArray:
        """Squared norm of the coordinates at full power, (B,), in W."""
        return np.asarray(self.problem.power)

    def precoder(self, Z: ComplexArray) -> ComplexArray:
        """The precoder of coordinates."""
        return np.asarray(self.surface.precoder(Z))

    def value(self, Z: ComplexArray) -> FloatArray:
        """The objective at coordinates, (B,)."""
        return np.asarray(self.problem.objective(self.precoder(Z)))

    def driven(self, Z: ComplexArray) -> ComplexArray:
        """A start at the best of some drives, where they are free."""
        return np.asarray(self.surface.driven(Z, self.value))


def kept(W: ComplexArray, transmit: Hardware, most: FloatArray, per_antenna: bool, held: BoolArray) -> ComplexArray:
    """W (B, N_t, K+S) scaled back to a cap, or row by row to equal shares of it; where ``held`` also up to it.

    Rows of a device that does not couple chains do not depend on each other. What is returned is never above.

    Args:
        W: Precoders.
        transmit: The chains.
        most: The cap on the power of each member, (B,).
        per_antenna: Whether each antenna has its share of it.
        held: Which antennas are to radiate no less, (B, N_t); (B, 1) of all alike, as they are without ``per_antenna``.
    """

    def radiated(factor: FloatArray) -> FloatArray:
        power = Transmission.of(factor[..., None] * W, transmit).antenna_power
        return power if per_antenna else np.broadcast_to(power.sum(axis=-1, keepdims=True), power.shape)

    limit = most[:, None] / (W.shape[-2] if per_antenna else 1)
    factor = largest(radiated, np.ones(W.shape[:-1]), limit, held)
    return W if factor is None else np.asarray(factor[..., None] * W)
