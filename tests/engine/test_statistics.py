"""Mean and median with their confidence intervals: known cases, coverage, heavy tails."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from isacsim.engine.statistics import STATISTICS, mean, median

samples = arrays(float, st.tuples(st.integers(1, 3), st.integers(0, 12)), elements=st.floats(-1e6, 1e6))


def coverage(estimate, truth):
    return np.mean((estimate.low <= truth) & (truth <= estimate.high))


def test_the_mean_has_students_interval():
    # Student's own sleep data (1908): mean 1.58, standard error 0.38896, t_9(97.5 %) = 2.262157.
    extra_hours = [1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4]
    estimate = mean(extra_hours)
    assert estimate.value == pytest.approx(1.58, rel=1e-12)
    assert estimate.low == pytest.approx(1.58 - 2.262157 * 0.3889587, rel=1e-6)
    assert estimate.high == pytest.approx(1.58 + 2.262157 * 0.3889587, rel=1e-6)
    assert estimate.count == 10


@pytest.mark.parametrize(
    ("n", "rank"), [(6, 1), (9, 2), (20, 6), (100, 40)]
)  # printed tables of the binomial interval of a median: order statistics r and n + 1 - r
def test_the_median_has_the_interval_of_printed_ranks(n, rank):
    estimate = median(np.arange(1.0, n + 1))
    assert (estimate.low, estimate.high) == (rank, n + 1 - rank)
    assert estimate.value == (n + 1) / 2


@pytest.mark.parametrize("n", [6, 15, 30])
@pytest.mark.parametrize(
    ("name", "draw", "mean_of", "median_of"),
    [
        ("Gaussian", lambda rng, shape: rng.standard_normal(shape), 0.0, 0.0),
        ("Cauchy", lambda rng, shape: rng.standard_cauchy(shape), None, 0.0),
        # Tail index 1/4, as the CRLB of random scenes: no mean at all.
        ("Pareto 1/4", lambda rng, shape: rng.uniform(size=shape) ** -4.0, None, 16.0),
    ],
)
def test_intervals_cover_the_truth_as_often_as_they_say(n, name, draw, mean_of, median_of):
    x = draw(np.random.default_rng(n), (4000, n))
    margin = 4 * np.sqrt(0.95 * 0.05 / 4000)  # four standard errors of a share of 95 %
    assert coverage(median(x), median_of) >= 0.95 - margin
    if mean_of is not None:
        assert abs(coverage(mean(x), mean_of) - 0.95) <= margin


def test_missing_samples_are_left_out():
    x = [1.0, np.nan, 3.0, np.nan, 5.0, 7.0, 8.0, 9.0]
    there = [1.0, 3.0, 5.0, 7.0, 8.0, 9.0]
    for name, statistic in STATISTICS.items():
        one, other = statistic(x), statistic(there)
        assert (one.value, one.low, one.high, one.count) == (other.value, other.low, other.high, 6), name


@pytest.mark.parametrize("statistic", [mean, median])
def test_too_few_samples_have_no_interval(statistic):
    nothing = statistic([np.nan, np.nan])
    assert nothing.count == 0
    assert np.isnan([nothing.value, nothing.low, nothing.high]).all()
    one = statistic([np.nan, 3.0])
    assert (one.value, one.count) == (3.0, 1)
    assert np.isnan([one.low, one.high]).all()


def test_the_median_of_five_has_a_value_and_no_interval():
    # Even the extremes cover the median with 1 - 2/32 = 93.75 % only.
    estimate = median([5.0, 1.0, 4.0, 2.0, 3.0])
    assert estimate.value == 3.0
    assert np.isnan([estimate.low, estimate.high]).all()


def test_infinite_samples_are_ranks_for_the_median():
    x = [1.0, 2.0, 3.0, 4.0, np.inf, np.inf, 5.0]
    estimate = median(x)
    assert (estimate.value, estimate.low, estimate.high, estimate.count) == (4.0, 1.0, np.inf, 7)
    assert median([1.0, np.inf]).value == np.inf
    assert median([1.0, 2.0, np.inf, np.inf]).value == np.inf


def test_one_infinite_sample_makes_the_mean_infinite():
    estimate = mean([1.0, 2.0, np.inf])
    assert estimate.value == np.inf
    assert np.isnan([estimate.low, estimate.high]).all()
    assert estimate.count == 3


@given(samples)
def test_every_row_has_the_statistic_it_has_alone(x):
    for statistic in STATISTICS.values():
        whole = statistic(x)
        for i, row in enumerate(x):
            alone = statistic(row)
            for field in ("value", "low", "high", "count"):
                np.testing.assert_array_equal(getattr(whole, field)[i], getattr(alone, field))


@given(samples)
def test_the_interval_holds_the_value(x):
    for statistic in STATISTICS.values():
        estimate = statistic(x)
        there = ~np.isnan(estimate.low)
        assert np.all(estimate.low[there] <= estimate.value[there])
        assert np.all(estimate.value[there] <= estimate.high[there])
