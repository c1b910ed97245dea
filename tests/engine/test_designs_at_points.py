"""Designs that are made at some points of a sweep only."""

import numpy as np
import pytest

import isacsim
from isacsim.engine.plan import Plan
from isacsim.errors import InvalidInput
from isacsim.plugin import default_registry
from isacsim.report.summary import rows

SOME = """
[design.costly]
problem = { kind = "sum-rate-crlb", rate_weight = 1, crlb_weight = 1 }
solver  = { kind = "sca", max_steps = 1 }
only    = { power = 0 }

[evaluate.costly]
metrics = ["sum-rate-nats"]
designs = ["costly"]

[sweep.power]
values = [0, 10, 20]
sets   = "base_station.power_dbm"
"""


@pytest.fixture
def text(studies):
    return studies.text.partition("[sweep.bits]")[0] + SOME


def test_a_design_is_made_where_its_only_says(study, studies, text, tmp_path):
    run = isacsim.run(study("trials=2", text=text), tmp_path / "run")
    assert run.counts().complete
    assert len(studies.numbers(run, "designs")) == 2 * 3 + 2
    dataset = run.dataset()
    made = np.isfinite(dataset["objective"].sel(design="costly")).all("trial")
    assert made.values.tolist() == [True, False, False]
    assert np.isfinite(dataset["objective"].sel(design="sca")).all()
    judged = dataset["sum-rate-nats"].sel(evaluate="costly")
    assert np.isfinite(judged.sel(design="costly", power=0)).all()
    assert judged.sel(design="sca").isnull().all()
    assert (
        sum(row["design"] == "costly" for row in rows(run)) == 3
    )  # two quantities of one evaluation, one of the other
    assert run.design("costly", 1).precoder.shape == (16, 4)
    with pytest.raises(InvalidInput, match=r"name: must name a design, got 'costly'. Valid: sca"):
        run.design("costly", 1, power=10)


def test_everywhere_else_its_results_are_those_of_a_design_made_everywhere(study, text, studies, tmp_path):
    some = isacsim.run(study("trials=2", text=text), tmp_path / "some")
    every = isacsim.run(study("trials=2", text=text.replace("only    = { power = 0 }", "")), tmp_path / "every")
    there = studies.numbers(every, "designs")
    assert all(there[key] == data for key, data in studies.numbers(some, "designs").items())


@pytest.mark.parametrize(
    ("only", "words"),
    [
        ("{ power = 5 }", r"design.costly.only: must be swept values, got \{'power': 5\}."),
        ("{ bits = 1 }", r"design.costly.only: must be swept values, got \{'bits': 1\}. Valid: power."),
        ("3", r"design.costly.only: must be a table"),
    ],
)
def test_an_only_that_fits_nothing_is_refused(study, text, only, words):
    with pytest.raises(InvalidInput, match=words):
        study(text=text.replace("{ power = 0 }", only))


def test_a_point_without_a_design_is_refused(study, text):
    nowhere = text.replace('hardware = "ideal"\n', 'hardware = "ideal"\nonly = { power = [10] }\n', 1)
    with pytest.raises(InvalidInput, match=r"design: must have one that is made at every point"):
        Plan.of(study(text=nowhere), default_registry())
