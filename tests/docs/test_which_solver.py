"""The page of solvers is what the solvers say of themselves, with the times of the benchmark tables."""

from pathlib import Path

import pytest

from isacsim.plugin import build_registry

DOCS = Path(__file__).parents[2] / "docs"
pytestmark = pytest.mark.skipif(not DOCS.is_dir(), reason="the documentation is not installed")


@pytest.fixture(scope="module")
def page():
    return (DOCS / "which-solver.md").read_text(encoding="utf-8")


def test_the_page_is_what_the_code_says(made, page):
    assert page == made.page(), "python docs/make_which_solver.py writes it"


def test_every_solver_and_every_problem_is_there(page):
    registry = build_registry(installed=False)
    for name in registry.names("problems"):
        assert f"\n## {name}\n" in page
    assert [name for name in registry.names("solvers") if f"| `{name}`" not in page and f", `{name}`" not in page] == []


def test_times_are_those_of_one_size(made):
    text = "# Tables\n\n## mine\n\n| size | solver | of | time |\n| --- | --- | --- | --- |\n"
    text += "| 16x4 | fast | 5 | 2 ms |\n| 16x4 | fast | x20 | 1 us |\n| 32x4 | fast | 5 | 9 s |\n"
    text += "| 16x4-point | fast | 5 | 8 s |\n| 8x4 | slow | 1 | 3 s |\n"
    assert made.times(text) == {("mine", "fast"): ("2 ms", "1 us")}
