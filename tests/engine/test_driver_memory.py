"""The driver of a long run holds no more than that of a short one."""

import tracemalloc
from concurrent.futures import Executor, Future

import numpy as np

from isacsim.engine.backlog import Backlog, missing
from isacsim.engine.driver import Driver
from isacsim.engine.executors import ExecutorFactory
from isacsim.engine.plan import Plan, Point, _shared
from isacsim.engine.sealed import Sealed
from isacsim.engine.store import Store
from isacsim.engine.work import SCALARS, DesignRecord, Entry, Outcome

RATE = (Entry("judged", "made", "rate", "nat", (), (), {}, "rate"),)
ONE, SOLVED = np.ones(1), DesignRecord(np.zeros(len(SCALARS)), {"precoder": np.ones((4, 2), complex)}, (), 0.0)


class Instant(Executor, ExecutorFactory):
    """Is done with what it is given when it is given."""

    def open(self, workers):
        return self

    def submit(self, fn, /, *args):
        future = Future()
        future.set_result(fn(*args))
        return future


def made_up(task, known):
    """What would come of a task."""
    rows = {(point.id, trial): ONE for point in task.points for trial in task.trials}
    return Sealed.of(Outcome({p.id: RATE for p in task.points}, rows, {("d", t): SOLVED for t in task.trials}), 0)


def planned():
    points = [Point({}, None, name, {"made": "d"}, "") for name in "pq"]
    return Plan(None, tuple(points), tuple(_shared(points)))


def peak_of(work):
    """The most that is allocated while something is done, in bytes."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_run_of_ten_times_the_trials_takes_no_more_memory(tmp_path):
    def run(trials):
        with Store.create(tmp_path / str(trials), {"trials": trials}) as store:
            backlog = Backlog(planned(), trials, store.done, chunk=100)
            assert Driver(store, Instant(), 1, made_up, []).run(backlog)
            assert store.count("results", trials) == {"p": trials, "q": trials}

    run(100)  # what is imported and kept once
    few, many = peak_of(lambda: run(1000)), peak_of(lambda: run(10_000))
    assert many - few < 8 * 2 * 9000  # of each trial at two points: who keeps something of each keeps 8 bytes at least


def test_to_continue_a_run_takes_a_bounded_memory_for_each_trial(tmp_path):
    """Numbers of what is there and of what is missing, as a set and a list: below 100 bytes, 100 MB for a million."""
    point, trials = planned().points[0], 10_000
    with Store.create(tmp_path / "run", {"trials": trials}) as store:
        for start in range(0, trials // 2, 100):
            task = type("Task", (), {"points": (point,), "trials": range(start, start + 100)})
            store.commit(made_up(task, {}))

        def look():
            (lot,) = missing([point], range(trials), store.done)
            assert len(lot.trials) == trials // 2

        look()
        assert peak_of(look) < 100 * trials
