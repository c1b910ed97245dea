"""The radar SQNR that samples have: unbiased on ideal hardware, below the model where streams are few."""

import numpy as np
import pytest

from isacsim import Drop, Ideal, InvalidInput, MidRise, PointTargets, ResponseMatrix, Transceiver, UniformLinearArray
from isacsim.link import Link
from isacsim.metrics import radar_sqnr
from isacsim.random import complex_normal
from isacsim.waveform.echoes import EchoPath
from isacsim.waveform.sensing import SampledEcho, sampled_radar_sqnr

ARRAY = UniformLinearArray(4, normalized=False)
POINT = PointTargets(ARRAY, ARRAY, [0.3], [np.pi / 2], [0.5])
EXTENDED = ResponseMatrix(complex_normal(np.random.default_rng(2), (4, 4)))


@pytest.mark.parametrize("scene", [POINT, EXTENDED])
@pytest.mark.parametrize("power", [0.1, 10.0])
@pytest.mark.parametrize("repeats", [1000, pytest.param(4000, marks=pytest.mark.slow)])
def test_on_ideal_hardware_it_is_unbiased_and_spread_as_stated(scene, power, repeats):
    W, n = np.sqrt(power) * complex_normal(np.random.default_rng(1), (4, 3)), 300
    true = radar_sqnr(scene.response(), W, 0.7)
    many = EchoPath.of(scene, np.broadcast_to(W, (repeats, 4, 3)).copy(), 0.7, Transceiver())
    found = sampled_radar_sqnr(many, np.random.default_rng(3), n)
    assert abs(found.mean() - true) < 4 * found.std() / np.sqrt(repeats)
    # "At most about": a tenth for terms of second order in (N_r + K + S) / n.
    assert found.std() < 1.1 * true * np.sqrt((1 + 2 / true) / n)


@pytest.mark.parametrize("bits", [2, 3, 4])
def test_one_stream_makes_chains_distort_in_unison_and_the_additive_model_optimistic(bits):
    size, rng = 16, np.random.default_rng(5)
    scene = ResponseMatrix(complex_normal(rng, (size, size)) / 3)
    W, n = 10 * complex_normal(rng, (size, 1)) / np.sqrt(size), 2**15
    hardware = Transceiver(MidRise(bits, correlated=False), MidRise(bits, correlated=False))
    predicted = radar_sqnr(scene.response(), W, 1.0, hardware)
    found = sampled_radar_sqnr(EchoPath.of(scene, W, 1.0, hardware), np.random.default_rng(0), n)
    # Ten standard deviations of the estimate, far from agreement.
    assert found < predicted * (1 - 10 * np.sqrt((1 + 2 / predicted) / n))


def test_one_chain_on_either_side_is_as_the_model_says():
    # One chain has no other to distort in unison with: AQNM is exact there for Gaussian input.
    one, n = UniformLinearArray(1), 2**18
    scene = PointTargets(one, one, [0.0], [np.pi / 2], [1.0])
    for hardware in (Transceiver(transmit=MidRise(2)), Transceiver(receive=MidRise(2))):
        predicted = radar_sqnr(scene.response(), [[1.5]], 0.3, hardware)
        found = sampled_radar_sqnr(EchoPath.of(scene, [[1.5]], 0.3, hardware), np.random.default_rng(0), n)
        # Distortion of bounded samples spreads less than Gaussian noise.
        assert abs(found - predicted) < 4 * predicted * np.sqrt((1 + 2 / predicted) / n)


def test_too_few_symbols_are_refused():
    path = EchoPath.of(POINT, np.ones((4, 2)), 1.0, Transceiver())
    with pytest.raises(InvalidInput, match=r"symbols: must be at least N_r \+ K \+ S \+ 1 = 7, got 6"):
        sampled_radar_sqnr(path, np.random.default_rng(0), 6)


def test_a_member_of_a_batch_has_the_bytes_it_has_alone():
    W = complex_normal(np.random.default_rng(1), (3, 4, 2))
    hardware = Transceiver(MidRise(2), MidRise(3))

    def measure(members):
        drop = Drop(np.ones((4, 1)), POINT, ARRAY, ARRAY, 1.0, [1.0], 0.7)
        rngs = [np.random.default_rng(i) for i in members]
        return SampledEcho(symbols=9000).measure(Link(W[members], drop, hardware), rngs)["sampled-radar-sqnr"]

    together = measure([0, 1, 2])
    for i in range(3):
        assert measure([i]).tobytes() == together[i : i + 1].tobytes()


def test_streams_that_send_nothing_change_nothing_but_the_draw():
    W = np.hstack([complex_normal(np.random.default_rng(1), (4, 2)), np.zeros((4, 3))])
    true = radar_sqnr(POINT.response(), W, 0.7)
    found = sampled_radar_sqnr(EchoPath.of(POINT, W, 0.7, Transceiver(Ideal())), np.random.default_rng(0), 2**16)
    assert abs(found - true) < 4 * true * np.sqrt((1 + 2 / true) / 2**16)
