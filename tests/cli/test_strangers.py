"""A stranger's plugin at the command line: no command ends silently, and its text is printed as text."""

import json
import os
import re
import subprocess
import sys

import pytest
from attrs import frozen

import isacsim
import isacsim.api
from isacsim.plugin import ScenarioSpec, SolverSpec, Spec, build_registry, hookimpl

LOUD = "Amplifier \x1b[31mred\x1b[0m [bold]bold[/bold] [/x] \u202eback \N{INFINITY}"
SOURCE = f"""
from isacsim.plugin import Spec, hookimpl
isacsim_api = 2

@hookimpl
def isacsim_hardware():
    yield Spec("loud", "isacsim.hardware.base:Ideal", {LOUD!r})
"""
ESCAPED = r"Amplifier \x1b[31mred\x1b[0m [bold]bold[/bold] [/x] \u202eback "


@pytest.mark.parametrize("source", ["raise SystemExit(3)", "import sys\n@hookimpl\ndef isacsim_solvers(): sys.exit(4)"])
def test_a_plugin_that_calls_sys_exit_ends_no_command_and_is_told(call, distribution, source):
    module = f"isacsim_exits_{len(source)}"
    distribution("isacsim-exits", module, f"from isacsim.plugin import hookimpl\nisacsim_api = 2\n{source}\n")
    code, out, err = call("list", "detectors")
    assert (code, err) == (0, "")
    assert "likelihood-ratio" in out
    (line,) = (line for line in call("plugins")[1].splitlines() if line.startswith("isacsim-exits"))
    assert line.split(maxsplit=3)[3] in ("SystemExit: 3", "SystemExit: 4")


def test_what_a_plugin_prints_is_not_taken_for_what_a_command_prints(distribution, tmp_path):
    distribution("isacsim-noisy", "isacsim_noisy", f"print('welcome')\n{SOURCE}")
    path = os.pathsep.join([str(tmp_path / "site"), os.environ.get("PYTHONPATH", "")])
    program = [sys.executable, "-m", "isacsim", "list", "hardware", "--json"]
    done = subprocess.run(program, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path}, check=True)
    assert "loud" in {entry["name"] for entry in json.loads(done.stdout)}
    assert done.stderr == "welcome\n"


WILD = """
import atexit, os, sys, threading, time, warnings
def last(): raise ValueError("at the end")
class Dies:
    def __del__(self): raise KeyError("of no one")
def fails(): raise OSError("beside")
atexit.register(last)
threading.Thread(target=time.sleep, args=(1000,), name="sleeper").start()
thread = threading.Thread(target=fails, name="failing")
thread.start()
thread.join()
Dies()
sys.stdout.close()
sys.__stdout__.close()
os.close(2)
os.chdir(os.sep)
warnings.simplefilter("error")
"""


@pytest.mark.skipif(os.name == "nt", reason="descriptors are those of POSIX")
def test_a_plugin_that_leaves_the_process_in_pieces_stops_no_command(distribution, tmp_path):
    distribution("isacsim-wild", "isacsim_wild", WILD + SOURCE)
    path = os.pathsep.join([str(tmp_path / "site"), os.environ.get("PYTHONPATH", "")])
    program = [sys.executable, "-m", "isacsim", "plugins", "--json"]
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(program, capture_output=True, text=True, env=environment, check=True, timeout=100)
    (wild,) = (plugin for plugin in json.loads(done.stdout)["plugins"] if plugin["name"] == "isacsim-wild")
    changed = ("descriptor 2", "sys.stdout", "the working folder", "filters of warnings", "'sleeper' is left running")
    assert [what for what in changed if what not in wild["changed"]] == []
    lines = done.stderr.splitlines()
    assert all(line.startswith("warning: ") for line in lines)
    told = ("thread failing .*OSError: beside", "KeyError: 'of no one'", "running: sleeper", "ValueError: at the end")
    assert [what for what in told if not any(re.search(what, line) for line in lines)] == []
    assert len(lines) == len(told)


def test_names_and_summaries_are_printed_as_text(call, distribution):
    entries = "[isacsim]\n[red]{name}[/x]\x1b[31m = {entry_point}\n"
    distribution("isacsim-loud", "isacsim_loud", SOURCE, entries=entries)
    code, out, _ = call("list", "hardware")
    (line,) = (line for line in out.splitlines() if line.split()[1] == "loud")
    assert (code, line.split(maxsplit=2)[2]) == (0, f"{ESCAPED}\N{INFINITY}")
    assert r"[red]isacsim-loud[/x]\x1b[31m  isacsim-loud 1.2          in use" in call("plugins")[1]


def test_a_terminal_that_cannot_show_a_character_gets_its_escape(distribution, tmp_path):
    distribution("isacsim-loud", "isacsim_loud_again", SOURCE)
    path = os.pathsep.join([str(tmp_path / "site"), os.environ.get("PYTHONPATH", "")])
    program = [sys.executable, "-m", "isacsim", "list", "hardware"]
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(program, capture_output=True, text=True, env=environment, check=True)
    assert rf"{ESCAPED}\u221e" in done.stdout


def test_a_plugin_is_blocked_by_its_name_or_that_of_its_distribution(call, distribution):
    distribution("isacsim-loud", "isacsim_loud_blocked", SOURCE, entries="[isacsim]\nnoise = {entry_point}\n")
    for name in ("noise", "isacsim-loud"):
        code, out, _ = call("--block", name, "list", "hardware")
        assert (code, " loud " in out) == (0, False)
    assert " loud " in call("list", "hardware")[1]


class Quits:
    """A plugin whose components end the program when they are used, and which claims a default."""

    @hookimpl
    def isacsim_hardware(self):
        yield Spec("quits", f"{__name__}:Quitter")

    @hookimpl
    def isacsim_solvers(self):
        yield SolverSpec("aaa", "isacsim.solvers.crb_min.ipm:Ipm", default_for=("crb-min",))

    @hookimpl
    def isacsim_metrics(self):
        yield Spec("plain", f"{__name__}:Plain")

    @hookimpl
    def isacsim_sinks(self):
        yield Spec("needy", f"{__name__}:Needy")

    @hookimpl
    def isacsim_scenarios(self):
        yield ScenarioSpec("nowhere", f"{__name__}:nowhere")


@frozen
class Quitter(isacsim.Ideal):
    """Ends the program when it is made."""

    how: str = "exit"

    def __attrs_post_init__(self):
        if self.how == "raise":
            raise ZeroDivisionError("in a hurry")
        os._exit(0) if self.how == "silently" else sys.exit("not today")


class Plain(isacsim.api.Metric):
    """A metric that is no record."""

    quantity = isacsim.api.Quantity("plain", "1", (), "nothing")

    def value(self, link):
        """Nothing."""


class Needy(isacsim.api.Sink):
    """A sink that cannot be made without options, and has no fields to say them."""

    def __init__(self, level):
        self.level = level

    def write(self, dataset, folder):
        """Nothing."""


def nowhere():
    """A path without a file."""
    return "/nowhere/at/all.toml"


@pytest.fixture
def stranger(monkeypatch):
    """The command line knows the plugin above."""
    registry = build_registry([Quits()], installed=False)
    monkeypatch.setattr("isacsim.cli.main.build_registry", lambda block=(): registry)


@pytest.mark.usefixtures("stranger")
def test_a_component_that_ends_the_program_does_not_do_so_silently(call):
    code, _, err = call("check", "quickstart", "--set", 'hardware.converters.transmit=["quits"]')
    place = "hardware.converters.transmit.0"
    assert (code, err) == (2, f"error: {place}: is not valid. SystemExit: not today\n")


QUITS = 'hardware.converters.transmit=[{kind="quits", how="%s"}]'


@pytest.mark.usefixtures("stranger")
@pytest.mark.parametrize(
    ("setting", "told"),
    [
        (QUITS % "silently", "hardware.converters.transmit.0: is not valid. SystemExit: 0"),
        (QUITS % "raise", "hardware.converters.transmit.0: is not valid. ZeroDivisionError: in a hurry"),
        ('evaluate.converters.metrics=["plain"]', "must be an attrs record, whose fields are its options, got a plain"),
        ('sinks=["needy"]', "sinks.0: is not valid. TypeError: Needy.__init__() missing 1 required positional"),
    ],
)
def test_a_component_that_cannot_be_made_is_told_at_its_place(call, setting, told):
    code, out, err = call("check", "quickstart", "--set", setting)
    assert (code, out) == (2, "")
    assert told in err
    assert err.count("\n") == 1


@pytest.mark.usefixtures("stranger")
def test_rival_defaults_are_told_by_list_and_plugins(call):
    rivals = (
        "problem 'crb-min' has 2 default solvers, 'aaa' of Quits and 'primal-dual-newton' of isacsim.solvers.plugin"
    )
    code, out, err = call("list", "solvers")
    assert (code, "aaa" in out, err) == (0, True, f"name a solver, or block one plugin: {rivals}\n")
    assert f"name a solver, or block one plugin: {rivals}\n" in call("plugins")[1]
    assert call("list", "solvers", "--json")[0] == 0


@pytest.mark.usefixtures("stranger")
def test_a_scenario_without_its_file_is_one_clear_error(call):
    code, _, err = call("show", "scenarios", "nowhere")
    assert (code, err.startswith("error: /nowhere/at/all.toml cannot be read: ")) == (2, True)
