"""Scalar codebooks: optimality conditions, exact moments, and the numbers of the literature."""

import numpy as np
import pytest
from scipy.integrate import quad

from isacsim.hardware.codebooks import AQNM_TABLE, aqnm_distortion, lloyd_max, mid_rise

# Recomputed for the reference instances with an independent Lloyd iteration and an
# independent minimisation over the step; printed to these digits.
LLOYD_MAX = {1: 0.363380, 2: 0.117482, 3: 0.034548, 4: 0.009501, 5: 0.002505, 6: 6.44e-4, 7: 1.63e-4, 8: 4.1e-5}
UNIFORM = {1: 0.363380, 2: 0.118846, 3: 0.037440, 4: 0.011543, 5: 0.003495, 6: 0.001040, 7: 0.000304, 8: 0.000088}
STEPS = {1: 1.59577, 2: 0.99569, 3: 0.58602, 4: 0.33520, 5: 0.18814, 6: 0.10406, 7: 0.05687, 8: 0.03076}


def density(x):
    return np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)


def cells(book):
    return list(zip([-np.inf, *book.thresholds], [*book.thresholds, np.inf], book.levels, strict=True))


@pytest.mark.parametrize("bits", sorted(LLOYD_MAX))
def test_distortion_and_step_have_the_known_values(bits):
    # Half a unit of the last printed digit.
    assert lloyd_max(bits).distortion == pytest.approx(LLOYD_MAX[bits], abs=5e-7)
    assert mid_rise(bits).distortion == pytest.approx(UNIFORM[bits], abs=5e-7)
    assert mid_rise(bits).step == pytest.approx(STEPS[bits], abs=5e-6)


@pytest.mark.parametrize("book", [lloyd_max(1), lloyd_max(3), lloyd_max(5), mid_rise(2), mid_rise(4), mid_rise(3, 0.3)])
def test_gain_and_power_are_the_integrals_they_stand_for(book):
    gain = sum(level * quad(lambda x: x * density(x), low, high)[0] for low, high, level in cells(book))
    power = sum(level**2 * quad(density, low, high)[0] for low, high, level in cells(book))
    # quad's own tolerance is 1.5e-8 a cell; the cells here do much better.
    assert book.gain == pytest.approx(gain, abs=1e-9)
    assert book.power == pytest.approx(power, abs=1e-9)
    error = sum(quad(lambda x, y=y: (x - y) ** 2 * density(x), low, high)[0] for low, high, y in cells(book))
    assert book.distortion == pytest.approx(error, abs=1e-8)
    assert book.noise == pytest.approx(power - gain**2, abs=1e-8)


@pytest.mark.parametrize("bits", [10, 13, 16])
def test_without_overload_the_noise_is_that_of_a_sawtooth(bits):
    # Of steps far below a deviation the error is uniform, but for exp(-2 (pi / step)^2), and uncorrelated with x.
    book = mid_rise(bits, 20 / 2**bits)
    assert book.noise == pytest.approx(book.step**2 / 12, rel=1e-12)


@pytest.mark.parametrize("bits", range(1, 9))
def test_lloyd_max_levels_are_centroids_and_thresholds_midpoints(bits):
    book = lloyd_max(bits)
    np.testing.assert_allclose(book.thresholds, (book.levels[1:] + book.levels[:-1]) / 2, atol=1e-12)
    for low, high, level in cells(book):
        mass = quad(density, low, high, epsabs=1e-14)[0]
        centroid = (density(low) - density(high)) / mass
        # The mass of the outermost of 256 cells is 1e-4, to the 1e-14 asked of quad.
        assert level == pytest.approx(centroid, abs=1e-9)


@pytest.mark.parametrize("bits", range(1, 17))
def test_optimal_codebooks_satisfy_the_identity_of_centroids(bits):
    # E[x Q] = E[Q^2] holds for Lloyd-Max by the centroid condition and for the uniform
    # codebook at the optimal step; it makes the AQNM exact: gain 1 - beta, noise alpha beta.
    for book, accuracy in ((lloyd_max(bits), 1e-11), (mid_rise(bits), 1e-11)):
        assert book.gain == pytest.approx(book.power, abs=accuracy)
        assert book.gain == pytest.approx(1 - book.distortion, abs=accuracy)
        assert book.levels.size == 2**bits
        assert book.thresholds.size == 2**bits - 1
        np.testing.assert_array_equal(book.levels, -book.levels[::-1])
        assert np.all(np.diff(book.levels) > 0)


@pytest.mark.parametrize("bits", range(1, 8))
def test_no_other_step_has_less_distortion(bits):
    best = mid_rise(bits)
    for factor in (0.9, 0.99, 1.01, 1.1):
        assert mid_rise(bits, best.step * factor).distortion > best.distortion


@pytest.mark.parametrize("bits", range(2, 9))
def test_lloyd_max_is_better_than_any_uniform_codebook(bits):
    assert lloyd_max(bits).distortion < mid_rise(bits).distortion


def test_one_bit_is_the_sign_with_the_mean_magnitude():
    for book in (lloyd_max(1), mid_rise(1)):
        np.testing.assert_allclose(book.levels, np.array([-1, 1]) * np.sqrt(2 / np.pi), rtol=1e-12)
        assert book.distortion == pytest.approx(1 - 2 / np.pi, rel=1e-12)


def test_the_table_of_the_literature_is_within_its_printing_of_the_codebook():
    for bits, beta in AQNM_TABLE.items():
        assert aqnm_distortion(bits) == beta
        # 4 and 5 bits are printed 0.05 % and 0.3 % low.
        assert beta == pytest.approx(lloyd_max(bits).distortion, rel=3e-3)


def test_above_five_bits_the_formula_has_the_root_over_three_alone():
    for bits in range(6, 17):
        assert aqnm_distortion(bits) == pytest.approx(np.sqrt(3) * np.pi / 2 * 4.0**-bits, rel=1e-14)
    # High resolution: 3 % above the codebook at 6 bits, where the misprinted root over
    # 3 pi would be 42 % below.
    assert aqnm_distortion(6) / lloyd_max(6).distortion == pytest.approx(1.031, abs=5e-4)
    assert np.sqrt(3 * np.pi) / 2 * 4.0**-6 / lloyd_max(6).distortion == pytest.approx(0.582, abs=5e-4)
    assert aqnm_distortion(16) / lloyd_max(16).distortion == pytest.approx(1.0, abs=1e-4)


def test_infinite_resolution_has_no_distortion():
    assert aqnm_distortion(np.inf) == 0.0
