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
from isacsim.linalg.lapack import adjoint_multiply, multiply_adjoint, scale
from isacsim.linalg.parts import invert_positive, real_inner, shift
from isacsim.metrics.fim import adjoint_into
from isacsim.problems.sum_rate_crlb import SumRateCrlb
from isacsim.solvers.sum_rate_crlb.member import covariance
from isacsim.targets.scene import ParametricScene
from isacsim.typing import ComplexArray, FloatArray, IntArray

NOISE, INVERSE, WHITENED, INFORMATION, BY_INFORMATION, BY_NOISE = range(6)  # slots of `Disturbed.small`


class Disturbed(NamedTuple):
    """Those who hear the distortion of B members, and room for what is worked out for one precoder."""

    tables: FloatArray  #: Those of the pair functions, (functions, 2, cells, coefficients)
    numbers: FloatArray  #: What is linear in each, and how its table is graded, (functions, 2)
    kinds: IntArray  #: Which of them two chains have, (N, N); -1 without correlation
    chains: FloatArray  #: Scale of the coordinates Z in ``W = diag(scale) Z``, and noise for 1 W, (2, N)
    listeners: ComplexArray  #: ``H^H`` and below it G, the response of the targets, (B, K+m', N)
    receiver: ComplexArray  #: The basis C of the echo, (B, m', m')
    terms: ComplexArray  #: ``2 L conj(x) x'`` of the FIM, (B, terms); S is to come
    sides: IntArray  #: i, j, and column and row of S in each, as `FimTensor.places` has those of K, (terms, 4)
    thermal: FloatArray  #: Noise of each user, and of the sensing receiver, (B, K+1)
    square: ComplexArray  #: By the names CORRELATION to COTANGENT, (3, N, N)
    small: ComplexArray  #: (6, m', m')
    tall: ComplexArray  #: (2, K+m', N)

    @classmethod
    def of(cls, problem: SumRateCrlb, scale: FloatArray, members: int) -> Disturbed | None:
        """That of a flat problem in coordinates of ``scale`` (N,); None where that is not all of the hardware."""
        transceiver, antennas, users = problem.transceiver, problem.H.shape[-2], problem.users
        others = transceiver.receive.is_ideal and transceiver.user.is_ideal and problem.channels_known
        tables = tables_of(transceiver.transmit, antennas)
        if tables is None or not others or problem.mode != "signal":
            return None
        sides, terms = np.empty((0, 4), int), np.empty((1, 0), complex)
        C, G = np.empty((1, 0, 0), complex), np.empty((1, 0, antennas), complex)
        if problem.crlb_weight:
            scene: ParametricScene = problem.targets
            places, pairs = scene.entry_pairs
            sides, terms = np.ascontiguousarray(places[[0, 1, 3, 2]].T), 2 * problem.snapshots * pairs
            C, G = scene.receive_basis(), scene.response()
            # Fewer receivers than the echo could span have silent ones beside them, so that C is square.
            silent = [*[(0, 0)] * (C.ndim - 2), (0, C.shape[-1] - C.shape[-2]), (0, 0)]
            C, G = np.pad(C, silent), np.pad(G, silent)
        listeners = np.empty((members, users + G.shape[-2], antennas), complex)
        listeners[:, :users], listeners[:, users:] = hermitian(problem.H), G
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
    PH, square, small, heard, thermal = link.listeners[m], link.square, link.small, link.tall[0], link.thermal[m]
    users, Q, C = noise.size - 1, small[NOISE], link.receiver[m]
    distort(link.tables, link.numbers, link.kinds, link.chains, Z, square)
    multiply(PH, square[DISTORTION], heard)
    for k in range(users):
        total = thermal[k]
        for i in range(Z.shape[0]):
            total += real_inner(PH[k, i], heard[k, i])
        noise[k] = total
    if small.shape[1] > 0:  # the CRLB carries a weight: Q = G D G^H + thermal I, S = C^H Q^-1 C
        multiply_adjoint(heard[users:], PH[users:], Q)
        shift(Q, thermal[users])
        invert_positive(Q, small[INVERSE])
        multiply(small[INVERSE], C, small[WHITENED])
        adjoint_multiply(C, small[WHITENED], small[INFORMATION])
        count_into(link.terms[m], link.sides, small[INFORMATION], tensor)


@part
def count_into(terms: ComplexArray, places: IntArray, X: ComplexArray, into: ComplexArray) -> None:
    """Write terms, each times the entry of X that counts in it by its places."""
    for t in range(terms.size):
        into[t] = terms[t] * X[places[t, 3], places[t, 2]]


@part
def disturbance(
    link: Disturbed,
    m: int,
    Z: ComplexArray,
    betas: FloatArray,
    gains: ComplexArray,
    tensor: ComplexArray,
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
        betas: What the rates lose by the noise of each user, (K,), as `follow` writes it.
        gains: Its gains ``N^H Z``.
        tensor: Room for terms, (terms,).
        places: Those of `Terms`.
        Phi: ``crlb_weight F^-1 D F^-1``, (P, P).
        K: Room for the covariance ``V^H R V``, (m, m).
        gradient: Half gradient without it.
    """
    PH, square, small, by = link.listeners[m], link.square, link.small, link.tall[1]
    users, G, half = link.thermal.shape[1] - 1, square[COTANGENT], small[NOISE]
    for k in range(users):
        for i in range(Z.shape[0]):
            by[k, i] = PH[k, i] * -betas[k]
    if small.shape[1] > 0:  # tr(B dS) = -tr(Y B Y^H dQ) of Y = Q^-1 C
        covariance(gains, K)
        count_into(link.terms[m], places, K, tensor)
        adjoint_into(tensor, link.sides, Phi, small[BY_INFORMATION])
        multiply(small[WHITENED], small[BY_INFORMATION], half)
        multiply_adjoint(half, small[WHITENED], small[BY_NOISE])
        multiply(small[BY_NOISE], PH[users:], by[users:])
        scale(-1.0, by[users:], by[users:])
    adjoint_multiply(PH, by, G)
    pull(link.tables, link.numbers, link.kinds, link.chains[0], square)
    for i in range(Z.shape[0]):
        for s in range(Z.shape[1]):
            total = 0j
            for j in range(Z.shape[0]):
                total += G[i, j] * Z[j, s]
            gradient[i, s] += total


def _each(array: ComplexArray, members: int) -> ComplexArray:
    """An array (1, ...) for all of B members, or theirs, as kernels take them."""
    return np.asarray(writable(np.broadcast_to(array, (members, *array.shape[1:]))), complex)
