"""Mutual coupling and the converter of a fixed full scale."""

import numpy as np
import pytest

from isacsim import Aqnm, Chain, InvalidInput, MidRise, Transceiver
from isacsim.hardware.base import estimate_linear_model
from isacsim.hardware.power import ConverterPower
from isacsim.metrics import radar_sqnr, sqinr
from isacsim.testing import check_hardware

pytest.importorskip("isacsim_rf", reason="the RF plugin is not installed")
from isacsim_rf.amplifiers import Rapp
from isacsim_rf.converters import ClippingDac, SigmaDelta
from isacsim_rf.coupling import MutualCoupling, NeighbourCoupling

C = np.array([[1, 0.1j, 0], [0.1j, 1, 0.1j], [0, 0.1j, 1]])


def test_a_matrix_mixes_samples_and_is_the_gain(kit):
    device, x, A = MutualCoupling(C), kit.complex_gaussian((2, 3, 9), 0), kit.complex_gaussian((3, 2), 1)
    np.testing.assert_allclose(device.apply(x), np.einsum("ij,bjl->bil", C, x), rtol=1e-12)
    model, R = device.linear_model(A @ A.conj().T), A @ A.conj().T
    np.testing.assert_array_equal(model.gain, C)
    np.testing.assert_allclose(model.output_covariance(R), C @ R @ C.conj().T, rtol=1e-12, atol=1e-14)
    check_hardware(Chain(Rapp(2.0), device), chains=3, samples=2**15)


def test_coupling_decays_by_the_steps_between_antennas():
    c = 0.2 - 0.1j
    row = NeighbourCoupling(c).coupling(4)[0]
    np.testing.assert_allclose(row, [1, c, c**2, c**3])
    banded = NeighbourCoupling(c, reach=1).coupling(4)
    np.testing.assert_array_equal(banded, np.eye(4) + c * (np.eye(4, k=1) + np.eye(4, k=-1)))
    # A planar array is the Kronecker product of its rows and columns, a = kron(a_h, a_v).
    planar = NeighbourCoupling(c, vertical=2).coupling(6)
    np.testing.assert_allclose(planar, np.kron(NeighbourCoupling(c).coupling(3), NeighbourCoupling(c).coupling(2)))


def test_without_coupling_nothing_changes(kit):
    x = kit.complex_gaussian((4, 5), 0)
    device = NeighbourCoupling(0)
    assert device.is_ideal
    np.testing.assert_array_equal(device.apply(x), x)
    check_hardware(device, samples=2**12)


def test_a_precoder_that_knows_the_coupling_undoes_it(kit):
    H, W = kit.complex_gaussian((4, 2), 0), kit.complex_gaussian((4, 2), 1)
    device = NeighbourCoupling(0.3 + 0.2j)
    inverse = np.linalg.inv(device.coupling(4))
    coupled = Transceiver(transmit=device)
    np.testing.assert_allclose(sqinr(H, inverse @ W, 0.1, coupled), sqinr(H, W, 0.1), rtol=1e-12)
    assert np.max(np.abs(sqinr(H, W, 0.1, coupled) / sqinr(H, W, 0.1) - 1)) > 0.05


def test_a_receive_array_loses_nothing_by_coupling_behind_the_noise_but_by_converters_behind_it(kit):
    G, W = kit.complex_gaussian((3, 4), 0), kit.complex_gaussian((4, 2), 1)
    behind = Transceiver(receive=MutualCoupling(C))
    np.testing.assert_allclose(radar_sqnr(G, W, 0.1, behind), radar_sqnr(G, W, 0.1), rtol=1e-12)
    converted = Transceiver(receive=Chain(MutualCoupling(C), MidRise(2)))
    assert radar_sqnr(G, W, 0.1, converted) < radar_sqnr(G, W, 0.1)


def test_coupling_that_cannot_be_is_refused():
    with pytest.raises(InvalidInput, match="matrix: must be a square matrix"):
        MutualCoupling(np.ones((2, 3)))
    with pytest.raises(InvalidInput, match="matrix: must give an invertible coupling matrix"):
        MutualCoupling(np.ones((2, 2)))
    with pytest.raises(InvalidInput, match="matrix: must have a row for each of the 2 chains"):
        MutualCoupling(C).apply(np.ones((2, 1), complex))
    with pytest.raises(InvalidInput, match="coefficient: must be below 1 in magnitude"):
        NeighbourCoupling(1.0)
    with pytest.raises(InvalidInput, match="vertical: must divide the 5 chains"):
        NeighbourCoupling(0.1, vertical=2).linear_model(np.eye(5, dtype=complex))
    # 1 + 2 c cos(pi/4) = 0: the lowest mode of three antennas vanishes.
    with pytest.raises(InvalidInput, match="coefficient: must give an invertible coupling matrix"):
        NeighbourCoupling(-np.sqrt(0.5), reach=1).coupling(3)


@pytest.mark.parametrize("bits", [2, 3, 6, 10])
@pytest.mark.parametrize("loading_db", [0, 6, 12])
def test_the_converter_keeps_the_contract_for_any_loading(bits, loading_db):
    check_hardware(ClippingDac(bits, 10 ** (loading_db / 10)), chains=1, samples=2**16)


def test_converters_draw_power_by_their_bits():
    amplifier, model = NeighbourCoupling(0.1), ConverterPower()
    np.testing.assert_array_equal(Chain(ClippingDac(6, 4.0), amplifier).resolution(3), [6, 6, 6])
    np.testing.assert_array_equal(SigmaDelta(32, 4.0).resolution(2), [6, 6])
    # As many conversion steps a sample: fs 2^bits for the one, 2 decisions of each of 32 bits for the other.
    loop, flash = (Transceiver(Aqnm(6), adc, Aqnm(6)) for adc in (SigmaDelta(32, 4.0), ClippingDac(6, 4.0)))
    drawn = [model.consumption(hardware, 4, 5, 2, 0.1) for hardware in (loop, flash)]
    assert drawn[0] == drawn[1] < np.inf


def test_levels_are_uniform_and_clip_at_full_scale():
    device = ClippingDac(bits=3, full_scale=9.0)  # levels -3 ... 3
    x = np.array([[0.4, 0.6, 2.4 - 2.6j, 100 - 100j, -3.4j]], complex)
    np.testing.assert_allclose(device.apply(x), [[0, 1, 2 - 3j, 3 - 3j, -3j]], atol=1e-15)


def test_its_closed_form_is_the_estimate_of_the_base_class():
    device, R = ClippingDac(4, [1.0, 2.0, 4.0, 30.0]), np.diag([1.0, 1.0, 1.0, 0.2]).astype(complex)
    estimated, exact = estimate_linear_model(device, R), device.linear_model(R)
    np.testing.assert_allclose(exact.gain, estimated.gain, rtol=1e-3)  # three digits are promised
    np.testing.assert_allclose(exact.distortion_power, estimated.distortion, rtol=0.01)


def test_limits_of_weak_strong_and_fine():
    # Below half a step nothing comes out; far above it is a hard limiter of each part, gain sqrt(2/pi)/sigma.
    weak, strong = (ClippingDac(4, 1.0).linear_model(np.full((1, 1), p, complex)) for p in (1e-5, 1e8))
    np.testing.assert_allclose([weak.gain[0], weak.distortion[0]], 0, atol=1e-15)
    np.testing.assert_allclose(strong.gain, np.sqrt(2 / np.pi) / np.sqrt(0.5e8), rtol=1e-4)
    np.testing.assert_allclose(strong.distortion, 2 * (1 - 2 / np.pi), rtol=1e-3)
    # Many bits with room for the peaks: the noise of a uniform step, step^2/12 in each part.
    fine = ClippingDac(12, 20.0).linear_model(np.ones((1, 1), complex))
    step = np.sqrt(20) / 2047
    np.testing.assert_allclose(fine.gain, 1, rtol=1e-7)
    # Clipping beyond 6.3 deviations adds 4e-10, under 1e-3 of it.
    np.testing.assert_allclose(fine.distortion, 2 * step**2 / 12, rtol=1e-3)


def test_silence_stays_silence():
    model = ClippingDac(8, 1.0).linear_model(np.zeros((2, 2), complex))
    np.testing.assert_array_equal(model.gain, 0)
    np.testing.assert_array_equal(model.distortion, 0)


def test_a_loading_between_clipping_and_coarseness_is_best():
    # The bits see the loading factor alone: scaling signal and full scale together changes nothing.
    loading = np.geomspace(1, 100, 60)
    R = np.ones((1, 1), complex)
    models = [ClippingDac(6, f).linear_model(R) for f in loading]
    sdr = np.array([m.gain[0] ** 2 / m.distortion[0] for m in models])
    best = int(np.argmax(sdr))
    assert 0 < best < 59
    assert np.all(np.diff(sdr[: best + 1]) > 0)
    assert np.all(np.diff(sdr[best:]) < 0)
    scaled = ClippingDac(6, 7 * loading[best]).linear_model(7 * R)
    np.testing.assert_allclose(scaled.gain[0] ** 2 * 7 / scaled.distortion[0], sdr[best], rtol=1e-10)


@pytest.mark.parametrize("bits", [1, 13, 2.5, True, np.inf])
def test_a_resolution_it_does_not_have_is_refused(bits):
    with pytest.raises(InvalidInput, match="bits: must be a whole number from 2 to 12"):
        ClippingDac(bits, 1.0)


def test_the_running_sum_is_what_the_loop_of_one_bit_puts_out(kit):
    # The loop itself, bit by bit: v integrates input minus output, the output is its sign.
    M, A, x = 8, 2.0, kit.complex_gaussian((1, 40), 0)
    y = SigmaDelta(M, A**2).apply(x)[0]
    for got, sent in ((y.real, x[0].real), (y.imag, x[0].imag)):
        v, means = 0.0, []
        for sample in np.clip(sent, -A, A):
            bits = []
            for _ in range(M):
                v += sample
                bits.append(A if v >= 0 else -A)
                v -= bits[-1]
            means.append(np.mean(bits))
        np.testing.assert_allclose(got, means, atol=1e-12)


@pytest.mark.parametrize("oversampling", [2, 8, 32, 256])
@pytest.mark.parametrize("loading", [1.0, 4.0, 16.0])
def test_a_sigma_delta_converter_keeps_the_contract(oversampling, loading):
    # The model leaves out how the density ends at the clipping level: up to 1 % where a sixth clips at M = 2.
    check_hardware(SigmaDelta(oversampling, loading), chains=1, samples=2**16, distortion_rtol=0.02)


def test_sigma_delta_noise_falls_by_6_db_an_octave_down_to_the_clipping():
    R = np.ones((1, 1), complex)
    noise = np.array([SigmaDelta(2**n, 30.0).linear_model(R).distortion[0] for n in range(5, 10)])
    np.testing.assert_allclose(noise[:-1] / noise[1:], 4, rtol=1e-6)  # sigma is above a step, nothing clips
    clipped = np.array([SigmaDelta(2**n, 1.0).linear_model(R) for n in (10, 20)])
    np.testing.assert_allclose(clipped[0].distortion, clipped[1].distortion, rtol=1e-3)


def test_weak_input_of_a_sigma_delta_converter_is_lost_with_its_noise():
    models = [SigmaDelta(4, 1.0).linear_model(np.full((1, 1), p, complex)) for p in (0.0, 1e-6, 1.0)]
    assert models[0].distortion[0] == 0
    # Half a step is gone through in (step/sigma)^2 samples: a random walk of noise power ~ step sigma.
    assert 0 < models[1].distortion[0] < 0.01 * models[2].distortion[0]


@pytest.mark.parametrize("oversampling", [0, 3, True, 4.0])
def test_an_oversampling_that_is_not_even_is_refused(oversampling):
    with pytest.raises(InvalidInput, match="oversampling: must be an even whole number"):
        SigmaDelta(oversampling, 1.0)


def test_members_of_a_batch_have_the_bytes_they_have_alone(kit):
    A = kit.complex_gaussian((2, 3, 2), 1)
    R, x = A @ A.conj().swapaxes(-1, -2), kit.complex_gaussian((2, 3, 11), 2)
    for device in (
        ClippingDac(5, 3.0),
        SigmaDelta(16, 3.0),
        NeighbourCoupling(0.2j),
        Chain(ClippingDac(5, 3.0), Rapp(1.0), MutualCoupling(C)),
    ):
        whole, samples = device.linear_model(R), device.apply(x)
        for i in range(2):
            alone = device.linear_model(R[i])
            assert kit.raw_bytes(alone.gain) == kit.raw_bytes(whole.gain[i])
            assert kit.raw_bytes(alone.distortion) == kit.raw_bytes(whole.distortion[i])
            assert kit.raw_bytes(device.apply(x[i])) == kit.raw_bytes(samples[i])


@pytest.mark.parametrize("lead", [(), (2,), (0,)])
def test_a_side_without_chains_has_a_model_of_nothing(lead):
    device = ClippingDac(bits=2, full_scale=1.0)
    R = np.zeros((*lead, 0, 0), complex)
    model = device.linear_model(R)
    assert model.gain.shape == model.distortion_power.shape == (*lead, 0)
    assert device.linear_model_vjp(R, model.gain, model.distortion).shape == R.shape
