"""What others get of a run: the page, comparisons, and files for other programs."""

import json
import re
import shutil
import subprocess

import numpy as np
import pytest
import xarray
from scipy.io import loadmat

import isacsim
from isacsim.cli.main import main
from isacsim.engine.statistics import mean
from isacsim.errors import InvalidInput
from isacsim.report import comparison
from isacsim.report.page import page, write_page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
OCTAVE = shutil.which("octave-cli")
EXPECT = """
[expect.rate]
quantity = "sum-rate-nats"
at = { bits = inf }
values = 1e9
relative = 0.1
kind = "oracle"
source = "nobody <nowhere>"
"""


@pytest.fixture(scope="module")
def run(studies, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sharing")
    text = studies.text.replace('hardware = "ideal"', 'hardware = "ideal"\ntrace = true') + EXPECT
    scenario = studies.load("trials=4", "sweep.bits.values=[1, inf]", "title='Rate & <CRLB>'", text=text, folder=folder)
    return isacsim.run(scenario, folder / "run")


@pytest.fixture(scope="module")
def other(run, studies, tmp_path_factory):
    folder = tmp_path_factory.mktemp("other")
    text = studies.text.replace('hardware = "ideal"', 'hardware = "ideal"\ntrace = true')
    scenario = studies.load(
        "trials=3", "sweep.bits.values=[1, inf]", "design.sca.problem.rate_weight=0.3", text=text, folder=folder
    )
    return isacsim.run(scenario, folder / "run")


@pytest.fixture(scope="module")
def text(run):
    """The page of the run."""
    return page(run)


def test_the_page_stands_alone_and_says_what_the_run_says(run, text):
    assert not re.search(r"""(src|href)=["'](?!data:|#)""", text)
    assert "://" not in re.sub(r"base64,[\w+/=]+", "", text)
    assert len(text) < 2**20
    for told in (
        "Rate &amp; &lt;CRLB&gt;",
        "nobody &lt;nowhere&gt;",
        "MISSED",
        "MAX_STEPS",
        "8 requested = 8 done",
        "seed",
    ):
        assert told in text
    assert "<CRLB>" not in text
    sections = re.findall(r"<h2>(.*?)</h2>", text)
    assert sections == [
        "Figures", "Results", "Expected numbers", "Solvers", "Traces", "Scenario", "Provenance",
    ]  # fmt: skip
    samples = run.dataset()["crlb"].sel(bits=1).values.ravel()
    assert f"{samples.mean():.5g}" in text


def test_points_of_the_page_lie_where_the_figure_has_them(run, text):
    points = [json.loads(of) for of in re.findall(r'application/json">(.*?)</script>', text)]
    rate = run.dataset()["sum-rate-nats"].mean("trial").values.ravel()
    told = [point[2] for point in points[0]]
    assert len(told) == 2
    for value, point in zip(rate, told, strict=True):
        assert f"sum rate of the users (nat/s/Hz): {value:.5g} (" in point
    assert told[1].splitlines()[1].endswith(": ∞")
    places = np.array([point[:2] for of in points for point in of])
    assert np.all((places > 0) & (places < 1))
    (one, infinite) = points[0]
    assert one[0] < infinite[0]
    assert (one[1] > infinite[1]) == (rate[0] < rate[1])  # down is larger on a page


CHECK = """<script>addEventListener("load", () => {
  const images = [...document.images];
  const whole = images.every((image) => image.complete && image.naturalWidth > 0);
  const box = images[0].getBoundingClientRect();
  const [x, y] = JSON.parse(document.querySelector(".figure script").textContent)[0];
  const at = { clientX: box.left + x * box.width, clientY: box.top + y * box.height, bubbles: true };
  images[0].dispatchEvent(new PointerEvent("pointermove", at));
  const tip = document.querySelector(".tip");
  const fits = document.documentElement.scrollWidth <= innerWidth;
  document.title = JSON.stringify({ whole, fits, count: images.length, tip: tip.hidden ? "" : tip.textContent });
});</script>"""


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
@pytest.mark.parametrize(
    "width", [1280, pytest.param(500, marks=pytest.mark.slow)]
)  # 500 is the narrowest window of a headless Chromium
def test_a_browser_shows_the_page_without_an_error(text, tmp_path, width):
    (tmp_path / "page.html").write_text(text + CHECK, encoding="utf-8")
    command = [
        CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--window-size={width},900", "--dump-dom",
        "--enable-logging=stderr", f"--user-data-dir={tmp_path / 'profile'}", (tmp_path / "page.html").as_uri(),
    ]  # fmt: skip
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=600)
    assert "CONSOLE" not in told.stderr
    (found,) = re.findall(r"<title>(\{.*?\})</title>", told.stdout)
    found = json.loads(found.replace("&amp;", "&"))
    assert found["whole"]
    assert found["fits"]  # tables scroll within themselves
    assert found["count"] == 4  # two figures and two traces
    assert "sum rate of the users (nat/s/Hz): " in found["tip"]


def test_a_page_that_cannot_be_written_is_refused(run, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InvalidInput, match=r"out: must be a file that can be written"):
        write_page(run, tmp_path / "file" / "page.html")


def test_differences_are_those_of_the_trials_that_both_have(run, other):
    found = isacsim.compare(run, other)
    assert {(d.at["bits"], d.quantity) for d in found} == {
        (b, q) for b in (1, np.inf) for q in ("sum-rate-nats", "crlb")
    }
    one, two = run.dataset(), other.dataset()
    for d in found:
        a, b = (x[d.quantity].sel(d.at).sel(design="sca").values[:3] for x in (one, two))
        estimate = mean(b - a)
        assert (d.difference, d.low, d.high, d.trials) == (estimate.value, estimate.low, estimate.high, 3)
        assert d.second - d.first == pytest.approx(d.difference, rel=1e-9)
    assert all(d.difference == 0 and not d.significant for d in isacsim.compare(run, run))


def test_a_comparison_in_a_narrow_terminal_cuts_no_number(run, other, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "50")
    assert main(["compare", str(run.path), str(other.path)]) == 0
    out = capsys.readouterr().out
    assert "…" not in out
    for d in isacsim.compare(run, other):
        assert all(f" {value:.4g} " in out for value in (d.first, d.second))


def test_pairing_makes_the_interval_narrower(run, other):
    # The draw of the channel is common to both runs, and far larger than what the designs differ by.
    for d in isacsim.compare(run, other):
        if d.quantity == "sum-rate-nats":
            b = other.dataset()["sum-rate-nats"].sel(d.at).sel(design="sca").values
            spread = mean(b)
            assert d.high - d.low < spread.high - spread.low


def test_the_table_of_a_comparison_tells_once_what_all_rows_share(run, other):
    rows = comparison.rows(isacsim.compare(run, other))
    view = comparison.table([row for row in rows if row["quantity"] == "crlb"])
    assert [column.header for column in view.columns] == ["bits", "RUN", "OTHER", "difference"]
    assert view.caption.splitlines() == [
        "evaluate: " + rows[0]["at"]["evaluate"],
        "design: sca",
        "quantity: crlb",
        "trials: 3",
    ]
    assert len(comparison.table(rows[:1]).columns) == 8  # of one row nothing is shared


def test_a_comparison_needs_something_in_common(run, other, studies, tmp_path):
    with pytest.raises(InvalidInput, match=r"design: must name a design of its run, got 'sac'. Did you mean 'sca'"):
        isacsim.compare(run, other, design="sac")
    with pytest.raises(InvalidInput, match=r"other_design: must name a design of its run, got 'x'"):
        isacsim.compare(run, other, design="sca", other_design="x")
    with pytest.raises(InvalidInput, match=r"design: must be there beside other_design"):
        isacsim.compare(run, other, other_design="sca")
    elsewhere = isacsim.run(studies.load("trials=1", "sweep.bits.values=[2]", folder=tmp_path), tmp_path / "run")
    with pytest.raises(InvalidInput, match=r"other: must share points, designs and quantities with the first run"):
        isacsim.compare(run, elsewhere)


def test_names_of_a_dataset_are_attributes(run):
    dataset = run.dataset()
    assert dataset.sum_rate_nats.equals(dataset["sum-rate-nats"])
    assert "sum_rate_nats" in dir(dataset)
    assert dataset.sel(bits=1).mean("trial").sum_rate_nats.dims == ("evaluate", "design")
    with pytest.raises(AttributeError, match="sum_rate"):
        _ = dataset.sum_rate
    assert set(np.unique(dataset["status"])) == {"MAX_STEPS"}


def test_precoders_of_a_design_are_one_array(run):
    W = run.precoders("sca")
    assert (W.dims, W.shape) == (("bits", "trial", "antenna", "stream"), (2, 4, 16, 4))
    for trial in range(4):
        np.testing.assert_array_equal(W.sel(bits=1, trial=trial), run.design("sca", trial, bits=1).precoder)
    with pytest.raises(InvalidInput, match=r"design: must name a design, got 'sac'. Did you mean 'sca'"):
        run.precoders("sac")


@pytest.mark.parametrize("to", ["mat", "npz", "netcdf"])
def test_exported_arrays_are_those_of_the_run(run, tmp_path, to):
    path = isacsim.export(run, to, tmp_path / f"all.{to}")
    dataset, W = run.dataset(), run.precoders("sca").values
    if to == "netcdf":
        with xarray.open_dataset(path, engine="h5netcdf") as read:
            np.testing.assert_array_equal(read["precoder-sca-real"] + 1j * read["precoder-sca-imag"], W)
            np.testing.assert_array_equal(read["crlb"], dataset["crlb"])
            assert read["status"].values.ravel()[0] == "MAX_STEPS"
            assert read["precoder-sca-real"].attrs["units"] == "sqrt(W)"
    elif to == "npz":
        with np.load(path) as read:
            np.testing.assert_array_equal(read["precoder-sca"], W)
            assert read["crlb.dims"].tolist() == ["bits", "evaluate", "design", "trial"]
            assert read["sum-rate-nats.units"].item() == "nat/s/Hz"
    else:
        read = loadmat(path, simplify_cells=True)
        np.testing.assert_array_equal(read["precoder_sca"], W)
        np.testing.assert_array_equal(read["sum_rate_nats"], dataset["sum-rate-nats"].values.squeeze())
        assert read["info"]["sum_rate_nats"]["name"] == "sum-rate-nats"
        assert read["info"]["sum_rate_nats"]["units"] == "nat/s/Hz"
        assert read["info"]["precoder_sca"]["dimensions"].tolist() == ["bits", "trial", "antenna", "stream"]
        np.testing.assert_array_equal(read["axes"]["bits"], [1, np.inf])
    assert not any("precoder" in str(n) for n in run.dataset())  # the run's own dataset stays as it is


@pytest.mark.parametrize("to", ["mat", "npz", "netcdf"])
def test_designs_of_other_numbers_of_streams_are_exported_together(studies, tmp_path, to):
    more = """
[design.wide]
problem = { kind = "sum-rate-crlb", rate_weight = 0.25, crlb_weight = 1.0, sensing_streams = 3 }
solver  = "mrt"
"""
    run = isacsim.run(studies.load("trials=2", text=studies.text + more, folder=tmp_path), tmp_path / "run")
    path = isacsim.export(run, to, tmp_path / f"all.{to}")
    if to == "mat":
        read = loadmat(path, simplify_cells=True)
        dims = {name: read["info"][f"precoder_{name}"]["dimensions"].tolist() for name in ("sca", "wide")}
        found = {name: read[f"precoder_{name}"] for name in ("sca", "wide")}
    elif to == "npz":
        with np.load(path) as read:
            dims = {name: read[f"precoder-{name}.dims"].tolist() for name in ("sca", "wide")}
            found = {name: read[f"precoder-{name}"] for name in ("sca", "wide")}
    else:
        with xarray.open_dataset(path, engine="h5netcdf") as read:
            dims = {name: list(read[f"precoder-{name}-real"].dims) for name in ("sca", "wide")}
            found = {n: (read[f"precoder-{n}-real"] + 1j * read[f"precoder-{n}-imag"]).values for n in ("sca", "wide")}
    for name in ("sca", "wide"):
        assert dims[name][-2:] == ["antenna", f"stream-{name}"]
        np.testing.assert_array_equal(found[name], run.precoders(name).values)


@pytest.mark.skipif(OCTAVE is None, reason="Octave is not installed")
def test_octave_reads_what_is_written_for_matlab(run, tmp_path):
    path = isacsim.export(run, "mat", tmp_path / "all.mat")
    program = (
        f"load('{path}'); W = precoder_sca; printf('%d %d %d %d|', size(W)); printf('%.15e %.15e|', real(W(2,3,4,1)),"
        "imag(W(2,3,4,1))); printf('%s|%s|%s|', info.sum_rate_nats.units, info.crlb.dimensions{4}, status{1});"
        "printf('%g ', axes.bits);"
    )
    command = [OCTAVE, "--no-gui", "--no-window-system", "--quiet", "--eval", program]
    told = subprocess.run(command, capture_output=True, text=True, timeout=600).stdout
    size, number, *words, bits = told.split("|")
    W = run.precoders("sca").values
    assert size == "2 4 16 4"
    assert complex(*map(float, number.split())) == W[1, 2, 3, 0]
    assert words == ["nat/s/Hz", "trial", "MAX_STEPS"]
    assert bits.split() == ["1", "Inf"]


def test_rows_have_a_line_a_trial(run, tmp_path):
    pandas = pytest.importorskip("pandas")
    frame = pandas.read_csv(isacsim.export(run, "csv", tmp_path / "rows.csv"))
    assert len(frame) == 2 * 4
    np.testing.assert_allclose(frame["crlb"], run.dataset()["crlb"].values.ravel(), rtol=1e-12)
    assert set(frame["status"]) == {"MAX_STEPS"}


def test_parquet_has_the_rows_or_says_what_to_install(run, tmp_path):
    try:
        import pyarrow.parquet as parquet
    except ImportError:
        with pytest.raises(
            InvalidInput, match=r"to: must have its library, pyarrow, .* pip install 'isacsim\[parquet\]'"
        ):
            isacsim.export(run, "parquet", tmp_path / "rows.parquet")
        return
    table = parquet.read_table(isacsim.export(run, "parquet", tmp_path / "rows.parquet"))
    np.testing.assert_array_equal(table["crlb"], run.dataset()["crlb"].values.ravel())


def test_an_unknown_format_is_refused(run, tmp_path):
    with pytest.raises(InvalidInput, match=r"to: must be a format, got 'matlab'. Did you mean 'mat'"):
        isacsim.export(run, "matlab")
    (tmp_path / "file").touch()
    with pytest.raises(InvalidInput, match=r"out: must be a file that can be written"):
        isacsim.export(run, "npz", tmp_path / "file" / "all.npz")


def test_names_of_matlab_are_each_once():
    from isacsim.report.export import _matlab_names

    names = _matlab_names(["a-b", "a_b", "1st", "axes", "x" * 70, "x" * 71])
    assert len(set(names.values())) == 6
    assert all(re.fullmatch(r"[A-Za-z]\w{0,62}", name) for name in names.values())
    assert "axes" not in names.values()


@pytest.mark.parametrize("share", [lambda path: isacsim.compare(path, path), lambda path: isacsim.export(path, "mat")])
def test_a_folder_in_place_of_a_run_is_told_how_to_open_it(share):
    with pytest.raises(InvalidInput, match=r"run: must be a Run, got 'mine'\. Write isacsim\.open_run\('mine'\)"):
        share("mine")
