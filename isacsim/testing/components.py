"""The contract of any registered component: that of its kind, on the example of its spec."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs

from isacsim.arrays import UniformLinearArray
from isacsim.engine.load import load_scenario
from isacsim.errors import PlausibilityWarning
from isacsim.hardware.base import Transceiver
from isacsim.plugin import Registry, default_registry
from isacsim.problems.base import Problem
from isacsim.solvers.base import refusal
from isacsim.testing.designs import check_requirements, check_solver
from isacsim.testing.examples import LOW_RESOLUTION, example_component, example_problem, problem_for
from isacsim.testing.hardware import check_hardware, check_power_model
from isacsim.testing.measures import check_detector, check_map_detector, check_measure
from isacsim.testing.models import check_channel, check_targets
from isacsim.testing.rules import RECORD, attempt, require
from isacsim.testing.running import check_executor, check_observer, check_sink
from isacsim.testing.signals import check_array, check_element, check_modulation

CHECKS: dict[str, Callable[..., None]] = {
    "arrays": check_array,
    "elements": check_element,
    "channels": check_channel,
    "targets": check_targets,
    "hardware": check_hardware,
    "power_models": check_power_model,
    "metrics": check_measure,
    "modulations": check_modulation,
    "experiments": check_measure,
    "detectors": check_detector,
    "map_detectors": check_map_detector,
    "executors": check_executor,
    "sinks": check_sink,
    "observers": check_observer,
}

STATEFUL = ("executors", "observers")  # may have a state that is no record


def check_component(kind: str, name: str, registry: Registry | None = None, folder: str | Path | None = None) -> None:
    """Check a component that a plugin offers, built from the ``example`` of its spec.

    Args:
        kind: Kind of component, ``hardware`` for example.
        name: Its name.
        registry: Where it is looked up; None is the registry of this process.
        folder: Base of relative paths in the example.

    Raises:
        ContractError: If it breaks a rule of its kind.
        InvalidInput: If there is no such component.
    """
    registry = registry or default_registry()
    title, built = f"{kind} {name!r}", "be built from the `example` of its spec"
    require(title, registry.spec(kind, name).summary, "have a one-line summary in its spec")
    if kind == "scenarios":
        path = attempt(title, "return the path of its file", registry.load(kind, name))
        attempt(title, "be a scenario that can be read", lambda: load_scenario(path, registry=registry))
        return
    found = attempt(title, built, registry.load, kind, name)
    if isinstance(found, type) and kind not in STATEFUL:
        require(found.__name__, attrs.has(found), RECORD, "a plain class")
    with warnings.catch_warnings():
        # What is hardly meant, degrees for radians, is a fault of the component here.
        warnings.simplefilter("error", PlausibilityWarning)
        component = attempt(title, built, example_component, kind, name, registry, folder)
        if kind == "problems":
            check_requirements(component, name)
        elif kind == "solvers":
            _check_on_problems(component, registry)
        else:
            CHECKS[kind](component, **_sizes(kind, registry.spec(kind, name).sizes))


def _sizes(kind: str, sizes: Mapping[str, int]) -> dict[str, Any]:
    """What a check of channels or targets is asked with, by the sizes that the spec states."""
    arrays = {"channels": {"antennas": "array"}, "targets": {"antennas": "tx_array", "receive_antennas": "rx_array"}}
    if kind not in arrays:
        return {}
    counts = ("users", "trials") if kind == "channels" else ("trials",)
    found: dict[str, Any] = {name: sizes[name] for name in counts if name in sizes}
    return found | {key: UniformLinearArray(sizes[name]) for name, key in arrays[kind].items() if name in sizes}


def _check_on_problems(solver: Any, registry: Registry) -> None:
    """A solver on every problem it lists; also for hardware, if it says that it can."""
    require(
        solver, isinstance(getattr(solver, "problems", None), tuple), "list the problems it takes in a tuple `problems`"
    )
    known = [kind for kind in solver.problems if kind in registry.names("problems")]
    require(solver, known, "take a problem that is offered", getattr(solver, "problems", ()))
    for kind in known:
        for transceiver in (None, LOW_RESOLUTION):
            posed = attempt(f"problems {kind!r}", "pose a problem", example_problem, kind, registry, transceiver)
            require(f"problems {kind!r}", isinstance(posed, Problem), "pose a Problem", type(posed).__name__)
            attempt(solver, f"be judged on {kind!r}, if that keeps its own contract", _check_posed, solver, posed)


def _check_posed(solver: Any, posed: Problem) -> None:
    """A solver on a problem, or the variant of it that it takes; for hardware, if it takes that."""
    problem, _ = problem_for(solver, posed)
    if posed.transceiver == Transceiver() or refusal(solver, problem) is None:
        check_solver(solver, problem)
