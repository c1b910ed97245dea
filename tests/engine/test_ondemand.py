"""The lazy view of a run: the numbers of the other one, read when they are asked for."""

import pickle

import attrs
import numpy as np
import pytest
import xarray

import isacsim
from isacsim.engine.precision import Precision
from isacsim.engine.views import SOLVES
from isacsim.errors import InvalidInput, StoreError

SETS = (
    "sweep.bits.values=[1, 3, 6]",
    "design.sca.trace=true",
    'evaluate.converters.metrics=["sum-rate-nats", "sqinr"]',
)
BARE = ("figure={}", "expect={}")


@pytest.fixture(scope="module")
def run(studies, tmp_path_factory):
    folder = tmp_path_factory.mktemp("lazy")
    text = studies.text + '[evaluate.unimpaired]\nmetrics = ["sum-rate-nats"]\n'
    return isacsim.run(studies.load(*SETS, *BARE, text=text, folder=folder), folder / "run", chunk=4)


@pytest.fixture(scope="module")
def eager(run):
    return run.dataset()


def test_it_is_the_dataset_that_is_read_at_once(run, eager):
    lazy = run.dataset(lazy=True)
    assert lazy.sizes == eager.sizes
    assert set(lazy) == set(eager) >= {*SOLVES, "status", "trace-crlb", "sqinr"}
    assert type(lazy) is type(eager)
    assert lazy.load().identical(eager)


@pytest.mark.parametrize(
    "places",
    [
        {"bits": 1, "trial": 3},
        {"bits": [2, 0, 2], "trial": [5, 1]},  # in any order, and twice
        {"trial": slice(4, None), "evaluate": 0},
        {"trial": slice(None, None, -2), "bits": slice(0, 0)},
        {"trial": xarray.DataArray([0, 5, 2], dims="pair"), "bits": xarray.DataArray([0, 2, 2], dims="pair")},
    ],
)
def test_any_selection_is_that_of_the_whole(run, eager, places):
    assert run.dataset(lazy=True).isel(places).identical(eager.isel(places))
    one = run.dataset(lazy=True)["sqinr"].isel(places).isel(user=[1, 0])
    assert one.identical(eager["sqinr"].isel(places).isel(user=[1, 0]))


def test_a_part_is_read_lazily_too(run):
    for options in ({"bits": 3}, {"bits": [6, 1], "trials": range(2, 9)}, {"trials": range(3)}):
        assert run.dataset(lazy=True, **options).identical(run.dataset(**options))
    with pytest.raises(InvalidInput, match=r"coords: must name axes of the sweep, got 'bit'"):
        run.dataset(lazy=True, bit=1)


def test_only_what_is_asked_for_is_read(run, monkeypatch):
    import isacsim.engine.ondemand as room

    asked, read = [], room.read
    monkeypatch.setattr(room, "read", lambda store, frame, own: asked.append(frame) or read(store, frame, own))
    lazy = run.dataset(lazy=True)
    assert [frame.trials for frame in asked] == [0]
    lazy["sum-rate-nats"].sel(bits=3).isel(trial=slice(2, 4)).values  # noqa: B018
    _, frame = asked
    assert (frame.span, frame.axes, frame.part.names) == (range(2, 4), {"bits": [3]}, {"sum-rate-nats"})


def test_it_goes_to_other_processes_and_in_pieces(run, eager):
    lazy = pickle.loads(pickle.dumps(run.dataset(lazy=True)))
    np.testing.assert_array_equal(lazy["objective"], eager["objective"])
    pytest.importorskip("dask")
    pieces = run.dataset(lazy=True).chunk(trial=4)
    assert pieces["sqinr"].chunks[3] == (4, 2)
    mean = pieces["sqinr"].mean("trial").compute(scheduler="threads")
    np.testing.assert_allclose(mean, eager["sqinr"].mean("trial"), rtol=1e-14)  # a sum in another order


def test_points_that_stop_early_end_in_nan(study, tmp_path):
    asked = {"rate": Precision("sum-rate-nats", relative=0.05)}
    bare = study("trials=40", "sweep.bits.values=[1, 3]", "design.sca.solver.max_steps=1", *BARE)
    run = isacsim.run(attrs.evolve(bare, precision=asked), tmp_path / "run")
    eager = run.dataset()
    assert eager.trial_count.values.tolist() == [32, 40]
    assert run.dataset(lazy=True).load().identical(eager)
    for bits in (1, 3):
        assert run.dataset(lazy=True).sel(bits=bits).identical(eager.sel(bits=bits))


def test_parts_of_failed_trials_are_there(study, registry, tmp_path):
    metrics = 'evaluate.converters.metrics=["sum-rate-nats", {kind="touchy", trial=2}]'
    run = isacsim.run(
        study(metrics, *BARE, "sweep.bits.values=[3]", registry=registry), tmp_path / "run", registry=registry
    )
    assert run.counts().partly == 1
    assert run.dataset(lazy=True).load().identical(run.dataset())


def test_damage_is_told_when_it_is_read(run, tmp_path):
    import shutil

    copy = isacsim.open_run(shutil.copytree(run.path, tmp_path / "copy"))
    first = run.dataset()["sum-rate-nats"].values.ravel()[0]
    raw = bytearray((copy.path / "ledger.sqlite").read_bytes())
    raw[raw.index(np.float64(first).tobytes())] ^= 1
    (copy.path / "ledger.sqlite").write_bytes(raw)
    lazy = copy.dataset(lazy=True)
    with pytest.raises(StoreError, match=r"is damaged at results \w+, trial 0"):
        lazy["sum-rate-nats"].load()
