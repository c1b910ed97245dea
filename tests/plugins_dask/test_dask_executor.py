"""The executor `dask`: what it computes, what it refuses, and whom it can lose."""

import os
import signal
import subprocess
import sys
import time

import attrs
import pytest

pytest.importorskip("distributed", reason="isacsim-dask is not installed")
pytest.importorskip("isacsim_dask", reason="isacsim-dask is not installed")

import isacsim_dask.plugin
from isacsim_dask.executor import Dask

import isacsim
from isacsim.cli.options import executor_table
from isacsim.engine.calls import OtherCode, TaskLost
from isacsim.engine.code import Code, Job
from isacsim.engine.plan import Task
from isacsim.engine.reader import Reader
from isacsim.errors import InvalidInput
from isacsim.plugin import build_registry
from isacsim.testing import check_executor


def test_it_keeps_the_contract_of_executors(standing):
    check_executor(Dask(standing.address))


def test_a_cluster_of_this_machine_keeps_it(tmp_path):
    check_executor(Dask(), workers=2)


test_a_cluster_of_this_machine_keeps_it = pytest.mark.slow(test_a_cluster_of_this_machine_keeps_it)


def test_the_command_line_finds_it_with_its_options():
    registry = build_registry(extra=[isacsim_dask.plugin], installed=False)
    table = executor_table("dask", ["address=tcp://10.0.0.1:8786", "direct=false"], trial_timeout=30.0)
    made = Reader(registry).read(isacsim.api.ExecutorFactory, table, "executor")
    assert made == Dask("tcp://10.0.0.1:8786", direct=False, trial_timeout=30.0)


def test_a_study_has_the_bytes_of_one_process(standing, studies, study, tmp_path):
    scenario = study("sweep.bits.values=[3]")
    run = isacsim.run(scenario, tmp_path / "run", executor=Dask(scheduler_file=str(standing.file)), chunk=2)
    assert run.counts().complete
    alone = isacsim.run(scenario, tmp_path / "alone")
    for table in ("results", "designs"):
        assert studies.numbers(run, table) == studies.numbers(alone, table)


def test_all_may_go_through_the_scheduler(standing):
    with Dask(standing.address, direct=False).open(1) as crew:
        assert sorted(crew.map(abs, range(-5, 5))) == sorted(map(abs, range(-5, 5)))


def test_two_tasks_for_each_process_are_in_flight(standing, tools, gates):
    factory = Dask(standing.address)
    with factory.open(7) as crew, gates() as gate:
        assert crew.submit(abs, -1).result() == 1
        assert factory.width(crew, 7) == 2
        first, *_, last = gate.calls(crew, 5)
        tools.until(first.running, "a task in flight")
        assert not last.running()


def test_a_task_that_ends_its_process_or_takes_too_long_is_lost_and_nothing_else(standing):
    with Dask(standing.address, trial_timeout=1.0).open(1) as crew:
        ended, long = crew.submit(os._exit, 3), crew.submit(time.sleep, 3600)
        with pytest.raises(TaskLost, match="the worker process ended with exit code 3"):
            ended.result()
        with pytest.raises(TaskLost, match="the worker process took longer than 1 s"):
            long.result()
        assert crew.submit(abs, -1).result() == 1


def test_a_worker_of_other_versions_is_left_out(standing):
    code = Code.of(build_registry(installed=False), isacsim.Aqnm(3))
    job = Job.of(attrs.evolve(code, environment={**code.environment, "numpy": "0.1"}), 0)
    with Dask(standing.address).open(1) as crew, pytest.raises(OtherCode, match=r"tcp://.*: process.*numpy: 0\.1 -> "):
        crew.submit(job, Task((), ()), {}).result()


def test_a_scheduler_that_does_not_answer_is_told(tmp_path):
    with pytest.raises(InvalidInput, match=r"executor\.address: must be the address of a scheduler that answers"):
        Dask("tcp://127.0.0.1:9", patience=0.5).open(1)
    with pytest.raises(InvalidInput, match=r"executor\.scheduler_file: must be what a scheduler has written"):
        Dask(scheduler_file=str(tmp_path / "none.json"), patience=0.5).open(1)
    with pytest.raises(InvalidInput, match=r"scheduler_file: must not stand beside an address"):
        Dask("tcp://127.0.0.1:9", "file.json")


def test_a_lost_worker_and_a_lost_scheduler_cost_nothing_but_time(clusters, tools, gates):
    cluster, words = clusters(2), []
    factory = Dask(scheduler_file=str(cluster.file))
    with factory.open(1) as crew, gates("one") as one, gates("other") as other:
        factory.listen(crew, words.append)
        tools.until(lambda: crew.width == 2, "both workers")
        futures = one.calls(crew, 8)
        tools.until(lambda: sum(f.running() for f in futures) == 4, "tasks in flight")
        cluster.kill(cluster.workers[0])
        tools.until(lambda: any("the worker at" in word and "is lost with 2 tasks" in word for word in words), "a loss")
        one.open()
        assert [f.result() for f in futures] == [None] * 8
        futures = other.calls(crew, 4)
        tools.until(lambda: sum(f.running() for f in futures) == 2, "tasks in flight")
        cluster.kill(cluster.scheduler)
        cluster.kill(cluster.workers[1])
        cluster.start_scheduler()  # at another port
        cluster.start_worker()
        other.open()
        assert [f.result() for f in futures] == [None] * 4
    assert any("the scheduler is gone" in word for word in words)


@pytest.mark.slow
def test_a_task_that_takes_worker_after_worker_with_it_is_lost(clusters, tools):
    cluster = clusters(4)
    with Dask(cluster.address).open(1) as crew:
        tools.until(lambda: crew.width == 4, "all workers")
        fatal = crew.submit(kill_worker)
        with pytest.raises(TaskLost, match="4 workers were lost"):
            fatal.result()
        cluster.start_worker()
        assert crew.submit(abs, -1).result() == 1


def kill_worker():
    """End the dask worker, of which this process is a child."""
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(3600)


DRIVER = """
import os, sys, time
from isacsim_dask.executor import Dask
crew = Dask(sys.argv[1]).open(1)
print(crew.submit(os.getpid).result(), flush=True)
crew.submit(time.sleep, 3600)
time.sleep(3600)
"""


def test_nothing_goes_on_for_a_driver_that_was_killed(standing, tools):
    with subprocess.Popen([sys.executable, "-c", DRIVER, standing.address], stdout=subprocess.PIPE) as driver:
        pid = int(driver.stdout.readline())
        driver.kill()
    tools.until(lambda: not os.path.exists(f"/proc/{pid}"), "the process that computed has ended")
    with Dask(standing.address).open(1) as crew:  # and the worker serves another driver
        assert crew.submit(abs, -1).result() == 1
