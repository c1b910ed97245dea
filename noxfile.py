"""Developer sessions; `nox -s lint types tests docs` is what every change must pass."""

import os
import re
import tomllib
from pathlib import Path

import nox

nox.options.sessions = ["lint", "types", "tests", "docs"]
nox.options.reuse_existing_virtualenvs = True

ROOT = Path(__file__).parent
PLUGINS = ("-e", "plugins/isacsim-example", "-e", "plugins/isacsim-rf", "-e", "plugins/isacsim-dask")


def lower_bounds() -> list[str]:
    """The declared dependencies and those of the cone programs, each at its lower bound."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = [*project["dependencies"], *project["optional-dependencies"]["convex"]]
    pins = [re.sub(r">=", "==", requirement) for requirement in declared]
    open_ended = [pin for pin in pins if "==" not in pin]
    if open_ended:
        raise ValueError(f"dependencies without a lower bound: {', '.join(open_ended)}")
    return pins


@nox.session
def lint(session: nox.Session) -> None:
    """Style and common mistakes."""
    session.install("ruff")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Static types."""
    session.install("-e", ".[dev]")
    session.run("mypy")


@nox.session
def tests(session: nox.Session) -> None:
    """The tests, with branch coverage."""
    session.install("-e", ".[test]", *PLUGINS)
    session.run("pytest", "--cov", *session.posargs)


@nox.session
def full(session: nox.Session) -> None:
    """Every test, the slow ones included; prints what they measure."""
    session.install("-e", ".[test]", *PLUGINS)
    session.run("pytest", "-m", "", "-n", "0", "-s", "--durations=20", *session.posargs)


@nox.session
def lowest(session: nox.Session) -> None:
    """The tests with the lowest versions that pyproject.toml declares."""
    session.install("-e", ".[test]", *PLUGINS, *lower_bounds())
    session.run("python", "-m", "pip", "list")
    # Old releases use what their own newest dependencies deprecate; that is not ours to mend.
    session.run("pytest", "-W", "ignore::DeprecationWarning", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """The documentation; a warning is an error."""
    session.install("-e", ".[docs]")
    session.run("sphinx-build", "-W", "--keep-going", "-n", "-b", "html", "docs", "docs/_build/html")


@nox.session
def bench_html(session: nox.Session) -> None:
    """Pages of the benchmarks over the history, in asv_bench/html; `-- HEAD~5..HEAD` measures some commits first."""
    session.install("-e", ".[bench]")
    session.chdir("asv_bench")
    session.run("asv", "machine", "--yes")
    if session.posargs:
        session.run("asv", "run", "--skip-existing-successful", *session.posargs)
    session.run("asv", "publish")


@nox.session
def bench(session: nox.Session) -> None:
    """The benchmarks, quickly, on the working tree; `-- --bench NAME` picks some."""
    session.install("-e", ".[bench]", *PLUGINS)
    python = os.path.join(session.bin, "python")
    session.chdir("asv_bench")
    session.run("asv", "machine", "--yes")
    session.run("asv", "check", "-E", f"existing:{python}")
    session.run("asv", "run", "--quick", "--show-stderr", "-E", f"existing:{python}", *session.posargs)
