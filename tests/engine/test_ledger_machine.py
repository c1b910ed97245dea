"""The ledger against a model: whatever happens in whatever order, it holds what dictionaries hold that lose nothing.

Trials are computed, fail wholly or in part, are tried again, have other axes than others; drivers die and leave their
journal, or within a commit, two of them write, the run is continued and extended.
"""

import os
import shutil
import signal
import sqlite3
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from isacsim.engine.ledger import FILE
from isacsim.engine.store import Store
from isacsim.engine.work import OTHER_AXES, SCALARS, DesignRecord, Entry, Failure, Outcome
from isacsim.errors import StoreError

POINTS = ("p", "q")
RATE = Entry("real", "sca", "rate", "nat/s/Hz", (), (), {}, "rate")


def layout(size):
    """Entries of a row of a scalar, and of a quantity whose axis has a length."""
    return RATE, Entry("real", "sca", "pattern", "1", ("angle",), (size,), {"angle": list(range(size))}, "pattern")


def row(trial, size):
    return np.append(float(trial), 10.0 * trial + np.arange(size))


def solution(trial):
    return DesignRecord(np.full(len(SCALARS), float(trial)), {"precoder": np.full((2, 1), 1j * trial)}, (), 0.0)


def whole(point, trials, size):
    """What comes of trials that have a pattern of so many angles."""
    return Outcome(
        layouts={point: layout(size)},
        rows={(point, t): row(t, size) for t in trials},
        designs={("d", t): solution(t) for t in trials},
    )


def broken(point, trial, size):
    """What comes of a trial whose rate could not be measured; without a size, of one that gave nothing."""
    part = {(point, trial): (layout(size)[1:], row(trial, size)[1:])} if size else {}
    return Outcome(failures={(point, trial): (Failure("lost", measure="rate" if size else ""),)}, partial=part)


class Model:
    """What a ledger is to hold."""

    def __init__(self):
        self.whole, self.some, self.lost = {}, {}, set()
        self.solved = set()

    def succeed(self, point, trials, size):
        for t in trials:
            self.whole.setdefault((point, t), size)
            self.some.pop((point, t), None)
            self.lost.discard((point, t))
            self.solved.add(t)

    def fail(self, point, trial, size):
        key = point, trial
        if key in self.whole or (not size and key in self.some):
            return
        self.lost.add(key)
        if size:
            self.some[key] = size

    def size(self, point):
        """The axis of a point: that of its lowest trial that is whole."""
        trials = [t for p, t in self.whole if p == point]
        return self.whole[point, min(trials)] if trials else None

    def done(self, point):
        return {t: size for (p, t), size in self.whole.items() if p == point and size == self.size(point)}

    def partial(self, point):
        """Names and numbers of the trials that are partly done."""
        axis, found = self.size(point), {}
        for (p, t), size in self.whole.items():
            if p == point and size != axis:
                found[t] = (("rate",), row(t, size)[:1].tolist())
        for (p, t), size in self.some.items():
            if p == point:
                fits = axis in (None, size)
                found[t] = (("pattern",), row(t, size)[1:].tolist()) if fits else ((), [])
        return found

    def failures(self, point):
        """What is said to be missing of each trial."""
        axis, found = self.size(point), {}
        for p, t in self.lost:
            if p == point:
                size = self.some.get((p, t))
                odd = bool(size) and axis not in (None, size)
                found[t] = ["rate" if size else "", *["pattern"] * odd]
        for (p, t), size in self.whole.items():
            if p == point and size != axis:
                found[t] = ["pattern"]
        return found


class Ledger(RuleBasedStateMachine):
    """Drivers at work on one run."""

    trials = st.integers(0, 5)
    points = st.sampled_from(POINTS)

    @initialize(sizes=st.lists(st.sampled_from([2, 2, 3]), min_size=6, max_size=6))
    def create(self, sizes):
        self.sizes = sizes  # what a trial gives depends on nothing but its number
        self.home = Path(tempfile.mkdtemp())
        self.folder, self.model = self.home / "run", Model()
        self.drivers = [Store.create(self.folder, {"trials": 6}, {"numpy": "2.0"})]

    def driver(self, number):
        return self.drivers[number % len(self.drivers)]

    def outcomes(self, point, trials):
        """What comes of trials: those that are judged together have the same axes."""
        by_size = {}
        for trial in sorted(trials):
            by_size.setdefault(self.sizes[trial], []).append(trial)
        for size, alike in by_size.items():
            self.model.succeed(point, alike, size)
        return [whole(point, alike, size) for size, alike in by_size.items()]

    @rule(point=points, trials=st.sets(trials, min_size=1), number=st.integers(0, 1))
    def complete(self, point, trials, number):
        for outcome in self.outcomes(point, trials):
            self.driver(number).commit(outcome)

    @rule(point=points, trial=trials, some=st.booleans(), number=st.integers(0, 1))
    def fail(self, point, trial, some, number):
        size = self.sizes[trial] if some else 0
        self.driver(number).commit(broken(point, trial, size))
        self.model.fail(point, trial, size)

    @rule(point=points)
    def retry(self, point):
        """All that is not done is computed again, as on resume."""
        for trial in sorted(set(range(6)) - self.driver(0).done(point)):
            self.driver(0).commit(*self.outcomes(point, {trial}))

    @rule(point=points, trials=st.sets(trials, min_size=1))
    def commit_together(self, point, trials):
        self.driver(0).commit(*self.outcomes(point, trials), broken("q", 0, 0))
        self.model.fail("q", 0, 0)

    @rule(point=points, trial=trials)
    def break_within_a_commit(self, point, trial):
        """The disk is full, or the lock is lost, behind the first rows of a transaction."""
        store, size = self.driver(0), self.sizes[trial]
        solved = Outcome(designs={("e", trial): solution(trial)})  # which is never there
        full = "BEFORE INSERT ON main.designs BEGIN SELECT RAISE(ABORT, 'full'); END"
        store._db.execute(f"CREATE TEMP TRIGGER full {full}")
        with pytest.raises(StoreError, match="cannot be written"):
            store.commit(solved, whole(point, [trial], size), broken(point, trial, size))
        store._db.execute("DROP TRIGGER full")

    @rule()
    def second_driver(self):
        if len(self.drivers) == 1:
            self.drivers.append(Store.open(self.folder, write=True))

    @rule()
    def die(self):
        """All drivers are killed: what is left is the file and its journal."""
        copy = self.home / "left"
        copy.mkdir()
        for file in self.folder.iterdir():
            if not file.name.endswith("-shm"):
                shutil.copyfile(file, copy / file.name)
        for store in self.drivers:
            store._db.close()
        shutil.rmtree(self.folder)
        copy.rename(self.folder)
        self.drivers = [Store.open(self.folder, write=True)]
        self.drivers[0].check()

    @rule()
    def close_and_continue(self):
        for store in self.drivers:
            store.close()
        self.drivers = [Store.open(self.folder, write=True)]
        self.drivers[0].check()

    @rule(trials=st.integers(6, 9))
    def extend(self, trials):
        self.driver(0).set_meta({"trials": max(trials, self.driver(0).need("trials"))})

    @invariant()
    def ledger_equals_model(self):
        store = self.drivers[-1]
        for point in POINTS:
            done = self.model.done(point)
            assert store.done(point) == set(done)
            if done:
                found = store.rows(point, 6)
                for t, size in done.items():
                    np.testing.assert_array_equal(found[t], row(t, size))
            told = {t: (tuple(e.name for e in es), r.tolist()) for t, (es, r) in store.partial(point).items()}
            assert told == self.model.partial(point)
            assert {t: [f.measure for f in fs] for t, fs in store.failures(point).items()} == self.model.failures(point)
        assert {t for _, t in store.designs("d", range(6))} == self.model.solved

    @invariant()
    def counts_add_up(self):
        store = self.drivers[-1]
        done, partly, broken = (store.count(table, 6) for table in ("results", "partial", "failures"))
        for point in POINTS:
            wanted = len(self.model.partial(point)), len(self.model.failures(point))
            assert (partly.get(point, 0), broken.get(point, 0)) == wanted
            assert done.get(point, 0) + broken.get(point, 0) <= 6

    def teardown(self):
        for store in self.drivers:
            store.close()
        shutil.rmtree(self.home)


TestLedger = Ledger.TestCase
TestLedger.settings = settings(max_examples=8, stateful_step_count=10, deadline=None)


@pytest.mark.slow
class TestLedgerAtLength(Ledger.TestCase):
    """The same, with many more steps."""

    settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0), (2, 0, 1), (0, 2, 1), (1, 0, 2)])
def test_the_lowest_trial_says_the_axes_whatever_comes_first(tmp_path, order):
    sizes = {0: 3, 1: 2, 2: 3}
    with Store.create(tmp_path / "run", {}) as store:
        for trial in order:
            store.commit(whole("p", [trial], sizes[trial]))
        assert store.done("p") == {0, 2}
        assert {f.error for f in store.failures("p")[1]} == {OTHER_AXES}
        np.testing.assert_array_equal(store.rows("p", 3)[2], row(2, 3))
        ((_, kept),) = store.partial("p").values()
        assert kept.tolist() == [1.0]  # the rate, which has the same axes in all trials


@pytest.mark.slow
def test_a_driver_that_is_killed_within_a_commit_leaves_all_or_nothing(tmp_path):
    """SIGKILL at 40 moments of commits without end: of each chunk all is there, or nothing."""
    rng = np.random.default_rng(0)
    for turn in range(40):
        folder = tmp_path / str(turn)
        Store.create(folder, {}).close()
        child = os.fork()
        if not child:
            with Store.open(folder, write=True) as store:
                for start in range(0, 10**6, 7):
                    store.commit(whole("p", range(start, start + 7), 2))
            os._exit(0)
        time.sleep(rng.uniform(0.02, 0.1))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        with Store.open(folder, write=True) as store:
            store.check()
            done = store.done("p")
            assert len(done) % 7 == 0
            assert done == set(range(len(done)))
            assert {t for _, t in store.designs("d", range(10**6))} == done


def test_a_ledger_that_two_write_at_once_has_a_bound_on_waiting(tmp_path):
    """The second writer waits for the first, and is told if that takes too long."""
    with Store.create(tmp_path / "run", {}) as store, Store.open(tmp_path / "run", write=True) as other:
        other._db.execute("PRAGMA busy_timeout = 10")
        store._db.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match=r"cannot be written \(database is locked\)"):
            other.commit(whole("p", [0], 2))
        store._db.rollback()
        other.commit(whole("p", [0], 2))
        assert store.done("p") == {0}
        assert sqlite3.connect(tmp_path / "run" / FILE).execute("SELECT count(*) FROM results").fetchone() == (1,)
