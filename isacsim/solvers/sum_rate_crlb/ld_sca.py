"""Low-dimensional SCA for `SumRateCrlb` [Fang25, Sec. IV-C].

Every stationary precoder of a total power lies in the range of ``N = [H, V]``
(`isacsim.solvers.sum_rate_crlb.riemannian`). The surrogate of `isacsim.solvers.sum_rate_crlb.sca` is
maximised over that range, in an orthonormal
basis of it. There the paper's ``W = N P`` with lambda N^H N in C_2 is the same iteration,
whereas lambda I, as [Fang25, eq. (40)] reads, would be another one, badly conditioned.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from attrs import field, frozen

from isacsim.checks import whole
from isacsim.solvers.sum_rate_crlb.sca import Sca, Surrogate, rate_terms
from isacsim.typing import ComplexArray, FloatArray


@frozen
class LdSca(Sca):
    """SCA in at most K+3M dimensions: finds a stationary point, not a global optimum.

    Monotone with ``backtracking``. The iterates are those of `sca` from the same start in the
    range of [H, V], at a cost that knows nothing of the number of antennas. An initial
    precoder is projected onto that range, and regains full power with the first step.
    Takes a total power only. Options as of `sca`, and one more.

    Args:
        inner_updates: Closed-form updates for each surrogate. The published code takes 20:
            they overshoot where the surrogate of the CRLB bounds it from the wrong side, and from
            many starts never settle.
    """

    reduced: ClassVar[bool] = True

    inner_updates: int = field(default=1, validator=whole(1))

    def refine(self, surrogate: Surrogate, curvature: FloatArray, W: ComplexArray) -> ComplexArray:
        """The further inner updates, with the same surrogate."""
        if self.inner_updates > 1:
            merit, seen = surrogate.merit, surrogate.seen
            C_1, rate = rate_terms(merit, seen, W.shape[-1])
            C_2 = merit.V @ (seen.Q_V @ merit.VH) - rate + curvature[:, None, None] * np.eye(W.shape[-2])
            for _ in range(self.inner_updates - 1):
                W = merit.project(C_1 + C_2 @ W)
        return W
