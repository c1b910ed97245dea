"""Iterates of the solvers of `SumRateCrlb`, as `isacsim.solvers.iterate` sees them."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
from attrs import frozen

from isacsim.batch import frobenius2, rows
from isacsim.optimisation.riemannian import RiemannianState
from isacsim.solvers.iterate import of_point
from isacsim.solvers.sum_rate_crlb.merit import Evaluated, Iterate, Merit
from isacsim.solvers.sum_rate_crlb.rivals import beaten
from isacsim.typing import BoolArray, FloatArray


class Rated:
    """What `isacsim.solvers.iterate` sees of a state at a ``point``."""

    __slots__ = ()
    traced: ClassVar[tuple[str, ...]] = ("sum_rate", "crlb")

    precoder = of_point("W", "Current precoders, (B, N_t, K+S), in sqrt(W).")
    objective = of_point("objective", "Their objectives, (B,).")
    sum_rate = of_point("sum_rate", "Their sum rates, (B,), in nat/s/Hz.")
    crlb = of_point("crlb", "Their weighted CRLBs, (B,).")


@frozen(eq=False)
class PointState(Rated):
    """Iterates of B members at a point."""

    point: Any
    residual: FloatArray = rows()
    stalled: BoolArray = rows()


@frozen(eq=False)
class RatedState(RiemannianState, Rated):
    """Iterates of a Riemannian iteration, of which those are beaten that need not go on beside their rivals."""

    beaten = staticmethod(beaten)


@frozen(eq=False)
class MovingState(PointState):
    """Iterates with the points before them, for the rules of the published code by which a member ends."""

    merit: Merit
    before: Iterate

    @classmethod
    def at(cls, merit: Merit, point: Evaluated, before: Iterate, stalled: BoolArray, **own: Any) -> Self:
        """The state at a point, with fields of its ``own``."""
        residual = merit.residual(point, frobenius2(merit.slope(point)))
        return cls(point=point, residual=residual, stalled=stalled, merit=merit, before=before, **own)

    @property
    def move(self) -> FloatArray:
        """Spectral norm of the last change of W, (B,), in sqrt(W)."""
        return np.asarray(np.linalg.norm(self.point.W - self.before.W, 2, axis=(-2, -1)))

    @property
    def change(self) -> FloatArray:
        """Largest relative change of objective, sum rate and CRLB, (B,)."""
        old, new = (np.stack([p.objective, p.sum_rate, p.crlb]) for p in (self.before, self.point))
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.fmax.reduce(np.abs(new - old) / np.abs(old)))  # NaN: a term without weight or users
