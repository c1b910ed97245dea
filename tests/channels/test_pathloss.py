"""Path loss and shadowing: the rows of the table worked out by hand, and the statistics of what is drawn."""

import numpy as np
import pytest

from isacsim import InvalidInput, UniformLinearArray
from isacsim.channels.models import Rayleigh
from isacsim.channels.pathloss import PathLoss, path_loss_db
from isacsim.channels.wideband import Tdl
from isacsim.grid import Grid

ARRAY = UniformLinearArray(4)


def slant(ground, base):
    return np.hypot(ground, base - 1.5)


@pytest.mark.parametrize(
    ("model", "distance", "carrier", "expected"),
    [
        # lg(28) = 1.447158, lg of sqrt(100^2 + 8.5^2) = 2.001564; 32.4 + 21 * 2.001564 + 20 * 1.447158
        ("umi-los", 100.0, 28e9, 103.3760),
        # breakpoint 4 * 9 * 0.5 * 28e9 / 3e8 = 1680 m; 2000 m is behind it:
        # 32.4 + 40 * 3.301034 + 28.943161 - 9.5 lg(1680^2 + 8.5^2) = 61.343161 + 132.041357 - 61.280978
        ("umi-los", 2000.0, 28e9, 132.1035),
        # 22.4 + 35.3 * 2.001564 + 21.3 * 1.447158
        ("umi-nlos", 100.0, 28e9, 123.8797),
        # lg of sqrt(500^2 + 23.5^2) = 2.699449; 28 + 22 * 2.699449 + 20 lg 3.5 (10.881361)
        ("uma-los", 500.0, 3.5e9, 98.2692),
        # 13.54 + 39.08 * 2.699449 + 10.881361
        ("uma-nlos", 500.0, 3.5e9, 129.9158),
    ],
)
def test_rows_of_the_table(model, distance, carrier, expected):
    assert path_loss_db(model, distance, carrier) == pytest.approx(expected, abs=2e-4)  # four digits by hand


@pytest.mark.parametrize("kind", ["umi", "uma"])
def test_the_two_slopes_meet_at_the_breakpoint(kind):
    base = {"umi": 10.0, "uma": 25.0}[kind]
    bend = 4 * (base - 1) * 0.5 * 3.5e9 / 3e8
    near, far = (path_loss_db(f"{kind}-los", bend * f, 3.5e9) for f in (1 - 1e-9, 1 + 1e-9))
    # 9.5 of UMi and 9 of UMa are (40 - slope) / 2, for powers of the slant distance; 1e-9 is the step across.
    assert near == pytest.approx(far, abs=1e-6)


@pytest.mark.parametrize("kind", ["umi", "uma"])
def test_without_sight_it_is_never_less_than_with(kind):
    d = np.geomspace(10, 5000, 200)
    for carrier in (0.5e9, 3.5e9, 100e9):
        assert np.all(path_loss_db(f"{kind}-nlos", d, carrier) >= path_loss_db(f"{kind}-los", d, carrier))


def test_a_taller_user_is_heard_better_without_sight():
    one, two = (path_loss_db("uma-nlos", 2000.0, 3.5e9, h) for h in (1.5, 5.5))
    through = 39.08 * np.log10(np.hypot(2000, 19.5) / slant(2000, 25.0))
    assert two - one == pytest.approx(-0.6 * 4 + through, abs=1e-9)


def test_without_shadowing_the_channel_is_the_model_attenuated(kit):
    model = PathLoss(Rayleigh(), [50.0, 300.0], shadowing=False, carrier=28e9)
    H, bare = (m.draw(ARRAY, 2, range(3), kit.generators(range(3))) for m in (model, Rayleigh()))
    loss = path_loss_db("umi-los", [50.0, 300.0], 28e9)
    np.testing.assert_allclose(H, bare * 10 ** (-loss / 20), rtol=1e-12)


@pytest.mark.parametrize(("model", "deviation"), [("umi-los", 4), ("umi-nlos", 7.82), ("uma-los", 4), ("uma-nlos", 6)])
def test_shadowing_is_log_normal_of_the_deviation_of_the_table(kit, model, deviation):
    n = 2000
    fading = Rayleigh()
    shadowed = PathLoss(fading, 100.0, model, carrier=28e9)
    ratio = shadowed.draw(ARRAY, 2, range(n), kit.generators(range(n))) / fading.draw(
        ARRAY, 2, range(n), kit.generators(range(n))
    )
    np.testing.assert_allclose(ratio, ratio[:, :1] * np.ones((4, 1)), rtol=1e-12)  # all antennas of a user alike
    db = -20 * np.log10(np.abs(ratio[:, 0])) - path_loss_db(model, 100.0, 28e9)
    # Standard errors of mean and deviation of n draws each of two users.
    assert db.mean() == pytest.approx(0, abs=4 * deviation / np.sqrt(2 * n))
    assert db.std() == pytest.approx(deviation, rel=4 / np.sqrt(4 * n))
    assert abs(np.corrcoef(db.T)[0, 1]) < 4 / np.sqrt(n)


def test_on_a_grid_all_subcarriers_are_attenuated_alike_and_the_carrier_is_its_own(kit):
    grid, model = Grid(8, 120e3, carrier=3.5e9), PathLoss(Tdl(), 100.0)
    H, bare = (m.draw_band(grid, ARRAY, 2, range(2), kit.generators(range(2))) for m in (model, Tdl()))
    ratio = H / bare
    np.testing.assert_allclose(ratio, np.broadcast_to(ratio[:, :1, :1], ratio.shape), rtol=1e-10)
    calm = PathLoss(Tdl(), 100.0, shadowing=False).draw_band(grid, ARRAY, 2, range(2), kit.generators(range(2))) / bare
    np.testing.assert_allclose(-20 * np.log10(np.abs(calm)), path_loss_db("umi-los", 100.0, 3.5e9), rtol=1e-10)


def test_a_trial_does_not_depend_on_the_others(kit):
    model = PathLoss(Tdl(), [20.0, 200.0], "uma-nlos", carrier=3.5e9)
    whole = model.draw(ARRAY, 2, range(3), kit.generators(range(3)))
    np.testing.assert_array_equal(whole[1], model.draw(ARRAY, 2, [1], kit.generators([1]))[0])


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"distance": 9.0}, "distance"),
        ({"distance": [100.0, 6000.0]}, "distance"),
        ({"user_height": 1.0}, "user_height"),
        ({"user_height": 15.0, "model": "uma-los"}, "user_height"),
        ({"carrier": 200e9}, "carrier"),
        ({"model": "rma-los"}, "model"),
    ],
)
def test_what_the_table_is_not_made_for_is_refused(options, field):
    with pytest.raises(InvalidInput, match=field):
        PathLoss(Rayleigh(), **{"distance": 100.0, **options})


def test_the_carrier_must_be_known_and_one(kit):
    with pytest.raises(InvalidInput, match="where there is no grid"):
        PathLoss(Rayleigh(), 100.0).draw(ARRAY, 1, [0], kit.generators([0]))
    with pytest.raises(InvalidInput, match="of the grid"):
        PathLoss(Rayleigh(), 100.0, carrier=3.5e9).draw_band(Grid(4, 1e5), ARRAY, 1, [0], kit.generators([0]))
