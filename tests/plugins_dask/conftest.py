"""Clusters of this machine whose scheduler and workers are processes that tests can end."""

import contextlib
import ctypes
import importlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import attrs
import pytest

PATIENCE = 600  # s: of a machine with other work; nothing waits as long on a quiet one
PR_SET_PDEATHSIG = 1
PARTS = Path(__file__).parents[1] / "parts"
SCHEDULER = ("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--no-show")
WORKER = ("worker", "--host", "127.0.0.1", "--no-nanny", "--no-dashboard", "--memory-limit", "0")


def until(true, what):
    """Wait until something is true."""
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, f"not after {PATIENCE} s: {what}"
        time.sleep(0.02)


def children(pid):
    """The processes that a process has started."""
    with contextlib.suppress(OSError):
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def _end_with_parent():
    """Have the kernel end this process with the one that started it, which no fixture outlives when it is killed."""
    with contextlib.suppress(AttributeError, OSError):  # Linux has it
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


@attrs.define
class Cluster:
    """A scheduler and its workers on loopback.

    Attributes:
        folder: Where the file of the scheduler is.
        scheduler: Its process.
        workers: Those of the workers.
    """

    folder: Path
    scheduler: subprocess.Popen | None = None
    workers: list[subprocess.Popen] = attrs.field(factory=list)

    @property
    def file(self):
        """What the scheduler has written."""
        return self.folder / "scheduler.json"

    @property
    def address(self):
        """Address of the scheduler."""
        return json.loads(self.file.read_text())["address"]

    def start_scheduler(self):
        """A scheduler, on a port of its own."""
        self.file.unlink(missing_ok=True)
        self.scheduler = self._start(*SCHEDULER, "--scheduler-file", str(self.file))
        until(lambda: self.file.exists() and self.file.read_text().strip().endswith("}"), "a scheduler")

    def start_worker(self, threads=1):
        """One more worker."""
        more = ("--nthreads", str(threads), "--local-directory", str(self.folder))
        self.workers.append(self._start(*WORKER, *more, "--scheduler-file", str(self.file)))
        return self.workers[-1]

    def _start(self, command, *arguments):
        paths = [str(PARTS), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep)), *sys.path]
        # Coverage is of the package, which its own tests see; here it would be most of the time.
        environment = {k: v for k, v in os.environ.items() if not k.startswith("COV")}
        environment["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(paths))
        log = open(self.folder / f"{len(self.workers)}-{command}.log", "ab")  # noqa: SIM115
        with log:
            return subprocess.Popen(
                [sys.executable, "-m", "dask", command, *arguments],
                env=environment,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                preexec_fn=_end_with_parent,
            )

    def repair(self, workers):
        """Start what is missing of a scheduler and so many workers."""
        self.workers = [worker for worker in self.workers if worker.poll() is None]
        if self.scheduler is None or self.scheduler.poll() is not None:
            self.close()
            self.workers = []
            self.start_scheduler()
        while len(self.workers) < workers:
            self.start_worker()

    def kill(self, process):
        """End a process as the kernel does when memory is short."""
        process.send_signal(signal.SIGKILL)
        process.wait()

    def close(self):
        """End all processes."""
        for process in [*self.workers, self.scheduler]:
            if process is not None and process.poll() is None:
                self.kill(process)


@attrs.define
class Gate:
    """What calls wait for until it opens, which it does at the end of a ``with`` at the latest."""

    file: Path
    until_open: object

    def calls(self, crew, count):
        """Calls that wait for it."""
        return [crew.submit(self.until_open, str(self.file)) for _ in range(count)]

    def open(self):
        """Let all end that wait."""
        self.file.touch()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.open()


@pytest.fixture
def gates(tmp_path, monkeypatch):
    """Makes gates."""
    monkeypatch.syspath_prepend(str(PARTS))
    until_open = importlib.import_module("isacsim_test_gate").until_open
    return lambda name="gate": Gate(tmp_path / name, until_open)


@pytest.fixture
def clusters(tmp_path):
    """Makes clusters, and ends them."""
    made = []

    def make(workers=1, threads=1):
        folder = tmp_path / f"cluster{len(made)}"
        folder.mkdir()
        made.append(Cluster(folder))
        made[-1].start_scheduler()
        for _ in range(workers):
            made[-1].start_worker(threads)
        return made[-1]

    yield make
    for cluster in made:
        cluster.close()


@pytest.fixture(scope="session")
def cluster_of():
    """A cluster without processes, in a folder."""
    return Cluster


@pytest.fixture(scope="module")
def standing(tmp_path_factory):
    """A cluster of one worker with two processes, for tests that end none."""
    cluster = Cluster(tmp_path_factory.mktemp("standing"))
    cluster.start_scheduler()
    cluster.start_worker(2)
    yield cluster
    cluster.close()


@pytest.fixture(scope="session")
def tools():
    """`until` and `children`."""
    return type("Tools", (), {"until": staticmethod(until), "children": staticmethod(children)})
