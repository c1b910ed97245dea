"""Radiated power, beampattern, rescaling, energy efficiency and consumption."""

import numpy as np
import pytest
from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st

from isacsim import Aqnm, Chain, Hardware, Ideal, InvalidInput, MidRise, Transceiver, UniformPlanarArray, metrics
from isacsim.hardware.base import LinearModel
from isacsim.hardware.codebooks import aqnm_distortion, mid_rise
from isacsim.hardware.power import ConverterPower

seeds = st.integers(0, 2**32 - 1)
BITS = [1, 2, 3, 4, 5, np.inf]


@frozen
class Saturating(Hardware):
    """Soft limiter of magnitudes, known by its samples alone."""

    level: float = 1.0

    def apply(self, x, rng=None, *, power=None):
        return x * np.minimum(1.0, self.level / np.maximum(np.abs(x), np.finfo(float).tiny))


@given(seeds)
def test_converters_radiate_alpha_of_what_they_are_given(kit, seed):
    W = kit.complex_gaussian((2, 6, 3), seed)
    alpha = np.array([1 - aqnm_distortion(b) for b in BITS])
    share = (np.abs(W) ** 2).sum(axis=-1)
    np.testing.assert_allclose(metrics.antenna_power(W, Aqnm(BITS)), alpha * share, rtol=1e-12)
    np.testing.assert_allclose(metrics.radiated_power(W, Aqnm(BITS)), (alpha * share).sum(axis=-1), rtol=1e-12)
    np.testing.assert_allclose(metrics.radiated_power(W), np.linalg.norm(W, axis=(-2, -1)) ** 2, rtol=1e-12)


def test_covariance_is_the_outer_product_of_the_streams(kit):
    W = kit.complex_gaussian((4, 3), 0)
    np.testing.assert_allclose(metrics.covariance(W), sum(np.outer(w, np.conj(w)) for w in W.T), atol=1e-14)


@given(seeds, st.sampled_from([Ideal(), Aqnm(2), Aqnm(BITS), MidRise(1), Chain(MidRise(3), Aqnm(2))]))
def test_rescaling_to_radiated_power_is_exact_through_converters(kit, seed, transmit):
    W = kit.complex_gaussian((3, 6, 2), seed)
    power = np.array([0.01, 1.0, 300.0])
    scaled = metrics.rescale_to_radiated(W, transmit, power)
    np.testing.assert_allclose(metrics.radiated_power(scaled, transmit), power, rtol=1e-11)
    ratio = scaled / W
    np.testing.assert_allclose(ratio.real, np.broadcast_to(ratio.real[:, :1, :1], W.shape), rtol=1e-12)
    np.testing.assert_allclose(ratio.imag, 0.0, atol=1e-12 * ratio.real.max())


@given(seeds, st.sampled_from([Ideal(), Aqnm(BITS), MidRise(1), Chain(MidRise(3), Aqnm(2))]))
def test_each_antenna_radiates_its_share(kit, seed, transmit):
    W = kit.complex_gaussian((3, 6, 2), seed)
    W[0, 2] = 0.0  # an antenna that is sent nothing
    power = np.array([0.01, 1.0, 5.0])
    scaled = metrics.rescale_to_radiated(W, transmit, power, per_antenna=True)
    share = np.broadcast_to(power[:, None] / 6, (3, 6)).copy()
    share[0, 2] = 0.0
    np.testing.assert_allclose(metrics.antenna_power(scaled, transmit), share, rtol=1e-11)
    ratio = np.divide(scaled, W, out=np.ones_like(W), where=W != 0)
    np.testing.assert_allclose(ratio, np.broadcast_to(ratio[..., :1].real, W.shape), rtol=1e-12)  # rows are scaled


def test_each_antenna_of_a_saturating_device_has_a_drive_of_its_own(kit):
    W = kit.complex_gaussian((4, 3), 0)
    scaled = metrics.rescale_to_radiated(W, Saturating(1.0), 2.0, per_antenna=True)
    # The accuracy that is promised where six evaluations do not reach more.
    np.testing.assert_allclose(metrics.antenna_power(scaled, Saturating(1.0)), 0.5, rtol=1e-6)


@frozen
class Coupled(Hardware):
    """A coupling of neighbours."""

    memoryless = False

    def apply(self, x, rng=None, *, power=None):
        return x + 0.1 * np.roll(x, 1, axis=-2)

    def linear_model(self, R):
        chains = R.shape[-1]
        gain = np.eye(chains) + 0.1 * np.roll(np.eye(chains), 1, axis=0)
        return LinearModel(np.broadcast_to(gain, R.shape), np.zeros(R.shape[:-1]), coupled=True)


def test_antennas_that_couple_have_no_share_of_their_own(kit):
    with pytest.raises(InvalidInput, match="per_antenna: must be false where the transmit chains couple"):
        metrics.rescale_to_radiated(kit.complex_gaussian((4, 2), 0), Coupled(), 1.0, per_antenna=True)


@pytest.mark.parametrize("power", [1.0, 2.0, 3.8])
def test_rescaling_finds_the_drive_of_a_saturating_device(kit, power):
    # Four chains that saturate at 1 W each.
    W = kit.complex_gaussian((2, 4, 3), 0)
    scaled = metrics.rescale_to_radiated(W, Saturating(1.0), power)
    np.testing.assert_allclose(metrics.radiated_power(scaled, Saturating(1.0)), power, rtol=1e-11)
    assert np.all(np.linalg.norm(scaled, axis=(-2, -1)) ** 2 > power)


@pytest.mark.parametrize("level", [0.01, 0.2, 0.5, 0.7, 0.8, 0.85, 0.9])
@pytest.mark.parametrize("amplitude", [[1.0] * 4, [0.5, 2.0]])
def test_scaling_takes_at_most_six_evaluations_of_a_saturating_device(kit, counted, level, amplitude):
    saturation = np.square(amplitude)
    device = counted(Saturating(np.array(amplitude)[:, None]))
    for seed in range(3):
        W = kit.complex_gaussian((len(amplitude), 3), seed)
        scaled = metrics.rescale_to_radiated(W, device, level * saturation.sum())
        assert len(device.asked) <= 6
        device.asked.clear()
        # The accuracy that is promised where six evaluations do not reach more.
        assert metrics.radiated_power(scaled, device) == pytest.approx(level * saturation.sum(), rel=1e-6)
        device.asked.clear()


def test_scaling_does_not_depend_on_how_a_precoder_was_scaled(kit):
    W = kit.complex_gaussian((4, 3), 0)
    scaled = [metrics.rescale_to_radiated(factor * W, Saturating(1.0), 3.0) for factor in (1.0, 2.0**-40, 2.0**40)]
    assert len({kit.raw_bytes(X) for X in scaled}) == 1  # powers of two round nothing


def test_a_member_of_a_rescaled_batch_has_the_bytes_it_has_alone(kit):
    W = kit.complex_gaussian((3, 4, 3), 0) * np.array([0.1, 1.0, 10.0])[:, None, None]
    power = np.array([3.5, 0.01, 2.0])
    for device in (Saturating(1.0), Aqnm(2)):
        together = metrics.rescale_to_radiated(W, device, power)
        for i in range(3):
            alone = metrics.rescale_to_radiated(W[i], device, power[i])
            assert kit.raw_bytes(together[i]) == kit.raw_bytes(alone)


def test_power_beyond_saturation_is_refused_with_the_limit(kit):
    W = kit.complex_gaussian((4, 3), 0)
    with pytest.raises(
        InvalidInput, match="power: must be reachable, in W: the transmit chains saturate near .* W, got 5"
    ) as e:
        metrics.rescale_to_radiated(W, Saturating(1.0), 5.0)
    limit = float(str(e.value).split("near ")[1].split(" W")[0])
    assert 3.9 < limit <= 4.0  # four chains of 1 W


@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan, [1.0, -1.0]])
def test_the_wanted_power_must_be_positive(kit, bad):
    with pytest.raises(InvalidInput, match="power: must be positive and finite, got .*Check sign and unit"):
        metrics.rescale_to_radiated(kit.complex_gaussian((2, 4, 3), 0), Aqnm(3), bad)


def test_members_without_a_precoder_stay_as_they_are(kit):
    W = kit.complex_gaussian((3, 4, 2), 0)
    W[1], W[2] = np.nan, 0.0
    scaled = metrics.rescale_to_radiated(W, Aqnm(3), 1.0)
    assert metrics.radiated_power(scaled[0], Aqnm(3)) == pytest.approx(1.0, rel=1e-11)
    assert np.all(np.isnan(scaled[1]))
    assert np.all(scaled[2] == 0)


def test_a_beam_on_a_direction_radiates_all_its_power_there():
    array = UniformPlanarArray(3, 4)
    azimuth, zenith = 0.4, 1.1
    W = np.sqrt(2.0) * array.steering(azimuth, zenith)[:, None]
    assert metrics.beampattern(W, array, azimuth, zenith) == pytest.approx([2.0], rel=1e-12)
    around = metrics.beampattern(W, array, np.linspace(-1.5, 1.5, 31), zenith)
    assert around.shape == (31,)
    assert np.all(around <= 2.0 + 1e-12)


@given(seeds)
def test_the_beampattern_is_the_form_of_the_radiated_covariance(kit, seed):
    array, W = UniformPlanarArray(2, 3), kit.complex_gaussian((2, 6, 3), seed)
    azimuth = np.array([-0.5, 0.2, 1.0])
    alpha = np.array([1 - aqnm_distortion(b) for b in BITS])
    pattern = metrics.beampattern(W, array, azimuth, 1.2, Aqnm(BITS))
    assert pattern.shape == (2, 3)
    for member in range(2):
        R = W[member] @ np.conj(W[member]).T
        R = alpha[:, None] * R * alpha + np.diag(alpha * (1 - alpha) * np.diagonal(R).real)
        for i, angle in enumerate(azimuth):
            a = array.steering(angle, 1.2)
            assert pattern[member, i] == pytest.approx((np.conj(a) @ R @ a).real, rel=1e-10, abs=1e-12)


def test_energy_efficiency_is_rate_over_consumption():
    value = metrics.energy_efficiency([3.0, 5.0], [7.0, 0.0], 2.0)
    np.testing.assert_allclose(value, [(3.0 + 3.0) / 2.0, 2.5], rtol=1e-14)


def test_consumption_adds_oscillators_chains_converters_and_amplifier():
    model = ConverterPower()
    hardware = Transceiver(Aqnm(3), Aqnm(4), Aqnm(2))
    dac = 1.5e-5 * 2**3 + 9e-12 * 3 * 1e8
    adc, user_adc = 494e-15 * 1e8 * 2**4, 494e-15 * 1e8 * 2**2
    base_station = 22.5e-3 + 16 * (31.6e-3 + 2 * dac) + 20 * (31.6e-3 + 2 * adc) + 0.1 / 0.27
    users = 4 * (22.5e-3 + 31.6e-3 + 2 * user_adc)
    assert model.consumption(hardware, 16, 20, 4, 0.1) == pytest.approx(base_station + users, rel=1e-12)
    np.testing.assert_allclose(
        np.diff(model.consumption(hardware, 16, 20, 4, np.array([0.1, 0.37]))), 0.27 / 0.27, rtol=1e-12
    )
    assert model.consumption(Transceiver(), 16, 20, 4, 0.1) == np.inf


@pytest.mark.parametrize(
    ("name", "bad"),
    [("rf_chain", -1.0), ("sampling_rate", 0.0), ("amplifier_efficiency", np.nan), ("adc_figure", np.inf)],
)
def test_constants_of_the_consumption_must_be_positive(name, bad):
    with pytest.raises(
        InvalidInput, match=f"{name}: must be a finite number greater than 0, got .*Check sign and unit"
    ):
        ConverterPower(**{name: bad})


def test_the_resolution_of_a_chain_is_that_of_its_coarsest_converter():
    np.testing.assert_array_equal(Chain(Saturating(), Aqnm([2, 5]), MidRise(3)).resolution(2), [2, 3])
    for none in (Saturating(), Ideal(), Chain(), Chain(Saturating())):
        np.testing.assert_array_equal(none.resolution(2), [np.inf, np.inf])


@frozen
class ForeignConverter(Saturating):
    """A converter that the house does not know, which tells its bits."""

    def resolution(self, chains):
        return np.full(chains, 6.0)


def test_a_converter_of_a_plugin_draws_what_its_bits_say():
    model, foreign = ConverterPower(), Chain(Saturating(), ForeignConverter())
    drawn = model.consumption(Transceiver(foreign, foreign, foreign), 4, 5, 2, 0.1)
    assert drawn == model.consumption(Transceiver(Aqnm(6), Aqnm(6), Aqnm(6)), 4, 5, 2, 0.1)
    assert metrics.energy_efficiency(3.0, 7.0, drawn) > 0


def test_one_bit_radiates_two_over_pi():
    W = np.eye(3)
    assert metrics.radiated_power(W, MidRise(1)) == pytest.approx(3 * 2 / np.pi, rel=1e-12)
    assert mid_rise(1).power == pytest.approx(2 / np.pi, rel=1e-12)


def test_no_members_and_no_antennas_are_nothing_to_scale():
    assert metrics.rescale_to_radiated(np.ones((0, 0, 1)), Ideal(), 1.0).shape == (0, 0, 1)
    assert metrics.rescale_to_radiated(np.ones((0, 1)), Ideal(), 1.0).shape == (0, 1)
