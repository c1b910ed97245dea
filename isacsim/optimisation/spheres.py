"""Matrices of a given power, on the sphere or, row by row, on a product of spheres: the way back to it, and gradients.

Complex matrices are real vectors here: inner products are real parts.
"""

from __future__ import annotations

import math

import numpy as np
from attrs import field, frozen

from isacsim.batch import rows
from isacsim.compiled import compiled, part, writable
from isacsim.linalg.parts import real_inner
from isacsim.optimisation.surface import Surface
from isacsim.typing import ComplexArray, FloatArray


@frozen(eq=False)
class Spheres(Surface):
    """The matrices of B members, (B, n, m), of a power.

    Attributes:
        power: The power of each member, (B,), or (1,) for all.
        apart: Whether each row has its share of it.
    """

    power: FloatArray = rows()
    apart: bool = field()

    def project(self, Z: ComplexArray) -> ComplexArray:
        """The nearest matrices of full power.

        Of each row by itself that is [Fang25, eq. (31)] with the exponent -1/2 in place of the printed -1.
        """
        near = np.array(Z, complex, order="C")
        compiled(to_surface_each)(near, writable(self.power), self.apart)
        return near

    def slope(self, Z: ComplexArray, gradient: ComplexArray, normal: ComplexArray) -> ComplexArray:
        """Gradient along the spheres: their normals are the rows of Z themselves, or Z."""
        along = np.array(gradient, complex, order="C")
        compiled(along_surface_each)(writable(Z), writable(self.power), self.apart, along)
        return along


@part
def to_surface(W: ComplexArray, power: float, apart: bool) -> None:
    """Scale W (n, m) to full power: as a whole, or, ``apart``, to the share of each row."""
    (n, m), whole = W.shape, 0.0
    for i in range(n):
        row = 0.0
        for j in range(m):
            value = W[i, j]
            row += real_inner(value, value)
        whole += row
        if apart:
            for j in range(m):
                # A row of zeros: all its points of that power are as near.
                W[i, j] = math.sqrt(power / (n * m)) if row == 0 else W[i, j] * math.sqrt(power / n / row)
    if not apart:
        factor = math.sqrt(power / whole)
        for i in range(n):
            for j in range(m):
                W[i, j] *= factor


@part
def along_surface(W: ComplexArray, power: float, apart: bool, gradient: ComplexArray) -> None:
    """Make of a half gradient (n, m) the gradient along the surface of full power at W."""
    (n, m), whole, price = W.shape, 0.0, 0.0
    for i in range(n):
        row = 0.0
        for j in range(m):
            row += real_inner(W[i, j], gradient[i, j])
        whole += row
        price = row * n / power if apart else 0.0
        for j in range(m):
            gradient[i, j] = 2 * (gradient[i, j] - price * W[i, j])
    price = 0.0 if apart else 2 * whole / power
    for i in range(n):
        for j in range(m):
            gradient[i, j] -= price * W[i, j]


def to_surface_each(W: ComplexArray, power: FloatArray, apart: bool) -> None:
    """Scale each of W (B, n, m) to full power (B,), or that of all (1,)."""
    for b in range(len(W)):
        to_surface(W[b], power[min(b, len(power) - 1)], apart)


def along_surface_each(W: ComplexArray, power: FloatArray, apart: bool, gradient: ComplexArray) -> None:
    """Make of half gradients (B, n, m) those along the surface of full power (B,), or of that of all (1,), at W."""
    for b in range(len(W)):
        along_surface(W[b], power[min(b, len(power) - 1)], apart, gradient[b])
