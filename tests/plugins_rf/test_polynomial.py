"""The memory polynomial: moments of Gaussians, memory, and a series of another amplifier."""

from math import factorial

import numpy as np
import pytest

from isacsim import InvalidInput
from isacsim.hardware.base import estimate_linear_model
from isacsim.testing import check_hardware

pytest.importorskip("isacsim_rf", reason="the RF plugin is not installed")
from isacsim_rf.amplifiers import Saleh
from isacsim_rf.polynomial import MemoryPolynomial, moments


def single(power):
    return np.full((1, 1), power, complex)


def covariance(kit, chains, streams, batch=()):
    A = kit.complex_gaussian((*batch, chains, streams), 4)
    return A @ A.conj().swapaxes(-1, -2)


def test_the_third_order_has_the_textbook_gain_and_distortion():
    # y = x + c x |x|^2 / P: gain 1 + 2 c rho/P, distortion 2 |c|^2 rho^3/P^2, from E|x|^(2n) = n! rho^n.
    c, rho, P = -0.1 + 0.04j, 0.7, 2.0
    model = MemoryPolynomial(P, [[1.0, c]]).linear_model(single(rho))
    np.testing.assert_allclose(model.gain, 1 + 2 * c * rho / P, rtol=1e-14)
    np.testing.assert_allclose(model.distortion, 2 * abs(c) ** 2 * rho**3 / P**2, rtol=1e-14)


def test_third_order_distortion_of_two_chains_goes_with_the_cube_of_their_correlation():
    c, xi = 0.3j, 0.6 * np.exp(0.7j)
    R = np.array([[2.0, np.sqrt(2) * xi], [np.sqrt(2) * np.conj(xi), 1.0]])
    D = MemoryPolynomial(1.0, [[1.0, c]]).linear_model(R).distortion
    # E x1 |x1|^2 (x2 |x2|^2)* = 2 R12 |R12|^2 + 4 rho1 rho2 R12; the gain's part is the second term.
    np.testing.assert_allclose(D[0, 1], 2 * abs(c) ** 2 * R[0, 1] * abs(R[0, 1]) ** 2, rtol=1e-14)


def test_every_order_follows_from_the_moments():
    c, rho = np.array([1.0, -0.2 + 0.1j, 0.05j, 0.004]), 1.3
    model = MemoryPolynomial(1.0, [c]).linear_model(single(rho))
    gain = sum(c[k] * factorial(k + 1) * rho**k for k in range(4))
    power = sum(c[i] * np.conj(c[k]) * factorial(i + k + 1) * rho ** (i + k + 1) for i in range(4) for k in range(4))
    np.testing.assert_allclose(model.gain, gain, rtol=1e-14)
    # Orders of opposite sign cancel to about a tenth.
    np.testing.assert_allclose(model.distortion, power.real - abs(gain) ** 2 * rho, rtol=1e-12)


def test_what_a_tap_behind_carries_is_distortion_of_the_present_sample():
    tap = 0.2 - 0.1j
    model = MemoryPolynomial(1.0, [[1.0], [tap]]).linear_model(single(3.0))
    np.testing.assert_allclose(model.gain, 1.0)
    np.testing.assert_allclose(model.distortion, abs(tap) ** 2 * 3.0, rtol=1e-14)


def test_a_linear_memory_is_a_filter_that_starts_from_silence(kit):
    taps, x = np.array([1.0, 0.3j, -0.1]), kit.complex_gaussian((2, 3, 20), 0)
    y = MemoryPolynomial(1.0, taps[:, None]).apply(x)
    expected = [[np.convolve(chain, taps)[:20] for chain in member] for member in x]
    np.testing.assert_allclose(y, expected, rtol=1e-13, atol=1e-14)


def test_without_higher_orders_and_taps_it_changes_nothing(kit):
    x = kit.complex_gaussian((2, 9), 0)
    device = MemoryPolynomial(1.0, [[1.0, 0.0], [0.0, 0.0]])
    np.testing.assert_array_equal(device.apply(x), x)
    model = device.linear_model(covariance(kit, 2, 2))
    np.testing.assert_array_equal(model.gain, 1)
    np.testing.assert_array_equal(model.distortion, 0)


def test_the_series_of_an_amplifier_has_its_linear_model_far_below_saturation(kit):
    # 1/(1 + t/4) = sum (-t/4)^k with t = |x|^2/saturation; at 25 dB of back-off 5 terms leave 5! (1/1265)^5.
    R = covariance(kit, 3, 2)
    R = R / np.trace(R).real
    series = MemoryPolynomial(4 * 10**2.5, [[(-1) ** k for k in range(5)]]).linear_model(R)
    exact = Saleh(10**2.5, alpha_phi=0.0).linear_model(R)
    np.testing.assert_allclose(series.gain, exact.gain, rtol=1e-10)
    np.testing.assert_allclose(series.distortion, exact.distortion, rtol=1e-4)


def test_the_estimate_of_the_base_class_agrees_where_there_is_no_memory():
    device = MemoryPolynomial(4.0, [[1.0, -0.1 + 0.05j, 0.02j]])
    R = np.diag([0.5, 1.0, 2.0]).astype(complex)
    estimated, exact = estimate_linear_model(device, R), device.linear_model(R)
    np.testing.assert_allclose(estimated.gain, exact.gain, rtol=1e-3)  # its points miss the tail
    np.testing.assert_allclose(estimated.distortion, exact.distortion_power, rtol=0.05)


def test_several_taps_and_orders_keep_the_contract():
    check_hardware(MemoryPolynomial(10.0, [[1, -0.3j, 0.1], [0.1, 0.2, 0], [0, 0.1j, 0.05]]), samples=2**16)


def test_a_record_shorter_than_the_memory_is_taken():
    device = MemoryPolynomial(1.0, np.ones((5, 1)))
    np.testing.assert_array_equal(device.apply(np.ones((1, 3), complex)), [[1, 2, 3]])
    assert device.apply(np.zeros((4, 2, 0), complex)).shape == (4, 2, 0)


def test_members_of_a_batch_have_the_bytes_they_have_alone(kit):
    device, R = MemoryPolynomial(1.0, [[1, 0.1j], [0.1, 0.02]]), covariance(kit, 4, 2, (3,))
    whole = device.linear_model(R)
    for i in range(3):
        alone = device.linear_model(R[i])
        assert kit.raw_bytes(alone.gain) == kit.raw_bytes(whole.gain[i])
        assert kit.raw_bytes(alone.distortion) == kit.raw_bytes(whole.distortion[i])


@pytest.mark.parametrize("coefficients", [np.ones((2, 2, 2)), np.ones((0, 2)), np.ones((2, 0))])
def test_coefficients_that_are_no_table_are_refused(coefficients):
    with pytest.raises(InvalidInput, match="coefficients: must be a table of taps and orders"):
        MemoryPolynomial(1.0, coefficients)


def test_the_coefficients_are_projections_on_laguerre_polynomials():
    # Quadrature of E[z f(z)* ...] against L_m^(1), written out, pins sign and norm of every order.
    table = moments(4)
    u, w = np.polynomial.laguerre.laggauss(20)
    ladder = [1 + 0 * u, 2 - u, 3 - 3 * u + u**2 / 2, 4 - 6 * u + 2 * u**2 - u**3 / 6]
    for m, polynomial in enumerate(ladder):
        for k in range(4):
            projected = np.sum(w * u * u**k * polynomial) / np.sqrt(m + 1)
            np.testing.assert_allclose(table[m, k], projected, atol=1e-9)
