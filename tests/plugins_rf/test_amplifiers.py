"""Amplifiers: closed forms of their linear models, correlated distortion, limits and edges."""

from importlib.metadata import entry_points

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import erfcx, exp1, gamma, gammaincc, hyp2f1

from isacsim import Aqnm, Chain, Ideal, InvalidInput, Transceiver
from isacsim.metrics import radiated_power, rescale_to_radiated, sum_rate
from isacsim.plugin import build_registry
from isacsim.testing import check_hardware
from isacsim.units import key_of

pytest.importorskip("isacsim_rf", reason="the RF plugin is not installed")
import itertools

from isacsim_rf.amplifiers import Rapp, Saleh
from isacsim_rf.converters import ClippingDac
from isacsim_rf.mixers import IqImbalance

BACK_OFF = [0.01, 0.1, 0.5, 1.0, 3.0, 10.0, 30.0]  # saturation over input power


def single(power):
    return np.full((1, 1), power, complex)


def pair(xi, one=1.0, other=1.0):
    root = np.sqrt(one * other)
    return np.array([[one, xi * root], [np.conj(xi) * root, other]], complex)


@pytest.mark.parametrize("nu", BACK_OFF)
def test_infinite_smoothness_is_the_soft_limiter_in_closed_form(nu):
    # Bussgang gain 1 - e^-nu + sqrt(pi nu)/2 erfc(sqrt(nu)), output power rho (1 - e^-nu).
    rho, clipped = 0.7, np.exp(-nu)
    model = Rapp(nu * rho, smoothness=np.inf).linear_model(single(rho))
    gain = 1 - clipped + np.sqrt(np.pi * nu) / 2 * erfcx(np.sqrt(nu)) * clipped
    np.testing.assert_allclose(model.gain, gain, rtol=1e-12)
    # The closed form cancels to about the rounding of the output power.
    np.testing.assert_allclose(model.distortion, rho * (1 - clipped - gain**2), rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("nu", BACK_OFF)
def test_smoothness_one_has_closed_forms_by_incomplete_gamma_functions(nu):
    # E[u / sqrt(1 + u/nu)] and E[u / (1 + u/nu)] for u ~ Exp(1), by the substitution w = u + nu.
    model = Rapp(nu, smoothness=1.0).linear_model(single(1.0))
    gain = np.sqrt(nu) * np.exp(nu) * (gammaincc(1.5, nu) * gamma(1.5) - nu * gammaincc(0.5, nu) * gamma(0.5))
    power = nu * (1 - nu * np.exp(nu) * exp1(nu))
    # Both closed forms cancel where nu is large: a factor nu^2 of the rounding.
    np.testing.assert_allclose(model.gain, gain, rtol=1e-12 * (1 + nu**2))
    np.testing.assert_allclose(model.gain**2 + model.distortion, power, rtol=1e-12 * (1 + nu**2))


@pytest.mark.parametrize("nu", BACK_OFF)
def test_saleh_without_turn_has_the_closed_form_of_its_compression(nu):
    model = Saleh(nu, alpha_phi=0.0).linear_model(single(1.0))
    knee = 4 * nu
    gain = knee * (1 - knee * np.exp(knee) * exp1(knee))
    np.testing.assert_allclose(model.gain, gain, rtol=1e-12 * (1 + knee**2))


def test_saleh_peaks_at_its_saturation_power_and_turns_as_its_own_formula():
    device, drive = Saleh(2.0), np.linspace(0.01, 30, 3000)
    y = device.apply(np.sqrt(drive)[None] + 0j)[0]
    out = np.abs(y) ** 2
    np.testing.assert_allclose(out.max(), 2.0, rtol=1e-5)  # the grid misses the peak by a step
    np.testing.assert_allclose(drive[out.argmax()], 8.0, atol=0.02)
    r = np.sqrt(drive / (4 * 2.0 * 1.1517))  # amplitude in Saleh's normalisation
    alpha_a = 2.1587  # of small signals, 1 here
    np.testing.assert_allclose(
        np.abs(y) * alpha_a / np.sqrt(4 * 2.0 * 1.1517), alpha_a * r / (1 + 1.1517 * r**2), rtol=1e-12
    )
    np.testing.assert_allclose(np.angle(y), 4.0033 * r**2 / (1 + 9.1040 * r**2), rtol=1e-12)


@pytest.mark.parametrize("xi", [0.3, 0.5 - 0.4j, 0.2j])
def test_strongly_driven_amplifiers_distort_together_as_hard_limiters_do(xi):
    # E[z_i z_j* / |z_i z_j|] = pi/4 xi 2F1(1/2, 1/2; 2; |xi|^2) for jointly Gaussian z.
    model = Rapp(1e-7, smoothness=np.inf).linear_model(pair(xi))
    size = abs(xi) ** 2
    expected = 1e-7 * np.pi / 4 * xi * (hyp2f1(0.5, 0.5, 2, size) - 1)
    # At an overdrive of 70 dB the limiter is soft by sqrt(1e-7); orders above 12 weigh |xi|^26.
    np.testing.assert_allclose(model.distortion[0, 1], expected, rtol=2e-3)


@pytest.mark.parametrize("device", [Rapp(1.0), Rapp(0.5, smoothness=np.inf), Saleh(0.5)])
def test_chains_that_send_the_same_stream_distort_in_unison(device):
    alone = device.linear_model(single(0.8)).distortion[0]
    turned = np.exp(0.9j)
    D = device.linear_model(pair(turned, 0.8, 0.8)).distortion
    np.testing.assert_allclose(D, alone * np.array([[1, turned], [np.conj(turned), 1]]), rtol=1e-12)


@pytest.mark.parametrize("device", [Rapp(0.6), Rapp([0.2, 1.0, 3.0], smoothness=np.inf), Saleh(0.4), Saleh([1, 2, 3])])
def test_the_covariance_of_the_distortion_is_that_of_samples(device, kit):
    mixing = kit.complex_gaussian((3, 2), 5)  # two streams on three chains: strongly correlated
    R = mixing @ mixing.conj().T
    blocks = []
    model = device.linear_model(R)
    for seed in range(40):
        x = mixing @ kit.complex_gaussian((2, 10_000), seed)
        q = device.apply(x) - model.gain[:, None] * x
        blocks.append(q @ q.conj().T / 10_000)
    error = np.std(blocks, axis=0) / np.sqrt(40)
    off = np.abs(np.mean(blocks, axis=0) - model.distortion)
    scale = np.sqrt(np.outer(model.distortion_power, model.distortion_power))
    # 5 standard errors, and 1 % of the power for the orders that are lumped together.
    assert np.all(off <= 5 * error + 0.01 * scale)
    # A diagonal model would be wrong: the test must be able to see it.
    assert np.max(np.abs(model.distortion - np.diag(np.diag(model.distortion))) / scale) > 0.3


@given(st.floats(0.5, 20), st.floats(1e-3, 1e3), st.integers(0, 10**6))
def test_what_comes_out_is_what_is_kept_and_what_is_distorted(smoothness, nu, seed):
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((4, 2)) + 1j * rng.standard_normal((4, 2))
    R = A @ A.conj().T
    model = Rapp(nu, smoothness).linear_model(R)
    assert np.all((model.gain.real > 0) & (model.gain.real <= 1 + 1e-12))
    assert np.all(model.output_power(R) <= nu * (1 + 1e-9))
    # A sum of products of positive semidefinite matrices, up to rounding of the largest.
    largest = np.max(np.abs(model.distortion), initial=0)
    assert np.linalg.eigvalsh(model.distortion).min() >= -1e-12 * largest


@pytest.mark.parametrize("device", [Rapp(1e9), Rapp(1e9, np.inf), Saleh(1e9)])
def test_far_below_saturation_an_amplifier_changes_nothing(device, kit):
    x = kit.complex_gaussian((3, 100), 0)
    np.testing.assert_allclose(device.apply(x), x, rtol=1e-6)  # 90 dB of back-off: up to |x|^2/1e9
    model = device.linear_model(pair(0.5))
    np.testing.assert_allclose(model.gain, 1, rtol=1e-8)
    assert np.all(np.abs(model.distortion) < 1e-16)


def test_smoothness_orders_amplifiers_between_the_early_and_the_sharp_bend():
    drive = np.sqrt(np.geomspace(1e-3, 1e3, 50))[None] + 0j
    out = [np.abs(Rapp(1.0, p).apply(drive)) for p in (0.5, 1.0, 2.0, 5.0, 100.0, np.inf)]
    for weaker, stronger in itertools.pairwise(out):
        assert np.all(weaker <= stronger * (1 + 1e-12))
    np.testing.assert_allclose(out[-1], np.minimum(np.abs(drive), 1.0), rtol=1e-14)
    np.testing.assert_allclose(out[-2], out[-1], rtol=0.01)  # at the knee 2^(-1/200)


def test_a_chain_without_power_keeps_the_gain_of_small_signals():
    model = Saleh(1.0).linear_model(np.diag([0.0, 1.0]).astype(complex))
    np.testing.assert_allclose(model.gain[0], 1.0, rtol=1e-12)
    np.testing.assert_array_equal(model.distortion[0], 0)
    assert np.abs(model.gain[1]) < 1


@pytest.mark.parametrize(
    "device", [Rapp([0.5, 1.0, 2.0, 4.0]), Saleh([0.5, 1.0, 2.0, 4.0]), Rapp([1, 2, 3, 4], np.inf)]
)
def test_each_chain_may_saturate_elsewhere(device):
    check_hardware(device, chains=4, samples=2**15)
    with pytest.raises(InvalidInput, match="saturation: must be one number, or one for each of the 3 chains"):
        device.apply(np.ones((3, 5), complex))


def test_order_matters_a_converter_before_the_amplifier_is_not_one_behind_it(kit):
    converter, amplifier, R = ClippingDac(4, 4.0), Rapp(0.5), pair(0.4)
    before, behind = Chain(converter, amplifier), Chain(amplifier, converter)
    x = kit.complex_gaussian((2, 10), 0)
    np.testing.assert_array_equal(before.apply(x), amplifier.apply(converter.apply(x)))
    # Behind the amplifier the signal is weaker and the fixed steps are coarser: 25 % more distortion.
    assert np.max(np.abs(before.apply(x) - behind.apply(x))) > 0.05
    powers = [np.sum(chain.linear_model(R).distortion_power) for chain in (before, behind)]
    assert powers[1] > 1.1 * powers[0]


@pytest.mark.parametrize("saturations", [(8.0, 8.0), (1.0, 0.9), (8.0, 0.1), (0.1, 8.0), (2.0, 0.5, 5.0)])
@pytest.mark.parametrize("rho", [0.5, 40.0, 2000.0])
def test_amplifiers_in_series_bend_anywhere_and_have_their_means_there(saturations, rho):
    # Trapezoids over the logarithm of the power, which converge as fast as the integrand falls at both ends.
    x, step = np.linspace(-40, np.log(60.0), 6001, retstep=True)
    weight = step * np.exp(x - np.exp(x))
    amplitude = np.sqrt(rho * np.exp(x))
    for level in saturations:
        amplitude = amplitude / (1 + (amplitude**2 / level) ** 2) ** 0.25
    gain = (weight * amplitude * np.sqrt(np.exp(x))).sum() / np.sqrt(rho)
    device = Chain(*(Rapp(saturation=level) for level in saturations))
    model = device.linear_model(single(rho))
    # 43 dB above saturation the bend lies at 5e-5 of the mean power, where panels leave 3e-9 and 5e-6.
    np.testing.assert_allclose(model.gain, gain, rtol=1e-8)
    np.testing.assert_allclose(model.distortion_power, (weight * amplitude**2).sum() - rho * gain**2, rtol=1e-5)
    derivative = device.linear_model_vjp(single(rho), np.zeros(1), np.ones((1, 1))).real
    above, below = (device.linear_model(single(rho * (1 + h))).distortion_power for h in (1e-4, -1e-4))
    # What the orders above the kept ones change by is told to 2e-3; in saturation next to nothing changes.
    slope, flat = (above - below) / (2e-4 * rho), 1e-5 * float(model.distortion_power[0]) / rho
    np.testing.assert_allclose(derivative[0], slope, rtol=2e-3, atol=flat)


def test_members_of_a_batch_have_the_bytes_they_have_alone(kit):
    A = kit.complex_gaussian((5, 4, 2), 1)
    R = A @ A.conj().swapaxes(-1, -2)
    for device in (Rapp(0.5), Saleh([0.2, 0.4, 0.6, 0.8])):
        whole = device.linear_model(R)
        for i in range(5):
            alone = device.linear_model(R[i])
            assert kit.raw_bytes(alone.gain) == kit.raw_bytes(whole.gain[i])
            assert kit.raw_bytes(alone.distortion) == kit.raw_bytes(whole.distortion[i])


@pytest.mark.parametrize("bad", [np.nan, np.inf, complex(0, np.nan)])
def test_samples_that_are_not_finite_are_refused_by_chain(bad):
    x = np.ones((3, 4), complex)
    x[1, 2] = bad
    for device in (Rapp(1.0), Saleh(1.0), IqImbalance(gain=2.0)):
        with pytest.raises(InvalidInput, match="x, chain 1: must be finite samples"):
            device.apply(x)


@pytest.mark.parametrize("smoothness", [0.0, -1.0, np.nan, "2"])
def test_a_smoothness_without_meaning_is_refused(smoothness):
    with pytest.raises(InvalidInput, match="smoothness: must be a positive number"):
        Rapp(1.0, smoothness)


def test_common_distortion_reaches_a_user_that_a_diagonal_model_would_spare(kit):
    # One stream by maximum ratio: all distortion is beamed at the user too, N times its share.
    h = kit.complex_gaussian((16, 1), 3)
    h = h / np.abs(h)
    w = 0.5 * h
    device = Rapp(0.25, smoothness=np.inf)
    model = device.linear_model(w @ w.conj().T)
    coherent = (h.conj().T @ model.distortion @ h).real.item()
    np.testing.assert_allclose(coherent, 16 * model.distortion_power.sum(), rtol=1e-9)
    rate = sum_rate(h, w, 1e-3, Transceiver(transmit=device))
    sdr = (np.abs(model.gain[0]) ** 2 * 0.25) / model.distortion_power[0]
    np.testing.assert_allclose(rate, np.log1p(sdr), rtol=1e-3)  # noise adds 1e-3 / (16 * 16 * ...) to it


def test_radiated_power_is_at_most_the_saturation_of_all_chains(kit):
    W = 100 * kit.complex_gaussian((4, 2), 0)
    assert radiated_power(W, Rapp(0.1)) <= 0.4 * (1 + 1e-9)


def test_the_installed_plugin_is_found_by_its_entry_point():
    assert "rf" in {point.name for point in entry_points(group="isacsim")}
    registry = build_registry()
    offered = [name for name in registry.names("hardware") if registry.provider("hardware", name) == "rf"]
    assert {"rapp", "saleh", "memory-polynomial", "iq-imbalance", "phase-noise"} <= set(offered)
    assert registry.load("hardware", "rapp") is Rapp
    assert "rapp" not in build_registry(block=["rf"]).names("hardware")


def test_its_scenario_keys_tell_the_units():
    assert [key_of(a) for a in Rapp.__attrs_attrs__] == ["saturation_dbm", "smoothness"]


UNEQUAL = np.array([1.0, 2.0, 0.5, 1.0])
SATURATING = {
    "Rapp, p = 1": Rapp(UNEQUAL, smoothness=1.0),
    "Rapp, p = 2": Rapp(UNEQUAL),
    "Rapp, p = 6": Rapp(1.0, smoothness=6.0),
    "limiter": Rapp(1.0, smoothness=np.inf),
    "converter of 3 bits": ClippingDac(bits=3, full_scale=1.0),
    "converter of 8 bits": ClippingDac(bits=8, full_scale=UNEQUAL),
    "converter before amplifier": Chain(ClippingDac(bits=6, full_scale=1.0), Rapp(2.0)),
    "converter with gain control before amplifier": Chain(Aqnm(3), Rapp(1.0)),
}


def most_of(device, W, nepers=12):
    """The most that a device puts out for a multiple of W, seen up to 50 dB beyond its saturation, or as said."""
    drives = np.exp(np.arange(0, nepers + 0.125, 0.25))[:, None, None]
    return radiated_power(np.sqrt(drives) * W, device).max()


@pytest.mark.parametrize("name", SATURATING)
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 6))])
def test_scaling_takes_at_most_six_evaluations_up_to_nine_tenths_of_saturation(counted, name, seed):
    rng, device = np.random.default_rng(seed), counted(SATURATING[name])
    W = rng.standard_normal((4, 3)) * np.exp(rng.uniform(-1, 1, (4, 1)))
    most = most_of(SATURATING[name], W)
    for level in (0.01, 0.3, 0.6, 0.75, 0.85, 0.9):
        device.asked.clear()
        scaled = rescale_to_radiated(W, device, level * most)
        assert len(device.asked) <= 6
        # The accuracy that is promised where six evaluations do not reach more.
        assert radiated_power(scaled, device) == pytest.approx(level * most, rel=1e-6)


@pytest.mark.parametrize("level", [0.01, 0.75, 0.97, *(pytest.param(p, marks=pytest.mark.slow) for p in (0.5, 0.9))])
@pytest.mark.parametrize("turn", [IqImbalance(gain=1.1, phase=0.1), Ideal()])
def test_scaling_stays_below_a_peak_beyond_which_the_output_falls(counted, level, turn):
    rng = np.random.default_rng(1)
    W = rng.standard_normal((2, 3)) * np.exp(rng.uniform(-1, 1, (2, 1)))
    tube = counted(Chain(turn, Saleh(UNEQUAL[:2])))
    power = level * most_of(tube, W / 4, nepers=5)  # the peaks of both chains are between
    tube.asked.clear()
    scaled = rescale_to_radiated(W, tube, power)
    assert len(tube.asked) <= 6
    assert radiated_power(scaled, tube) == pytest.approx(power, rel=1e-6)
    assert radiated_power(0.99 * scaled, tube) < power  # on the side where more drive gives more
