"""Measured or ray-traced user channels, read from a file the user already has."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from attrs import field, frozen

from isacsim.arrays import AntennaArray
from isacsim.channels.conventions import ORDERS, PHASES, Convention, conjugates, refuse_other_directions, shown_order
from isacsim.channels.files import is_file, read_array
from isacsim.channels.models import ChannelModel
from isacsim.checks import choice
from isacsim.errors import InvalidInput, one_of
from isacsim.typing import AnyArray, ComplexArray, FloatArray

AXES = ("trial", "antenna", "user")
LOOKED_AT = 32  # records from which it is judged whether the element order can be right


def _order(value: Any) -> Any:
    return tuple(value) if isinstance(value, (list, np.ndarray)) else value


@frozen(slots=False)
class Recorded(ChannelModel):
    """Channels from a NumPy ``.npz``, a MATLAB ``.mat`` or an HDF5 file.

    Trial i gets record i. A file without a trial axis gives every trial the same channel.
    MATLAB's files of version 7.3 are HDF5 with reversed axes; they are turned back.

    User k receives ``h_k^H x``, and a user in line of sight has the array's own steering
    vector for a channel: only so do beams point where the targets are. ``element_order``
    and ``phase`` say how the file does both, whatever the array of the scenario does.

    Args:
        path: The file; a scenario file's own folder is the base of a relative path.
        variable: Name of the array in the file; for HDF5 also a path of groups.
        axes: Order of the array's axes, of ``trial``, ``antenna`` and ``user``.
        conjugate: Conjugate the entries, without regard to the array; ``phase`` is the safer way to say it.
        wrap: Start again from the first record when there are more trials than records.
        element_order: How the file numbers the antennas of a planar array: ``vertical-fastest`` column by column,
            as kron(a_h, a_v), ``horizontal-fastest`` row by row, or the place in the file, from 0, of each
            element of the array. None is the array's own order, which is refused where the channels
            plainly show another one.
        phase: Sign of the phase of a user in line of sight as it lies in the file: ``positive`` for entries
            exp(+j pi (n_h sin(azimuth) sin(zenith) + n_v cos(zenith))), ``negative`` for their
            conjugates. Entries are conjugated where the array's sign is another one. None takes the array's.
        azimuth_variable: Name of an array of the users' line-of-sight azimuths in degrees, with the axes of the
            channels but ``antenna``; NaN where there is none. With it, order and phase are checked.
        zenith_variable: The same for their zenith angles; None is 90 degrees.
    """

    path: Path = field(converter=Path)
    variable: str = "H"
    axes: tuple[str, ...] = field(default=AXES, converter=tuple)
    conjugate: bool = False
    wrap: bool = False
    element_order: Any = field(default=None, converter=_order)
    phase: str | None = field(default=None, validator=attrs.validators.optional(choice(*PHASES)))
    azimuth_variable: str | None = None
    zenith_variable: str | None = None

    def __attrs_post_init__(self) -> None:
        if sorted(self.axes) not in (sorted(AXES), sorted(AXES[1:])):
            rule = f"must be an order of {AXES} or of {AXES[1:]}"
            raise InvalidInput("axes", rule, self.axes, "Name each axis once.")
        if not is_file(self.path):
            raise InvalidInput("path", "must be a file that exists", str(self.path), "Check the path of the recording.")
        if self.phase is not None and self.conjugate:
            raise InvalidInput("conjugate", "must be left out where `phase` is said", True, "Remove one of them.")
        if self.zenith_variable is not None and self.azimuth_variable is None:
            raise InvalidInput("azimuth_variable", "must be there with `zenith_variable`", "", "Name both, or none.")
        if isinstance(self.element_order, tuple):
            if sorted(self.element_order, key=repr) != sorted(range(len(self.element_order)), key=repr):
                rule, remedy = "must have each place from 0 on once", "Give the place of each element."
                raise InvalidInput("element_order", rule, self.element_order, remedy)
        elif self.element_order not in (None, *ORDERS):
            rule, remedy = "must be one of its choices, or a list of places", one_of(ORDERS, str(self.element_order))
            raise InvalidInput("element_order", rule, self.element_order, remedy)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the file: part of the address of every result made from it."""
        return hashlib.sha256(self.path.read_bytes()).hexdigest()

    @cached_property
    def records(self) -> ComplexArray:
        """All channels as they lie in the file, shape (records, N_t, K)."""
        array = np.ascontiguousarray(self._read(self.variable, AXES), dtype=complex)
        if not np.all(np.isfinite(array)):
            raise InvalidInput("path", "must hold finite channels", str(self.path), "Remove NaN and infinite entries.")
        return array

    @cached_property
    def directions(self) -> tuple[FloatArray, FloatArray] | None:
        """Azimuth and zenith of the users in line of sight, each (records, K), in rad; None if the file has none."""
        if self.azimuth_variable is None:
            return None
        azimuth = np.deg2rad(self._read(self.azimuth_variable, ("trial", "user")).real)
        if self.zenith_variable is None:
            return azimuth, np.full(azimuth.shape, np.pi / 2)
        return azimuth, np.deg2rad(self._read(self.zenith_variable, ("trial", "user")).real)

    def _read(self, variable: str, wanted: tuple[str, ...]) -> AnyArray:
        """An array of the file with the axes ``wanted``, of which the trials' may have been left out."""
        array, axes = read_array(self.path, variable), [axis for axis in self.axes if axis in wanted]
        if self.path.suffix == ".mat":  # MATLAB drops axes of length 1 at the end
            array = array.reshape(array.shape + (1,) * (len(axes) - array.ndim))
        if array.ndim != len(axes):
            raise InvalidInput(
                "axes", f"must name the {array.ndim} axes of {variable!r}", self.axes, f"Its shape is {array.shape}."
            )
        array = array.transpose([axes.index(axis) for axis in wanted if axis in axes])
        return array if len(axes) == len(wanted) else array[None]

    def draw(
        self, array: AntennaArray, users: int, trials: Sequence[int], rngs: Sequence[np.random.Generator]
    ) -> ComplexArray:
        """The records of the trials, by the elements of ``array``; nothing is random."""
        count, *shape = self.records.shape
        if shape != [array.size, users]:
            raise InvalidInput(
                "channel", f"must have {array.size} antennas and {users} users", f"{shape[0]} and {shape[1]}",
                "Match transmit_array and users.count, or set `axes`.",
            )  # fmt: skip
        if "trial" in self.axes and not self.wrap and max(trials) >= count:
            raise InvalidInput(
                "trials", f"must be at most {count}, the number of records in {self.path.name}", max(trials) + 1,
                "Ask for fewer trials, or set `wrap = true`.",
            )  # fmt: skip
        convention = self._convention(array)
        self._check_plausible(array, convention)
        return convention.applied(self.records[np.asarray(trials) % count], array)

    def _convention(self, array: AntennaArray) -> Convention:
        order = self.element_order
        if isinstance(order, tuple) and len(order) != array.size:
            raise InvalidInput(
                "element_order", f"must have {array.size} places, one for each element", len(order),
                "Match transmit_array.",
            )  # fmt: skip
        return Convention(order, self.conjugate if self.phase is None else conjugates(self.phase, array))

    def _check_plausible(self, array: AntennaArray, convention: Convention) -> None:
        """Refuse an order or a phase that what is known of the users' directions contradicts."""
        some = self.records[:LOOKED_AT]
        if self.element_order is None and (shown := shown_order(some, array)):
            raise InvalidInput(
                "element_order", f"must be said where channels in line of sight show {shown!r}", "",
                f"Set element_order = {shown!r}, or {ORDERS[1 - ORDERS.index(shown)]!r} if that is what it is.",
            )  # fmt: skip
        if self.directions is not None:
            wanted = (len(self.records), self.records.shape[2])
            for name, angles in zip(("azimuth_variable", "zenith_variable"), self.directions, strict=True):
                if angles.shape != wanted:
                    rule, remedy = f"must have the shape {wanted} of records and users", "Check the axes of the array."
                    raise InvalidInput(name, rule, angles.shape, remedy)
            azimuth, zenith = self.directions
            refuse_other_directions(some, array, convention, azimuth[:LOOKED_AT], zenith[:LOOKED_AT])

    def __getstate__(self) -> dict[str, Any]:
        # The records are read again where they are needed, rather than sent to workers.
        return {f.name: getattr(self, f.name) for f in attrs.fields(type(self))}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            object.__setattr__(self, name, value)
