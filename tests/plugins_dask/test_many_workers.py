"""Many workers, of which some are killed: nothing is lost, and what it costs the driver."""

import random
import time

import pytest

pytest.importorskip("distributed", reason="isacsim-dask is not installed")
pytest.importorskip("isacsim_dask", reason="isacsim-dask is not installed")

from isacsim_dask.executor import Dask

import isacsim
from isacsim.engine.events import Observer
from isacsim.memory import machine_memory

SETS = ("sweep.bits.values=[3]", "design.sca.solver.max_steps=1", "sinks=[]", "figure={}", "expect={}", "trials=2000")
WORKERS, KILLED = 40, 4


class Reaper(Observer):
    """Kills some workers over the run, and measures what the driver's process takes."""

    def __init__(self, cluster):
        rng = random.Random(14)
        self.cluster = cluster
        self.moments = sorted(rng.sample(range(100, 1900), KILLED))
        self.victims = rng.sample(cluster.workers, KILLED)
        self.ends = 0

    def run_start(self, event):
        self.began, self.cpu = time.perf_counter(), time.process_time()

    def chunk_end(self, event):
        self.ends += 1
        while self.moments and self.ends >= self.moments[0]:
            self.moments.pop(0)
            self.cluster.kill(self.victims.pop())

    def run_end(self, event):
        wall, cpu = time.perf_counter() - self.began, time.process_time() - self.cpu
        print(f"\n{self.ends} chunks in {wall:.0f} s; the driver took {1e3 * cpu / self.ends:.2f} ms of CPU for each")


@pytest.mark.slow
@pytest.mark.skipif(machine_memory() < 14e9, reason="forty workers with isacsim imported take some 8 GB")
def test_four_of_forty_workers_are_killed_and_no_byte_is_another(clusters, tools, studies, study, tmp_path):
    scenario = study(*SETS)
    cluster = clusters(WORKERS)
    executor = Dask(cluster.address)
    with executor.open(1) as crew:  # all are there, and what they compile is on disk
        tools.until(lambda: crew.width == WORKERS, "all workers")
    reaper = Reaper(cluster)
    run = isacsim.run(scenario, tmp_path / "run", executor=executor, chunk=1, observers=[reaper])
    assert str(run.counts()) == "2000 requested = 2000 done + 0 failed + 0 skipped"
    assert reaper.victims == []
    alone = isacsim.run(scenario, tmp_path / "alone", executor="serial")
    for table in ("results", "designs"):
        assert studies.numbers(run, table) == studies.numbers(alone, table)
