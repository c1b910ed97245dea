"""The balanced augmented Lagrangian method [Zhao26, Algorithm 1], reduced and not.

With the equations A x = b of `isacsim.solvers.crb_min.splitting`, the proximal maps of
`isacsim.solvers.crb_min.prox` and f the sum of the three terms::

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
from isacsim.solvers.base import Request
from isacsim.solvers.crb_min.base import CrbMinSolver, certified
from isacsim.solvers.crb_min.dual import from_multipliers
from isacsim.solvers.crb_min.prox import prox_blocks, prox_inverse_trace, prox_spare_power
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
    Z: ComplexArray = rows(2)
    Y: ComplexArray = rows(2)  #: without spare dimensions it stays as it is
    y: FloatArray = rows(1)  #: multipliers of the SINRs
    L_Z: ComplexArray = rows(2)  #: multiplier of sum V = Z, which becomes Z^-2
    L_Y: ComplexArray = rows(2)
    S: ComplexArray = rows(2)  #: sum of the blocks
    own: FloatArray = rows(1)  #: h_k^H V_k h_k
    threshold: FloatArray = rows()  #: multiplier of the power, times tau
    objective: FloatArray = rows()
    residual: FloatArray = rows()
    violation: FloatArray = rows()  #: ||A x - b||, as published
    tau: float = field()

    @property
    def stalled(self) -> BoolArray:
        """It always goes on."""
        return np.zeros(len(self.objective), bool)

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
        n = self.Z.shape[-1]
        mu = self.threshold / self.tau - (trace(self.L_Y) / n if self.splitting.copies == 2 else 0.0)
        return np.asarray(from_multipliers(self.reduced, self.y, self._inside(self.L_Z), mu).bound)

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
        identity = np.broadcast_to(np.eye(n, dtype=complex), (members, n, n)).copy()
        V = np.asarray(np.repeat(identity[:, None] / splitting.blocks, splitting.blocks, axis=1), complex)
        none = np.zeros(members)
        return BalState(
            reduced=reduced,
            splitting=splitting,
            start=start,
            V=V,
            Z=identity,
            Y=identity,
            y=np.zeros((members, users)),
            L_Z=np.zeros_like(identity),
            L_Y=np.zeros_like(identity),
            S=identity,
            own=splitting.own(V),
            threshold=none,
            objective=none + reduced.antennas,
            residual=none + np.inf,
            violation=none + np.inf,
            tau=self.tau,
        )

    def step(self, state: BalState) -> BalState:
        """One primal and one dual update."""
        parts, tau, power = state.splitting, self.tau, float(state.reduced.antennas)
        paired = parts.copies == 2
        pull = state.L_Z - parts.spread(state.y)
        pull = tau * (pull + state.L_Y if paired else pull)
        C = state.V + pull[:, None]
        C[:, : state.reduced.users] += (tau * state.reduced.ratio * state.y)[..., None, None] * parts.dyads
        V, threshold = prox_blocks(C, power)
        Z, spectrum = prox_inverse_trace(state.Z - tau * state.L_Z, tau)
        objective = (1 / spectrum).sum(axis=-1)
        Y = state.Y
        if paired:
            Y, left = prox_spare_power(state.Y - tau * state.L_Y, tau, state.reduced.spare, power)
            objective = objective + state.reduced.spare**2 / left
        S, own = V.sum(axis=1), parts.own(V)
        far_S, far_own = 2 * S - state.S, 2 * own - state.own
        sums = [far_S - (2 * Z - state.Z)] + ([far_S - (2 * Y - state.Y)] if paired else [])
        change_y, changes = parts.solve(parts.misses(far_S, far_own), sums)
        primal = (parts.misses(S, own) ** 2).sum(axis=-1) + frobenius2(S - Z)
        moved = _norms2(V - state.V) + frobenius2(Z - state.Z)
        if paired:
            primal, moved = primal + frobenius2(S - Y), moved + frobenius2(Y - state.Y)
        violation = np.sqrt(primal)
        residual = np.maximum(violation, self.dual_weight * np.sqrt(moved) / tau)
        return attrs.evolve(
            state,
            V=V,
            Z=Z,
            Y=Y,
            y=state.y - change_y / tau,
            L_Z=hermitian_part(state.L_Z - changes[0] / tau),
            L_Y=hermitian_part(state.L_Y - changes[1] / tau) if paired else state.L_Y,
            S=S,
            own=own,
            threshold=threshold,
            objective=objective,
            residual=residual,
            violation=violation,
        )


@frozen
class Bal(RBal):
    """Balanced augmented Lagrangian method on the whole array, a baseline [Zhao26].

    As ``r-bal``, with its options, without the reduction: matrices of N_t x N_t, and a block for sensing.
    """

    reduces: ClassVar[bool] = False


def _norms2(X: ComplexArray) -> FloatArray:
    """Squared norms of stacks of blocks (B, M, n, n), (B,)."""
    return frobenius2(X.reshape(X.shape[0], -1, X.shape[-1]))
