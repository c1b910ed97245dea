"""The semidefinite program of one `wmmse-sdr` iteration, built once a shape."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from attrs import frozen

from isacsim.solvers.hermitian import basis, coordinates, matrices
from isacsim.solvers.semidefinite import Program, cvxpy, inverse_trace, real, semidefinite
from isacsim.typing import ComplexArray, FloatArray

CAUTIOUS = 0.95  # of the way to the edge of a cone; Clarabel's 0.99 ends some of these programs early


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
class SdrAnswer:
    """What one program returned, for unit power.

    Attributes:
        W: Users' precoders, (N, K).
        R: Their covariance, (N, N).
        R_s: That of the sensing streams, zero where R holds them too, (N, N).
    """

    W: ComplexArray
    R: ComplexArray
    R_s: ComplexArray


def solved(data: SdrData, charged: bool, separate: bool) -> tuple[SdrAnswer | None, str]:
    """The answer, None where the backend has none, and what it said where it had trouble.

    Args:
        data: What the program is solved for.
        charged: As for `program`.
        separate: As for `program`.
    """
    (side, users), counted = data.C_1.shape, tuple(int(i) for i in np.flatnonzero(data.weights))
    compiled = program(side, users, data.weights.size if counted else 0, counted, charged, separate)
    answer = compiled.solve(_values(data))
    told = "" if answer.near else answer.told
    if answer.primal is None:
        return None, told
    x = dict(zip(("R", *["R_s"] * separate, *["W"] * (users > 0)), answer.primal, strict=True))
    W = x["W"][:side] + 1j * x["W"][side:] if users else np.zeros((side, 0), complex)
    return SdrAnswer(W, matrices(x["R"]), matrices(x["R_s"]) if separate else np.zeros((side, side), complex)), told


def _values(data: SdrData) -> dict[str, FloatArray]:
    """The program's parameters."""
    weights = data.weights[data.weights != 0]
    return {
        "C_1": 2 * np.concatenate([data.C_1.real, data.C_1.imag]),
        "charge": coordinates(data.charge),
        "root": real(_root(data.charge)),
        "sensing_charge": coordinates(data.sensing_charge),
        "information": data.information[np.triu_indices(data.weights.size)],
        "weights": np.asarray(weights / max(np.linalg.norm(weights), np.finfo(float).tiny)),
        "crlb": np.asarray(np.sum(weights**2)),
    }


def _root(matrix: ComplexArray) -> ComplexArray:
    """L^H of a positive semidefinite matrix L L^H, (N, N)."""
    spectrum, U = np.linalg.eigh(matrix)
    return np.sqrt(np.maximum(spectrum, 0.0))[:, None] * np.conj(U).T


@lru_cache(maxsize=8)
def program(side: int, users: int, unknowns: int, counted: tuple[int, ...], charged: bool, separate: bool) -> Program:
    """The program of a shape.

    Args:
        side: Number N of coordinates.
        users: Number K of users.
        unknowns: Number P of target parameters; 0 leaves the CRLB out.
        counted: Those of them that the CRLB counts.
        charged: Whether the users' covariance R costs rate, and not their precoders alone.
        separate: Whether the sensing streams have a covariance R_s of their own.
    """
    cp = cvxpy()
    R = cp.Variable(side**2, name="R")
    variables, parameters = {"R": R}, {}
    total, cost, rules = R, 0.0, []

    def given(name: str, *shape: int, **options: Any) -> Any:
        parameters[name] = cp.Parameter(shape, name=name, **options)
        return parameters[name]

    if separate:
        total = R + variables.setdefault("R_s", cp.Variable(side**2, name="R_s"))
        rules.append(semidefinite(variables["R_s"], side) >> 0)
        cost = given("sensing_charge", side**2) @ variables["R_s"]
    if charged:
        cost = cost + given("charge", side**2) @ R
    corner = semidefinite(R, side)
    if users:
        W = variables.setdefault("W", cp.Variable((2 * side, users), name="W"))
        cost = cost - cp.sum(cp.multiply(given("C_1", *W.shape), W))
        cost = cost if charged else cost + cp.sum_squares(given("root", 2 * side, 2 * side) @ W)
        wide = cp.hstack([W, cp.vstack([-W[side:], W[:side]])])
        corner = cp.bmat([[corner, wide], [wide.T, np.eye(2 * users)]])
    rules += [corner >> 0, np.trace(basis(side), axis1=-2, axis2=-1).real @ total <= 1]
    if unknowns:
        count = unknowns * (unknowns + 1) // 2
        information = given("information", count, side**2) @ total
        rule, bound = inverse_trace(information, given("weights", len(counted)), counted)
        rules.append(rule)
        cost = cost + given("crlb", nonneg=True) * bound
    # The cone of W is sparse, and splitting it gains digits; but not that of weights of which some are zero.
    settings = {"chordal_decomposition_enable": len(counted) == unknowns, "max_step_fraction": CAUTIOUS}
    return Program(cp.Problem(cp.Minimize(cost), rules), parameters, tuple(variables.values()), (), settings)
