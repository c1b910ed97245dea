"""Scenario files that need a plugin say so where it is missing, and nothing where it is not."""

import pytest

import isacsim
from isacsim.errors import InvalidInput


@pytest.fixture
def write(tmp_path, studies):
    """Writes a scenario file: the quickstart below some lines."""

    def write(lines, text=studies.text):
        (tmp_path / "study.toml").write_text(f"{lines}\n{text}", encoding="utf-8")
        return tmp_path / "study.toml"

    return write


def test_a_distribution_that_is_missing_heads_what_is_wrong(write, studies):
    text = studies.text.replace('kind = "aqnm"', 'kind = "fancy"', 1)
    with pytest.raises(InvalidInput, match="^requires: must be installed and in use, got 'isacsim-fancy'.*'fancy'"):
        isacsim.load_scenario(write('requires = "isacsim-fancy"', text))


def test_faults_that_no_installation_mends_are_told_as_they_are(write, studies):
    text = studies.text.replace("trials = 100", "trials = 0", 1)
    with pytest.raises(InvalidInput, match=r"^trials: must be a whole number"):
        isacsim.load_scenario(write('requires = ["isacsim-fancy"]', text))


def test_a_file_that_can_be_read_is_not_held_up(write, studies):
    # What a distribution would offer may be there by other means: a registry built by hand.
    assert isacsim.load_scenario(write('requires = ["isacsim-fancy"]')).trials == 100


def test_faults_stay_alone_where_nothing_is_missing(write, studies):
    text = studies.text.replace("trials = 100", "trials = 0", 1)
    with pytest.raises(InvalidInput, match="^trials: must be a whole number"):
        isacsim.load_scenario(write("requires = []", text))


@pytest.mark.parametrize("value", ["3", "[1]", "{ a = 1 }"])
def test_names_that_are_none_are_refused(write, value):
    with pytest.raises(InvalidInput, match="requires: must be names of distributions.*Write requires = 'isacsim-rf'"):
        isacsim.load_scenario(write(f"requires = {value}"))
