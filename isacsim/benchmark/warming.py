"""Compiling ahead: each solver of each problem, and each hardware stage, is called, on small instances.

What Numba compiles stays on disk, so that images of containers and the nodes of a cluster that
share a folder need not do it again. Which folder that is, says Numba: the one of the environment
variable ``NUMBA_CACHE_DIR``, or beside the package, or the user's own.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, cast

import attrs
import numpy as np
from attrs import frozen

from isacsim.batch import flatten
from isacsim.benchmark.cases import CHAINS, Case, Entry, hardware_cases, ready
from isacsim.benchmark.instances import families
from isacsim.compiled import compilations
from isacsim.errors import IsacsimError, PluginError
from isacsim.hardware.base import Transceiver
from isacsim.plugin import Registry, default_registry
from isacsim.problems.base import Problem
from isacsim.solvers.solve import solve
from isacsim.solvers.sqinr.least_power import uplink
from isacsim.testing.examples import example_component, problem_for

# What a default solver comes to only where its first way has no answer; a start by name asks for it.
RESCUES = (("sqnr-max", "newton-mm", "least-power"),)


@frozen
class Warmed:
    """What the first call of a component compiled.

    Attributes:
        subject: A problem, ``hardware``, or ``least-power``, whose fixed point no small instance needs.
        name: The solver, the stage, or the function.
        seconds: How long the call took, in s.
        compiled: Functions that were compiled, with the seconds of each; none that was there.
    """

    subject: str
    name: str
    seconds: float
    compiled: Mapping[str, float]


def warm_up(registry: Registry | None = None) -> Iterator[Warmed]:
    """Compile what solvers and hardware stages need, one after the other.

    Args:
        registry: Where components are looked up; None is the registry of this process.

    Yields:
        What each component compiled, as soon as it is done.
    """
    registry = registry or default_registry()
    for subject, name, call in _calls(registry):
        begin = time.perf_counter()
        # What does not take an instance, as a stage made for another number of chains, is none to warm up.
        with compilations() as compiled, contextlib.suppress(IsacsimError, KeyError):
            call()
        yield Warmed(subject, name, time.perf_counter() - begin, compiled)


def _calls(registry: Registry) -> Iterator[tuple[str, str, Callable[[], Any]]]:
    """What each component is called with: a step of each solver, then the hardware."""
    for kind, name, told, problem in _designs(registry):
        yield kind, told, partial(_one_step, problem, name, registry)
    for name in registry.names("hardware"):
        for case in hardware_cases(name):
            yield "hardware", name, partial(_applied, case, registry)
        yield "hardware", f"{name} nearly in phase", partial(_near_phase, name, registry)
    for kind, name, start in RESCUES:
        call = partial(_one_step, _instance(kind, registry), name, registry, starts=start)
        yield kind, f"{name} from {start}", call
    # A small instance is feasible, and does not come to the fixed point.
    yield "least-power", "uplink", lambda: uplink(np.ones((1, 1, 1), complex), np.zeros((1, 1, 1)), np.ones((1, 1)))


def _designs(registry: Registry) -> Iterator[tuple[str, str, str, Problem]]:
    """A small instance of each problem for each solver, its default first, and for exact converters."""
    exact = example_component("hardware", "mid-rise", registry)
    for kind, family in families(registry).items():
        try:
            default = registry.default_solver(kind)
        except PluginError:
            continue  # a problem of a plugin that has none
        # A response of any rank, and one of a point.
        problems = [flatten(family.problem(size, 1, registry)) for size in family.names(full=False)[:2]]
        yield from ((kind, default, default, problem) for problem in problems)
        behind = attrs.evolve(cast(Any, problems[0]), transceiver=Transceiver(exact, exact, exact))
        yield kind, default, f"{default} behind converters", behind
        for name in sorted(set(registry.names("solvers")) - {default}):
            yield kind, name, name, problems[0]


def _one_step(problem: Problem, name: str, registry: Registry, **options: Any) -> None:
    """The first step of a solver on a problem, or on the variant of it that it takes."""
    solver = Entry(name, name).make(registry)
    if problem.kind in solver.problems:
        mine, _ = problem_for(solver, problem)
        solve(mine, solver, callback=lambda _: True, registry=registry, **options)


def _applied(case: Case, registry: Registry) -> None:
    ready(case, registry).warm_up()


def _near_phase(name: str, registry: Registry) -> None:
    """The linear model of chains that are nearly in phase, and its derivative."""
    stage = example_component("hardware", name, registry)
    R = np.full((CHAINS, CHAINS), 1 - 1e-5, complex)
    np.fill_diagonal(R, 1.0)
    stage.linear_model(R)
    if stage.differentiable:
        stage.linear_model_vjp(R, np.ones(CHAINS), np.eye(CHAINS))


def _instance(kind: str, registry: Registry) -> Problem:
    family = families(registry)[kind]
    return family.problem(family.names(full=False)[0], 1, registry)
