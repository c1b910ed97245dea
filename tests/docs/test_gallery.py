"""The gallery has every study, and the page is what its pictures and `make_gallery.py` make of it."""

from pathlib import Path

import pytest

from isacsim.plugin import build_registry

DOCS = Path(__file__).parents[2] / "docs"
pytestmark = pytest.mark.skipif(not DOCS.is_dir(), reason="the documentation is not installed")


def test_every_study_is_in_the_gallery_once(made):
    told = [name for _, _, studies in made.SECTIONS for name in studies]
    assert sorted(told) == sorted(build_registry(installed=False).names("scenarios"))


def test_the_page_is_that_of_its_pictures(made):
    assert (DOCS / "gallery.md").read_text(encoding="utf-8") == made.page(), "python docs/make_gallery.py writes it"


def test_pictures_belong_to_studies_and_are_small(made):
    files = sorted((DOCS / "images").rglob("*.*"))
    known = {name for _, _, studies in made.SECTIONS for name, trials in studies.items() if trials}
    assert {p.stem.partition("--")[0] for p in files if p.parent.name == "gallery"} <= known
    assert sum(p.stat().st_size for p in files) < 1.5 * 2**20
