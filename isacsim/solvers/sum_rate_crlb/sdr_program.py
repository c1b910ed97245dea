"""The semidefinite program of one `wmmse-sdr` iteration, built once a shape."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from isacsim.linalg.hermitian import coordinates, matrices
from isacsim.linalg.stacked import adjoint, factor
from isacsim.optimisation.semidefinite import Program, cvxpy, inverse_trace, real, semidefinite, trace
from isacsim.typing import ComplexArray, FloatArray

FAR = 10  # binary orders of magnitude of the root of an objective that are far from 1: 1e6 of itself
CAUTIOUS = 0.95  # of the way to the edge of a cone; Clarabel's 0.99 ends some of these programs early


Beams = tuple[ComplexArray, ComplexArray, ComplexArray]


def optimum(
    C_1: ComplexArray,
    charge: ComplexArray,
    sensing_charge: ComplexArray,
    information: FloatArray,
    weights: FloatArray,
    *,
    charged: bool,
    separate: bool,
) -> tuple[Beams | None, str]:
    """Users' precoders (N, K), and the covariances R of streams and R_s of sensing ones, for unit power.

    None of them where the backend has no answer; and what it said where it had trouble.

    Args:
        C_1: Linear term of the users' precoders, in coordinates of N dimensions, (N, K).
        charge: What a unit of covariance costs in rate, (N, N); Hermitian.
        sensing_charge: What a unit of the sensing streams' covariance costs, (N, N).
        information: F, scaled to a unit diagonal, as `isacsim.metrics.fim.FimTensor.linear_map` has it.
        weights: Root weight of each bound of the scaled parameters, (P,).
        charged: As for `program`.
        separate: As for `program`; without it R holds the sensing streams too, and R_s is zero.
    """
    (side, users), counted = C_1.shape, tuple(int(i) for i in np.flatnonzero(weights))
    shape = side, users, weights.size if counted else 0, counted
    positive = weights[list(counted)]
    linear, bound = 2 * np.concatenate([C_1.real, C_1.imag]), float(np.sum(positive**2))
    # An objective of a size far from 1 is told in that, by a power of 4, whose root is exact: backends fail on it.
    most = max(float(np.abs(term).max(initial=0.0)) for term in (linear, charge, sensing_charge, bound))
    half = int(np.round(np.log2(most) / 2)) if 0 < most < np.inf else 0
    half = half if abs(half) > FAR else 0
    unit = 4.0**half
    charge, sensing_charge = charge / unit, sensing_charge / unit
    values = {
        "C_1": linear / unit,
        "charge": coordinates(charge),
        "root": real(adjoint(factor(charge, side))),
        "sensing_charge": coordinates(sensing_charge),
        "information": information,
        "weights": positive / max(np.linalg.norm(positive), np.finfo(float).tiny),
        "crlb": bound / unit,
    }
    answer = program(*shape, charged, separate).solve(values)
    told = "" if answer.near else answer.told
    if answer.primal is None:
        return None, told
    R, *others = answer.primal
    R_s = matrices(others.pop(0)) if separate else np.zeros((side, side), complex)
    W = others[0][:side] + 1j * others[0][side:] if users else np.zeros((side, 0), complex)
    return (W, matrices(R), R_s), told


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
    rules += [corner >> 0, trace(total, side) <= 1]
    if unknowns:
        count = unknowns * (unknowns + 1) // 2
        information = given("information", count, side**2) @ total
        rule, bound = inverse_trace(information, given("weights", len(counted)), counted)
        rules.append(rule)
        cost = cost + given("crlb", nonneg=True) * bound
    # The cone of W is sparse, and splitting it gains digits; but not that of weights of which some are zero.
    settings = {"chordal_decomposition_enable": len(counted) == unknowns, "max_step_fraction": CAUTIOUS}
    return Program(cp.Problem(cp.Minimize(cost), rules), parameters, tuple(variables.values()), (), settings)
