"""Executors: giving up what runs."""

import multiprocessing
import os
import time

import pytest

from isacsim.engine.executors import Processes, Serial


def lives(pid):
    """Whether there is such a process; one that has ended is reaped by the look."""
    multiprocessing.active_children()
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_abandoned_workers_end_long_before_their_task():
    factory = Processes()
    executor = factory.open(1)
    pid = executor.submit(os.getpid).result()
    executor.submit(time.sleep, 6000)
    assert lives(pid)
    factory.abandon(executor)
    deadline = time.monotonic() + 600  # of a machine with other work: a tenth of the task
    while lives(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not lives(pid)


def test_what_runs_here_has_ended_when_it_is_abandoned():
    factory = Serial()
    executor = factory.open(1)
    done = executor.submit(int)
    factory.abandon(executor)
    assert done.result() == 0


@pytest.mark.parametrize(
    ("option", "machine", "limit"),
    [(None, 64 * 2**30, 16 * 2**30), (None, 4 * 2**30, 2 * 2**30), (0.5, 4 * 2**30, 5 * 10**8)],
    ids=["share", "small-share", "as-told"],
)
def test_a_share_of_memory_leaves_room_for_a_trial_unless_told_otherwise(monkeypatch, option, machine, limit):
    monkeypatch.setattr("isacsim.engine.executors.machine_memory", lambda: machine)
    with Processes(memory_gb=option).open(3) as pool:
        assert pool.memory == limit
