"""The semidefinite program of `CrbMin`, built once a shape.

The variables are relative to a reference covariance C C^H: ``V = C X C^H``, with the objective
and each row in units of what they are there, since the optimum can span many decades.
``tr(S^-1)`` is the least ``tr(T)`` with ``[X C^-1; C^-H T] >= 0``, X the sum of the X_k.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from attrs import evolve

from isacsim.linalg.hermitian import coordinates
from isacsim.optimisation.semidefinite import Program, cvxpy, real, semidefinite, trace
from isacsim.solvers.crb_min.reduction import Reduced
from isacsim.solvers.sqinr.lifted import Blocks, Lifted, rules
from isacsim.typing import ComplexArray, FloatArray


def solved(
    reduced: Reduced, root: ComplexArray, blocks: int, backend: str, accuracy: float
) -> tuple[Lifted | None, str]:
    """The answer, None where the backend has none, and what it said where it had trouble.

    Args:
        reduced: One member.
        root: C, (r, r).
        blocks: Number M of matrices; those beyond K are for sensing.
        backend: One of `isacsim.optimisation.semidefinite.BACKENDS`.
        accuracy: Gaps and residuals that it is asked for.
    """
    values, units = _values(reduced, root)
    answer = program(reduced.rank, reduced.users, blocks, reduced.spare > 0).solve(values, accuracy, backend)
    found = Lifted.of(answer, units)
    if found is not None:
        found = evolve(found, blocks=root @ found.blocks @ np.conj(root).T)
    return found, "" if answer.near else answer.told


def _values(reduced: Reduced, root: ComplexArray) -> tuple[dict[str, Any], FloatArray]:
    """The parameters, and the units of each SINR and of the power, relative to that of the objective, (K+1,)."""
    C, power, spare = root, reduced.limit, reduced.spare
    C_inverse = np.linalg.inv(C)
    left = max(power - float(np.linalg.norm(C) ** 2), np.finfo(float).tiny)
    value = float(np.linalg.norm(C_inverse) ** 2) + (spare**2 / left if spare else 0.0)
    values, units = rules(reduced, np.conj(C).T @ reduced.H[0])
    unit = spare**2 / value if spare else power  # so that spare^2 / left is 1 / (left / unit)
    values |= {
        "corner": real(C_inverse / np.sqrt(value)),
        "weights": coordinates(np.conj(C).T @ C) / unit,
        "power": np.asarray(power / unit),
    }
    return values, units / value


@lru_cache(maxsize=8)
def program(side: int, users: int, blocks: int, spare: bool) -> Program:
    """The program of a shape.

    Args:
        side: Number n of dimensions of the matrices.
        users: Number K of users.
        blocks: Number M of matrices; those beyond K are for sensing.
        spare: Whether there are dimensions besides, that no user sees.
    """
    cp, variables = cvxpy(), Blocks.of(side, users, blocks)
    corner, weights, power = cp.Parameter((2 * side, 2 * side)), cp.Parameter(side**2), cp.Parameter()
    parameters = variables.parameters | {"corner": corner, "weights": weights, "power": power}
    T = cp.Variable(side**2)
    whole = cp.bmat([[semidefinite(variables.total, side), corner], [corner.T, semidefinite(T, side)]]) >> 0
    cost, left = trace(T, side), power - weights @ variables.total
    multiplied = variables.sqinr
    if spare:
        cost = cost + cp.inv_pos(left)
    else:
        multiplied = (*multiplied, left >= 0)
    problem = cp.Problem(cp.Minimize(cost), [*variables.cones, whole, *multiplied])
    # Here splitting the cones pays: some 10 % fewer steps, and a gap of 1e-8 where the whole cones end at 2e-7.
    return Program(problem, parameters, variables.X, multiplied, {"chordal_decomposition_enable": True})
