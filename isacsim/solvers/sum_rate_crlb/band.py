"""Value and gradient of the `BandSumRateCrlb` objective, batched.

A precoder of F subcarriers stands as one tall matrix, (F N_t, K+S), one block above the other: the power of the
samples is its norm, so that full power is the sphere of the narrowband problem, and the preconditioner, whose rates
know of no other subcarrier, is one block for each. One precoder for all subcarriers is a single block. Behind chains
whose output is not in proportion to their input, amplifiers for example, the drive is free below a power instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from attrs import field, frozen

from isacsim.batch import flatten, hermitian, inner, rows, squared
from isacsim.hardware.converters import even_gain, power_shares
from isacsim.hardware.places import first_stage
from isacsim.link import Transmission
from isacsim.optimisation.blocks import Blocks, blocks_of
from isacsim.optimisation.preconditioner import damped_inverse
from isacsim.problems.band_sum_rate_crlb import BandSumRateCrlb
from isacsim.solvers.base import Request
from isacsim.solvers.sum_rate_crlb.hardware import BehindHardware
from isacsim.solvers.sum_rate_crlb.merit import Derived, Merit
from isacsim.solvers.sum_rate_crlb.starts import light, start_all
from isacsim.solvers.surface import PowerSurface
from isacsim.typing import ComplexArray, FloatArray


@frozen(eq=False)
class Drives(PowerSurface):
    """What the power of samples leaves to blocks: the narrowband surface of one wide precoder.

    Chains meet samples, whose covariance is that of all blocks side by side.

    Attributes:
        blocks: How many there are.
        unit: Amplitude of the wide precoder, (B, N_t, blocks (K+S)), over that of a block.
    """

    blocks: int = field()
    unit: float = field()

    def project(self, Z: ComplexArray) -> ComplexArray:
        """The coordinates scaled back to what the chains may radiate."""
        return self._tall(super().project(self._wide(Z)))

    def normal_of(self, Z: ComplexArray) -> ComplexArray:
        """Half gradient of the radiated power, (B, blocks N_t, K+S), where it is at its cap."""
        wide = self._wide(Z)
        return self.unit**2 * self._tall(self.normal(wide, Transmission.of(wide, self.transmit)))

    def spent(self, Z: ComplexArray) -> FloatArray:
        """Share of the power that the input of the chains is, (B,), 1 at most."""
        return super().spent(self.unit * Z)

    def _wide(self, Z: ComplexArray) -> ComplexArray:
        """Blocks side by side, in sqrt(W) of a sample."""
        each = blocks_of(Z, self.blocks).swapaxes(1, 2)
        return np.ascontiguousarray(self.unit * each.reshape(*each.shape[:2], -1))

    def _tall(self, wide: ComplexArray) -> ComplexArray:
        """Blocks one above the other, (B, blocks N_t, K+S), of blocks side by side."""
        members, antennas = wide.shape[:2]
        each = wide.reshape(members, antennas, self.blocks, -1).swapaxes(1, 2)
        return np.ascontiguousarray(each.reshape(members, self.blocks * antennas, -1)) / self.unit


@frozen(eq=False)
class BandMerit(BehindHardware):
    """A flat `BandSumRateCrlb`, with what a Riemannian solver asks of a merit.

    Attributes:
        problem: The problem.
        H: Channels in the coordinates, (B, F, N_t, K).
        scale: ``W[f] = diag(scale) Z[f]``, (1, N_t): the power is the norm of Z, whatever shares chains put out.
        blocks: Precoders: F, or 1 that all subcarriers share.
        surface: What the power leaves.
    """

    problem: BandSumRateCrlb = field()
    H: ComplexArray = rows(3)
    scale: FloatArray = rows(1)
    blocks: int = field()
    surface: Blocks | Drives = field()

    @classmethod
    def of(cls, problem: BandSumRateCrlb) -> BandMerit:
        """Compile a problem (leading axes are flattened)."""
        problem = flatten(problem)
        F, bins, power, every = problem.H.shape[-3], problem.grid.subcarriers, problem.power, PowerSurface.of(problem)
        H = np.ascontiguousarray(hermitian(even_gain(every.transmit, every.scale)) @ problem.H)
        blocks = 1 if problem.shared else F
        surface: Blocks | Drives
        if every.capped:
            unit = float(np.sqrt(F / (bins * blocks)))
            surface = Drives(power, False, every.transmit, every.scale, True, every.held, blocks, unit)
        else:
            cap = problem.subcarrier_cap if problem.subcarrier_cap and blocks > 1 else np.inf
            surface = Blocks(power * (bins * blocks / F), blocks, cap, np.zeros((1, blocks), bool))
        return cls(problem, H, every.scale, blocks, surface)

    @property
    def members(self) -> int:
        """Number B of members."""
        return self.problem.members

    @property
    def power(self) -> FloatArray:
        """Squared norm of the coordinates at full power, (B,), in W."""
        grid = self.problem.grid
        return self.problem.power * (grid.subcarriers * self.blocks / grid.used)

    def start(self, name: str, request: Request) -> ComplexArray:
        """The coordinates of a named start: that of each subcarrier by itself, at even power."""
        own = self.problem.subcarriers()
        merit = Merit.of(own)
        return self._together(merit.project(start_all(merit, (name,), own.streams, self.spawned(request.rngs))[:, 0]))

    def around(self, beams: ComplexArray) -> ComplexArray:
        """The coordinates of a start with users' beams (B F, N_t, K), and sensing streams beside them."""
        own = self.problem.subcarriers()
        W = np.pad(beams, [(0, 0), (0, 0), (0, own.streams - beams.shape[-1])])
        return self._together(light(Merit.of(own), W[:, None])[:, 0])

    def spawned(self, rngs: Sequence[np.random.Generator] | None) -> list[np.random.Generator] | None:
        """A generator for each subcarrier of each member."""
        return None if rngs is None else [one for rng in rngs for one in rng.spawn(self.problem.grid.used)]

    def _together(self, each: ComplexArray) -> ComplexArray:
        """Coordinates of precoders (B F, N_t, K+S), or, where all share one, of that of the middle subcarrier."""
        F = self.problem.grid.used
        W = each.reshape(-1, F, *each.shape[1:])
        return self.stacked(W[:, F // 2 : F // 2 + 1] if self.blocks == 1 else W)

    def stacked(self, W: ComplexArray) -> ComplexArray:
        """The coordinates (B, blocks N_t, K+S) of precoders (B, blocks, N_t, K+S)."""
        return np.ascontiguousarray((W / self.scale[..., None]).reshape(len(W), -1, W.shape[-1]))

    def precoder(self, Z: ComplexArray) -> ComplexArray:
        """The precoders (B, F, N_t, K+S) of coordinates."""
        W = self.scale[..., None] * blocks_of(Z, self.blocks)
        return np.ascontiguousarray(np.broadcast_to(W, (len(Z), self.problem.grid.used, *W.shape[2:])))

    def received(self, Z: ComplexArray) -> FloatArray:
        """Of signals and noise on each subcarrier, (B, F, K)."""
        each = self.precoder(Z) / self.scale[..., None]
        return np.asarray(squared(hermitian(self.H) @ each).sum(axis=-1) + self.problem.noise_power[:, None])

    def by_coordinates(self, gradient: ComplexArray) -> ComplexArray:
        """Block by block; of one precoder that of all subcarriers together."""
        each = self.scale[..., None] * gradient
        each = each.sum(axis=1) if self.blocks == 1 else each
        return each.reshape(len(each), -1, each.shape[-1])

    def normal(self, Z: ComplexArray, W: ComplexArray, sent: Transmission) -> ComplexArray:
        """That of the power of samples."""
        return self.surface.normal_of(Z) if isinstance(self.surface, Drives) else np.zeros_like(Z)

    def preconditioner(self, point: Derived) -> ComplexArray:
        """That of the narrowband problem on each subcarrier; of one precoder that of their sum."""
        problem, members = self.problem, len(point.W)
        F, antennas, users = self.H.shape[1:]
        H = np.broadcast_to(self.H, (members, F, antennas, users))
        weights = problem.rate_weight / F * point.weights
        if self.blocks == 1:
            H = H.swapaxes(1, 2).reshape(members, antennas, F * users)
            weights = weights.reshape(members, F * users)
        else:
            H, weights = H.reshape(-1, antennas, users), weights.reshape(-1, users)
        # One price for all: that of a block with next to no power says nothing of its curvature.
        rise = inner(point.W, point.gradient)
        if self.surface.capped:  # more drive may bring nothing: what ideal hardware would make of it
            rise = (problem.rate_weight / F * point.weights * problem.noise_power[:, None]).sum(axis=(-2, -1))
            rise = rise + (problem.crlb_weight * point.crlb if problem.crlb_weight else 0.0)
        mu = np.repeat(rise / self.size(point), self.blocks)
        return damped_inverse(H, weights, mu).reshape(members, -1, antennas)


def not_over_a_band(problem: Any) -> str | None:
    """Nothing, or which hardware a design over a band cannot be for; narrowband problems pass."""
    if not isinstance(problem, BandSumRateCrlb):
        return None
    if place := first_stage(problem.transceiver, lambda stage: not stage.spectrum_differentiable):
        return f"needs the derivative of a spectrum, and {place} gives none"
    if problem.subcarrier_cap is None or problem.shared:
        return None
    antennas = problem.H.shape[-2]
    place = first_stage(problem.transceiver, lambda stage: power_shares(stage, antennas) is None, ("transmit",))
    told = "keeps a cap on each subcarrier where transmit chains put out in proportion to their input"
    return place and f"{told}, and {place} does not"
