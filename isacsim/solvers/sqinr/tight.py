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

from isacsim.batch import rows
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
    """The normals of B points V (B, N, L), by what they are made of."""

    H: ComplexArray = rows(2)  #: (B, N, K)
    HH: ComplexArray = rows(2)  #: (B, K, N)
    load: FloatArray = rows(2)  #: (B, N, K+1)
    V: ComplexArray = rows(2)
    R: ComplexArray = rows(2)  #: (B, K, L)
    tight: BoolArray = rows(1)  #: Which constraints are tight; the others have no normal, (B, K+1)
    inverse: FloatArray = rows(2)  #: Inverse of the normals' inner products, zero where there is none, (B, K+1, K+1)

    def components(self, D: ComplexArray) -> FloatArray:
        """The weights with which normals make up what D (B, N, L) has of them, (B, K+1)."""
        along = -(_real_products(self.V, D)[:, None, :] @ self.load)[:, 0]
        along[:, :-1] -= _real_products(self.R, self.HH @ D)
        return np.asarray((self.inverse @ along[..., None])[..., 0])

    def mixed(self, weights: FloatArray) -> ComplexArray:
        """The normals with weights (B, K+1), (B, N, L)."""
        diagonal = self.load @ weights[..., None]
        return np.asarray(-(self.H @ (weights[:, :-1, None] * self.R) + diagonal * self.V))

    def pulls(self, multipliers: FloatArray) -> FloatArray:
        """How long a direction each user with a negative multiplier keeps out of half of the gradient, (B, K); else 0.

        A normal is ``inverse_kk^-1/2`` long beside all others.
        """
        users, k = np.maximum(-multipliers[:, :-1], 0.0), np.arange(multipliers.shape[-1] - 1)
        inverse = self.inverse[:, k, k]
        return np.asarray(users / np.sqrt(np.where(inverse > 0, inverse, np.inf)))


def _real_products(A: ComplexArray, B: ComplexArray) -> FloatArray:
    """Real inner products of the rows of A and B (B, m, n), (B, m)."""
    return np.asarray((A.real * B.real + A.imag * B.imag).sum(axis=-1))


def settled(constraints: Constraints, V: ComplexArray, tight: BoolArray) -> tuple[Tangent, BoolArray]:
    """Points that meet the tight constraints (B, K+1) with equality, near V (B, N, L), and where the way there failed.

    A constraint that is violated without being tight becomes so.
    """
    (members, N, L), K = V.shape, constraints.H.shape[-1]
    V, tight, off = V.copy(), tight.copy(), np.empty(members)
    R, inverse = np.empty((members, K, L), complex), np.empty((members, K + 1, K + 1))
    rows = V.view(float)
    compiled(settle_each)(constraints, _way(N, K, L), V, rows, rows.reshape(members, -1), tight, R, inverse, off)
    return Tangent(constraints.H, constraints.HH, constraints.load, V, R, tight, inverse), np.asarray(~(off <= ASTRAY))


class Way(NamedTuple):
    """Room for the way back of one member."""

    normals: FloatArray  #: Of a point on it, (K+1, N, 2L)
    flat: FloatArray  #: The same numbers, (K+1, 2NL)
    gram: FloatArray  #: Their inner products, with a unit row where a constraint is not tight, (K+1, K+1)
    inverse: FloatArray  #: Of these, (K+1, K+1)
    step: FloatArray  #: (2NL,)
    slack: FloatArray  #: (K+1,)
    weights: FloatArray  #: (K+1,)
    chain: FloatArray  #: (N,)


def _way(N: int, K: int, L: int) -> Way:
    normals, (gram, inverse) = np.empty((K + 1, N, 2 * L)), np.empty((2, K + 1, K + 1))
    (slack, weights), step = np.zeros((2, K + 1)), np.empty(2 * N * L)
    return Way(normals, normals.reshape(K + 1, -1), gram, inverse, step, slack, weights, np.zeros(N))


def settle_each(
    constraints: Constraints,
    here: Way,
    V: ComplexArray,
    rows: FloatArray,
    flat: FloatArray,
    tight: BoolArray,
    R: ComplexArray,
    inverse: FloatArray,
    off: FloatArray,
) -> None:
    """`settled`, member by member: V (B, N, L), as real ``rows`` (B, N, 2L) and ``flat`` (B, 2NL) too, is overwritten.

    So is which constraints are tight. Corrections are along the normals of one point as long as they gain digits; the
    last ones are those of the result.
    """
    slack, weights, normals = here.slack, here.weights, here.normals
    inner, gram, step, chain, n = here.inverse, here.gram, here.step, here.chain, here.slack.size
    for b in range(off.size):
        of, last, bound = member(constraints, b), np.inf, tight[b]
        point, received = V[b], R[b]
        for attempt in range(CORRECTIONS):
            left = look(of, point, bound, received, slack, chain)
            ends = not left > EQUAL or not left < HOPELESS or attempt == CORRECTIONS - 1
            if ends or left > GAIN * last or attempt == 0:
                write_normals(of.H, of.load, received, rows[b], bound, normals)
                multiply_adjoint(here.flat, here.flat, gram)
                for k in range(n):
                    gram[k, k] += 0.0 if bound[k] else 1.0
                invert_positive(gram, inner)
            last = left
            if ends:
                break
            for k in range(n):
                slack[k] = -0.5 * slack[k] if bound[k] else 0.0
            multiply(inner, slack, weights)
            multiply(weights, here.flat, step)
            for i in range(step.size):
                flat[b, i] += step[i]
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
    H: ComplexArray, load: FloatArray, R: ComplexArray, V: FloatArray, tight: BoolArray, normals: FloatArray
) -> None:
    """Write the normals at V, (K+1, N, 2L): zero where a constraint is not tight; V is as real numbers, (N, 2L)."""
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
