"""Proximal maps over Hermitian matrices that have a closed form, batched [Zhao26, Propositions 2-4]."""

from __future__ import annotations

from typing import Any

import numpy as np

from isacsim.linalg.stacked import from_spectrum, trace
from isacsim.typing import ComplexArray, FloatArray

NEWTON_STEPS = 6  # from those starts five leave 1e-14, six the rounding alone


def positive_root(linear: Any, constant: Any) -> FloatArray:
    """The positive root z of ``z^3 - linear z^2 - constant = 0`` for constant > 0, elementwise.

    Newton's method falls to it from the least of three upper bounds, each close to it where
    it is the least. The number of steps is fixed: no entry depends on the others.
    """
    linear, constant = np.asarray(linear, float), np.asarray(constant, float)
    cube = np.cbrt(constant)
    size = np.maximum(np.abs(linear), cube)
    # For linear > 0 from z = linear + constant / z^2, for linear < 0 from z^2 (z - linear) = constant.
    z = np.where(linear > 0, linear + np.minimum(cube, constant / size**2), np.minimum(cube, np.sqrt(constant / size)))
    for _ in range(NEWTON_STEPS):
        square = z * z
        z = (square * (2 * z - linear) + constant) / (3 * square - 2 * linear * z)
    return np.asarray(z)


def project_power(spectrum: FloatArray, power: float) -> tuple[FloatArray, FloatArray]:
    """Eigenvalues (B, n) projected on those that are at least 0 and sum to at most ``power``.

    Returns also the threshold (B,) by which they were lowered [Zhao26, Proposition 2].
    """
    ordered = -np.sort(-spectrum, axis=-1)
    excess = np.cumsum(ordered, axis=-1) - power
    counts = np.arange(1, spectrum.shape[-1] + 1)
    positive = np.maximum((ordered * counts > excess).sum(axis=-1), 1)
    threshold = np.maximum(excess[np.arange(len(excess)), positive - 1] / positive, 0.0)
    return np.maximum(spectrum - threshold[:, None], 0.0), threshold


def prox_blocks(C: ComplexArray, power: float) -> tuple[ComplexArray, FloatArray]:
    """Projection of blocks C (B, M, n, n) on positive semidefinite ones of a total power, and the threshold."""
    spectrum, U = np.linalg.eigh(C)
    flat, threshold = project_power(spectrum.reshape(len(C), -1), power)
    return from_spectrum(U, flat.reshape(spectrum.shape)), threshold


def prox_inverse_trace(C: ComplexArray, tau: float) -> tuple[ComplexArray, FloatArray]:
    """The Z > 0 of least ``tr(Z^-1) + ||Z - C||^2 / (2 tau)`` for C (B, n, n), and its eigenvalues."""
    spectrum, U = np.linalg.eigh(C)
    roots = positive_root(spectrum, tau)
    return from_spectrum(U, roots), roots


def prox_spare_power(C: ComplexArray, tau: float, spare: int, power: float) -> tuple[ComplexArray, FloatArray]:
    """The Y of least ``spare^2 / (power - tr Y) + ||Y - C||^2 / (2 tau)``, and ``power - tr Y``, (B,).

    A shift of C: its eigenvectors are not needed.
    """
    n = C.shape[-1]
    left = positive_root(power - trace(C), n * tau * spare**2)
    return C - (tau * spare**2 / left**2)[:, None, None] * np.eye(n), left
