"""Correlated channels: their covariance against closed forms, and over the band against their profile."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import j0

from isacsim import InvalidInput, UniformLinearArray, UniformPlanarArray
from isacsim.channels.correlated import Kronecker, OneRing
from isacsim.grid import Grid

ROW = UniformLinearArray(4)
GIVEN = np.array([[1, 0.5j, 0.2, 0], [-0.5j, 1, 0.3, 0.1], [0.2, 0.3, 1, 0.4], [0, 0.1, 0.4, 1]])


def covariance(model, array, azimuth=0.3):
    root = model.colouring(array, np.array([azimuth]))
    return (root @ np.conj(root.swapaxes(-1, -2)))[0]


def test_a_coefficient_is_the_exponential_model():
    r = 0.6 * np.exp(0.4j)
    i = np.arange(4)
    lag = i[:, None] - i
    expected = np.where(lag >= 0, r ** np.abs(lag), np.conj(r) ** np.abs(lag))
    np.testing.assert_allclose(covariance(Kronecker(r), ROW), expected, atol=1e-12)


@pytest.mark.parametrize("spacing", [0.5, 0.7])
def test_on_a_plane_it_is_that_across_times_that_up(spacing):
    one = [covariance(Kronecker(0.6), UniformLinearArray(n)) for n in (3, 2)]
    plane = UniformPlanarArray(3, 2, spacing=spacing)
    np.testing.assert_allclose(covariance(Kronecker(0.6), plane), np.kron(*one), atol=1e-12)


def test_a_given_matrix_is_the_covariance():
    np.testing.assert_allclose(covariance(Kronecker(GIVEN), ROW), GIVEN, atol=1e-12)


def test_a_fully_correlated_pair_is_one_antenna_twice(kit):
    h = Kronecker(np.ones((2, 2))).draw(UniformLinearArray(2), 3, range(4), kit.generators(range(4)))
    np.testing.assert_allclose(h[:, 0], h[:, 1], atol=1e-7)  # the root of an eigenvalue of 1e-16


@pytest.mark.parametrize("elements", [4, 64])
def test_scattering_from_all_around_has_the_covariance_of_clarke(elements):
    i = np.arange(elements)
    R = covariance(OneRing(np.pi), UniformLinearArray(elements))
    np.testing.assert_allclose(R, j0(np.pi * (i[:, None] - i)), atol=1e-12)


def test_a_ring_is_the_mean_over_its_directions():
    spread, azimuth = 0.2, -0.5
    R = covariance(OneRing(spread), ROW, azimuth)
    for lag in range(1, 4):
        real, imag = (
            quad(lambda t, f=f, n=lag: f(np.pi * n * np.sin(t)), azimuth - spread, azimuth + spread)[0] / (2 * spread)
            for f in (np.cos, np.sin)
        )
        a = ROW.plane_wave(0.3)  # the sign of the array's phase
        sign = np.sign(np.angle(a[1] / a[0]))
        np.testing.assert_allclose(np.diagonal(R, -lag), real + 1j * sign * imag, atol=1e-12)


def test_a_narrow_ring_is_a_line_of_sight_that_fades(kit):
    h = OneRing(1e-9, azimuth=[0.4]).draw(ROW, 1, [0], kit.generators([0]))[0, :, 0]
    a = ROW.plane_wave(0.4)
    np.testing.assert_allclose(h / h[0], a / a[0], atol=1e-7)


@pytest.mark.parametrize(
    "model",
    [Kronecker(GIVEN, gain=[1.0, 4.0], delay_spread=50e-9), OneRing(0.2, azimuth=[-0.5, 0.4], gain=[1.0, 4.0])],
    ids=["kronecker", "one-ring"],
)
@pytest.mark.parametrize("n", [400, pytest.param(2000, marks=pytest.mark.slow)])
def test_drawn_channels_have_that_covariance_on_every_subcarrier(kit, model, n):
    grid = Grid(4, 1e6)
    H = model.draw_band(grid, ROW, 2, range(n), kit.generators(range(n)))
    for user, azimuth in enumerate((-0.5, 0.4)):
        R = np.einsum("tfi,tfj->fij", H[..., user], np.conj(H[..., user])) / n / model.gain[user]
        # Entries of a sample covariance of unit power: standard error 1/sqrt(n) at most; 64 of them.
        np.testing.assert_allclose(R, np.broadcast_to(covariance(model, ROW, azimuth), R.shape), atol=4.5 / np.sqrt(n))


def test_correlation_over_frequency_is_that_of_the_profile(kit):
    model, n, grid = Kronecker(0.5, delay_spread=100e-9, taps=8), 2000, Grid(16, 500e3)
    H = model.draw_band(grid, ROW, 2, range(n), kit.generators(range(n)))
    delays, power, _ = model.power_profile()
    measured = (H * np.conj(H[:, 8:9])).mean(axis=(0, 2, 3))
    # Two independent users at least, whatever the antennas of each share.
    turn = np.exp(2j * np.pi * np.outer(grid.frequencies, delays))
    np.testing.assert_allclose(measured, turn @ power, atol=4.5 / np.sqrt(2 * n))


def test_without_delay_spread_the_channel_is_flat(kit):
    wide = OneRing(0.2).draw_band(Grid(4, 1e6), ROW, 2, range(2), kit.generators(range(2)))
    np.testing.assert_allclose(wide, np.repeat(wide[:, :1], 4, 1), rtol=1e-14)


def test_the_line_of_sight_takes_its_share_of_the_power(kit):
    model = OneRing(0.3, azimuth=[0.2], k_factor=1e12)
    h = model.draw(ROW, 1, [0], kit.generators([0]))[0, :, 0]
    assert abs(np.vdot(ROW.plane_wave(0.2), h)) == pytest.approx(4.0, rel=1e-5)  # sqrt(1e-12) of scattering


def test_a_trial_does_not_depend_on_the_others(kit):
    for model in (Kronecker(0.9, delay_spread=1e-7), OneRing(0.1)):
        whole = model.draw(ROW, 2, range(3), kit.generators(range(3)))
        np.testing.assert_array_equal(whole[1], model.draw(ROW, 2, [1], kit.generators([1]))[0])


@pytest.mark.parametrize(
    ("correlation", "rule"),
    [
        (1.0, "magnitude below 1"),
        ([[1, 0.5]], "square Hermitian"),
        ([[1, 0.5], [0.4, 1]], "square Hermitian"),
        ([[2, 0], [0, 2]], "ones on its diagonal"),
        ([[1, 1.5], [1.5, 1]], "no negative eigenvalue"),
    ],
)
def test_what_is_no_correlation_is_refused(correlation, rule):
    with pytest.raises(InvalidInput, match=rule):
        Kronecker(correlation)


def test_a_matrix_of_other_antennas_is_refused(kit):
    with pytest.raises(InvalidInput, match="matrix of the 3 transmit antennas"):
        Kronecker(GIVEN).draw(UniformLinearArray(3), 1, [0], kit.generators([0]))
