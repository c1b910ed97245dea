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

import numpy as np
from attrs import frozen

from isacsim.batch import frobenius2, rows
from isacsim.solvers.sqinr.kkt import Kkt, conditions, largest_of_all
from isacsim.solvers.sqinr.objective import Proof
from isacsim.solvers.sqinr.system import System
from isacsim.typing import ComplexArray, FloatArray


@frozen(eq=False)
class Certificate:
    """What multipliers prove about B points, relative to their objectives."""

    value: FloatArray = rows()  #: f, (B,)
    #: ``||S_l v_l||`` over all columns l, relative, (B,); S_l is df/dR of the Lagrangian for a column
    residual: FloatArray = rows()
    #: The largest eigenvalue of S_l over all columns, relative, (B,): what a stream that is not there would gain. At an
    #: optimum it is 0
    eigenvalue: FloatArray = rows()
    violation: FloatArray = rows()  #: The largest relative violation of a constraint, (B,)
    excess: FloatArray = rows()  #: Proven bound on ``<df/dR, R' - R>``, relative, (B,)
    bound: FloatArray = rows()  #: Proven upper bound on f, (B,); NaN where first order does not prove one


def certify(system: System, V: ComplexArray, multipliers: FloatArray) -> Certificate:
    """What multipliers (B, K+1), the users' and that of the power, prove about points V (B, N, L)."""
    surrogate = system.objective.surrogate(V)
    kkt = conditions(system, V, multipliers, surrogate)
    largest, size = largest_of_all(system, kkt, multipliers), surrogate.size
    return Certificate(
        value=surrogate.value,
        residual=np.sqrt(frobenius2(kkt.left) * frobenius2(V)) / size,
        eigenvalue=largest / size,
        violation=kkt.violation,
        excess=kkt.excess(multipliers, V, largest) / size,
        bound=proven_bound(system, system.objective.proof(), kkt, V, multipliers),
    )


def proven_bound(system: System, proven: Proof, kkt: Kkt, V: ComplexArray, multipliers: FloatArray) -> FloatArray:
    """Upper bound on f over all points that meet the constraints, (B,); NaN where there is no proof."""
    excess = kkt.excess(multipliers, V, largest_of_all(system, kkt, multipliers))
    return np.asarray(kkt.value + proven.steepness(V, kkt.value) * excess)
