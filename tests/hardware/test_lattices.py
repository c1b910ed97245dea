"""Pairs of fine codebooks: sums over thresholds, the closed forms of a sawtooth and of a clipper, and quadrature."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import ndtr

from isacsim import MidRise
from isacsim.hardware.arcsine import pair_of
from isacsim.hardware.codebooks import lloyd_max, mid_rise
from isacsim.hardware.gaussian import density, legendre
from isacsim.hardware.lattices import Lattice, _by_pairs, distorted_slope, jumps_of, spacing


@given(
    st.sampled_from([(6, 6), (7, 3), (8, 8), (8, 7), (9, 1)]),
    st.floats(0.05, 3.0),
    st.lists(st.floats(-3, 3.5), min_size=1, max_size=4),
)
@settings(max_examples=10)
def test_lattices_have_the_sum_over_all_pairs(bits, load, places):
    fine, other = mid_rise(bits[0], load * mid_rise(bits[0]).step), mid_rise(bits[1])
    # Angles from where single thresholds count to those where a tail is a smooth function.
    angles = np.minimum(fine.step * 10.0 ** np.array(places), np.pi / 2)
    pairs = [_by_pairs(*sorted((fine, other), key=spacing), angle) for angle in angles]
    # The pairs' own rounding: of places over the deviation between them, and of the linear part.
    near = 1e-15 + 1e-16 / angles
    np.testing.assert_array_less(np.abs(distorted_slope(fine, other, angles) - pairs), near)


def sawtooth(step, angle):
    """Covariance of the errors of two quantisers without ends, by their Fourier series."""
    wave = 2 * np.pi * np.arange(1, 400) / step
    return step**2 / (2 * np.pi**2) * (np.exp(-(wave**2) * 2 * np.sin(angle / 2) ** 2) / np.arange(1, 400) ** 2).sum()


@pytest.mark.parametrize("bits", [10, 14])
def test_without_overload_steps_have_the_correlation_of_a_sawtooth(bits):
    book = mid_rise(bits, 20 / 2**bits)
    angles = book.step * np.array([0.02, 0.1, 0.2, 0.4, 0.7, 2.0, 40.0])
    r = np.cos(angles)
    # Rounding of r near 1 moves the exponent of the first wave.
    near = 1e-10 + 4 * np.pi**2 * 1e-16 / book.step**2
    expected = np.array([sawtooth(book.step, angle) for angle in np.arccos(r)]) / book.noise
    np.testing.assert_allclose(pair_of(book, book)(r) / book.noise, expected, rtol=0, atol=near)
    np.testing.assert_allclose(pair_of(book, book)(np.ones(1)), book.noise, rtol=1e-10)


def test_fine_steps_with_narrow_ends_are_a_clipper():
    level, r = 1.3, np.array([-0.95, -0.3, 0.2, 0.7, 0.9, 0.99])

    def both_within(r):  # P(|u|, |v| < level)
        c = np.sqrt(1 - r**2)
        return quad(
            lambda u: density(u) * (ndtr((level - r * u) / c) - ndtr((-level - r * u) / c)), -level, level, epsabs=1e-13
        )[0]

    gain = 1 - 2 * ndtr(-level)
    expected = [quad(lambda s: both_within(s) - gain**2, 0, end, epsabs=1e-12)[0] for end in r]
    # Half a step beyond the last threshold the map reaches its last level. What is left of a step of 3e-4 at these
    # correlations is the square of it at the ends.
    book = mid_rise(13, level / (2**12 - 0.5))
    np.testing.assert_allclose(pair_of(book, book)(r), expected, atol=2e-8)
    np.testing.assert_allclose(pair_of(book, book).derivative(r), [both_within(s) - gain**2 for s in r], atol=1e-7)


def conditional(one, other, angle):
    """``E[(q_1 - g_1 u)(q_2 - g_2 v)]``: v for a given u in closed form, u by nodes in all cells of the first."""
    (s, e), (t, d), r, c = jumps_of(one), jumps_of(other), np.cos(angle), np.sin(angle)
    edges = np.unique(np.concatenate([s, np.linspace(-9, 9, int(9 / c) + 2)]))
    node, weight = legendre(8)
    u = (edges[:-1, None] + np.diff(edges)[:, None] * node).ravel()
    q = (e * ((u[:, None] > s) - 0.5)).sum(axis=-1)
    seen = np.concatenate([((ndtr((r * part[:, None] - t) / c) - 0.5) * d).sum(axis=-1) for part in np.split(u, 8)])
    share = (np.diff(edges)[:, None] * weight).ravel() * density(u)
    return share @ ((q - one.gain * u) * (seen - other.gain * r * u))


@pytest.mark.parametrize(("bits", "steps"), [((7, 7), 0.3), ((8, 3), 0.2), ((8, 8), 2.0), ((8, 7), 8.0)])
def test_pairs_have_the_covariance_of_independent_quadrature(bits, steps):
    one, other = (mid_rise(b) for b in bits)
    angle = np.arccos(np.cos(steps * spacing(one)))
    expected = conditional(one, other, angle)
    scale = np.sqrt(one.noise * other.noise)
    np.testing.assert_allclose(pair_of(one, other)(np.cos([angle])) / scale, expected / scale, atol=1e-10)


@pytest.mark.parametrize("bits", [7, 9, 12])
def test_the_derivative_of_a_pair_is_that_of_its_value(kit, bits):
    book = mid_rise(bits)
    for angle in (0.3 * book.step, 3 * book.step, 0.9):  # r = cos(angle)
        slope = kit.central_difference(lambda t, a=angle: pair_of(book, book)(np.cos([a + t])), 0.02 * angle)
        derivative = -np.sin(angle) * pair_of(book, book).derivative(np.cos([angle]))
        np.testing.assert_allclose(slope / book.noise, derivative / book.noise, rtol=1e-5, atol=1e-7)


def test_codebooks_of_unequal_steps_are_no_lattice():
    assert Lattice.of(lloyd_max(3)) is None
    assert Lattice.of(mid_rise(3)) is not None
    assert Lattice.of(mid_rise(12, 0.2)).last == 44  # as far as a Gaussian reaches


@pytest.mark.parametrize("bits", [12, pytest.param(16, marks=pytest.mark.slow)])
def test_chains_of_fine_converters_in_phase_share_all_distortion(bits):
    D = MidRise(bits).linear_model(0.25 * np.ones((2, 2), complex)).distortion
    np.testing.assert_allclose(D, D[0, 0], rtol=1e-10)
    apart = MidRise(bits).linear_model(0.25 * np.array([[1, 0.99], [0.99, 1]], complex)).distortion
    assert abs(apart[0, 1]) < 0.1 * apart[0, 0].real  # what is left is the overload
