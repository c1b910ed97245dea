"""Sinks: where a finished run's results go beside the store."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    import xarray


class Sink(ABC):
    """Writes the dataset of a run; a plugin derives from it."""

    @abstractmethod
    def write(self, dataset: xarray.Dataset, folder: Path) -> Path:
        """Write to the run folder and return the file; an existing one is replaced."""


@frozen
class NetCdf(Sink):
    """The labelled dataset as ``results.nc`` (netCDF-4)."""

    def write(self, dataset: xarray.Dataset, folder: Path) -> Path:
        """Write ``results.nc``."""
        path = folder / "results.nc"
        dataset.to_netcdf(path, engine="h5netcdf")
        return path


@frozen
class Csv(Sink):
    """One row a trial, one column a scalar quantity, as ``results.csv``."""

    def write(self, dataset: xarray.Dataset, folder: Path) -> Path:
        """Write ``results.csv``."""
        path = folder / "results.csv"
        scalars = [name for name, values in dataset.items() if "trial" in values.dims and _is_scalar(dataset, name)]
        frame = dataset[scalars].to_dataframe()
        frame.reset_index().to_csv(path, index=False)
        return path


def _is_scalar(dataset: xarray.Dataset, name: object) -> bool:
    extra = set(dataset[name].dims) - set(dataset.attrs["index_dims"].split())
    return not extra
