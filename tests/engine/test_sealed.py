"""What comes from a worker: rows of the ledger, the same as the driver would make, or lost as a whole."""

import pickle

import attrs
import numpy as np
import pytest

import isacsim
from isacsim.engine.calls import TaskLost
from isacsim.engine.sealed import Sealed
from isacsim.engine.store import Store
from isacsim.engine.work import SCALARS, DesignRecord, Entry, Failure, Outcome

LAYOUT = (Entry("judged", "made", "rate", "nat", ("user",), (2,), {}, "rates"),)
OTHER = (Entry("judged", "made", "rate", "nat", (), (), {}, "rates"),)


def outcome(trials=(0, 1), layout=LAYOUT):
    """Of two points that share a layout and a design, of which a trial is partly done."""
    rows = {(point, t): np.array([t, np.nan][: layout[0].size]) for point in "pq" for t in trials}
    record = DesignRecord(np.ones(len(SCALARS)), {"precoder": np.eye(2) * 1j}, ("a note",), 0.5, {"time": np.ones(3)})
    partial = {("p", 9): (OTHER, np.ones(1))}
    failures = {("p", 9): (Failure("lost", measure="rate"),)}
    designs = {("d", t): record for t in trials}
    return Outcome(dict.fromkeys("pq", layout), rows, designs, failures, partial)


def content(store):
    """All rows of a ledger but those on the run."""
    tables = ("layouts", "results", "designs", "failures", "partial")
    return {table: store._db.execute(f"SELECT * FROM {table}").fetchall() for table in tables}


@pytest.mark.parametrize("number", [0, 3])
def test_a_ledger_has_the_rows_that_a_worker_has_made(tmp_path, number):
    with Store.create(tmp_path / "one", {}) as one, Store.create(tmp_path / "two", {}) as two:
        for store in (one, two):
            store.enter(3, {})
        one.commit(outcome())
        # Made for the ledger's environment or for another one, which is not the one that it is committed in.
        two.commit(pickle.loads(pickle.dumps(Sealed.of(outcome(), number))))
        assert content(one) == content(two)
        two.check()


def test_what_is_sealed_and_opened_is_what_it_was():
    told = Sealed.of(outcome(), 0).opened()
    assert attrs.asdict(Sealed.of(told, 0)) == attrs.asdict(Sealed.of(outcome(), 0))
    assert told.layouts == outcome().layouts
    np.testing.assert_array_equal(told.rows["q", 1], outcome().rows["q", 1])
    np.testing.assert_array_equal(told.designs["d", 0].precoder, outcome().designs["d", 0].precoder)


def test_what_is_damaged_on_its_way_is_lost():
    packed = bytearray(pickle.dumps(Sealed.of(outcome(), 0)))
    packed[packed.index(b"a note")] ^= 1
    with pytest.raises(TaskLost, match="it was damaged on its way"):
        pickle.loads(packed)


def test_axes_that_another_driver_has_settled_count(tmp_path):
    """A driver keeps what it knows of layouts only while nobody else writes."""
    with Store.create(tmp_path / "run", {}) as first, Store.open(tmp_path / "run", write=True) as second:
        first.commit(outcome(trials=(5,)))
        second.commit(outcome(trials=(2,), layout=OTHER))  # the lowest trial says what the axes are
        first.commit(outcome(trials=(6,)))
        assert first.layout("p") == second.layout("p") == OTHER
        assert first.done("p") == {2}
        assert set(first.partial("p")) >= {5, 6}


def test_a_layout_whose_commit_failed_is_not_taken_for_known(tmp_path):
    with Store.create(tmp_path / "run", {}) as store:
        store._db.execute("CREATE TEMP TRIGGER full BEFORE INSERT ON results BEGIN SELECT raise(ABORT, 'full'); END")
        with pytest.raises(isacsim.StoreError, match="full"):
            store.commit(outcome())
        assert store.layout("p") == ()
        store._db.execute("DROP TRIGGER full")
        store.commit(outcome())
        assert store.layout("p") == LAYOUT
