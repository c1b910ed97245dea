"""Detection: closed forms on ideal hardware, invariants, batches, edges."""

import attrs
import numpy as np
import pytest
from scipy.special import gammaincc, gammainccinv

from isacsim import Aqnm, Drop, InvalidInput, MidRise, PointTargets, ResponseMatrix, Transceiver, UniformLinearArray
from isacsim.metrics import radar_sqnr
from isacsim.plugin import build_registry
from isacsim.random import complex_normal
from isacsim.waveform.detection import Detection, area_under_curve, detection_probability
from isacsim.waveform.detectors import EnergyDetector

ARRAY = UniformLinearArray(6)
POINT = PointTargets(ARRAY, ARRAY, [0.3], [np.pi / 2], [0.8 - 0.3j])


def extended(trials):
    return ResponseMatrix(complex_normal(np.random.default_rng(11), (trials, 6, 6)) / 4)


def drop(trials, scene=POINT, snapshots=1):
    H = complex_normal(np.random.default_rng(trials), (trials, ARRAY.size, 2))
    return Drop(H, scene, ARRAY, ARRAY, 1.0, [1.0, 1.0], 0.7, snapshots)


def precoders(trials, streams=3, seed=5):
    return complex_normal(np.random.default_rng(seed), (trials, ARRAY.size, streams))


def generators(trials):
    return [np.random.default_rng([7, i]) for i in range(trials)]


@pytest.mark.parametrize(("snapshots", "false_alarm"), [(1, 1e-2), (1, 0.1), (4, 1e-2)])
def test_a_point_target_on_ideal_converters_follows_the_closed_form(snapshots, false_alarm):
    realisations, W, count = drop(3, snapshots=snapshots), precoders(3), 20_000
    values = Detection(decisions=count, false_alarm=false_alarm).measure(W, realisations, Transceiver(), generators(3))
    sqnr = radar_sqnr(POINT.response(), W, 0.7)

    def curve(p):  # T is Gamma(L) times the noise, and (1 + SQNR) times that with a target
        return gammaincc(snapshots, gammainccinv(snapshots, p) / (1 + sqnr))

    expected = curve(false_alarm)
    if snapshots == 1:
        np.testing.assert_allclose(expected, false_alarm ** (1 / (1 + sqnr)), rtol=1e-12)
    # The false-alarm probability met varies too, since the threshold is a sample quantile.
    deviation = np.sqrt(false_alarm * (1 - false_alarm) / count)
    slope = (curve(false_alarm + deviation) - curve(false_alarm - deviation)) / (2 * deviation)
    spread = np.hypot(np.sqrt(expected * (1 - expected) / count), slope * deviation)
    assert np.all(np.abs(values["detection-probability"] - expected) < 4 * spread)
    if snapshots == 1:  # both statistics are exponential
        area = (1 + sqnr) / (2 + sqnr)
        assert np.all(np.abs(values["auc"] - area) < 4 * np.sqrt(area * (1 - area) / count))


def test_without_an_echo_to_hear_detection_is_false_alarm():
    silent = drop(2, ResponseMatrix(np.full((6, 6), 1e-9)))
    values = Detection(decisions=20_000, false_alarm=0.1).measure(precoders(2), silent, Transceiver(), generators(2))
    # Threshold and detections are both counted: twice the binomial variance.
    assert np.all(np.abs(values["detection-probability"] - 0.1) < 4 * np.sqrt(2 * 0.09 / 20_000))
    assert np.all(np.abs(values["auc"] - 0.5) < 4 * np.sqrt(0.25 / 20_000))


@pytest.mark.parametrize("agc", ["h1", "match"])
@pytest.mark.parametrize("bits", [1, 2, 3])
@pytest.mark.parametrize("scene", [POINT, extended(3)])
def test_through_converters_it_beats_guessing_and_grows_with_false_alarms(scene, bits, agc):
    hardware, W = Transceiver(MidRise(bits), MidRise(bits), MidRise(bits)), precoders(3)
    curve = []
    for false_alarm in (0.01, 0.03, 0.1, 0.3):
        detection = Detection(decisions=2000, false_alarm=false_alarm, agc=agc)
        values = detection.measure(W, drop(3, scene), hardware, generators(3))
        # Above 1/2 by more than four standard deviations of a coin.
        assert np.all(values["auc"] > 0.5 + 4 * np.sqrt(0.25 / 2000))
        curve.append(values["detection-probability"])
    assert np.all(np.diff(curve, axis=0) >= 0)


def test_gain_control_matters_to_quantised_receivers_alone():
    W, realisations = precoders(2), drop(2)
    for hardware, same in ((Transceiver(), True), (Transceiver(receive=MidRise(2)), False)):
        h1, match = (
            Detection(decisions=500, agc=agc).measure(W, realisations, hardware, generators(2))["auc"]
            for agc in ("h1", "match")
        )
        assert np.array_equal(h1, match) is same


@pytest.mark.parametrize("bits", [2, np.inf])
def test_a_member_of_a_batch_has_the_bytes_it_has_alone(bits):
    scene, W, hardware = extended(3), precoders(3), Transceiver(Aqnm(bits), Aqnm(bits), Aqnm(bits))
    detection = Detection(decisions=5000)  # more than one block of 4 snapshots each
    together = detection.measure(W, drop(3, scene, 4), hardware, generators(3))
    for i in range(3):
        single = attrs.evolve(drop(1, ResponseMatrix(scene.G[i : i + 1])), snapshots=4)
        alone = detection.measure(W[i : i + 1], single, hardware, generators(3)[i : i + 1])
        for name, value in alone.items():
            assert value.tobytes() == together[name][i : i + 1].tobytes()


def test_a_silent_transmitter_is_never_detected():
    values = Detection(decisions=100).measure(np.zeros((1, 6, 2)), drop(1), Transceiver(), generators(1))
    assert values["detection-probability"] == 0  # no statistic above a threshold of zero
    assert values["auc"] == 0.5


def test_energy_is_that_of_the_component_along_the_combiner():
    rng = np.random.default_rng(3)
    y, u = complex_normal(rng, (2, 5, 4, 3)), complex_normal(rng, (2, 5, 4, 3))
    energy = EnergyDetector().statistic(y, u, u)
    assert energy.shape == (2, 5)
    by_hand = sum(
        abs(np.vdot(u[1, 2, :, j], y[1, 2, :, j])) ** 2 / np.linalg.norm(u[1, 2, :, j]) ** 2 for j in range(3)
    )
    np.testing.assert_allclose(energy[1, 2], by_hand, rtol=1e-12)
    np.testing.assert_allclose(EnergyDetector().statistic(y, u, 5j * u), energy, rtol=1e-12)


def test_the_threshold_lets_at_most_the_false_alarms_through():
    absent = np.random.default_rng(0).integers(0, 20, (3, 400)).astype(float)  # many ties
    for false_alarm in (0.01, 0.05, 0.2):
        assert np.all(detection_probability(absent, absent, false_alarm) <= false_alarm)


def test_area_under_the_curve_counts_pairs_and_half_of_the_ties():
    rng = np.random.default_rng(1)
    absent, present = rng.integers(0, 9, (2, 60)).astype(float), rng.integers(2, 11, (2, 50)).astype(float)
    a, b = absent[:, None, :], present[:, :, None]
    np.testing.assert_allclose(
        area_under_curve(absent, present), ((b > a) + 0.5 * (b == a)).mean(axis=(1, 2)), rtol=1e-12
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"decisions": 0}, "decisions: must be a whole number of at least 1"),
        ({"decisions": 99}, "decisions: must be at least 1/false_alarm = 100"),
        ({"false_alarm": 0.0}, "false_alarm: must be between 0 and 1"),
        ({"false_alarm": np.nan}, "false_alarm: must be between 0 and 1"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(InvalidInput, match=message):
        Detection(**options)


def test_experiments_and_detectors_are_registered():
    registry = build_registry(installed=False)
    assert {"link", "detection"} <= set(registry.names("experiments"))
    assert registry.load("experiments", "detection") is Detection
    assert registry.load("detectors", "energy") is EnergyDetector
