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

from isacsim import units
from isacsim.arrays import AntennaArray
from isacsim.channels.conventions import ORDERS, PHASES, Convention, conjugates, refuse_other_directions, shown_order
from isacsim.channels.files import array_names, is_file, is_matlab, read_arrays
from isacsim.channels.layouts import AXES, BANDS, CORE, KEYS, LAYOUTS, MAY_LACK, ROLES, arranged, delay_axes, named
from isacsim.channels.models import ChannelModel
from isacsim.channels.parts import PART, all_real, joined_parts, partner
from isacsim.checks import choice, instance, number
from isacsim.errors import InvalidInput, brief, doubt, one_of
from isacsim.grid import Grid
from isacsim.typing import AnyArray, ComplexArray, FloatArray, IntArray

LOOKED_AT = 32  # records, and users of each, from which it is judged whether the element order can be right
ALONE = 1e-9  # of a grid's spacing: how far beyond the recorded band a frequency may lie by rounding


def _order(value: Any) -> Any:
    return tuple(value) if isinstance(value, (list, np.ndarray)) else value


def _names(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        remedy = f"Write axes = {value.replace(',', ' ').split()}."
        raise InvalidInput("axes", "must be a list of names", value, remedy)
    return tuple(value)


def _role(axis: str) -> Any:
    """A field that says what becomes of an axis."""
    roles = ROLES[axis]

    def check(_instance: Any, attribute: Any, value: Any) -> None:
        place = isinstance(value, int) and not isinstance(value, bool) and value >= 0
        if not (value is None or place or value in roles):
            remedy = f"Give a place, counted from 0, or {' or '.join(map(repr, roles))}."
            raise InvalidInput(attribute.name, f"must be an entry of the axis {axis}, or a role", value, remedy)

    words = " or ".join(["place from 0", *(f"`{role}`" for role in roles)])
    return field(default=None, validator=check, metadata=units.worded(words))


@frozen(slots=False)
class Recorded(ChannelModel):
    """Channels from a NumPy ``.npz`` or ``.npy``, a MATLAB ``.mat`` or an HDF5 file.

    Trial i gets record i. A file without a trial axis gives every trial the same channel, or with ``pool`` other
    users of it. MATLAB's files of version 7.3 are HDF5 with reversed axes; they are turned back.

    User k receives ``h_k^H x``, and a user in line of sight has the array's own steering
    vector for a channel: only so do beams point where the targets are. ``element_order``
    and ``phase`` say how the file does both, whatever the array of the scenario does.

    With a grid, the file has subcarriers, or paths and their delays. Where entries are not conjugated, a recorded
    response turns over frequency as ``h_k^H x`` would run backwards in time, so that the subcarriers are taken in
    reverse: delays stay delays. A user whose entries are all NaN is blocked, as one of zeros: its channel is zero.

    Args:
        path: The file; a scenario file's own folder is the base of a relative path.
        variable: Name of the array in the file, ``H`` of an ``.npy``; ``group/name`` and ``struct.field`` lead into
            groups and structures. The entries of a struct array are users, and so are the arrays that a name with a
            star means, ``channel_*_Coeffs`` for example; one with fewer paths has further ones of zeros.
        axes: Order of the array's axes, of ``trial``, ``antenna``, ``user``, ``receive`` (antennas of a user),
            ``station``, ``snapshot``, ``path`` and ``subcarrier``; of one entry they may be left out. An axis ``part``
            has two entries, the real and the imaginary part of a complex number.
        layout: Name of the axes in place of ``axes``: ``deepmimo``, ``sionna-ofdm`` and ``quadriga-fr`` of responses
            on subcarriers, ``deepmimo-paths``, ``sionna`` and ``quadriga`` of path coefficients.
        conjugate: Conjugate the entries, without regard to the array; ``phase`` is the safer way to say it.
        wrap: Start again from the first record when there are more trials than records.
        element_order: How the file numbers the antennas of a planar array: ``vertical-fastest`` column by column,
            as kron(a_h, a_v), ``vertical-fastest-from-top`` the same downwards, ``horizontal-fastest`` row by
            row, or the place in the file, from 0, of each element of the array. None is the array's own order,
            which is refused where the channels plainly show another one.
        phase: Sign of the phase of a user in line of sight as it lies in the file: ``positive`` for entries
            exp(+j pi (n_h sin(azimuth) sin(zenith) + n_v cos(zenith))), ``negative`` for their
            conjugates. Entries are conjugated where the array's sign is another one. None takes the array's.
        azimuth_variable: Name of an array of the users' line-of-sight azimuths in degrees, with the axes of the
            channels' trials and users; NaN where there is none. With it, order and phase are checked.
        zenith_variable: The same for their zenith angles; None is 90 degrees.
        delay_variable: Name of an array of the paths' delays in s, with the axis ``path`` alone, the same for all
            users and records; for a grid.
        receive: Which antenna of a user receives, ``user`` for each as a user of its own, ``trial``, or ``sum``.
        station: Which base station sends; ``trial`` or ``user`` for all of them apart.
        snapshot: Which moment; ``trial`` for each as a record of its own, ``user`` as a user.
        paths: Which path; ``sum``, the narrowband channel, where nothing is said.
        subcarrier: Which subcarrier, where there is no grid; ``trial`` for each as a record of its own.
        subcarrier_spacing: Distance of the recorded subcarriers about the carrier, in Hz, by which their response
            is interpolated at those of the grid; None has one recorded for each of the grid.
        flat: Whether a file of neither paths nor subcarriers may stand for a whole band.
        pool: Whether each trial draws its users from all of its record, without repetition.
        blocked: Whether users whose channels are zero are in the pool: ``keep`` or ``skip``.
        imaginary_variable: Name of the array of imaginary parts, where ``variable`` is that of the real ones.
    """

    path: Path = field(converter=Path)
    variable: str = "H"
    axes: tuple[str, ...] = field(default=CORE, converter=_names)
    conjugate: bool = False
    wrap: bool = False
    element_order: Any = field(
        default=None,
        converter=_order,
        metadata=units.worded(", ".join([*(f"`{o}`" for o in ORDERS), "list of places"])),
    )
    phase: str | None = field(default=None, validator=attrs.validators.optional(choice(*PHASES)))
    azimuth_variable: str | None = None
    zenith_variable: str | None = None
    layout: str | None = field(default=None, validator=attrs.validators.optional(choice(*LAYOUTS)))
    delay_variable: str | None = None
    receive: Any = _role("receive")
    station: Any = _role("station")
    snapshot: Any = _role("snapshot")
    paths: Any = _role("path")
    subcarrier: Any = _role("subcarrier")
    subcarrier_spacing: float | None = field(
        default=None, validator=number(above=0, optional=True), metadata=units.hertz()
    )
    flat: bool = field(default=False, validator=instance(bool))
    pool: bool = field(default=False, validator=instance(bool))
    blocked: str = field(default="keep", validator=choice("keep", "skip"))
    imaginary_variable: str | None = None

    def __attrs_post_init__(self) -> None:
        self._check_axes()
        if not is_file(self.path):
            remedy = f"Check the path of the recording. Nothing is at {brief(str(self.path.absolute()))}."
            raise InvalidInput("path", "must be a file that exists", str(self.path), remedy)
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

    def _check_axes(self) -> None:
        known = set(self.axes) <= set(AXES) and {"antenna", "user"} <= set(self.axes)
        if not known or len(set(self.axes)) < len(self.axes):
            rest = ", ".join(axis for axis in AXES if axis not in CORE[1:])
            rule = f"must be an order of antenna, user and any of {rest}"
            unknown = next((str(axis) for axis in self.axes if axis not in AXES), None)
            remedy = "Name each axis once." if unknown is None else f"{unknown!r} is none. {one_of(AXES, unknown)}"
            raise InvalidInput("axes", rule, ", ".join(map(str, self.axes)), remedy)
        if self.imaginary_variable is not None and PART in self.axes:
            rule = f"must be left out where an axis is named '{PART}'"
            raise InvalidInput("imaginary_variable", rule, self.imaginary_variable, "Remove one of them.")
        if self.layout is not None and self.axes != CORE:
            raise InvalidInput("axes", "must be left out where `layout` is said", self.axes, "Remove one of them.")
        for axis, key in KEYS.items():
            if getattr(self, key) is not None and axis not in self._axes:
                remedy = f"Leave it out, or name the axis {axis} in `axes`."
                raise InvalidInput(key, "must be said of an axis that there is", getattr(self, key), remedy)
        if self.delay_variable is not None and "path" not in self._axes:
            rule = "must belong to an axis `path`"
            raise InvalidInput("delay_variable", rule, self.delay_variable, "Name that axis, or leave it out.")
        if self.blocked != "keep" and not self.pool:
            raise InvalidInput("blocked", "must be said of a pool", self.blocked, "Set `pool = true`, or leave it out.")

    @property
    def _axes(self) -> tuple[str, ...]:
        return self.axes if self.layout is None else LAYOUTS[self.layout]

    @property
    def _band(self) -> str | None:
        """The axis that stays as the band of a record."""
        return next((a for a in BANDS if a in self._axes and getattr(self, KEYS[a]) is None), None)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the file: part of the address of every result made from it."""
        return hashlib.sha256(self.path.read_bytes()).hexdigest()

    @cached_property
    def records(self) -> ComplexArray:
        """All channels as they lie in the file, shape (records, band, N_t, K); of a blocked user they are zero."""
        found = self._arranged("variable", self._axes)
        if not found.size:
            raise InvalidInput("variable", "must be an array with entries", self.variable, "It has none.")
        # Fewer paths than there is room for are padded, by NaN or by zeros.
        over = 2 if self._band == "path" else (1, 2)
        blocked = np.asarray(np.isnan(found).all(axis=over, keepdims=True))
        found = np.where(blocked, 0, found) if blocked.any() else found
        odd = np.flatnonzero(~np.isfinite(found).all(axis=(1, 2, 3)))
        if odd.size:
            got = f"{odd.size} of {len(found)} with NaN or infinity, the first of them record {odd[0]}, counted from 0"
            doubt("path", "should hold finite channels in all records", got, "Trials that get one of these fail.")
        return found

    @cached_property
    def delays(self) -> FloatArray | None:
        """Delays of the paths, shape (records, P, N_t, K) or 1 for an axis they are alike over, in s; None without."""
        if self.delay_variable is None:
            return None
        axes = delay_axes(self.layout, self._axes, self._read("delay_variable"))
        if "receive" in axes and self.receive == "sum":
            rule = "must be one antenna, 'user' or 'trial' where each antenna has delays of its own"
            raise InvalidInput("receive", rule, self.receive, "Set receive = 0.")
        found = self._arranged("delay_variable", axes).real
        wanted = self.records.shape
        if found.shape[1] != wanted[1]:
            remedy = f"The axes of {self.delay_variable!r} are {', '.join(axes)}."
            raise InvalidInput("delay_variable", f"must have the {wanted[1]} recorded paths", found.shape[1], remedy)
        if not all(n in (1, most) for n, most in zip(found.shape, wanted, strict=True)):
            remedy = f"Its axes are {', '.join(axes)}."
            raise InvalidInput("delay_variable", "must be delays of the recorded paths", found.shape, remedy)
        # A path that is not there is marked by a delay of NaN, or below 0; its coefficients are zero.
        return np.where(found >= 0, found, 0)

    def _read(self, field: str) -> list[AnyArray]:
        """The arrays of the variable that a field names; what is wrong with it is told of that field."""
        try:
            return read_arrays(self.path, getattr(self, field))
        except InvalidInput as error:
            raise error.at(field) if error.field == "variable" else error from None

    def _arranged(self, field: str, axes: tuple[str, ...]) -> ComplexArray:
        """The array that a field names, (records, band, N_t, K); an axis that it lacks has one entry."""
        variable, parts = getattr(self, field), self._read(field)
        if field == "variable":
            parts = self._complex(parts)
        array, axes = named(variable, parts, axes, MAY_LACK.get(self.layout or ""), is_matlab(self.path))
        return arranged(array, axes, {axis: getattr(self, key) for axis, key in KEYS.items()}, self._band)

    def _complex(self, parts: list[AnyArray]) -> list[AnyArray]:
        """The arrays of the channels, with their imaginary parts where these lie elsewhere."""
        if self.imaginary_variable is not None:
            return joined_parts(self.variable, parts, self._read("imaginary_variable"))
        if all_real(parts) and PART not in self.axes:
            if other := partner(self.variable, array_names(self.path)):
                rule = f"must be said where the file has {other!r} beside {self.variable!r}"
                raise InvalidInput("imaginary_variable", rule, "", f"Set imaginary_variable = {other!r}.")
            remedy = f"Name the imaginary_variable, or the axis '{PART}' of both parts in `axes`, if there is one."
            doubt("variable", "should be an array of complex channels", f"real numbers in {self.variable!r}", remedy)
        return parts

    @cached_property
    def directions(self) -> tuple[FloatArray, FloatArray] | None:
        """Azimuth and zenith of the users in line of sight, each (records, K), in rad; None if the file has none."""
        if self.azimuth_variable is None:
            return None
        azimuth = self._angles("azimuth_variable")
        if self.zenith_variable is None:
            return azimuth, np.full(azimuth.shape, np.pi / 2)
        return azimuth, self._angles("zenith_variable")

    def _angles(self, field: str) -> FloatArray:
        axes = tuple(axis for axis in self._axes if axis in ("trial", "user"))
        lacking = "trial" if MAY_LACK.get(self.layout or "") == "trial" else None
        array, axes = named(getattr(self, field), self._read(field), axes, lacking, is_matlab(self.path))
        if axes == ("user", "trial"):
            array = array.T
        return np.deg2rad(array.real if "trial" in axes else array.real[None])

    def draw(
        self, array: AntennaArray, users: int, trials: Sequence[int], rngs: Sequence[np.random.Generator]
    ) -> ComplexArray:
        """The records of the trials, by the elements of ``array``; what is random is who is drawn from a pool."""
        if self._band == "subcarrier" and self.records.shape[1] > 1:
            rule = f"must say which of {self.records.shape[1]} subcarriers counts without a grid"
            raise InvalidInput("subcarrier", rule, "", "Set subcarrier = 0, or add base_station.grid.")
        return self._drawn(array, self._chosen(array, users, trials, rngs)).sum(axis=1)

    def draw_band(
        self, grid: Grid, array: AntennaArray, users: int, trials: Sequence[int], rngs: Sequence[np.random.Generator]
    ) -> ComplexArray:
        """The records on the active subcarriers: as they are, interpolated, or of paths and their delays."""
        if self._band is None and not self.flat:
            rule = "must have subcarriers, or paths and their delays, on a grid"
            raise InvalidInput("channel", rule, "", "Name such an axis, or set `flat = true` for one channel on all.")
        if self._band == "path" and self.delays is None:
            raise InvalidInput("delay_variable", "must be said of paths on a grid", "", "Name the array of delays.")
        chosen = self._chosen(array, users, trials, rngs)
        found = self._drawn(array, chosen)
        if self.delays is not None and self._band == "path":
            frequencies = grid.frequencies[:, None, None, None]
            delays = np.broadcast_to(self.delays, (*self.delays.shape[:3], self.records.shape[-1]))
            delays = _taken(self._ordered(delays, array), chosen)
            # h_k^H x is delayed, so that h_k itself turns by the conjugate, see `Grid.response`.
            turn = np.exp(2j * np.pi * frequencies * delays[:, None])
            return np.ascontiguousarray((turn * found[:, None]).sum(axis=2))
        if self._band is None:
            return np.ascontiguousarray(np.broadcast_to(found, (len(found), grid.used, *found.shape[2:])))
        # Of an even number of subcarriers the reverse is one spacing off the carrier, as if that lay there.
        reverse = not self._convention(array).conjugated
        return self._on_grid(grid, found[:, ::-1] if reverse else found)

    def _on_grid(self, grid: Grid, found: ComplexArray) -> ComplexArray:
        """Responses (trials, F', N_t, K), of ascending subcarriers, on those of the grid."""
        count = found.shape[1]
        if self.subcarrier_spacing is None:
            if count != grid.used:
                rule = f"must have one recorded subcarrier for each of the {grid.used} active ones"
                raise InvalidInput("channel", rule, count, "Match base_station.grid, or set subcarrier_spacing_hz.")
            return np.ascontiguousarray(found)
        # In units of the recorded spacing, so that the first recorded subcarrier lies at 0.
        at = grid.frequencies / self.subcarrier_spacing + count // 2
        if at[0] < -ALONE or at[-1] > count - 1 + ALONE:
            most = float(np.abs(grid.frequencies).max())
            rule = f"must reach as far as the grid, {most:.6g} Hz from the carrier"
            remedy = f"{count} subcarriers are recorded about the carrier; take a narrower grid."
            raise InvalidInput("subcarrier_spacing", rule, self.subcarrier_spacing, remedy)
        low = np.clip(np.floor(at).astype(int), 0, max(0, count - 2))
        share = np.clip(at - low, 0, 1)[:, None, None]
        return np.asarray((1 - share) * found[:, low] + share * found[:, np.minimum(low + 1, count - 1)])

    def _chosen(
        self, array: AntennaArray, users: int, trials: Sequence[int], rngs: Sequence[np.random.Generator]
    ) -> tuple[IntArray, IntArray]:
        """The record of each trial, (trials,), and its users, (trials, K)."""
        count, _, *shape = self.records.shape
        if shape[0] != array.size or (shape[1] != users and not self.pool):
            more = " Set `pool = true` to draw users from all." if shape[1] > users and shape[0] == array.size else ""
            raise InvalidInput(
                "channel", f"must have {array.size} antennas and {users} users", f"{shape[0]} and {shape[1]}",
                f"Match transmit_array and users.count, or set `axes`.{more}",
            )  # fmt: skip
        several = count > 1 or ("trial" in self.axes and self.layout is None)
        if several and not self.wrap and max(trials) >= count:
            raise InvalidInput(
                "trials", f"must be at most {count}, the number of records in {self.path.name}", max(trials) + 1,
                "Ask for fewer trials, or set `wrap = true`.",
            )  # fmt: skip
        places = np.asarray(trials) % count
        if not self.pool:
            return places, np.broadcast_to(np.arange(users), (len(places), users))
        return places, np.stack([self._who(place, users, rngs[i]) for i, place in enumerate(places)])

    def _drawn(self, array: AntennaArray, chosen: tuple[IntArray, IntArray]) -> ComplexArray:
        """The channels of the chosen records and users with their band, (trials, band, N_t, K)."""
        convention, (places, _) = self._convention(array), chosen
        self._check_plausible(array, convention)
        found = _taken(self.records, chosen)
        odd = places[~np.isfinite(found).all(axis=(1, 2, 3))]
        if odd.size:
            rule = f"must hold finite channels in record {odd[0]}, counted from 0"
            raise InvalidInput("path", rule, str(self.path), "Remove NaN and infinite entries, or that record.")
        return convention.applied(found, array)

    def _who(self, place: int, users: int, rng: np.random.Generator) -> IntArray:
        """The users of a trial, of the pool of its record."""
        pool = np.arange(self.records.shape[-1])
        if self.blocked == "skip":
            pool = np.flatnonzero(self.records[place].any(axis=(0, 1)))
        if len(pool) < users:
            rule = f"must have a pool of at least {users} users in record {place}"
            more = ", or set blocked = 'keep'" if self.blocked == "skip" else ""
            raise InvalidInput("channel", rule, len(pool), f"Ask for fewer users{more}.")
        return rng.choice(pool, users, replace=False)

    def _convention(self, array: AntennaArray) -> Convention:
        order = self.element_order
        if isinstance(order, tuple) and len(order) != array.size:
            raise InvalidInput(
                "element_order", f"must have {array.size} places, one for each element", len(order),
                "Match transmit_array.",
            )  # fmt: skip
        return Convention(order, self.conjugate if self.phase is None else conjugates(self.phase, array))

    def _ordered(self, delays: FloatArray, array: AntennaArray) -> FloatArray:
        """Delays (records, P, N_t or 1, K) by the elements of ``array``."""
        if delays.shape[2] == 1:
            return delays
        return np.real(attrs.evolve(self._convention(array), conjugated=False).applied(delays.astype(complex), array))

    def _check_plausible(self, array: AntennaArray, convention: Convention) -> None:
        """Refuse an order or a phase that what is known of the users' directions contradicts."""
        some = self.records[:LOOKED_AT, ..., :LOOKED_AT]
        # A plane wave is one on each subcarrier; of paths the sum is what a narrowband signal meets.
        some = some.sum(axis=1) if self._band == "path" else some[:, some.shape[1] // 2]
        some = np.where(np.isfinite(some).all(axis=(1, 2), keepdims=True), some, 0)
        largest = np.abs(some).max(axis=1, keepdims=True)  # of each user: only shares of its power are asked for
        some = np.divide(some, largest, out=np.zeros_like(some), where=largest > 0)
        if self.element_order is None and (shown := shown_order(some, array)):
            raise InvalidInput(
                "element_order", f"must be said where channels in line of sight show {shown!r}", "",
                f"Set element_order = {shown!r}, or {ORDERS[1 - ORDERS.index(shown)]!r} if that is what it is.",
            )  # fmt: skip
        if self.directions is not None:
            wanted = (len(self.records), self.records.shape[-1])
            for name, angles in zip(("azimuth_variable", "zenith_variable"), self.directions, strict=True):
                if angles.shape != wanted:
                    rule, remedy = f"must have the shape {wanted} of records and users", "Check the axes of the array."
                    raise InvalidInput(name, rule, angles.shape, remedy)
            azimuth, zenith = (angles[:LOOKED_AT, :LOOKED_AT] for angles in self.directions)
            refuse_other_directions(some, array, convention, azimuth, zenith)

    def __getstate__(self) -> dict[str, Any]:
        # The records are read again where they are needed, rather than sent to workers.
        return {f.name: getattr(self, f.name) for f in attrs.fields(type(self))}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            object.__setattr__(self, name, value)


def _taken(values: AnyArray, chosen: tuple[IntArray, IntArray]) -> AnyArray:
    """Of values (records, ..., K') those of records (trials,) and users (trials, K): (trials, ..., K)."""
    places, who = chosen
    of = values[places if len(values) > 1 else np.zeros_like(places)]
    return np.take_along_axis(of, who.reshape(len(who), *(1,) * (of.ndim - 2), who.shape[-1]), axis=-1)
