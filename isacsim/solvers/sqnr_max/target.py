"""Responses of one point target, ``G = b a^H``, whose SQNR is a function of two numbers.

In the units of a `System`, with ``zeta = a^H R a`` and ``eps = sum_i e_i |a_i|^2 R_ii``, it is for any converters
[Xu25, eq. (32)]::

    f = zeta / (1/B(zeta + eps) + eps),  B(s) = sum_j |b_j|^2 / (1 + eps_j (1 + |b_j|^2 s))
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from isacsim.batch import frobenius2, squared
from isacsim.typing import BoolArray, ComplexArray, FloatArray

TINY = np.finfo(float).tiny
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

    def sqnr(self, V: ComplexArray) -> FloatArray:
        """The SQNR of V (B, N, L), (B,), for responses of one point."""
        zeta = frobenius2(np.conj(self.a)[:, None, :] @ V)
        return self.at(zeta, (self.spread * squared(V).sum(axis=-1)).sum(axis=-1))

    def at(self, zeta: FloatArray, eps: FloatArray) -> FloatArray:
        """The SQNR for the two numbers, (B,)."""
        # 1 + eps_j (1 + |b_j|^2 s) is (1 + eps_j) (1 + share_j s).
        B = (self.gains / (1 + self.share * (zeta + eps)[:, None])).sum(axis=-1)
        return np.asarray(zeta / (1 / B + eps))


def point_response(G: ComplexArray, transmit: FloatArray, receive: FloatArray) -> PointResponse:
    """Responses (B, N_r, N) as those of point targets, for the ratios e (B, N) and eps (B, N_r) of the chains."""
    powers = squared(G).sum(axis=-1)
    strongest = np.arange(len(G)), powers.argmax(axis=-1)
    a = np.conj(G[strongest]) / np.sqrt(np.maximum(powers[strongest], TINY))[:, None]
    b = (G @ a[..., None])[..., 0]
    rest = frobenius2(G - b[..., None] * np.conj(a)[:, None, :])
    kept = squared(b) / (1 + receive)
    return PointResponse(
        there=rest <= NOTHING * powers.sum(axis=-1),
        a=a,
        spread=transmit * squared(a),
        gains=kept,
        share=receive * kept,
    )


def _even(x: FloatArray) -> BoolArray:
    return np.asarray(x.max(axis=-1) - x.min(axis=-1) <= SAME * x.max(axis=-1))
