"""A plugin's own components, checked as its author would."""

import re
from typing import ClassVar

import numpy as np
import pytest
from attrs import frozen

from isacsim.metrics.power import rescale_to_radiated
from isacsim.plugin import SolverSpec, Spec, build_registry, hookimpl
from isacsim.solvers.base import Solver, other_kind
from isacsim.solvers.solution import Solution, Status, objects
from isacsim.testing import ContractError, check_component
from isacsim.testing.rules import difference


@frozen
class MaximumRatio(Solver):
    """Beams along the channels, scaled so that the power is radiated; claims no optimality."""

    problems: ClassVar[tuple[str, ...]] = ("sum-rate-crlb", "not-installed")
    power: float = 1.0

    def takes(self, problem):
        return other_kind(self, problem)

    def solve(self, problem, request):
        W = rescale_to_radiated(problem.H, problem.transceiver.transmit, self.power * problem.power)
        objective, nan = problem.objective(W), np.full(len(W), np.nan)
        return Solution(
            precoder=W,
            objective=objective,
            gap=nan,
            residual=nan,
            iterations=np.zeros(len(W), int),
            status=objects([Status.MAX_STEPS] * len(W)),
            bound=nan,
            notes=objects([()] * len(W)),
            runtime=0.0,
            trace={"objective": objective[:, None], "time": np.zeros((len(W), 1))},
        )


@frozen
class Elsewhere(MaximumRatio):
    problems: ClassVar[tuple[str, ...]] = ("not-installed",)


class Plugin:
    @hookimpl
    def isacsim_solvers(self):
        home = f"{__name__}:"
        yield SolverSpec("maximum-ratio", f"{home}MaximumRatio", "Beams along the channels")
        yield SolverSpec("loud", f"{home}MaximumRatio", "Beams of too much power", {"power": 2.0})
        yield SolverSpec("elsewhere", f"{home}Elsewhere", "Takes a problem that is not installed")

    @hookimpl
    def isacsim_observers(self):
        yield Spec("silent", "isacsim.engine.events:Observer", "Hears everything and says nothing")


REGISTRY = build_registry([Plugin()], installed=False)


@pytest.mark.parametrize(("kind", "name"), [("solvers", "maximum-ratio"), ("observers", "silent")])
def test_a_plugins_component_keeps_the_contract(kind, name):
    check_component(kind, name, REGISTRY)


def test_a_solver_that_designs_for_hardware_is_checked_for_hardware(monkeypatch):
    believed = []
    monkeypatch.setattr(
        "isacsim.testing.components.check_solver", lambda _, problem: believed.append(problem.transceiver.is_ideal)
    )
    check_component("solvers", "maximum-ratio", REGISTRY)
    check_component("solvers", "sca", REGISTRY)
    assert believed == [True, False, True]


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("loud", r"^MaximumRatio\(power=2.0\) must keep the constraint 'total', .* got .*-0.99"),
        ("elsewhere", r"must take a problem that is offered, got \('not-installed',\)"),
    ],
)
def test_a_plugins_solver_that_breaks_the_contract_is_refused(name, rule):
    with pytest.raises(ContractError, match=rule):
        check_component("solvers", name, REGISTRY)


@pytest.mark.parametrize(
    ("one", "other", "where"),
    [
        ({"a": 1.0}, {"a": 1.0}, ""),
        ({"a": np.nan, "wall_time": 1.0}, {"a": np.nan, "wall_time": 2.0}, ""),
        ({"a": 0.0}, {"a": -0.0}, "a that differ by 0"),
        ({"a": 1.0}, {"a": 1}, r"a of float64 \(\) and int64 \(\)"),
        ({"a": [1, 2]}, {"a": [1]}, r"a\.1 only once"),
        ([True], [False], "0 True and False"),
        ((None, Status.FAILED), (None, Status.STALLED), "1 .*FAILED.* and .*STALLED.*"),
        (MaximumRatio(1.0), MaximumRatio(1.5), "power that differ by 0.5"),
    ],
)
def test_a_difference_is_told_where_it_is(one, other, where):
    assert re.fullmatch(where, difference(one, other))
