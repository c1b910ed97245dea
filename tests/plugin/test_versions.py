"""Versions of the plugin API, and names that go."""

import sys
import types
import warnings

import pytest

from isacsim.bundled import PLUGINS
from isacsim.deprecation import deprecated_names
from isacsim.plugin import API_VERSION, Plugin, build_registry, default_registry
from isacsim.plugin.versions import OLDEST

# The plugin file of isacsim-example as it was before plugins said a version.
OLD_EXAMPLE = '''
"""What this plugin offers; isacsim calls it through the entry point of the distribution."""

from collections.abc import Iterable

from isacsim.plugin import Spec, hookimpl


@hookimpl
def isacsim_hardware() -> Iterable[Spec]:
    """One hardware stage."""
    yield Spec(
        "old-limiter",
        "isacsim_example.limiter:SoftLimiter",
        "Amplifier that clips the envelope",
        {"saturation_dbm": 3},
    )
'''


def versioned(version):
    """A plugin module that says a version."""
    module = types.ModuleType("dated")
    module.isacsim_api = version
    return module


def test_a_plugin_without_a_version_works_with_exactly_one_warning(distribution):
    distribution("isacsim-old", "isacsim_old_plugin", OLD_EXAMPLE)
    with pytest.warns(DeprecationWarning, match="isacsim-old") as told:
        registry = build_registry()
    (warning,) = told
    assert "isacsim-old (isacsim-old 1.2): it does not say which version" in str(warning.message)
    assert "say `isacsim_api = 2` in its module" in str(warning.message)
    (old,) = (p for p in registry.plugins if p.name == "isacsim-old")
    assert (old.problem, old.notice in str(warning.message)) == ("", True)
    assert registry.load("hardware", "old-limiter").__name__ == "SoftLimiter"


def test_a_plugin_of_an_older_version_works_with_a_notice():
    with pytest.warns(DeprecationWarning, match="it is written for version 1 of the plugin API, which goes with"):
        registry = build_registry([versioned(OLDEST)], installed=False)
    assert registry.plugins[-1].problem == ""


@pytest.mark.parametrize(
    ("version", "told"),
    [
        (3, "it is written for version 3 of the plugin API, and this isacsim knows 1 to 2: "
            "update isacsim, or install an older release of the plugin."),
        (0, "it is written for version 0 of the plugin API, and this isacsim knows 1 to 2: install a newer release "
            "of the plugin, or follow docs/plugins.md and say `isacsim_api = 2` in its module."),
        ("2", "isacsim_api must be a whole number, got '2': say 2, or the version it follows."),
        (True, "isacsim_api must be a whole number, got True: say 2, or the version it follows."),
    ],
)  # fmt: skip
def test_a_plugin_of_an_unknown_version_is_refused_with_a_sentence_that_says_what_to_do(version, told):
    registry = build_registry([versioned(version)], installed=False)
    assert registry.plugins[-1] == Plugin("dated", "given", told)


def test_an_object_that_code_gives_lives_beside_that_code_and_need_not_say_a_version():
    class Beside:
        pass

    assert build_registry([Beside()], installed=False).plugins[-1] == Plugin("Beside", "given")


def test_every_plugin_that_comes_along_says_the_present_version():
    for name in (*PLUGINS, "isacsim_example.plugin", "isacsim_rf.plugin"):
        __import__(name)
        assert sys.modules[name].isacsim_api == API_VERSION
    assert not any(plugin.notice for plugin in default_registry().plugins)


def test_a_name_that_has_moved_works_with_one_warning_for_whoever_uses_it():
    old = types.ModuleType("isacsim_old_home")
    old.__getattr__ = deprecated_names("isacsim_old_home", {"Stage": "isacsim.hardware.base:Ideal"}, gone="0.2")
    with pytest.warns(DeprecationWarning, match="Stage") as told:
        assert old.Stage.__name__ == "Ideal"
    (warning,) = told
    text = "isacsim_old_home.Stage is deprecated and goes with isacsim 0.2; use isacsim.hardware.base.Ideal."
    assert (str(warning.message), warning.filename) == (text, __file__)
    with (
        warnings.catch_warnings(record=True) as others,
        pytest.raises(AttributeError, match="module 'isacsim_old_home' has no attribute 'Other'"),
    ):
        _ = old.Other
    assert not others
