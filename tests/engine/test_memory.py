"""Sizes that cannot fit in memory are refused before the work, with the estimate."""

import pytest

import isacsim
from isacsim import InvalidInput, UniformLinearArray, UniformPlanarArray
from isacsim.cli.main import main
from isacsim.engine.checkup import check_up
from isacsim.memory import machine_memory, must_fit
from isacsim.plugin import default_registry
from isacsim.waveform.estimators import Fitter


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ("users.count=100000000000", "users.count"),
        ('base_station.transmit_array={kind="ula", elements=100000000000}', "base_station.transmit_array"),
        ('base_station.receive_array={kind="upa", horizontal=1000000, vertical=100000}', "base_station.receive_array"),
    ],
)
@pytest.mark.parametrize("command", ["check", "run"])
def test_a_study_that_cannot_fit_is_refused_in_one_line(command, change, field, tmp_path, capsys):
    more = ["--out", str(tmp_path / "run"), "--workers", "1", "--executor", "serial"] if command == "run" else []
    assert main([command, "quickstart", *more, "--set", change]) == 2
    told = capsys.readouterr().err
    assert field in told
    assert "must fit in memory" in told
    assert "Traceback" not in told
    assert not (tmp_path / "run").exists()


def test_an_array_that_cannot_fit_is_refused_when_it_is_asked_for_its_elements():
    array = isacsim.UniformLinearArray(10**12)
    assert array.size == 10**12
    with pytest.raises(InvalidInput, match="must fit in memory"):
        array.steering(0.1)


def test_what_fits_passes_and_what_is_beyond_the_machine_does_not():
    fitting = machine_memory() // 16
    must_fit("n", "an array", fitting, (fitting,))
    with pytest.raises(InvalidInput, match="n: must fit in memory: an array takes at least"):
        must_fit("n", "an array", fitting + 1, (fitting + 1,))


@pytest.mark.parametrize(
    ("experiment", "changes", "field"),
    [
        ('{kind="estimation"}', ("base_station.snapshots=1000000000000",), "runs"),
        (
            '{kind="estimation", runs=1}',
            ('base_station.receive_array={kind="upa", horizontal=900, vertical=2}',),
            "runs",
        ),
        ('{kind="detection"}', ("base_station.snapshots=1000000000000",), "snapshots"),
        ('{kind="detection", snapshots=1000000000000}', (), "snapshots"),
    ],
)
def test_an_experiment_whose_samples_or_search_cannot_fit_is_refused(study, monkeypatch, experiment, changes, field):
    monkeypatch.setattr("isacsim.memory.machine_memory", lambda: 10**9)  # whatever machine this is
    scenario = study(f"evaluate.converters.experiments=[{experiment}]", *changes)
    with pytest.raises(InvalidInput, match=rf"evaluate.converters.experiments.0.{field}: must fit in memory"):
        check_up(scenario, default_registry())


def test_a_search_asks_for_what_it_takes():
    arrays = UniformPlanarArray(3, 4), UniformPlanarArray(4, 2)
    fitter = Fitter(*arrays)
    directions, elements = fitter.shapes(5)[0]
    # The corners of the square of direction cosines are left out: a share of 1 - pi/4, to the edge of the grid.
    assert directions == pytest.approx(fitter.grid()[0].size, rel=0.1)
    assert elements == sum(array.size for array in arrays)
    line = Fitter(UniformLinearArray(3), UniformLinearArray(7))
    assert line.shapes(5) == [(line.grid()[0].size, 10), (5, line.grid()[0].size, 10)]
