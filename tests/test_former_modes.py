"""Modes by the names that they had before: read with one warning, and addressed as ever."""

import warnings

import pytest

from isacsim.cli.main import main
from isacsim.engine.identity import canonical
from isacsim.metrics.bounds import CrlbTrace, ResponseCrb


@pytest.mark.parametrize(("former", "name"), [("x", "signal"), ("xq", "radiated")])
def test_a_former_name_of_a_mode_is_read_with_a_warning(former, name):
    with pytest.warns(DeprecationWarning, match=f"mode '{former}' is deprecated and goes with .*; use '{name}'"):
        assert CrlbTrace(former) == CrlbTrace(name)


def test_addresses_call_a_mode_as_they_did_before():
    # What runs of earlier releases have in their ledgers: they are still continued.
    assert canonical(CrlbTrace("radiated"))["fields"] == {"mode": "xq"}
    assert canonical(ResponseCrb())["fields"] == {}


def test_a_scenario_with_a_former_name_is_checked_with_one_warning(capsys):
    metrics = 'evaluate.converters.metrics=[{kind="crlb", mode="xq"}, {kind="crlb-parameters", mode="xq"}]'
    with warnings.catch_warnings():
        assert main(["check", "quickstart", "--set", metrics, "--set", "figure={}"]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["warning: mode 'xq' is deprecated and goes with isacsim 0.2; use 'radiated'."]
