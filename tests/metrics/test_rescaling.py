"""Scaling a precoder to what it shall radiate: how many evaluations of the hardware that takes, and where it ends."""

from typing import Any

import numpy as np
import pytest
from attrs import field, frozen
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import erfc

from isacsim import Hardware, InvalidInput, LinearModel, MidRise, metrics
from isacsim.batch import same_array
from isacsim.metrics.scaling import drive_for


@frozen
class Limiter(Hardware):
    """Clips envelopes at the roots of ``saturation``: one number, or one for each chain."""

    saturation: Any = field(default=1.0, eq=same_array)

    def apply(self, x, rng=None, *, power=None):
        level = np.sqrt(np.asarray(self.saturation))[..., None]
        return x * np.minimum(1.0, level / np.maximum(np.abs(x), np.finfo(float).tiny))


@frozen
class Closed(Limiter):
    """The same device, which knows its model: E |f(x)|^2 = P (1 - exp(-s / P)) of Gaussian x of power P."""

    def linear_model(self, R):
        P = np.diagonal(R, axis1=-2, axis2=-1).real
        ratio = self.saturation / P
        gain = -np.expm1(-ratio) + np.sqrt(np.pi * ratio) / 2 * erfc(np.sqrt(ratio))
        return LinearModel(gain, P * np.maximum(-np.expm1(-ratio) - gain**2, 0.0))


class Counting:
    """A device that counts how often its linear model is asked for."""

    is_ideal = False

    def __init__(self, device):
        self.device, self.count, self.scale_free = device, 0, device.scale_free

    def linear_model(self, R):
        self.count += 1
        return self.device.linear_model(R)


@pytest.mark.parametrize("share", [0.01, 0.1, 0.3, 0.5, 0.7])
@pytest.mark.parametrize("device", [Closed(1.0), Closed(np.geomspace(0.5, 2.0, 8))], ids=["alike", "unlike"])
@given(seed=st.integers(0, 2**32 - 1), drive=st.floats(-20, 6))
@settings(max_examples=5)
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


@pytest.mark.parametrize("told", [True, False])
def test_one_evaluation_scales_what_is_known_to_be_linear_and_two_what_is_found_to_be(kit, told):
    counting = Counting(MidRise(3))
    counting.scale_free = told  # a device need not say so
    W = metrics.rescale_to_radiated(kit.complex_gaussian((5, 4, 2), 0), counting, 7.0)
    assert counting.count == (1 if told else 2)
    np.testing.assert_allclose(metrics.radiated_power(W, MidRise(3)), 7.0, rtol=1e-13)  # rounding


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


@pytest.mark.parametrize("gain", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99, 0.999, 1.001])
@pytest.mark.parametrize("seed", range(2))
def test_what_is_below_a_peak_is_found_wherever_the_search_starts_and_what_is_above_is_not(gain, share, seed):
    given = np.random.default_rng(seed).uniform(0.1, 1.0, 8)

    def output(drive):  # Saleh's curve, of the power of each chain
        received = gain * drive[..., None] * given
        return received / (1 + received) ** 2

    most = output(np.exp(np.linspace(-3.0, 5.0, 2001)) / gain).sum(axis=-1).max()  # to 1e-5
    calls = []

    def asked(members, drive):
        calls.append(drive.shape)
        return output(drive)

    found = drive_for(asked, given[None], np.array([share * most]), np.array([True]))
    assert found.reached[0] == (share < 1)
    assert len(calls) <= 6
    if share < 1:
        np.testing.assert_allclose(output(found.factor).sum(), share * most, rtol=1e-5)
    else:
        np.testing.assert_allclose(found.most, most, rtol=1e-5)  # the reason that is told


@pytest.mark.parametrize("share", [0.9, 0.99, 0.9999, 1.0001])
@pytest.mark.parametrize("drive", [1e-6, 1.0, 1e6])
def test_six_evaluations_tell_whether_a_power_near_saturation_can_be_radiated(kit, share, drive):
    device = Counting(Closed(np.geomspace(0.5, 2.0, 8)))
    most = np.geomspace(0.5, 2.0, 8).sum()
    W = drive * kit.complex_gaussian((8, 4), 0)
    if share < 1:
        scaled = metrics.rescale_to_radiated(W, device, share * most)
        # The accuracy that is promised where six evaluations do not tell more.
        np.testing.assert_allclose(metrics.radiated_power(scaled, device.device), share * most, rtol=1e-6)
    else:
        with pytest.raises(InvalidInput, match="must be reachable, in W: the transmit chains saturate near"):
            metrics.rescale_to_radiated(W, device, share * most)
    assert device.count <= 6


def test_members_of_a_batch_that_are_searched_for_in_different_ways_have_the_bytes_they_have_alone(kit):
    device = Closed(np.geomspace(0.5, 2.0, 4))
    W, power = kit.complex_gaussian((4, 4, 2), 0), np.array([0.01, 0.5, 0.95, 0.999]) * np.geomspace(0.5, 2.0, 4).sum()
    together = metrics.rescale_to_radiated(W, device, power)
    for i in range(4):
        alone = metrics.rescale_to_radiated(W[i], device, power[i])
        assert kit.raw_bytes(together[i]) == kit.raw_bytes(alone)


@pytest.mark.parametrize("start", [0.02, 1.0, 100.0])
def test_antennas_that_are_scaled_by_themselves_take_six_evaluations_too(kit, start):
    levels = np.geomspace(0.5, 2.0, 4)
    shares = np.array([0.3, 0.97])[:, None] * levels.min()  # of the weakest antenna, so that others are scaled easily
    W, power = start * kit.complex_gaussian((2, 4, 3), 0), 4 * shares[:, 0]
    together = metrics.rescale_to_radiated(W, Closed(levels), power, per_antenna=True)
    np.testing.assert_allclose(
        metrics.antenna_power(together, Closed(levels)), np.repeat(shares, 4, axis=1), rtol=1e-6
    )  # the accuracy that is promised
    for i in range(2):
        device = Counting(Closed(levels))
        alone = metrics.rescale_to_radiated(W[i], device, power[i], per_antenna=True)
        assert device.count <= 6
        assert kit.raw_bytes(alone) == kit.raw_bytes(together[i])
