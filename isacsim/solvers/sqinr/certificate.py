"""How near a point is to a first-order optimum, and what that proves.

With S the derivative of the Lagrangian by the covariance of a stream that serves no user, and
``S_k = S + lambda_k c_k h_k h_k^H`` for the beam of user k, the optimality conditions are ``S_l v_l = 0`` for all
columns, S_l negative semidefinite, constraints and complementarity.

In the covariances R_l of the columns the constraints are linear, so that any point that
satisfies them and multipliers prove ``<df/dR, R' - R> <= excess`` for all R' that do. Where
this holds with an excess of zero the point is stationary in the space of covariances, rank
one or not. It is a proof of global optimality where f grows along the gradient only
(pseudo-concave): for a linear objective, for ideal converters, and for a point target whose
receive chains all have the same ratio ``eps_j |b_j|^2 / (1 + eps_j)``, where f is a ratio of
linear functions, ``zeta / D``.
"""

from __future__ import annotations

import numpy as np
from attrs import frozen

from isacsim.batch import frobenius2, inner, rows, squared
from isacsim.linalg.stacked import eigh, largest_eigenvalue
from isacsim.solvers.sqinr.system import System, prices
from isacsim.typing import ComplexArray, FloatArray


@frozen(eq=False)
class Certificate:
    """What multipliers prove about B points, relative to their objectives."""

    value: FloatArray = rows()  #: f, (B,)
    #: ``||S_l v_l||`` over all columns l, relative, (B,)
    residual: FloatArray = rows()
    #: The largest eigenvalue of S_l over all columns, relative, (B,): what a stream that is not there would gain. At an
    #: optimum it is 0
    eigenvalue: FloatArray = rows()
    violation: FloatArray = rows()  #: The largest relative violation of a constraint, (B,)
    excess: FloatArray = rows()  #: Proven bound on ``<df/dR, R' - R>``, relative, (B,)
    bound: FloatArray = rows()  #: Proven upper bound on f, (B,); NaN where first order does not prove one


def certify(system: System, V: ComplexArray, multipliers: FloatArray) -> Certificate:
    """What multipliers (B, K+1), the users' and that of the power, prove about points V (B, N, L)."""
    value, gradient = system.objective.first_order(V)
    S, k = gradient - prices(system.constraints, multipliers), np.arange(system.users)
    weights, own = multipliers[:, :-1] * system.ratio, (system.HH @ V)[:, k, k]
    left = S @ V
    left[:, :, : system.users] += system.H * (weights * own)[:, None, :]
    spectrum, U = eigh(S)
    of_users = largest_eigenvalue(spectrum, squared(system.HH @ U), weights)
    largest = np.maximum(of_users.max(axis=-1, initial=-np.inf), spectrum[:, -1])
    # For all R' that meet the constraints the Lagrangian is at most max(largest, 0).
    excess = np.maximum(largest, 0.0) + multipliers[:, -1] - multipliers[:, :-1].sum(axis=-1) - inner(V, gradient @ V)
    slack, size = system.slack(V), system.objective.size(value)
    # To first order an SQINR falls short by the slack over what the user receives, at least 1.
    short = -slack[:, :-1] * (1 + system.threshold) / (system.ratio * squared(own) - slack[:, :-1])
    return Certificate(
        value=value,
        residual=np.sqrt(frobenius2(left) * frobenius2(V)) / size,
        eigenvalue=largest / size,
        violation=np.maximum(short.max(axis=-1, initial=0.0), -slack[:, -1]),
        excess=excess / size,
        bound=value + system.objective.steepness(V, value) * excess,
    )
