"""IQ imbalance and phase noise: closed forms, common oscillators, and what a block means."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isacsim import InvalidInput, Transceiver
from isacsim.metrics import sum_rate
from isacsim.testing import check_hardware

pytest.importorskip("isacsim_rf", reason="the RF plugin is not installed")
from isacsim_rf.mixers import IqImbalance
from isacsim_rf.oscillators import CarrierOffset, PhaseNoise, PllPhaseNoise


def covariance(kit, chains=3, streams=2, batch=()):
    A = kit.complex_gaussian((*batch, chains, streams), 4)
    return A @ A.conj().swapaxes(-1, -2)


@given(st.floats(0.3, 3.0), st.floats(-1.0, 1.0))
def test_the_image_rejection_is_that_of_the_textbook(gain, phase):
    # (1 + 2 g cos + g^2) / (1 - 2 g cos + g^2) with the amplitude g.
    g, cosine = np.sqrt(gain), np.cos(phase)
    image = 1 - 2 * g * cosine + g**2
    rejection = IqImbalance(gain, phase).image_rejection()[0]
    # The denominator cancels near balance.
    np.testing.assert_allclose(1 / rejection, image / (1 + 2 * g * cosine + g**2), rtol=1e-9, atol=1e-15)


def test_a_tone_gets_an_image_at_the_mirrored_frequency():
    device, n = IqImbalance(gain=1.2, phase=0.05), np.arange(64)
    tone = np.exp(2j * np.pi * 5 * n / 64)[None]
    spectrum = np.fft.fft(device.apply(tone)[0]) / 64
    np.testing.assert_allclose(np.abs(spectrum[5] / spectrum[-5]) ** 2, device.image_rejection(), rtol=1e-10)
    rest = np.delete(spectrum, [5, 59])
    np.testing.assert_allclose(rest, 0, atol=1e-14)


def test_branches_are_what_the_module_says(kit):
    x = kit.complex_gaussian((1, 50), 0)
    y = IqImbalance(gain=4.0, phase=0.3).apply(x)
    level = np.sqrt(2 / 5)
    np.testing.assert_allclose(y.real, level * x.real, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(y.imag, level * 2 * (x * np.exp(-0.3j)).imag, rtol=1e-12, atol=1e-14)


def test_the_image_is_uncorrelated_with_circular_input_and_has_its_conjugate_covariance(kit):
    R, device = covariance(kit), IqImbalance(gain=[1.5, 1.0, 0.7], phase=[0.1, -0.2, 0.0])
    _, nu = device.image(3)
    model = device.linear_model(R)
    np.testing.assert_allclose(model.distortion, np.outer(nu, nu.conj()) * R.conj(), rtol=1e-12)
    np.testing.assert_allclose(model.output_power(R), np.diag(R).real, rtol=1e-12)
    check_hardware(device, chains=3, samples=2**15)


def test_a_balanced_mixer_and_a_still_oscillator_are_ideal(kit):
    x, R = kit.complex_gaussian((2, 3, 40), 0), covariance(kit)
    still = (
        IqImbalance(),
        PhaseNoise(linewidth=0.0, sampling_rate=1e6, block=10),
        PhaseNoise(linewidth=1e3, sampling_rate=1e6, block=1, common=False),
        PllPhaseNoise(rms=0.0, bandwidth=1e4, sampling_rate=1e6),
    )
    for device in still:
        assert device.is_ideal
        np.testing.assert_array_equal(device.apply(x, np.random.default_rng(0)), x)
        model = device.linear_model(R)
        np.testing.assert_array_equal(model.gain, 1)
        np.testing.assert_array_equal(model.distortion, 0)
    assert not IqImbalance(phase=0.1).is_ideal
    assert not PhaseNoise(1.0, 1e6, 10).is_ideal


def test_the_gain_of_a_locked_oscillator_is_the_mean_of_a_gaussian_turn(kit):
    rms, R = 0.3, covariance(kit)
    for common in (True, False):
        model = PllPhaseNoise(rms, 1e5, 1e6, common).linear_model(R)
        np.testing.assert_allclose(model.gain, np.exp(-(rms**2) / 2), rtol=1e-14)
        np.testing.assert_allclose(model.output_power(R), np.diag(R).real, rtol=1e-14)  # a turn keeps power
        assert model.diagonal != common
    np.testing.assert_allclose(
        PllPhaseNoise(rms, 1e5, 1e6).linear_model(R).output_covariance(R), R, rtol=1e-12
    )  # one oscillator turns all chains alike


def test_a_locked_phase_has_its_deviation_and_forgets_with_the_loop():
    device = PllPhaseNoise(rms=0.2, bandwidth=2e4, sampling_rate=1e6, common=False)
    phase = np.angle(device.apply(np.ones((200, 4000), complex), np.random.default_rng(0)))
    # 200 chains of 4000 samples, correlated over 1/(2 pi 0.02) = 8 samples: 5e4 independent ones.
    np.testing.assert_allclose(phase.std(), 0.2, rtol=5 / np.sqrt(2 * 5e4))
    np.testing.assert_allclose(phase[:, 0].std(), 0.2, rtol=5 / np.sqrt(2 * 200))  # stationary from the start
    lag = np.mean(phase[:, 10:] * phase[:, :-10]) / 0.04
    np.testing.assert_allclose(lag, np.exp(-2 * np.pi * 0.02 * 10), atol=5 / np.sqrt(5e4))


def test_the_gain_of_a_free_oscillator_is_the_mean_over_its_block(kit):
    device = PhaseNoise(linewidth=1e3, sampling_rate=1e6, block=50, common=False)
    variance = 2 * np.pi * 1e-3 * np.arange(50)
    expected = np.exp(-variance / 2)
    R = covariance(kit)
    model = device.linear_model(R)
    np.testing.assert_allclose(model.gain, expected.mean(), rtol=1e-13)
    # Of independent oscillators what is common is how much is lost at each place in the block.
    together = (model.output_covariance(R) / R)[0, 1]
    np.testing.assert_allclose(together, np.mean(expected**2), rtol=1e-12)
    np.testing.assert_allclose(model.output_power(R), np.diag(R).real, rtol=1e-13)


def test_a_free_phase_grows_within_a_block_and_starts_anew():
    device = PhaseNoise(linewidth=1e3, sampling_rate=1e6, block=8)
    phase = np.angle(device.apply(np.ones((4000, 1, 33), complex), np.random.default_rng(1)))[:, 0]
    variance = phase.var(axis=0)
    # One start for the whole call: the places without any error tell where blocks begin.
    fresh = np.flatnonzero(variance < 1e-30)
    assert set(np.diff(fresh)) == {8}
    place = (np.arange(33) - fresh[0]) % 8
    # 4000 draws: 2.2 % standard error of a variance.
    np.testing.assert_allclose(variance, 2 * np.pi * 1e-3 * place, rtol=5 * np.sqrt(2 / 4000), atol=1e-30)


@pytest.mark.parametrize("common", [True, False])
@pytest.mark.parametrize("block", [2, 100, 5000])
def test_free_oscillators_keep_the_contract_for_any_block(common, block):
    device = PhaseNoise(2e3, 1e7, block, common)
    check_hardware(device, samples=2**15)


@pytest.mark.parametrize("common", [True, False])
@pytest.mark.parametrize("bandwidth", [1e3, 1e6])
def test_locked_oscillators_keep_the_contract_for_any_bandwidth(common, bandwidth):
    check_hardware(PllPhaseNoise(0.2, bandwidth, 1e7, common), samples=2**15)


def test_one_oscillator_turns_all_chains_alike_and_members_apart(kit):
    x = np.ones((2, 3, 20), complex)
    y = PhaseNoise(1e4, 1e6, 100).apply(x, np.random.default_rng(0))
    np.testing.assert_array_equal(y, np.broadcast_to(y[:, :1], y.shape))
    assert np.abs(y[0] - y[1]).max() > 0
    own = PhaseNoise(1e4, 1e6, 100, common=False).apply(x, np.random.default_rng(0))
    assert np.abs(own[:, 0] - own[:, 1]).max() > 0


def test_common_phase_noise_costs_a_matched_beam_what_it_costs_a_single_chain():
    h = np.ones((16, 1), complex)
    w = h / 4  # unit power
    lost = 1 - np.exp(-0.04)
    for common, expected in ((True, (1 - lost) / lost), (False, 16 * (1 - lost) / lost)):
        t = Transceiver(transmit=PllPhaseNoise(0.2, 1e4, 1e6, common))
        # Distortion of one oscillator is beamed with the signal, that of 16 adds in power.
        np.testing.assert_allclose(sum_rate(h, w, 1e-9, t), np.log1p(expected), rtol=1e-6)


def test_phase_noise_without_a_generator_is_refused():
    with pytest.raises(InvalidInput, match="rng: is required"):
        PhaseNoise(1e3, 1e6, 10).apply(np.ones((1, 2), complex))


@pytest.mark.parametrize("device", [PhaseNoise(1e3, 1e6, 10), PllPhaseNoise(0.1, 1e4, 1e6)])
def test_samples_that_are_not_finite_are_refused_by_chain(device):
    x = np.array([[1.0, 1.0], [np.inf, 1.0]], complex)
    with pytest.raises(InvalidInput, match="x, chain 1: must be finite samples"):
        device.apply(x, np.random.default_rng(0))


def test_members_of_a_batch_have_the_bytes_they_have_alone(kit):
    R = covariance(kit, batch=(4,))
    for device in (IqImbalance(1.2, 0.1), PhaseNoise(1e3, 1e6, 40, False), PllPhaseNoise(0.1, 1e4, 1e6)):
        whole = device.linear_model(R)
        for i in range(4):
            alone = device.linear_model(R[i])
            assert kit.raw_bytes(alone.gain) == kit.raw_bytes(whole.gain[i])
            assert kit.raw_bytes(alone.distortion) == kit.raw_bytes(whole.distortion[i])
    x = kit.complex_gaussian((4, 3, 30), 0)
    whole = IqImbalance(1.2, 0.1).apply(x)
    assert [kit.raw_bytes(IqImbalance(1.2, 0.1).apply(m)) for m in x] == [kit.raw_bytes(m) for m in whole]


OSCILLATORS = [
    PhaseNoise(2e4, 1e6, 20, common=True),
    PhaseNoise(2e4, 1e6, 20, common=False),
    PhaseNoise(5e3, 1e6, 100, common=False),
    PllPhaseNoise(0.4, 3e4, 1e6, common=True),
    PllPhaseNoise(0.4, 3e4, 1e6, common=False),
]


@pytest.mark.parametrize("bodies", [5_000, pytest.param(40_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("device", OSCILLATORS)
def test_an_oscillator_leaks_from_bin_to_bin_as_its_samples_do(kit, device, bodies):
    # Two chains whose power lies on a few of 16 bins: each entry within five standard errors.
    bins, rng = 16, np.random.default_rng(3)
    A = kit.complex_gaussian((bins, 2, 3), 1) * (np.arange(bins) % 16 < 4)[:, None, None]
    R = A @ A.conj().swapaxes(-1, -2)
    model = device.spectral_model(R)
    X = A @ kit.complex_gaussian((bodies, bins, 3, 1), 2)
    x = np.moveaxis(np.fft.ifft(X[..., 0], axis=1, norm="ortho"), 1, -1)
    y = np.stack([device.apply(body, rng) for body in x])  # each body anywhere in a block
    q = np.fft.fft(y, axis=-1, norm="ortho") - model.gain[0][:, None] * np.moveaxis(X[..., 0], 1, -1)
    pairs = np.einsum("bif,bjf->bfij", q, q.conj())
    error = 5 * pairs.std(axis=0) / np.sqrt(bodies)
    assert np.all(np.abs(pairs.mean(axis=0) - model.distortion_matrix()) <= error + 1e-12)


@pytest.mark.parametrize("device", OSCILLATORS)
def test_the_lags_of_an_oscillator_are_means_over_its_places(device):
    if isinstance(device, PhaseNoise):
        at, d = np.arange(device.block), np.arange(3 * device.block)[:, None]
        two = np.exp(-device.step * (at + (at + d) % device.block) / 2)
        one = np.where(at + d < device.block, np.exp(-device.step * d / 2), two).mean(axis=-1)
        np.testing.assert_allclose(device.lagged(d[:, 0]), [one, two.mean(axis=-1)], rtol=1e-12)
    one, two = device.lagged(np.array([0]))
    mean, spread = device.moments()
    np.testing.assert_allclose([one[0], two[0]], [1.0, mean**2 + spread], rtol=1e-12)


@pytest.mark.parametrize("part", [0.05, -0.3, 1.0])
def test_a_carrier_that_is_off_leaks_as_the_transform_of_its_turn_says(part):
    # sum_l e^(2 pi j (e - k) l / N) / N, from the middle of the body: all power of one subcarrier, wherever it goes.
    N, k = 16, np.arange(16)
    place = np.arange(N) - (N - 1) / 2
    leaks = np.fft.fft(np.exp(2j * np.pi * part * place / N)) / N
    R = np.zeros((N, 2, 2), complex)
    R[5] = [[2.0, 1j], [-1j, 1.0]]
    model = CarrierOffset(part, N, N + 3, 3).spectral_model(R)
    np.testing.assert_allclose(model.gain[0], np.full(2, leaks[0].real), atol=1e-12)
    others = np.abs(leaks[(k - 5) % N]) ** 2 * (k != 5)
    np.testing.assert_allclose(model.distortion_matrix(), others[:, None, None] * R[5], atol=1e-12)


def test_a_carrier_that_is_off_turns_each_symbol_from_its_middle():
    device = CarrierOffset(0.1, 8.0, 10, 2)
    turned = device.apply(np.ones((2, 30), complex))  # without a generator
    np.testing.assert_array_equal(turned, np.tile(turned[:1, :10], (2, 3)))
    body = np.angle(turned[0, 2:10])
    np.testing.assert_allclose(body, -body[::-1], atol=1e-14)
    np.testing.assert_allclose(np.diff(body), 2 * np.pi * 0.1 / 8, rtol=1e-12)
    np.testing.assert_allclose(device.linear_model(np.eye(2)).gain, turned[0, 2:10].mean().real, rtol=1e-12)
    assert CarrierOffset(0.0, 8.0, 10).is_ideal
    with pytest.raises(InvalidInput, match="prefix: must be less than the block"):
        CarrierOffset(0.1, 8.0, 10, 10)
