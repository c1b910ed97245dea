"""Registers the bundled executors, sinks, observers and scenarios."""

from collections.abc import Iterable

from isacsim.plugin.hookspecs import hookimpl
from isacsim.plugin.specs import ScenarioSpec, Spec


@hookimpl
def isacsim_executors() -> Iterable[Spec]:
    """Executors."""
    yield Spec("serial", "isacsim.engine.executors:Serial", "One task after another in this process")
    yield Spec("processes", "isacsim.engine.executors:Processes", "Worker processes on this machine")


@hookimpl
def isacsim_sinks() -> Iterable[Spec]:
    """Sinks."""
    yield Spec("netcdf", "isacsim.engine.sinks:NetCdf", "The labelled dataset as results.nc")
    yield Spec("csv", "isacsim.engine.sinks:Csv", "One row a trial as results.csv")


@hookimpl
def isacsim_scenarios() -> Iterable[ScenarioSpec]:
    """Scenario files."""
    yield ScenarioSpec("quickstart", "isacsim.engine.files:quickstart", "What converter resolution costs")
