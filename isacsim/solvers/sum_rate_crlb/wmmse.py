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

from isacsim.batch import frobenius2, squared
from isacsim.checks import whole
from isacsim.solvers.sum_rate_crlb.base import SingleStart
from isacsim.solvers.sum_rate_crlb.merit import Merit
from isacsim.solvers.sum_rate_crlb.search import MovingState
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
        point = merit.evaluate(merit.project(W))
        return MovingState.at(merit, point, point, np.zeros(len(W), bool))

    def step(self, state: MovingState) -> MovingState:
        """The weighted MMSE precoders of every member after some updates; other streams than the users' are dropped."""
        merit, before = state.merit, state.point
        beams = before.W[..., : merit.users]
        for _ in range(self.updates):
            beams = updated(merit, beams)
        W = np.zeros_like(before.W)
        W[..., : merit.users] = beams
        point = merit.evaluate(merit.project(W))
        # What does not rise is rounding.
        return MovingState.at(merit, point, before, ~(point.objective > before.objective))


def updated(merit: Merit, W: ComplexArray) -> ComplexArray:
    """The weighted MMSE beams (B, n, K) after those of any power, among noise that grows with that power."""
    H, HH, power = merit.H, merit.HH, merit.power[:, None]
    Z = HH @ W
    own = np.diagonal(Z, axis1=-2, axis2=-1)
    signal, noise = squared(own), merit.noise_power * frobenius2(W)[:, None] / power
    interference = np.where(np.eye(merit.users, dtype=bool), 0.0, squared(Z)).sum(axis=-1) + noise
    eta, beta = own / interference, signal / (interference * (signal + interference))
    mu = (beta * merit.noise_power / power).sum(axis=-1)
    A = (H * beta[:, None, :]) @ HH + mu[:, None, None] * np.eye(H.shape[-2])
    return np.asarray(np.linalg.solve(A, H * eta[:, None, :]))
