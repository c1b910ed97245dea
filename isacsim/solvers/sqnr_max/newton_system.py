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

The equations of a member are made by compiled loops, and solved by LAPACK for the whole batch: of
some hundreds of unknowns, which no loop solves as fast.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from isacsim.compiled import compiled, part
from isacsim.linalg.blas import multiply, write
from isacsim.linalg.parts import adjoint_times, product, real_inner, times_adjoint
from isacsim.linalg.stacked import solved
from isacsim.records import member
from isacsim.solvers.sqinr.curvature import Curvature, times
from isacsim.solvers.sqinr.kkt import Kkt
from isacsim.solvers.sqinr.objective import Surrogate
from isacsim.solvers.sqinr.system import Constraints, System
from isacsim.typing import BoolArray, ComplexArray, FloatArray

FLOOR = 1e-6  # least eigenvalue of the common block, relative to the multiplier of the power
TINY = np.finfo(float).tiny  # a beam of no amplitude has no phase
INACTIVE = 1e-9  # a user's multiplier below this share of that of the power, with slack, is none


class Linearised(NamedTuple):
    """What the equations are made of: of B members, or without the first axis of one.

    Attributes:
        multipliers: lambda and mu, (B, K+1).
        slack: Slack of each constraint, (B, K+1).
        received: ``H^H V``, (B, K, L).
        V: The point, (B, N, L).
        left: ``S_l v_l``, (B, N, L).
        spectrum: Eigenvalues of S, rising, (B, N).
        U: Its eigenvectors, (B, N, N).
    """

    multipliers: FloatArray
    slack: FloatArray
    received: ComplexArray
    V: ComplexArray
    left: ComplexArray
    spectrum: FloatArray
    U: ComplexArray


class Moves(NamedTuple):
    """How features and own amplitudes of one member move with eta (m+K) and omega (K).

    Attributes:
        moved: ``dtheta`` for eta, omega and for what is left, (m+K, m+K+K+1).
        own_moved: The same of the own amplitudes, ``Re(conj(phase_k) h_k^H dv_k)``, (K, m+K+K+1).
    """

    moved: FloatArray
    own_moved: FloatArray


def newton_direction(
    system: System, V: ComplexArray, multipliers: FloatArray, surrogate: Surrogate, kkt: Kkt
) -> tuple[ComplexArray, FloatArray]:
    """Newton step of V (B, N, L) and of the multipliers (B, K+1); NaN where the equations are singular."""
    (members, N, L), K = V.shape, system.users
    curvature = system.objective.curvature(surrogate, V)
    here = Linearised(multipliers, kkt.slack, kkt.received, np.ascontiguousarray(V), kkt.left, kkt.spectrum, kkt.U)
    features = N + curvature.features.shape[-2] + K
    n = features + 2 * K + 1
    root, Z = np.empty((members, N, N), complex), np.empty((members, features, L), complex)
    A, right, dV = np.zeros((members, n, n)), np.zeros((members, n)), np.empty((members, N, L), complex)
    compiled(equations_each, allocates=True)(system.constraints, curvature, here, root, Z, A, right)
    x = step_of(multipliers, kkt.slack, A, right)
    compiled(columns_each, allocates=True)(system.constraints, curvature, here, root, Z, x, dV)
    return dV, x[:, -K - 1 :]


def equations_each(
    constraints: Constraints,
    curvature: Curvature,
    linearised: Linearised,
    root: ComplexArray,
    Z: ComplexArray,
    A: FloatArray,
    right: FloatArray,
) -> None:
    """Matrices A (B, n, n) and right sides (B, n) of the equations, both zero before, member by member.

    Also a root (B, N, N) of the inverse common block, ``U |spectrum|^-1/2``, and ``Z^H V`` (B, m+K, L)
    of R_ii, the curvature's features and the channels.
    """
    N = root.shape[1]
    for b in range(A.shape[0]):
        own, bend, here = member(constraints, b), member(curvature, b), member(linearised, b)
        m = N + bend.features.shape[0]
        write(here.V, Z[b, :N])
        write(bend.seen, Z[b, N:m])
        write(here.received, Z[b, m:])
        write_root(here, root[b])
        moves = moved_by(own, bend, here, root[b], Z[b])
        stationarity(own, bend, here, moves, A[b], right[b])
        feasibility(own, here, moves, A[b], right[b])


@part
def write_root(here: Linearised, root: ComplexArray) -> None:
    """Write a root (N, N) of the inverse of -S, made positive."""
    N, spectrum = here.spectrum.size, here.spectrum
    # Where a stream could still gain, all curvature is raised by that much: S is indefinite there.
    floor, raised = FLOOR * here.multipliers[-1], max(spectrum[N - 1], 0.0)
    for j in range(N):
        length = np.sqrt(max(abs(spectrum[j]), floor) + raised)
        for i in range(N):
            root[i, j] = here.U[i, j] / length


@part
def phase_of(here: Linearised, k: int) -> complex:
    """The phase of ``h_k^H v_k``; zero of a beam that is none."""
    amplitude = here.received[k, k]
    return amplitude / max(abs(amplitude), TINY)


@part
def moved_by(
    constraints: Constraints, curvature: Curvature, here: Linearised, root: ComplexArray, Z: ComplexArray
) -> Moves:
    """How features and own amplitudes move."""
    m, (N, K) = Z.shape[0], constraints.H.shape
    ZU = np.empty((m, N), np.complex128)
    write(root, ZU[:N])
    multiply(curvature.features, root, ZU[N : m - K])
    multiply(constraints.HH, root, ZU[m - K :])
    inverse, alike = times_adjoint(ZU, ZU), times_adjoint(Z, Z)
    left = product(ZU, adjoint_times(root, here.left))
    moved, own_moved = np.empty((m, m + K + 1)), np.zeros((K, m + K + 1))
    for i in range(m):
        for j in range(m):
            moved[i, j] = 2 * real_inner(inverse[i, j], alike[i, j])
        for k in range(K):
            own_moved[k, i] = real_inner(Z[i, k], inverse[i, m - K + k] * phase_of(here, k))
            moved[i, m + k] = 2 * own_moved[k, i]
        moved[i, m + K] = 0.0
        for s in range(Z.shape[1]):
            moved[i, m + K] += 2 * real_inner(Z[i, s], left[i, s])
    for k in range(K):
        own_moved[k, m + k] = inverse[m - K + k, m - K + k].real
        own_moved[k, m + K] = real_inner(phase_of(here, k), left[m - K + k, k])
    return Moves(moved, own_moved)


@part
def stationarity(
    constraints: Constraints,
    curvature: Curvature,
    here: Linearised,
    moves: Moves,
    A: FloatArray,
    right: FloatArray,
) -> None:
    """Write the rows of eta and omega."""
    load, ratio, multipliers = constraints.load, constraints.ratio, here.multipliers
    N, K = constraints.H.shape
    features, unknowns = moves.moved.shape[0], moves.moved.shape[0] + K  # without the multipliers
    m = features - K  # without the channels
    # eta = Hx dtheta - (load and channels) dz
    bent = times(curvature, moves.moved[:m])
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
        own, weight = abs(here.received[k, k]), multipliers[k] * ratio[k]
        A[m + k, unknowns + k] = 1.0
        # omega_k = lambda_k c_k do_k + c_k o_k dlambda_k
        for j in range(unknowns):
            A[features + k, j] = -weight * moves.own_moved[k, j]
        A[features + k, features + k] += 1.0
        A[features + k, unknowns + k] = -ratio[k] * own
        right[features + k] = weight * moves.own_moved[k, unknowns]


@part
def feasibility(constraints: Constraints, here: Linearised, moves: Moves, A: FloatArray, right: FloatArray) -> None:
    """Write the rows of the slacks, which vanish: 2 c_k o_k do_k - (load and channels) dtheta = -slack."""
    load, ratio, moved = constraints.load, constraints.ratio, moves.moved
    (N, K), features = constraints.H.shape, moved.shape[0]
    unknowns = features + K
    drawn = np.zeros(unknowns + 1)
    for k in range(K + 1):
        for j in range(unknowns + 1):
            drawn[j] = 0.0
        for i in range(N):
            for j in range(unknowns + 1):
                drawn[j] += load[i, k] * moved[i, j]
        if k < K:
            own = abs(here.received[k, k])
            for j in range(unknowns + 1):
                drawn[j] += moved[features - K + k, j] - 2 * ratio[k] * own * moves.own_moved[k, j]
        for j in range(unknowns):
            A[unknowns + k, j] = -drawn[j]
        right[unknowns + k] = drawn[unknowns] - here.slack[k]


def step_of(multipliers: FloatArray, slack: FloatArray, A: FloatArray, right: FloatArray) -> FloatArray:
    """The unknowns, where a user whose constraint is not active has a multiplier that goes to zero.

    A constraint that such a step would violate becomes active. That matters where all multipliers
    go to zero: beams and sensing streams can then share a covariance in many ways, and only the
    constraints tell which of them serves the users.
    """
    K, first = multipliers.shape[-1] - 1, right.shape[-1] - multipliers.shape[-1]
    active = (multipliers[:, :K] > INACTIVE * multipliers[:, K:]) | (slack[:, :K] < -INACTIVE)
    x = held(multipliers, A, right, active)
    if active.all():
        return x
    left = (A[:, first : first + K, :first] @ x[:, :first, None])[..., 0] - right[:, first : first + K]
    violated = ~active & (left < -INACTIVE)
    again = np.flatnonzero(violated.any(axis=-1))
    if again.size:
        x[again] = held(multipliers[again], A[again], right[again], (active | violated)[again])
    return x


def held(multipliers: FloatArray, A: FloatArray, right: FloatArray, active: BoolArray) -> FloatArray:
    """The unknowns with multipliers of zero for the users whose constraints are not ``active`` (B, K)."""
    if not active.all():
        A, right, (b, k) = A.copy(), right.copy(), np.nonzero(~active)
        row = A.shape[-1] - active.shape[-1] - 1 + k
        A[b, row] = 0.0
        A[b, row, row] = 1.0
        right[b, row] = -multipliers[b, k]
    return solved(A, right)


def columns_each(
    constraints: Constraints,
    curvature: Curvature,
    linearised: Linearised,
    root: ComplexArray,
    Z: ComplexArray,
    x: FloatArray,
    dV: ComplexArray,
) -> None:
    """DV (B, N, L) of the unknowns x (B, n), member by member."""
    features, L = Z.shape[1:]
    for b in range(x.shape[0]):
        own, here = member(constraints, b), member(linearised, b)
        N, K = own.H.shape
        pushed = np.empty((features, L), np.complex128)
        for i in range(features):
            for s in range(L):
                pushed[i, s] = Z[b, i, s] * x[b, i]
        push = product(own.H, pushed[features - K :])
        bent = adjoint_times(curvature.features[b], pushed[N : features - K])
        for i in range(N):
            for s in range(L):
                push[i, s] += here.left[i, s] + pushed[i, s] + bent[i, s]
            for k in range(K):
                push[i, k] += own.H[i, k] * phase_of(here, k) * x[b, features + k]
        multiply(root[b], adjoint_times(root[b], push), dV[b])
