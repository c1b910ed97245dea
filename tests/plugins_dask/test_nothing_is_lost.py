"""Executors x workers x chunk sizes x faults: a run has the same bytes in the end, whatever happened on the way.

Every row is a run that meets one fault, and that is continued where the fault ended it.
"""

import contextlib
import json
import multiprocessing
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
from itertools import product

import attrs
import numpy as np
import pytest

pytest.importorskip("distributed", reason="isacsim-dask is not installed")
pytest.importorskip("isacsim_dask", reason="isacsim-dask is not installed")

from isacsim_dask.executor import Dask

import isacsim
from isacsim.engine.events import Observer
from isacsim.errors import StoreError

SETS = ("trials=66", "sweep.bits.values=[3]", "design.sca.solver.max_steps=1", "sinks=[]", "figure={}", "expect={}")
CHUNKS = (1, 7, 64)
LOCAL = ("none", "driver killed", "disk full", "read-only folder", "torn journal")
FAULTS = {
    "serial": LOCAL,
    "processes": (*LOCAL, "each worker killed"),
    "dask": (*LOCAL, "each worker killed", "scheduler killed"),
}
FAST = {("dask", 2, 7, "each worker killed"), ("serial", 1, 7, "torn journal"), ("serial", 1, 1, "disk full")}
ROWS = [
    pytest.param(*row, id="-".join(map(str, row)).replace(" ", "-"), marks=() if row in FAST else pytest.mark.slow)
    for executor, faults in FAULTS.items()
    for row in product([executor], [1, 2], CHUNKS, faults)
]


@attrs.define
class Bench:
    """One row: where it runs, how, and on which cluster.

    Attributes:
        folder: Of the row.
        scenario: What is run.
        executor: Name of the executor.
        workers: Number of workers.
        chunk: Trials of a chunk.
        cluster: Of the executor ``dask``.
        rng: Says when and where.
    """

    folder: object
    scenario: object
    executor: str
    workers: int
    chunk: int
    cluster: object
    rng: random.Random

    def run(self, out, observers=(), **options):
        """Run, or continue, in this process."""
        made = Dask(scheduler_file=str(self.cluster.file)) if self.cluster else self.executor
        known = {"workers": self.workers, "chunk": self.chunk, "executor": made, "observers": observers}
        return isacsim.run(self.scenario, out, **known, **options)

    def start(self, out, resume):
        """A driver of its own process, which takes its time; returns once it has begun."""
        options = {"workers": self.workers, "chunk": self.chunk, "resume": resume}
        file = str(self.cluster.file) if self.cluster else ""
        told = json.dumps([str(self.folder / "study.toml"), str(out), self.executor, file, SETS, options])
        driver = subprocess.Popen([sys.executable, "-c", DRIVER, told], stdout=subprocess.PIPE, cwd=self.folder)
        assert driver.stdout.readline().strip() == b"begun"
        return driver


DRIVER = """
import json, sys, time
import isacsim
from isacsim.engine.events import Observer

class Slow(Observer):
    def run_start(self, event):
        print("begun", flush=True)

    def chunk_end(self, event):
        time.sleep(0.03)

    def run_end(self, event):
        time.sleep(600)  # so that a kill hits however fast the machine is

if __name__ == "__main__":
    study, out, executor, file, sets, options = json.loads(sys.argv[1])
    if file:
        from isacsim_dask.executor import Dask
        executor = Dask(scheduler_file=file)
    scenario = isacsim.load_scenario(study, set=sets)
    isacsim.run(scenario, out, executor=executor, observers=[Slow()], **options)
"""


class At(Observer):
    """Does something at the ends of some chunks."""

    def __init__(self, actions):
        self.actions = dict(actions)
        self.ends = 0

    def chunk_end(self, event):
        self.ends += 1
        self.actions.pop(self.ends, int)()


def killed(bench, out, kills=2):
    """Kill the driver at random moments, and continue; returns how often it was hit before its end."""
    hits, resume = 0, False
    for _ in range(kills):
        driver = bench.start(out, resume)
        with contextlib.suppress(subprocess.TimeoutExpired):
            driver.wait(bench.rng.uniform(0, 2))
        driver.kill()
        hits += driver.wait() == -signal.SIGKILL
        driver.stdout.close()
        resume = True
    return hits


def none(bench, out):
    bench.run(out)


def driver_killed(bench, out):
    assert killed(bench, out) > 0


def torn_journal(bench, out):
    """What a machine that loses its power may leave: the end of the journal is missing, or is something else."""
    assert killed(bench, out, kills=1) == 1
    journal = out / "ledger.sqlite-wal"
    content = bytearray(journal.read_bytes())
    place = bench.rng.randrange(len(content) + 1)
    torn = content[:place] + bench.rng.choice([b"", bench.rng.randbytes(len(content) - place)])
    journal.write_bytes(torn)


def disk_full(bench, out):
    with small_disk(out) as make_room:
        with pytest.raises(StoreError, match=r"cannot be written \(.*What is in it is kept: continue with --resume"):
            bench.run(out, any_size=True)  # the estimate would refuse it
        make_room()


def read_only_folder(bench, out):
    bench.scenario = attrs.evolve(bench.scenario, trials=30)
    bench.run(out)
    bench.scenario = attrs.evolve(bench.scenario, trials=66)
    with read_only(out), pytest.raises(StoreError, match="cannot be written"):
        bench.run(out, resume=True)


def each_worker_killed(bench, out):
    actions = {2 * i + 1: lambda i=i: kill_worker(bench, i) for i in range(bench.workers)}
    bench.run(out, [At(actions)])


def kill_worker(bench, number):
    if bench.cluster is None:
        workers = multiprocessing.active_children()
        os.kill(workers[number % len(workers)].pid, signal.SIGKILL)
    else:
        bench.cluster.kill(bench.cluster.workers.pop(0))
        bench.cluster.start_worker()


def scheduler_killed(bench, out):
    def restart():
        bench.cluster.close()
        bench.cluster.repair(bench.workers)

    bench.run(out, [At({1: restart})])


MOUNT = shutil.which("mount") is not None and os.geteuid() == 0


def mounted(*arguments):
    return subprocess.run(["mount", *map(str, arguments)], capture_output=True).returncode == 0


@contextlib.contextmanager
def small_disk(folder):
    """A file system that the ledger does not fit in; where none may be mounted, a limit of the size of files."""
    folder.mkdir()
    if MOUNT and mounted("-t", "tmpfs", "-o", "size=220k", "tmpfs", folder):
        kept = folder.with_name("kept")
        try:
            yield lambda: mounted("-o", "remount,size=64m", folder)
            shutil.copytree(folder, kept)
        finally:
            subprocess.run(["umount", str(folder)], check=True)
        folder.rmdir()
        kept.rename(folder)
    else:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (80 * 1024, before[1]))
        try:
            yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, before)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextlib.contextmanager
def read_only(folder):
    """Within it nobody can write: not its owner, and where it can be mounted so, not the superuser."""
    if os.geteuid() == 0:
        if not (mounted("--bind", folder, folder) and mounted("-o", "remount,bind,ro", folder)):
            pytest.skip("the superuser writes everywhere, and may not mount here")
        try:
            yield
        finally:
            subprocess.run(["umount", str(folder)], check=True)
    else:
        for path in (*folder.iterdir(), folder):
            path.chmod(0o555)
        yield
        for path in (folder, *folder.iterdir()):
            path.chmod(0o755)


FAULT = {
    "none": none,
    "driver killed": driver_killed,
    "torn journal": torn_journal,
    "disk full": disk_full,
    "read-only folder": read_only_folder,
    "each worker killed": each_worker_killed,
    "scheduler killed": scheduler_killed,
}
# Nothing is left to be done by hand: the others go on.
NEVER_ENDS_A_RUN = {("dask", "each worker killed"), ("dask", "scheduler killed")}


def contents(run, studies):
    """All numbers of a run but times, as bytes."""
    dataset = run.dataset()
    told = {name: np.asarray(v.values).tobytes() for name, v in dataset.variables.items() if "time" not in name}
    return told, studies.numbers(run), studies.numbers(run, "designs")


@pytest.fixture(scope="module")
def scenario(studies, tmp_path_factory):
    return studies.load(*SETS, folder=tmp_path_factory.mktemp("study"), small=())


@pytest.fixture(scope="module")
def expected(studies, scenario, tmp_path_factory):
    run = isacsim.run(scenario, tmp_path_factory.mktemp("expected") / "run", executor="serial", chunk=100)
    assert run.counts().complete
    return contents(run, studies)


@pytest.fixture(scope="module")
def lasting(cluster_of, tmp_path_factory):
    """Clusters by their number of workers, with what a test has killed started again."""
    made = {}

    def standing(workers):
        if workers not in made:
            made[workers] = cluster_of(tmp_path_factory.mktemp("cluster"))
        made[workers].repair(workers)
        return made[workers]

    yield standing
    for cluster in made.values():
        cluster.close()


@pytest.fixture
def bench(executor, workers, chunk, request, tmp_path, scenario, studies):
    (tmp_path / "study.toml").write_text(studies.text, encoding="utf-8")
    cluster = request.getfixturevalue("lasting")(workers) if executor == "dask" else None
    seed = random.Random(request.node.name)
    return Bench(tmp_path, scenario, executor, workers, chunk, cluster, seed)


@pytest.mark.parametrize(("executor", "workers", "chunk", "fault"), ROWS)
def test_a_run_has_the_same_bytes_whatever_happens(bench, executor, fault, expected, studies):
    out = bench.folder / "run"
    FAULT[fault](bench, out)
    run = isacsim.open_run(out)
    counts = run.counts()
    assert counts.requested in (30, 66)
    assert counts.requested == counts.done + counts.partly + counts.failed + counts.skipped
    if not (counts.complete and counts.requested == 66):
        assert fault != "none"
        assert (executor, fault) not in NEVER_ENDS_A_RUN
        run = bench.run(out, resume=True)
    assert run.counts().complete
    run.check()
    assert contents(run, studies) == expected


@pytest.mark.slow
@pytest.mark.parametrize(("executor", "workers", "chunk"), [("dask", 2, 1)])
def test_a_driver_that_is_killed_twenty_times_loses_nothing(bench, expected, studies):
    out, hits = bench.folder / "run", 0
    bench.scenario = attrs.evolve(bench.scenario)
    while hits < 20 and not (hits and isacsim.open_run(out).counts().complete):
        driver = bench.start(out, resume=hits > 0)
        with contextlib.suppress(subprocess.TimeoutExpired):
            driver.wait(bench.rng.uniform(0, 0.5))
        driver.kill()
        hits += driver.wait() == -signal.SIGKILL
        driver.stdout.close()
    print(f"\n{hits} kills, then {isacsim.open_run(out).counts()}")
    assert hits >= 5
    run = bench.run(out, resume=True)
    assert run.counts().complete
    assert contents(run, studies) == expected
