"""Sizes that cannot fit in memory are refused before the work, with the estimate."""

import pytest

import isacsim
from isacsim import InvalidInput
from isacsim.cli.main import main
from isacsim.memory import machine_memory, must_fit


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
    more = ["--out", str(tmp_path / "run"), "--workers", "1"] if command == "run" else []
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
