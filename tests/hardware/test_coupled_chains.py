"""Hardware whose chains leak into each other: the gain is a matrix, and every metric takes it."""

from typing import Any

import numpy as np
import pytest
from attrs import evolve, frozen

from isacsim import (
    Aqnm,
    Chain,
    Hardware,
    Ideal,
    InvalidInput,
    LinearModel,
    MidRise,
    ResponseMatrix,
    Transceiver,
    metrics,
)
from isacsim.batch import batched
from isacsim.testing import ContractError, check_hardware
from isacsim.waveform.detection import Detection
from isacsim.waveform.detectors import LikelihoodRatio
from isacsim.waveform.echoes import EchoModel, EchoPath


@frozen
class Leaky(Hardware):
    """``y = C x``."""

    C: Any = batched(2, dtype=complex)

    def apply(self, x, rng=None, *, power=None):
        return self.C @ x

    def linear_model(self, R):
        shape = np.shape(R)
        return LinearModel(np.broadcast_to(self.C, shape), np.zeros(shape[:-1]), coupled=True)


@frozen
class Misdescribed(Leaky):
    """The same, described by a matrix ``claimed``."""

    claimed: Any = batched(2, dtype=complex)

    def linear_model(self, R):
        return Leaky(self.claimed).linear_model(R)


@frozen
class Unison(Hardware):
    """One oscillator's sign for all chains, modelled as if it were the opposite in each second one."""

    def apply(self, x, rng=None, *, power=None):
        return np.asarray(x * (1 + 0.1 * rng.choice([-1.0, 1.0], (*x.shape[:-2], 1, x.shape[-1]))))

    def linear_model(self, R):
        sign = (-1.0) ** np.arange(np.shape(R)[-1])
        return LinearModel(np.ones(np.shape(R)[:-1]), 0.01 * R * sign[:, None] * sign)


@pytest.fixture
def scene(kit):
    targets = kit.make_scene(batch=(3,))
    H, W = kit.complex_gaussian((3, 6, 2), 1), kit.complex_gaussian((3, 6, 4), 2)
    return targets, H, W


def leak(kit, size, seed=7):
    return np.eye(size) + 0.2 * kit.complex_gaussian((size, size), seed)


def test_a_coupled_device_keeps_the_contract(kit):
    check_hardware(Leaky(leak(kit, 4)), chains=4)
    # A gain control behind the coupling meets the power of correlated chains, and a converter Gaussian samples.
    for stages in ((Leaky(leak(kit, 4)), MidRise(3)), (MidRise(3), Leaky(leak(kit, 4)))):
        check_hardware(Chain(*stages), chains=4, samples=2**15, covariance_rtol=1.0)


def test_a_matrix_that_is_not_the_devices_breaks_the_contract(kit):
    C = leak(kit, 4)
    wrong = C.copy()
    wrong[0, 3] = 0.0
    with pytest.raises(ContractError, match="have the gain of its linear model on samples"):
        check_hardware(Misdescribed(C, wrong), chains=4)


def test_a_covariance_that_is_not_the_devices_breaks_the_contract():
    check_hardware(Unison(), chains=1)
    with pytest.raises(ContractError, match="have the distortion covariance of its linear model on samples"):
        check_hardware(Unison(), chains=4)


def test_coupling_at_the_transmitter_is_part_of_the_channel(kit, scene):
    targets, H, W = scene
    C, converter = leak(kit, 6), Aqnm(2)
    through = Transceiver(transmit=Chain(converter, Leaky(C)), user=Aqnm(3))
    seen = Transceiver(transmit=converter, user=Aqnm(3))
    effective = C.conj().T @ H
    # Algebra: the same products in another order.
    np.testing.assert_allclose(metrics.sqinr(H, W, 0.1, through), metrics.sqinr(effective, W, 0.1, seen), rtol=1e-12)
    G = targets.response()
    np.testing.assert_allclose(
        metrics.radar_sqnr(G, W, 0.1, through), metrics.radar_sqnr(G @ C, W, 0.1, seen), rtol=1e-10
    )
    R = W @ W.conj().swapaxes(-1, -2)
    radiated = C @ converter.linear_model(R).output_covariance(R) @ C.conj().T
    np.testing.assert_allclose(through.transmit.linear_model(R).output_covariance(R), radiated, rtol=1e-12)
    power = np.trace(radiated, axis1=-2, axis2=-1).real
    np.testing.assert_allclose(metrics.radiated_power(W, through.transmit), power, rtol=1e-12)


def test_coupling_behind_the_receivers_noise_costs_nothing(kit, scene):
    # An invertible matrix that meets signal and noise alike loses no information.
    targets, _, W = scene
    ideal = Transceiver(transmit=Aqnm(3))
    coupled = evolve(ideal, receive=Leaky(leak(kit, 9)))
    G = targets.response()
    for metric in (metrics.radar_sqnr, metrics.radar_sqnr_combiner):
        np.testing.assert_allclose(metric(G, W, 0.1, coupled), metric(G, W, 0.1, ideal), rtol=1e-10)
    full = W @ kit.complex_gaussian((4, 6), 3) + np.eye(6)  # enough streams to know all of G
    np.testing.assert_allclose(
        metrics.response_crb(G, full, 0.1, 50, coupled), metrics.response_crb(G, full, 0.1, 50, ideal), rtol=1e-10
    )
    # The inverse of an 8 x 8 information matrix loses some digits more.
    np.testing.assert_allclose(
        metrics.crlb(targets, W, 0.1, 50, coupled), metrics.crlb(targets, W, 0.1, 50, ideal), rtol=1e-7
    )


@pytest.mark.parametrize("unknown", ["amplitude", "response"])
def test_a_detector_is_told_the_coupled_reference(kit, scene, unknown):
    # An invertible matrix behind the noise leaves every likelihood ratio as it is, sample by sample.
    targets, _, W = scene
    response, draws = ResponseMatrix(targets.response()[0]), []
    for receive in (Ideal(), Leaky(leak(kit, 9))):
        told = response, W[0], 0.1, Transceiver(receive=receive)
        detection = Detection(LikelihoodRatio(unknown))
        way, rng = (EchoPath.of(*told), EchoModel.of(*told)), np.random.default_rng(0)
        draws.append(detection.statistics(*way, 50, 20, True, rng))
    np.testing.assert_allclose(draws[1], draws[0], rtol=1e-9)


def test_members_of_a_batch_have_the_bytes_they_have_alone(kit, scene):
    targets, H, W = scene
    device = Chain(Aqnm(2), Leaky(leak(kit, 6)), Aqnm(3))
    t = Transceiver(transmit=device, receive=Leaky(leak(kit, 9)))
    G = targets.response()
    whole = metrics.sqinr(H, W, 0.1, t), metrics.radar_sqnr(G, W, 0.1, t), metrics.response_crb(G, W, 0.1, 9, t)
    for i in range(3):
        alone = (
            metrics.sqinr(H[i], W[i], 0.1, t),
            metrics.radar_sqnr(G[i], W[i], 0.1, t),
            metrics.response_crb(G[i], W[i], 0.1, 9, t),
        )
        assert [kit.raw_bytes(a) for a in alone] == [kit.raw_bytes(w[i]) for w in whole]


def test_users_are_not_coupled(kit, scene):
    _, H, W = scene
    with pytest.raises(InvalidInput, match="user: must not couple chains"):
        metrics.sqinr(H, W, 0.1, Transceiver(user=Leaky(leak(kit, 2))))
