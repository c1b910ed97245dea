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

from typing import Any, NamedTuple

import numpy as np

from isacsim.compiled import compiled, part
from isacsim.solvers.parts import inverted, outer, product, put, real_inner, rows_squared, solved
from isacsim.solvers.sqinr.system import Constraints, System, member, priced, slack_of
from isacsim.typing import BoolArray, ComplexArray, FloatArray

STEPS = 120
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

    C: Any
    M: Any
    constraints: Constraints


class DualPoint(NamedTuple):
    """The dual function at one point.

    Attributes:
        inside: Whether all s_k < 1; elsewhere only ``share`` means something.
        value: D.
        gained: Its term ``Re tr(C^H V)``.
        terms: Sum of the sizes of its terms, which sets its rounding.
        slope: Its gradient, the slack of the constraints at V, (K+1,).
        V: The point that is best for these multipliers, (N, L).
        share: s_k, (K,).
        inverse: ``Phi^-1``, (N, N).
        U: ``Phi^-1 H``, (N, K).
        HU: ``H^H Phi^-1 H``, (K, K).
        received: ``H^H V``, (K, L).
        boost: ``Phi_k^-1 = Phi^-1 + boost_k u_k u_k^H`` for the beam of user k, (K,).
    """

    inside: Any
    value: Any
    gained: Any
    terms: Any
    slope: Any
    V: Any
    share: Any
    inverse: Any
    U: Any
    HU: Any
    received: Any
    boost: Any


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
    compiled(minimise_each)(system.constraints, C, M, multipliers, tolerance, found, V)
    return found, V


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
    for b in range(len(C)):
        problem = Subproblem(C[b], M[b], member(constraints, b))
        z, point = entered(problem, multipliers[b])
        off, lower = np.inf, point.inside
        for _ in range(STEPS):
            rests, before = resting(z, point.slope), off
            off = error(z, point, rests)
            if not lower or off < tolerance[b]:
                break
            step, fall = newton_step(curvature(problem, point), point.slope, rests)
            if not (fall >= ROUNDING * point.terms or off <= FLATTENS * before):
                break
            lower, z, point = lowered(problem, z, point, step)
        put(z, found[b])
        put(point.V, V[b])


@part
def evaluate(problem: Subproblem, z: FloatArray) -> DualPoint:
    """The dual function at multipliers (K+1,)."""
    C, constraints = problem.C, problem.constraints
    HH, ratio = constraints.HH, constraints.ratio
    K, N = HH.shape
    inverse = inverted(problem.M + priced(constraints, z))
    U, V = product(inverse, constraints.H), product(inverse, C)
    HU, received = product(HH, U), product(HH, V)
    inside, share, boost = True, np.zeros(K), np.zeros(K)
    for k in range(K):
        weight = z[k] * ratio[k]
        share[k] = weight * HU[k, k].real
        if not share[k] < 1:
            inside = False
            continue
        boost[k] = weight / (1 - share[k])
        own = boost[k] * received[k, k]
        for i in range(N):
            V[i, k] += own * U[i, k]
        for j in range(K):
            received[j, k] += own * HU[j, k]
    gained, spent = 0.0, 0.0
    for i in range(N):
        for s in range(V.shape[1]):
            gained += real_inner(C[i, s], V[i, s])
    for k in range(K):
        spent += z[k]
    slope = slack_of(constraints, received, rows_squared(V))
    value, terms = gained + z[K] - spent, gained + z[K] + spent
    return DualPoint(inside, value, gained, terms, slope, V, share, inverse, U, HU, received, boost)


@part
def curvature(problem: Subproblem, point: DualPoint) -> FloatArray:
    """The Hessian of D, (K+1, K+1): ``2 Re sum_l (E_i v_l)^H Phi_l^-1 (E_j v_l)`` with ``E_j = dPhi_l / dz_j``.

    For all columns E_j is made of the features [I, H] of the constraints, so that the sum over
    columns is one Hadamard product; what is special about a user's own column has rank one.
    What is added up here is half of it, and not yet symmetric.
    """
    load, ratio = problem.constraints.load, problem.constraints.ratio
    U, HU, V, received = point.U, point.HU, point.V, point.received
    N, K = U.shape
    R, Rh, Rhh = outer(V, V), outer(V, received), outer(received, received)
    half, drawn, W = np.zeros((K + 1, K + 1)), np.empty(K + 1), np.empty(K + 1, np.complex128)
    for i in range(N):
        drawn[:] = 0.0
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
        W[:] = 0.0  # u_k^H E_j v_k
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
    return half + half.T


@part
def entered(problem: Subproblem, multipliers: FloatArray) -> tuple[FloatArray, DualPoint]:
    """Multipliers (K+1,) inside the domain, if any are found, and the dual function there."""
    z = multipliers.copy()
    point, K = evaluate(problem, z), z.size - 1
    for attempt in range(TRIALS):
        if point.inside:
            break
        # Smaller multipliers of the users, then a larger one of the power.
        many = attempt > 3
        for k in range(K):
            z[k] *= (0.7 / point.share[k] if point.share[k] >= 1 else 1.0) * (0.5 if many else 1.0)
        z[K] = z[K] * (1.5 if many else 1.0) + 1e-12
        point = evaluate(problem, z)
    return z, point


@part
def lowered(
    problem: Subproblem, z: FloatArray, point: DualPoint, step: FloatArray
) -> tuple[bool, FloatArray, DualPoint]:
    """Whether a step (K+1,), shortened where it must be, is low enough; where it leads, else where it begins."""
    length, trial = 1.0, np.empty(z.size)
    for _ in range(TRIALS):
        predicted = 0.0
        for j in range(z.size):
            trial[j] = max(z[j] + length * step[j], 0.0)
            predicted += point.slope[j] * (trial[j] - z[j])
        there = evaluate(problem, trial)
        if there.inside and there.value <= point.value + ARMIJO * predicted + ROUNDING * there.terms:
            return True, trial, there
        if there.inside:
            length *= 0.5
            continue
        reach = 1.0  # a step that leaves the domain ends well before its boundary
        for k in range(z.size - 1):
            before, after = point.share[k], there.share[k]
            if after >= 1 and after > before:
                reach = min(reach, (1 - before) / (after - before))
        length *= min(max(0.8 * reach, 0.1), 0.7)
    return False, z, point


@part
def resting(z: FloatArray, slope: FloatArray) -> BoolArray:
    """Which multipliers are zero and would become negative, (K+1,)."""
    rests = np.zeros(z.size, np.bool_)
    for j in range(z.size):
        rests[j] = slope[j] > 0 and z[j] <= ZERO * (1 + z.max())
    return rests


@part
def error(z: FloatArray, point: DualPoint, rests: BoolArray) -> float:
    """The largest violation, or slack of a constraint with a multiplier, or share of the gain in slacks times them."""
    worst, shares = 0.0, 0.0
    for j in range(z.size):
        slope = point.slope[j]
        if not rests[j]:
            worst = max(worst, -slope if z[j] <= 0 else abs(slope))
        shares += z[j] * abs(slope)
    return max(worst, shares / point.gained)


@part
def newton_step(bend: FloatArray, slope: FloatArray, rests: BoolArray) -> tuple[FloatArray, float]:
    """Newton step (K+1,) of the multipliers that do not rest, and the fall that it promises to first order.

    NaN where the Hessian ``bend`` is singular; it is overwritten.
    """
    n = slope.size
    scale, right = np.empty(n), np.zeros(n)
    for j in range(n):
        scale[j] = np.sqrt(max(bend[j, j], 1e-100))
        if not rests[j]:
            right[j] = -slope[j] / scale[j]
        for i in range(j):
            bend[i, j] = bend[j, i] = 0.0 if rests[i] or rests[j] else bend[i, j] / (scale[i] * scale[j])
        bend[j, j] = 1.0 + 1e-13
    step, fall = solved(bend, right), 0.0
    for j in range(n):
        step[j] /= scale[j]
        fall -= slope[j] * step[j]
    return step, fall
