"""A trial can be run again by itself: it gives the stored bytes, or says what differs and why it fails."""

import json
import sqlite3
import traceback

import attrs
import numpy as np
import pytest

import isacsim
from isacsim.engine.files import scenario_file
from isacsim.engine.identity import Names, described
from isacsim.engine.load import load_scenario
from isacsim.engine.plan import Point
from isacsim.engine.reader import Reader
from isacsim.engine.rebuilt import point_of, rebuilt
from isacsim.errors import InvalidInput, StoreError
from isacsim.plugin import default_registry

TOUCHY = 'evaluate.converters.metrics=["sum-rate-nats", {kind="touchy", trial=3, armed="%s"}]'


@pytest.fixture
def fuse(tmp_path):
    """A file while which exists trial 3 fails."""
    path = tmp_path / "fuse"
    path.touch()
    return path


@pytest.fixture
def failed(study, registry, tmp_path, fuse):
    """A run of which trial 3 is partly done, in chunks of four trials."""
    scenario = study(TOUCHY % fuse, "sweep.bits.values=[2, 3]", "figure={}", "expect={}", registry=registry)
    return isacsim.run(scenario, tmp_path / "run", chunk=4, registry=registry)


def test_a_trial_that_is_done_gives_its_bytes_again_alone(failed, registry):
    again = failed.replay({"bits": 2}, 1, registry=registry)
    assert again.same
    assert (again.stored, again.differences, again.code, again.failures) == ("done", (), (), ())
    found = {entry.name: values for entry, values in again.values}
    row = failed.dataset().sel(bits=2, trial=1).squeeze()
    assert found["sum-rate-nats"].tobytes() == row["sum-rate-nats"].values.tobytes()
    stored = failed.design("sca", 1, bits=2)
    assert again.solutions["sca"].precoder.tobytes() == stored.precoder.tobytes()


def test_a_trial_that_failed_fails_again_with_the_same_inputs_until_it_is_mended(failed, registry, fuse):
    again = failed.replay({"bits": 3}, 3, registry=registry)
    assert again.same
    assert again.stored == "partly done"
    (failure,), (stored, _) = again.failures, [f.what for f in failed.failures()]
    assert (failure.error, failure.measure) == ("ArithmeticError: this trial is touchy", "touchy")
    assert failure.seed_key == stored.seed_key == (2025, 3, 3)  # seed, stream of waveforms, trial
    assert failure.inputs == stored.inputs != ""
    assert "During handling" not in stored.traceback  # where it was raised, and not how it was found out
    fuse.unlink()
    mended = failed.replay({"bits": 3}, 3, registry=registry)
    assert mended.differences == (
        "design sca in evaluate.converters (touchy) failed then (ArithmeticError: this trial is touchy) "
        "and does not now",
    )


def test_a_debugger_is_shown_where_the_component_raised(failed, registry):
    seen = []
    failed.replay({"bits": 3}, 3, registry=registry, debug=seen.append)
    failed.replay({"bits": 3}, 2, registry=registry, debug=seen.append)
    (trace,) = seen
    assert traceback.extract_tb(trace)[-1].line.endswith('ArithmeticError("this trial is touchy")')


def test_other_numbers_are_told_by_name_and_size(failed, registry, tmp_path, monkeypatch):
    from isacsim.metrics.communication import SumRateNats

    value = SumRateNats.value
    monkeypatch.setattr(SumRateNats, "value", lambda self, link: 1.5 * value(self, link))
    again = failed.replay({"bits": 2}, 0, registry=registry)
    assert not again.same
    assert again.differences == (
        "sum-rate-nats of design sca in evaluate.converters differs by 0.5 of its largest entry",
    )


def test_a_trial_that_is_missing_can_be_run(failed, study, registry, fuse, tmp_path):
    with failed._store() as store:
        told = store.need("provenance")["scenario"]
    more = isacsim.run(
        attrs.evolve(rebuilt(told, registry), sinks=()), tmp_path / "more", chunk=1, trials=2, registry=registry
    )
    assert more.counts().complete
    with sqlite3.connect(tmp_path / "more" / "ledger.sqlite") as ledger:
        ledger.execute("DELETE FROM results WHERE trial = 1")
    again = isacsim.open_run(tmp_path / "more").replay({"bits": 2}, 1, registry=registry)
    assert (again.stored, again.same, again.verdict) == ("nothing", False, "nothing")
    assert len(again.values) == 2


@pytest.mark.parametrize(
    ("point", "trial", "told"),
    [
        ({}, 1, "point: must be one of 2 points, got 'none of them'. Give bits as well, bits=2 for example"),
        ({"bit": 2}, 1, "point: must name axes of the sweep, got 'bit'. Did you mean 'bits'"),
        ({"bits": 7}, 1, "point: must have a value of the axis 'bits', got 7. Valid: 2, 3"),
        ({"bits": 2}, 6, "trial: must be a whole number from 0 to 5, got 6"),
        ({"bits": 2}, -1, "trial: must be a whole number from 0 to 5, got -1"),
    ],
)
def test_what_is_not_of_the_run_is_refused(failed, registry, point, trial, told):
    with pytest.raises(InvalidInput, match=told):
        failed.replay(point, trial, registry=registry)


def test_another_scenario_is_refused_and_the_run_s_own_is_taken(failed, study, registry, fuse):
    own = study(TOUCHY % fuse, "sweep.bits.values=[2, 3]", "figure={}", "expect={}", registry=registry)
    assert failed.replay({"bits": 2}, 0, scenario=own, registry=registry).same
    with pytest.raises(StoreError, match="have another address. Give the scenario that was run"):
        failed.replay({"bits": 2}, 0, scenario=attrs.evolve(own, seed=1), registry=registry)


def test_without_the_plugin_of_a_component_the_scenario_is_asked_for(failed):
    with pytest.raises(StoreError, match="cannot be made again .*touchy.*Give the scenario or its file"):
        failed.replay({"bits": 2}, 0, registry=isacsim.plugin.build_registry())


def check_rebuilt(path):
    registry = default_registry()
    scenario, names = load_scenario(path, registry=registry), Names(registry)
    told = json.loads(json.dumps(described(scenario, names)))  # as the ledger keeps it
    coords = {name: axis.values[-1] for name, axis in scenario.sweep.items()}
    point, again = (
        Point.at(coords, scenario, scenario.bare(), Reader(registry), names),
        point_of(rebuilt(told, registry), coords, registry),
    )
    assert (again.id, again.design_ids, again.drop_id) == (point.id, point.design_ids, point.drop_id)


@pytest.mark.parametrize("name", ["quickstart", "wideband/radar", "hardware-aware/mixed-per-antenna"])
def test_a_scenario_is_made_again_with_the_same_addresses(name):
    check_rebuilt(scenario_file(f"{name}.toml"))


@pytest.mark.slow
def test_every_bundled_scenario_is_made_again_with_the_same_addresses():
    pytest.importorskip("isacsim_rf")
    found = sorted(scenario_file("").rglob("*.toml"))
    assert len(found) > 50
    for path in found:
        if path.name not in ("scene.toml",):
            try:
                check_rebuilt(path)
            except InvalidInput:  # what others extend is no whole scenario
                assert "scene" in path.name or path.name == "as-printed.toml", path


def test_numbers_with_holes_are_compared_by_their_bytes():
    from isacsim.engine.replay import _compared

    old = {"a": np.array([1.0, np.nan]), "b": np.full(2, np.nan), "c": np.zeros(2)}
    assert list(_compared(old, {name: array.copy() for name, array in old.items()})) == []
    new = {"a": np.array([1.0, 2.0]), "b": np.zeros(2), "c": np.zeros(3)}
    assert list(_compared(old, new)) == [
        "a differs in its holes",
        "b differs in its holes",
        "c has the shape (3,), and had (2,)",
    ]
