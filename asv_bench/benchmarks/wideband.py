"""OFDM through 64 chains: samples a second through converters both ways, spectra of distortion, memory, and designs."""

import time

import numpy as np

import isacsim
from isacsim.hardware.spectral import OverBand
from isacsim.link import Transmission
from isacsim.problems.band_sum_rate_crlb import BandSumRateCrlbWeights
from isacsim.testing.examples import example_wideband_drop
from isacsim.waveform import ofdm
from isacsim.waveform.modulation import QPSK
from isacsim.waveform.signals import Sources

CHAINS, STREAMS, SYMBOLS = 64, 4, 4
GRID = isacsim.Grid(1024, 120e3, symbols=64)
CONVERTER = isacsim.MidRise(3)


def precoders():
    rng = np.random.default_rng(0)
    shape = (1, GRID.used, CHAINS, STREAMS)
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)) / 16


class Ofdm:
    """Precoding, IFFT, 3-bit DACs, FFT; IFFT, 3-bit ADCs, FFT: blocks of 4 symbols of 1024 subcarriers; CPU time."""

    def setup(self):
        self.W, self.sources = precoders(), Sources.of(np.random.default_rng(1))
        self.power = ofdm.sample_power(self.W, GRID)
        self.s = ofdm.symbols(QPSK, self.W, SYMBOLS, self.sources)

    def through(self):
        sent = ofdm.radiate(self.W, self.s, GRID, CONVERTER, self.sources)
        return ofdm.demodulate(CONVERTER.apply(ofdm.modulate(sent, GRID), power=self.power), GRID)

    def time_block(self):
        self.through()

    def track_samples(self):
        best = np.inf
        for _ in range(10):
            begin = time.process_time()
            self.through()
            best = min(best, time.process_time() - begin)
        return CHAINS * GRID.subcarriers * SYMBOLS / best / 1e6

    track_samples.unit = "Msample/s"

    def peakmem_burst(self):
        for _ in range(GRID.symbols // SYMBOLS):
            self.through()


class Spectrum:
    """Distortion of converters on all subcarriers, from the covariance of their samples."""

    params = (8, 16)
    param_names = ("chains",)

    def setup(self, chains):
        self.W = precoders()[0, ::4, :chains]
        self.grid = isacsim.Grid(256, 120e3)

    def time_converters(self, chains):
        Transmission.of(self.W, OverBand(CONVERTER, self.grid))


class BandDesign:
    """A design over 6 subcarriers, 6 antennas and 2 users: 20 steps and all of it, by what it is designed for."""

    params = ("ideal", "converters")
    param_names = ("hardware",)

    def setup(self, hardware):
        converters = isacsim.Transceiver(*[isacsim.Aqnm(3)] * 3)
        asked = BandSumRateCrlbWeights(rate_weight=0.25, crlb_weight=1.0)
        transceiver = converters if hardware == "converters" else isacsim.Transceiver()
        self.problem = asked.pose(example_wideband_drop(1), transceiver)
        self.solve(1)  # kernels are compiled

    def solve(self, steps):
        return isacsim.solve(self.problem, max_steps=steps)

    def time_steps(self, hardware):
        self.solve(20)

    def time_solve(self, hardware):
        self.solve(2000)

    def track_objective(self, hardware):
        return float(self.solve(2000).objective[0])
