"""The command `isacsim new-plugin`: a distribution that installs and passes its tests at once."""

from __future__ import annotations

import keyword
import re
from pathlib import Path
from string import Template
from typing import Annotated, Any

import typer

from isacsim.cli.kinds import kind_named, singular
from isacsim.errors import InvalidInput, one_of
from isacsim.plugin import KINDS, Registry

# Keys of the table that builds an example, by template.
EXAMPLES: dict[str, dict[str, Any]] = {
    "arrays": {"arm": 3},
    "channels-recorded": {"path": "channels.npy"},
    "experiments": {"symbols": 64},
    "hardware": {"saturation_dbm": 3},
}
FORMS = {"channels": ("drawn", "recorded"), "solvers": ("closed-form", "iterating")}
NAME = r"[a-z][a-z0-9]*(-[a-z0-9]+)*"
CLASSES = {"scenarios": "scenario"}  # what a spec names, where it is not the class

PROJECT = Template("""[build-system]
requires = ["hatchling>=1.26"]
build-backend = "hatchling.build"

[project]
name = "isacsim-$name"
version = "0.1.0"
description = "$summary"
requires-python = ">=3.11"
dependencies = ["$needs"]

[project.optional-dependencies]
test = ["pytest"]

# The whole of being a plugin: a module with hook functions, named in the group `isacsim`.
[project.entry-points.isacsim]
$name = "$package.plugin"

[tool.hatch.build.targets.wheel]
packages = ["src/$package"]
""")
PLUGIN = Template('''"""What this plugin offers; isacsim calls it through the entry point of the distribution."""

from isacsim.api import $imports

isacsim_api = 2


@hookimpl
def isacsim_$kind():
    """A name for scenarios, where the component lives, a line for `isacsim list`, and a table that builds one."""
    yield $spec(
        "$name",
        "$package.component:$target",
        "$summary",  # change this line: `isacsim list` shows it
        example=$example,  # the keys of its table, without `kind`
    )
''')
SOLVER_OF_PROBLEM = Template('''

@hookimpl
def isacsim_solvers():
    """Its solver."""
    yield SolverSpec(
        "$name-sdp",
        "$package.component:${Class}Solver",
        "Semidefinite program",
        default_for="$name",
    )
''')
TEST = Template('''"""The contract that isacsim asks of a component of this kind; add what is known of yours."""

$imports
from $package import plugin


def test_it_keeps_the_contract($fixture):
    registry = build_registry([plugin], installed=False)
$prepare    check_component("$kind", "$name", registry$folder)
''')
README = Template("""# isacsim-$name

$summary, for [isacsim](https://pypi.org/project/isacsim/).

    pip install -e ".[test]"
    isacsim show $kind $name
    python -m pytest
""")
STUDY = """title  = "A study of my own"
extends = []
seed   = 1
trials = 2

[base_station]
transmit_array  = { kind = "ula", elements = 4 }
receive_array   = { kind = "ula", elements = 5 }
power_dbm       = 10
radar_noise_dbm = 0
snapshots       = 30

[users]
count     = 2
channel   = "rayleigh"
noise_dbm = 0

[targets]
kind        = "points"
azimuth_deg = [-20, 30]
zenith_deg  = [90, 90]
reflection  = 0.1

[design.mrt]
problem = { kind = "sum-rate-crlb", rate_weight = 1.0, crlb_weight = 1.0 }
solver  = "mrt"

[evaluate.ideal]
metrics = ["sum-rate-nats"]
"""


def new_plugin(
    context: typer.Context,
    kind: Annotated[str, typer.Argument(help="Kind of component, hardware or solver for example.")],
    name: Annotated[str, typer.Argument(help="Its name in scenarios: lower-case letters, digits and hyphens.")],
    form: Annotated[
        str, typer.Option(help="Of a solver closed-form or iterating, of a channel drawn or recorded.")
    ] = "",
    out: Annotated[Path | None, typer.Option(help="Folder to write; isacsim-NAME by default.")] = None,
) -> None:
    """Write the distribution of a plugin, which installs and passes its test as it is."""
    registry: Registry = context.obj
    if kind_named(kind) in KINDS and name in registry.names(kind_named(kind)):
        remedy = "Choose another: whoever asks for a name that two plugins offer gets an error."
        raise InvalidInput("name", f"must be one that no {singular(kind_named(kind))} has", name, remedy)
    folder = write_plugin(kind_named(kind), name, out or Path(f"isacsim-{name}"), form)
    print(f"{folder}: written; try it with `pip install -e {folder}` and `isacsim show {kind_named(kind)} {name}`")


def write_plugin(kind: str, name: str, folder: Path, form: str = "") -> Path:
    """Write the distribution of a plugin into a new folder, and return that.

    Raises:
        InvalidInput: For an unknown kind or form, a name that scenarios cannot have, or a folder that is there.
    """
    if kind not in KINDS:
        raise InvalidInput("kind", "must be a kind of component", kind, one_of(KINDS, kind))
    if not re.fullmatch(NAME, name) or keyword.iskeyword(name):
        near = name.lower().replace("_", "-")
        remedy = f"Write {near if re.fullmatch(NAME, near) else 'my-amplifier'}, for example."
        raise InvalidInput("name", "must be lower-case letters, digits and single hyphens", name, remedy)
    forms = FORMS.get(kind, ())
    if form and form not in forms:
        raise InvalidInput("--form", f"must be a form of {kind}", form, one_of(forms, form))
    if folder.exists():
        raise InvalidInput("--out", "must not exist", str(folder), "Choose another folder.")
    template = f"{kind}-{form}" if form in ("recorded", "iterating") else kind
    try:
        for path, text in _files(kind, name, template).items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text, encoding="utf-8")
    except OSError as error:
        rule = f"must be writable ({error.strerror})"
        raise InvalidInput("--out", rule, str(folder), "Choose another folder.") from None
    return folder


def _files(kind: str, name: str, template: str) -> dict[str, str]:
    """The text of each file by its path."""
    from importlib.resources import files

    module = name.replace("-", "_")
    package, cls = f"isacsim_{module}", "".join(word.capitalize() for word in name.split("-"))
    source = (files("isacsim.cli") / "templates" / f"{template}.txt").read_text(encoding="utf-8")
    for word, value in {"$Class": cls, "$name": name, "$module": module}.items():
        source = source.replace(word, value)
    spec = {"solvers": "SolverSpec", "scenarios": "ScenarioSpec"}.get(kind, "Spec")
    imports = ", ".join(sorted({spec, "hookimpl", *(["SolverSpec"] if kind == "problems" else [])}))
    example = EXAMPLES.get(template, {})
    values = {
        "name": name, "package": package, "kind": kind, "Class": cls, "spec": spec, "imports": imports,
        "summary": f"The {singular(kind)} {name}", "target": CLASSES.get(kind, cls),
        "example": f"{example!r}".replace("'", '"'),
        "needs": "isacsim[convex]" if kind == "problems" else "isacsim",  # its solver is a cone program
    }  # fmt: skip
    plugin = PLUGIN.substitute(values).replace("        example={},  # the keys of its table, without `kind`\n", "")
    if kind == "problems":
        plugin += SOLVER_OF_PROBLEM.substitute(values)
    made = {
        "pyproject.toml": PROJECT.substitute(values),
        "README.md": README.substitute(values),
        f"src/{package}/__init__.py": f'"""{values["summary"]}, for isacsim."""\n',
        f"src/{package}/component.py": source,
        f"src/{package}/plugin.py": plugin,
        f"tests/test_{module}.py": _test(values, template),
    }
    if kind == "scenarios":
        made[f"src/{package}/{module}.toml"] = STUDY
    return made


def _test(values: dict[str, str], template: str) -> str:
    head = "from isacsim.api import build_registry\nfrom isacsim.testing import check_component\n"
    if template != "channels-recorded":
        text = TEST.substitute(values | {"imports": head, "fixture": "", "prepare": "", "folder": ""})
    else:
        prepare = (
            "    rng = np.random.default_rng(1)\n"
            "    # A file in your format, with what the contract draws: 4 trials of 6 antennas and 2 users.\n"
            "    H = rng.standard_normal((4, 6, 2)) + 1j * rng.standard_normal((4, 6, 2))\n"
            '    np.save(tmp_path / "channels.npy", H)\n'
        )
        more = {"imports": f"import numpy as np\n\n{head}", "fixture": "tmp_path", "prepare": prepare}
        text = TEST.substitute(values | more | {"folder": ", tmp_path"})
    if values["kind"] == "problems":
        text += f'    check_component("solvers", "{values["name"]}-sdp", registry)\n'
    return text
