"""Spans of trials: what goes into rows of the ledger comes out of them, wherever they are cut."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isacsim.engine import spans
from isacsim.engine.store import Store
from isacsim.engine.work import SCALARS, DesignRecord, Entry, Outcome

keys = st.sets(st.tuples(st.sampled_from("pq"), st.integers(0, 40)), max_size=60)
RATE = (Entry("judged", "made", "rate", "nat", (), (), {}, "rate"),)


def record(trial, size=2, notes=()):
    decision = {"precoder": np.full((size, 1), trial * 1j), "chosen": np.array([trial % 2 == 0])}
    return DesignRecord(np.full(len(SCALARS), float(trial)), decision, notes, 0.5 * trial, {"time": np.ones(size)})


def outcome(found, value=1.0):
    rows = {key: np.array([value * key[1]]) for key in found}
    return Outcome({point: RATE for point, _ in found}, rows, {("d", trial): record(trial) for _, trial in found})


@given(keys)
def test_numbers_come_out_as_they_went_in(found):
    rows = {key: np.array([key[1], ord(key[0])], float) for key in found}
    told = spans.opened_rows(spans.of_rows(rows, 0))
    assert set(told) == found
    assert all(told[key].tolist() == rows[key].tolist() for key in found)


@given(st.sets(st.integers(0, 40)), st.sets(st.integers(0, 40)))
def test_solutions_come_out_as_they_went_in(found, odd):
    """Some have other shapes or notes than others, and lie in spans of their own."""
    records = {("d", t): record(t, 3 if t in odd else 2, ("odd",) if t in odd else ()) for t in found}
    rows = spans.of_designs(records, 4)
    told = spans.opened_designs(rows)
    assert set(told) == set(records)
    for key, expected in records.items():
        one = told[key]
        assert (one.notes, one.solve_time, one.environment) == (expected.notes, expected.solve_time, 4)
        for name in ("precoder", "chosen"):
            np.testing.assert_array_equal(one.decision[name], expected.decision[name], strict=True)
        np.testing.assert_array_equal(one.scalars, expected.scalars)
        np.testing.assert_array_equal(one.trace["time"], expected.trace["time"])
    # As few as there can be: one for each run of trials of the same form.
    ends = [t for t in found if t + 1 not in found or (t in odd) != (t + 1 in odd)]
    assert len(rows) == len(ends)


def test_a_span_has_a_bounded_size():
    rows = {("p", trial): np.full(100, float(trial)) for trial in range(1000)}
    sizes = [len(data) for _, _, _, data, *_ in spans.of_rows(rows, 0)]
    assert sum(sizes) == 800 * 1000
    assert max(sizes) <= spans.MOST_BYTES
    assert min(sizes[:-1]) > spans.MOST_BYTES - 800
    large = {("p", trial): np.zeros(spans.MOST_BYTES) for trial in range(3)}  # each is beyond it
    assert [row[2] for row in spans.of_rows(large, 0)] == [1, 1, 1]


@given(st.lists(keys, min_size=1, max_size=5), st.tuples(st.integers(0, 41), st.integers(0, 41)))
def test_whatever_is_committed_in_whatever_pieces_the_first_number_stays(tmp_path_factory, pieces, part):
    """Commits overlap in any way; any range of trials is read as it is."""
    first = {}
    with Store.create(tmp_path_factory.mktemp("run") / "run", {}) as store:
        for number, found in enumerate(pieces):
            store.commit(outcome(found, number + 1.0))
            for key in found:
                first.setdefault(key, (number + 1.0) * key[1])
        start, end = sorted(part)
        for point in ("p", "q", ""):
            there = {
                (table.point, trial): row[0]
                for table in store.tables(end, point, start)
                for trial, row in zip(table.trials, table.rows, strict=True)
            }
            assert there == {key: v for key, v in first.items() if point in ("", key[0]) and start <= key[1] < end}
        assert store.count("results", end) == {
            p: n for p in "pq" if (n := sum(key[0] == p and key[1] < end for key in first))
        }
        solved = {t for _, t in first}
        assert {t for s in store.solves(end, "", start) for t in s.trials} == {t for t in solved if start <= t < end}
        assert {t for _, t in store.designs("d", range(start, end))} == {t for t in solved if start <= t < end}
        for key, value in first.items():
            assert store.row(*key)[0].tolist() == [value]
        assert store.row("p", 41) is None
        store.check()
        spans_of = store._db.execute("SELECT point, trial, count FROM results ORDER BY point, trial").fetchall()
    covered = [(point, trial) for point, begin, count in spans_of for trial in range(begin, begin + count)]
    assert sorted(first) == covered  # none twice


@pytest.mark.parametrize("blobs", [[b"x" * 16, b"x" * 24], [b"x" * 12, b"x" * 16]])
def test_spans_whose_bytes_do_not_fit_their_trials_are_told(blobs):
    assert spans.stacked(blobs, [2, 2]) is None
