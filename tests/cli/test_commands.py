"""What each command tells people, and what it tells scripts."""

import json
import math
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

import isacsim
from isacsim import __version__
from isacsim.engine.files import scenario_file
from isacsim.plugin import KINDS, build_registry
from isacsim.random import Stream

SMALL = ("--workers", "1", "--executor", "serial", "--trials", "2")
BARE = (*SMALL, "--set", "figure={}", "--set", "sinks=[]")
QUICKSTART = scenario_file("quickstart.toml").read_text(encoding="utf-8")
COMPONENTS = [(kind, name) for kind in KINDS for name in build_registry().names(kind)]


@pytest.fixture
def read(call):
    """Runs a command with --json; returns what it prints, and that it is strict JSON."""

    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    def run(*arguments, code=0):
        found, out, _ = call(*arguments, "--json")
        assert found == code
        return json.loads(out, parse_constant=refuse)

    return run


def test_run_tells_a_table_the_counts_and_where_everything_is(call, tmp_path):
    code, out, err = call("run", "quickstart", "--out", "run", *SMALL)
    assert code == 0
    assert "What converter resolution costs in rate and in sensing" in out
    assert re.search(r"│ ∞ +│ converters │ joint +│ +\d+\.\d+ ± \d", out)
    assert "(bit/s/Hz)" in out
    assert "(°)" in out
    assert "solves:  2 STATIONARY" in out
    assert "trials:  12 requested = 12 done + 0 failed + 0 skipped" in out
    assert out.splitlines()[-3:] == ["run:     run", "figure:  run/rate.png", "figure:  run/accuracy.png"]
    assert "2/2 trials x 6 points" in err
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        "accuracy.png", "ledger.sqlite", "rate.png", "results.nc",
    ]  # fmt: skip


def test_run_tells_scripts_the_same(read, tmp_path):
    told = read("run", "quickstart", "--out", "run", *SMALL)
    assert (told["run"], told["requested"], told["done"], told["failed"], told["skipped"]) == ("run", 12, 12, 0, 0)
    assert (told["solves"], told["failures"], told["complaints"]) == ({"STATIONARY": 2}, [], [])
    assert told["figures"] == ["run/rate.png", "run/accuracy.png"]
    assert len(told["results"]) == 12
    last = told["results"][-1]
    dataset = isacsim.open_run(tmp_path / "run").dataset()
    samples = dataset["angle-rmse-bound"].sel(bits=np.inf).values.ravel()
    assert (last["bits"], last["quantity"], last["unit"], last["trials"]) == ("inf", "angle-rmse-bound", "rad", 2)
    assert last["mean"] == pytest.approx(samples.mean(), rel=1e-12)
    # Student's t with one degree of freedom, 12.706 at 97.5 %.
    assert last["half_width"] == pytest.approx(12.706205 * abs(np.diff(samples)[0]) / 2, rel=1e-6)


def test_run_makes_a_folder_of_its_own(call, tmp_path):
    code, out, _ = call("run", "quickstart", *BARE)
    assert code == 0
    (folder,) = (tmp_path / "runs").iterdir()
    assert f"run:     {folder.relative_to(tmp_path)}" in out


def test_run_resumes_and_extends(call, read):
    assert call("run", "quickstart", "--out", "run", *BARE)[0] == 0
    told = read("run", "quickstart", "--out", "run", *BARE, "--trials", "3", "--resume")
    assert (told["requested"], told["done"]) == (18, 18)
    assert call("run", "quickstart", "--out", "run", *BARE)[0] == 2


def test_run_goes_on_under_another_version_when_that_is_forced(call, read, monkeypatch):
    assert call("run", "quickstart", "--out", "run", *BARE)[0] == 0
    monkeypatch.setattr("isacsim.engine.provenance.__version__", "9.9.9")
    more = ("run", "quickstart", "--out", "run", *BARE, "--trials", "3", "--resume")
    code, _, err = call(*more)
    assert code == 2
    assert f"error: out: run was computed by other code, isacsim: {isacsim.__version__} -> 9.9.9. " in err
    told = read(*more, "--force")
    assert (told["requested"], told["done"]) == (18, 18)
    assert isacsim.open_run("run").dataset()["row_environment"].values.tolist() == 6 * [[0, 0, 1]]


def test_a_run_with_failures_exits_with_1_and_says_how_to_go_on(call, parts, tmp_path, monkeypatch):
    registry = build_registry(extra=[parts])
    monkeypatch.setattr("isacsim.cli.main.build_registry", lambda block=(): registry)
    metrics = 'evaluate.converters.metrics=["crlb", "sum-rate-nats", {kind="touchy", trial=1}]'
    code, out, err = call("run", "quickstart", "--out", "run", *BARE, "--set", metrics)
    assert code == 1
    assert "trials:  12 requested = 6 done + 6 partly done + 0 failed + 0 skipped" in out
    assert "trial 1 failed at bits = 1: ArithmeticError: this trial is touchy" in err
    where = "failed: design joint in evaluate.converters (touchy) at bits = ∞, trial 1: ArithmeticError: this trial"
    assert where in out
    assert "(parts/isacsim_test_parts.py:" in out
    assert "continue with --resume --out run" in err
    code, out, _ = call("run", "quickstart", "--out", "other", *BARE, "--set", metrics, "--json")
    assert code == 1
    told = json.loads(out)
    assert (told["done"], told["partly"], told["failed"]) == (6, 6, 0)
    failure = told["failures"][-1]
    assert (failure.pop("file"), failure.pop("line") > 0) == ("parts/isacsim_test_parts.py", True)
    assert 'raise KeyboardInterrupt if self.how == "interrupt"' in failure.pop("traceback")
    assert re.fullmatch("[0-9a-f]{24}", failure.pop("inputs"))
    assert failure.pop("seed_key") == [2025, Stream.WAVEFORM, 1]
    assert failure == {
        "at": {"bits": "inf"},
        "trial": 1,
        "error": "ArithmeticError: this trial is touchy",
        "type": "ArithmeticError",
        "design": "joint",
        "evaluation": "converters",
        "measure": "touchy",
    }


def test_a_figure_of_what_no_trial_has_costs_neither_the_others_nor_the_outcome(call, parts, monkeypatch):
    registry = build_registry(extra=[parts])
    monkeypatch.setattr("isacsim.cli.main.build_registry", lambda block=(): registry)
    metrics = 'evaluate.converters.metrics=["angle-rmse-bound", "sum-rate-bits", {kind="touchy"}]'
    few = ("--trials", "1", "--set", "sweep.bits.values=[3]", "--set", metrics, "--set", 'figure.rate.y="touchy"')
    code, out, _ = call("run", "quickstart", "--out", "run", "--workers", "1", *few)
    assert code == 1
    assert "trials:  1 requested = 0 done + 1 partly done" in out
    assert "figure:  rate is not drawn. figure: must show what was recorded, got 'touchy'." in out
    assert "figure:  run/accuracy.png\n" in out
    assert call("report", "run")[0] == 0
    assert "<p>figure: must show what was recorded" in Path("run/report.html").read_text(encoding="utf-8")
    assert call("plot", "run")[0] == 2


def test_a_run_without_a_result_draws_nothing(call, parts, monkeypatch):
    registry = build_registry(extra=[parts])
    monkeypatch.setattr("isacsim.cli.main.build_registry", lambda block=(): registry)
    lost = 'targets={kind="sometimes-blind", trial=9, lost=0}'
    code, out, _ = call("run", "quickstart", "--out", "run", *BARE, "--trials", "1", "--set", lost)
    assert code == 1
    first, *failed, last = out.splitlines()
    assert (first, last) == ("trials:  6 requested = 0 done + 6 failed + 0 skipped", "run:     run")
    assert len(failed) == 6
    assert all("failed: all of it at " in line and "RuntimeError: the targets are gone" in line for line in failed)


def test_a_run_says_why_designs_have_no_answer(call, read):
    same = ("azimuth_deg=[10, 10]", "zenith_deg=[80, 80]", "reflection=['0.09', '-0.04+0.12j']")
    twins = [part for change in same for part in ("--set", f"targets.{change}")]
    code, out, _ = call("run", "quickstart", "--out", "run", *BARE, *twins)
    assert code == 0  # an answer, too: there is none
    reason = "are not identifiable: the echo depends on them only in combination"
    where = r"solves:  2 UNIDENTIFIABLE\n +joint at bits = 1, trial 0: reflection_real\[0\], .* "
    assert re.match(where + reason + "\ntrials: ", out)
    (remark,) = read("run", "quickstart", "--out", "other", *BARE, *twins)["remarks"]
    note = remark.pop("note")
    assert remark == {"design": "joint", "status": "UNIDENTIFIABLE", "at": {"bits": 1}, "trial": 0}
    assert note.endswith(reason)


def test_a_run_says_what_heuristics_miss(call):
    asked = "design.joint={problem={kind='crb-min', min_sinr_db=30}, solver='mrt', hardware='ideal'}"
    code, out, _ = call("run", "quickstart", "--out", "run", *BARE, "--set", asked)
    assert code == 0
    told = r"solves:  2 HEURISTIC\n +joint at bits = 1, trial 0: misses the constraint sinr by \S+, relative\ntrials: "
    assert re.search(told, out)


def test_complaints_of_observers_are_told(call, monkeypatch):
    monkeypatch.setattr("isacsim.report.progress.ProgressBar.chunk_end", lambda self, event: 1 / 0)
    code, _, err = call("run", "quickstart", "--out", "run", *BARE)
    assert code == 0
    assert "observer: ProgressBar raised in chunk_end: ZeroDivisionError('division by zero')" in err


def test_an_interrupt_before_the_run_exits_with_1(call, monkeypatch):
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("isacsim.engine.load.load_scenario", interrupt)
    assert call("check", "quickstart") == (1, "", "error: interrupted\n")


def test_list_names_every_component(call, read):
    code, out, err = call("list")
    assert (code, err) == (0, "")
    lines = [line.split()[:2] for line in out.splitlines()]
    assert [tuple(line) for line in lines] == COMPONENTS
    rows = read("list")
    assert [(row["kind"], row["name"]) for row in rows] == COMPONENTS
    assert all(row["summary"] for row in rows)
    assert {row["plugin"] for row in rows} >= {"isacsim.metrics.plugin", "example"}


def test_list_of_one_kind_names_that_kind(call, read):
    assert {row["kind"] for row in read("list", "hardware")} == {"hardware"}
    assert "aqnm" in call("list", "hardware")[1]


@pytest.mark.usefixtures("one_registry")
@pytest.mark.parametrize(("kind", "name"), COMPONENTS)
def test_show_tells_the_keys_of_every_component(call, read, kind, name):
    code, out, err = call("show", kind, name)
    assert (code, err) == (0, "")
    told = read("show", kind, name)
    assert out.startswith(f"{kind} {name}  ({told['target']}, plugin {told['plugin']})")
    assert told["doc"].splitlines()[0] in out
    if kind == "scenarios":
        assert tomllib.loads(Path(told["file"]).read_text(encoding="utf-8"))
        assert f"  file: {told['file']}\n  run:  isacsim run {name}\n" in out
        return
    # Text is folded, but for examples, which are there to be copied.
    assert max(len(line) for line in out.splitlines() if "example: " not in line) < 140
    for field in told["fields"]:
        assert re.search(rf"^  {field['key']}\b", out, re.MULTILINE)
    example = re.search(r"^  example: (.*)$", out, re.MULTILINE)[1]
    assert tomllib.loads(f"table = {example}")["table"] == told["example"]


def test_show_of_a_name_alone_is_that_of_the_kind_that_has_it(call):
    assert call("show", "aqnm") == call("show", "hardware", "aqnm")
    assert call("show", "aqmn")[2].startswith("error: kind: must be a kind of component, or a table of scenarios")


def test_show_writes_defaults_as_a_scenario_does(read):
    fields = {field["key"]: field for field in read("show", "channels", "rician")["fields"]}
    assert fields["k_factor_db"]["required"]
    assert fields["gain_db"]["default"] == 0
    assert fields["zenith_deg"]["default"] == pytest.approx(90, rel=1e-15)
    assert fields["sector_deg"]["default"] == pytest.approx(60, rel=1e-15)
    assert fields["azimuth_deg"]["default"] is None


def test_show_writes_no_rounding_and_of_a_long_list_its_ends(call, read):
    out = call("show", "metrics", "beampattern")[1]
    assert "  azimuth_deg               number or list, default [-90.0, -89.0, ..., 90.0], 181 numbers\n" in out
    (grid, _) = read("show", "metrics", "beampattern")["fields"]
    assert grid["default"] == list(range(-90, 91))
    out = call("show", "channels", "recorded")[1]
    assert 'default ["trial", "antenna", "user"]' in out
    assert "  conjugate                 true or false, default false\n" in out


def test_show_of_nested_components_names_the_default(call):
    assert "default EnergyDetector(" in call("show", "experiments", "detection")[1]


def test_check_says_what_a_run_would_do(call, read):
    code, out, _ = call("check", "quickstart")
    first, second = out.splitlines()
    assert (code, first) == (0, "quickstart: valid; 6 points x 100 trials, 100 solves")
    assert second.startswith("  takes about ")
    sets = (
        "--set",
        'sweep.bits.sets="base_station.snapshots"',
        "--set",
        "sweep.bits.values=[10, 20]",
        "--set",
        "trials=7",
    )
    told = read("check", "quickstart", *sets)
    told.pop("estimate")
    assert told == {"valid": True, "points": 2, "trials": 7, "solves": 14, "looked": 2}
    assert read("check", "quickstart", *sets, "--set", "design.joint.solver.max_steps=1", "--measure")["seconds"] > 0


def test_plot_draws_again_from_the_run_alone(call, read, tmp_path):
    call("run", "quickstart", "--out", "run", *SMALL)
    (tmp_path / "run" / "rate.png").unlink()
    assert call("plot", "run") == (0, "run/rate.png\nrun/accuracy.png\n", "")
    assert (tmp_path / "run" / "rate.png").read_bytes().startswith(b"\x89PNG")
    chosen = ("--figure", "accuracy", "--out", "new/folder", "--format", "svg")
    assert read("plot", "run", *chosen) == ["new/folder/accuracy.svg"]
    assert (tmp_path / "new" / "folder" / "accuracy.svg").read_text(encoding="utf-8").startswith("<?xml")
    code, _, err = call("plot", "run", "--figure", "accurcy")
    assert (code, err) == (
        2,
        "error: figure: must be a figure of the run, got 'accurcy'. Did you mean 'accuracy'? Valid: accuracy, rate.\n",
    )
    (tmp_path / "file").touch()
    code, _, err = call("plot", "run", "--out", "file")
    assert code == 2
    assert err.startswith("error: out: must be a folder that can be written (File exists), got 'file'.")


def test_plot_of_a_study_without_figures_says_so(call, tmp_path, studies):
    (tmp_path / "bare.toml").write_text(studies.text.partition("[figure.rate]")[0], encoding="utf-8")
    assert call("run", "bare.toml", "--out", "run", *SMALL)[0] == 0
    assert call("plot", "run")[1] == "run: its scenario has no figures\n"


def test_plugins_are_told_with_their_origin(call, read):
    told = read("plugins")
    rows = {row["name"]: row for row in told["plugins"]}
    assert rows["isacsim.hardware.plugin"]["origin"] == "bundled"
    assert rows["example"]["origin"].startswith("isacsim-example 0.")
    assert told["conflicts"] == []
    assert re.search(r"^example +isacsim-example \S+ +in use$", call("plugins")[1], re.MULTILINE)


def test_a_plugin_can_be_blocked_by_option_and_environment(call, monkeypatch):
    assert "soft-limiter" not in call("--block", "example", "list", "hardware")[1]
    assert re.search(r"^example .* blocked$", call("--block", "example", "plugins")[1], re.MULTILINE)
    code, _, err = call("--block", "exmaple", "list", "hardware")
    assert code == 2
    assert err.startswith("error: --block: must be a plugin that was found, got 'exmaple'. Did you mean 'example'? ")
    monkeypatch.setenv("ISACSIM_BLOCK", "other, example")  # which may outlive a plugin
    assert "soft-limiter" not in call("list", "hardware")[1]
    code, _, err = call("show", "hardware", "soft-limiter")
    assert (code, "must name one of the hardware" in err) == (2, True)


def test_conflicts_and_broken_plugins_are_told_and_the_rest_goes_on(call, read, parts, monkeypatch):
    class Twin:
        isacsim_metrics = parts.isacsim_metrics

        @isacsim.plugin.hookimpl
        def isacsim_channels(self):
            raise OSError("no antenna")

    class Second:
        isacsim_metrics = staticmethod(parts.isacsim_metrics)

    registry = build_registry(extra=[parts, Second(), Twin()])
    monkeypatch.setattr("isacsim.cli.main.build_registry", lambda block=(): registry)
    conflict = "metrics 'touchy': isacsim_test_parts and Second"
    code, out, err = call("list", "metrics")
    assert code == 0
    assert f"offered twice, unusable until one is blocked: {conflict}\n" in err
    assert "touchy" not in out
    assert "crlb" in out
    told = read("plugins")
    assert conflict in told["conflicts"]
    assert {row["name"]: row["problem"] for row in told["plugins"]}["Twin"] != ""
    assert f"offered twice, unusable until one is blocked: {conflict}" in call("plugins")[1]
    code, _, err = call("show", "metrics", "touchy")
    assert code == 2
    assert err.startswith("error: metrics 'touchy' is offered by isacsim_test_parts and Second; block one with --block")


def test_init_writes_a_scenario_that_runs_and_never_overwrites(call, tmp_path):
    assert call("init")[1] == "quickstart.toml: written; run it with `isacsim run quickstart.toml`\n"
    assert (tmp_path / "quickstart.toml").read_text(encoding="utf-8") == QUICKSTART
    assert call("check", "quickstart.toml")[0] == 0
    (tmp_path / "quickstart.toml").write_text("mine", encoding="utf-8")
    code, _, err = call("init")
    assert (code, err) == (2, "error: --out: must not exist, got 'quickstart.toml'. Choose another file.\n")
    assert (tmp_path / "quickstart.toml").read_text(encoding="utf-8") == "mine"
    assert call("init", "quickstart", "--out", "other.toml")[0] == 0
    assert call("init", "other.toml", "--out", "third.toml")[0] == 0
    assert (tmp_path / "third.toml").read_text(encoding="utf-8") == QUICKSTART


def test_init_brings_the_files_that_a_scenario_extends(call, tmp_path, studies):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "base.toml").write_text(studies.text, encoding="utf-8")
    (tmp_path / "there" / "top.toml").write_text('extends = "base.toml"\ntrials = 2\n', encoding="utf-8")
    code, out, _ = call("init", "there/top.toml", "--out", "mine.toml")
    assert (code, out) == (0, "base.toml: written\nmine.toml: written; run it with `isacsim run mine.toml`\n")
    assert "x 2 trials" in call("check", "mine.toml")[1]
    assert call("init", "there/top.toml", "--out", "other.toml")[0] == 2  # base.toml is there


EXPECTED = """
[expect.rate]
quantity = "sum-rate-nats"
at       = { bits = 1 }
values   = VALUE
relative = 0.5
kind     = "published"
source   = "Doe, Table I"
note     = "Read off a figure."
"""


@pytest.mark.parametrize(("value", "code", "word"), [(2, 0, "met"), (20, 1, "MISSED")])
def test_verify_compares_a_run_with_what_its_scenario_expects(call, read, tmp_path, studies, value, code, word):
    text = studies.text + EXPECTED.replace("VALUE", str(value))
    (tmp_path / "study.toml").write_text(text, encoding="utf-8")
    found, out, _ = call("run", "study.toml", "--out", "run", *BARE)
    assert found == 0
    told = f"expected: {int(value == 2)} of 1 numbers met"
    assert told in out
    found, out, _ = call("verify", "run")
    assert found == code
    assert "rate: mean sum-rate-nats, published (Doe, Table I)\nRead off a figure.\n" in out
    assert word in out
    (row,) = read("verify", "run", code=code)
    assert (row["verdict"], row["expected"], row["bits"], row["source"]) == (word, value, 1, "Doe, Table I")
    assert row["allowed"] == value / 2


def test_verify_says_when_nothing_is_expected(call):
    call("run", "quickstart", "--out", "run", *BARE)
    assert call("verify", "run") == (0, "run: its scenario expects no numbers\n", "")
    code, _, err = call("verify", "nowhere")
    assert (code, err.startswith("error: run: nowhere holds no run")) == (2, True)


def test_version_is_that_of_the_package(call):
    assert call("--version") == (0, f"isacsim {__version__}\n", "")


def test_help_names_every_command(call):
    code, out, _ = call("--help")
    assert code == 0
    for command in ("run", "list", "show", "check", "plot", "verify", "bench", "plugins", "init"):
        assert re.search(rf"^ +{command} ", out, re.MULTILINE)


def test_no_command_shows_the_help(call):
    code, out, err = call()
    assert code == 2
    assert "Usage: isacsim" in out + err


def test_numbers_that_json_cannot_hold_become_text_or_null():
    from isacsim.strictjson import finite

    assert finite({"a": [math.inf, -math.inf, math.nan, 1.5, 2, "x", None], "b": (True,)}) == {
        "a": ["inf", "-inf", None, 1.5, 2, "x", None],
        "b": [True],
    }


@pytest.mark.slow
def test_warm_up_compiles_all_once(tmp_path):
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}

    def warm_up():
        command = [sys.executable, "-m", "isacsim", "warm-up", "--json"]
        return json.loads(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)

    compiled = {row["function"] for row in warm_up()}
    text = "".join(path.read_text(encoding="utf-8") for path in Path(isacsim.__file__).parent.rglob("*.py"))
    assert compiled == set(re.findall(r"\bcompiled\((\w+)(?:, allocates=True)?\)", text))
    assert warm_up() == []
