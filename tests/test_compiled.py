"""Compiled loops: what is kept on disk, when it is renewed, and what is told of it."""

import gc
import importlib
import json
import logging
import re
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest

import isacsim
from isacsim.compiled import (
    ANNOUNCEMENT,
    KNOWN,
    OPTIONS,
    _jitted,
    _linked,
    _named_by_parts,
    _with_parts,
    compilations,
    compiled,
    part,
    parts_of,
)
from isacsim.linalg.parts import invert_positive, real_inner, solve_into
from isacsim.records import member
from isacsim.solvers.sqinr.system import write_slack
from isacsim.solvers.sqinr.tight import settle_each

USE = """
from isacsim.compiled import compiled
from isacsim_kernels.loop import each
print(compiled(each)(3.0), sum(compiled(each).stats.cache_hits.values()))
"""

# A program starts in a fork of a process that has compiled, but nothing of ours: a second of imports for all of them.
FORKING = """
import json, os, sys, tempfile
import numba
import isacsim.compiled
numba.njit(numba.float64(numba.float64))(lambda x: x)
for line in sys.stdin:
    program, folder = json.loads(line)
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        child = os.fork()
        if child == 0:
            os.chdir(folder)
            sys.path.insert(0, "")
            os.dup2(out.fileno(), 1), os.dup2(err.fileno(), 2)
            try:
                exec(program, {"__name__": "__main__"})
            finally:
                sys.stdout.flush(), sys.stderr.flush()
        if child == 0:
            os._exit(0)
        code = os.waitpid(child, 0)[1]
        out.seek(0), err.seek(0)
        print(json.dumps([code, out.read(), err.read()]), flush=True)
"""


@pytest.fixture(scope="module")
def fresh():
    """Runs programs in processes of their own; returns what each writes to standard output and standard error."""
    pipe = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", FORKING], **pipe) as process:

        def run(program, folder):
            process.stdin.write(json.dumps([program, str(folder)]) + "\n")
            process.stdin.flush()
            code, out, err = json.loads(process.stdout.readline())
            assert code == 0, err
            return out, err

        yield run
        process.stdin.close()


def test_the_parts_of_a_function_are_those_it_calls_and_those_they_call():
    found = parts_of(settle_each)
    assert {invert_positive, real_inner, member, write_slack} <= set(found)
    assert len(found) == len(set(found))


def test_what_is_kept_on_disk_is_renewed_when_a_part_in_another_file_changes(fresh, tmp_path):
    package = tmp_path / "isacsim_kernels"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "loop.py").write_text("from .piece import factor\n\ndef each(x):\n    return factor() * x\n")

    def run(value):
        text = f"from isacsim.compiled import part\n\n@part\ndef factor():\n    return {value}\n"
        (package / "piece.py").write_text(text)
        return fresh(USE, tmp_path)[0].split()

    assert run(2.0) == ["6.0", "0"]
    assert run(2.0) == ["6.0", "1"]
    assert run(50.0) == ["150.0", "0"]  # of another length: bytecode tells files of one second by that


def test_what_is_kept_on_disk_is_renewed_when_what_compiles_it_or_a_constant_from_elsewhere_changes(
    tmp_path, monkeypatch
):
    def name():
        return _named_by_parts(settle_each, False).__qualname__

    maker, before = tmp_path / "maker.py", name()
    assert before == name()
    monkeypatch.setattr("isacsim.compiled.MAKERS", (maker,))
    maker.write_text("one")
    other = name()
    maker.write_text("another")
    assert len({before, other, name()}) == 3
    monkeypatch.setitem(settle_each.__globals__, "GAIN", 0.25)
    assert name() not in {before, other}


@part
def tenfold(x):
    return 10 * x


def tenfold_each(x):
    return tenfold(x[0])


@pytest.mark.skipif(tuple(numba.version_info.short) not in KNOWN, reason="another Numba than those that were tried")
def test_a_part_is_copied_into_what_calls_it_and_has_no_code_of_its_own():
    kernel = _jitted(_with_parts(tenfold_each, True), True)
    assert kernel(np.array([3.0])) == 30.0
    (own,), (whole,) = _linked(tenfold, True).overloads.values(), kernel.overloads.values()
    assert own.library.get_pointer_to_function(own.fndesc.llvm_func_name) == 0
    assert whole.library.get_pointer_to_function(whole.fndesc.llvm_func_name) != 0
    assert any("tenfold_each" not in f.name and "tenfold" in f.name for f in own.library.get_defined_functions())


def test_with_another_numba_parts_are_compiled_as_it_does_it(monkeypatch):
    monkeypatch.setattr("isacsim.compiled.KNOWN", ())
    own = _linked.__wrapped__(tenfold, True)
    kernel = numba.njit(**OPTIONS)(lambda x: own(x))
    assert kernel(3.0) == 30.0
    (whole,) = own.overloads.values()
    assert whole.library.get_pointer_to_function(whole.fndesc.llvm_func_name) != 0


def test_of_processes_that_begin_together_one_compiles(tmp_path):
    package = tmp_path / "isacsim_kernels"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "loop.py").write_text("def each(x):\n    return 2 * x\n")
    use = USE.replace("print(", "import numba; print('ready', flush=True); input(); print(")
    piped = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    crew = [subprocess.Popen([sys.executable, "-c", use], cwd=tmp_path, **piped) for _ in range(3)]
    for process in crew:
        assert process.stdout.readline() == "ready\n"
    for process in crew:  # all are at the same place
        process.stdin.write("\n")
        process.stdin.flush()
    found = [process.communicate()[0].split() for process in crew]
    assert sorted(found) == [["6.0", "0"], ["6.0", "1"], ["6.0", "1"]]


def test_what_is_kept_on_disk_and_names_a_record_that_has_moved_is_compiled_anew(fresh, tmp_path):
    package = tmp_path / "isacsim_kernels"
    package.mkdir()
    record = "from typing import NamedTuple\n\nclass Pair(NamedTuple):\n    x: float\n"
    use = USE.replace("3.0", "Pair(3.0)").replace("import each", "import Pair, each")
    (package / "__init__.py").write_text("")
    (package / "loop.py").write_text("from .records import Pair\n\ndef each(pair):\n    return 2 * pair.x\n")

    def run():
        return fresh(use, tmp_path)[0].split()

    (package / "before.py").write_text(record)
    (package / "records.py").write_text("from .before import Pair\n")
    assert run() == ["6.0", "0"]
    assert run() == ["6.0", "1"]
    (package / "before.py").unlink()
    (package / "records.py").write_text(record)
    assert run() == ["6.0", "0"]
    assert run() == ["6.0", "1"]


def test_without_a_place_for_a_cache_it_is_compiled_anyway(monkeypatch):
    import numba

    def njit(*functions, **options):  # Numba's own modules call it, too
        if options.pop("cache", False):
            raise RuntimeError("cannot cache function: no locator available")
        return real(*functions, **options)

    real = numba.njit
    monkeypatch.setattr(numba, "njit", njit)

    def double(x):
        return 2 * x

    assert compiled(double)(21) == 42


def test_what_is_compiled_is_logged_and_counted_once(caplog, monkeypatch, tmp_path):
    monkeypatch.setattr("numba.config.CACHE_DIR", str(tmp_path))  # nothing is on disk

    def triple(x):
        return 3 * x

    with caplog.at_level(logging.INFO, logger="isacsim"), compilations() as seconds:
        assert compiled(triple)(2.0) == 6.0
        assert compiled(triple)(3.0) == 9.0
    assert list(seconds) == ["triple"]
    assert [r.getMessage().split(" in ")[0] for r in caplog.records if "triple" in r.getMessage()] == [
        "compiled triple"
    ]


def announced(fresh, tmp_path, stderr):
    """What a fresh process writes to a stream that says that it is, or is not, a terminal."""
    (tmp_path / "kernel.py").write_text("def each(x):\n    return 2 * x\n", encoding="utf-8")
    program = (
        "import sys\n"
        f"sys.stderr.isatty = lambda: {stderr}\n"
        "from isacsim.compiled import compiled\n"
        "from kernel import each\n"
        "assert compiled(each)(3.0) == 6.0\n"
    )
    out, err = fresh(program, tmp_path)
    assert out == ""
    return err.strip()


def test_a_terminal_is_told_of_the_wait_when_something_is_really_compiled(fresh, tmp_path):
    assert announced(fresh, tmp_path, stderr=True) == ANNOUNCEMENT
    assert announced(fresh, tmp_path, stderr=True) == ""  # it is on disk now
    (tmp_path / "other").mkdir()
    assert announced(fresh, tmp_path / "other", stderr=False) == ""


@pytest.mark.parametrize("n", [1, 2, 7])
def test_the_solution_of_few_equations_is_that_of_lapack(n):
    rng = np.random.default_rng(n)
    A, b = rng.standard_normal((n, n)), rng.standard_normal(n)
    A[0, 0] = 0.0 if n > 1 else 1.0  # needs a pivot
    expected, x = np.linalg.solve(A, b), b.copy()
    solve_into(A.copy(), x)
    # Rounding times the condition, below 1e3 for these.
    np.testing.assert_allclose(x, expected, rtol=1e-12, atol=1e-12 * np.abs(expected).max())


def shifted(x):
    return x[0] + 1


def test_compiling_leaves_no_trace_in_the_process(tmp_path, monkeypatch):
    monkeypatch.setattr("numba.config.CACHE_DIR", str(tmp_path))  # nothing is on disk
    context = numba.core.registry.cpu_target.typing_context
    compiled.__wrapped__(shifted)(np.array([3.0]))
    assert gc.isenabled()
    assert "resolve_function_type" not in vars(context)
    gc.disable()
    try:
        compiled.__wrapped__(shifted)(np.array([3], dtype=np.int64))
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_kernels_that_make_arrays_say_so():
    # Numba compiles others as well, whose arrays would never be freed.
    making = {
        "empty",
        "zeros",
        "ones",
        "full",
        "array",
        "copy",
        "empty_like",
        "zeros_like",
        "full_like",
        "inv",
        "ravel",
    }
    package = Path(isacsim.__file__).parent
    for path in package.rglob("*.py"):
        calls = re.findall(r"\bcompiled\((\w+)(, allocates=True)?\)", path.read_text(encoding="utf-8"))
        module = ".".join(("isacsim", *path.relative_to(package).with_suffix("").parts))
        for name, says in calls:
            kernel = getattr(importlib.import_module(module), name)
            # The plain forms of what compiled code has in another one are not compiled.
            parts = [kernel, *(each for each in parts_of(kernel) if not hasattr(each, "native"))]
            makes = any(making & set(each.__code__.co_names) for each in parts)
            assert makes == bool(says), name


def test_the_architecture_page_names_every_kernel():
    package = Path(isacsim.__file__).parent
    page = (package.parent / "docs" / "architecture.md").read_text(encoding="utf-8").split("## Compiled code")[1]
    told = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.*?) \|", page, re.MULTILINE))))
    text = "".join(path.read_text(encoding="utf-8") for path in package.rglob("*.py"))
    assert told == set(re.findall(r"\bcompiled\((\w+)(?:, allocates=True)?\)", text))
