"""Names that distributions beside isacsim have: what to install is said."""

import importlib
from pathlib import Path

import pytest

from isacsim import InvalidInput
from isacsim.cli.main import main
from isacsim.plugin import KINDS, build_registry
from isacsim.plugin.elsewhere import ELSEWHERE

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("distribution", "module"), [("isacsim-rf", "isacsim_rf.plugin"), ("isacsim-dask", "isacsim_dask.plugin")]
)
def test_the_names_are_those_that_the_distribution_offers(distribution, module):
    alone, with_it = (build_registry(extra, installed=False) for extra in ([], [importlib.import_module(module)]))
    offered = {k: tuple(sorted(set(with_it.names(k)) - set(alone.names(k)))) for k in KINDS}
    assert {kind: names for kind, names in offered.items() if names} == ELSEWHERE[distribution]


def test_an_unknown_name_says_which_distribution_has_it():
    registry = build_registry(installed=False)
    with pytest.raises(InvalidInput, match=r"got 'rapp'\. isacsim-rf has it: pip install isacsim-rf\. .*Valid: aqnm"):
        registry.spec("hardware", "rapp")
    with pytest.raises(InvalidInput, match=r"got 'dask'\. isacsim-dask has it: pip install isacsim-dask\. Valid: "):
        registry.spec("executors", "dask")
    with pytest.raises(InvalidInput, match=r"got 'rap'\. (Did|Valid)"):
        registry.spec("hardware", "rap")


def test_the_name_of_such_a_study_says_it_too(capsys):
    assert main(["--block", "rf", "run", "rf-amplifier"]) == 2
    assert "got 'rf-amplifier'. isacsim-rf has it: pip install isacsim-rf." in capsys.readouterr().err
