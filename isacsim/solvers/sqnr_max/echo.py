"""The radar SQNR and its gradient for a response in factors, ``G = B A^H`` with r columns.

Where r is small, all matrices that are inverted or multiplied by one another are r x r. With
``Delta = diag(1 + eps_j (Ry_j + 1))``, ``X = A^H diag(e_i R_ii) A`` and ``F = B^H Delta^-1 B``::

    Q = Delta + B X B^H,  Q^-1 B = Delta^-1 B (I + X F)^-1

Elsewhere B is the identity and left out, r is N_r, and Q itself is inverted.

With ``Y = Q^-1 G V``, ``C = G^H Y``, ``T_j = eps_j ||Y_j||^2`` and ``d_i = e_i ||C_i||^2 + sum_j e_i |G_ji|^2 T_j``
half of the derivative by V is ``C - G^H (T o G V) - d o V``, where o multiplies each row by its number.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
from attrs import frozen

from isacsim.batch import frobenius2, hermitian, inner, rows, squared, tuples
from isacsim.linalg.stacked import eigh, inverse, positive_inverse
from isacsim.random import complex_normal
from isacsim.solvers.sqnr_max.target import NOTHING
from isacsim.typing import ComplexArray, FloatArray, IntArray

FEW = 16  # the largest rank that counts as few scatterers
POWERS = 3  # of subspace iteration: of directions that are nearly as bright, any will do


class Response(NamedTuple):
    """Responses of one rank, in factors: of B members, or of one without the first axis."""

    A: ComplexArray  #: (B, N, r)
    AH: ComplexArray  #: (B, r, N)
    B: ComplexArray  #: (B, N_r, r), or (B, 0, 0) for the identity
    BH: ComplexArray  #: (B, r, N_r), likewise
    gains: FloatArray  #: ``e_i |G_ji|^2``, (B, N_r, N)
    transmit: FloatArray  #: e, (B, N)
    receive: FloatArray  #: eps, (B, N_r)

    @property
    def thin(self) -> bool:
        """Whether r is small, and B something."""
        return bool(self.B.shape[-1])

    def onto(self, few: ComplexArray) -> ComplexArray:
        """``B few``, for (B, r, L)."""
        return self.B @ few if self.thin else few

    def back(self, echo: ComplexArray) -> ComplexArray:
        """``G^H echo``, for (B, N_r, L)."""
        return np.asarray(self.A @ (self.BH @ echo if self.thin else echo))

    def middle(self, weights: FloatArray) -> ComplexArray:
        """``B^H diag(weights) B``, for weights (B, N_r), (B, r, r)."""
        if self.thin:
            return (self.BH * weights[:, None, :]) @ self.B
        return np.asarray(weights[..., None] * np.eye(weights.shape[-1], dtype=complex))

    def louder(self, times: float) -> Response:
        """That under receivers' noise so many times as loud, which becomes the unit."""
        size = np.sqrt(times)
        return self._replace(A=self.A / size, AH=self.AH / size, gains=self.gains / times)


def whole(G: ComplexArray, transmit: FloatArray, receive: FloatArray) -> Response:
    """Matrices (B, N_r, N) behind chains of ratios (B, N) and (B, N_r), with the identity for B."""
    nothing = np.zeros((len(G), 0, 0), complex)
    return Response(hermitian(G), G, nothing, nothing, squared(G) * transmit[:, None, :], transmit, receive)


def responses(G: ComplexArray, transmit: FloatArray, receive: FloatArray) -> list[tuple[IntArray, Response]]:
    """The same in factors where the rank is low, by rank, with the places of the members."""
    most = min(FEW, min(G.shape[1:]) // 2)
    rank, B, A = factors(G, most) if most else (np.ones(len(G), int), G, G)
    found = []
    for r in np.unique(rank):
        at = np.flatnonzero(rank == r)
        response = whole(G[at], transmit[at], receive[at])
        if r <= most:
            a, b = np.ascontiguousarray(A[at, :, :r]), np.ascontiguousarray(B[at, :, :r])
            response = response._replace(A=a, AH=hermitian(a), B=b, BH=hermitian(b))
        found.append((at, response))
    return found


class Seen(NamedTuple):
    """A point of B members, and what the SQNR there is made of."""

    V: ComplexArray  #: (B, N, L)
    echo: ComplexArray  #: ``G V``, (B, N_r, L)
    quiet: FloatArray  #: The diagonal of ``Delta^-1``, (B, N_r)
    X: ComplexArray  #: (B, r, r), or (B, 0, 0) where B is the identity
    F: ComplexArray  #: Likewise
    inverse: ComplexArray  #: ``(I + X F)^-1``, or ``Q^-1`` where B is the identity, (B, r, r)
    Y: ComplexArray  #: (B, N_r, L)


@frozen(eq=False)
class Echoes:
    """The SQNR at B points with its derivative."""

    value: FloatArray = rows()  #: f, (B,)
    half: ComplexArray = rows(2)  #: Half of the derivative by V, (B, N, L)
    d: FloatArray = rows(1)  #: (B, N)
    C: ComplexArray = rows(2)  #: (B, N, L)
    T: FloatArray = rows(1)  #: (B, N_r)
    seen: Seen = tuples()


def value_at(response: Response, V: ComplexArray) -> tuple[FloatArray, Seen]:
    """The SQNR at V (B, N, L), (B,), and what `echoes_at` goes on with."""
    few, powers = response.AH @ V, squared(V).sum(axis=-1)
    echo = response.onto(few)
    loud = squared(echo).sum(axis=-1) + (response.gains @ powers[..., None])[..., 0]
    noise = 1 + response.receive * (loud + 1)
    X = (response.AH * (response.transmit * powers)[:, None, :]) @ response.A
    r = np.arange(X.shape[-1])
    if response.thin:
        F = response.middle(1 / noise)
        matrix = X @ F
        matrix[:, r, r] += 1
        inverted = inverse(matrix)
    else:
        F, matrix, X = X[:, :0, :0], X, X[:, :0, :0]
        matrix[:, r, r] += noise
        inverted = positive_inverse(matrix)
    Y = response.onto(inverted @ few)
    Y = Y / noise[..., None] if response.thin else Y
    return inner(echo, Y), Seen(V, echo, 1 / noise, X, F, inverted, Y)


def echoes_at(response: Response, value: FloatArray, seen: Seen) -> Echoes:
    """The derivative at points, of what `value_at` gave."""
    C, T = response.back(seen.Y), response.receive * squared(seen.Y).sum(axis=-1)
    d = response.transmit * squared(C).sum(axis=-1) + (T[:, None, :] @ response.gains)[:, 0]
    half = C - response.back(T[..., None] * seen.echo) - d[..., None] * seen.V
    return Echoes(value, half, d, C, T, seen)


def echoes_of(response: Response, V: ComplexArray) -> Echoes:
    """The SQNR and its derivative at V (B, N, L)."""
    return echoes_at(response, *value_at(response, V))


def slope_at(response: Response, echoes: Echoes) -> ComplexArray:
    """df/dR but for ``-diag(d)`` is ``A slope A^H`` with this, (B, r, r)."""
    seen = echoes.seen
    return np.asarray((seen.F @ seen.inverse if response.thin else seen.inverse) - response.middle(echoes.T))


def gradient_at(response: Response, echoes: Echoes) -> ComplexArray:
    """df/dR, Hermitian, (B, N, N)."""
    gradient, i = response.A @ slope_at(response, echoes) @ response.AH, np.arange(response.transmit.shape[-1])
    gradient[:, i, i] -= echoes.d
    return np.asarray(gradient)


def curvature(response: Response, echoes: Echoes) -> ComplexArray:
    """``G^H diag(T) G + diag(d)`` for B the identity, positive semidefinite, (B, N, N)."""
    M, i = (response.A * echoes.T[:, None, :]) @ response.AH, np.arange(response.transmit.shape[-1])
    M[:, i, i] += echoes.d
    return np.asarray(M)


def brightest(response: Response, V: ComplexArray, count: int) -> ComplexArray:
    """Directions of equal power, 1 in all, that raise f most but for ``diag(d)``, at V (B, N, L): ``count`` at most.

    Of a response of full rank nearly so: a start needs no eigenvectors to the last digit.
    """
    echoes = echoes_of(response, V)
    basis = np.linalg.qr(response.A)[0] if response.thin else _bright(response, echoes, 2 * count)
    few = response.AH @ basis
    U = basis @ eigh(hermitian(few) @ slope_at(response, echoes) @ few)[1]
    few = np.ascontiguousarray(U[:, :, ::-1][:, :, :count])
    return np.asarray(few / np.sqrt(few.shape[-1]))


def _bright(response: Response, echoes: Echoes, count: int) -> ComplexArray:
    """A basis of directions that G^H Q^-1 G gains most along, ``count`` at most, by subspace iteration, (B, N, n)."""
    N = response.A.shape[-2]
    basis: ComplexArray = _drawn(N, min(count, N))[None]
    for _ in range(POWERS):
        basis = np.linalg.qr(response.A @ (echoes.seen.inverse @ (response.AH @ basis)))[0]
    return basis


def factors(G: ComplexArray, most: int) -> tuple[IntArray, ComplexArray, ComplexArray]:
    """Ranks (B,) of matrices (B, N_r, N), most + 1 standing for more, and ``G = B A^H``: B (B, N_r, r), A (B, N, r).

    Seen along most + 1 directions that no matrix knows of, the columns of G span what all of them span. B is
    orthonormal; of both the first ``rank`` columns count.
    """
    receivers, N = G.shape[-2:]
    B, R = np.linalg.qr(G @ _drawn(N, min(most + 1, receivers, N)))
    sizes = squared(np.diagonal(R, axis1=-2, axis2=-1))
    rank = (sizes > NOTHING * frobenius2(R)[:, None]).sum(axis=-1)
    return rank, B, hermitian(G) @ B


@cache
def _drawn(N: int, columns: int) -> ComplexArray:
    return complex_normal(np.random.default_rng(0), (N, columns))
