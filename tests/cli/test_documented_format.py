"""The scenario format documents itself: sections, schema, reference, completion."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from isacsim.engine.schema import field_docs, schema
from isacsim.engine.sections import SECTIONS, keys, markdown
from isacsim.plugin import KINDS, build_registry

pytestmark = pytest.mark.usefixtures("one_registry")

ROOT = Path(__file__).parents[2]
BUNDLED = build_registry(installed=False)
FILES = sorted((ROOT / "scenarios").rglob("*.toml"))


@pytest.fixture(scope="module")
def made():
    return schema(BUNDLED)


def faults(value, rule, whole, path=""):
    """What of a value breaks a schema of the few words that ours uses; an independent reading of them."""
    if "$ref" in rule:
        rule = whole["$defs"][rule["$ref"].rpartition("/")[2]]
    if "anyOf" in rule and all([*faults(value, choice, whole, path)] for choice in rule["anyOf"]):
        yield f"{path}: none of its choices"
    names = {dict: "object", list: "array", str: "string", bool: "boolean", int: "integer", float: "number"}
    allowed = rule.get("type", [])
    kind = names[type(value)]
    if allowed and kind not in allowed and not (kind == "integer" and "number" in allowed):
        yield f"{path}: {kind} in place of {allowed}"
    if "enum" in rule and value not in rule["enum"]:
        yield f"{path}: {value!r} is no choice"
    if "const" in rule and value != rule["const"]:
        yield f"{path}: is not {rule['const']!r}"
    if isinstance(value, dict):
        for key, entry in value.items():
            more = rule.get("properties", {}).get(key, rule.get("additionalProperties", True))
            if more is False:
                yield f"{path}.{key}: unknown"
            elif more is not True:
                yield from faults(entry, more, whole, f"{path}.{key}")
    if isinstance(value, list) and "items" in rule:
        for i, entry in enumerate(value):
            yield from faults(entry, rule["items"], whole, f"{path}.{i}")


@pytest.mark.parametrize("file", FILES, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_every_scenario_fits_the_schema(made, file):
    table = tomllib.loads(file.read_text(encoding="utf-8"))
    if not table.get("requires"):  # else it names components of a plugin
        assert list(faults(table, made, made)) == []


def test_every_key_says_what_its_value_is():
    classes = [cls for _, cls in SECTIONS.values()]
    for kind in set(KINDS) - {"scenarios"}:
        classes += [found for found in BUNDLED.loadable(kind).components.values() if isinstance(found, type)]
    assert [(cls.__name__, key.key) for cls in classes for key in keys(cls) if key.type == "any"] == []


def test_choices_and_paths_are_told_as_such(made):
    told = {key.key: key.type for key in keys(BUNDLED.load("channels", "recorded"))}
    assert (told["path"], told["blocked"], told["phase"]) == ("path", "`keep`, `skip`", "`positive`, `negative`")
    assert told["receive"] == "place from 0 or `sum` or `trial` or `user`"
    recorded = next(t for t in made["$defs"]["channels"]["anyOf"] if "imaginary_variable" in t.get("properties", {}))
    assert recorded["properties"]["blocked"]["enum"] == ["keep", "skip"]


@pytest.mark.parametrize(
    "text",
    [
        "[figure.rate]\nscael = 'log'",
        "[figure.rate]\nscale = 'lin'",
        "trials = 'ten'",
        "[users]\nchannel = 'rayliegh'",
        "[users]\nchannel = { kind = 'rician', k_factor = 3 }",
        "[base_station]\npower = 10",
        "[design.x]\nsolver = { kind = 'sca', tolerence = 1e-3 }",
        "[evaluate.x]\nmetrics = ['sum-rate']",
        "[hardware.x]\ntransmit = [{ kind = 'aqnm', bit = 3 }]",
        "[sweeps.x]\nvalues = [1]",
    ],
)
def test_mistakes_do_not_fit_the_schema(made, text):
    assert list(faults(tomllib.loads(text), made, made))


def test_the_schema_that_is_shipped_is_that_of_the_code(made):
    shipped = json.loads((ROOT / "scenarios" / "schema.json").read_text(encoding="utf-8"))
    assert shipped == json.loads(json.dumps(made)), "write it with `isacsim schema`, all plugins blocked"


def test_the_schema_describes_every_key():
    for _, cls in SECTIONS.values():
        undocumented = [key.key for key in keys(cls) if not key.doc]
        assert undocumented == []
    assert field_docs(SECTIONS["figure"][1])["dots"].startswith("Draw each number of each trial as a dot")


@pytest.mark.skipif(not (ROOT / "docs").is_dir(), reason="the documentation is not installed")
def test_the_reference_is_made_from_the_code():
    page = (ROOT / "docs" / "scenario-reference.md").read_text(encoding="utf-8")
    assert page.endswith(markdown()), "write what `isacsim.engine.sections.markdown` returns there"


@pytest.mark.parametrize("name", SECTIONS)
def test_show_tells_of_a_table_of_scenarios(call, name):
    code, out, _ = call("show", name)
    assert code == 0
    for key in keys(SECTIONS[name][1]):
        assert f"  {key.key} " in out
    code, out, _ = call("show", name, "--json")
    assert [field["key"] for field in json.loads(out)["fields"]] == [key.key for key in keys(SECTIONS[name][1])]


@pytest.mark.parametrize("kind", KINDS)
def test_kinds_may_be_singular(call, kind):
    word = kind.removesuffix("s").replace("_", "-")
    assert call("list", word)[1] == call("list", kind)[1]
    for name in BUNDLED.names(kind)[:1]:
        assert call("show", word, name)[1] == call("show", kind, name)[1]


def test_schema_is_printed_and_written(call, tmp_path):
    code, out, _ = call("schema")
    assert code == 0
    assert json.loads(out)["title"] == "isacsim scenario"
    code, told, _ = call("schema", "--out", "here.json")
    assert (code, (tmp_path / "here.json").read_text(encoding="utf-8")) == (0, out)
    assert told.startswith("here.json: written; ")


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("isacsim sh", ["show"]),
        ("isacsim list sol", ["solvers"]),
        ("isacsim show solver riem", ["riemannian-cg", "riemannian-lbfgs"]),
        ("isacsim run quick", ["quickstart"]),
    ],
)
def test_a_shell_completes(words, wanted):
    environment = {**os.environ, "_ISACSIM_COMPLETE": "complete_bash", "COMP_WORDS": words}
    environment["COMP_CWORD"] = str(len(words.split()) - 1)
    program = "import sys; sys.argv = ['isacsim']; from isacsim.cli.main import main; sys.exit(main())"
    told = subprocess.run(
        [sys.executable, "-c", program],
        env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert (told.returncode, told.stdout.split(), told.stderr) == (0, wanted, "")
