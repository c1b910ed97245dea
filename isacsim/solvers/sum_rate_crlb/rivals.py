"""Which of the starts of a problem need not go on: those that follow a better one, or are far behind it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from isacsim.compiled import compiled, part
from isacsim.linalg.parts import real_inner
from isacsim.optimisation.ascent import OBJECTIVE, SLOPE, STUCK
from isacsim.solvers.sum_rate_crlb.member import RATE, SEEN
from isacsim.typing import BoolArray, ComplexArray, FloatArray, IntArray

REACH = 20.0  # slopes by which a start must be behind another one to have no hope
SAME = 0.02  # relative distance of covariances W W^H, and of objectives, from which two starts go to one optimum


@part
def compare(W: ComplexArray, told: FloatArray, first: int, count: int, reach: float) -> None:
    """Tell which of ``count`` starts of a problem from ``first`` on are stuck: behind the others, ended ones included.

    A quasi-Newton step promises half the slope along it; forty times as much would not reach the best one.

    Args:
        W: Precoders, (B, slots, n, K+S), in slot 0.
        told: What is told of them, (B, 9+2K).
        first: The first start.
        count: Number of starts.
        reach: Slopes by which a start must be behind the best one to have no hope.
    """
    best = -np.inf
    for b in range(first, first + count):
        best = max(best, told[b, OBJECTIVE])
    for b in range(first, first + count):
        if told[b, OBJECTIVE] + reach * told[b, SLOPE] < best:
            told[b, STUCK] = 1.0
        for a in range(first, b):
            if alike(W, told, a, b):
                told[b if told[b, OBJECTIVE] <= told[a, OBJECTIVE] else a, STUCK] = 1.0


@part
def alike(W: ComplexArray, told: FloatArray, a: int, b: int) -> bool:
    """Whether two precoders are on the way to one optimum.

    The rates of users are alike then, who get next to no power where the CRLB counts most, and so
    are the covariances R = W W^H, in which neither the phases of streams nor turns among sensing
    streams count: ``|R_1 - R_2|^2 = |R_1|^2 + |R_2|^2 - 2 |W_1^H W_2|^2``.
    """
    near = abs(told[b, OBJECTIVE] - told[a, OBJECTIVE]) < SAME * abs(told[b, OBJECTIVE])
    users = (told.shape[1] - SEEN) // 2
    for k in range(SEEN, SEEN + users):
        apart = math.log1p(told[b, k] / told[b, k + users]) - math.log1p(told[a, k] / told[a, k + users])
        near = near and abs(apart) <= SAME * told[b, RATE]
    if not near:
        return False
    own = overlap(W, b, b)
    return own + overlap(W, a, a) - 2 * overlap(W, b, a) < SAME * SAME * own


@part
def overlap(W: ComplexArray, a: int, b: int) -> float:
    """``|W_a^H W_b|^2``, squared Frobenius norm, of precoders in slot 0."""
    total, streams = 0.0, W.shape[3]
    for k in range(streams):
        for j in range(streams):
            inner = 0j
            for i in range(W.shape[2]):
                inner += W[a, 0, i, k].conjugate() * W[b, 0, i, j]
            total += real_inner(inner, inner)
    return total


def compare_each(W: ComplexArray, told: FloatArray, origin: IntArray, reach: float) -> None:
    """`compare` for the starts of B problems, neighbours with the same ``origin``."""
    first = 0
    for b in range(1, len(origin) + 1):
        if b == len(origin) or origin[b] != origin[first]:
            compare(W, told, first, b - first, reach)
            first = b


def beaten(point: Any, origin: IntArray, slope: FloatArray | None = None) -> BoolArray:
    """Which of B starts of problems ``origin`` (B,) need not go on from a point, with slopes (B,) along their steps.

    Without slopes, at the beginning, none is behind.
    """
    told = np.concatenate([np.zeros((len(origin), SEEN)), point.signal, point.interference], axis=1)
    told[:, OBJECTIVE], told[:, RATE], told[:, SLOPE] = point.objective, point.sum_rate, 1.0 if slope is None else slope
    if np.any(origin[1:] == origin[:-1]):
        W = np.require(point.W, requirements=["C", "W"])[:, None]
        compiled(compare_each)(W, told, np.array(origin), np.inf if slope is None else REACH)
    return np.asarray(told[:, STUCK] > 0)
