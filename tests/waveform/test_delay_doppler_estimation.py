"""Ranges and velocities from OFDM bursts: errors beside the CRLB, and two errors that are easily made."""

import attrs
import numpy as np
import pytest

from isacsim import InvalidInput, MidRise, PointTargets, Transceiver
from isacsim.batch import squared
from isacsim.grid import Grid
from isacsim.metrics.delay_doppler import information_of_band, static_kept
from isacsim.waveform import ofdm
from isacsim.waveform.band_estimation import DelayDopplerEstimation
from isacsim.waveform.band_estimators import BandObservation, Echoes
from isacsim.waveform.radar import Radar
from isacsim.waveform.signals import Sources

from .test_range_doppler import GRID, RX, TX, link_of, target

THROUGH = Transceiver(receive=MidRise(3))
UNKNOWN = ("azimuth", "delay", "doppler", "reflection")
KINDS = ("azimuth", "delay", "doppler", "reflection_real", "reflection_imag")
BETWEEN = {"cell": (6, 2), "off": (0.3, 0.3)}  # cells of the map


def truth_of(radar):
    targets = radar.targets
    at = targets.azimuth[0], targets.zenith[0], radar.delay, radar.doppler
    return Echoes(*at, targets.reflection[0] * radar.remaining)


@pytest.mark.parametrize("hardware", [Transceiver(), THROUGH], ids=["ideal", "converters"])
def test_the_information_of_one_stream_of_constant_modulus_is_the_expected_one(hardware):
    radar = Radar(link_of(target(0.03, **BETWEEN), hardware, 10, streams=1))
    seen = BandObservation.of(radar, radar.burst(Sources.of(np.random.default_rng(1)), np.zeros(1)), KINDS)
    at = truth_of(radar)
    still = attrs.evolve(radar.targets, reflection=at.reflection[None])
    expected = information_of_band(still, radar.echo, GRID, UNKNOWN).F[0]
    scale = 1 / np.sqrt(np.diagonal(expected))
    off = (seen.information(at) - expected) * np.outer(scale, scale)
    np.testing.assert_allclose(off, 0, atol=1e-10)  # of a unit diagonal


def ratios(link, runs, seed=3, **options):
    error, bound = DelayDopplerEstimation(runs=runs, **options).errors(link, np.random.default_rng(seed))
    return (error**2).mean(axis=0) / bound.mean(axis=0), error, bound


@pytest.mark.parametrize("runs", [40, pytest.param(1000, marks=pytest.mark.slow)])
@pytest.mark.parametrize(("hardware", "si_db", "reflection"), [(Transceiver(), None, 0.03), (THROUGH, 20, 0.06)])
def test_estimates_reach_the_bound_through_converters_under_self_interference(hardware, si_db, reflection, runs):
    ratio, error, _ = ratios(link_of(target(reflection, **BETWEEN), hardware, si_db), runs)
    # A mean square of n normal errors is off by sqrt(2/n); four times that, of five unknowns.
    assert np.all(np.abs(ratio - 1) < 4 * np.sqrt(2 / runs))
    assert abs(ratio.mean() - 1) < 4 * np.sqrt(2 / (5 * runs))  # over the five: 8 % of 1000 bursts
    assert np.all(np.abs(error.mean(axis=0)) < 4 * error.std(axis=0) / np.sqrt(runs))


def test_two_targets_are_told_apart_and_named():
    one = target(0.05, cell=(5, 3))
    other = target(0.3, cell=(11, -4))  # the beam points at the first one
    fields = ("reflection", "delay", "velocity")
    both = {n: np.concatenate([getattr(one, n), getattr(other, n)], axis=-1) for n in fields}
    targets = PointTargets(TX, RX, [[0.3, -0.4]], np.pi / 2, **both)
    link = link_of(targets)
    ratio, _, _ = ratios(link, 20)
    assert np.all(ratio < 1 + 5 * np.sqrt(2 / 20))
    experiment = DelayDopplerEstimation(runs=3)
    assert experiment.labels(link.drop)["parameter"][2:6] == ("delay[0]", "delay[1]", "doppler[0]", "doppler[1]")
    found = experiment.trial(link, np.random.default_rng(0))
    assert found["range-rmse"].shape == (1, 2)
    assert found["parameter-bound"].shape == (1, 10)


def test_a_reflection_has_its_phase_in_the_middle_of_the_first_body():
    # With the first sample for a reference the imaginary part would be far off its bound.
    link = link_of(target(0.06, **BETWEEN))
    _, error, bound = ratios(link, 30)
    radar = Radar(link)
    middle = (GRID.prefix + (GRID.subcarriers - 1) / 2) / GRID.rate
    there = truth_of(radar).reflection[0]
    wrong = there * np.exp(-2j * np.pi * radar.doppler[0] * middle)
    off = error[:, 4] + (there - wrong).imag
    assert (off**2).mean() / bound[:, 4].mean() > 5
    assert (error[:, 4] ** 2).mean() / bound[:, 4].mean() < 1 + 4 * np.sqrt(2 / 30)


@pytest.mark.parametrize(("active", "least", "most"), [(48, 0.0, 3e-4), (64, 3e-3, 1.0)])
def test_without_a_guard_band_a_delay_by_a_fraction_of_a_sample_leaves_the_model(active, least, most):
    # A burst that is delayed as one signal, zeros around it, aliases at the edges of a band that is full.
    grid = Grid(64, 120e3, symbols=4, active=active, prefix=16)
    rng = np.random.default_rng(0)
    X = (rng.choice([-1, 1], (active, 1, 4)) + 1j * rng.choice([-1, 1], (active, 1, 4))) / np.sqrt(2)
    x, delay, pad = ofdm.modulate(X, grid)[0], 6.5 / grid.rate, 64
    around = np.pad(x, (pad, pad))
    turn = np.exp(-2j * np.pi * np.fft.fftfreq(len(around), 1 / grid.rate) * delay)
    y = np.fft.ifft(np.fft.fft(around) * turn)[pad : pad + grid.symbols * (64 + 16)]
    Y = ofdm.demodulate(y[None], grid)
    model = X * np.exp(-2j * np.pi * grid.frequencies * delay)[:, None, None]
    off = squared(Y - model).sum() / squared(model).sum()
    assert least <= off < most
    # Delays of the experiments are those of each symbol with its prefix, which know no such error.
    cyclic = ofdm.demodulate(ofdm.modulate(model, grid), grid)
    np.testing.assert_allclose(cyclic, model, atol=1e-12)


def test_what_stands_still_is_removed_and_costs_what_the_bound_says():
    # Unknown leakage, 30 dB above the noise; two streams of sixteen symbols.
    link = link_of(target(0.06, **BETWEEN), None, 30, residual=1.0)
    ratio, _, bound = ratios(link, 30, static_removed=True)
    assert np.all(np.abs(ratio - 1) < 4 * np.sqrt(2 / 30))
    radar = Radar(link, static_removed=True)
    moved = attrs.evolve(radar.targets, reflection=truth_of(radar).reflection[None])
    expected = information_of_band(moved, radar.echo, GRID, UNKNOWN, static_kept(GRID, 2)).bounds[0]
    # A mean over symbols, but for terms of 1/T^2 of T = 16 symbols, and the mean of an inverse.
    np.testing.assert_allclose(bound.mean(axis=0), expected, rtol=0.08)


def test_what_cannot_be_estimated_is_refused():
    rng = [np.random.default_rng(0)]
    with pytest.raises(InvalidInput, match="of a body"):
        DelayDopplerEstimation(runs=1).measure(link_of(attrs.evolve(target(), delay=[[9e-6]])), rng)
    crowded = link_of(target(), streams=4)
    short = attrs.evolve(crowded, drop=attrs.evolve(crowded.drop, grid=attrs.evolve(GRID, symbols=4), snapshots=4))
    with pytest.raises(InvalidInput, match="4 symbols carry 4 streams"):
        DelayDopplerEstimation(runs=1, static_removed=True).measure(short, rng)
