"""Executors, observers and sinks take options: in a scenario, from Python and on the command line."""

from pathlib import Path
from typing import Any

import pytest
from attrs import field, frozen

import isacsim
from isacsim import InvalidInput, units
from isacsim.checks import whole
from isacsim.cli.main import main
from isacsim.engine.events import Observer
from isacsim.engine.executors import ExecutorFactory, Serial
from isacsim.engine.plan import Plan
from isacsim.engine.sinks import Sink
from isacsim.plugin import Spec, build_registry, hookimpl

opened: list[Any] = []
notified: list[Any] = []


@frozen
class Remote(ExecutorFactory):
    """A stand-in for a cluster: runs here, and says what it was asked for."""

    address: str
    retries: int = field(default=0, validator=whole(0))
    budget: float = field(default=1.0, metadata=units.db())

    def open(self, workers: int) -> Any:
        opened.append(self)
        return Serial().open(workers)


@frozen
class Log(Observer):
    """Writes a line when a run ends."""

    path: Path

    def run_end(self, event: Any) -> None:
        notified.append(self)
        self.path.write_text(f"{event.done} done", encoding="utf-8")


@frozen
class Count(Observer):
    """Counts runs; needs no options."""

    every: int = 1

    def run_end(self, event: Any) -> None:
        notified.append(self)


class Plain(Observer):
    """An observer that is no record."""

    def run_end(self, event: Any) -> None:
        notified.append(self)


@frozen
class Text(Sink):
    """A file of a name."""

    name: str = "results.txt"

    def write(self, dataset: Any, folder: Path) -> Path:
        (folder / self.name).write_text(str(dict(dataset.sizes)), encoding="utf-8")
        return folder / self.name


class Plugin:
    @hookimpl
    def isacsim_executors(self):
        yield Spec("remote", f"{__name__}:Remote", "A cluster", {"address": "tcp://here"})

    @hookimpl
    def isacsim_observers(self):
        yield Spec("lines", f"{__name__}:Log", "A line", {"path": "run.log"})
        yield Spec("count", f"{__name__}:Count", "A count")
        yield Spec("plain", f"{__name__}:Plain", "A plain class")

    @hookimpl
    def isacsim_sinks(self):
        yield Spec("text", f"{__name__}:Text", "A text")


REGISTRY = build_registry([Plugin()], installed=False)


@pytest.fixture(autouse=True)
def _nothing_yet():
    opened.clear()
    notified.clear()


@pytest.fixture
def load(study, tmp_path):
    """A small study with further lines at its top, for the registry above."""

    def make(*lines, sets=()):
        file = tmp_path / "top.toml"
        file.write_text("\n".join(lines) + '\nextends = "study.toml"\n', encoding="utf-8")
        study(registry=REGISTRY)  # writes study.toml
        small = ("trials=2", "design.sca.solver.max_steps=2", "sweep.bits.values=[1, 3]")
        return isacsim.load_scenario(file, set=(*small, *sets), registry=REGISTRY)

    return make


def test_a_scenario_says_where_it_runs_and_who_is_told(load, tmp_path):
    scenario = load(
        'executor = { kind = "remote", address = "tcp://there", budget_db = 10 }',
        'observers = [{ kind = "lines", path = "log.txt" }, { kind = "count", every = 2 }]',
        'sinks = [{ kind = "text", name = "mine.txt" }]',
    )
    run = isacsim.run(scenario, tmp_path / "run", registry=REGISTRY)
    assert opened == [Remote("tcp://there", budget=10.0)]
    assert (tmp_path / "log.txt").read_text(encoding="utf-8") == "4 done"  # beside the scenario file
    assert (tmp_path / "run" / "mine.txt").exists()
    # `count` is told as it was asked for and not a second time; `plain`, which needs no options, is told as ever.
    assert notified[-2:] == [Log(tmp_path / "log.txt"), Count(2)]
    assert [type(who).__name__ for who in notified] == ["Plain", "Log", "Count"]
    assert run.counts().complete


def test_an_observer_that_needs_options_is_told_only_when_a_run_names_it(load, tmp_path):
    run = isacsim.run(load("sinks = []"), tmp_path / "run", registry=REGISTRY)
    assert [type(who).__name__ for who in notified] == ["Count", "Plain"]
    assert run.complaints == ()


def test_python_gives_a_name_a_table_or_a_record(load, tmp_path):
    scenario, log = load("sinks = []"), {"kind": "lines", "path": str(tmp_path / "log.txt")}
    for i, executor in enumerate(({"kind": "remote", "address": "a"}, Remote("b"), "serial", None)):
        observers = [log, Count(7)]
        isacsim.run(scenario, tmp_path / str(i), executor=executor, observers=observers, registry=REGISTRY)
    assert opened == [Remote("a"), Remote("b")]
    assert notified.count(Count(7)) == notified.count(Log(tmp_path / "log.txt")) == 4
    with pytest.raises(InvalidInput, match="^executor: must name one of the executors, got 'remoat'. Did you mean"):
        isacsim.run(scenario, tmp_path / "no", executor="remoat", registry=REGISTRY)
    with pytest.raises(InvalidInput, match="^observers.0.pth: is not a known key, got 'x'. Did you mean 'path'"):
        isacsim.run(scenario, tmp_path / "no", observers=[{"kind": "lines", "pth": "x"}], registry=REGISTRY)
    assert not (tmp_path / "no").exists()


def test_where_a_run_runs_and_who_is_told_change_no_result_and_no_identity(load, tmp_path, studies):
    here = isacsim.run(load("sinks = []"), tmp_path / "run", registry=REGISTRY)
    numbers = studies.numbers(here)
    points = [point.id for point in Plan.of(load("sinks = []"), REGISTRY).points]
    there = load("sinks = []", 'executor = { kind = "remote", address = "x" }', 'observers = ["plain"]')
    assert [point.id for point in Plan.of(there, REGISTRY).points] == points
    again = isacsim.run(there, tmp_path / "run", trials=3, resume=True, registry=REGISTRY)
    assert again.counts().done == 6
    assert numbers.items() <= studies.numbers(again).items()


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('executor = { kind = "remote" }', "executor.address: is required. Add it."),
        (
            'executor = { kind = "remote", address = "x", retires = 2 }',
            "executor.retires: is not a known key, got 2. Did you mean 'retries'? Valid: address, budget_db, retries.",
        ),
        (
            'executor = { kind = "remote", address = "x", retries = -2 }',
            "executor.retries: must be a whole number of at least 0, got -2. Check the value.",
        ),
        ('executor = "rmote"', "executor.kind: must name one of the executors, got 'rmote'. Did you mean 'remote'?"),
        ("executor = 3", "executor: must be a name or a table with a `kind` of executors, got 3. Valid: "),
        (
            'observers = [{ kind = "plain", level = 3 }]',
            "observers.0.level: is not a known key, got 3. plain takes none.",
        ),
        ('observers = "log"', "observers: must be a list, got 'log'. Write [ ... ]."),
        ('sinks = [{ kind = "text", file = "x" }]', "sinks.0.file: is not a known key, got 'x'. Valid: name."),
    ],
)
def test_a_wrong_option_in_a_scenario_is_refused_by_its_key(load, line, told):
    with pytest.raises(InvalidInput) as error:
        load(line)
    assert str(error.value).startswith(told)


def test_an_option_is_set_like_any_place_of_a_scenario(load, tmp_path):
    scenario = load('executor = { kind = "remote", address = "x" }', sets=("executor.retries=3", 'sinks=["text"]'))
    assert (scenario.executor, scenario.sinks) == (Remote("x", retries=3), (Text(),))


@pytest.fixture
def command(load, tmp_path, monkeypatch, capsys):
    """`isacsim run` on the small study; returns exit code and standard error."""
    load("sinks = []")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("isacsim.cli.main.build_registry", lambda block=(): REGISTRY)
    small = (
        "--trials",
        "1",
        "--set",
        "figure={}",
        "--set",
        "sweep.bits.values=[1]",
        "--json",
        "--workers",
        "1",
    )

    def call(*arguments):
        own = () if {"--executor", "--executor-option"} & set(arguments) else ("--executor", "serial")
        code = main(["run", "top.toml", *small, *own, "--out", "run", *arguments])
        return code, capsys.readouterr().err

    return call


def test_the_command_line_gives_options_too(command, tmp_path):
    remote = (
        "--executor",
        "remote",
        "--executor-option",
        "address=tcp://10.0.0.1:8786",
        "--executor-option",
        "retries=2",
    )
    log = ("--observer-option", "lines.path=log.txt", "--observer", "plain")
    assert command(*remote, *log) == (0, "")
    assert opened == [Remote("tcp://10.0.0.1:8786", retries=2)]
    assert (tmp_path / "log.txt").read_text(encoding="utf-8") == "1 done"
    assert [type(who).__name__ for who in notified] == ["Count", "Plain", "Log"]  # plain is asked for, and told once


REMOTE = ("--executor", "remote")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((*REMOTE, "--executor-option", "adress=x"), "executor.adress: is not a known key, got 'x'. Did you mean 'ad"),
        ((*REMOTE, "--executor-option", "address=3"), "executor.address: must be text, got 3. Write one text, "),
        (REMOTE, "executor.address: is required. Add it."),
        ((*REMOTE, "--executor-option", "x"), "--executor-option: must read KEY=VALUE, got 'x'. Write "),
        (("--executor-option", "a=b"), "--executor-option: needs --executor, got 'a=b'. Name the executor"),
        (("--executor", "serial", "--executor-option", "a=3"), "executor.a: is not a known key, got 3. "),
        (("--observer-option", "path=x"), "--observer-option: must read OBSERVER.KEY=VALUE, got 'path=x'. Write "),
        (("--observer-option", "lines.pth=x"), "observers.0.pth: is not a known key, got 'x'. Did you mean 'path'?"),
        (("--observer", "lgo"), "observers.0.kind: must name one of the observers, got 'lgo'. Did you mean 'log'?"),
        (("--observer", "lines"), "observers.0.path: is required. Add it."),
    ],
)  # fmt: skip
def test_a_wrong_option_on_the_command_line_is_refused_by_its_key(command, tmp_path, arguments, told):
    code, err = command(*arguments)
    assert (code, err.startswith(f"error: {told}")) == (2, True), err
    assert not (tmp_path / "run").exists()
