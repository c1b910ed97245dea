"""The semidefinite program of one `wmmse-sdr` iteration, built once a shape.

All data are parameters that enter affinely, so that cvxpy canonicalises a shape once.
"""

from __future__ import annotations

import threading
from functools import lru_cache
from typing import Any

import numpy as np
from attrs import field, frozen

from isacsim.solvers.semidefinite import cvxpy, embedded, hermitian_basis, inverse_trace, solved
from isacsim.typing import ComplexArray, FloatArray


@frozen(eq=False)
class SdrData:
    """What one program is solved for, in coordinates of N dimensions and for unit power.

    Attributes:
        C_1: Linear term of the users' precoders, (N, K).
        charge: What a unit of covariance costs in rate, (N, N); Hermitian.
        sensing_charge: What a unit of the sensing streams' covariance costs, (N, N).
        information: F of each Hermitian basis matrix, (P, P, N^2), scaled to a unit diagonal.
        weights: Root weight of each bound of the scaled parameters, (P,).
    """

    C_1: ComplexArray
    charge: ComplexArray
    sensing_charge: ComplexArray
    information: FloatArray
    weights: FloatArray


@frozen(eq=False)
class Program:
    """A compiled program; `solve` is safe to call from several threads."""

    problem: Any
    parameters: dict[str, Any]
    variables: dict[str, Any]
    basis: ComplexArray
    lock: Any = field(factory=threading.Lock)

    def solve(self, data: SdrData) -> tuple[ComplexArray, ComplexArray, ComplexArray] | None:
        """Users' precoders (N, K), their covariance and that of the sensing streams (N, N)."""
        with self.lock:
            if not solved(self.problem, self.parameters, _values(data, self.basis)):
                return None
            x = {name: variable.value for name, variable in self.variables.items()}
        side = self.basis.shape[-1]
        nothing = np.zeros((side, side), complex)
        W = x["W"][:side] + 1j * x["W"][side:] if "W" in x else np.zeros((side, 0), complex)
        R_s = np.tensordot(x["R_s"], self.basis, 1) if "R_s" in x else nothing
        return W, np.tensordot(x["R"], self.basis, 1), R_s


def _values(data: SdrData, basis: ComplexArray) -> dict[str, FloatArray]:
    """The program's parameters."""
    upper = np.triu_indices(data.weights.size)
    root = _root(data.charge)
    return {
        "C_1": 2 * np.concatenate([data.C_1.real, data.C_1.imag]),
        "charge": _coordinates(data.charge, basis),
        "root": np.block([[root.real, -root.imag], [root.imag, root.real]]),
        "sensing_charge": _coordinates(data.sensing_charge, basis),
        "information": data.information[upper],
        "weights": np.asarray(data.weights / max(np.linalg.norm(data.weights), np.finfo(float).tiny)),
        "crlb": np.asarray(np.sum(data.weights**2)),
    }


def _root(matrix: ComplexArray) -> ComplexArray:
    """L^H of a positive semidefinite matrix L L^H, (N, N)."""
    spectrum, U = np.linalg.eigh(matrix)
    return np.sqrt(np.maximum(spectrum, 0.0))[:, None] * np.conj(U).T


def _coordinates(matrix: ComplexArray, basis: ComplexArray) -> FloatArray:
    """``tr(matrix B)`` for each basis matrix B, (N^2,)."""
    return np.einsum("ij,bji->b", matrix, basis).real


@lru_cache(maxsize=8)
def program(side: int, users: int, unknowns: int, charged: bool, separate: bool) -> Program:
    """The program of a shape.

    Args:
        side: Number N of coordinates.
        users: Number K of users.
        unknowns: Number P of target parameters; 0 leaves the CRLB out.
        charged: Whether the users' covariance R costs rate, and not their precoders alone.
        separate: Whether the sensing streams have a covariance R_s of their own.
    """
    cp, basis = cvxpy(), hermitian_basis(side)
    R = cp.Variable(side**2, name="R")
    variables, parameters = {"R": R}, {}
    total, cost, rules = R, 0.0, []

    def given(name: str, *shape: int, **options: Any) -> Any:
        parameters[name] = cp.Parameter(shape, name=name, **options)
        return parameters[name]

    if separate:
        total = R + variables.setdefault("R_s", cp.Variable(side**2, name="R_s"))
        rules.append(embedded(variables["R_s"], basis) >> 0)
        cost = given("sensing_charge", side**2) @ variables["R_s"]
    if charged:
        cost = cost + given("charge", side**2) @ R
    corner = embedded(R, basis)
    if users:
        W = variables.setdefault("W", cp.Variable((2 * side, users), name="W"))
        cost = cost - cp.sum(cp.multiply(given("C_1", *W.shape), W))
        cost = cost if charged else cost + cp.sum_squares(given("root", 2 * side, 2 * side) @ W)
        wide = cp.hstack([W, cp.vstack([-W[side:], W[:side]])])
        corner = cp.bmat([[corner, wide], [wide.T, np.eye(2 * users)]])
    rules += [corner >> 0, np.trace(basis, axis1=-2, axis2=-1).real @ total <= 1]
    if unknowns:
        count = unknowns * (unknowns + 1) // 2
        information = given("information", count, side**2) @ total
        rule, bound = inverse_trace(information, given("weights", unknowns))
        rules.append(rule)
        cost = cost + given("crlb", nonneg=True) * bound
    return Program(cp.Problem(cp.Minimize(cost), rules), parameters, variables, basis)
