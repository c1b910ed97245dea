"""The linear equations that tie the parts of the balanced augmented Lagrangian method together.

The variables are blocks V_1, ..., V_M, their sum Z and, where there are spare dimensions, a
second copy Y of the sum [Zhao26, problem (14)]::

    A x = b:   a_k <g_k, V_k> - <g_k, sum_j V_j> = sigma_k^2,   sum_j V_j - Z = 0,   sum_j V_j - Y = 0

with ``g_k = h_k h_k^H``. ``A A^* + delta I`` has an inverse of its own structure: after
the lower right block is eliminated a K x K matrix is left, which is inverted once.
"""

from __future__ import annotations

import numpy as np
from attrs import field, frozen

from isacsim.batch import rows, squared
from isacsim.optimisation.proximal import prox_inverse_trace, prox_spare_power
from isacsim.solvers.crb_min.reduction import Reduced
from isacsim.typing import ComplexArray, FloatArray


@frozen(eq=False)
class Splitting:
    """The equations of B members, in matrices of n x n."""

    reduced: Reduced  #: The problems, with the channels h_k and a_k
    dyads: ComplexArray = rows(3)  #: g_k, (B, K, n, n)
    coupling: FloatArray = rows(1)  #: c_k = a_k - M, (B, K)
    schur_inverse: FloatArray = rows(2)  #: Inverse of the Schur complement, (B, K, K)
    blocks: int = field()  #: M
    delta: float = field()  #: Regularisation

    @classmethod
    def of(cls, reduced: Reduced, blocks: int, delta: float) -> Splitting:
        """The equations of so many ``blocks``, those of the users and at most one for sensing."""
        a, M, copies = reduced.ratio, blocks, 2 if reduced.spare else 1
        c = a - M
        T = np.eye(reduced.users) * (a**2)[:, None, :] - a[:, :, None] - a[:, None, :] + M
        schur = T - copies * c[:, :, None] * c[:, None, :] / (copies * M + 1 + delta)
        schur = schur * squared(reduced.HH @ reduced.H) + delta * np.eye(reduced.users)
        columns = np.ascontiguousarray(np.swapaxes(reduced.H, -1, -2))
        dyads = columns[..., :, None] * np.conj(columns)[..., None, :]
        return cls(reduced, dyads, c, np.asarray(np.linalg.inv(schur), float), M, delta)

    @property
    def copies(self) -> int:
        """Number m of copies of the sum: 2 with Y, 1 without."""
        return 2 if self.reduced.spare else 1

    def misses(self, S: ComplexArray, own: FloatArray) -> FloatArray:
        """By how much the SINRs are off equality at the sum S (B, n, n), for ``own`` of the blocks, (B, K)."""
        return self.reduced.ratio * own - self.reduced.received(S) - self.reduced.noise

    def own(self, V: ComplexArray) -> FloatArray:
        """<g_k, V_k> for blocks V (B, M, n, n), (B, K)."""
        users = self.dyads.shape[1]
        g, v = (np.ascontiguousarray(x).view(float) for x in (self.dyads, V[:, :users]))
        return (g * v).reshape(*g.shape[:2], -1).sum(axis=-1)

    def spread(self, y: FloatArray) -> ComplexArray:
        """``sum_k y_k g_k``, (B, n, n)."""
        return (self.reduced.H * y[:, None, :]) @ self.reduced.HH

    def solve(self, q: FloatArray, Q: ComplexArray) -> tuple[FloatArray, ComplexArray]:
        """``(A A^* + delta I)^-1`` times the residuals q (B, K) of the SINRs and Q (B, m, n, n) of the copies."""
        M, m, d = self.blocks, self.copies, 1 + self.delta
        through = self.reduced.received(Q.sum(axis=1))
        s = (self.schur_inverse @ (q - self.coupling * through / (m * M + d))[..., None])[..., 0]
        rest = Q - self.spread(self.coupling * s)[:, None]
        return s, (rest - M / (m * M + d) * rest.sum(axis=1, keepdims=True)) / d

    def prox_copies(self, C: ComplexArray, tau: float) -> tuple[ComplexArray, FloatArray]:
        """The copies (B, m, n, n) that f asks for near C, [Zhao26, Propositions 3 and 4], and f there, (B,)."""
        Z, spectrum = prox_inverse_trace(C[:, 0], tau)
        inside = (1 / spectrum).sum(axis=-1)
        if self.copies == 1:
            return Z[:, None], inside
        Y, left = prox_spare_power(C[:, 1], tau, self.reduced.spare, self.reduced.limit)
        return np.stack([Z, Y], axis=1), inside + self.reduced.spare**2 / left
