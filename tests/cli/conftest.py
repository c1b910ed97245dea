"""What the tests of the command line share."""

import os
import sys

import pytest

from isacsim.cli.main import main
from isacsim.plugin import build_registry

REGISTRIES = {}


def remembered(*, block=()):
    """The registry of what is installed, made anew only where something else is: a third of most commands."""
    folders = tuple((path, os.stat(path).st_mtime_ns) for path in sys.path if os.path.isdir(path))
    key = (folders, tuple(block), os.environ.get("ISACSIM_BLOCK"))
    if key not in REGISTRIES:
        REGISTRIES[key] = build_registry(block=block)
    return REGISTRIES[key]


@pytest.fixture
def one_registry(monkeypatch):
    """Commands share what they find installed."""
    monkeypatch.setattr("isacsim.cli.main.build_registry", remembered)


@pytest.fixture
def call(capsys, tmp_path, monkeypatch):
    """Runs a command in an empty folder; returns exit code, standard output and standard error."""
    monkeypatch.chdir(tmp_path)
    # Wide enough for paths and tables not to be folded.
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments):
        code = main([str(a) for a in arguments])
        told = capsys.readouterr()
        return code, told.out, told.err

    return run
