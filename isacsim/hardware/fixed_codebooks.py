"""Odd codebooks of a fixed full scale, which no gain control sets."""

from __future__ import annotations

import numpy as np
from attrs import frozen

from isacsim.hardware.expansions import Expander, Rails, with_rest
from isacsim.hardware.gaussian import density, hermite
from isacsim.typing import FloatArray

DEGREES = 63  # of the series of books with more jumps than are summed one by one
FEW = 31  # jumps, up to which pairs of them are summed
FAR = 1e3  # deviations, beyond which no threshold is met


@frozen(eq=False)
class FixedCodebooks(Expander):
    """Chains whose real and imaginary parts go to the levels of a codebook each.

    Args:
        thresholds: In ascending order and odd, shape (N, J), in sqrt(W) of the part.
        heights: Jumps of the level there, shape (N, J), in sqrt(W).
    """

    thresholds: FloatArray
    heights: FloatArray

    def at(self, rho: FloatArray) -> Rails:
        """``c_n = sum_k d_k p(t_k) h_(n-1)(t_k) / sqrt(n)`` at the thresholds t_k in deviations; no quadrature."""
        from scipy.special import ndtr

        t = np.clip(self.thresholds / np.sqrt(rho / 2)[..., None], -FAR, FAR)
        d = np.broadcast_to(self.heights, t.shape)
        levels = np.cumsum(d, axis=-1) - d.sum(axis=-1, keepdims=True) / 2  # above each threshold
        # The square of an odd map rises from the middle on, by steps as probable as the tails beyond them.
        rise = np.where(t > 0, levels**2 - (levels - d) ** 2, 0.0)
        middle = ((levels - d) ** 2)[..., t.shape[-1] // 2]
        square = middle + 2 * (rise * ndtr(-np.abs(t))).sum(axis=-1)
        few = t.shape[-1] <= FEW
        h = hermite(t, DEGREES)[: 1 if few else DEGREES]
        n = np.arange(1, len(h) + 1)
        odd = np.stack([(d * density(t) * each).sum(axis=-1) for each in h], axis=-1) * (n % 2) / np.sqrt(n)
        c = np.concatenate([np.zeros_like(odd[..., :1]), odd], axis=-1)
        places, heights = (t, d) if few else (t[..., :0], d[..., :0])
        own = np.maximum(2 * (square - c[..., 1] ** 2), 0.0)
        c = with_rest(c, own, heights)
        return Rails(np.sqrt(2) * c[..., 1], own, c, c if few else 0 * c, places, heights)
