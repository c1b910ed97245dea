"""Receivers of the OFDM link: a single carrier equalised in the frequency domain, and gains learnt from pilots."""

import numpy as np
import pytest

from isacsim import PointTargets, Transceiver, UniformLinearArray
from isacsim.batch import squared
from isacsim.drop import WidebandDrop
from isacsim.grid import Grid
from isacsim.link import WidebandLink
from isacsim.waveform import ofdm
from isacsim.waveform.modulation import QAM16, QPSK
from isacsim.waveform.ofdm_link import OfdmLink
from isacsim.waveform.pilots import estimate, prior

ARRAY = UniformLinearArray(1)
GRID = Grid(64, 120e3, active=48, prefix=8)


def link_of(gains, snr, grid=GRID):
    """One antenna and one user with the gains (F,) of its subcarriers."""
    F = grid.used
    drop = WidebandDrop(
        H=np.conj(np.asarray(gains, complex))[None, :, None, None],
        targets=PointTargets(ARRAY, ARRAY, [0.2], np.pi / 2, [0.1]),
        tx_array=ARRAY,
        rx_array=ARRAY,
        power=1.0,
        noise_power=np.full(1, 1 / snr),
        radar_noise_power=0.1,
        grid=grid,
    )
    return WidebandLink(np.ones((1, F, 1, 1), complex), drop, Transceiver())


def two_taps(grid=GRID):
    h = grid.response(np.array([0.0, 3 / grid.rate]), np.array([[[0.9]], [[0.4j]]]))
    return np.conj(h[:, 0, 0])  # what a user receives is h^H x


def test_spreading_is_undone_and_its_samples_are_the_symbols():
    grid = Grid(8, 1.0)
    d = QPSK.draw(np.random.default_rng(0), (8, 2, 3))
    np.testing.assert_allclose(ofdm.despread(ofdm.spread(d)), d, atol=1e-14)
    samples = ofdm.modulate(ofdm.spread(d), grid)
    # The lowest bin is -N/2: the samples are the symbols, turned by half the rate.
    turned = np.moveaxis(samples.reshape(2, 3, 8), -1, 0) * (-1.0) ** np.arange(8)[:, None, None]
    np.testing.assert_allclose(turned, d, atol=1e-14)


@pytest.mark.parametrize("carried", [QPSK, QAM16], ids=["qpsk", "16-qam"])
@pytest.mark.parametrize("grid", [Grid(1, 120e3), GRID], ids=["one subcarrier", "spread"])
def test_a_single_carrier_in_noise_has_the_bit_error_rate_of_the_closed_form(carried, grid):
    symbols, snr = 24000 // grid.used, 8.0
    one = OfdmLink(carried, symbols=symbols, gain="predicted", waveform="sc-fde")
    found = one.trial(link_of(np.ones(grid.used), snr, grid), np.random.default_rng(2))
    expected, bits = float(carried.bit_error_rate(snr)), symbols * grid.used * carried.bits
    assert abs(found["bit-error-rate"][0] - expected) < 4 * np.sqrt(expected / bits)
    np.testing.assert_allclose(found["predicted-bit-error-rate"], expected, rtol=1e-12)


@pytest.mark.parametrize("equaliser", ["one-tap", "lmmse"])
def test_a_single_carrier_over_paths_has_one_sqinr_for_all_symbols(equaliser):
    symbols, snr = 500, 10.0
    gains = two_taps()
    one = OfdmLink(QPSK, symbols=symbols, gain="predicted", waveform="sc-fde", equaliser=equaliser)
    found = one.trial(link_of(gains, snr), np.random.default_rng(3))
    each = snr * squared(gains)
    # Zero forcing amplifies noise where the gain is small, least squares trade it for interference.
    expected = 1 / np.mean(1 / each) if equaliser == "one-tap" else 1 / np.mean(1 / (1 + each)) - 1
    np.testing.assert_allclose(found["predicted-symbol-sqinr"], expected, rtol=1e-10)
    # 24000 symbols of QPSK, whose residual is that of noise: sqrt(2 / n), four times.
    np.testing.assert_allclose(found["symbol-sqinr"][0], expected, rtol=4 * np.sqrt(2 / 24000) + 0.01)
    rate, bits = float(QPSK.bit_error_rate(expected)), symbols * 48 * 2
    np.testing.assert_allclose(found["predicted-bit-error-rate"], rate, rtol=1e-12)
    # Errors within a body share its noise: twice the deviation of independent ones.
    assert abs(found["bit-error-rate"][0] - rate) < 8 * np.sqrt(rate / bits)


def test_least_squares_of_a_single_carrier_beat_zero_forcing_and_diversity_beats_ofdm():
    gains = two_taps()
    gains = gains * np.where(np.abs(gains) < np.quantile(np.abs(gains), 0.1), 0.1, 1.0)  # a notch
    link, rates = link_of(gains, 12.0), {}
    for waveform, equaliser in (("sc-fde", "lmmse"), ("sc-fde", "one-tap"), ("ofdm", "one-tap")):
        one = OfdmLink(QPSK, symbols=2, gain="predicted", waveform=waveform, equaliser=equaliser)
        rates[waveform, equaliser] = one.trial(link, np.random.default_rng(0))["predicted-bit-error-rate"][0]
    assert rates["sc-fde", "lmmse"] < rates["ofdm", "one-tap"] < rates["sc-fde", "one-tap"]


def test_smoothed_gains_have_the_least_mean_square_error_of_the_prior():
    rng, draws, variance = np.random.default_rng(1), 4000, 0.3
    delays = np.arange(GRID.prefix + 1)
    normal = lambda *shape: (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)) / np.sqrt(2)  # noqa: E731
    apart = np.exp(-2j * np.pi * np.outer(GRID.index, delays) / GRID.subcarriers)
    c = apart @ normal(len(delays), draws) / np.sqrt(len(delays))
    noisy, power = c + np.sqrt(variance) * normal(48, draws), np.ones((1, draws))
    found = estimate(noisy, power, variance * power, GRID)
    R = prior(GRID)
    expected = np.trace(R - R @ np.linalg.solve(R + variance * np.eye(48), R)).real / 48
    error = squared(found - c).mean(axis=0)
    assert abs(error.mean() - expected) < 4 * error.std() / np.sqrt(draws)
    assert expected < 0.25 * variance  # nine taps are told by 48 subcarriers


def test_few_pilots_are_worth_more_where_they_are_smoothed():
    link, rates = link_of(two_taps(), 6.0), {}
    for gain in ("empirical", "smoothed", "predicted"):
        one = OfdmLink(QPSK, symbols=800, gain=gain, training=2)
        trials = [one.trial(link, np.random.default_rng(seed))["bit-error-rate"][0] for seed in range(4)]
        rates[gain] = np.mean(trials)
    assert rates["predicted"] < rates["smoothed"] < rates["empirical"]
    # Nine of 48 dimensions of the noise of two pilots are left.
    assert rates["smoothed"] - rates["predicted"] < 0.4 * (rates["empirical"] - rates["predicted"])
