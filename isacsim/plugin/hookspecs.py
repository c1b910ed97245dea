"""The hooks through which plugins, isacsim's own folders included, offer components.

A plugin is a module (or object) with functions marked by `hookimpl`, listed in the entry
point group ``isacsim`` of its distribution. Each hook yields specs; it is called once for
a registry, must be cheap, and must not import what the specs point to. For example::

    from isacsim.plugin import Spec, hookimpl

    isacsim_api = 2

    @hookimpl
    def isacsim_hardware():
        yield Spec("soft-limiter", "my_package.limiter:SoftLimiter", "Amplifier that clips")
"""

from __future__ import annotations

from collections.abc import Iterable

import pluggy

from isacsim.plugin.specs import ScenarioSpec, SolverSpec, Spec

PROJECT = "isacsim"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def isacsim_arrays() -> Iterable[Spec]:
    """Offer antenna arrays: classes derived from `isacsim.api.AntennaArray`."""
    raise NotImplementedError


@hookspec
def isacsim_elements() -> Iterable[Spec]:
    """Offer patterns of antenna elements: classes derived from `isacsim.api.ElementPattern`."""
    raise NotImplementedError


@hookspec
def isacsim_channels() -> Iterable[Spec]:
    """Offer user channel models: classes derived from `isacsim.api.ChannelModel`."""
    raise NotImplementedError


@hookspec
def isacsim_targets() -> Iterable[Spec]:
    """Offer target models: classes derived from `isacsim.api.TargetModel`."""
    raise NotImplementedError


@hookspec
def isacsim_hardware() -> Iterable[Spec]:
    """Offer hardware stages: classes derived from `isacsim.api.Hardware`."""
    raise NotImplementedError


@hookspec
def isacsim_power_models() -> Iterable[Spec]:
    """Offer consumption models: classes derived from `isacsim.api.PowerModel`."""
    raise NotImplementedError


@hookspec
def isacsim_problems() -> Iterable[Spec]:
    """Offer design problems: classes derived from `isacsim.api.Requirements`."""
    raise NotImplementedError


@hookspec
def isacsim_solvers() -> Iterable[SolverSpec]:
    """Offer solvers: classes derived from `isacsim.api.Solver`."""
    raise NotImplementedError


@hookspec
def isacsim_metrics() -> Iterable[Spec]:
    """Offer closed-form metrics: classes derived from `isacsim.api.Metric`."""
    raise NotImplementedError


@hookspec
def isacsim_modulations() -> Iterable[Spec]:
    """Offer modulations: classes derived from `isacsim.api.Modulation`, or records of one."""
    raise NotImplementedError


@hookspec
def isacsim_experiments() -> Iterable[Spec]:
    """Offer waveform experiments: classes derived from `isacsim.api.Experiment`."""
    raise NotImplementedError


@hookspec
def isacsim_detectors() -> Iterable[Spec]:
    """Offer detectors: classes derived from `isacsim.api.Detector`."""
    raise NotImplementedError


@hookspec
def isacsim_map_detectors() -> Iterable[Spec]:
    """Offer detectors on maps of delay and Doppler: classes derived from `isacsim.api.MapDetector`."""
    raise NotImplementedError


@hookspec
def isacsim_executors() -> Iterable[Spec]:
    """Offer executors: classes derived from `isacsim.api.ExecutorFactory`."""
    raise NotImplementedError


@hookspec
def isacsim_sinks() -> Iterable[Spec]:
    """Offer sinks for finished runs: classes derived from `isacsim.api.Sink`."""
    raise NotImplementedError


@hookspec
def isacsim_scenarios() -> Iterable[ScenarioSpec]:
    """Offer scenario files, so that ``isacsim run NAME`` and ``isacsim init NAME`` find them."""
    raise NotImplementedError


@hookspec
def isacsim_observers() -> Iterable[Spec]:
    """Offer observers of a run's events: classes derived from `isacsim.api.Observer`.

    Every observer that is offered and needs no options is told every event of a run, and any
    that a run names; none can change results.
    """
    raise NotImplementedError


KINDS = tuple(name.removeprefix("isacsim_") for name in list(globals()) if name.startswith("isacsim_"))
