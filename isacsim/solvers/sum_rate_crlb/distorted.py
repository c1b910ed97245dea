"""What distortion of the transmit chains changes in the objective of one member, for compiled loops.

Behind chains with gain controls (`isacsim.hardware.gain_control.Tables`) the gain is constant, so that over
coordinates that it is part of the objective is that of ideal hardware (`isacsim.solvers.sum_rate_crlb.member`),
where the distortion D of the precoder is noise: ``h_k^H D h_k`` joins that of each user, and ``G D G^H`` that of
the sensing receiver, whose information S is what the terms of the FIM are made of. `disturb` writes both for a
precoder, and `disturbance` adds to a gradient what they change with it. Users and sensing receiver are ideal.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from isacsim.batch import hermitian
from isacsim.compiled import part, writable
from isacsim.hardware.gain_control import COTANGENT, DISTORTION, distort, pull, tables_of
from isacsim.linalg.blas import multiply
from isacsim.linalg.parts import invert_positive
from isacsim.problems.sum_rate_crlb import SumRateCrlb
from isacsim.solvers.sum_rate_crlb.member import RATE_WEIGHT, SEEN, covariance
from isacsim.targets.scene import ParametricScene
from isacsim.typing import ComplexArray, FloatArray, IntArray

NOISE, INVERSE, WHITENED, INFORMATION, BACK, SCRATCH = range(6)  # slots of `Disturbed.small`


class Disturbed(NamedTuple):
    """Those who hear the distortion of B members, and room for what is worked out for one precoder."""

    tables: FloatArray  #: Those of the pair functions, (functions, 2, cells, coefficients)
    numbers: FloatArray  #: What is linear in each, and how its table is graded, (functions, 2)
    kinds: IntArray  #: Which of them two chains have, (N, N); -1 without correlation
    chains: FloatArray  #: Scale of the coordinates Z in ``W = diag(scale) Z``, and noise for 1 W, (2, N)
    listeners: ComplexArray  #: ``[H, G^H]`` of G, the response of the targets, (B, N, K+m')
    receiver: ComplexArray  #: The basis C of the echo, (B, m', m')
    terms: ComplexArray  #: ``2 L conj(x) x'`` of the FIM, (B, terms); S is to come
    sides: IntArray  #: Row and column of S in each, (terms, 2)
    thermal: FloatArray  #: Noise of each user, and of the sensing receiver, (B, K+1)
    square: ComplexArray  #: By the names CORRELATION to COTANGENT, (3, N, N)
    small: ComplexArray  #: (6, m', m')
    tall: ComplexArray  #: (2, N, K+m')

    @classmethod
    def of(cls, problem: SumRateCrlb, scale: FloatArray, members: int) -> Disturbed | None:
        """That of a flat problem in coordinates of ``scale`` (N,); None where that is not all of the hardware."""
        transceiver, antennas, users = problem.transceiver, problem.H.shape[-2], problem.users
        others = transceiver.receive.is_ideal and transceiver.user.is_ideal and problem.channels_known
        tables = tables_of(transceiver.transmit, antennas)
        if tables is None or not others or problem.mode != "signal":
            return None
        sides, terms = np.empty((0, 2), int), np.empty((1, 0), complex)
        C, G = np.empty((1, 0, 0), complex), np.empty((1, 0, antennas), complex)
        if problem.crlb_weight:
            scene: ParametricScene = problem.targets
            places, pairs = scene.entry_pairs
            sides, terms = np.ascontiguousarray(places[2:4].T), 2 * problem.snapshots * pairs
            C, G = scene.receive_basis(), scene.response()
            # Fewer receivers than the echo could span have silent ones beside them, so that C is square.
            silent = [*[(0, 0)] * (C.ndim - 2), (0, C.shape[-1] - C.shape[-2]), (0, 0)]
            C, G = np.pad(C, silent), np.pad(G, silent)
        listeners = np.empty((members, antennas, users + G.shape[-2]), complex)
        listeners[..., :users], listeners[..., users:] = problem.H, hermitian(G)
        thermal = np.empty((members, users + 1))
        thermal[:, :users], thermal[:, users] = problem.noise_power, problem.radar_noise_power
        return cls(
            tables.cells, tables.numbers, tables.kinds, np.stack([scale, tables.noise]), listeners,
            _each(C, members), _each(terms, members), sides, thermal,
            np.zeros((3, antennas, antennas), complex), np.zeros((6, *C.shape[-2:]), complex),
            np.zeros((2, *listeners.shape[-2:]), complex),
        )  # fmt: skip


@part
def disturb(link: Disturbed, m: int, Z: ComplexArray, noise: FloatArray, tensor: ComplexArray) -> None:
    """Write the noise of the users, (K+1,) but for its last entry, and the terms of the FIM, of a member at Z."""
    P, square, small, thermal = link.listeners[m], link.square, link.small, link.thermal[m]
    users, D, heard = noise.size - 1, square[DISTORTION], link.tall[0]
    distort(link.tables, link.numbers, link.kinds, link.chains, Z, square)
    multiply(D, P, heard)
    for k in range(users):
        noise[k] = thermal[k] + inner(P, k, heard, k).real
    if small.shape[1] > 0:  # the CRLB carries a weight
        sense(P, heard, thermal[users], link.receiver[m], small, users)
        for t in range(tensor.size):
            tensor[t] = link.terms[m, t] * small[INFORMATION, link.sides[t, 0], link.sides[t, 1]]


@part
def inner(A: ComplexArray, a: int, B: ComplexArray, b: int) -> complex:
    """``a^H b`` of the columns a of A (n, .) and b of B."""
    total = 0j
    for i in range(A.shape[0]):
        total += A[i, a].conjugate() * B[i, b]
    return total


@part
def sense(
    P: ComplexArray, heard: ComplexArray, thermal: float, C: ComplexArray, small: ComplexArray, users: int
) -> None:
    """Write ``Q = G D G^H + thermal I``, its inverse, ``Q^-1 C`` and ``S = C^H Q^-1 C``, all (m', m')."""
    side = small.shape[1]
    for i in range(side):
        for j in range(side):
            small[NOISE, i, j] = inner(P, users + i, heard, users + j)
        small[NOISE, i, i] += thermal
    invert_positive(small[NOISE], small[INVERSE])
    multiply(small[INVERSE], C, small[WHITENED])
    for i in range(side):
        for j in range(side):
            small[INFORMATION, i, j] = inner(C, i, small[WHITENED], j)


@part
def disturbance(
    link: Disturbed,
    m: int,
    Z: ComplexArray,
    weights: FloatArray,
    told: FloatArray,
    gains: ComplexArray,
    places: IntArray,
    Phi: FloatArray,
    K: ComplexArray,
    gradient: ComplexArray,
) -> None:
    """Add to the half gradient (N, K+S) of a member at Z what the distortion changes, for `disturb` at Z.

    Args:
        link: Who hears the distortion.
        m: The member.
        Z: Coordinates.
        weights: Those of `Terms`.
        told: What is told of the precoder.
        gains: Its gains ``N^H Z``.
        places: Those of `Terms`.
        Phi: ``crlb_weight F^-1 D F^-1``, (P, P).
        K: Room for the covariance ``V^H R V``, (m, m).
        gradient: Half gradient without it.
    """
    P, square, small, by = link.listeners[m], link.square, link.small, link.tall[1]
    users = link.thermal.shape[1] - 1
    for k in range(users):  # of ln(1 + S_k / I_k) by I_k
        signal, interference = told[SEEN + k], told[SEEN + users + k]
        fall = -weights[RATE_WEIGHT] * signal / (interference * (signal + interference))
        for i in range(P.shape[0]):
            by[i, k] = P[i, k] * fall
    if small.shape[1] > 0:
        covariance(gains, K)
        lose(link.terms[m], places, link.sides, Phi, K, small)
        for i in range(P.shape[0]):
            for b in range(small.shape[1]):
                total = 0j
                for a in range(small.shape[1]):
                    total -= P[i, users + a] * small[BACK, a, b]
                by[i, users + b] = total
    G = square[COTANGENT]
    for i in range(P.shape[0]):
        for j in range(i + 1):
            total = 0j
            for c in range(P.shape[1]):
                total += by[i, c] * P[j, c].conjugate()
            G[i, j] = total
    pull(link.tables, link.numbers, link.kinds, link.chains[0], square)
    for i in range(Z.shape[0]):
        for s in range(Z.shape[1]):
            total = 0j
            for j in range(Z.shape[0]):
                total += G[i, j] * Z[j, s]
            gradient[i, s] += total


@part
def lose(
    terms: ComplexArray, places: IntArray, sides: IntArray, Phi: FloatArray, K: ComplexArray, small: ComplexArray
) -> None:
    """Write ``Y B Y^H`` (m', m') of ``Y = Q^-1 C``: what the weighted CRLB grows by with Q, for ``tr(B dS)`` with S."""
    side = small.shape[1]
    B, Y, half, back = small[SCRATCH], small[WHITENED], small[NOISE], small[BACK]
    for r in range(side):
        for s in range(side):
            B[r, s] = 0.0
    for t in range(terms.size):
        i, j, c, d, r, s = places[t, 0], places[t, 1], places[t, 2], places[t, 3], sides[t, 0], sides[t, 1]
        value = terms[t] * K[d, c] * (Phi[i, j] if i == j else 2 * Phi[i, j])
        B[s, r] += 0.5 * value  # and T_ji, as in `isacsim.metrics.fim.adjoint_into`
        B[r, s] += 0.5 * value.conjugate()
    multiply(Y, B, half)
    for a in range(side):
        for b in range(side):
            back[a, b] = 0.0
            for c in range(side):
                back[a, b] += half[a, c] * Y[b, c].conjugate()


def _each(array: ComplexArray, members: int) -> ComplexArray:
    """An array (1, ...) for all of B members, or theirs, as kernels take them."""
    return np.asarray(writable(np.broadcast_to(array, (members, *array.shape[1:]))), complex)
