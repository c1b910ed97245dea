"""Wilson intervals: another implementation, and the ends."""

import numpy as np
import pytest
from scipy.stats import binomtest

from isacsim.waveform.intervals import wilson


@pytest.mark.parametrize(("successes", "trials"), [(0, 10), (1, 10), (5, 10), (10, 10), (37, 5000)])
def test_the_ends_are_those_of_another_implementation(successes, trials):
    other = binomtest(successes, trials).proportion_ci(0.95, method="wilson")
    z = 1.959963984540054
    # Near zero the lower end is a difference of nearly equal numbers.
    np.testing.assert_allclose(wilson(successes, trials, -z), other.low, rtol=1e-10, atol=1e-15)
    np.testing.assert_allclose(wilson(successes, trials, z), other.high, rtol=1e-10)


def test_ends_are_probabilities_around_the_share_for_any_shape():
    successes, trials = np.array([[0, 3], [7, 9]]), np.array([9, 9])
    low, high = wilson(successes, trials, -2.0), wilson(successes, trials, 2.0)
    assert low.shape == (2, 2)
    assert np.all((low >= 0) & (low <= successes / trials) & (high >= successes / trials) & (high <= 1))
