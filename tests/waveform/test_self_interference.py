"""Narrowband detection and estimation by a receiver of few bits that hears itself."""

import attrs
import numpy as np
import pytest

from isacsim import Drop, MidRise, PointTargets, Transceiver, UniformLinearArray
from isacsim.link import Link
from isacsim.metrics import radar_sqnr
from isacsim.random import complex_normal
from isacsim.targets.background import Background
from isacsim.waveform.detection import Detection
from isacsim.waveform.estimation import Estimation

TX, RX = UniformLinearArray(4), UniformLinearArray(6)
TARGETS = PointTargets(TX, RX, [[0.3]], [[np.pi / 2]], [[0.8 - 0.3j]])


def link(noise, bits, inr_db, snapshots=1):
    """Streams from all antennas, through leakage so many dB above the noise of each receive chain."""
    W = complex_normal(np.random.default_rng(5), (1, 4, 4)) / 4  # 1 W
    B = complex_normal(np.random.default_rng(6), (1, 1, 6, 4))
    background = Background(B * np.sqrt(10 ** (inr_db / 10) * noise / np.mean(np.abs(B[0] @ W) ** 2) / 4))
    drop = Drop(np.zeros((1, 4, 0)), TARGETS, TX, RX, 1.0, np.zeros(0), [noise], snapshots, background)
    return Link(W, drop, Transceiver(receive=MidRise(bits)))


@pytest.mark.parametrize(("bits", "inr_db"), [(np.inf, 30), (5, 20), (3, 10)])
def test_the_roc_is_the_closed_form_at_the_radar_sqnr(bits, inr_db):
    one = link(0.1, bits, inr_db)
    drop = one.drop
    sqnr = radar_sqnr(TARGETS.response(), one.W, drop.radar_noise_power, one.transceiver, drop.background)
    alone = radar_sqnr(TARGETS.response(), one.W, drop.radar_noise_power, one.transceiver)
    found = Detection(decisions=20_000, confidence=1 - 1e-6).measure(one, [np.random.default_rng(1)])
    area = (1 + sqnr) / (2 + sqnr)  # both statistics are exponential
    # What converters add is no Gaussian noise, and full scale is that of an echo also where there is none: one percent.
    assert np.all((found["auc-lower"] - 0.01 < area) & (area < found["auc-upper"] + 0.01))
    if np.isfinite(bits):  # the leakage is heard, although it is cancelled
        assert np.all(found["auc-upper"] < (1 + alone) / (2 + alone))


@pytest.mark.parametrize(("bits", "inr_db"), [(np.inf, 30), (4, 20)])
def test_estimates_reach_the_bound_under_leakage(bits, inr_db):
    one, runs = link(1e-2, bits, inr_db, 32), 300
    error, bound = Estimation(runs=runs).errors(one, np.random.default_rng(2))
    ratio = error.mean(axis=0) / bound.mean(axis=0)
    assert np.all(np.abs(ratio - 1) < 4 * np.sqrt(2 / runs))  # of a mean of squares
    quiet = attrs.evolve(one, drop=attrs.evolve(one.drop, background=None))
    _, less = Estimation(runs=2).errors(quiet, np.random.default_rng(2))
    # By the law of the AQNM noise rises by some 1 + (beta / alpha)(1 + INR); ideal converters cancel all of it.
    rise = bound.mean(axis=0)[0] / less.mean(axis=0)[0]
    assert (rise > 1.5) == np.isfinite(bits)
