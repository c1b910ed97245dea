"""The labelled view: every number with its axes, units and origin."""

import json
import platform

import numpy as np
import pytest
import xarray

import isacsim
from isacsim import __version__
from isacsim.engine.provenance import provenance
from isacsim.engine.scenario import RESERVED
from isacsim.engine.sinks import Csv, NetCdf
from isacsim.engine.views import SOLVES
from isacsim.errors import InvalidInput
from isacsim.plugin import build_registry
from isacsim.report.figures import draw_figures
from isacsim.report.summary import rows, statuses

METRICS = 'evaluate.converters.metrics=["sum-rate-nats", "sqinr", "crlb-parameters", "radiated-power"]'
FIGURE = "figure.crlb.y=sqinr"
SECOND = """
[evaluate.unimpaired]
metrics = ["sum-rate-nats"]
[design.mrt]
problem = { kind = "sum-rate-crlb", rate_weight = 1, crlb_weight = 1 }
solver = { kind = "sca", max_steps = 1, start = "rzf" }
"""


@pytest.fixture(scope="module")
def run(studies, tmp_path_factory):
    folder = tmp_path_factory.mktemp("dataset")
    text = studies.text + SECOND
    scenario = studies.load(
        METRICS, FIGURE, 'evaluate.unimpaired.designs=["sca"]', 'sinks=["netcdf", "csv"]', text=text, folder=folder
    )
    return isacsim.run(scenario, folder / "run", chunk=4)


@pytest.fixture(scope="module")
def dataset(run):
    return run.dataset()


def test_every_variable_has_its_axes_and_unit(dataset):
    lead = ("bits", "evaluate", "design", "trial")
    assert dict(dataset.sizes) == {
        "bits": 6, "evaluate": 2, "design": 2, "trial": 6, "user": 4, "parameter": 8
    }  # fmt: skip
    axes = {name: values.dims for name, values in dataset.items() if name not in (*SOLVES, "status")}
    assert axes == {
        "sum-rate-nats": lead,
        "sqinr": (*lead, "user"),
        "crlb-parameters": (*lead, "parameter"),
        "radiated-power": lead,
    }
    units = {name: dataset[name].attrs["units"] for name in axes}
    assert units == {"sum-rate-nats": "nat/s/Hz", "sqinr": "1", "crlb-parameters": "1", "radiated-power": "W"}
    assert dataset["sqinr"].attrs["long_name"] == "SQINR of each user"
    assert all(dataset[name].dims == ("bits", "design", "trial") for name in SOLVES)
    assert dataset["solve_time"].attrs["units"] == "s"
    assert dataset.attrs["index_dims"] == "bits evaluate design trial"


@pytest.mark.parametrize(
    ("coords", "trials"),
    [({"bits": 3}, None), ({"bits": [4, 1]}, range(2, 5)), ({}, range(4, 99)), ({"bits": np.inf}, None)],
)
def test_a_part_is_what_the_whole_has_there(run, dataset, coords, trials):
    part = run.dataset(trials=trials, **coords)
    chosen = {name: sorted(np.atleast_1d(values)) for name, values in coords.items()}
    there = dataset["trial"] if trials is None else [t for t in dataset["trial"].values if t in trials]
    assert part.identical(dataset.sel(**chosen, trial=there))


def test_a_part_that_is_not_there_is_refused(run):
    for options, told in (
        ({"bit": 3}, r"coords: must name axes of the sweep, got 'bit'.*Valid: bits"),
        ({"bits": [3, 5]}, r"coords: must have values of the axis 'bits', got 5\. Valid: 1, 2, 3, 4, 6, inf"),
        ({"trials": range(0, 6, 2)}, r"trials: must be a range of step 1"),
    ):
        with pytest.raises(InvalidInput, match=told):
            run.dataset(**options)


def test_what_was_read_once_is_not_mixed_with_a_part(run, dataset):
    kept = run.once()
    assert kept.dataset(bits=3).sizes["bits"] == 1
    assert kept.dataset() is kept.dataset()
    assert kept.dataset(trials=range(2)).sizes["trial"] == 2
    assert kept.dataset().identical(dataset)


def test_coordinates_are_the_values_of_the_scenario(dataset):
    assert dataset["bits"].values.tolist() == [1, 2, 3, 4, 6, np.inf]
    assert dataset["evaluate"].values.tolist() == ["converters", "unimpaired"]
    assert dataset["design"].values.tolist() == ["sca", "mrt"]
    assert dataset["trial"].values.tolist() == list(range(6))
    assert dataset["parameter"].values.tolist()[:3] == ["azimuth[0]", "azimuth[1]", "zenith[0]"]
    assert dataset["user"].values.tolist() == [0, 1, 2, 3]


def test_what_was_not_asked_for_is_nan(dataset):
    rate = dataset["sum-rate-nats"]
    assert np.isfinite(rate.sel(evaluate="converters")).all()
    assert np.isfinite(rate.sel(evaluate="unimpaired", design="sca")).all()
    assert np.isnan(rate.sel(evaluate="unimpaired", design="mrt")).all()
    assert np.isnan(dataset["sqinr"].sel(evaluate="unimpaired")).all()


def test_numbers_lie_where_the_metrics_put_them(run, dataset):
    here = {"bits": 3, "evaluate": "converters", "design": "mrt", "trial": 5}
    point = dataset.sel(here)
    # The metrics' own identities, up to the rounding of a sum of four.
    np.testing.assert_allclose(np.log1p(point["sqinr"]).sum(), point["sum-rate-nats"], rtol=1e-12)
    np.testing.assert_allclose(dataset["radiated-power"].sel(evaluate="converters"), 0.01, rtol=1e-12)
    record = run.design("mrt", 5, bits=3)
    assert float(point["objective"]) == record.scalars[0]
    assert float(point["iterations"]) == 1
    assert point["status"].item() == "MAX_STEPS"
    assert "MAX_STEPS" in dataset["status"].attrs["long_name"]


def test_where_no_hardware_is_met_bits_change_nothing(dataset):
    rate = dataset["sum-rate-nats"].sel(evaluate="unimpaired", design="sca")
    assert (rate == rate.isel(bits=0)).all()
    ideal = dataset["sum-rate-nats"].sel(evaluate="converters", design="sca", bits=np.inf)
    np.testing.assert_allclose(rate.sel(bits=np.inf), ideal, rtol=1e-12)  # the precoders are at full power already


def test_provenance_says_where_the_numbers_come_from(dataset):
    told = dataset.attrs
    assert told["isacsim_version"] == __version__
    assert told["python_version"] == platform.python_version()
    assert told["seed"] == 2025
    assert json.loads(told["library_versions"])["numpy"] == np.__version__
    assert json.loads(told["plugins"])["isacsim.metrics.plugin"] == "bundled"
    assert "cores" in told["machine"]
    scenario = json.loads(told["scenario"])
    assert scenario["base_station"]["power"] == pytest.approx(0.01, rel=1e-15)
    assert scenario["design"]["sca"]["solver"]["max_steps"] == 3


def test_netcdf_holds_the_dataset(run, dataset):
    with xarray.open_dataset(run.path / "results.nc", engine="h5netcdf") as read:
        loaded = read.load()
    assert loaded.identical(dataset)


def test_netcdf_of_a_longer_run_replaces_the_file(studies, study, tmp_path):
    scenario = study('sinks=["netcdf"]')
    isacsim.run(scenario, tmp_path / "run", trials=1)
    isacsim.run(scenario, tmp_path / "run", trials=2, resume=True)
    with xarray.open_dataset(tmp_path / "run" / "results.nc", engine="h5netcdf") as read:
        assert read.sizes["trial"] == 2


def test_csv_has_a_row_a_trial_and_a_column_a_scalar(run, dataset):
    lines = (run.path / "results.csv").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 1 + 6 * 2 * 2 * 6
    header = lines[0].split(",")
    assert {"bits", "evaluate", "design", "trial", "sum-rate-nats", "radiated-power", "objective"} <= set(header)
    assert not {"sqinr", "crlb-parameters"} & set(header)
    rows = [dict(zip(header, line.split(","), strict=True)) for line in lines[1:]]
    (row,) = (
        r for r in rows if (r["bits"], r["evaluate"], r["design"], r["trial"]) == ("inf", "converters", "sca", "4")
    )
    place = {"bits": np.inf, "evaluate": "converters", "design": "sca", "trial": 4}
    assert float(row["sum-rate-nats"]) == float(dataset["sum-rate-nats"].sel(place))


def test_sinks_return_the_file_they_wrote(dataset, tmp_path):
    assert [sink.write(dataset, tmp_path).name for sink in (NetCdf(), Csv())] == ["results.nc", "results.csv"]


def test_quantities_of_different_lengths_share_an_axis(study, tmp_path):
    scenario = study(
        'sweep.bits={values=[2, 4], sets="users.count"}', 'evaluate.converters.metrics=["rate-nats", "sum-rate-nats"]',
        'figure.crlb={x="user", y="rate-nats", series="bits"}', "trials=2",
    )  # fmt: skip
    dataset = isacsim.run(scenario, tmp_path / "run").dataset()
    rates = dataset["rate-nats"].isel(evaluate=0, design=0)
    assert rates.sizes == {"bits": 2, "trial": 2, "user": 4}
    assert np.isfinite(rates.sel(bits=4)).all()
    assert np.isfinite(rates.sel(bits=2, user=[0, 1])).all()
    assert np.isnan(rates.sel(bits=2, user=[2, 3])).all()
    np.testing.assert_allclose(rates.sum("user"), dataset["sum-rate-nats"].isel(evaluate=0, design=0), rtol=1e-12)


def test_a_run_without_a_trial_done_still_has_its_view(study, registry, tmp_path):
    lost = 'targets={kind="sometimes-blind", trial=9, lost=0}'
    scenario = study(lost, "trials=1", 'sinks=["netcdf"]', registry=registry)
    run = isacsim.run(scenario, tmp_path / "run", registry=registry)
    assert run.counts().failed == 6
    assert not (run.path / "results.nc").exists()
    assert set(run.dataset()) == {*SOLVES, "status"}


def test_a_library_that_is_missing_is_told_as_missing(monkeypatch):
    monkeypatch.setattr("isacsim.engine.provenance.LIBRARIES", ("numpy", "no-such-library"))
    versions = provenance(build_registry(installed=False))["library_versions"]
    assert versions == {"numpy": np.__version__, "no-such-library": "not installed"}


def test_one_name_stands_for_one_quantity(study, registry):
    other = 'evaluate={one={metrics=["crlb", "sum-rate-nats"]}, two={metrics=["impostor"]}}'
    with pytest.raises(InvalidInput, match=r"evaluate.two.metrics: must not record another quantity .*, got 'crlb'"):
        study(other, registry=registry)


def test_names_that_the_view_uses_are_reserved(dataset):
    assert set(RESERVED) == {
        "evaluate", "design", "trial", "step", "status", "trial_count", "row_environment", "solve_environment", *SOLVES
    }  # fmt: skip


def test_a_run_whose_numbers_are_asked_for_many_times_reads_them_once(study, tmp_path, monkeypatch):
    import isacsim.engine.dataset as room

    read, build = [], room.build_dataset
    monkeypatch.setattr(room, "build_dataset", lambda *given: read.append(1) or build(*given))
    run = isacsim.run(study("sinks=['netcdf', 'csv']", "trials=2"), tmp_path / "run")
    assert len(read) == 1  # for all sinks
    kept = run.once()
    assert draw_figures(kept)
    assert len(list(rows(kept))) == len(list(rows(kept)))
    assert statuses(kept)
    assert len(read) == 2
    run.dataset()
    run.dataset()
    assert len(read) == 4  # who may change what they get


def test_points_of_one_id_have_the_same_numbers(study, tmp_path):
    scenario = study('sweep.bits.values=["one", "two"]', 'sweep.bits.sets="title"', "trials=3", "sinks=[]")
    run = isacsim.run(scenario, tmp_path / "run")
    assert len({point["id"] for point in run.points}) == 1
    rate = run.dataset()["sum-rate-nats"]
    np.testing.assert_array_equal(rate.isel(bits=0), rate.isel(bits=1))
    assert not np.isnan(rate).any()
