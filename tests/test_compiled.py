"""Compiled loops: what is kept on disk, and when it is renewed."""

import subprocess
import sys

from isacsim.compiled import compiled, parts_of
from isacsim.solvers.parts import inverted, put, real_inner, rows_squared
from isacsim.solvers.sqnr_max.objectives import surrogate_each

USE = """
from isacsim.compiled import compiled
from isacsim_kernels.loop import each
print(compiled(each)(3.0), sum(compiled(each).stats.cache_hits.values()))
"""


def test_the_parts_of_a_function_are_those_it_calls_and_those_they_call():
    found = parts_of(surrogate_each)
    assert {inverted, put, real_inner, rows_squared} <= set(found)
    assert len(found) == len(set(found))


def test_what_is_kept_on_disk_is_renewed_when_a_part_in_another_file_changes(tmp_path):
    package = tmp_path / "isacsim_kernels"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "loop.py").write_text("from .piece import factor\n\ndef each(x):\n    return factor() * x\n")

    def run(value):
        text = f"from isacsim.compiled import part\n\n@part\ndef factor():\n    return {value}\n"
        (package / "piece.py").write_text(text)
        return subprocess.check_output([sys.executable, "-c", USE], cwd=tmp_path, text=True).split()

    assert run(2.0) == ["6.0", "0"]
    assert run(2.0) == ["6.0", "1"]
    assert run(5.0) == ["15.0", "0"]


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
