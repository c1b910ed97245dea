"""What the axes of a recording are, and how they become records of channels between antennas and users.

A recording may have more axes than trials, antennas and users: antennas of a user, base stations, propagation
paths, moments and subcarriers. One entry of such an axis is taken, or its entries are summed, or they count as
further trials or users. Paths and subcarriers may also stay, as the band of a record. Real and imaginary parts along
an axis of their own become complex numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from isacsim.channels.parts import PART, hint, without_part
from isacsim.errors import InvalidInput
from isacsim.typing import AnyArray

CORE = ("trial", "antenna", "user")  # what is left in the end, beside a band
BANDS = ("path", "subcarrier")
AXES = (*CORE, "receive", "station", "snapshot", *BANDS, PART)

# Axes of arrays as others write them: DeepMIMO 3.2 (`generate_MIMO_channel`) and 4.0 (`Dataset.compute_channels`,
# with an axis of moments where some are asked for); Sionna 2.2 (`Paths.cir` and `Paths.cfr` of the ray tracer,
# `GenerateOFDMChannel` and `cir_to_ofdm_channel` of the link level); QuaDRiGa 2.8 (`coeff` and `fr` of `qd_channel`).
LAYOUTS: Mapping[str, tuple[str, ...]] = {
    "deepmimo": ("user", "receive", "antenna", "subcarrier", "snapshot"),
    "deepmimo-paths": ("user", "receive", "antenna", "path", "snapshot"),
    "sionna": ("trial", "user", "receive", "station", "antenna", "path", "snapshot"),
    "sionna-ofdm": ("trial", "user", "receive", "station", "antenna", "snapshot", "subcarrier"),
    "quadriga": ("user", "receive", "antenna", "path", "snapshot"),
    "quadriga-fr": ("user", "receive", "antenna", "subcarrier", "snapshot"),
}
# The axis that may not be there: moments where none were asked for, the batch that Sionna's ray tracer has not, and
# the links of QuaDRiGa, each of which is an array of its own.
MAY_LACK: Mapping[str, str] = {
    "deepmimo": "snapshot", "deepmimo-paths": "snapshot", "sionna": "trial", "sionna-ofdm": "trial", "quadriga": "user",
    "quadriga-fr": "user",
}  # fmt: skip

# What can be said of each axis that is not one of `CORE`, and the key that says it; `path` is that of the file.
KEYS = {"receive": "receive", "station": "station", "snapshot": "snapshot", "path": "paths", "subcarrier": "subcarrier"}
ROLES = {"receive": ("sum", "trial", "user"), "station": ("trial", "user"), "snapshot": ("trial", "user"),
         "path": ("sum",), "subcarrier": ("trial",)}  # fmt: skip


# The axes of the delays of paths that all antennas see alike, where those are not trials, users and paths; and of those
# that each pair of antennas sees apart: of `synthetic_array = False` in Sionna, of `individual_delays` in QuaDRiGa.
DELAYS: Mapping[str, tuple[str, ...]] = {
    "sionna": ("trial", "user", "station", "path"),
    "quadriga": ("user", "path", "snapshot"),
}
ELEMENT_DELAYS: Mapping[str, tuple[str, ...]] = {
    "sionna": ("trial", "user", "receive", "station", "antenna", "path"),
    "quadriga": LAYOUTS["quadriga"],
}


def delay_axes(layout: str | None, axes: tuple[str, ...], parts: Sequence[AnyArray]) -> tuple[str, ...]:
    """Names of the axes of delays, by how many there are.

    Args:
        layout: Name of the layout of the channels, or None.
        axes: Names of the axes of the channels.
        parts: Arrays of delays, one or one for each user.
    """
    count = parts[0].ndim + (len(parts) > 1)
    plain = DELAYS.get(layout or "", tuple(a for a in axes if a in ("trial", "user", "path")))
    if np.squeeze(parts[0]).ndim == 1 and len(parts) == 1 and len(plain) > 1:
        return ("path",)
    apart = ELEMENT_DELAYS.get(layout or "")
    return apart if apart is not None and count > len(plain) else plain


def named(
    variable: str, parts: Sequence[AnyArray], axes: tuple[str, ...], lacking: str | None, matlab: bool
) -> tuple[AnyArray, Any]:
    """The arrays of a variable as one, and the names of its axes; several are those of users.

    Users with fewer paths than others get more of zeros.

    Args:
        variable: Its name.
        parts: Arrays, one unless the variable is a struct array.
        axes: Names of the axes.
        lacking: Which of them may not be there, or None.
        matlab: Whether axes of length 1 at the end have been dropped.

    Raises:
        InvalidInput: If axes and array do not fit.
    """
    own = tuple(axis for axis in axes if axis != "user") if len(parts) > 1 else axes
    least = len(own) - (lacking in own)
    padded = [part.reshape(part.shape + (1,) * (matlab * (least - part.ndim))) for part in parts]
    if "path" in own and {part.ndim for part in padded} <= {least, len(own)}:
        padded = _filled(padded, [axis for axis in own if len(own) == padded[0].ndim or axis != lacking].index("path"))
    if len({part.shape for part in padded}) > 1:
        shapes = ", ".join(str(part.shape) for part in padded[:4])
        raise InvalidInput("variable", "must have one shape for all entries of a struct array", shapes, "Name one.")
    array = padded[0]
    if array.ndim > len(own) and np.sum(np.array(array.shape) > 1) <= len(own):
        array = _squeezed(array, len(own))
        padded = [part.reshape(array.shape) for part in padded]
    if array.ndim == len(own) - 1:
        own = tuple(axis for axis in own if axis != lacking)
    if array.ndim != len(own):
        told = f"Its shape is {array.shape}.{hint(array)}"
        raise InvalidInput("axes", f"must name the {array.ndim} axes of {variable!r}", ", ".join(own), told)
    several, own = (np.stack(padded), ("user", *own)) if len(parts) > 1 else (array, own)
    return without_part(variable, several, own)


def _filled(parts: Sequence[AnyArray], place: int) -> list[AnyArray]:
    """Arrays as long as the longest along the axis at ``place``, by zeros behind."""
    most = max(part.shape[place] for part in parts)
    return [np.pad(p, [(0, (most - p.shape[i]) * (i == place)) for i in range(p.ndim)]) for p in parts]


def _squeezed(array: AnyArray, wanted: int) -> AnyArray:
    """Without so many axes of length 1 that ``wanted`` are left; where it is open which, it stays as it is."""
    spare = np.flatnonzero(np.array(array.shape) == 1)
    return np.squeeze(array, tuple(spare)) if len(spare) == array.ndim - wanted else array


def arranged(array: AnyArray, axes: tuple[str, ...], said: Mapping[str, Any], keep: str | None) -> AnyArray:
    """An array with the axes (records, band, N_t, K); the band is ``keep``, or one entry.

    Args:
        array: The array.
        axes: Names of its axes.
        said: What becomes of each further axis, by its name: a place, one of its `ROLES`, or None.
        keep: Which of `BANDS` stays, or None.

    Raises:
        InvalidInput: If an axis is left over, or what is said of it does not fit.
    """
    roles: dict[str, list[str]] = {"trial": ["trial"], "user": ["user"]}
    left = list(axes)
    for axis in [axis for axis in axes if axis not in CORE and axis != keep]:
        place, choice, count = left.index(axis), said[axis], array.shape[left.index(axis)]
        if choice in ("trial", "user"):
            roles[choice].insert(0 if choice == "trial" else 1, axis)
            continue
        if choice is None and count > 1:
            remedy = f"Set {KEYS[axis]} = 0, or " + ", ".join(f"'{role}'" for role in ROLES[axis]) + "." + hint(array)
            raise InvalidInput(KEYS[axis], f"must say what becomes of {count} entries", "", remedy)
        if isinstance(choice, int) and choice >= count:
            remedy = f"Its {axis} axis has {count} entries, counted from 0."
            raise InvalidInput(KEYS[axis], f"must be below {count}", choice, remedy)
        array = array.sum(axis=place) if choice == "sum" else array.take(choice or 0, axis=place)
        left.remove(axis)
    groups = [roles["trial"], [keep] if keep else [], ["antenna"], roles["user"]]
    present = [[axis for axis in group if axis in left] for group in groups]
    moved = array.transpose([left.index(axis) for group in present for axis in group])
    sizes = [[array.shape[left.index(axis)] for axis in group] for group in present]
    return np.ascontiguousarray(moved.reshape([int(np.prod(size)) for size in sizes]), dtype=complex)
