"""Responses whose SQNR rises with a ratio of linear functions of the covariance.

For one point target with zeta and eps (`isacsim.solvers.sqnr_max.target`):

- where e_i |a_i|^2 is the same for all i (transmit converters of one resolution), eps is known
  at full power, and f rises with zeta alone [Xu25, Proposition 1];
- where eps_j |b_j|^2 / (1 + eps_j) is the same for all j (receive converters of one resolution),
  1/B is affine, and f itself is a ratio of linear functions;
- for ideal converters f = tr(G^H G R) for any response.

A ratio N/D is maximised by Dinkelbach's method: N - q D for the ratio q at a point is linear, as far as it counts D
times the ratio's gradient there, and at the largest ratio it has its maximum at the point itself. For all other
responses there is a relaxation: without the distortion that grows with the echo the noise is diag(1 + eps_j), which
bounds f by ``tr(G^H diag(1 + eps_j)^-1 G R)``.
"""

from __future__ import annotations

import numpy as np
from attrs import field, frozen

from isacsim.batch import tuples
from isacsim.solvers.sqnr_max.objectives import Sqnr
from isacsim.solvers.sqnr_max.target import PointResponse, point_response
from isacsim.typing import FloatArray


@frozen(eq=False)
class Ratio:
    """A ratio of linear functions of B members, which f rises with.

    Attributes:
        alike: The SQNR that is the ratio itself, whose optima first order proves.
        target: The point target where f is not the ratio itself but (32) of it; else None.
    """

    alike: Sqnr = field()
    target: PointResponse | None = tuples(None)

    @classmethod
    def of(cls, objective: Sqnr, case: str) -> Ratio:
        """That of members of one `cases`."""
        if case not in ("level", "other"):
            return cls(objective)
        # As if through ideal converters: what a point target sends back, or all that is left of the echo.
        t, members = objective.target, len(objective.G)
        G = np.conj(t.a)[:, None, :] if case == "level" else objective.G / np.sqrt(1 + objective.receive)[..., None]
        e, eps = np.zeros((members, G.shape[-1])), np.zeros((members, G.shape[-2]))
        alike = Sqnr(G, e, eps, point_response(G, np.ones_like(e), np.ones(members), e, eps))
        return cls(alike, t if case == "level" else None)

    def sqnr(self, ratio: FloatArray) -> FloatArray:
        """The largest SQNR that points of full power have with this ratio, (B,)."""
        if self.target is None:
            return ratio
        return self.target.at(ratio, self.target.spread[:, 0])


def cases(objective: Sqnr) -> list[str]:
    """For each member why its SQNR rises with a ratio: ``ideal``, ``level``, ``affine``; or ``other``."""
    order = np.select([objective.ideal, objective.target.level, objective.target.affine], [0, 1, 2], 3)
    return [("ideal", "level", "affine", "other")[i] for i in order]
