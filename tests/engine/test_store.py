"""The ledger: whole chunks or none, and no number ever changes."""

import re
import sqlite3
from contextlib import closing

import attrs
import numpy as np
import pytest

import isacsim
from isacsim.engine.ledger import FILE
from isacsim.engine.store import Store
from isacsim.engine.work import SCALARS, DesignRecord, Entry, Failure, Outcome
from isacsim.errors import StoreError

ENTRIES = (
    Entry("real", "sca", "rate", "nat/s/Hz", (), (), {}, "rate"),
    Entry("real", "sca", "sqinr", "1", ("user",), (3,), {"user": ["a", "b", "c"]}, "SQINR"),
)


def record(value=1.0, notes=("a note",)):
    precoder = value * (np.arange(6.0) + 1j * np.arange(6.0)[::-1]).reshape(3, 2)
    return DesignRecord(np.full(len(SCALARS), value), {"precoder": precoder}, notes, 0.25)


def outcome(point="p", trials=(0,), value=1.0):
    return Outcome(
        layouts={point: ENTRIES},
        rows={(point, t): np.array([value, t, np.nan, np.inf]) for t in trials},
        designs={("d", t): record(value) for t in trials},
    )


@pytest.fixture
def store(tmp_path):
    with Store.create(tmp_path / "run", {"title": "a study"}) as made:
        yield made


def test_what_is_read_is_what_was_written(store):
    store.commit(outcome(trials=(0, 2), value=np.pi))
    rows = store.rows("p", 4)
    np.testing.assert_array_equal(rows[2], [np.pi, 2, np.nan, np.inf])
    assert np.isnan(rows[[1, 3]]).all()
    assert store.layout("p") == ENTRIES
    assert store.layout("other") == ()
    assert store.done("p") == {0, 2}
    found = store.designs("d", range(4))
    assert set(found) == {("d", 0), ("d", 2)}
    kept, expected = found["d", 2], record(np.pi)
    np.testing.assert_array_equal(kept.precoder, expected.precoder)
    np.testing.assert_array_equal(kept.scalars, expected.scalars)
    assert (kept.notes, kept.solve_time) == (expected.notes, expected.solve_time)
    assert store.meta("title") == "a study"
    assert store.meta("nothing") is None


def test_a_second_commit_never_changes_a_number(store):
    store.commit(outcome(value=1.0))
    store.commit(outcome(value=2.0, trials=(0, 1)))
    np.testing.assert_array_equal(store.rows("p", 2)[:, 0], [1.0, 2.0])
    assert [store.designs("d", [t])["d", t].scalars[0] for t in (0, 1)] == [1.0, 2.0]


def test_success_clears_a_failure_and_failure_keeps_a_number(store):
    store.commit(Outcome(failures={("p", 0): (Failure("first"),), ("p", 1): (Failure("other", line=3),)}))
    store.commit(Outcome(failures={("p", 0): (Failure("second"), Failure("third", design="d"))}))
    told = {0: (Failure("second"), Failure("third", design="d")), 1: (Failure("other", line=3),)}
    assert store.failures("p") == told
    store.commit(outcome())
    assert store.failures("p") == {1: told[1]}


def test_what_there_is_of_a_trial_is_kept_until_it_is_whole(store):
    row = np.array([1.0, np.nan])
    (entry,) = [e for e in outcome().layouts["p"] if not e.dims][:1]
    lost = Outcome(failures={("p", 0): (Failure("lost"),)}, partial={("p", 0): ((entry, entry), row)})
    store.commit(lost)
    assert store.done("p") == set()
    entries, kept = store.partial("p")[0]
    assert entries == (entry, entry)
    np.testing.assert_array_equal(kept, row)
    store.commit(outcome())
    assert (store.partial("p"), store.failures("p"), store.done("p")) == ({}, {}, {0})


def test_a_number_is_worth_more_than_a_failure_of_another_attempt(store):
    (entry, _), row = ENTRIES, np.array([1.0])
    lost = Outcome(failures={("p", 0): (Failure("lost"),)})
    some = Outcome(failures={("p", 1): (Failure("half"),)}, partial={("p", 1): ((entry,), row)})
    store.commit(outcome(trials=(0,)))
    store.commit(lost)  # of a second driver that was slower, say
    store.commit(some)
    store.commit(Outcome(failures={("p", 1): (Failure("worker died"),)}))
    assert store.failures("p") == {1: (Failure("half"),)}
    assert [trial for _, trial, _ in store.partials()] == [1]
    assert [store.count(table, 5) for table in ("results", "failures", "partial")] == [{"p": 1}] * 3


def test_a_ledger_that_cannot_be_made_leaves_none(tmp_path, monkeypatch):
    monkeypatch.setattr("isacsim.engine.ledger.SCHEMA", "CREATE TABLE half (a); CREATE TABLE half (a);")
    with pytest.raises(StoreError, match=r"out: .* cannot be written \(table half already exists\). Choose another"):
        Store.create(tmp_path / "run", {})
    assert list((tmp_path / "run").iterdir()) == []
    monkeypatch.undo()
    Store.create(tmp_path / "run", {}).close()


def test_a_commit_that_fails_leaves_nothing_behind(store):
    store.commit(outcome(trials=(0,)))
    with closing(sqlite3.connect(store.folder / FILE)) as db, db:
        db.execute(
            "CREATE TRIGGER full BEFORE INSERT ON results WHEN NEW.trial + NEW.count > 3 "
            "BEGIN SELECT RAISE(ABORT, 'disk full'); END"
        )
    broken = attrs.evolve(outcome(trials=(2, 3)), failures={("p", 4): (Failure("lost"),)})
    with pytest.raises(StoreError, match=r"cannot be written \(disk full\). What is in it is kept"):
        store.commit(broken)
    assert store.done("p") == {0}
    assert set(store.designs("d", range(5))) == {("d", 0)}
    assert store.failures("p") == {}
    store.commit(outcome(trials=(2,)))
    assert store.done("p") == {0, 2}


def test_a_closed_ledger_is_one_file(tmp_path):
    with Store.create(tmp_path / "run", {}) as store:
        store.commit(outcome())
    assert [path.name for path in (tmp_path / "run").iterdir()] == [FILE]


def test_a_ledger_can_be_read_while_it_is_written(store):
    store.commit(outcome())
    with Store.open(store.folder) as reader:
        store.commit(outcome(trials=(1,)))
        assert reader.done("p") == {0, 1}
    assert store.done("p") == {0, 1}


def test_a_reader_cannot_write(store):
    with (
        Store.open(store.folder) as reader,
        pytest.raises(StoreError, match=r"cannot be written \(attempt to write a readonly database\)"),
    ):
        reader.set_meta({"title": "mine"})
    assert store.meta("title") == "a study"


def test_a_folder_in_use_is_refused(tmp_path):
    (tmp_path / "thesis.txt").write_text("precious", encoding="utf-8")
    with pytest.raises(StoreError, match=r"out: .* is not empty. Continue it with --resume, or choose another --out"):
        Store.create(tmp_path, {})
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_file_in_place_of_a_folder_is_refused(tmp_path):
    file = tmp_path / "file"
    file.touch()
    for folder in (file, file / "below"):
        with pytest.raises(StoreError, match=r"out: .* cannot be written .*Choose another --out"):
            Store.create(folder, {})
    assert file.read_bytes() == b""


@pytest.mark.parametrize("write", [False, True])
def test_folders_without_a_run_are_refused(tmp_path, write):
    with pytest.raises(StoreError, match=rf"run: .* holds no run \(no {re.escape(FILE)}\)"):
        Store.open(tmp_path, write=write)
    (tmp_path / FILE).write_text("a letter, not a ledger", encoding="utf-8")
    with pytest.raises(StoreError, match=r"run: .* cannot be read .*Is it a run's ledger"):
        Store.open(tmp_path, write=write)
    assert (tmp_path / FILE).read_text(encoding="utf-8") == "a letter, not a ledger"


def test_ledgers_of_other_programs_and_formats_are_refused(tmp_path):
    with closing(sqlite3.connect(tmp_path / FILE)) as db, db:
        db.execute("CREATE TABLE birds (name TEXT)")
    with pytest.raises(StoreError, match=r"is no run's ledger, or lost all of it"):
        Store.open(tmp_path)
    with Store.create(tmp_path / "run", {}) as store:
        store.set_meta({"format": 99})
    with pytest.raises(StoreError, match=r"has format 99, this isacsim reads 2, 3 and 4. Use the version"):
        isacsim.open_run(tmp_path / "run")


@pytest.mark.parametrize(
    ("setting", "named"),
    [
        ("seed=7", "seed"),
        ("base_station.power_dbm=11", "base_station"),
        ("design.sca.problem.rate_weight=0.5", "design"),
        ("hardware.converters.user.0.bits=4", "hardware"),
        ('sweep.bits.sets="hardware.converters.user.0.bits"', "sweep"),
        ('evaluate.converters.power="designed"', "evaluate"),
    ],
)
def test_another_scenario_cannot_continue_a_run(studies, study, tmp_path, setting, named):
    run = isacsim.run(study("trials=1"), tmp_path / "run")
    before = studies.numbers(run)
    with pytest.raises(StoreError, match=rf"holds a run of another scenario: {named} differ"):
        isacsim.run(study("trials=2", setting), tmp_path / "run", resume=True)
    assert studies.numbers(isacsim.open_run(run.path)) == before
    assert isacsim.open_run(run.path).trials == 1


def test_looks_and_extent_may_change_when_a_run_is_continued(study, tmp_path):
    isacsim.run(study("trials=1"), tmp_path / "run")
    run = isacsim.run(
        study("trials=2", "title=Anew", 'figure.rate.statistic="median"', 'sinks=["csv"]', "sweep.bits.values=[1, 2]"),
        tmp_path / "run",
        resume=True,
    )
    assert (run.title, run.trials, run.counts().requested) == ("Anew", 2, 4)
    assert run.figures["rate"].statistic == "median"
