"""Scripts that run something with worker processes: with a guard, without one, and with components of their own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from isacsim.engine.files import scenario_file

# As little as a run can be; what these tests look at is which lines are run how often.
SMALL = 'set=["sweep.bits.values=[3]", "design.joint.solver.max_steps=1", "figure={}", "sinks=[]", "expect={}"]'
PLAIN = f"""
import isacsim
print("begun", flush=True)
scenario = isacsim.load_scenario({str(scenario_file("quickstart.toml"))!r}, {SMALL})
print(isacsim.run(scenario, "out", trials=2, workers=2, executor=EXECUTOR).counts())
"""
OWN = f"""
import attrs, isacsim
from isacsim.api import Metric, Quantity

@attrs.frozen
class Constant(Metric):
    quantity = Quantity("constant", "1", (), "a number")
    def value(self, link):
        return link.W[..., 0, 0].real * 0 + 7

print("begun", flush=True)
def main():
    scenario = isacsim.load_scenario({str(scenario_file("quickstart.toml"))!r}, {SMALL})
    (label, evaluation), = scenario.evaluate.items()
    evaluate = {{label: attrs.evolve(evaluation, metrics=(Constant(),), experiments=())}}
    run = isacsim.run(attrs.evolve(scenario, evaluate=evaluate), "out", trials=2, workers=2)
    print(run.counts(), float(run.dataset().constant.mean()))
"""
DASK = "__import__('isacsim_dask.executor').executor.Dask()"
WHOLE = "2 requested = 2 done + 0 failed + 0 skipped"


def ran(folder: Path, script: str) -> subprocess.CompletedProcess:
    """What a script printed in a folder of its own."""
    (folder / "script.py").write_text(script, encoding="utf-8")
    # Coverage would tell standard error of what it does not measure in the processes of a script.
    here = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    command = [sys.executable, "script.py"]
    return subprocess.run(command, cwd=folder, env=here, capture_output=True, text=True, timeout=600)


POOL = """
print("begun", flush=True)
from isacsim.engine.pool import Pool
with Pool(2) as pool:
    print(pool.submit(abs, -1).result())
"""


def test_a_script_without_a_guard_is_run_once(tmp_path):
    told = ran(tmp_path, POOL)
    assert (told.stdout.splitlines(), told.stderr) == (["begun", "1"], "")


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["None", DASK], ids=["processes", "dask"])
def test_a_run_in_a_script_without_a_guard_is_begun_once(tmp_path, executor):
    if executor == DASK:
        pytest.importorskip("distributed")
        pytest.importorskip("isacsim_dask")
    told = ran(tmp_path, PLAIN.replace("EXECUTOR", executor))
    assert (told.stdout.splitlines(), told.returncode) == (["begun", WHOLE], 0), told.stderr
    assert told.stderr == ""


@pytest.mark.slow
def test_what_a_guarded_script_defines_is_found_by_workers(tmp_path):
    told = ran(tmp_path, OWN + "\nif __name__ == '__main__':\n    main()\n")
    lines = told.stdout.splitlines()
    assert (lines[-1], told.returncode) == (f"{WHOLE} 7.0", 0), told.stderr
    assert 2 <= lines.count("begun") <= 3  # the driver, and each worker that got something to do


@pytest.mark.slow
def test_what_an_unguarded_script_defines_is_one_sentence(tmp_path):
    told = ran(tmp_path, OWN + "\nmain()\n")
    assert told.returncode == 1
    assert "Guard the lines of the script that run something" in told.stderr.splitlines()[-1]
    assert told.stderr.count("Traceback") == 1


STARTING = """
import multiprocessing, sys
import isacsim
from isacsim.engine.pool import Pool

if __name__ == "__mp_main__":
    for begin in (lambda: Pool(1), lambda: isacsim.run("none.toml", "out")):
        try:
            begin()
        except isacsim.InvalidInput as error:
            print(error, flush=True)
if __name__ == "__main__":
    process = multiprocessing.get_context("spawn").Process(target=int)
    process.start()
    process.join()
"""


def test_nothing_is_run_by_a_process_that_is_being_started(tmp_path):
    told = ran(tmp_path, STARTING)
    said = "executor: cannot run what a worker process runs while it imports a script"
    assert [line[: len(said)] for line in told.stdout.splitlines()] == [said, said]
    assert told.stderr == ""
