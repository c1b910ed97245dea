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

from isacsim.linalg.hermitian import dyads, matrices
from isacsim.optimisation.semidefinite import Answer, Program, cvxpy, inverse_trace, semidefinite, trace
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

    blocks: ComplexArray  #: R_k, and that of the sensing streams where the program has one besides, (M, N, N)
    #: Of the SQINRs and, where the program has such a rule, of the power, (K+1,), in the unit of its objective
    multipliers: FloatArray
    steps: int  #: Of the backend

    @classmethod
    def of(cls, answer: Answer, units: FloatArray) -> Lifted | None:
        """What an answer says where each SQINR, and the power, has a unit, (K+1,); None where there is none."""
        if answer.primal is None:
            return None
        y = np.concatenate([np.ravel(dual) for dual in answer.dual])[: units.size]
        return cls(matrices(np.array(answer.primal)), np.maximum(y, 0.0) / units[: y.size], answer.steps)


def rules(links: Any, h: ComplexArray | None = None) -> tuple[dict[str, Any], FloatArray]:
    """The parameters of the SQINRs of one member, and the units of each, of R white, and of the power, (K+1,).

    Args:
        links: The member: `Links` that tell their ``antennas`` and the ``ratio`` c_k of each user.
        h: Its channels in the coordinates of the program, (N, K); None are its own.
    """
    h = links.H[0] if h is None else h
    side, users = h.shape
    if not users:
        return {}, np.full(1, links.limit)
    own = dyads(h[None])[0].T
    every = own.copy()
    every[:, :side] += links.load[0, :, :users].T  # coordinates of a diagonal
    units = links.noise[0] + links.limit / links.antennas * every[:, :side].sum(axis=-1)
    values = {
        "own": links.ratio[0][:, None] * own / units[:, None],
        "every": every / units[:, None],
        "noise": links.noise[0] / units,
    }
    return values, np.append(units, links.limit)


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
