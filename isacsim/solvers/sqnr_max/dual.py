"""The best point under a surrogate: dual Newton method in the K + 1 multipliers, compiled.

The maximum of ``2 Re tr(C^H V) - tr(V^H M V)`` under the constraints of a `System` has the
dual function, with ``Phi = M + sum_j lambda_j (h_j h_j^H + diag(e |h_j|^2)) + mu I``::

    D(lambda, mu) = Re tr(C^H V) - sum_k lambda_k + mu,  v_l = Phi_l^-1 c_l

where Phi_l is Phi for a sensing stream and ``Phi - lambda_k c_k h_k h_k^H`` for the beam of user
k. D is convex where all Phi_l are positive definite, which for M > 0 and multipliers that are
not negative is ``s_k = lambda_k c_k h_k^H Phi^-1 h_k < 1``. Its gradient is the slack of the
constraints at V: at the minimum V meets them, and strong duality makes V the best point.

Functions here are of one member, and `minimise` goes through a batch: at these sizes the calls
of NumPy would take twenty times as long as the arithmetic.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.linalg  # noqa: F401 - its BLAS serves compiled code, and must be there before it is limited to one thread

from isacsim.compiled import compiled, part
from isacsim.linalg.blas import multiply, write
from isacsim.linalg.parts import inverted, real_inner, rows_squared, solve_into, times_adjoint
from isacsim.records import member
from isacsim.solvers.sqinr.system import Constraints, System, add_prices, write_slack
from isacsim.typing import BoolArray, ComplexArray, FloatArray

STEPS = 120  # far beyond the some ten that a search takes
TRIALS = 40  # shortened steps in a row after which a member stays where it is
ARMIJO = 1e-4  # share of the predicted fall that a step must bring
ROUNDING = 1e-13  # relative change of D that rounding explains
FLATTENS = 0.5  # where D is flat to rounding, by how much a step must lower its slope
ZERO = 1e-14  # a multiplier below this share of the largest is none


class Subproblem(NamedTuple):
    """What one member maximises, and under which constraints.

    Attributes:
        C: Linear term of the surrogate, (N, L).
        M: Quadratic term, (N, N), positive definite.
        constraints: Those of the member.
    """

    C: ComplexArray
    M: ComplexArray
    constraints: Constraints


class DualPoint(NamedTuple):
    """Room for the dual function at one point, which `evaluate` writes to: nothing is allocated in a search.

    Attributes:
        numbers: D, its term ``Re tr(C^H V)``, and the sum of the sizes of its terms, which sets its rounding.
        slope: Its gradient, the slack of the constraints at V, (K+1,).
        V: The point that is best for these multipliers, (N, L).
        share: s_k, (K,).
        inverse: ``Phi^-1``, (N, N).
        U: ``Phi^-1 H``, (N, K).
        HU: ``H^H Phi^-1 H``, (K, K).
        received: ``H^H V``, (K, L).
        boost: ``Phi_k^-1 = Phi^-1 + boost_k u_k u_k^H`` for the beam of user k, (K,).
    """

    numbers: FloatArray
    slope: FloatArray
    V: ComplexArray
    share: FloatArray
    inverse: ComplexArray
    U: ComplexArray
    HU: ComplexArray
    received: ComplexArray
    boost: FloatArray


def minimise(
    system: System, C: ComplexArray, M: ComplexArray, multipliers: FloatArray, tolerance: FloatArray
) -> tuple[FloatArray, ComplexArray]:
    """Multipliers (B, K+1) at the minimum of the dual function, and V (B, N, L) there.

    Args:
        system: The members.
        C: Linear terms, (B, N, L).
        M: Quadratic terms, (B, N, N), positive definite.
        multipliers: Where to start, (B, K+1), not negative.
        tolerance: Largest violation, or slack of a constraint with a multiplier, and largest
            share of what V gains that slacks times multipliers make up, (B,).
    """
    found, V = np.empty_like(multipliers), np.empty_like(C)
    compiled(minimise_each, allocates=True)(system.constraints, C, M, multipliers, tolerance, found, V)
    return found, V


@part
def room(N: int, K: int, L: int) -> DualPoint:
    """Room for a point of N chains, K users and L streams."""
    return DualPoint(
        np.zeros(3),
        np.zeros(K + 1),
        np.zeros((N, L), np.complex128),
        np.zeros(K),
        np.zeros((N, N), np.complex128),
        np.zeros((N, K), np.complex128),
        np.zeros((K, K), np.complex128),
        np.zeros((K, L), np.complex128),
        np.zeros(K),
    )


def minimise_each(
    constraints: Constraints,
    C: ComplexArray,
    M: ComplexArray,
    multipliers: FloatArray,
    tolerance: FloatArray,
    found: FloatArray,
    V: ComplexArray,
) -> None:
    """`minimise` into ``found`` and ``V``, member by member: projected Newton steps, scaled by the diagonal."""
    (N, L), n = C.shape[1:], multipliers.shape[1]
    here, there = room(N, n - 1, L), room(N, n - 1, L)
    z, trial, step, rests, bend = np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n, np.bool_), np.zeros((n, n))
    for b in range(C.shape[0]):
        problem = Subproblem(C[b], M[b], member(constraints, b))
        write(multipliers[b], z)
        lower, off = entered(problem, z, here), np.inf
        for _ in range(STEPS):
            before = off
            off = error(z, here, rests)
            if not lower or off < tolerance[b]:
                break
            curvature(problem, here, bend)
            fall = newton_step(bend, here.slope, rests, step)
            if not (fall >= ROUNDING * here.numbers[2] or off <= FLATTENS * before):
                break
            lower = lowered(problem, z, here, step, trial, there)
            if lower:
                z, trial, here, there = trial, z, there, here
        write(z, found[b])
        write(here.V, V[b])


@part
def evaluate(problem: Subproblem, z: FloatArray, point: DualPoint) -> bool:
    """The dual function at multipliers (K+1,), and whether all s_k < 1: elsewhere only ``share`` means something."""
    C, constraints, V, U, HU = problem.C, problem.constraints, point.V, point.U, point.HU
    (N, L), K = C.shape, z.size - 1
    write(problem.M, point.inverse)
    add_prices(constraints, z, point.inverse)
    write(inverted(point.inverse), point.inverse)
    multiply(point.inverse, constraints.H, U)
    multiply(point.inverse, C, V)
    multiply(constraints.HH, U, HU)
    multiply(constraints.HH, V, point.received)
    inside, spent, gained = True, 0.0, 0.0
    for k in range(K):
        weight = z[k] * constraints.ratio[k]
        point.share[k] = weight * HU[k, k].real
        spent += z[k]
        if not point.share[k] < 1:
            inside = False
            continue
        point.boost[k] = weight / (1 - point.share[k])
        own = point.boost[k] * point.received[k, k]
        for i in range(N):
            V[i, k] += own * U[i, k]
        for j in range(K):
            point.received[j, k] += own * HU[j, k]
    for i in range(N):
        for s in range(L):
            gained += real_inner(C[i, s], V[i, s])
    write_slack(constraints, point.received, rows_squared(V), point.slope)
    point.numbers[0], point.numbers[1], point.numbers[2] = gained + z[K] - spent, gained, gained + z[K] + spent
    return inside


@part
def curvature(problem: Subproblem, point: DualPoint, half: FloatArray) -> None:
    """Write half of the Hessian of D, (K+1, K+1), not yet symmetric.

    It is ``2 Re sum_l (E_i v_l)^H Phi_l^-1 (E_j v_l)`` with ``E_j = dPhi_l / dz_j``. For all columns
    E_j is made of the features [I, H] of the constraints, so that the sum over columns is one
    Hadamard product; what is special about a user's own column has rank one.
    """
    load, ratio = problem.constraints.load, problem.constraints.ratio
    U, HU, V, received = point.U, point.HU, point.V, point.received
    N, K = U.shape
    R, Rh, Rhh = times_adjoint(V, V), times_adjoint(V, received), times_adjoint(received, received)
    drawn, W = np.zeros(K + 1), np.zeros(K + 1, np.complex128)
    for j in range(K + 1):
        for k in range(K + 1):
            half[j, k] = 0.0
    for i in range(N):
        for k in range(K + 1):
            drawn[k] = 0.0
        for j in range(N):
            alike = real_inner(point.inverse[i, j], R[i, j])
            for k in range(K + 1):
                drawn[k] += load[j, k] * alike
        for k in range(K):
            drawn[k] += 2 * real_inner(U[i, k], Rh[i, k])
        for j in range(K + 1):
            for k in range(K + 1):
                half[j, k] += load[i, j] * drawn[k]
    for k in range(K):
        for j in range(K):
            half[j, k] += real_inner(HU[j, k], Rhh[j, k])
        # Own column: E_k lacks c_k h_k h_k^H, and Phi_k^-1 has a term of rank one more.
        own = ratio[k] * received[k, k]
        for j in range(K + 1):
            W[j] = 0.0  # u_k^H E_j v_k
        for i in range(N):
            seen = np.conj(U[i, k]) * V[i, k]
            for j in range(K + 1):
                W[j] += load[i, j] * seen
        for j in range(K):
            W[j] += np.conj(HU[j, k]) * received[j, k]
        for j in range(K + 1):
            half[j, k] -= 2 * real_inner(own, W[j])
        half[k, k] += real_inner(own, own) * HU[k, k].real
        W[k] -= own * HU[k, k].real
        for i in range(K + 1):
            for j in range(K + 1):
                half[i, j] += point.boost[k] * real_inner(W[i], W[j])


@part
def entered(problem: Subproblem, z: FloatArray, point: DualPoint) -> bool:
    """Change multipliers (K+1,) until they are inside the domain, with the dual function there; whether they are."""
    K = z.size - 1
    for attempt in range(TRIALS + 1):
        if attempt:
            # Smaller multipliers of the users, then a larger one of the power, which makes Phi larger.
            many = attempt > 4
            for k in range(K):
                z[k] *= (0.7 / point.share[k] if point.share[k] >= 1 else 1.0) * (0.5 if many else 1.0)
            z[K] = z[K] * (1.5 if many else 1.0) + 1e-12
        if evaluate(problem, z, point):  # in one place: it would be compiled for each
            return True
    return False


@part
def lowered(
    problem: Subproblem, z: FloatArray, point: DualPoint, step: FloatArray, trial: FloatArray, there: DualPoint
) -> bool:
    """Whether a step (K+1,), shortened where it must be, is low enough: it leads to ``trial``, ``there``."""
    length = 1.0
    for _ in range(TRIALS):
        predicted = 0.0
        for j in range(z.size):
            trial[j] = max(z[j] + length * step[j], 0.0)
            predicted += point.slope[j] * (trial[j] - z[j])
        inside = evaluate(problem, trial, there)
        if inside and there.numbers[0] <= point.numbers[0] + ARMIJO * predicted + ROUNDING * there.numbers[2]:
            return True
        if inside:
            length *= 0.5
            continue
        reach = 1.0  # a step that leaves the domain ends well before its boundary
        for k in range(z.size - 1):
            before, after = point.share[k], there.share[k]
            if after >= 1 and after > before:
                reach = min(reach, (1 - before) / (after - before))
        length *= min(max(0.8 * reach, 0.1), 0.7)
    return False


@part
def error(z: FloatArray, point: DualPoint, rests: BoolArray) -> float:
    """The largest violation, or slack of a constraint with a multiplier, or share of the gain in slacks times them.

    Also writes which multipliers rest, (K+1,): they are zero and would become negative.
    """
    worst, shares, largest = 0.0, 0.0, 0.0
    for j in range(z.size):
        largest = max(largest, z[j])
    for j in range(z.size):
        slope = point.slope[j]
        rests[j] = slope > 0 and z[j] <= ZERO * (1 + largest)
        if not rests[j]:
            worst = max(worst, -slope if z[j] <= 0 else abs(slope))
        shares += z[j] * abs(slope)
    return max(worst, shares / point.numbers[1])


@part
def newton_step(bend: FloatArray, slope: FloatArray, rests: BoolArray, step: FloatArray) -> float:
    """Write the Newton step (K+1,) of the multipliers that do not rest; the fall that it promises to first order.

    NaN where the Hessian is singular, half of which ``bend`` is; it is overwritten.
    """
    n = slope.size
    scale = np.empty(n)
    for j in range(n):
        scale[j] = np.sqrt(max(2 * bend[j, j], 1e-100))
        step[j] = 0.0 if rests[j] else -slope[j] / scale[j]
        for i in range(j):
            both = bend[i, j] + bend[j, i]
            bend[i, j] = bend[j, i] = 0.0 if rests[i] or rests[j] else both / (scale[i] * scale[j])
        bend[j, j] = 1.0 + 1e-13  # in units of the diagonal; so much more keeps it regular to rounding
    solve_into(bend, step)
    fall = 0.0
    for j in range(n):
        step[j] /= scale[j]
        fall -= slope[j] * step[j]
    return fall
