"""`check` does a bounded amount of work, whatever a file of a megabyte holds; work is counted, not timed."""

import itertools
import json

import attrs
import pytest

import isacsim
from isacsim.engine import checkup, rehearsal
from isacsim.engine.checkup import check_up, seconds
from isacsim.engine.files import scenario_file
from isacsim.metrics.radiation import Beampattern
from isacsim.plugin import Registry, build_registry

TEXT = scenario_file("quickstart.toml").read_text(encoding="utf-8")
HEAD = TEXT[: TEXT.index("[sweep")]
METRICS = '["sum-rate-bits", "angle-rmse-bound"]'
ARRAY = '{ kind = "upa", horizontal = 4, vertical = 4 }'
DESIGN = """
[design.d{}]
problem = {{ kind = "sum-rate-crlb", rate_weight = 0.{}, crlb_weight = 1.0 }}
solver = "mrt"
"""
EVALUATE = """
[evaluate.e{0}]
hardware = "converters"
metrics = [{{ kind = "beampattern", azimuth_deg = [{0}] }}]
"""


def axes(size, count):
    values = [1 + 1e-6 * i for i in range(size)]
    place = 'sets = ["design.joint.problem.rate_weight"]'
    return "".join(f"[sweep.a{i}]\nvalues = {values}\n{place}\n" for i in range(count))


def many(template, count):
    return "".join(template.format(i, i + 1) for i in range(count))


@pytest.fixture
def counted(call, tmp_path, monkeypatch):
    """Checks a text; returns what is told, and how often designs were posed and evaluations rehearsed."""
    counts = {"points": 0, "designs": 0, "evaluations": 0}

    def counting(module, name, what, size):
        plain = getattr(module, name)

        def wrapped(*args):
            counts[what] += size(args)
            return plain(*args)

        monkeypatch.setattr(module, name, wrapped)

    counting(checkup, "rehearse_designs", "designs", lambda args: len(args[0].design))
    counting(checkup, "require_memory", "points", lambda args: 1)
    counting(rehearsal, "_rehearse_evaluation", "evaluations", lambda args: 1)

    def check(text, *arguments):
        assert len(text) < 2**20
        (tmp_path / "study.toml").write_text(text, encoding="utf-8")
        code, out, err = call("check", "study.toml", "--json", *arguments)
        return code, json.loads(out) if out else err, counts

    return check


def test_of_a_million_points_some_are_looked_at(counted, monkeypatch):
    monkeypatch.setattr(checkup, "MOST_POINTS", 9)
    code, told, counts = counted(HEAD + axes(100, 3), "--yes")
    assert (code, told["points"], told["looked"]) == (0, 10**6, 9)
    assert counts == {"points": 9, "designs": 9, "evaluations": 1}
    code, told, _ = counted(HEAD + axes(6, 1))
    assert (told["points"], told["looked"], told["solves"]) == (6, 6, 600)


def test_the_first_and_the_last_point_are_among_them():
    scenario = isacsim.load_scenario(scenario_file("quickstart.toml"))
    found = [coords["bits"] for coords in checkup._places(scenario, 6, 3)]
    assert found == [1, 3, float("inf")]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (TEXT.replace(METRICS, "[" + '"crlb",' * 100_000 + "]"), "evaluate.converters.metrics"),
        (TEXT + many(DESIGN, 5000), "design"),
        (TEXT + many("[hardware.h{}]\n", 20_000), "hardware"),
        (TEXT + "[hardware.h]\ntransmit=[" + '"ideal",' * 50_000 + "]\n", "hardware.h.transmit"),
    ],
)
def test_more_records_than_anybody_writes_are_refused_unread(counted, monkeypatch, text, place):
    loads = []
    load = Registry.load
    monkeypatch.setattr(Registry, "load", lambda *a: loads.append(a) or load(*a))
    code, told, counts = counted(text)
    assert code == 2
    assert f"error: {place}: must have at most 1000 entries" in told
    assert counts["points"] == 0
    assert len(loads) < 100


@pytest.mark.slow
def test_a_thousand_designs_judged_a_thousand_times_are_rehearsed_in_part(counted):
    code, told, counts = counted(HEAD + many(DESIGN, 990) + many(EVALUATE, 990))
    assert (code, told["looked"]) == (0, 1)
    assert counts["designs"] == 991
    assert counts["evaluations"] <= checkup.MOST_LOOKS


def test_a_pattern_of_many_directions_is_looked_at_once_and_not_computed(counted, monkeypatch):
    angles = [i * 1e-3 for i in range(30_000)]
    monkeypatch.setattr(checkup, "MOST_LETTERS", 10**5)
    monkeypatch.setattr(rehearsal, "MOST_NUMBERS", 10**6)
    monkeypatch.setattr(Beampattern, "value", lambda *_: pytest.fail("computed"))
    text = TEXT.replace(
        METRICS, f'["sum-rate-bits", "angle-rmse-bound", {{ kind = "beampattern", azimuth_deg = {angles} }}]'
    )
    code, told, counts = counted(text)
    assert (code, told["looked"], counts["designs"]) == (0, 1, 1)
    assert told["estimate"]["numbers"] == 30_002


def test_arrays_whose_covariances_take_seconds_are_not_rehearsed(counted):
    text = HEAD.replace(ARRAY, '{ kind = "ula", elements = 9000 }')
    code, told, counts = counted(text, "--yes")
    assert (code, told["looked"], told["points"]) == (0, 0, 1)
    assert counts == {"points": 1, "designs": 0, "evaluations": 0}


def test_files_that_are_extended_share_one_limit_of_size(call, tmp_path):
    (tmp_path / "a.toml").write_text(TEXT + "#" * 600_000, encoding="utf-8")
    (tmp_path / "b.toml").write_text('extends = "a.toml"\n' + "#" * 600_000, encoding="utf-8")
    code, _, err = call("check", "b.toml")
    assert code == 2
    assert err.startswith("error: extends: must lead to files of at most 1048576 bytes in all")


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (("trials=10000000000000",), "trials: must be at most 1000000000 at all points together, got 60000000000000."),
        (("trials=100000000",), "trials: must fit on the disk of "),
    ],
)
@pytest.mark.parametrize("command", ["check", "run"])
def test_a_run_that_cannot_end_well_is_refused_before_it_begins(call, tmp_path, monkeypatch, command, settings, told):
    monkeypatch.setattr("isacsim.engine.estimate.shutil.disk_usage", lambda _: type("Usage", (), {"free": 10**9}))
    sets = [word for setting in settings for word in ("--set", setting)]
    more = ["--out", "out", "--workers", "1"] if command == "run" else []
    code, out, err = call(command, "quickstart", *more, *sets)
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {told}")
    assert "--yes runs it all the same" in err
    assert not (tmp_path / "out").exists()
    if command == "check":
        code, out, _ = call("check", "quickstart", *sets, "--yes", "--json")
        assert (code, json.loads(out)["valid"]) == (0, True)


def test_the_estimate_is_near_what_a_run_takes(call, tmp_path):
    _, out, _ = call("check", "quickstart", "--set", "trials=200", "--json", "--set", 'design.joint.solver="mrt"')
    told = json.loads(out)["estimate"]
    sets = ("trials=200", "sinks=[]", 'design.joint.solver="mrt"')
    run = isacsim.run(isacsim.load_scenario(scenario_file("quickstart.toml"), set=sets), tmp_path / "run")
    disk = (run.path / "ledger.sqlite").stat().st_size
    held = sum(values.nbytes for name, values in run.dataset().items() if name != "status")
    # A ledger has pages that are not full and a head of some ten kB; what it is compared with are limits.
    assert 0.5 < told["disk"] / disk < 1.5
    assert 0.5 < told["memory"] / held < 2


def test_a_dataset_holds_any_seed_that_is_taken(study, tmp_path):
    scenario = study(f"seed={2**128 - 1}", "trials=1", 'sinks=["netcdf"]', 'design.sca.solver="mrt"')
    run = isacsim.run(scenario, tmp_path / "run")
    assert run.dataset().attrs["seed"] == str(2**128 - 1)
    assert (run.path / "results.nc").exists()
    with pytest.raises(isacsim.InvalidInput, match=r"seed: must be below 2\^128"):
        attrs.evolve(scenario, seed=2**128)


@pytest.mark.parametrize(
    ("command", "name"), [("plot", "rate.png"), ("report", "report.html"), ("export", "results.mat")]
)
def test_a_file_that_is_a_link_is_replaced_and_what_it_leads_to_stays(call, study, tmp_path, command, name):
    run = isacsim.run(study("trials=2", 'design.sca.solver="mrt"'), tmp_path / "run")
    (tmp_path / "thesis.txt").write_text("precious", encoding="utf-8")
    (run.path / name).symlink_to(tmp_path / "thesis.txt")
    assert call(command, run.path, *(["--to", "mat"] if command == "export" else []))[0] == 0
    assert (tmp_path / "thesis.txt").read_text(encoding="utf-8") == "precious"
    assert not (run.path / name).is_symlink()
    assert (run.path / name).stat().st_size > 1000


def test_markup_and_words_for_pictures_are_printed_as_they_are(call, study):
    title = "[bold]five[/bold] :fire:"
    study("trials=1")
    sets = ("trials=1", 'design.sca.solver="mrt"', "sinks=[]", f'title="{title}"')
    words = [word for setting in sets for word in ("--set", setting)]
    code, out, _ = call("run", "study.toml", "--out", "again", "--workers", "1", "--executor", "serial", *words)
    assert code == 0
    assert title in out


QUICK = "design.sca.solver.max_steps=1"


def clock_of(*costs):
    """A clock by which what is measured next takes so many seconds, and so on from the start again."""
    now = itertools.accumulate(x for cost in itertools.cycle(costs) for x in (1.0, cost))
    return lambda: next(now)


def test_time_is_that_of_a_trial_and_of_the_solves_that_points_do_not_share(study):
    scenario, registry = study("sweep.bits.values=[1, 2, 3, 4]", "trials=50", QUICK), build_registry(installed=False)
    found = check_up(scenario, registry)
    assert (found.points, found.solves) == (4, 50)  # the converters of users change no design
    # A trial takes 0.5 s, and 0.2 s where its design is known.
    assert seconds(scenario, registry, found, clock_of(0.5, 0.2)) == pytest.approx(200 * 0.2 + 50 * 0.3)


def test_time_is_measured_on_a_batch_where_trials_are_quick(study):
    scenario, registry = study("sweep.bits.values=[3]", "trials=50", QUICK), build_registry(installed=False)
    found = check_up(scenario, registry)
    # Of 1, 4 and 16 trials; the last of which is large enough to be measured.
    time = seconds(scenario, registry, found, clock_of(0.01, 0.04, 0.16, 0.08))
    assert time == pytest.approx(50 * 0.16 / 16)
