"""Starting precoders for `SumRateCrlb`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from isacsim.batch import squared
from isacsim.channels.fang25 import as_ours, published_draw
from isacsim.errors import InvalidInput, one_of
from isacsim.solvers.base import Request
from isacsim.solvers.starts import check_name, drawn
from isacsim.solvers.sum_rate_crlb.merit import Merit
from isacsim.typing import ComplexArray

# Sensing streams start at 1 % of the users' amplitude: a start dominated by them leads to
# stationary points with users switched off.
SENSING_AMPLITUDE = 0.01
LEFT_OUT = 20.0  # SNR from which no optimum that is known leaves a user out


def start_names(value: Any) -> tuple[str, ...]:
    """The names of starts in a field: one, or a list of them.

    Raises:
        InvalidInput: If there is none, or one is unknown.
    """
    names = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, (list, tuple)) else ()
    if not names or not set(names) <= set(STARTS):
        raise InvalidInput("starts", "must be names of starts", value, one_of(STARTS))
    return names


def maximum_ratio(merit: Merit) -> ComplexArray:
    """Users' beams along their channels, h_k / |h_k| (maximum-ratio transmission)."""
    return merit.matched


def zero_forcing(merit: Merit) -> ComplexArray:
    """Users' beams of regularised zero forcing, H (H^H H + (noise/power) I)^-1."""
    return merit.H @ merit.apart


def selected(merit: Merit) -> ComplexArray:
    """`maximum_ratio` without the user of the least gain of zero forcing, ``1 / [(H^H H)^-1]_kk``, where it is small.

    Some optima leave a user out, and no start that serves all leads there. Where the SNR of that
    gain with an equal share of the power is above `LEFT_OUT`, or there is one user, all are served.
    """
    if merit.users < 2:
        return merit.matched
    gain = 1 / merit.apart.diagonal(axis1=-2, axis2=-1).real
    snr = merit.power[:, None] / merit.users * gain / merit.noise_power
    left_out = (gain == gain.min(axis=-1, keepdims=True)) & (snr < LEFT_OUT)
    return np.asarray(np.where(left_out[:, None, :], 0.0, merit.matched)) if left_out.any() else merit.matched


STARTS = ("mrt", "rzf", "selected", "random", "published", "fang25")
NAMED: dict[str, Callable[[Merit], ComplexArray]] = {
    "mrt": maximum_ratio,
    "rzf": zero_forcing,
    "selected": selected,
}


def first(merit: Merit, streams: int, request: Request, default: str) -> ComplexArray:
    """The precoders of full power to start from, (B, N_t, K+S).

    They are the request's own, or those of the start it names, or of the ``default`` one.
    """
    if request.initial is not None:
        return merit.project(request.initial)
    return merit.project(start(merit, request.start or default, streams, request.rngs))


def start(merit: Merit, name: str, streams: int, rngs: Sequence[np.random.Generator] | None) -> ComplexArray:
    """The precoder that a start's name stands for, of any power, shape (B, N_t, K+S).

    Sensing streams start along the strongest directions of the steering vectors and their
    derivatives, and so do the users' where none of them has a channel. ``random`` draws CN(0, 1)
    entries; ``published`` is the start of the published figures' code: users' beams
    rate_weight h_k / |h_k|, and sensing streams of CN(0, 2) entries, which take most of the power.
    ``fang25`` is that start with the numbers that the code draws, the same for all members.

    Raises:
        InvalidInput: For an unknown name, or a random start without generators.
    """
    check_name(name, STARTS)
    antennas, users = merit.H.shape[-2:]
    if name in NAMED:
        return served(merit, NAMED[name](merit), streams)
    if name in ("random", "published"):
        W = drawn(rngs, (antennas, streams))
        if name == "random":
            return W
        W *= np.sqrt(2)
    else:
        if merit.transmit_array is None:
            raise InvalidInput("starts", "must not be 'fang25' without a tx_array of the targets", name, "Use 'mrt'.")
        _, sensing = published_draw(antennas, users, merit.V.shape[-1] // 3, streams - users)
        W = np.empty((merit.members, antennas, streams), complex)
        W[..., users:] = as_ours(merit.transmit_array, sensing)
    W[..., :users] = merit.rate_weight * maximum_ratio(merit)
    return W


def served(merit: Merit, beams: ComplexArray, streams: int) -> ComplexArray:
    """Users' beams (B, N_t, K) with the sensing streams behind them, (B, N_t, streams)."""
    users = merit.users
    W = np.empty((merit.members, beams.shape[-2], streams), complex)
    if streams > users:
        W[..., :users] = unit(beams)
        W[..., users:] = (SENSING_AMPLITUDE if users else 1.0) * _strongest(merit, streams - users)
        return W
    W[...] = beams
    sound = np.asarray(W.any(axis=(-2, -1)))  # else no user has a channel: their streams are left to the targets
    return W if sound.all() else np.where(sound[:, None, None], W, _strongest(merit, streams))


def _strongest(merit: Merit, streams: int) -> ComplexArray:
    """Streams (..., N_t, streams) along the strongest directions of the targets' basis, of unit norm together."""
    directions = np.linalg.svd(merit.V, full_matrices=False)[0][..., :streams]
    W = np.zeros((*directions.shape[:-1], streams), complex)
    W[..., : directions.shape[-1]] = unit(directions)
    return W


def unit(X: ComplexArray) -> ComplexArray:
    """X scaled to unit Frobenius norm; without columns it stays as it is."""
    norm = np.sqrt(squared(X).sum(axis=(-2, -1), keepdims=True))
    return np.asarray(X / np.where(norm > 0, norm, 1.0))
