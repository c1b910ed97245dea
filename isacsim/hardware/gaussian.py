"""What memoryless maps of Gaussian chains are expanded in: correlations, nodes, and orthonormal polynomials.

With rho_i = R_ii a chain is ``x_i = sqrt(rho_i) z``, z ~ CN(0, 1), and its parts are
``sigma_i u``, u ~ N(0, 1), ``sigma_i = sqrt(rho_i / 2)``. Two chains have the correlation
``xi_ij = R_ij / sqrt(rho_i rho_j)``.
"""

from __future__ import annotations

from functools import cache
from math import lgamma, sqrt

import numpy as np

from isacsim.hardware.base import chain_power
from isacsim.typing import BoolArray, ComplexArray, FloatArray

INDEFINITE = 1e-6  # by which a correlation may exceed 1: products of samples are rounded, single precision included
# By which an eigenvalue of correlations may be below 0: differences that a derivative is checked by go so far.
FAR_BELOW = 0.05


def correlations(R: ComplexArray) -> tuple[FloatArray, ComplexArray]:
    """Powers rho (..., N), in W, and correlations xi of the chains, 0 for a silent one, for R (..., N, N).

    Rounding may take a correlation beyond 1, or an eigenvalue below 0; what is far beyond is no covariance, and NaN.
    """
    # In double precision, whatever R has: expansions are kept by the bytes of the powers.
    rho = np.asarray(np.maximum(chain_power(R), 0.0), np.float64)
    root = np.sqrt(rho)
    scale = np.divide(1.0, root, out=np.zeros_like(root), where=root > 0)
    xi = np.asarray(scale[..., :, None] * R * scale[..., None, :], complex)
    size = np.abs(xi)
    xi = np.where(size > 1, xi / np.where(size > 1, size, 1.0), xi)
    return rho, np.where((size > 1 + INDEFINITE) | _indefinite(xi), np.nan, xi)


def _indefinite(xi: ComplexArray) -> BoolArray:
    """Which correlations (..., N, N) have an eigenvalue far below 0, (..., 1, 1).

    One Cholesky factorisation of the batch, a small share of an eigendecomposition, tells that none has; eigenvalues
    are looked at where it breaks down.
    """
    n = xi.shape[-1]
    none = np.zeros((*xi.shape[:-2], 1, 1), bool)
    if n < 3 or not none.size:  # of two chains the correlation alone tells
        return none
    raised = np.where(np.isfinite(xi).all(axis=(-2, -1), keepdims=True), xi, 0.0)
    raised.reshape(*xi.shape[:-2], n * n)[..., :: n + 1] = 1 + FAR_BELOW
    try:
        np.linalg.cholesky(raised)
    except np.linalg.LinAlgError:
        return np.asarray(np.linalg.eigvalsh(raised)[..., :1, None] < 0)
    return none


def density(t: FloatArray) -> FloatArray:
    """Density of N(0, 1)."""
    return np.asarray(np.exp(-(t**2) / 2) / np.sqrt(2 * np.pi))


@cache
def legendre(count: int) -> tuple[FloatArray, FloatArray]:
    """Nodes and weights of Gauss and Legendre on [0, 1]."""
    t, w = np.polynomial.legendre.leggauss(count)
    return (t + 1) / 2, w / 2


def hermite(u: FloatArray, degree: int) -> FloatArray:
    """Hermite polynomials of u (...), orthonormal for N(0, 1), of the degrees 0 ... ``degree``: (degree + 1, ...)."""
    h = np.empty((max(degree, 1) + 1, *u.shape))
    h[0], h[1] = 1.0, u
    for n in range(1, degree):  # into one array: there are few nodes, and calls cost as much as arithmetic
        np.multiply(u, h[n], out=h[n + 1])
        h[n + 1] -= sqrt(n) * h[n - 1]
        h[n + 1] /= sqrt(n + 1)
    return h[: degree + 1]


def laguerre(u: FloatArray, turns: int, degree: int) -> FloatArray:
    """Radial parts of the Ito polynomials H_{m+l,m}, l = ``turns``, for ``|z|^2 = u`` (...): (degree + 1, ...).

    ``(-1)^m L_m^(l)(u) u^(l/2) sqrt(m! / (m + l)!)``, m = 0 ... ``degree``, by a recursion that stays
    orthonormal: factorials would overflow.
    """
    h = np.empty((max(degree, 1) + 1, *u.shape))
    h[0] = np.exp(0.5 * turns * np.log(np.maximum(u, 1e-300)) - 0.5 * lgamma(turns + 1))
    h[1] = h[0] * (u - turns - 1) / sqrt(turns + 1)
    for m in range(1, degree):
        np.multiply(u - (2 * m + 1 + turns), h[m], out=h[m + 1])
        h[m + 1] -= sqrt(m * (m + turns)) * h[m - 1]
        h[m + 1] /= sqrt((m + 1) * (m + 1 + turns))
    return h[: degree + 1]
