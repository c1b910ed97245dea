"""Linear models estimated once a device and interpolated over the power: accuracy, independence, and count."""

from typing import Any

import attrs
import numpy as np
import pytest
from attrs import field, frozen
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import erfc

from isacsim import Hardware, InvalidInput, MidRise, metrics
from isacsim.batch import same_array
from isacsim.hardware.base import diagonal_matrix, estimate_linear_model
from isacsim.hardware.tabulated import tabulated_linear_model

calls: list[int] = []


@frozen
class Limiter(Hardware):
    """Clips envelopes at the roots of ``saturation``: one number, or one for each chain."""

    saturation: Any = field(default=1.0, eq=same_array)
    turn: float = 0.0  # rad a chain, by its number

    def apply(self, x, rng=None, *, power=None):
        calls.append(x.shape[-2])
        level = np.sqrt(np.asarray(self.saturation))[..., None]
        turn = np.exp(1j * self.turn * np.arange(x.shape[-2]))[:, None]
        return turn * x * np.minimum(1.0, level / np.maximum(np.abs(x), np.finfo(float).tiny))


@frozen
class Polynomial(Hardware):
    """Compression and turning of phase with the envelope."""

    def apply(self, x, rng=None, *, power=None):
        return x * (1 - 0.1 * np.abs(x) ** 2 + 0.005j * np.abs(x) ** 4)


@frozen
class DeadZone(Hardware):
    """Nothing comes out below an envelope of 1."""

    def apply(self, x, rng=None, *, power=None):
        return x * np.maximum(1 - 1 / np.maximum(np.abs(x), np.finfo(float).tiny), 0)


@frozen
class Comparator(Hardware):
    """One bit of a fixed level, which no gain control sets."""

    def apply(self, x, rng=None, *, power=None):
        return np.sign(x.real) + 1j * np.sign(x.imag)


@frozen
class Noisy(Hardware):
    """Noise that it draws, of 0.01 W."""

    def apply(self, x, rng=None, *, power=None):
        return x + 0.1 * (rng.standard_normal(x.shape) + 1j * rng.standard_normal(x.shape)) / np.sqrt(2)


def closed_form(power, saturation=1.0):
    """Gain and distortion of the limiter for Gaussian input."""
    c = np.sqrt(saturation / power)
    gain = 1 - np.exp(-(c**2)) + np.sqrt(np.pi) / 2 * c * erfc(c)
    return gain, power * (1 - np.exp(-(c**2))) - gain**2 * power


@pytest.mark.parametrize("device", [Limiter(), Limiter(turn=0.3), Polynomial(), DeadZone(), Noisy()], ids=str)
@given(seed=st.integers(0, 2**32 - 1))
def test_what_is_interpolated_is_the_estimate_to_a_tenth_of_what_that_promises(device, seed):
    power = np.exp(np.random.default_rng(seed).uniform(np.log(1e-3), np.log(3.0), (2, 3)))
    R = diagonal_matrix(power).astype(complex)
    model, direct = device.linear_model(R), estimate_linear_model(device, R)
    # "About three digits": 1e-3 of a gain of 1 and of the input power.
    np.testing.assert_allclose(model.gain, direct.gain, rtol=0, atol=1e-4)
    np.testing.assert_allclose(model.distortion / power, direct.distortion / power, rtol=0, atol=1e-4)
    # Power that is radiated: what rescaling solves for.
    weak = 1e-3 * power  # where next to nothing leaves a dead zone
    np.testing.assert_allclose(model.output_power(R), direct.output_power(R), rtol=1e-4, atol=0.1 * weak.max())


@given(st.floats(-60, 60))
def test_the_model_has_the_closed_form_at_any_power_from_a_millionth_to_a_million_watts(power_db):
    power = 10 ** (power_db / 10)
    model = Limiter().linear_model(np.full((1, 1), power, complex))
    gain, distortion = closed_form(power)
    np.testing.assert_allclose(model.gain, gain, atol=1e-4)
    np.testing.assert_allclose(model.distortion / power, distortion / power, atol=1e-4)


def test_small_distortion_keeps_its_digits():
    """Third-order distortion 50 dB below the signal falls by 20 dB a decade of power."""
    power = np.geomspace(1e-3, 1e-1, 23)
    R = diagonal_matrix(power).astype(complex)
    model, direct = Polynomial().linear_model(R), estimate_linear_model(Polynomial(), R)
    np.testing.assert_allclose(model.distortion, direct.distortion, rtol=1e-3)


def test_a_fixed_level_is_followed_over_the_whole_range_of_numbers():
    for power in (1e-300, 1e-100, 1e-9, 1.0, 1e9, 1e100, 1e300):
        model = Comparator().linear_model(np.full((1, 1), power, complex))
        # The levels +-1 in each part: gain sqrt(4 / (pi power)), output power 2.
        np.testing.assert_allclose(model.gain * np.sqrt(power), np.sqrt(4 / np.pi), rtol=1e-3)
        np.testing.assert_allclose(model.distortion, 2 - 4 / np.pi, rtol=1e-3)


def test_a_converter_that_gain_controls_is_the_same_at_any_power():
    R = diagonal_matrix(np.geomspace(1e-6, 1e6, 5)).astype(complex)
    model, closed = tabulated_linear_model(MidRise([1, 2, 3, 4, 5]), R), MidRise([1, 2, 3, 4, 5]).linear_model(R)
    np.testing.assert_allclose(model.gain, closed.gain, atol=1e-3)
    np.testing.assert_allclose(model.distortion, closed.distortion, rtol=1e-2)


def test_each_chain_has_the_model_of_its_own_device():
    saturation = np.array([0.1, 1.0, 10.0])
    model = Limiter(saturation).linear_model(2.0 * np.eye(3, dtype=complex))
    for chain, level in enumerate(saturation):
        gain, distortion = closed_form(2.0, level)
        assert model.gain[chain] == pytest.approx(gain, abs=1e-4)
        assert model.distortion[chain] == pytest.approx(distortion, abs=2e-4)
    turned = Limiter(saturation, turn=0.3).linear_model(2.0 * np.eye(3, dtype=complex))
    np.testing.assert_allclose(turned.gain, np.exp(0.3j * np.arange(3)) * model.gain, rtol=1e-12)


def test_what_was_asked_before_changes_no_byte(kit):
    powers = np.geomspace(1e-4, 1e4, 17)
    random = np.random.default_rng(0).permutation(17)
    first = Limiter(1.2345)  # a value that no other test has
    alone = {i: first.linear_model(np.full((1, 1), powers[i], complex)) for i in random}
    together = Limiter(1.2345).linear_model(powers[:, None, None].astype(complex))
    for i in range(17):
        assert kit.raw_bytes(alone[i].gain) == kit.raw_bytes(together.gain[i])
        assert kit.raw_bytes(alone[i].distortion) == kit.raw_bytes(together.distortion[i])


def test_equal_devices_share_what_was_estimated_and_others_do_not():
    R = diagonal_matrix(np.geomspace(0.1, 1.0, 4)).astype(complex)
    device = Limiter(np.array([1.0, 2.0, 3.0, 4.5678]))
    before = device.linear_model(R)
    calls.clear()
    again = attrs.evolve(device, saturation=np.array([1.0, 2.0, 3.0, 4.5678])).linear_model(R)
    assert calls == []
    assert again.gain.tobytes() == before.gain.tobytes()
    other = attrs.evolve(device, saturation=np.array([1.0, 2.0, 3.0, 4.0])).linear_model(R)
    assert calls
    assert other.gain[3] != before.gain[3]


def test_a_device_whose_value_is_not_known_is_estimated_each_time():
    class Plain(Hardware):
        level = 1.0

        def apply(self, x, rng=None, *, power=None):
            return Limiter(self.level).apply(x)

    device, R = Plain(), np.eye(1, dtype=complex)
    before = device.linear_model(R)
    np.testing.assert_array_equal(before.gain, estimate_linear_model(device, R).gain)
    device.level = 0.1
    assert device.linear_model(R).gain[0].real < 0.5 * before.gain[0].real


def test_silent_chains_and_members_that_are_no_numbers_stand_alone():
    R = diagonal_matrix(np.array([[0.0, 1.0], [np.nan, 1.0], [0.0, 0.0]])).astype(complex)
    model = Limiter().linear_model(R)
    assert model.gain[0, 0] == model.gain[2, 0] == 1.0
    assert model.distortion[0, 0] == model.distortion[2, 1] == 0.0
    assert np.isnan(model.distortion[1, 0])
    assert model.gain[1, 1] == model.gain[0, 1]
    assert model.distortion[1, 1] == model.distortion[0, 1]
    noise = Noisy().linear_model(np.zeros((2, 2), complex)).distortion
    np.testing.assert_allclose(noise, 0.01, rtol=4 / np.sqrt(2**14))  # four standard errors of its samples


def test_memory_is_not_estimated():
    class Echo(Limiter):
        memoryless = False

    with pytest.raises(InvalidInput, match="hardware: must give a linear model where it has memory.*Override"):
        Echo().linear_model(np.eye(2, dtype=complex))


class Counting:
    """A device that counts how often its linear model is asked for."""

    is_ideal = False

    def __init__(self, device):
        self.device, self.count = device, 0

    def linear_model(self, R):
        self.count += 1
        return self.device.linear_model(R)


@pytest.mark.parametrize("share", [0.01, 0.1, 0.3, 0.5, 0.7])
@pytest.mark.parametrize("device", [Limiter(1.0), Limiter(np.geomspace(0.5, 2.0, 8))], ids=["alike", "unlike"])
@given(seed=st.integers(0, 2**32 - 1), drive=st.floats(-20, 6))
def test_six_evaluations_scale_to_a_share_of_what_the_chains_saturate_at(kit, device, share, seed, drive):
    W = kit.complex_gaussian((3, 8, 4), seed)
    W = W * np.sqrt(10 ** (drive / 10) * 8 * share) / np.linalg.norm(W, axis=(-2, -1), keepdims=True)
    power = share * np.broadcast_to(device.saturation, 8).sum()
    counting = Counting(device)
    scaled = metrics.rescale_to_radiated(W, counting, power)
    assert counting.count <= 6
    np.testing.assert_allclose(
        metrics.radiated_power(scaled, device), power, rtol=1e-11
    )  # 1e-12 where the last step is confirmed


def test_two_evaluations_scale_what_is_linear(kit):
    counting = Counting(MidRise(3))
    metrics.rescale_to_radiated(kit.complex_gaussian((5, 4, 2), 0), counting, 7.0)
    assert counting.count == 2


def test_scaling_finds_the_rising_side_of_a_device_that_has_a_peak(kit):
    @frozen
    class Folding(Hardware):
        """Puts out most at 1 W of input, and less beyond."""

        def apply(self, x, rng=None, *, power=None):
            return x * np.exp(-0.5 * power)[..., None]

    W = kit.complex_gaussian((4, 2), 0)
    W = W / np.linalg.norm(W, axis=-1, keepdims=True)  # 1 W a chain
    for start in (1e-3, 0.3, 0.9):
        scaled = metrics.rescale_to_radiated(np.sqrt(start) * W, Folding(), 1.2)
        assert metrics.radiated_power(scaled, Folding()) == pytest.approx(1.2, rel=1e-11)
