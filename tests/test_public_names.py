"""The public names: a page that lists them, modules that have them, and authors that use no others."""

import ast
import importlib
import re
from pathlib import Path

import pytest

import isacsim
import isacsim.api
from isacsim.lazy import lazy_names

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "public-names.md"
PUBLIC = ("isacsim", "isacsim.api", "isacsim.metrics", "isacsim.units", "isacsim.testing")

pytestmark = pytest.mark.skipif(not PAGE.is_file(), reason="the documentation is not installed")


def listed():
    """The names in the tables of the page, by module."""
    found, module = {}, None
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            module = line.removeprefix("## ") if line.removeprefix("## ") in PUBLIC else None
        elif module and line.startswith("| `"):
            found.setdefault(module, []).extend(re.findall(r"`(\w+)`", line.split("|")[1]))
    return found


@pytest.mark.parametrize("module", PUBLIC)
def test_the_page_lists_the_names_of_a_public_module_and_no_others(module):
    names = listed()[module]
    assert len(names) == len(set(names))
    assert set(names) == set(importlib.import_module(module).__all__)


def test_the_page_names_the_public_modules():
    assert set(listed()) == set(PUBLIC)


@pytest.mark.parametrize("module", [isacsim, isacsim.api], ids=lambda m: m.__name__)
def test_a_type_checker_sees_the_lazy_names_where_they_are_found(module):
    block = next(n for n in ast.parse(Path(module.__file__).read_text(encoding="utf-8")).body if isinstance(n, ast.If))
    seen = {(node.module, alias.name) for node in block.body for alias in node.names}
    found = {(home, name) for home, names in module._HOMES.items() for name in names}
    assert seen - {("isacsim", "metrics")} == found


def test_every_name_for_authors_is_there_and_documented():
    for name in isacsim.api.__all__:
        assert getattr(isacsim.api, name) is not None
    assert set(isacsim.api.__all__) <= set(dir(isacsim.api))
    assert isacsim.api.solve is isacsim.solve
    with pytest.raises(AttributeError, match=r"module 'isacsim\.api' has no attribute 'nothing'"):
        _ = isacsim.api.nothing


def test_a_lazy_name_is_imported_once():
    find, names = lazy_names(__name__, {"fractions": ("Fraction",)})
    assert "Fraction" in names()
    assert "Fraction" not in globals()
    assert find("Fraction") is globals().pop("Fraction")


def imports_of(source):
    """Every name that a program imports from isacsim or a module of it, as ``module:name``."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (f"{alias.name}:" for alias in node.names if alias.name.split(".")[0] == "isacsim")
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "isacsim":
            yield from (f"{node.module}:{alias.name}" for alias in node.names)


ALLOWED = {f"{module}:{name}" for module in PUBLIC for name in ["", *importlib.import_module(module).__all__]}
ALLOWED |= {f"isacsim:{module.removeprefix('isacsim.')}" for module in PUBLIC[1:]}


@pytest.mark.parametrize("path", sorted(ROOT.glob("plugins/*/src/**/*.py")), ids=lambda p: p.stem)
def test_plugins_import_public_names_alone(path):
    assert set(imports_of(path.read_text(encoding="utf-8"))) <= ALLOWED


PAGES = [*sorted(ROOT.glob("docs/*.md")), *sorted(ROOT.glob("plugins/*/*.md")), ROOT / "README.md"]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_examples_of_the_documentation_import_public_names_alone(page):
    for block in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        assert set(imports_of(block)) <= ALLOWED, block
