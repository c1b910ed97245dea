"""Paths that are longer than the prefix: sample by sample, in closed form, and through the OFDM link."""

import attrs
import numpy as np
import pytest

from isacsim import InvalidInput, MidRise, PointTargets, Transceiver, UniformLinearArray
from isacsim.channels.late_paths import LatePaths
from isacsim.channels.wideband import Exponential
from isacsim.drop import WidebandDrop
from isacsim.grid import Grid
from isacsim.link import WidebandLink
from isacsim.waveform import ofdm
from isacsim.waveform.modulation import QPSK
from isacsim.waveform.ofdm_link import OfdmLink

ARRAY = UniformLinearArray(4)
TARGETS = PointTargets(ARRAY, ARRAY, [0.2], np.pi / 2, [0.1])
GRID = Grid(64, 120e3, active=48, prefix=4)


def gaussian(rng, *shape):
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)) / np.sqrt(2)


def test_symbols_arrive_as_their_samples_do():
    # Delays of whole samples: the stream of samples, shifted and added up.
    grid, rng = Grid(16, 1.0, active=11, prefix=3), np.random.default_rng(0)
    delays, taps = np.array([1, 5, 9, 19]) / grid.rate, gaussian(rng, 4, 2, 3)  # 19: a whole body and its prefix
    X = gaussian(rng, 11, 2, 5)
    x = ofdm.modulate(X, grid)
    y = np.zeros((3, x.shape[-1]), complex)
    for delay, tap in zip((1, 5, 9, 19), taps, strict=True):
        y[:, delay:] += np.conj(tap.T) @ x[:, : x.shape[-1] - delay]
    covered = np.conj(grid.response(delays, taps).swapaxes(-1, -2)) @ X
    found = covered + LatePaths.of(grid, delays, taps).spilled(X)
    np.testing.assert_allclose(found, ofdm.demodulate(y, grid), atol=1e-12)


def test_what_leaks_is_the_power_of_what_spills():
    grid, rng = Grid(16, 1.0, active=11, prefix=3), np.random.default_rng(1)
    late = LatePaths.of(grid, np.array([5.0, 9.4, 12.0]) / grid.rate, gaussian(rng, 3, 2, 2))
    W = gaussian(rng, 11, 2, 3)
    W[4] *= 3
    # All responses to a unit symbol of one stream on one subcarrier, now and before.
    power = np.zeros((11, 2))
    for f in range(11):
        for stream in range(3):
            X = np.zeros((11, 2, 2), complex)
            X[f, :, 0] = W[f, :, stream]
            now, later = np.moveaxis(late.spilled(X), -1, 0)
            now[f] = 0.0  # on its own subcarrier it is part of the channel
            power += np.abs(now) ** 2 + np.abs(later) ** 2
    np.testing.assert_allclose(late.leaked(W @ np.conj(W.swapaxes(-1, -2))), power, rtol=1e-10)


@pytest.mark.parametrize("excess", [1, 4, 8])
def test_one_path_of_a_full_band_leaks_in_closed_form(excess):
    grid = Grid(16, 1.0, prefix=3)
    late = LatePaths.of(grid, np.array([(3 + excess) / grid.rate]), np.ones((1, 1, 1), complex))
    share = excess / 16
    np.testing.assert_allclose(late.leaked(np.ones((16, 1, 1))), share + share * (1 - share), rtol=1e-12)
    np.testing.assert_allclose(np.abs(late.lost()), share, rtol=1e-12)


def link_of(model, hardware, grid=GRID, noise=0.01):
    H, motion = model.draw_burst(grid, ARRAY, 2, [0], [np.random.default_rng(3)])
    W = H @ np.linalg.inv(np.conj(H.swapaxes(-1, -2)) @ H + 0.1 * np.eye(2))
    W /= np.sqrt((np.abs(W) ** 2).sum(axis=(-3, -2, -1), keepdims=True) / grid.subcarriers)
    drop = WidebandDrop(H=H, targets=TARGETS, tx_array=ARRAY, rx_array=ARRAY, power=1.0, noise_power=np.full(2, noise),
                        radar_noise_power=0.1, grid=grid, motion=motion)  # fmt: skip
    return WidebandLink(W, drop, hardware)


@pytest.mark.parametrize("speed", [0.0, 20.0])
@pytest.mark.parametrize("hardware", [Transceiver(), Transceiver(user=MidRise(3))], ids=["ideal", "converters"])
def test_sqinr_over_long_paths_is_the_predicted_one(speed, hardware):
    grid = attrs.evolve(GRID, symbols=4)
    link = link_of(Exponential(0.06 / GRID.spacing, taps=9, speed=speed), hardware, grid)
    found = OfdmLink(symbols=600, gain="predicted").trial(link, np.random.default_rng(4))
    # 96 ratios of 600 symbols each: 4.3 sqrt(2 / (96 * 600)) dB of one standard deviation.
    assert abs(found["sqinr-error-db"][0]) < 0.1
    covered = attrs.evolve(link.drop, motion=None)
    as_if = WidebandLink(link.W, covered, hardware).users.sqinr
    # The term counts: without it the prediction would be off by decibels.
    assert 10 * np.log10(as_if / found["predicted-subcarrier-sqinr"]).mean() > 2


def test_bit_errors_over_long_paths_are_the_predicted_ones():
    link = link_of(Exponential(0.06 / GRID.spacing, taps=9), Transceiver(), noise=0.05)
    found = OfdmLink(QPSK, symbols=400, gain="predicted").trial(link, np.random.default_rng(5))
    low, high = found["bit-error-rate-low"][0], found["bit-error-rate-high"][0]
    # What spills is nearly Gaussian, a sum over subcarriers: twice the interval of 95 %.
    middle, half = (low + high) / 2, high - low
    assert abs(found["predicted-bit-error-rate"][0] - middle) < half


def test_paths_within_the_prefix_are_covered_and_none_is_longer_than_a_symbol():
    model = Exponential(0.01 / GRID.spacing, taps=5)
    assert model.draw_burst(GRID, ARRAY, 2, [0], [np.random.default_rng(0)])[1] is None
    assert LatePaths.of(GRID, np.array([4 / GRID.rate]), np.ones((1, 4, 2))) is None  # the prefix itself
    with pytest.raises(InvalidInput, match=r"channel: must have delays within a symbol and its prefix.*longer prefix"):
        Exponential(0.5 / GRID.spacing, taps=5).draw_band(GRID, ARRAY, 2, [0], [np.random.default_rng(0)])
