"""Memoryless nonlinearities of correlated Gaussian chains: gain and distortion covariance.

Chain i puts out ``f_i(x_i) = phi_i(|x_i|^2) x_i``. With x_i = sqrt(rho_i) z the polynomials ::

    h_m(z) = z L_m^(1)(|z|^2) / sqrt(m + 1),  m = 0, 1, ...

(L_m^(1): associated Laguerre) are orthonormal for z ~ CN(0, 1), span all such functions, and
``E[h_m(z_i) h_n(z_j)*] = xi |xi|^(2m)`` if m = n, else 0, for jointly Gaussian z_i, z_j of
correlation xi = E[z_i z_j*]. Hence with the coefficients b_im = E[f_i h_m*] ::

    gain_i        = b_i0 / sqrt(rho_i)
    distortion_ij = sum over m >= 1 of b_im b_jm* xi_ij |xi_ij|^(2m)

which is exact, and positive semidefinite in every term. For chains without correlation it is
diagonal; for chains that send the same stream (|xi| = 1) all distortion is coherent.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np

from isacsim.api import AnyArray, ComplexArray, FloatArray, LinearModel, chain_power, squared

ORDERS = 12  # orders m that are told apart; what is above them counts as one more
NODES = 64  # of each of the two panels
SPAN = 40.0  # length of a panel in mean powers: exp(-40) is below rounding


def normalised(R: ComplexArray) -> ComplexArray:
    """Correlations xi_ij of the chains of covariance R, both (..., N, N); 0 for a silent chain."""
    root = np.sqrt(chain_power(R))
    scale = np.divide(1.0, root, out=np.zeros_like(root), where=root > 0)
    return scale[..., :, None] * R * scale[..., None, :]


def expanded(b: AnyArray, R: ComplexArray, first: int = 0) -> ComplexArray:
    """``sum_m b_im b_jm* xi_ij |xi_ij|^(2 (first + m))``, shape (..., N, N), in W.

    Args:
        b: Coefficients of the orders first, first + 1, ..., shape (..., N, orders), in sqrt(W).
        R: Covariance of the input, shape (..., N, N), in W.
        first: Order of the first of them.
    """
    xi = normalised(R)
    ratio, total = squared(xi), np.zeros(xi.shape, complex)
    for m in reversed(range(b.shape[-1])):  # Horner's rule in |xi|^2
        total = total * ratio + b[..., :, None, m] * np.conj(b)[..., None, :, m]
    return np.asarray(xi * ratio**first * total)


def memoryless(response: Callable[[FloatArray], AnyArray], R: ComplexArray, knee: FloatArray) -> LinearModel:
    """Linear model of chains with the complex gain ``response`` of a sample's power.

    By quadrature over the exponential law of |x|^2, in two panels that meet at the ``knee``:
    a kink there costs no accuracy. What lies above `ORDERS` is taken for one further order.

    Args:
        response: phi of powers (..., N, n) in W, the same shape.
        R: Covariance of the input, shape (..., N, N), in W.
        knee: Power at which the response bends, shape (N,), in W.
    """
    R = np.asarray(R)
    rho = chain_power(R)
    u, weight = _envelope(np.divide(knee, rho, out=np.full(rho.shape, np.inf), where=rho > 0))
    phi = response(rho[..., None] * u)
    gain = np.sum(weight * u * phi, axis=-1)
    rest = phi - gain[..., None]
    distortion = rho * np.sum(weight * u * squared(rest), axis=-1)
    if rho.shape[-1] == 1:
        return LinearModel(gain, distortion)
    # b_m of the rest: the gain's part is orthogonal to every order above 0
    b = np.stack([np.sum(weight * u * rest * h, axis=-1) for h in _laguerre(u)], axis=-1)
    b = np.sqrt(rho)[..., None] * b
    above = np.sqrt(np.maximum(distortion - squared(b).sum(axis=-1), 0.0))
    return LinearModel(gain, expanded(np.concatenate([b, above[..., None]], axis=-1), R, first=1))


@cache
def _legendre() -> tuple[FloatArray, FloatArray]:
    """Gauss-Legendre nodes and weights on [0, 1]."""
    t, w = np.polynomial.legendre.leggauss(NODES)
    return (t + 1) / 2, w / 2


def _envelope(edge: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Nodes and weights (..., N, n) for the mean of a function of u ~ Exp(1) that bends at ``edge`` (..., N)."""
    t, w = _legendre()
    edge = np.minimum(edge, SPAN)[..., None]
    below, above = edge * t, edge + SPAN * t**2  # the square resolves a bend that lies close to 0
    weights = edge * w * np.exp(-below), 2 * SPAN * t * w * np.exp(-above)
    return np.concatenate([below, above], axis=-1), np.concatenate(weights, axis=-1)


def _laguerre(u: FloatArray) -> list[FloatArray]:
    """``L_m^(1)(u) / sqrt(m + 1)`` for m = 1 ... `ORDERS`."""
    before, here, found = np.ones_like(u), 2 - u, []
    for m in range(1, ORDERS + 1):
        found.append(here / np.sqrt(m + 1))
        before, here = here, ((2 * m + 2 - u) * here - (m + 1) * before) / (m + 1)
    return found
