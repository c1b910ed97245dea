"""Converters: samples through the quantisers, their second-order models, and what these cost a design."""

import time

import numpy as np

import isacsim
from isacsim.api import FixedCodebooks, exact_model, exact_vjp
from isacsim.testing.capabilities import Compressing

from .scenes import complex_gaussian

DEVICES = {
    "aqnm, 3 bits": isacsim.Aqnm(3),
    "aqnm uniform, 3 bits": isacsim.Aqnm(3, table="uniform"),
    "mid-rise, 8 bits": isacsim.MidRise(8),
    "mixed bits": isacsim.Aqnm([1, 2, 3, 4] * 4),
}
CHAINS, SAMPLES = 16, 2**16


class Samples:
    """A million complex samples: 16 chains of 65,536."""

    param_names = ("device",)
    params = (list(DEVICES),)

    def setup(self, device):
        self.device = DEVICES[device]
        self.x = complex_gaussian((CHAINS, SAMPLES))
        self.device.apply(self.x[:, :16])  # the codebooks are computed once in a process

    def time_apply(self, device):
        self.device.apply(self.x)


class LinearModel:
    """The second-order model for 100 covariances of 16 chains."""

    param_names = ("device",)
    params = (list(DEVICES),)

    def setup(self, device):
        W = complex_gaussian((100, CHAINS, 4))
        self.R = W @ W.conj().swapaxes(-1, -2)
        self.device = DEVICES[device]
        self.device.linear_model(self.R[:1])

    def time_linear_model(self, device):
        self.device.linear_model(self.R)


def least(function, rounds=15):
    """The shortest of some times that a function takes, in s; it has run once."""
    function()
    times = []
    for _ in range(rounds):
        begin = time.perf_counter()
        function()
        times.append(time.perf_counter() - begin)
    return min(times)


class ExactModel:
    """The exact model of converters in 64 chains over the eigenvalues of the same 10 covariances, in one process."""

    param_names = ("bits",)
    params = ([1, 2, 3, 4, 5, 6],)

    def setup(self, bits):
        W = complex_gaussian((10, 64, 8))
        self.R = W @ W.conj().swapaxes(-1, -2)
        self.device = isacsim.MidRise(bits)

    def track_model_over_eigh(self, bits):
        eigh = least(lambda: np.linalg.eigh(self.R))
        return least(lambda: self.device.linear_model(self.R)) / eigh

    def track_vjp_over_eigh(self, bits):
        g = self.device.linear_model(self.R).distortion
        eigh = least(lambda: np.linalg.eigh(self.R))
        return least(lambda: self.device.linear_model_vjp(self.R, np.ones((10, 64)), g)) / eigh


class FixedScaleModel:
    """The exact model of converters of a fixed full scale in 64 chains of unequal powers, over the eigenvalues."""

    param_names = ("bits", "streams")
    params = ([3, 6, 8, 12], [8, 1])

    def setup(self, bits, streams):
        W = complex_gaussian((10, 64, streams))
        self.R = W @ W.conj().swapaxes(-1, -2)
        step = 8 * np.sqrt(streams / 2) / 2**bits  # full scale at four deviations
        thresholds = step * (np.arange(2**bits - 1) - 2 ** (bits - 1) + 1)
        self.maps = FixedCodebooks(np.tile(thresholds, (64, 1)), np.full((64, thresholds.size), step))

    def track_model_over_eigh(self, bits, streams):
        eigh = least(lambda: np.linalg.eigh(self.R))
        return least(lambda: exact_model(self.maps, self.R), 3) / eigh

    def track_vjp_over_eigh(self, bits, streams):
        eigh = least(lambda: np.linalg.eigh(self.R))
        return least(lambda: exact_vjp(self.maps, self.R, np.ones((10, 64)), self.R), 3) / eigh


class AwareDesign:
    """A design of 16 antennas for 4 users behind exact converters of 3 bits, over that for ideal hardware."""

    def setup(self):
        rng = np.random.default_rng(0)
        tx, rx = isacsim.UniformPlanarArray(4, 4), isacsim.UniformPlanarArray(5, 4)
        H = (rng.standard_normal((10, 16, 4)) + 1j * rng.standard_normal((10, 16, 4))) / np.sqrt(2)
        targets = isacsim.PointTargets(tx, rx, [-0.74, -0.85], [-0.66, -0.32], [0.087, -0.04 + 0.117j])
        self.ideal = isacsim.SumRateCrlb(
            H=H, targets=targets, power=0.1, noise_power=1e-3, radar_noise_power=1e-3, snapshots=64,
            rate_weight=0.25, crlb_weight=1.0, sensing_streams=0,
        )  # fmt: skip
        self.aware = isacsim.SumRateCrlb(
            H=H, targets=targets, power=0.1, noise_power=1e-3, radar_noise_power=1e-3, snapshots=64,
            rate_weight=0.25, crlb_weight=1.0, sensing_streams=0,
            transceiver=isacsim.Transceiver(transmit=isacsim.MidRise(3)),
        )  # fmt: skip

    def track_aware_over_ideal(self):
        ideal = least(lambda: isacsim.solve(self.ideal), 3)
        return least(lambda: isacsim.solve(self.aware), 3) / ideal


class Rescaling:
    """Evaluations of a device that a precoder takes that is to radiate a share of what equal chains put out."""

    param_names = ("share",)
    params = ([0.3, 0.9, 0.96],)

    def track_evaluations(self, share):
        asked = []

        class Counted(Compressing):
            def linear_model(self, R):
                asked.append(1)
                return super().linear_model(R)

        W = complex_gaussian((16, 4))
        isacsim.metrics.rescale_to_radiated(W, Counted(), share * CHAINS / 2)  # at most 1/2 W each, 7.72 W together
        return len(asked)
