"""The semidefinite program of `CrbMin`, built once a shape.

Matrices are vectors of coordinates (`isacsim.solvers.semidefinite`). All data are parameters
that enter affinely, so that cvxpy canonicalises a shape once. The variables are relative to a
reference covariance C C^H: ``V = C X C^H``, with the objective and each row in units of what
they are there, since the optimum can span many decades. ``tr(S^-1)`` is the least ``tr(T)``
with ``[X C^-1; C^-H T] >= 0``, X the sum of the X_k.
"""

from __future__ import annotations

import threading
from functools import lru_cache
from typing import Any

import numpy as np
from attrs import field, frozen

from isacsim.solvers.semidefinite import cvxpy, embedded, hermitian_basis, solved
from isacsim.typing import ComplexArray, FloatArray


@frozen(eq=False)
class Data:
    """Data of one program, on matrices of n x n.

    Attributes:
        H: Channels of unit norm, (n, K).
        ratio: a_k, (K,).
        noise: sigma_k^2, (K,).
        root: C, (n, n).
        power: Power N_t.
        spare: Number of dimensions besides, that no user sees.
    """

    H: ComplexArray
    ratio: FloatArray
    noise: FloatArray
    root: ComplexArray
    power: float
    spare: int


@frozen(eq=False)
class Answer:
    """What a program returned: blocks (M, n, n), and multipliers of the SINRs (K,) and of the power."""

    blocks: ComplexArray
    multipliers: FloatArray
    power_multiplier: float
    steps: int


@frozen(eq=False)
class Program:
    """A compiled program; `solve` is safe to call from several threads."""

    problem: Any
    parameters: dict[str, Any]
    blocks: Any
    sinr: Any
    total: Any
    basis: ComplexArray
    lock: Any = field(factory=threading.Lock)

    def solve(self, data: Data, backend: str, tolerance: float) -> Answer | None:
        """The answer; None where the backend has none."""
        values, rows, value = _values(data, self.basis)
        with self.lock:
            if not solved(self.problem, self.parameters, values, tolerance, backend):
                return None
            x, y = np.array([block.value for block in self.blocks]), np.asarray(self.sinr.dual_value, float)
            mu = 0.0 if self.total is None else float(self.total.dual_value)
            steps = int(self.problem.solver_stats.num_iters or 0)
        blocks = data.root @ np.tensordot(x, self.basis, 1) @ np.conj(data.root).T
        return Answer(blocks, value * y / rows, value * mu / data.power, steps)


def _values(data: Data, basis: ComplexArray) -> tuple[dict[str, Any], FloatArray, float]:
    """The parameters, the unit of each SINR, and that of the objective."""
    C = np.asarray(data.root, complex)
    C_inverse = np.linalg.inv(C)
    used = float(np.linalg.norm(C) ** 2)
    left = max(data.power - used, np.finfo(float).tiny)
    value = float(np.linalg.norm(C_inverse) ** 2) + (data.spare**2 / left if data.spare else 0.0)
    h = np.conj(C).T @ data.H
    rows = data.noise + (h.real**2 + h.imag**2).sum(axis=0)
    received = np.einsum("ik,bij,jk->kb", np.conj(h), basis, h).real / rows[:, None]
    corner = C_inverse / np.sqrt(value)
    weights = np.einsum("ij,bji->b", np.conj(C).T @ C, basis).real
    unit = data.spare**2 / value if data.spare else data.power  # so that spare^2 / left is 1 / (left / unit)
    values = {
        "own": data.ratio[:, None] * received,
        "every": received,
        "noise": data.noise / rows,
        "corner": np.block([[corner.real, -corner.imag], [corner.imag, corner.real]]),
        "weights": weights / unit,
        "power": np.asarray(data.power / unit),
    }
    return values, rows, value


@lru_cache(maxsize=8)
def program(side: int, users: int, blocks: int, spare: bool) -> Program:
    """The program of a shape.

    Args:
        side: Number n of dimensions of the matrices.
        users: Number K of users.
        blocks: Number M of matrices; those beyond K are for sensing.
        spare: Whether there are dimensions besides, that no user sees.
    """
    cp, basis = cvxpy(), hermitian_basis(side)
    parameters = {
        "own": cp.Parameter((users, side**2)),
        "every": cp.Parameter((users, side**2)),
        "noise": cp.Parameter(users),
        "corner": cp.Parameter((2 * side, 2 * side)),
        "weights": cp.Parameter(side**2),
        "power": cp.Parameter(),
    }
    X = [cp.Variable(side**2) for _ in range(blocks)]
    S, T = cp.sum(cp.vstack(X), axis=0), cp.Variable(side**2)
    sinr = cp.sum(cp.multiply(parameters["own"], cp.vstack(X[:users])), axis=1) - parameters["every"] @ S
    sinr = sinr >= parameters["noise"]
    corner = parameters["corner"]
    whole = cp.bmat([[embedded(S, basis), corner], [corner.T, embedded(T, basis)]])
    rules = [embedded(x, basis) >> 0 for x in X] + [whole >> 0, sinr]
    cost, total = np.trace(basis, axis1=-2, axis2=-1).real @ T, None
    left = parameters["power"] - parameters["weights"] @ S
    if spare:
        cost = cost + cp.inv_pos(left)
    else:
        total = left >= 0
        rules.append(total)
    return Program(cp.Problem(cp.Minimize(cost), rules), parameters, X, sinr, total, basis)
