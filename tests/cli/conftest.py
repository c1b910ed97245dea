"""What the tests of the command line share."""

import pytest

from isacsim.cli.main import main


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
