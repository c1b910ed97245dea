"""A map to look at: its axes are those of the targets, and its floor that of the prediction."""

import numpy as np
import pytest

from isacsim import MidRise, PointTargets, Transceiver, UniformLinearArray
from isacsim.drop import WidebandDrop
from isacsim.grid import LIGHT, Grid
from isacsim.link import WidebandLink
from isacsim.waveform.map import RangeDopplerMap

TX, RX = UniformLinearArray(4), UniformLinearArray(6)
GRID = Grid(64, 120e3, symbols=16, active=48, prefix=16)


def link_of(reflection, cell, hardware=None):
    delay, doppler = cell[0] / (GRID.used * GRID.spacing), cell[1] / (GRID.symbols * GRID.duration)
    targets = PointTargets(TX, RX, [[0.3]], np.pi / 2, [[reflection]], [[delay]], [[doppler * GRID.wavelength / 2]])
    W = np.repeat(TX.steering(0.3)[None, None, :, None], GRID.used, 1)
    H = np.ones((1, GRID.used, TX.size, 1), complex)
    drop = WidebandDrop(
        H=H, targets=targets, tx_array=TX, rx_array=RX, power=1.0, noise_power=np.array([[0.01]]),
        radar_noise_power=0.01, snapshots=16, grid=GRID,
    )  # fmt: skip
    return WidebandLink(W, drop, hardware or Transceiver())


@pytest.mark.parametrize("cell", [(5, 3), (2, -4), (0, 0)])
@pytest.mark.parametrize("window", ["rectangular", "hann"])
def test_the_peak_is_at_the_range_and_velocity_of_the_target(cell, window):
    link, measure = link_of(0.1, cell), RangeDopplerMap(window=window)
    seen, labels = measure.trial(link, np.random.default_rng(0))["range-doppler-map"][0], measure.labels(link.drop)
    assert seen.shape == (len(labels["range"]), len(labels["velocity"]))
    i, k = np.unravel_index(seen.argmax(), seen.shape)
    assert labels["range"][i] == pytest.approx(link.drop.targets.delay[0, 0] * LIGHT / 2, abs=1e-9)
    assert labels["velocity"][k] == pytest.approx(link.drop.targets.velocity[0, 0], abs=1e-9)


@pytest.mark.parametrize("hardware", [None, Transceiver(receive=MidRise(2))], ids=["ideal", "2 bits"])
def test_without_an_echo_it_is_flat_at_the_predicted_floor(hardware):
    bursts = 40
    seen = RangeDopplerMap(bursts=bursts, window="rectangular").trial(
        link_of(0.0, (0, 0), hardware), np.random.default_rng(1)
    )["range-doppler-map"]
    # Cells are exponential of mean 1; 2 % are left to the model of the converter.
    assert seen.mean() == pytest.approx(1.0, abs=4 / np.sqrt(bursts * seen.size) + 0.02)


def test_ranges_end_with_the_prefix():
    ranges = RangeDopplerMap().labels(link_of(0.1, (5, 3)).drop)["range"]
    reach = GRID.prefix / GRID.rate * LIGHT / 2
    assert ranges[-1] <= reach < ranges[-1] + GRID.range_step
