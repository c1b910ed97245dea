"""Value and gradient of the `SumRateCrlb` objective behind any hardware with a derivative, batched.

The objective is the problem's own merit of what leaves the transmit chains, and its gradient that of
`isacsim.metrics.cotangents`, pulled back through them: nothing here knows what the hardware is. What
depends on it is the surface that an iteration runs on:

- Behind chains whose output is in proportion to their input, as it is of converters with gain control, the
  power is ``sum_i a_i ||row_i||^2``: in coordinates ``Z = diag(a)^1/2 W`` the sphere (or, for equal antenna
  powers, the product of spheres) of ideal hardware, and full power is optimal.
- Behind others, amplifiers for example, the drive is free below a cap: the best one may lie inside, where more
  power costs more distortion than it brings. A precoder above the cap is scaled back to it, and there
  gradients lose what would lead above it again.
"""

from __future__ import annotations

import attrs
import numpy as np
from attrs import field, frozen

from isacsim.batch import flatten, inner, rows, squared
from isacsim.hardware.base import Hardware, LinearModel, chain_power, diagonal_matrix, unlike_covariances
from isacsim.link import Transmission
from isacsim.metrics.cotangents import power_cotangent, pulled_back
from isacsim.problems.sum_rate_crlb import SumRateCrlb
from isacsim.solvers.sum_rate_crlb.merit import Merit, Point
from isacsim.typing import AnyArray, BoolArray, ComplexArray, FloatArray

SAME = 1e-9  # relative difference of shares of power that rounding explains
FULL = 1 - 1e-9  # share of a cap from which it binds
CLIPPINGS = 40  # steps of the search for the drive of each antenna at its cap; some six do
STRETCH = 4.0  # the most that a precoder is scaled up to stay at its cap
HAIR = 1e-11  # by how much it ends below, relative: more than rounding, less than what counts as binding


@frozen(eq=False)
class HardwarePoint(Point):
    """The objective at a precoder, with its derivative.

    Attributes:
        gradient: Half gradient in the coordinates Z, (B, N_t, K+S).
        normal: That of the radiated power of the antennas at a cap; zero elsewhere.
        weights: Weight of each user's channel in the preconditioner, (B, K).
    """

    gradient: ComplexArray = rows(2)
    normal: ComplexArray = rows(2)
    weights: FloatArray = rows(1)


@frozen(eq=False)
class HardwareMerit:
    """A flat `SumRateCrlb` behind hardware, with what a Riemannian solver asks of a merit.

    Attributes:
        problem: The problem.
        ideal: The merit of ideal hardware in the coordinates Z: its starts, its surface and its preconditioner.
        scale: ``W = diag(scale) Z``, (1, N_t).
        capped: Whether the power is a cap instead of a surface.
        held: Which antennas steps are to leave at their cap, (B, N_t).
    """

    problem: SumRateCrlb = field()
    ideal: Merit = field()
    scale: FloatArray = rows(1)
    capped: bool = field()
    held: BoolArray = rows(1)

    @classmethod
    def of(cls, problem: SumRateCrlb) -> HardwareMerit:
        """Compile a problem (leading axes are flattened)."""
        problem = flatten(problem)
        antennas = problem.H.shape[-2]
        shares = power_shares(problem.transceiver.transmit, antennas)
        scale = np.ones(antennas) if shares is None else 1 / np.sqrt(shares)
        gain = problem.transceiver.transmit.linear_model(np.eye(antennas, dtype=complex) / antennas)
        ideal = Merit.in_coordinates(problem, np.asarray(gain.gain_matrix() * scale, complex))
        return cls(problem, ideal, scale[None], shares is None, np.zeros((1, antennas), bool))

    @property
    def members(self) -> int:
        """Number B of members."""
        return self.ideal.members

    @property
    def power(self) -> FloatArray:
        """The power of each member, (B,)."""
        return self.ideal.power

    def precoder(self, Z: ComplexArray) -> ComplexArray:
        """The precoder of coordinates Z (B, N_t, K+S)."""
        return np.asarray(self.scale[..., None] * Z)

    def evaluate(self, Z: ComplexArray) -> HardwarePoint:
        """The objective at Z (B, N_t, K+S), and its derivative."""
        problem, W = self.problem, self.precoder(Z)
        transmit = problem.transceiver.transmit
        sent = Transmission.of(W, transmit)
        worth, cotangent = problem.merit_cotangent(sent)
        objective = problem.rate_weight * worth.sum_rate
        if problem.crlb_weight:
            objective = objective - problem.crlb_weight * worth.crlb
        gradient = self.precoder(pulled_back(W, sent, transmit, cotangent))
        normal = np.zeros_like(gradient)
        if self.capped and (full := self._full(sent)).any():
            normal = np.where(full[..., None], pulled_back(W, sent, transmit, power_cotangent(sent)), 0.0)
        # Of the rates' curvature: beta_k of ideal hardware, S_k / (T_k (S_k + T_k)), is SQINR_k / (S_k + T_k).
        received = squared(self.ideal.HH @ Z).sum(axis=-1) + problem.noise_power
        return HardwarePoint(
            W=Z, objective=np.asarray(objective), sum_rate=worth.sum_rate, crlb=worth.crlb,
            signal=worth.sqinr, interference=np.ones_like(worth.sqinr),
            gradient=gradient, normal=normal, weights=worth.sqinr / received,
        )  # fmt: skip

    def _full(self, sent: Transmission) -> BoolArray:
        """Which antennas are at a cap, all where it is the total, (B, N_t)."""
        antennas, power = sent.antenna_power.shape[-1], self.power[:, None]
        if self.problem.per_antenna:
            return np.asarray(sent.antenna_power * antennas >= FULL * power)
        return np.broadcast_to(sent.power[:, None] >= FULL * power, sent.antenna_power.shape)

    def project(self, Z: ComplexArray) -> ComplexArray:
        """The coordinates scaled to full power, or back to the cap."""
        if not self.capped:
            return self.ideal.project(Z)
        return kept(Z, self.problem.transceiver.transmit, self.power, self.problem.per_antenna, self.held)

    def slope(self, point: HardwarePoint) -> ComplexArray:
        """Gradient of the objective along the surface, or of what leads above a cap that binds, (B, N_t, K+S)."""
        if not self.capped:
            return 2 * self.ideal.tangent(point.W, point.gradient)
        rise, cost = self._radial(point)
        price = np.where(cost > 0, np.maximum(rise, 0.0) / np.where(cost > 0, cost, 1.0), 0.0)
        return 2 * (point.gradient - price * point.normal)

    def at(self, point: HardwarePoint) -> HardwareMerit:
        """The merit that keeps the antennas at the cap where it binds at a point and the objective wants above it."""
        if not self.capped:
            return self
        rise, cost = self._radial(point)
        return attrs.evolve(self, held=np.broadcast_to((cost > 0) & (rise > 0), point.W.shape)[..., 0])

    def _radial(self, point: HardwarePoint) -> tuple[FloatArray, FloatArray]:
        """Slopes of the objective and, at a cap, of the power, as the precoder or each row grows."""
        W, g, normal, axes = point.W, point.gradient, point.normal, -1 if self.problem.per_antenna else (-2, -1)
        rise = (W.real * g.real + W.imag * g.imag).sum(axis=axes, keepdims=True)
        return rise, (W.real * normal.real + W.imag * normal.imag).sum(axis=axes, keepdims=True)

    def preconditioner(self, point: HardwarePoint) -> ComplexArray:
        """That of the ideal merit, with the weights of users behind the hardware."""
        radial = (self.problem.rate_weight * point.weights * self.ideal.noise_power).sum(axis=-1)
        if self.problem.crlb_weight:
            radial = radial + self.problem.crlb_weight * point.crlb
        return self.ideal.preconditioned(self.problem.rate_weight * point.weights, radial)

    def residual(self, point: HardwarePoint, slope2: FloatArray) -> FloatArray:
        """That of the ideal merit, of the power that the precoder has where it is free."""
        spent = np.minimum(inner(point.W, point.W) / self.power, 1.0) if self.capped else 1.0
        return self.ideal.residual(point, slope2 * spent)


@frozen
class Loosened(Hardware):
    """A device whose model sees its input with a share of each chain's power replaced by independent noise.

    Args:
        device: The device.
        share: That share, up to 1, at which distortion of chains is uncorrelated.
    """

    device: Hardware
    share: float

    def apply(
        self, x: ComplexArray, rng: np.random.Generator | None = None, *, power: FloatArray | None = None
    ) -> ComplexArray:
        """The device's samples: it is the model that differs."""
        return self.device.apply(x, rng, power=power)

    def linear_model(self, R: ComplexArray) -> LinearModel:
        """The device's model for the loosened covariance."""
        return self.device.linear_model(self._loosened(R))

    def linear_model_vjp(self, R: ComplexArray, gain: AnyArray, distortion: AnyArray) -> ComplexArray:
        """That of the model, through the loosening, which is its own adjoint."""
        return self._loosened(self.device.linear_model_vjp(self._loosened(R), gain, distortion))

    def _loosened(self, R: ComplexArray) -> ComplexArray:
        return np.asarray((1 - self.share) * R + self.share * diagonal_matrix(chain_power(R)), complex)


def power_shares(hardware: Hardware, chains: int) -> FloatArray | None:
    """What share of its input's power each chain puts out, (chains,); None where it depends on the input."""
    R = unlike_covariances(chains)
    shares = hardware.linear_model(R).output_power(R) / chain_power(R)
    same = np.abs(shares[1] - shares[0]) <= SAME * shares[0]
    return np.asarray(shares[0]) if same.all() and (shares[0] > 0).all() else None


def kept(W: ComplexArray, transmit: Hardware, most: FloatArray, per_antenna: bool, held: BoolArray) -> ComplexArray:
    """W (B, N_t, K+S) scaled back to a cap, or row by row to equal shares of it; where ``held`` also up to it.

    The secant of logarithms, kept in a bracket, for all at once; rows of a device that does not couple chains do not
    depend on each other. What is returned is never above.

    Args:
        W: Precoders.
        transmit: The chains.
        most: The cap on the power of each member, (B,).
        per_antenna: Whether each antenna has its share of it.
        held: Which antennas are to radiate no less, (B, N_t), all of a member alike without ``per_antenna``.
    """
    limit = most[:, None] / (W.shape[-2] if per_antenna else 1)

    def radiated(factor: FloatArray) -> FloatArray:
        power = Transmission.of(factor[..., None] * W, transmit).antenna_power
        return power if per_antenna else np.broadcast_to(power.sum(axis=-1, keepdims=True), power.shape)

    given = radiated(np.ones(W.shape[:-1]))
    above = given > limit
    moved = above | (held & (given < limit * (1 - 10 * HAIR)) & (given > 0))
    if not moved.any():
        return W
    low, high = np.where(above, 0.0, 1.0), np.where(above, 1.0, STRETCH)  # of the amplitude
    factor = np.where(moved, np.sqrt(limit / np.where(moved, given, 1.0)) * (1 - HAIR), 1.0)
    factor = np.clip(factor, low, high)
    last, last_power, going = np.ones(given.shape), given, moved
    for _ in range(CLIPPINGS):
        power = radiated(np.where(moved, factor, 1.0))
        over = power > limit
        low = np.where(going & ~over, np.maximum(low, factor), low)
        high = np.where(going & over, np.minimum(high, factor), high)
        going = going & (over | (power < limit * (1 - 10 * HAIR)))  # a member that is done changes with no other
        if not going.any():
            break
        with np.errstate(all="ignore"):
            steepness = np.log(power / last_power) / np.log(factor / last)
            secant = factor * np.exp(np.log(limit * (1 - 2 * HAIR) / power) / steepness)
        last, last_power = factor, power
        inside = (secant > low) & (secant < high)  # False for NaN
        factor = np.where(inside, secant, (low + high) / 2)
    return np.asarray(np.where(moved, low, 1.0)[..., None] * W)
