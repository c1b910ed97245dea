"""Responses whose SQNR rises with a ratio of linear functions of the covariance.

For one point target with zeta and eps (`isacsim.solvers.sqnr_max.target`):

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

import numpy as np
from attrs import field, frozen

from isacsim.batch import hermitian, inner, rows, tuples
from isacsim.solvers.sqnr_max.objectives import Sqnr
from isacsim.solvers.sqnr_max.target import PointResponse, point_response
from isacsim.typing import ComplexArray, FloatArray


@frozen(eq=False)
class Ratio:
    """``tr(numerator R) / (tr(denominator R) + offset)`` of B members, which f rises with.

    Attributes:
        alike: The SQNR that is the ratio itself, whose optima first order proves.
        numerator: Hermitian, (B, N, N).
        denominator: Hermitian, (B, N, N).
        offset: Positive, (B,).
        target: The point target where f is not the ratio itself but (32) of it; else None.
    """

    alike: Sqnr = field()
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
        return self.target.at(ratio, self.target.spread[:, 0])


def ratios(objective: Sqnr, case: str) -> Ratio:
    """The ratios of members of one `cases`."""
    members, antennas, t = len(objective.G), objective.G.shape[-1], objective.target
    nothing, one = np.zeros((members, antennas, antennas), complex), np.ones(members)
    if case == "affine":
        Z, E = t.a[:, :, None] * np.conj(t.a)[:, None, :], t.spread[:, :, None] * np.eye(antennas)
        quality = t.gains.sum(axis=-1)
        share = (t.share[:, 0] / quality)[:, None, None]
        return Ratio(objective, Z, share * (Z + E) + E, 1 / quality)
    level = case == "level"
    # As if through ideal converters: what a point target sends back, or all that is left of the echo.
    G = np.conj(t.a)[:, None, :] if level else objective.G / np.sqrt(1 + objective.receive)[..., None]
    e, eps = np.zeros((members, antennas)), np.zeros((members, G.shape[-2]))
    alike = Sqnr(G, e, eps, point_response(G, np.ones_like(e), one, e, eps))
    return Ratio(alike, hermitian(G) @ G, nothing, one, t if level else None)


def cases(objective: Sqnr) -> list[str]:
    """For each member why its SQNR rises with a ratio: ``ideal``, ``level``, ``affine``; or ``other``."""
    t = objective.target
    ideal = (objective.transmit == 0).all(axis=-1) & (objective.receive == 0).all(axis=-1)
    order = np.select([ideal, t.level, t.affine], [0, 1, 2], 3)
    return [("ideal", "level", "affine", "other")[i] for i in order]
