"""The example problem, which decides on powers: the closed form, and what it gets from the framework."""

import json

import numpy as np
import pytest

import isacsim
from isacsim import Status
from isacsim.batch import flatten, take
from isacsim.cli.main import main
from isacsim.metrics import sinr
from isacsim.plugin import build_registry
from isacsim.random import complex_normal
from isacsim.testing import check_component
from isacsim.testing.capabilities import capabilities

pytest.importorskip("isacsim_example", reason="the example plugin is not installed")
from isacsim_example import plugin
from isacsim_example.allocation import Allocation

REGISTRY = build_registry([plugin], installed=False)
SCENARIO = """
title = "allocation"
trials = 3
[base_station]
transmit_array = { kind = "ula", elements = 6 }
receive_array = { kind = "ula", elements = 6 }
power_dbm = 10
radar_noise_dbm = 0
snapshots = 30
[users]
count = 3
channel = { kind = "rayleigh" }
noise_dbm = 0
[targets]
kind = "point"
azimuth_deg = 20
[design.allocated]
problem = { kind = "power-allocation" }
[evaluate.real]
metrics = ["sum-rate-nats", "radiated-power"]
experiments = [{ kind = "link", modulation = "qpsk", symbols = 100 }]
"""


def problem_of(members=4, power=1.0, users=3, seed=0):
    rngs = [np.random.default_rng([seed, i]) for i in range(members)]
    H = np.stack([complex_normal(rng, (5, users)) for rng in rngs])
    return Allocation(H=H, power=power, noise_power=np.geomspace(0.05, 2.0, users))


def water_filling(gain, power):
    """Powers (K,) in closed form: the largest set of users that the common level floods."""
    order = np.argsort(-gain)
    for count in range(gain.size, 0, -1):
        best = order[:count]
        level = (power + (1 / gain[best]).sum()) / count
        if level > 1 / gain[best[-1]]:
            return np.where(np.isin(np.arange(gain.size), best), level - 1 / gain, 0.0)
    raise AssertionError("power is positive")


@pytest.mark.parametrize("power", [1e-3, 0.1, 1.0, 100.0])
def test_the_optimum_is_water_filling(power):
    problem = problem_of(power=power)
    solution = isacsim.solve(problem, registry=REGISTRY)
    assert list(solution.status) == [Status.GLOBAL] * 4
    expected = np.stack([water_filling(gain, power) for gain in problem.beams()[1]])
    # The objective to the tolerance of the proof; powers, at a flat optimum, to its root.
    np.testing.assert_allclose(solution.objective, problem.objective(expected), rtol=1e-6)
    np.testing.assert_allclose(solution.decision["power"], expected, atol=2e-3 * power)
    # The bound is one: no allocation exceeds it.
    assert np.all(solution.bound >= problem.objective(expected) * (1 - 1e-12))


def test_the_decision_makes_the_precoder_that_is_judged():
    problem = problem_of()
    solution = isacsim.solve(problem, registry=REGISTRY)
    assert list(solution.decision) == ["power", "precoder"]
    assert solution.precoder.shape == (4, 5, 3)
    reached = sinr(problem.H, solution.precoder, problem.noise_power)
    np.testing.assert_allclose(np.log1p(reached).sum(axis=-1), solution.objective, rtol=1e-10)


def test_dependent_channels_are_infeasible_and_stop_no_other():
    problem = problem_of()
    H = problem.H.copy()
    H[1, :, 2] = 2j * H[1, :, 0]
    H[3, :, 1] = 0
    odd = Allocation(H=H, power=problem.power, noise_power=problem.noise_power)
    solution, usual = isacsim.solve(odd, registry=REGISTRY), isacsim.solve(problem, registry=REGISTRY)
    assert [s is Status.INFEASIBLE for s in solution.status] == [False, True, False, True]
    assert np.isnan(solution.decision["power"][[1, 3]]).all()
    assert np.isnan(solution.precoder[[1, 3]]).all()
    assert solution.decision["power"][[0, 2]].tobytes() == usual.decision["power"][[0, 2]].tobytes()
    one = isacsim.solve(take(flatten(problem), np.array([2])), registry=REGISTRY)
    assert one.decision["power"].tobytes() == usual.decision["power"][2:3].tobytes()


def test_one_problem_has_a_solution_without_leading_axes():
    problem = problem_of(1)
    solution = isacsim.solve(Allocation(H=problem.H[0], power=1.0, noise_power=problem.noise_power), registry=REGISTRY)
    assert solution.decision["power"].shape == (3,)
    assert (solution.status, solution.notes) == (Status.GLOBAL, ())


def test_more_users_than_antennas_are_infeasible():
    assert list(isacsim.solve(problem_of(2, users=6), registry=REGISTRY).status) == [Status.INFEASIBLE] * 2


@pytest.mark.parametrize(("kind", "name"), [("problems", "power-allocation"), ("solvers", "log-program")])
def test_it_keeps_the_contracts(kind, name):
    check_component(kind, name, REGISTRY)


def test_it_stands_in_the_table_of_what_solvers_take():
    (row,) = [row for row in capabilities(REGISTRY) if row.problem == "power-allocation"]
    assert (row.solver, row.hardware, row.constraints) == ("log-program", "ideal", ("total + positive",))
    assert row.default


def test_a_scenario_runs_it_and_keeps_the_powers(tmp_path):
    path = tmp_path / "allocation.toml"
    path.write_text(SCENARIO)
    run = isacsim.run(path, tmp_path / "run", registry=REGISTRY)
    assert str(run.counts()) == "3 requested = 3 done + 0 failed + 0 skipped"
    record = run.design("allocated", 1)
    # 10 dBm are 10 mW; all of it is shared.
    np.testing.assert_allclose(record.decision["power"].sum(), 0.01, rtol=1e-12)
    dataset = run.dataset().squeeze()
    np.testing.assert_allclose(dataset["sum-rate-nats"].values, dataset["objective"].values, rtol=1e-10)
    np.testing.assert_allclose(dataset["radiated-power"].values, 0.01, rtol=1e-10)


def test_bench_measures_it(capsys, monkeypatch):
    monkeypatch.setattr("isacsim.cli.main.build_registry", lambda block=(): REGISTRY)
    assert main(["bench", "--problem", "power-allocation", "--rounds", "1", "--json"]) == 0
    told = capsys.readouterr().out
    assert "log-program" in json.dumps(json.loads(told))
