"""The suite measures what the registry knows, plugins included, and repeats its answers."""

import json
import math

import attrs
import numpy as np
import pytest

from isacsim.benchmark import suite
from isacsim.benchmark.cases import Case, entries
from isacsim.benchmark.instances import FAMILIES, families
from isacsim.benchmark.results import Result, Results, dumps, made, read, write
from isacsim.benchmark.selection import Selection
from isacsim.benchmark.suite import Effort, measure, plan
from isacsim.errors import InvalidInput
from isacsim.plugin import build_registry, default_registry
from isacsim.report import benchmarks

pytestmark = pytest.mark.usefixtures("ticks")

ONCE = Effort(slow=math.inf, budget=0.0, rounds=1)


def quiet(text):
    pass


def measured(selection, registry, effort=ONCE):
    found = measure(selection.planned(registry, quiet), effort, registry, quiet)
    return Results({**made(registry), "command": "isacsim bench"}, tuple(found))


def test_every_solver_and_stage_of_the_registry_has_a_case():
    registry = default_registry()
    labels = {e.name for family in families(registry).values() for e in entries(family, registry)}
    # Heuristics are no competitors: they may miss what the others are asked for.
    assert labels == {name for name in registry.names("solvers") if not registry.load("solvers", name).heuristic}
    planned = {(r.case.subject, r.case.name) for r in suite.hardware(registry.names("hardware"))}
    assert planned == {("hardware", name) for name in registry.names("hardware")}


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.kind)
def test_reference_instances_are_posed_and_members_do_not_depend_on_their_number(family, kit):
    registry = default_registry()
    if family.kind not in registry.names("problems"):
        pytest.skip("not installed")
    assert family.names(full=False) == [size.name for size in family.sizes if size.short]
    assert set(family.names(full=True)) > set(family.names(full=False))
    for size in family.sizes:
        few, many = (family.problem(size.name, members, registry) for members in (1, 3))
        assert many.H.shape == (3, size.antennas, size.users)
        assert kit.raw_bytes(many.H[:1]) == kit.raw_bytes(few.H)


def test_a_size_that_is_none_is_an_error_and_no_other_instance(kit):
    registry = default_registry()
    family = families(registry)["sqnr-max"]
    with pytest.raises(InvalidInput, match=r"size: must be one of sqnr-max's, got '65x8'. Did you mean '64x8'"):
        family.problem("65x8", 1, registry)
    few = family.problem("64x8-8-scatterers", 2, registry)
    assert np.linalg.matrix_rank(few.G).tolist() == [8, 8]


def test_a_plugin_is_measured_without_editing_the_suite(mine, small):
    registry = mine(pause=45e-3)  # four times as long as every other call takes
    found = measured(Selection(solvers=("my-solver",), hardware=("attenuator",)), registry)
    assert not [r.error for r in found.results if r.failed]
    cases = {(r.case.subject, r.case.size, r.case.name, r.case.mode) for r in found.results if r.rounds}
    assert cases >= {
        ("sum-rate-crlb", "8x2", "my-solver", "alone"),
        ("sum-rate-crlb", "8x2", "my-solver", "batch"),
        ("mine-alone", "example", "my-solver", "alone"),
        ("sum-rate-crlb", "8x2", "riemannian-lbfgs", "alone"),  # to compare with
        ("sum-rate-crlb", "8x2", "ld-sca as published", "alone"),
        ("hardware", "apply", "attenuator", "batch"),
        ("hardware", "linear-model", "attenuator", "batch"),
    }
    (row,) = [
        row for row in benchmarks.rows(found)
        if (row["subject"], row["size"], row["name"], row["mode"]) == ("sum-rate-crlb", "8x2", "my-solver", "alone")
    ]  # fmt: skip
    assert row["ratio"] == pytest.approx(0.25)
    assert row["shortfall"] < 1e-9  # it is the default solver, of which it is told as far from the best
    assert row["status"] == {"STATIONARY": row["members"]}
    assert row["residual"] <= 1e-5


def test_a_solver_that_fails_is_told_and_stops_no_other(mine, small):
    found = measured(Selection(problems=("mine-alone", "sum-rate-crlb"), solvers=("my-solver",)), mine(broken=True))
    failed = [r for r in found.results if r.failed]
    assert {r.case.name for r in failed} == {"my-solver"}
    assert {r.error for r in failed} == {"ArithmeticError: no step is finite"}
    assert [r for r in found.results if r.case.name == "riemannian-lbfgs" and r.rounds]


def test_a_slow_solver_is_left_out_of_what_is_larger(mine):
    registry = mine(pause=0.02)
    family = families(registry)["sum-rate-crlb"]
    effort = attrs.evolve(ONCE, slow=0.02)
    *first, second = plan([(family, ["my-solver"], False)], effort, registry, quiet)
    assert {(r.case.size, r.error) for r in first} == {("16x4", "")}
    assert (second.case.size, second.failed) == ("64x4", False)
    assert second.error == "left out: 0.0 s at 16x4"
    assert not [r for r in measure([second], effort, registry, quiet) if r.rounds]


def test_costly_rounds_are_few(mine):
    def with_rounds(cpu):
        reading = suite.run_block([lambda: None])[0].readings[0]
        slow = attrs.evolve(reading, cpu=cpu)
        one = attrs.evolve(suite.run_block([lambda: None])[0], readings=(slow,))
        return [suite._enough(Result(Case("p", "s", "n", "alone", 1), (one,) * n)) for n in (1, 3, 5, 10)]

    assert with_rounds(0.01) == [False] * 4
    assert with_rounds(0.5) == [False, False, True, True]
    assert with_rounds(2.0) == [False, True, True, True]
    assert with_rounds(9.0) == [True] * 4


def test_quality_repeats_to_the_last_bit_and_does_not_depend_on_the_mode():
    registry = default_registry()
    alone = Result(Case("crb-min", "16x4", "primal-dual-newton", "alone", 3))
    batch = Result(Case("crb-min", "16x4", "primal-dual-newton", "batch", 3))
    one, other, together = measure([alone, alone, batch], ONCE, registry, quiet)
    np.testing.assert_equal(attrs.asdict(one.quality), attrs.asdict(other.quality))
    np.testing.assert_equal(attrs.asdict(one.quality), attrs.asdict(together.quality))
    assert one.sense == -1
    assert one.seconds(1) > 0
    assert together.seconds() == together.rounds[0].readings[0].cpu / 3


def test_results_are_read_back_as_they_were_written(tmp_path, small):
    registry = default_registry()
    found = measured(Selection(problems=("crb-min",), solvers=("primal-dual-newton",), hardware=("ideal",)), registry)
    file = tmp_path / "folder" / "bench.json"
    write(found, file)
    again = read(file)
    assert again.made == found.made
    assert dumps(again) == dumps(found) == file.read_text(encoding="utf-8")
    assert again.results[0].quality.status == found.results[0].quality.status
    assert again.results[0].relative.tolist() == found.results[0].relative.tolist()
    json.loads(file.read_text(encoding="utf-8"), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    with pytest.raises(InvalidInput, match="--out: must not exist"):
        write(found, file)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "results in JSON"),
        ("[1]", "of the format 'isacsim benchmark 1'"),
        ('{"format": "isacsim benchmark 0"}', "of the format"),
        ('{"format": "isacsim benchmark 1", "made": {}}', "that is whole .*KeyError: 'results'"),
        ('{"format": "isacsim benchmark 1", "made": {}, "results": [{"case": 1}]}', "that is whole"),
    ],
)
def test_a_file_that_is_something_else_is_refused(tmp_path, text, rule):
    file = tmp_path / "bench.json"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(InvalidInput, match=f"--against: must be a file .*{rule}"):
        read(file)
    with pytest.raises(InvalidInput, match="can be read"):
        read(tmp_path)


def test_cases_of_a_plugin_that_is_not_installed_are_named_and_not_measured(mine, small):
    before = measured(Selection(solvers=("my-solver",), hardware=("attenuator",)), mine())
    planned = Selection().again(before, build_registry(installed=False))
    told = {r.case.name: r.error for r in planned}
    assert told["my-solver"] in ("no solver of that name is installed", "no problem of that name is installed")
    assert told["attenuator"] == "no hardware of that name is installed"
    assert told["riemannian-lbfgs"] == ""


def test_the_ratio_without_a_published_algorithm_is_to_the_slowest(mine):
    registry = mine(pause=0.02)
    found = measured(Selection(problems=("mine-alone",)), registry)
    assert found.published("mine-alone", "example").case.name == "my-solver"
    assert [found.ratio(r) for r in found.results if r.case.mode == "alone"] == [1.0]


def test_the_tables_tell_every_case(mine, small):
    registry = mine(broken=True)
    selection = Selection(problems=("mine-alone", "crb-min"), solvers=("my-solver", "primal-dual-newton"))
    found = measured(selection, registry)
    text = benchmarks.markdown(found)
    assert "### crb-min" in text
    assert f"numpy {np.__version__}" in text
    assert "`isacsim bench`" in text
    assert "- example my-solver: ArithmeticError: no step is finite" in text
    lines = [line for line in text.splitlines() if line.startswith("| 8x2 | primal-dual-newton | ")]
    assert [line.split(" | ")[2] for line in lines] == ["2", "x3"]
    assert all(line.endswith("| OPTIMAL |") for line in lines)
