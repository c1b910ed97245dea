"""The semidefinite relaxation of least SQINRs at a total power, as programs built once a shape.

The beams v_k are lifted to R_k = v_k v_k^H of any rank, beside R_r of the sensing streams: in the
units of a `System` [Xu25, problem (12)]::

    ratio_k h_k^H R_k h_k >= h_k^H R h_k + sum_i e_i |h_ki|^2 R_ii + 1,   R = sum_k R_k + R_r,  tr(R) <= 1

Matrices are vectors of coordinates (`isacsim.solvers.semidefinite`), and all data are parameters
that enter affinely, so that cvxpy canonicalises a shape once.
"""

from __future__ import annotations

import threading
from functools import lru_cache
from typing import Any

import numpy as np
from attrs import field, frozen

from isacsim.solvers.semidefinite import cvxpy, embedded, hermitian_basis, inverse_trace, solved
from isacsim.solvers.sqinr.system import System
from isacsim.typing import ComplexArray, FloatArray


@frozen(eq=False)
class Lifted:
    """Covariances that a program returned for one member.

    Attributes:
        users: R_k, (K, N, N).
        total: R, (N, N).
        multipliers: Of the SQINRs and of the power, (K+1,), in the unit of the program's objective.
        steps: Steps the program took.
    """

    users: ComplexArray
    total: ComplexArray
    multipliers: FloatArray
    steps: int


@frozen(eq=False)
class Program:
    """A compiled program; `solve` is safe to call from several threads."""

    problem: Any
    parameters: dict[str, Any]
    variables: Any
    constraints: Any
    basis: ComplexArray
    lock: Any = field(factory=threading.Lock)

    def solve(self, system: System, objective: dict[str, Any], accuracy: float) -> Lifted | None:
        """The covariances of the best objective; None where the backend has no answer.

        Args:
            system: One member.
            objective: Values of the parameters of the objective by name.
            accuracy: Gaps and residuals that the backend is asked for.
        """
        values, rows = _values(system, self.basis)
        with self.lock:
            if not solved(self.problem, self.parameters, values | objective, accuracy):
                return None
            x = np.array([variable.value for variable in self.variables])
            y = np.concatenate([np.atleast_1d(rule.dual_value) for rule in self.constraints])
            steps = int(self.problem.solver_stats.num_iters or 0)
        R = np.tensordot(x, self.basis, 1)
        return Lifted(R[:-1], R.sum(axis=0), np.maximum(y, 0.0) / np.append(rows, 1.0), steps)


def _values(system: System, basis: ComplexArray) -> tuple[dict[str, Any], FloatArray]:
    """The parameters of the rules of one member, and the unit of each SQINR: what it is for R white."""
    if not system.users:
        return {}, np.zeros(0)
    h = system.H[0].T
    own = h[:, :, None] * np.conj(h)[:, None, :]
    every = own + system.spread[0].T[:, :, None] * np.eye(system.antennas)
    rows = 1 + np.trace(every, axis1=-2, axis2=-1).real / system.antennas
    values = {
        "own": system.ratio[0][:, None] * coordinates(own, basis) / rows[:, None],
        "every": coordinates(every, basis) / rows[:, None],
        "noise": 1 / rows,
    }
    return values, rows


def coordinates(forms: ComplexArray, basis: ComplexArray) -> FloatArray:
    """``tr(form B)`` for each basis matrix B, (..., N^2), of Hermitian forms (..., N, N)."""
    flat = basis.reshape(len(basis), -1)
    return np.asarray((np.conj(forms).reshape(*forms.shape[:-2], -1) @ flat.T).real)


@lru_cache(maxsize=8)
def linear_program(side: int, users: int) -> Program:
    """The program that maximises the form ``theta`` of R, of a shape.

    Args:
        side: Number N of transmit antennas.
        users: Number K of users with a least SQINR.
    """
    cp, basis = cvxpy(), hermitian_basis(side)
    parameters, X, R, cones, constraints = _cone(side, users, basis)
    parameters["theta"] = cp.Parameter(side**2)
    merit = cp.Maximize(parameters["theta"] @ R)
    return Program(cp.Problem(merit, cones + constraints), parameters, X, constraints, basis)


@lru_cache(maxsize=8)
def fisher_program(side: int, users: int, unknowns: int) -> Program:
    """The program that minimises ``tr(D F(R)^-1 D)``, of a shape.

    Its parameters are ``information``, F of each basis matrix by rows of its upper triangle,
    (P (P + 1) / 2, N^2), and ``weights``, the diagonal of D, (P,).

    Args:
        side: Number N of transmit antennas.
        users: Number K of users with a least SINR.
        unknowns: Number P of target parameters.
    """
    cp, basis = cvxpy(), hermitian_basis(side)
    parameters, X, R, cones, constraints = _cone(side, users, basis)
    parameters["information"] = cp.Parameter((unknowns * (unknowns + 1) // 2, side**2))
    parameters["weights"] = cp.Parameter(unknowns)
    rule, bound = inverse_trace(parameters["information"] @ R, parameters["weights"])
    return Program(cp.Problem(cp.Minimize(bound), [*cones, *constraints, rule]), parameters, X, constraints, basis)


def _cone(side: int, users: int, basis: ComplexArray) -> tuple[dict[str, Any], list[Any], Any, list[Any], list[Any]]:
    """Parameters, variables, their sum R, the cones, and the constraints: SQINRs and power."""
    cp, parameters, constraints = cvxpy(), {}, []
    X = [cp.Variable(side**2) for _ in range(users + 1)]
    R = cp.sum(cp.vstack(X), axis=0)
    if users:
        shapes = {"own": (users, side**2), "every": (users, side**2), "noise": (users,)}
        parameters = {name: cp.Parameter(shape) for name, shape in shapes.items()}
        received = cp.sum(cp.multiply(parameters["own"], cp.vstack(X[:users])), axis=1) - parameters["every"] @ R
        constraints.append(received >= parameters["noise"])
    constraints.append(np.trace(basis, axis1=-2, axis2=-1).real @ R <= 1)
    return parameters, X, R, [embedded(x, basis) >> 0 for x in X], constraints
