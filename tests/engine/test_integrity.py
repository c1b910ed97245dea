"""A ledger that is damaged, moved or led elsewhere is told; no number changes silently."""

import collections
import random
import re
import shutil

import numpy as np
import pytest

import isacsim
from isacsim.cli.main import main
from isacsim.engine.events import Observer
from isacsim.engine.ledger import FILE
from isacsim.errors import StoreError
from isacsim.report.summary import unnumbered


@pytest.fixture
def run(study, tmp_path):
    sets = ("sweep.bits.values=[1, 3]", "trials=4", "figure={}", "expect={}")
    return isacsim.run(study(*sets), tmp_path / "run", chunk=2)


@pytest.mark.parametrize("flips", [60, pytest.param(2000, marks=pytest.mark.slow)])
def test_no_bit_that_turns_changes_a_number_silently(run, tmp_path, flips):
    raw, copy = (run.path / FILE).read_bytes(), tmp_path / "copy"
    copy.mkdir()
    before, seen = run.dataset(), collections.Counter()
    places = random.Random(3).sample(range(8 * len(raw)), flips)
    for place in places:
        turned = bytearray(raw)
        turned[place // 8] ^= 1 << place % 8
        (copy / FILE).write_bytes(turned)
        try:
            found = isacsim.open_run(copy)
            dataset, counts = found.dataset(), found.counts()
        except StoreError:
            seen["refused"] += 1
            continue
        same = dataset.equals(before) and dataset.attrs == before.attrs
        seen["same" if same else "told" if not counts.complete else f"silent at {place}"] += 1
    assert set(seen) <= {"refused", "same", "told"}, seen


def test_verify_reads_every_row(run, capsys):
    assert main(["verify", str(run.path), "--integrity"]) == 0
    assert "every row is as it was written" in capsys.readouterr().out
    raw = bytearray((run.path / FILE).read_bytes())
    first = run.dataset()["sum-rate-nats"].values.ravel()[0]
    raw[raw.index(np.float64(first).tobytes())] ^= 1
    (run.path / FILE).write_bytes(raw)
    assert main(["verify", str(run.path), "--integrity"]) == 2
    assert re.search(r"is damaged at results \w+, trial \d", capsys.readouterr().err)


class Removing(Observer):
    """Removes the run folder after the first chunk."""

    def __init__(self, folder):
        self.folder = folder

    def chunk_end(self, event):
        shutil.rmtree(self.folder, ignore_errors=True)


def test_a_folder_that_vanishes_ends_the_run_at_the_next_commit(study, tmp_path):
    out = tmp_path / "run"
    with pytest.raises(StoreError, match=r"ledger\.sqlite is gone \(No such file or directory\)"):
        isacsim.run(study(), out, chunk=1, observers=[Removing(out)])
    assert not out.exists()


def test_a_link_in_the_place_of_results_is_not_followed(study, tmp_path):
    precious = tmp_path / "thesis.txt"
    precious.write_text("precious", encoding="utf-8")
    sets = ("sinks=['netcdf', 'csv']", "sweep.bits.values=[1]", "figure={}", "expect={}")
    isacsim.run(study("trials=1", *sets), tmp_path / "run")
    for name in ("results.nc", "results.csv"):
        (tmp_path / "run" / name).unlink()
        (tmp_path / "run" / name).symlink_to(precious)
    isacsim.run(study("trials=2", *sets), tmp_path / "run", resume=True)
    assert precious.read_text(encoding="utf-8") == "precious"
    assert sorted(p.name for p in (tmp_path / "run").iterdir()) == [FILE, "results.csv", "results.nc"]


def test_numbers_that_are_none_are_told_but_for_designs_without_an_answer(study, registry, tmp_path):
    metric = 'evaluate.converters.metrics=["sum-rate-nats", "crlb", {kind="touchy", trial=9, none=true}]'
    solver = 'design.sca.solver={kind="counting", without=[1]}'
    scenario = study(metric, solver, "sweep.bits.values=[3]", registry=registry)
    run = isacsim.run(scenario, tmp_path / "run", registry=registry)
    (lack,) = run.unnumbered()
    assert (lack.quantity, lack.design, lack.evaluation, lack.coords) == ("touchy", "sca", "converters", {"bits": 3})
    assert lack.trials == (0, 2, 3, 4, 5)
    line = "no number: touchy of sca in evaluate.converters at bits = 3, trial 0 and 4 more"
    assert unnumbered(run) == [line]
