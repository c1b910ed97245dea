"""What is asked of an objective over what a `System` allows, and the one that is linear in the covariance.

An objective is a function f of ``R = V V^H`` in normalised units.
"""

from __future__ import annotations

import numpy as np
from attrs import frozen

from isacsim.batch import inner, rows
from isacsim.typing import ComplexArray, FloatArray

TINY = np.finfo(float).tiny
SMALL = 1e-3  # a linear objective below this share of what one stream could have is measured by that share


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

    def steepness(self, V: ComplexArray, value: FloatArray) -> FloatArray:
        """How much f can rise per unit of what the gradient promises, (B,); NaN where there is no proof."""
        return np.ones(len(V))
