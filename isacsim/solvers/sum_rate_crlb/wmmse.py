"""Reduced WMMSE for the sum rate alone [Zhao23, Sec. III].

The rates do not change when precoder and noise amplitude grow alike, so that a total power is kept by scaling
and never as a constraint. With receivers ``u_k = Z_kk / T_k`` and weights ``w_k = T_k / I_k``, for the
gains ``Z = H^H W``, the weighted mean squared error is least at::

    W+ = (H diag(w_k |u_k|^2) H^H + mu I)^-1 H diag(w_k u_k),   mu = sum_k w_k |u_k|^2 noise_k / power

where ``w_k |u_k|^2 = S_k / (I_k T_k)`` and ``w_k u_k = Z_kk / I_k``: the weights beta and eta of
`isacsim.solvers.sum_rate_crlb.merit`. Every iterate lies in the range of H, in whose coordinates the
iteration runs, so that an update knows nothing of the number of antennas.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from attrs import field, frozen

from isacsim.checks import whole
from isacsim.compiled import compiled
from isacsim.linalg.blas import multiply
from isacsim.optimisation.preconditioner import precondition
from isacsim.optimisation.spheres import to_surface
from isacsim.solvers.sum_rate_crlb.base import SingleStart
from isacsim.solvers.sum_rate_crlb.member import SEEN, Room, Terms, follow, rates
from isacsim.solvers.sum_rate_crlb.merit import Merit
from isacsim.solvers.sum_rate_crlb.states import MovingState
from isacsim.typing import ComplexArray


@frozen
class RWmmse(SingleStart):
    """Reduced WMMSE for rates alone (``crlb_weight = 0``): finds a stationary point, not a global optimum.

    Monotone, without a step length: each update is one system of K unknowns. It converges
    linearly, and slowly at high SNR.

    Args:
        max_steps: Largest number of iterations, of ``updates`` each.
        updates: Updates of the precoder in an iteration, after which objective and residual are looked at.
    """

    reduced: ClassVar[bool] = True

    # Some ten take as long as looking at what they made.
    updates: int = field(default=10, validator=whole(1), kw_only=True)

    def takes(self, problem: Any) -> str | None:
        """Nothing, or a sentence why not: it knows of no CRLB."""
        told = super().takes(problem)
        if told is None and problem.crlb_weight:
            told = f"takes rates alone, crlb_weight = 0, not {problem.crlb_weight:g}"
        return told

    def relevant(self, merit: Merit) -> Merit:
        """The merit of the rates, which lie in the range of H alone."""
        return merit.relevant()

    def init(self, merit: Merit, W: ComplexArray) -> MovingState:
        """The state at the first W, scaled to full power: what of a start lies outside the range of H is lost."""
        return super().init(merit, merit.project(W))

    def step(self, state: MovingState) -> MovingState:
        """The weighted MMSE precoders of every member after some updates; other streams than the users' are dropped."""
        merit, before, users = state.merit, state.point, state.merit.users
        beams = np.array(before.W[..., :users], order="C")  # to be written over
        compiled(update_each, allocates=True)(merit.terms(len(beams)), self.updates, merit.room(users), beams)
        W = np.zeros_like(before.W)
        W[..., :users] = beams
        point = merit.evaluate(merit.project(W))
        # What does not rise is rounding.
        return MovingState.at(merit, point, before, ~(point.objective > before.objective))


def update_each(terms: Terms, updates: int, room: Room, W: ComplexArray) -> None:
    """Write the precoders of full power after some updates over W (B, n, K)."""
    users, told, gains, M, betas = W.shape[2], room.told, room.gains, room.M, room.betas
    weights, inverse, matched = terms.weights, np.empty_like(M), np.empty_like(W[0])
    for b in range(len(W)):
        N, powers, V = terms.N[b], terms.powers[b], W[b]
        for _ in range(updates):
            rates(terms.NH[b], powers, weights, V, told, gains)
            precondition(N, betas, follow(powers, weights, told, betas), M, inverse)
            for k in range(users):
                eta = gains[k, k] / told[SEEN + users + k]
                for i in range(len(N)):
                    matched[i, k] = N[i, k] * eta
            multiply(inverse, matched, V)
            to_surface(V, powers[users], False)
