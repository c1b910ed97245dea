"""Points that meet some constraints with equality: normals, multipliers, and the way back to equality.

With ``R_kl = h_k^H v_l (1 - c_k [l = k])`` half of the derivative of the slack of user k by V is::

    n_k = -(h_k R_k + diag(load_k) V)

and that of the power the same without a channel. Directions that keep the slacks to first order are
orthogonal to the normals of all tight constraints, in the real inner product of the columns of V.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from attrs import frozen

from isacsim.batch import real_vectors, rows
from isacsim.compiled import compiled, part
from isacsim.linalg.blas import multiply
from isacsim.linalg.lapack import multiply_adjoint
from isacsim.linalg.parts import invert_positive, real_inner
from isacsim.records import member
from isacsim.solvers.sqinr.system import Constraints, write_slack
from isacsim.typing import BoolArray, ComplexArray, FloatArray

CORRECTIONS = 12  # rounds of the way back; two to four are usual
EQUAL = 1e-12  # slack, relative to what a user receives, that counts as none: rounding of the sums is less
GAIN = 0.1  # what a correction leaves of the slack at most where the next one goes along the same normals
VIOLATED = 1e-11  # by how much a constraint that was let go must be violated to be tight again
ASTRAY = 1e-9  # slack that is left where the way back has failed
HOPELESS = 1e3  # slack from which no way leads back, and numbers overflow


@frozen(eq=False)
class Tangent:
    """The normals of B points V (B, N, L)."""

    V: ComplexArray = rows(2)
    tight: BoolArray = rows(1)  #: Which constraints are tight, (B, K+1)
    normals: FloatArray = rows(2)  #: As real numbers, zero where a constraint is not tight, (B, K+1, 2NL)
    inverse: FloatArray = rows(2)  #: Inverse of their inner products, zero where there is none, (B, K+1, K+1)

    def components(self, D: ComplexArray) -> FloatArray:
        """The weights with which normals make up what D (B, N, L) has of them, (B, K+1)."""
        return np.asarray((self.inverse @ (self.normals @ real_vectors(D)[..., None]))[..., 0])

    def mixed(self, weights: FloatArray) -> ComplexArray:
        """The normals with weights (B, K+1), (B, N, L)."""
        return (weights[:, None] @ self.normals).view(complex).reshape(self.V.shape)

    def pulls(self, multipliers: FloatArray) -> FloatArray:
        """How long a direction each user with a negative multiplier keeps out of half of the gradient, (B, K); else 0.

        A normal is ``inverse_kk^-1/2`` long beside all others.
        """
        users, k = np.maximum(-multipliers[:, :-1], 0.0), np.arange(multipliers.shape[-1] - 1)
        inverse = self.inverse[:, k, k]
        return np.asarray(users / np.sqrt(np.where(inverse > 0, inverse, np.inf)))


def settled(constraints: Constraints, V: ComplexArray, tight: BoolArray) -> tuple[Tangent, BoolArray]:
    """Points that meet the tight constraints (B, K+1) with equality, near V (B, N, L), and where the way there failed.

    A constraint that is violated without being tight becomes so.
    """
    (members, N, L), K = V.shape, constraints.H.shape[-1]
    V, tight, off = V.copy(), tight.copy(), np.empty(members)
    normals, inverse = np.empty((members, K + 1, N, 2 * L)), np.empty((members, K + 1, K + 1))
    reals, flat = V.view(float), normals.reshape(members, K + 1, -1)
    compiled(settle_each)(constraints, _way(N, K, L), V, reals, tight, normals, flat, inverse, off)
    return Tangent(V, tight, flat, inverse), np.asarray(~(off <= ASTRAY))


class Way(NamedTuple):
    """Room for the way back of one member."""

    R: ComplexArray  #: (K, L)
    gram: FloatArray  #: Inner products of the normals, with a unit row where a constraint is not tight, (K+1, K+1)
    inverse: FloatArray  #: Of these, (K+1, K+1)
    step: FloatArray  #: (N, 2L)
    flat: FloatArray  #: The same numbers, (2NL,)
    slack: FloatArray  #: (K+1,)
    weights: FloatArray  #: (K+1,)
    chain: FloatArray  #: (N,)


def _way(N: int, K: int, L: int) -> Way:
    (gram, inverse), (slack, weights) = np.empty((2, K + 1, K + 1)), np.zeros((2, K + 1))
    step = np.empty((N, 2 * L))
    return Way(np.empty((K, L), complex), gram, inverse, step, step.reshape(-1), slack, weights, np.zeros(N))


def settle_each(
    constraints: Constraints,
    here: Way,
    V: ComplexArray,
    reals: FloatArray,
    tight: BoolArray,
    normals: FloatArray,
    flat: FloatArray,
    inverse: FloatArray,
    off: FloatArray,
) -> None:
    """`settled`, member by member: V (B, N, L), real too (B, N, 2L), and which constraints are tight, are overwritten.

    Corrections are along the normals of one point (B, K+1, N, 2L), ``flat`` (B, K+1, 2NL), as long as they gain digits;
    the last ones are those of the result.
    """
    slack, weights, chain, received = here.slack, here.weights, here.chain, here.R
    inner, gram, step, n = here.inverse, here.gram, here.step, here.slack.size
    for b in range(off.size):
        of, last, bound = member(constraints, b), np.inf, tight[b]
        point, real, along = V[b], reals[b], flat[b]
        for attempt in range(CORRECTIONS):
            left = look(of, point, bound, received, slack, chain)
            ends = not left > EQUAL or not left < HOPELESS or attempt == CORRECTIONS - 1
            if ends or left > GAIN * last or attempt == 0:
                write_normals(of, received, real, bound, normals[b])
                multiply_adjoint(along, along, gram)
                for k in range(n):
                    gram[k, k] += 0.0 if bound[k] else 1.0
                invert_positive(gram, inner)
            last = left
            if ends:
                break
            for k in range(n):
                slack[k] = -0.5 * slack[k] if bound[k] else 0.0
            multiply(inner, slack, weights)
            multiply(weights, along, here.flat)
            for i in range(step.shape[0]):
                for s in range(step.shape[1]):
                    real[i, s] += step[i, s]
        off[b] = last
        for k in range(n):
            for j in range(n):
                inverse[b, k, j] = inner[k, j] if bound[k] and bound[j] else 0.0


@part
def look(
    constraints: Constraints, V: ComplexArray, tight: BoolArray, R: ComplexArray, slack: FloatArray, chain: FloatArray
) -> float:
    """Write the slacks at V, and R: the largest slack of a tight constraint, relative to what the user receives."""
    multiply(constraints.HH, V, R)
    for i in range(V.shape[0]):
        chain[i] = 0.0
        for s in range(V.shape[1]):
            chain[i] += real_inner(V[i, s], V[i, s])
    write_slack(constraints, R, chain, slack)
    worst, ratio = 0.0, constraints.ratio
    for k in range(tight.size):
        size = 1.0
        if k < ratio.size:
            size += ratio[k] * real_inner(R[k, k], R[k, k])
            R[k, k] *= 1 - ratio[k]
        tight[k] = tight[k] or slack[k] < -VIOLATED * size
        if tight[k] and not abs(slack[k]) <= worst * size:
            worst = abs(slack[k]) / size
    return worst


@part
def write_normals(
    constraints: Constraints, R: ComplexArray, V: FloatArray, tight: BoolArray, normals: FloatArray
) -> None:
    """Write the normals at V, (K+1, N, 2L): zero where a constraint is not tight; V is as real numbers, (N, 2L)."""
    H, load = constraints.H, constraints.load
    for k in range(tight.size):
        for i in range(V.shape[0]):
            charged, row = load[i, k], normals[k, i]
            for s in range(row.size):
                row[s] = -charged * V[i, s] if tight[k] else 0.0
            if tight[k] and k < R.shape[0]:
                channel = H[i, k]
                for s in range(R.shape[1]):
                    mixed = channel * R[k, s]
                    row[2 * s] -= mixed.real
                    row[2 * s + 1] -= mixed.imag
