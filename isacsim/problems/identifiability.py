"""Can the parameters of a scene be estimated at all, and if not, which and why?"""

from __future__ import annotations

from functools import cache
from itertools import compress
from typing import Any, Protocol

import numpy as np

from isacsim.batch import all_of, squared
from isacsim.metrics.fim import CONFUSED, Information, alike, information
from isacsim.typing import BoolArray, FloatArray, IntArray


class Named(Protocol):
    """What says what its unknowns are, (P,): a scene, or a problem on a grid."""

    @property
    def units(self) -> tuple[str, ...]:
        """Unit of each; ``rad`` makes it an angle."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Name of each."""


def screened(problem: Any) -> tuple[BoolArray, list[tuple[str, ...]]]:
    """Which members of a flat problem of targets can be estimated where all antennas send alike, and notes on each.

    A scene that can be estimated at all is regular there [Fang25, eq. (9)]. What the members share is looked at once.
    """
    targets, antennas = problem.targets, problem.H.shape[-2]
    if problem.transceiver.is_ideal:  # for which no matrix of N_t x N_t is needed
        scale = 2 * problem.snapshots / antennas * problem.power / problem.radar_noise_power
        return identifiability(alike(targets), targets, np.asarray(scale))
    W = np.sqrt(problem.power / antennas)[..., None, None] * np.eye(antennas)
    white = information(targets, W, problem.radar_noise_power, problem.snapshots, problem.transceiver)
    return identifiability(white, targets)


def for_each(members: int, regular: BoolArray, notes: list[tuple[str, ...]]) -> tuple[BoolArray, list[tuple[str, ...]]]:
    """What was found of one or of all members, for each of so many."""
    if len(notes) == members:
        return regular, notes
    return np.broadcast_to(regular, members), notes * members


@cache
def _most(units: tuple[str, ...]) -> FloatArray:
    """The largest bound on each unknown that tells anything of it, (P,): of an angle pi, squared."""
    return np.array([np.pi**2 if unit == "rad" else np.inf for unit in units])


def identifiability(
    white: Information, unknowns: Named, scale: FloatArray | None = None
) -> tuple[BoolArray, list[tuple[str, ...]]]:
    """Which members can be estimated, and notes on each that cannot, or hardly.

    Args:
        white: Fisher information for isotropic transmission, with one leading axis: a scene that
            can be estimated at all is regular there.
        unknowns: The unknowns.
        scale: How many times as much information there is for each member, (B,); None is once.
    """
    bounds = white.bounds if scale is None else white.bounds / scale[..., None]
    vague = bounds > _most(unknowns.units)
    notes: list[tuple[str, ...]] = [()] * len(vague)
    regular = white.inverse[1]
    regular = regular if len(regular) == len(vague) else np.broadcast_to(regular, len(vague))
    if all_of(regular) and not np.count_nonzero(vague):
        return regular, notes
    for i, (sound, unclear) in enumerate(zip(regular.tolist(), vague.tolist(), strict=True)):
        if not sound or any(unclear):
            own = min(i, len(white.F) - 1)  # of one scene for all members
            notes[i] = tuple(_remarks(white.F[own], white.silent[own], sound, unclear, unknowns.labels))
    return regular, notes


def _remarks(F: FloatArray, silent: BoolArray, regular: bool, vague: list[bool], labels: tuple[str, ...]) -> Any:
    """What is to be said of one scene."""
    if regular:
        for label in compress(labels, vague):
            yield f"the bound on {label} exceeds pi rad for isotropic transmission"
    elif silent.any():
        for p in np.flatnonzero(silent):
            yield f"{labels[p]} is not identifiable: the echo does not depend on it"
    elif not np.isfinite(scaled := _to_unit_diagonal(F)).all():
        yield "the Fisher information is beyond the range of numbers: choose other units"
    else:
        names = ", ".join(labels[p] for p in _confused(scaled))
        yield f"{names} are not identifiable: the echo depends on them only in combination"


def _to_unit_diagonal(F: FloatArray) -> FloatArray:
    """One FIM in units in which each parameter alone has an information of 1; not finite where it overflows."""
    with np.errstate(all="ignore"):  # what overflows is told by the caller
        scale = 1 / np.sqrt(np.diagonal(F))
        return np.asarray(F * scale[:, None] * scale)


def _confused(F: FloatArray) -> IntArray:
    """The parameters that make up the directions in which one FIM of unit diagonal is singular."""
    spectrum, directions = np.linalg.eigh(F)
    lost = directions[:, spectrum <= max(spectrum[0], CONFUSED * spectrum[-1])]
    share = squared(lost).sum(axis=1)  # of each parameter, whatever the basis of the lost directions
    return np.flatnonzero(share > 0.25 * share.max())
