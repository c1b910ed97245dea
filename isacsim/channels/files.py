"""Arrays of numbers in the files that measurements and ray tracers leave: .npy, .npz, .mat and HDF5."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np

from isacsim.channels.parts import IMAG, REAL, partner
from isacsim.errors import InvalidInput, one_of
from isacsim.typing import AnyArray

MOST_TOLD = 40  # names of arrays that an error lists
ONLY = "H"  # what the one array of an .npy file is called


def is_file(path: Path) -> bool:
    """Whether there is a file at ``path``, whatever characters and length that has."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def is_matlab(path: Path) -> bool:
    """Whether a file is one of MATLAB, which drops axes of length 1 at the end."""
    return path.suffix.lower() == ".mat"


def read_arrays(path: Path, variable: str) -> list[AnyArray]:
    """The arrays ``variable`` of an .npy, .npz, .mat or HDF5 file, real or complex: one, but of a struct or cell array.

    A star stands for any characters: all arrays with such a name are taken, in the order of their names.
    ``group/name`` and ``struct.field`` lead into groups, structures of either version of MATLAB's files, and compounds.

    Raises:
        InvalidInput: If the file cannot be read, has no such array, or holds something else than numbers in it.
    """
    try:
        arrays = _content(path, variable)
    except InvalidInput:
        raise
    except Exception as error:  # the readers of a broken file raise whatever they meet
        # NumPy takes whatever it does not know for pickled objects, and says how to load these.
        why = "it holds no arrays of numbers" if "allow_pickle" in str(error) else str(error).rstrip(".")
        remedy = f"It could not be read: {why}. Store arrays by numpy.savez(path, H=H), for example."
        raise InvalidInput("path", "must be an .npy, .npz, .mat or HDF5 file", str(path), remedy) from None
    found = []
    for array in arrays:
        if array.dtype.names:
            array = _joined(array, array.dtype.names, path, variable)
        if array.dtype.kind not in "biufc":
            raise InvalidInput("path", "must hold numbers", str(path), f"Check `variable` ({variable!r}).")
        found.append(array)
    if not found:
        raise InvalidInput("variable", "must not be an empty struct array", variable, "Check the file.")
    return found


def array_names(path: Path) -> list[str]:
    """Names of the arrays of a file that can be read, those in groups and structures included."""
    if path.suffix.lower() in NUMPY:
        with _numpy(path) as content:
            return list(content)
    if is_matlab(path) and not _is_hdf5(path):
        return list(_structured(_matlab5(path)))
    import h5py

    with h5py.File(path, "r") as file:
        return list(_datasets(file))


NUMPY = (".npy", ".npz")


@contextlib.contextmanager
def _numpy(path: Path) -> Iterator[Mapping[str, AnyArray]]:
    """The arrays of a file of NumPy by their names, each of which is read when it is asked for."""
    with path.open("rb") as file:
        content = np.load(file)
        if isinstance(content, np.ndarray):
            yield {ONLY: content}
            return
        with content:
            yield content


def _matlab5(path: Path) -> dict[str, AnyArray]:
    from scipy.io import loadmat

    return {k: v for k, v in loadmat(path).items() if not k.startswith("__")}


def _content(path: Path, variable: str) -> list[AnyArray]:
    if path.suffix.lower() in NUMPY:
        with _numpy(path) as content:
            name, _, part = variable.rpartition(".")
            if variable not in content and name in content:
                return [_part(content[name], part, path, variable)]
            return [_pick(content, list(content), path, name) for name in _meant(list(content), path, variable)]
    if is_matlab(path) and not _is_hdf5(path):
        content = _matlab5(path)
        if variable in content or "*" in variable:
            return [cell for name in _meant(list(content), path, variable) for cell in _cells(content[name])]
        first, *fields = re.split(r"[./]", variable)
        return _fields(_pick(content, list(_structured(content)), path, variable, first), fields, path, variable)
    return _read_hdf5(path, variable)


def _meant(names: list[str], path: Path, variable: str) -> list[str]:
    """The names that a variable with stars stands for; one without is its own."""
    if "*" not in variable:
        return [variable]
    found = sorted(name for name in names if fnmatchcase(name, variable))
    if not found:
        raise _no_array(path, variable, names)
    return found


def _structured(content: dict[str, AnyArray]) -> Iterator[str]:
    """Names of arrays, and of the fields of structures."""
    for name, value in content.items():
        if value.dtype.names:
            yield from (f"{name}.{field}" for field in value.dtype.names)
        else:
            yield name


def _fields(value: AnyArray, fields: list[str], path: Path, variable: str) -> list[AnyArray]:
    """The arrays that the fields of a structure of MATLAB 5 lead to, those of all entries of a struct array."""
    values = [value]
    for name in fields:
        for entry in values:
            if name not in (entry.dtype.names or ()):
                raise _no_array(path, variable, [f"{variable.split('.')[0]}.{n}" for n in entry.dtype.names or ()])
        values = [part for entry in values for part in _cells(entry[name])]
    return values


def _part(array: AnyArray, name: str, path: Path, variable: str) -> AnyArray:
    """A field of an array of compounds."""
    names = array.dtype.names or ()
    if name not in names:
        raise _no_array(path, variable, [f"{variable.removesuffix(name)}{n}" for n in names])
    return np.asarray(array[name])


def _cells(value: AnyArray) -> list[AnyArray]:
    """What a cell array holds, column by column as MATLAB counts; else the array."""
    return [np.asarray(cell) for cell in value.ravel(order="F")] if value.dtype == object else [value]


def _joined(array: AnyArray, fields: tuple[str, ...], path: Path, variable: str) -> AnyArray:
    """Complex numbers out of compounds of a real and an imaginary part, which are told by name, in any order."""
    # A structure of MATLAB holds arrays, one of each name.
    single = array.size == 1 and all(array[name].dtype == object for name in fields)
    parts = {name.lower(): np.asarray(array[name].item()) if single else array[name] for name in fields}
    shape = next(iter(parts.values())).shape
    numbers = all(part.dtype.kind in "biuf" and part.shape == shape for part in parts.values())
    found = [[name for name in parts if name in known] for known in (REAL, IMAG)]
    if not numbers or len(parts) != 2 or [len(names) for names in found] != [1, 1]:
        first, *others = (f"{variable}.{field}" for field in fields)
        remedy = f"Store complex numbers; variable = {first!r} is one field"
        if others:
            remedy += f", and imaginary_variable = {others[0]!r} takes another for imaginary parts"
        rule = f"must hold complex numbers in {variable!r} as a real and an imaginary part"
        raise InvalidInput("path", rule, f"{path.name} with the fields {', '.join(fields)}", f"{remedy}.")
    (real,), (imag,) = found
    joined = np.empty(shape, complex)
    joined.real, joined.imag = parts[real], parts[imag]
    return joined


def _is_hdf5(path: Path) -> bool:
    # MATLAB puts a 512-byte header of its own before the HDF5 signature.
    with path.open("rb") as file:
        head = file.read(520)
    return head[512:520] == b"\x89HDF\r\n\x1a\n"


def _read_hdf5(path: Path, variable: str) -> list[AnyArray]:
    import h5py

    def turned(values: Any) -> AnyArray:
        array = np.asarray(values)
        return array.T if is_matlab(path) else array

    with h5py.File(path, "r") as file:
        if "*" in variable:
            return [turned(file[name]) for name in _meant(list(_datasets(file)), path, variable)]
        place = variable if variable in file else variable.replace(".", "/")
        found = file.get(place)
        if isinstance(found, h5py.Group) and {name.lower() for name in found} <= {*REAL, *IMAG} and len(found) == 2:
            compound = np.empty((1, 1), [(name, object) for name in found])  # as MATLAB 5 has a structure
            for name in found:
                compound[name][0, 0] = turned(found[name])
            return [compound]
        name, _, part = variable.rpartition(".")
        if found is None and isinstance(file.get(name), h5py.Dataset):  # a field of compounds
            return [turned(_part(np.asarray(file[name]), part, path, variable))]
        if not isinstance(found, h5py.Dataset):
            raise _no_array(path, variable, list(_datasets(file)))
        if h5py.check_ref_dtype(found.dtype):  # a field of a struct array, or a cell array, of MATLAB 7.3
            return [turned(file[reference]) for reference in np.asarray(found).ravel()]
        return [turned(found)]


def _datasets(file: Any) -> Iterator[str]:
    """Names of the arrays of an HDF5 file, those in groups included; what MATLAB keeps for itself is left out."""
    import h5py

    names: list[str] = []
    file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
    return (name for name in names if not name.startswith("#"))


def _pick(content: Any, names: list[str], path: Path, variable: str, first: str = "") -> AnyArray:
    if (first or variable) not in content:
        raise _no_array(path, variable, names)
    return np.asarray(content[first or variable])


def _no_array(path: Path, variable: str, names: list[str]) -> InvalidInput:
    more = f" and {len(names) - MOST_TOLD} more" if len(names) > MOST_TOLD else ""
    remedy = one_of(names[:MOST_TOLD], variable).rstrip(".") + more + "."
    both = next(((name, other) for name in names[:MOST_TOLD] if (other := partner(name, names[:MOST_TOLD]))), None)
    if both:
        remedy += f" Of real and imaginary parts set variable = {both[0]!r} and imaginary_variable = {both[1]!r}."
    return InvalidInput("variable", f"must be an array in {path.name}", variable, remedy)
