"""The quickstart study as it comes, and with an amplifier of another distribution behind its DAC."""

import numpy as np
import pytest

import isacsim
from isacsim.engine.files import scenario_file
from isacsim.engine.statistics import mean
from isacsim.report.summary import statuses

LIMITER = (
    'hardware.converters.transmit=[{kind="aqnm", bits=3}, {kind="soft-limiter", saturation_dbm=-2}]',
    'evaluate.converters.metrics=["sum-rate-nats", "crlb", "radiated-power"]',
    "sweep.bits.values=[3]",
)


@pytest.fixture(scope="module", params=[20, pytest.param(100, marks=pytest.mark.slow)])
def run(request, tmp_path_factory):
    """The study with some of its trials, and with all."""
    folder = tmp_path_factory.mktemp("quickstart") / "run"
    return isacsim.run(scenario_file("quickstart.toml"), folder, trials=request.param, chunk=20)


@pytest.fixture(scope="module")
def means(run):
    dataset = run.dataset().isel(evaluate=0, design=0)
    return {
        name: mean(dataset[name].transpose("bits", "trial").values) for name in ("sum-rate-bits", "angle-rmse-bound")
    }


def test_every_trial_is_done_with_one_solve_for_all_bits(run, studies):
    counts, trials = run.counts(), run.dataset().sizes["trial"]
    assert trials in (20, 100)
    assert (counts.requested, counts.done, counts.failed, counts.skipped) == (6 * trials, 6 * trials, 0, 0)
    assert statuses(run) == {"STATIONARY": trials}
    assert len(studies.numbers(run, "designs")) == trials


def test_more_bits_are_better_in_every_trial(run):
    dataset = run.dataset().isel(evaluate=0, design=0).transpose("bits", ...)
    assert (np.diff(dataset["sum-rate-bits"], axis=0) > 0).all()
    assert (np.diff(dataset["angle-rmse-bound"], axis=0) < 0).all()


def test_one_bit_costs_most(means):
    rate, error = means["sum-rate-bits"].value, means["angle-rmse-bound"].value
    assert rate[0] < rate[-1] / 4
    assert error[0] > 1.5 * error[-1]
    assert rate[-2] > 0.99 * rate[-1]


def test_an_amplifier_of_a_plugin_goes_behind_the_dac_by_one_table(study, tmp_path):
    # -2 dBm a chain of 10 dBm / 16 = -2 dBm: the envelope is clipped often.
    amplified = isacsim.run(study(*LIMITER), tmp_path / "amplified").dataset().squeeze()
    plain = isacsim.run(study(*LIMITER[1:]), tmp_path / "plain").dataset().squeeze()
    assert (amplified["sum-rate-nats"] < plain["sum-rate-nats"]).all()
    assert (amplified["crlb"] > plain["crlb"]).all()
    # The scaling to radiated power is a root found to 1e-12.
    np.testing.assert_allclose(amplified["radiated-power"], 0.01, rtol=1e-11)
    np.testing.assert_array_equal(amplified["objective"], plain["objective"])


def test_an_amplifier_that_cannot_radiate_the_budget_says_so(study, tmp_path):
    weak = LIMITER[0].replace("-2}", "-20}")
    run = isacsim.run(study(weak, *LIMITER[1:]), tmp_path / "run")
    assert (run.counts().done, run.counts().failed) == (0, 6)
    assert all(
        "power: must be reachable, in W: the transmit chains saturate near" in text for _, _, text in run.failures()
    )
