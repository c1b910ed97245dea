"""Value and gradient of the `SumRateCrlb` objective for ideal hardware, batched.

Half gradients: ``df = 2 Re<g, dW>``. With Phi = F^-1 D F^-1 and the tensor T of the scene
(`isacsim.metrics.fim`)::

    g = C_1 + (crlb_weight Q - rate_weight H Sigma_2 H^H) W,   Q = V (sum_ij Phi_ij T_ij) V^H

where C_1 = rate_weight [H Sigma_1^H, 0], Sigma_1 = diag(eta), Sigma_2 = diag(beta)
[Fang25, eqs. (16), (20)-(24)], and T_k counts every stream, the sensing ones included.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from attrs import field, frozen

from isacsim.arrays import AntennaArray
from isacsim.batch import each, flatten, hermitian, replaced, rows
from isacsim.compiled import compiled, writable
from isacsim.linalg.ranges import in_range
from isacsim.metrics.fim import FimTensor
from isacsim.optimisation.ascent import OBJECTIVE
from isacsim.optimisation.preconditioner import damped_inverse
from isacsim.optimisation.spheres import Spheres
from isacsim.optimisation.surface import OnSurface
from isacsim.problems.rate_and_crlb import RateAndCrlb
from isacsim.problems.sum_rate_crlb import SumRateCrlb
from isacsim.solvers.sum_rate_crlb.member import (
    CRLB,
    PER_ANTENNA,
    RATE,
    SEEN,
    SELECTION,
    Room,
    Terms,
    evaluate_each,
)
from isacsim.typing import ComplexArray, FloatArray


@frozen(eq=False)
class Iterate:
    """The objective at a precoder.

    Attributes:
        W: Precoder, (B, N_t, K+S).
        objective: Merit, (B,); -inf where F is singular.
        sum_rate: Sum rate, (B,), in nat/s/Hz.
        crlb: Weighted CRLB tr(D F^-1), (B,); NaN when it carries no weight.
        signal: S_k, (B, K), in W.
        interference: I_k, (B, K), in W; S_k over it is the user's SINR.
    """

    W: ComplexArray = rows(2)
    objective: FloatArray = rows()
    sum_rate: FloatArray = rows()
    crlb: FloatArray = rows()
    signal: FloatArray = rows(1)
    interference: FloatArray = rows(1)

    @property
    def weights(self) -> FloatArray:
        """Weights ``S_k / (I_k (S_k + I_k))`` of the quadratic surrogate of the rates, (B, K)."""
        return np.asarray(self.signal / (self.interference * (self.signal + self.interference)))


@frozen(eq=False)
class Derived(Iterate):
    """The objective at coordinates on a surface, with its derivative.

    Attributes:
        gradient: Half gradient in the coordinates Z, (B, n, K+S).
        normal: That of the radiated power of the antennas at a cap; zero elsewhere.
        weights: Weight of each user's channel in the preconditioner, (B, K), over a band (B, F, K).
    """

    gradient: ComplexArray = rows(2)
    normal: ComplexArray = rows(2)
    weights: FloatArray = rows(1)


@frozen(eq=False)
class Evaluated(Iterate):
    """The objective at a precoder, with its derivative.

    Attributes:
        gains: ``N^H W``, (B, K+3M, K+S).
        Q_V: crlb_weight Q in the basis V, ``Q = V Q_V V^H``, (B, 3M, 3M).
        gradient: Half gradient g, (B, N_t, K+S).
    """

    gains: ComplexArray = rows(2)
    Q_V: ComplexArray = rows(2)
    gradient: ComplexArray = rows(2)

    @property
    def normal(self) -> ComplexArray:
        """Of no account: the surface of full power has its own."""
        return self.W

    @property
    def Z(self) -> ComplexArray:
        """Gains H^H W, (B, K, K+S)."""
        return self.gains[:, : self.signal.shape[-1]]

    @property
    def Y(self) -> ComplexArray:
        """V^H W, (B, 3M, K+S)."""
        return self.gains[:, self.signal.shape[-1] :]


@frozen(eq=False)
class Merit(OnSurface):
    """A flat `SumRateCrlb` compiled for repeated evaluation; leading axis B, or 1 if shared."""

    N: ComplexArray = rows(2)  # [H, V], (B, N_t, K+3M)
    NH: ComplexArray = rows(2)  # its conjugate transpose: one product gives Z and Y
    tensor: FimTensor = field()
    transmit_array: AntennaArray | None = field()
    powers: FloatArray = rows(1)  # the noise of each user, and last the power, (B, K+1)
    weights: FloatArray = field()  # as in `isacsim.solvers.sum_rate_crlb.member.Terms`
    rate_weight: float = field()
    crlb_weight: float = field()

    @classmethod
    def of(cls, problem: SumRateCrlb, basis: ComplexArray | None = None) -> Merit:
        """Compile a problem (leading axes are flattened), as if hardware were ideal.

        It is over coordinates Z with ``W = basis Z``; without a basis over W itself.
        """
        problem = flatten(problem)
        H, (V, tensor) = np.asarray(problem.H), problem.ideal_sensing
        users, power, noise = H.shape[-1], problem.power, problem.noise_power
        N = np.empty((max(len(H), len(V)), H.shape[-2], users + V.shape[-1]), complex)
        N[..., :users], N[..., users:] = H, V
        N = N if basis is None else np.ascontiguousarray(hermitian(basis) @ N)
        powers = np.empty((max(len(power), len(noise)), users + 1))
        powers[:, :users], powers[:, users] = noise, power
        selection = problem.selection
        weights = np.empty(SELECTION + selection.size)
        weights[:SELECTION] = problem.rate_weight, problem.crlb_weight, problem.per_antenna
        weights[SELECTION:] = selection
        return cls(
            N=N,
            NH=hermitian(N),
            tensor=tensor,
            transmit_array=getattr(problem.targets, "tx_array", None),
            powers=powers,
            weights=weights,
            rate_weight=problem.rate_weight,
            crlb_weight=problem.crlb_weight,
        )

    @property
    def members(self) -> int:
        """Number B of members."""
        return max(len(self.N), len(self.tensor.terms), len(self.powers))

    @property
    def power(self) -> FloatArray:
        """Power of each member, (B,) or (1,), in W."""
        return self.powers[:, -1]

    @cached_property
    def surface(self) -> Spheres:
        """The precoders of full power."""
        return Spheres(self.power, bool(self.weights[PER_ANTENNA]))

    @cached_property
    def factor(self) -> ComplexArray:
        """R of the QR factorisation of N, (B, ., K+3M): spectra of matrices N M N^H are those of R M R^H."""
        return np.asarray(np.linalg.qr(self.N, "r"))

    @property
    def noise_power(self) -> FloatArray:
        """Noise of each user, (B, K) or (1, K), in W."""
        return self.powers[:, :-1]

    @property
    def users(self) -> int:
        """Number K of users."""
        return int(self.powers.shape[-1]) - 1

    @property
    def selection(self) -> FloatArray:
        """The diagonal of D, (P,)."""
        return self.weights[SELECTION:]

    @property
    def H(self) -> ComplexArray:
        """Channels, (B, N_t, K)."""
        return np.asarray(self.N[..., : self.users])

    @property
    def HH(self) -> ComplexArray:
        """Their conjugate transpose, (B, K, N_t)."""
        return np.asarray(self.NH[..., : self.users, :])

    @property
    def V(self) -> ComplexArray:
        """Steering vectors of the targets and their derivatives, (B, N_t, 3M)."""
        return np.asarray(self.N[..., self.users :])

    @property
    def VH(self) -> ComplexArray:
        """Their conjugate transpose, (B, 3M, N_t)."""
        return np.asarray(self.NH[..., self.users :, :])

    def terms(self, members: int) -> Terms:
        """What compiled loops see of it, for B members."""
        of = (self.N, self.NH, self.tensor.terms, self.powers)
        N, NH, tensor, powers = (writable(each(values, members)) for values in of)
        return Terms(N, NH, tensor, self.tensor.places, powers, self.weights)

    def room(self, streams: int) -> Room:
        """Place for what evaluations work out, with K+S streams."""
        (n, columns), users, told = self.N.shape[-2:], self.users, self.tensor.parameters if self.crlb_weight else 0
        gains, factor = np.empty((2, columns, streams), complex)
        F, inverse = np.empty((2, told, told))
        M, square = np.empty((n, n), complex), np.zeros((columns - users, columns - users), complex)
        return Room(np.zeros(SEEN + 2 * users), gains, square, F, inverse, factor, M, np.empty(users))

    def relevant(self) -> Merit:
        """The merit without V where the CRLB carries no weight: then stationary precoders lie in the range of H."""
        return self if self.crlb_weight else replaced(self, N=writable(self.H), NH=writable(self.HH))

    def evaluate(self, W: ComplexArray) -> Evaluated:
        """The objective at W (B, N_t, K+S), and its derivative."""
        W, room = np.require(W, complex, ["C", "W"]), self.room(W.shape[-1])
        told, gains, Q_V = (
            np.zeros((len(W), *each.shape), each.dtype) for each in (room.told, room.gains, room.square)
        )
        gradient = np.empty_like(W)
        compiled(evaluate_each)(self.terms(len(W)), W, room, told, gains, Q_V, gradient)
        return Evaluated(W, *seen(told), gains, Q_V, gradient)

    def preconditioner(self, point: Iterate, spent: FloatArray | float = 1.0) -> ComplexArray:
        """Inverse of ``2 (rate_weight H Sigma_2 H^H + mu I)``, [Fang25, Theorem 1] without Q.

        Stationarity asks for mu = Re<W, g> / power, where ``Re<W, g> = rate_weight sum_k beta_k
        noise_k + crlb_weight tr(D F^-1)`` follows from scaling W; of the power a share may be ``spent`` (B,).
        """
        weights = self.rate_weight * point.weights
        radial = (weights * self.noise_power).sum(axis=-1)
        if self.crlb_weight:
            radial = radial + self.crlb_weight * point.crlb
        return damped_inverse(self.N, weights, radial / spent / self.power)

    def reduced(self, W: ComplexArray) -> tuple[ComplexArray, Merit, ComplexArray]:
        """An orthonormal basis Q of the range of N, the merit in coordinates ``Q^H W``, and those of precoders W.

        Q is (B, N_t, c), of B = 1 if all members share N, and W (B, starts, N_t, K+S). Where that range may be no
        smaller than that of all precoders, Q is the identity.
        """
        antennas, columns = self.N.shape[1:]
        if columns >= antennas:
            return np.eye(antennas, dtype=complex)[None], self, W
        Q, N, NH, Z = in_range(self.N, self.NH, W)
        return Q, replaced(self, N=N, NH=NH), Z

    def magnitude(self, point: Iterate) -> FloatArray:
        """Sum of the magnitudes of the two terms, (B,)."""
        return magnitude(self, point)


def magnitude(weighed: Merit | RateAndCrlb, point: Iterate) -> FloatArray:
    """Sum of the magnitudes of the two terms at a point, (B,)."""
    rate = weighed.rate_weight * point.sum_rate
    return np.asarray(rate + weighed.crlb_weight * point.crlb if weighed.crlb_weight else rate)


def seen(told: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]:
    """The fields of an `Iterate` beside W, from what compiled loops tell (B, 9+2K)."""
    signal, interference = np.split(told[:, SEEN:], 2, axis=1)
    return told[:, OBJECTIVE], told[:, RATE], told[:, CRLB], signal, interference
