"""The optimality conditions of a `System` at a point, as a method needs them at each step.

With S the derivative of the Lagrangian by the covariance of a stream that serves no user, and
``S_k = S + lambda_k c_k h_k h_k^H`` for the beam of user k, they are ``S_l v_l = 0`` for all
columns, S_l negative semidefinite, constraints and complementarity.
"""

from __future__ import annotations

import numpy as np
from attrs import frozen

from isacsim.batch import frobenius2, inner, rows, squared
from isacsim.compiled import compiled
from isacsim.linalg.blas import multiply
from isacsim.linalg.stacked import eigh
from isacsim.records import member
from isacsim.solvers.sqinr.objective import Surrogate
from isacsim.solvers.sqinr.system import Constraints, System, add_prices, violation, write_slack
from isacsim.typing import ComplexArray, FloatArray

BISECTIONS = 40  # which leave 1e-12 of the interval


@frozen(eq=False)
class Kkt:
    """The conditions at points of B members."""

    value: FloatArray = rows()  #: f, (B,)
    gradient: ComplexArray = rows(2)  #: df/dR, (B, N, N)
    spectrum: FloatArray = rows(1)  #: Eigenvalues of S, rising, (B, N)
    U: ComplexArray = rows(2)  #: Its eigenvectors, (B, N, N)
    left: ComplexArray = rows(2)  #: ``S_l v_l``, (B, N, L)
    received: ComplexArray = rows(2)  #: ``H^H V``, (B, K, L)
    slack: FloatArray = rows(1)  #: Slack of each constraint, (B, K+1)
    violation: FloatArray = rows()  #: The largest relative violation of a constraint, (B,)

    def errors(self, multipliers: FloatArray, V: ComplexArray, size: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The largest relative error with the streams that there are, and what a new stream would gain, (B,).

        Stationarity is ``||S_l v_l|| ||V||`` over all columns. Complementarity counts a hundred
        times, since it costs objective to first order, a violation ten thousand times. What a
        stream gains is the largest eigenvalue of S. For a user's beam that of S_k need not be
        asked: S_k exceeds S by a matrix of rank one and has the null vector v_k, so that it is 0
        where that of S is.
        """
        stationarity = np.sqrt(frobenius2(self.left) * frobenius2(V)) / size
        complementarity = np.abs(multipliers * self.slack).sum(axis=-1) / size
        worst = np.maximum(stationarity, 1e2 * complementarity)
        return np.maximum(worst, 1e4 * self.violation), self.spectrum[:, -1] / size

    def excess(self, multipliers: FloatArray, V: ComplexArray, largest: FloatArray) -> FloatArray:
        """Bound on ``<df/dR, R' - R>`` over all R' that meet the constraints, if no S_l exceeds ``largest``, (B,)."""
        dual = np.maximum(largest, 0.0) + multipliers[:, -1] - multipliers[:, :-1].sum(axis=-1)
        return np.asarray(dual - inner(V, self.gradient @ V))


def conditions(system: System, V: ComplexArray, multipliers: FloatArray, surrogate: Surrogate) -> Kkt:
    """The conditions at V (B, N, L), whose surrogate is at hand, and multipliers (B, K+1)."""
    gradient, received, V = system.objective.gradient(surrogate), system.HH @ V, np.ascontiguousarray(V)
    S, left, slack, violated = np.empty_like(gradient), np.empty_like(V), np.empty_like(multipliers), np.empty(len(V))
    point = (V, multipliers, gradient, received, surrogate.chain)
    compiled(conditions_each)(system.constraints, *point, S, left, slack, violated)
    spectrum, U = eigh(S)
    return Kkt(surrogate.value, gradient, spectrum, U, left, received, slack, violated)


def conditions_each(
    constraints: Constraints,
    V: ComplexArray,
    multipliers: FloatArray,
    gradient: ComplexArray,
    received: ComplexArray,
    chain: FloatArray,
    S: ComplexArray,
    left: ComplexArray,
    slack: FloatArray,
    violated: FloatArray,
) -> None:
    """What of `conditions` follows from the rest, into the last four arrays, member by member.

    Eigenvectors are left to LAPACK, for the whole batch: for them alone Numba would compile a second and a half.
    """
    K, N = slack.shape[1] - 1, S.shape[1]
    for b in range(slack.shape[0]):
        here = member(constraints, b)
        for i in range(N):
            for j in range(N):
                S[b, i, j] = 0.0
        add_prices(here, multipliers[b], S[b])
        for i in range(N):
            for j in range(N):
                S[b, i, j] = gradient[b, i, j] - S[b, i, j]
        multiply(S[b], V[b], left[b])
        write_slack(here, received[b], chain[b], slack[b])
        violated[b] = violation(here, received[b], slack[b])
        for k in range(K):
            mine = here.ratio[k] * received[b, k, k]
            for i in range(N):
                left[b, i, k] += here.H[i, k] * multipliers[b, k] * mine


def largest_of_all(system: System, kkt: Kkt, multipliers: FloatArray) -> FloatArray:
    """The largest eigenvalue of all S_l, (B,), from above."""
    own = largest_eigenvalue(kkt.spectrum, squared(system.HH @ kkt.U), multipliers[:, :-1] * system.ratio)
    return np.asarray(np.maximum(own.max(axis=-1, initial=-np.inf), kkt.spectrum[:, -1]))


def largest_eigenvalue(spectrum: FloatArray, seen: FloatArray, weights: FloatArray) -> FloatArray:
    """The largest eigenvalue of ``U diag(spectrum) U^H + weight_k h_k h_k^H`` for each k, (B, K), from above.

    Bisection of the secular equation ``sum_i weight |u_i^H h|^2 / (x - w_i) = 1``.

    Args:
        spectrum: w, rising, (B, N).
        seen: ``|u_i^H h_k|^2``, (B, K, N).
        weights: Not negative, (B, K).
    """
    terms = weights[..., None] * seen
    low = np.broadcast_to(spectrum[:, -1:], weights.shape)
    high = low + terms.sum(axis=-1)
    for _ in range(BISECTIONS):
        x = (low + high) / 2
        with np.errstate(divide="ignore", invalid="ignore"):
            right = (terms / (x[..., None] - spectrum[:, None, :])).sum(axis=-1) <= 1
        low, high = np.where(right, low, x), np.where(right, x, high)
    return np.asarray(high)
