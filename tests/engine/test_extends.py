"""Scenario files that extend others: what is laid over what, and what is refused."""

import pytest

import isacsim
from isacsim.engine.load import files_of
from isacsim.errors import InvalidInput


@pytest.fixture
def write(tmp_path, studies):
    """Writes scenario files beside the quickstart, ``base.toml``; loads one of them."""
    (tmp_path / "base.toml").write_text(studies.text, encoding="utf-8")

    def write(name, text):
        (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path / name

    return write


def test_what_is_said_again_replaces_and_the_rest_stays(write):
    path = write("top.toml", 'extends = "base.toml"\ntrials = 7\n[base_station]\npower_dbm = 20\n')
    base, top = isacsim.load_scenario(path.parent / "base.toml"), isacsim.load_scenario(path)
    assert (top.trials, top.base_station.power) == (7, pytest.approx(0.1))
    assert top.base_station.transmit_array == base.base_station.transmit_array
    assert top.design == base.design
    assert top.sweep == base.sweep


def test_a_component_of_another_kind_replaces_the_whole_table_and_of_the_same_kind_is_merged(write):
    other = '[targets]\nkind = "extended"\nvariance_db = 3\n'
    same = "[design.sca.solver]\nmax_steps = 5\n"
    scenario = isacsim.load_scenario(write("top.toml", f'extends = "base.toml"\n{other}{same}'))
    assert scenario.targets.variance == pytest.approx(10**0.3)
    assert scenario.design["sca"].solver.max_steps == 5


def test_of_several_files_the_later_one_lies_above(write):
    write("few.toml", "trials = 3\nseed = 1\n")
    write("many.toml", "trials = 300\n")
    path = write("top.toml", 'extends = ["base.toml", "few.toml", "many.toml"]\ntitle = "Top"\n')
    scenario = isacsim.load_scenario(path)
    assert (scenario.trials, scenario.seed, scenario.title) == (300, 1, "Top")
    assert [file.name for file in files_of(path)] == ["base.toml", "few.toml", "many.toml", "top.toml"]


def test_paths_lead_from_the_file_that_names_them(write, tmp_path):
    (tmp_path / "inner").mkdir()
    write("inner/middle.toml", 'extends = "../base.toml"\ntrials = 9\n')
    assert isacsim.load_scenario(write("top.toml", 'extends = "inner/middle.toml"\n')).trials == 9


@pytest.mark.parametrize(
    ("extends", "words"),
    [
        ("3", r"extends: must be paths of scenario files, got 3. Write extends = 'base.toml'."),
        ("[3]", r"extends: must be paths of scenario files"),
        (
            '"nowhere.toml"',
            r"extends: must be paths of files that exist, got '.*nowhere.toml'. .*top.toml extends it: paths",
        ),
        ('"top.toml"', r"extends: must not lead back to a file that extends it"),
        ('"round.toml"', r"extends: must not lead back to a file that extends it"),
    ],
)
def test_what_cannot_be_extended_is_one_clear_error(write, extends, words):
    write("round.toml", 'extends = "top.toml"\n')
    with pytest.raises(InvalidInput, match=words):
        isacsim.load_scenario(write("top.toml", f"extends = {extends}\n"))
