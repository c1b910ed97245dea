"""The curvature of the Lagrangian of the SQNR at points, the metric of its surrogate, and what a new stream would gain.

``Phi = A (B^H diag(T) B) A^H + diag(d) + prices``, the curvature of the surrogate and what the multipliers
charge, exceeds half of the Lagrangian's negative curvature but for what beams get back of their own price:
the safe side of it, of which conjugate gradients make the rest.
"""

from __future__ import annotations

import numpy as np
from attrs import frozen

from isacsim.batch import frobenius2, inner, rows, take, tuples
from isacsim.linalg.stacked import inverse, positive_inverse
from isacsim.solvers.sqinr.system import Constraints, prices
from isacsim.solvers.sqinr.tight import Tangent
from isacsim.solvers.sqnr_max.conjugate_gradients import Lagrangian, Metric, Normals, Prices, rounded
from isacsim.solvers.sqnr_max.echo import Echoes, Response, curvature, gradient_at
from isacsim.typing import ComplexArray, FloatArray, IntArray

LEAST_USER = 1e-6  # multiplier of a user in the metric, relative to that of the power: a negative one would spoil it
LEAST_POWER = 1e-3  # multiplier of the power in the metric, relative to f
FIRST = 1.0  # length of the first step at most, where V has length 1: longer ones may leave the basin of the start


@frozen(eq=False)
class Turning:
    """The `Metric` of B points, in the precision of directions, and f where it was made.

    Near an optimum it hardly changes, and serves many points.
    """

    metric: Metric = tuples()
    value: FloatArray = rows()

    @classmethod
    def at(
        cls, constraints: Constraints, response: Response, echoes: Echoes, multipliers: FloatArray, single: bool = True
    ) -> Turning:
        """The inverse of the metric at points, from multipliers (B, K+1)."""
        charged, members = multipliers.copy(), len(multipliers)
        charged[:, -1] = np.maximum(charged[:, -1], LEAST_POWER * echoes.value)
        charged[:, :-1] = np.maximum(charged[:, :-1], LEAST_USER * charged[:, -1:])
        diagonal = echoes.d + (constraints.load @ charged[..., None])[..., 0]
        if response.thin:
            left, right = _thin(constraints, response, response.middle(echoes.T), charged, diagonal)
            whole = np.zeros((members, 0, 0), complex)
        else:
            left, right = np.zeros((*diagonal.shape, 0), complex), np.zeros((members, 0, diagonal.shape[-1]), complex)
            whole = positive_inverse(curvature(response, echoes) + prices(constraints, charged))
        return cls(rounded(Metric(1 / diagonal, left, right, whole), single), echoes.value)


def lagrangian_at(
    constraints: Constraints, echoes: Echoes, way: Tangent, multipliers: FloatArray, turning: Turning
) -> Lagrangian:
    """What the curvature of the Lagrangian is made of, with a metric."""
    # In C order, which a view of a batch is not: another one would be compiled for anew.
    users = np.ascontiguousarray(multipliers[:, :-1])
    level = echoes.d + (constraints.load @ multipliers[..., None])[..., 0]
    return Lagrangian(
        Prices(constraints.H, constraints.HH, users, users * (1 - constraints.ratio), level),
        turning.metric,
        Normals(way.normals, way.inverse),
    )


def _thin(
    constraints: Constraints, response: Response, middle: ComplexArray, multipliers: FloatArray, diagonal: FloatArray
) -> tuple[ComplexArray, ComplexArray]:
    """What to take away from ``diag(1 / diagonal)``: ``D^-1 E Mid (I + E^H D^-1 E Mid)^-1`` and ``E^H D^-1``.

    E is [A, H], and Mid has the middle and the users' prices on its diagonal.
    """
    r, K = middle.shape[-1], constraints.H.shape[-1]
    E = np.concatenate([response.A, constraints.H], axis=-1)
    mid = np.zeros((len(E), r + K, r + K), complex)
    mid[:, :r, :r] = middle
    k = np.arange(K)
    mid[:, r + k, r + k] = multipliers[:, :-1]
    right = np.concatenate([response.AH, constraints.HH], axis=-2) / diagonal[:, None, :]
    both = right @ E @ mid
    i = np.arange(r + K)
    both[:, i, i] += 1
    return np.asarray((E / diagonal[..., None]) @ (mid @ inverse(both))), np.asarray(right, complex)


def first_radius(lagrangian: Lagrangian, way: Tangent, gradient: ComplexArray) -> FloatArray:
    """The radius at which a step along the gradient has the length FIRST, (B,)."""
    direction = turned(lagrangian.metric, gradient)
    direction = direction - way.mixed(way.components(direction))
    return np.asarray(FIRST * np.sqrt(inner(gradient, direction) / frobenius2(direction)))


def turned(metric: Metric, D: ComplexArray) -> ComplexArray:
    """``Phi^-1 D``, (B, N, L)."""
    if metric.whole.size:
        return np.asarray(metric.whole @ D)
    return np.asarray(D * metric.share[..., None] - metric.left @ (metric.right @ D))


def missing(
    constraints: Constraints, response: Response, echoes: Echoes, multipliers: FloatArray, at: IntArray
) -> ComplexArray:
    """-S of members at some places, (b, N, N): a new stream gains along eigenvectors of negative eigenvalues."""
    gradient = gradient_at(take(response, at), take(echoes, at))
    return prices(take(constraints, at), multipliers[at]) - gradient


def positive(matrix: ComplexArray, shift: float) -> bool:
    """Whether a Hermitian matrix (N, N) has no eigenvalue below -shift."""
    try:
        np.linalg.cholesky(matrix + shift * np.eye(len(matrix)))
    except np.linalg.LinAlgError:
        return False
    return True
