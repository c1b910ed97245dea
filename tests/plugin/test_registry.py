"""The registry: what plugins offer, what is wrong with them, and what they may not do."""

import re
import subprocess
import sys
import types

import pytest

from isacsim import InvalidInput, PluginError
from isacsim.bundled import PLUGINS
from isacsim.plugin import (
    API_VERSION,
    KINDS,
    Plugin,
    ScenarioSpec,
    SolverSpec,
    Spec,
    build_registry,
    default_registry,
    hookimpl,
    hookspecs,
)
from isacsim.plugin.kinds import BASES
from isacsim.plugin.registry import BLOCK_VARIABLE


def plugin(name="extra", **hooks):
    """A plugin module whose hook ``isacsim_<kind>`` yields the given specs, or what a function returns."""
    module = types.ModuleType(name)
    module.isacsim_api = API_VERSION
    for kind, specs in hooks.items():
        setattr(module, f"isacsim_{kind}", hookimpl(_hook(specs)))
    return module


def _hook(specs):
    def implementation():  # pluggy looks at the signature: a hook takes no arguments
        return specs() if callable(specs) else specs

    return implementation


LIMITER = Spec("soft-limiter", "isacsim.hardware.base:Ideal", "Stands for an amplifier")


def test_a_plugin_adds_its_components_to_those_that_come_along():
    registry = build_registry([plugin(hardware=[LIMITER])], installed=False)
    assert "soft-limiter" in registry.names("hardware")
    assert {"ideal", "aqnm", "mid-rise"} <= set(registry.names("hardware"))
    assert registry.provider("hardware", "soft-limiter") == "extra"
    assert registry.spec("hardware", "soft-limiter") is LIMITER
    assert registry.load("hardware", "soft-limiter").__name__ == "Ideal"
    assert registry.plugins[-1] == Plugin("extra", "given", "")
    assert registry.conflicts == []


def test_a_registry_does_not_change_the_next_one():
    build_registry([plugin(hardware=[LIMITER])], installed=False)
    assert "soft-limiter" not in build_registry(installed=False).names("hardware")
    assert default_registry() is default_registry()
    assert "aqnm" in default_registry().names("hardware")


@pytest.mark.parametrize(
    ("broken", "problem"),
    [
        (lambda: plugin(hardware=lambda: 1 / 0), "ZeroDivisionError: division by zero"),
        (lambda: plugin(hardware=["text"]), "^isacsim_hardware must yield Spec, got 'text'"),
        (lambda: plugin(solvers=[LIMITER]), "^isacsim_solvers must yield SolverSpec"),
        (lambda: plugin(hardware=3), "^isacsim_hardware must yield its specs, got 3 by itself. Write yield Spec"),
        (lambda: plugin(hardware=LIMITER), "^isacsim_hardware must yield its specs, got Spec.* by itself"),
        (lambda: plugin(hardwear=[LIMITER]), "^isacsim_hardwear is no hook. Did you mean 'isacsim_hardware'"),
        (lambda: plugin(hardware=lambda: [Spec("Bad Name", "a:B")]), "^name: must be lower-case letters"),
        (
            lambda: plugin(hardware=lambda: [Spec("good", "no-target")]),
            "^target: must read 'package.module:Name'",
        ),
    ],
    ids=["raises", "no spec", "wrong spec", "no list", "no list of it", "misspelt hook", "bad name", "bad target"],
)
def test_a_broken_plugin_is_reported_and_the_rest_goes_on(broken, problem):
    registry = build_registry([broken(), plugin("sound", hardware=[LIMITER])], installed=False)
    told = {p.name: p.problem for p in registry.plugins}
    assert re.search(problem, told["extra"])
    assert told["sound"] == ""
    assert {"soft-limiter", "aqnm"} <= set(registry.names("hardware"))


def test_what_a_broken_plugin_offered_before_it_broke_is_not_in_use():
    half = plugin(channels=[Spec("half", "a:B")], hardware=lambda: 1 / 0)
    assert "half" not in build_registry([half], installed=False).names("channels")


def test_a_name_that_two_plugins_offer_is_refused_naming_both():
    registry = build_registry([plugin("mine", hardware=[Spec("aqnm", "x.y:Z")])], installed=False)
    with pytest.raises(
        PluginError,
        match="hardware 'aqnm' is offered by isacsim.hardware.plugin and mine; block one with --block or ISACSIM_BLOCK",
    ):
        registry.load("hardware", "aqnm")
    assert registry.conflicts == ["hardware 'aqnm': isacsim.hardware.plugin and mine"]
    assert registry.load("hardware", "mid-rise").__name__ == "MidRise"  # only the name in dispute is refused


def test_a_plugin_can_be_blocked_by_option_and_by_environment(monkeypatch):
    extra = [plugin("mine", hardware=[Spec("aqnm", "x.y:Z"), LIMITER])]
    by_option = build_registry(extra, installed=False, block=["mine"])
    monkeypatch.setenv(BLOCK_VARIABLE, " other , mine,")
    by_environment = build_registry(extra, installed=False)
    for registry in (by_option, by_environment):
        assert registry.load("hardware", "aqnm").__name__ == "Aqnm"
        assert "soft-limiter" not in registry.names("hardware")
        assert Plugin("mine", "given", "blocked") in registry.plugins
    monkeypatch.setenv(BLOCK_VARIABLE, "isacsim.hardware.plugin")
    assert build_registry(extra, installed=False).spec("hardware", "aqnm").target == "x.y:Z"


SOURCE = """
from isacsim.plugin import Spec, hookimpl

isacsim_api = 2

@hookimpl
def isacsim_hardware():
    yield Spec("from-afar", "isacsim.hardware.base:Ideal")
"""


def test_an_installed_distribution_is_found_by_its_entry_point(distribution):
    distribution("isacsim-afar", "isacsim_afar_plugin", SOURCE)
    registry = build_registry()
    assert registry.provider("hardware", "from-afar") == "isacsim-afar"
    assert Plugin("isacsim-afar", "isacsim-afar 1.2", "") in registry.plugins
    assert "from-afar" not in build_registry(installed=False).names("hardware")
    assert "from-afar" not in build_registry(block=["isacsim-afar"]).names("hardware")


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("import not_there_at_all", "ModuleNotFoundError"),
        ("def broken(:", "SyntaxError"),
        ("raise RuntimeError('no')", "no"),
    ],
)
def test_an_installed_plugin_that_cannot_be_imported_is_reported(distribution, source, problem):
    distribution("isacsim-broken", f"isacsim_broken_{problem.lower()}", source)
    registry = build_registry()
    (broken,) = (p for p in registry.plugins if p.name == "isacsim-broken")
    assert problem in broken.problem
    assert "aqnm" in registry.names("hardware")


def test_an_unknown_name_is_refused_with_the_nearest():
    registry = build_registry(installed=False)
    with pytest.raises(
        InvalidInput, match="kind: must name one of the channels, got 'raleigh'.*Did you mean 'rayleigh'"
    ):
        registry.load("channels", "raleigh")
    with pytest.raises(
        InvalidInput, match="kind: must name one of the channels, got 3.*Valid: cdl, exponential, fang25, .*rayleigh"
    ):
        registry.spec("channels", 3)
    with pytest.raises(InvalidInput, match="kind: must be a kind of component, got 'channel'.*Did you mean 'channels'"):
        registry.names("channel")


def test_the_default_solver_of_a_problem_is_the_one_that_says_so():
    registry = build_registry(installed=False)
    assert registry.default_solver("sum-rate-crlb") == "riemannian-lbfgs"
    with pytest.raises(PluginError, match="no installed solver is the default for 'other'; name a solver"):
        registry.default_solver("other")
    mine = plugin(solvers=[SolverSpec("mine", "a.b:C", default_for=("other",))])
    assert build_registry([mine], installed=False).default_solver("other") == "mine"


def test_a_target_that_is_not_there_is_reported_on_use():
    gone = plugin(hardware=[Spec("gone", "isacsim.hardware.base:Gone"), Spec("lost", "isacsim.lost:X")])
    registry = build_registry([gone], installed=False)
    with pytest.raises(PluginError, match=r"'gone' \(isacsim.hardware.base:Gone\) cannot be imported: AttributeError"):
        registry.load("hardware", "gone")
    with pytest.raises(PluginError, match=r"'lost' \(isacsim.lost:X\) cannot be imported: ModuleNotFoundError"):
        registry.load("hardware", "lost")


@pytest.mark.parametrize("name", ["", "Upper", "under_score", "9lives", "a b", None, 3])
def test_names_of_components_are_lower_case_with_hyphens(name):
    with pytest.raises(PluginError, match="name: must be lower-case letters, digits and hyphens"):
        Spec(name, "a:B")


@pytest.mark.parametrize("target", ["", "a.b", "a:", ":B", "a b:C", "a:B.c", None])
def test_targets_are_a_module_and_a_name(target):
    with pytest.raises(PluginError, match="target: must read 'package.module:Name'"):
        Spec("good", target)


def test_the_kinds_are_those_of_the_promised_hooks():
    promised = (
        "arrays",
        "elements",
        "channels",
        "targets",
        "hardware",
        "power_models",
        "problems",
        "solvers",
        "metrics",
        "modulations",
        "experiments",
        "detectors",
        "map_detectors",
        "executors",
        "sinks",
        "scenarios",
        "observers",
    )
    assert set(KINDS) == set(promised)
    assert set(build_registry(installed=False).kinds) == set(promised)


@pytest.mark.parametrize("kind", KINDS)
def test_every_hook_has_a_documented_specification_that_does_nothing(kind):
    hook = getattr(hookspecs, f"isacsim_{kind}")
    assert hook.__doc__.startswith("Offer ")
    assert kind not in BASES or f"`isacsim.api.{BASES[kind].split(':')[1]}`" in hook.__doc__
    with pytest.raises(NotImplementedError, match="^$"):
        hook()


def test_every_bundled_plugin_is_sound_and_its_components_have_a_summary_and_can_be_loaded():
    registry = build_registry(installed=False)
    assert [(p.name, p.problem) for p in registry.plugins] == [(name, "") for name in PLUGINS]
    components = [(kind, name) for kind in KINDS for name in registry.names(kind)]
    assert len(components) > 20
    for kind, name in components:
        spec = registry.spec(kind, name)
        assert spec.summary, (kind, name)
        assert isinstance(spec, ScenarioSpec if kind == "scenarios" else Spec)
        loaded = registry.load(kind, name)
        assert loaded.__doc__, (kind, name)


def test_building_a_registry_imports_no_component_and_nothing_heavy():
    program = (
        "import sys; from isacsim.plugin import KINDS, build_registry; r = build_registry(installed=False); "
        "targets = {r.spec(k, n).target.partition(':')[0] for k in KINDS for n in r.names(k)}; "
        "print(sorted((targets | {'cvxpy', 'xarray', 'matplotlib', 'scipy', 'typer', 'rich'}) & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    # The public functions of isacsim.metrics, beside its plugin file, build on these light ones.
    assert done.stdout.strip() in ("['isacsim.arrays', 'isacsim.elements', 'isacsim.hardware.base']", "[]")
