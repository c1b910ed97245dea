"""Responses whose SQNR rises with a ratio of linear functions of the covariance.

For one point target, ``G = b a^H`` in the units of a `System`, with ``zeta = a^H R a`` and
``eps = sum_i e_i |a_i|^2 R_ii`` the SQNR is, for any converters [Xu25, eq. (32)]::

    f = zeta / (1/B(zeta + eps) + eps),  B(s) = sum_j |b_j|^2 / (1 + eps_j (1 + |b_j|^2 s))

- where e_i |a_i|^2 is the same for all i (transmit converters of one resolution), eps is known
  at full power, and f rises with zeta alone [Xu25, Proposition 1];
- where eps_j |b_j|^2 / (1 + eps_j) is the same for all j (receive converters of one resolution),
  1/B is affine, and f itself is a ratio of linear functions;
- for ideal converters f = tr(G^H G R) for any response.

A ratio is maximised by Dinkelbach's method: N - q D is linear, and the q at which its maximum
is zero is the largest ratio. For all other responses there is a relaxation: without the
distortion that grows with the echo the noise is diag(1 + eps_j), which bounds f by
``tr(G^H diag(1 + eps_j)^-1 G R)``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from attrs import frozen

from isacsim.batch import frobenius2, hermitian, inner, rows, squared, tuples
from isacsim.typing import BoolArray, ComplexArray, FloatArray

if TYPE_CHECKING:
    from isacsim.solvers.sqnr_max.objectives import Sqnr

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
        eps = (self.spread * squared(V).sum(axis=-1)).sum(axis=-1)
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


@frozen(eq=False)
class Ratio:
    """``tr(numerator R) / (tr(denominator R) + offset)`` of B members, which f rises with.

    Attributes:
        numerator: Hermitian, (B, N, N).
        denominator: Hermitian, (B, N, N).
        offset: Positive, (B,).
        target: The point target where f is not the ratio itself but (32) of it; else None.
    """

    numerator: ComplexArray = rows(2)
    denominator: ComplexArray = rows(2)
    offset: FloatArray = rows()
    target: PointResponse | None = tuples(None)

    @property
    def linear(self) -> bool:
        """Whether the denominator is constant."""
        return not np.any(self.denominator)

    def parts(self, V: ComplexArray) -> tuple[FloatArray, FloatArray]:
        """Numerator and denominator at V (B, N, L), each (B,)."""
        return inner(V, self.numerator @ V), inner(V, self.denominator @ V) + self.offset

    def theta(self, q: FloatArray) -> ComplexArray:
        """The Hermitian form of N - q D, (B, N, N)."""
        return np.asarray(self.numerator - q[:, None, None] * self.denominator)

    def sqnr(self, ratio: FloatArray) -> FloatArray:
        """The largest SQNR that points of full power have with this ratio, (B,)."""
        if self.target is None:
            return ratio
        t = self.target
        eps = t.spread[:, :1]
        B = (t.gains / (1 + t.share * (ratio[:, None] + eps))).sum(axis=-1)
        return np.asarray(ratio / (1 / B + eps[:, 0]))


def ratios(objective: Sqnr, case: str) -> Ratio:
    """The ratios of members of one `cases`."""
    antennas = objective.G.shape[-1]
    nothing = np.zeros((len(objective.G), antennas, antennas), complex)
    if case in ("ideal", "other"):
        quiet = objective.G / (1 + objective.receive)[..., None]
        return Ratio(hermitian(objective.G) @ quiet, nothing, np.ones(len(nothing)))
    t = objective.target
    Z = t.a[:, :, None] * np.conj(t.a)[:, None, :]
    if case == "level":
        return Ratio(Z, nothing, np.ones(len(nothing)), t)
    E = t.spread[:, :, None] * np.eye(antennas)
    quality = t.gains.sum(axis=-1)
    share = (t.share[:, 0] / quality)[:, None, None]
    return Ratio(Z, share * (Z + E) + E, 1 / quality)


def cases(objective: Sqnr) -> list[str]:
    """For each member why its SQNR rises with a ratio: ``ideal``, ``level``, ``affine``; or ``other``."""
    t = objective.target
    ideal = (objective.transmit == 0).all(axis=-1) & (objective.receive == 0).all(axis=-1)
    order = np.select([ideal, t.level, t.affine], [0, 1, 2], 3)
    return [("ideal", "level", "affine", "other")[i] for i in order]
