"""The form of the ledger: earlier ones can be read, and damage is told and never a number."""

import csv
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

import isacsim
from isacsim.cli.main import main
from isacsim.engine.ledger import FILE
from isacsim.engine.store import Store
from isacsim.engine.work import SCALARS, DesignRecord, Entry, Failure, Outcome
from isacsim.errors import StoreError
from isacsim.report.expectations import verdicts
from isacsim.report.figures import draw_figures
from isacsim.report.summary import statuses, table
from isacsim.solvers.solution import Status

EARLIER = Path(__file__).parents[1] / "data" / "ledger-2"


@pytest.fixture
def earlier(tmp_path):
    """A copy of the run of format 2."""
    return isacsim.open_run(shutil.copytree(EARLIER / "run", tmp_path / "run"))


def test_a_run_of_format_2_says_what_it_is(earlier):
    assert earlier.format == 2
    assert repr(earlier).endswith("6 requested = 6 done + 0 failed + 0 skipped, of the earlier format 2)")
    assert earlier.dataset().attrs["ledger_format"] == 2


def test_the_numbers_of_format_2_are_those_its_version_read(earlier):
    dataset = earlier.dataset()
    with (EARLIER / "run" / "results.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 6
    for row in rows:
        point = dataset.sel(bits=int(row["bits"]), evaluate=row["evaluate"], design=row["design"])
        for name in set(row) - {"bits", "evaluate", "design", "trial"}:
            found = point[name].sel(trial=int(row["trial"])).item()
            told = float(row[name] or "nan")
            np.testing.assert_equal(found, str(list(Status)[int(told)]) if name == "status" else told)
    np.testing.assert_allclose(  # a sum of two against itself, in another order
        dataset["rate-nats"].sum("user"), dataset["sum-rate-nats"], rtol=1e-14
    )
    precoders = np.load(EARLIER / "precoders.npy")
    records = [earlier.design("sca", trial, bits=3) for trial in range(3)]
    np.testing.assert_array_equal([record.precoder for record in records], precoders)
    assert [set(record.decision) for record in records] == 3 * [{"precoder"}]


def test_the_traces_of_format_2_end_in_the_objective(earlier):
    dataset = earlier.dataset()
    np.testing.assert_array_equal(dataset["trace-objective"].isel(step=-1), dataset["objective"])
    assert set(earlier.design("sca", 1, bits=1).trace) == {"time", "objective", "residual", "sum_rate", "crlb"}


def test_a_run_of_format_2_is_drawn_verified_and_summed_up(earlier):
    assert [path.name for path in draw_figures(earlier)] == ["rate.png"]
    assert [verdict.as_known for verdict in verdicts(earlier)] == [True]
    assert statuses(earlier) == {"MAX_STEPS": 3}
    assert table(earlier).row_count == 2


@pytest.fixture
def single(tmp_path):
    """A copy of the run of format 3, whose ledger has a row for each trial."""
    return isacsim.open_run(shutil.copytree(EARLIER.with_name("ledger-3"), tmp_path / "run"))


def test_a_run_of_format_3_has_the_numbers_its_version_read_and_is_not_continued(single):
    assert single.format == 3
    single.check()
    frame = single.dataset().drop_dims(["user", "step"]).to_dataframe().reset_index()
    with (single.path / "results.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(frame) == 6
    for row, (_, found) in zip(rows, frame.iterrows(), strict=True):
        for name, told in row.items():
            np.testing.assert_equal(found[name], type(found[name])(told or "nan"))
    with Store.open(single.path) as store:
        for point in single.points:
            assert store.done(point["id"]) == {0, 1, 2}
            np.testing.assert_array_equal(store.row(point["id"], 2)[0], store.rows(point["id"], 3)[2])
    trace = [single.design("sca", trial, bits=1).trace["objective"][-1] for trial in range(3)]
    np.testing.assert_array_equal(trace, single.dataset().objective.sel(bits=1, design="sca"))
    with pytest.raises(StoreError, match=r"holds a run of format 3, .* not continued: .* into another --out"):
        isacsim.run(EARLIER / "scenario.toml", single.path, resume=True)


def test_a_changed_row_of_format_3_is_named(single):
    with closing(sqlite3.connect(single.path / FILE)) as db, db:
        db.execute("UPDATE designs SET solve_time = 0.2 WHERE trial = 1")
    with pytest.raises(StoreError, match=r"damaged at designs \w+, trial 1"):
        single.dataset()


def test_a_run_of_format_2_is_not_continued_and_stays_as_it_is(earlier):
    before = {path.name: path.read_bytes() for path in earlier.path.iterdir()}
    for force in (False, True):
        with pytest.raises(StoreError, match=r"holds a run of format 2, .* not continued: .* into another --out"):
            isacsim.run(EARLIER / "scenario.toml", earlier.path, resume=True, force=force)
    assert {path.name: path.read_bytes() for path in earlier.path.iterdir()} == before


def test_the_scenario_of_format_2_gives_the_same_numbers_today(earlier, tmp_path):
    today = isacsim.run(EARLIER / "scenario.toml", tmp_path / "today").dataset()
    for name in ("sum-rate-nats", "rate-nats", "crlb", "objective"):
        # Three steps on other machines: rounding of other BLAS, grown a little.
        np.testing.assert_allclose(today[name], earlier.dataset()[name], rtol=1e-9)


def test_commands_on_a_run_of_format_2_say_so(earlier, capsys):
    for command in ("plot", "verify"):
        assert main([command, str(earlier.path)]) == 0
        assert "format 2" in capsys.readouterr().err


def outcome():
    layout = (Entry("real", "d", "rate", "1", (), (), {}, "rate"),)
    decision = {
        "precoder": np.arange(6).reshape(3, 2) * (1 + 2j),
        "phases": np.linspace(0, 1, 4).astype(">f8"),
        "chosen": np.array([True, False]),
        "counts": np.arange(3, dtype=np.int32),
        "level": np.array(0.5),
        "none": np.zeros((0, 2)),
    }
    record = DesignRecord(np.arange(float(len(SCALARS))), decision, ("a note",), np.float64(0.1), {"time": np.ones(3)})
    return Outcome(
        {"p": layout},
        {("p", 0): np.array([np.pi])},
        {("d", 0): record},
        {("p", 1): (Failure("it broke"),)},
        {("p", 1): (layout, np.ones(1))},
    )


@pytest.fixture
def ledger(tmp_path):
    with Store.create(tmp_path / "run", {"title": "a study"}, {"numpy": "2.0"}) as store:
        store.commit(outcome())
    return store.folder


def test_a_decision_is_any_arrays_by_name(ledger):
    (expected,) = outcome().designs.values()
    with Store.open(ledger) as store:
        found = store.designs("d", [0])["d", 0]
    assert list(found.decision) == list(expected.decision)
    for name, array in expected.decision.items():
        np.testing.assert_array_equal(found.decision[name], array, strict=name != "phases")
        assert found.decision[name].dtype == array.dtype.newbyteorder("<")
    np.testing.assert_array_equal(found.precoder, expected.precoder)
    np.testing.assert_array_equal(found.trace["time"], np.ones(3))
    assert not found.precoder.flags.writeable


def everything(folder):
    """All that a ledger tells, in the order it is asked."""
    with Store.open(folder) as store:
        yield store.need("title")
        yield store.environments()
        yield store.layout("p")
        yield store.rows("p", 2)
        yield store.failures("p")
        yield store.partial("p")
        yield store.designs("d", [0])


def check(folder):
    """Read a ledger to the last row."""
    with Store.open(folder) as store:
        store.check()


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ("UPDATE meta SET value = '\"a stud\"' WHERE key = 'title'", "meta title"),
        ('UPDATE environments SET told = \'{"numpy": "2.1"}\'', "environments 0"),
        ("UPDATE layouts SET entries = replace(entries, 'real', 'reel')", "layouts p"),
        ("UPDATE results SET data = zeroblob(8)", "results p, trial 0"),
        ("UPDATE results SET environment = 1", "results p, trial 0"),
        ("UPDATE results SET trial = 1", "results p, trial 1"),
        ("UPDATE failures SET error = 'it broken'", "failures p, trial 1"),
        ("UPDATE partial SET data = zeroblob(8)", "partial p, trial 1"),
        ("UPDATE designs SET times = zeroblob(8)", "designs d, trial 0"),
        ("UPDATE designs SET data = substr(data, 1, length(data) - 8)", "designs d, trial 0"),
        ("UPDATE designs SET header = replace(header, 'phases', 'phasor')", "designs d, trial 0"),
    ],
)
def test_a_changed_row_is_named_and_not_read(ledger, change, place):
    list(everything(ledger))
    with closing(sqlite3.connect(ledger / FILE)) as db, db:
        db.execute(change)
    for look in (lambda folder: list(everything(folder)), check):
        with pytest.raises(StoreError, match=rf"run: .*{FILE} is damaged at {place}\. Restore the folder from a copy"):
            look(ledger)


def test_a_turned_bit_in_the_data_is_never_read_as_a_number(ledger):
    whole = (ledger / FILE).read_bytes()
    data = outcome().designs["d", 0].precoder.tobytes()
    start = whole.index(data)
    for place in range(start, start + len(data), 5):
        for bit in (0, 7):
            broken = bytearray(whole)
            broken[place] ^= 1 << bit
            (ledger / FILE).write_bytes(broken)
            with pytest.raises(StoreError, match="is damaged at designs d, trial 0"):
                list(everything(ledger))


def test_a_bit_that_turns_anywhere_changes_nothing_or_is_told(tmp_path):
    run = isacsim.run(EARLIER / "scenario.toml", tmp_path / "today")
    expected, file, rng = run.dataset(), run.path / FILE, np.random.default_rng(0)
    whole, refused = file.read_bytes(), 0
    # Most of a small ledger is room for more rows, where nothing is changed by a bit.
    used = np.flatnonzero(np.frombuffer(whole, np.uint8))
    places = [*rng.choice(used, 40), *rng.integers(len(whole), size=40)]
    for place, bit in zip(places, rng.integers(8, size=80), strict=True):
        broken = bytearray(whole)
        broken[place] ^= 1 << int(bit)
        file.write_bytes(broken)
        try:
            check(run.path)
            assert isacsim.open_run(run.path).dataset().identical(expected)
        except StoreError:
            refused += 1
    assert 5 < refused < 75


def test_a_row_under_another_key_is_told_before_a_run_is_continued(tmp_path):
    run = isacsim.run(EARLIER / "scenario.toml", tmp_path / "today")
    with closing(sqlite3.connect(run.path / FILE)) as db, db:
        db.execute("UPDATE results SET trial = 7 WHERE trial = 0")
    with pytest.raises(StoreError, match=r"is damaged at results \w+, trial 7"):
        isacsim.run(EARLIER / "scenario.toml", run.path, resume=True)


def test_a_ledger_without_its_journal_is_a_ledger(tmp_path):
    with Store.create(tmp_path / "run", {"title": "a study"}) as store:
        store.commit(outcome())
        (tmp_path / "torn").mkdir()
        shutil.copyfile(store.folder / FILE, tmp_path / "torn" / FILE)  # and not the journal beside it
    with Store.open(tmp_path / "torn", write=True) as torn:
        assert torn.meta("title") == "a study"
        assert torn.done("p") == set()
        torn.commit(outcome())
        assert torn.done("p") == {0}
