"""Responses of one point target, ``G = b a^H``, whose SQNR is a function of two numbers.

In the units of a `System`, with ``zeta = a^H R a`` and ``eps = sum_i e_i |a_i|^2 R_ii``, it is for any converters
[Xu25, eq. (32)]::

    f = zeta / (1/B(zeta + eps) + eps),  B(s) = sum_j |b_j|^2 / (1 + eps_j (1 + |b_j|^2 s))
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from isacsim.batch import frobenius2
from isacsim.compiled import compiled, part
from isacsim.linalg.parts import real_inner
from isacsim.records import member
from isacsim.typing import BoolArray, ComplexArray, FloatArray

TINY = float(np.finfo(float).tiny)
SAME = 1e-9  # relative difference that counts as none
NOTHING = 1e-24  # share of the power of a response that counts as none


class PointResponse(NamedTuple):
    """Responses of one point target, ``b a^H``, and which these are: of B members, or of one without the first axis."""

    there: BoolArray  #: Whether the response is one, (B,)
    a: ComplexArray  #: Direction, of norm 1, (B, N)
    spread: FloatArray  #: ``e_i |a_i|^2``, (B, N)
    gains: FloatArray  #: ``|b_j|^2 / (1 + eps_j)``, whose sum is B(0), (B, N_r)
    share: FloatArray  #: ``eps_j`` times these, (B, N_r)

    @property
    def level(self) -> BoolArray:
        """Where eps is known at full power, (B,)."""
        return np.asarray(self.there & _even(self.spread))

    @property
    def affine(self) -> BoolArray:
        """Where 1/B is affine, (B,)."""
        return np.asarray(self.there & _even(self.share))

    def zeta(self, V: ComplexArray) -> FloatArray:
        """``a^H R a`` of V (B, N, L), (B,)."""
        return frobenius2(np.conj(self.a)[:, None, :] @ V)

    def at(self, zeta: FloatArray, eps: FloatArray) -> FloatArray:
        """The SQNR for the two numbers, (B,), for responses of one point."""
        # 1 + eps_j (1 + |b_j|^2 s) is (1 + eps_j) (1 + share_j s).
        B = (self.gains / (1 + self.share * (zeta + eps)[:, None])).sum(axis=-1)
        return np.asarray(zeta / (1 / B + eps))


def point_response(
    G: ComplexArray, lengths: FloatArray, noise: FloatArray, transmit: FloatArray, receive: FloatArray
) -> PointResponse:
    """Responses as those of point targets, in the units of a `System`.

    Args:
        G: The responses, (B, N_r, N), which are written over with those in these units.
        lengths: Of the rows of the precoders, (B, N).
        noise: Of the sensing receive chains, (B,), in W.
        transmit: Ratios e of the chains, (B, N).
        receive: Ratios eps, (B, N_r).
    """
    (members, receivers, N), place = G.shape, np.empty
    near, far = (members, N), (members, receivers)
    found = PointResponse(place(members, bool), place(near, complex), place(near), place(far), place(far))
    compiled(respond_each)(G, lengths, noise, transmit, receive, found)
    return found


@part
def respond(
    G: ComplexArray, lengths: FloatArray, noise: float, transmit: FloatArray, receive: FloatArray, found: PointResponse
) -> bool:
    """Write the response (N_r, N) of one member, brought to other units, as that of a point; whether it is one.

    It is along the strongest row.
    """
    (receivers, N), a, row, most, unit = G.shape, found.a, 0, TINY, 1 / np.sqrt(noise)
    for j in range(receivers):
        power = 0.0
        for i in range(N):
            G[j, i] *= lengths[i] * unit
            power += real_inner(G[j, i], G[j, i])
        if power > most:
            row, most = j, power
    for i in range(N):
        a[i] = np.conj(G[row, i]) * (1 / np.sqrt(most))
        found.spread[i] = transmit[i] * real_inner(a[i], a[i])
    rest, total = 0.0, 0.0
    for j in range(receivers):
        b = 0j
        for i in range(N):
            b += G[j, i] * a[i]
        for i in range(N):
            left = G[j, i] - b * np.conj(a[i])
            rest += real_inner(left, left)
            total += real_inner(G[j, i], G[j, i])
        found.gains[j] = real_inner(b, b) / (1 + receive[j])
        found.share[j] = receive[j] * found.gains[j]
    return rest <= NOTHING * total


def respond_each(
    G: ComplexArray,
    lengths: FloatArray,
    noise: FloatArray,
    transmit: FloatArray,
    receive: FloatArray,
    found: PointResponse,
) -> None:
    """`point_response` into the last record, member by member."""
    for b in range(len(G)):
        found.there[b] = respond(G[b], lengths[b], noise[b], transmit[b], receive[b], member(found, b))


def _even(x: FloatArray) -> BoolArray:
    return np.asarray(x.max(axis=-1) - x.min(axis=-1) <= SAME * x.max(axis=-1))
