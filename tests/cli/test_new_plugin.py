"""`isacsim new-plugin`: what it writes is imported, found and keeps its contract as it is."""

import importlib
import os
import subprocess
import sys
import tomllib

import numpy as np
import pytest

import isacsim
from isacsim.api import Request
from isacsim.cli.authoring import FORMS, write_plugin
from isacsim.errors import InvalidInput
from isacsim.plugin import KINDS, build_registry

MADE = [(kind, form) for kind in KINDS for form in FORMS.get(kind, ("",))]


@pytest.fixture
def made(tmp_path, monkeypatch):
    """Writes a plugin; returns its folder, its hook module and the module of its test."""

    def make(kind, form):
        name = f"my-{kind.replace('_', '-')}{'-' + form if form else ''}"
        module = name.replace("-", "_")
        folder = write_plugin(kind, name, tmp_path / "made", form)
        monkeypatch.syspath_prepend(folder / "src")
        monkeypatch.syspath_prepend(folder / "tests")
        hooks = importlib.import_module(f"isacsim_{module}.plugin")
        return folder, name, hooks, importlib.import_module(f"test_{module}")

    return make


@pytest.mark.parametrize(("kind", "form"), MADE)
def test_a_new_plugin_passes_its_own_test(made, tmp_path, kind, form):
    folder, name, hooks, own = made(kind, form)
    test = own.test_it_keeps_the_contract
    test(tmp_path) if test.__code__.co_argcount else test()
    registry = build_registry([hooks], installed=False)
    assert name in registry.names(kind)
    assert registry.spec(kind, name).summary
    assert not [plugin for plugin in registry.plugins if plugin.problem or plugin.notice]
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["entry-points"]["isacsim"] == {name: hooks.__name__}


def test_a_new_plugin_is_found_once_it_is_installed(call, tmp_path):
    code, out, _ = call("new-plugin", "power-model", "plain-power")
    assert code == 0
    assert out == (
        "isacsim-plain-power: written; try it with `pip install -e isacsim-plain-power` and "
        "`isacsim show power_models plain-power`\n"
    )
    own = {key: value for key, value in os.environ.items() if key != "PYTEST_ADDOPTS"}  # those are for this run
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"],
        cwd=tmp_path / "isacsim-plain-power", capture_output=True, text=True,
        env={**own, "PYTHONPATH": ":".join(["src", *sys.path])},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout


def test_a_member_whose_program_fails_costs_no_other_its_answer(made, monkeypatch):
    cvxpy = pytest.importorskip("cvxpy")
    _, name, hooks, _ = made("problems", "")
    component = importlib.import_module(f"{hooks.__package__}.component")
    rng = np.random.default_rng(3)
    H = rng.standard_normal((4, 5, 2)) + 1j * rng.standard_normal((4, 5, 2))
    problem = component.MyProblemsProblem(H, 2.0)
    solver = build_registry([hooks], installed=False).load("solvers", f"{name}-sdp")()
    alone = isacsim.solve(problem, solver)
    solve, calls = cvxpy.Problem.solve, iter(("fail", "infeasible", "unbounded", "solve"))

    def odd(program, *arguments, **options):
        word = next(calls)
        if word == "fail":
            raise cvxpy.SolverError("no luck")
        if word == "solve":
            return solve(program, *arguments, **options)
        program._status = word

    monkeypatch.setattr(cvxpy.Problem, "solve", odd)
    solution = component.MyProblemsSolver().solve(problem, Request())
    assert [str(status) for status in solution.status] == ["FAILED", "INFEASIBLE", "FAILED", "HEURISTIC"]
    assert solution.notes[0] == ("no luck",)
    assert solution.notes[2] == ("the backend ended with unbounded",)
    np.testing.assert_array_equal(solution.precoder[3], alone.precoder[3])


@pytest.mark.slow
def test_a_new_plugin_installs(tmp_path):
    """Downloads the build backend."""
    folder = write_plugin("hardware", "my-clipper", tmp_path / "made")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(tmp_path / "site")]
    subprocess.run([*command, str(folder)], check=True)
    program = (
        "from isacsim.api import build_registry as build; name = build().provider('hardware', 'my-clipper'); "
        "print(*[plugin.origin for plugin in build().plugins if plugin.name == name])"
    )
    environment = {**os.environ, "PYTHONPATH": ":".join([str(tmp_path / "site"), *sys.path])}
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=True)
    assert told.stdout == "isacsim-my-clipper 0.1.0\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("hardwear", "x"), "kind: must be a kind of component, got 'hardwear'. Did you mean 'hardware'? Valid: "),
        (("solver", "My Solver"), "name: must be lower-case letters, digits and single hyphens, got 'My Solver'. "),
        (("solver", "class"), "name: must be lower-case letters, digits and single hyphens, got 'class'. "),
        (
            ("solver", "x", "--form", "iterative"),
            "--form: must be a form of solvers, got 'iterative'. Did you mean 'ite",
        ),
        (("metric", "x", "--form", "iterating"), "--form: must be a form of metrics, got 'iterating'. Valid: none."),
        (
            ("metric", "crlb"),
            "name: must be one that no metric has, got 'crlb'. Choose another: ",
        ),
        (("metric", "x", "--out", "."), "--out: must not exist, got '.'. Choose another folder."),
    ],
)
def test_what_cannot_be_written_is_refused(call, arguments, message):
    code, out, err = call("new-plugin", *arguments)
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {message}")


def test_an_unwritable_place_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InvalidInput, match=r"--out: must be writable"):
        write_plugin("metrics", "x", tmp_path / "file" / "made")
