"""The design of `newton-mm` for hardware taken for data converters: a start for what is more than that.

Each chain keeps the gain and the share of distortion that it has at a drive, and distortion of different chains
is taken for uncorrelated: the additive noise model, of any hardware, at that drive.
"""

from __future__ import annotations

import attrs
import numpy as np
from attrs import frozen

from isacsim.batch import hermitian, take
from isacsim.hardware.base import Hardware, Ideal, LinearModel, Remodelled, Transceiver, chain_power, diagonal_matrix
from isacsim.link import Transmission, covariance
from isacsim.problems.sqnr_max import SqnrMax
from isacsim.solvers.base import Request
from isacsim.solvers.sqnr_max.augmented import AugmentedMerit
from isacsim.solvers.sqnr_max.newton_mm import NewtonMm
from isacsim.typing import ComplexArray, FloatArray

STEPS = 50  # of newton-mm: some ten do
FAINT = 1e-6  # of the mean power of the chains, at which a silent one is looked at


@frozen(eq=False)
class Frozen(Remodelled):
    """A device whose chains keep the gain and the share of distortion that they have at one power.

    Args:
        gain: Of each chain, (N,).
        noise: Distortion of each over its input power, (N,).
    """

    gain: ComplexArray
    noise: FloatArray

    @classmethod
    def at(cls, device: Hardware, power: FloatArray) -> Hardware:
        """The device at powers (N,) of its chains; ideal where there are none, it couples them or one has no gain."""
        if not power.size:  # no users
            return Ideal()
        power = np.maximum(power, FAINT * power.mean())
        model = device.linear_model(diagonal_matrix(power).astype(complex))
        if device.is_ideal or model.coupled or not np.all(model.gain):
            return Ideal()
        return cls(device, np.asarray(model.gain, complex), model.distortion_power / power)

    def linear_model(self, R: ComplexArray) -> LinearModel:
        """Fixed gains, and distortion in proportion to the power."""
        power = chain_power(R)
        return LinearModel(np.broadcast_to(self.gain, power.shape), self.noise * power)


def believed(merit: AugmentedMerit, Z: ComplexArray) -> ComplexArray:
    """The designs at the drive of Z (B, N_t, K + N_t), in coordinates; Z itself where there is none."""
    problem, found = merit.problem, Z.copy()
    hardware = problem.transceiver
    sides = (hardware.transmit, hardware.receive, hardware.user)
    chains = (problem.H.shape[-2], problem.G.shape[-2], problem.users)
    alike = all(side.scale_free for side in sides)  # then one frozen transceiver is that of all members
    for at in [np.arange(len(Z))] if alike else np.arange(len(Z))[:, None]:
        here = take(problem, at)
        W = merit.surface.precoder(Z[at])
        sent = Transmission.of(W, hardware.transmit)
        powers = [np.ones(count) for count in chains] if alike else met(here, sent, covariance(W))
        frozen_at = Transceiver(*(Frozen.at(side, power) for side, power in zip(sides, powers, strict=True)))
        power = here.power if alike else np.minimum(sent.power, here.power)
        design = NewtonMm(max_steps=STEPS).solve(attrs.evolve(here, transceiver=frozen_at, power=power), Request())
        found[at[design.answered]] = merit.surface.coordinates(design.precoder[design.answered])
    return found


def met(problem: SqnrMax, sent: Transmission, R: ComplexArray) -> list[FloatArray]:
    """Input powers of the transmit, receive and user chains of one member, each (N,), in W."""
    radiated, G, H = sent.radiated[0], problem.G[0], problem.H[0]
    echo = chain_power(G @ radiated @ hermitian(G)) + problem.radar_noise_power[0]
    return [chain_power(R[0]), echo, chain_power(hermitian(H) @ radiated @ H) + problem.noise_power[0]]
