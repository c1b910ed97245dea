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

from isacsim.algebra import invert_positive, real_inner
from isacsim.batch import rows
from isacsim.compiled import compiled, part
from isacsim.solvers.sqinr.system import Constraints, System, member, write_slack
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


def _real_products(A: ComplexArray, B: ComplexArray) -> FloatArray:
    """Real inner products of the rows of A and B (B, m, n), (B, m)."""
    return np.asarray((A.real * B.real + A.imag * B.imag).sum(axis=-1))


def settled(system: System, V: ComplexArray, tight: BoolArray) -> tuple[Tangent, BoolArray]:
    """Points that meet the tight constraints (B, K+1) with equality, near V (B, N, L), and where the way there failed.

    A constraint that is violated without being tight becomes so.
    """
    (members, N, L), K = V.shape, system.users
    V, tight, off = V.copy(), tight.copy(), np.empty(members)
    R, inverse = np.empty((members, K, L), complex), np.empty((members, K + 1, K + 1))
    normals = np.empty((K + 1, N, L), complex)
    flat, gram = normals.reshape(K + 1, -1).view(float), inverse[0].copy()
    slack, along, weights = np.zeros((3, K + 1))
    here = Way(normals, flat, gram, gram.copy(), slack, along, weights, np.zeros(N))
    compiled(settle_each)(system.constraints, here, V, V.reshape(members, -1).view(float), tight, R, inverse, off)
    return Tangent(system.H, system.HH, system.load, V, R, tight, inverse), np.asarray(~(off <= ASTRAY))


class Way(NamedTuple):
    """Room for the way back of one member."""

    normals: ComplexArray  #: (K+1, N, L)
    flat: FloatArray  #: The same numbers, a row for each constraint, (K+1, 2NL)
    gram: FloatArray  #: (K+1, K+1)
    inverse: FloatArray  #: (K+1, K+1)
    slack: FloatArray  #: (K+1,)
    along: FloatArray  #: (K+1,)
    weights: FloatArray  #: (K+1,)
    chain: FloatArray  #: (N,)


def settle_each(
    constraints: Constraints,
    here: Way,
    V: ComplexArray,
    flat: FloatArray,
    tight: BoolArray,
    R: ComplexArray,
    inverse: FloatArray,
    off: FloatArray,
) -> None:
    """`settled`, member by member: V (B, N, L), its real numbers (B, 2NL) and which are tight are overwritten.

    Corrections are along the normals of one point as long as they gain digits; the last ones are those of the result.
    """
    for b in range(off.size):
        of, last = member(constraints, b), np.inf
        for attempt in range(CORRECTIONS):
            off[b] = look(of, V[b], tight[b], R[b], here)
            ends = not off[b] > EQUAL or not off[b] < HOPELESS or attempt == CORRECTIONS - 1
            if ends or off[b] > GAIN * last or attempt == 0:
                write_normals(of.H, of.load, R[b], V[b], tight[b], here.normals)
                invert_gram(here, tight[b])
            if ends:
                break
            last = off[b]
            for k in range(here.slack.size):
                here.along[k] = 0.5 * here.slack[k] if tight[b, k] else 0.0
            np.dot(here.inverse, here.along, here.weights)
            for k in range(here.slack.size):
                for i in range(flat.shape[1]):
                    flat[b, i] -= here.weights[k] * here.flat[k, i]
        for k in range(here.slack.size):
            for j in range(here.slack.size):
                inverse[b, k, j] = here.inverse[k, j] if tight[b, k] and tight[b, j] else 0.0


@part
def look(constraints: Constraints, V: ComplexArray, tight: BoolArray, R: ComplexArray, here: Way) -> float:
    """Write the slacks at V, and R: the largest slack of a tight constraint, relative to what the user receives."""
    np.dot(constraints.HH, V, R)
    for i in range(V.shape[0]):
        here.chain[i] = 0.0
        for s in range(V.shape[1]):
            here.chain[i] += real_inner(V[i, s], V[i, s])
    write_slack(constraints, R, here.chain, here.slack)
    worst = 0.0
    for k in range(tight.size):
        size = 1.0
        if k < R.shape[0]:
            size += constraints.ratio[k] * real_inner(R[k, k], R[k, k])
            R[k, k] *= 1 - constraints.ratio[k]
        tight[k] = tight[k] or here.slack[k] < -VIOLATED * size
        if tight[k] and not abs(here.slack[k]) <= worst * size:
            worst = abs(here.slack[k]) / size
    return worst


@part
def write_normals(
    H: ComplexArray, load: FloatArray, R: ComplexArray, V: ComplexArray, tight: BoolArray, normals: ComplexArray
) -> None:
    """Write the normals at V (N, L), (K+1, N, L): zero where a constraint is not tight."""
    for k in range(tight.size):
        for i in range(V.shape[0]):
            for s in range(V.shape[1]):
                normals[k, i, s] = -load[i, k] * V[i, s] if tight[k] else 0.0
                if tight[k] and k < R.shape[0]:
                    normals[k, i, s] -= H[i, k] * R[k, s]


@part
def invert_gram(here: Way, tight: BoolArray) -> None:
    """Write the inverse of the normals' inner products, with a unit diagonal where there is none."""
    for k in range(tight.size):
        for j in range(k + 1):
            here.gram[k, j] = here.gram[j, k] = np.dot(here.flat[k], here.flat[j])
        if not tight[k]:
            here.gram[k, k] = 1.0
    invert_positive(here.gram, here.inverse)
