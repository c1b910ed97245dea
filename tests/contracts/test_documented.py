"""Every hook and every bundled component is documented."""

from pathlib import Path

import pytest

from isacsim.plugin import KINDS, build_registry

DOCS = Path(__file__).parents[2] / "docs"
BUNDLED = build_registry(installed=False)

pytestmark = pytest.mark.skipif(not DOCS.is_dir(), reason="the documentation is not installed")


@pytest.mark.parametrize("kind", KINDS)
def test_every_hook_has_a_section(kind):
    lines = (DOCS / "plugins.md").read_text(encoding="utf-8").splitlines()
    assert f"### isacsim_{kind}" in lines


@pytest.mark.parametrize(("kind", "name"), [(k, n) for k in KINDS for n in BUNDLED.names(k)])
def test_every_bundled_component_is_documented(kind, name):
    lines = (DOCS / "components.md").read_text(encoding="utf-8").splitlines()
    assert any(f"`{name}`" in line or f'"{name}"' in line for line in lines), f"{kind} {name!r} is in no line"
