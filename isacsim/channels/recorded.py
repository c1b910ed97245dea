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
from isacsim.channels.models import ChannelModel
from isacsim.errors import InvalidInput, one_of
from isacsim.typing import AnyArray, ComplexArray

AXES = ("trial", "antenna", "user")


@frozen(slots=False)
class Recorded(ChannelModel):
    """Channels from a NumPy ``.npz``, a MATLAB ``.mat`` or an HDF5 file.

    Trial i gets record i. A file without a trial axis gives every trial the same channel.
    MATLAB's files of version 7.3 are HDF5 with reversed axes; they are turned back.

    Args:
        path: The file; a scenario file's own folder is the base of a relative path.
        variable: Name of the array in the file; for HDF5 also a path of groups.
        axes: Order of the array's axes, of ``trial``, ``antenna`` and ``user``.
        conjugate: Conjugate the entries: for data with ``y = h^T x`` instead of ``h^H x``.
        wrap: Start again from the first record when there are more trials than records.
    """

    path: Path = field(converter=Path)
    variable: str = "H"
    axes: tuple[str, ...] = field(default=AXES, converter=tuple)
    conjugate: bool = False
    wrap: bool = False

    def __attrs_post_init__(self) -> None:
        if sorted(self.axes) not in (sorted(AXES), sorted(AXES[1:])):
            raise InvalidInput(
                "axes", f"must be an order of {AXES} or of {AXES[1:]}", self.axes, "Name each axis once."
            )
        if not self.path.is_file():
            raise InvalidInput("path", "must be a file that exists", str(self.path), "Check the path of the recording.")

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the file: part of the address of every result made from it."""
        return hashlib.sha256(self.path.read_bytes()).hexdigest()

    @cached_property
    def records(self) -> ComplexArray:
        """All recorded channels, shape (records, N_t, K)."""
        array = read_array(self.path, self.variable)
        if array.dtype.kind not in "biufc":
            raise InvalidInput("path", "must hold numbers", str(self.path), f"Check `variable` ({self.variable!r}).")
        if self.path.suffix == ".mat":  # MATLAB drops axes of length 1 at the end
            array = array.reshape(array.shape + (1,) * (len(self.axes) - array.ndim))
        if array.ndim != len(self.axes):
            raise InvalidInput(
                "axes",
                f"must name the {array.ndim} axes of {self.variable!r}",
                self.axes,
                f"Its shape is {array.shape}.",
            )
        order = [self.axes.index(axis) for axis in AXES if axis in self.axes]
        array = np.ascontiguousarray(array.transpose(order), dtype=complex)
        if not np.all(np.isfinite(array)):
            raise InvalidInput("path", "must hold finite channels", str(self.path), "Remove NaN and infinite entries.")
        array = np.conj(array) if self.conjugate else array
        return array if array.ndim == 3 else array[None]

    def draw(
        self, array: AntennaArray, users: int, trials: Sequence[int], rngs: Sequence[np.random.Generator]
    ) -> ComplexArray:
        """The records of the trials; nothing is random."""
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
        return self.records[np.asarray(trials) % count]

    def __getstate__(self) -> dict[str, Any]:
        # The records are read again where they are needed, rather than sent to workers.
        return {f.name: getattr(self, f.name) for f in attrs.fields(type(self))}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            object.__setattr__(self, name, value)


def read_array(path: Path, variable: str) -> AnyArray:
    """The array ``variable`` of an .npz, .mat or HDF5 file."""
    try:
        if path.suffix == ".npz":
            with path.open("rb") as file, np.load(file) as content:
                return _pick(content, list(content), path, variable)
        if path.suffix == ".mat" and not _is_hdf5(path):
            from scipy.io import loadmat

            content = loadmat(path)
            return _pick(content, [k for k in content if not k.startswith("__")], path, variable)
        return _read_hdf5(path, variable)
    except InvalidInput:
        raise
    except Exception as error:  # the readers of a broken file raise whatever they meet
        remedy = f"It could not be read: {error}"
        raise InvalidInput("path", "must be an .npz, .mat or HDF5 file", str(path), remedy) from None


def _is_hdf5(path: Path) -> bool:
    # MATLAB puts a 512-byte header of its own before the HDF5 signature.
    with path.open("rb") as file:
        head = file.read(520)
    return head[512:520] == b"\x89HDF\r\n\x1a\n"


def _read_hdf5(path: Path, variable: str) -> AnyArray:
    import h5py

    with h5py.File(path, "r") as file:
        if not isinstance(file.get(variable), h5py.Dataset):
            _pick({}, [name for name in file if isinstance(file[name], h5py.Dataset)], path, variable)
        array = np.asarray(file[variable])
    if array.dtype.names:  # MATLAB and others store complex numbers as (real, imag) pairs
        real, imag = array.dtype.names
        array = array[real] + 1j * array[imag]
    return array.T if path.suffix == ".mat" else array


def _pick(content: Any, names: list[str], path: Path, variable: str) -> AnyArray:
    if variable not in names:
        raise InvalidInput("variable", f"must be an array in {path.name}", variable, one_of(names, variable))
    return np.asarray(content[variable])
