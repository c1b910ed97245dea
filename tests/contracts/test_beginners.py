"""Faults of who writes a first plugin: each ends with a sentence that says what to change."""

import sys
import types

import numpy as np
import pytest
from attrs import frozen

import isacsim
from isacsim.api import (
    AntennaArray,
    ChannelModel,
    ElementPattern,
    Experiment,
    Hardware,
    LinearModel,
    MapDetector,
    Metric,
    Modulation,
    Observer,
    PointTargets,
    PowerModel,
    Quantity,
    Solution,
    Solver,
    SolverSpec,
    Spec,
    TargetModel,
    build_registry,
    complex_normal,
    hookimpl,
)
from isacsim.errors import origin
from isacsim.testing import ContractError, check_component
from isacsim.testing.examples import example_problem

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


@frozen
class Says(Metric):
    """A metric whose quantity is that of a subclass."""

    def value(self, link):
        return link.sent.antenna_power.max(axis=-1)


@frozen
class InMilliwatts(Says):
    quantity = Quantity("peak", "mW", (), "a power")


@frozen
class AxesAsText(Says):
    quantity = Quantity("peak", "W", "antenna", "a power")


@frozen
class ReturnsMore(Experiment):
    quantities = (PEAK,)

    def trial(self, link, rng):
        return {"peak": 1.0, "mean": 1.0}


@frozen
class OldSignature(Hardware):
    def apply(self, x):
        return x


@frozen
class IdealAsMethod(Doubles):
    def is_ideal(self):
        return False


@frozen
class ReturnsList(ChannelModel):
    def draw(self, array, users, trials, rngs):
        return [complex_normal(rng, (array.size, users)) for rng in rngs]


@frozen
class OtherOrder(Modulation):
    def draw(self, shape, rng):
        return rng.random(shape)


@frozen
class InDegrees(TargetModel):
    def draw(self, tx_array, rx_array, trials, rngs):
        azimuth = np.array([[rng.uniform(20, 60)] for rng in rngs])
        return PointTargets(tx_array, rx_array, azimuth, np.pi / 2, 1.0)


@frozen
class Line(AntennaArray):
    """An array whose places are those of a subclass."""

    normalized: bool = True
    conjugate: bool = False
    planar = False

    @property
    def grid(self):
        return np.arange(3.0), np.zeros(3)


@frozen
class PlacesAsLists(Line):
    @property
    def grid(self):
        return [0.0, 1.0], [0.0, 0.0]


@frozen
class OnePlace(Line):
    @property
    def grid(self):
        return np.zeros(3), np.zeros(3)


@frozen
class GridAsMethod(Line):
    def grid(self):
        return np.arange(3.0), np.zeros(3)


class Undecorated(AntennaArray):
    normalized, conjugate, planar = True, False, False

    @property
    def grid(self):
        return np.arange(3.0), np.zeros(3)


@frozen
class HalfPower(ElementPattern):
    """A power gain for an amplitude, beside slopes of the amplitude."""

    def gains(self, azimuth, zenith):
        return np.cos(azimuth) ** 2, -np.sin(azimuth), 0 * zenith


@frozen
class AsksForAqnm(PowerModel):
    def consumption(self, transceiver, transmitters, receivers, users, power):
        return transceiver.transmit.bits + power


@frozen
class DrawsNothing(PowerModel):
    def consumption(self, transceiver, transmitters, receivers, users, power):
        """Without a return."""


@frozen
class OfTheBatch(MapDetector):
    def detect(self, power):
        return power > 10 * power.mean()


@frozen
class MadeByHand(ReturnsPrecoder):
    def solve(self, problem, request):
        return Solution(problem.H)


FAULTS = [
    ("metrics", InMilliwatts, "must give 'peak' in SI and linear: figures convert, got mW"),
    ("metrics", AxesAsText, "must name the axes of 'peak' in a tuple, got antenna"),
    ("experiments", ReturnsMore, r"must declare what it returns as `quantities`, which are peak, got \['mean'\]"),
    ("hardware", OldSignature, r"must take the arguments of Hardware.apply\(.*, \*, power=None\), got apply\(x\)"),
    ("hardware", IdealAsMethod, r"must have 'is_ideal' as a property \(decorate it with @property\)"),
    ("channels", ReturnsList, r"must draw H of shape \(4, 6, 2\), got a list, which is no array"),
    ("modulations", OtherOrder, r"must take the arguments of Modulation.draw\(rng, shape\), got draw\(shape, rng\)"),
    ("targets", InDegrees, "azimuth: should be within a full turn, got .* Angles are in radians: write np.deg2rad"),
    ("arrays", PlacesAsLists, r"must give as `grid` two real arrays \(N,\)"),
    ("arrays", OnePlace, "must have another place for each element"),
    ("arrays", GridAsMethod, "must have 'grid' as a property"),
    ("arrays", Undecorated, "Undecorated\\) must be an attrs record, .*Decorate its class with @attrs.frozen"),
    ("elements", HalfPower, r"HalfPower\(\) must give the derivative in azimuth of its amplitude, in 1/rad"),
    ("power_models", AsksForAqnm, "must say what is drawn, got AttributeError: .* has no attribute 'bits'"),
    ("power_models", DrawsNothing, "must give real numbers, got None"),
    ("map_detectors", OfTheBatch, "must give member 1 of a batch the decisions it has alone"),
    ("solvers", MadeByHand, r"must return a Solution with a status for each of 3 members.*Solution\.of\(problem, W\)"),
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


def test_no_place_is_one_that_only_passes_a_call_on():
    """As of NumPy, by which a call may be wrapped."""
    problem = example_problem("sum-rate-crlb")
    with pytest.raises(isacsim.InvalidInput, match="must return a Solution") as caught:
        np.errstate(all="ignore")(isacsim.solve)(problem, ReturnsPrecoder())
    assert origin(caught.value)[0] == "contracts/test_beginners.py"


def test_a_device_that_takes_no_samples_is_told_what_it_is_given():
    with pytest.raises(isacsim.InvalidInput, match=r"apply\(x, rng=None, \*, power=None\).*TypeError: .*'power'"):
        OldSignature().linear_model(np.eye(2, dtype=complex))


def test_a_complaint_is_told_at_the_line_outside_that_caused_it():
    with pytest.raises(isacsim.InvalidInput) as caught:
        isacsim.UniformLinearArray(-1)
    assert origin(caught.value)[0] == "contracts/test_beginners.py"
