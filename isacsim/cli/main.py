"""The command line. Exit codes: 0 done, 1 not everything is done, 2 bad input."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import attrs
import typer

from isacsim import __version__
from isacsim.cli import usage
from isacsim.cli.authoring import new_plugin
from isacsim.cli.bench import bench
from isacsim.cli.ending import leave, tell_what_nobody_catches
from isacsim.cli.kinds import scenarios
from isacsim.cli.listing import conflicts, list_, show
from isacsim.cli.opening import opened
from isacsim.cli.outcome import summary, tell
from isacsim.cli.plotting import plot
from isacsim.cli.printing import Json, print_json
from isacsim.cli.replaying import replay
from isacsim.cli.sharing import compare, export, report
from isacsim.cli.warming import warm_up
from isacsim.errors import InvalidInput, IsacsimError, PlausibilityWarning, one_of
from isacsim.plugin import Registry, build_registry
from isacsim.plugin.elsewhere import where_to_find
from isacsim.plugin.isolation import told

if TYPE_CHECKING:
    from isacsim.engine.events import Observer
    from isacsim.engine.folder import Run
    from isacsim.engine.scenario import Scenario

app = typer.Typer(
    name="isacsim",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Simulate and design hardware-impaired integrated sensing and communication.",
)

# What typer raises for a wrong command line: click's ClickException, which newer versions of
# typer carry within them and expose only as a base class of this one.
_UsageError: Any = typer.BadParameter.__mro__[2]

COMPLETE = "_ISACSIM_COMPLETE"  # by which a shell asks for completions

# What typer returns when Ctrl-C ends a command; older versions raise instead.
_INTERRUPTED = 130

Runnable = Annotated[
    str,
    typer.Argument(help="A scenario file, or the name of one (`isacsim list scenarios`).", autocompletion=scenarios),
]
Force = Annotated[bool, typer.Option("--force", help="Continue also with other versions of the code, and record it.")]
Yes = Annotated[bool, typer.Option("--yes", help="Take also what is estimated not to fit the disk or the memory.")]
Set = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a place of the scenario.")]

ExecutorOption = Annotated[
    list[str] | None, typer.Option(metavar="KEY=VALUE", help="Option of the executor, as in a scenario.")
]
TrialTimeout = Annotated[
    float | None, typer.Option(metavar="SECONDS", help="Longest time of a trial; one that takes longer fails.")
]
OnFailure = Annotated[
    str, typer.Option(metavar="POLICY", help="When a trial fails: skip it, retry it once before, or abort the run.")
]
FailFast = Annotated[bool, typer.Option("--fail-fast", help="The same as --on-failure abort.")]
Told = Annotated[list[str] | None, typer.Option(metavar="NAME", help="Observer to tell (`isacsim list observers`).")]
Log = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Log of the run, a line of JSON for each event; added to.")
]
ObserverOption = Annotated[
    list[str] | None, typer.Option(metavar="OBSERVER.KEY=VALUE", help="Option of an observer, who is told then.")
]


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"isacsim {__version__}")
        raise typer.Exit


Version = Annotated[
    bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version and stop.")
]


@app.callback()
def _options(
    context: typer.Context,
    block: Annotated[list[str] | None, typer.Option(metavar="PLUGIN", help="Leave a plugin out.")] = None,
    version: Version = False,
) -> None:
    context.obj = registry = build_registry(block=block or ())
    found = {name for plugin in registry.plugins for name in (plugin.name, plugin.origin.partition(" ")[0])}
    for name in block or ():
        if name not in found:
            raise InvalidInput("--block", "must be a plugin that was found", name, one_of(found, name))


@app.command()
def run(
    context: typer.Context,
    scenario: Runnable,
    out: Annotated[Path | None, typer.Option(help="Run folder; a new one under runs/ by default.")] = None,
    trials: Annotated[int | None, typer.Option(help="Number of trials, in place of the scenario's.")] = None,
    workers: Annotated[int | None, typer.Option(help="Worker processes; one a core by default.")] = None,
    executor: Annotated[str | None, typer.Option(help="Executor (`isacsim list executors`).")] = None,
    executor_option: ExecutorOption = None,
    observer: Told = None,
    observer_option: ObserverOption = None,
    log: Log = None,
    trial_timeout: TrialTimeout = None,
    on_failure: OnFailure = "skip",
    fail_fast: FailFast = False,
    set_: Set = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in --out.")] = False,
    force: Force = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Run a scenario: design, judge, store, and draw its figures."""
    from isacsim.cli.options import executor_table, observer_tables
    from isacsim.engine.run import run as run_scenario

    if resume and out is None:
        raise InvalidInput("--resume", "needs --out", "", "Name the run folder to continue.")
    if force and not resume:
        raise InvalidInput("--force", "needs --resume", "", "Leave it out for a new run.")
    loaded = _drawable(scenario, set_, context.obj)
    told = observer_tables(observer or (), observer_option or ())
    told += [{"kind": "log", "path": str(log)}] if log else []
    workers = workers if workers is not None else _cores()
    finished = run_scenario(
        loaded,
        out,
        trials=trials,
        workers=workers,
        executor=executor_table(executor, executor_option or (), trial_timeout, given=loaded.executor is not None),
        resume=resume,
        force=force,
        any_size=yes,
        on_failure="abort" if fail_fast else on_failure,
        observers=[*told, *_companions(workers, as_json)],
        registry=context.obj,
    ).once()
    _show_outcome(finished, as_json)


def _drawable(name: str, set_: list[str] | None, registry: Registry) -> Scenario:
    """The scenario of a name or a file, with places overridden, whose figures can have the texts that they ask for."""
    from isacsim.engine.load import load_scenario
    from isacsim.report.mathtext import check_texts

    loaded = load_scenario(_scenario_path(name, registry), set=tuple(set_ or ()), registry=registry)
    check_texts(loaded)
    return loaded


def _companions(workers: int, as_json: bool) -> Iterator[Observer]:
    """The observers of the command line itself: who shows how far it is, and who uses the time."""
    from isacsim.cli.ahead import ReadsAhead
    from isacsim.report.progress import ProgressBar

    if not as_json:
        yield ProgressBar()
    if workers > 1:
        yield ReadsAhead()


def _show_outcome(finished: Run, as_json: bool) -> None:
    """Draw the figures of a run and say how it ended; the exit code is 1 where not everything is done."""
    from isacsim.report.figures import draw_figures

    counts, undrawn = finished.counts(), dict[str, str]()
    figures = draw_figures(finished, undrawn=undrawn) if counts.done or counts.partly else []
    print_json(summary(finished, figures, undrawn)) if as_json else tell(finished, figures, undrawn)
    if undrawn or not counts.complete:
        raise typer.Exit(1)


app.command("list")(list_)
app.command()(show)


@app.command()
def schema(
    context: typer.Context,
    out: Annotated[Path | None, typer.Option(help="File to write; standard output by default.")] = None,
) -> None:
    """Write the JSON Schema of scenario files, by which editors complete and check them."""
    from isacsim.engine.schema import schema as made

    text = json.dumps(made(context.obj), indent=1, ensure_ascii=False) + "\n"
    if out is None:
        print(text, end="")
        return
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InvalidInput("--out", f"must be writable ({error.strerror})", str(out), "Choose another file.") from None
    print(f"{out}: written; begin a scenario with `#:schema {out}`, which editors with Even Better TOML read")


@app.command()
def check(
    context: typer.Context,
    scenario: Annotated[str, typer.Argument(help="A scenario file, or the name of one.", autocompletion=scenarios)],
    set_: Set = None,
    yes: Yes = False,
    measure: Annotated[bool, typer.Option("--measure", help="Run some trials, and say how long all take.")] = False,
    as_json: Json = False,
) -> None:
    """Check a scenario without running it, and say what a run would do."""
    from isacsim.engine.checkup import check_up, seconds

    registry: Registry = context.obj
    loaded = _drawable(scenario, set_, registry)
    found = check_up(loaded, registry)
    if not yes:
        found.estimate.require(Path())
    time = seconds(loaded, registry, found) if measure else None
    if as_json:
        told = {name: getattr(found, name) for name in ("points", "trials", "solves", "looked")}
        told |= {} if time is None else {"seconds": time}
        print_json({"valid": True, **told, "estimate": attrs.asdict(found.estimate)})
        return
    print(f"{scenario}: valid; {found.points} points x {found.trials} trials, {found.solves} solves")
    print(f"  takes {found.estimate}")
    if time is not None:
        print(f"  takes about {time:.2g} s of one core, {time / _cores():.2g} s of the {_cores()} that are here")
    if found.looked < found.points:
        print(f"  {found.looked} of the points were looked at")


app.command()(plot)
app.command()(replay)
app.command()(report)
app.command()(compare)
app.command()(export)
app.command("new-plugin")(new_plugin)


@app.command()
def verify(
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder.")],
    integrity: Annotated[bool, typer.Option("--integrity", help="See that the ledger is as it was written.")] = False,
    as_json: Json = False,
) -> None:
    """Compare a run with the numbers that its scenario expects."""
    from isacsim.cli.tables import console, print_whole
    from isacsim.report import expectations

    found = opened(run_folder)
    if integrity:
        found.check()
        print_json({"whole": True}) if as_json else print(f"{run_folder}: every row is as it was written")
        return
    judged = expectations.verdicts(found)
    if as_json:
        print_json(expectations.rows(judged))
    elif judged:
        for entry in judged:
            console().print(expectations.heading(entry))
            print_whole(expectations.table(entry))
        print(expectations.summary(judged))
    else:
        print(f"{run_folder}: its scenario expects no numbers")
    if not all(v.as_known for v in judged):
        raise typer.Exit(1)


app.command()(bench)
app.command("warm-up")(warm_up)


@app.command()
def plugins(context: typer.Context, as_json: Json = False) -> None:
    """List the plugins that were found, with what is wrong with any of them."""
    registry: Registry = context.obj
    rows = [attrs.asdict(plugin) for plugin in registry.plugins]
    if as_json:
        print_json({"plugins": rows, "conflicts": [*registry.conflicts, *registry.rivals]})
        return
    wide = [max(least, *(len(row[key]) + 2 for row in rows)) for key, least in (("name", 30), ("origin", 26))]
    for row in rows:
        changed = f"changed what was put back: {row['changed']}" if row["changed"] else ""
        state = row["problem"] or ": ".join(filter(None, ("in use", row["notice"], changed)))
        print(f"{row['name']:<{wide[0]}}{row['origin']:<{wide[1]}}{state}")
    for conflict in conflicts(registry):
        print(conflict)


@app.command()
def init(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Scenario to start from.")] = "quickstart",
    out: Annotated[Path | None, typer.Option(help="File to write; NAME.toml by default.")] = None,
) -> None:
    """Write a scenario file to start from."""
    from isacsim.engine.load import files_of

    path = out or Path(f"{Path(name).name.removesuffix('.toml')}.toml")
    source = _scenario_path(name, context.obj)
    if not source.is_file():
        names = context.obj.names("scenarios")
        raise InvalidInput("name", "must be a scenario that is installed, or a file", name, one_of(names, name))
    files = dict.fromkeys(files_of(source))
    copies = {f: path if f == source else path.parent / os.path.relpath(f, source.parent) for f in files}
    for copy in copies.values():
        if copy.exists():
            raise InvalidInput("--out", "must not exist", str(copy), "Choose another file.")
    try:
        for file, copy in copies.items():
            shutil.copyfile(file, copy)
    except OSError as error:
        raise InvalidInput("--out", f"must be writable ({error.strerror})", str(path), "Choose another file.") from None
    for copy in list(copies.values())[:-1]:
        print(f"{copy}: written")
    print(f"{path}: written; run it with `isacsim run {path}`")


def _cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _scenario_path(scenario: str, registry: Registry) -> Path:
    """A file, or the file that a name in the registry stands for."""
    if Path(scenario).exists():
        return Path(scenario)
    names = registry.names("scenarios")
    if scenario in names:
        return Path(registry.load("scenarios", scenario)())
    if re.fullmatch(r"[\w-]+", scenario):  # meant as a name: it has no folder and no ending
        remedy = where_to_find("scenarios", scenario) + one_of(names, scenario)
        raise InvalidInput("scenario", "must be a file, or the name of a scenario", scenario, remedy)
    return Path(scenario)


@contextlib.contextmanager
def _ending_gently() -> Iterator[None]:
    """Lets what ends a job, SIGTERM and the end of a terminal, act as Ctrl-C: what is in flight is kept."""
    before: dict[int, Any] = {}
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        main_thread = threading.current_thread() is threading.main_thread()
        if main_thread and number is not None and signal.getsignal(number) is signal.SIG_DFL:  # nohup has it ignored
            before[number] = signal.signal(number, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _doubts_in_a_line() -> Iterator[None]:
    """Doubts, and warnings of names of ours that go, are told as errors are, once each; others as Python tells them."""
    with warnings.catch_warnings():
        warnings.filterwarnings("always", ".* goes with isacsim ", DeprecationWarning)
        before, seen = warnings.showwarning, set[str]()

        def show(message: Warning | str, category: type[Warning], *rest: Any, **more: Any) -> None:
            if not issubclass(category, PlausibilityWarning) and " goes with isacsim " not in str(message):
                before(message, category, *rest, **more)
            elif str(message) not in seen:
                seen.add(str(message))
                print(f"warning: {message}", file=sys.stderr)

        warnings.showwarning = show
        yield


@cache
def _command() -> Any:
    # Reading the signatures of all commands takes longer than most of them run.
    return typer.main.get_command(app)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code.

    Without ``arguments`` it takes those of the process, which ends with it.
    """
    if arguments is not None:
        return _done(arguments)
    tell_what_nobody_catches()
    return leave(_done(arguments))


def _done(arguments: list[str] | None) -> int:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # whatever a terminal cannot show is told in escapes
            stream.reconfigure(errors="backslashreplace")
    try:
        with _ending_gently(), _doubts_in_a_line():
            code = _command().main(arguments, prog_name="isacsim", standalone_mode=False)
    except _UsageError as error:
        print(f"error: {usage.told(error)}", file=sys.stderr)
        return 2
    except IsacsimError as error:
        for fault in getattr(error, "errors", (error,)):
            print(f"error: {fault}", file=sys.stderr)
        return 2
    except SystemExit as error:
        # Ours, typer returns; but it ends so itself where a reader has left, as `head` does.
        # And the shell asks for completions through a variable, which it answers and ends.
        if COMPLETE in os.environ and not error.code:
            return 0
        if not isinstance(error.__context__, BrokenPipeError):
            print(f"error: a component tried to end the program, {told(error)}", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, typer.Abort):
        code = _INTERRUPTED
    if code == _INTERRUPTED:
        print("error: interrupted", file=sys.stderr)
        return 1
    return int(code or 0)
