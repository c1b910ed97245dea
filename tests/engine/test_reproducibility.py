"""The same seed gives the same bytes, however the work is cut, spread or interrupted."""

import signal
import subprocess
import sys

import attrs
import numpy as np
import pytest

import isacsim

SETS = ("trials=10", "design.sca.solver.max_steps=15", 'evaluate.converters.metrics=["sum-rate-nats", "crlb", "sqinr"]')
EXPERIMENT = 'evaluate.converters.experiments=[{kind="link", symbols=16, training=8}]'


@pytest.fixture(scope="module")
def reference(studies, tmp_path_factory):
    """The stored bytes of a serial run in one chunk."""
    folder = tmp_path_factory.mktemp("reference")
    scenario = studies.load(*SETS, EXPERIMENT, folder=folder)
    run = isacsim.run(scenario, folder / "run", chunk=100)
    assert run.counts().complete
    return {table: studies.numbers(run, table) for table in ("results", "designs")}


def assert_same_bytes(studies, run, reference):
    assert run.counts().complete
    for table, expected in reference.items():
        assert studies.numbers(run, table) == expected


@pytest.mark.parametrize("chunk", [1, 7])
def test_chunk_size_changes_no_byte(studies, study, tmp_path, reference, chunk):
    run = isacsim.run(study(*SETS, EXPERIMENT), tmp_path / "run", chunk=chunk)
    assert_same_bytes(studies, run, reference)


@pytest.mark.parametrize(
    ("workers", "executor", "chunk"),
    [
        (2, "processes", 7),
        pytest.param(1, "processes", 100, marks=pytest.mark.slow),
        (2, "serial", 1),
        (1, {"kind": "serial", "threads": 2}, 100),
    ],
)
def test_workers_and_executors_change_no_byte(studies, study, tmp_path, reference, workers, executor, chunk):
    run = isacsim.run(study(*SETS, EXPERIMENT), tmp_path / "run", workers=workers, executor=executor, chunk=chunk)
    assert_same_bytes(studies, run, reference)


def test_a_smaller_study_holds_the_same_bytes_of_its_trials(studies, study, tmp_path, reference):
    run = isacsim.run(study(*SETS, EXPERIMENT, "trials=5"), tmp_path / "run")
    expected = {key: data for key, data in reference["results"].items() if key[1] < 5}
    assert studies.numbers(run) == expected


def test_another_seed_changes_every_trial(studies, study, tmp_path, reference):
    run = isacsim.run(study(*SETS, EXPERIMENT, "seed=1"), tmp_path / "run")
    assert not set(studies.numbers(run).values()) & set(reference["results"].values())


def test_a_trial_sees_the_same_channels_whatever_is_swept(study):
    scenario = study()
    other = attrs.evolve(scenario, users=attrs.evolve(scenario.users, noise=0.5))
    np.testing.assert_array_equal(scenario.drop((3,)).H[0], other.drop((1, 3)).H[1])


KILLED = """
import os, signal, sys
import isacsim
from isacsim.engine.events import Observer

class Killer(Observer):
    ends = 0

    def chunk_end(self, event):
        self.ends += 1
        if self.ends == 2:
            os.kill(os.getpid(), signal.SIGKILL)

scenario = isacsim.load_scenario(sys.argv[1], set=tuple(sys.argv[3:]))
isacsim.run(scenario, sys.argv[2], chunk=1, observers=(Killer(),))
"""


def test_a_killed_run_is_resumed_to_the_same_bytes(studies, tmp_path, reference):
    file, out = tmp_path / "study.toml", tmp_path / "run"
    file.write_text(studies.text, encoding="utf-8")
    # It kills itself, in the middle of its work, whatever the machine has to do beside it.
    killed = subprocess.run([sys.executable, "-c", KILLED, file, out, *SETS, EXPERIMENT])
    assert killed.returncode == -signal.SIGKILL
    before = isacsim.open_run(out).counts()
    assert 0 < before.done < before.requested
    assert before.skipped == before.requested - before.done
    kept = studies.numbers(isacsim.open_run(out))
    run = isacsim.run(isacsim.load_scenario(file, set=(*SETS, EXPERIMENT)), out, resume=True)
    assert_same_bytes(studies, run, reference)
    assert kept.items() <= reference["results"].items()
