"""The Newton step of the optimality conditions of a `System`, at a cost that few functions of R set.

Linearised, ``S_l v_l = 0`` reads, for all columns l of V::

    -S_l dv_l = left_l + Z diag(eta) Z^H v_l + [l = k] omega_k phase_k h_k

because S depends on R through the features ``theta_m = z_m^H R z_m`` of the objective's
curvature, of R_ii, and of the users' channels alone: ``eta = Hx dtheta - (multipliers' part)``.
In the user's own curvature ``lambda_k c_k |h_k^H dv_k|^2`` only the real part of
``conj(phase_k) h_k^H dv_k`` is kept: the phase of a beam does not matter, and without that
direction the system is regular. One block ``-S``, made positive, then serves all columns, and
the unknowns are eta, omega and the changes of the multipliers. How the features move with
them is a matrix of Hadamard products of (Z^H (-S)^-1 Z) and (Z^H R Z).

Functions here are of one member; `newton_direction` goes through a batch.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from isacsim.compiled import compiled, part
from isacsim.solvers.parts import outer, product, put, real_inner, solved, turned
from isacsim.solvers.sqinr.curvature import Curvature, of_member, times
from isacsim.solvers.sqinr.kkt import Kkt
from isacsim.solvers.sqinr.objective import Surrogate
from isacsim.solvers.sqinr.system import Constraints, System, member
from isacsim.typing import BoolArray, ComplexArray, FloatArray

FLOOR = 1e-6  # least eigenvalue of the common block, relative to the multiplier of the power
INACTIVE = 1e-9  # a user's multiplier below this share of that of the power, with slack, is none


class Linearised(NamedTuple):
    """What the equations of one member are made of.

    Attributes:
        constraints: Its constraints.
        curvature: The second derivative of its objective.
        multipliers: lambda and mu, (K+1,).
        slack: Slack of each constraint, (K+1,).
        left: ``S_l v_l``, (N, L).
        received: ``H^H V``, (K, L).
    """

    constraints: Constraints
    curvature: Curvature
    multipliers: Any
    slack: Any
    left: Any
    received: Any


class Moves(NamedTuple):
    """How features and own amplitudes of one member move with eta (m+K) and omega (K).

    Attributes:
        Z: ``Z^H V``, (m+K, L): R_ii, the curvature's features, the channels.
        root: ``U |spectrum|^-1/2``, a root of the inverse common block, (N, N).
        phase: Phases of ``h_k^H v_k``, (K,).
        own: Their sizes, (K,).
        moved: ``dtheta`` for eta, omega and for what is left, (m+K, m+K+K+1).
        own_moved: The same of the own amplitudes, ``Re(conj(phase_k) h_k^H dv_k)``, (K, m+K+K+1).
    """

    Z: Any
    root: Any
    phase: Any
    own: Any
    moved: Any
    own_moved: Any


def newton_direction(
    system: System, V: ComplexArray, multipliers: FloatArray, surrogate: Surrogate, kkt: Kkt
) -> tuple[ComplexArray, FloatArray]:
    """Newton step of V (B, N, L) and of the multipliers (B, K+1); NaN where the equations are singular."""
    curvature = system.objective.curvature(surrogate, V)
    dV, change = np.empty_like(V), np.empty_like(multipliers)
    arrays = (multipliers, kkt.slack, kkt.left, kkt.received, V, kkt.spectrum, kkt.U)
    compiled(direction_each)(system.constraints, curvature, *arrays, dV, change)
    return dV, change


def direction_each(
    constraints: Constraints,
    curvature: Curvature,
    multipliers: FloatArray,
    slack: FloatArray,
    left: ComplexArray,
    received: ComplexArray,
    V: ComplexArray,
    spectrum: FloatArray,
    U: ComplexArray,
    dV: ComplexArray,
    change: FloatArray,
) -> None:
    """`newton_direction` into ``dV`` and ``change``, member by member."""
    for b in range(len(V)):
        own = member(constraints, b), of_member(curvature, b)
        here = Linearised(own[0], own[1], multipliers[b], slack[b], left[b], received[b])
        moves = moved_by(here, V[b], spectrum[b], U[b])
        x = step_of(here, *equations(here, moves))
        put(moved_columns(here, moves, x), dV[b])
        put(x[x.size - change.shape[1] :], change[b])


@part
def moved_by(here: Linearised, V: ComplexArray, spectrum: FloatArray, U: ComplexArray) -> Moves:
    """How features and own amplitudes move at V (N, L), with the spectrum (N,) and eigenvectors (N, N) of S."""
    HH, curvature = here.constraints.HH, here.curvature
    K, N = HH.shape
    # Where a stream could still gain, all curvature is raised by that much: S is indefinite there.
    floor, raised = FLOOR * here.multipliers[K], max(spectrum[N - 1], 0.0)
    root = U / np.sqrt(np.maximum(np.abs(spectrum), floor) + raised)
    Z = np.concatenate((V, curvature.seen, here.received))
    ZU = np.concatenate((root, product(curvature.features, root), product(HH, root)))
    inverse, alike = outer(ZU, ZU), outer(Z, Z)
    left = product(ZU, turned(root, here.left))
    m, last = len(Z), len(Z) + K
    own, phase = np.zeros(K), np.ones(K, np.complex128)
    moved, own_moved = np.empty((m, last + 1)), np.zeros((K, last + 1))
    for k in range(K):
        own[k] = abs(here.received[k, k])
        phase[k] = here.received[k, k] / (own[k] if own[k] > 0 else 1.0)
    for i in range(m):
        for j in range(m):
            moved[i, j] = 2 * real_inner(inverse[i, j], alike[i, j])
        for k in range(K):
            own_moved[k, i] = real_inner(Z[i, k], inverse[i, m - K + k] * phase[k])
            moved[i, m + k] = 2 * own_moved[k, i]
        moved[i, last] = 0.0
        for s in range(Z.shape[1]):
            moved[i, last] += 2 * real_inner(Z[i, s], left[i, s])
    for k in range(K):
        own_moved[k, m + k] = inverse[m - K + k, m - K + k].real
        own_moved[k, last] = real_inner(phase[k], left[m - K + k, k])
    return Moves(Z, root, phase, own, moved, own_moved)


@part
def equations(here: Linearised, moves: Moves) -> tuple[FloatArray, FloatArray]:
    """Matrix and right side of the equations of eta, omega and the changes of the multipliers."""
    load, ratio = here.constraints.load, here.constraints.ratio
    (N, K), multipliers = here.constraints.H.shape, here.multipliers
    features, unknowns = moves.moved.shape[0], moves.moved.shape[0] + K  # without the multipliers
    m = features - K  # without the channels
    A, right = np.zeros((unknowns + K + 1, unknowns + K + 1)), np.zeros(unknowns + K + 1)
    # eta = Hx dtheta - (load and channels) dz
    bent = times(here.curvature, moves.moved[:m])
    for i in range(m):
        for j in range(unknowns):
            A[i, j] = -bent[i, j]
        right[i] = bent[i, unknowns]
    for i in range(features):
        A[i, i] += 1.0
    for i in range(N):
        for k in range(K + 1):
            A[i, unknowns + k] = load[i, k]
    for k in range(K):
        own, weight = moves.own_moved[k], multipliers[k] * ratio[k]
        A[m + k, unknowns + k] = 1.0
        # omega_k = lambda_k c_k do_k + c_k o_k dlambda_k
        for j in range(unknowns):
            A[features + k, j] = -weight * own[j]
        A[features + k, features + k] += 1.0
        A[features + k, unknowns + k] = -ratio[k] * moves.own[k]
        right[features + k] = weight * own[unknowns]
    for k in range(K + 1):
        row, user = unknowns + k, k < K
        # The slacks vanish: 2 c_k o_k do_k - (load and channels) dtheta = -slack
        drawn = np.zeros(unknowns + 1)
        for i in range(N):
            for j in range(unknowns + 1):
                drawn[j] += load[i, k] * moves.moved[i, j]
        for j in range(unknowns + 1):
            if user:
                drawn[j] += moves.moved[m + k, j] - 2 * ratio[k] * moves.own[k] * moves.own_moved[k, j]
            if j < unknowns:
                A[row, j] = -drawn[j]
        right[row] = drawn[unknowns] - here.slack[k]
    return A, right


@part
def step_of(here: Linearised, A: FloatArray, right: FloatArray) -> FloatArray:
    """The unknowns, where a user whose constraint is not active has a multiplier that goes to zero.

    A constraint that such a step would violate becomes active. That matters where all multipliers
    go to zero: beams and sensing streams can then share a covariance in many ways, and only the
    constraints tell which of them serves the users.
    """
    K, n = here.multipliers.size - 1, right.size
    active, first = np.empty(K, np.bool_), n - K - 1
    for k in range(K):
        active[k] = here.multipliers[k] > INACTIVE * here.multipliers[K] or here.slack[k] < -INACTIVE
    x = held(here, A, right, active)
    more = False
    for k in range(K):
        if not active[k]:
            slack = -right[first + k]
            for j in range(first):
                slack += A[first + k, j] * x[j]
            if slack < -INACTIVE:
                active[k] = more = True
    return held(here, A, right, active) if more else x


@part
def held(here: Linearised, A: FloatArray, right: FloatArray, active: BoolArray) -> FloatArray:
    """The unknowns with multipliers of zero for the users whose constraints are not ``active`` (K,)."""
    K, n = active.size, right.size
    A, right = A.copy(), right.copy()
    for k in range(K):
        if not active[k]:
            row = n - K - 1 + k
            A[row] = 0.0
            A[row, row] = 1.0
            right[row] = -here.multipliers[k]
    return solved(A, right)


@part
def moved_columns(here: Linearised, moves: Moves, x: FloatArray) -> ComplexArray:
    """DV (N, L) of the unknowns x."""
    H, (N, K), features = here.constraints.H, here.constraints.H.shape, len(moves.Z)
    pushed = moves.Z.copy()
    for i in range(features):
        for s in range(pushed.shape[1]):
            pushed[i, s] *= x[i]
    push = here.left + pushed[:N] + turned(here.curvature.features, pushed[N : features - K])
    push += product(H, pushed[features - K :])
    for i in range(N):
        for k in range(K):
            push[i, k] += H[i, k] * moves.phase[k] * x[features + k]
    return product(moves.root, turned(moves.root, push))
