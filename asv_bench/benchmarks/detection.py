"""Detection: time of a decision, memory over decisions, and what binning costs in accuracy."""

import numpy as np

import isacsim
from isacsim.link import Link
from isacsim.waveform.detection import Detection
from isacsim.waveform.detectors import EnergyDetector, LikelihoodRatio
from isacsim.waveform.roc import Histogram, Roc

from .scenes import complex_gaussian

ANTENNAS, STREAMS = 16, 20
DETECTORS = {
    "energy": EnergyDetector(),
    "energy, fixed": EnergyDetector("fixed"),
    "likelihood ratio": LikelihoodRatio(),
}


def scene(target):
    """A precoder of full rank, and a target at an SNR of about 2 dB a sample."""
    array = isacsim.UniformLinearArray(ANTENNAS, normalized=False)
    if target == "point":
        targets = isacsim.PointTargets(array, array, [0.35], [np.pi / 2], [0.0316])
    else:
        targets = isacsim.ResponseMatrix(0.0316 * complex_gaussian((1, ANTENNAS, ANTENNAS), 1))
    W = complex_gaussian((1, ANTENNAS, STREAMS), 2)
    W *= np.sqrt(0.1) / np.linalg.norm(W)
    H = complex_gaussian((1, ANTENNAS, 4), 3)
    return W, isacsim.Drop(H, targets, array, array, 0.1, np.full(4, 1e-3), 1e-3)


def measure(detection, target, bits):
    W, drop = scene(target)
    hardware = isacsim.Transceiver(isacsim.MidRise(bits), isacsim.MidRise(bits))
    return detection.measure(Link(W, drop, hardware), [np.random.default_rng(0)])


class Decisions:
    """A hundred thousand decisions under each hypothesis, on one thread."""

    param_names = ("target", "detector", "bits")
    params = (["point", "extended"], list(DETECTORS), [1, 3, np.inf])

    def setup(self, target, detector, bits):
        self.detection = Detection(DETECTORS[detector], decisions=100_000)
        measure(Detection(decisions=100), target, bits)  # loads SciPy, computes the codebooks

    def time_measure(self, target, detector, bits):
        measure(self.detection, target, bits)


class Many:
    """Memory over the decisions, and two threads against one."""

    param_names = ("decisions",)
    params = ([100_000, 1_000_000],)
    timeout = 300

    def peakmem_measure(self, decisions):
        measure(Detection(decisions=decisions), "extended", 3)

    def time_one_thread(self, decisions):
        measure(Detection(decisions=decisions), "extended", 3)

    def time_two_threads(self, decisions):
        measure(Detection(decisions=decisions, threads=2), "extended", 3)


class Binning:
    """The binned curve against the one of all sorted statistics, of exponential laws 10 dB apart."""

    def setup(self):
        rng = np.random.default_rng(0)
        self.samples = rng.exponential(size=10**6), 10 * rng.exponential(size=10**6)
        self.exact, self.binned = (
            Roc.of(*(Histogram.of(of, mantissa) for of in self.samples)) for mantissa in (52, 14)
        )
        self.false_alarms = np.logspace(-5, 0, 101)

    def track_error(self):
        curves = [roc.detection_probability(self.false_alarms) for roc in (self.exact, self.binned)]
        return float(np.max(np.abs(curves[0] - curves[1])))

    def track_error_of_area(self):
        return float(abs(self.exact.area().value - self.binned.area().value))

    def track_error_over_deviation(self):
        p = self.exact.detection_probability(self.false_alarms)[:-1]
        error = p - self.binned.detection_probability(self.false_alarms)[:-1]
        return float(np.max(error / np.sqrt(p * (1 - p) / 10**6)))

    def time_histogram(self):
        Histogram.of(self.samples[0])

    track_error.unit = "largest error of a detection probability"
    track_error_of_area.unit = "error of the area"
    track_error_over_deviation.unit = "largest error in standard deviations of a million decisions"
