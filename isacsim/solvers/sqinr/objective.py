"""What is asked of an objective over what a `System` allows, and the one that is linear in the covariance.

An objective is a function f of ``R = V V^H`` in normalised units.
"""

from __future__ import annotations

import numpy as np
from attrs import frozen

from isacsim.batch import frobenius2, inner, rows
from isacsim.typing import BoolArray, ComplexArray, FloatArray

TINY = np.finfo(float).tiny
SMALL = 1e-3  # a linear objective below this share of what one stream could have is measured by that share


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

    def first_order(self, V: ComplexArray) -> tuple[FloatArray, ComplexArray]:
        """Values f, (B,), and df/dR, Hermitian, (B, N, N), at V (B, N, L)."""
        return inner(V, self.theta @ V), np.asarray(self.theta, complex)

    def size(self, value: FloatArray) -> FloatArray:
        """What errors of values of f are relative to, (B,), positive."""
        largest = np.abs(np.linalg.eigvalsh(self.theta)).max(axis=-1)
        return np.asarray(np.maximum(np.abs(value), SMALL * np.maximum(largest, TINY)))

    def proof(self) -> Proof:
        """First order proves a global optimum everywhere."""
        members, antennas = self.theta.shape[:2]
        yes = np.ones(members, bool)
        return Proof(yes, ~yes, np.zeros((members, antennas), complex), np.zeros(members))
