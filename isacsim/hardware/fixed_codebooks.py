"""Codebooks of a fixed full scale, which no gain control sets."""

from __future__ import annotations

import numpy as np
from attrs import frozen

from isacsim.hardware.expansions import Expander, Rails
from isacsim.hardware.gaussian import density
from isacsim.hardware.jumps import Jumps, coefficients, own_covariances, pulsed_coefficients
from isacsim.typing import FloatArray

DEGREES = 63  # of the series, which is left where correlations are beyond `isacsim.hardware.jumps.SERIES`


@frozen(eq=False)
class FixedCodebooks(Expander):
    """Chains whose real and imaginary parts go to the levels of a codebook each.

    The distortion of two chains is exact at any correlation and power and for any number of levels, of equal steps or
    not, to some 1e-11 of it.

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
        jumps = self._jumps(rho)
        jumped = self._parted(coefficients(jumps.places, jumps.heights, DEGREES))
        mean = 0 * rho if self.lowest is None else self.lowest + jumps.line[..., 0]
        c = np.concatenate([mean[..., None], jumped[..., 1:]], axis=-1)
        own = 2 * (own_covariances(jumps, jumps) + mean**2)
        return Rails(np.sqrt(2) * c[..., 1], own, c, jumped, jumps.places, jumps.heights, sorted_jumps=jumps)

    def slope(self, rho: FloatArray) -> Rails:
        """In closed form: thresholds move by half of their place, and are pulses in the derivative."""
        here = self.at(rho)
        jumps = here.expanded.jumps
        areas = jumps.heights * jumps.places / 2
        mean = (areas * density(jumps.places)).sum(axis=-1) * (self.lowest is not None)
        jumped = self._parted(pulsed_coefficients(jumps.places, areas, DEGREES + 1))
        c = np.concatenate([mean[..., None], jumped[..., 1:]], axis=-1)
        own = 4 * (own_covariances(Jumps.of(jumps.places, areas, pulsed=True), jumps) + mean * here.c[..., 0])
        return Rails(np.sqrt(2) * c[..., 1], own, c, jumped, jumps.places, areas, pulsed=True)

    def _jumps(self, rho: FloatArray) -> Jumps:
        return Jumps.of(self.thresholds / np.sqrt(rho / 2)[..., None], self.heights)

    def _parted(self, c: FloatArray) -> FloatArray:
        """Without the rounding that odd maps have in even degrees."""
        return c * (np.arange(c.shape[-1]) % 2 if self.lowest is None else 1)
