"""What a stranger's plugin does stays the stranger's: it ends nothing, takes nothing over, spoils nothing else."""

import os
import re
import signal
import sys
import warnings

import pytest

import isacsim.api
from isacsim import InvalidInput, PluginError
from isacsim.benchmark.cases import entries
from isacsim.benchmark.instances import families
from isacsim.plugin import ScenarioSpec, SolverSpec, Spec, build_registry, hookimpl
from isacsim.plugin.isolation import contained, watched
from isacsim.plugin.kinds import BASES, base_of
from isacsim.plugin.surroundings import SETTINGS

MODULE = """
import sys
from isacsim.plugin import Spec, hookimpl
isacsim_api = 2

class Nameless(Exception):
    def __str__(self):
        sys.exit("from a text")

class Own(BaseException):
    pass
"""
# What is raised, and what `isacsim plugins` says of it.
RAISED = {
    "sys.exit(4)": "SystemExit: 4",
    "sys.exit('bye')": "SystemExit: bye",
    "import os; os._exit(5)": "SystemExit: 5",
    "raise SystemExit": "SystemExit",
    "raise KeyboardInterrupt": "KeyboardInterrupt",
    "raise GeneratorExit": "GeneratorExit",
    "raise Own('mine')": "Own: mine",
    "raise Nameless": "Nameless: its text cannot be told, SystemExit",
    "raise OSError('\\x1b[31mred\\udc80\\n\\u202eback')": r"OSError: \x1b[31mred\udc80 \u202eback",
    "raise OSError('long ' * 10000)": "OSError: long long",
}


@pytest.mark.parametrize("place", ["at import", "in a hook"])
@pytest.mark.parametrize("raised", RAISED)
def test_whatever_a_plugin_raises_is_told_and_the_rest_goes_on(distribution, place, raised):
    hook = f"\n@hookimpl\ndef isacsim_solvers():\n    {raised}\n    yield\n"
    module = f"isacsim_stranger_{list(RAISED).index(raised)}_{place[-2:]}"
    distribution("isacsim-stranger", module, MODULE + (raised if place == "at import" else hook))
    registry = build_registry()
    (stranger,) = (p for p in registry.plugins if p.name == "isacsim-stranger")
    assert stranger.problem.startswith(RAISED[raised])
    assert len(stranger.problem) < 600
    assert registry.default_solver("crb-min") == "primal-dual-newton"


PRESSED = "os.kill(os.getpid(), signal.SIGINT)"


@pytest.mark.skipif(os.name == "nt", reason="signals are those of POSIX")
@pytest.mark.parametrize(
    ("how", "body"),
    [
        ("through", PRESSED),
        ("swallowed", f"try:\n    {PRESSED}\nexcept BaseException:\n    pass"),
        ("replaced", f"try:\n    {PRESSED}\nfinally:\n    raise OSError"),
    ],
)
def test_ctrl_c_while_a_plugin_is_imported_ends_the_program(distribution, how, body):
    distribution("isacsim-slow", f"isacsim_slow_{how}", f"import os, signal\n{body}\n")
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        build_registry()
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.skipif(os.name == "nt", reason="signals are those of POSIX")
@pytest.mark.parametrize("body", [PRESSED, f"try:\n    {PRESSED}\nexcept BaseException:\n    pass"])
def test_ctrl_c_in_one_of_several_components_ends_the_program_whatever_the_one_before_does_to_its_handler(body):
    before = signal.getsignal(signal.SIGINT)

    @contained()
    def components():
        watch = signal.getsignal(signal.SIGINT)
        with contained():
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        assert signal.getsignal(signal.SIGINT) is watch
        with pytest.raises(KeyboardInterrupt), contained():
            exec(body, {"os": os, "signal": signal})
        with contained():  # the key that was pressed before ends none of the others
            pass

    with pytest.raises(KeyboardInterrupt):
        components()
    assert signal.getsignal(signal.SIGINT) is before


# What a plugin does to the process, and what `isacsim plugins` says that it changed.
DISTURBED = {
    "import sys; sys.stdout.close(); sys.stderr.close(); print('still there')": "",  # they are lent
    "import sys; sys.stdout.buffer.write(b'')": "",
    "import os; os.close(1)": "descriptor 1",
    "import os; os.dup2(os.open(os.devnull, os.O_WRONLY), 2)": "descriptor 2",
    "import io, sys; sys.stdout = io.StringIO()": "sys.stdout",
    "import sys; sys.stderr = None": "sys.stderr",
    "import sys; sys.stdin = None": "sys.stdin",
    "import os; os.chdir('/')": "the working folder",
    "import os; os.environ.pop('PATH')": "environment variables",
    "import os; os.environ['ISACSIM_TEST_NEW'] = '1'; del os.environ['ISACSIM_TEST_NEW']": "",
    "import sys; sys.path[:] = []": "sys.path",
    "import numpy; numpy.seterr(all='raise')": "how NumPy handles floating-point errors",
    "import numpy; numpy.set_printoptions(precision=1)": "how NumPy prints",
    "import warnings; warnings.simplefilter('error')": "filters of warnings",
    "import warnings; warnings.resetwarnings()": "filters of warnings",
    "import warnings; warnings.filterwarnings('ignore', 'of mine')": "",  # a library may silence its own
    "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)": "handlers of signals",
    "import signal; signal.signal(signal.SIGTERM, lambda *_: None)": "handlers of signals",
    "import signal; signal.setitimer(signal.ITIMER_REAL, 100)": "the alarm clock",
    "import locale; locale.setlocale(locale.LC_ALL, 'C.UTF-8')": "the locale",
    "import sys; sys.setrecursionlimit(sys.getrecursionlimit() + 7)": "the limit of recursion",
    "import sys; sys.setswitchinterval(9)": "the switch interval",
    "import gc; gc.disable()": "garbage collection",
    "import sys; sys.setprofile(lambda *_: None)": "profiling",
    "import sys; sys.excepthook = None": "sys.excepthook",
    "import warnings; warnings.showwarning = None": "warnings.showwarning",
    "import os, sys; os.fork() or sys.exit(1)": "",  # which would do what the command does a second time
}


def surroundings():
    """All that foreign code could change, but for what it may add."""
    read = [setting.read() for setting in SETTINGS if setting.name != "filters of warnings"]
    return read, sys.stdout, sys.stderr, [os.fstat(n).st_ino for n in range(3)]


@pytest.mark.skipif(os.name == "nt", reason="signals and descriptors are those of POSIX")
@pytest.mark.parametrize("done", DISTURBED)
def test_what_foreign_code_does_to_the_process_is_put_back_and_told(done):
    before = surroundings()
    _, changed = watched(exec, done, {})
    assert surroundings() == before
    assert not sys.stdout.closed
    assert not sys.stderr.closed
    assert ", ".join(changed) == DISTURBED[done]
    with pytest.warns(RuntimeWarning, match="mine"):  # neither silenced nor raised
        warnings.warn("mine", RuntimeWarning, stacklevel=1)


@pytest.mark.parametrize("place", ["at import", "in a hook"])
def test_what_a_plugin_changes_of_the_process_is_told_of_it(distribution, place):
    done = "import os; os.chdir(os.sep); sys.stdout.close(); sys.setrecursionlimit(5000)"
    hook = f"\n@hookimpl\ndef isacsim_solvers():\n    {done}\n    return []\n"
    distribution("isacsim-moves", f"isacsim_moves_{place[-2:]}", MODULE + (done if place == "at import" else hook))
    (plugin,) = (p for p in build_registry().plugins if p.name == "isacsim-moves")
    assert (plugin.problem, plugin.changed) == ("", "the working folder, the limit of recursion")


def test_the_stream_that_a_logger_keeps_outlives_the_import(distribution, capsys):
    source = "import sys\nisacsim_api = 2\nkept = sys.stdout\nkept.close()\n"
    distribution("isacsim-logs", "isacsim_logs", source)
    build_registry()
    print("later", file=sys.modules["isacsim_logs"].kept)
    assert capsys.readouterr() == ("", "later\n")


def test_a_component_whose_module_calls_sys_exit_is_reported_on_use(distribution):
    distribution("isacsim-quits", "isacsim_quits", "import sys; sys.exit(5)", entries="")
    registry = build_registry([Offers(hardware=[Spec("quits", "isacsim_quits:Stage")])], installed=False)
    with pytest.raises(PluginError, match=r"'quits' \(isacsim_quits:Stage\) cannot be imported: SystemExit: 5"):
        registry.load("hardware", "quits")


def test_a_scenario_whose_function_calls_sys_exit_is_reported_on_use(distribution):
    distribution("isacsim-lost", "isacsim_lost", "import sys\ndef quits(): sys.exit(6)\ndef none(): pass", entries="")
    offered = [ScenarioSpec(name, f"isacsim_lost:{name}") for name in ("quits", "none")]
    registry = build_registry([Offers(scenarios=offered)], installed=False)
    with pytest.raises(PluginError, match="'quits' .* cannot tell the path of its file: SystemExit: 6"):
        registry.load("scenarios", "quits")()
    with pytest.raises(PluginError, match="'none' .* cannot tell the path of its file: TypeError"):
        registry.load("scenarios", "none")()


@pytest.mark.parametrize("entries", ["[isacsim]\nno equals sign\n", "[isacsim]\nname = not a module:\n"])
def test_entry_points_that_cannot_be_read_cost_their_own_distribution_alone(distribution, entries):
    distribution("isacsim-scribble", "isacsim_scribble", "", entries=entries)
    registry = build_registry()
    (scribble,) = (p for p in registry.plugins if p.origin == "isacsim-scribble 1.2")
    assert scribble.problem
    assert {"example", "rf"} <= {p.name for p in registry.plugins if not p.problem}


class Offers:
    """A plugin whose hook ``isacsim_<kind>`` yields the given specs."""

    def __init__(self, **specs):
        for kind, offered in specs.items():
            setattr(self, f"isacsim_{kind}", hookimpl(_hook(offered)))


def _hook(offered):
    return lambda: offered


class One(Offers):
    """A plugin of another name."""


def test_a_strangers_default_takes_no_problem_over_and_the_conflict_names_both():
    stranger = Offers(solvers=[SolverSpec("aaa", "isacsim.solvers.crb_min.ipm:Ipm", default_for=("crb-min",))])
    registry = build_registry([stranger], installed=False)
    with pytest.raises(
        PluginError,
        match="problem 'crb-min' has 2 default solvers, 'aaa' of Offers and 'primal-dual-newton' of "
        "isacsim.solvers.plugin; name a solver, or block one with --block or ISACSIM_BLOCK",
    ):
        registry.default_solver("crb-min")
    assert registry.default_solver("sqnr-max") == "newton-mm"  # no other problem is touched
    assert len(registry.rivals) == 1
    assert registry.conflicts == []
    blocked = build_registry([stranger], installed=False, block=["Offers"])
    assert blocked.default_solver("crb-min") == "primal-dual-newton"


def test_a_default_for_one_problem_written_without_a_comma_is_no_default_for_another():
    spec = SolverSpec("mine", "a.b:C", default_for="point-other")
    registry = build_registry([Offers(solvers=[spec])], installed=False)
    assert registry.default_solver("point-other") == "mine"
    with pytest.raises(PluginError, match="no installed solver is the default for 'other'"):
        registry.default_solver("other")


@pytest.fixture
def untidy():
    """Two plugins that both offer a solver foo, and one with a solver that cannot be imported."""
    foo = SolverSpec("foo", "isacsim.solvers.crb_min.ipm:Ipm")
    gone = SolverSpec("gone", "isacsim_not_there:Gone")
    return build_registry([Offers(solvers=[foo, gone]), One(solvers=[foo])], installed=False)


def test_an_unrelated_conflict_and_an_unimportable_solver_do_not_spoil_a_solve(untidy, kit):
    solution = isacsim.solve(kit.make_crb_min(), registry=untidy)
    assert solution.converged


def test_the_wrong_pair_is_told_beside_a_conflict_and_an_unimportable_solver(untidy, kit):
    with pytest.raises(
        InvalidInput, match=r"solver: must take the problem crb-min.* Valid: bal, dual-newton, ipm, primal-dual"
    ) as e:
        isacsim.solve(kit.make_crb_min(), solver="sca", registry=untidy)
    assert "foo" not in str(e.value)


def test_the_rest_is_measured_beside_a_conflict_and_an_unimportable_solver(untidy):
    measured = {entry.name for entry in entries(families(untidy)["crb-min"], untidy)}
    assert {"ipm", "primal-dual-newton"} <= measured
    assert measured.isdisjoint({"foo", "gone"})


def test_all_of_a_kind_are_loaded_but_for_those_that_cannot(untidy):
    found = untidy.loadable("solvers")
    assert set(found.components) == set(untidy.names("solvers")) - {"foo", "gone"}
    assert re.match("solvers 'foo' is offered by Offers and One", found.faults["foo"])
    assert "cannot be imported: ModuleNotFoundError" in found.faults["gone"]
    assert "foo" not in untidy.usable("solvers")


@pytest.mark.parametrize(
    ("kind", "target", "told"),
    [
        (
            "hardware",
            "builtins:dict",
            "must be a class derived from isacsim.api.Hardware, got <class 'dict'>",
        ),
        ("metrics", "isacsim.hardware.base:Ideal", "must be a class derived from isacsim.api.Metric"),
        ("arrays", "math:pi", "must be a class derived from isacsim.api.AntennaArray, got 3.14"),
        ("modulations", "math:pi", "Modulation or a record of one, got 3.14"),
        ("sinks", "isacsim.engine.sinks:Sink", "must have every method that .*Sink asks for, and lacks write"),
    ],
)
def test_what_a_spec_loads_is_of_its_kind(kind, target, told):
    registry = build_registry([Offers(**{kind: [Spec("odd", target)]})], installed=False)
    with pytest.raises(PluginError, match=rf"^{kind} 'odd' \({target}\) .*{told}"):
        registry.load(kind, "odd")


@pytest.mark.parametrize("kind", sorted(BASES))
def test_the_base_of_a_kind_is_told_by_its_public_name(kind):
    base = base_of(kind)
    assert getattr(isacsim.api, base.__name__) is base


def test_a_scenario_must_be_a_function():
    registry = build_registry([Offers(scenarios=[ScenarioSpec("odd", "math:pi")])], installed=False)
    with pytest.raises(PluginError, match=r"'odd' \(math:pi\) cannot tell the path of its file: TypeError"):
        registry.load("scenarios", "odd")()


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        (lambda: Spec("good", "a:B", summary=3), "summary: must be text, got 3"),
        (lambda: Spec("good", "a:B", example=[1]), r"example: must be a table, got \[1\]"),
    ],
)
def test_summary_and_example_are_checked(spec, told):
    with pytest.raises(PluginError, match=told):
        spec()


def test_plugins_of_one_name_are_told_apart_and_a_bundled_name_stays(distribution):
    source = MODULE + '\n@hookimpl\ndef isacsim_hardware():\n    yield Spec("twin", "isacsim.hardware.base:Ideal")\n'
    named = "[isacsim]\nisacsim.hardware.plugin = {entry_point}\n"
    distribution("mimic", "isacsim_mimic", source, entries=named)
    registry = build_registry([One(), One()])
    assert registry.provider("hardware", "twin") == "mimic:isacsim.hardware.plugin"
    assert registry.provider("hardware", "aqnm") == "isacsim.hardware.plugin"
    assert {"One", "One#2"} <= {p.name for p in registry.plugins}
    blocked = build_registry(block=["isacsim.hardware.plugin", "mimic"])
    assert {p.origin for p in blocked.plugins if p.problem == "blocked"} == {"bundled", "mimic 1.2"}
