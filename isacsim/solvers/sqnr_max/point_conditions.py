"""The optimality conditions of one point target, and Newton's method on them, for the kernel of `point_kernel`.

All that belongs to user k is in units of ``lambda_k^1/2``: nothing is divided by a multiplier.
"""

from __future__ import annotations

from typing import Annotated, NamedTuple

import numpy as np

from isacsim.compiled import part
from isacsim.linalg.blas import multiply
from isacsim.linalg.parts import invert_positive, real_inner, solve_into
from isacsim.solvers.sqinr.system import Constraints
from isacsim.solvers.sqnr_max.target import PointResponse
from isacsim.typing import ComplexArray, FloatArray


class Sizes(NamedTuple):
    """Chains, and users."""

    N: int
    K: int


class Room(NamedTuple):
    """What evaluations of one member write to; the first three are filled once a member."""

    A: Annotated[ComplexArray, "N K+1"]  #: ``[H, a]``
    AH: Annotated[ComplexArray, "K+1 N"]  #: Its adjoint
    weights: Annotated[FloatArray, "N K+2"]  #: ``e |h_k|^2``, then 1, then E
    white: Annotated[ComplexArray, "N K+1"]  #: ``D^-1 [H lambda^1/2, a]`` for the diagonal D of Phi_0 without its dyads
    gram: Annotated[ComplexArray, "K+1 K+1"]  #: ``[H, a]^H`` times that
    matrix: Annotated[ComplexArray, "K K"]  #: ``I + lambda^1/2 H^H D^-1 H lambda^1/2``
    error: Annotated[ComplexArray, "K K"]  #: Its inverse, the uplink's error matrix
    toward: Annotated[ComplexArray, "K"]  #: ``lambda^1/2 H^H D^-1 a``
    along: Annotated[ComplexArray, "K"]  #: ``lambda^1/2 H^H v``
    mix: Annotated[ComplexArray, "K+1 K+1"]  #: ``U = white mix``
    U: Annotated[ComplexArray, "N K+1"]  #: ``Phi^-1 H lambda^1/2``, and last v
    squares: Annotated[FloatArray, "K+1 N"]  #: ``|U|^2``
    T: Annotated[ComplexArray, "K K"]  #: ``lambda^1/2 H^H Phi^-1 H lambda^1/2``
    seen: Annotated[FloatArray, "K+1 K+2"]  #: ``u^H diag(weight) u`` of each column of U
    C: Annotated[FloatArray, "K K"]  #: ``c_k T_kk^2`` on the diagonal, less what lambda_j charges for u_k
    system: Annotated[FloatArray, "K K"]  #: To be solved
    reward: Annotated[FloatArray, "K"]  #: ``|a^H u_k|^2``
    q: Annotated[FloatArray, "K"]  #: Powers of the u_k
    ratio: Annotated[FloatArray, "K"]  #: New lambda over old


@part
def enter(constraints: Constraints, target: PointResponse, here: Room) -> None:
    """Fill what is known of a member."""
    N, K = constraints.H.shape
    for i in range(N):
        for k in range(K):
            here.A[i, k], here.AH[k, i] = constraints.H[i, k], constraints.HH[k, i]
            here.weights[i, k] = constraints.load[i, k]
        here.A[i, K], here.AH[K, i] = target.a[i], np.conj(target.a[i])
        here.weights[i, K], here.weights[i, K + 1] = 1.0, target.spread[i]


@part
def whiten(here: Room, multipliers: FloatArray, sigma: float) -> float:
    """Write ``white``, ``matrix`` and ``toward`` of multipliers that begin with lambda; ``a^H D^-1 a``."""
    N, K = here.A.shape[0], here.q.size
    for k in range(K):
        here.q[k] = np.sqrt(multipliers[k])
    for i in range(N):
        noise = 1.0 + sigma * here.weights[i, K + 1]
        for k in range(K):
            noise += here.weights[i, k] * multipliers[k]
        share = 1 / noise
        for k in range(K):
            here.white[i, k] = here.A[i, k] * (here.q[k] * share)
        here.white[i, K] = here.A[i, K] * share
    multiply(here.AH, here.white, here.gram)
    for k in range(K):
        for j in range(K):
            here.matrix[k, j] = here.gram[k, j] * here.q[k]
        here.matrix[k, k] += 1.0
        here.toward[k] = here.gram[k, K] * here.q[k]
    return here.gram[K, K].real


@part
def evaluate(here: Room, now: FloatArray, rho: float) -> float:
    """Write what follows from lambda, tau and gamma, with which ``now`` begins; ``1 + tau a^H Phi_0^-1 a``."""
    (N, K), mix = (here.A.shape[0], here.q.size), here.mix
    tau, own = now[K], whiten(here, now, now[K + 1] * rho)
    # Written with the error matrix nothing cancels where the SINRs are high, as in `isacsim.solvers.sqinr.least_power`.
    invert_positive(here.matrix, here.error)
    for k in range(K):
        here.along[k] = 0.0
        for j in range(K):
            here.along[k] += here.error[k, j] * here.toward[j]
        own -= real_inner(here.toward[k], here.along[k])
    for k in range(K):
        turned = tau * np.conj(here.along[k])
        for j in range(K):
            mix[j, k] = here.error[j, k] - here.along[j] * turned
            here.T[j, k] = -mix[j, k]
        here.T[k, k] += 1.0
        mix[K, k], mix[k, K] = turned, -here.along[k]
    mix[K, K] = 1.0
    multiply(here.white, mix, here.U)
    for i in range(N):
        for k in range(K + 1):
            here.squares[k, i] = real_inner(here.U[i, k], here.U[i, k])
    multiply(here.squares, here.weights, here.seen)
    return 1 + tau * own


@part
def powers(here: Room, ratio: FloatArray, multipliers: FloatArray, grown: float, total: FloatArray) -> bool:
    """Whether powers serve all users along the u_k, and into ``total`` their sum, zeta and s.

    ``grown`` is ``1 + tau a^H Phi_0^-1 a``, by which a^H Phi^-1 exceeds v^H.
    """
    K = ratio.size
    for k in range(K):
        for j in range(K):
            here.C[k, j] = -(real_inner(here.T[j, k], here.T[j, k]) + multipliers[j] * here.seen[k, j])
        here.C[k, k] += ratio[k] * here.T[k, k].real * here.T[k, k].real
        here.reward[k] = real_inner(here.along[k], here.along[k]) * (grown * grown)
        here.q[k] = multipliers[k]
    for k in range(K):
        for j in range(K):
            here.system[k, j] = here.C[j, k]
    solve_into(here.system, here.q)
    sound = True
    for j in range(3):
        total[j] = 0.0
    for k in range(K):
        sound = sound and here.q[k] > 0
        total[0] += here.q[k] * here.seen[k, K]
        total[1] += here.q[k] * here.reward[k]
        total[2] += here.q[k] * here.seen[k, K + 1]
    return sound


@part
def follow(here: Room, now: FloatArray, at: float, rho: float) -> None:
    """Change multipliers lambda and gamma by a Newton step to another tau, at which gamma would be ``at``.

    Linearised along the u_k the conditions are ``C r = n + sigma s - gamma reward`` for the ratios r
    of new lambda to old. That gamma moves with them keeps the matrix regular where C is not.
    """
    K = here.q.size
    drawn = at * here.seen[K, K + 1]
    lead = at * at / (1 - at * rho * drawn)
    base = 1 / at - rho * now[K + 1] * here.seen[K, K + 1]
    for j in range(K):
        base -= real_inner(here.along[j], here.along[j]) + now[j] * here.seen[K, j]
    base *= lead
    for k in range(K):
        reward = here.reward[k] - rho * here.seen[k, K + 1]
        here.ratio[k] = here.seen[k, K] - reward * base
        for j in range(K):
            moves = real_inner(here.along[j], here.along[j]) + now[j] * here.seen[K, j]
            here.system[k, j] = here.C[k, j] + reward * lead * moves
    solve_into(here.system, here.ratio)
    now[K + 1] = base
    for k in range(K):
        ratio = min(max(here.ratio[k], 0.2), 5.0) if np.isfinite(here.ratio[k]) else 1.0
        now[K + 1] += lead * ratio * (real_inner(here.along[k], here.along[k]) + now[k] * here.seen[K, k])
        now[k] *= ratio
    now[K + 1] = max(now[K + 1], 0.1 * at)
