"""User channel models: statistics, addressed randomness, refusals."""

import numpy as np
import pytest

from isacsim import InvalidInput, UniformLinearArray, UniformPlanarArray
from isacsim.channels.models import Rayleigh, Rician

ARRAY = UniformPlanarArray(4, 4)
TRIALS = 2000
MODELS = {
    "rayleigh": Rayleigh(gain=[0.5, 2.0, 1.0]),
    "rician": Rician(k_factor=4.0, gain=[0.5, 2.0, 1.0]),
    "rician directed": Rician(k_factor=0.5, gain=2.0, azimuth=[-0.5, 0.0, 0.5], zenith=1.2),
}


@pytest.fixture(params=sorted(MODELS))
def model(request):
    return MODELS[request.param]


def test_entries_have_the_mean_power_of_each_user(kit, model):
    H = model.draw(ARRAY, 3, range(TRIALS), kit.generators(range(TRIALS)))
    assert H.shape == (TRIALS, 16, 3)
    # Four standard errors; |h|^2 of a Rician entry has at most the deviation of Rayleigh's.
    power = np.mean(np.abs(H) ** 2, axis=(0, 1)) / np.broadcast_to(model.gain, 3)
    np.testing.assert_allclose(power, 1.0, atol=4 / np.sqrt(16 * TRIALS))
    # The mean over uniform phases is zero; the line of sight is common to the 16 antennas.
    assert np.abs(H.mean(axis=0)).max() < 5 * np.sqrt(2.0 / TRIALS)


def test_rayleigh_entries_are_independent_circular_gaussians(kit):
    h = Rayleigh().draw(UniformLinearArray(4), 2, range(TRIALS), kit.generators(range(TRIALS))).reshape(TRIALS, 8)
    # Entries of a sample covariance: standard error 1/sqrt(n); four of them, for 64 entries.
    np.testing.assert_allclose(h.T @ np.conj(h) / TRIALS, np.eye(8), atol=4.5 / np.sqrt(TRIALS))
    np.testing.assert_allclose(h.T @ h / TRIALS, np.zeros((8, 8)), atol=4.5 * np.sqrt(2 / TRIALS))
    # |h|^4 has mean 2 and deviation sqrt(20).
    assert np.mean(np.abs(h) ** 4) == pytest.approx(2.0, abs=4 * np.sqrt(20 / h.size))


def test_the_line_of_sight_has_its_share_of_the_power_along_the_steering_vector(kit):
    azimuth, zenith, k = 0.4, 1.1, 3.0
    model = Rician(k_factor=k, azimuth=[azimuth], zenith=zenith)
    h = model.draw(ARRAY, 1, range(TRIALS), kit.generators(range(TRIALS)))[..., 0]
    along = np.abs(h @ np.conj(ARRAY.steering(azimuth, zenith))) ** 2
    # kappa/(1+kappa) N + 1/(1+kappa); the deviation is below the mean.
    expected = (16 * k + 1) / (1 + k)
    assert along.mean() == pytest.approx(expected, abs=4 * expected / np.sqrt(TRIALS))


def test_without_scattering_a_rician_channel_is_the_steering_vector_up_to_phase(kit):
    model = Rician(k_factor=1e12, azimuth=[0.4], gain=2.0)
    for array in (ARRAY, UniformPlanarArray(4, 4, normalized=False)):
        h = model.draw(array, 1, [0], kit.generators([0]))[0, :, 0]
        a = array.steering(0.4)
        assert np.linalg.norm(h) ** 2 == pytest.approx(2.0 * 16, rel=1e-4)
        assert abs(np.vdot(a, h)) / np.linalg.norm(a) / np.linalg.norm(h) == pytest.approx(1.0, rel=1e-6)


def test_a_rician_channel_without_line_of_sight_is_rayleigh(kit):
    none = Rician(k_factor=0.0).draw(ARRAY, 2, [0], kit.generators([5]))[0]
    assert np.all(none != 0)
    directions = [Rician(k_factor=0.0, azimuth=[a, a]).draw(ARRAY, 2, [0], kit.generators([5]))[0] for a in (0.1, 0.9)]
    np.testing.assert_allclose(directions[0], directions[1], atol=1e-15)


def test_drawn_directions_stay_in_the_sector(kit):
    array = UniformLinearArray(32)
    H = Rician(k_factor=1e9, sector=0.2).draw(array, 1, range(200), kit.generators(range(200)))[..., 0]
    grid = np.linspace(-1.5, 1.5, 601)
    best = grid[np.argmax(np.abs(np.conj(array.steering(grid)) @ H.T), axis=0)]
    assert np.abs(best).max() <= 0.2 + 0.005  # the grid's own step
    assert np.abs(best).max() > 0.15
    assert best.min() < -0.1


def test_a_trial_draws_from_its_own_generator_alone(kit, model):
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    H = model.draw(ARRAY, 3, [4, 7, 9], kit.generators([40, 70, 90]))
    alone = model.draw(ARRAY, 3, [7], kit.generators([70]))
    assert alone[0].tobytes() == H[1].tobytes()
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Rayleigh(gain=0.0), "gain: must be greater than 0"),
        (lambda: Rayleigh(gain=[1.0, np.nan]), "gain: must be finite"),
        (lambda: Rayleigh(gain="strong"), "gain: must be real numbers"),
        (lambda: Rician(k_factor=-1.0), "k_factor: must be a finite number of at least 0, got -1.0.*Check sign"),
        (lambda: Rician(k_factor=np.inf), "k_factor: must be a finite number of at least 0"),
        (lambda: Rician(k_factor=np.nan), "k_factor: must be a finite number of at least 0"),
        (lambda: Rician(k_factor="strong"), "k_factor: must be"),
        (lambda: Rician(k_factor=1.0, sector=-0.1), "sector: must be a finite number of at least 0"),
        (lambda: Rician(k_factor=1.0, azimuth=[np.nan]), "azimuth: must be finite"),
        (lambda: Rician(k_factor=1.0, azimuth="north"), "azimuth: must be real numbers"),
    ],
)
def test_parameters_that_break_a_rule_are_refused(make, message):
    with pytest.raises(InvalidInput, match=message):
        make()


@pytest.mark.parametrize(
    "model",
    [Rayleigh(gain=[1.0, 2.0]), Rician(k_factor=1.0, azimuth=[0.1, 0.2]), Rician(k_factor=1.0, zenith=[1.0, 1.1])],
)
def test_one_entry_a_user_must_match_the_number_of_users(kit, model):
    with pytest.raises(InvalidInput, match="must be one number, or one for each of the 3 users.*Match users.count"):
        model.draw(ARRAY, 3, [0], kit.generators([0]))
