"""The sampled link: closed forms, its stated bias and spread, batches, edges."""

import numpy as np
import pytest

from isacsim import Aqnm, Drop, InvalidInput, MidRise, PointTargets, Transceiver, UniformLinearArray
from isacsim.metrics import sinr, sqinr
from isacsim.random import complex_normal
from isacsim.waveform.detection import Detection
from isacsim.waveform.link import SampledLink, sampled_sqinr
from isacsim.waveform.signals import BLOCK

ARRAY = UniformLinearArray(6)


def drop(trials, users=3):
    rng = np.random.default_rng(trials)
    H = complex_normal(rng, (trials, ARRAY.size, users))
    scene = PointTargets(ARRAY, ARRAY, [0.3], [np.pi / 2], [1.0])
    return Drop(H, scene, ARRAY, ARRAY, 1.0, np.linspace(0.1, 0.4, users), 1.0, snapshots=4)


def precoders(trials, streams=4, seed=5):
    return complex_normal(np.random.default_rng(seed), (trials, ARRAY.size, streams)) / 2


def generators(trials):
    return [np.random.default_rng([7, i]) for i in range(trials)]


def spread(true, n):
    """Standard deviation and bias that `sampled_sqinr` states for Gaussian samples."""
    return np.sqrt((2 * true * (1 + true) + 1 / n) / n), (1 + 2 * true) / (n - 2)


def test_on_ideal_hardware_it_measures_sinr_and_rate():
    realisations, W, n = drop(4), precoders(4), 2**16
    true = sinr(realisations.H, W, realisations.noise_power)
    values = SampledLink(symbols=n).measure(W, realisations, Transceiver(), generators(4))
    deviation, bias = spread(true, n)
    assert np.all(np.abs(values["sampled-sqinr"] - true - bias) < 4 * deviation)
    rate_deviation = np.sqrt(((deviation / (1 + true)) ** 2).sum(-1))
    rate_bias = (bias / (1 + true)).sum(-1)
    error = values["sampled-sum-rate-nats"] - np.log1p(true).sum(-1) - rate_bias
    assert np.all(np.abs(error) < 4 * rate_deviation)


@pytest.mark.parametrize("bits", [1, 2, 3, 5])
def test_through_the_users_converters_alone_the_closed_form_is_exact(bits):
    # One chain a user and Gaussian input: what the model neglects, correlation of the
    # distortion between chains, is not there.
    realisations, W, n = drop(2), precoders(2), 2**16
    hardware = Transceiver(user=MidRise(bits))
    true = sqinr(realisations.H, W, realisations.noise_power, hardware)
    values = SampledLink(symbols=n).measure(W, realisations, hardware, generators(2))
    deviation, bias = spread(true, n)
    assert np.all(np.abs(values["sampled-sqinr"] - true - bias) < 4 * deviation)


def test_bias_and_standard_deviation_are_as_stated():
    realisations, W, n, repeats = drop(1), precoders(1), 200, 2000
    H, noise = realisations.H[0], realisations.noise_power
    true = sinr(H, W[0], noise)
    many = np.broadcast_to(W[0], (repeats, *W[0].shape))
    found = sampled_sqinr(H, many, noise, Transceiver(), np.random.default_rng(0), n)
    deviation, bias = spread(true, n)
    np.testing.assert_allclose(found.std(axis=0), deviation, rtol=0.1)  # stated to first order
    assert np.all(np.abs(found.mean(axis=0) - true - bias) < 4 * found.std(axis=0) / np.sqrt(repeats))


def test_coarser_converters_measure_worse():
    realisations, W = drop(3), precoders(3)
    rates = [
        SampledLink(2**14).measure(W, realisations, hardware, generators(3))["sampled-sum-rate-nats"].mean()
        for hardware in (Transceiver(Aqnm(b), Aqnm(b), Aqnm(b)) for b in (1, 2, 4, np.inf))
    ]
    assert np.all(np.diff(rates) > 0)


def test_a_member_of_a_batch_has_the_bytes_it_has_alone():
    realisations, W, hardware = drop(3), precoders(3), Transceiver(Aqnm(2), Aqnm(2), Aqnm(2))
    link = SampledLink(symbols=BLOCK + 3)  # more than one block
    together = link.measure(W, realisations, hardware, generators(3))
    for i in range(3):
        single = Drop(
            realisations.H[i : i + 1], realisations.targets, ARRAY, ARRAY, 1.0, realisations.noise_power, 1.0, 4
        )
        alone = link.measure(W[i : i + 1], single, hardware, generators(3)[i : i + 1])
        for name, value in alone.items():
            assert value.tobytes() == together[name][i : i + 1].tobytes()


@pytest.mark.parametrize("experiment", [SampledLink(symbols=8), Detection(decisions=100)])
def test_a_precoder_that_is_not_finite_is_refused(experiment):
    W = precoders(2)
    W[1, 0, 0] = np.nan
    with pytest.raises(InvalidInput, match="transmit input, chain 0: must be finite samples"):
        experiment.measure(W, drop(2), Transceiver(), generators(2))


def test_it_declares_what_it_measures():
    values = SampledLink(symbols=8).measure(precoders(2), drop(2), Transceiver(), generators(2))
    declared = {q.name: q for q in SampledLink().quantities}
    assert declared.keys() == values.keys()
    assert values["sampled-sqinr"].shape == (2, 3)
    assert declared["sampled-sqinr"].dims == ("user",)
    assert values["sampled-sum-rate-nats"].shape == (2,)
    assert declared["sampled-sum-rate-nats"].unit == "nat/s/Hz"


@pytest.mark.parametrize("symbols", [0, 1, -3, 2.5, True, "many"])
def test_a_wrong_number_of_symbols_is_refused(symbols):
    with pytest.raises(InvalidInput, match="symbols: must be a whole number of at least 2"):
        SampledLink(symbols=symbols)
