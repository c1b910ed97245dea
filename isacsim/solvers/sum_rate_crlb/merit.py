"""Value and gradient of the `SumRateCrlb` objective for ideal hardware, batched.

Half gradients: ``df = 2 Re<g, dW>``. With Phi = F^-1 D F^-1 and the tensor T of the scene
(`isacsim.metrics.fim`)::

    g = C_1 + (crlb_weight Q - rate_weight H Sigma_2 H^H) W,   Q = V (sum_ij Phi_ij T_ij) V^H

where C_1 = rate_weight [H Sigma_1^H, 0], Sigma_1 = diag(eta), Sigma_2 = diag(beta)
[Fang25, eqs. (16), (20)-(24)], and T_k counts every stream, the sensing ones included.
"""

from __future__ import annotations

from functools import cache

import attrs
import numpy as np
from attrs import field, frozen

from isacsim.algebra import invert_each
from isacsim.arrays import AntennaArray
from isacsim.batch import flatten, hermitian, rows
from isacsim.compiled import compiled
from isacsim.errors import InvalidInput
from isacsim.metrics.fim import FimTensor, inverse_fim
from isacsim.problems.sum_rate_crlb import SumRateCrlb, weighted_trace
from isacsim.solvers.surface import along_power, to_power
from isacsim.typing import ComplexArray, FloatArray

TINY = np.finfo(float).tiny  # keeps mu positive where nothing has power
ROUNDING = 1e-14  # relative, of sums of some ten products


@frozen(eq=False)
class Point:
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


@frozen(eq=False)
class Evaluated(Point):
    """The objective at a precoder, with what the gradient needs again.

    Attributes:
        Z: Gains H^H W, (B, K, K+S).
        Y: V^H W, (B, 3M, K+S).
        F_inverse: (B, P, P), empty when the CRLB carries no weight.
    """

    Z: ComplexArray = rows(2)
    Y: ComplexArray = rows(2)
    F_inverse: FloatArray = rows(2)


@frozen(eq=False)
class Merit:
    """A flat `SumRateCrlb` compiled for repeated evaluation; leading axis B, or 1 if shared."""

    N: ComplexArray = rows(2)  # [H, V], (B, N_t, K+3M)
    NH: ComplexArray = rows(2)  # its conjugate transpose: one product gives Z and Y
    tensor: FimTensor = field()
    transmit_array: AntennaArray | None = field()
    power: FloatArray = rows()
    noise_power: FloatArray = rows(1)
    selection: FloatArray = field()
    rate_weight: float = field()
    crlb_weight: float = field()
    per_antenna: bool = field()

    @classmethod
    def of(cls, problem: SumRateCrlb) -> Merit:
        """Compile a problem (leading axes are flattened)."""
        if not problem.transceiver.is_ideal:
            raise InvalidInput(
                "transceiver", "must be ideal for this gradient", problem.transceiver, "Design for ideal."
            )
        return cls.in_coordinates(problem, None)

    @classmethod
    def in_coordinates(cls, problem: SumRateCrlb, basis: ComplexArray | None) -> Merit:
        """The merit as if hardware were ideal, over coordinates Z with ``W = basis Z``; None for W itself."""
        problem = flatten(problem)
        H, (V, tensor) = np.asarray(problem.H), problem.ideal_sensing
        users = H.shape[-1]
        N = np.empty((max(len(H), len(V)), H.shape[-2], users + V.shape[-1]), complex)
        N[..., :users], N[..., users:] = H, V
        N = N if basis is None else np.ascontiguousarray(hermitian(basis) @ N)
        return cls(
            N=N,
            NH=hermitian(N),
            tensor=tensor,
            transmit_array=getattr(problem.targets, "tx_array", None),
            power=problem.power,
            noise_power=np.array(problem.noise_power),  # to be written to, or Numba would compile for it anew
            selection=problem.selection,
            rate_weight=problem.rate_weight,
            crlb_weight=problem.crlb_weight,
            per_antenna=problem.per_antenna,
        )

    @property
    def members(self) -> int:
        """Number B of members."""
        return max(len(self.N), len(self.tensor.terms), len(self.power), len(self.noise_power))

    @property
    def users(self) -> int:
        """Number K of users."""
        return int(self.noise_power.shape[-1])

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

    def evaluate(self, W: ComplexArray) -> Evaluated:
        """The objective at W (B, N_t, K+S)."""
        NHW, users = self.NH @ W, self.users
        Z, Y = NHW[:, :users], NHW[:, users:]
        rate, (signal, interference) = np.empty(len(W)), np.empty((2, len(W), users))
        compiled(receive_each)(NHW, self.noise_power, signal, interference, rate)
        objective = self.rate_weight * rate
        if not self.crlb_weight:
            nothing = np.zeros((rate.size, 0, 0))
            return Evaluated(W, objective, rate, np.full(rate.shape, np.nan), signal, interference, Z, Y, nothing)
        F_inverse, _ = inverse_fim(self.tensor.fim(Y @ hermitian(Y)))
        bound = weighted_trace(F_inverse.diagonal(axis1=-2, axis2=-1), self.selection)
        objective = objective - self.crlb_weight * bound
        return Evaluated(W, objective, rate, bound, signal, interference, Z, Y, F_inverse)

    def rate_multipliers(self, point: Evaluated) -> tuple[ComplexArray, FloatArray]:
        """Eta and beta, (B, K)."""
        return np.asarray(np.conj(point.Z.diagonal(axis1=-2, axis2=-1)) / point.interference, complex), beta(point)

    def sensing_multiplier(self, point: Evaluated) -> ComplexArray:
        """crlb_weight Q in the basis V, ``Q = V Q_V V^H``, (B, 3M, 3M)."""
        if not self.crlb_weight:
            return np.zeros((1, *self.V.shape[-1:] * 2), complex)
        return self.tensor.adjoint((point.F_inverse * (self.crlb_weight * self.selection)) @ point.F_inverse)

    def gradient(self, point: Evaluated, Q_V: ComplexArray) -> ComplexArray:
        """Half gradient g at a point, (B, N_t, K+S)."""
        # Of the rate by Z: conj(eta_k) - beta_k Z_kk = Z_kk / T_k, and -beta_k Z_kj = -(S_k / I_k) Z_kj / T_k.
        own, others = streams(*point.Z.shape[-2:])
        sinr, received = point.signal / point.interference, point.signal + point.interference
        factor = (self.rate_weight / received)[..., None] * (own - others * sinr[..., None])
        return np.asarray(self.N @ np.concatenate((factor * point.Z, Q_V @ point.Y), axis=-2))

    def project(self, X: ComplexArray) -> ComplexArray:
        """Nearest precoder of full power: of the whole array, or of each antenna."""
        return to_power(X, self.power, self.per_antenna)

    def tangent(self, W: ComplexArray, g: ComplexArray) -> ComplexArray:
        """Part of the half gradient g along the surface of full power at W."""
        return along_power(W, g, self.power, self.per_antenna)

    def slope(self, point: Evaluated) -> ComplexArray:
        """Gradient of the objective along the surface of full power, (B, N_t, K+S)."""
        return 2 * self.tangent(point.W, self.gradient(point, self.sensing_multiplier(point)))

    def at(self, point: Evaluated) -> Merit:
        """The merit that proposals from a point are scaled by: itself."""
        return self

    def size(self, point: Evaluated) -> FloatArray:
        """The power of each member, (B,): the squared length of all precoders."""
        return self.power

    def preconditioner(self, point: Evaluated) -> ComplexArray:
        """Inverse of ``2 (rate_weight H Sigma_2 H^H + mu I)``, [Fang25, Theorem 1] without Q.

        Stationarity asks for mu = Re<W, g> / power, where ``Re<W, g> = rate_weight sum_k beta_k
        noise_k + crlb_weight tr(D F^-1)`` follows from scaling W.
        """
        weights = self.rate_weight * beta(point)
        radial = (weights * self.noise_power).sum(axis=-1)
        if self.crlb_weight:
            radial = radial + self.crlb_weight * point.crlb
        return self.preconditioned(weights, radial)

    def preconditioned(self, weights: FloatArray, radial: FloatArray) -> ComplexArray:
        """Inverse of ``2 (H diag(weights) H^H + mu I)`` for weights (B, K) and ``mu = radial / power``, (B,)."""
        return damped_inverse(self.H, weights, radial / self.power)

    def span(self) -> ComplexArray:
        """Orthonormal basis of the range of N = [H, V], (B, N_t, min(N_t, K+3M)); B is 1 if shared."""
        return np.ascontiguousarray(np.linalg.qr(self.N)[0])

    def within(self, basis: ComplexArray) -> Merit:
        """The merit as a function of the coordinates of W in an orthonormal basis."""
        N = hermitian(basis) @ self.N
        return attrs.evolve(self, N=N, NH=hermitian(N))

    def residual(self, point: Point, slope2: FloatArray) -> FloatArray:
        """KKT residual (B,): the gradient along the surface, of squared norm ``slope2``, for relative changes of W.

        It is measured against the sum of the magnitudes of the two terms, so that neither the
        scale of W nor a cancellation in the objective matters.
        """
        scale = self.rate_weight * point.sum_rate
        if self.crlb_weight:
            scale = scale + self.crlb_weight * point.crlb
        return np.asarray(np.sqrt(slope2 * self.power) / scale)


def damped_inverse(H: ComplexArray, weights: FloatArray, mu: FloatArray) -> ComplexArray:
    """Inverse of ``2 (H diag(weights) H^H + mu I)`` for H (B, N, K), weights (B, K) and mu (B,), (B, N, N)."""
    mu = np.maximum(mu, TINY)
    weighted = H * np.sqrt(2 * weights)[..., None, :]
    M = weighted @ hermitian(weighted)
    diagonal = M.reshape(len(M), -1)[:, :: M.shape[-1] + 1]
    # Rounding could leave it indefinite where mu is next to nothing beside the first term.
    diagonal += np.maximum(2 * mu, ROUNDING * diagonal.real.max(axis=-1))[:, None]
    inverse = np.empty_like(M)
    compiled(invert_each)(M, 0.0, inverse, np.empty(len(M), bool))
    return inverse


def beta(point: Evaluated) -> FloatArray:
    """Weights ``S_k / (I_k (S_k + I_k))`` of the quadratic surrogate of the rates, (B, K)."""
    return np.asarray(point.signal / (point.interference * (point.signal + point.interference)))


def receive_each(
    NHW: ComplexArray, noise_power: FloatArray, signal: FloatArray, interference: FloatArray, rate: FloatArray
) -> None:
    """Write what users receive, S_k and I_k (B, K), and their sum rates (B,), of the gains (B, K+3M, K+S)."""
    for b in range(len(NHW)):
        rate[b] = 0.0
        for k in range(signal.shape[1]):
            interference[b, k] = noise_power[min(b, len(noise_power) - 1), k]
            for j in range(NHW.shape[2]):
                gain = NHW[b, k, j].real ** 2 + NHW[b, k, j].imag ** 2
                if j == k:
                    signal[b, k] = gain
                else:
                    interference[b, k] += gain
            rate[b] += np.log1p(signal[b, k] / interference[b, k])


@cache
def streams(users: int, count: int) -> tuple[FloatArray, FloatArray]:
    """1 where a stream is the user's own, and where it is another's, each (K, K+S); not to be written to."""
    own = np.eye(users, count)
    return own, 1 - own
