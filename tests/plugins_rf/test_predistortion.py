"""Predistortion: the limiter that it makes of an amplifier, what polynomials reach, and what cannot be predistorted."""

import pickle

import numpy as np
import pytest

import isacsim
from isacsim import Chain, InvalidInput, MidRise
from isacsim.metrics import radiated_power
from isacsim.testing import check_hardware

pytest.importorskip("isacsim_rf", reason="the RF plugin is not installed")
from isacsim_rf.amplifiers import Rapp, Saleh
from isacsim_rf.measured import MeasuredAmplifier
from isacsim_rf.mixers import IqImbalance
from isacsim_rf.plugin import DATA
from isacsim_rf.polynomial import MemoryPolynomial
from isacsim_rf.predistortion import Predistorter

CEILING = 10**-0.05


def covariance(kit, size=1.0):
    A = kit.complex_gaussian((3, 2), 4)
    return size * A @ A.conj().T


@pytest.mark.parametrize("device", [Rapp(1.0), Rapp([0.5, 1.0, 2.0], smoothness=3.0), Saleh(1.0)])
def test_the_inverse_and_its_amplifier_are_a_soft_limiter(kit, device):
    limiter = Rapp(CEILING * np.broadcast_to(device.saturation, 3), smoothness=np.inf)
    chain, x = Chain(Predistorter(device), device), 2 * kit.complex_gaussian((3, 2000), 1)
    # The largest output is looked for 0.05 dB apart: at Saleh's peak that is 3e-6 low.
    np.testing.assert_allclose(chain.apply(x), limiter.apply(x), atol=1e-5)
    R = covariance(kit)
    one, other = chain.linear_model(R), limiter.linear_model(R)
    np.testing.assert_allclose(one.gain, other.gain, rtol=1e-5)
    np.testing.assert_allclose(one.distortion, other.distortion, atol=3e-5 * np.abs(other.distortion).max())


def test_two_amplifiers_in_series_have_the_closed_form_of_one_map(kit):
    chain, R = Chain(Rapp(4.0), Rapp(1.0, smoothness=3.0)), covariance(kit)

    class Both(isacsim.Hardware):
        def apply(self, x, rng=None, *, power=None):
            return Rapp(1.0, smoothness=3.0).apply(Rapp(4.0).apply(x))

    one, other = chain.linear_model(R), Both().linear_model(R)
    np.testing.assert_allclose(one.gain, other.gain, rtol=1e-9)
    np.testing.assert_allclose(one.distortion, other.distortion, atol=1e-8 * np.abs(one.distortion).max())


def test_a_measured_amplifier_is_made_linear_to_its_ceiling(kit):
    device = MeasuredAmplifier(DATA / "amplifier.csv")
    chain = Chain(Predistorter(device), device)
    x = 0.04 * kit.complex_gaussian((1, 500), 1)
    gain = device.apply(np.array([[1e-6 + 0j]]))[0, 0] / 1e-6
    np.testing.assert_allclose(chain.apply(x), gain * x, atol=1e-5 * np.abs(gain * x).max())


@pytest.mark.parametrize("device", [Rapp(1.0), Saleh(1.0)])
def test_more_orders_of_a_polynomial_leave_less_distortion(kit, device):
    R = covariance(kit, 0.05)

    def left(*stages):
        model = Chain(*stages).linear_model(R)
        return float(model.distortion_power.sum() / np.abs(model.gain[0]) ** 2)

    bare = left(device)
    by_orders = [left(Predistorter(device, "polynomial", orders=n), device) for n in (3, 5, 7)]
    assert by_orders[0] < bare / 2
    assert by_orders[2] < by_orders[1] < by_orders[0]
    # Clipping at the ceiling is all that is left of the inverse.
    assert left(Predistorter(device), device) <= by_orders[2]


def test_the_stage_keeps_the_contract_of_hardware():
    check_hardware(Predistorter(Rapp(1.0)), chains=2, samples=2**14)
    check_hardware(Chain(Predistorter(Saleh(2.0)), Saleh(2.0)), chains=2, samples=2**14)


def test_below_the_ceiling_nothing_is_lost():
    W = np.eye(2) * 0.1
    assert radiated_power(W, Chain(Predistorter(Rapp(1.0)), Rapp(1.0))) == pytest.approx(0.02, rel=1e-9)


@pytest.mark.parametrize(
    ("device", "told"),
    [
        (MidRise(3), "must be a memoryless device that turns with its input"),
        (IqImbalance(gain=1.1, phase=0.05), "must be a memoryless device that turns with its input"),
        (MemoryPolynomial(1.0, [[1, -0.1], [0.1, 0]]), "must be a memoryless device that turns with its input"),
        (isacsim.Ideal(), "must have a largest output"),
    ],
)
def test_what_cannot_be_predistorted_is_refused(device, told):
    with pytest.raises(InvalidInput, match=f"device: {told}"):
        Predistorter(device).apply(np.ones((1, 3), complex))


def test_a_predistorter_that_was_asked_travels_to_a_worker(kit):
    stage, R = Predistorter(Rapp(1.0)), covariance(kit)
    model = stage.linear_model(R)
    there = pickle.loads(pickle.dumps(stage))
    assert there == stage
    np.testing.assert_array_equal(there.linear_model(R).distortion, model.distortion)
