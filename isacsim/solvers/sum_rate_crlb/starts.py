"""Starting precoders for `SumRateCrlb`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from isacsim.batch import squared
from isacsim.channels.fang25 import as_ours, published_draw
from isacsim.compiled import compiled, part
from isacsim.errors import InvalidInput, one_of
from isacsim.linalg.blas import multiply
from isacsim.linalg.lapack import multiply_adjoint, scale
from isacsim.linalg.parts import invert_positive, shift
from isacsim.optimisation.preconditioner import ROUNDING, TINY
from isacsim.solvers.base import Request
from isacsim.solvers.starts import check_name, drawn
from isacsim.solvers.sum_rate_crlb.merit import Merit
from isacsim.typing import ComplexArray, FloatArray, IntArray

# Sensing streams start at 1 % of the users' amplitude: a start dominated by them leads to
# stationary points with users switched off.
SENSING_AMPLITUDE = 0.01
LEFT_OUT = 20.0  # SNR from which no optimum that is known leaves a user out
STARTS = ("mrt", "rzf", "selected", "random", "published", "fang25")
MATCHED, FORCED, SELECTED = range(3)  # places in it; what is drawn comes behind


def start_names(value: Any) -> tuple[str, ...]:
    """The names of starts in a field: one, or a list of them.

    Raises:
        InvalidInput: If there is none, or one is unknown.
    """
    names = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, (list, tuple)) else ()
    if not names or not set(names) <= set(STARTS):
        raise InvalidInput("starts", "must be names of starts", value, one_of(STARTS))
    return names


def asked(merit: Merit, names: Sequence[str], streams: int, request: Request) -> ComplexArray:
    """The precoders to start from, (B, starts, N_t, K+S), of any power.

    They are the request's own, or those of the start it names, or of all ``names``.
    """
    if request.initial is not None:
        return request.initial[:, None]
    return start_all(merit, names if request.start is None else (request.start,), streams, request.rngs)


def start_all(
    merit: Merit, names: Sequence[str], streams: int, rngs: Sequence[np.random.Generator] | None
) -> ComplexArray:
    """The precoders that the names of starts stand for, each of any power, shape (B, starts, N_t, K+S).

    Users' beams are those of `aim_each` for ``mrt``, ``rzf`` and ``selected``. Their sensing streams start along the
    strongest directions of the steering vectors and their derivatives, and so do the users' where none of them has a
    channel. ``random`` draws CN(0, 1) entries; ``published`` is the start of the published figures' code: users' beams
    rate_weight h_k / |h_k|, and sensing streams of CN(0, 2) entries, which take most of the power.
    ``fang25`` is that start with the numbers that the code draws, the same for all members.

    Raises:
        InvalidInput: For an unknown name, or a random start without generators.
    """
    for name in names:
        check_name(name, STARTS)
    antennas, users = merit.N.shape[-2], merit.users
    W = np.zeros((merit.members, len(names), antennas, streams), complex)
    squares, beams = np.empty((2, users, users), complex), np.empty((2, users, antennas), complex)
    chosen = [STARTS.index(name) for name in names]
    heard = compiled(aim_each)(merit.NH, merit.powers, np.array(chosen), squares, beams, W)
    if streams > users or not heard:
        W = light(merit, W)
    for s, place in enumerate(chosen):
        if place > SELECTED:
            W[:, s] = _draw(merit, names[s], W[:, s], rngs)
    return W


def _draw(merit: Merit, name: str, W: ComplexArray, rngs: Sequence[np.random.Generator] | None) -> ComplexArray:
    """What is drawn of a start: all of it, or the streams beside beams along the channels of W (B, N_t, K+S)."""
    shape, users = W.shape[1:], merit.users
    if name == "random":
        return drawn(rngs, shape)
    if name == "published":
        streams = drawn(rngs, shape)[..., users:] * np.sqrt(2)
    elif merit.transmit_array is None:
        raise InvalidInput("starts", "must not be 'fang25' without a tx_array of the targets", name, "Use 'mrt'.")
    else:
        _, sensing = published_draw(shape[0], users, merit.V.shape[-1] // 3, shape[1] - users)
        streams = np.broadcast_to(as_ours(merit.transmit_array, sensing), (len(W), shape[0], shape[1] - users))
    return np.concatenate([merit.rate_weight * W[..., :users], streams], axis=-1)


def light(merit: Merit, W: ComplexArray) -> ComplexArray:
    """Precoders W (B, starts, N_t, K+S) of users' beams with sensing streams beside them, or in their place."""
    users, streams = merit.users, W.shape[-1]
    if streams > users:
        size = np.sqrt(squared(W).sum(axis=(-2, -1), keepdims=True))
        W[..., users:] = np.where(size > 0, SENSING_AMPLITUDE * size, 1.0) * _strongest(merit, streams - users)[:, None]
        return W
    sound = np.asarray(W.any(axis=(-2, -1)))  # else no user has a channel: their streams are left to the targets
    return W if sound.all() else np.where(sound[..., None, None], W, _strongest(merit, streams)[:, None])


def _strongest(merit: Merit, streams: int) -> ComplexArray:
    """Streams (..., N_t, streams) along the strongest directions of the targets' basis, of unit norm together."""
    directions = np.linalg.svd(merit.V, full_matrices=False)[0][..., :streams]
    W = np.zeros((*directions.shape[:-1], streams), complex)
    W[..., : directions.shape[-1]] = directions / np.sqrt(max(directions.shape[-1], 1))
    return W


@part
def left_out(apart: ComplexArray, powers: FloatArray) -> int:
    """The user of the least gain of zero forcing, ``1 / [(H^H H)^-1]_kk``, where it is small, else -1.

    Some optima leave a user out, and no start that serves all leads there. Where the SNR of that
    gain with an equal share of the power is above `LEFT_OUT`, or there is one user, all are served.
    """
    users, last = powers.size - 1, 0
    if users < 2:
        return -1
    for k in range(users):
        if apart[k, k].real > apart[last, last].real:
            last = k
    return last if powers[users] / users < LEFT_OUT * powers[last] * apart[last, last].real else -1


def aim_each(
    NH: ComplexArray, powers: FloatArray, chosen: IntArray, squares: ComplexArray, beams: ComplexArray, W: ComplexArray
) -> bool:
    """Write the users' beams of some starts of B members; whether each has a user with a channel.

    ``rzf`` is regularised zero forcing, ``H (H^H H + (noise/power) I)^-1``. All others are maximum-ratio
    transmission, h_k / |h_k|, ``selected`` without a user: see `left_out`.

    Args:
        NH: N^H, whose first rows are H^H, (B, K+m, n), or of one for all.
        powers: The noise of each user, and last the power, (B, K+1), or of one for all.
        chosen: Places of the starts in `STARTS`, (starts,).
        squares: Room, (2, K, K).
        beams: Room for the conjugates of both kinds of beams, (2, K, n).
        W: What is written to, (B, starts, n, K+S).
    """
    gram, apart, users, heard = squares[0], squares[1], squares.shape[1], True
    for b in range(len(W)):
        HH, own, largest, ridge = NH[min(b, len(NH) - 1), :users], powers[min(b, len(powers) - 1)], 0.0, 0.0
        multiply_adjoint(HH, HH, gram)
        for k in range(users):
            square = gram[k, k].real
            scale(1 / max(math.sqrt(square), TINY), HH[k], beams[MATCHED, k])
            ridge += own[k] / own[users]
            largest = max(largest, square)
        # Rounding could leave it indefinite where the noise is next to nothing, and users look alike.
        shift(gram, max(ridge, ROUNDING * largest))
        invert_positive(gram, apart)
        multiply(apart, HH, beams[FORCED])
        silent, heard = left_out(apart, own), heard and largest > 0
        for s in range(chosen.size):
            kind = FORCED if chosen[s] == FORCED else MATCHED
            for k in range(users):
                off = chosen[s] == SELECTED and k == silent
                for i in range(HH.shape[1]):
                    W[b, s, i, k] = 0j if off else beams[kind, k, i].conjugate()
    return heard
