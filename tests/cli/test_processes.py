"""The command line as a process of its own: light to start, and safe to interrupt or kill."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import isacsim
from isacsim.cli.main import main

HEAVY = ("cvxpy", "xarray", "matplotlib", "numba", "scipy.stats", "pandas", "h5netcdf")
COMMAND = [sys.executable, "-c", "import sys; from isacsim.cli.main import main; sys.exit(main())"]
SETS = (
    "--workers", "1", "--executor", "serial", "--trials", "30", "--set",
    'evaluate.converters.metrics=["sum-rate-nats", "crlb", {kind="touchy", trial=20, how="wait", armed="%s"}]',
    "--set", "figure={rate={x='bits', y='crlb'}}", "--set", "design.joint.solver.max_steps=2",
)  # fmt: skip


def test_light_commands_import_nothing_heavy():
    lines = ["--help", "--version", "list", "list --json", "plugins", "run --help"]
    program = (
        f"import sys, json; from isacsim.cli.main import main; codes = [main(line.split()) for line in {lines!r}]; "
        f"print(json.dumps([codes, [m for m in {HEAVY!r} if m in sys.modules]]), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert json.loads(done.stderr.splitlines()[-1]) == [[0] * len(lines), []]


def test_the_package_is_the_command():
    done = subprocess.run([sys.executable, "-m", "isacsim", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"isacsim {isacsim.__version__}\n"


def test_check_and_show_import_no_solver_library_and_no_plotting():
    # A check evaluates the metrics on a stand-in, and the inverse of a FIM is compiled.
    heavy = [name for name in HEAVY if name != "numba"]
    program = (
        "import sys, json; from isacsim.cli.main import main; main(['check', 'quickstart']); "
        "main(['show', 'solvers', 'sca']); "
        f"print(json.dumps([m for m in {heavy!r} if m in sys.modules]), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert json.loads(done.stderr.splitlines()[-1]) == []


@pytest.fixture
def environment(studies, tmp_path):
    """An environment in which the plugin of tests/parts is installed, by its entry point."""
    info = tmp_path / "site" / "isacsim_test_parts-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: isacsim-test-parts\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text("[isacsim]\nparts = isacsim_test_parts\n", encoding="utf-8")
    path = [str(info.parent), str(studies.PARTS), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path), "COLUMNS": "200"}


def wait_for(path, process, seconds=600):
    """Waits until there is a file."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.02)
        if path.exists():
            return
    raise AssertionError(f"no {path} within {seconds} s; exit code {process.poll()}")


@pytest.fixture
def waiting(environment, tmp_path):
    """A run of the command line that waits at trial 20 of 30, and its folder."""
    fuse, out = tmp_path / "fuse", tmp_path / "run"
    fuse.touch()
    arguments = ["run", "quickstart", "--out", str(out), *(s.replace("%s", str(fuse)) for s in SETS)]
    with subprocess.Popen(
        [*COMMAND, *arguments], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            wait_for(Path(f"{fuse}-reached"), process)
            yield process, out, fuse, arguments
        finally:
            process.kill()


@pytest.fixture
def finish(environment, monkeypatch, capsys, waiting):
    """Continues that run, in this process."""

    def resumed():
        _, out, fuse, arguments = waiting
        for place in reversed(environment["PYTHONPATH"].split(os.pathsep)):
            monkeypatch.syspath_prepend(place)
        fuse.unlink()
        assert main([*arguments, "--resume", "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert (told["done"], told["failed"], told["skipped"]) == (180, 0, 0)
        return isacsim.open_run(out)

    return resumed


def test_ctrl_c_keeps_the_ledger_and_says_how_to_continue(studies, waiting, finish):
    process, out, *_ = waiting
    process.send_signal(signal.SIGINT)
    told, err = process.communicate(timeout=600)
    assert process.returncode == 1
    kept = studies.numbers(isacsim.open_run(out))
    assert 0 < len(kept) <= 20 * 6
    assert f"trials:  180 requested = {len(kept)} done + 0 failed + {180 - len(kept)} skipped" in told
    assert f"continue with --resume --out {out}" in err
    assert "Traceback" not in err
    assert kept.items() <= studies.numbers(finish()).items()


def test_a_killed_command_is_resumed(studies, waiting, finish):
    process, out, *_ = waiting
    process.kill()
    assert process.wait(600) == -signal.SIGKILL
    kept = studies.numbers(isacsim.open_run(out))
    assert 0 < len(kept) <= 20 * 6
    run = finish()
    assert kept.items() <= studies.numbers(run).items()
    assert (out / "rate.png").exists()


def test_a_closed_pipe_is_no_traceback():
    done = subprocess.run(
        f"{sys.executable} -c 'import sys; from isacsim.cli.main import main; sys.exit(main())' list | head -n 1",
        shell=True, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.startswith("arrays")
    assert "Traceback" not in done.stderr
    assert "error:" not in done.stderr
