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

from isacsim.algebra import invert_positive, real_inner
from isacsim.checks import whole
from isacsim.compiled import compiled, part
from isacsim.solvers.sum_rate_crlb.base import SingleStart
from isacsim.solvers.sum_rate_crlb.merit import Merit
from isacsim.solvers.sum_rate_crlb.search import MovingState
from isacsim.typing import ComplexArray, FloatArray


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
        merit, before, users = state.merit, state.point, state.merit.users
        beams = np.ascontiguousarray(before.W[..., :users])
        every = (merit.H, merit.noise_power, merit.power)
        H, noise_power, power = (np.array(np.broadcast_to(x, (len(beams), *x.shape[1:]))) for x in every)
        compiled(update_each, allocates=True)(H, noise_power, power, self.updates, beams)
        W = np.zeros_like(before.W)
        W[..., :users] = beams
        point = merit.evaluate(merit.project(W))
        # What does not rise is rounding.
        return MovingState.at(merit, point, before, ~(point.objective > before.objective))


@part
def weigh(H: ComplexArray, noise_power: FloatArray, W: ComplexArray, eta: ComplexArray, beta: FloatArray) -> None:
    """Write eta = Z_kk / I_k and beta = S_k / (I_k T_k), each (K,), of the gains of W (n, K)."""
    for k in range(H.shape[1]):
        interference, own = noise_power[k], 0j
        for j in range(W.shape[1]):
            gain = 0j
            for i in range(H.shape[0]):
                gain += np.conj(H[i, k]) * W[i, j]
            if j == k:
                own = gain
            else:
                interference += real_inner(gain, gain)
        signal = real_inner(own, own)
        eta[k], beta[k] = own * (1 / interference), signal / (interference * (signal + interference))


@part
def update(
    H: ComplexArray, noise_power: FloatArray, power: float, W: ComplexArray,
    eta: ComplexArray, beta: FloatArray, M: ComplexArray, inverse: ComplexArray,
) -> None:  # fmt: skip
    """Write the next precoder of one member, of full power, over W (n, K); the rest is room for it."""
    weigh(H, noise_power, W, eta, beta)
    mu, used = 0.0, 0.0
    for k in range(beta.size):
        mu += beta[k] * noise_power[k] / power
    for i in range(M.shape[0]):
        for j in range(M.shape[0]):
            M[i, j] = mu if i == j else 0.0
            for k in range(beta.size):
                M[i, j] += beta[k] * H[i, k] * np.conj(H[j, k])
    invert_positive(M, inverse)
    for i in range(M.shape[0]):
        for k in range(beta.size):
            W[i, k] = 0
            for j in range(M.shape[0]):
                W[i, k] += inverse[i, j] * H[j, k] * eta[k]
            used += real_inner(W[i, k], W[i, k])
    scale = np.sqrt(power / used)
    for i in range(W.shape[0]):
        for k in range(W.shape[1]):
            W[i, k] *= scale


def update_each(H: ComplexArray, noise_power: FloatArray, power: FloatArray, updates: int, W: ComplexArray) -> None:
    """Write the precoders after some updates over W (B, n, K), for H (B, n, K), noises (B, K) and powers (B,)."""
    side = H.shape[1]
    eta, beta = np.empty(H.shape[2], np.complex128), np.empty(H.shape[2])
    M, inverse = np.empty((side, side), np.complex128), np.empty((side, side), np.complex128)
    for b in range(H.shape[0]):
        for _ in range(updates):
            update(H[b], noise_power[b], power[b], W[b], eta, beta, M, inverse)
