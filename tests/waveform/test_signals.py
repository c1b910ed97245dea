"""Signals: second-order statistics of what the hardware puts out, blocks, common random numbers."""

import numpy as np
import pytest

from isacsim import Aqnm, Chain, Hardware, Ideal, InvalidInput, MidRise
from isacsim.hardware.base import chain_power
from isacsim.link import Reception, Transmission, covariance
from isacsim.random import complex_normal
from isacsim.waveform.signals import (
    BLOCK,
    Sources,
    blocks,
    gaussian_symbols,
    radiate,
    receive,
    through,
)


def sources(seed=0):
    return Sources.of(np.random.default_rng(seed))


def precoder(seed=0, antennas=8, streams=3):
    return complex_normal(np.random.default_rng(seed), (antennas, streams))


@pytest.mark.parametrize("count", [1, 2, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 5])
def test_blocks_add_up_and_none_is_a_sliver(count):
    lengths = list(blocks(count))
    assert sum(lengths) == count
    assert max(lengths) <= BLOCK
    assert max(lengths) - min(lengths) <= 1


@pytest.mark.parametrize("table", ["uniform", "lloyd-max"])
@pytest.mark.parametrize("bits", [1, 2, 3, 4])
def test_radiated_power_and_gain_of_each_chain_are_those_of_the_linear_model(bits, table):
    W, device, count = precoder(bits), Aqnm(bits, table=table), 2**17
    R, model = covariance(W), Aqnm(bits, table=table).linear_model(covariance(W))
    drawn = sources(bits)
    s = gaussian_symbols(W, count, drawn)
    x, x_q = W @ s, radiate(W, s, device, drawn)
    # |x_q|^2 and x_q x* vary by at most their mean, as those of Gaussian samples do; the
    # printed Lloyd-Max table is rounded to four digits.
    tolerance = 4 / np.sqrt(count) + 1e-4
    np.testing.assert_allclose(np.mean(np.abs(x_q) ** 2, -1), model.output_power(R), rtol=tolerance)
    gain = np.mean(x_q * x.conj(), -1) / chain_power(R)
    np.testing.assert_allclose(gain, model.gain, rtol=tolerance)


def test_received_power_is_echo_plus_noise():
    rng, count = np.random.default_rng(1), 2**17
    W, G, noise = precoder(1), complex_normal(rng, (5, 8)), np.linspace(0.5, 3.0, 5)
    sent = Transmission.of(np.pad(W, ((0, 0), (0, 2))), Ideal())  # a stream for each of five receivers
    power = Reception.of(G.conj().T, sent, noise, Ideal()).power
    drawn = sources(1)
    x = radiate(W, gaussian_symbols(W, count, drawn), Ideal(), drawn)
    y = receive("receive", Ideal(), G @ x, noise, power, drawn)
    np.testing.assert_allclose(np.mean(np.abs(y) ** 2, -1), power, rtol=4 / np.sqrt(count))
    expected = np.diag(G @ covariance(W) @ G.conj().T).real + noise
    np.testing.assert_allclose(power, expected, rtol=1e-12)


class Jitter(Hardware):
    """Draws as many numbers as it is told to."""

    def __init__(self, draws):
        self.draws = draws

    def apply(self, x, rng=None, *, power=None):
        rng.standard_normal(self.draws)
        return x


def test_hardware_that_draws_leaves_symbols_and_noise_as_they_are():
    W, H = precoder(), complex_normal(np.random.default_rng(2), (4, 8))

    def samples(device):
        drawn = sources(3)
        x = radiate(W, gaussian_symbols(W, 16, drawn), device, drawn)
        return receive("user", device, H @ x, np.ones(4), np.ones(4), drawn)

    assert samples(Jitter(0)).tobytes() == samples(Jitter(7)).tobytes()


@pytest.mark.parametrize("device", [Ideal(), Aqnm(3), MidRise([1, 2, 3, 4]), Chain(Aqnm(2), Ideal())])
def test_no_samples_in_is_no_samples_out(device):
    assert through("transmit", device, np.zeros((4, 0), complex), np.ones(4), sources()).shape == (4, 0)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_samples_that_are_not_finite_name_the_chain(value):
    x = np.ones((4, 3), complex)
    x[2, 1] = value
    with pytest.raises(InvalidInput, match="transmit input, chain 2: must be finite samples"):
        through("transmit", Aqnm(3), x, np.ones(4), sources())


def test_a_stage_that_puts_out_nan_names_the_chain():
    class Broken(Hardware):
        def apply(self, x, rng=None, *, power=None):
            y = np.array(x)
            y[..., 1, 0] = np.nan
            return y

    with pytest.raises(InvalidInput, match="receive output, chain 1: must be finite samples"):
        receive("receive", Broken(), np.ones((4, 3), complex), np.ones(4), np.ones(4), sources())
