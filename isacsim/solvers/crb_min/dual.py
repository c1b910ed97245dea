"""Certified lower bounds from the dual of the reduced problem.

With s_k = 1 / (h_k^H M^-1 h_k) and lambda_k = s_k / a_k each M > 0 and mu > 0 with
``Q = mu I - M + sum_k lambda_k h_k h_k^H >= 0`` bounds the objective from below by::

    2 tr(Q^1/2) + 2 (N_t - r) mu^1/2 + sum_k lambda_k sigma_k^2 - mu N_t

Q and lambda are homogeneous in (M, mu). On the ray through them the best bound is::

    (tr(Q^1/2) + (N_t - r) mu^1/2)^2 / (mu N_t - sum_k lambda_k sigma_k^2)

A point whose Q is not positive semidefinite becomes feasible by raising mu.
"""

from __future__ import annotations

from typing import Annotated, NamedTuple

import numpy as np

from isacsim.batch import hermitian_part
from isacsim.compiled import brief, compiled, few_passes
from isacsim.linalg.blas import multiply, write
from isacsim.linalg.lapack import adjoint_multiply, combine, eigenvalues, invert, multiply_adjoint, scale
from isacsim.linalg.parts import real_inner, real_trace, scale_columns, shift, solve_into, symmetrise
from isacsim.linalg.stacked import sane
from isacsim.records import blank, laid, member
from isacsim.solvers.crb_min.reduction import NOISE, SHARE, THRESHOLD, Member, Reduced, Sizes
from isacsim.solvers.sqinr.least_power import Uplink, uplink_of
from isacsim.typing import ComplexArray, FloatArray

MU, SURPLUS, PROVEN = range(3)  # mu, N_t - sum_k lambda_k sigma_k^2 / mu, and the bound of a point
LIFT = 1.01  # by how much more than the least eigenvalue asks for mu is raised
EPS = float(np.finfo(float).eps)
NEAR = 0.01  # surplus, relative to N_t, below which lambda is found anew
LOCAL = 1e-8  # logarithm of lambda up to which one Newton step leaves no more than rounding


class Dual(NamedTuple):
    """The dual of a reduced problem at M = L L^H and mu; in NumPy that of B of them, with one more axis in front."""

    L: Annotated[ComplexArray, "r r"]  #: A factor of M, not triangular in general
    inverse: Annotated[ComplexArray, "r r"]  #: L^-1
    Y: Annotated[ComplexArray, "r K"]  #: L^-1 H
    s: Annotated[FloatArray, "K"]  #: s_k
    multipliers: Annotated[FloatArray, "K"]  #: lambda_k
    Q: Annotated[ComplexArray, "r r"]
    numbers: Annotated[FloatArray, "3"]  #: By the names MU to PROVEN

    @property
    def bound(self) -> FloatArray:
        """The proven bound on the objective, (B,); -inf if there is none."""
        return np.asarray(self.numbers[..., PROVEN])


def evaluate(reduced: Reduced, L: ComplexArray, mu: FloatArray) -> Dual:
    """The dual at ``M = L L^H`` and mu."""
    sizes = reduced.sizes
    duals, here = blank(Dual, sizes, len(L)), blank(Scratch, sizes)
    dual = laid(Dual, duals, sizes)
    dual.L[:], dual.numbers[:, MU] = L, mu
    compiled(dual_each)(reduced.arrays, duals, here, sizes)
    return dual


class Scratch(NamedTuple):
    """What parts write to on their way, of one member."""

    small: Annotated[ComplexArray, "3 r r"]
    tall: Annotated[ComplexArray, "2 r K"]
    cross: Annotated[ComplexArray, "3 K K"]
    system: Annotated[FloatArray, "K K"]
    rows: Annotated[FloatArray, "3 K"]
    spectra: Annotated[FloatArray, "2 r"]
    dyads: Annotated[FloatArray, "K n"]
    vectors: Annotated[FloatArray, "3 n"]


@brief
def dual_at(problem: Member, dual: Dual, here: Scratch) -> None:
    """Write the dual of one member at its ``M = L L^H`` and mu."""
    H, terms, antennas = problem
    L, inverse, Y, s, multipliers, Q, numbers = dual
    r, K = H.shape
    M, charged, paid, mu = here.small[0], here.tall[0], 0.0, numbers[MU]
    write(L, inverse)
    invert(inverse)
    multiply(inverse, H, Y)
    for k in range(K):
        gain = 0.0
        for i in range(r):
            gain += real_inner(Y[i, k], Y[i, k])
        s[k] = 1 / gain
        multipliers[k] = s[k] * terms[SHARE, k]
        paid += multipliers[k] * terms[NOISE, k]
    scale_columns(H, multipliers, charged)
    multiply_adjoint(charged, H, Q)
    multiply_adjoint(L, L, M)
    combine(-1.0, M, 1.0, Q)
    symmetrise(Q)
    shift(Q, mu)
    surplus, size = antennas - paid / mu, K * mu + real_trace(M)
    numbers[SURPLUS], numbers[PROVEN] = surplus, bound_at(problem, multipliers, Q, mu, surplus, size, here)


@brief
def bound_at(
    problem: Member, multipliers: FloatArray, Q: ComplexArray, mu: float, surplus: float, size: float, here: Scratch
) -> float:
    """The bound of the ray through (M, mu), raised to a positive semidefinite Q; -inf if there is none."""
    (r, K), antennas = problem.H.shape, problem.antennas
    spectrum, copy = here.spectra[0], here.small[0]
    write(Q, copy)
    eigenvalues(copy, spectrum)
    least, most = spectrum[0], spectrum[r - 1]
    lift, rounding = LIFT * max(-least, 0.0), EPS * r * max(abs(least), abs(most))
    gained = (antennas - r) * np.sqrt(mu + lift)
    for i in range(r):
        gained += np.sqrt(max(spectrum[i] + lift - rounding, 0.0))
    # This Q belongs to another M, by the rounding of its terms: mu pays for that.
    cost = mu * surplus + (lift + EPS * size) * antennas
    if surplus < NEAR * antennas and most < 0.5 * mu:
        exact = (mu * (1 + EPS * K) + lift) * antennas - paid_at(problem, multipliers, Q, mu, here)
        cost = exact if np.isfinite(exact) else cost
    sound = np.isfinite(least) and np.isfinite(cost) and cost > 0 and mu > 0
    return gained * gained / cost if sound else -np.inf


@brief
def paid_at(problem: Member, multipliers: FloatArray, Q: ComplexArray, mu: float, here: Scratch) -> float:
    """``sum_k lambda_k sigma_k^2`` with the largest lambda that Q and mu allow; NaN if that is not close by.

    Just above the least power the surplus is no more than what M has lost of mu to rounding.
    From Q and mu themselves lambda follows like the least power, over noise of covariance
    ``mu I - Q``; at SINRs that are lower by what rounding may have raised them.
    """
    H, terms, _ = problem
    cross, rows, noise = here.cross, here.rows, here.small[0]
    sinr, off, rest = rows[0], rows[1], rows[2]
    jacobian, gram, whitened = here.system, cross[0], here.tall[0]
    write(Q, noise)
    scale(-1.0, noise, noise)
    shift(noise, mu)
    invert(noise)
    multiply(noise, H, whitened)
    adjoint_multiply(H, whitened, gram)
    uplink_of(gram, multipliers, Uplink(sinr, jacobian, off, rest, cross[1], cross[2]))
    for k in range(rest.size):
        rest[k] = -np.log(sinr[k] / terms[THRESHOLD, k]) - EPS * (1 + off[k])
    solve_into(jacobian, rest)
    paid = 0.0
    for k in range(rest.size):
        paid += multipliers[k] * np.exp(rest[k]) * terms[NOISE, k] if abs(rest[k]) <= LOCAL else np.nan
    return paid


@brief
def along(dual: Dual, v: ComplexArray) -> None:
    """Write ``v_k = s_k M^-1 h_k``, along which the users' beams of least weight lie, of one member, (r, K)."""
    adjoint_multiply(dual.inverse, dual.Y, v)
    scale_columns(v, dual.s, v)


@few_passes
def dual_each(problems: Member, duals: FloatArray, work: FloatArray, sizes: Sizes) -> None:
    """Write the dual of B members at their L and mu."""
    here = laid(Scratch, work, sizes)
    for b in range(len(duals)):
        dual_at(member(problems, b), laid(Dual, duals[b], sizes), here)


def from_multipliers(reduced: Reduced, multipliers: FloatArray, Q: ComplexArray, mu: FloatArray) -> Dual:
    """The dual near approximate multipliers lambda (B, K), Q (B, r, r) and mu (B,).

    M is what stationarity makes of them, pushed into the positive definite matrices; the
    lambda that belong to it are found anew, so that errors enter the bound squared.
    """
    M = (reduced.H * np.maximum(multipliers, 0.0)[:, None, :]) @ reduced.HH - hermitian_part(Q)
    M, _ = sane(M + mu[:, None, None] * np.eye(reduced.rank))
    spectrum, U = np.linalg.eigh(M)
    # So far inside that M stays regular; what this takes from the bound is the square of it.
    spectrum = np.maximum(spectrum, 1e-9 * np.maximum(np.abs(mu), spectrum[:, -1])[:, None])
    return evaluate(reduced, U * np.sqrt(spectrum)[:, None, :], mu)
