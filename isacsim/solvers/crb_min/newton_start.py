"""Where the saddle primal-dual Newton method starts: the best point on the ray of the least power.

With the multipliers lambda of the least power and ``M = t (I + H diag(lambda) H^H)``, Q is a multiple
of the identity, ``Q = (mu - t) I``, and what is left to choose are two numbers.
"""

from __future__ import annotations

import numpy as np

from isacsim.compiled import brief
from isacsim.linalg.lapack import combine, factorise, multiply_adjoint, scale
from isacsim.linalg.parts import scale_columns, shift, write_identity
from isacsim.records import blank, laid
from isacsim.solvers.crb_min.dual import MU, PROVEN, Dual, Scratch, along, dual_at
from isacsim.solvers.crb_min.newton_step import LEAST_CAUTION, keep_best
from isacsim.solvers.crb_min.newton_system import (
    BOUND,
    CAUTION,
    EPS,
    LARGEST,
    LENGTH,
    OBJECTIVE,
    REFERENCE,
    RESIDUAL,
    Iterate,
)
from isacsim.solvers.crb_min.recovery import Beams, tight_at
from isacsim.solvers.crb_min.reduction import Member, Sizes
from isacsim.solvers.sqinr.least_power import ROUNDING
from isacsim.typing import FloatArray

FIRST_BARRIER = 0.05  # weight of the first barrier, relative to the objective
HALVINGS = 31  # to 1e-9 of where the root can be, which is close enough to start


@brief
def on_the_ray(power: float, N: int, r: int, eps: float) -> tuple[float, float]:
    """The mu and t that maximise dual and barrier for Q = q I, mu = q + t: bisection on mu^-1/2."""
    spent = min(power, N * (1 - ROUNDING))  # at the least power mu is infinite
    low, high = 0.0, min(1.0, (N - spent) / (N - r)) if r < N else 1.0
    mu, t = 1.0, 0.0
    for _ in range(HALVINGS):
        w = (low + high) / 2
        inside = r / (N - (N - r) * w)
        mu = 1 / (w * w)
        t = mu - inside * inside
        slope = (N - r) * w + eps * r / (t if t > 0 else 1.0) - (N - spent)
        if t <= 0 or slope > 0:
            high = w
        else:
            low = w
    return mu, max(t, 1e-12)


@brief
def begin(problem: Member, multipliers: FloatArray, power: float, at: Iterate, here: Scratch) -> None:
    """Write where a member starts, given its least power and the multipliers of that."""
    (H, _, antennas), dual = problem, at.dual
    L, told, users, sensing, r = dual.L, at.told, here.tall[1], here.small[1], len(H)
    scale_columns(H, multipliers, users)
    multiply_adjoint(users, H, L)
    shift(L, 1.0)
    factorise(L)
    # The beams of least power always fit, and the multipliers prove a bound.
    dual.numbers[MU] = 1.0
    dual_at(problem, dual, here)
    value = max(float(antennas), dual.numbers[PROVEN])
    along(dual, at.users)
    write_identity(at.sensing, 0.0)
    told[OBJECTIVE] = tight_at(problem, at.users, at.sensing, here)
    eps = FIRST_BARRIER * value / r
    mu, t = on_the_ray(power, int(antennas), r, eps)
    scale(np.sqrt(t), L, L)
    dual.numbers[MU] = mu
    dual_at(problem, dual, here)
    told[BOUND] = max(value, dual.numbers[PROVEN])
    write_identity(at.E, eps)
    settle(told, eps)
    if keep_best(problem, at, here):  # which leaves the beams
        multiply_adjoint(users, users, at.R)
        combine(1.0, sensing, 1.0, at.R)
    else:
        write_identity(at.R, 1 / np.sqrt(max(mu - t, 1e-12)))
    told[RESIDUAL] = (told[OBJECTIVE] - told[BOUND]) / abs(told[BOUND])


@brief
def settle(told: FloatArray, eps: float) -> None:
    """Write what is told of a member before the first step, for a barrier of weight eps."""
    told[EPS], told[LARGEST] = eps, eps
    told[CAUTION], told[LENGTH], told[REFERENCE] = LEAST_CAUTION, 1.0, np.inf


def near(dual: Dual, eps: FloatArray, beams: Beams, bound: FloatArray, sizes: Sizes) -> FloatArray:
    """The blocks of members that start at a dual point with barriers of weights eps, and R of the best beams known."""
    blocks = blank(Iterate, sizes, eps.size)
    at = laid(Iterate, blocks, sizes)
    for mine, given in zip(at.dual, dual, strict=True):
        mine[:] = given
    at.R[:], at.E[:] = beams.covariance, eps[:, None, None] * np.eye(sizes.r)
    at.users[:], at.sensing[:] = beams.users, beams.sensing
    for told, weight in zip(at.told, eps, strict=True):
        settle(told, weight)
    at.told[:, OBJECTIVE], at.told[:, BOUND] = beams.objective, bound
    at.told[:, RESIDUAL] = (beams.objective - bound) / np.abs(bound)
    return blocks
