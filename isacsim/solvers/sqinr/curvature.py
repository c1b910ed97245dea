"""The second derivative of an objective by the covariance, as a form in few linear functions of it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from isacsim.compiled import part
from isacsim.linalg.blas import multiply
from isacsim.typing import ComplexArray, FloatArray


class Curvature(NamedTuple):
    """``D^2 f[dR, dR] = theta^T Hx theta`` with ``theta_m = z_m^H dR z_m``, of B members or of one.

    The first N of the z_m are the unit vectors, theta the changes of R_ii. ``form`` is the first block of Hx, beside
    a second one that is zero, and a block between them that is ``-diag(rates) [[I, 0], [gains, I]]``. No form at all
    is a linear objective.
    """

    features: ComplexArray  #: The z_m^H after the first N, (B, m - N, N)
    seen: ComplexArray  #: The same times V, (B, m - N, L)
    form: FloatArray  #: (B, n, n) with n of m / 2, or 0
    rates: FloatArray  #: (B, n)
    gains: FloatArray  #: (B, n - N, N), or (B, 0, N) without a form


@part
def times(curvature: Curvature, Y: FloatArray) -> FloatArray:
    """Hx Y for Y (m, c) of one member, (m, c)."""
    form, rates, gains = curvature.form, curvature.rates, curvature.gains
    n, (receivers, N), columns = len(form), gains.shape, Y.shape[1]
    result = np.zeros(Y.shape)
    multiply(form, Y[:n], result[:n])
    for a in range(rates.size):
        for c in range(columns):
            result[a, c] -= rates[a] * Y[n + a, c]
            result[n + a, c] -= rates[a] * Y[a, c]
    for j in range(receivers):
        for i in range(N):
            between = rates[N + j] * gains[j, i]
            for c in range(columns):
                result[i, c] -= between * Y[n + N + j, c]
                result[n + N + j, c] -= between * Y[i, c]
    return result
