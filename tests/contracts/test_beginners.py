"""Faults of who writes a first plugin: each ends with a sentence that says what to change."""

import sys
import types

import numpy as np
import pytest
from attrs import frozen

import isacsim
from isacsim.api import (
    Experiment,
    Hardware,
    LinearModel,
    Metric,
    Observer,
    Quantity,
    Solution,
    Solver,
    SolverSpec,
    Spec,
    build_registry,
    hookimpl,
)
from isacsim.errors import origin
from isacsim.testing import ContractError, check_component

PEAK = Quantity("peak", "W", (), "a power")


@frozen
class SaysNoQuantity(Metric):
    def value(self, link):
        return np.ones(len(link.W))


@frozen
class WritesWords(SaysNoQuantity):
    quantity = Quantity("peak power", "W", (), "a power")


@frozen
class ReturnsNumber(Experiment):
    quantities = (PEAK,)

    def trial(self, link, rng):
        return 1.0


@frozen
class ReturnsPrecoder(Solver):
    problems = ("sum-rate-crlb",)

    def solve(self, problem, request):
        return problem.H


@frozen
class ListsText(ReturnsPrecoder):
    problems = "sum-rate-crlb"


@frozen
class AnswersTrue(ReturnsPrecoder):
    def takes(self, problem):
        return True


@frozen
class TooWide(ReturnsPrecoder):
    def solve(self, problem, request):
        return Solution.of(problem, np.tile(problem.H, 5))


@frozen
class Doubles(Hardware):
    """Its model reads no power, so that nothing would look at the shape of the covariance."""

    def apply(self, x, rng=None, *, power=None):
        return 2 * x

    def linear_model(self, R):
        return LinearModel(np.full(R.shape[:-1], 2.0), np.zeros(R.shape[:-1]))


@frozen
class HearsNothing(Observer):
    def on_trial_failed(self, event):
        """No event has this name."""


FAULTS = [
    ("metrics", SaysNoQuantity, "say what it gives, in a class variable `quantity`"),
    ("metrics", WritesWords, "name a quantity in lower-case letters, digits and hyphens, got peak power"),
    ("experiments", ReturnsNumber, r"must return 'peak' from trial, got 1\.0\. Return every quantity"),
    ("solvers", ReturnsPrecoder, r"must return a Solution, got 'ndarray'\. End with `Solution\.of\(problem, W\)`"),
    ("solvers", ListsText, "list the problems it takes in a tuple `problems`"),
    ("solvers", AnswersTrue, "return None or a sentence from `takes`, got True"),
    ("solvers", TooWide, r"has room for: 2 \(contracts/test_beginners\.py:\d+\)"),
    ("hardware", Doubles, "refuse in `linear_model` what is not square"),
    ("observers", HearsNothing, "hear of an event: its methods are those of run_start, .*, got on_trial_failed"),
]  # fmt: skip


def offering(kind, cls, mark=hookimpl):
    """A registry with a plugin that offers a class of this file."""

    def offer():
        yield (SolverSpec if kind == "solvers" else Spec)("mine", f"{cls.__module__}:{cls.__name__}", "What it is")

    offer.__name__ = f"isacsim_{kind}"
    plugin = types.ModuleType("first")
    plugin.isacsim_api = 2
    setattr(plugin, offer.__name__, mark(offer))
    return build_registry([plugin], installed=False)


@pytest.mark.parametrize(("kind", "cls", "said"), FAULTS, ids=[cls.__name__ for _, cls, _ in FAULTS])
def test_a_fault_of_a_first_plugin_is_told_with_what_to_change(kind, cls, said, monkeypatch):
    monkeypatch.setitem(sys.modules, cls.__module__, sys.modules[__name__])
    with pytest.raises(ContractError, match=said):
        check_component(kind, "mine", offering(kind, cls))


def test_a_hook_without_its_decorator_is_told_where_its_component_is_looked_for():
    registry = offering("hardware", Doubles, mark=lambda function: function)
    (problem,) = (plugin.problem for plugin in registry.plugins if plugin.name == "first")
    assert problem == "isacsim_hardware is not called: decorate it with @hookimpl."
    with pytest.raises(isacsim.InvalidInput, match="got 'mine'.*The plugin first is not in use: isacsim_hardware is"):
        registry.load("hardware", "mine")


def test_a_complaint_is_told_at_the_line_outside_that_caused_it():
    with pytest.raises(isacsim.InvalidInput) as caught:
        isacsim.UniformLinearArray(-1)
    assert origin(caught.value)[0] == "contracts/test_beginners.py"
