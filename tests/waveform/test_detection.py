"""Detection: closed forms on ideal hardware, invariants, reproducibility, edges."""

import tracemalloc

import attrs
import numpy as np
import pytest
from scipy.special import gammaincc, gammainccinv
from scipy.stats import ncx2

from isacsim import (
    Aqnm,
    Drop,
    Hardware,
    InvalidInput,
    MidRise,
    PointTargets,
    ResponseMatrix,
    Transceiver,
    UniformLinearArray,
)
from isacsim.link import Link
from isacsim.metrics import radar_sqnr
from isacsim.plugin import build_registry
from isacsim.random import complex_normal
from isacsim.waveform import detection as module
from isacsim.waveform.detection import Detection
from isacsim.waveform.detectors import EnergyDetector, LikelihoodRatio

ARRAY = UniformLinearArray(6)
POINT = PointTargets(ARRAY, ARRAY, [0.3], [np.pi / 2], [0.8 - 0.3j])
DETECTORS = [EnergyDetector(), EnergyDetector("fixed"), LikelihoodRatio(), LikelihoodRatio("response")]


def extended(trials):
    return ResponseMatrix(complex_normal(np.random.default_rng(11), (trials, 6, 6)) / 4)


def drop(trials, scene=POINT, snapshots=1):
    H = complex_normal(np.random.default_rng(trials), (trials, ARRAY.size, 2))
    return Drop(H, scene, ARRAY, ARRAY, 1.0, [1.0, 1.0], 0.7, snapshots)


def precoders(trials, streams=3, seed=5):
    return complex_normal(np.random.default_rng(seed), (trials, ARRAY.size, streams))


def generators(trials):
    return [np.random.default_rng([7, i]) for i in range(trials)]


def same(one, other):
    return all(one[name].tobytes() == other[name].tobytes() for name in one)


@pytest.mark.parametrize("snapshots", [1, 4])
def test_a_point_target_on_ideal_converters_follows_the_closed_form(snapshots):
    realisations, W = drop(3, snapshots=snapshots), precoders(3)
    # Three curves, all of each within its band: together with a probability of 1 - 3e-6.
    detection = Detection(decisions=100_000, confidence=1 - 1e-6)
    values = detection.measure(Link(W, realisations, Transceiver()), generators(3))
    sqnr, p = radar_sqnr(POINT.response(), W, 0.7)[:, None], detection.curve
    # T is Gamma(L) times the noise, and (1 + SQNR) times that with a target.
    expected = gammaincc(snapshots, gammainccinv(snapshots, p) / (1 + sqnr))
    if snapshots == 1:
        np.testing.assert_allclose(expected, p ** (1 / (1 + sqnr)), rtol=1e-12)
        area = ((1 + sqnr) / (2 + sqnr))[:, 0]  # both statistics are exponential
        assert np.all((values["auc-lower"] < area) & (area < values["auc-upper"]))
    assert np.all((values["roc-lower"] <= expected) & (expected <= values["roc-upper"]))
    at = np.array([np.interp(detection.false_alarm, p, row) for row in expected])  # 0.01 is one of them
    assert np.all((values["detection-probability-lower"] < at) & (at < values["detection-probability-upper"]))
    # The band says something: a tenth at most from false-alarm probabilities of 0.05 on.
    assert np.all((values["roc-upper"] - values["roc-lower"])[:, p > 0.05] < 0.1)


def test_one_stream_of_qpsk_is_an_echo_of_constant_power():
    W, realisations = precoders(1, streams=1), drop(1)
    detection = Detection(decisions=30_000, modulation="qpsk", confidence=1 - 1e-6)
    values = detection.measure(Link(W, realisations, Transceiver()), generators(1))
    snr, p = radar_sqnr(POINT.response(), W, 0.7), detection.curve
    # 2 T is noncentral chi-squared of two degrees; its survival at the threshold -2 ln p.
    expected = ncx2.sf(-2 * np.log(p), 2, 2 * snr)
    assert np.all((values["roc-lower"] <= expected) & (expected <= values["roc-upper"]))


@pytest.mark.parametrize("detector", DETECTORS)
def test_without_an_echo_to_hear_detection_is_false_alarm(detector):
    silent = drop(2, ResponseMatrix(np.full((6, 6), 1e-9)))
    detection = Detection(detector, decisions=20_000, confidence=1 - 1e-6)
    values = detection.measure(Link(precoders(2), silent, Transceiver()), generators(2))
    assert np.all((values["roc-lower"] <= detection.curve) & (detection.curve <= values["roc-upper"]))
    assert np.all((values["auc-lower"] < 0.5) & (values["auc-upper"] > 0.5))


@pytest.mark.parametrize("agc", ["h1", "match"])
@pytest.mark.parametrize("bits", [1, 2, 3])
@pytest.mark.parametrize("detector", DETECTORS[:3])  # the fourth has energy alone, which 1 bit takes away
@pytest.mark.parametrize("scene", [POINT, extended(3)])
def test_through_converters_it_beats_guessing_and_grows_with_false_alarms(scene, detector, bits, agc):
    hardware, W = Transceiver(MidRise(bits), MidRise(bits), MidRise(bits)), precoders(3)
    detection = Detection(detector, decisions=2000, agc=agc, confidence=1 - 1e-6)
    values = detection.measure(Link(W, drop(3, scene), hardware), generators(3))
    assert np.all(values["auc-lower"] > 0.5)
    assert np.all(np.diff(values["roc"], axis=-1) >= 0)
    assert np.all(values["roc"][:, -1] == 1)


def test_the_combiner_of_each_symbol_detects_an_extended_target_better_than_a_fixed_one():
    W, realisations = precoders(2), drop(2, extended(2))
    symbol, fixed = (
        Detection(detector, decisions=20_000, confidence=1 - 1e-6).measure(
            Link(W, realisations, Transceiver()), generators(2)
        )
        for detector in DETECTORS[:2]
    )
    assert np.all(symbol["auc-lower"] > fixed["auc-upper"])


def test_over_several_snapshots_the_known_phase_of_the_echo_is_worth_something():
    W, realisations = precoders(2), drop(2, snapshots=8)
    energy, ratio = (
        Detection(detector, decisions=20_000, confidence=1 - 1e-6).measure(
            Link(W, realisations, Transceiver()), generators(2)
        )
        for detector in (EnergyDetector(), LikelihoodRatio())
    )
    assert np.all(ratio["auc-lower"] > energy["auc-upper"])


def test_gain_control_matters_to_quantised_receivers_alone():
    W, realisations = precoders(2), drop(2)
    for hardware, unchanged in ((Transceiver(), True), (Transceiver(receive=MidRise(2)), False)):
        h1, match = (
            Detection(decisions=500, agc=agc).measure(Link(W, realisations, hardware), generators(2))["auc"]
            for agc in ("h1", "match")
        )
        assert np.array_equal(h1, match) is unchanged


@pytest.mark.parametrize("bits", [2, np.inf])
@pytest.mark.parametrize("modulation", ["gaussian", "qpsk"])
def test_a_member_of_a_batch_has_the_bytes_it_has_alone(bits, modulation):
    scene, W, hardware = extended(3), precoders(3), Transceiver(Aqnm(bits), Aqnm(bits), Aqnm(bits))
    detection = Detection(decisions=5000, modulation=modulation)  # more than one stretch of 4 snapshots each
    together = detection.measure(Link(W, drop(3, scene, 4), hardware), generators(3))
    for i in range(3):
        single = attrs.evolve(drop(1, ResponseMatrix(scene.G[i : i + 1])), snapshots=4)
        alone = detection.measure(Link(W[i : i + 1], single, hardware), generators(3)[i : i + 1])
        assert same(alone, {name: value[i : i + 1] for name, value in together.items()})


@pytest.mark.parametrize("detector", DETECTORS)
@pytest.mark.parametrize("modulation", ["gaussian", "qpsk"])
def test_blocks_rounds_and_threads_change_no_byte(detector, modulation, monkeypatch):
    W, realisations, hardware = precoders(1), drop(1, extended(1), 2), Transceiver(MidRise(2), MidRise(3))
    monkeypatch.setattr(module, "STRETCH", 2**11)  # two stretches of few samples

    def values(threads=1):
        detection = Detection(detector, decisions=1500, modulation=modulation, threads=threads)
        return detection.measure(Link(W, realisations, hardware), generators(1))

    expected = values()
    assert same(values(threads=3), expected)
    for block in (500, 2**20):
        monkeypatch.setattr(module, "BLOCK", block)
        assert same(values(), expected)
    monkeypatch.setattr(module, "ROUND", 1)
    assert same(values(threads=2), expected)


def test_more_decisions_add_to_those_that_were_made():
    W, realisations, hardware = precoders(1), drop(1), Transceiver(MidRise(2), MidRise(2))

    def counts(decisions):
        detection = Detection(decisions=decisions, curve=[0.1])
        roc, _ = detection.roc(Link(W, realisations, hardware), np.random.default_rng(0))
        return roc.present

    stretch = module.STRETCH
    few, many = counts(2 * stretch), counts(3 * stretch)
    assert (few[-1], many[-1]) == (2 * stretch, 3 * stretch)
    assert many.size > few.size


def test_it_stops_when_the_detection_probability_is_known_well_enough():
    W, realisations, hardware = precoders(1), drop(1), Transceiver(MidRise(2), MidRise(2))
    detection = Detection(decisions=10**6, false_alarm=1e-2, relative_precision=0.05)
    values = detection.measure(Link(W, realisations, hardware), generators(1))
    half = (values["detection-probability-upper"] - values["detection-probability-lower"]) / 2
    assert half <= 0.05 * values["detection-probability"]
    assert module.STRETCH < values["decisions"] < 10**6
    # Half as many would not have been enough, at the level of each look.
    looks = detection._looks(-(-detection.decisions // module.STRETCH))
    before = Detection(decisions=int(values["decisions"][0]) // 2, confidence=1 - 0.05 / len(looks))
    before = before.measure(Link(W, realisations, hardware), generators(1))
    half = (before["detection-probability-upper"] - before["detection-probability-lower"]) / 2
    assert half > 0.05 * before["detection-probability"]


def test_it_ends_with_all_decisions_where_the_precision_is_not_reached():
    detection = Detection(decisions=40_000, false_alarm=1e-3, relative_precision=1e-6)
    values = detection.measure(Link(precoders(1), drop(1), Transceiver()), generators(1))
    assert values["decisions"] == 40_000


def test_a_decision_may_see_fewer_samples_than_the_coherent_interval():
    one, eight = drop(1), drop(1, snapshots=8)
    expected = Detection(decisions=500).measure(Link(precoders(1), one, Transceiver()), generators(1))
    found = Detection(decisions=500, snapshots=1).measure(Link(precoders(1), eight, Transceiver()), generators(1))
    assert same(found, expected)


def test_a_silent_transmitter_is_never_detected():
    values = Detection(decisions=100).measure(Link(np.zeros((1, 6, 2)), drop(1), Transceiver()), generators(1))
    assert values["detection-probability"] == 0  # no statistic above a threshold of zero
    assert values["auc"] == 0.5
    assert values["roc"][0, -1] == 1


@pytest.mark.parametrize("snapshots", [1, 3])
def test_one_antenna_and_one_decision_work(snapshots):
    one = UniformLinearArray(1)
    scene = PointTargets(one, one, [0.3], [np.pi / 2], [1.0])
    alone = Drop(np.ones((1, 1, 1)), scene, one, one, 1.0, [1.0], 1.0, snapshots)
    for detector in DETECTORS:
        detection = Detection(detector, decisions=2, false_alarm=0.5)
        values = detection.measure(Link(np.ones((1, 1, 1)), alone, Transceiver(MidRise(1), MidRise(1))), generators(1))
        assert np.all(np.isfinite(np.concatenate([v.ravel() for v in values.values()])))


def test_an_interval_longer_than_a_stretch_is_one_decision_a_stretch():
    values = Detection(decisions=10, false_alarm=0.1).measure(
        Link(precoders(1), drop(1, snapshots=module.STRETCH + 1), Transceiver()), generators(1)
    )
    assert values["decisions"] == 10
    assert values["detection-probability"] == 1  # after 16,385 samples nothing is missed


class Broken(Hardware):
    """Puts out a NaN in one chain."""

    def apply(self, x, rng=None, *, power=None):
        y = np.array(x)
        y[..., 2, -1] = np.nan
        return y

    def linear_model(self, R):
        return Transceiver().receive.linear_model(R)


@pytest.mark.parametrize("side", ["transmit", "receive"])
def test_samples_that_are_not_finite_name_the_chain(side):
    with pytest.raises(InvalidInput, match=f"{side} output, chain 2: must be finite samples"):
        Detection(decisions=100).measure(Link(precoders(1), drop(1), Transceiver(**{side: Broken()})), generators(1))


@pytest.mark.parametrize("threads", [1, 2])
def test_an_error_in_a_thread_is_that_of_the_trial(threads):
    detection = Detection(decisions=40_000, threads=threads)
    with pytest.raises(InvalidInput, match="receive output, chain 2"):
        detection.measure(Link(precoders(1), drop(1), Transceiver(receive=Broken())), generators(1))


def test_it_declares_what_it_measures():
    detection = Detection(decisions=100, curve=[0.05, 0.5])
    values = detection.measure(Link(precoders(2), drop(2), Transceiver()), generators(2))
    declared = {q.name: q for q in detection.quantities}
    assert declared.keys() == values.keys()
    assert values["roc"].shape == (2, 2)
    assert detection.labels(drop(2)) == {"false-alarm-probability": [0.05, 0.5]}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"decisions": 0}, "decisions: must be a whole number of at least 1"),
        ({"decisions": 99}, "decisions: must be at least 1/false_alarm = 100"),
        ({"false_alarm": 0.0}, "false_alarm: must be between 0 and 1"),
        ({"false_alarm": np.nan}, "false_alarm: must be between 0 and 1"),
        ({"confidence": 1.0}, "confidence: must be between 0 and 1"),
        ({"curve": [0.1, 0.01]}, "curve: must be ascending probabilities"),
        ({"curve": [0.1, 1.01]}, "curve: must be ascending probabilities"),
        ({"curve": [0.0, 0.01]}, "curve: must be greater than 0"),
        ({"curve": []}, "curve: must be ascending probabilities"),
        ({"modulation": "bpsk"}, "modulation.kind: must name one of the modulations"),
        ({"relative_precision": 0.0}, "relative_precision: must be a finite number greater than 0"),
        ({"threads": 0}, "threads: must be a whole number of at least 1"),
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
    assert registry.load("detectors", "likelihood-ratio") is LikelihoodRatio


@pytest.mark.slow
def test_memory_does_not_grow_with_the_decisions():
    W, realisations, hardware = precoders(1), drop(1), Transceiver(MidRise(3), MidRise(3))
    peaks = []
    for rounds in (2, 8):
        detection = Detection(decisions=rounds * module.ROUND * module.STRETCH)
        tracemalloc.start()
        detection.measure(Link(W, realisations, hardware), generators(1))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # Four times the decisions reach two more powers of two of each tail: a tenth more bins.
    assert peaks[1] < 1.2 * peaks[0]


@pytest.mark.slow
def test_rare_false_alarms_have_an_interval_that_is_narrow_and_right():
    W, realisations = precoders(1), drop(1)
    detection = Detection(decisions=2**21, curve=[1e-5, 1e-4, 1e-3], band="wilson", confidence=1 - 1e-6)
    values = detection.measure(Link(W, realisations, Transceiver()), generators(1))
    expected = detection.curve ** (1 / (1 + radar_sqnr(POINT.response(), W, 0.7)[:, None]))
    assert np.all((values["roc-lower"] < expected) & (expected < values["roc-upper"]))
    assert np.all(values["roc-upper"] - values["roc-lower"] < 0.01)
    # The band of the whole curve has no lower end where it expects no false alarm.
    band = attrs.evolve(detection, band="dkw").measure(Link(W, realisations, Transceiver()), generators(1))
    assert np.all(band["roc-lower"][:, :2] == 0)
