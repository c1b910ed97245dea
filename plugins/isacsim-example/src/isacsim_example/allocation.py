"""How to share power between users of given beams: a problem that does not decide on a precoder.

The beams b_k have unit norm and ``h_j^H b_k = 0`` for j != k. The powers p_k are a convex problem::

    max  sum_k log(1 + g_k p_k)   s.t.  sum_k p_k <= P,  p_k >= 0,   g_k = |h_k^H b_k|^2 / sigma_k^2

Its optimum is water filling, ``p_k = max(1/lambda - 1/g_k, 0)``. For any price lambda > 0 of power, no
allocation is better than the dual function::

    d(lambda) = lambda P + sum_k max(log(g_k / lambda) - 1 + lambda / g_k, 0) over the k with g_k > lambda
"""

from __future__ import annotations

import time
from typing import Any, ClassVar

import numpy as np
from attrs import frozen

from isacsim import api


@frozen
class AllocationRequirements(api.Requirements):
    """The table of a ``power-allocation`` problem in a scenario; it has no keys."""

    def pose(self, drop: Any, transceiver: api.Transceiver) -> Allocation:
        """The problem for the realisations of a drop."""
        return Allocation(H=drop.H, power=drop.power, noise_power=drop.noise_power, transceiver=transceiver)


@frozen(kw_only=True)
class Allocation(api.Problem):
    """Maximise the sum rate of zero-forcing beams over the users' powers.

    Args:
        H: Channels, shape (..., N_t, K), amplitude, with K <= N_t.
        power: Power to share, shape (...), in W.
        noise_power: Noise of each user, shape (..., K), in W.
        transceiver: The hardware designed for.
    """

    kind: ClassVar[str] = "power-allocation"

    H: Any = api.batched(2, dtype=complex)
    power: Any = api.batched(0, above=0.0)
    noise_power: Any = api.batched(1, above=0.0)
    transceiver: api.Transceiver = api.Transceiver()

    @property
    def decision(self) -> dict[str, api.Variable]:
        """The power of each user."""
        return {"power": api.Variable((self.H.shape[-1],), float, "W")}

    def to_precoder(self, decision: Any) -> Any:
        """``W = B diag(sqrt(p))``, which metrics and experiments judge."""
        return self.beams()[0] * np.sqrt(decision["power"])[..., None, :]

    def beams(self) -> tuple[Any, Any]:
        """Zero-forcing beams B of unit norm (..., N_t, K), and what they give, g (..., K), in 1/W."""
        B = np.linalg.pinv(np.conj(self.H).swapaxes(-1, -2))
        length = np.sqrt(np.ascontiguousarray(api.squared(B).swapaxes(-1, -2)).sum(axis=-1))
        return B / length[..., None, :], 1 / (length**2 * self.noise_power)

    def objective(self, p: Any) -> Any:
        """Sum rate of the powers p (..., K), shape (...), in nat/s/Hz."""
        return np.log1p(self.beams()[1] * p).sum(axis=-1)

    def constraints(self, p: Any) -> dict[str, Any]:
        """Relative slacks of the total power, ``total`` (...), and of each being positive, ``positive`` (..., K)."""
        return {"total": 1 - np.sum(p, axis=-1) / self.power, "positive": p / np.asarray(self.power)[..., None]}

    def hopeless(self) -> list[str]:
        """Where channels depend on each other, one of zeros or more than antennas for example: nothing nulls them."""
        spectrum = np.linalg.svd(self.H, compute_uv=False)
        rank = np.broadcast_to((spectrum > 1e-10 * spectrum[..., :1]).sum(axis=-1), (self.members,))
        return ["infeasible: the channels are linearly dependent" if r < self.H.shape[-1] else "" for r in rank]


@frozen
class LogProgram(api.Solver):
    """An exponential-cone program a member (cvxpy, Clarabel); the dual function proves the optimum to ``tolerance``."""

    problems: ClassVar[tuple[str, ...]] = ("power-allocation",)
    guarantee: ClassVar[str] = "global, within a proven gap"
    tolerance: float = 1e-6

    def solve(self, problem: Allocation, request: api.Request) -> api.Solution:
        """The solution of a flat batch."""
        api.refuse_starts(request)
        begin, shape = time.perf_counter(), (problem.members,)
        gain, budget = problem.beams()[1], np.broadcast_to(problem.power, shape)
        found = [_program(*one) for one in zip(np.broadcast_to(gain, (*shape, gain.shape[-1])), budget, strict=True)]
        p, bound = np.array([share for share, _ in found]), np.array([value for _, value in found])
        objective = problem.objective(p)
        gap, late = bound / objective - 1, np.full((*shape, 1), time.perf_counter() - begin)
        return api.Solution(
            decision={"power": p}, objective=objective, gap=gap, bound=bound, residual=np.full(shape, np.nan),
            iterations=np.zeros(shape, int),
            status=api.objects([api.Status.GLOBAL if ok else api.Status.STALLED for ok in gap <= self.tolerance]),
            notes=api.objects([()] * problem.members), trace={"objective": objective[:, None], "time": late},
        )  # fmt: skip


def _program(gain: Any, power: Any) -> tuple[Any, float]:
    """Powers (K,) of one member, all of what there is, and the value of the dual function at its price."""
    import cvxpy

    share = cvxpy.Variable(len(gain), nonneg=True)  # of the power, which gives it a scale
    total = cvxpy.sum(share) <= 1
    rate = cvxpy.sum(cvxpy.log1p(cvxpy.multiply(gain * power, share)))
    cvxpy.Problem(cvxpy.Maximize(rate), [total]).solve("CLARABEL")
    p, price = np.maximum(share.value, 0.0), max(float(total.dual_value) / power, 1e-300)
    kept = gain[gain > price]
    return power * p / p.sum(), float(price * power + (np.log(kept / price) - 1 + price / kept).sum())
