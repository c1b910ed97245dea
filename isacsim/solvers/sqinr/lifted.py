"""The semidefinite relaxation of least SQINRs, as parts of programs that are built once a shape.

The beams v_k are lifted to R_k = v_k v_k^H of any rank, beside R_r of the sensing streams: in the
units of a `System` [Xu25, problem (12)]::

    ratio_k h_k^H R_k h_k >= h_k^H R h_k + sum_i e_i |h_ki|^2 R_ii + 1,   R = sum_k R_k + R_r,  tr(R) <= 1
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from attrs import frozen

from isacsim.linalg.hermitian import coordinates, matrices
from isacsim.optimisation.semidefinite import Answer, Program, cvxpy, inverse_trace, semidefinite, trace
from isacsim.solvers.sqinr.system import System
from isacsim.typing import ComplexArray, FloatArray


@frozen(eq=False)
class Blocks:
    """Covariances R_k in a program, one for each user and at most one besides, and their SQINRs."""

    parameters: dict[str, Any]  #: ``own``, ``every`` and ``noise`` of the rules ``own_k R_k - every_k R >= noise_k``
    X: tuple[Any, ...]  #: Coordinates of the covariances
    total: Any  #: Those of their sum R
    cones: list[Any]  #: That each is positive semidefinite
    sqinr: tuple[Any, ...]  #: The rules of the users, none without users

    @classmethod
    def of(cls, side: int, users: int, count: int) -> Blocks:
        """``count`` covariances of N = ``side``."""
        cp = cvxpy()
        X = tuple(cp.Variable(side**2) for _ in range(count))
        total = cp.sum(cp.vstack(X), axis=0)
        parameters, rules = {}, []
        if users:
            shapes = {"own": (users, side**2), "every": (users, side**2), "noise": (users,)}
            parameters = {name: cp.Parameter(shape) for name, shape in shapes.items()}
            received = cp.sum(cp.multiply(parameters["own"], cp.vstack(X[:users])), axis=1)
            rules.append(received - parameters["every"] @ total >= parameters["noise"])
        return cls(parameters, X, total, [semidefinite(x, side) >> 0 for x in X], tuple(rules))


@frozen(eq=False)
class Lifted:
    """Covariances that a program returned for one member."""

    users: ComplexArray  #: R_k, (K, N, N)
    total: ComplexArray  #: R, (N, N)
    multipliers: FloatArray  #: Of the SQINRs and of the power, (K+1,), in the unit of the program's objective

    @classmethod
    def of(cls, answer: Answer, units: FloatArray) -> Lifted | None:
        """What an answer says where each SQINR has a unit; None where there is none."""
        if answer.primal is None:
            return None
        R = matrices(np.array(answer.primal))
        multiplied = answer.dual[: 1 + (units.size > 0)]
        y = np.concatenate([np.atleast_1d(dual) for dual in multiplied])
        return cls(R[:-1], R.sum(axis=0), np.maximum(y, 0.0) / np.append(units, 1.0))


def rules(system: System) -> tuple[dict[str, Any], FloatArray]:
    """The parameters of the SQINRs of one member, and the unit of each: what it is for R white."""
    if not system.users:
        return {}, np.zeros(0)
    h = system.H[0].T
    own = h[:, :, None] * np.conj(h)[:, None, :]
    every = own + system.spread[0].T[:, :, None] * np.eye(system.antennas)
    units = 1 + np.trace(every, axis1=-2, axis2=-1).real / system.antennas
    values = {
        "own": system.ratio[0][:, None] * coordinates(own) / units[:, None],
        "every": coordinates(every) / units[:, None],
        "noise": 1 / units,
    }
    return values, units


@lru_cache(maxsize=8)
def linear_program(side: int, users: int) -> Program:
    """The program that maximises the form of coordinates ``theta`` in R, of N = ``side``, for ``users`` SQINRs."""
    cp, theta = cvxpy(), cvxpy().Parameter(side**2)
    blocks = Blocks.of(side, users, users + 1)
    return _program(cp.Maximize(theta @ blocks.total), blocks, {"theta": theta})


@lru_cache(maxsize=8)
def fisher_program(side: int, users: int, unknowns: int, counted: tuple[int, ...]) -> Program:
    """The program that minimises ``tr(D^T F(R)^-1 D)``.

    It is that of N = ``side`` and of ``users`` SQINRs, for P ``unknowns``, of which the objective counts those
    at the places ``counted``. Its parameters are ``information``, F of each basis matrix by rows of its upper triangle,
    (P (P + 1) / 2, N^2), and ``weights``, what is not zero in D, (C,).
    """
    cp, blocks = cvxpy(), Blocks.of(side, users, users + 1)
    information, weights = cp.Parameter((unknowns * (unknowns + 1) // 2, side**2)), cp.Parameter(len(counted))
    rule, bound = inverse_trace(information @ blocks.total, weights, counted)
    return _program(cp.Minimize(bound), blocks, {"information": information, "weights": weights}, rule)


def _program(objective: Any, blocks: Blocks, parameters: Mapping[str, Any], *more: Any) -> Program:
    """The program of covariances of a total power of 1, with more rules."""
    side = int(np.sqrt(blocks.total.size))
    multiplied = (*blocks.sqinr, trace(blocks.total, side) <= 1)
    problem = cvxpy().Problem(objective, [*blocks.cones, *multiplied, *more])  # duals: SQINRs, power, then more
    return Program(problem, blocks.parameters | dict(parameters), blocks.X, (*multiplied, *more))
