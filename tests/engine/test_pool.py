"""Worker processes: one that ends, hangs or swallows memory costs its own task and no other."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool

import numpy as np
import pytest

from isacsim.engine.calls import OtherCode, TaskLost, deliver, pack_call
from isacsim.engine.executors import Processes
from isacsim.engine.pool import Pool


class Stubborn(Exception):
    """Cannot be made anew from its arguments, and so cannot travel."""

    def __init__(self, one, two):
        super().__init__(one)


def stubborn():
    raise Stubborn("cannot travel", 2)


def fill(count):
    return np.ones(count).size


@pytest.fixture(scope="module")
def pool():
    with Pool(2, timeout=600.0, memory=2 * 10**9) as made:
        yield made


def test_a_worker_that_ends_takes_only_its_own_task(pool):
    killed = pool.submit(os.kill, pool.submit(os.getpid).result(), signal.SIGKILL)
    ended = pool.submit(os._exit, 3)
    others = [pool.submit(abs, -i) for i in range(8)]
    assert [other.result() for other in others] == list(range(8))
    with pytest.raises(TaskLost, match="the worker process ended with exit code 3"):
        ended.result()
    # The process that it kills is its own, or the other one, which has a task or has none.
    assert killed.exception() is None or "SIGKILL" in str(killed.exception())


def test_memory_beyond_the_limit_is_an_error_of_the_task(pool):
    with pytest.raises(MemoryError):
        pool.submit(fill, 10**9).result()
    assert pool.submit(fill, 10).result() == 10


def test_an_exception_that_cannot_travel_comes_as_its_text(pool):
    with pytest.raises(RuntimeError, match="Stubborn: cannot travel"):
        pool.submit(stubborn).result()


def test_a_packed_call_has_a_packed_answer(pool):
    for call, expected in ((pack_call(abs, (-3,)), 3), (pack_call(int, ("x",)), ValueError)):
        future = Future()
        deliver(pool.forward(call).result(), future)
        if expected is ValueError:
            with pytest.raises(ValueError, match="invalid literal"):
                future.result()
        else:
            assert future.result() == expected


def test_a_call_of_what_is_not_there_is_told(pool):
    missing = pack_call(fill, (1,)).replace(b"fill", b"pour")
    future = Future()
    deliver(pool.forward(missing).result(), future)
    with pytest.raises(OtherCode, match=r"process \d+ on \S+ cannot read what it is to compute: AttributeError.*pour"):
        future.result()


def test_a_task_that_takes_too_long_is_ended():
    with Pool(1, timeout=1.0) as pool:
        assert pool.submit(abs, -1).result() == 1
        with pytest.raises(TaskLost, match=r"the worker process took longer than 1 s"):
            pool.submit(time.sleep, 3600).result()
        assert pool.submit(abs, -2).result() == 2


def test_a_hanging_trial_is_the_only_one_that_fails(study, registry, tmp_path):
    import isacsim

    metric = 'evaluate.converters.metrics=["sum-rate-nats", {kind="touchy", trial=2, how="wait"}]'
    scenario = study(metric, "sweep.bits.values=[3]", "trials=4", "figure={}", "expect={}", registry=registry)
    # Long enough for what is compiled first, on a machine with other work.
    run = isacsim.run(scenario, tmp_path / "run", executor=Processes(trial_timeout=60), registry=registry)
    assert str(run.counts()) == "4 requested = 3 done + 1 failed + 0 skipped"
    ((_, trial, error),) = run.failures()
    assert (trial, "took longer than 60 s over this trial" in error) == (2, True)


test_a_hanging_trial_is_the_only_one_that_fails = pytest.mark.slow(test_a_hanging_trial_is_the_only_one_that_fails)

DRIVER = """
import os, time
from isacsim.engine.pool import Pool
if __name__ == "__main__":
    pool = Pool(2)
    print(*{pool.submit(os.getpid).result() for _ in range(4)}, flush=True)
    for _ in range(2):
        pool.submit(time.sleep, 3600)
    time.sleep(3600)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_no_worker_outlives_its_driver(tmp_path, number):
    script = tmp_path / "driver.py"
    script.write_text(DRIVER, encoding="utf-8")
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True) as driver:
        workers = [int(pid) for pid in driver.stdout.readline().split()]
        driver.send_signal(number)
        driver.wait(600)
    deadline = time.monotonic() + 600  # five seconds, on a machine without other work
    while any(os.path.exists(f"/proc/{pid}") for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(os.path.exists(f"/proc/{pid}") for pid in workers)


def unreadable():
    return Unreadable()


class Unreadable:
    """Can leave a process and not enter another one."""

    def __reduce__(self):
        return float, ("no number",)


def test_an_answer_that_cannot_be_read_is_told(pool):
    with pytest.raises(TaskLost, match="the answer of a worker cannot be read: ValueError"):
        pool.submit(unreadable).result()
    assert pool.submit(abs, -1).result() == 1


def test_a_pool_whose_thread_breaks_leaves_nobody_waiting(monkeypatch):
    def fails(*args):
        raise OSError("no more processes")

    monkeypatch.setattr("isacsim.engine.pool.started", fails)
    pool = Pool(2)
    first = pool.submit(abs, -1)
    with pytest.raises(BrokenProcessPool, match="the pool cannot go on: OSError: no more processes"):
        first.result(timeout=600)
    with pytest.raises(BrokenProcessPool, match="no more processes"):
        pool.submit(abs, -2)
    pool.shutdown()


def test_what_a_broken_pool_has_begun_is_answered_too(monkeypatch):
    pool = Pool(1)
    pool.submit(int).result()
    begun = pool.submit(time.sleep, 3600)
    monkeypatch.setattr("isacsim.engine.pool.wait", lambda *args: 1 / 0)
    waiting = pool.submit(abs, -1)
    for future in (begun, waiting):
        with pytest.raises(BrokenProcessPool, match="ZeroDivisionError"):
            future.result(timeout=600)
