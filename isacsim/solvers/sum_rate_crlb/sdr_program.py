"""The semidefinite program of one `wmmse-sdr` iteration, built once a shape."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from isacsim.batch import hermitian
from isacsim.linalg.hermitian import coordinates, matrices
from isacsim.linalg.stacked import adjoint, factor
from isacsim.optimisation.semidefinite import Parameters, Program, cvxpy, inverse_trace, real, semidefinite, trace
from isacsim.solvers.sum_rate_crlb.merit import Evaluated, Merit
from isacsim.solvers.sum_rate_crlb.sca import rate_terms
from isacsim.typing import ComplexArray

FAR = 10  # binary orders of magnitude of the root of an objective that are far from 1: 1e6 of itself
CAUTIOUS = 0.95  # of the way to the edge of a cone; Clarabel's 0.99 ends some of these programs early


Beams = tuple[ComplexArray, ComplexArray, ComplexArray]


def optimum(
    merit: Merit, point: Evaluated, published_charge: bool, published_recovery: bool
) -> tuple[Beams | None, str]:
    """Users' precoders (N, K), and the covariances R of streams and R_s of sensing ones, for unit power.

    None of them where the backend has no answer; and what it said where it had trouble. R_s is zero, and R that of
    all streams, but for the published options.

    Args:
        merit: One member, in coordinates of N dimensions.
        point: Where its rate is replaced by the bound that touches it.
        published_charge: As for `isacsim.solvers.sum_rate_crlb.wmmse_sdr.WmmseSdr`.
        published_recovery: Likewise.
    """
    (side, users), separate = merit.H.shape[1:], published_charge or published_recovery
    counted = tuple(int(i) for i in np.flatnonzero(merit.selection)) if merit.crlb_weight else ()
    shape = side, users, merit.tensor.parameters if counted else 0, counted
    values = _values(merit, point, published_charge, counted)
    answer = program(*shape, not published_recovery, separate).solve(values)
    told = "" if answer.near else answer.told
    if answer.primal is None:
        return None, told
    R, *others = answer.primal
    R_s = matrices(others.pop(0)) if separate else np.zeros((side, side), complex)
    W = others[0][:side] + 1j * others[0][side:] if users else np.zeros((side, 0), complex)
    return (W, matrices(R), R_s), told


def _values(merit: Merit, point: Evaluated, published_charge: bool, counted: tuple[int, ...]) -> dict[str, Any]:
    """The parameters: F has a unit diagonal at the point."""
    power, weights = merit.power[0], np.zeros(0)
    C_1, charge = (x[0] for x in rate_terms(merit, point, merit.users))
    C_1, charge = np.sqrt(power) * C_1, power * charge
    sensing_charge = power * (merit.rate_weight * (merit.H @ merit.HH)[0]) if published_charge else charge
    information = np.zeros((0, len(charge) ** 2))
    if counted:
        diagonal = np.diagonal(merit.tensor.fim(point.Y @ hermitian(point.Y))[0])
        weights = np.sqrt(merit.crlb_weight * merit.selection / diagonal)[list(counted)]
        information = power * merit.tensor.linear_map(merit.V, diagonal)
    linear, bound = 2 * np.concatenate([C_1.real, C_1.imag]), float(np.sum(weights**2))
    # An objective of a size far from 1 is told in that, by a power of 4, whose root is exact: backends fail on it.
    most = max(float(np.abs(term).max(initial=0.0)) for term in (linear, charge, sensing_charge, bound))
    half = int(np.round(np.log2(most) / 2)) if 0 < most < np.inf else 0
    half = half if abs(half) > FAR else 0
    unit = 4.0**half
    charge, sensing_charge = charge / unit, sensing_charge / unit
    return {
        "C_1": linear / unit,
        "charge": coordinates(charge),
        "root": real(adjoint(factor(charge, len(charge)))),
        "sensing_charge": coordinates(sensing_charge),
        "information": information,
        "weights": weights / max(np.linalg.norm(weights), np.finfo(float).tiny),
        "crlb": bound / unit,
    }


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
    variables, parameters = {"R": R}, Parameters()
    total, cost, rules = R, 0.0, []
    if separate:
        total = R + variables.setdefault("R_s", cp.Variable(side**2, name="R_s"))
        rules.append(semidefinite(variables["R_s"], side) >> 0)
        cost = parameters.given("sensing_charge", side**2) @ variables["R_s"]
    if charged:
        cost = cost + parameters.given("charge", side**2) @ R
    corner = semidefinite(R, side)
    if users:
        W = variables.setdefault("W", cp.Variable((2 * side, users), name="W"))
        cost = cost - cp.sum(cp.multiply(parameters.given("C_1", *W.shape), W))
        cost = cost if charged else cost + cp.sum_squares(parameters.given("root", 2 * side, 2 * side) @ W)
        wide = cp.hstack([W, cp.vstack([-W[side:], W[:side]])])
        corner = cp.bmat([[corner, wide], [wide.T, np.eye(2 * users)]])
    rules += [corner >> 0, trace(total, side) <= 1]
    if unknowns:
        count = unknowns * (unknowns + 1) // 2
        information = parameters.given("information", count, side**2) @ total
        rule, bound = inverse_trace(information, parameters.given("weights", len(counted)), counted)
        rules.append(rule)
        cost = cost + parameters.given("crlb", nonneg=True) * bound
    # The cone of W is sparse, and splitting it gains digits; but not that of weights of which some are zero.
    settings = {"chordal_decomposition_enable": len(counted) == unknowns, "max_step_fraction": CAUTIOUS}
    return Program(cp.Problem(cp.Minimize(cost), rules), parameters, tuple(variables.values()), (), settings)
