"""The random numbers of the published code of [Fang25]."""

import numpy as np
import pytest

from isacsim import InvalidInput, UniformLinearArray, UniformPlanarArray
from isacsim.channels.fang25 import TAIL, Fang25, Twister, as_ours, published_draw

# What MATLAB prints for `rng(1); randn(1, 10)`: the third number takes a second attempt.
MATLAB = [
    -0.649013765191241, 1.181166041965532, -0.758453297283692, -1.109613038501522, -0.845551240007797,
    -0.572664866457950, -0.558680764473972, 0.178380225849766, -0.196861446475943, 0.586442621667069,
]  # fmt: skip


def test_normal_numbers_are_those_of_matlab():
    twister = Twister(1)
    np.testing.assert_allclose([twister.normal() for _ in MATLAB], MATLAB, rtol=0, atol=1e-8)


def test_uniform_numbers_are_those_of_matlab_and_numpy():
    twister, other = Twister(7), np.random.RandomState(7)
    assert [twister.uniform() for _ in range(5)] == [other.random_sample() for _ in range(5)]


def test_the_scene_comes_out_as_the_studies_have_it():
    twister = Twister(1)
    magnitude = [0.1 * (1 + 0.2 * twister.normal()) for _ in range(2)]
    phase, azimuth, zenith = ([twister.uniform() for _ in range(2)] for _ in range(3))
    reflection = np.array(magnitude) * np.exp(2j * np.pi * np.array(phase))
    np.testing.assert_allclose(reflection, [0.0870197 + 6.2536e-5j, -0.03992069 + 0.117000274j], rtol=0, atol=5e-9)
    angles = (2 * np.array([azimuth, zenith]) - 1) * np.pi / 3
    np.testing.assert_allclose(angles, [[-0.73983273, -0.85380405], [-0.65709508, -0.32345686]], rtol=0, atol=5e-9)


def test_normal_numbers_are_normal_in_the_tail_too():
    twister, count = Twister(3), 200_000
    x = np.array([twister.normal() for _ in range(count)])
    # Four standard errors each; the sixth moment is 15, of variance 10395 - 15^2.
    assert abs(x.mean()) < 4 / np.sqrt(count)
    assert abs(np.mean(x**2) - 1) < 4 * np.sqrt(2 / count)
    assert abs(np.mean(x**6) - 15) < 4 * np.sqrt(10170 / count)
    beyond = np.abs(x) > TAIL
    assert abs(beyond.sum() - 2.581e-4 * count) < 4 * np.sqrt(2.581e-4 * count)
    assert np.ptp(np.sign(x[beyond])) == 2


@pytest.mark.parametrize("array", [UniformPlanarArray(4, 3), UniformLinearArray(5)], ids=["planar", "linear"])
def test_antennas_are_turned_into_our_order(array):
    column, row = array.grid
    published = np.lexsort((column, row))  # kron(a_v, a_h): the columns run fastest
    X = np.stack([column, row], axis=1)
    np.testing.assert_array_equal(as_ours(array, X[published]), X)


def test_a_trial_gets_its_channel_whatever_the_others_and_the_generators(kit):
    array, model = UniformPlanarArray(4, 2), Fang25()
    every = model.draw(array, 3, range(100), kit.generators(range(100)))
    np.testing.assert_array_equal(model.draw(array, 3, [7, 3], kit.generators([0, 1])), every[[7, 3]])
    assert np.mean(np.abs(every) ** 2) == pytest.approx(1.0, abs=4 / np.sqrt(every.size))
    H, _ = published_draw(8, 3, 2, 0)
    np.testing.assert_array_equal(as_ours(array, H), every)


def test_there_are_a_hundred_channels(kit):
    with pytest.raises(InvalidInput, match="at most 100"):
        Fang25().draw(UniformLinearArray(4), 2, [100], kit.generators([100]))
