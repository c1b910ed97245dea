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

from isacsim.batch import hermitian, inner, rows, squared
from isacsim.solvers.linear import inverse
from isacsim.typing import ComplexArray, FloatArray


@frozen(eq=False)
class Surrogate:
    """Value of an objective at an anchor V, and the surrogate that touches it there.

    Attributes:
        value: f, (B,).
        C: Linear term, (B, N, L).
        M: Quadratic term, positive semidefinite, (B, N, N).
        chain: R_ii, (B, N).
        Q_inverse: Inverse noise covariance of the sensing receiver, (B, N_r, N_r); empty for a
            linear objective.
    """

    value: Any = rows()
    C: Any = rows(2)
    M: Any = rows(2)
    chain: Any = rows(1)
    Q_inverse: Any = rows(2)

    def at(self, V: ComplexArray) -> FloatArray:
        """The surrogate but for c0 at V, (B,)."""
        return np.asarray(2 * inner(self.C, V) - inner(V, self.M @ V))


class Objective(Protocol):
    """A function of the covariance that has a surrogate."""

    def surrogate(self, V: ComplexArray) -> Surrogate:
        """Value and surrogate at the anchor V, (B, N, L)."""

    def gradient(self, surrogate: Surrogate) -> ComplexArray:
        """df/dR at the anchor, Hermitian, (B, N, N)."""


@frozen(eq=False)
class Sqnr:
    """The radar SQNR of B members.

    Attributes:
        G: Target response in normalised units, (B, N_r, N).
        GH: Its conjugate transpose, (B, N, N_r).
        gains: ``|G|^2 diag(e)``, (B, N_r, N).
        transmit: e, (B, N).
        receive: eps, (B, N_r).
    """

    G: Any = rows(2)
    GH: Any = rows(2)
    gains: Any = rows(2)
    transmit: Any = rows(1)
    receive: Any = rows(1)

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
        return Surrogate(inner(GV, Y), C, M, chain, Q_inverse)

    def constant(self, surrogate: Surrogate, V: ComplexArray) -> FloatArray:
        """c0 of the surrogate that was taken at V, (B,)."""
        powers = squared(surrogate.Q_inverse @ (self.G @ V)).sum(axis=-1)
        return np.asarray(((1 + self.receive) * powers).sum(axis=-1))

    def gradient(self, surrogate: Surrogate) -> ComplexArray:
        """df/dR at the anchor, Hermitian, (B, N, N)."""
        return np.asarray(self.GH @ (surrogate.Q_inverse @ self.G) - surrogate.M)


@frozen(eq=False)
class Linear:
    """``tr(Theta R)`` of B members.

    Attributes:
        theta: Theta, Hermitian, (B, N, N).
        rising: Its positive part, (B, N, N).
        falling: Its negative part with the sign turned, (B, N, N).
    """

    theta: Any = rows(2)
    rising: Any = rows(2)
    falling: Any = rows(2)

    @classmethod
    def of(cls, theta: ComplexArray) -> Linear:
        """The objective of Hermitian matrices (B, N, N)."""
        spectrum, U = np.linalg.eigh(theta)
        parts = [(U * part[:, None, :]) @ hermitian(U) for part in (np.maximum(spectrum, 0), np.maximum(-spectrum, 0))]
        return cls(np.asarray(theta, complex), *parts)

    def surrogate(self, V: ComplexArray) -> Surrogate:
        """Value and surrogate at the anchor V, (B, N, L): linear in V where Theta rises."""
        C = self.rising @ V
        value = inner(V, C) - inner(V, self.falling @ V)
        none = np.zeros((len(V), 0, 0), complex)
        return Surrogate(value, C, self.falling, squared(V).sum(axis=-1), none)

    def gradient(self, surrogate: Surrogate) -> ComplexArray:
        """df/dR, which is Theta, (B, N, N)."""
        return np.asarray(self.theta)
