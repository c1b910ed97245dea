"""What models draw is what was asked for, or is told by the place of the model in the scenario."""

from collections.abc import Callable

import attrs
import numpy as np
import pytest
from attrs import frozen

from isacsim import InvalidInput
from isacsim.api import ChannelModel, PointTargets, TargetModel


@frozen
class Drawn(ChannelModel):
    """Channels of ones, of which something is made."""

    make: Callable

    def draw(self, array, users, trials, rngs):
        return self.make(np.ones((len(trials), array.size, users), complex))


@frozen
class Seen(TargetModel):
    """A scene of a point, of which something is made."""

    make: Callable

    def draw(self, tx_array, rx_array, trials, rngs):
        angles = np.linspace(0.1, 0.2, len(trials))[:, None]
        return self.make(PointTargets(tx_array, rx_array, angles, 1.2, 0.1))


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda H: H * np.nan, "must be finite"),
        (lambda H: H.swapaxes(-1, -2), r"must draw channels of the shape \(3, \d+, \d+\), \(trials, N_t, K\), got"),
        (lambda H: H[0], "must draw channels of the shape"),  # each would be every trial's, without a word
        (lambda H: H[:1], "must draw channels of the shape"),
        (lambda H: np.concatenate([H, H]), "must draw channels of the shape"),
        (lambda H: H[..., :0], "must draw channels of the shape"),
        (lambda H: (H,), "must draw channels of the shape"),
        (lambda H: H.astype(str), "must be complex numbers"),
        (lambda H: None, "must be complex numbers, got None"),
        (lambda H: np.ma.masked_where(np.arange(H.size).reshape(H.shape) == 1, H), "must have no masked entries"),
    ],
)
def test_channels_are_told_by_their_place(study, make, told):
    scenario = study()
    users = attrs.evolve(scenario.users, channel=Drawn(make))
    with pytest.raises(InvalidInput, match=rf"^users\.channel: {told}"):
        attrs.evolve(scenario, users=users).drop((0, 1, 2))


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda scene: None, "must draw a Scene, got 'NoneType'"),
        (lambda scene: attrs.evolve(scene, azimuth=np.zeros((6, 1))), "must draw a scene for each of 3 trials"),
        (lambda scene: attrs.evolve(scene, azimuth=np.zeros((1, 3, 1))), "must draw a scene for each of 3 trials"),
        (lambda scene: attrs.evolve(scene, azimuth=scene.azimuth * np.nan), "must be finite"),
    ],
)
def test_scenes_are_told_by_their_place(study, make, told):
    with pytest.raises(InvalidInput, match=f"^targets: {told}"):
        attrs.evolve(study(), targets=Seen(make)).drop((0, 1, 2))


@pytest.mark.parametrize("shared", [lambda angles: angles, lambda angles: angles[:1], lambda angles: angles[0]])
def test_a_scene_may_be_shared_by_all_trials(study, shared):
    scene = Seen(lambda scene: attrs.evolve(scene, azimuth=shared(scene.azimuth)))
    assert attrs.evolve(study(), targets=scene).drop((0, 1, 2)).H.shape[0] == 3
