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
"""

from __future__ import annotations

from typing import Any

import numpy as np
from attrs import frozen

from isacsim.batch import rows, take
from isacsim.solvers.linear import adjoint, solved
from isacsim.solvers.sqnr_max.kkt import Kkt
from isacsim.solvers.sqnr_max.objectives import Curvature, Surrogate
from isacsim.solvers.sqnr_max.system import System
from isacsim.typing import ComplexArray, FloatArray

FLOOR = 1e-6  # least eigenvalue of the common block, relative to the multiplier of the power
CACHE = 2**20  # bytes that the largest array of a block of members may take
INACTIVE = 1e-9  # a user's multiplier below this share of that of the power, with slack, is none


@frozen(eq=False)
class Moves:
    """How features and own amplitudes of B members move with eta (m+K) and omega (K).

    Attributes:
        Z: ``Z^H V``, (B, m+K, L): R_ii, the curvature's features, the channels.
        root: ``U |spectrum|^-1/2``, a root of the inverse common block, (B, N, N).
        phase: Phases of ``h_k^H v_k``, (B, K).
        own: Their sizes, (B, K).
        moved: ``dtheta`` for eta, omega and for what is left, (B, m+K, m+K+K+1).
        own_moved: The same of the own amplitudes, ``Re(conj(phase_k) h_k^H dv_k)``, (B, K, m+K+K+1).
    """

    Z: Any = rows(2)
    root: Any = rows(2)
    phase: Any = rows(1)
    own: Any = rows(1)
    moved: Any = rows(2)
    own_moved: Any = rows(2)


def newton_direction(
    system: System, V: ComplexArray, multipliers: FloatArray, surrogate: Surrogate, kkt: Kkt
) -> tuple[ComplexArray, FloatArray]:
    """Newton step of V (B, N, L) and of the multipliers (B, K+1)."""
    members = len(V)
    size = max(1, CACHE // (16 * system.objective.features**2))
    if members <= size:
        return _direction(system, V, multipliers, surrogate, kkt)
    parts = []
    for i in range(0, members, size):
        at = np.arange(i, min(i + size, members))
        parts.append(_direction(take(system, at), V[at], multipliers[at], take(surrogate, at), take(kkt, at)))
    return np.concatenate([dV for dV, _ in parts]), np.concatenate([dz for _, dz in parts])


def _direction(
    system: System, V: ComplexArray, multipliers: FloatArray, surrogate: Surrogate, kkt: Kkt
) -> tuple[ComplexArray, FloatArray]:
    N, K = system.antennas, system.users
    curvature = system.objective.curvature(surrogate, V)
    moves = _moves(system, V, multipliers, kkt, curvature)
    A, right = _matrix(system, multipliers, kkt, curvature, moves)
    x = solved(A, right)
    eta, omega, change = np.split(x, [len(moves.Z[0]), len(moves.Z[0]) + K], axis=-1)
    pushed = eta[:, :, None] * moves.Z
    push = kkt.left + pushed[:, :N] + adjoint(curvature.features) @ pushed[:, N : pushed.shape[1] - K]
    push += system.H @ pushed[:, pushed.shape[1] - K :]
    push[..., :K] += system.H * (moves.phase * omega)[:, None, :]
    return moves.root @ (adjoint(moves.root) @ push), change


def _moves(system: System, V: ComplexArray, multipliers: FloatArray, kkt: Kkt, curvature: Curvature) -> Moves:
    K = system.users
    k = np.arange(K)
    floor = FLOOR * multipliers[:, -1:]
    # Where a stream could still gain, all curvature is raised by that much: S is indefinite there.
    sizes = np.maximum(np.abs(kkt.spectrum), floor) + np.maximum(kkt.spectrum[:, -1:], 0.0)
    root = kkt.U / np.sqrt(sizes)[:, None, :]
    Z = np.concatenate([V, curvature.seen, kkt.received], axis=-2)
    ZU = np.concatenate([root, curvature.features @ root, system.HH @ root], axis=-2)
    amplitude = kkt.received[:, k, k]
    own = np.abs(amplitude)
    phase = amplitude / np.where(own > 0, own, 1.0)
    m = Z.shape[-2]
    inverse, seen = ZU @ adjoint(ZU), Z @ adjoint(Z)
    left = ZU @ (adjoint(root) @ kkt.left)
    moved = np.empty((len(V), m, m + K + 1))
    np.multiply(inverse.real, seen.real, out=moved[..., :m])
    moved[..., :m] += inverse.imag * seen.imag
    across = inverse[..., m - K :] * phase[:, None, :]
    moved[..., m : m + K] = (np.conj(Z[..., :K]) * across).real
    moved[..., -1] = (Z.real * left.real + Z.imag * left.imag).sum(axis=-1)
    moved *= 2
    own_moved = np.zeros((len(V), K, m + K + 1))
    own_moved[..., :m] = np.swapaxes(moved[..., m : m + K], -1, -2) / 2
    own_moved[:, k, m + k] = inverse[:, m - K + k, m - K + k].real
    own_moved[..., -1] = (np.conj(phase) * left[:, m - K + k, k]).real
    return Moves(Z, root, phase, own, moved, own_moved)


def _matrix(
    system: System, multipliers: FloatArray, kkt: Kkt, curvature: Curvature, moves: Moves
) -> tuple[FloatArray, FloatArray]:
    """Matrix and right side of the equations of eta, omega and the changes of the multipliers."""
    N, K = system.antennas, system.users
    k = np.arange(K)
    features = moves.Z.shape[-2]
    m, unknowns = features - K, features + K  # without the channels; without the multipliers
    A = np.zeros((len(multipliers), unknowns + K + 1, unknowns + K + 1))
    right = np.zeros((len(multipliers), unknowns + K + 1))
    # eta = Hx dtheta - (load and channels) dz
    bent = curvature.times(moves.moved[:, :m])
    A[:, :m, :unknowns] = -bent[..., :-1]
    i = np.arange(features)
    A[:, i, i] += 1.0
    A[:, :N, unknowns:] = system.load
    A[:, m + k, unknowns + k] = 1.0
    right[:, :m] = bent[..., -1]
    # omega_k = lambda_k c_k do_k + c_k o_k dlambda_k
    weights = multipliers[:, :-1] * system.ratio
    A[:, features + k, features + k] = 1.0
    A[:, features:unknowns, :unknowns] -= weights[..., None] * moves.own_moved[..., :-1]
    A[:, features + k, unknowns + k] = -system.ratio * moves.own
    right[:, features:unknowns] = weights * moves.own_moved[..., -1]
    # The slacks vanish: 2 c_k o_k do_k - (load and channels) dtheta = -slack
    drawn = system.load_rows @ moves.moved[:, :N]
    drawn[:, :K] += moves.moved[:, m:]
    drawn[:, :K] -= (2 * system.ratio * moves.own)[..., None] * moves.own_moved
    A[:, unknowns:, :unknowns] = -drawn[..., :-1]
    right[:, unknowns:] = drawn[..., -1] - kkt.slack
    _hold(A, right, unknowns, multipliers, kkt)
    return A, right


def _hold(A: FloatArray, right: FloatArray, unknowns: int, multipliers: FloatArray, kkt: Kkt) -> None:
    """A user whose constraint is not active: its multiplier goes to zero."""
    users = multipliers[:, :-1]
    idle = (users <= INACTIVE * multipliers[:, -1:]) & (kkt.slack[:, :-1] >= -INACTIVE)
    b, k = np.nonzero(idle)
    A[b, unknowns + k, :] = 0.0
    A[b, unknowns + k, unknowns + k] = 1.0
    right[b, unknowns + k] = -users[b, k]
