"""The structure of optimal precoders for `SumRateCrlb` [Fang25, Sec. IV].

An analysis of solutions, which no solver needs.

At a stationary precoder ``mu W = C_1 + (crlb_weight Q - rate_weight H Sigma_2 H^H) W`` with
one multiplier mu for all columns [Fang25, Theorem 1]; each column then lies in the range of
[H, V], so that the rank of W is at most K + 3M, and 3M when only the CRLB counts
[Fang25, Lemma 5].
"""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
from attrs import field, frozen

from isacsim.batch import as_array, batch_shape, frobenius2, inner, same_array, squared
from isacsim.errors import InvalidInput
from isacsim.problems.sum_rate_crlb import SumRateCrlb
from isacsim.solvers.solve import solve
from isacsim.solvers.sum_rate_crlb.merit import Merit
from isacsim.typing import AnyArray, FloatArray


@frozen(eq=False)
class Structure:
    """What a precoder of a problem with total power looks like; fields have its leading axes.

    Attributes:
        multiplier: mu, the multiplier of the power constraint, in 1/W.
        residual: Norm of what Theorem 1 leaves over, relative to mu W.
        rank: Rank of W.
        outside: Share of the power outside the range of [H, V].
        sensing: Share of the power in the sensing streams.
    """

    multiplier: Any = field(eq=same_array)
    residual: Any = field(eq=same_array)
    rank: Any = field(eq=same_array)
    outside: Any = field(eq=same_array)
    sensing: Any = field(eq=same_array)


def structure(problem: SumRateCrlb, W: Any, rank_tolerance: float = 1e-6) -> Structure:
    """The structure of precoders W (..., N_t, K+S) of full power, in sqrt(W).

    Args:
        problem: The problem, for ideal hardware and with a total power.
        W: Precoders.
        rank_tolerance: Singular values of W above this, relative to the largest, count.

    Raises:
        InvalidInput: If the power is shared equally by the antennas, where the multiplier is
            a diagonal matrix.
    """
    if problem.per_antenna:
        raise InvalidInput("per_antenna", "must be false for the structure of Theorem 1", True, "Use a total power.")
    shape = batch_shape(problem)
    merit = Merit.of(problem)
    W = as_array("W", W, complex, 2)
    flat = np.ascontiguousarray(np.broadcast_to(W, shape + W.shape[-2:])).reshape(-1, *W.shape[-2:])
    point = merit.evaluate(flat)
    g = merit.gradient(point, merit.sensing_multiplier(point))
    mu = inner(flat, g) / merit.power
    over = np.sqrt(frobenius2(g - mu[:, None, None] * flat) / frobenius2(flat)) / np.abs(mu)
    values = np.linalg.svd(flat, compute_uv=False)
    basis = merit.span()
    inside = frobenius2(np.conj(basis).swapaxes(-1, -2) @ flat)
    power = frobenius2(flat)
    found = {
        "multiplier": mu,
        "residual": over,
        "rank": (values > rank_tolerance * values[:, :1]).sum(axis=-1),
        "outside": np.maximum(1 - inside / power, 0.0),
        "sensing": squared(flat[..., problem.users :]).sum(axis=(-2, -1)) / power,
    }
    return Structure(**{name: _shaped(value, shape) for name, value in found.items()})


def smallest_sensing_streams(problem: SumRateCrlb, rtol: float = 1e-4, **options: Any) -> AnyArray:
    """The least number S of sensing streams that loses nothing, shape (...).

    Each S from 0 to M is solved for; M sensing streams are enough, since every target can
    then have one. In all that was tried max(0, M - K) are enough, as [Fang25, Sec. V-B] finds,
    and on some scenes fewer are.

    Args:
        problem: The problem.
        rtol: What counts as nothing, relative to the objective of S = M.
        **options: Further arguments of `isacsim.solve`.
    """
    least = 0 if problem.users else 1
    streams = list(range(least, problem.targets.sensing_streams + 1))
    objectives = np.stack([_objective(problem, s, options) for s in streams])
    best = objectives.max(axis=0)
    enough = objectives >= best - rtol * np.abs(best)
    return np.asarray(least + enough.argmax(axis=0))


def _objective(problem: SumRateCrlb, streams: int, options: dict[str, Any]) -> FloatArray:
    solution = solve(attrs.evolve(problem, sensing_streams=streams), **options)
    return np.where(np.isnan(solution.objective), -np.inf, solution.objective)


def _shaped(value: AnyArray, shape: tuple[int, ...]) -> Any:
    return np.asarray(value).reshape(shape)[()]
