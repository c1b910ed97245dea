"""Targets beyond the prefix: sample by sample, on maps, and in bounds."""

import attrs
import numpy as np
import pytest

from isacsim import InvalidInput, MidRise, PointTargets, Transceiver, UniformLinearArray
from isacsim.channels.late_paths import LatePaths, stray_power
from isacsim.drop import WidebandDrop
from isacsim.grid import Grid
from isacsim.link import WidebandLink
from isacsim.metrics.delay_doppler import information_of_band
from isacsim.waveform import ofdm
from isacsim.waveform.band_estimation import DelayDopplerEstimation
from isacsim.waveform.radar import Radar
from isacsim.waveform.range_doppler import RangeDoppler
from isacsim.waveform.signals import Sources

TX, RX = UniformLinearArray(4), UniformLinearArray(6)
GRID = Grid(64, 120e3, symbols=16, active=48, prefix=16)
NOISE = 0.01
FLAT = np.ones((48, 16))


def at(cell, reflection):
    """A target that stands still, in a cell of delay of 4/3 samples; the prefix ends with cell 12."""
    return PointTargets(TX, RX, [[0.3]], np.pi / 2, [[reflection]], [[cell / (48 * 120e3)]])


def link_of(targets, hardware=None):
    """One stream towards the target, whose symbols of constant modulus leave no sidelobes."""
    W = np.broadcast_to(TX.steering(0.3)[:, None] / 2, (1, 48, 4, 1)).copy()
    drop = WidebandDrop(
        H=np.ones((1, 48, 4, 1)), targets=targets, tx_array=TX, rx_array=RX, power=np.ones(1),
        noise_power=np.ones((1, 1)), radar_noise_power=np.array([NOISE]), grid=GRID, snapshots=16,
    )  # fmt: skip
    return WidebandLink(W, drop, hardware or Transceiver())


def test_samples_of_a_late_echo_are_those_of_the_signal_some_samples_ago():
    rng, delays = np.random.default_rng(0), np.array([3, 20, 50, 80, 90, 250])  # of symbols of 80 samples
    X = rng.standard_normal((48, 6, 5)) + 1j * rng.standard_normal((48, 6, 5))
    arriving = X * np.exp(-2j * np.pi * GRID.frequencies[:, None] * delays / GRID.rate)[..., None]
    arriving = ofdm.symbols_ago(arriving, GRID, GRID.symbols_late(delays / GRID.rate))
    found = ofdm.modulate(arriving, GRID) + ofdm.spilled(arriving, GRID, GRID.late_samples(delays / GRID.rate))
    whole = ofdm.modulate(X, GRID)
    expected = np.zeros_like(whole)
    for m, d in enumerate(delays):
        expected[m, d:] = whole[m, : whole.shape[-1] - d]
    bodies = (np.arange(whole.shape[-1]) % 80) >= 16  # prefixes are thrown away
    np.testing.assert_allclose(found[:, bodies], expected[:, bodies], atol=1e-12)


def test_what_strays_of_a_target_is_what_a_path_leaks():
    rng, delays = np.random.default_rng(1), np.array([[2e-6], [4e-6]])
    power = rng.uniform(1, 2, (2, 48))
    for tau, P, found in zip(delays[:, 0], power, stray_power(power, delays[:, 0], GRID), strict=True):
        path = LatePaths(GRID, np.array([tau]), np.ones((1, 1, 1), complex))
        np.testing.assert_allclose(found, path.leaked(P[:, None, None] + 0j)[:, 0], rtol=1e-10)
    np.testing.assert_array_equal(stray_power(power, np.full(2, 1e-7), GRID), 0.0)


@pytest.mark.parametrize("hardware", [Transceiver(), Transceiver(receive=MidRise(6))], ids=["ideal", "converters"])
def test_the_floor_beside_a_late_target_is_the_predicted_one(hardware):
    radar = Radar(link_of(at(24, 0.4), hardware))
    sources, cell = Sources.of(np.random.default_rng(2)), (24, 0)
    found, expected, levels = [], [], []
    for _ in range(40):
        look = radar.look(radar.burst(sources, radar.targets.reflection[0]), 0)
        level = look.map(FLAT)
        found.append(level[cell])
        expected.append(radar.echo_snr(look, FLAT, 0))
        levels.append((level.sum() - level[cell]) / (level.size - 1))
        silence = radar.silence(look, FLAT, 0)
    # 40 maps of 767 cells: 0.6 %; more than half of the floor is what strays.
    assert np.mean(levels) == pytest.approx(1, abs=0.02)
    assert silence < 0.6
    assert np.mean(found) == pytest.approx(1 + np.mean(expected), rel=0.02)  # 1 / sqrt(40 SNR) and less


def test_maps_without_the_late_target_have_the_floor_of_noise_alone():
    found = RangeDoppler(bursts=40).trial(link_of(at(24, 0.4)), np.random.default_rng(3))
    assert found["map-floor"][0] == pytest.approx(1, abs=0.02)  # 40 maps of 768 cells: 0.6 %
    assert found["target-detection"][0, 0] == 1.0


def test_a_late_target_is_bounded_by_what_is_left_of_it_among_what_strays():
    alone = ("delay", "reflection")
    early, late = (link_of(at(cell, 0.4)) for cell in (10, 24))
    bounds = [information_of_band(k.drop.targets, k.echo, GRID, alone).bounds[0, 0] for k in (early, late)]
    # Of a full band: 16 of 64 samples are of the symbol before, and 0.25 + 0.25 * 0.75 of the power strays. Of three
    # quarters of it a little less stays on active subcarriers.
    power = np.squeeze(late.echo.stray[0, :, 0, 0].real).mean() / (0.4**2 * np.abs(RX.steering(0.3)[0]) ** 2)
    assert 0.3 < power / (np.abs(np.conj(TX.steering(0.3)) @ early.W[0, 0, :, 0]) ** 2) < 0.4375
    assert late.echo.G[0, 0, 0, 0] == pytest.approx(
        0.75 * early.echo.G[0, 0, 0, 0] * np.exp(-2j * np.pi * GRID.frequencies[0] * 14 / (48 * 120e3))
    )
    snr = [np.real(k.echo.response_information[0, :, 0, 0]).sum() for k in (early, late)]
    np.testing.assert_allclose(bounds[1] / bounds[0], snr[0] / snr[1], rtol=0.05)  # but for weights over the band


def test_early_targets_leave_no_trace_of_all_that():
    link = link_of(at(12, 0.1))
    assert link.echo.stray is None
    assert Radar(link).remaining[0] == 1.0
    assert attrs.evolve(GRID, prefix=0).late_samples(np.array([0.0]))[0] == 0
    assert Grid(1, 120e3).late_samples(np.array([1e-6]))[0] == 0


def test_beyond_a_symbol_all_of_an_echo_strays():
    grid = Grid(64, 120e3, prefix=16)
    power, delays = np.ones((3, 64)), np.array([85, 120, 250]) / grid.rate
    np.testing.assert_array_equal(grid.covered(delays), 0.0)
    np.testing.assert_allclose(stray_power(power, delays, grid), 1.0, rtol=1e-12)


def folding(delay=10 / (48 * 120e3), velocity=0.0, reflection=0.4):
    return PointTargets(TX, RX, [[0.3]], np.pi / 2, [[reflection]], [[delay]], [[velocity]], fold=True)


def test_a_fast_target_that_folds_is_seen_at_another_velocity():
    # Three quarters of a symbol rate coming nearer are a quarter of it going away: 12 cells of 16.
    fast = folding(velocity=0.75 / GRID.duration * GRID.wavelength / 2)
    with pytest.raises(InvalidInput, match=r"targets\.velocity: must be between .*fold = true"):
        Radar(link_of(attrs.evolve(fast, fold=False))).check()
    radar = Radar(link_of(fast))
    radar.check()
    look = radar.look(radar.burst(Sources.of(np.random.default_rng(5)), radar.targets.reflection[0]), 0)
    level = look.map(FLAT)
    cell = np.unravel_index(np.argmax(level), level.shape)
    assert cell == tuple(radar.cells()[:, 0])
    assert cell[1] == 12
    # 0.6 turns pass while a body lasts.
    assert radar.remaining[0] ** 2 == pytest.approx(np.sinc(0.6) ** 2, abs=1e-3)


def test_a_target_beyond_a_symbol_is_noise():
    radar = Radar(link_of(folding(delay=1.3 * GRID.duration)))
    sources, levels = Sources.of(np.random.default_rng(6)), []
    for _ in range(20):
        look = radar.look(radar.burst(sources, radar.targets.reflection[0]), 0)
        # The first two symbols hear some silence instead of others.
        levels.append(look.map(FLAT).mean())
    assert radar.echo_snr(look, FLAT, 0) == 0.0
    assert radar.silence(look, FLAT, 0) < 0.5
    assert np.mean(levels) == pytest.approx(15 / 16, abs=0.06)


@pytest.mark.slow
def test_estimates_of_a_late_target_reach_the_bound():
    link, runs = link_of(at(18.3, 0.05)), 400
    errors, bounds = DelayDopplerEstimation(runs=runs, directions_known=True).errors(link, np.random.default_rng(7))
    # Four standard errors. Far beyond the prefix, where what strays outweighs the noise, it is not white: a third.
    np.testing.assert_allclose((errors**2).mean(axis=0) / bounds.mean(axis=0), 1.0, atol=4 * np.sqrt(2 / runs))
