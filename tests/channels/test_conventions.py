"""Element order and sign of recorded channels: beams along them point where the targets are, or are refused."""

import numpy as np
import pytest

from isacsim import InvalidInput, PointTargets, UniformLinearArray, UniformPlanarArray
from isacsim.channels.recorded import Recorded

AZIMUTH, ZENITH = np.deg2rad(35.0), np.deg2rad(70.0)
# 4 columns and 2 rows, row by row from the bottom, as ray tracers write a panel: the horizontal index runs fastest.
COLUMNS, ROWS = np.tile(np.arange(4), 2), np.repeat(np.arange(2), 4)


def line_of_sight(azimuth, zenith, sign=1):
    """Entries exp(+-j pi (n_h sin(azimuth) sin(zenith) + n_v cos(zenith))), row by row, shape (..., 8)."""
    azimuth, zenith = (np.asarray(angle)[..., None] for angle in (azimuth, zenith))
    phase = COLUMNS * np.sin(azimuth) * np.sin(zenith) + ROWS * np.cos(zenith)
    return np.exp(sign * 1j * np.pi * phase)


@pytest.fixture
def write(tmp_path):
    """Writes arrays to a file, and returns its path."""

    def write(H, **others):
        np.savez(tmp_path / "H.npz", H=H, **others)
        return tmp_path / "H.npz"

    return write


def share_on_target(array, h, azimuth=AZIMUTH, zenith=ZENITH):
    """Share that a beam along h puts on a target, of what the best beam would."""
    G = PointTargets(array, array, azimuth, zenith, 1.0).response()
    return np.linalg.norm(G @ h) ** 2 / (np.linalg.norm(h) * np.linalg.norm(G, 2)) ** 2


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("conjugate", [False, True])
@pytest.mark.parametrize("normalized", [False, True])
def test_a_beam_along_a_user_in_line_of_sight_meets_a_target_in_its_direction(write, sign, conjugate, normalized):
    path = write(1e-5 * line_of_sight(AZIMUTH, ZENITH, sign)[None, :, None])
    array = UniformPlanarArray(4, 2, normalized=normalized, conjugate=conjugate)
    told = Recorded(path, element_order="horizontal-fastest", phase="positive" if sign > 0 else "negative")
    h = told.draw(array, 1, [0], [])[0, :, 0]
    assert share_on_target(array, h) == pytest.approx(1.0, rel=1e-12)
    # Taken as an order of its own it would put 6.5 % there, and 0.3 % with the sign turned.
    wrong = Recorded(path, element_order="vertical-fastest", phase=told.phase).draw(array, 1, [0], [])[0, :, 0]
    assert share_on_target(array, wrong) == pytest.approx(0.0647, abs=5e-5)
    other = "negative" if sign > 0 else "positive"
    turned = Recorded(path, element_order="horizontal-fastest", phase=other).draw(array, 1, [0], [])[0, :, 0]
    assert share_on_target(array, turned) == pytest.approx(0.0032, abs=5e-5)


def test_places_of_the_elements_in_the_file_say_any_order(write):
    h = line_of_sight(AZIMUTH, ZENITH)
    shuffled = np.random.default_rng(0).permutation(8)
    array = UniformPlanarArray(4, 2)
    # The array's element (column, row) is entry 4 row + column, which the shuffled file has elsewhere.
    places = [int(np.flatnonzero(shuffled == 4 * row + column)[0]) for column in range(4) for row in range(2)]
    recorded = Recorded(write(h[shuffled][None, :, None]), element_order=places)
    np.testing.assert_allclose(recorded.draw(array, 1, [0], [])[0, :, 0], h.reshape(2, 4).T.ravel(), atol=1e-15)


def test_an_order_that_is_not_said_and_that_the_channels_contradict_is_refused(write):
    path = write(line_of_sight(AZIMUTH, ZENITH)[None, :, None])
    with pytest.raises(
        InvalidInput, match="element_order: must be said where .* show 'horizontal-fastest'. Set element_order = "
    ):
        Recorded(path).draw(UniformPlanarArray(4, 2), 1, [0], [])


@pytest.mark.parametrize(("columns", "rows"), [(4, 2), (2, 3), (8, 4)])
def test_the_order_is_seen_from_twenty_users_in_line_of_sight_and_never_from_others(write, kit, columns, rows):
    array = UniformPlanarArray(columns, rows)
    rng = np.random.default_rng(0)
    a = array.steering(rng.uniform(-1.2, 1.2, 20), rng.uniform(0.6, 2.2, 20)) * np.sqrt(array.size)
    scatter = kit.complex_gaussian(a.shape, 1)
    at = np.arange(array.size).reshape(columns, rows).T.ravel()
    for share in (0.0, 0.3):  # of the amplitude of scattering to that of the line of sight: none, and -10 dB
        H = (a + share * scatter).T
        Recorded(write(H[None])).draw(array, 20, [0], [])
        with pytest.raises(InvalidInput, match="show 'horizontal-fastest'"):
            Recorded(write(H[None, at])).draw(array, 20, [0], [])
    for seed in range(20):
        Recorded(write(kit.complex_gaussian((1, array.size, 2), seed))).draw(array, 2, [0], [])
    Recorded(write(np.zeros((1, array.size, 2)))).draw(array, 2, [0], [])


def known_directions(write, **said):
    """A recording of five users in line of sight, one that is not, and one that is blocked, with directions."""
    rng = np.random.default_rng(1)
    azimuth, zenith = rng.uniform(-50, 50, (2, 7)), rng.uniform(60, 120, (2, 7))
    H = line_of_sight(np.deg2rad(azimuth), np.deg2rad(zenith)).swapaxes(-1, -2)
    azimuth[:, 5] = np.nan
    H[:, :, 5] = rng.standard_normal((2, 8))
    H[:, :, 6] = 0.0
    path = write(H, az=azimuth, el=zenith, flat=azimuth[0])
    return Recorded(path, **{"azimuth_variable": "az", "zenith_variable": "el", **said})


@pytest.mark.parametrize("conjugate", [False, True])
def test_known_directions_tell_what_order_and_phase_must_be(write, conjugate):
    array = UniformPlanarArray(4, 2, conjugate=conjugate)
    right = {"element_order": "horizontal-fastest", "phase": "positive"}
    H = known_directions(write, **right).draw(array, 7, [1], [])[0]
    assert np.linalg.norm(H) > 0
    for wrong, remedy in (
        ({"element_order": "horizontal-fastest", "phase": "negative"}, "Set phase = 'positive'"),
        ({"element_order": "vertical-fastest"}, "Set element_order = 'horizontal-fastest' and phase = 'positive'"),
    ):
        with pytest.raises(InvalidInput, match=f"channel: must have more than .*% of users' power .* are. {remedy}"):
            known_directions(write, **wrong).draw(array, 7, [0], [])


def test_a_linear_arrays_sign_is_checked_against_directions(write):
    degrees = np.array([[20.0, -35.0]])
    a = UniformLinearArray(6).steering(np.deg2rad(degrees)).swapaxes(-1, -2)
    path = write(a, az=degrees)
    Recorded(path, azimuth_variable="az").draw(UniformLinearArray(6), 2, [0], [])
    for array, said in ((UniformLinearArray(6, conjugate=True), {}), (UniformLinearArray(6), {"conjugate": True})):
        with pytest.raises(InvalidInput, match="channel: must have more than .* Set phase = 'positive'"):
            Recorded(path, azimuth_variable="az", **said).draw(array, 2, [0], [])


@pytest.mark.parametrize(
    ("azimuth", "zenith", "remedy"),
    [
        (np.rad2deg, lambda z: 90 - np.rad2deg(z), "zenith angles are elevations"),
        (lambda a: a, np.rad2deg, "azimuths are radians: store degrees"),
        (lambda a: a, lambda z: z, "angles are radians: store degrees"),
        (lambda a: a, lambda z: np.pi / 2 - z, "angles are radians, and elevations"),
    ],
)
def test_angles_in_other_terms_are_told_by_the_waves_they_do_not_fit(write, azimuth, zenith, remedy):
    rng = np.random.default_rng(3)
    directions = rng.uniform(-0.8, 0.8, (1, 5)), rng.uniform(1.1, 1.4, (1, 5))
    array = UniformPlanarArray(3, 5)
    path = write(array.steering(*directions).swapaxes(-1, -2), az=azimuth(directions[0]), el=zenith(directions[1]))
    recorded = Recorded(path, azimuth_variable="az", zenith_variable="el")
    with pytest.raises(InvalidInput, match=f"channel: must have more than .* Its {remedy}"):
        recorded.draw(array, 5, [0], [])


@pytest.mark.parametrize(
    ("said", "rule"),
    [
        ({"element_order": "columns"}, "element_order: must be one of its choices, or a list of places, got 'columns'"),
        ({"element_order": 3}, "element_order: must be one of its choices"),
        ({"element_order": [0, 1, 1]}, "element_order: must have each place from 0 on once"),
        ({"element_order": ["a", None]}, "element_order: must have each place from 0 on once"),
        ({"element_order": [1, 0]}, "element_order: must have 8 places, one for each element, got 2"),
        ({"phase": "plus"}, "phase: must be one of its choices.*Valid: negative, positive"),
        ({"phase": "positive", "conjugate": True}, "conjugate: must be left out where `phase` is said"),
        ({"azimuth_variable": None}, "azimuth_variable: must be there with `zenith_variable`"),
        ({"azimuth_variable": "nowhere"}, "variable: must be an array in H.npz, got 'nowhere'"),
        ({"zenith_variable": "flat"}, "axes: must name the 1 axes of 'flat'"),
        ({"azimuth_variable": "H"}, "axes: must name the 3 axes of 'H'"),
    ],
)
def test_what_is_said_of_order_phase_and_directions_must_make_sense(write, said, rule):
    with pytest.raises(InvalidInput, match=rule):
        known_directions(write, **{"element_order": "horizontal-fastest"} | said).draw(
            UniformPlanarArray(4, 2), 7, [0], []
        )


def test_a_scenario_says_the_order_with_its_channel(study, write):
    path = write(line_of_sight(AZIMUTH, ZENITH)[None, :, None])
    arrays = 'base_station.transmit_array={kind="upa", horizontal=4, vertical=2}'
    said = f'{{kind="recorded", path="{path}", element_order="horizontal-fastest", phase="positive"}}'
    scenario = study(arrays, f"users.channel={said}", "users.count=1")
    assert scenario.users.channel == Recorded(path, element_order="horizontal-fastest", phase="positive")
    places = list(range(8))
    listed = study(arrays, f'users.channel={{kind="recorded", path="{path}", element_order={places}}}', "users.count=1")
    assert listed.users.channel.element_order == tuple(places)
