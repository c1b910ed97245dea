"""Users that move: correlation over time against closed forms, and slopes against differences."""

import attrs
import numpy as np
import pytest
from scipy.special import j0

from isacsim import UniformLinearArray
from isacsim.channels.clustered import Cdl
from isacsim.channels.correlated import Kronecker, OneRing
from isacsim.channels.models import Rayleigh
from isacsim.channels.motion import Moments, rayleigh
from isacsim.channels.pathloss import PathLoss
from isacsim.channels.wideband import Exponential, Tdl
from isacsim.grid import Grid

ARRAY = UniformLinearArray(3)
GRID = Grid(8, 120e3, active=6, prefix=2, symbols=5, carrier=28e9)
FAST = 300.0  # m/s: a third of a turn from symbol to symbol
MODELS = [
    Tdl("C", speed=FAST),
    Tdl("D", speed=FAST),
    Exponential(50e-9, taps=3, speed=FAST),
    Kronecker(0.6, speed=FAST),
    OneRing(0.3, delay_spread=50e-9, taps=3, speed=FAST),
    Cdl("A", speed=FAST),
    Cdl("E", speed=FAST),
    PathLoss(Tdl("A", speed=FAST), [50.0, 80.0]),
]
names = pytest.mark.parametrize("model", MODELS, ids=lambda m: type(m).__name__ + getattr(m, "profile", ""))


@pytest.mark.parametrize("doppler", [0.0, 3000.0])
def test_fading_has_the_autocorrelation_of_clarke(doppler):
    n, times = 4000, np.linspace(0, 1e-3, 12)
    value, _ = rayleigh(np.random.default_rng(3), (n, 2), Moments(doppler, times if doppler else np.zeros(1)))
    measured = (value * value[0].conj()).mean(axis=(1, 2))
    # 8000 independent products of unit power.
    np.testing.assert_allclose(measured, j0(2 * np.pi * doppler * times)[: len(value)], atol=4.5 / np.sqrt(2 * n))


def test_fading_is_nearly_gaussian():
    value, _ = rayleigh(np.random.default_rng(4), (20000,), Moments(100.0, np.zeros(1)))
    # 16 waves: E|g|^4 = 2 - 1/16; the standard deviation of |g|^4 is about 4.5.
    assert np.mean(np.abs(value) ** 4) == pytest.approx(2 - 1 / 16, abs=4 * 4.5 / np.sqrt(20000))


@names
def test_a_burst_begins_with_the_channel_of_the_band(kit, model):
    rngs = [kit.generators(range(2)) for _ in range(2)]
    H, motion = model.draw_burst(GRID, ARRAY, 2, range(2), rngs[0])
    np.testing.assert_array_equal(H, model.draw_band(GRID, ARRAY, 2, range(2), rngs[1]))
    np.testing.assert_allclose(motion.at(GRID, 0)[0], H, rtol=1e-12)
    assert motion.symbols == GRID.symbols


@names
def test_more_symbols_do_not_change_the_first(kit, model):
    longer = attrs.evolve(GRID, symbols=9)
    one, other = (model.draw_burst(g, ARRAY, 2, [0], kit.generators([0]))[1].taps for g in (GRID, longer))
    np.testing.assert_array_equal(one, other[:, :5])


@names
def test_slopes_are_derivatives(kit, model):
    step = 1e-7
    near = Moments(model.channel.speed / GRID.wavelength if isinstance(model, PathLoss) else FAST / GRID.wavelength,
                   np.array([-step, 0.0, step]))  # fmt: skip
    inner = model.channel if isinstance(model, PathLoss) else model
    motion = inner.draw_taps(ARRAY, 2, kit.generators([0]), near)
    numeric = (motion.taps[:, 2] - motion.taps[:, 0]) / (2 * step)
    # Central differences: (2 pi f_D step)^2/6 = 5e-5 of a slope, with the largest f_D of all.
    np.testing.assert_allclose(numeric, motion.slopes[:, 1], atol=1e-4 * np.abs(motion.slopes).max())


@pytest.mark.parametrize(("profile", "shift"), [("D", 0.7), ("E", 0.7)])
def test_a_line_of_sight_has_the_doppler_shift_of_the_tables(kit, profile, shift):
    taps = (
        Tdl(profile, speed=FAST).draw_taps(ARRAY, 1, kit.generators([0]), Moments(1000.0, np.array([0.0, 2e-4]))).taps
    )
    np.testing.assert_allclose(taps[0, 1, 0] / taps[0, 0, 0], np.exp(2j * np.pi * shift * 0.2), rtol=1e-12)


def test_clusters_turn_as_their_directions_of_arrival_say(kit):
    n, times = 1500, np.linspace(0, 2e-4, 4)
    taps = (
        Cdl("A", speed=FAST).draw_taps(UniformLinearArray(1), 1, kit.generators(range(n)), Moments(3000.0, times)).taps
    )
    h = taps[..., 0, 0]
    from isacsim.channels.clustered import rays

    drawn = rays("A")
    # The heading is even over the circle: J_0 of what is left of f_D on the ground, whatever the azimuth.
    expected = [np.sum(drawn.power * j0(2 * np.pi * 3000.0 * t * np.sin(drawn.angles["zoa"]))) for t in times]
    measured = (h * h[:, :1].conj()).mean(axis=0).sum(axis=-1)
    np.testing.assert_allclose(measured, expected, atol=4.5 / np.sqrt(n))


def test_who_stays_has_no_motion(kit):
    for model in (Tdl("C"), Cdl("A"), Rayleigh(), PathLoss(Rayleigh(), 50.0)):
        assert model.draw_burst(GRID, ARRAY, 1, [0], kit.generators([0]))[1] is None
