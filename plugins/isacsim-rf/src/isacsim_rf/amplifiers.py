"""Power amplifiers without memory: Rapp's solid-state and Saleh's travelling-wave-tube model.

Both have unit gain for small signals and are told by the largest output power of a chain, so
that input back-off is saturation over input power. With t = |x|^2 / saturation ::

    Rapp   y = x (1 + t^p)^(-1/(2p))                                              [Rapp91]
    Saleh  y = x / (1 + t/4) exp(j alpha_phi s / (1 + beta_phi s)), s = t / (4 beta_a)   [Saleh81]

where s is the squared amplitude of Saleh's own normalisation.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import attrs
import numpy as np
from attrs import field, frozen

from isacsim import units
from isacsim.api import (
    AnyArray,
    ComplexArray,
    Envelopes,
    FloatArray,
    Hardware,
    InvalidInput,
    LinearModel,
    batched,
    exact_model,
    exact_vjp,
    number,
    squared,
)
from isacsim_rf.chains import covariance, per_chain, repeated, samples

FARTHEST = 1e150  # powers relative to saturation from which on no output is left


@frozen
class Amplifier(Hardware):
    """An amplifier whose gain depends on the power of the sample alone.

    Args:
        saturation: Largest output power: one number, or one for each chain (N,), in W.
    """

    component_version: ClassVar[int] = 2  # forty orders of the distortion, where there were twelve

    saturation: Any = batched(0, above=0.0, metadata=units.dbm())

    @abstractmethod
    def response(self, t: FloatArray) -> AnyArray:
        """Complex gain for samples of power t, relative to the saturation power."""

    def apply(
        self, x: ComplexArray, rng: np.random.Generator | None = None, *, power: FloatArray | None = None
    ) -> ComplexArray:
        """Amplified samples; there is no gain control, and nothing is random."""
        x = samples(x)
        return x * self.response(squared(x) / self._saturation(x.shape[-2])[:, None])

    def linear_model(self, R: ComplexArray) -> LinearModel:
        """Gain and the covariance of the distortion for input of covariance R (..., N, N), in W.

        By quadrature, to 1e-6 of the distortion up to 20 dB beyond saturation, and to rounding
        below it; see `isacsim.api.Envelopes`.
        """
        return exact_model(self.envelopes(covariance(R).shape[-1]), R)

    def linear_model_vjp(self, R: ComplexArray, gain: AnyArray, distortion: AnyArray) -> ComplexArray:
        """By the next order of the expansion."""
        return exact_vjp(self.envelopes(covariance(R).shape[-1]), R, gain, distortion)

    def tiled(self, copies: int) -> Amplifier:
        """The saturation of every chain repeated."""
        return attrs.evolve(self, saturation=repeated(self.saturation, copies))

    @property
    def scalar(self) -> bool:
        """Always true."""
        return True

    def envelopes(self, chains: int) -> Envelopes:
        """Complex gain of samples by their power, which bends at saturation."""
        saturation = self._saturation(chains)
        return Envelopes(lambda power: self.response(power / saturation[:, None]), saturation)

    def _saturation(self, chains: int) -> FloatArray:
        return per_chain("saturation", self.saturation, chains)


def _smooth(_instance: Any, attribute: Any, value: Any) -> None:
    if not (isinstance(value, (int, float)) and value > 0):
        raise InvalidInput(attribute.name, "must be a positive number", value, "inf is the soft limiter.")


@frozen
class Rapp(Amplifier):
    """Solid-state amplifier that compresses the envelope and keeps the phase [Rapp91].

    Args:
        saturation: Largest output power: one number, or one for each chain (N,), in W.
        smoothness: Exponent p: small bends early, 2 to 3 is usual, inf is the soft limiter.
    """

    smoothness: float = field(default=2.0, validator=_smooth)

    def response(self, t: FloatArray) -> FloatArray:
        """``(1 + t^p)^(-1/(2p))``, sorted so that no power of t overflows."""
        over = np.maximum(t, 1.0)
        small = np.where(t > 1, 1 / over, t)
        return np.asarray((1 + small**self.smoothness) ** (-0.5 / self.smoothness) / np.sqrt(over))


@frozen
class Saleh(Amplifier):
    """Travelling-wave tube that compresses the envelope and turns the phase [Saleh81].

    Beyond saturation, which it reaches at an input of 4 times (6 dB above) the saturation
    power, the output falls again. The defaults are the constants most used with the model;
    its alpha_a is the gain of small signals, here 1.

    Args:
        saturation: Largest output power: one number, or one for each chain (N,), in W.
        beta_a: Saleh's beta_a, which fixes the amplitude of his normalisation.
        alpha_phi: Saleh's alpha_phi, in rad.
        beta_phi: Saleh's beta_phi.
    """

    beta_a: float = field(default=1.1517, validator=number(above=0))
    alpha_phi: float = field(default=4.0033, validator=number())
    beta_phi: float = field(default=9.1040, validator=number(least=0))

    def response(self, t: FloatArray) -> ComplexArray:
        """``exp(j turn) / (1 + t/4)``."""
        t = np.minimum(t, FARTHEST)
        s = t / (4 * self.beta_a)
        return np.asarray(np.exp(1j * self.alpha_phi * s / (1 + self.beta_phi * s)) / (1 + t / 4))
