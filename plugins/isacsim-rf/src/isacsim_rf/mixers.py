"""IQ imbalance of a direct-conversion mixer, the same at all frequencies.

The Q branch has the amplitude g and the phase error theta against the I branch; the level is
set so that circular input keeps its power::

    y = k (Re(x) + j g Im(x e^(-j theta))) = mu x + nu x*,  k = sqrt(2 / (1 + g^2))
    mu = k (1 + g e^(-j theta)) / 2,  nu = k (1 - g e^(j theta)) / 2

x* is the image. It is uncorrelated with circular input, so the linear model has the gain mu
and, with the covariance R of the input, the distortion ``nu_i nu_j* R_ij*``.
"""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
from attrs import frozen

from isacsim import units
from isacsim.api import (
    AnyArray,
    ComplexArray,
    FloatArray,
    Hardware,
    LinearModel,
    batched,
    chain_power,
    diagonal_matrix,
    squared,
)
from isacsim_rf.chains import covariance, per_chain, repeated, samples


@frozen
class IqImbalance(Hardware):
    """Mixer whose two branches differ in gain and are not in quadrature.

    Args:
        gain: Power gain g^2 of the Q branch over that of the I branch: one number, or one for
            each chain (N,), linear.
        phase: Phase error theta: one number, or one for each chain (N,), in rad.
    """

    gain: Any = batched(0, above=0.0, default=1.0, metadata=units.db())
    phase: Any = batched(0, default=0.0, metadata=units.degrees())

    def image(self, chains: int) -> tuple[ComplexArray, ComplexArray]:
        """Gains mu of the signal and nu of its image, each (N,)."""
        g, theta = np.sqrt(per_chain("gain", self.gain, chains)), per_chain("phase", self.phase, chains)
        half = np.sqrt(2 / (1 + g**2)) / 2
        turned: ComplexArray = g * np.exp(-1j * theta)
        return half * (1 + turned), half * (1 - turned.conj())

    def image_rejection(self, chains: int = 1) -> FloatArray:
        """Power of a signal over that of its image, |mu/nu|^2, shape (N,), linear; inf without an image."""
        mu, nu = (squared(a) for a in self.image(chains))
        return np.divide(mu, nu, out=np.full(mu.shape, np.inf), where=nu > 0)

    def tiled(self, copies: int) -> IqImbalance:
        """Gain and phase of every chain repeated."""
        return attrs.evolve(self, gain=repeated(self.gain, copies), phase=repeated(self.phase, copies))

    def apply(
        self, x: ComplexArray, rng: np.random.Generator | None = None, *, power: FloatArray | None = None
    ) -> ComplexArray:
        """Samples with their images; nothing is random."""
        x = samples(x)
        mu, nu = self.image(x.shape[-2])
        return mu[:, None] * x + nu[:, None] * np.conj(x)

    def linear_model(self, R: ComplexArray) -> LinearModel:
        """Gain mu, and the image as distortion, for circular input of covariance R (..., N, N), in W."""
        R = covariance(R)
        mu, nu = self.image(R.shape[-1])
        gain = np.broadcast_to(mu, R.shape[:-1])
        if R.shape[-1] == 1:
            return LinearModel(gain, squared(nu) * chain_power(R))
        return LinearModel(gain, nu[:, None] * np.conj(R) * np.conj(nu))

    def linear_model_vjp(self, R: ComplexArray, gain: AnyArray, distortion: AnyArray) -> ComplexArray:
        """``nu_i nu_j* g_ij*`` for the cotangent g of the distortion (..., N, N), as R* is in it; the gain is fixed."""
        nu = self.image(covariance(R).shape[-1])[1]
        g = distortion if np.ndim(distortion) == np.ndim(R) else diagonal_matrix(distortion)
        if g.shape[-1] == 1:
            return np.asarray(squared(nu) * g.real, complex)
        return np.asarray(nu[:, None] * np.conj(g) * np.conj(nu))

    @property
    def scalar(self) -> bool:
        """Always true."""
        return True

    @property
    def is_ideal(self) -> bool:
        """Whether the branches are alike and in quadrature."""
        return bool(np.all(self.gain == 1) and np.all(self.phase == 0))
