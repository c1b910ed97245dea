"""Test statistics for the presence of targets.

The receiver expects ``y_l = M s_l + e_l`` with a covariance Q of noise and distortion and
combines with ``u_l = Q^-1 M s_l`` (`isacsim.waveform.echoes`). Noise in the exact sense has
this law where the hardware is ideal; behind converters Q is what their linear model
predicts with a target there, so that thresholds are taken from samples.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from attrs import field, frozen

from isacsim.batch import hermitian, squared
from isacsim.checks import choice, invertible
from isacsim.typing import AnyArray, ComplexArray, FloatArray
from isacsim.waveform.base import Detector
from isacsim.waveform.echoes import EchoModel


def _decisions(z: AnyArray, snapshots: int) -> AnyArray:
    """A stream (..., decisions L) cut into decisions (..., decisions, L)."""
    return z.reshape(*z.shape[:-1], -1, snapshots)


def _products(f: ComplexArray, z: ComplexArray) -> tuple[ComplexArray, FloatArray]:
    """Inner products f^H z and f^H f of the columns of f and z (..., r, n), each (..., n)."""
    if f.shape[-2] == 1:
        f, z = f[..., 0, :], z[..., 0, :]
        return np.conj(f) * z, squared(f)
    norm = squared(f).sum(axis=-2)
    return (np.conj(f) * z).sum(axis=-2), norm


def _ratio(energy: FloatArray, norm: FloatArray) -> FloatArray:
    """``energy / norm``; nothing where there is no echo to expect."""
    return np.divide(energy, norm, out=np.zeros_like(energy), where=norm > 0)


@frozen
class EnergyDetector(Detector):
    """Energy behind the combiner, ``T = sum_l |u_l^H y_l|^2 / ||u_l||^2``.

    [Xu25, Fig. 2] uses an energy detector and does not print its statistic; this is the
    reading in which u_l is the combiner that attains the radar SQNR [Xu25, eq. (9)]. It is
    blind to the phase of the echo from sample to sample.

    Args:
        combiner: ``symbol``, the combiner u_l of the symbols sent; or ``fixed``, for all
            symbols the eigenvector of lambda_max(Q^-1 M M^H), which is the best one of
            [Xu25, eq. (8)]. For one point target both are the same.
    """

    combiner: Literal["symbol", "fixed"] = field(default="symbol", validator=choice("symbol", "fixed"))

    def statistic(self, y: ComplexArray, symbols: ComplexArray, echo: EchoModel, snapshots: int = 1) -> FloatArray:
        """T of each decision, shape (..., decisions), in W; a sample without a combiner adds nothing."""
        if self.combiner == "fixed":
            row = echo.whitened_factors[0][..., :1, :]
            energy = squared((row @ y)[..., 0, :]) / squared(row).sum(axis=-1)
        else:
            basis, coordinates = echo.combiner_factors
            inner, norm = _products(coordinates @ symbols, y if basis is None else basis @ y)
            energy = _ratio(squared(inner), norm)
        return np.asarray(_decisions(energy, snapshots).sum(axis=-1))


@frozen
class LikelihoodRatio(Detector):
    """Generalised likelihood ratio of an echo that is known but for its amplitude, or not at all [Kay98].

    For ``y_l = c m_l + e_l`` with ``m_l = M s_l``, unknown complex c and e_l ~ CN(0, Q), its
    logarithm is ::

        T = |sum_l m_l^H Q^-1 y_l|^2 / sum_l m_l^H Q^-1 m_l

    For ``y_l = G x_l + e_l`` with an unknown response G it is the energy of Q^-1/2 Y in the
    row space of X = [x_1, ..., x_L]. Without a target and with ideal hardware the first is
    exponential of mean 1, whatever L is: what the samples of an interval have in common adds
    up in amplitude. The second is Gamma(N_r r) with r the rank of X: it needs more
    power, and no model of the target.

    Args:
        unknown: ``amplitude`` or ``response``.
    """

    unknown: Literal["amplitude", "response"] = field(default="amplitude", validator=choice("amplitude", "response"))

    def statistic(self, y: ComplexArray, symbols: ComplexArray, echo: EchoModel, snapshots: int = 1) -> FloatArray:
        """T of each decision, shape (..., decisions), a ratio; zero where nothing is expected."""
        if self.unknown == "response":
            return _energy_in_row_space(echo.whitener @ y, echo.sent @ symbols, snapshots)
        projection, coordinates = echo.whitened_factors
        inner, norm = _products(coordinates @ symbols, projection @ y)
        energy = squared(_decisions(inner, snapshots).sum(axis=-1))
        return _ratio(energy, _decisions(norm, snapshots).sum(axis=-1))


def _energy_in_row_space(z: ComplexArray, x: ComplexArray, snapshots: int) -> FloatArray:
    """Energy of each decision of z (..., N, decisions L) in the row space of that of x, (..., decisions)."""
    z, x = (np.ascontiguousarray(np.moveaxis(_decisions(of, snapshots), -2, -3)) for of in (z, x))
    # Right singular vectors of x; where fewer streams than antennas are sent, some stand for nothing.
    with invertible("receive", "a set of samples"):
        _, values, rows = np.linalg.svd(x, full_matrices=False)
    there = values > 1e-10 * values[..., :1]
    return np.asarray((squared(z @ hermitian(rows)).sum(axis=-2) * there).sum(axis=-1))
