"""Expected numbers: what counts as met, where they are shown, and what scripts are told."""

import math

import attrs
import numpy as np
import pytest
from matplotlib.figure import Figure as Canvas

import isacsim
from isacsim.engine.statistics import mean, median
from isacsim.errors import InvalidInput
from isacsim.report import expectations
from isacsim.report.figures import draw_figures

TRIALS = 6


@pytest.fixture(scope="module")
def plain(studies, tmp_path_factory):
    folder = tmp_path_factory.mktemp("expectations")
    return isacsim.run(studies.load("sweep.bits.values=[1, 3, inf]", folder=folder), folder / "run")


@pytest.fixture
def judge(plain):
    """The verdict on one expectation of the rates, made in Python."""

    def judge(**fields):
        base = {"quantity": "sum-rate-nats", "values": 0.0, "kind": "published", "source": "Doe", "absolute": 1e-9}
        plain.expectations = {"rate": isacsim.Expectation(**{**base, **fields})}
        (verdict,) = expectations.verdicts(plain)
        return verdict

    return judge


@pytest.fixture
def rates(plain):
    return plain.dataset()["sum-rate-nats"].squeeze().transpose("bits", "trial").values


def test_each_tolerance_allows_what_it_says(judge, rates):
    found = rates.mean(axis=1)[0]
    at = {"at": {"bits": 1}}
    error = rates[0].std(ddof=1) / math.sqrt(TRIALS)
    for tolerance, allowed in (
        ({"absolute": 0.1}, 0.1),
        ({"absolute": 0.0, "relative": 0.02}, 0.02 * found),
        ({"absolute": 0.0, "standard_errors": 3}, 3 * error),
        ({"absolute": 0.0, "standard_errors": 3, "errors": 2 * error}, 3 * error * math.sqrt(5)),
        ({"absolute": 0.1, "relative": 0.02, "standard_errors": 1}, 0.1 + 0.02 * found + error),
    ):
        (comparison,) = judge(**at, values=found, **tolerance).comparisons
        assert comparison.allowed == pytest.approx(allowed, rel=1e-9)
        assert comparison.error == pytest.approx(error, rel=1e-9)
        # The size of the expected number sets the relative part: it moves less than 3 %.
        assert judge(**at, values=found - 0.97 * allowed, **tolerance).met
        assert not judge(**at, values=found + 1.05 * allowed, **tolerance).met


def test_an_entry_is_met_where_all_its_numbers_are_and_nan_is_not_compared(judge, rates):
    means = rates.mean(axis=1)
    assert judge(over="bits", values=means.tolist()).met
    verdict = judge(over="bits", values=[means[0], math.nan, means[2]])
    assert [c.coords for c in verdict.comparisons] == [{"bits": 1}, {"bits": math.inf}]
    wrong = judge(over="bits", values=[means[0], means[1], 0.0])
    assert not wrong.met
    assert [expectations.verdict(wrong, c) for c in wrong.comparisons] == ["met", "met", "MISSED"]
    assert expectations.summary([wrong]) == "2 of 3 numbers met; against expectation: rate"


def test_what_is_known_to_differ_is_told_and_a_surprise_is_told_too(judge, rates):
    known = judge(at={"bits": 1}, values=0.0, holds=False)
    assert known.as_known
    assert expectations.verdict(known, known.comparisons[0]) == "differs, as known"
    assert expectations.summary([known]) == "0 of 1 numbers met, 1 differ as known"
    surprise = judge(at={"bits": 1}, values=rates[0].mean(), holds=False)
    assert not surprise.as_known
    assert "against expectation: rate" in expectations.summary([surprise])


def test_medians_and_what_solvers_say_can_be_expected(judge, plain, rates):
    assert judge(statistic="median", at={"bits": 3}, values=np.median(rates[1])).met
    steps = plain.dataset()["iterations"].values.mean()
    assert judge(quantity="iterations", at={"bits": 3}, values=steps).met


def test_a_run_without_trials_has_no_data(judge, plain, monkeypatch):
    dataset = plain.dataset()
    monkeypatch.setattr(plain, "dataset", lambda: dataset.where(dataset["trial"] < 0))
    verdict = judge(at={"bits": 1})
    assert not verdict.met
    assert expectations.verdict(verdict, verdict.comparisons[0]) == "no data"


@pytest.mark.parametrize("statistic", [mean, median])
def test_a_standard_error_shrinks_with_the_root_of_the_trials(statistic):
    samples = np.random.default_rng(0).standard_normal(40_000)
    # Of normal samples: 1/sqrt(n) for the mean, sqrt(pi/2) times that for the median.
    factor = {mean: 1.0, median: math.sqrt(math.pi / 2)}[statistic]
    # The spread of 40 000 samples is known to 0.4 %; the 392 samples between the median's
    # ranks lie in an interval whose length is random by 5 %.
    tolerance = {mean: 0.02, median: 0.2}[statistic]
    assert statistic(samples).error == pytest.approx(factor / 200, rel=tolerance)
    assert np.isnan(statistic(samples[:1]).error)


def test_expected_numbers_are_crosses_of_their_line_colour(judge, plain, monkeypatch):
    kept = []

    def savefig(self, path, **_):
        path.touch()  # it is then moved to its place
        kept.append(self)

    monkeypatch.setattr(Canvas, "savefig", savefig)
    judge(over="bits", values=[1.0, math.nan, 3.0])
    draw_figures(plain, ("rate",))
    lines = kept.pop().axes[0].lines
    (cross,) = (line for line in lines if line.get_marker() == "x")
    curve, infinite = (line for line in lines if line.get_marker() == "o")
    places = [*curve.get_xdata(), *infinite.get_xdata()]
    np.testing.assert_array_equal(cross.get_xydata(), np.column_stack([places, [1, math.nan, 3]]))
    assert cross.get_color() == curve.get_color()
    # Another statistic, axis or design is another curve's.
    for fields in ({"statistic": "median"}, {"quantity": "crlb"}):
        judge(over="bits", values=[1.0, 2.0, 3.0], **fields)
        draw_figures(plain, ("rate",))
        assert not any(line.get_marker() == "x" for line in kept.pop().axes[0].lines)


def test_an_expectation_needs_a_tolerance_and_sound_errors():
    fields = {"quantity": "crlb", "values": [1, 2], "kind": "oracle", "source": "Doe"}
    with pytest.raises(InvalidInput, match=r"absolute, relative, standard_errors: must not all be 0"):
        isacsim.Expectation(**fields)
    for errors in (-1, math.nan, [1, 2, 3]):
        with pytest.raises(InvalidInput, match=r"errors: must be numbers of at least 0"):
            isacsim.Expectation(**fields, relative=0.1, errors=errors)
    for values in ([], "1", [True], [[1]]):
        with pytest.raises(InvalidInput, match=r"values, errors: must be numbers"):
            isacsim.Expectation(**{**fields, "values": values}, relative=0.1)


def test_expected_numbers_travel_with_the_run(study, tmp_path):
    number = isacsim.Expectation(
        quantity="sum-rate-nats", values=[2, math.inf], over="power", kind="published", source="Doe", relative=0.1
    )
    power = isacsim.Axis([0, 10], "base_station.power_dbm")
    scenario = attrs.evolve(study("trials=1"), sweep={"power": power}, figure={}, expect={"rate": number})
    isacsim.run(scenario, tmp_path / "run")
    assert isacsim.open_run(tmp_path / "run").expectations == {"rate": number}
