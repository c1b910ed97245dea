"""SINR, SQINR and rate: the printed formulas, limits, and reference instances."""

from pathlib import Path

import numpy as np
import pytest
from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st

from isacsim import Aqnm, Hardware, InvalidInput, LinearModel, Transceiver, metrics
from isacsim.hardware.codebooks import aqnm_distortion
from isacsim.link import Link

DATA = Path(__file__).parents[1] / "data" / "sqnr-max"
INSTANCES = sorted(path.stem for path in DATA.glob("*.npz"))


def alphas(bits):
    return np.array([1 - aqnm_distortion(b) for b in bits])


def instance(name):
    d = np.load(DATA / f"{name}.npz")
    hardware = Transceiver(Aqnm(d["bits_dac"]), Aqnm(d["bits_adc"]), Aqnm(d["bits_user"]))
    return d, hardware


@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(0, 3))
def test_sinr_is_signal_over_interference_and_noise(kit, seed, users, sensing):
    H, W = kit.complex_gaussian((5, users), seed), kit.complex_gaussian((5, users + sensing), seed + 1)
    noise = np.random.default_rng(seed).uniform(0.1, 1.0, users)
    expected = []
    for k in range(users):
        received = [abs(np.vdot(H[:, k], W[:, j])) ** 2 for j in range(users + sensing)]
        expected.append(received[k] / (sum(received) - received[k] + noise[k]))
    np.testing.assert_allclose(metrics.sinr(H, W, noise), expected, rtol=1e-10)
    np.testing.assert_allclose(metrics.rate_nats(H, W, noise), np.log1p(expected), rtol=1e-10)
    np.testing.assert_allclose(metrics.rate_bits(H, W, noise), np.log2(1 + np.array(expected)), rtol=1e-10)
    assert metrics.sum_rate(H, W, noise) == pytest.approx(np.sum(np.log1p(expected)), rel=1e-10)
    assert metrics.sum_rate_bits(H, W, noise) == pytest.approx(np.sum(np.log2(1 + np.array(expected))), rel=1e-10)


bit_lists = st.lists(st.sampled_from([1, 2, 3, 4, 5, 6, 8, np.inf]), min_size=5, max_size=5)


@given(st.integers(0, 2**32 - 1), bit_lists, st.integers(0, 2))
def test_sqinr_is_the_ratio_written_out_term_by_term(kit, seed, bits, sensing):
    users = 3
    H, W = kit.complex_gaussian((5, users), seed), kit.complex_gaussian((5, users + sensing), seed + 1)
    a_t, a_k, noise = alphas(bits), alphas(bits[:users]), np.array([0.1, 0.5, 1.0])
    R = W @ np.conj(W).T
    R_q = np.diag(a_t * (1 - a_t) * np.diagonal(R).real)
    direct, short = np.zeros(users), np.zeros(users)
    for k in range(users):
        g = a_t * H[:, k]
        power = np.abs(np.conj(g) @ W) ** 2
        distortion = (np.conj(H[:, k]) @ R_q @ H[:, k]).real
        r = power.sum() + distortion + noise[k]
        other = power.sum() - power[k] + distortion + noise[k]
        direct[k] = a_k[k] ** 2 * power[k] / (a_k[k] ** 2 * other + a_k[k] * (1 - a_k[k]) * r)  # [Xu25, eq. (5)]
        short[k] = a_k[k] * power[k] / (r - a_k[k] * power[k])  # [Xu25, eq. (14)]
    hardware = Transceiver(transmit=Aqnm(bits), user=Aqnm(bits[:users]))
    # Algebra, but r - alpha S cancels when a user is almost free of interference.
    np.testing.assert_allclose(metrics.sqinr(H, W, noise, hardware), direct, rtol=1e-9)
    np.testing.assert_allclose(metrics.sqinr(H, W, noise, hardware), short, rtol=1e-9)


def test_a_user_of_few_bits_cannot_exceed_the_ceiling_of_its_converter(kit):
    H = kit.complex_gaussian((4, 1), 0)
    hardware = Transceiver(user=Aqnm(1))
    alpha = alphas([1])[0]
    # With power without end the SQINR tends to alpha / (1 - alpha).
    assert metrics.sqinr(H, 1e9 * H, 1.0, hardware)[0] == pytest.approx(alpha / (1 - alpha), rel=1e-9)


def test_correlated_distortion_reaches_the_users_with_its_correlation(kit):
    @frozen
    class Correlated(Hardware):
        """Distortion v v^H, of rank one."""

        v: tuple = ()

        def apply(self, x, rng=None, *, power=None):
            raise NotImplementedError

        def linear_model(self, R):
            v = np.array(self.v)
            return LinearModel(np.ones(np.shape(R)[:-1]), np.broadcast_to(np.outer(v, np.conj(v)), np.shape(R)))

    H, W, v = (kit.complex_gaussian(shape, i) for i, shape in enumerate([(4, 2), (4, 2), (4,)]))
    gains = np.abs(np.conj(H).T @ W) ** 2
    own = np.diagonal(gains)
    expected = own / (gains.sum(axis=1) - own + np.abs(np.conj(H).T @ v) ** 2 + 0.2)
    result = metrics.sqinr(H, W, 0.2, Transceiver(transmit=Correlated(tuple(v))))
    np.testing.assert_allclose(result, expected, rtol=1e-12)


@pytest.mark.parametrize("name", INSTANCES)
def test_the_reference_instances_are_met(name):
    d, hardware = instance(name)
    # Two independent implementations of the same algebra.
    np.testing.assert_allclose(metrics.sqinr(d["H"], d["Vtest"], d["sigma2_k"], hardware), d["Vtest_sqinr"], rtol=1e-10)
    radar = d["G"], d["Vtest"], d["sigma2_r"], hardware
    np.testing.assert_allclose(metrics.radar_sqnr(*radar), d["Vtest_sqnr"], rtol=1e-10)
    np.testing.assert_allclose(metrics.radar_sqnr_combiner(*radar), d["Vtest_sqnr_single_u"], rtol=1e-10)
    np.testing.assert_allclose(metrics.radiated_power(d["Vtest"], hardware.transmit), d["Vtest_power"], rtol=1e-10)


def test_there_are_reference_instances():
    assert len(INSTANCES) == 10


@given(st.integers(0, 2**32 - 1))
def test_more_bits_never_lower_a_users_sqinr(kit, seed):
    H, W = kit.complex_gaussian((5, 3), seed), kit.complex_gaussian((5, 3), seed + 1)
    coarse, fine = (metrics.sqinr(H, W, 0.3, Transceiver(user=Aqnm(b))) for b in (2, 3))
    assert np.all(fine > coarse)


def test_bits_of_another_number_of_users_are_refused(kit):
    H, W = kit.complex_gaussian((4, 3), 0), kit.complex_gaussian((4, 3), 1)
    with pytest.raises(InvalidInput, match="bits: must be one number, or one for each of the 3 chains"):
        metrics.sqinr(H, W, 1.0, Transceiver(user=Aqnm([1, 2])))


def test_mean_and_least_sqinr_are_those_of_the_users(kit):
    from isacsim.metrics.communication import MeanSqinr, MinSqinr
    from isacsim.testing import example_drop, example_precoder

    drop, hardware = example_drop(), Transceiver(user=Aqnm([1, 3]))
    W = example_precoder(drop)
    each = metrics.sqinr(drop.H, W, drop.noise_power, hardware)
    np.testing.assert_allclose(MeanSqinr().value(Link(W, drop, hardware)), (each[:, 0] + each[:, 1]) / 2, rtol=1e-14)
    np.testing.assert_array_equal(MinSqinr().value(Link(W, drop, hardware)), np.minimum(each[:, 0], each[:, 1]))
