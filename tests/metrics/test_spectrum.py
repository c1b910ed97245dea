"""The radiated spectrum: its mean is the power of samples, its band that of the link, and what leaks beside."""

import attrs
import numpy as np
import pytest

from isacsim import Aqnm, Ideal, InvalidInput, MidRise, Transceiver
from isacsim.grid import Grid
from isacsim.hardware.spectral import OverBand
from isacsim.link import Transmission, WidebandLink
from isacsim.metrics.radiation import MaskMargin
from isacsim.metrics.spectrum import adjacent_leakage, in_band, mask_limit, radiated_spectrum
from isacsim.testing.examples import example_precoder, example_wideband_drop

GRID = Grid(32, 1e6, active=8)


def precoders(kit, grid=GRID, seed=0):
    return kit.complex_gaussian((2, grid.used, 3, 2), seed)


@pytest.mark.parametrize("active", [7, 8, 32])
def test_the_active_bins_are_those_of_the_grid(active):
    grid = Grid(32, 1e6, active=active)
    whole = np.fft.fftshift(np.arange(32))  # bins in ascending order of frequency
    np.testing.assert_array_equal(whole[in_band(grid)], grid.bins)


@pytest.mark.parametrize("stage", [Ideal(), Aqnm(3), MidRise(2)], ids=["ideal", "aqnm", "mid-rise"])
def test_the_band_is_that_of_the_link(kit, stage):
    W = precoders(kit)
    spectrum = radiated_spectrum(W, stage, GRID)
    assert spectrum.shape == (2, 32, 3)
    sent = Transmission.of(W, OverBand(stage, GRID)).antenna_power
    np.testing.assert_allclose(spectrum[:, in_band(GRID)], sent, rtol=1e-10)


@pytest.mark.parametrize("stage", [Aqnm(3), MidRise(2)], ids=["aqnm", "mid-rise"])
def test_its_mean_over_bins_is_the_power_of_a_sample(kit, stage):
    W = precoders(kit)
    sample = (W @ np.conj(W.swapaxes(-1, -2))).sum(axis=1) / 32
    model = stage.linear_model(sample)
    own = np.abs(model.gain) ** 2 * np.diagonal(sample, axis1=-2, axis2=-1).real
    distortion = model.distortion if model.diagonal else np.diagonal(model.distortion, axis1=-2, axis2=-1).real
    np.testing.assert_allclose(radiated_spectrum(W, stage, GRID).mean(axis=1), own + distortion, rtol=1e-10)


def test_ideal_chains_leak_nothing(kit):
    np.testing.assert_array_equal(adjacent_leakage(radiated_spectrum(precoders(kit), Ideal(), GRID), GRID), 0)


def test_leakage_of_white_distortion_is_its_share_of_the_band(kit):
    # The AQNM: distortion alpha (1 - alpha) P, white over all bins, beside alpha^2 P, which 8 of 32 bins hold.
    alpha = float(np.asarray(Aqnm(2).linear_model(np.eye(1)).gain)[0].real)
    share = alpha * (1 - alpha) / 32
    expected = 24 * share / (alpha**2 + 8 * share)
    leaked = adjacent_leakage(radiated_spectrum(precoders(kit), Aqnm(2), GRID), GRID)
    np.testing.assert_allclose(leaked, expected, rtol=1e-12)


def test_what_samples_leak_is_what_is_predicted(kit):
    """Gaussian symbols through a 2-bit converter, transformed back."""
    rng, bodies = np.random.default_rng(0), 400
    W = precoders(kit)[:1]
    s = (rng.standard_normal((bodies, 8, 2, 1)) + 1j * rng.standard_normal((bodies, 8, 2, 1))) / np.sqrt(2)
    x = np.zeros((bodies, 32, 3), complex)
    x[:, GRID.bins] = (W @ s)[..., 0]
    samples = np.fft.ifft(x, axis=1, norm="ortho")
    power = (np.abs(W) ** 2).sum(axis=(1, 3))[0] / 32
    out = MidRise(2).apply(samples.reshape(-1, 3).T, power=power).T.reshape(bodies, 32, 3)
    measured = np.fft.fftshift(np.mean(np.abs(np.fft.fft(out, axis=1, norm="ortho")) ** 2, axis=0), axes=0)
    predicted = adjacent_leakage(radiated_spectrum(W, MidRise(2), GRID), GRID)[0]
    # 24 x 3 x 400 exponential powers beside and 8 x 3 x 400 within: relative deviations of 0.6 and 1 %.
    assert adjacent_leakage(measured, GRID) == pytest.approx(predicted, rel=4 * np.hypot(0.006, 0.0102))


def test_nothing_radiated_leaks_nothing():
    assert adjacent_leakage(np.zeros((32, 2)), GRID) == 0
    assert adjacent_leakage(np.ones((8, 2)), Grid(8, 1.0)) == 0


def test_precoders_of_other_subcarriers_are_refused(kit):
    with pytest.raises(InvalidInput, match="8 active subcarriers"):
        radiated_spectrum(kit.complex_gaussian((4, 3, 2), 0), Ideal(), GRID)


def test_a_mask_is_straight_in_decibels_and_level_outside(kit):
    spectrum = radiated_spectrum(precoders(kit), MidRise(3), GRID)
    found = mask_limit(spectrum, GRID, [6e6, 10e6], [1e-2, 1e-4])
    reference = spectrum.sum(axis=-1)[:, in_band(GRID)].mean(axis=-1)
    apart = np.abs(np.arange(32) - 16.0)  # in MHz
    decibels = np.select([apart <= 6, apart >= 10], [-20.0, -40.0], -20 - 5 * (apart - 6))
    np.testing.assert_allclose(found, reference[:, None] * 10 ** (decibels / 10), rtol=1e-12)


def test_the_margin_of_white_distortion_is_that_of_the_level_part_of_a_mask(kit):
    drop = example_wideband_drop(1)
    drop = attrs.evolve(drop, grid=attrs.evolve(drop.grid, subcarriers=16, active=6))
    chains = Transceiver(transmit=Aqnm(2))
    link = WidebandLink(example_precoder(drop, 2), drop, chains)
    spectrum = radiated_spectrum(link.W, Aqnm(2), drop.grid).sum(axis=-1)
    mean = spectrum[:, in_band(drop.grid)].mean(axis=-1)
    margin = MaskMargin(offset=[0.0, 1.0], limit=[1.0, 1e-2]).value(link)
    np.testing.assert_allclose(margin, 1e-2 * mean / spectrum[:, 0], rtol=1e-9)
    assert np.all(np.isinf(MaskMargin(offset=[0.0], limit=[1.0]).value(WidebandLink(link.W, drop))))


@pytest.mark.parametrize(("offset", "limit"), [([2.0, 1.0], [0.1, 0.2]), ([1.0], [0.1, 0.2])])
def test_a_mask_without_order_is_refused(offset, limit):
    with pytest.raises(InvalidInput, match="offset, limit: must be ascending"):
        MaskMargin(offset=offset, limit=limit)
