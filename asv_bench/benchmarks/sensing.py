"""Steering vectors, Fisher information and the CRLB over antennas, targets, batch and bits."""

import numpy as np

import isacsim

from .scenes import low_resolution, precoder

ANTENNAS, TARGETS, BATCH = [16, 64, 256], [2, 8], [1, 100]


def targets_of(antennas, targets, batch=()):
    """Well separated point targets seen by planar arrays of four columns."""
    rng = np.random.default_rng(0)
    shape = (*batch, targets)
    azimuth = np.linspace(-1.0, 1.0, targets) + rng.uniform(-0.05, 0.05, shape)
    zenith = np.linspace(0.8, 1.4, targets) + rng.uniform(-0.05, 0.05, shape)
    reflection = 0.2 * np.exp(2j * np.pi * rng.uniform(size=shape))
    rows = antennas // 4
    tx, rx = isacsim.UniformPlanarArray(4, rows), isacsim.UniformPlanarArray(5, rows)
    return isacsim.PointTargets(tx, rx, azimuth, zenith, reflection)


class Steering:
    """Steering vectors with and without derivatives, and the response of a scene."""

    param_names = ("antennas", "targets", "batch")
    params = (ANTENNAS, TARGETS, BATCH)

    def setup(self, antennas, targets, batch):
        self.scene = targets_of(antennas, targets, (batch,))
        self.angles = self.scene.azimuth, self.scene.zenith

    def time_steering(self, antennas, targets, batch):
        self.scene.tx_array.steering(*self.angles)

    def time_steering_derivatives(self, antennas, targets, batch):
        self.scene.tx_array.steering_derivatives(*self.angles)

    def time_response(self, antennas, targets, batch):
        self.scene.response()


class Fisher:
    """The FIM and the CRLB of given precoders; each realisation has its own scene."""

    param_names = ("antennas", "targets", "batch", "bits")
    params = (ANTENNAS, TARGETS, BATCH, [np.inf, 3])

    def setup(self, antennas, targets, batch, bits):
        if antennas == 256 and batch == 100 and bits == 3:
            raise NotImplementedError("covariances too large and too many for a short benchmark")
        self.transceiver = low_resolution(bits)
        self.scene = targets_of(antennas, targets, (batch,))
        self.W = precoder(antennas, 12, batch)

    def time_fim(self, antennas, targets, batch, bits):
        isacsim.metrics.fim(self.scene, self.W, 1e-3, 30, self.transceiver)

    def time_crlb(self, antennas, targets, batch, bits):
        isacsim.metrics.crlb(self.scene, self.W, 1e-3, 30, self.transceiver)

    def peakmem_crlb(self, antennas, targets, batch, bits):
        isacsim.metrics.crlb(self.scene, self.W, 1e-3, 30, self.transceiver)
