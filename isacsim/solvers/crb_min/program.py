"""The semidefinite program of `CrbMin`, built once a shape.

Matrices are vectors of coordinates (`isacsim.solvers.semidefinite`). All data are parameters
that enter affinely, so that cvxpy canonicalises a shape once. ``tr(S^-1)`` is the least
``tr(T)`` with ``[S I; I T] >= 0``.
"""

from __future__ import annotations

import threading
import warnings
from functools import lru_cache
from typing import Any

import numpy as np
from attrs import field, frozen

from isacsim.solvers.semidefinite import cvxpy, embedded, hermitian_basis
from isacsim.typing import ComplexArray, FloatArray

# What each backend calls its tolerances.
BACKENDS = {
    "CLARABEL": ("tol_gap_abs", "tol_gap_rel", "tol_feas"),
    "SCS": ("eps_abs", "eps_rel"),
}


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
    own: Any
    every: Any
    noise: Any
    blocks: Any
    sinr: Any
    total: Any
    basis: ComplexArray
    lock: Any = field(factory=threading.Lock)

    def solve(
        self, H: ComplexArray, ratio: FloatArray, noise: FloatArray, backend: str, tolerance: float
    ) -> Answer | None:
        """The answer for channels of unit norm H (n, K), a_k (K,) and noise (K,); None where the backend has none."""
        cp = cvxpy()
        dyads = np.einsum("ik,jk->kij", H, np.conj(H))
        received = np.einsum("kij,bji->kb", dyads, self.basis).real
        with self.lock, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of an inaccurate solution; the caller judges it by its bound
            self.own.value, self.every.value, self.noise.value = ratio[:, None] * received, received, noise
            options = dict.fromkeys(BACKENDS[backend], tolerance)
            try:
                # Without a warm start the answer does not depend on what was solved before.
                self.problem.solve(solver=backend, warm_start=False, **options)
            except cp.error.SolverError:
                return None
            if self.problem.status not in (cp.OPTIMAL, cp.OPTIMAL_INACCURATE):
                return None
            x, y = np.array([block.value for block in self.blocks]), self.sinr.dual_value
            mu = 0.0 if self.total is None else float(self.total.dual_value)
            steps = self.problem.solver_stats.num_iters
        return Answer(np.tensordot(x, self.basis, 1), np.asarray(y, float), mu, int(steps or 0))


@lru_cache(maxsize=8)
def program(side: int, users: int, blocks: int, spare: int) -> Program:
    """The program of a shape, for a power of side + spare.

    Args:
        side: Number n of dimensions of the matrices.
        users: Number K of users.
        blocks: Number M of matrices; those beyond K are for sensing.
        spare: Number of dimensions besides, that no user sees.
    """
    cp, basis = cvxpy(), hermitian_basis(side)
    power = side + spare
    X = [cp.Variable(side**2) for _ in range(blocks)]
    S, T = cp.sum(cp.vstack(X), axis=0), cp.Variable(side**2)
    traces = np.trace(basis, axis1=-2, axis2=-1).real
    own, every = cp.Parameter((users, side**2)), cp.Parameter((users, side**2))
    noise = cp.Parameter(users, nonneg=True)
    signal = cp.sum(cp.multiply(own, cp.vstack(X[:users])), axis=1)
    sinr = signal - every @ S >= noise
    corner = cp.bmat([[embedded(S, basis), np.eye(2 * side)], [np.eye(2 * side), embedded(T, basis)]])
    rules = [embedded(x, basis) >> 0 for x in X] + [corner >> 0, sinr]
    cost, total = traces @ T, None
    if spare:
        cost = cost + spare**2 * cp.inv_pos(power - traces @ S)
    else:
        total = traces @ S <= power
        rules.append(total)
    return Program(cp.Problem(cp.Minimize(cost), rules), own, every, noise, X, sinr, total, basis)
