"""What a component of each kind is: the class it derives from, named and not imported."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

import attrs

from isacsim.errors import PluginError, brief

# Components of these kinds are classes derived from a base; a scenario is a function, tried by its call.
BASES = {
    "arrays": "isacsim.arrays:AntennaArray",
    "elements": "isacsim.elements:ElementPattern",
    "channels": "isacsim.channels.models:ChannelModel",
    "targets": "isacsim.targets.models:TargetModel",
    "hardware": "isacsim.hardware.base:Hardware",
    "power_models": "isacsim.hardware.power:PowerModel",
    "problems": "isacsim.problems.base:Requirements",
    "solvers": "isacsim.solvers.base:Solver",
    "metrics": "isacsim.metrics.components:Metric",
    "modulations": "isacsim.waveform.modulation:Modulation",
    "experiments": "isacsim.waveform.base:Experiment",
    "detectors": "isacsim.waveform.base:Detector",
    "map_detectors": "isacsim.waveform.cfar:MapDetector",
    "executors": "isacsim.engine.executors:ExecutorFactory",
    "sinks": "isacsim.engine.sinks:Sink",
    "observers": "isacsim.engine.events:Observer",
}
# A component of these kinds may also be a record that is ready, as QPSK is one of QAM.
READY = ("modulations",)
# All others are part of what a run's numbers are stored under, and so records, whose fields say what they are.
NOT_STORED = ("executors", "sinks", "observers")


def base_of(kind: str) -> type:
    """The class that components of a kind derive from; imported now."""
    module, _, name = BASES[kind].partition(":")
    base: type = getattr(importlib.import_module(module), name)
    return base


def check_kind(kind: str, name: str, target: str, component: Any) -> None:
    """Refuse what is not a component of its kind.

    Args:
        kind: The kind it is offered as.
        name: Its name.
        target: Where it was loaded from.
        component: What was loaded.

    Raises:
        PluginError: If it is none.
    """
    if kind not in BASES:
        return
    who = f"{kind} {name!r} ({target})"
    base = base_of(kind)
    home = f"isacsim.api.{base.__name__}"  # the name that is promised
    if kind in READY and isinstance(component, base):
        return
    if not isinstance(component, type) or not issubclass(component, base):
        ready = " or a record of one" if kind in READY else ""
        remedy = f"Import {base.__name__} from isacsim.api and derive from it."
        raise PluginError(f"{who} must be a class derived from {home}{ready}, got {brief(component)}. {remedy}")
    if inspect.isabstract(component):
        missing = ", ".join(sorted(getattr(component, "__abstractmethods__", ())))
        remedy = "Write it under that name; docs/plugins.md says what it is given."
        raise PluginError(f"{who} must have every method that {home} asks for, and lacks {missing}. {remedy}")
    if kind not in NOT_STORED and not attrs.has(component):
        remedy = "Decorate its class with @attrs.frozen."
        raise PluginError(f"{who} must be an attrs record, whose fields are its options, got a plain class. {remedy}")
