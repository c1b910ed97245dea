"""Compiling ahead: each problem's default solver and each hardware stage is called, on small instances.

What Numba compiles stays on disk, so that images of containers and the nodes of a cluster that
share a folder need not do it again. Which folder that is, says Numba: the one of the environment
variable ``NUMBA_CACHE_DIR``, or beside the package, or the user's own.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping

import numpy as np
from attrs import frozen

from isacsim.benchmark.cases import Case, hardware_cases, ready
from isacsim.benchmark.instances import families
from isacsim.compiled import compilations
from isacsim.errors import IsacsimError, PluginError
from isacsim.plugin import Registry, default_registry
from isacsim.solvers.solve import solve
from isacsim.solvers.sqinr.least_power import uplink

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
    """Compile what default solvers and hardware stages need, one after the other.

    Args:
        registry: Where components are looked up; None is the registry of this process.

    Yields:
        What each component compiled, as soon as it is done.
    """
    registry = registry or default_registry()
    for case in _cases(registry):
        begin = time.perf_counter()
        # A stage that is made for another number of chains is none that this could warm up.
        with compilations() as compiled, contextlib.suppress(IsacsimError):
            ready(case, registry).warm_up()
        yield Warmed(case.subject, case.name, time.perf_counter() - begin, compiled)
    for subject, name, start in RESCUES:
        begin = time.perf_counter()
        with compilations() as compiled, contextlib.suppress(IsacsimError, KeyError):
            family = families(registry)[subject]
            problem = family.problem(family.names(full=False)[0], 1, registry)
            solve(problem, name, starts=start, callback=lambda _: True, registry=registry)
        yield Warmed(subject, f"{name} from {start}", time.perf_counter() - begin, compiled)
    begin = time.perf_counter()
    with compilations() as compiled:  # a small instance is feasible, and does not come to the fixed point
        uplink(np.ones((1, 1, 1), complex), np.ones((1, 1)))
    yield Warmed("least-power", "uplink", time.perf_counter() - begin, compiled)


def _cases(registry: Registry) -> Iterator[Case]:
    """A small instance of each kind that the short benchmark has, for each default solver; then the hardware.

    Other solvers share nearly all kernels with the defaults, or are programs that nothing is compiled for.
    """
    for kind, family in families(registry).items():
        try:
            default = registry.default_solver(kind)
        except PluginError:
            continue  # a problem of a plugin that has none
        for size in family.names(full=False)[:2]:  # a response of any rank, and one of a point
            yield Case(kind, size, default, "alone", 1)
    for name in registry.names("hardware"):
        yield hardware_cases(name)[0]  # linear models are not compiled
