"""`SqnrMax`: objective and constraints against closed forms, requirements, and malformed arguments."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isacsim import Aqnm, InvalidInput, SqnrMax, Transceiver, metrics
from isacsim.problems.sqnr_max import SqnrMaxRequirements
from isacsim.testing import example_drop

NAN = float("nan")
seeds = st.integers(0, 2**32 - 1)


def problem_of(kit, seed=0, **changes):
    arguments = {
        "H": kit.complex_gaussian((6, 2), seed),
        "G": kit.complex_gaussian((5, 6), seed + 1),
        "min_sqinr": [2.0, 3.0],
        "power": 5.0,
        "noise_power": [0.1, 0.2],
        "radar_noise_power": 0.3,
    }
    return SqnrMax(**{**arguments, **changes})


@given(seeds)
def test_on_ideal_hardware_the_objective_is_linear_in_the_covariance(kit, seed):
    problem = problem_of(kit, seed)
    V, W = kit.complex_gaussian((2, 6, problem.streams), seed + 2)
    direct = np.linalg.norm(problem.G @ W) ** 2 / 0.3
    np.testing.assert_allclose(problem.objective(W), direct, rtol=1e-12)
    # [V, W] has the covariance V V^H + W W^H.
    both = problem.objective(np.concatenate([V, W], axis=-1))
    np.testing.assert_allclose(both, problem.objective(V) + problem.objective(W), rtol=1e-12)


@given(seeds, st.integers(1, 6))
def test_through_converters_more_power_gains_less_and_less(kit, seed, bits):
    converters = Aqnm(bits)
    problem = problem_of(kit, seed, transceiver=Transceiver(converters, converters, converters))
    W = kit.complex_gaussian((6, problem.streams), seed)
    values = problem.objective(np.sqrt([1.0, 2.0, 3.0])[:, None, None] * W)
    # For a fixed shape of R the SQNR is p tr((p D + sigma^2 E)^-1 N): increasing and concave in p.
    assert values[0] < values[1] < values[2]
    assert values[2] - values[1] < values[1] - values[0]


def test_constraints_are_relative_slacks_of_what_the_hardware_delivers(kit):
    hardware = Transceiver(Aqnm([1, 2, 3, 4, 5, np.inf]), Aqnm(2), Aqnm(3))
    problem = problem_of(kit, transceiver=hardware)
    W = kit.complex_gaussian((6, 8), 1)
    slack = problem.constraints(W)
    reached = metrics.sqinr(problem.H, W, [0.1, 0.2], hardware)
    np.testing.assert_allclose(slack["sqinr"], reached / [2.0, 3.0] - 1, rtol=1e-12)
    # [Xu25, eq. (10c)]: tr(A_t R_x), which the gains alone say.
    alpha = hardware.transmit.linear_model(np.eye(6)).gain
    radiated = (alpha * (np.abs(W) ** 2).sum(axis=1)).sum()
    np.testing.assert_allclose(slack["total"], 1 - radiated / 5.0, rtol=1e-12)


def test_a_user_without_a_requirement_has_slack_without_end(kit):
    problem = problem_of(kit, min_sqinr=[0.0, 1e9])
    slack = problem.constraints(kit.complex_gaussian((3, 6, 8), 0))
    np.testing.assert_array_equal(slack["sqinr"][:, 0], [np.inf] * 3)
    assert np.all(slack["sqinr"][:, 1] < 0)


def test_arguments_broadcast_and_sensing_has_a_stream_an_antenna(kit):
    problem = problem_of(kit, min_sqinr=1.0, power=[1.0, 2.0], noise_power=0.1)
    assert problem.min_sqinr.shape == problem.noise_power.shape == (2,)
    assert problem.streams == 8
    assert problem.sense == 1
    assert problem.constraints(kit.complex_gaussian((6, 8), 1))["total"].shape == (2,)
    alone = problem_of(kit, H=np.ones((6, 0)), min_sqinr=0.0, noise_power=1.0)
    assert alone.streams == 6
    assert alone.constraints(np.eye(6))["sqinr"].shape == (0,)


BROKEN = {
    "channel with NaN": ({"H": np.full((6, 2), NAN)}, "H: must be finite"),
    "channel without users' axis": ({"H": np.ones(6)}, "H: must have at least 2 axes"),
    "no antennas": ({"H": np.ones((0, 2)), "G": np.ones((5, 0))}, "H: must have at least one antenna"),
    "response of another array": ({"G": np.ones((5, 4))}, "G: must have a column for each of the 6 transmit antennas"),
    "response without receivers": ({"G": np.ones((0, 6))}, "G: must have a column .* and a row for each receive"),
    "response with NaN": ({"G": np.full((5, 6), NAN)}, "G: must be finite"),
    "SQINR of other users": ({"min_sqinr": [1.0] * 3}, r"min_sqinr: must broadcast to \(..., 2\)"),
    "negative SQINR": ({"min_sqinr": [1.0, -1.0]}, "min_sqinr: must be at least 0"),
    "infinite SQINR": ({"min_sqinr": np.inf}, "min_sqinr: must be finite"),
    "noise of other users": ({"noise_power": np.ones(3)}, r"noise_power: must broadcast to \(..., 2\)"),
    "zero noise": ({"noise_power": [1.0, 0.0]}, "noise_power: must be greater than 0"),
    "zero radar noise": ({"radar_noise_power": 0.0}, "radar_noise_power: must be greater than 0"),
    "zero power": ({"power": 0.0}, "power: must be greater than 0"),
    "batches that differ": ({"H": np.ones((3, 6, 2)), "power": np.ones(4)}, "must have leading axes that broadcast"),
    "no transceiver": ({"transceiver": "ideal"}, "transceiver: must be an instance of Transceiver"),
}


@pytest.mark.parametrize("what", sorted(BROKEN))
def test_a_problem_that_breaks_a_rule_is_refused(kit, what):
    changes, message = BROKEN[what]
    with pytest.raises(InvalidInput, match=message) as caught:
        problem_of(kit, **changes)
    _, rule, value, remedy = caught.value.args
    assert rule.startswith("must")
    assert value is not None
    assert remedy.endswith(".")


def test_requirements_pose_the_problem_of_a_drop():
    drop, hardware = example_drop(), Transceiver(transmit=Aqnm(3))
    problem = SqnrMaxRequirements(min_sqinr=[2.0, 3.0]).pose(drop, hardware)
    assert problem.kind == "sqnr-max"
    np.testing.assert_array_equal(problem.min_sqinr, [2.0, 3.0])
    np.testing.assert_array_equal(problem.G, drop.targets.response())
    np.testing.assert_array_equal(problem.radar_noise_power, drop.radar_noise_power)
    assert problem.transceiver == hardware
    np.testing.assert_array_equal(SqnrMaxRequirements().pose(drop, hardware).min_sqinr, [0.0, 0.0])


@pytest.mark.parametrize(
    ("sqinr", "message"),
    [
        ([1.0, 2.0, 3.0], "min_sqinr: must be one number, or one for each of 2 users"),
        ([[1.0, 2.0]], "min_sqinr: must be one number, or one for each user"),
    ],
)
def test_requirements_that_do_not_fit_are_refused(sqinr, message):
    with pytest.raises(InvalidInput, match=message):
        SqnrMaxRequirements(min_sqinr=sqinr).pose(example_drop(), Transceiver())


@pytest.mark.parametrize(("text", "linear"), [("min_sqinr_db = 10", 10.0), ("min_sqinr_db = -inf", 0.0)])
def test_a_scenario_says_its_sqinr_in_decibels(studies, study, text, linear):
    table = f'problem = {{ kind = "sqnr-max", {text} }}'
    text = re.sub(r"^problem .*$", table, studies.text, flags=re.MULTILINE)
    scenario = study(text=text, small=("trials=1", "sinks=[]"))
    (design,) = scenario.design.values()
    assert design.problem.min_sqinr == pytest.approx(linear, rel=1e-14)
