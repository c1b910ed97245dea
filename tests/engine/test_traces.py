"""Traces of solvers: kept where a design asks for it, to the last byte."""

import numpy as np
import pytest

import isacsim
from isacsim.engine.work import DesignRecord

KEPT = "design.sca.trace=true"


@pytest.fixture(scope="module")
def run(studies, tmp_path_factory):
    folder = tmp_path_factory.mktemp("traces")
    scenario = studies.load("sweep.bits.values=[1, 2]", KEPT, "trials=4", folder=folder)
    return isacsim.run(scenario, folder / "run", chunk=3)


def test_a_kept_trace_is_that_of_the_solve(run, studies, tmp_path):
    scenario = studies.load("trials=4", folder=tmp_path)
    drop = scenario.drop((2,))
    problem = scenario.design["sca"].problem.pose(drop, scenario.transceiver("ideal"))
    expected = isacsim.solve(problem, scenario.design["sca"].solver).trace
    kept = run.design("sca", 2).trace
    assert set(kept) == set(expected) == {"objective", "residual", "sum_rate", "crlb", "time"}
    for name in set(kept) - {"time"}:
        assert kept[name].tobytes() == expected[name][0].tobytes()
    assert np.all(np.diff(kept["time"]) >= 0)


def test_the_dataset_has_a_trace_over_the_steps(run):
    dataset = run.dataset()
    trace = dataset["trace-objective"]
    assert trace.dims == ("bits", "design", "trial", "step")
    assert dataset.sizes["step"] == 4  # three steps from the start
    assert (dataset["trace-time"].attrs["units"], trace.attrs["units"]) == ("s", "1")
    np.testing.assert_array_equal(trace.isel(step=-1), dataset["objective"])


def test_members_that_end_earlier_leave_the_rest_empty(study, tmp_path):
    # With a loose tolerance the members need different numbers of steps.
    loose = ("design.sca.solver.tolerance=0.3", "design.sca.solver.max_steps=500")
    dataset = isacsim.run(study(KEPT, *loose), tmp_path / "run").dataset().isel(bits=0, design=0)
    taken = dataset["iterations"].values
    assert len(set(taken)) > 1
    np.testing.assert_array_equal(np.isfinite(dataset["trace-crlb"]).sum("step"), taken + 1)


def test_no_trace_is_kept_unasked(study, tmp_path):
    run = isacsim.run(study("trials=1"), tmp_path / "run")
    assert run.design("sca", 0).trace == {}
    assert not any(str(name).startswith("trace-") for name in run.dataset())


def test_a_resumed_run_keeps_the_traces_it_has(study, tmp_path):
    before = isacsim.run(study(KEPT, "trials=2"), tmp_path / "run").design("sca", 1).trace
    run = isacsim.run(study(KEPT, "trials=3"), tmp_path / "run", resume=True)
    after = run.design("sca", 1).trace
    assert {name: values.tobytes() for name, values in after.items()} == {
        name: values.tobytes() for name, values in before.items()
    }
    assert run.design("sca", 2).trace.keys() == after.keys()


def test_a_member_without_an_answer_has_an_empty_trace(study, tmp_path):
    # Two targets at one place cannot be told apart.
    twins = ("targets.azimuth_deg=[10, 10]", "targets.zenith_deg=[60, 60]")
    run = isacsim.run(study(KEPT, "trials=1", *twins), tmp_path / "run")
    record = run.design("sca", 0)
    assert isinstance(record, DesignRecord)
    assert str(record.status) == "UNIDENTIFIABLE"
    assert all(values.size == 0 for values in record.trace.values())
    assert (run.dataset()["status"] != "").all()
