"""Hardware and subcarriers: distortion spectra against samples, reference data and the narrowband model."""

from pathlib import Path

import numpy as np
import pytest

from isacsim import Aqnm, Chain, Ideal, MidRise
from isacsim.batch import hermitian
from isacsim.grid import Grid
from isacsim.hardware.base import diagonal_matrix
from isacsim.hardware.spectral import OverBand
from isacsim.link import Reception, Transmission

DATA = Path(__file__).parents[1] / "data" / "wideband"


def covariances(bins, chains, seed=0, members=()):
    rng = np.random.default_rng(seed)
    shape = (*members, bins, chains, 2)
    W = rng.standard_normal(shape) + 1j * rng.standard_normal(shape)
    return W @ hermitian(W)


@pytest.mark.parametrize("case", ["00", "06"])
def test_the_spectrum_of_a_converter_is_that_of_the_reference(case):
    z = np.load(DATA / f"sqinr_{case}.npz")
    grid = Grid(int(z["fft"]), 120e3, active=len(z["index"]))
    sent = Transmission.of(z["W"], OverBand(MidRise(int(z["parameter"])), grid))
    # The reference is a series to order 79, where it is not the arc sine of one bit.
    np.testing.assert_allclose(sent.distortion, z["distortion"], atol=1e-6 * np.abs(z["distortion"]).max())
    predicted = Reception.of(z["H"], sent, float(z["noise_power"]), Ideal()).sqinr
    np.testing.assert_allclose(predicted, z["predicted"], rtol=1e-6)
    error = 10 * np.log10(z["measured"] / predicted)
    # 16000 symbols: 0.1 dB a subcarrier; the mean over 128 of them to 0.02 dB.
    assert abs(error.mean()) < 0.1
    assert np.abs(error).max() < 0.4


@pytest.mark.parametrize("case", ["04", "07"])
def test_the_spectrum_of_an_amplifier_is_that_of_the_reference(case):
    Rapp = pytest.importorskip("isacsim_rf.amplifiers").Rapp
    z = np.load(DATA / f"sqinr_{case}.npz")
    grid = Grid(int(z["fft"]), 120e3, active=len(z["index"]))
    sent = Transmission.of(z["W"], OverBand(Rapp(float(z["parameter"])), grid))
    # Quadrature of the strongest drive, whose bend lies lowest.
    np.testing.assert_allclose(sent.distortion, z["distortion"], atol=1e-5 * np.abs(z["distortion"]).max())
    predicted = Reception.of(z["H"], sent, float(z["noise_power"]), Ideal()).sqinr
    error = 10 * np.log10(z["measured"] / predicted)
    assert abs(error.mean()) < 0.1
    assert np.abs(error).max() < 0.4


def test_a_converter_for_each_subcarrier_would_be_wrong_by_decibels():
    # The trap: a plain batch axis gives each subcarrier a full scale of its own.
    weak, strong = np.full((8, 2, 1), 0.1), np.full((8, 2, 1), 1.0)
    W, grid = np.concatenate([weak, strong]), Grid(16, 120e3)
    each = Transmission.of(W, Aqnm(3)).distortion
    together = Transmission.of(W, OverBand(Aqnm(3), grid)).distortion
    np.testing.assert_allclose(together.mean(axis=0), each.mean(axis=0), rtol=1e-12)  # power is power
    ratio = 10 * np.log10(together[0] / each[0])
    np.testing.assert_allclose(ratio, 10 * np.log10((0.01 + 1) / 2 / 0.01), rtol=1e-12)


STAGES = [Ideal(), Aqnm(2), MidRise(3), MidRise([1, 3, 2]), Chain(MidRise(3), MidRise(1))]


@pytest.mark.parametrize("stage", STAGES, ids=lambda s: type(s).__name__)
def test_one_subcarrier_is_the_narrowband_model_to_the_byte(stage):
    R = covariances(1, 3)
    wide, narrow = stage.spectral_model(R), stage.linear_model(R[0])
    np.testing.assert_array_equal(wide.gain[0], narrow.gain)
    np.testing.assert_array_equal(wide.distortion[0], narrow.distortion)


@pytest.mark.parametrize("stage", STAGES, ids=lambda s: type(s).__name__)
def test_the_mean_over_the_bins_is_the_distortion_of_a_sample(stage):
    R = covariances(12, 3, members=(2,))
    model, sample = stage.spectral_model(R), stage.linear_model(R.mean(axis=-3))
    axis = -2 if model.diagonal else -3
    np.testing.assert_allclose(model.distortion.mean(axis=axis), sample.distortion, rtol=1e-10, atol=1e-12)
    own = stage.spectral_model(R[1])
    np.testing.assert_allclose(own.distortion, model.distortion[1], rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("stage", [MidRise(1), MidRise(3)], ids=["1 bit", "3 bits"])
def test_a_chain_of_flat_power_has_white_distortion_and_others_are_positive(stage):
    flat = np.broadcast_to(2.0 * np.eye(2), (16, 2, 2)).astype(complex)
    model = stage.spectral_model(flat)
    np.testing.assert_allclose(model.distortion, np.broadcast_to(model.distortion[0], (16, 2, 2)), atol=1e-13)
    least = np.linalg.eigvalsh(stage.spectral_model(covariances(15, 3, 5)).distortion).min()
    assert least > -1e-10


def test_a_chain_of_stages_carries_what_falls_out_of_band():
    R, first, second = covariances(16, 2, 3), MidRise(2), Aqnm(3)
    R[5:11] = 0
    model = Chain(first, second).spectral_model(R)
    a, b = first.spectral_model(R), None
    b = second.spectral_model(a.output_covariance(R))
    np.testing.assert_allclose(model.gain, a.gain * b.gain, rtol=1e-13)
    expected = b.gain[..., :, None] * a.distortion * b.gain[..., None, :] + diagonal_matrix(b.distortion)
    np.testing.assert_allclose(model.distortion, expected, rtol=1e-12, atol=1e-13)
    assert np.all(np.diagonal(model.distortion[5:11], axis1=-2, axis2=-1).real > 0)


def test_noise_beside_the_band_takes_its_part_of_the_full_scale():
    grid, noise = Grid(8, 1.0, active=4), np.array([0.5, 0.25])
    R = diagonal_matrix(np.full((4, 2), 1.0)).astype(complex)
    model = OverBand(Aqnm(2), grid, noise).linear_model(R)
    alone = Aqnm(2).linear_model(diagonal_matrix((4 * 1.0 + 4 * noise) / 8))
    np.testing.assert_allclose(model.distortion, np.broadcast_to(alone.distortion, (4, 2)), rtol=1e-12)


def test_a_single_chain_has_its_spectrum_too():
    R = covariances(12, 2, 4)
    R = np.stack([np.stack([R[:, 0, 0], 0 * R[:, 0, 0]], -1), np.stack([0 * R[:, 0, 0], R[:, 0, 0]], -1)], -1)
    both, one = MidRise(2).spectral_model(R), MidRise(2).spectral_model(R[:, :1, :1])
    np.testing.assert_allclose(one.distortion[:, 0, 0], both.distortion[:, 0, 0], rtol=1e-12)
    assert np.ptp(one.distortion.real) > 1e-3 * one.distortion.real.mean()


# An exact model, one that is white, stages in series whose spectra pass each other, and an arc sine.
DIFFERENTIABLE = [MidRise(3), MidRise(1), Aqnm(2), Chain(MidRise(4), Aqnm(3)), Chain(MidRise(3), MidRise(2))]


@pytest.mark.parametrize("stage", DIFFERENTIABLE, ids=str)
@pytest.mark.parametrize("bins", [6, 7])
def test_the_derivative_of_a_spectrum_is_that_of_differences(stage, bins):
    rng = np.random.default_rng(bins)
    band = OverBand(stage, Grid(bins, 120e3, active=5), floor=0.1)
    R, step = covariances(5, 2, seed=1), covariances(5, 2, seed=2) - covariances(5, 2, seed=3)
    model = band.linear_model(R)
    to_gain = rng.standard_normal((5, 2)) + 1j * rng.standard_normal((5, 2))
    to_distortion = covariances(5, 2, seed=4) - covariances(5, 2, seed=5)
    if model.diagonal:
        to_distortion = np.diagonal(to_distortion, axis1=-2, axis2=-1).real.copy()

    def value(t):
        there = band.linear_model(R + t * step)
        return (np.conj(to_gain) * there.gain).real.sum() + (np.conj(to_distortion) * there.distortion).real.sum()

    h = 1e-3
    differences = (8 * (value(h) - value(-h)) - (value(2 * h) - value(-2 * h))) / (12 * h)
    back = band.linear_model_vjp(R, to_gain, to_distortion)
    # Differences of order h^4, of a quadrature of some ten digits.
    np.testing.assert_allclose((np.conj(back) * step).real.sum(), differences, rtol=1e-7)
