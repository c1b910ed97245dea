"""Hardware stages: both faces of each are the same device, and chains compose them."""

import numpy as np
import pytest
from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import erfc

from isacsim import Aqnm, Chain, Hardware, Ideal, InvalidInput, LinearModel, MidRise, Transceiver
from isacsim.hardware.base import chain_power, diagonal_matrix, estimate_linear_model, gaussian_points
from isacsim.hardware.codebooks import lloyd_max, mid_rise
from isacsim.hardware.converters import distortion_ratios, white_ratios

POWER = 2.5  # W, of the samples below
COUNT = 1_000_000


@frozen
class Limiter(Hardware):
    """Soft limiter that gives `apply` alone: clips magnitudes at ``level``."""

    level: float = 1.0

    def apply(self, x, rng=None, *, power=None):
        magnitude = np.maximum(np.abs(x), np.finfo(float).tiny)
        return x * np.minimum(1.0, self.level / magnitude)


@frozen
class Attenuator(Hardware):
    """Linear device: every chain times a complex factor."""

    factor: complex = 0.5

    def apply(self, x, rng=None, *, power=None):
        return self.factor * np.asarray(x)

    def linear_model(self, R):
        shape = np.shape(R)[:-1]
        return LinearModel(np.full(shape, self.factor), np.zeros(shape))


@frozen
class CoupledNoise(Hardware):
    """Adds noise that is the same in every chain: a full distortion covariance."""

    variance: float = 0.3

    def apply(self, x, rng=None, *, power=None):
        shape = (*np.shape(x)[:-2], 1, np.shape(x)[-1])
        noise = (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)) / np.sqrt(2)
        return np.asarray(x) + np.sqrt(self.variance) * noise

    def linear_model(self, R):
        shape = np.shape(R)
        return LinearModel(np.ones(shape[:-1]), np.full(shape, self.variance))


@pytest.fixture(scope="module")
def samples(kit):
    """A million samples of CN(0, POWER), scaled to exactly that power: shape (1, COUNT)."""
    x = kit.complex_gaussian((1, COUNT), seed=3)
    return x * np.sqrt(POWER / np.mean(np.abs(x) ** 2))


def measured(device, x, rng=None):
    """Bussgang gain and distortion power of a device on samples."""
    y = device.apply(x, rng)
    power = np.mean(np.abs(x) ** 2, axis=-1)
    gain = np.mean((y * np.conj(x)).real, axis=-1) / power
    return gain, np.mean(np.abs(y) ** 2, axis=-1) - gain**2 * power


def exact_distortion(device, bits):
    """Distortion over input power of the codebook that a device applies."""
    return (lloyd_max if getattr(device, "table", "") == "lloyd-max" else mid_rise)(bits).noise


DEVICES = {
    "lloyd-max": lambda bits: Aqnm(bits),
    "uniform": lambda bits: Aqnm(bits, table="uniform"),
    "mid-rise": lambda bits: MidRise(bits),
    "chain": lambda bits: Chain(Attenuator(0.7), MidRise(bits)),
}


@pytest.mark.parametrize("bits", range(1, 7))
@pytest.mark.parametrize("name", DEVICES)
def test_both_faces_of_a_converter_agree(samples, name, bits):
    device = DEVICES[name](bits)
    gain, distortion = measured(device, samples)
    model = device.linear_model(np.full((1, 1), POWER))
    # The real part of the gain averages 2e6 real products: its standard error is
    # sqrt(beta (1 - beta) / 2e6), 3.4e-4 at 1 bit and 2.3e-4 at 2, for a fixed seed. The other
    # table is 1e-3 to 3e-3 off at 2 to 5 bits; the printing and the formula are within 2e-5.
    np.testing.assert_allclose(gain, model.gain, atol=5e-4)
    expected = model.distortion / POWER
    if name == "lloyd-max" and bits > 5:
        # The AQNM's formula is 3 % above the distortion of the codebook itself.
        assert expected == pytest.approx(1.031 * exact_distortion(device, bits), rel=1e-3)
        expected = exact_distortion(device, bits)
    # Four standard errors of a mean square over 2e6 samples are 0.3 to 0.5 %; the printed
    # table is up to 0.3 % low.
    np.testing.assert_allclose(distortion / POWER, expected, rtol=1.5e-2)


@pytest.mark.parametrize("device", [Limiter(1.2), Limiter(3.0)], ids=["clipping", "mild"])
def test_the_estimate_for_a_device_without_a_model_agrees_with_its_samples(samples, device):
    gain, distortion = measured(device, samples)
    model = device.linear_model(np.full((1, 1), POWER))
    np.testing.assert_allclose(model.gain.real, gain, atol=5e-4)
    np.testing.assert_allclose(model.gain.imag, 0.0, atol=5e-4)
    # The mild limiter clips 3 % of the samples, whose mean square has 1 % standard error.
    np.testing.assert_allclose(model.distortion, distortion, rtol=1.5e-2 if device.level < 2 else 3e-2)


@pytest.mark.parametrize("level", [0.3, 1.0, 2.0])
def test_the_estimate_agrees_with_the_closed_form_of_the_soft_limiter(level):
    # Bussgang gain of an envelope limiter for CN(0, sigma^2), with c = level / sigma.
    sigma2 = np.array([0.5, 2.0])
    c = level / np.sqrt(sigma2)
    gain = 1 - np.exp(-(c**2)) + np.sqrt(np.pi) / 2 * c * erfc(c)
    output = sigma2 * (1 - np.exp(-(c**2)))
    R = np.diag(sigma2).astype(complex)
    found, estimated = Limiter(level).linear_model(R), estimate_linear_model(Limiter(level), R)
    # Three digits of an estimate, of the input power for the distortion; rounding of the closed form for what is found.
    for model, accuracy in ((estimated, 1e-3), (found, 1e-11)):
        np.testing.assert_allclose(model.gain, gain, atol=accuracy)
        np.testing.assert_allclose(model.distortion_power / sigma2, output / sigma2 - gain**2, atol=accuracy)


@pytest.mark.parametrize("bits", [1, 2, 3])
def test_the_estimate_agrees_with_the_closed_form_of_a_quantiser(bits):
    R = np.diag([0.5, 2.0]).astype(complex)
    closed, estimated = MidRise(bits).linear_model(R), estimate_linear_model(MidRise(bits), R)
    np.testing.assert_allclose(estimated.gain, closed.gain, atol=1e-3)
    np.testing.assert_allclose(
        estimated.distortion / chain_power(R), closed.distortion_power / chain_power(R), atol=1e-3
    )


def test_the_estimate_is_of_each_member_and_silent_chains_stay_silent():
    R = np.stack([np.diag([1.0, 0.0]), np.diag([4.0, 9.0])]).astype(complex)
    model = Limiter(1.0).linear_model(R)
    assert model.gain.shape == (2, 2)
    assert model.gain[0, 1] == pytest.approx(1.0, rel=1e-12)  # of small signals
    assert not model.distortion[0, 1].any()
    for i in range(2):
        np.testing.assert_array_equal(model.gain[i], Limiter(1.0).linear_model(R[i]).gain)
    assert np.all(model.gain[1].real < model.gain[0, 0].real)  # more drive, more compression


def test_the_points_of_the_estimate_have_the_moments_of_a_complex_gaussian():
    x = gaussian_points(2**14)
    assert np.mean(np.abs(x) ** 2) == pytest.approx(1.0, abs=1e-4)
    assert np.mean(np.abs(x) ** 4) == pytest.approx(2.0, abs=1e-2)
    assert abs(np.mean(x)) < 1e-3
    assert abs(np.mean(x**2)) < 1e-3


def test_a_chain_agrees_with_its_samples_also_when_distortion_is_coupled(kit):
    device = Chain(MidRise([2, 4]), Attenuator(0.5 - 0.5j), CoupledNoise(0.3), Attenuator(2.0))
    count = 400_000
    x = np.sqrt(POWER) * kit.complex_gaussian((2, count), seed=1)
    y = device.apply(x, np.random.default_rng(0))
    model = device.linear_model(POWER * np.eye(2, dtype=complex))
    assert not model.diagonal
    q = y - model.gain[:, None] * x
    # Entries of sample covariances: standard error below 2 POWER / sqrt(count).
    accuracy = 4 * 2 * POWER / np.sqrt(count)
    np.testing.assert_allclose(q @ np.conj(x).T / count, np.zeros((2, 2)), atol=accuracy)
    np.testing.assert_allclose(q @ np.conj(q).T / count, model.distortion, atol=accuracy)
    np.testing.assert_allclose(y @ np.conj(y).T / count, model.output_covariance(POWER * np.eye(2)), atol=2 * accuracy)
    np.testing.assert_allclose(model.distortion_power, np.diagonal(model.distortion).real, rtol=1e-12)


@given(st.integers(0, 2**32 - 1), st.lists(st.integers(0, 3), max_size=4))
def test_the_model_of_a_chain_is_that_of_its_stages_one_after_the_other(kit, seed, picks):
    converter = MidRise([1, 3, np.inf], correlated=False)  # behind which moments are all that counts
    stages = [(converter, Attenuator(0.3j), CoupledNoise(0.2), Aqnm(2))[i] for i in picks]
    A = kit.complex_gaussian((2, 3, 3), seed)
    R = A @ np.conj(A.swapaxes(-1, -2))
    model, gain, covariance = Chain(*stages).linear_model(R), np.ones((2, 3)), R
    for stage in stages:
        one = stage.linear_model(covariance)
        gain, covariance = one.gain * gain, one.output_covariance(covariance)
    np.testing.assert_allclose(model.gain, gain, rtol=1e-12)
    np.testing.assert_allclose(model.output_covariance(R), covariance, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(model.output_power(R), chain_power(covariance), rtol=1e-12)
    eigenvalues = np.linalg.eigvalsh(model.distortion_matrix())
    assert eigenvalues.min() >= -1e-12 * (1 + np.abs(R).max())


@given(st.integers(0, 2**32 - 1))
def test_a_diagonal_distortion_is_the_full_matrix(seed):
    rng = np.random.default_rng(seed)
    d = rng.uniform(size=(2, 3))
    thin, full = LinearModel(np.ones((2, 3)), d), LinearModel(np.ones((2, 3)), diagonal_matrix(d).astype(complex))
    np.testing.assert_allclose(thin.distortion_matrix(), full.distortion_matrix(), atol=1e-15)
    np.testing.assert_allclose(thin.distortion_power, full.distortion_power, atol=1e-15)


@given(st.sampled_from(["lloyd-max", "uniform"]), st.integers(0, 2**32 - 1))
def test_the_linear_model_is_the_aqnm(kit, table, seed):
    bits = [1, 3, np.inf]
    A = kit.complex_gaussian((2, 3, 3), seed)
    R = A @ np.conj(A.swapaxes(-1, -2))
    model = Aqnm(bits, table=table).linear_model(R)
    beta = {"lloyd-max": [0.3634, 0.03454, 0.0], "uniform": [mid_rise(1).distortion, mid_rise(3).distortion, 0.0]}[
        table
    ]
    alpha = 1 - np.array(beta)
    np.testing.assert_allclose(model.gain, np.broadcast_to(alpha, (2, 3)), rtol=1e-14)
    diagonal = np.real(np.diagonal(R, axis1=-2, axis2=-1))
    np.testing.assert_allclose(model.distortion, alpha * (1 - alpha) * diagonal, rtol=1e-12, atol=1e-15)
    # What leaves a chain is alpha of what enters it.
    np.testing.assert_allclose(model.output_power(R), alpha * diagonal, rtol=1e-12)


def test_the_uniform_table_and_the_mid_rise_quantiser_are_one_device(kit):
    x = kit.complex_gaussian((3, 500), seed=0)
    np.testing.assert_array_equal(Aqnm(3, table="uniform").apply(x), MidRise(3).apply(x))
    R = np.diag([1.0, 2.0, 3.0]).astype(complex)
    one, other = Aqnm([1, 2, 5], table="uniform").linear_model(R), MidRise([1, 2, 5]).linear_model(R)
    # Equal up to the accuracy of the optimal step, which enters the gain to second order.
    np.testing.assert_allclose(one.gain, other.gain, atol=1e-12)
    np.testing.assert_allclose(one.distortion_matrix(), other.distortion, atol=1e-12)


@pytest.mark.parametrize("make", [Aqnm, MidRise])
def test_samples_fall_on_the_levels_of_each_chain_and_ideal_chains_pass(kit, make):
    x = 3.0 * kit.complex_gaussian((4, 3, 400), seed=0)  # four members of three chains
    y = make([2, np.inf, 4]).apply(x)
    np.testing.assert_array_equal(y[:, 1], x[:, 1])
    for member in range(4):
        for chain, levels in ((0, 4), (2, 16)):
            assert np.unique(y[member, chain].real).size <= levels
            np.testing.assert_array_equal(
                y[member, chain], make([2, 4][chain // 2]).apply(x[member, chain : chain + 1])[0]
            )
    np.testing.assert_array_equal(y[2], make([2, np.inf, 4]).apply(x[2]))


@pytest.mark.parametrize("device", [Aqnm(3), MidRise(3), MidRise(2, step=0.8)])
def test_gain_control_scales_with_the_signal_and_holds_when_told_the_power(kit, device):
    x = kit.complex_gaussian((2, 300), seed=0)
    np.testing.assert_allclose(device.apply(10 * x), 10 * device.apply(x), rtol=1e-12)
    power = np.mean(np.abs(x) ** 2, axis=-1)
    np.testing.assert_allclose(device.apply(x, power=power), device.apply(x), rtol=1e-12)
    top = np.abs(device.apply(x, power=power).real).max()
    # A weaker signal against the same full scale does not use the top level.
    assert np.abs(device.apply(0.1 * x, power=power).real).max() < top
    assert np.all(device.apply(np.zeros((2, 5))) == 0)


def test_a_given_power_reaches_every_stage_of_a_chain_through_the_models_before_it(kit):
    x = kit.complex_gaussian((1, 200), seed=0)
    chain = Chain(Attenuator(0.1), MidRise(3))
    carried = MidRise(3).apply(0.1 * x, power=np.array([0.01]))
    # The estimated gain of a linear stage is exact but for rounding.
    np.testing.assert_allclose(chain.apply(x, power=np.array([1.0])), carried, rtol=1e-12)
    np.testing.assert_allclose(chain.apply(x), MidRise(3).apply(0.1 * x), rtol=1e-12)
    np.testing.assert_array_equal(Chain().apply(x), x)


def test_a_quantiser_of_given_step_has_its_own_gain_and_noise(samples):
    device = MidRise(3, step=0.3)  # overloaded: the gain is not 1 - distortion
    gain, distortion = measured(device, samples)
    model = device.linear_model(np.full((1, 1), POWER))
    np.testing.assert_allclose(gain, model.gain, atol=5e-4)
    np.testing.assert_allclose(distortion, model.distortion, rtol=1.5e-2)
    assert abs(model.gain[0] - (1 - mid_rise(3, 0.3).distortion)) > 1e-2


@pytest.mark.parametrize("make", [Aqnm, MidRise])
def test_infinite_resolution_is_ideal(make, kit):
    x = kit.complex_gaussian((2, 10), seed=0)
    for device in (make(np.inf), make([np.inf, np.inf]), Chain(make(np.inf), Ideal()), Chain(), Ideal()):
        assert device.is_ideal
        np.testing.assert_array_equal(device.apply(x), x)
        model = device.linear_model(np.eye(2))
        np.testing.assert_array_equal(model.gain, [1.0, 1.0])
        np.testing.assert_array_equal(model.distortion, [0.0, 0.0])
    for device in (make(3), make([np.inf, 3]), Chain(Ideal(), make(1)), Limiter()):
        assert not device.is_ideal


def test_a_transceiver_is_ideal_when_all_three_sides_are():
    assert Transceiver().is_ideal
    assert Transceiver(Aqnm(np.inf), Chain(), Ideal()).is_ideal
    for side in ("transmit", "receive", "user"):
        assert not Transceiver(**{side: Aqnm(2)}).is_ideal


@pytest.mark.parametrize("make", [Aqnm, MidRise])
def test_bits_of_another_number_of_chains_are_refused_by_both_faces(make):
    with pytest.raises(InvalidInput, match=r"bits: must be one number, or one for each of the 3 chains, got .*Match"):
        make([1, 2]).linear_model(np.eye(3))
    with pytest.raises(InvalidInput, match=r"bits: must be one number, or one for each of the 3 chains, got .*Match"):
        make([1, 2]).apply(np.zeros((3, 5)))


@pytest.mark.parametrize("device", [Aqnm(2), Aqnm([1, 3, np.inf]), MidRise(2), Limiter(0.5), Chain(Aqnm(2), Limiter())])
def test_a_member_of_a_batch_has_the_model_and_the_samples_it_has_alone(kit, device):
    A = kit.complex_gaussian((4, 3, 3), seed=0)
    R = A @ np.conj(A.swapaxes(-1, -2))
    x = kit.complex_gaussian((4, 3, 50), seed=1)
    model, y = device.linear_model(R), device.apply(x, np.random.default_rng(0))
    for i in range(4):
        alone = device.linear_model(R[i])
        assert kit.raw_bytes(alone.gain) == kit.raw_bytes(model.gain[i])
        assert kit.raw_bytes(alone.distortion) == kit.raw_bytes(model.distortion[i])
        assert kit.raw_bytes(device.apply(x[i], np.random.default_rng(0))) == kit.raw_bytes(y[i])


@pytest.mark.parametrize("make", [Aqnm, MidRise])
def test_no_samples_stay_no_samples(make):
    assert make(3).apply(np.zeros((2, 0))).shape == (2, 0)


def test_ratios_of_converters_have_their_closed_forms():
    gain, ratio = distortion_ratios(Aqnm([1, np.inf]), 2, "")
    # alpha (1 - alpha) / alpha^2 with the published 1 - alpha = 0.3634 of one bit.
    np.testing.assert_allclose(gain, [1 - 0.3634, 1.0], rtol=1e-12)
    np.testing.assert_allclose(ratio, [0.3634 / (1 - 0.3634), 0.0], rtol=1e-12)
    # In series, signal to total: (1 + e) = (1 + e_1)(1 + e_2).
    parts = [distortion_ratios(stage, 3, "")[1] for stage in (Aqnm(2), MidRise(3, step=0.8, correlated=False))]
    _, both = distortion_ratios(Chain(Aqnm(2), MidRise(3, step=0.8, correlated=False)), 3, "")
    np.testing.assert_allclose(1 + both, (1 + parts[0]) * (1 + parts[1]), rtol=1e-12)


def test_white_ratios_are_of_converters_whose_distortion_is_white():
    np.testing.assert_allclose(white_ratios(Aqnm(2, table="uniform"), 3), 0.1188 / 0.8812, rtol=1e-3)  # beta / alpha
    np.testing.assert_array_equal(white_ratios(MidRise(2), 1), 0)  # correlated with that of the next sample
    np.testing.assert_array_equal(white_ratios(Transceiver().user, 2), 0)
