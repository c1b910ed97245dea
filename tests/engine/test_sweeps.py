"""Sweeps: products of axes, text and numbers, several places at once."""

import attrs
import numpy as np
import pytest

import isacsim
from isacsim.engine.identity import canonical, digest
from isacsim.engine.plan import Plan
from isacsim.errors import InvalidInput
from isacsim.plugin import default_registry
from isacsim.report.expectations import verdicts
from isacsim.report.figures import draw_figures

AXES = """
[sweep.noise]
values = [0.0, 10.0]
sets = "base_station.radar_noise_dbm"

[sweep.met]
values = ["ideal", "converters", "coarse"]
sets = "evaluate.converters.hardware"

[hardware.coarse]
receive = [{ kind = "mid-rise", bits = 1 }]
"""


@pytest.fixture
def plan():
    return lambda scenario: Plan.of(scenario, default_registry())


@pytest.fixture
def text(studies):
    return studies.text.partition("[figure.rate]")[0] + AXES


def test_the_points_are_the_product_of_the_axes_the_last_one_fastest(study, plan, text):
    points = plan(study("sweep.bits.values=[1, inf]", text=text)).points
    assert len(points) == 12
    assert [tuple(p.coords.values()) for p in points[:4]] == [
        (1, 0.0, "ideal"), (1, 0.0, "converters"), (1, 0.0, "coarse"), (1, 10.0, "ideal")
    ]  # fmt: skip
    assert points[-1].coords == {"bits": np.inf, "noise": 10.0, "met": "coarse"}
    last = points[-1].scenario
    assert last.base_station.radar_noise == pytest.approx(0.01, rel=1e-15)
    assert last.evaluate["converters"].hardware == "coarse"
    assert last.hardware["converters"].user.stages[0].bits == np.inf
    assert last.sweep == last.figure == {}


def test_results_of_a_product_lie_at_their_coordinates(study, text, tmp_path):
    run = isacsim.run(study("sweep.bits.values=[1, inf]", "trials=2", text=text), tmp_path / "run")
    crlb = run.dataset()["crlb"].isel(evaluate=0, design=0)
    assert dict(crlb.sizes) == {"bits": 2, "noise": 2, "met": 3, "trial": 2}
    assert crlb["met"].values.tolist() == ["ideal", "converters", "coarse"]
    ideal = crlb.sel(met="ideal")
    np.testing.assert_array_equal(ideal.sel(bits=1), ideal.sel(bits=np.inf))  # bits are met by the converters alone
    np.testing.assert_allclose(crlb.sel(met="converters", bits=np.inf), ideal.sel(bits=1), rtol=1e-12)
    assert (crlb.sel(met="converters", bits=1) > ideal.sel(bits=1)).all()
    assert (crlb.sel(noise=10.0) > crlb.sel(noise=0.0)).all()


def test_one_axis_sets_every_place_it_names(study, plan):
    for point in plan(study()).points:
        hardware = point.scenario.hardware["converters"]
        assert {side.stages[0].bits.item() for side in (hardware.transmit, hardware.receive, hardware.user)} == {
            point.coords["bits"]
        }


def test_text_sweeps_choose_starts_of_the_solver(study, studies, plan, tmp_path):
    text = studies.text.partition("[sweep.bits]")[0]
    text += '[sweep.start]\nvalues = ["mrt", "rzf"]\nsets = "design.sca.solver.start"\n'
    scenario = study("trials=2", text=text)
    assert len(plan(scenario).groups) == 2
    run = isacsim.run(scenario, tmp_path / "run")
    assert len(studies.numbers(run, "designs")) == 4
    objective = run.dataset()["objective"]
    assert not (objective.sel(start="mrt") == objective.sel(start="rzf")).any()


def test_a_study_without_a_sweep_is_one_point(study, studies, tmp_path):
    run = isacsim.run(study("trials=3", text=studies.text.partition("[sweep.bits]")[0]), tmp_path / "run")
    assert run.counts().requested == 3
    assert run.dataset()["crlb"].dims == ("evaluate", "design", "trial")
    assert run.design("sca", 2).precoder.shape == (16, 4)


def test_a_study_without_users_senses_only(study, tmp_path):
    run = isacsim.run(study("users.count=0", "trials=2"), tmp_path / "run")
    assert run.counts().complete
    assert run.design("sca", 0).precoder.shape == (16, 2)  # a stream a target
    dataset = run.dataset()
    assert (dataset["sum-rate-nats"] == 0).all()
    assert np.isfinite(dataset["crlb"]).all()


def test_a_list_of_targets_can_be_swept_as_a_whole_only(study, plan):
    with pytest.raises(InvalidInput, match=r"sweep.bits at targets.azimuth_deg.0: must name a field at '0'"):
        plan(study('sweep.bits.sets="targets.azimuth_deg.0"'))


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("nowhere.power_dbm", "must name a field at 'nowhere'"),
        ("base_station.power", r"must name a field at 'power'. Did you mean 'power_dbm', in dBm\? Valid: grid, "),
        ("base_station.power_w", r"must name a field at 'power_w'. Did you mean 'power_dbm', in dBm\? Valid: grid, "),
        ("base_station.powr_dbm", r"must name a field at 'powr_dbm'. Did you mean 'power_dbm'\? Valid: grid, "),
        ("hardware.convertors.user.0.bits", "must name an entry at 'convertors'. Did you mean 'converters'"),
        ("hardware.converters.user.2.bits", "must have an index below 1 at '2'"),
        ("hardware.converters.user.first.bits", "must have an index below 1 at 'first'"),
        (
            "hardware.converters.user.bits",
            ".* Indices start at 0: hardware.converters.user.0.bits is of the first entry",
        ),
        ("hardware.converters.user.0", "must lead to a field of a list's entry"),
        ("design.sca.solver.kind", "cannot be set alone"),
    ],
)
def test_an_axis_that_leads_nowhere_is_refused_with_its_path(study, plan, path, words):
    with pytest.raises(InvalidInput, match=rf"sweep.bits at {path}: {words}"):
        plan(study(f'sweep.bits.sets="{path}"'))


def test_a_swept_value_that_breaks_a_rule_is_refused_before_anything_is_written(study, tmp_path):
    with pytest.raises(InvalidInput, match=r"sweep.bits at .*transmit.0.bits: must be whole numbers .*, got 99"):
        isacsim.run(study("sweep.bits.values=[1, 99]"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_points_differ_in_what_they_judge_and_share_what_they_design(study, plan):
    points = plan(study()).points
    assert len({p.id for p in points}) == 6
    assert len({p.design_ids["sca"] for p in points}) == 1
    longer = plan(study("trials=50", "title=other", "sinks=[]")).points
    assert [p.id for p in longer] == [p.id for p in points]


@pytest.mark.parametrize(
    "setting", ["seed=1", "users.noise_dbm=1", "base_station.snapshots=31", "design.sca.problem.crlb_weight=2"]
)
def test_an_input_of_a_design_changes_its_address(study, plan, setting):
    assert plan(study(setting)).points[0].design_ids != plan(study()).points[0].design_ids


def test_an_address_depends_on_content_alone():
    scene = {"b": isacsim.Aqnm([1, 2]), "a": [1.5, np.float64(2.0), 1 + 2j, None, True]}
    same = {"a": (1.5, 2.0, np.complex128(1 + 2j), None, np.bool_(True)), "b": isacsim.Aqnm(np.array([1.0, 2.0]))}
    assert digest(scene) == digest(same)
    assert digest(scene) != digest({**scene, "b": isacsim.Aqnm([1, 3])})
    assert digest(isacsim.Aqnm(3)) != digest(isacsim.MidRise(3))
    with pytest.raises(TypeError, match="object has no content address"):
        digest(object())


def test_a_file_is_addressed_by_its_content(tmp_path):
    @attrs.frozen
    class Reads:
        path: object
        fingerprint = "1234"

    assert canonical(Reads(tmp_path / "a")) == canonical(Reads(tmp_path / "b"))
    assert canonical(tmp_path) == str(tmp_path)
    assert canonical(isacsim.Status.FAILED) == "FAILED"


def test_an_axis_of_one_value_need_not_be_fixed(study, studies, tmp_path):
    more = """
[sweep.power]
values = [0, 10]
sets   = ["base_station.power_dbm"]
[expect.crlb]
quantity = "crlb"
over     = "power"
values   = [1.0, 1.0]
relative = 1e9
kind     = "regression"
source   = "none"
"""
    text = studies.text.partition("[figure.rate]")[0] + '[figure.crlb]\nx = "power"\ny = "crlb"\n' + more
    alone = text.replace("values = [1, 2, 3, 4, 6, inf]", "values = [3]")
    run = isacsim.run(study("trials=2", text=alone), tmp_path / "run")
    assert [judged.met for judged in verdicts(run)] == [True]
    assert len(draw_figures(run)) == 1
    with pytest.raises(InvalidInput, match=r"figure\.crlb\.at: must fix the axis 'bits'"):
        study(text=text)
