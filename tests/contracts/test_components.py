"""Every registered component keeps the contract of its kind."""

import attrs
import numpy as np
import pytest

from isacsim import Aqnm, Chain, Ideal, MidRise
from isacsim.plugin import KINDS, default_registry
from isacsim.testing import (
    ContractError,
    check_channel,
    check_component,
    check_hardware,
    check_observer,
    check_requirements,
    check_solver,
    example_component,
    example_drop,
    example_precoder,
    example_problem,
)
from isacsim.testing import __all__ as public
from isacsim.testing.examples import TX_ARRAY, USERS, problem_for

REGISTRY = default_registry()
COMPONENTS = [(kind, name) for kind in REGISTRY.kinds for name in REGISTRY.names(kind)]
LONG = ("augmented-lagrangian", "mm", "riemannian-cg")  # solvers of hundreds of steps to their own tolerance


@pytest.fixture
def recording(tmp_path, kit, monkeypatch):
    """The folder that tests work in, with the file that the example of `recorded` names."""
    monkeypatch.chdir(tmp_path)
    np.savez(tmp_path / "channels.npz", H=kit.complex_gaussian((4, TX_ARRAY.size, USERS), 0))
    return tmp_path


@pytest.mark.parametrize(
    ("kind", "name"), [pytest.param(*c, marks=[pytest.mark.slow] * (c[1] in LONG)) for c in COMPONENTS]
)
def test_a_registered_component_keeps_its_contract(kind, name, recording):
    check_component(kind, name, REGISTRY, recording)


@pytest.mark.parametrize("name", LONG)
def test_a_solver_that_is_not_waited_for_keeps_its_contract(name):
    solver = attrs.evolve(example_component("solvers", name, REGISTRY), tolerance=0.1)
    for kind in solver.problems:
        problem, _ = problem_for(solver, example_problem(kind, REGISTRY))
        # Where it ends depends on the units by no more than its tolerance lets it.
        check_solver(solver, problem, scale_rtol=0.1)


def test_every_kind_of_component_is_checked():
    checked = {kind for kind, _ in COMPONENTS}
    assert set(KINDS) - checked <= {"observers"}, "isacsim offers no observer of its own: the next test has one"


def test_the_progress_bar_keeps_the_contract_of_observers():
    from rich.console import Console

    from isacsim.report.progress import ProgressBar

    check_observer(ProgressBar(Console(quiet=True)))


@pytest.mark.parametrize("bits", range(1, 7))
@pytest.mark.parametrize("table", ["lloyd-max", "uniform"])
def test_converters_of_all_resolutions_keep_the_contract(bits, table):
    check_hardware(Aqnm(bits, table), distortion_rtol=0.04 if bits > 5 else 0.015, samples=2**15)


@pytest.mark.parametrize("device", [Aqnm([1, 3, np.inf]), Chain(Ideal(), MidRise([2, 2, 5]))])
def test_devices_of_a_fixed_number_of_chains_are_checked_with_it(device):
    check_hardware(device, chains=3, samples=2**15)


def test_the_formula_above_five_bits_is_off_by_what_is_documented():
    with pytest.raises(ContractError, match="distortion power of its linear model"):
        check_hardware(Aqnm(6), chains=1, samples=2**20)
    check_hardware(Aqnm(6), chains=1, samples=2**20, distortion_rtol=0.04)


def test_a_recording_is_checked_with_its_own_sizes(recording, kit):
    from isacsim import UniformLinearArray
    from isacsim.channels.recorded import Recorded

    np.savez(recording / "other.npz", H=kit.complex_gaussian((4, 3, 5), 0))
    check_channel(Recorded(recording / "other.npz"), UniformLinearArray(3), users=5)


def test_a_solver_is_checked_on_a_problem_with_members_that_have_no_answer(kit):
    scene = kit.make_scene(batch=(2,))
    dark = np.array(scene.reflection)
    dark[1] = 0.0  # nothing comes back: no angle can be estimated
    scene = attrs.evolve(scene, reflection=dark)
    problem = kit.make_problem(batch=(2,), scene=scene)
    check_solver(example_component("solvers", "sca"), problem)


def test_requirements_are_checked_against_the_name_they_are_offered_under():
    requirements = example_component("problems", "sum-rate-crlb")
    check_requirements(requirements)
    with pytest.raises(ContractError, match="name that it is offered under as its `kind`, 'another', got"):
        check_requirements(requirements, "another")


def test_a_member_of_the_example_drop_does_not_depend_on_the_others():
    large, small = example_drop(5), example_drop(2)
    assert np.array_equal(large.H[:2], small.H)
    assert np.array_equal(large.targets.azimuth[:2], small.targets.azimuth)
    assert np.array_equal(example_precoder(large, 4)[:2], example_precoder(small, 4))
    np.testing.assert_allclose(np.sum(np.abs(example_precoder(large)) ** 2, axis=(1, 2)), large.power, rtol=1e-12)


def test_an_example_problem_believes_in_the_hardware_it_is_given():
    from isacsim import Transceiver

    problem = example_problem("sum-rate-crlb", transceiver=Transceiver(user=Aqnm(2)))
    assert problem.transceiver.user == Aqnm(2)
    assert example_problem("sum-rate-crlb").transceiver.is_ideal


def test_the_public_names_are_there():
    import isacsim.testing

    assert all(hasattr(isacsim.testing, name) for name in public)
    kinds = {"hardware", "channel", "targets", "power_model", "requirements", "solver", "measure", "detector"}
    assert {f"check_{kind}" for kind in kinds | {"executor", "sink", "observer", "component"}} <= set(public)
