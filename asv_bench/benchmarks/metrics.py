"""Metrics of given precoders over antennas, users, batch and bits."""

import numpy as np

import isacsim

from .scenes import complex_gaussian, low_resolution, precoder

PARAMETERS = {"antennas": [16, 64, 256], "users": [4, 16], "batch": [1, 100], "bits": [np.inf, 3]}


class _Given:
    """Channels, an extended target and precoders."""

    param_names = tuple(PARAMETERS)
    params = tuple(PARAMETERS.values())
    largest = 256 * 256 * 100

    def setup(self, antennas, users, batch, bits):
        if antennas**2 * batch >= self.largest and bits != np.inf:
            raise NotImplementedError("covariances too large and too many for a short benchmark")
        self.transceiver = low_resolution(bits)
        self.H = complex_gaussian((batch, antennas, users))
        self.W = precoder(antennas, 2 * users, batch)


class Communication(_Given):
    """SQINR and rates of the users."""

    def time_sqinr(self, antennas, users, batch, bits):
        isacsim.metrics.sqinr(self.H, self.W, 1e-3, self.transceiver)

    def time_sum_rate(self, antennas, users, batch, bits):
        isacsim.metrics.sum_rate(self.H, self.W, 1e-3, self.transceiver)

    def peakmem_sum_rate(self, antennas, users, batch, bits):
        isacsim.metrics.sum_rate(self.H, self.W, 1e-3, self.transceiver)


class Radiation(_Given):
    """What leaves the antennas."""

    def setup(self, antennas, users, batch, bits):
        super().setup(antennas, users, batch, bits)
        self.array = isacsim.UniformLinearArray(antennas)
        self.azimuth = np.linspace(-np.pi / 2, np.pi / 2, 181)

    def time_radiated_power(self, antennas, users, batch, bits):
        isacsim.metrics.radiated_power(self.W, self.transceiver.transmit)

    def time_beampattern(self, antennas, users, batch, bits):
        isacsim.metrics.beampattern(self.W, self.array, self.azimuth, transmit=self.transceiver.transmit)


class Radar(_Given):
    """Radar SQNR and the CRB of the target response, for a response as large as the array."""

    largest = 64 * 64 * 100

    def setup(self, antennas, users, batch, bits):
        super().setup(antennas, users, batch, bits)
        if antennas == 256 and batch == 100:
            raise NotImplementedError("responses too large and too many for a short benchmark")
        self.G = complex_gaussian((batch, antennas, antennas), 2)
        self.full = precoder(antennas, antennas + users, batch)  # of full rank, without which the CRB is infinite

    def time_radar_sqnr(self, antennas, users, batch, bits):
        isacsim.metrics.radar_sqnr(self.G, self.W, 1e-3, self.transceiver)

    def time_radar_sqnr_combiner(self, antennas, users, batch, bits):
        isacsim.metrics.radar_sqnr_combiner(self.G, self.W, 1e-3, self.transceiver)

    def time_response_crb(self, antennas, users, batch, bits):
        isacsim.metrics.response_crb(self.G, self.full, 1e-3, 256, self.transceiver)
