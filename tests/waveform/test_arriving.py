"""What arrives beyond its covariance: cumulants and gains in closed form, and one bit on both sides against samples."""

from itertools import product

import numpy as np
import pytest

from isacsim import Chain, MidRise, PointTargets, Transceiver, UniformLinearArray
from isacsim.channels.wideband import Exponential
from isacsim.drop import WidebandDrop
from isacsim.grid import Grid
from isacsim.hardware.base import Ideal
from isacsim.hardware.chain import map_within
from isacsim.link import WidebandLink
from isacsim.waveform.arriving import Composition, Part, cumulants, gains, products, third_order
from isacsim.waveform.ofdm_link import OfdmDownlink, OfdmLink, beyond_covariance

LINEAR = 2 / np.pi  # power of what is linear in the output of one bit, of unit power


def shares(signal, distortion, noise):
    return Composition(*(np.array([value]) for value in (signal, distortion, noise)))


def test_cumulants_of_a_sum_of_signs_are_closed_forms():
    # Of one sign Q of a Gaussian x, cum(Q, Q, Q, Q) = -2, and with E|x| = c: cum(Q, Q, Q, c x) = c (c - 3 c) = -4/pi.
    terms, samples = 3, 200_000
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, terms, samples))
    real, imag = (np.sign(x).sum(axis=1), np.sqrt(LINEAR) * x.sum(axis=1))
    y, u = (part[0] + 1j * part[1] for part in (real, imag))
    power = 2 * terms  # of both parts
    at = shares(power * LINEAR, power * (1 - LINEAR), 0.3)
    half = samples // 2
    blocks = [products(z[None, None, :], v[None, None, :], at) for z, v in ((y[:half], u[:half]), (y[half:], u[half:]))]
    of_u, of_d = cumulants(sum(blocks), samples)[:, 0]
    # Wick's products have deviations of about sqrt(24), over the samples of both parts.
    assert of_u == pytest.approx(-4 / np.pi / terms, abs=4 * np.sqrt(24 / 2 / samples))
    assert of_u + of_d == pytest.approx(-2 / terms, abs=4 * np.sqrt(24 / 2 / samples))


@pytest.mark.parametrize("kappa", [0.0, -0.1, -0.6, -1.2])
def test_density_of_most_entropy_has_the_moments_that_are_asked_for(kappa):
    part = Part.of(kappa)
    x = part.quantile((np.arange(200_000) + 0.5) / 200_000)
    # Of tables and points in even steps.
    assert (x**2).mean() == pytest.approx(1, abs=1e-3)
    assert (x**4).mean() - 3 == pytest.approx(kappa, abs=3e-3)
    assert (x**6).mean() == pytest.approx(part.sixth, rel=3e-3)
    assert part.fourth - 3 == pytest.approx(kappa, abs=2e-3)
    c = part.regression(0.7, 0.8 * kappa)
    assert c @ [1, part.fourth] == pytest.approx(0.7, rel=1e-12)
    assert c @ [part.fourth, part.sixth] == pytest.approx(0.8 * kappa + 3 * 0.7, rel=1e-12)


@pytest.mark.parametrize("bits", [1, 3])
def test_without_cumulants_the_linear_model_is_left_alone(bits):
    found = gains(MidRise(bits), shares(0.8, 0.1, 0.1), np.zeros((2, 1)))
    for gain in (found.signal, found.distortion, found.noise):
        np.testing.assert_allclose(gain, 1, atol=1e-3)  # the last shape of the table is not quite a Gaussian
    np.testing.assert_allclose(found.more, 0, atol=1e-3)


@pytest.mark.parametrize("terms", [3, 5, 9])
def test_gain_of_one_bit_for_a_sum_of_signs_is_that_of_all_its_patterns(terms):
    # Given the signs, the linear part of what arrives is LINEAR times it: E[sgn(y) u] follows from 2^terms patterns.
    from scipy.special import erf

    noise = 1.0  # which rounds the lattice that sums of equal signs are on
    signs = np.array(list(product([-1, 1], repeat=terms))).sum(axis=1) / np.sqrt(terms)
    power = 1 + noise  # of a part, with unit power before noise
    exact = (erf(signs / np.sqrt(2 * noise)) * signs).mean() / np.sqrt(LINEAR / power)
    at = shares(2 * LINEAR, 2 * (1 - LINEAR), 2 * noise)
    kappa = np.array([[-4 / np.pi / terms], [-(2 - 4 / np.pi) / terms]])
    found = gains(MidRise(1), at, kappa)
    # What is left are orders above the fourth; the linear model has 1.
    assert abs(abs(found.signal[0]) - exact) < 0.2 * (exact - 1)
    assert found.more[0] < 0  # one bit puts out as much power as ever, more of it signal


def test_third_order_is_as_white_as_the_samples_are():
    white = third_order(np.ones((1, 8, 1)), np.ones((1, 1)), Grid(8, 1.0))
    np.testing.assert_allclose(white, 1, rtol=1e-12)
    grid, power = Grid(64, 1.0, active=16), np.ones((1, 16, 1))
    shaped = third_order(power, np.zeros((1, 1)), grid)
    # Three flat bands of 16 bins convolved, over what they are in the mean of all 64.
    bands = np.where(np.isin(np.arange(64), grid.bins), 1.0, 0.0)
    cubed = np.fft.fft(np.fft.ifft(bands) ** 2 * np.conj(np.fft.ifft(bands)))
    np.testing.assert_allclose(shaped[0, :, 0], (cubed / cubed.mean()).real[grid.bins], rtol=1e-12)
    assert shaped.mean() > 2  # most of it in band


class Oscillator(Ideal):
    """A stage that is no map of samples."""

    scalar = False
    is_ideal = False


def link_of(bits, users=2, trials=1, transmit=None, noise=0.01, seed=3):
    array, grid = UniformLinearArray(8), Grid(64, 120e3, active=48, prefix=16)
    rngs = [np.random.default_rng([seed, i]) for i in range(trials)]
    H = Exponential(0.06 / grid.spacing, taps=5).draw_band(grid, array, users, range(trials), rngs)
    W = H @ np.linalg.inv(np.conj(H.swapaxes(-1, -2)) @ H + noise * users * np.eye(users))
    W /= np.sqrt((np.abs(W) ** 2).sum(axis=(-3, -2, -1), keepdims=True) / grid.subcarriers)
    drop = WidebandDrop(
        H=H, targets=PointTargets(array, array, [0.2], np.pi / 2, [0.1]), tx_array=array, rx_array=array,
        power=1.0, noise_power=np.full(users, noise), radar_noise_power=0.1, grid=grid,
    )  # fmt: skip
    return WidebandLink(W, drop, Transceiver(transmit=transmit or MidRise(bits), user=MidRise(bits)))


def way_of(link):
    return beyond_covariance(OfdmDownlink.over(link), link)[0]


@pytest.mark.parametrize(("bits", "linear"), [(1, 0.3), (2, 0.0)])
def test_few_bits_on_both_sides_are_predicted_within_a_tenth_of_a_decibel(bits, linear):
    link = link_of(bits)
    found = OfdmLink(symbols=600).trial(link, np.random.default_rng(4))
    assert abs(found["sqinr-error-db"][0]) < 0.1  # 0.02 dB of Monte Carlo error
    error = 10 * np.log10(found["sampled-subcarrier-sqinr"] / link.users.sqinr).mean()
    assert error > linear  # which the linear model alone is not


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("users", [2, 4])
@pytest.mark.parametrize("bits", [1, 2, 3])
def test_few_bits_on_both_sides_over_channels_and_users(bits, users, seed):
    found = OfdmLink(symbols=2000).trial(link_of(bits, users, seed=seed), np.random.default_rng(5))
    assert abs(found["sqinr-error-db"][0]) < 0.1


def test_members_of_a_batch_have_the_prediction_they_have_alone():
    link = link_of(1, trials=2)
    together = way_of(link).predicted.sqinr
    alone = [way_of(member).predicted.sqinr[0] for member in link.members()]
    np.testing.assert_array_equal(together, alone)


def test_what_is_gaussian_is_predicted_by_the_linear_model():
    for link in (link_of(1, transmit=Ideal()), link_of(np.inf, transmit=MidRise(1))):
        way = way_of(link)
        assert way.predicted is way.linear


def test_silence_is_predicted_without_nan():
    link = link_of(1)
    link.W[...] = 0.0
    way = way_of(link)
    np.testing.assert_array_equal(way.predicted.sqinr, 0.0)


def test_maps_within_a_chain_are_its_scalar_stages():
    oscillator = Oscillator()
    assert map_within(MidRise(2)) == MidRise(2)
    assert map_within(Chain(Ideal(), Chain(oscillator, MidRise(2)))) == Chain(MidRise(2))
    assert map_within(oscillator).is_ideal
