"""Where the saddle primal-dual Newton method starts: the best point on the ray of the least power.

With the multipliers lambda of the least power and ``M = t (I + H diag(lambda) H^H)``, Q is a multiple
of the identity, ``Q = (mu - t) I``, and what is left to choose are two numbers.
"""

from __future__ import annotations

import numpy as np

from isacsim.algebra import scale_columns, shift, write_identity
from isacsim.blas import multiply
from isacsim.compiled import brief
from isacsim.lapack import combine, factorise, multiply_adjoint, scale
from isacsim.solvers.crb_min.dual import Dual, Scratch, along, dual_at
from isacsim.solvers.crb_min.newton_step import LEAST_CAUTION, Iterates, keep_best
from isacsim.solvers.crb_min.newton_system import (
    BOUND,
    CAUTION,
    COVARIANCE,
    DECREMENT,
    DUAL,
    EPS,
    FACTOR,
    INVERSE,
    LARGEST,
    LENGTH,
    MU,
    OBJECTIVE,
    ONE,
    OTHER,
    REFERENCE,
    RESIDUAL,
    SEEN,
    SENSING,
    STREAMS,
    SURPLUS,
    USERS,
)
from isacsim.solvers.crb_min.recovery import Beams, tight_at
from isacsim.solvers.sqinr.least_power import ROUNDING
from isacsim.typing import ComplexArray, FloatArray

FIRST_BARRIER = 0.1  # weight of the first barrier, relative to the objective
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
def begin(
    H: ComplexArray,
    HH: ComplexArray,
    terms: FloatArray,
    antennas: int,
    multipliers: FloatArray,
    power: float,
    matrices: ComplexArray,
    tall: ComplexArray,
    s: FloatArray,
    told: FloatArray,
    small: ComplexArray,
    users: ComplexArray,
    prices: FloatArray,
    here: Scratch,
) -> None:
    """Write where a member starts, given its least power and the multipliers of that."""
    L, inverse, Q = matrices[FACTOR], matrices[INVERSE], matrices[DUAL]
    R, Y, best = matrices[COVARIANCE], tall[SEEN], tall[USERS]
    r, sensing = len(H), small[ONE]
    scale_columns(H, multipliers, users)
    multiply(users, HH, L)
    shift(L, 1.0)
    factorise(L)
    # The beams of least power always fit, and the multipliers prove a bound.
    told[SURPLUS], bound = dual_at(H, HH, terms, antennas, L, 1.0, inverse, Y, s, prices, Q, here)
    value = max(float(antennas), bound)
    along(inverse, Y, s, best)
    write_identity(matrices[SENSING], 0.0)
    told[OBJECTIVE] = tight_at(H, HH, terms, antennas, best, matrices[SENSING], here)
    eps = FIRST_BARRIER * value / r
    mu, t = on_the_ray(power, antennas, r, eps)
    scale(np.sqrt(t), L, L)
    told[SURPLUS], bound = dual_at(H, HH, terms, antennas, L, mu, inverse, Y, s, prices, Q, here)
    told[MU], told[BOUND] = mu, max(value, bound)
    write_identity(matrices[STREAMS], eps)
    settle(told, eps)
    if keep_best(H, HH, terms, antennas, matrices, tall, s, told, users, sensing, small[OTHER], here):
        multiply_adjoint(users, users, R)
        combine(1.0, sensing, 1.0, R)
    else:
        write_identity(R, 1 / np.sqrt(max(mu - t, 1e-12)))
    told[RESIDUAL] = (told[OBJECTIVE] - told[BOUND]) / abs(told[BOUND])


@brief
def settle(told: FloatArray, eps: float) -> None:
    """Write what is told of a member before the first step, for a barrier of weight eps."""
    told[EPS], told[LARGEST] = eps, eps
    told[CAUTION], told[LENGTH], told[REFERENCE] = LEAST_CAUTION, 1.0, np.inf


def iterates(members: int, r: int, K: int) -> Iterates:
    """Room for where some members are."""
    matrices, tall = np.zeros((members, SENSING + 1, r, r), complex), np.zeros((members, USERS + 1, r, K), complex)
    return Iterates(matrices, tall, np.zeros((members, K)), np.zeros((members, DECREMENT + 1)))


def near(dual: Dual, R: ComplexArray, eps: FloatArray, best: tuple[Beams, FloatArray]) -> Iterates:
    """The iterates at a dual point and R, for barriers of weights eps, with the best beams and bound known."""
    (beams, bound), (members, r, K) = best, dual.Y.shape
    (matrices, tall, s, told), E = iterates(members, r, K), eps[:, None, None] * np.eye(r)
    for place, matrix in enumerate((dual.L, dual.inverse, dual.Q, R, E, beams.sensing)):
        matrices[:, place] = matrix
    tall[:, SEEN], tall[:, USERS], s[:] = dual.Y, beams.users, dual.s
    for b in range(members):
        settle(told[b], eps[b])
    told[:, OBJECTIVE], told[:, BOUND] = beams.objective, bound
    told[:, RESIDUAL] = (beams.objective - bound) / np.abs(bound)
    told[:, MU], told[:, SURPLUS] = dual.mu, dual.surplus
    return Iterates(matrices, tall, s, told)
