"""Scenario files that need a plugin say so where it is missing, and nothing where it is not."""

from functools import partial
from types import SimpleNamespace

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


def test_what_is_missing_heads_faults_that_no_installation_mends(write, studies):
    text = studies.text.replace("trials = 100", "trials = 0", 1)
    with pytest.raises(InvalidInput, match=r"Install isacsim-fancy with pip\.$") as told:
        isacsim.load_scenario(write('requires = ["isacsim-fancy"]', text))
    assert [fault.field for fault in told.value.errors] == ["requires", "trials"]


def test_a_distribution_that_is_missing_is_refused_though_nothing_names_it(write):
    with pytest.raises(
        InvalidInput, match=r"^requires: must be installed.*'isacsim-fancy'\. Install isacsim-fancy with"
    ):
        isacsim.load_scenario(write('requires = ["isacsim-fancy"]'))


def test_plugins_that_code_gives_may_be_what_is_required(write):
    registry = isacsim.plugin.build_registry([SimpleNamespace(isacsim_api=2)], installed=False)
    assert isacsim.load_scenario(write('requires = ["isacsim-fancy"]'), registry=registry).trials == 100


def test_names_of_distributions_are_compared_as_pip_does(write):
    registry = isacsim.plugin.build_registry()
    mine = next(plugin.origin.split()[0] for plugin in registry.plugins if plugin.origin.startswith("isacsim-"))
    load = partial(isacsim.load_scenario, registry=registry)
    assert load(write(f'requires = ["{mine.upper().replace("-", "_")}"]')).trials == 100


def test_faults_stay_alone_where_nothing_is_missing(write, studies):
    text = studies.text.replace("trials = 100", "trials = 0", 1)
    with pytest.raises(InvalidInput, match="^trials: must be a whole number"):
        isacsim.load_scenario(write("requires = []", text))


@pytest.mark.parametrize("value", ["3", "[1]", "{ a = 1 }"])
def test_names_that_are_none_are_refused(write, value):
    with pytest.raises(InvalidInput, match="requires: must be names of distributions.*Write requires = 'isacsim-rf'"):
        isacsim.load_scenario(write(f"requires = {value}"))


def test_a_plugin_named_for_its_distribution_is_told_as_that(write):
    registry = isacsim.plugin.build_registry()
    mine = next(plugin for plugin in registry.plugins if plugin.origin.startswith("isacsim-"))
    told = rf"requires: must be names of distributions, got '{mine.name}'.*requires = \['{mine.origin.split()[0]}'\]"
    with pytest.raises(InvalidInput, match=told):
        isacsim.load_scenario(write(f'requires = ["{mine.name}"]'), registry=registry)
