"""What SQINR is attainable: printed formulas, limits, and precoders that attain or try to exceed it."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isacsim import Aqnm, InvalidInput, MidRise, Transceiver, metrics
from isacsim.hardware.codebooks import aqnm_distortion

DATA = Path(__file__).parents[1] / "data" / "sqnr-max"
BITS = [1, 2, 3, 4, 6, np.inf]
seeds = st.integers(0, 2**32 - 1)


def mixed(family=Aqnm):
    return Transceiver(transmit=family(BITS), user=family([2, 3]))


@pytest.mark.parametrize(("bits", "ceiling_db"), [(1, 2.43), (2, 8.76), (3, 14.46), (4, 20.18), (5, 26.01)])
def test_a_users_converter_caps_its_sqinr_at_alpha_over_one_minus_alpha(bits, ceiling_db):
    alpha = 1 - aqnm_distortion(bits)
    ceiling = metrics.sqinr_ceiling(Transceiver(user=Aqnm(bits)), 2)
    np.testing.assert_allclose(ceiling, alpha / (1 - alpha), rtol=1e-12)  # algebra
    assert 10 * np.log10(ceiling[0]) == pytest.approx(ceiling_db, abs=0.005)  # as rounded in print


def test_ideal_hardware_has_no_ceiling(kit):
    assert np.all(np.isinf(metrics.sqinr_ceiling(Transceiver(), 3)))
    H = kit.complex_gaussian((4, 3), 0)
    assert np.all(np.isinf(metrics.sqinr_bound(H, np.inf, 1.0, Transceiver())))
    # A matched filter at finite power.
    expected = 5.0 * np.linalg.norm(H, axis=0) ** 2 / 0.5
    np.testing.assert_allclose(metrics.sqinr_bound(H, 5.0, 0.5, Transceiver()), expected, rtol=1e-12)


def test_one_bit_converters_on_both_sides_cap_the_sqinr_whatever_the_power(kit):
    # S = sum_i alpha_i / (1 - alpha_i) of 8 antennas, behind a 1-bit receiver.
    alpha = 1 - aqnm_distortion(1)
    S = 8 * alpha / (1 - alpha)
    expected = alpha * S / (1 + (1 - alpha) * S)
    H = kit.complex_gaussian((8, 1), 0)
    bound = metrics.sqinr_bound(H, np.inf, 1.0, Transceiver(transmit=Aqnm(1), user=Aqnm(1)))
    np.testing.assert_allclose(bound, [expected], rtol=1e-12)
    assert bound[0] == pytest.approx(1.4643, abs=5e-5)  # the digits of an independent computation


@given(seeds, st.sampled_from([Aqnm, partial(MidRise, correlated=False)]))
def test_a_stream_to_one_user_alone_attains_the_bound(kit, seed, family):
    H, noise = kit.complex_gaussian((2, 6, 2), seed), np.array([0.1, 0.7])
    power, hardware = np.array([0.3, 20.0]), mixed(family)
    W, bound = (f(H, power, noise, hardware) for f in (metrics.single_user_precoder, metrics.sqinr_bound))
    for k in range(2):
        alone = np.zeros_like(W)
        alone[..., k] = W[..., k]
        np.testing.assert_allclose(metrics.radiated_power(alone, hardware.transmit), power, rtol=1e-12)
        reached = metrics.sqinr(H, alone, noise, hardware)[..., k]
        np.testing.assert_allclose(reached, bound[..., k], rtol=1e-9)  # sqinr subtracts what it does not keep


@given(seeds, st.floats(0, 1))
def test_no_precoder_of_the_power_exceeds_the_bound(kit, seed, share):
    H, noise, hardware, power = kit.complex_gaussian((6, 2), seed), 0.2, mixed(), 3.0
    W = kit.complex_gaussian((6, 4), seed + 1)
    W[:, 0] += 10 * share * metrics.single_user_precoder(H, power, noise, hardware)[:, 0]
    W = metrics.rescale_to_radiated(W, hardware.transmit, power)
    assert np.all(metrics.sqinr(H, W, noise, hardware) <= metrics.sqinr_bound(H, power, noise, hardware) * (1 + 1e-9))


@given(seeds)
def test_the_bound_rises_with_the_power_toward_that_of_infinite_power(kit, seed):
    H, hardware = kit.complex_gaussian((6, 2), seed), mixed()
    power = np.array([1.0, 1e3, 1e12, np.inf])
    bound = metrics.sqinr_bound(H, power, 0.5, hardware)
    assert np.all(np.diff(bound, axis=0) >= 0)
    assert np.all(bound < metrics.sqinr_ceiling(hardware, 2) * (1 + 1e-12))
    np.testing.assert_allclose(bound[2], bound[3], rtol=1e-6)  # noise over power is 5e-13


def test_a_user_without_a_channel_has_no_sqinr():
    assert metrics.sqinr_bound(np.zeros((4, 1)), 1.0, 1.0, Transceiver()) == 0
    assert metrics.sqinr_bound(np.zeros((4, 1)), np.inf, 1.0, Transceiver(Aqnm(2), user=Aqnm(2))) == 0


def test_a_member_of_a_batch_has_the_bytes_it_has_alone(kit):
    H, power = kit.complex_gaussian((3, 6, 2), 0), np.array([1.0, 2.0, np.inf])
    together = metrics.sqinr_bound(H, power, 0.5, mixed())
    for i in range(3):
        assert kit.raw_bytes(together[i]) == kit.raw_bytes(metrics.sqinr_bound(H[i], power[i], 0.5, mixed()))


def test_correlated_distortion_is_refused(kit):
    from attrs import frozen

    from isacsim import Hardware, LinearModel

    @frozen
    class Correlated(Hardware):
        """Distortion of rank one."""

        def apply(self, x, rng=None, *, power=None):
            raise NotImplementedError

        def linear_model(self, R):
            return LinearModel(np.ones(np.shape(R)[:-1]), np.ones(np.shape(R)))

    with pytest.raises(InvalidInput, match="transceiver: must treat each chain by itself"):
        metrics.sqinr_bound(kit.complex_gaussian((4, 1), 0), 1.0, 1.0, Transceiver(Correlated()))


def test_the_bounds_of_a_reference_instance_are_met():
    d = np.load(DATA / "02_point_mixedDAC.npz")
    hardware = Transceiver(Aqnm(d["bits_dac"]), Aqnm(d["bits_adc"]), Aqnm(d["bits_user"]))
    # Two independent implementations of the same algebra; the power is 100 mW.
    np.testing.assert_allclose(metrics.sqinr_ceiling(hardware, 2), 27.95193978, rtol=1e-9)
    np.testing.assert_allclose(
        metrics.sqinr_bound(d["H"], 100.0, d["sigma2_k"], hardware), [23.21997251, 26.32972021], rtol=1e-9
    )
