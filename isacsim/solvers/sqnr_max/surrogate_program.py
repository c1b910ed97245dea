"""The second-order cone program of one `mm` iteration, built once a shape [Xu25, problem (19)].

In the units of a `System`, over V = [v_1 .. v_K, sensing] and the lengths t_i of its rows::

    max  2 Re tr(C^H V) - ||M^(1/2) V||^2
    s.t. sqrt(ratio_k) Re(h_k^H v_k) >= ||(V^H h_k, sqrt(e_i) |h_ki| t_i for all i, 1)||  for all k
         ||V^H's column i|| <= t_i for all i,  ||t|| <= 1

The lengths are shared by the users and the power, whose cones are small then. The objective is
in units of ||C|| and each user's cone in units of ||h_k||: without that converters of many bits
beside others of few, whose sqrt(e_i) is small, make interior-point methods fail.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from isacsim.batch import hermitian, squared
from isacsim.optimisation.semidefinite import Parameters, Program, cvxpy, real
from isacsim.solvers.sqinr.system import System
from isacsim.solvers.sqnr_max.objectives import Surrogate
from isacsim.typing import ComplexArray, FloatArray

FLAT = 1e-13  # largest eigenvalue of M over ||C|| that is rounding: the surrogate of ideal hardware is linear


def maximise_surrogate(
    system: System, surrogate: Surrogate, accuracy: float
) -> tuple[ComplexArray | None, FloatArray, str]:
    """The best point V (N, L) of one member's surrogate, and multipliers (K+1,); no point without an answer.

    The multipliers are those of the constraints as `System` writes them, in squares. Also what the
    backend said where it had trouble.

    Args:
        system: One member.
        surrogate: Its surrogate, at an anchor of L columns.
        accuracy: Gaps and residuals that the backend is asked for.
    """
    H, C, M = system.H[0], surrogate.C[0], surrogate.M[0]
    unit, lengths = np.linalg.norm(C), np.sqrt(squared(H).sum(axis=0))
    spectrum, U = np.linalg.eigh(M)
    curved, noisy = spectrum[-1] > FLAT * unit, bool(np.any(system.transmit[0]))
    directions = (H / lengths).T
    upright = np.concatenate([directions.real, directions.imag], axis=1)
    data = {
        "C": 2 * np.concatenate([C.real, C.imag]) / unit,
        "own": np.sqrt(system.ratio[0])[:, None] * upright,
        "real": upright,
        "imag": np.concatenate([-directions.imag, directions.real], axis=1),
        "noise": 1 / lengths,
        "spread": np.sqrt(system.spread[0]).T / lengths[:, None],
    }
    if curved:
        root = np.sqrt(np.maximum(spectrum, 0.0) / unit)[:, None] * hermitian(U)
        data["root"] = real(root)
    answer = program(*C.shape, system.users, curved, noisy).solve(data, accuracy)
    told = "" if answer.near else answer.told
    if answer.primal is None:
        return None, np.zeros(system.users + 1), told
    (stacked,) = answer.primal
    duals = np.array([np.ravel(dual[0])[0] for dual in answer.dual])
    V = stacked[: len(C)] + 1j * stacked[len(C) :]
    own = np.diagonal(np.conj(H).T @ V).real * np.sqrt(system.ratio[0]) * lengths
    sizes = np.append(np.maximum(own, np.finfo(float).tiny), 1.0)  # d(x^2) is 2 x dx
    return V, unit * np.maximum(duals, 0.0) / (2 * sizes), told


@lru_cache(maxsize=8)
def program(side: int, streams: int, users: int, curved: bool, noisy: bool) -> Program:
    """The program of a shape.

    Args:
        side: Number N of transmit antennas.
        streams: Number L of columns.
        users: Number K of users with a least SQINR.
        curved: Whether M is not zero.
        noisy: Whether a transmit chain has distortion.
    """
    cp, parameters = cvxpy(), Parameters()
    V, t = cp.Variable((2 * side, streams)), cp.Variable(side)
    merit = cp.sum(cp.multiply(parameters.given("C", 2 * side, streams), V))
    if curved:
        merit = merit - cp.sum_squares(parameters.given("root", 2 * side, 2 * side) @ V)
    total = cp.SOC(cp.Constant(1.0), t)
    cones = []
    if users:
        real, imag = parameters.given("real", users, 2 * side), parameters.given("imag", users, 2 * side)
        own, noise = parameters.given("own", users, 2 * side), parameters.given("noise", users)
        received = cp.vstack([real @ V, imag @ V])  # (2K, L)
        spread: Any = parameters.given("spread", users, side) if noisy else None
        for k in range(users):
            parts = [received[k], received[users + k], cp.reshape(noise[k], (1,), order="F")]
            if noisy:
                parts.append(cp.multiply(spread[k], t))
            cones.append(cp.SOC(own[k] @ V[:, k], cp.hstack(parts)))
    rows = cp.SOC(t, cp.hstack([V[:side], V[side:]]), axis=1)
    problem = cp.Problem(cp.Maximize(merit), [*cones, rows, total])
    return Program(problem, parameters, (V,), (*cones, total))
