"""Executors: giving up what runs."""

import multiprocessing
import time

from isacsim.engine.executors import Processes, Serial


def test_abandoned_workers_end_at_once():
    factory = Processes()
    executor = factory.open(1)
    assert executor.submit(int).result() == 0  # the worker is up
    executor.submit(time.sleep, 600)
    (worker,) = multiprocessing.active_children()
    factory.abandon(executor)
    worker.join(30)
    assert not worker.is_alive()


def test_what_runs_here_has_ended_when_it_is_abandoned():
    factory = Serial()
    executor = factory.open(1)
    done = executor.submit(int)
    factory.abandon(executor)
    assert done.result() == 0
