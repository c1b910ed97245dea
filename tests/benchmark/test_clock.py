"""Whose time counts, and what the kernel takes out."""

import math
import time

import attrs
import numpy as np
import pytest

from isacsim.benchmark import clock
from isacsim.benchmark.cases import Case
from isacsim.benchmark.clock import Reading, Round, kernel, own_times, repetitions, run_block, timed
from isacsim.benchmark.results import Result


def own(*readings):
    """Own times of one call over rounds."""
    return own_times([Round(1.0, (reading,)) for reading in readings]).ravel().tolist()


def test_a_thread_that_never_waits_took_its_processor_time():
    assert own(Reading(wall=3.0, cpu=1.0, waits=0)) == [1.0]
    # Now and then even a thread that only computes gives up the core, to load a page for example.
    assert own(Reading(wall=3.0, cpu=1.0, waits=15)) == [1.0]


def test_a_thread_that_waits_in_every_round_took_the_time_on_the_wall():
    often, rarely = Reading(wall=3.0, cpu=1.0, waits=30), Reading(wall=4.0, cpu=1.1, waits=0)
    assert own(often, often) == [3.0, 3.0]
    assert own(often, rarely) == [1.0, 1.1]
    assert own(Reading(wall=0.06, cpu=0.01, waits=1)) == [0.06]
    assert own(Reading(wall=3.0, cpu=1.0, waits=math.inf)) == [3.0]


def test_a_sleep_counts_as_time_of_the_call():
    reading, result = timed(lambda: time.sleep(0.02) or "slept")
    assert result == "slept"
    assert reading.waits >= 1
    assert own(reading)[0] >= 0.02 > reading.cpu


def test_without_a_count_of_waits_the_clock_on_the_wall_is_taken(monkeypatch):
    monkeypatch.setattr(clock, "CLOCK", attrs.evolve(clock.CLOCK, waits=lambda: math.inf))
    reading, _ = timed(lambda: None)
    assert own(reading) == [reading.wall]


def test_short_calls_are_repeated_and_told_as_one(ticks, monkeypatch):
    monkeypatch.setattr(ticks, "step", 1e-3)
    calls = []
    assert repetitions(lambda: None) == 20  # calls of a millisecond, to make up 20
    assert repetitions(lambda: ticks.pass_by(0.1)) == 1
    one, results = run_block([lambda: calls.append(1) or len(calls)], repeat=5)
    assert (len(calls), results) == (5, [5])
    assert one.readings[0].cpu == pytest.approx(one.kernel / 5)


def test_a_round_is_told_in_units_of_the_kernel():
    one = Round(2.0, (Reading(1.0, 1.0, 0), Reading(9.0, 3.0, 0)))
    assert own_times([one, one]).tolist() == [[1.0, 3.0], [1.0, 3.0]]
    result = Result(Case("problem", "16x4", "solver", "alone", 2), (one, one))
    assert result.relative.tolist() == [2.0, 2.0]
    assert (result.seconds(), result.seconds(1)) == (2.0, 1.0)


def test_the_kernel_beside_itself_is_one_kernel(ticks, monkeypatch):
    monkeypatch.setattr(clock, "kernel", lambda: ticks.pass_by(3 * ticks.step))
    one, _ = run_block([lambda: clock.kernel()] * 2)
    assert [reading.cpu for reading in one.readings] == pytest.approx([one.kernel] * 2)
    assert one.kernel == pytest.approx(4 * ticks.step)


def test_the_garbage_collector_is_as_before(monkeypatch):
    import gc

    seen = []
    run_block([lambda: seen.append(gc.isenabled())])
    assert (seen, gc.isenabled()) == ([False], True)
    with pytest.raises(ZeroDivisionError):
        run_block([lambda: 1 / 0])
    assert gc.isenabled()


def test_the_kernel_draws_nothing_from_the_global_generator():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    kernel()
    np.testing.assert_array_equal(before, np.random.get_state()[1])  # noqa: NPY002
