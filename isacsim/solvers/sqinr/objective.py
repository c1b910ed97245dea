"""What is asked of an objective over what a `System` allows, and the one that is linear in the covariance.

An objective is a function f of ``R = V V^H`` in normalised units. At an anchor it has the surrogate
``2 Re tr(C^H V) - tr(V^H M V) - c0``, which touches f there and is nowhere above it.
"""

from __future__ import annotations

import numpy as np
from attrs import frozen

from isacsim.batch import frobenius2, inner, rows, squared
from isacsim.linalg.stacked import adjoint
from isacsim.solvers.sqinr.curvature import Curvature
from isacsim.typing import BoolArray, ComplexArray, FloatArray

TINY = np.finfo(float).tiny
SMALL = 1e-3  # a linear objective below this share of what one stream could have is measured by that share


@frozen(eq=False)
class Surrogate:
    """Value of an objective at an anchor V, and the surrogate that touches it there."""

    value: FloatArray = rows()  #: f, (B,)
    size: FloatArray = rows()  #: What errors of f are relative to, (B,), positive
    C: ComplexArray = rows(2)  #: Linear term, (B, N, L)
    M: ComplexArray = rows(2)  #: Quadratic term, positive semidefinite, (B, N, N)
    chain: FloatArray = rows(1)  #: R_ii, (B, N)
    #: Inverse noise covariance of the sensing receiver, (B, N_r, N_r); empty for a linear objective
    Q_inverse: ComplexArray = rows(2)

    def at(self, V: ComplexArray) -> FloatArray:
        """The surrogate but for c0 at V, (B,)."""
        return np.asarray(2 * inner(self.C, V) - inner(V, self.M @ V))


@frozen(eq=False)
class Proof:
    """How much f can rise per unit of what the gradient promises, for B members."""

    linear: BoolArray = rows()  #: Whether f is linear in R, (B,)
    point: BoolArray = rows()  #: Whether f is a ratio ``zeta / D`` of linear functions, (B,)
    a: ComplexArray = rows(1)  #: Direction of the point target, ``zeta = |a^H V|^2``, of norm 1, (B, N)
    quality: FloatArray = rows()  #: 1 / D without a signal, (B,)

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
    """``tr(Theta R)`` of B members; the methods are those that every objective has."""

    theta: ComplexArray = rows(2)  #: Theta, Hermitian, (B, N, N)
    rising: ComplexArray = rows(2)  #: Its positive part, (B, N, N)
    falling: ComplexArray = rows(2)  #: Its negative part with the sign turned, (B, N, N)
    largest: FloatArray = rows()  #: The largest size of an eigenvalue, (B,)

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
