"""Scaling a precoder to what it shall radiate: how many evaluations of the hardware that takes, and where it ends."""

from typing import Any

import numpy as np
import pytest
from attrs import field, frozen
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import erfc

from isacsim import Hardware, LinearModel, MidRise, metrics
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
        self.device, self.count = device, 0

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
    found = drive_for(
        lambda drive: output(calls.append(drive) or drive), given, np.asarray(share * most), np.array(True)
    )
    assert found.reached == (share < 1)
    assert len(calls) <= 20  # a start far beyond the peak takes some 13
    if share < 1:
        np.testing.assert_allclose(output(found.factor).sum(), share * most, rtol=1e-5)
