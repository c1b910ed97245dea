"""Points that solvers of `SqnrMax` start from, in normalised units.

A start has at least one sensing stream of some power: a stream of none stays without any
under a surrogate, whose linear term it does not enter.
"""

from __future__ import annotations

import numpy as np

from isacsim.batch import frobenius2, hermitian
from isacsim.errors import InvalidInput, one_of
from isacsim.random import complex_normal
from isacsim.solvers.base import Request
from isacsim.solvers.sqinr.group import Group
from isacsim.solvers.sqinr.repair import inside
from isacsim.solvers.sqinr.system import System
from isacsim.typing import ComplexArray, FloatArray, IntArray

STARTS = ("least-power", "random")
LEAST_SHARE = 1e-3  # of the power, for the sensing streams of a start
SHARES = 0.5 * 0.7 ** np.arange(40)  # of the power, that sensing streams may have beside beams: the first that fits
TRACE = 1e-6  # share where none fits, since the power barely suffices; it violates little


def start(group: Group, request: Request, streams: int) -> ComplexArray:
    """The point of full power to start from, (B, N, K + streams).

    It is the request's own precoder, whose sensing streams are turned into at most ``streams``
    strongest ones, or the start that it names: ``least-power`` (default) has the users' beams
    of least power and the strongest eigenvectors of df/dR as sensing streams, ``random`` draws
    the directions of these. A named start meets all constraints.

    Args:
        group: The members, with a least power of less than 1.
        request: What the caller asks.
        streams: Number of sensing streams.

    Raises:
        InvalidInput: For an unknown name, or a random start without generators.
    """
    system, places = group.system, group.places
    if request.initial is not None:
        return _given(system, request.initial[places], streams, group.columns)
    name = request.start or STARTS[0]
    if name not in STARTS:
        raise InvalidInput("starts", "must be names of starts", name, one_of(STARTS, str(name)))
    beams = inside(system, group.feasible)
    if name == "random":
        if request.rngs is None:
            raise InvalidInput(
                "rng", "must be given for a random start", None, "Pass rng=numpy.random.default_rng(seed)."
            )
        shape = (system.antennas, streams)
        drawn = np.stack([complex_normal(request.rngs[i], shape) for i in places])
        sensing = drawn / np.sqrt(frobenius2(drawn))[:, None, None]
    else:
        sensing = strongest(system, beams, streams)
    return shared(system, beams, sensing)


def strongest(system: System, V: ComplexArray, streams: int) -> ComplexArray:
    """Sensing streams of equal power, 1 in all, along the strongest eigenvectors of df/dR at V, (B, N, streams)."""
    gradient = system.objective.gradient(system.objective.surrogate(V))
    U = np.linalg.eigh(gradient)[1][:, :, ::-1][:, :, :streams]
    return np.ascontiguousarray(U) / np.sqrt(streams)


def shared(system: System, beams: ComplexArray, sensing: ComplexArray) -> ComplexArray:
    """Users' beams and sensing streams, each of power 1, with the largest share of sensing that the SQINRs allow."""
    if not system.users:
        return sensing
    # But for the noise slacks are linear in the powers of the two.
    nothing = np.zeros_like(beams), np.zeros_like(sensing)
    alone = system.slack(np.concatenate([beams, nothing[1]], axis=-1))[:, None, :-1] + 1
    other = system.slack(np.concatenate([nothing[0], sensing], axis=-1))[:, None, :-1] + 1
    fits = ((1 - SHARES[:, None]) * alone + SHARES[:, None] * other >= 1).all(axis=-1)
    return _mixed(beams, sensing, np.where(fits.any(axis=-1), SHARES[fits.argmax(axis=-1)], TRACE))


def _mixed(beams: ComplexArray, sensing: ComplexArray, share: FloatArray) -> ComplexArray:
    return np.concatenate([beams * np.sqrt(1 - share)[:, None, None], sensing * np.sqrt(share)[:, None, None]], axis=-1)


def _given(system: System, W: ComplexArray, streams: int, columns: IntArray) -> ComplexArray:
    """A precoder (B, N, K_all + S) in normalised units, of full power."""
    V = W / system.scale[:, :, None]
    beams = np.ascontiguousarray(np.take_along_axis(V, columns[:, None, :], axis=-1))
    rest = V.copy()
    np.put_along_axis(rest, columns[:, None, :], 0.0, axis=-1)
    spectrum, U = np.linalg.eigh(rest @ hermitian(rest))
    spectrum, U = np.maximum(spectrum, 0.0)[:, ::-1][:, :streams], U[:, :, ::-1][:, :, :streams]
    sensing = np.ascontiguousarray(U * np.sqrt(spectrum)[:, None, :])
    whole = np.concatenate([beams, sensing], axis=-1)
    size = np.sqrt(frobenius2(whole))[:, None, None]
    share = frobenius2(sensing / size)
    poor = np.sqrt(np.where(share < LEAST_SHARE, LEAST_SHARE, 0.0))[:, None, None]
    fresh = strongest(system, np.asarray(whole / size, complex), streams)
    whole = np.concatenate([beams / size, sensing / size + poor * fresh], axis=-1)
    return np.asarray(whole / np.sqrt(frobenius2(whole))[:, None, None], complex)
