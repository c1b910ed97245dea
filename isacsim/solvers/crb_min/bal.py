"""The balanced augmented Lagrangian method [Zhao26, Algorithm 1], reduced and not.

With the equations A x = b of `isacsim.solvers.crb_min.splitting`, the proximal maps of
`isacsim.optimisation.proximal` and f the sum of the three terms::

    x+ = prox_{tau f}(x + tau A^* lambda)
    lambda+ = lambda - (A A^* + delta I)^-1 (A (2 x+ - x) - b) / tau

A step costs the eigendecompositions of M + 1 matrices: r x r in ``r-bal``, N_t x N_t in
``bal``, which has a block for sensing besides.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import attrs
import numpy as np
from attrs import field, frozen

from isacsim.batch import frobenius2, hermitian, hermitian_part, rows
from isacsim.checks import number, whole
from isacsim.linalg.stacked import trace
from isacsim.optimisation.proximal import prox_blocks
from isacsim.solvers.base import Request
from isacsim.solvers.crb_min.base import CrbMinSolver, certified
from isacsim.solvers.crb_min.dual import from_multipliers
from isacsim.solvers.crb_min.recovery import Beams, cheapest, recovered
from isacsim.solvers.crb_min.reduction import Reduced
from isacsim.solvers.crb_min.splitting import Splitting
from isacsim.solvers.crb_min.white import degenerate
from isacsim.solvers.iterate import Stop, iterate
from isacsim.solvers.solution import Solution
from isacsim.solvers.sqinr.group import Group
from isacsim.typing import BoolArray, ComplexArray, FloatArray


@frozen(eq=False)
class BalState:
    """Iterates of B members, in reduced units and in matrices of n x n."""

    traced: ClassVar[tuple[str, ...]] = ("violation",)

    reduced: Reduced
    splitting: Splitting
    start: Beams
    V: ComplexArray = rows(3)  #: blocks, (B, M, n, n)
    X: ComplexArray = rows(3)  #: copies of their sum: Z, and Y where there are spare dimensions, (B, m, n, n)
    y: FloatArray = rows(1)  #: multipliers of the SINRs
    L: ComplexArray = rows(3)  #: multipliers of what the copies are; that of Z becomes Z^-2
    S: ComplexArray = rows(2)  #: sum of the blocks
    own: FloatArray = rows(1)  #: h_k^H V_k h_k
    mu: FloatArray = rows()  #: multiplier of the power
    objective: FloatArray = rows()
    residual: FloatArray = rows()
    violation: FloatArray = rows()  #: ||A x - b||, as published
    stalled: bool = False  #: it always goes on

    @property
    def beams(self) -> Beams:
        """Beams that meet all constraints."""
        return recovered(self.reduced, self._inside(self.V), self.start)

    @property
    def precoder(self) -> ComplexArray:
        """Their coordinates (B, r, K+r), for callbacks."""
        return self.beams.precoder

    @property
    def decision(self) -> dict[str, ComplexArray]:
        """What the solution holds of them."""
        return {"precoder": self.beams.coordinates}

    @property
    def bound(self) -> FloatArray:
        """What the multipliers prove, (B,)."""
        mu = self.mu - trace(self.L[:, 1:]).sum(axis=-1) / self.L.shape[-1]
        return np.asarray(from_multipliers(self.reduced, self.y, self._inside(self.L[:, 0]), mu).bound)

    def _inside(self, X: ComplexArray) -> ComplexArray:
        """Matrices on the range of the channels."""
        if self.splitting.blocks == self.reduced.users:  # they are
            return X
        U = self.reduced.basis[(slice(None), *[None] * (X.ndim - 3))]
        return hermitian(U) @ X @ U


@frozen
class RBal(CrbMinSolver):
    """Balanced augmented Lagrangian method on the range of the channels [Zhao26, Algorithm 1].

    Some hundreds of steps to moderate accuracy, at a cost that does not depend on the number
    of antennas. The beams returned meet every SINR; the bound is that of the last multipliers.

    Args:
        tolerance: Residual at which a member has converged: the larger of ``||A x - b||`` and
            of ``dual_weight`` times ``||x+ - x|| / tau``, in units in which the power is N_t.
        max_steps: Largest number of steps.
        tau: Step size of the proximal maps, in those units.
        delta: Regularisation of A A^*.
        dual_weight: Weight of the dual residual; 0 is the published rule, which can stop
            far from the optimum when tau is small.
    """

    tolerance: float = field(default=1e-6, validator=number(above=0))
    max_steps: int = field(default=20_000, validator=whole(1))
    tau: float = field(default=0.02, validator=number(above=0))
    delta: float = field(default=1e-6, validator=number(above=0))
    dual_weight: float = field(default=1e-3, validator=number(least=0, remedy="Use 0 for the published rule."))

    reduces: ClassVar[bool] = True
    #: The degenerate case, in which the SINRs need not hold with equality
    white: ClassVar[Callable[[Reduced], tuple[ComplexArray, BoolArray]]] = degenerate

    def optimise(self, group: Group, request: Request) -> Solution:
        """Steps until the residual meets the tolerance."""
        reduced = group.system
        stop = Stop(self.tolerance, self.max_steps, request.time_limit, request.callback)
        state = self.init(reduced, cheapest(reduced, group.feasible.multipliers))
        return certified(reduced, iterate(state, self.step, stop, labels=group.places), self.tolerance)

    def init(self, reduced: Reduced, start: Beams) -> BalState:
        """The state at the white covariance, split evenly, without multipliers."""
        space = reduced if self.reduces else reduced.whole
        splitting = Splitting.of(space, reduced.users + int(not self.reduces), self.delta)
        members, n, users = space.H.shape
        white: ComplexArray = np.tile(np.eye(n, dtype=complex), (members, 1, 1, 1))
        V = np.repeat(white / splitting.blocks, splitting.blocks, axis=1)
        X = np.repeat(white, splitting.copies, axis=1)
        none, no_end = np.zeros(members), np.full(members, np.inf)
        return BalState(
            reduced, splitting, start, V, X, y=np.zeros((members, users)), L=np.zeros_like(X), S=X[:, 0],
            own=splitting.own(V), mu=none, objective=none + reduced.antennas, residual=no_end, violation=no_end,
        )  # fmt: skip

    def step(self, state: BalState) -> BalState:
        """One primal and one dual update."""
        parts, tau, power = state.splitting, self.tau, float(state.reduced.antennas)
        C = state.V + tau * (state.L.sum(axis=1) - parts.spread(state.y))[:, None]
        C[:, : state.reduced.users] += (tau * state.reduced.ratio * state.y)[..., None, None] * parts.dyads
        V, threshold = prox_blocks(C, power)
        X, objective = parts.prox_copies(state.X - tau * state.L, tau)
        S, own = V.sum(axis=1), parts.own(V)
        far_S, far_own = 2 * S - state.S, 2 * own - state.own
        change_y, change = parts.solve(parts.misses(far_S, far_own), far_S[:, None] - (2 * X - state.X))
        violation = np.sqrt((parts.misses(S, own) ** 2).sum(axis=-1) + _norms2(S[:, None] - X))
        moved = np.sqrt(_norms2(V - state.V) + _norms2(X - state.X))
        residual = np.maximum(violation, self.dual_weight * moved / tau)
        y, L = state.y - change_y / tau, hermitian_part(state.L - change / tau)
        return attrs.evolve(
            state, V=V, X=X, y=y, L=L, S=S, own=own, mu=threshold / tau,
            objective=objective, residual=residual, violation=violation,
        )  # fmt: skip


@frozen
class Bal(RBal):
    """Balanced augmented Lagrangian method on the whole array, a baseline [Zhao26].

    As ``r-bal``, with its options, without the reduction: matrices of N_t x N_t, and a block for sensing.
    """

    reduces: ClassVar[bool] = False


def _norms2(X: ComplexArray) -> FloatArray:
    """Squared norms of stacks of blocks (B, M, n, n), (B,)."""
    return frobenius2(X.reshape(X.shape[0], -1, X.shape[-1]))
