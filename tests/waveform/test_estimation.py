"""Estimation: the likelihood, its maximum, and errors beside the Cramer-Rao bound."""

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isacsim import Aqnm, InvalidInput, PointTargets, Transceiver, UniformLinearArray, UniformPlanarArray
from isacsim.drop import Drop
from isacsim.link import Link
from isacsim.metrics.sensing import echo_of
from isacsim.targets.scene import ResponseMatrix
from isacsim.testing import example_drop
from isacsim.waveform.estimation import Estimation
from isacsim.waveform.estimators import Fitter, Observation, beamforming, folded, matched, maximum_likelihood

LINEAR = UniformLinearArray(8), UniformLinearArray(10)
PLANAR = UniformPlanarArray(4, 4), UniformPlanarArray(5, 4)
IDEAL = Transceiver()
angles = st.floats(-7.0, 7.0)


def scene_of(arrays, count):
    """Targets a beam or more apart."""
    azimuth = np.array([-0.6, 0.2, 0.8])[:count]
    zenith = np.array([1.2, 1.0, 1.9])[:count] if arrays is PLANAR else np.full(count, np.pi / 2)
    return PointTargets(*arrays, azimuth[None], zenith[None], np.array([[1, 0.7j, -0.5 + 0.3j]])[:, :count])


def precoder(kit, antennas):
    W = kit.complex_gaussian((1, antennas, antennas), 3)
    return W / np.linalg.norm(W)


def observed(kit, scene, noise_power, members=1, snapshots=24, hardware=IDEAL, noisy=True):
    """Samples of a scene through the second-order model of the hardware, and their summary."""
    W = precoder(kit, scene.tx_array.size)
    link = echo_of(scene.response(), W, np.array([noise_power]), hardware)
    gain = hardware.transmit.linear_model(W @ np.conj(W).swapaxes(-1, -2)).gain
    sent = gain[..., None] * (W @ kit.complex_gaussian((members, W.shape[-1], snapshots), 4))
    mean = link.gain[..., None] * (scene.response() @ sent)
    noise = link.noise if link.noise.ndim == 3 else link.noise[..., None] * np.eye(link.noise.shape[-1])
    e = np.linalg.cholesky(noise) @ kit.complex_gaussian(mean.shape, 5)
    return Observation.of(mean + noisy * e, sent, link), mean + noisy * e, sent, link.gain, noise


@pytest.mark.parametrize("arrays", [LINEAR, PLANAR], ids=["linear", "planar"])
@pytest.mark.parametrize("hardware", [Transceiver(), Transceiver(Aqnm(3), Aqnm(2))], ids=["ideal", "converters"])
def test_the_concentrated_likelihood_is_that_of_the_samples(kit, arrays, hardware):
    scene = scene_of(arrays, 2)
    summary, y, sent, gain, noise = observed(kit, scene, 0.1, members=3, hardware=hardware)
    azimuth, zenith = (np.repeat(x + 0.02, 3, axis=0) for x in (scene.azimuth, scene.zenith))
    zenith = zenith if scene.planar else zenith - 0.02
    fitter = Fitter(*arrays)
    fit = fitter.fit(summary, azimuth, zenith)

    def direct(reflection):
        G = PointTargets(*arrays, azimuth, zenith, reflection).response()
        e = y - gain[..., None] * (G @ sent)
        return -(np.conj(e) * np.linalg.solve(noise + 0j, e)).real.sum(axis=(-2, -1))

    at_zero = direct(np.zeros_like(fit.reflection))
    # 1e-9: the sums over 24 snapshots of two formulas that share no step.
    np.testing.assert_allclose(direct(fit.reflection) - at_zero, fit.likelihood, rtol=1e-9)
    for change in ([1e-3, 0], [0, 1e-3j], [-1e-3j, 1e-3]):  # its reflections are the best ones
        assert np.all(direct(fit.reflection + change) < direct(fit.reflection))


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("arrays", [LINEAR, PLANAR], ids=["linear", "planar"])
def test_without_noise_the_targets_are_found_exactly(kit, arrays, count):
    scene = scene_of(arrays, count)
    summary, *_ = observed(kit, scene, 1e-6, members=2, noisy=False)
    fit = maximum_likelihood(Fitter(*arrays), summary, count)
    fit = matched(fit, scene.azimuth[0], scene.zenith[0])
    # The steps end within a thousandth of the standard deviation, which is some 1e-4 here.
    for name in ("azimuth", "zenith", "reflection"):
        np.testing.assert_allclose(getattr(fit, name), np.repeat(getattr(scene, name), 2, axis=0), atol=1e-6)


def test_scoring_never_lowers_the_likelihood_and_ends_where_it_is_flat(kit):
    scene = scene_of(PLANAR, 2)
    summary, *_ = observed(kit, scene, 1e-3, members=20)
    fitter = Fitter(*PLANAR)
    coarse = beamforming(fitter, summary, 2)
    fine = fitter.refined(summary, coarse)
    assert np.all(fine.likelihood >= coarse.likelihood)
    assert np.all(maximum_likelihood(fitter, summary, 2).likelihood >= fine.likelihood - 1e-6)

    def likelihood(step):  # along a direction that moves all angles of all members
        return fitter.fit(summary, fine.azimuth + step, fine.zenith - 0.7 * step).likelihood

    slope = kit.central_difference(likelihood, 1e-4)
    curvature = (likelihood(1e-3) + likelihood(-1e-3) - 2 * likelihood(0.0)) / 1e-6
    # A gain of 1e-6 left is a slope of sqrt(2 * 1e-6 * |curvature|); thrice that for the mixed direction.
    assert np.all(np.abs(slope) < 3 * np.sqrt(2e-6 * np.abs(curvature)))


def test_a_member_alone_is_fitted_as_in_a_batch(kit):
    summary, *_ = observed(kit, scene_of(PLANAR, 2), 0.02, members=5)
    fitter = Fitter(*PLANAR)
    batch = maximum_likelihood(fitter, summary, 2)
    for i in range(5):
        one = Observation(summary.Z[i : i + 1], summary.J, summary.K[i : i + 1])
        alone = maximum_likelihood(fitter, one, 2)
        for name in ("azimuth", "zenith", "reflection", "likelihood"):
            assert kit.raw_bytes(getattr(alone, name)[0]) == kit.raw_bytes(getattr(batch, name)[i])


@given(angles, angles)
def test_folded_directions_look_the_same_to_every_array(azimuth, zenith):
    folded_azimuth, folded_zenith = folded(azimuth, zenith)
    assert -np.pi / 2 <= folded_azimuth <= np.pi / 2
    assert 0 <= folded_zenith <= np.pi
    steering = PLANAR[0].steering(azimuth, zenith)
    np.testing.assert_allclose(PLANAR[0].steering(folded_azimuth, folded_zenith), steering, atol=1e-13)


def test_estimates_are_matched_to_the_nearest_targets(kit):
    scene = scene_of(PLANAR, 3)
    summary, *_ = observed(kit, scene, 1e-4, members=2)
    fit = maximum_likelihood(Fitter(*PLANAR), summary, 3)
    turned = attrs.evolve(
        fit, azimuth=fit.azimuth[:, [2, 0, 1]], zenith=fit.zenith[:, [2, 0, 1]], reflection=fit.reflection[:, [2, 0, 1]]
    )
    for one in (fit, turned):
        found = matched(one, scene.azimuth[0], scene.zenith[0])
        np.testing.assert_allclose(found.azimuth, np.repeat(scene.azimuth, 2, axis=0), atol=0.05)


def link(W, scene, noise_power, hardware=IDEAL, snapshots=32):
    """The link of a precoder (1, N_t, S) to a scene, without users."""
    H = np.zeros((1, scene.tx_array.size, 0))
    arrays = scene.tx_array, scene.rx_array
    return Link(W, Drop(H, scene, *arrays, 1.0, np.zeros(0), [noise_power], snapshots), hardware)


CASES = [(LINEAR, 1), (LINEAR, 2), (PLANAR, 1)]
SLOW = [pytest.param(*case, marks=pytest.mark.slow) for case in ((LINEAR, 3), (PLANAR, 2), (PLANAR, 3))]


@pytest.mark.parametrize(("arrays", "count"), [*CASES, *SLOW])
def test_at_high_snr_maximum_likelihood_meets_the_bound(kit, arrays, count):
    scene, W = scene_of(arrays, count), precoder(kit, arrays[0].size)
    runs = 1500
    error, bound = Estimation(runs=runs).errors(link(W, scene, 1e-3), np.random.default_rng(count))
    kept = np.array([kind in ("azimuth", "zenith") for kind in scene.unknowns])
    ratio = np.sqrt(error.mean(axis=0) / bound.mean(axis=0))
    # A mean of n squares has a relative deviation of sqrt(2 / n), its root half of that: 1.8 %.
    noise = np.sqrt(0.5 / runs)
    assert np.all(ratio > 1 - 4 * noise)
    assert np.sqrt((ratio[kept] ** 2).mean()) < 1.05
    assert np.all(ratio < 1.05 + 4 * noise)


def test_below_a_threshold_the_errors_leave_the_bound(kit):
    scene, W = scene_of(LINEAR, 1), precoder(kit, 8)
    ratio = []
    for noise in (1e-3, 1.0):
        error, bound = Estimation(runs=300).errors(link(W, scene, noise), np.random.default_rng(0))
        ratio.append(np.sqrt(error[:, 0].mean() / bound[:, 0].mean()))
    assert ratio[0] < 1.2
    assert ratio[1] > 3  # some runs take a noise peak for the target


def test_the_grid_alone_is_as_coarse_as_its_cells(kit):
    scene, W = scene_of(LINEAR, 1), precoder(kit, 8)
    one = link(W, scene, 1e-4)
    error, _ = Estimation(method="beamforming", runs=50).errors(one, np.random.default_rng(0))
    fine, _ = Estimation(runs=50).errors(one, np.random.default_rng(0))
    assert fine[:, 0].mean() < error[:, 0].mean()
    # 40 cells over direction cosines of width 2, 1 / cos(0.6) wider in the angle; the peak is in or next to its cell.
    assert np.all(np.sqrt(error[:, 0]) < 2 / 40 / np.cos(0.6))


def test_coarser_converters_make_larger_errors_on_the_same_symbols_and_noise(kit):
    scene, W = scene_of(LINEAR, 2), precoder(kit, 8)
    mse = [
        Estimation(runs=400).errors(link(W, scene, 1e-3, hardware), np.random.default_rng(1))[0][:, :2].mean()
        for hardware in (Transceiver(), Transceiver(Aqnm(3), Aqnm(3)), Transceiver(Aqnm(1), Aqnm(1)))
    ]
    assert mse[0] < mse[1] < mse[2]


def test_a_trial_records_errors_and_bounds_of_each_parameter():
    drop = example_drop(1)
    experiment = Estimation(runs=4)
    W = np.eye(6, dtype=complex)[None] * 0.1
    values = experiment.measure(Link(W, drop, Transceiver()), [np.random.default_rng(0)])
    assert {q.name: values[q.name].shape for q in experiment.quantities} == {
        "angle-rmse": (1,),
        "angle-bound": (1,),
        "parameter-mse": (1, 8),
        "parameter-bound": (1, 8),
    }
    labels = experiment.labels(drop)["parameter"]
    assert labels == drop.targets.labels
    angle = [i for i, name in enumerate(labels) if name.startswith(("azimuth", "zenith"))]
    np.testing.assert_allclose(values["angle-rmse"][0] ** 2, values["parameter-mse"][0, angle].mean(), rtol=1e-12)
    np.testing.assert_allclose(values["angle-bound"][0] ** 2, values["parameter-bound"][0, angle].mean(), rtol=1e-12)


def test_one_antenna_and_one_snapshot_locate_nothing_and_say_so():
    one = UniformLinearArray(1)
    scene = PointTargets(one, one, [[0.3]], [[np.pi / 2]], [[1.0]])
    error, bound = Estimation(runs=3).errors(
        link(np.ones((1, 1, 1)), scene, 0.1, snapshots=1), np.random.default_rng(0)
    )
    assert np.isfinite(error).all()
    assert np.all(bound == np.inf)


def test_only_point_targets_can_be_located():
    drop = example_drop(1)
    extended = attrs.evolve(drop, targets=ResponseMatrix(drop.targets.response()))
    with pytest.raises(InvalidInput, match="targets: must be point targets to be located"):
        Estimation(runs=1).measure(Link(np.ones((1, 6, 2)), extended, Transceiver()), [np.random.default_rng(0)])


@pytest.mark.parametrize(
    ("options", "message"),
    [({"runs": 0}, "runs: must be a whole number"), ({"method": "music"}, "method: must be one of its choices")],
)
def test_options_that_break_a_rule_are_refused(options, message):
    with pytest.raises(InvalidInput, match=message):
        Estimation(**options)
