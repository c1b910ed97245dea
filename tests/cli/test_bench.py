"""`isacsim bench`: what it prints, saves and compares, and its exit codes."""

import json
import math
import re
from functools import partial
from itertools import count

import attrs
import pytest

from isacsim.benchmark import clock, instances, suite
from isacsim.plugin import build_registry

QUICK = ("bench", "--rounds", "1")
NEWTON = ("--problem", "crb-min", "--solver", "primal-dual-newton")


@pytest.fixture
def call(call, monkeypatch):
    """Runs a command in an empty folder, on small instances; returns exit code, standard output and standard error."""
    families = tuple(
        attrs.evolve(family, sizes=tuple(attrs.evolve(size, antennas=8, users=2) for size in family.sizes[:1]))
        for family in instances.FAMILIES
    )
    monkeypatch.setattr(instances, "FAMILIES", families)
    monkeypatch.setattr(suite, "MEMBERS", ((math.inf, 2, 3),))
    # Every call takes 15 ms: what is left out does not depend on the machine.
    monkeypatch.setattr(clock, "CLOCK", clock.Clock(*(partial(next, count(0.0, 15e-3)) for _ in range(2)), lambda: 0.0))
    # Nor is the kernel to take that long, nor all of the tests' garbage to be looked for.
    monkeypatch.setattr(clock, "kernel", lambda: None)
    monkeypatch.setattr(clock.gc, "collect", lambda: 0)
    return call


@pytest.fixture
def tolerance(monkeypatch):
    """Changes the default tolerance of a solver, as an edit of its file would."""

    def change(value):
        from isacsim.solvers.sum_rate_crlb.lbfgs import RiemannianLbfgs

        class Changed(RiemannianLbfgs):
            def solve(self, problem, request):
                object.__setattr__(self, "tolerance", value)
                return super().solve(problem, request)

        monkeypatch.setattr("isacsim.solvers.sum_rate_crlb.lbfgs.RiemannianLbfgs", Changed)

    return change


def test_bench_prints_a_table_and_saves_the_results(call, tmp_path):
    code, out, err = call(*QUICK, *NEWTON, "--out", "new/bench.json")
    assert (code, err) == (0, "")
    assert "crb-min 8x2" in out
    assert out.count("primal-dual-newton") == 2  # alone and as a batch
    assert "r-bal" in out  # the published algorithm, to compare with
    assert out.splitlines()[-1] == "results:    new/bench.json"
    saved = json.loads((tmp_path / "new" / "bench.json").read_text(encoding="utf-8"))
    assert saved["format"] == "isacsim benchmark 1"
    assert set(saved["made"]) >= {"machine", "processor", "python_version", "library_versions", "seed", "command"}
    assert all(len(result["rounds"]) == 1 for result in saved["results"] if not result["error"])


def test_bench_makes_a_file_of_its_own_and_prints_json(call, tmp_path):
    code, out, _ = call(*QUICK, "--hardware", "ideal", "--json")
    told = json.loads(out)
    assert code == 0
    (file,) = (tmp_path / "runs").iterdir()
    assert told["file"] == f"runs/{file.name}"
    assert [(row["name"], row["size"]) for row in told["results"]] == [("ideal", "apply"), ("ideal", "linear-model")]
    assert told["comparison"] == []


def test_bench_prints_markdown_for_the_documentation(call):
    _, out, err = call(*QUICK, "--hardware", "mid-rise", "--format", "markdown")
    assert "| face | stage | time | throughput |\n| --- | --- | --- | --- |\n| apply | mid-rise | " in out
    assert err.startswith("results:    runs/bench-")


@pytest.mark.parametrize(
    "only",
    [("--problem", "sum-rate-crlb", "--solver", "riemannian-lbfgs"), pytest.param(NEWTON, marks=pytest.mark.slow)],
)
def test_bench_against_an_unchanged_tree_finds_the_same(call, only):
    assert call(*QUICK, *only, "--out", "before.json")[0] == 0
    code, out, _ = call("bench", "--quality", "--against", "before.json")
    assert code == 0
    assert re.search(r"^compared:   (\d) cases: \1 same$", out, re.MULTILINE)


def test_a_loss_of_quality_is_named_and_exits_with_1(call, tolerance):
    only = ("--problem", "sum-rate-crlb", "--solver", "riemannian-lbfgs")
    assert call(*QUICK, *only, "--out", "before.json")[0] == 0
    tolerance(1e-2)
    code, out, _ = call("bench", "--quality", "--against", "before.json", *only)
    assert code == 1
    named = [line for line in out.splitlines() if line.startswith("regression: ")]
    assert len(named) == 2
    assert named[0].startswith("regression: sum-rate-crlb 8x2 riemannian-lbfgs (alone): objective of member ")
    assert "residual of member" in named[0]
    assert "compared:   2 cases: 2 WORSE" in out
    code, out, _ = call("bench", "--quality", "--against", "before.json", *only, "--json")
    told = json.loads(out)["comparison"]
    assert (code, {row["verdict"] for row in told}) == (1, {"worse"})


def test_what_looks_slower_is_measured_again_and_named(call, monkeypatch, tmp_path):
    assert call("bench", "--rounds", "3", "--hardware", "mid-rise", "--out", "before.json")[0] == 0
    # The earlier file tells that all took a hundredth of the time.
    text = json.loads((tmp_path / "before.json").read_text(encoding="utf-8"))
    for result in text["results"]:
        for one in result["rounds"]:
            one["kernel"] *= 100
    (tmp_path / "before.json").write_text(json.dumps(text), encoding="utf-8")
    rounds = []
    measure = suite.measure

    def counted(planned, effort, *rest):
        rounds.append(effort.rounds)
        return measure(planned, effort, *rest)

    monkeypatch.setattr(suite, "measure", counted)
    monkeypatch.setattr(suite, "SECOND_LOOK", attrs.evolve(suite.SECOND_LOOK, rounds=4))
    code, out, _ = call("bench", "--rounds", "3", "--against", "before.json")
    assert code == 1
    assert rounds == [3, 4]
    assert "regression: hardware apply mid-rise (batch): takes " in out
    assert "compared:   2 cases: 2 SLOWER" in out


def test_a_solver_that_fails_exits_with_1(call, monkeypatch):
    def broken(*_):
        raise RuntimeError("broken")

    monkeypatch.setattr("isacsim.solvers.crb_min.newton.PrimalDualNewton.optimise", broken)
    code, _, err = call(*QUICK, *NEWTON)
    assert code == 1
    assert "failed:     crb-min 8x2 primal-dual-newton (alone): RuntimeError: broken" in err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--solver", "scaa"), "--solver: must name one of the solvers, got 'scaa'. Did you mean 'sca'? Valid: "),
        (("--problem", "crbmin"), "--problem: must name one of the problems, got 'crbmin'. Did you mean 'crb-min'? "),
        (("--hardware", "idael"), "--hardware: must name one of the hardware, got 'idael'. Did you mean 'ideal'? "),
        (("--problem", "crb-min", "--solver", "sca"), "--solver: must take a problem that is measured, got 'sca'. "),
        (("--against", "nowhere.json"), "--against: must be a file that can be read (No such file or directory), got "),
        (("--against", "text"), "--against: must be a file of results in JSON, got 'text'. Make one with `isacsim "),
        (("--against", "text", "--full"), "--full: must not be given beside --against. The file says what is"),
        (("--quality",), "--quality: needs --against. Name the file to compare with."),
        (("--out", "text"), "--out: must not exist, got 'text'. Choose another file."),
        (("--format", "html"), "--format: must be a form of the tables, got 'html'. Valid: markdown, table."),
        (("--rounds", "0"), "Invalid value for '--rounds': "),
    ],
)
def test_bad_input_is_one_clear_error_and_writes_nothing(call, tmp_path, arguments, told):
    (tmp_path / "text").write_text("no JSON", encoding="utf-8")
    code, out, err = call("bench", *arguments)
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {told}")
    assert [path.name for path in tmp_path.iterdir()] == ["text"]


def test_a_file_without_what_is_asked_for_is_refused(call):
    assert call(*QUICK, "--hardware", "ideal", "--out", "before.json")[0] == 0
    code, _, err = call("bench", "--against", "before.json", "--solver", "sca")
    assert code == 2
    assert err.startswith("error: --against: must hold a case that is measured, got 'sca'.")


def test_a_plugin_that_is_blocked_is_named_and_is_no_regression(call):
    names = build_registry().names("hardware")
    assert "soft-limiter" in names
    assert call(*QUICK, "--hardware", "soft-limiter", "--out", "before.json")[0] == 0
    code, out, _ = call("--block", "example", "bench", "--against", "before.json")
    assert code == 0
    assert "no hardware of that name is installed" in out
    assert "compared:   2 cases: 2 absent" in out
