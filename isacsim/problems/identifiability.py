"""Can the parameters of a scene be estimated at all, and if not, which and why?"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from isacsim.batch import squared
from isacsim.metrics.fim import CONFUSED, Information
from isacsim.typing import BoolArray, FloatArray, IntArray


class Named(Protocol):
    """What says what its unknowns are, (P,): a scene, or a problem on a grid."""

    @property
    def units(self) -> tuple[str, ...]:
        """Unit of each; ``rad`` makes it an angle."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Name of each."""


def identifiability(white: Information, unknowns: Named) -> tuple[BoolArray, list[tuple[str, ...]]]:
    """Which members can be estimated, and notes on each that cannot, or hardly.

    Args:
        white: Fisher information for isotropic transmission, with one leading axis: a scene that
            can be estimated at all is regular there.
        unknowns: The unknowns.
    """
    F, silent = white.F, white.silent
    inverse, regular = white.inverse()
    most = np.array([np.pi**2 if unit == "rad" else np.inf for unit in unknowns.units])
    vague = inverse.diagonal(axis1=-2, axis2=-1) > most
    notes: list[tuple[str, ...]] = [()] * F.shape[0]
    if regular.all() and not vague.any():
        return regular, notes
    for i in np.flatnonzero(~regular | vague.any(axis=-1)):
        notes[i] = tuple(_remarks(F[i], silent[i], bool(regular[i]), vague[i], unknowns.labels))
    return regular, notes


def _remarks(F: FloatArray, silent: BoolArray, regular: bool, vague: BoolArray, labels: tuple[str, ...]) -> Any:
    """What is to be said of one scene."""
    if regular:
        for p in np.flatnonzero(vague):
            yield f"the bound on {labels[p]} exceeds pi rad for isotropic transmission"
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
