"""`CrbMin`: objective and constraints against closed forms, requirements, and malformed arguments."""

import re

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isacsim import Aqnm, CrbMin, InvalidInput, Transceiver, metrics
from isacsim.problems.crb_min import CrbMinRequirements
from isacsim.testing import example_drop

NAN = float("nan")
seeds = st.integers(0, 2**32 - 1)


@given(seeds, st.integers(1, 4), st.integers(1, 8))
def test_the_objective_is_the_trace_of_the_inverse_covariance(kit, seed, users, antennas):
    problem = CrbMin(kit.complex_gaussian((3, antennas, users), seed), 1.0, 1.0, 1.0)
    W = kit.complex_gaussian((3, antennas, problem.streams), seed + 1)
    R = W @ np.conj(W).swapaxes(-1, -2)
    direct = np.trace(np.linalg.inv(R), axis1=-2, axis2=-1).real
    # More columns than rows: R is well conditioned, and both lose few digits.
    np.testing.assert_allclose(problem.objective(W), direct, rtol=1e-9)
    np.testing.assert_allclose(problem.objective(2 * W), direct / 4, rtol=1e-9)


def test_the_white_covariance_has_the_least_objective_of_its_power(kit):
    problem = CrbMin(kit.complex_gaussian((6, 2), 0), 1.0, 3.0, 1.0)
    white = np.concatenate([np.zeros((6, 2)), np.sqrt(0.5) * np.eye(6)], axis=1)
    assert problem.objective(white) == pytest.approx(6**2 / 3.0, rel=1e-14)
    for seed in range(5):
        W = kit.complex_gaussian((6, 8), seed)
        assert problem.objective(W * np.sqrt(3.0) / np.linalg.norm(W)) > 12.0


def test_a_covariance_without_full_rank_has_an_infinite_objective(kit):
    problem = CrbMin(kit.complex_gaussian((6, 2), 0), 1.0, 1.0, 1.0)
    W = kit.complex_gaussian((6, 8), 1)
    W[3] = W[2]
    assert problem.objective(W) == np.inf
    assert problem.objective(W[:, :5]) == np.inf
    np.testing.assert_array_equal(problem.objective(np.zeros((2, 6, 8))), [np.inf, np.inf])


def test_a_small_eigenvalue_is_not_lost_beside_a_large_one(kit):
    problem = CrbMin(kit.complex_gaussian((2, 1), 0), 1.0, 1.0, 1.0)
    W = np.array([[1.0, 0.0, 0.0], [0.0, 1e-6, 0.0]])
    # Squared singular values 1 and 1e-12: from W W^H four digits of the second would be left.
    assert problem.objective(W) == pytest.approx(1 + 1e12, rel=1e-9)


def test_constraints_are_relative_slacks(kit):
    problem = CrbMin(kit.complex_gaussian((6, 2), 0), [2.0, 3.0], 5.0, [0.1, 0.2])
    W = kit.complex_gaussian((6, 8), 1)
    slack = problem.constraints(W)
    gains = np.abs(problem.H.conj().T @ W) ** 2
    own = np.diag(gains)
    sinr = own / (gains.sum(axis=1) - own + [0.1, 0.2])
    np.testing.assert_allclose(slack["sinr"], sinr / [2.0, 3.0] - 1, rtol=1e-12)
    np.testing.assert_allclose(slack["total"], 1 - np.linalg.norm(W) ** 2 / 5.0, rtol=1e-12)


def test_on_real_hardware_what_leaves_the_chains_counts(kit):
    hardware = Transceiver(transmit=Aqnm(3), user=Aqnm(2))
    problem = CrbMin(kit.complex_gaussian((6, 2), 0), 2.0, 5.0, 0.1, hardware)
    W = kit.complex_gaussian((6, 8), 1)
    R = W @ W.conj().T
    model = hardware.transmit.linear_model(R)
    # Of an echo far below the noise distortion does not come back, and no receive chain distorts.
    assert problem.objective(W) == pytest.approx(np.trace(np.linalg.inv(model.signal_covariance(R))).real, rel=1e-12)
    slack = problem.constraints(W)
    np.testing.assert_allclose(slack["sinr"], metrics.sqinr(problem.H, W, 0.1, hardware) / 2 - 1, rtol=1e-12)
    np.testing.assert_allclose(slack["total"], 1 - np.trace(model.output_covariance(R)).real / 5, rtol=1e-12)


def test_the_objective_through_converters_is_the_mean_crb_over_the_prior(kit):
    hardware = Transceiver(transmit=Aqnm([1, 2, 3, 6]), receive=Aqnm([2, 1, 4]))
    variance, thermal, snapshots = 0.3, 0.2, 16
    problem = CrbMin(
        kit.complex_gaussian((4, 2), 0), 1.0, 5.0, 0.1, hardware,
        response_variance=variance, radar_noise_power=thermal, receivers=3,
    )  # fmt: skip
    W = kit.complex_gaussian((2, 4, 6), 1)
    # The CRB is linear in second moments of G, and those of i.i.d. entries are the mean over single entries.
    entries = np.eye(12).reshape(12, 1, 3, 4) * np.sqrt(variance * 12)
    crb = metrics.response_crb(entries, W, thermal, snapshots, hardware).mean(axis=0)
    np.testing.assert_allclose(problem.objective(W) * thermal * 3 / snapshots, crb, rtol=1e-10)


def test_arguments_broadcast_and_sensing_has_a_stream_an_antenna(kit):
    problem = CrbMin(kit.complex_gaussian((6, 3), 0), 2.0, [1.0, 2.0], 0.1)
    assert problem.min_sinr.shape == problem.noise_power.shape == (3,)
    assert problem.streams == 9
    assert problem.sense == -1
    W = kit.complex_gaussian((6, 9), 1)
    assert problem.constraints(W)["total"].shape == (2,)
    assert CrbMin(np.ones((4, 0)), 1.0, 1.0, 1.0).streams == 4


BROKEN = {
    "channel with NaN": ({"H": np.full((6, 2), NAN)}, "H: must be finite"),
    "channel without users' axis": ({"H": np.ones(6)}, "H: must have at least 2 axes"),
    "no antennas": ({"H": np.ones((0, 2))}, "H: must have at least one antenna"),
    "SINR of other users": ({"min_sinr": [1.0, 1.0, 1.0]}, r"min_sinr: must broadcast to \(..., 2\)"),
    "zero SINR": ({"min_sinr": 0.0}, "min_sinr: must be greater than 0"),
    "negative SINR": ({"min_sinr": [1.0, -1.0]}, "min_sinr: must be greater than 0"),
    "infinite SINR": ({"min_sinr": np.inf}, "min_sinr: must be finite"),
    "SINR as text": ({"min_sinr": "10 dB"}, "min_sinr: must be real numbers"),
    "noise of other users": ({"noise_power": np.ones(3)}, r"noise_power: must broadcast to \(..., 2\)"),
    "zero noise": ({"noise_power": [1.0, 0.0]}, "noise_power: must be greater than 0"),
    "zero power": ({"power": 0.0}, "power: must be greater than 0"),
    "power with NaN": ({"power": NAN}, "power: must be finite"),
    "batches that differ": ({"H": np.ones((3, 6, 2)), "power": np.ones(4)}, "must have leading axes that broadcast"),
    "no transceiver": ({"transceiver": "ideal"}, "transceiver: must be an instance of Transceiver"),
}


@pytest.mark.parametrize("what", sorted(BROKEN))
def test_a_problem_that_breaks_a_rule_is_refused(what):
    changes, message = BROKEN[what]
    arguments = {"H": np.ones((6, 2)), "min_sinr": 1.0, "power": 1.0, "noise_power": 1.0}
    with pytest.raises(InvalidInput, match=message) as caught:
        CrbMin(**{**arguments, **changes})
    _, rule, value, remedy = caught.value.args
    assert rule.startswith("must")
    assert value
    assert remedy.endswith(".")


def test_requirements_pose_the_problem_of_a_drop():
    drop = example_drop()
    problem = CrbMinRequirements(min_sinr=[2.0, 3.0]).pose(drop, Transceiver())
    assert problem.kind == "crb-min"
    np.testing.assert_array_equal(problem.min_sinr, [2.0, 3.0])
    np.testing.assert_array_equal(problem.H, drop.H)
    np.testing.assert_array_equal(problem.noise_power, drop.noise_power)


@pytest.mark.parametrize(
    ("sinr", "changes", "message"),
    [
        ([1.0, 2.0, 3.0], {}, "min_sinr: must be one number, or one for each of 2 users"),
        ([[1.0, 2.0]], {}, "min_sinr: must be one number, or one for each user"),
        (1.0, {"snapshots": 5}, "base_station.snapshots: must be at least the 6 transmit antennas"),
    ],
)
def test_requirements_that_do_not_fit_are_refused(sinr, changes, message):
    with pytest.raises(InvalidInput, match=message):
        CrbMinRequirements(min_sinr=sinr).pose(attrs.evolve(example_drop(), **changes), Transceiver())


def test_a_scenario_says_its_sinr_in_decibels(studies, study):
    text = re.sub(r"^problem .*$", 'problem = { kind = "crb-min", min_sinr_db = 10 }', studies.text, flags=re.MULTILINE)
    text = re.sub(r"^solver .*$", 'solver = { kind = "primal-dual-newton" }', text, flags=re.MULTILINE)
    scenario = study(text=text, small=("trials=1", "sinks=[]"))
    (design,) = scenario.design.values()
    assert design.problem.min_sinr == pytest.approx(10.0, rel=1e-14)
