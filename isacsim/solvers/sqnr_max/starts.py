"""Points that solvers of `SqnrMax` start from, in normalised units.

A start has at least one sensing stream of some power: a stream of none stays without any
under a surrogate, whose linear term it does not enter.
"""

from __future__ import annotations

import numpy as np

from isacsim.batch import frobenius2, hermitian
from isacsim.linalg.stacked import factor
from isacsim.solvers.base import Request
from isacsim.solvers.sqinr.group import Group
from isacsim.solvers.sqinr.repair import full, in_phase, inside
from isacsim.solvers.sqinr.system import System
from isacsim.solvers.starts import check_name, drawn
from isacsim.typing import ComplexArray, FloatArray, IntArray

STARTS = ("least-power", "random")
LEAST_SHARE = 1e-3  # of the power, for the sensing streams of a start
# Of the power, that sensing may have beside beams: the first that fits.
SHARES: FloatArray = 0.5 * 0.7 ** np.arange(40.0)
MOST_SHARES: FloatArray = np.append(np.arange(0.95, 0.5, -0.05), SHARES)  # where sensing rides on the beams
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
    check_name(name, STARTS)
    beams = inside(system, group.feasible)
    if name == "random":
        rngs = None if request.rngs is None else [request.rngs[i] for i in places]
        sensing = full(drawn(rngs, (system.antennas, streams)))
    else:
        sensing = strongest(system, beams, streams)
    return shared(system, beams, sensing)


def strongest(system: System, V: ComplexArray, streams: int) -> ComplexArray:
    """Sensing streams of equal power, 1 in all, along the strongest eigenvectors of df/dR at V, (B, N, streams)."""
    U = np.linalg.eigh(system.objective.first_order(V)[1])[1][:, :, ::-1][:, :, :streams]
    return np.ascontiguousarray(U) / np.sqrt(streams)


def shared(system: System, beams: ComplexArray, sensing: ComplexArray) -> ComplexArray:
    """Users' beams and sensing streams, each of power 1, with the largest share of sensing that the SQINRs allow."""
    if not system.users:
        return sensing
    wide = np.pad(sensing, ((0, 0), (0, 0), (system.users, 0)))
    return carried(system, beams, wide, SHARES)


def carried(
    system: System, beams: ComplexArray, sensing: ComplexArray, shares: FloatArray = MOST_SHARES
) -> ComplexArray:
    """Users' beams (B, N, K), which sensing directions (B, N, n) of power 1 are added to, and streams of the others.

    Each user has a direction in phase with its own beam, with the first share of sensing that the SQINRs allow.
    """
    columns = max(sensing.shape[-1], beams.shape[-1])
    beams, sensing = (np.pad(V, ((0, 0), (0, 0), (0, columns - V.shape[-1]))) for V in (beams, sensing))
    return mixed(system, beams, in_phase(system, sensing, beams), shares)


def mixed(system: System, V: ComplexArray, other: ComplexArray, shares: FloatArray) -> ComplexArray:
    """V with the first share of another point that the SQINRs allow, of power 1; both (B, N, L), of power 1."""
    # But for the noise slacks are forms in the amplitudes of the two, and so is the power, with what both share.
    each, forms = shares[:, None], []
    for point in (V, other, V + other):
        slack = system.slack(point)[:, None, :]
        forms.append(np.concatenate([slack[..., :-1] + 1, 1 - slack[..., -1:]], axis=-1))
    alone, added, both = forms
    form = (1 - each) * alone + each * added + np.sqrt((1 - each) * each) * (both - alone - added)
    fits = (form[..., :-1] >= form[..., -1:]).all(axis=-1)
    share = np.where(fits.any(axis=-1), shares[fits.argmax(axis=-1)], TRACE)[:, None, None]
    return full(np.sqrt(1 - share) * V + np.sqrt(share) * other)


def _given(system: System, W: ComplexArray, streams: int, columns: IntArray) -> ComplexArray:
    """A precoder (B, N, K_all + S) in normalised units, of full power."""
    V = W / system.scale[:, :, None]
    beams = np.ascontiguousarray(np.take_along_axis(V, columns[:, None, :], axis=-1))
    rest = V.copy()
    np.put_along_axis(rest, columns[:, None, :], 0.0, axis=-1)
    sensing = factor(rest @ hermitian(rest), streams)
    whole = full(np.concatenate([beams, sensing], axis=-1))
    sensing = whole[..., beams.shape[-1] :]
    poor = np.sqrt(np.where(frobenius2(sensing) < LEAST_SHARE, LEAST_SHARE, 0.0))[:, None, None]
    sensing += poor * strongest(system, whole, streams)
    return full(whole)
