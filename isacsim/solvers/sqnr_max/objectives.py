"""What a `System` maximises: the radar SQNR, or a linear function of the covariance.

Both are functions of ``R = V V^H`` in normalised units. The SQNR is
``f = tr(Q^-1 G R G^H)`` [Xu25, eq. (9)] with, for the ratios e of the transmit and eps of the
receive chains (`isacsim.solvers.sqnr_max.converters`)::

    Q = G diag(e R_ii) G^H + diag(1 + eps Ry),  Ry = diag(G R G^H) + |G|^2 (e R_ii) + 1

At an anchor it has the surrogate ``2 Re tr(C^H V) - tr(V^H M V) - c0``, which touches f there
and is nowhere above it [Xu25, eq. (18)].
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from attrs import frozen

from isacsim.batch import inner, rows, squared
from isacsim.solvers.linear import adjoint, inverse
from isacsim.solvers.sqnr_max.few_targets import DenseCurvature, reduced
from isacsim.typing import ComplexArray, FloatArray

TINY = np.finfo(float).tiny
SMALL = 1e-3  # a linear objective below this share of what one stream could have is measured by that share


@frozen(eq=False)
class Surrogate:
    """Value of an objective at an anchor V, and the surrogate that touches it there.

    Attributes:
        value: f, (B,).
        size: What errors of f are relative to, (B,), positive.
        C: Linear term, (B, N, L).
        M: Quadratic term, positive semidefinite, (B, N, N).
        chain: R_ii, (B, N).
        Q_inverse: Inverse noise covariance of the sensing receiver, (B, N_r, N_r); empty for a
            linear objective.
    """

    value: Any = rows()
    size: Any = rows()
    C: Any = rows(2)
    M: Any = rows(2)
    chain: Any = rows(1)
    Q_inverse: Any = rows(2)

    def at(self, V: ComplexArray) -> FloatArray:
        """The surrogate but for c0 at V, (B,)."""
        return np.asarray(2 * inner(self.C, V) - inner(V, self.M @ V))


class Curvature(Protocol):
    """The second derivative of an objective by the covariance, as a form in few linear functions of it.

    ``D^2 f[dR, dR] = theta^T Hx theta`` with ``theta_m = z_m^H dR z_m``; the first N of the z_m
    are the unit vectors, theta the changes of R_ii.
    """

    @property
    def features(self) -> ComplexArray:
        """The z_m^H after the first N, (B, m - N, N)."""

    @property
    def seen(self) -> ComplexArray:
        """The same times V, (B, m - N, L)."""

    def times(self, Y: FloatArray) -> FloatArray:
        """Hx Y for Y (B, m, n), (B, m, n)."""


class Objective(Protocol):
    """A function of the covariance that has a surrogate."""

    @property
    def features(self) -> int:
        """Number m of functions of the covariance that its curvature is made of."""

    def surrogate(self, V: ComplexArray) -> Surrogate:
        """Value and surrogate at the anchor V, (B, N, L)."""

    def size(self, value: FloatArray) -> FloatArray:
        """What errors of values of f are relative to, (B,), positive."""

    def gradient(self, surrogate: Surrogate) -> ComplexArray:
        """df/dR at the anchor, Hermitian, (B, N, N)."""

    def curvature(self, surrogate: Surrogate, V: ComplexArray) -> Curvature:
        """The second derivative by R at the anchor V."""


@frozen(eq=False)
class SqnrCurvature:
    """The second derivative of the radar SQNR.

    Q is linear in R_ii and in ``q = diag(G R G^H)``: ``dQ = sum_a rates_a rho_a t_a t_a^H`` with
    T = [G, I] and ``rho = Lm (dR_ii, dq)``, ``Lm = [[I, 0], [gains, I]]``. With
    ``x_a = G^H Q^-1 t_a`` then::

        D^2 f = -2 sum_a rates_a rho_a x_a^H dR x_a + 2 tr(dQ Q^-1 dQ Q^-1 G R G^H Q^-1)

    Attributes:
        features: g_j^H, then x_a^H, (B, 2 N_r + N, N).
        seen: The same times V, (B, 2 N_r + N, L).
        form: ``Lm^T Hr Lm`` of the second term in (R_ii, q), (B, N + N_r, N + N_r).
        rates: e and eps, (B, N + N_r).
        gains: ``|G|^2 diag(e)``, (B, N_r, N).
    """

    features: Any = rows(2)
    seen: Any = rows(2)
    form: Any = rows(2)
    rates: Any = rows(1)
    gains: Any = rows(2)

    def times(self, Y: FloatArray) -> FloatArray:
        """Hx Y for Y (B, m, n), (B, m, n)."""
        n, N = self.form.shape[-1], self.gains.shape[-1]
        rho, x = Y[:, :n], self.rates[:, :, None] * Y[:, n:]
        result = np.empty_like(Y)
        np.matmul(self.form, rho, out=result[:, :n])
        result[:, :n] -= x
        result[:, :N] -= np.swapaxes(self.gains, -1, -2) @ x[:, N:]
        result[:, n:] = rho
        result[:, n + N :] += self.gains @ rho[:, :N]
        result[:, n:] *= -self.rates[:, :, None]
        return result


@frozen(eq=False)
class NoCurvature:
    """The second derivative of a linear function.

    Attributes:
        features: None, (B, 0, N).
        seen: None, (B, 0, L).
    """

    features: Any = rows(2)
    seen: Any = rows(2)

    def times(self, Y: FloatArray) -> FloatArray:
        """Zeros like Y."""
        return np.zeros_like(Y)


@frozen(eq=False)
class Sqnr:
    """The radar SQNR of B members.

    Attributes:
        G: Target response in normalised units, (B, N_r, N).
        GH: Its conjugate transpose, (B, N, N_r).
        gains: ``|G|^2 diag(e)``, (B, N_r, N).
        transmit: e, (B, N).
        receive: eps, (B, N_r).
        basis: Orthonormal columns A (B, N, r) with ``G = G A A^H`` where the rank is low; empty
            where nothing is known of it.
    """

    G: Any = rows(2)
    GH: Any = rows(2)
    gains: Any = rows(2)
    transmit: Any = rows(1)
    receive: Any = rows(1)
    basis: Any = rows(2)

    @property
    def features(self) -> int:
        """Number m of functions of the covariance that its curvature is made of."""
        receivers, antennas = self.G.shape[-2:]
        rank = self.basis.shape[-1]
        return int(antennas + rank**2 if rank else 2 * (antennas + receivers))

    def noise(self, V: ComplexArray, chain: FloatArray) -> tuple[ComplexArray, ComplexArray]:
        """Q (B, N_r, N_r), and G V (B, N_r, L)."""
        GV = self.G @ V
        received = squared(GV).sum(axis=-1) + (self.gains @ chain[..., None])[..., 0] + 1
        Q = (self.G * (self.transmit * chain)[:, None, :]) @ self.GH
        j = np.arange(Q.shape[-1])
        Q[:, j, j] += 1 + self.receive * received
        return Q, GV

    def surrogate(self, V: ComplexArray) -> Surrogate:
        """Value and surrogate at the anchor V, (B, N, L)."""
        chain = squared(V).sum(axis=-1)
        Q, GV = self.noise(V, chain)
        Q_inverse = inverse(Q)
        Y = Q_inverse @ GV
        C = self.GH @ Y
        M = (self.GH * (self.receive * squared(Y).sum(axis=-1))[:, None, :]) @ self.G
        i = np.arange(M.shape[-1])
        M[:, i, i] += self.transmit * (squared(C).sum(axis=-1) + M[:, i, i].real)
        value = inner(GV, Y)
        return Surrogate(value, self.size(value), C, M, chain, Q_inverse)

    def size(self, value: FloatArray) -> FloatArray:
        """What errors of values of f are relative to, (B,)."""
        return np.maximum(value, TINY)

    def constant(self, surrogate: Surrogate, V: ComplexArray) -> FloatArray:
        """c0 of the surrogate that was taken at V, (B,)."""
        powers = squared(surrogate.Q_inverse @ (self.G @ V)).sum(axis=-1)
        return np.asarray(((1 + self.receive) * powers).sum(axis=-1))

    def gradient(self, surrogate: Surrogate) -> ComplexArray:
        """df/dR at the anchor, Hermitian, (B, N, N)."""
        return np.asarray(self.GH @ (surrogate.Q_inverse @ self.G) - surrogate.M)

    def curvature(self, surrogate: Surrogate, V: ComplexArray) -> SqnrCurvature | DenseCurvature:
        """The second derivative by R at the anchor V."""
        full = self._curvature(surrogate, V)
        return reduced(full, self.basis, V) if self.basis.shape[-1] else full

    def _curvature(self, surrogate: Surrogate, V: ComplexArray) -> SqnrCurvature:
        N = V.shape[-2]
        QG = surrogate.Q_inverse @ self.G
        XH = np.concatenate([self.GH @ QG, QG], axis=-2)  # x_a^H for all a
        features = np.concatenate([self.G, XH], axis=-2)
        seen = features @ V
        # t_a^H Q^-1 t_b for T = [G, I].
        across = np.concatenate([XH, np.concatenate([adjoint(QG), surrogate.Q_inverse], axis=-2)], axis=-1)
        of_x = seen[:, self.G.shape[-2] :]
        xRx = of_x @ adjoint(of_x)
        rates = np.concatenate([self.transmit, self.receive], axis=-1)
        form = 2 * rates[:, :, None] * rates[:, None, :] * (across.real * xRx.real + across.imag * xRx.imag)
        form[..., :N] += form[..., N:] @ self.gains
        form[:, :N] += np.swapaxes(self.gains, -1, -2) @ form[:, N:]
        return SqnrCurvature(features, seen, form, rates, self.gains)


@frozen(eq=False)
class Linear:
    """``tr(Theta R)`` of B members.

    Attributes:
        theta: Theta, Hermitian, (B, N, N).
        rising: Its positive part, (B, N, N).
        falling: Its negative part with the sign turned, (B, N, N).
        largest: The largest size of an eigenvalue, (B,).
    """

    theta: Any = rows(2)
    rising: Any = rows(2)
    falling: Any = rows(2)
    largest: Any = rows()

    @property
    def features(self) -> int:
        """Number m of functions of the covariance that its curvature is made of."""
        return int(self.theta.shape[-1])

    @classmethod
    def of(cls, theta: ComplexArray) -> Linear:
        """The objective of Hermitian matrices (B, N, N)."""
        spectrum, U = np.linalg.eigh(theta)
        rising = (U * np.maximum(spectrum, 0.0)[:, None, :]) @ adjoint(U)
        falling = (U * np.maximum(-spectrum, 0.0)[:, None, :]) @ adjoint(U)
        largest = np.maximum(np.abs(spectrum).max(axis=-1), TINY)
        return cls(np.asarray(theta, complex), rising, falling, largest)

    def surrogate(self, V: ComplexArray) -> Surrogate:
        """Value and surrogate at the anchor V, (B, N, L): linear in V where Theta rises."""
        C = self.rising @ V
        value = inner(V, C) - inner(V, self.falling @ V)
        none = np.zeros((len(V), 0, 0), complex)
        return Surrogate(value, self.size(value), C, self.falling, squared(V).sum(axis=-1), none)

    def size(self, value: FloatArray) -> FloatArray:
        """What errors of values of f are relative to, (B,)."""
        return np.asarray(np.maximum(np.abs(value), SMALL * self.largest))

    def gradient(self, surrogate: Surrogate) -> ComplexArray:
        """df/dR, which is Theta, (B, N, N)."""
        return np.asarray(self.theta)

    def curvature(self, surrogate: Surrogate, V: ComplexArray) -> NoCurvature:
        """The second derivative by R, which is none."""
        return NoCurvature(np.zeros((len(V), 0, V.shape[-2]), complex), np.zeros((len(V), 0, V.shape[-1]), complex))
