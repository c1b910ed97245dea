"""CFAR: factors and probabilities against quadrature, sampling and each other, and detection on maps."""

from pathlib import Path

import numpy as np
import pytest
from scipy import integrate, special, stats

from isacsim import InvalidInput
from isacsim.waveform import cfar
from isacsim.waveform.cfar import CellAveraging, OrderedStatistic

DATA = Path(__file__).parents[1] / "data" / "wideband"


@pytest.fixture(params=range(10), ids=str)
def reference(request):
    return np.load(DATA / f"cfar_{request.param:02d}.npz")


def test_factors_have_their_false_alarm_probability_by_quadrature(reference):
    z = reference
    N, n, p, k = int(z["cells"]), int(z["looks"]), float(z["false_alarm"]), int(z["rank"])
    a = cfar.ca_factor(p, N, n)
    np.testing.assert_allclose(a, z["ca_factor"], rtol=1e-9)
    np.testing.assert_allclose(cfar.os_factor(p, N, k), z["os_factor"], rtol=1e-9)
    found = integrate.quad(
        lambda q: stats.gamma.sf(a * stats.gamma.ppf(q, n * N) / N, n), 0, 1, limit=400, epsabs=0, epsrel=1e-10
    )[0]
    np.testing.assert_allclose(found, p, rtol=1e-9)
    np.testing.assert_allclose(cfar.os_exceedance(cfar.os_factor(p, N, k), N, k), p, rtol=1e-12)


def test_detection_probabilities_in_known_noise_are_those_of_the_samples(reference):
    z = reference
    found = np.array(
        [cfar.known_noise_detection(float(z["false_alarm"]), float(z["snr"]), int(z["looks"]), m) for m in range(5)]
    )
    np.testing.assert_allclose(found, z["pd_swerling"], rtol=1e-6)
    deviation = np.sqrt(np.maximum(found * (1 - found), 1e-5) / int(z["sampled"]))
    assert np.all(np.abs(found - z["pd_sampled"]) < 4 * deviation)


EVEN = [i for i in range(10) if not int(np.load(DATA / f"cfar_{i:02d}.npz")["cells"]) % 2]


@pytest.mark.parametrize("case", EVEN)  # a window has as many cells on either side
def test_detection_probabilities_of_one_look_are_the_closed_forms(case):
    z = np.load(DATA / f"cfar_{case:02d}.npz")
    N, p, k, S = int(z["cells"]), float(z["false_alarm"]), int(z["rank"]), float(z["snr"])
    ca, ordered = CellAveraging(p, N), OrderedStatistic(p, N, rank=k)
    np.testing.assert_allclose(ca.detection(S, 1), z["ca_pd_swerling1_one_look"], rtol=1e-9)
    np.testing.assert_allclose(ordered.detection(S, 1), z["os_pd_swerling1"], rtol=1e-9)
    # Gauss-Legendre in the quantile, 400 nodes on either side.
    np.testing.assert_allclose(ca.detection(S, 0), z["ca_pd_swerling0_one_look"], rtol=1e-6)


def test_swerling_1_is_the_steady_target_averaged_over_its_fluctuation():
    # Independent of the closed form: quadrature over the exponential law of the power.
    for detector in (CellAveraging(1e-3, 12), OrderedStatistic(1e-3, 12)):
        x, w = special.roots_laguerre(60)
        mean = (w * detector.detection(8.0 * x, 0)).sum()
        np.testing.assert_allclose(mean, detector.detection(8.0, 1), rtol=2e-4)
    # More fluctuation, less detection at high SNR.
    ordered = [CellAveraging(1e-4).detection(100.0, m) for m in (0, 3, 1)]
    assert ordered[0] > ordered[1] > ordered[2]


def test_known_noise_is_the_limit_of_many_cells():
    for m in (0, 1, 3):
        limit = cfar.known_noise_detection(1e-3, 10.0, 1, m)
        np.testing.assert_allclose(CellAveraging(1e-3, 4000).detection(10.0, m), limit, rtol=2e-3)


@pytest.mark.parametrize(
    "detector", [CellAveraging(1e-2), OrderedStatistic(1e-2), CellAveraging(1e-2, 8, 1, 2)], ids=["ca", "os", "stride"]
)
def test_false_alarms_on_maps_of_noise_are_as_many_as_asked_for(detector):
    maps = np.random.default_rng(3).exponential(size=(40, 64, 64))
    alarms = detector.detect(maps).mean(axis=(1, 2))
    # Cells of a column share their reference: maps, which are independent, say how much the rate scatters.
    assert abs(alarms.mean() - 1e-2) < 4 * alarms.std() / np.sqrt(40)


def test_the_scale_of_the_noise_does_not_matter_and_edges_wrap():
    detector, noise = CellAveraging(1e-2), np.random.default_rng(4).exponential(size=(48, 8))
    first = detector.detect(noise)
    np.testing.assert_array_equal(detector.detect(1e6 * noise), first)
    np.testing.assert_array_equal(detector.detect(np.roll(noise, 7, axis=0)), np.roll(first, 7, axis=0))


def test_an_ordered_statistic_sees_one_of_two_close_targets_where_the_mean_does_not():
    power = np.ones((64, 1))
    power[[20, 25], 0] = 60.0
    assert not CellAveraging(1e-4, 8).detect(power)[20, 0]
    assert OrderedStatistic(1e-4, 8).detect(power)[[20, 25], 0].all()


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: CellAveraging(0.0), "false_alarm"),
        (lambda: CellAveraging(1.0), "false_alarm"),
        (lambda: CellAveraging(cells=0), "cells"),
        (lambda: CellAveraging(cells=7), "cells"),
        (lambda: CellAveraging(guard=-1), "guard"),
        (lambda: OrderedStatistic(cells=8, rank=9), "rank"),
        (lambda: OrderedStatistic(rank=0), "rank"),
        (lambda: CellAveraging(guard=40).detect(np.ones((64, 2))), "cells"),
    ],
)
def test_a_detector_that_makes_no_sense_is_refused(make, field):
    with pytest.raises(InvalidInput, match=field):
        make()
