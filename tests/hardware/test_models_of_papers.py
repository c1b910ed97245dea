"""When the additive noise model of converters is enough: SQINRs of users by the models, and by samples."""

import numpy as np
import pytest

import isacsim
from isacsim import Aqnm, MidRise
from isacsim.link import Reception, Transmission

ANTENNAS, SAMPLES, NOISE = 16, 2**17, 0.01  # noise of 20 dB below the power of all antennas
SYMBOLS = {"Gaussian": None, "4-QAM": 4, "16-QAM": 16, "OFDM": 16}


def precoder(H, extra, kit, seed):
    """Regularised zero forcing at unit power, with half of it in ``extra`` white streams where there are any."""
    users = H.shape[-1]
    W = H @ np.linalg.inv(np.conj(H.T) @ H + users * NOISE * np.eye(users))
    W = W / np.linalg.norm(W)
    if not extra:
        return W
    white = np.linalg.qr(kit.complex_gaussian((ANTENNAS, ANTENNAS), seed))[0][:, :extra]
    return np.sqrt(0.5) * np.concatenate([W, white / np.sqrt(extra)], axis=1)


def symbols(kind, streams, rng):
    """Symbols of unit power (streams, SAMPLES); those of OFDM are on 64 subcarriers."""
    order = SYMBOLS[kind]
    if order is None:
        return np.sqrt(0.5) * (rng.standard_normal((streams, SAMPLES)) + 1j * rng.standard_normal((streams, SAMPLES)))
    side = int(np.sqrt(order))
    levels = (2 * np.arange(side) - side + 1) / np.sqrt(2 * (order - 1) / 3)
    drawn = rng.integers(0, side, (2, streams, SAMPLES))
    s = levels[drawn[0]] + 1j * levels[drawn[1]]
    return np.fft.ifft(s.reshape(streams, -1, 64), norm="ortho").reshape(s.shape) if kind == "OFDM" else s


def measured(H, W, device, kind, rng):
    """SQINR (K,) in dB: what correlates with the own symbols is signal, all the rest is noise."""
    S = symbols(kind, W.shape[1], rng)
    power = (np.abs(W) ** 2).sum(axis=1)
    z = np.conj(H.T) @ device.apply(W @ S, power=power)
    own = S[: len(z)]
    signal = np.abs((z * np.conj(own)).mean(axis=1)) ** 2 / (np.abs(own) ** 2).mean(axis=1)
    return 10 * np.log10(signal / ((np.abs(z) ** 2).mean(axis=1) - signal + NOISE))


def differences(kit, bits, users, extra, seeds):
    """dB by which the SQINR of a model exceeds that of samples, for each user and channel: by model and symbols."""
    found = {}
    for seed in seeds:
        H = kit.complex_gaussian((ANTENNAS, users), seed)
        W = precoder(H, extra, kit, seed + 100)
        device = MidRise(bits)
        told = {
            name: 10 * np.log10(Reception.of(H, Transmission.of(W, model), NOISE, isacsim.Ideal()).sqinr)
            for name, model in (("aqnm", Aqnm(bits, table="uniform")), ("exact", device))
        }
        for kind in SYMBOLS:
            by_samples = measured(H, W, device, kind, np.random.default_rng(seed))
            for name, sqinr in told.items():
                found.setdefault((name, kind), []).append(sqinr - by_samples)
    return {key: np.array(value) for key, value in found.items()}


@pytest.mark.slow
@pytest.mark.parametrize("bits", [1, 3])
def test_the_exact_model_is_that_of_gaussian_samples_and_of_ofdm(kit, bits):
    found = differences(kit, bits, 4, 0, range(2))
    # 2^17 samples tell a distortion to 1 %, some 0.04 dB; 64 subcarriers are nearly Gaussian.
    assert np.abs(found["exact", "Gaussian"]).max() < 0.08
    assert np.abs(found["exact", "OFDM"]).max() < 0.1


@pytest.mark.slow
def test_the_additive_model_is_too_good_with_few_streams_and_enough_with_many(kit):
    few, many = differences(kit, 2, 4, 0, range(2)), differences(kit, 2, 4, 16, range(2))
    assert few["aqnm", "Gaussian"].min() > 0.2
    assert np.abs(many["aqnm", "Gaussian"]).max() < 0.08


@pytest.mark.slow
def test_models_for_gaussian_symbols_are_too_bad_for_few_streams_of_qam(kit):
    found = differences(kit, 3, 4, 0, range(2))
    assert found["exact", "16-QAM"].mean() < -0.5
    assert found["exact", "4-QAM"].mean() < -0.5
