"""Background of a scene: what self-interference and clutter do to a receiver of few bits."""

import numpy as np
import pytest

from isacsim import Aqnm, InvalidInput, MidRise, PointTargets, Transceiver, UniformLinearArray
from isacsim.batch import hermitian
from isacsim.hardware.codebooks import aqnm_distortion
from isacsim.link import Echo, Transmission
from isacsim.metrics import crlb, radar_sqnr
from isacsim.targets.background import Background, BackgroundModel, Clutter, SelfInterference
from isacsim.waveform.echoes import EchoModel, EchoPath
from isacsim.waveform.sensing import sampled_radar_sqnr

TX, RX = UniformLinearArray(4), UniformLinearArray(6)
TARGETS = PointTargets(TX, RX, [0.3], np.pi / 2, [0.5])


def normal(shape, seed):
    rng = np.random.default_rng(seed)
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)) / np.sqrt(2)


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 5, 8])
@pytest.mark.parametrize("inr", [0.0, 1.0, 1e3])
def test_noise_rises_with_self_interference_by_the_law_of_the_aqnm(bits, inr):
    noise, beta = 0.01, aqnm_distortion(bits)
    background = Background(np.full((1, 1, 1), np.sqrt(inr * noise)))
    sent = Transmission.of(np.ones((1, 1)), Transceiver().transmit)
    echo = Echo.of(np.zeros((1, 1)), sent, noise, Aqnm(bits), background=background)
    gain = (1 - beta) ** 2
    # 1 + (beta/alpha) (1 + INR): the power of the leakage is distorted with the noise.
    np.testing.assert_allclose(echo.noise[0] / (gain * noise), 1 + beta / (1 - beta) * (1 + inr), rtol=1e-12)


def test_a_bit_more_bears_six_decibels_more_of_interference():
    # INR at which the noise doubles, alpha/beta - 1; the factors are asymptotically of 6.02 dB a bit.
    inr_db = [10 * np.log10((1 - b) / b - 1) for b in map(aqnm_distortion, range(6, 11))]
    np.testing.assert_allclose(np.diff(inr_db), 20 * np.log10(2), atol=0.01)


def test_without_a_background_nothing_changes_but_a_silent_one_is_the_same():
    W, hardware = normal((4, 3), 0), Transceiver(transmit=Aqnm(2), receive=Aqnm(3))
    silent = Background(np.zeros((1, 6, 4)))
    alone, beside = (crlb(TARGETS, W, 0.1, 10, hardware, background=b) for b in (None, silent))
    np.testing.assert_array_equal(alone, beside)


def test_what_cancellation_leaves_is_noise_of_the_covariance_of_each_source():
    B, eps, W = normal((2, 6, 4), 1), np.array([0.1, 0.02]), normal((4, 3), 2)
    echo = Echo.of(TARGETS.response(), Transmission.of(W, Transceiver().transmit), 0.1, Transceiver().receive,
                   background=Background(B, eps))  # fmt: skip
    R = W @ hermitian(W)
    expected = 0.1 * np.eye(6) + sum(e * b @ R @ hermitian(b) for e, b in zip(eps, B, strict=True))
    np.testing.assert_allclose(echo.noise, expected, rtol=1e-12)


def test_perfect_hardware_and_cancellation_hear_no_background():
    W = normal((4, 3), 3)
    np.testing.assert_allclose(
        radar_sqnr(TARGETS.response(), W, 0.1, background=Background(100 * normal((1, 6, 4), 4))),
        radar_sqnr(TARGETS.response(), W, 0.1), rtol=1e-12,
    )  # fmt: skip


@pytest.mark.parametrize("residual", [0.0, 1e-2])
@pytest.mark.parametrize("hardware", [Transceiver(), Transceiver(receive=MidRise(4))], ids=["ideal", "4-bit"])
def test_samples_have_the_radar_sqnr_that_is_predicted(residual, hardware):
    W, noise, n = normal((4, 4), 5), 0.1, 2**15
    # As strong as the noise: what much leakage of few streams distorts is correlated between chains.
    background = Background(0.1 * normal((2, 6, 4), 6), residual)
    sent = Transmission.of(W, hardware.transmit)
    echo = Echo.of(TARGETS.response(), sent, noise, hardware.receive, background=background)
    path = EchoPath._of(echo, W, 1, hardware)
    predicted = radar_sqnr(TARGETS.response(), W, noise, hardware, background)
    measured = sampled_radar_sqnr(path, np.random.default_rng(7), n)
    # Monte Carlo error of the estimate, and 3 % for the distortion of 4 bits, which few streams correlate.
    tolerance = 4 * np.sqrt((1 + 2 / predicted) / n) + 0.03 * (not hardware.is_ideal)
    np.testing.assert_allclose(measured, predicted, rtol=float(tolerance))


def test_samples_without_a_target_have_the_noise_of_the_model():
    W, n, hardware = normal((4, 4), 5), 2**14, Transceiver(receive=MidRise(3))
    background = Background(3 * normal((1, 6, 4), 6), 1e-3)
    weak = PointTargets(TX, RX, [0.3], np.pi / 2, [1e-6])
    echo = Echo.of(weak.response(), Transmission.of(W, hardware.transmit), 0.1, hardware.receive, background=background)
    path, model = EchoPath._of(echo, W, 1, hardware), EchoModel.expected(echo, 1)
    from isacsim.waveform.signals import Sources, gaussian_symbols

    sources = Sources.of(np.random.default_rng(8))
    y = path.samples(gaussian_symbols(W, n, sources), sources, False, path.idle_power)
    measured = np.mean(np.abs(y) ** 2, axis=-1)
    expected = np.real(np.diagonal(model.noise)) if model.noise.ndim == 2 else model.noise
    # Four standard errors of a mean of n exponential powers.
    np.testing.assert_allclose(measured, expected, rtol=4 / np.sqrt(n) * 1.5)


def test_a_source_has_the_mean_power_it_says_and_randomness_of_its_own():
    leak, clutter = SelfInterference(isolation=1e4), Clutter(gain=1e-3)
    rngs = lambda: [np.random.default_rng(i) for i in range(400)]  # noqa: E731
    both = BackgroundModel(leak, clutter).draw(TX, RX, rngs())
    alone = BackgroundModel(clutter=clutter).draw(TX, RX, rngs())
    power = np.mean(np.abs(both.responses) ** 2, axis=(0, 2, 3))
    # 24 entries of 400 trials; those of clutter are correlated within a trial: 400 independent powers.
    np.testing.assert_allclose(power[0], 1e-4, rtol=4 / np.sqrt(400 * 24))
    np.testing.assert_allclose(power[1], 1e-3, rtol=4 / np.sqrt(400))
    np.testing.assert_array_equal(both.responses[:, 1], alone.responses[:, 0])


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: Background(np.zeros((1, 2, 2)), 1.5), "residual"),
        (lambda: Background(np.zeros((2, 2, 2)), [0.1, 0.1, 0.1]), "residual"),
        (lambda: SelfInterference(isolation=0), "isolation"),
        (lambda: BackgroundModel(SelfInterference(isolation=10, digital_residual=2)), "digital_residual"),
        (BackgroundModel, "source"),
    ],
)
def test_a_background_that_makes_no_sense_is_refused(make, field):
    with pytest.raises(InvalidInput, match=field):
        make()


def test_a_member_of_a_batch_has_the_bytes_it_has_alone():
    W, B = normal((3, 4, 3), 9), normal((3, 1, 6, 4), 10)
    hardware = Transceiver(transmit=Aqnm(2), receive=Aqnm(3))
    whole = crlb(TARGETS, W, 0.1, 10, hardware, background=Background(B, 0.01))
    for i in range(3):
        own = crlb(TARGETS, W[i], 0.1, 10, hardware, background=Background(B[i], 0.01))
        np.testing.assert_array_equal(whole[i], own)
