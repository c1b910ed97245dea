"""The scenario of the RF plugin: a converter, a mixer, an oscillator and an amplifier in series."""

import numpy as np
import pytest

import isacsim
from isacsim.engine.plan import Plan
from isacsim.plugin import build_registry, default_registry
from isacsim.report.expectations import summary, verdicts

pytest.importorskip("isacsim_rf", reason="the RF plugin is not installed")
from isacsim_rf.files import scenario_file


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The study with few trials, and without the numbers that all trials are expected to have."""
    path = default_registry().load("scenarios", "rf")()
    scenario = isacsim.load_scenario(path, set=("trials=8", "sinks=[]", "expect={}"))
    return isacsim.run(scenario, tmp_path_factory.mktemp("rf") / "run").dataset().squeeze("design")


def test_it_is_found_by_name_and_can_be_planned():
    registry = default_registry()
    scenario = isacsim.load_scenario(registry.load("scenarios", "rf")())
    assert len(Plan.of(scenario, registry).points) == 5
    assert all(e.source for e in scenario.expect.values())


def test_the_study_of_amplifiers_is_found_and_says_where_its_numbers_come_from():
    registry = default_registry()
    scenario = isacsim.load_scenario(registry.load("scenarios", "rf-amplifier")())
    assert len(Plan.of(scenario, registry).points) == 3
    assert all(e.source for e in scenario.expect.values())
    assert {e.evaluate for e in scenario.expect.values()} == {"amplifier", "linearised"}


@pytest.mark.parametrize(("name", "points"), [("rf-amplifier-per-antenna", 3), ("rf-both", 3)])
def test_studies_of_designs_are_found_and_say_where_their_numbers_come_from(name, points):
    registry = default_registry()
    scenario = isacsim.load_scenario(registry.load("scenarios", name)())
    assert len(Plan.of(scenario, registry).points) == points
    assert all(e.source for e in scenario.expect.values())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["rf-amplifier", "rf-amplifier-per-antenna", "rf-both"])
def test_designs_for_amplifiers_are_as_expected(tmp_path, name):
    scenario = isacsim.load_scenario(default_registry().load("scenarios", name)(), set=("sinks=[]",))
    judged = verdicts(isacsim.run(scenario, tmp_path / "run"))
    assert all(v.as_known for v in judged), summary(judged)


@pytest.mark.slow
def test_samples_behind_amplifiers_have_what_the_exact_model_says(tmp_path):
    path = default_registry().load("scenarios", "rf-truth")()
    run = isacsim.run(isacsim.load_scenario(path, set=("sinks=[]",)), tmp_path / "run")
    judged = verdicts(run)
    assert all(v.as_known for v in judged), summary(judged)


def test_samples_through_the_whole_chain_carry_the_rate_of_the_linear_models(finished):
    model, samples = finished["sum-rate-nats"], finished["sampled-sum-rate-nats"]
    excess = (samples - model).sel(evaluate="whole")
    error = excess.std("trial", ddof=1) / np.sqrt(8)
    # 5 standard errors, and 0.5 % for what is not Gaussian behind the first stage.
    allowed = 5 * error + 0.005 * model.sel(evaluate="whole").mean("trial")
    assert (np.abs(excess.mean("trial")) <= allowed).all()


def test_each_stage_costs_and_all_cost_more_than_any(finished):
    rate = finished["sum-rate-nats"].transpose("trial", "saturation", "evaluate")
    for stage in ("converter", "oscillator", "amplifier"):
        assert (rate.sel(evaluate=stage) < rate.sel(evaluate="ideal")).all()
        assert (rate.sel(evaluate="whole") < rate.sel(evaluate=stage)).all()
    crlb = finished["crlb"]
    assert (crlb.sel(evaluate="whole") > crlb.sel(evaluate="ideal")).all()


def test_back_off_buys_rate_up_to_what_the_oscillator_leaves(finished):
    rate = finished["sum-rate-nats"]
    for name in ("amplifier", "whole"):
        assert (rate.sel(evaluate=name).diff("saturation") > 0).all()
    for name in ("ideal", "converter", "oscillator"):  # they know no saturation
        assert (rate.sel(evaluate=name).diff("saturation") == 0).all()


@pytest.mark.slow
def test_the_whole_study_is_as_expected(tmp_path):
    scenario = isacsim.load_scenario(scenario_file("rf.toml"), set=("sinks=[]",))
    judged = verdicts(isacsim.run(scenario, tmp_path / "run"))
    assert all(v.as_known for v in judged), summary(judged)


def test_without_the_plugin_the_file_says_what_to_install():
    without = build_registry(block=["rf"])
    assert "rf" not in without.names("scenarios")
    message = (
        "requires: must be installed and in use, got 'isacsim-rf'. Install isacsim-rf with pip; "
        "without it this is unknown: 'clipping-dac', 'iq-imbalance', 'phase-noise', 'rapp'."
    )
    with pytest.raises(isacsim.InvalidInput) as caught:
        isacsim.load_scenario(scenario_file("rf.toml"), registry=without)
    assert str(caught.value) == message
    assert "hardware.amplifier.transmit.0.kind" in [fault.field for fault in caught.value.errors]
