"""What a scenario file holds that is hardly meant, as the command line tells it."""

import warnings

import numpy as np
import pytest

from isacsim import PlausibilityWarning
from isacsim.engine.load import load_scenario
from isacsim.plugin import build_registry

pytestmark = pytest.mark.filterwarnings("default::isacsim.PlausibilityWarning")


def test_angles_are_doubted_once_by_their_key_in_degrees(call):
    azimuth = "targets.azimuth_deg=[700, -20]"
    code, out, err = call("check", "quickstart", "--set", azimuth)
    assert (code, err) == (
        0, "warning: targets.azimuth_deg: should be within a full turn, got [700.0, -20.0]. Its unit is deg.\n",
    )  # fmt: skip
    assert "valid" in out


def test_a_file_names_the_table_of_what_it_doubts(call, tmp_path):
    call("init", "quickstart", "--out", "mine.toml")
    text = (tmp_path / "mine.toml").read_text()
    (tmp_path / "mine.toml").write_text(text.replace("= 10\n", "= 70\n", 1))
    code, _, err = call("check", "mine.toml")
    assert (code, err) == (
        0, "warning: base_station.power_dbm: should be at most 1000 W, 60 dBm, got 70.0. Its unit is dBm.\n",
    )  # fmt: skip


def test_a_refused_value_leaves_no_doubt_behind(call):
    for setting in ("targets={kind='point',azimuth_deg=[700],zenith_deg='x'}", "base_station.power_dbm=inf"):
        code, _, err = call("check", "quickstart", "--set", setting)
        assert code == 2
        assert "warning" not in err


def test_a_file_that_begins_with_a_byte_order_mark_is_read(call, tmp_path):
    call("init", "quickstart", "--out", "mine.toml")
    text = (tmp_path / "mine.toml").read_bytes()
    (tmp_path / "mine.toml").write_bytes(b"\xef\xbb\xbf" + text)
    assert call("check", "mine.toml")[0] == 0


def test_the_real_channels_of_a_file_are_told_once(call, tmp_path):
    np.savez(tmp_path / "H.npz", H=np.ones((4, 16, 4)) + np.arange(4.0))
    channel = f"users.channel={{kind='recorded',path='{tmp_path / 'H.npz'}',axes=['trial','antenna','user']}}"
    code, _, err = call("check", "quickstart", "--set", channel, "--set", "trials=2")
    assert code == 0, err
    assert err.count("warning: ") == 1
    assert "warning: users.channel.variable: should be an array of complex channels" in err


def test_doubts_can_be_silenced():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", PlausibilityWarning)
        registry = build_registry(installed=False)
        path = registry.load("scenarios", "quickstart")()
        load_scenario(path, set=("targets.azimuth_deg=[700, -20]",), registry=registry)
