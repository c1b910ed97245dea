"""Whatever the text of a scenario holds, `check` ends at once with one line and exit code 2."""

import re
from pathlib import Path

import pytest

from isacsim.engine.toml import MOST_BYTES

TEXT = (Path(__file__).parents[1] / "data" / "study.toml").read_text(encoding="utf-8")
LONG = 300_000  # characters: anything that takes their square takes minutes

TEXTS = {
    "5000 digits": (TEXT.replace("trials =", f"trials = {'9' * 5000} #"), "whole numbers of at most 128 bits"),
    "400 digits": (TEXT.replace("trials =", f"trials = -{'9' * 400} #"), "whole numbers of at most 128 bits"),
    "5000 hexadecimal digits": (f"a = [0x{'f' * 5000}]\n{TEXT}", "whole numbers of at most 128 bits"),
    "1000 brackets": (f"a = {'[' * 1000}{']' * 1000}\n{TEXT}", "at most 32 tables and lists in each other"),
    "40 brackets": (f"a = {'[' * 40}{']' * 40}\n{TEXT}", "at most 32 tables and lists in each other"),
    "brackets that stay open": (f"a = {'[' * LONG}", "at most 32 tables and lists in each other"),
    "1000 inline tables": (f"a = {'{a=' * 1000}1{'}' * 1000}\n{TEXT}", "at most 32 tables and lists in each other"),
    "a key of 1000 parts": (f"a{'.a' * 1000} = 1\n{TEXT}", "at most 32 tables and lists.*Shorten the key"),
    "a key of 300000 parts": (f"a{'.a' * LONG} = 1\n{TEXT}", "at most 32 tables and lists.*Shorten the key"),
    "a key of quoted parts": ("'a'" + ' . "b"' * (LONG // 2) + " = 1", "at most 32 tables and lists.*Shorten the key"),
    "a table of 1000 parts": (f"{TEXT}\n[a{'.a' * 1000}]\n", "at most 32 tables and lists.*Shorten the key"),
    "an endless word": ("x" * LONG, "must be valid TOML"),
    "quotes alone": ('"' * LONG, "must be valid TOML"),
    "a long key": (f"{'k' * LONG} = 1\n{TEXT}", r"kkk\.\.\.kkk.* is not a known key"),
    "a key of two lines": (f'"a\\nb" = 1\n{TEXT}', "a b: is not a known key"),
    "a long kind": (TEXT.replace('"rayleigh"', f'"{"r" * LONG}"'), "users.channel.kind: must name one of the channels"),
    "a large file": ("#" * (MOST_BYTES + 1), f"must have at most {MOST_BYTES} bytes"),
    "an endless file": ('extends = "/dev/zero"\n', f"must have at most {MOST_BYTES} bytes"),
    "a path with a null character": ('extends = "a\\u0000b"\n', "extends: must be paths of files"),
    "a path without end": (f'extends = "{"x" * 5000}"\n', "extends: must be paths of files"),
    "a long path of a recording": (
        TEXT.replace('"rayleigh"', f'"recorded", path = "{"x" * 5000}"'), "path: must be a file that exists",
    ),
    "itself by another name": ('extends = "../{folder}/study.toml"\n', "must not lead back to a file that extends it"),
    "a chain of 1500 files": ('extends = "chain1499.toml"\n', "must lead to at most 64 files"),
    "a fan of 2^39 files": ('extends = "fan39.toml"\n', "must lead to at most 64 files"),
    "10^17 points": (
        TEXT[: TEXT.index("[figure")]
        + "".join(f'[sweep.a{i}]\nvalues = {list(range(29))}\nsets = ["base_station.power_dbm"]\n' for i in range(12)),
        "sweep: must have at most 1000000 points",
    ),
}  # fmt: skip

SETS = {
    "5000 digits": (f"trials={'9' * 5000}", "--set trials: must have whole numbers of at most 128 bits"),
    "1000 brackets": (f"trials={'[' * 1000}{']' * 1000}", "--set trials: must have at most 32 tables"),
    "a key of 1000 parts": (f"trials={{a{'.a' * 1000}=1}}", "--set trials: must have at most 32 tables"),
    "a place of 1000 parts": (f"a{'.a' * 1000}=1", "must name a field at 'a'"),
    "a long place": (f"{'k' * LONG}=1", "must name a field at"),
    "a place of two lines": ("tri\nals=3", "tri als: must name a field"),
    "an index of 5000 digits": (f"hardware.converters.transmit.{'9' * 5000}.bits=1", "must have an index below 1"),
    "an index that is no decimal": ("hardware.converters.transmit.².bits=1", "must have an index below 1 at '²'"),
    "a second line": ("trials=1\nseed=2", "trials: must be a whole number"),
}


def refused(told, words):
    code, out, err = told
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert len(err) < 2500  # a rule, and the names that would do
    assert re.search(words, err)


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_that_is_too_much_is_refused_in_one_line(call, tmp_path, name):
    text, words = TEXTS[name]
    (tmp_path / "study.toml").write_text(text.replace("{folder}", tmp_path.name), encoding="utf-8")
    (tmp_path / "chain0.toml").write_text(TEXT, encoding="utf-8")
    (tmp_path / "fan0.toml").write_text(TEXT, encoding="utf-8")
    for i in range(1, 1500 if "chain" in name else 40 if "fan" in name else 0):
        (tmp_path / f"chain{i}.toml").write_text(f'extends = "chain{i - 1}.toml"\n', encoding="utf-8")
        (tmp_path / f"fan{i}.toml").write_text(f'extends = ["fan{i - 1}.toml", "fan{i - 1}.toml"]\n', encoding="utf-8")
    refused(call("check", "study.toml"), words)


@pytest.mark.parametrize("name", SETS)
def test_a_setting_that_is_too_much_is_refused_in_one_line(call, name):
    setting, words = SETS[name]
    refused(call("check", "quickstart", "--set", setting), words)


def test_of_many_faults_the_first_are_told(call, tmp_path):
    (tmp_path / "study.toml").write_text("".join(f"k{i} = 1\n" for i in range(20_000)) + TEXT, encoding="utf-8")
    code, _, err = call("check", "study.toml")
    assert (code, err.count("\n")) == (2, 20)
    assert err.startswith("error: k0: is not a known key")


def test_chains_and_fans_of_a_sane_size_are_read_file_by_file(call, tmp_path, monkeypatch):
    from isacsim.engine import toml

    (tmp_path / "fan0.toml").write_text(TEXT, encoding="utf-8")
    for i in range(1, 5):
        (tmp_path / f"fan{i}.toml").write_text(f'extends = ["fan{i - 1}.toml", "fan{i - 1}.toml"]\n', encoding="utf-8")
    read, opened = toml.read, []
    monkeypatch.setattr(toml, "read", lambda path: opened.append(path.name) or read(path))
    assert call("check", "fan4.toml")[0] == 0
    assert sorted(opened) == [f"fan{i}.toml" for i in range(5)]  # each once, though fan0 lies 16 times


def test_a_seed_of_128_bits_is_taken(call):
    assert call("check", "quickstart", "--set", f"seed={2**128 - 1}")[0] == 0


def test_results_of_a_benchmark_that_are_nested_without_end_are_refused(call, tmp_path):
    (tmp_path / "bench.json").write_text("[" * 100_000, encoding="utf-8")
    refused(call("bench", "--against", "bench.json"), "--against: must be a file of results in JSON")
