"""Value and gradient of the `BandSumRateCrlb` objective, and the surface that its power leaves.

A precoder of F subcarriers stands as one tall matrix, (F N_t, K+S), one block above the other: the power of the
samples is its norm, so that full power is the sphere of the narrowband problem, and the preconditioner, whose rates
know of no other subcarrier, is one block for each. One precoder for all subcarriers is a single block.

A cap holds a block at a norm. What is left of the gradient follows from the multipliers: all blocks pay a price mu for
power, and a block at the cap pays what it would give for more, as long as that is above mu.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np
from attrs import field, frozen

from isacsim.batch import flatten, hermitian, inner, rows, squared
from isacsim.link import Transmission
from isacsim.metrics.cotangents import pulled_back
from isacsim.problems.band_sum_rate_crlb import BandSumRateCrlb
from isacsim.solvers.base import SIDES, Request, stages
from isacsim.solvers.sum_rate_crlb.merit import Merit, Point, damped_inverse
from isacsim.solvers.sum_rate_crlb.starts import served, start
from isacsim.solvers.surface import FULL, power_shares
from isacsim.typing import BoolArray, ComplexArray, FloatArray


@frozen(eq=False)
class BandPoint(Point):
    """The objective at a precoder, with its derivative; users count on each subcarrier, (B, F K).

    Attributes:
        gradient: Half gradient in the coordinates, (B, blocks N_t, K+S).
        weights: Weight of each user's channel in the preconditioner, (B, F, K).
    """

    gradient: ComplexArray = rows(2)
    weights: FloatArray = rows(2)


@frozen(eq=False)
class BandMerit:
    """A flat `BandSumRateCrlb`, with what a Riemannian solver asks of a merit.

    Attributes:
        problem: The problem.
        H: Channels in the coordinates, (B, F, N_t, K).
        scale: ``W[f] = diag(scale) Z[f]``, (1, N_t): the power is the norm of Z, whatever shares chains put out.
        blocks: Precoders: F, or 1 that all subcarriers share.
        held: Which blocks steps are to leave at the cap, (B, blocks).
    """

    problem: BandSumRateCrlb = field()
    H: ComplexArray = rows(3)
    scale: FloatArray = rows(1)
    blocks: int = field()
    held: BoolArray = rows(1)

    @classmethod
    def of(cls, problem: BandSumRateCrlb) -> BandMerit:
        """Compile a problem (leading axes are flattened) whose chains put out in proportion to their input."""
        problem = flatten(problem)
        F, antennas = problem.H.shape[-3:-1]
        transmit = problem.transceiver.transmit
        shares = power_shares(transmit, antennas)
        scale = np.ones(antennas) if shares is None else 1 / np.sqrt(shares)
        gain = transmit.linear_model(np.eye(antennas, dtype=complex) / antennas).gain_matrix()
        H = np.ascontiguousarray(hermitian(gain * scale) @ problem.H)
        blocks = 1 if problem.shared else F
        return cls(problem, H, scale[None], blocks, np.zeros((1, blocks), bool))

    @property
    def members(self) -> int:
        """Number B of members."""
        return self.problem.members

    @property
    def power(self) -> FloatArray:
        """Squared norm of the coordinates at full power, (B,), in W."""
        grid = self.problem.grid
        return self.problem.power * (grid.subcarriers * self.blocks / grid.used)

    @property
    def limit(self) -> FloatArray:
        """Most of it in one block, (B, 1), in W; infinite without a cap."""
        cap = self.problem.subcarrier_cap
        return (np.inf if cap is None or self.blocks == 1 else cap) * self.power[:, None] / self.blocks

    def start(self, name: str, request: Request) -> ComplexArray:
        """The coordinates of a named start: that of each subcarrier by itself, at even power."""
        own = self.problem.subcarriers()
        return self._together(start(Merit.in_coordinates(own, None), name, own.streams, self.spawned(request.rngs)))

    def around(self, beams: ComplexArray) -> ComplexArray:
        """The coordinates of a start with users' beams (B F, N_t, K), and sensing streams beside them."""
        own = self.problem.subcarriers()
        return self._together(served(Merit.in_coordinates(own, None), beams, own.streams))

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
        W = self.scale[..., None] * self._each(Z)
        return np.ascontiguousarray(np.broadcast_to(W, (len(Z), self.problem.grid.used, *W.shape[2:])))

    def _each(self, Z: ComplexArray) -> ComplexArray:
        """Coordinates block by block, (B, blocks, N_t, K+S)."""
        return Z.reshape(len(Z), self.blocks, -1, Z.shape[-1])

    def evaluate(self, Z: ComplexArray) -> BandPoint:
        """The objective at Z, and its derivative."""
        problem, W = self.problem, self.precoder(Z)
        sent = Transmission.of(W, problem.transmit)
        worth, cotangent = problem.merit_cotangent(sent)
        objective = problem.rate_weight * worth.sum_rate
        if problem.crlb_weight:
            objective = objective - problem.crlb_weight * worth.crlb
        gradient = self.scale[..., None] * pulled_back(W, sent, problem.transmit, cotangent)
        if self.blocks == 1:
            gradient = gradient.sum(axis=1, keepdims=True)
        received = squared(hermitian(self.H) @ (W / self.scale[..., None])).sum(axis=-1) + problem.noise_power[:, None]
        flat = worth.sqinr.reshape(len(Z), -1)
        return BandPoint(
            W=Z, objective=np.asarray(objective), sum_rate=worth.sum_rate, crlb=worth.crlb,
            signal=flat, interference=np.ones_like(flat),
            gradient=gradient.reshape(Z.shape), weights=worth.sqinr / received,
        )  # fmt: skip

    def project(self, X: ComplexArray) -> ComplexArray:
        """X scaled to full power, with blocks above the cap scaled back to it, and those held there up to it."""
        each, limit = self._each(X), self.limit
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

    def slope(self, point: BandPoint) -> ComplexArray:
        """Gradient of the objective along what the power and the cap leave, (B, blocks N_t, K+S)."""
        Z, g = self._each(point.W), self._each(point.gradient)
        price, _ = self._prices(point)
        return (2 * (g - price[..., None, None] * Z)).reshape(point.W.shape)

    def _prices(self, point: BandPoint) -> tuple[FloatArray, BoolArray]:
        """What each block pays for its power, and which pay more than the others, at the cap, each (B, blocks)."""
        Z, g = self._each(point.W), self._each(point.gradient)
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

    def size(self, point: BandPoint) -> FloatArray:
        """The power of each member, (B,): the squared length of all coordinates."""
        return self.power

    def at(self, point: BandPoint) -> BandMerit:
        """The merit that keeps at the cap the blocks that would give most for more power."""
        if self.problem.subcarrier_cap is None or self.blocks == 1:
            return self
        return attrs.evolve(self, held=self._prices(point)[1])

    def preconditioner(self, point: BandPoint) -> ComplexArray:
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
        mu = np.repeat(inner(point.W, point.gradient) / self.power, self.blocks)
        return damped_inverse(H, weights, mu).reshape(members, -1, antennas)

    def residual(self, point: Point, slope2: FloatArray) -> FloatArray:
        """KKT residual (B,), as of the narrowband merit."""
        problem = self.problem
        scale = problem.rate_weight * point.sum_rate
        if problem.crlb_weight:
            scale = scale + problem.crlb_weight * point.crlb
        return np.asarray(np.sqrt(slope2 * self.power) / scale)


def not_over_a_band(problem: Any) -> str | None:
    """Nothing, or which hardware a design over a band cannot be for; narrowband problems pass."""
    if not isinstance(problem, BandSumRateCrlb):
        return None
    for side in SIDES:
        for place, stage in stages(getattr(problem.transceiver, side), side):
            if not stage.spectrum_differentiable:
                return f"needs the derivative of a spectrum, and {place} ({type(stage).__name__}) gives none"
    for place, stage in stages(problem.transceiver.transmit, "transmit"):
        if power_shares(stage, problem.H.shape[-2]) is None:
            told = "designs over a band where transmit chains put out in proportion to their input"
            return f"{told}, and {place} ({type(stage).__name__}) does not"
    return None
