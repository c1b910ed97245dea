"""Codebooks of a fixed full scale, which no gain control sets."""

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

    The distortion of two chains is exact for books of up to `FEW` jumps. Of larger ones, what lies beyond `DEGREES` in
    its series counts as one order, which is right up to a correlation of some 0.9 and too much beyond: for 64 levels
    over six deviations by 6e-4 of the distortion of one at 0.9, by 0.3 of it at 0.99.

    Args:
        thresholds: In ascending order, shape (N, J), in sqrt(W) of the part.
        heights: Jumps of the level there, shape (N, J), in sqrt(W).
        lowest: The level below all of them, shape (N,), in sqrt(W); None where thresholds and levels are odd.
    """

    thresholds: FloatArray
    heights: FloatArray
    lowest: FloatArray | None = None

    def at(self, rho: FloatArray) -> Rails:
        """``c_n = sum_k d_k p(t_k) h_(n-1)(t_k) / sqrt(n)`` at the thresholds t_k in deviations; no quadrature."""
        t = np.clip(self.thresholds / np.sqrt(rho / 2)[..., None], -FAR, FAR)
        d = np.broadcast_to(self.heights, t.shape)
        mean, square = self._moments(t, d) if self.lowest is None else _uneven(t, d, self.lowest)
        few = t.shape[-1] <= FEW
        h = hermite(t, DEGREES)[: 1 if few else DEGREES]
        n = np.arange(1, len(h) + 1)
        kept = n % 2 if self.lowest is None else 1
        above = np.stack([(d * density(t) * each).sum(axis=-1) for each in h], axis=-1) * kept / np.sqrt(n)
        c = np.concatenate([mean[..., None], above], axis=-1)
        places, heights = (t, d) if few else (t[..., :0], d[..., :0])
        own = np.maximum(2 * (square - c[..., 1] ** 2), 0.0)
        c = with_rest(c, own, heights)
        jumped = np.concatenate([0 * c[..., :1], c[..., 1:]], axis=-1)  # the mean is no part of a jump
        return Rails(np.sqrt(2) * c[..., 1], own, c, jumped if few else 0 * c, places, heights)

    def _moments(self, t: FloatArray, d: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Mean, which is none, and mean square (..., N) of odd books."""
        from scipy.special import ndtr

        levels = np.cumsum(d, axis=-1) - d.sum(axis=-1, keepdims=True) / 2  # above each threshold
        # The square of an odd map rises from the middle on, by steps as probable as the tails beyond them.
        rise = np.where(t > 0, levels**2 - (levels - d) ** 2, 0.0)
        middle = ((levels - d) ** 2)[..., t.shape[-1] // 2]
        square = middle + 2 * (rise * ndtr(-np.abs(t))).sum(axis=-1)
        return np.zeros(square.shape), np.asarray(square)


def _uneven(t: FloatArray, d: FloatArray, lowest: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mean and mean square (..., N) of any books."""
    from scipy.special import ndtr

    start = np.broadcast_to(lowest[:, None], (*t.shape[:-1], 1))
    levels = np.concatenate([start, start + np.cumsum(d, axis=-1)], axis=-1)
    # Cells of probability P(t_k < u < t_k+1), from the nearer tail.
    low, high = np.concatenate([start * 0 - np.inf, t], axis=-1), np.concatenate([t, start * 0 + np.inf], axis=-1)
    chance = np.where(low > 0, ndtr(-low) - ndtr(-high), ndtr(high) - ndtr(low))
    return (levels * chance).sum(axis=-1), (levels**2 * chance).sum(axis=-1)
