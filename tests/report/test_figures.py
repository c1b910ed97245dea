"""Figures: the lines, bands, labels and files that a run's numbers ask for."""

import io
import re
import struct

import attrs
import numpy as np
import pytest
import xarray
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from rich.console import Console

import isacsim
from isacsim.engine.statistics import mean, median
from isacsim.errors import InvalidInput
from isacsim.report import curves, figures
from isacsim.report.curves import plot_of
from isacsim.report.figures import draw, draw_figures, looks_of
from isacsim.report.summary import rows, statuses, table
from isacsim.report.tikz import tikz

MORE = """
[evaluate.unimpaired]
metrics = ["sum-rate-nats", "rate-nats"]

[design.start]
problem = { kind = "sum-rate-crlb", rate_weight = 1, crlb_weight = 1 }
solver = { kind = "sca", max_steps = 1 }
trace = true

[sweep.power]
label = "power (dBm)"
values = [0, 10]
sets = "base_station.power_dbm"

[figure.one]
x = "power"
y = "sum-rate-nats"
series = "evaluate"
at = { bits = 3 }

[figure.several]
x = "bits"
y = "sum-rate-nats"
series = "power"
statistic = "median"
title = "Medians"

[figure.logarithmic]
x = "power"
y = "crlb"
series = "bits"
scale = "log"

[figure.region]
x = "crlb"
y = "sum-rate-nats"
along = "bits"
x_scale = "log"
at = { power = 10 }

[figure.trace]
x = "step"
y = "trace-sum_rate"
at = { power = 0, bits = 1 }

[figure.banded]
x = "power"
y = "sum-rate-nats"
beside = ["objective"]
band = ["crlb", "sum-rate-nats"]
legend = "upper left"
at = { bits = 3 }

[figure.beside]
x = "bits"
y = "sum-rate-nats"
beside = ["objective"]
series = "power"

[figure.users]
x = "user"
y = "rate-nats"
at = { bits = 1, power = 0 }
"""


@pytest.fixture(scope="module")
def run(studies, tmp_path_factory):
    folder = tmp_path_factory.mktemp("figures")
    scenario = studies.load(
        "trials=8",
        "sweep.bits.values=[1, 3, inf]",
        text=studies.text.partition("[figure.rate]")[0] + MORE,
        folder=folder,
    )
    return isacsim.run(scenario, folder / "run")


@pytest.fixture
def drawn(run, monkeypatch):
    """The axes of a figure of the run, instead of its file."""
    kept = []

    def savefig(self, path, **_):
        path.touch()  # it is then moved to its place
        kept.append(self)

    monkeypatch.setattr(Figure, "savefig", savefig)

    def draw(name):
        draw_figures(run, (name,))
        (axes,) = kept.pop().axes
        return axes

    return draw


def lines_of(axes):
    return {line.get_label(): line.get_xydata() for line in axes.lines}


def bands_of(axes):
    return [c for c in axes.collections if isinstance(c, PolyCollection)]


def test_the_series_has_the_colours_and_what_else_differs_the_line_styles(drawn):
    lines = drawn("one").lines
    look = {line.get_label(): (line.get_color(), line.get_linestyle()) for line in lines}
    evaluations = {label: label.split(", ")[0] for label in look}
    designs = {label: label.split(", ")[1] for label in look}
    assert len(look) == 4
    for one in look:
        for other in look:
            assert (look[one][0] == look[other][0]) == (evaluations[one] == evaluations[other])
            assert (look[one][1] == look[other][1]) == (designs[one] == designs[other])


def test_what_is_drawn_beside_has_the_colours_of_the_series_and_a_style_of_its_own(run, drawn):
    lines = {line.get_label(): line for line in drawn("beside").lines}
    dataset = run.dataset().sel(design="sca", evaluate="converters", power=10).mean("trial")
    label = "10 dBm, converters, sca"
    rate, merit = lines[label], lines[f"{label}, merit of the design's problem"]
    np.testing.assert_allclose(rate.get_ydata(), dataset["sum-rate-nats"][:2], rtol=1e-12)  # infinity has no line
    objective = dataset["objective"].broadcast_like(dataset["sum-rate-nats"])
    np.testing.assert_allclose(merit.get_ydata(), objective[:2], rtol=1e-12)
    assert rate.get_color() == merit.get_color()
    assert rate.get_linestyle() != merit.get_linestyle()


def test_files_are_pictures_of_plausible_size(run, tmp_path):
    files = draw_figures(run, folder=tmp_path / "new")
    assert [file.name for file in files] == [
        f"{name}.png" for name in ("one", "several", "logarithmic", "region", "trace", "banded", "beside", "users")
    ]
    for file in files:
        data = file.read_bytes()
        assert data[:8] == b"\x89PNG\r\n\x1a\n"
        width, height = struct.unpack(">II", data[16:24])
        assert width == 960  # 6.4 inches at 150 dpi
        assert height >= 660  # 4.4 inches, and more with a legend below
        assert 10_000 < len(data) < 500_000
    (pdf,) = draw_figures(run, ("one",), tmp_path, "pdf")
    assert pdf.read_bytes()[:5] == b"%PDF-"


def test_an_unknown_figure_is_refused(run):
    with pytest.raises(InvalidInput, match=r"figure: must be a figure of the run, got 'won'. Did you mean 'one'"):
        draw_figures(run, ("won",))


def test_a_line_a_series_and_a_band_a_line(run, drawn):
    axes, dataset = drawn("one"), run.dataset()
    lines = lines_of(axes)
    assert set(lines) == {
        "converters, sca", "converters, start", "unimpaired, sca", "unimpaired, start"
    }  # fmt: skip
    assert len(bands_of(axes)) == 4
    here = dataset["sum-rate-nats"].sel(bits=3, evaluate="converters", design="start")
    estimate = mean(here.transpose("power", "trial").values)
    np.testing.assert_array_equal(lines["converters, start"], np.column_stack([[0, 10], estimate.value]))
    corners = np.concatenate([p.vertices for band in bands_of(axes) for p in band.get_paths()])
    for end in (*estimate.low, *estimate.high):
        assert np.isclose(corners[:, 1], end, rtol=1e-12).any()
    assert axes.get_xlabel() == "power (dBm)"
    assert axes.get_ylabel() == "sum rate of the users (nat/s/Hz)"
    assert axes.get_title() == run.title
    assert axes.get_legend().get_title().get_text() == "mean over 8 trials, 95 % band"


def test_a_recorded_band_is_shown_by_its_mean(run, drawn):
    axes, here = drawn("banded"), run.dataset().sel(bits=3, evaluate="converters")
    assert axes.get_legend().get_title().get_text() == "mean over 8 trials, band as recorded"
    bands = bands_of(axes)
    corners = {(round(x, 9), round(y, 9)) for band in bands for p in band.get_paths() for x, y in p.vertices}
    for end in ("crlb", "sum-rate-nats"):
        for value in here[end].mean("trial").stack(place=["power", "design"]):
            assert (value["power"].item(), round(value.item(), 9)) in corners
    # What is beside has none: every corner is of the two that are recorded.
    recorded = [here[end].mean("trial").values.ravel() for end in ("crlb", "sum-rate-nats")]
    assert {y for _, y in corners} <= {round(float(y), 9) for y in np.concatenate(recorded)}


def test_a_legend_without_a_place_among_the_lines_lies_below_them(drawn, monkeypatch):
    monkeypatch.setattr(curves, "MANY", 0)
    axes = drawn("several")
    assert axes.get_legend() is None
    (legend,) = axes.figure.legends
    assert len(legend.get_texts()) == 8
    axes.figure.draw_without_rendering()
    box = legend.get_window_extent()
    assert box.y1 <= axes.get_tightbbox().y0
    assert 0 <= box.x0 < box.x1 <= axes.figure.bbox.x1


@pytest.mark.parametrize("lines", [1, 0])
def test_a_legend_that_would_lie_over_a_line_lies_below(run, lines):
    figure = attrs.evolve(run.figures["one"], legend="best")
    plot = plot_of(run, run.dataset(), figure)
    x = np.linspace(0.0, 10.0, 41)
    everywhere = (
        1 + 9 * (np.arange(41) % 2.0) if lines else np.ones(41)
    )  # up and down all over the axes, or at the bottom
    none = np.full((2, 41), np.nan)
    curve = attrs.evolve(plot.curves[0], x=x, y=everywhere, across=none, band=none, expected=())
    canvas = draw(attrs.evolve(plot, curves=(curve,)), figure)
    assert len(canvas.legends) == lines
    assert (canvas.axes[0].get_legend() is None) == bool(lines)


def test_numbers_are_to_scale_and_infinity_lies_beyond_them_without_a_line_to_it(run, drawn):
    axes = drawn("several")
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["1", "3", "∞"]
    one, three, infinite = axes.get_xticks().tolist()
    assert (one, three) == (1, 3)
    assert infinite > three + 1
    lines = {label: points for label, points in lines_of(axes).items() if not label.startswith("_")}
    assert len(lines) == 8
    assert all(points[:, 0].tolist() == [1, 3] for points in lines.values())
    beyond = [line for line in axes.lines if line.get_label() == "_infinite"]
    assert [line.get_xdata().tolist() for line in beyond] == [[infinite]] * 8
    assert {line.get_linestyle() for line in beyond} == {"None"}
    values = run.dataset()["sum-rate-nats"].sel(power=10, evaluate="converters", design="sca")
    estimate = median(values.transpose("bits", "trial").values)
    np.testing.assert_array_equal(lines["10 dBm, converters, sca"][:, 1], estimate.value[:2])
    assert axes.get_title() == "Medians"
    (legend,) = axes.figure.legends  # below: too many lines for a place among them
    assert legend.get_title().get_text() == "median over 8 trials, 95 % band"
    assert axes.get_ylabel() == "sum rate of the users (nat/s/Hz)"


def test_a_logarithmic_scale_is_one(drawn):
    axes = drawn("logarithmic")
    assert axes.get_yscale() == "log"
    assert axes.get_ylabel() == "sum of the CRLBs of all target parameters"
    # The evaluation without this quantity has no line.
    assert set(lines_of(axes)) == {f"{b} bits, {d}" for d in ("sca", "start") for b in ("1", "3", "∞")}


def test_quantities_can_be_drawn_along_their_own_axis(run, drawn):
    axes = drawn("users")
    lines = lines_of(axes)
    assert all(points[:, 0].tolist() == [0, 1, 2, 3] for points in lines.values())
    rates = run.dataset()["rate-nats"].sel(bits=1, power=0, evaluate="unimpaired", design="sca")
    expected = rates.mean("trial")
    (sca,) = (points for label, points in lines.items() if "sca" in label)
    np.testing.assert_allclose(sca[:, 1], expected, rtol=1e-12)
    assert axes.get_xlabel() == "user"


def test_a_quantity_is_drawn_against_another_along_an_axis(run, drawn):
    axes, dataset = drawn("region"), run.dataset()
    # The crlb is not recorded without converters: those lines have no x.
    place = {"power": 10, "evaluate": "converters", "design": "sca"}
    x, y = (mean(dataset[q].sel(place).transpose("bits", "trial").values) for q in ("crlb", "sum-rate-nats"))
    (container,) = (c for c in axes.containers if c.get_label() == "sca")
    curve, _, (over, across) = container.lines
    np.testing.assert_array_equal(curve.get_xydata(), np.column_stack([x.value, y.value]))
    np.testing.assert_allclose(over.get_segments()[0][:, 0], [x.low[0], x.high[0]], rtol=1e-12)
    np.testing.assert_allclose(across.get_segments()[0][:, 1], [y.low[0], y.high[0]], rtol=1e-12)
    assert axes.get_xscale() == "log"
    assert axes.get_xlabel() == "sum of the CRLBs of all target parameters"


def test_error_bars_of_many_points_are_left_out_and_not_claimed(drawn, monkeypatch):
    assert drawn("region").get_legend().get_title().get_text() == "mean over 8 trials, 95 % band"
    monkeypatch.setattr(curves, "MANY", 3)  # as many as there are bits
    axes = drawn("region")
    assert [c.lines[1:] for c in axes.containers] == [((), ())] * 2
    assert axes.get_legend().get_title().get_text() == "mean over 8 trials"


def test_a_ratio_is_drawn_in_decibels_of_its_statistic(run, drawn, monkeypatch):
    linear = run.figures["region"]
    place = {"power": 10, "evaluate": "converters", "design": "sca"}
    dataset = run.dataset()
    x, y = (mean(dataset[q].sel(place).transpose("bits", "trial").values).value for q in ("crlb", "sum-rate-nats"))
    monkeypatch.setitem(run.figures, "region", attrs.evolve(linear, scale="db", x_scale="db"))
    axes = drawn("region")
    (container,) = (c for c in axes.containers if c.get_label() == "sca")
    np.testing.assert_allclose(container.lines[0].get_xydata(), 10 * np.log10(np.column_stack([x, y])), rtol=1e-12)
    assert axes.get_xscale() == axes.get_yscale() == "linear"
    assert axes.get_xlabel() == "sum of the CRLBs of all target parameters (dB)"
    assert axes.get_ylabel() == "sum rate of the users (dB over 1 nat/s/Hz)"


def test_a_line_of_zeros_is_not_drawn_in_decibels(run, drawn, monkeypatch):
    dataset = run.dataset()
    silent = dataset.assign({"rate-nats": dataset["rate-nats"].where(dataset.design != "sca", 0.0)})
    monkeypatch.setattr(type(run), "dataset", lambda self: silent)
    monkeypatch.setitem(run.figures, "users", attrs.evolve(run.figures["users"], scale="db"))
    assert all("sca" not in label for label in lines_of(drawn("users")))


def test_a_line_leaves_a_gap_at_zeros_on_a_logarithmic_scale(run, drawn, monkeypatch):
    dataset = run.dataset()
    silent = dataset.assign({"crlb": dataset["crlb"].where((dataset.design != "sca") | (dataset.power > 0), 0.0)})
    monkeypatch.setattr(type(run), "dataset", lambda self: silent)
    heights = {label: points[:, 1] for label, points in lines_of(drawn("logarithmic")).items()}
    assert np.isnan(heights["1 bits, sca"]).tolist() == [True, False]
    assert np.isfinite(heights["1 bits, start"]).all()


def test_a_swept_axis_has_no_scale_of_decibels(run, drawn, study):
    with pytest.raises(InvalidInput, match="x_scale: must not be db for an axis of the sweep"):
        study('figure.rate.x_scale="db"')


def test_a_trace_is_drawn_over_its_steps(run, drawn):
    axes, dataset = drawn("trace"), run.dataset()
    lines = lines_of(axes)
    expected = dataset["trace-sum_rate"].sel(power=0, bits=1, design="start").mean("trial")
    assert set(lines) == {"start"}  # the other design keeps none
    np.testing.assert_allclose(lines["start"], np.column_stack([[0, 1], expected]), rtol=1e-12)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("step", "sum rate of the iterate")


def test_every_line_has_a_marker_of_its_own_and_a_hollow_one(drawn):
    lines = [line for line in drawn("several").lines if not line.get_label().startswith("_")]
    assert len({line.get_marker() for line in lines}) == len(lines) == 8
    assert {line.get_markerfacecolor() for line in lines} == {"none"}
    # Where one thing differs, the line style differs with it: colours alone do not print in grey.
    two = drawn("users").lines
    assert len({(line.get_color(), line.get_linestyle()) for line in two}) == len(two)


def luminance(colour):
    """Relative luminance of a colour of sRGB, as of WCAG 2."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


def test_no_colour_is_too_light_for_a_line_on_white():
    # 2 : 1 at least; the yellow of Okabe and Ito has 1.3 : 1.
    assert all(1.05 / (luminance(c) + 0.05) >= 2 for c in figures.COLOURS)


@pytest.mark.parametrize(("size", "inches"), [("column", 3.5), ("page", 7.16), ([5, 3], 5)])
def test_a_figure_for_a_paper_has_its_width_and_no_title(run, size, inches):
    figure = attrs.evolve(run.figures["one"], size=size)
    plot = plot_of(run, run.dataset(), figure)
    with looks_of(figure):
        canvas = draw(plot, figure)
        canvas.draw_without_rendering()
    (axes,) = canvas.axes
    assert canvas.get_figwidth() == inches
    assert axes.get_title() == ""
    assert axes.xaxis.label.get_fontname() == "STIXGeneral"
    assert axes.xaxis.label.get_fontsize() == 8
    box = axes.get_tightbbox()
    assert 0 <= box.x0 < box.x1 <= canvas.bbox.x1


def test_a_band_does_not_run_off_a_logarithmic_axis(run):
    dataset = run.dataset()
    dataset["crlb"][...] = np.array([1e-9, 1e-9, 1e-9, 1e-9, 1e-9, 1e-9, 1e-9, 1.0])  # the interval reaches below 0
    for scale, least in (("log", 0.125 / 4), ("db", 10 * np.log10(0.125 / 4))):
        figure = attrs.evolve(run.figures["logarithmic"], scale=scale)
        plot = plot_of(run, dataset, figure)
        bands = np.stack([c.band for c in plot.curves])
        assert np.isfinite(bands).all()
        assert bands.min() >= least  # the mean is 1/8
        (axes,) = draw(plot, figure).axes
        assert axes.get_ylim()[0] >= (least / 4 if scale == "log" else least - 6)


def test_scales_follow_the_numbers_where_nothing_is_asked(run):
    dataset, figure = run.dataset(), attrs.evolve(run.figures["logarithmic"], scale="auto")
    assert plot_of(run, dataset, figure).y.kind == "linear"
    dataset["crlb"] = dataset["crlb"] * 1e6 ** (dataset["power"] / 10)
    assert plot_of(run, dataset, figure).y.kind == "log"
    dataset["crlb"] = -dataset["crlb"]
    assert plot_of(run, dataset, figure).y.kind == "linear"


def test_angles_are_shown_in_degrees(run):
    dataset, figure = run.dataset(), run.figures["one"]
    before = plot_of(run, dataset, figure).curves[0]
    dataset["sum-rate-nats"].attrs["units"] = "rad"
    after = plot_of(run, dataset, figure)
    np.testing.assert_allclose(after.curves[0].y, np.rad2deg(before.y), rtol=1e-14)
    np.testing.assert_allclose(after.curves[0].band, np.rad2deg(before.band), rtol=1e-14)
    assert after.y.label == "sum rate of the users (°)"


def test_a_trace_stays_at_its_last_iterate(run):
    dataset, figure = run.dataset(), run.figures["trace"]
    trace = dataset["trace-sum_rate"]
    ended = trace.where((dataset["trial"] > 3) | (xarray.DataArray([True, False], dims="step")))
    dataset["trace-sum_rate"] = ended
    (curve,) = plot_of(run, dataset, figure).curves
    whole = trace.sel(power=0, bits=1, design="start").values
    stays = np.where(np.arange(8) > 3, whole[:, 1], whole[:, 0])
    np.testing.assert_allclose(curve.y, [whole[:, 0].mean(), stays.mean()], rtol=1e-12)


def test_one_swept_thing_is_named_once_over_the_legend(run):
    figure = attrs.evolve(run.figures["several"], at={}, series="power")
    dataset = run.dataset().sel(design=["sca"], evaluate=["converters"])
    plot = plot_of(run, dataset, figure)
    assert ([c.label for c in plot.curves], plot.heading) == (["0", "10"], "power (dBm)")


def test_categories_are_spaced_evenly_when_that_is_asked(run):
    figure = attrs.evolve(run.figures["several"], categories=True)
    plot = plot_of(run, run.dataset(), figure)
    assert plot.x.ticks == ([0, 1, 2], ["1", "3", "∞"])
    assert plot.curves[0].x.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("looks", "message"),
    [
        ({"font": "Times New Roam"}, "font: must be a font that is installed, got 'Times New Roam'"),
        ({"style": "sienc"}, "style: must be a style sheet"),
        ({"size": "colum"}, "size: must be screen, column, page or .* got 'colum'. Write size = 'column'"),
        ({"size": [3, 0]}, "size: must be screen, column, page or "),
        ({"legend": "top"}, "legend: must be one of its choices, got 'top'. Valid: best, "),
        ({"format": "jpg"}, "format: must be file types of figures, got 'jpg'. Did you mean 'png'"),
        ({"scale": "decibel"}, "scale: must be one of its choices, got 'decibel'"),
        ({"font_size": -1}, "font_size: must be a finite number of at least 0, got -1"),
    ],
)
def test_looks_that_cannot_be_are_refused(run, tmp_path, looks, message):
    with pytest.raises(InvalidInput, match=message):
        draw_figures(run, ("one",), tmp_path, looks=looks)


def test_equal_numbers_give_equal_files(run, tmp_path):
    kinds = ("png", "pdf", "svg", "tikz")
    first, second = (draw_figures(run, ("one",), tmp_path / name, kinds) for name in "ab")
    assert [path.suffix for path in first] == [".png", ".pdf", ".svg", ".tex"]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_a_picture_for_pgfplots_has_the_numbers_and_no_bare_special_characters(run):
    figure = attrs.evolve(run.figures["several"], title="50 % of A_1 & B")
    plot = plot_of(run, run.dataset(), figure)
    text = tikz(plot, figure)
    assert text.count("\\addplot") == text.count("\\addlegendentry") == 8
    assert "50 \\% of A\\_1 \\& B" in text
    numbers = [tuple(map(float, pair)) for pair in re.findall(r"\(([\d.e+-]+),([\d.e+-]+)\)", text)]
    shown = [point for c in plot.curves for point in zip(c.x, c.y, strict=True)]
    np.testing.assert_allclose(numbers, shown, rtol=1e-7)  # eight digits
    assert text.count("{") == text.count("}")


def test_a_trace_that_no_solver_has_is_refused(run, drawn, monkeypatch):
    monkeypatch.setitem(run.figures, "trace", attrs.evolve(run.figures["trace"], y="trace-gradient"))
    with pytest.raises(InvalidInput, match=r"figure: must show what was recorded, got 'trace-gradient'. .*trace-crlb"):
        drawn("trace")


def test_what_solvers_leave_of_a_constant_is_drawn_as_one(run, drawn, monkeypatch):
    dataset = run.dataset()
    spread = 1e-7 * np.sin(np.arange(dataset["crlb"].size)).reshape(dataset["crlb"].shape)
    flat = dataset.assign({"crlb": dataset["crlb"].copy(data=1.024 * (1 + spread))})
    monkeypatch.setattr(type(run), "dataset", lambda self: flat)
    monkeypatch.setitem(run.figures, "one", attrs.evolve(run.figures["one"], y="crlb", scale="linear"))
    axes = drawn("one")
    low, high = axes.get_ylim()
    assert high - low > 1e-3
    axes.figure.canvas.draw()
    assert axes.yaxis.get_offset_text().get_text() == ""


def test_a_short_logarithmic_axis_has_plain_numbers(run):
    from matplotlib.figure import Figure as Canvas

    with looks_of(run.figures["logarithmic"]):
        axes = Canvas().subplots()
        axes.plot([0, 1], [2, 13])
        axes.set_yscale("log")
        axes.figure.canvas.draw()
        labels = {t.get_text() for t in axes.get_yticklabels(which="both")}
    assert {"2", "3", "4", "6"} <= {re.sub(r"[^0-9.]", "", label.removeprefix("$\\mathdefault")) for label in labels}


def test_infinite_values_leave_a_gap_and_no_warning(run, drawn, monkeypatch):
    kept = []
    monkeypatch.setattr(Figure, "savefig", lambda self, path, **_: kept.append(self))
    dataset = run.dataset()
    dataset["crlb"].loc[{"bits": 1, "design": "sca", "power": 0}] = np.inf
    dataset["crlb"].loc[{"bits": 1, "design": "start"}] = np.inf
    for statistic in ("mean", "median"):
        figure = attrs.evolve(run.figures["logarithmic"], statistic=statistic)
        kept.append(draw(plot_of(run, dataset, figure), figure))
        kept[-1].canvas.draw()
        lines = lines_of(kept[-1].axes[0])
        assert len(lines) == 5  # one series has no finite value at all
        assert np.isinf(lines["1 bits, sca"][0, 1])
        assert np.isfinite(lines["3 bits, sca"]).all()


def test_summary_rows_are_the_statistics_of_the_dataset(run):
    found = {(r["bits"], r["power"], r["evaluate"], r["design"], r["quantity"]): r for r in rows(run)}
    # 3 x 2 points, 2 designs; two scalars through converters, one without.
    assert len(found) == 6 * 2 * 3
    row = found[np.inf, 10, "converters", "sca", "crlb"]
    samples = run.dataset()["crlb"].sel(bits=np.inf, power=10, evaluate="converters", design="sca").values
    estimate = mean(samples)
    assert row["mean"] == estimate.value
    assert row["half_width"] == pytest.approx(float(estimate.high - estimate.low) / 2, rel=1e-9)
    assert row["median"] == np.median(samples)
    assert (row["unit"], row["trials"]) == ("1", 8)


def test_the_table_has_a_row_a_place_and_a_column_a_quantity(run):
    console = Console(width=200, file=io.StringIO())
    view = table(run)
    console.print(view)
    text = console.file.getvalue()
    assert view.row_count == 6 * 2 * 2
    assert [column.header for column in view.columns] == [
        "bits", "power", "evaluate", "design", "sum-rate-nats\n(nat/s/Hz)", "crlb"
    ]  # fmt: skip
    assert "∞" in text


def printed(view, width):
    console = Console(width=width, file=io.StringIO())
    console.print(view)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_a_table_that_does_not_fit_a_line_has_rows_for_its_quantities(run):
    needed = max(map(len, printed(table(run), 200)))
    assert printed(table(run, needed), needed) == printed(table(run), needed)  # it fits
    view = table(run, needed - 1)
    assert [column.header for column in view.columns][4:] == ["quantity", "mean"]
    assert view.row_count == len(list(rows(run)))
    lines = printed(view, 64)
    assert max(map(len, lines)) <= 64
    assert "…" not in "".join(lines)  # no place and no number is cut short
    assert sum("unimpaired" in line for line in lines) == 6 * 2


def test_solves_are_counted_once_where_points_share_them(run):
    # Two designs at two powers, eight trials each; bits share them.
    assert sum(statuses(run).values()) == 2 * 2 * 8
