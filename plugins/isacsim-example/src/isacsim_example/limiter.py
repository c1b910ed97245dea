"""A power amplifier that is linear up to its saturation: the soft limiter.

With A^2 the saturation power, ``y = x`` where |x| <= A and ``y = A x / |x|`` above. For
complex Gaussian input of power rho, |x|^2 is exponential, and with nu = A^2 / rho ::

    gain          = 1 - exp(-nu) + sqrt(pi nu) / 2 erfc(sqrt(nu))
    output power  = rho (1 - exp(-nu))
    distortion    = output power - gain^2 rho

which is the Bussgang decomposition ``y = gain x + q`` of each chain.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from attrs import field, frozen

from isacsim import units
from isacsim.api import ComplexArray, FloatArray, Hardware, InvalidInput, LinearModel, chain_power


def _positive(_instance: Any, attribute: Any, value: Any) -> None:
    if not 0 < value < np.inf:
        raise InvalidInput(attribute.name, "must be positive and finite", value, "Leave the stage out for none.")


@frozen
class SoftLimiter(Hardware):
    """Amplifier of unit gain that clips the envelope and keeps the phase.

    The linear model is exact for each chain. It takes the distortion of different chains
    for uncorrelated, which is not so where their inputs are correlated.

    Args:
        saturation: Largest output power of a chain, in W.
    """

    saturation: float = field(validator=_positive, metadata=units.dbm())

    def apply(
        self, x: ComplexArray, rng: np.random.Generator | None = None, *, power: FloatArray | None = None
    ) -> ComplexArray:
        """Samples with their envelope clipped; there is no gain control, and nothing is random."""
        envelope, largest = np.abs(x), np.sqrt(self.saturation)
        return np.asarray(x * np.divide(largest, envelope, out=np.ones_like(envelope), where=envelope > largest))

    def linear_model(self, R: ComplexArray) -> LinearModel:
        """Gain and distortion of each chain, as the module says; R is (..., N, N), in W."""
        from scipy.special import erfcx

        rho = chain_power(R)
        nu = np.divide(self.saturation, rho, out=np.full(rho.shape, np.inf), where=rho > 0)
        finite = np.minimum(nu, 750.0)  # where exp(-nu) is zero in double precision
        clipped = np.exp(-finite)  # probability that a sample is
        kept = -np.expm1(-finite)
        edge = clipped * np.sqrt(np.pi * finite) / 2 * erfcx(np.sqrt(finite))
        # output power / rho - gain^2, sorted so that it does not cancel where little is clipped
        distortion = kept * (clipped - 2 * edge) - edge**2
        return LinearModel(kept + edge, rho * np.maximum(distortion, 0.0))
