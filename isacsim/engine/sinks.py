"""Sinks: where a finished run's results go beside the store."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from attrs import frozen

if TYPE_CHECKING:
    import xarray


class Sink(ABC):
    """Writes the dataset of a run; a plugin derives from it."""

    @abstractmethod
    def write(self, dataset: xarray.Dataset, folder: Path) -> Path:
        """Write to the run folder and return the file; an existing one is replaced."""


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file to write, which takes the place of ``path`` when it is whole.

    Who reads ``path`` meanwhile reads the old one; a link there is replaced, and what it leads to stays.
    """
    part = path.with_name(f".{path.name}.{uuid4().hex[:8]}.part")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


@frozen
class NetCdf(Sink):
    """The labelled dataset as ``results.nc`` (netCDF-4)."""

    def write(self, dataset: xarray.Dataset, folder: Path) -> Path:
        """Write ``results.nc``."""
        with replacing(folder / "results.nc") as path:
            dataset.to_netcdf(path, engine="h5netcdf")
        return folder / "results.nc"


@frozen
class Csv(Sink):
    """One row a trial, one column a scalar quantity, as ``results.csv``."""

    def write(self, dataset: xarray.Dataset, folder: Path) -> Path:
        """Write ``results.csv``."""
        with replacing(folder / "results.csv") as path:
            scalar_frame(dataset).to_csv(path, index=False)
        return folder / "results.csv"


def scalar_frame(dataset: xarray.Dataset) -> Any:
    """A pandas frame of one row a trial, with the coordinates and the scalar quantities as columns."""
    scalars = [name for name, values in dataset.items() if "trial" in values.dims and _is_scalar(dataset, name)]
    return dataset[scalars].to_dataframe().reset_index()


def _is_scalar(dataset: xarray.Dataset, name: object) -> bool:
    extra = set(dataset[name].dims) - set(dataset.attrs["index_dims"].split())
    return not extra
