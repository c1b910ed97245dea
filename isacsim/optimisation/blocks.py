"""Matrices of a given power that are blocks one above the other, of which none may be above a cap.

All blocks together lie on a sphere, and a cap holds a block at a norm. What is left of a gradient follows from the
multipliers: all blocks pay a price mu for power, and a block at the cap pays what it would give for more, as long as
that is above mu.
"""

from __future__ import annotations

import attrs
import numpy as np
from attrs import field, frozen

from isacsim.batch import rows, squared
from isacsim.optimisation.surface import FULL, Surface
from isacsim.typing import BoolArray, ComplexArray, FloatArray


@frozen(eq=False)
class Blocks(Surface):
    """The matrices of B members, (B, blocks n, m), of a power, with each block at most at a cap.

    Attributes:
        power: The power of each member, (B,).
        blocks: How many blocks there are.
        cap: Most power of a block, over that of an even split; infinite without one.
        held: Which blocks steps are to leave at the cap, (B, blocks).
    """

    power: FloatArray = rows()
    blocks: int = field()
    cap: float = field()
    held: BoolArray = rows(1)

    @property
    def limit(self) -> FloatArray:
        """Most power of one block, (B, 1)."""
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

    def slope(self, Z: ComplexArray, gradient: ComplexArray, normal: ComplexArray) -> ComplexArray:
        """Gradient along what the power and the cap leave, (B, blocks n, m)."""
        price, _ = self._prices(Z, gradient)
        left = blocks_of(gradient, self.blocks) - price[..., None, None] * blocks_of(Z, self.blocks)
        return (2 * left).reshape(Z.shape)

    def at(self, Z: ComplexArray, gradient: ComplexArray, normal: ComplexArray) -> Blocks:
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


def blocks_of(Z: ComplexArray, blocks: int) -> ComplexArray:
    """Matrices (B, blocks n, m) block by block, (B, blocks, n, m)."""
    return Z.reshape(len(Z), blocks, -1, Z.shape[-1])
