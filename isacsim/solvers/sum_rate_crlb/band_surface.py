"""What the power leaves to the precoders of a band, one block above the other, and how an iteration moves on it.

- Behind chains whose output is in proportion to their input, all blocks together lie on a sphere. A cap holds a block
  at a norm: what is left of the gradient follows from the multipliers, where all blocks pay a price mu for power, and a
  block at the cap pays what it would give for more, as long as that is above mu.
- Behind others, amplifiers for example, the drive is free below the power that they may radiate. They meet samples,
  whose covariance is that of all blocks side by side: the narrowband surface (`isacsim.solvers.surface`) of one wide
  precoder.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs
import numpy as np
from attrs import field, frozen

from isacsim.batch import rows, squared
from isacsim.hardware.base import Hardware
from isacsim.link import Transmission
from isacsim.optimisation.surface import Surface
from isacsim.solvers.surface import FULL, PowerSurface
from isacsim.typing import BoolArray, ComplexArray, FloatArray

Objective = Callable[[ComplexArray], FloatArray]


@frozen(eq=False)
class Sphere(Surface):
    """Full power of blocks, each at most at a cap.

    Attributes:
        power: Squared norm of the coordinates, (B,), in W.
        blocks: How many there are.
        cap: Most power of a block, over that of an even split; infinite without one.
        held: Which blocks steps are to leave at the cap, (B, blocks).
    """

    power: FloatArray = rows()
    blocks: int = field()
    cap: float = field()
    held: BoolArray = rows(1)

    @property
    def limit(self) -> FloatArray:
        """Most of the squared norm in one block, (B, 1), in W."""
        return self.cap * self.power[:, None] / self.blocks

    def project(self, X: ComplexArray) -> ComplexArray:
        """X scaled to full power, with blocks above the cap scaled back to it, and those held there up to it."""
        each, limit = blocks_of(X, self.blocks), self.limit
        own = squared(each).sum(axis=(-2, -1))
        full = np.broadcast_to(self.held, own.shape)
        for _ in range(self.blocks):  # each round caps one more, or is the last
            rest = np.where(full, 0.0, own).sum(axis=-1, keepdims=True)
            left = self.power[:, None] - np.where(full, limit, 0.0).sum(axis=-1, keepdims=True)
            power = np.where(full, limit, own * (np.maximum(left, 0.0) / np.where(rest > 0, rest, 1.0)))
            above = full | (power > limit)
            if np.array_equal(above, full):
                break
            full = above
        factor = np.sqrt(np.minimum(power, limit) / np.where(own > 0, own, 1.0))
        return np.asarray((factor[..., None, None] * each).reshape(X.shape))

    def driven(self, X: ComplexArray, objective: Objective) -> ComplexArray:
        """The coordinates as they are: iterations begin at full power."""
        return X

    def normal(self, Z: ComplexArray) -> ComplexArray:
        """Zero: the multipliers follow from the gradient."""
        return np.zeros_like(Z)

    def slope(self, Z: ComplexArray, gradient: ComplexArray, normal: ComplexArray) -> ComplexArray:
        """Gradient along what the power and the cap leave, (B, blocks N_t, K+S)."""
        price, _ = self._prices(Z, gradient)
        left = blocks_of(gradient, self.blocks) - price[..., None, None] * blocks_of(Z, self.blocks)
        return (2 * left).reshape(Z.shape)

    def at(self, Z: ComplexArray, gradient: ComplexArray, normal: ComplexArray) -> Sphere:
        """The surface that keeps at the cap the blocks that would give most for more power."""
        return self if np.isinf(self.cap) else attrs.evolve(self, held=self._prices(Z, gradient)[1])

    def _prices(self, Z: ComplexArray, gradient: ComplexArray) -> tuple[FloatArray, BoolArray]:
        """What each block pays for its power, and which pay more than the others, at the cap, each (B, blocks)."""
        Z, g = blocks_of(Z, self.blocks), blocks_of(gradient, self.blocks)
        rise = (Z.real * g.real + Z.imag * g.imag).sum(axis=(-2, -1))
        own = squared(Z).sum(axis=(-2, -1))
        worth = rise / np.where(own > 0, own, 1.0)
        full = own >= FULL * self.limit
        mu = self._common(rise, own, ~full, worth)
        mu = self._common(rise, own, ~full | (worth < mu), worth)  # who would give less than the others leaves the cap
        bound = full & (worth > mu)
        return np.where(bound, worth, mu), bound

    @staticmethod
    def _common(rise: FloatArray, own: FloatArray, free: BoolArray, worth: FloatArray) -> FloatArray:
        """The price that the free blocks pay, (B, 1): the least that any would give where none is free."""
        power = np.where(free, own, 0.0).sum(axis=-1, keepdims=True)
        mean = np.where(free, rise, 0.0).sum(axis=-1, keepdims=True) / np.where(power > 0, power, 1.0)
        return np.where(power > 0, mean, worth.min(axis=-1, keepdims=True))


@frozen(eq=False)
class Drives(Surface):
    """Precoders whose samples radiate at most the power.

    Attributes:
        surface: What it leaves to the wide precoder, (B, N_t, blocks (K+S)), whose covariance is that of the samples.
        blocks: How many blocks there are.
        unit: Amplitude of the wide precoder over that of a block.
    """

    surface: PowerSurface = field()
    blocks: int = field()
    unit: float = field()

    @classmethod
    def of(cls, transmit: Hardware, power: FloatArray, antennas: int, blocks: int, unit: float) -> Drives:
        """That of chains, and a power (B,), in W."""
        free = np.zeros((1, antennas), bool)
        return cls(PowerSurface(power, False, transmit, np.ones((1, antennas)), True, free), blocks, unit)

    @property
    def capped(self) -> bool:
        """Always."""
        return True

    def project(self, X: ComplexArray) -> ComplexArray:
        """The coordinates scaled back to what the chains may radiate."""
        return self._tall(self.surface.project(self._wide(X))) / self.unit

    def driven(self, X: ComplexArray, objective: Objective) -> ComplexArray:
        """The coordinates at the best of some drives."""
        best = self.surface.driven(self._wide(X), lambda wide: objective(self._tall(wide) / self.unit))
        return self._tall(best) / self.unit

    def normal(self, Z: ComplexArray) -> ComplexArray:
        """Half gradient of the radiated power, (B, blocks N_t, K+S), where it is at its cap."""
        wide = self._wide(Z)
        return self._tall(self.surface.normal(wide, Transmission.of(wide, self.surface.transmit))) * self.unit

    def slope(self, Z: ComplexArray, gradient: ComplexArray, normal: ComplexArray) -> ComplexArray:
        """Gradient, less what leads above the power that may be radiated, (B, blocks N_t, K+S)."""
        return self.surface.slope(Z, gradient, normal)

    def at(self, Z: ComplexArray, gradient: ComplexArray, normal: ComplexArray) -> Drives:
        """The surface that stays at a power which the objective wants more of."""
        held = self.surface.at(Z, gradient, normal).held[:, :1]  # of all rows alike, and the wide precoder has fewer
        antennas = self.surface.scale.shape[-1]
        return attrs.evolve(self, surface=attrs.evolve(self.surface, held=np.repeat(held, antennas, axis=1)))

    def spent(self, Z: ComplexArray) -> FloatArray:
        """Share of the power that the input of the chains is, (B,), 1 at most."""
        return self.surface.spent(self.unit * Z)

    def _wide(self, Z: ComplexArray) -> ComplexArray:
        """Blocks side by side, (B, N_t, blocks (K+S)), in sqrt(W) of a sample."""
        each = blocks_of(Z, self.blocks).swapaxes(1, 2)
        return np.ascontiguousarray(self.unit * each.reshape(*each.shape[:2], -1))

    def _tall(self, wide: ComplexArray) -> ComplexArray:
        """Blocks one above the other, (B, blocks N_t, K+S)."""
        members, antennas = wide.shape[:2]
        each = wide.reshape(members, antennas, self.blocks, -1).swapaxes(1, 2)
        return np.ascontiguousarray(each.reshape(members, self.blocks * antennas, -1))


def blocks_of(Z: ComplexArray, blocks: int) -> ComplexArray:
    """Coordinates block by block, (B, blocks, N_t, K+S)."""
    return Z.reshape(len(Z), blocks, -1, Z.shape[-1])
