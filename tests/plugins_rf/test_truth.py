"""Exact models beside a million samples: SQINR, rate, radar SQNR and CRLB, behind converters, amplifiers and both."""

import numpy as np
import pytest

import isacsim
from isacsim import Chain, MidRise, PointTargets, UniformLinearArray
from isacsim.hardware.base import LinearModel
from isacsim.link import Echo, Reception, Transmission
from isacsim.metrics.fim import information_of
from isacsim.metrics.sensing import sqnr

pytest.importorskip("isacsim_rf", reason="the RF plugin is not installed")
from isacsim_rf.amplifiers import Rapp

ANTENNAS, USERS, BLOCK, NOISE = 16, 4, 2**16, 0.01
MILLION = 16  # blocks
WITHIN = 0.05  # dB, or per cent of a rate


class Sampled(isacsim.Hardware):
    """A device whose model is measured on samples: regression on its own input, and covariance of what is left."""

    memoryless = False

    def __init__(self, device, W, seed, blocks=MILLION):
        rng, N = np.random.default_rng(seed), len(W)
        power = (np.abs(W) ** 2).sum(axis=1)
        xx, yx, yy = np.zeros((3, N, N), complex)
        for _ in range(blocks):
            S = (rng.standard_normal((W.shape[1], BLOCK)) + 1j * rng.standard_normal((W.shape[1], BLOCK))) / np.sqrt(2)
            x = W @ S
            y = device.apply(x, power=power)
            xx, yx, yy = xx + x @ x.conj().T, yx + y @ x.conj().T, yy + y @ y.conj().T
        total = blocks * BLOCK
        gain = yx.diagonal() / xx.diagonal()
        cross = yx * gain.conj()
        self.model = LinearModel(gain, (yy - cross - cross.conj().T + np.outer(gain, gain.conj()) * xx) / total)

    def apply(self, x, rng=None, *, power=None):
        """Of no use here."""
        raise NotImplementedError

    def linear_model(self, R):
        """What was measured."""
        return self.model


def scene(kit, streams, seed):
    """Channels, a precoder of regularised zero forcing with white streams beside it, and targets."""
    H = kit.complex_gaussian((ANTENNAS, USERS), seed)
    W = H @ np.linalg.inv(np.conj(H.T) @ H + USERS * NOISE * np.eye(USERS))
    W = W / np.linalg.norm(W)
    if streams > USERS:
        white = np.linalg.qr(kit.complex_gaussian((ANTENNAS, ANTENNAS), seed + 50))[0][:, : streams - USERS]
        W = np.sqrt(0.5) * np.concatenate([W, white / np.sqrt(streams - USERS)], axis=1)
    tx, rx = UniformLinearArray(ANTENNAS), UniformLinearArray(20)
    return H, W, PointTargets(tx, rx, [0.3, -0.5], [np.pi / 2] * 2, [1.0, 0.8j])


def quantities(H, W, targets, hardware):
    """SQINRs, radar SQNR and CRLB in dB, and the sum rate in nats."""
    sent = Transmission.of(W, hardware)
    users = Reception.of(H, sent, NOISE, isacsim.Ideal()).sqinr
    echo = Echo.of(targets.response(), sent, NOISE, isacsim.Ideal())
    crlb = float(information_of(targets, echo, 64).bounds.sum())
    dB = 10 * np.log10([*users, float(sqnr(echo)), crlb])
    return np.append(dB, np.log1p(users).sum())


def differences(kit, device, streams, seeds, blocks=MILLION):
    """Model minus samples of each quantity, (seeds, quantities)."""
    found = []
    for seed in seeds:
        H, W, targets = scene(kit, streams, seed)
        by_model = quantities(H, W, targets, device)
        found.append(by_model - quantities(H, W, targets, Sampled(device, W, seed, blocks)))
    return np.array(found)


def rapp(back_off):
    """Amplifiers at an input back-off in dB, of the mean power of the chains."""
    return Rapp(10 ** (back_off / 10) / ANTENNAS)


CONVERTERS = {f"{bits} bits": MidRise(bits) for bits in range(1, 6)}
AMPLIFIERS = {f"Rapp at {back_off} dB": rapp(back_off) for back_off in (0, 3, 6)}
BOTH = {f"{bits} bits, then Rapp": Chain(MidRise(bits), rapp(0)) for bits in (1, 2, 3)}
DEVICES = CONVERTERS | AMPLIFIERS | BOTH


@pytest.mark.slow
@pytest.mark.parametrize("streams", [4, 20])
@pytest.mark.parametrize("name", DEVICES)
def test_the_exact_model_is_that_of_a_million_samples(kit, name, streams):
    assert np.abs(differences(kit, DEVICES[name], streams, range(2))).max() < WITHIN


@pytest.mark.slow
def test_without_the_correlation_of_distortion_few_streams_are_off_by_tenths_of_a_decibel(kit):
    H, W, targets = scene(kit, 4, 0)
    exact, plain = (quantities(H, W, targets, MidRise(2, correlated=flag)) for flag in (True, False))
    assert np.all(plain[:USERS] - exact[:USERS] > 0.2)


def test_the_measured_model_itself_is_that_of_its_device(kit):
    _, W, _ = scene(kit, 4, 0)
    sampled, exact = Sampled(MidRise(2), W, 1, blocks=1).model, MidRise(2).linear_model(W @ W.conj().T)
    np.testing.assert_allclose(sampled.gain, exact.gain, rtol=0.02)  # four standard errors of 65,536 samples
    np.testing.assert_allclose(sampled.distortion_power, exact.distortion_power, rtol=0.05)
