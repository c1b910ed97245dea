"""A run's numbers for other programs, with names, units and dimensions, and the precoders."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from isacsim.engine.folder import Run, require_run
from isacsim.engine.sinks import replacing, scalar_frame
from isacsim.errors import InvalidInput, one_of

if TYPE_CHECKING:
    import xarray

LONGEST_NAME = 63  # characters that MATLAB reads of a name


def export(run: Run, to: str, path: Path | None = None, *, precoders: bool = True) -> Path:
    """Write the numbers of a run in a format of another program; returns the file.

    Args:
        run: The run.
        to: ``mat`` (MATLAB and Octave), ``parquet`` or ``csv`` (a row a trial, scalars alone),
            ``netcdf``, or ``npz`` (NumPy).
        path: The file; None is ``results.`` with the format's ending, in the run folder.
        precoders: Write the precoders of each design, shape (axes..., trial, antenna, stream), where the
            format holds arrays.

    Raises:
        InvalidInput: For an unknown format, one whose library is not installed, or a file that cannot
            be written.
    """
    require_run("run", run)
    if to not in WRITERS:
        raise InvalidInput("to", "must be a format", to, one_of(WRITERS, to))
    ending, write = WRITERS[to]
    path = path or run.path / f"results.{ending}"
    dataset = run.dataset()
    if precoders and to in ("mat", "netcdf", "npz"):
        dataset = dataset.assign(_precoders(run, dataset))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as part:
            write(dataset, part)
    except OSError as error:
        rule = f"must be a file that can be written ({error.strerror or error})"
        raise InvalidInput("out", rule, str(path), "Choose another file.") from None
    return path


def _precoders(run: Run, dataset: xarray.Dataset) -> dict[str, xarray.DataArray]:
    """The precoders of each design by name; a dimension that is not of one size everywhere is named by its design."""
    found = {name: W for name in run.designs if (W := run.precoders(name)).size}
    sizes: dict[Any, set[int]] = {dim: {size} for dim, size in dataset.sizes.items()}
    for W in found.values():
        for dim, size in W.sizes.items():
            sizes.setdefault(dim, set()).add(size)
    return {
        f"precoder-{name}": W.rename({dim: f"{dim}-{name}" for dim in W.dims if len(sizes[dim]) > 1})
        for name, W in found.items()
    }


def _mat(dataset: xarray.Dataset, path: Path) -> None:
    """Variables by name; ``info.NAME`` has units, description and dimensions, ``axes`` the coordinates."""
    from scipy.io import savemat

    names = _matlab_names([*map(str, dataset.variables)])
    info = {
        names[str(name)]: {
            "name": str(name),
            "units": values.attrs.get("units", "1"),
            "description": values.attrs.get("long_name", ""),
            "dimensions": _cells([str(d) for d in values.dims]),
        }
        for name, values in dataset.variables.items()
    }
    axes = {names[str(name)]: _for_matlab(values.values) for name, values in dataset.coords.items()}
    made = {key: str(value) for key, value in dataset.attrs.items()}
    arrays = {names[str(name)]: _for_matlab(values.values) for name, values in dataset.items()}
    savemat(
        path,
        {**arrays, "axes": axes, "info": info, "run": made},
        appendmat=False,
        do_compression=True,
        oned_as="column",
    )


def _for_matlab(values: Any) -> Any:
    return _cells(values) if values.dtype.kind in "UO" else values


def _cells(values: Any) -> Any:
    """Text as a cell array."""
    array = np.asarray(values)
    return np.asarray(array.reshape(-1, 1) if array.ndim < 2 else array, dtype=object)


def _matlab_names(names: list[str]) -> dict[str, str]:
    """Names that MATLAB takes, each once."""
    found: dict[str, str] = {}
    for name in names:
        word = re.sub(r"\W", "_", name)
        word = (word if word[:1].isalpha() else f"x{word}")[:LONGEST_NAME]
        own, number = word, 1
        while own in found.values() or own in ("axes", "info", "run"):
            number += 1
            own = f"{word[: LONGEST_NAME - 4]}_{number}"
        found[name] = own
    return found


def _netcdf(dataset: xarray.Dataset, path: Path) -> None:
    """The dataset; of a complex variable real and imaginary part apart, since netCDF knows none."""
    for name in [n for n, v in dataset.items() if v.dtype.kind == "c"]:
        values = dataset[name]
        parts = {f"{name}-real": values.real, f"{name}-imag": values.imag}
        dataset = dataset.drop_vars([name]).assign({n: v.assign_attrs(values.attrs) for n, v in parts.items()})
    dataset.to_netcdf(path, engine="h5netcdf")


def _npz(dataset: xarray.Dataset, path: Path) -> None:
    """Arrays by name, and ``NAME.units`` and ``NAME.dims`` of each."""
    arrays: dict[str, Any] = {}
    for name, values in dataset.variables.items():
        arrays[str(name)] = values.values.astype(str) if values.dtype.kind in "UO" else values.values
        arrays[f"{name}.units"] = np.array(values.attrs.get("units", "1"))
        arrays[f"{name}.dims"] = np.array([str(d) for d in values.dims])
    with path.open("wb") as file:  # by its path NumPy would change the name's ending
        np.savez_compressed(file, allow_pickle=False, **arrays)


def _csv(dataset: xarray.Dataset, path: Path) -> None:
    scalar_frame(dataset).to_csv(path, index=False)


def _parquet(dataset: xarray.Dataset, path: Path) -> None:
    """The rows of the CSV; units are in the schema of the file, as attributes of the frame."""
    frame = scalar_frame(dataset)
    frame.attrs = {"units": {str(n): v.attrs.get("units", "1") for n, v in dataset.items() if n in frame}}
    try:
        frame.to_parquet(path, index=False)
    except ImportError:
        remedy = "Install it: pip install 'isacsim[parquet]', or choose csv."
        raise InvalidInput("to", "must have its library, pyarrow", "parquet", remedy) from None


WRITERS: dict[str, tuple[str, Callable[[Any, Path], None]]] = {
    "mat": ("mat", _mat),
    "parquet": ("parquet", _parquet),
    "csv": ("csv", _csv),
    "netcdf": ("nc", _netcdf),
    "npz": ("npz", _npz),
}
