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
    """``tr(numerator R) / (tr(denominator R) + 1)`` of B members, which f rises with.

    Attributes:
        alike: The SQNR that is the ratio itself, whose optima first order proves.
        numerator: Hermitian, (B, N, N).
        denominator: Hermitian, (B, N, N).
        target: The point target where f is not the ratio itself but (32) of it; else None.
    """

    alike: Sqnr = field()
    numerator: ComplexArray = rows(2)
    denominator: ComplexArray = rows(2)
    target: PointResponse | None = tuples(None)

    @classmethod
    def of(cls, objective: Sqnr, case: str) -> Ratio:
        """That of members of one `cases`."""
        members, antennas, t = len(objective.G), objective.G.shape[-1], objective.target
        if case in ("level", "other"):
            # As if through ideal converters: what a point target sends back, or all that is left of the echo.
            G = np.conj(t.a)[:, None, :] if case == "level" else objective.G / np.sqrt(1 + objective.receive)[..., None]
            e, eps = np.zeros((members, antennas)), np.zeros((members, G.shape[-2]))
            objective = Sqnr(G, e, eps, point_response(G, np.ones_like(e), np.ones(members), e, eps))
        numerator = (hermitian(objective.G) / (1 + objective.receive)[:, None, :]) @ objective.G
        here = objective.target  # of which nothing is left through ideal converters
        Z, E = here.a[:, :, None] * np.conj(here.a)[:, None, :], here.spread[:, :, None] * np.eye(antennas)
        share, quality = here.share[:, :1, None], here.gains.sum(axis=-1)[:, None, None]
        return cls(objective, numerator, share * (Z + E) + quality * E, t if case == "level" else None)

    @property
    def linear(self) -> bool:
        """Whether the denominator is constant."""
        return not np.any(self.denominator)

    def parts(self, V: ComplexArray) -> tuple[FloatArray, FloatArray]:
        """Numerator and denominator at V (B, N, L), each (B,)."""
        return inner(V, self.numerator @ V), inner(V, self.denominator @ V) + 1

    def theta(self, q: FloatArray) -> ComplexArray:
        """The Hermitian form of N - q D, (B, N, N)."""
        return np.asarray(self.numerator - q[:, None, None] * self.denominator)

    def sqnr(self, ratio: FloatArray) -> FloatArray:
        """The largest SQNR that points of full power have with this ratio, (B,)."""
        if self.target is None:
            return ratio
        return self.target.at(ratio, self.target.spread[:, 0])


def cases(objective: Sqnr) -> list[str]:
    """For each member why its SQNR rises with a ratio: ``ideal``, ``level``, ``affine``; or ``other``."""
    order = np.select([objective.ideal, objective.target.level, objective.target.affine], [0, 1, 2], 3)
    return [("ideal", "level", "affine", "other")[i] for i in order]
