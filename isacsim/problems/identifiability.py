"""Can the parameters of a scene be estimated at all, and if not, which and why?"""

from __future__ import annotations

from typing import Any

import numpy as np

from isacsim.batch import squared
from isacsim.metrics.fim import inverse_fim
from isacsim.targets.scene import ANGLES, PointTargets
from isacsim.typing import BoolArray, FloatArray

# Relative sensitivity below which an echo does not depend on an angle but for rounding.
SILENT = 1e-14
# Reciprocal condition of the scaled FIM below which parameters cannot be told apart.
CONFUSED = 1e-12


def identifiability(F: FloatArray, targets: PointTargets) -> tuple[BoolArray, list[tuple[str, ...]]]:
    """Which members can be estimated, and notes on each that cannot, or hardly.

    Args:
        F: Fisher information for isotropic transmission, shape (B, P, P): a scene that can
            be estimated at all is regular there.
        targets: The flat scenes.
    """
    silent = np.broadcast_to(_silent(F, targets), F.shape[:-1])
    inverse, regular = inverse_fim(F, CONFUSED)
    regular &= ~silent.any(axis=-1)
    notes = []
    for i in range(F.shape[0]):
        if silent[i].any():
            lost = [targets.labels[p] for p in np.flatnonzero(silent[i])]
            notes.append(tuple(f"{name} is not identifiable: the echo does not depend on it" for name in lost))
        elif not regular[i]:
            names = ", ".join(_confused(F[i], targets))
            notes.append((f"{names} are not identifiable: the echo depends on them only in combination",))
        else:
            notes.append(tuple(_vague(inverse[i], targets)))
    return regular, notes


def _silent(F: FloatArray, targets: PointTargets) -> BoolArray:
    """Parameters that the echo does not depend on, (B, P).

    An angle is compared with the reflection of its own target, of which ``|alpha|^2`` times
    the information is what a phase ramp over few elements would carry.
    """
    diagonal = np.diagonal(F, axis1=-2, axis2=-1)
    kinds = np.array(targets.unknowns)
    echo = squared(targets.reflection) * diagonal[..., kinds == "reflection_real"]
    expected = np.zeros(np.broadcast_shapes(echo.shape[:-1], diagonal.shape[:-1]) + kinds.shape)
    for kind in ANGLES:
        if kind in kinds:
            expected[..., kinds == kind] = echo
    return ~(diagonal > SILENT * expected)


def _confused(F: FloatArray, targets: PointTargets) -> list[str]:
    """The parameters that make up the directions in which one FIM is singular."""
    scale = 1 / np.sqrt(np.diagonal(F))
    spectrum, directions = np.linalg.eigh(F * np.outer(scale, scale))
    lost = directions[:, spectrum <= max(spectrum[0], CONFUSED * spectrum[-1])]
    share = squared(lost).sum(axis=1)  # of each parameter, whatever the basis of the lost directions
    return [targets.labels[p] for p in np.flatnonzero(share > 0.25 * share.max())]


def _vague(inverse: FloatArray, targets: PointTargets) -> Any:
    """Remarks on angles whose bound is meaningless."""
    for p, kind in enumerate(targets.unknowns):
        if kind in ANGLES and inverse[p, p] > np.pi**2:
            yield f"the bound on {targets.labels[p]} exceeds pi rad for isotropic transmission"
