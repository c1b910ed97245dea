"""Samples through hardware and link: speed as a ratio to plain NumPy, to copying, and in samples a second."""

import time

import numpy as np

import isacsim
from isacsim.hardware.kernels import quantise_rows
from isacsim.waveform.link import Downlink, send
from isacsim.waveform.modulation import Gaussian, Qam
from isacsim.waveform.signals import Sources

from .scenes import complex_gaussian

CHAINS, SAMPLES = 64, 16384


def best(calls, rounds=5, repeat=4):
    """The least wall time of each call: in turn, so that what else runs meets all alike, and some times in a
    row, so that none pays for the memory that another gave back."""
    times = [[] for _ in calls]
    for _ in range(rounds):
        for call, of in zip(calls, times, strict=True):
            for _ in range(repeat):
                begin = time.perf_counter()
                call()
                of.append(time.perf_counter() - begin)
    return [min(of) for of in times]


def plain(x, power, book):
    """A quantiser as one writes it down: floor, clip and scale, or a search among the thresholds."""
    scale, parts = np.sqrt(power / 2)[:, None], x.view(float)
    if book.step is None:
        return (scale * book.levels[np.searchsorted(book.thresholds, parts / scale, side="right")]).view(complex)
    step, top = book.step * scale, (book.levels.size - 1) / 2
    return (step * np.clip(np.floor(parts / step) + 0.5, -top, top)).view(complex)


class Quantiser:
    """A million complex samples: 64 chains of 16,384, against plain NumPy and against copying them."""

    param_names = ("device",)
    params = (["mid-rise 3", "mid-rise 8", "aqnm 1", "aqnm 2", "aqnm 3", "aqnm 5", "aqnm 8"],)

    def setup(self, device):
        name, bits = device.split()
        self.device = {"mid-rise": isacsim.MidRise, "aqnm": isacsim.Aqnm}[name](int(bits))
        self.x = complex_gaussian((CHAINS, SAMPLES))
        self.power, into = np.ones(CHAINS), np.empty_like(self.x)
        book, scale = self.device.codebook(int(bits)), np.sqrt(self.power / 2)
        self.apply = lambda: self.device.apply(self.x, power=self.power)
        self.times = best(
            [
                self.apply,
                lambda: plain(self.x, self.power, book),
                lambda: quantise_rows(self.x.view(float), scale, book, into.view(float)),
                lambda: np.copyto(into, self.x),
            ]
        )

    def time_apply(self, device):
        self.apply()

    def track_against_plain(self, device):
        return self.times[1] / self.times[0]

    def track_share_of_copy(self, device):
        return 100 * self.times[3] / self.times[2]

    track_against_plain.unit = "time of plain NumPy over that of the device"
    track_share_of_copy.unit = "% of the bandwidth of copying, both into an array that is there"


class Link:
    """The whole link, symbols to decisions: 16 antennas, 3-bit converters on both sides, one core.

    A sample is one of one transmit chain: a slot has 16.
    """

    ANTENNAS, SLOTS = 16, 2**17
    param_names = ("device", "modulation", "users")
    params = (["ideal", "mid-rise", "aqnm"], ["qam16", "gaussian"], [1, 4])

    def setup(self, device, modulation, users):
        made = {"ideal": isacsim.Ideal(), "mid-rise": isacsim.MidRise(3), "aqnm": isacsim.Aqnm(3)}[device]
        H, W = complex_gaussian((2, 1, self.ANTENNAS, users))
        self.way = Downlink.of(H, W, 1.0, isacsim.Transceiver(made, made, made))
        self.carried = {"qam16": Qam(16), "gaussian": Gaussian()}[modulation]
        self.tap = 1 / self.way.gain()

    def run(self, slots):
        send(self.way, self.carried, slots, Sources.of(np.random.default_rng(0)), self.tap)

    def time_link(self, device, modulation, users):
        self.run(self.SLOTS)

    def peakmem_link(self, device, modulation, users):
        self.run(8 * self.SLOTS)

    def track_samples(self, device, modulation, users):
        return self.ANTENNAS * self.SLOTS / min(best([lambda: self.run(self.SLOTS)], 1)) / 1e6

    def track_slots(self, device, modulation, users):
        return self.track_samples(device, modulation, users) / self.ANTENNAS

    track_samples.unit = "million samples a second"
    track_slots.unit = "million slots a second"
