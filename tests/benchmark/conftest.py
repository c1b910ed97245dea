"""A plugin with a solver, a problem and a stage of its own, as a user would bring them."""

import math
import sys
from types import ModuleType
from typing import Any, ClassVar

import attrs
import pytest
from attrs import frozen

import isacsim
from isacsim.benchmark import clock, instances, suite
from isacsim.plugin import SolverSpec, Spec, build_registry, hookimpl
from isacsim.problems.sum_rate_crlb import SumRateCrlb, SumRateCrlbWeights
from isacsim.solvers.base import Solver
from isacsim.solvers.sum_rate_crlb.lbfgs import RiemannianLbfgs


@frozen
class Mine(Solver):
    """A user's solver, as good as its options let it be."""

    problems: ClassVar[tuple[str, ...]] = ("sum-rate-crlb", "mine-alone")
    tolerance: float = 1e-5
    max_steps: int = 100
    pause: float = 0.0  # of the tests' clock
    broken: bool = False

    def solve(self, problem: Any, request: Any) -> Any:
        if self.broken:
            raise ArithmeticError("no step is finite")
        TICKS.pass_by(self.pause)
        return RiemannianLbfgs(max_steps=self.max_steps, tolerance=self.tolerance).solve(problem, request)


class Ticks:
    """A clock that goes on by a step whenever it is read, and when it is told to."""

    step = 15e-3  # a call of it is not repeated, and counts as quick

    def __init__(self):
        self.reads = {"wall": 0, "cpu": 0}
        self.passed = 0.0

    def wall(self):
        return self._read("wall")

    def cpu(self):
        return self._read("cpu")

    def pass_by(self, seconds):
        """What a call adds to the step that every call takes."""
        self.passed += seconds

    def _read(self, which):
        self.reads[which] += 1
        return self.passed + self.step * self.reads[which]


TICKS = Ticks()


@pytest.fixture
def ticks(monkeypatch):
    """The clock of the tests in the place of the machine's: what is decided by time does not depend on the machine.

    Nothing needs to be the same for it either: the kernel computes nothing, and no garbage is looked for.
    """
    monkeypatch.setattr(clock, "CLOCK", clock.Clock(TICKS.wall, TICKS.cpu, lambda: 0.0))
    monkeypatch.setattr(clock, "kernel", lambda: None)
    monkeypatch.setattr(clock.gc, "collect", lambda: 0)
    return TICKS


class MineAlone(SumRateCrlb):
    """A user's problem."""

    kind: ClassVar[str] = "mine-alone"


@frozen
class MineAloneRequirements(SumRateCrlbWeights):
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
    """One size of each problem's reference instances, the smallest, and few realisations of it."""
    families = tuple(
        attrs.evolve(family, sizes=tuple(attrs.evolve(size, antennas=8, users=2) for size in family.sizes[:1]))
        for family in instances.FAMILIES
    )
    monkeypatch.setattr(instances, "FAMILIES", families)
    monkeypatch.setattr(suite, "MEMBERS", ((0.02, 2, 3), (math.inf, 1, 2)))
