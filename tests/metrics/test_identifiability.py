"""What cannot be estimated: the metric, the screens of problems and the estimators decide alike."""

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import isacsim
from isacsim import PointCrbMin, PointTargets, SumRateCrlb, UniformLinearArray, UniformPlanarArray, metrics
from isacsim.metrics.fim import information
from isacsim.metrics.sensing import echo_of
from isacsim.problems.identifiability import identifiability
from isacsim.waveform.estimators import Fit, Fitter, Observation

RIGHT = np.pi / 2


def linear(azimuth, reflection=1.0, tx=8, rx=8):
    return PointTargets(UniformLinearArray(tx), UniformLinearArray(rx), np.atleast_1d(azimuth), RIGHT, reflection)


def planar(azimuth, zenith, reflection=1.0):
    array = UniformPlanarArray(4, 2)
    return PointTargets(array, array, np.atleast_1d(azimuth), np.atleast_1d(zenith), reflection)


# What is silent is named; of what is told apart only in combination the notes name all.
HOPELESS = {
    "endfire": (linear(RIGHT), ["azimuth[0]"]),
    "the other endfire": (linear(-RIGHT), ["azimuth[0]"]),
    "endfire, turned": (linear(5 * RIGHT), ["azimuth[0]"]),
    "endfire of one of two": (linear([0.3, RIGHT]), ["azimuth[1]"]),
    "endfire of a faint target": (linear([0.3, RIGHT], [1e6, 1e-6]), ["azimuth[1]"]),
    "endfire of a planar array": (planar(RIGHT, 1.2), ["azimuth[0]"]),
    "the pole": (planar(0.3, 0.0), ["azimuth[0]"]),
    "the other pole": (planar(0.3, np.pi), ["azimuth[0]"]),
    "no reflection": (linear(0.3, 0.0), ["azimuth[0]"]),
    "no reflection of one of two": (planar([0.3, -0.2], [1.0, 1.2], [0.0, 1.0]), ["azimuth[0]", "zenith[0]"]),
    "one antenna on either side": (linear(0.3, tx=1, rx=1), ["azimuth[0]"]),
    "targets that coincide": (linear([0.3, 0.3], [1.0, 0.5]), ["azimuth[0]", "azimuth[1]", "reflection"]),
    "targets of one cone": (linear([0.3, np.pi - 0.3], [1.0, 0.5j]), ["reflection_real[0]", "reflection_imag[1]"]),
    "too many targets": (linear([0.1, 0.4, -0.5], tx=2, rx=2), ["azimuth[0]", "reflection"]),
}
SOUND = {
    "broadside": linear(0.0),
    "a degree from endfire": linear(np.deg2rad(89.0)),
    "one transmit antenna": linear(0.3, tx=1),
    "one receive antenna": linear(0.3, rx=1),
    "near the pole": planar(0.3, 0.02),
    "a target of a trillionth of the power": linear([0.3, -0.4], [1.0, 1e-6]),
    "targets of 120 dB": planar([0.3, -0.2], [1.0, 1.2], [1e3, 1e-3]),
}


def problems(scene):
    """Both problems of a scene, as members of a batch."""
    common = {
        "H": np.ones((1, scene.tx_array.size, 1)), "targets": scene, "power": 1.0, "noise_power": [0.1],
        "radar_noise_power": 0.1, "snapshots": 30,
    }  # fmt: skip
    yield isacsim.batch.flatten(SumRateCrlb(**common, rate_weight=1.0, crlb_weight=1.0, sensing_streams=8))
    yield isacsim.batch.flatten(PointCrbMin(**common, min_sinr=1.0))


@pytest.mark.parametrize("what", HOPELESS)
def test_what_cannot_be_estimated_has_an_infinite_bound_and_is_screened_out(kit, what):
    scene, named = HOPELESS[what]
    antennas = scene.tx_array.size
    for W in (np.eye(antennas), kit.complex_gaussian((antennas, 3), 0), 1e-9 * np.eye(antennas)):
        assert np.all(metrics.crlb(scene, W, 0.1, 30) == np.inf)
    for problem in problems(scene):
        regular, notes = problem.screen()
        assert not regular[0]
        assert all(name in " ".join(notes[0]) for name in named)
        assert problem.objective(np.eye(antennas, problem.streams))[0] == -np.inf * problem.sense


@pytest.mark.parametrize("what", SOUND)
@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_what_can_be_estimated_has_a_finite_bound_and_passes(what, scale):
    scene = SOUND[what]
    scene = attrs.evolve(scene, reflection=scale * scene.reflection)
    assert np.all(np.isfinite(metrics.crlb(scene, np.eye(scene.tx_array.size), 0.1, 30)))
    for problem in problems(scene):
        assert problem.screen()[0][0]


def test_the_bound_grows_toward_endfire_until_it_is_infinite():
    off = np.array([1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-9, 1e-12, 0.0])
    bounds = [metrics.crlb(linear(RIGHT - x), np.eye(8), 0.1, 30)[0] for x in off]
    # 1/cos^2 of the azimuth; the rounding of the angle itself is 1e-16 of a distance of 1e-6.
    expected = bounds[0] * np.sin(off[0]) ** 2 / np.sin(off[:6]) ** 2
    np.testing.assert_allclose(bounds[:6], expected, rtol=1e-8)
    assert bounds[6:] == [np.inf] * 3


def test_a_precoder_that_lights_no_target_leaves_nothing_to_estimate():
    scene = linear([0.3, -0.4])
    dark = np.linalg.svd(scene.transmit_basis())[0][:, 5:7]
    assert np.all(metrics.crlb(scene, dark, 0.1, 30) == np.inf)
    # A hundredth of a millionth of the power is enough light.
    assert np.all(np.isfinite(metrics.crlb(scene, dark + 1e-4 * np.eye(8)[:, :2], 0.1, 30)))


@given(st.integers(0, 2**32 - 1))
def test_the_decision_knows_no_units(kit, seed):
    """Noise, power, snapshots and all reflections scale, and nothing is decided differently."""
    rng = np.random.default_rng(seed)
    factor = 10.0 ** rng.uniform(-9, 9, 4)
    for scene in (*SOUND.values(), *(scene for scene, _ in HOPELESS.values())):
        W = np.eye(scene.tx_array.size)
        scaled = attrs.evolve(scene, reflection=factor[0] * scene.reflection)
        bound = metrics.crlb(scaled, factor[1] * W, factor[2], np.ceil(factor[3]))
        np.testing.assert_array_equal(np.isinf(bound), np.isinf(metrics.crlb(scene, W, 0.1, 30)))


def test_a_scoring_step_leaves_an_angle_alone_that_the_echo_does_not_depend_on(kit):
    scene = linear([[0.3, RIGHT]], [[1.0, 0.5]])
    sent = kit.complex_gaussian((1, 8, 64), 0)
    noise = 0.1 * kit.complex_gaussian((1, 8, 64), 1)
    echo = echo_of(scene.response(), np.eye(8)[None], np.full(1, 0.01))
    observed = Observation.of(scene.response() @ sent + noise, sent, echo)
    fitter = Fitter(scene.tx_array, scene.rx_array)
    fit = fitter.fit(observed, np.array([[0.31, RIGHT]]), np.full((1, 2), RIGHT))
    (azimuth, _) = fitter._scoring(observed, fit, np.full(1, 1e-9))
    assert azimuth[0, 1] == 0
    assert 0.005 < abs(azimuth[0, 0]) < 0.02  # back from 0.31 to 0.3
    refined: Fit = fitter.refined(observed, fit)
    assert refined.likelihood[0] > fit.likelihood[0]
    assert abs(refined.azimuth[0, 0] - 0.3) < 5 * np.sqrt(metrics.crlb(
        linear(0.3), sent[0] / 8, 0.01, 64)[0])  # fmt: skip


def test_an_information_beyond_the_range_of_numbers_is_said_and_stops_no_other_member(kit):
    scene = kit.make_scene(batch=(2,))
    white = information(scene, np.eye(6)[None], 1e-6, 30)
    F = white.F.copy()
    F[1] = np.inf
    regular, notes = identifiability(attrs.evolve(white, F=F), scene)
    assert regular.tolist() == [True, False]
    assert not notes[0]
    assert notes[1] == ("the Fisher information is beyond the range of numbers: choose other units",)
