"""Value and gradient of the `SumRateCrlb` objective behind any hardware with a derivative, batched.

The objective is the problem's own merit of what leaves the transmit chains, and its gradient that of
`isacsim.metrics.cotangents`, pulled back through them: nothing here knows what the hardware is. What
depends on it is the surface that an iteration runs on (`isacsim.solvers.surface`).
"""

from __future__ import annotations

from abc import abstractmethod

import attrs
import numpy as np
from attrs import field, frozen

from isacsim.batch import flatten, squared
from isacsim.hardware.converters import even_gain
from isacsim.link import Transmission
from isacsim.metrics.cotangents import pulled_back
from isacsim.problems.sum_rate_crlb import SumRateCrlb
from isacsim.solvers.sum_rate_crlb.distorted import Disturbed
from isacsim.solvers.sum_rate_crlb.merit import Derived, Merit, magnitude
from isacsim.solvers.surface import Driven, PowerSurface
from isacsim.targets.condensed import Condensed
from isacsim.typing import ComplexArray, FloatArray


class BehindHardware(Driven):
    """The merit of a problem of rates and a CRLB, as a Riemannian solver asks for it."""

    def evaluate(self, Z: ComplexArray) -> Derived:
        """The objective at coordinates Z (B, n, K+S), and its derivative."""
        problem, W = self.problem, self.precoder(Z)
        sent = Transmission.of(W, problem.transmit)
        worth, cotangent = problem.merit_cotangent(sent)
        gradient = self.by_coordinates(pulled_back(W, sent, problem.transmit, cotangent))
        sqinr = worth.sqinr.reshape(len(Z), -1)
        return Derived(
            W=Z, objective=problem.weighed(worth.sum_rate, worth.crlb), sum_rate=worth.sum_rate, crlb=worth.crlb,
            signal=sqinr, interference=np.ones_like(sqinr), gradient=gradient, normal=self.normal(Z, W, sent),
            # Of the rates' curvature: beta_k of ideal hardware, S_k / (T_k (S_k + T_k)), is SQINR_k / (S_k + T_k).
            weights=worth.sqinr / self.received(Z),
        )  # fmt: skip

    @abstractmethod
    def received(self, Z: ComplexArray) -> FloatArray:
        """What users receive of coordinates but for distortion, with their noise, (B, K), over a band (B, F, K)."""

    def by_coordinates(self, gradient: ComplexArray) -> ComplexArray:
        """Half gradient by coordinates, of that by precoders."""
        return self.precoder(gradient)

    def normal(self, Z: ComplexArray, W: ComplexArray, sent: Transmission) -> ComplexArray:
        """Half gradient of the power by coordinates Z of precoders W, where it is at a cap; zero elsewhere."""
        return np.asarray(self.surface.normal(W, sent))

    def magnitude(self, point: Derived) -> FloatArray:
        """Sum of the magnitudes of the two terms, (B,)."""
        return magnitude(self.problem, point)


@frozen(eq=False)
class HardwareMerit(BehindHardware):
    """A flat `SumRateCrlb` behind hardware, with what a Riemannian solver asks of a merit.

    Attributes:
        problem: The problem.
        ideal: The merit of ideal hardware in the coordinates Z: its starts and its preconditioner.
        surface: What the power leaves.
        link: Who hears the distortion, for compiled loops; None where these do not know the hardware.
    """

    problem: SumRateCrlb = field()
    ideal: Merit = field()
    surface: PowerSurface = field()
    link: Disturbed | None = field()

    @classmethod
    def of(cls, problem: SumRateCrlb) -> HardwareMerit:
        """Compile a problem (leading axes are flattened)."""
        problem = flatten(problem)
        surface = PowerSurface.of(problem)
        ideal = Merit.of(problem, even_gain(surface.transmit, surface.scale))
        if problem.transceiver.receive.is_ideal:  # so that its noise is white
            problem = attrs.evolve(problem, targets=Condensed.of(problem.targets))
        link = None if surface.capped else Disturbed.of(problem, surface.scale[0], ideal.members)
        return cls(problem, ideal, surface, link)

    @property
    def members(self) -> int:
        """Number B of members."""
        return self.ideal.members

    def received(self, Z: ComplexArray) -> FloatArray:
        """Of signals and noise, (B, K)."""
        return np.asarray(squared(self.ideal.HH @ Z).sum(axis=-1) + self.problem.noise_power)

    def preconditioner(self, point: Derived) -> ComplexArray:
        """That of the ideal merit, with the weights of users behind the hardware."""
        return self.ideal.preconditioner(point, self.surface.spent(point.W))
