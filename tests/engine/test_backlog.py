"""What is handed out of the work of a run: all that is missing, once, in tasks of the size that is asked for."""

import itertools
from concurrent.futures import Executor, Future
from functools import partial
from statistics import median_low

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import isacsim
from isacsim.engine.backlog import Backlog
from isacsim.engine.driver import _Queue
from isacsim.engine.events import ChunkEnd, Observer
from isacsim.engine.executors import ExecutorFactory
from isacsim.engine.pace import AIM, GROWTH, MEMORY, MOST_BYTES, MOST_SECONDS, Pace
from isacsim.engine.plan import Plan, Point, _shared
from isacsim.engine.work import Cost, measured

ADDRESSES = st.lists(st.sets(st.sampled_from("abcdefgh"), min_size=1, max_size=3), min_size=1, max_size=12)


def planned(*addresses):
    """A plan of points with these designs and nothing else."""
    points = [Point({}, None, str(i), {name: name for name in names}, "") for i, names in enumerate(addresses)]
    return Plan(None, tuple(points), tuple(_shared(points)))


@given(ADDRESSES)
def test_points_are_together_exactly_if_a_chain_of_shared_designs_joins_them(addresses):
    groups = planned(*addresses).groups
    reached = [{i} for i in range(len(addresses))]
    for _ in addresses:  # the closure of "shares a design", by brute force
        for mine in reached:
            names = set().union(*(addresses[i] for i in mine))
            mine |= {i for i, other in enumerate(addresses) if other & names}
    assert {frozenset(group) for group in groups} == {frozenset(mine) for mine in reached}
    assert [group[0] for group in groups] == sorted(group[0] for group in groups)


@given(ADDRESSES, st.integers(1, 9), st.none() | st.integers(1, 4), st.data())
def test_what_is_missing_is_handed_out_once(addresses, trials, chunk, data):
    plan = planned(*addresses)
    subsets = st.sets(st.integers(0, trials - 1))
    there = {point.id: data.draw(subsets) for point in plan.points}
    backlog, handed = Backlog(plan, trials, there.__getitem__, chunk), []
    while backlog:
        before, size = backlog.items, data.draw(st.integers(1, 40))
        task = backlog.take(size)
        assert len(task.trials) <= (chunk or trials)
        assert task.items <= size or len(task.trials) == 1 or chunk
        left = backlog.items
        assert left <= before - task.items
        handed += [(point.id, trial) for point in task.points for trial in task.trials]
    assert backlog.take(1) is None
    wanted = [(point.id, trial) for point in plan.points for trial in range(trials) if trial not in there[point.id]]
    assert sorted(handed) == sorted(wanted)


@given(ADDRESSES, st.integers(1, 40))
def test_points_that_share_a_design_are_handed_out_together(addresses, size):
    backlog = Backlog(planned(*addresses), 5, lambda point: set())
    of = {i: group for group in backlog.plan.groups for i in group}
    while backlog:
        numbers = [int(point.id) for point in backlog.take(size).points]
        assert all(set(of[i]) <= set(numbers) for i in numbers)


def test_a_task_takes_further_points_where_one_is_too_little():
    backlog = Backlog(planned("a", "b", "c", "d"), 3, lambda point: set())
    assert [len(backlog.take(6).points) for _ in range(2)] == [2, 2]


@pytest.mark.parametrize("seconds", [1e-4, 3e-3, 0.1, 7.0])
def test_tasks_come_to_take_half_a_second(seconds):
    pace, fixed, sizes = Pace(), 2e-3, []
    for _ in range(20):
        sizes.append(pace.items)
        pace.observe(pace.items, Cost(fixed + seconds * pace.items))
    items = median_low(sizes[-MEMORY:])  # but for the one that is larger, to see whether there are fixed costs
    took = fixed + seconds * items
    # One trial more would be too many, but for the fixed costs that are counted in with the trials.
    assert AIM - seconds - 2 * fixed < took < AIM + fixed or items == 1


def test_a_slow_first_task_as_of_a_worker_that_compiles_is_soon_forgotten():
    pace = Pace()
    pace.observe(1, Cost(20.0))
    assert pace.items == 1
    for grown in (GROWTH, GROWTH**2, 50):
        pace.observe(pace.items, Cost(0.01 * pace.items))
        assert pace.items == grown


def test_what_is_left_over_at_an_end_tells_nothing_unless_it_is_slow():
    pace = Pace(items=5000)
    pace.observe(3, Cost(0.004))
    assert pace.items == 5000
    pace.observe(3, Cost(3 * AIM))
    assert pace.items == 6


@pytest.mark.parametrize("load", [1, 10])
def test_what_a_batch_costs_whatever_its_size_is_shared_by_many(load):
    fixed, each = 0.28 * load, 0.0033 * load  # of the quickstart study: an iteration in Python over its batch
    pace, items = Pace(), 1
    for _ in range(8):
        items = max(1, pace.items // 6) * 6  # a trial is at six points
        pace.observe(items, Cost(fixed + each * items))
    took = fixed + each * items
    assert took <= min(2 * fixed, MOST_SECONDS)
    assert took > min(2 * fixed, MOST_SECONDS) - 6 * each


@pytest.mark.parametrize("seconds", [0.3, 2.0])
def test_whether_there_are_fixed_costs_is_tried_by_one_task_of_nine(seconds):
    pace, sizes = Pace(), []
    for _ in range(2 * MEMORY + 4):
        sizes.append(pace.items)
        pace.observe(pace.items, Cost(seconds * pace.items))
    assert sizes == [1, *2 * [2, *[1] * MEMORY], 2]


def test_tasks_bring_home_no_more_than_the_driver_can_hold():
    pace = Pace(items=64)
    for _ in range(3):
        pace.observe(pace.items, Cost(1e-6 * pace.items, bytes=2**20 * pace.items))
    assert pace.items == MOST_BYTES // 2**20


def test_a_task_that_took_too_long_halves_those_after_it():
    pace = Pace(items=40)
    pace.lost(40)
    assert pace.items == 20
    pace.lost(1)
    assert pace.items == 1


def ticking(step):
    """A clock that gains so many seconds a reading."""
    return partial(next, itertools.count(0.0, step))


class Sizes(Observer):
    """Keeps how many trials each chunk had."""

    def __init__(self):
        self.sizes, self.seconds = [], []

    def chunk_end(self, event: ChunkEnd):
        self.sizes.append(event.done)
        self.seconds.append(event.seconds)


def sizes_of(monkeypatch, scenario, folder, step, **options):
    """Trials in each chunk of a serial run by a clock that gains ``step`` seconds with each task."""
    keeper = Sizes()
    monkeypatch.setattr("isacsim.engine.code.measured", partial(measured, clock=ticking(step), processor=ticking(step)))
    run = isacsim.run(scenario, folder, observers=[keeper], **options)
    np.testing.assert_allclose(keeper.seconds, step)
    return keeper.sizes, run


def test_a_run_takes_larger_chunks_where_trials_are_quick(study, studies, tmp_path, monkeypatch):
    scenario = study("sweep.bits.values=[3]", "trials=30")
    quick, run = sizes_of(monkeypatch, scenario, tmp_path / "quick", 1e-3)
    assert quick == [1, 4, 16, 9]
    slow, other = sizes_of(monkeypatch, scenario, tmp_path / "slow", 0.18)
    assert slow == [1, 2, 8, 19]  # each takes 0.18 s, the second with twice as much: nothing but fixed costs
    fixed, third = sizes_of(monkeypatch, scenario, tmp_path / "fixed", 1e-3, chunk=7)
    assert fixed == [7, 7, 7, 7, 2]
    assert studies.numbers(run) == studies.numbers(other) == studies.numbers(third)


class Later(Executor):
    """Runs what it is given when it is told to."""

    def __init__(self):
        self.waiting = []

    def submit(self, fn, /, *args, **kwargs):
        future = Future()
        self.waiting.append((future, partial(fn, *args, **kwargs)))
        return future

    def run(self):
        while self.waiting:
            future, call = self.waiting.pop(0)
            future.set_result(call())


class Growing(ExecutorFactory):
    """Has one more worker each time that it is asked."""

    def __init__(self):
        self.executor, self.workers = Later(), 0

    def open(self, workers):
        return self.executor

    def width(self, executor, workers):
        self.workers += 1
        return self.workers


def test_the_window_of_tasks_in_flight_follows_the_workers(study, tmp_path, monkeypatch):
    factory, flown, landed = Growing(), [], _Queue.landed

    def arrive(queue):
        flown.append(len(queue.flying))
        factory.executor.run()
        return landed(queue)

    monkeypatch.setattr(_Queue, "landed", arrive)
    scenario = study("sweep.bits.values=[3]", "trials=10")
    assert isacsim.run(scenario, tmp_path / "run", chunk=1, executor=factory).counts().complete
    assert flown == [2, 4, 4]  # two for each worker, as long as there are so many
