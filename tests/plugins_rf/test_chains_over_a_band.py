"""A whole transceiver in series over a band: prediction and samples of every subcarrier."""

import numpy as np
import pytest
from isacsim_rf.amplifiers import Rapp
from isacsim_rf.mixers import IqImbalance
from isacsim_rf.oscillators import CarrierOffset, PhaseNoise

from isacsim import Chain, MidRise, PointTargets, Transceiver, UniformLinearArray
from isacsim.channels.wideband import Exponential
from isacsim.drop import WidebandDrop
from isacsim.grid import Grid
from isacsim.link import WidebandLink
from isacsim.waveform.ofdm_link import OfdmLink

GRID = Grid(128, 120e3, active=96, prefix=16)
ARRAY = UniformLinearArray(8)


def link_of(hardware, noise=0.003, seed=3):
    rng = np.random.default_rng(seed)
    H = Exponential(0.02 / GRID.spacing, taps=6).draw_band(GRID, ARRAY, 2, range(1), [rng])
    Hh = np.conj(H.swapaxes(-1, -2))
    W = H @ np.linalg.inv(Hh @ H + 0.05 * np.eye(2))
    W = W / np.sqrt((np.abs(W) ** 2).sum() / GRID.subcarriers)
    drop = WidebandDrop(
        H=H, targets=PointTargets(ARRAY, ARRAY, [0.2], np.pi / 2, [0.1]), tx_array=ARRAY, rx_array=ARRAY,
        power=1.0, noise_power=np.full(2, noise), radar_noise_power=0.1, grid=GRID,
    )  # fmt: skip
    return WidebandLink(W, drop, hardware)


AMPLIFIED = Chain(MidRise(4), Rapp(saturation=4 / 8))  # 6 dB above the mean power of a chain
OSCILLATOR = PhaseNoise(linewidth=20.0, sampling_rate=GRID.rate, block=37)
OFFSET = CarrierOffset(0.05 * GRID.spacing, GRID.rate, GRID.subcarriers + GRID.prefix, GRID.prefix)
RECEIVER = Chain(OFFSET, OSCILLATOR, IqImbalance(1.05, 0.03), MidRise(5))


@pytest.mark.parametrize(
    ("hardware", "symbols"),
    [
        (Transceiver(user=Chain(OFFSET, MidRise(8))), 400),
        (Transceiver(transmit=AMPLIFIED, user=RECEIVER), 400),
        pytest.param(Transceiver(transmit=AMPLIFIED, user=RECEIVER), 4000, marks=pytest.mark.slow),
    ],
    ids=["offset", "all in series", "all in series, long"],
)
def test_converter_amplifier_paths_offset_phase_image_and_converter_are_predicted(hardware, symbols):
    found = OfdmLink(symbols=symbols).trial(link_of(hardware), np.random.default_rng(4))
    # 192 ratios of n symbols each have a mean of 4.3 sqrt(2 / 192 n) dB; a tenth is what series of stages may be off.
    assert abs(found["sqinr-error-db"][0]) < 0.1
    error = 10 * np.log10(found["sampled-subcarrier-sqinr"] / found["predicted-subcarrier-sqinr"])
    # The scatter of one ratio is 6 / sqrt(n) dB: four and a half of it, of 192, beside the tenth.
    assert np.abs(error).max() < 0.1 + 4.5 * 6 / np.sqrt(symbols)


@pytest.mark.parametrize("bits", [1, 2])
def test_few_bits_at_both_ends_of_a_whole_transceiver_are_predicted(bits):
    # What a second stage of few bits meets behind a first is no Gaussian signal: the linear model is 0.45 and 0.11 dB
    # off.
    sender = Chain(MidRise(bits), Rapp(saturation=4 / 8))
    receiver = Chain(OFFSET, OSCILLATOR, IqImbalance(1.05, 0.03), MidRise(bits))
    link = link_of(Transceiver(transmit=sender, user=receiver))
    found = OfdmLink(symbols=400).trial(link, np.random.default_rng(4))
    assert abs(found["sqinr-error-db"][0]) < 0.1
    assert 10 * np.log10(found["sampled-subcarrier-sqinr"] / link.users.sqinr).mean() > 0.1
