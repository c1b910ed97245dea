"""Radar SQNR: closed form of a point target, and the definition in full matrices."""

import numpy as np
import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from isacsim import Aqnm, Chain, InvalidInput, MidRise, Transceiver, UniformLinearArray, metrics
from isacsim.hardware.codebooks import aqnm_distortion
from isacsim.metrics.sensing import echo_of

bits = st.sampled_from([1, 2, 3, 4, 6, np.inf])
seeds = st.integers(0, 2**32 - 1)


def alphas(values):
    return np.array([1 - aqnm_distortion(b) for b in values])


def noise_and_signal(G, W, noise, a_t, a_r):
    """N and Q of [Xu25, eqs. (8), (9)], as full matrices."""
    R = W @ np.conj(W).T
    R_qt = np.diag(a_t * (1 - a_t) * np.diagonal(R).real)
    A_t, A_r = np.diag(a_t), np.diag(a_r)
    R_y = G @ (A_t @ R @ A_t + R_qt) @ np.conj(G).T + noise * np.eye(G.shape[0])
    R_qr = np.diag(a_r * (1 - a_r) * np.diagonal(R_y).real)
    N = A_r @ G @ A_t @ R @ A_t @ np.conj(G).T @ A_r
    Q = A_r @ G @ R_qt @ np.conj(G).T @ A_r + noise * A_r @ A_r + R_qr
    return N, Q


@given(seeds, st.lists(bits, min_size=4, max_size=4), st.lists(bits, min_size=3, max_size=3))
def test_radar_sqnr_is_the_trace_and_the_combiner_the_largest_eigenvalue(kit, seed, dac, adc):
    G, W = kit.complex_gaussian((3, 4), seed), kit.complex_gaussian((4, 5), seed + 1)
    N, Q = noise_and_signal(G, W, 0.7, alphas(dac), alphas(adc))
    spectrum = np.sort(np.linalg.eigvals(np.linalg.solve(Q, N)).real)
    hardware = Transceiver(transmit=Aqnm(dac), receive=Aqnm(adc))
    trace, largest = metrics.radar_sqnr(G, W, 0.7, hardware), metrics.radar_sqnr_combiner(G, W, 0.7, hardware)
    assert trace == pytest.approx(spectrum.sum(), rel=1e-9)
    assert largest == pytest.approx(spectrum[-1], rel=1e-9)
    assert largest <= trace * (1 + 1e-12)


@given(seeds, st.lists(bits, min_size=4, max_size=4), st.lists(bits, min_size=3, max_size=3))
def test_the_crb_of_the_response_is_the_trace_of_the_whole_inverse_information(kit, seed, dac, adc):
    G, W = kit.complex_gaussian((3, 4), seed), kit.complex_gaussian((4, 6), seed + 1)
    a_t, a_r = alphas(dac), alphas(adc)
    _, Q = noise_and_signal(G, W, 0.7, a_t, a_r)
    P, A_r = a_t[:, None] * (W @ np.conj(W).T) * a_t, np.diag(a_r)
    information = 20 * np.kron(P.T, A_r @ np.linalg.inv(Q) @ A_r)  # about vec(G)
    hardware = Transceiver(transmit=Aqnm(dac), receive=Aqnm(adc))
    found = metrics.response_crb(G, W, 0.7, 20, hardware)
    assert found == pytest.approx(np.trace(np.linalg.inv(information)).real, rel=1e-8)
    # What the converters put out is known: their distortion is probing power, not noise.
    assert metrics.response_crb(G, W, 0.7, 20, hardware, "radiated") <= found * (1 + 1e-9)


def test_the_crb_of_the_response_on_ideal_hardware_is_what_crb_min_minimises(kit):
    G, W = kit.complex_gaussian((3, 4), 0), kit.complex_gaussian((2, 4, 6), 1)
    R = W @ np.conj(W).swapaxes(-1, -2)
    expected = 0.5 * 3 / 20 * np.trace(np.linalg.inv(R), axis1=-2, axis2=-1).real
    np.testing.assert_allclose(metrics.response_crb(G, W, 0.5, 20), expected, rtol=1e-10)
    # Fewer streams than antennas leave directions of G unseen.
    assert metrics.response_crb(G, W[0, :, :3], 0.5, 20) == np.inf


@given(seeds, st.lists(bits, min_size=5, max_size=5), st.lists(bits, min_size=4, max_size=4), st.floats(-1.4, 1.4))
def test_the_sqnr_of_a_point_target_has_its_closed_form(kit, seed, dac, adc, azimuth):
    eta, noise = 0.8 * np.exp(0.3j), 0.5
    a, b = (
        UniformLinearArray(5, normalized=False).steering(azimuth),
        UniformLinearArray(4, normalized=False).steering(azimuth),
    )
    G, W = eta * np.outer(b, np.conj(a)), kit.complex_gaussian((5, 3), seed)
    a_t, a_r = alphas(dac), alphas(adc)
    R = W @ np.conj(W).T
    zeta = (np.conj(a) @ (a_t[:, None] * R * a_t) @ a).real
    epsilon = np.sum(a_t * (1 - a_t) * np.diagonal(R).real)
    eta2 = abs(eta) ** 2
    combined = np.sum(a_r / (eta2 * (zeta + epsilon) * (1 - a_r) + noise))
    closed = eta2 * zeta / (1 / combined + eta2 * epsilon)  # [Xu25, eq. (32)]
    hardware = Transceiver(transmit=Aqnm(dac), receive=Aqnm(adc))
    assert metrics.radar_sqnr(G, W, noise, hardware) == pytest.approx(closed, rel=1e-9)
    # A response of rank one has one non-zero eigenvalue: one combiner attains the trace.
    assert metrics.radar_sqnr_combiner(G, W, noise, hardware) == pytest.approx(closed, rel=1e-9)


def test_ideal_hardware_gives_the_echo_to_noise_ratio(kit):
    G, W = kit.complex_gaussian((3, 4), 0), kit.complex_gaussian((4, 2), 1)
    assert metrics.radar_sqnr(G, W, 0.5) == pytest.approx(np.linalg.norm(G @ W) ** 2 / 0.5, rel=1e-12)


@pytest.mark.parametrize("mode", ["signal", "radiated"])
@pytest.mark.parametrize(
    "hardware",
    [
        Transceiver(),
        Transceiver(receive=Aqnm(2)),
        Transceiver(transmit=Aqnm(2)),
        Transceiver(transmit=MidRise(1), receive=MidRise([1, 2, np.inf])),
    ],
    ids=["ideal", "receive", "transmit", "both"],
)
def test_the_link_is_the_same_whether_noise_is_kept_diagonal_or_full(kit, hardware, mode):
    G, W = kit.complex_gaussian((2, 3, 4), 0), kit.complex_gaussian((2, 4, 3), 1)
    C = kit.complex_gaussian((2, 3, 2), 2)
    link = echo_of(G, W, 0.4, hardware, mode)
    full = link.noise if link.noise.ndim == 3 else link.noise[..., None] * np.eye(3)
    received = link.gain[..., None] * C
    expected = np.conj(received.swapaxes(-1, -2)) @ np.linalg.solve(full, received)
    np.testing.assert_allclose(link.information(C), expected, rtol=1e-10, atol=1e-12)
    # The whole of what is received is signal and noise, whichever part is called reference.
    other = echo_of(G, W, 0.4, hardware, "radiated" if mode == "signal" else "signal")

    def total(one):
        noise = one.noise if one.noise.ndim == 3 else one.noise[..., None] * np.eye(3)
        gain = one.gain[..., :, None]
        return gain * (G @ one.probing @ np.conj(G.swapaxes(-1, -2))) * np.conj(gain.swapaxes(-1, -2)) + noise

    np.testing.assert_allclose(total(link), total(other), rtol=1e-10, atol=1e-12)


def test_radar_noise_and_precoders_broadcast_over_leading_axes(kit):
    G, W = kit.complex_gaussian((3, 4), 0), kit.complex_gaussian((2, 1, 4, 3), 1)
    noise = np.array([0.1, 0.2, 0.3])
    value = metrics.radar_sqnr(G, W, noise, Transceiver(receive=Aqnm(3)))
    assert value.shape == (2, 3)
    assert value[1, 2] == pytest.approx(metrics.radar_sqnr(G, W[1, 0], 0.3, Transceiver(receive=Aqnm(3))), rel=1e-14)


def test_a_member_without_a_precoder_gets_nan_and_disturbs_no_other(kit):
    G, W = kit.complex_gaussian((3, 4), 0), kit.complex_gaussian((2, 4, 3), 1)
    W[0] = np.nan
    hardware = Transceiver(Aqnm(2), Aqnm(2), Aqnm(2))
    for metric in (metrics.radar_sqnr, metrics.radar_sqnr_combiner):
        value = metric(G, W, 0.5, hardware)
        assert np.isnan(value[0])
        assert value[1] == pytest.approx(metric(G, W[1], 0.5, hardware), rel=1e-14)


def test_an_unknown_mode_is_refused(kit):
    with pytest.raises(InvalidInput, match="mode: must be 'signal' or 'radiated', got 'y'.*knows"):
        echo_of(np.ones((1, 2)), np.ones((2, 1)), 1.0, mode="y")


def test_chains_of_ideal_stages_change_nothing(kit):
    G, W = kit.complex_gaussian((3, 4), 0), kit.complex_gaussian((4, 2), 1)
    plain = Transceiver(transmit=Aqnm(3), receive=Aqnm(2))
    wrapped = evolve(plain, transmit=Chain(Aqnm(3), Aqnm(np.inf)), receive=Chain(Aqnm(np.inf), Aqnm(2)))
    assert metrics.radar_sqnr(G, W, 0.3, wrapped) == pytest.approx(metrics.radar_sqnr(G, W, 0.3, plain), rel=1e-12)


@pytest.mark.parametrize("noise", [1e-300, 1e-306, 1e-308, 1e-320])
def test_an_echo_beyond_the_range_of_numbers_has_an_infinite_sqnr_and_none_has_zero(kit, noise):
    """The ratio is ``|g|^2 |w|^2 / noise`` of a response of rank one and of one stream."""
    g, w = kit.complex_gaussian((3, 1), 0), np.stack([kit.complex_gaussian((1, 1), 1), np.zeros((1, 1))]) * 1e3
    with np.errstate(over="ignore"):
        expected = np.linalg.norm(g) ** 2 * np.abs(w[:, 0, 0]) ** 2 / noise
    for ratio in (metrics.radar_sqnr, metrics.radar_sqnr_combiner):
        np.testing.assert_allclose(ratio(g, w, noise), expected, rtol=1e-13)
