"""What a notebook shows of records, and that it is escaped."""

import re

import numpy as np
import pytest

import isacsim
from isacsim.notebook import ranged, table


def test_cells_are_text():
    assert table("<b>", [("a & b", "<i>")]) == (
        "<div><b>&lt;b&gt;</b><table><tr><td>a &amp; b</td><td>&lt;i&gt;</td></tr></table></div>"
    )


def test_many_numbers_are_told_by_their_range():
    assert ranged([1.0, 2.5]) == "1, 2.5"
    assert ranged(np.r_[np.arange(20.0), np.nan, np.inf]) == "0 to 19 (22 members)"
    assert ranged(np.full(9, np.nan)) == "none finite (9 members)"


@pytest.mark.parametrize("batch", [(), (3,), (20,)])
def test_a_solution_and_its_problem_are_short_whatever_the_batch(kit, batch):
    problem = kit.make_problem(batch=batch)
    solution = isacsim.solve(problem, "zf")
    for shown in (repr(solution), solution._repr_html_(), problem._repr_html_()):
        assert len(shown) < 2500
    assert "HEURISTIC" in repr(solution)
    html = solution._repr_html_()
    assert f"shape {(*batch, 6, 2)}" in html
    assert len(re.findall("<tr>", html)) == len(re.findall("</tr>", html)) >= 6


def test_a_scenario_and_a_run_say_what_they_are(studies, tmp_path):
    scenario = studies.load("trials=1", "sweep.bits.values=[3]", folder=tmp_path)
    assert "base_station" in scenario._repr_html_()
    html = isacsim.run(scenario, tmp_path / "run")._repr_html_()
    for told in ("1 requested = 1 done", "sca", "sweep of bits", "rate, crlb"):
        assert told in html
