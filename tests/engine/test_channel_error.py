"""Designs that know the channels with an error: posed for H + E, judged on H."""

import numpy as np
import pytest

import isacsim
from isacsim.engine.plan import Plan
from isacsim.plugin import default_registry

# One user and no sensing term: the best precoder is the matched filter to what is believed.
SINGLE = """
seed = 4
trials = 400
[base_station]
transmit_array = { kind = "ula", elements = 16 }
receive_array = { kind = "ula", elements = 4 }
power_dbm = 30
radar_noise_dbm = 0
snapshots = 8
[users]
count = 1
channel = { kind = "rayleigh" }
noise_dbm = 30
[targets]
kind = "point"
azimuth_deg = 10
reflection = 0.1
[design.known]
problem = { kind = "sum-rate-crlb", rate_weight = 1.0, crlb_weight = 0.0 }
[design.estimated]
problem = { kind = "sum-rate-crlb", rate_weight = 1.0, crlb_weight = 0.0 }
channel_error_db = -3
[evaluate.ideal]
metrics = ["sqinr"]
"""


@pytest.fixture
def run(study, tmp_path):
    """Runs a study and returns its dataset."""

    def run(*sets, text=SINGLE, name="run", **how):
        scenario = study("sinks=[]", *sets, text=text, small=())
        return isacsim.run(scenario, tmp_path / name, **how)

    return run


@pytest.mark.parametrize("error_db", [-10, 0, 6])
def test_a_matched_filter_to_an_estimate_has_the_gain_of_the_closed_form(run, error_db):
    dataset = run(f"design.estimated.channel_error_db={error_db}").dataset().squeeze()
    gain = dataset["sqinr"]  # |h^H w|^2 / P, for noise as strong as the power
    error = 10 ** (error_db / 10)
    # h given h + e is Gaussian of mean (h + e)/(1 + error) and variance error/(1 + error) in each entry.
    for design, expected in (("known", 16), ("estimated", (16 + error) / (1 + error))):
        values = gain.sel(design=design).values
        assert abs(values.mean() - expected) < 4 * values.std() / np.sqrt(values.size)


def test_without_an_error_the_precoders_are_those_of_the_channel_itself(study):
    scenario = study("trials=5", "design.estimated.channel_error_db=-inf", text=SINGLE, small=())
    ids = Plan.of(scenario, default_registry()).points[0].design_ids
    assert ids["known"] == ids["estimated"]  # one address: solved once, shared by both
    other = study("trials=5", text=SINGLE, small=())
    assert Plan.of(other, default_registry()).points[0].design_ids["estimated"] != ids["known"]


def test_a_trial_keeps_its_numbers_whatever_the_chunks(run, studies):
    one, all_ = (run("trials=6", name=f"chunk{n}", chunk=n) for n in (1, 6))
    assert studies.numbers(one) == studies.numbers(all_)
    assert studies.numbers(one, "designs") == studies.numbers(all_, "designs")


def test_the_error_is_swept_and_costs_more_the_larger_it_is(run):
    sweep = '[sweep.error]\nvalues = [-20, -10, 0]\nsets = ["design.estimated.channel_error_db"]\n'
    dataset = run("trials=60", text=SINGLE + sweep).dataset().squeeze()
    mean = dataset["sqinr"].mean("trial")
    assert (mean.sel(design="estimated").diff("error") < 0).all()
    known = dataset["sqinr"].sel(design="known")
    assert (known == known.isel(error=0)).all()  # and the other design does not see it
    assert (dataset["sqinr"].sel(design="estimated") <= known * (1 + 1e-9)).all()  # matched to h is best


def test_a_negative_variance_is_refused(study):
    text = SINGLE.replace("channel_error_db = -3", "channel_error_db = nan")
    with pytest.raises(isacsim.InvalidInput, match=r"design.estimated.channel_error_db: must be a finite number"):
        study(text=text, small=())
