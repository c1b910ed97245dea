"""The house itself: imports go down only, and importing it is light."""

import ast
import os
import subprocess
import sys
from functools import cache
from itertools import chain
from pathlib import Path

import pytest

import isacsim

PACKAGE = Path(isacsim.__file__).parent

# A module imports from its own room and from the floors below. Rooms of one floor, the
# ground apart, know nothing of each other.
FLOORS = [
    [
        "typing",
        "errors",
        "units",
        "batch",
        "arrays",
        "elements",
        "keywords",
        "random",
        "threads",
        "checks",
        "strictjson",
        "lowering",
        "lasting",
        "compiled",
        "records",
        "linalg",
        "deprecation",
        "lazy",
        "memory",
        "notebook",
        "grid",
    ],
    ["plugin", "bundled"],
    ["optimisation"],
    ["hardware", "targets", "channels"],
    ["drop"],
    ["link"],
    ["metrics"],
    ["problems"],
    ["solvers"],
    ["waveform"],
    ["engine"],
    ["testing"],
    ["benchmark"],
    ["report"],
    ["cli"],
    ["api"],  # a list of names, which stands beside the floors: it imports on first use, and no room imports it
]
FLOOR = {room: level for level, rooms in enumerate(FLOORS) for room in rooms}
MODULES = sorted(PACKAGE.rglob("*.py"))


def room_of(module):
    """The room of ``isacsim.room.rest``."""
    return module.split(".")[1] if "." in module else ""


@cache
def parsed(path):
    """The syntax of a file."""
    return ast.parse(path.read_text(encoding="utf-8"))


def imports_of(path):
    """Every isacsim module that a file imports, also inside functions."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "isacsim")
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            if node.module == "isacsim":
                # `from isacsim import units` is a module, `from isacsim import Aqnm` the top level.
                names = [alias.name for alias in node.names if alias.name != "__version__"]
                yield from (f"isacsim.{name}" if name in FLOOR else "isacsim" for name in names)
            elif node.module and node.module.split(".")[0] == "isacsim":
                yield node.module


def test_every_module_belongs_to_a_room_of_the_house():
    rooms = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in MODULES} - {"__init__", "__main__"}
    assert rooms == set(FLOOR)


BELOW_THE_TOP = [p for p in MODULES if p.parent != PACKAGE or p.stem not in ("__init__", "__main__")]


@pytest.mark.parametrize("path", BELOW_THE_TOP, ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_imports_go_down_only(path):
    room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    for module in imports_of(path):
        other = room_of(module)
        assert other, f"{path}: imports the top level, which stands above every room"
        down = FLOOR[other] < FLOOR[room]
        assert down or other == room or (FLOOR[other] == FLOOR[room] and FLOOR[room] <= 1), f"{room} imports {module}"


@pytest.mark.parametrize("path", sorted(PACKAGE.glob("*/plugin.py")), ids=lambda p: p.parent.name)
def test_plugin_files_import_the_plugin_room_alone(path):
    assert set(chain.from_iterable([room_of(m)] for m in imports_of(path))) == {"plugin"}
    for node in parsed(path).body:
        if isinstance(node, ast.Import):
            assert all(alias.name.split(".")[0] in sys.stdlib_module_names for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module.split(".")[0] in {*sys.stdlib_module_names, "isacsim"}


def run(program):
    """What a fresh interpreter prints, without whatever measures coverage in this one."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("COV")} | {"OPENBLAS_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment
    ).stdout.strip()


HEAVY = (
    "cvxpy",
    "xarray",
    "matplotlib",
    "numba",
    "scipy",
    "scipy.stats",
    "typer",
    "rich",
    "cattrs",
    "h5netcdf",
    "pandas",
)


def test_importing_the_package_imports_nothing_heavy():
    loaded = run(f"import isacsim, sys; print([m for m in {HEAVY!r} if m in sys.modules])")
    assert loaded == "[]"


def test_solving_a_problem_imports_nothing_of_the_engine():
    program = (
        "import isacsim, sys, numpy as np; a = isacsim.UniformPlanarArray(2, 2);"
        "t = isacsim.PointTargets(a, isacsim.UniformPlanarArray(3, 3), [0.3], [1.0], [0.1]);"
        "isacsim.solve(isacsim.SumRateCrlb(np.ones((4, 1)), t, 1.0, 1.0, 1.0, 10, 1.0, 1.0), max_steps=2);"
        "heavy = ('cvxpy', 'xarray', 'matplotlib', 'scipy.stats', 'typer', 'rich', 'cattrs');"
        "print([m for m in heavy if m in sys.modules])"
    )
    assert run(program) == "[]"


def test_metrics_come_with_the_package():
    assert run("import isacsim; print(isacsim.metrics.sinr.__module__)") == "isacsim.metrics.rate"
    assert run("import isacsim; print(isacsim.api.Hardware is isacsim.Hardware)") == "True"
    assert isacsim.__getattr__("metrics") is isacsim.metrics


def test_importing_the_package_costs_no_more_than_importing_numpy():
    # Counted in calls of Python functions, which are the same on every machine, idle or busy.
    program = (
        "import sys; calls = []; sys.setprofile(lambda frame, event, _: event == 'call' and calls.append(1));"
        "import {}; sys.setprofile(None); print(len(calls))"
    )
    run(program.format("isacsim"))  # so that both find their compiled files
    costs = {name: int(run(program.format(name))) for name in ("isacsim", "numpy")}
    assert costs["isacsim"] <= costs["numpy"]


def test_every_promised_name_is_there():
    assert set(isacsim.__all__) <= set(dir(isacsim))
    for name in isacsim.__all__:
        assert getattr(isacsim, name) is not None
    with pytest.raises(AttributeError, match="module 'isacsim' has no attribute 'nothing'"):
        _ = isacsim.nothing


def length(function):
    """Lines of a function without its docstring."""
    first = function.body[0]
    told = ast.get_docstring(function, clean=False) is not None
    return function.end_lineno - function.lineno + 1 - told * (first.end_lineno - first.lineno + 1)


def test_a_function_fits_on_a_screen():
    functions = (
        (path.relative_to(PACKAGE).as_posix(), node)
        for path in MODULES
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.FunctionDef)
    )
    assert not {(file, node.name) for file, node in functions if length(node) > 45}


def test_a_file_has_at_most_five_hundred_lines():
    lines = {path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES}
    assert max(lines.values()) <= 500
