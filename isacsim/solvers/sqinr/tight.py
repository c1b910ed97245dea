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
from isacsim.linalg.blas import multiply, write
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
    compiled(settle_each)(constraints, _way(N, K, L), _products(N, K, L), V, tight, R, inverse, off)
    return Tangent(constraints.H, constraints.HH, constraints.load, V, R, tight, inverse), np.asarray(~(off <= ASTRAY))


class Way(NamedTuple):
    """Room for the way back of one member."""

    V: ComplexArray  #: Where the normals are taken, (N, L)
    R: ComplexArray  #: The same, (K, L)
    mixed: ComplexArray  #: (N, L)
    inverse: FloatArray  #: (K+1, K+1)
    slack: FloatArray  #: (K+1,)
    along: FloatArray  #: (K+1,)
    weights: FloatArray  #: (K+1,)
    chain: FloatArray  #: (N,)


class Products(NamedTuple):
    """Room for the inner products of the normals of one member."""

    RH: ComplexArray  #: (L, K)
    RRH: ComplexArray  #: (K, K)
    channels: ComplexArray  #: ``H^H H``, (K, K)
    shared: ComplexArray  #: ``V R^H``, (N, K)
    half: FloatArray  #: (K+1, N)
    loaded: FloatArray  #: (K+1, K+1)
    gram: FloatArray  #: (K+1, K+1)


def _way(N: int, K: int, L: int) -> Way:
    V, mixed = np.empty((2, N, L), complex)
    slack, along, weights = np.zeros((3, K + 1))
    return Way(V, np.empty((K, L), complex), mixed, np.empty((K + 1, K + 1)), slack, along, weights, np.zeros(N))


def _products(N: int, K: int, L: int) -> Products:
    RRH, channels = np.empty((2, K, K), complex)
    loaded, gram = np.empty((2, K + 1, K + 1))
    wide, tall = np.empty((L, K), complex), np.empty((N, K), complex)
    return Products(wide, RRH, channels, tall, np.empty((K + 1, N)), loaded, gram)


def settle_each(
    constraints: Constraints,
    here: Way,
    products: Products,
    V: ComplexArray,
    tight: BoolArray,
    R: ComplexArray,
    inverse: FloatArray,
    off: FloatArray,
) -> None:
    """`settled`, member by member: V (B, N, L) and which are tight are overwritten.

    Corrections are along the normals of one point as long as they gain digits; the last ones are those of the result.
    """
    slack, along, weights = here.slack, here.along, here.weights
    inner, chain, n = here.inverse, here.chain, here.slack.size
    for b in range(off.size):
        of, last, bound = member(constraints, b), np.inf, tight[b]
        point, received = V[b], R[b]
        multiply(of.HH, of.H, products.channels)
        for attempt in range(CORRECTIONS):
            left = look(of, point, bound, received, slack, chain)
            ends = not left > EQUAL or not left < HOPELESS or attempt == CORRECTIONS - 1
            if ends or left > GAIN * last or attempt == 0:
                write(point, here.V)
                write(received, here.R)
                write_gram(of, point, received, chain, bound, products)
                invert_positive(products.gram, inner)
            last = left
            if ends:
                break
            for k in range(n):
                along[k] = 0.5 * slack[k] if bound[k] else 0.0
            multiply(inner, along, weights)
            move(of, weights, here, received, point)
        off[b] = last
        for k in range(n):
            for j in range(n):
                inverse[b, k, j] = inner[k, j] if bound[k] and bound[j] else 0.0


@part
def move(of: Constraints, weights: FloatArray, here: Way, few: ComplexArray, V: ComplexArray) -> None:
    """Take the normals with weights (K+1,) away from V (N, L); ``few`` (K, L) is overwritten."""
    load, kept, R, mixed = of.load, here.V, here.R, here.mixed
    for k in range(few.shape[0]):
        for s in range(few.shape[1]):
            few[k, s] = R[k, s] * weights[k]
    multiply(of.H, few, mixed)
    for i in range(V.shape[0]):
        share = 0.0
        for k in range(weights.size):
            share += load[i, k] * weights[k]
        for s in range(V.shape[1]):
            V[i, s] += mixed[i, s] + kept[i, s] * share


@part
def write_gram(
    of: Constraints, V: ComplexArray, R: ComplexArray, chain: FloatArray, tight: BoolArray, here: Products
) -> None:
    """Write the inner products of the normals at V (N, L), with a unit row where a constraint is not tight.

    With ``q_ik = Re conj(h_ik) (V R^H)_ik`` they are ``Re (H^H H) o (R R^H)^* + q^T load + load^T q`` and, of what
    load makes of R_ii, ``load^T diag(chain) load``; q is 0 for the power.
    """
    H, load, RH, half, gram = of.H, of.load, here.RH, here.half, here.gram
    (N, K), shared, loaded = H.shape, here.shared, here.loaded
    for k in range(K):
        for s in range(R.shape[1]):
            RH[s, k] = R[k, s].conjugate()
    multiply(V, RH, shared)
    multiply(R, RH, here.RRH)
    for i in range(N):
        for k in range(K + 1):
            half[k, i] = 0.5 * chain[i] * load[i, k]
            if k < K:
                half[k, i] += real_inner(H[i, k], shared[i, k])
    multiply(half, load, loaded)
    RRH, channels = here.RRH, here.channels
    for k in range(K + 1):
        for j in range(K + 1):
            if tight[k] and tight[j]:
                gram[k, j] = loaded[k, j] + loaded[j, k]
                if k < K and j < K:
                    # RRH holds R_k R_j^H, the conjugate of what H^H H is multiplied by.
                    gram[k, j] += real_inner(RRH[k, j], channels[k, j])
            else:
                gram[k, j] = 1.0 if k == j else 0.0


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
