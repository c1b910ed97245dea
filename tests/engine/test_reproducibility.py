"""The same seed gives the same bytes, however the work is cut, spread or interrupted."""

import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing

import attrs
import numpy as np
import pytest

import isacsim

SETS = ("trials=10", "design.sca.solver.max_steps=60", 'evaluate.converters.metrics=["sum-rate-nats", "crlb", "sqinr"]')
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
    ("workers", "executor", "chunk"), [(2, "processes", 7), (1, "processes", 100), (2, "serial", 1)]
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


def test_a_killed_run_is_resumed_to_the_same_bytes(studies, tmp_path, reference):
    file, out = tmp_path / "study.toml", tmp_path / "run"
    file.write_text(studies.text, encoding="utf-8")
    program = (
        "import isacsim, sys; s = isacsim.load_scenario(sys.argv[1], set=tuple(sys.argv[3:])); "
        "isacsim.run(s, sys.argv[2], chunk=1)"
    )
    process = subprocess.Popen([sys.executable, "-c", program, file, out, *SETS, EXPERIMENT])
    done = 0
    deadline = time.monotonic() + 60
    while not done and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.005)
        if (out / "ledger.sqlite").exists():
            with closing(sqlite3.connect(out / "ledger.sqlite")) as ledger:
                try:
                    done = ledger.execute("SELECT count(*) FROM results").fetchone()[0]
                except sqlite3.OperationalError:
                    continue  # not yet written
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    before = isacsim.open_run(out).counts()
    assert 0 < before.done < before.requested
    assert before.skipped == before.requested - before.done
    kept = studies.numbers(isacsim.open_run(out))
    run = isacsim.run(isacsim.load_scenario(file, set=(*SETS, EXPERIMENT)), out, resume=True)
    assert_same_bytes(studies, run, reference)
    assert kept.items() <= reference["results"].items()
