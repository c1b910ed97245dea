"""Arrays of numbers in the files that measurements and ray tracers leave: .npz, .mat and HDF5."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from isacsim.errors import InvalidInput, one_of
from isacsim.typing import AnyArray

# How files name the parts of a complex number that they store as a compound, in small letters.
REAL, IMAG = ("real", "re", "r"), ("imag", "im", "i", "imaginary")


def is_file(path: Path) -> bool:
    """Whether there is a file at ``path``, whatever characters and length that has."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def read_array(path: Path, variable: str) -> AnyArray:
    """The array ``variable`` of an .npz, .mat or HDF5 file, real or complex.

    Raises:
        InvalidInput: If the file cannot be read, has no such array, or holds something else than numbers in it.
    """
    try:
        array = _content(path, variable)
    except InvalidInput:
        raise
    except Exception as error:  # the readers of a broken file raise whatever they meet
        remedy = f"It could not be read: {error}"
        raise InvalidInput("path", "must be an .npz, .mat or HDF5 file", str(path), remedy) from None
    if array.dtype.names:
        array = _joined(array, array.dtype.names, path, variable)
    if array.dtype.kind not in "biufc":
        raise InvalidInput("path", "must hold numbers", str(path), f"Check `variable` ({variable!r}).")
    return array


def _content(path: Path, variable: str) -> AnyArray:
    if path.suffix == ".npz":
        with path.open("rb") as file, np.load(file) as content:
            return _pick(content, list(content), path, variable)
    if path.suffix == ".mat" and not _is_hdf5(path):
        from scipy.io import loadmat

        content = loadmat(path)
        return _pick(content, [k for k in content if not k.startswith("__")], path, variable)
    return _read_hdf5(path, variable)


def _joined(array: AnyArray, fields: tuple[str, ...], path: Path, variable: str) -> AnyArray:
    """Complex numbers out of compounds of a real and an imaginary part, which are told by name, in any order."""
    parts = {name.lower(): array[name] for name in fields}
    numbers = all(part.dtype.kind in "biuf" and part.shape == array.shape for part in parts.values())
    found = [[name for name in parts if name in known] for known in (REAL, IMAG)]
    if not numbers or len(parts) != 2 or [len(names) for names in found] != [1, 1]:
        raise InvalidInput(
            "path", f"must hold complex numbers in {variable!r} as a real and an imaginary part",
            f"{path.name} with the fields {', '.join(fields)}",
            f"Name the two fields {REAL[0]} and {IMAG[0]}, or store complex numbers.",
        )  # fmt: skip
    (real,), (imag,) = found
    joined = np.empty(array.shape, complex)
    joined.real, joined.imag = parts[real], parts[imag]
    return joined


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
    return array.T if path.suffix == ".mat" else array


def _pick(content: Any, names: list[str], path: Path, variable: str) -> AnyArray:
    if variable not in names:
        raise InvalidInput("variable", f"must be an array in {path.name}", variable, one_of(names, variable))
    return np.asarray(content[variable])
