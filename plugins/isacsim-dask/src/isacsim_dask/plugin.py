"""What this plugin offers; isacsim calls it through the entry point of the distribution."""

from collections.abc import Iterable

from isacsim.api import Spec, hookimpl

isacsim_api = 2


@hookimpl
def isacsim_executors() -> Iterable[Spec]:
    """An executor."""
    yield Spec("dask", "isacsim_dask.executor:Dask", "A cluster of Dask, or one that is started on this machine")
