"""What is asked of an objective over what a `System` allows, and the one that is linear in the covariance.

An objective is a function f of ``R = V V^H`` in normalised units. At an anchor it has the surrogate
``2 Re tr(C^H V) - tr(V^H M V) - c0``, which touches f there and is nowhere above it.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from attrs import frozen

from isacsim.batch import frobenius2, inner, rows, squared
from isacsim.solvers.linear import adjoint
from isacsim.solvers.sqinr.curvature import Curvature
from isacsim.typing import BoolArray, ComplexArray, FloatArray

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

    value: FloatArray = rows()
    size: FloatArray = rows()
    C: ComplexArray = rows(2)
    M: ComplexArray = rows(2)
    chain: FloatArray = rows(1)
    Q_inverse: ComplexArray = rows(2)

    def at(self, V: ComplexArray) -> FloatArray:
        """The surrogate but for c0 at V, (B,)."""
        return np.asarray(2 * inner(self.C, V) - inner(V, self.M @ V))


class Objective(Protocol):
    """A function of the covariance that has a surrogate."""

    def surrogate(self, V: ComplexArray) -> Surrogate:
        """Value and surrogate at the anchor V, (B, N, L)."""

    def size(self, value: FloatArray) -> FloatArray:
        """What errors of values of f are relative to, (B,), positive."""

    def gradient(self, surrogate: Surrogate) -> ComplexArray:
        """df/dR at the anchor, Hermitian, (B, N, N)."""

    def curvature(self, surrogate: Surrogate, V: ComplexArray) -> Curvature:
        """The second derivative by R at the anchor V."""

    def proof(self) -> Proof:
        """Where first order proves a global optimum."""


@frozen(eq=False)
class Proof:
    """How much f can rise per unit of what the gradient promises, for B members.

    Attributes:
        linear: Whether f is linear in R, (B,).
        point: Whether f is a ratio ``zeta / D`` of linear functions, (B,).
        a: Direction of the point target, ``zeta = |a^H V|^2``, of norm 1, (B, N).
        quality: 1 / D without a signal, (B,).
    """

    linear: Any = rows()
    point: Any = rows()
    a: Any = rows(1)
    quality: Any = rows()

    @property
    def known(self) -> BoolArray:
        """Which members have a proof, (B,)."""
        return np.asarray(self.linear | self.point)

    def steepness(self, V: ComplexArray, value: FloatArray) -> FloatArray:
        """That factor at points V (B, N, L) with the given f, (B,); NaN where there is no proof."""
        zeta = frobenius2(np.conj(self.a)[:, None, :] @ V)
        ratio = zeta * self.quality / np.where(value > 0, value, np.nan)  # D over the least D
        return np.where(self.linear, 1.0, np.where(self.point, ratio, np.nan))


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

    def proof(self) -> Proof:
        """First order proves a global optimum everywhere."""
        members, antennas = self.theta.shape[:2]
        yes, nothing = np.ones(members, bool), np.zeros((members, antennas), complex)
        return Proof(yes, ~yes, nothing, np.zeros(members))

    def curvature(self, surrogate: Surrogate, V: ComplexArray) -> Curvature:
        """The second derivative by R, which is none."""
        members, antennas, streams = V.shape
        features, seen = np.zeros((members, 0, antennas), complex), np.zeros((members, 0, streams), complex)
        form, rates, gains = np.zeros((members, 0, 0)), np.zeros((members, 0)), np.zeros((members, 0, antennas))
        return Curvature(features, seen, form, rates, gains)
