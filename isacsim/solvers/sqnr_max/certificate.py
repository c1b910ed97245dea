"""How near a point is to a first-order optimum, and what that proves.

In the covariances R_l of the columns the constraints are linear, so that any point that
satisfies them and multipliers prove ``<df/dR, R' - R> <= excess`` for all R' that do. Where
this holds with an excess of zero the point is stationary in the space of covariances, rank
one or not. It is a proof of global optimality where f grows along the gradient only
(pseudo-concave): for a linear objective, for ideal converters, and for a point target whose
receive chains all have the same ratio ``eps_j |b_j|^2 / (1 + eps_j)``, where f is a ratio of
linear functions, ``zeta / D``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from attrs import frozen

from isacsim.batch import frobenius2, inner, rows, squared
from isacsim.solvers.sqnr_max.objectives import Linear, Sqnr
from isacsim.solvers.sqnr_max.system import System
from isacsim.typing import BoolArray, ComplexArray, FloatArray

SAME = 1e-9  # relative difference that counts as none


@frozen(eq=False)
class Certificate:
    """What multipliers prove about B points, relative to their objectives.

    Attributes:
        value: f, (B,).
        residual: ``||S_l v_l||`` over all columns l, relative, (B,); S_l is df/dR of the Lagrangian
            for a column.
        eigenvalue: The largest eigenvalue of S_l over all columns, relative, (B,): what a
            stream that is not there would gain. At an optimum it is 0.
        complementarity: Sum of multipliers times slacks, relative, (B,).
        violation: The largest violation of a constraint, SQINRs in units of the noise, (B,).
        excess: Proven bound on ``<df/dR, R' - R>``, relative, (B,).
        bound: Proven upper bound on f, (B,); NaN where first order does not prove one.
    """

    value: Any = rows()
    residual: Any = rows()
    eigenvalue: Any = rows()
    complementarity: Any = rows()
    violation: Any = rows()
    excess: Any = rows()
    bound: Any = rows()


def certify(system: System, V: ComplexArray, multipliers: FloatArray) -> Certificate:
    """What multipliers (B, K+1), the users' and that of the power, prove about points V (B, N, L)."""
    surrogate = system.objective.surrogate(V)
    gradient = system.objective.gradient(surrogate)
    S = system.lagrangian(gradient, multipliers)
    largest = np.linalg.eigvalsh(S)[:, -1]
    left = S @ V
    for k in range(system.users):
        h, weight = system.H[:, :, k, None], (multipliers[:, k] * system.ratio[:, k])[:, None, None]
        own = weight * (h @ system.HH[:, k, None, :])
        largest = np.maximum(largest, np.linalg.eigvalsh(S + own)[:, -1])
        left[:, :, k] += (own @ V[:, :, k, None])[..., 0]
    slack = system.slack(V)
    size = np.where(surrogate.value == 0, 1.0, np.abs(surrogate.value))
    dual = np.maximum(largest, 0.0) + multipliers[:, -1] - multipliers[:, :-1].sum(axis=-1)
    excess = dual - inner(V, gradient @ V)
    return Certificate(
        value=surrogate.value,
        residual=np.sqrt(frobenius2(left) * frobenius2(V)) / size,
        eigenvalue=largest / size,
        complementarity=np.abs(multipliers * slack).sum(axis=-1) / size,
        violation=np.maximum(-slack, 0.0).max(axis=-1),
        excess=excess / size,
        bound=surrogate.value + steepness(system, V, surrogate.value) * excess,
    )


def steepness(system: System, V: ComplexArray, value: FloatArray) -> FloatArray:
    """How much f can rise per unit of what the gradient promises, (B,); NaN where that proves nothing."""
    objective = system.objective
    if isinstance(objective, Linear):
        return np.ones(len(V))
    ideal = (objective.transmit == 0).all(axis=-1) & (objective.receive == 0).all(axis=-1)
    point, a, quality = _point(objective)
    zeta = frobenius2(np.conj(a)[:, None, :] @ V)
    # f = zeta / D, and D is at least what it is without a signal, 1 / quality.
    ratio = zeta * quality / np.where(value > 0, value, np.nan)
    return np.where(ideal, 1.0, np.where(point, ratio, np.nan))


def _point(objective: Sqnr) -> tuple[BoolArray, ComplexArray, FloatArray]:
    """Which members have ``G = b a^H`` and an f that is linear-fractional; a (B, N), and B(0) with a of norm 1."""
    G = objective.G
    powers = squared(G).sum(axis=-1)
    row = np.take_along_axis(G, powers.argmax(axis=-1)[:, None, None], axis=-2)[:, 0]
    length = np.sqrt(np.maximum(powers.max(axis=-1), np.finfo(float).tiny))
    a = np.conj(row) / length[:, None]
    b = (G @ a[..., None])[..., 0]
    rest = frobenius2(G - b[..., None] * np.conj(a)[:, None, :])
    shares = objective.receive * squared(b) / (1 + objective.receive)
    even = shares.max(axis=-1) - shares.min(axis=-1) <= SAME * shares.max(axis=-1)
    point = (rest <= SAME**2 * frobenius2(G)) & even
    return point, a, np.asarray((squared(b) / (1 + objective.receive)).sum(axis=-1))
