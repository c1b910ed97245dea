"""ROC from streams: binned against exact, bands that hold what they say, edges."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from isacsim import InvalidInput
from isacsim.waveform.roc import MANTISSA, Histogram, Roc

EXACT = 52  # bits of the mantissa with which each number is a bin
GRID = np.logspace(-3, 0, 25)
# Repetitions of a test, of which it allows four standard deviations.
REPEATS = pytest.mark.parametrize("repeats", [400, pytest.param(2000, marks=pytest.mark.slow)])


def roc(absent, present, mantissa=MANTISSA):
    return Roc.of(Histogram.of(np.asarray(absent, float), mantissa), Histogram.of(np.asarray(present, float), mantissa))


def exponentials(n, sqnr, seed=0):
    rng = np.random.default_rng(seed)
    return rng.exponential(size=n), (1 + sqnr) * rng.exponential(size=n)


def by_hand(absent, present, false_alarm):
    """Share of ``present`` above the lowest threshold that at most ``false_alarm`` of ``absent`` exceed."""
    ordered = np.sort(absent)[::-1]
    allowed = int(np.floor(false_alarm * absent.size + 1e-9))
    threshold = ordered[allowed] if allowed < absent.size else -np.inf
    return np.mean(present > threshold)


@pytest.mark.parametrize("draw", [exponentials, lambda n, sqnr: (x - 1.5 for x in exponentials(n, sqnr))])
@pytest.mark.parametrize("sqnr", [0.1, 3.0, 100.0])
def test_the_binned_curve_is_below_the_exact_one_by_at_most_its_stated_resolution(draw, sqnr):
    absent, present = draw(50_000, sqnr)  # with negative statistics too
    exact, binned = roc(absent, present, EXACT), roc(absent, present)
    error = exact.detection_probability(GRID) - binned.detection_probability(GRID)
    assert np.all(error >= 0)
    assert np.all(error <= binned.resolution(GRID) + 1e-12)  # differences of shares
    # A bin of relative width w has at most w/e of an exponential law; 4 standard deviations of its count.
    width = 2.0**-MANTISSA / np.e
    if np.all(absent >= 0):
        assert np.all(binned.resolution(GRID) <= width + 4 * np.sqrt(width / present.size) + 1 / present.size)
    assert abs(float(exact.area().value) - float(binned.area().value)) <= width


def test_with_a_bin_for_each_number_the_curve_is_that_of_sorted_samples():
    absent, present = exponentials(2000, 2.0)
    found = roc(absent, present, EXACT)
    expected = [by_hand(absent, present, p) for p in GRID]
    np.testing.assert_array_equal(found.detection_probability(GRID), expected)


@given(
    arrays(float, st.integers(1, 40), elements=st.sampled_from([-2.0, -0.0, 0.0, 1e-300, 0.5, 1.0, 3.0, 1e200])),
    arrays(float, st.integers(1, 40), elements=st.sampled_from([-2.0, -0.0, 0.0, 1e-300, 0.5, 1.0, 3.0, 1e200])),
    st.floats(0.001, 1.0),
)
def test_ties_zeros_and_far_values_are_counted_exactly(absent, present, false_alarm):
    found = roc(absent, present)  # these numbers are far from each other: binning is exact
    assert found.detection_probability(false_alarm) == by_hand(absent, present, false_alarm)
    a, b = absent[:, None], present[None, :]
    pairs = ((b > a) + 0.5 * (b == a)).mean()
    np.testing.assert_allclose(found.area().value, pairs, rtol=1e-12)


@given(st.lists(arrays(float, st.integers(0, 30), elements=st.floats(-10, 10)), min_size=1, max_size=5))
def test_histograms_of_parts_add_up_to_that_of_the_whole(parts):
    whole = Histogram.of(np.concatenate(parts))
    total = Histogram.total(Histogram.of(part) for part in parts)
    assert total.size == sum(part.size for part in parts)
    np.testing.assert_array_equal(total.keys, whole.keys)
    np.testing.assert_array_equal(total.counts, whole.counts)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=2, max_size=2))
def test_bins_are_in_the_order_of_the_numbers(pair):
    low, high = (Histogram.of(np.array([x]), EXACT).keys[0] for x in sorted(pair))
    assert low <= high
    assert (low == high) == (pair[0] == pair[1])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_statistic_that_is_not_finite_is_refused(value):
    with pytest.raises(InvalidInput, match="detector: must give finite statistics"):
        Histogram.of(np.array([1.0, value]))


def test_memory_grows_with_the_logarithm_of_the_decisions():
    few, many = (Histogram.of(np.random.default_rng(0).exponential(size=n)) for n in (2**14, 2**21))
    # 2^7 times the decisions; the bins that matter are some ten powers of two.
    assert many.keys.size < 12 * 2**MANTISSA
    assert few.keys.size < 2**14


@REPEATS
def test_the_band_holds_the_whole_curve_as_often_as_it_says(repeats):
    n, sqnr, level = 300, 3.0, 0.9
    true, held = GRID ** (1 / (1 + sqnr)), 0
    for seed in range(repeats):
        band = roc(*exponentials(n, sqnr, seed)).band(GRID, level)
        held += bool(np.all((band.low <= true) & (true <= band.high)))
    assert held / repeats > level - 4 * np.sqrt(level * (1 - level) / repeats)


@pytest.mark.parametrize("false_alarm", [0.005, 0.05, 0.3])
@pytest.mark.parametrize("sqnr", [1.0, 8.0])
@REPEATS
def test_the_interval_holds_the_point_as_often_as_it_says(false_alarm, sqnr, repeats):
    n, level = 300, 0.9
    true, held, widths = false_alarm ** (1 / (1 + sqnr)), 0, []
    for seed in range(repeats):
        interval = roc(*exponentials(n, sqnr, seed)).interval(false_alarm, level)
        held += bool(interval.low <= true <= interval.high)
        widths.append(interval.high - interval.low)
    assert held / repeats > level - 4 * np.sqrt(level * (1 - level) / repeats)
    # It is of use: narrower than the band of all points.
    band = roc(*exponentials(n, sqnr)).band(false_alarm, level)
    assert np.mean(widths) < band.high - band.low


@REPEATS
def test_the_interval_of_the_area_holds_it_as_often_as_it_says(repeats):
    n, sqnr, level = 300, 3.0, 0.9
    true, held = (1 + sqnr) / (2 + sqnr), 0
    for seed in range(repeats):
        area = roc(*exponentials(n, sqnr, seed)).area(level)
        held += bool(area.low <= true <= area.high)
    # A normal law of the estimate, which holds to a percent at 300 samples.
    assert abs(held / repeats - level) < 0.01 + 4 * np.sqrt(level * (1 - level) / repeats)


@pytest.mark.parametrize("kind", ["band", "interval"])
def test_intervals_are_around_the_estimate_and_shrink_with_the_square_root_of_the_decisions(kind):
    widths = []
    for n in (10_000, 40_000):
        found = getattr(roc(*exponentials(n, 3.0)), kind)(GRID[14:-4])
        assert np.all((found.low <= found.value) & (found.value <= found.high))
        widths.append(found.high - found.low)
    # From 0.05 on, which the band of 10,000 samples resolves. The curve has the noise of its
    # samples: within a fifth of a half.
    np.testing.assert_allclose(widths[1] / widths[0], 0.5, rtol=0.2)


def test_at_the_ends_of_the_curve_intervals_stay_probabilities():
    found = roc(*exponentials(50, 3.0))
    for interval in (found.band([1e-9, 1.0]), found.interval([1e-9, 1.0])):
        assert np.all((interval.low >= 0) & (interval.high <= 1))
        assert interval.value[-1] == interval.high[-1] == 1
