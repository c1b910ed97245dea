"""A plugin with a solver, a problem and a stage of its own, as a user would bring them."""

import sys
import time
from types import ModuleType
from typing import Any, ClassVar

import attrs
import pytest
from attrs import frozen

import isacsim
from isacsim.benchmark import instances
from isacsim.plugin import SolverSpec, Spec, build_registry, hookimpl
from isacsim.problems.sum_rate_crlb import SumRateCrlb, SumRateCrlbRequirements
from isacsim.solvers.base import Solver
from isacsim.solvers.sum_rate_crlb.lbfgs import RiemannianLbfgs


@frozen
class Mine(Solver):
    """A user's solver, as good as its options let it be."""

    problems: ClassVar[tuple[str, ...]] = ("sum-rate-crlb", "mine-alone")
    tolerance: float = 1e-5
    max_steps: int = 100
    pause: float = 0.0
    broken: bool = False

    def solve(self, problem: Any, request: Any) -> Any:
        if self.broken:
            raise ArithmeticError("no step is finite")
        time.sleep(self.pause)
        return RiemannianLbfgs(max_steps=self.max_steps, tolerance=self.tolerance).solve(problem, request)


class MineAlone(SumRateCrlb):
    """A user's problem."""

    kind: ClassVar[str] = "mine-alone"


@frozen
class MineAloneRequirements(SumRateCrlbRequirements):
    """Its table."""

    def pose(self, drop: Any, transceiver: Any) -> Any:
        posed = super().pose(drop, transceiver)
        return MineAlone(**{f.name: getattr(posed, f.name) for f in attrs.fields(SumRateCrlb)})


@frozen
class Attenuator(isacsim.Hardware):
    """A user's stage: half the amplitude."""

    def apply(self, x: Any, rng: Any = None, *, power: Any = None) -> Any:
        return x / 2


class Plugin:
    """What the user's distribution would offer."""

    @hookimpl
    def isacsim_solvers(self):
        yield SolverSpec("my-solver", "bench_parts:Mine", "A solver")

    @hookimpl
    def isacsim_problems(self):
        yield Spec(
            "mine-alone", "bench_parts:MineAloneRequirements", "A problem", {"rate_weight": 0.25, "crlb_weight": 1.0}
        )

    @hookimpl
    def isacsim_hardware(self):
        yield Spec("attenuator", "bench_parts:Attenuator", "A stage")


@pytest.fixture
def mine(monkeypatch):
    """The registry that knows the plugin; called with options, `my-solver` has them as defaults."""
    module = ModuleType("bench_parts")
    module.MineAloneRequirements, module.Attenuator = MineAloneRequirements, Attenuator
    monkeypatch.setitem(sys.modules, "bench_parts", module)

    def registry(**options):
        annotations = {name: Mine.__annotations__[name] for name in options}
        module.Mine = frozen(type("Mine", (Mine,), {"__annotations__": annotations, **options}))
        return build_registry([Plugin()], installed=False)

    return registry


@pytest.fixture
def small(monkeypatch):
    """One size of each problem's reference instances, the smallest."""
    families = tuple(attrs.evolve(family, sizes=family.sizes[:1]) for family in instances.FAMILIES)
    monkeypatch.setattr(instances, "FAMILIES", families)
