"""Range-Doppler maps: their floor, false alarms and detections, through converters and under self-interference."""

import attrs
import numpy as np
import pytest

from isacsim import InvalidInput, MidRise, PointTargets, ResponseMatrix, Transceiver, UniformLinearArray
from isacsim.drop import WidebandDrop
from isacsim.grid import Grid
from isacsim.hardware.base import Hardware
from isacsim.link import WidebandLink
from isacsim.targets.background import Background
from isacsim.waveform.cfar import CellAveraging, OrderedStatistic
from isacsim.waveform.modulation import QAM16, QPSK
from isacsim.waveform.radar import Radar, window
from isacsim.waveform.range_doppler import RangeDoppler
from isacsim.waveform.signals import Sources

TX, RX = UniformLinearArray(4), UniformLinearArray(6)
GRID = Grid(64, 120e3, symbols=16, active=48, prefix=16)
NOISE = 0.01


def target(reflection=0.003, cell=(5, 3), off=(0.0, 0.0)):
    delay = (cell[0] + off[0]) / (GRID.used * GRID.spacing)
    doppler = (cell[1] + off[1]) / (GRID.symbols * GRID.duration)
    return PointTargets(TX, RX, [[0.3]], np.pi / 2, [[reflection]], [[delay]], [[doppler * GRID.wavelength / 2]])


def link_of(targets, hardware=None, si_db=None, residual=0.0, streams=2, seed=1):
    rng = np.random.default_rng(seed)
    normal = lambda *shape: (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)) / np.sqrt(2)  # noqa: E731
    W = normal(TX.size, streams)
    W[:, 0] += 3 * TX.steering(0.3) * np.sqrt(TX.size)
    W = W / np.linalg.norm(W) * np.sqrt(GRID.subcarriers / GRID.used)
    B = normal(1, 1, RX.size, TX.size)
    power = np.mean(np.abs(B[0, 0] @ W) ** 2) * streams * GRID.used / GRID.subcarriers
    background = None
    if si_db is not None:
        background = Background(B * np.sqrt(10 ** (si_db / 10) * NOISE / power), np.full((1, 1), residual))
    drop = WidebandDrop(
        H=np.ones((1, GRID.used, TX.size, 1)),
        targets=targets,
        tx_array=TX,
        rx_array=RX,
        power=np.ones(1),
        noise_power=np.ones((1, 1)),
        radar_noise_power=np.array([NOISE]),
        grid=GRID,
        snapshots=GRID.symbols,
        background=background,
    )
    return WidebandLink(np.broadcast_to(W, (1, GRID.used, *W.shape)).copy(), drop, hardware or Transceiver())


def floors(link, bursts, carried=QPSK, seed=2):
    radar, sources, w = (
        Radar(link, carried),
        Sources.of(np.random.default_rng(seed)),
        np.ones((GRID.used, GRID.symbols)),
    )
    silent = np.zeros(1, complex)
    return np.array([radar.look(radar.burst(sources, silent), 0).map(w).mean() for _ in range(bursts)])


@pytest.mark.parametrize(
    ("bits", "si_db", "residual"),
    [(np.inf, None, 0.0), (np.inf, 30, 0.0), (6, 30, 0.0), (3, 10, 0.0), (3, None, 0.0), (6, 20, 1e-2)],
)
def test_the_floor_of_maps_is_that_of_the_noise_model(bits, si_db, residual):
    hardware = Transceiver() if np.isinf(bits) else Transceiver(receive=MidRise(bits))
    found = floors(link_of(target(1e-4), hardware, si_db, residual), 40)
    # 40 maps of 768 cells: 0.6 %. Few streams make the distortion of chains alike: 2 % where the model knows, and
    # the AQNM-like diagonal model of converters takes distortion for independent, up to 10 % here.
    exact = np.isinf(bits) or not MidRise(bits).linear_model(np.eye(2) + 0j).diagonal
    assert abs(found.mean() - 1) < (0.02 if exact else 0.12)


def test_a_steady_target_stands_in_its_cell_with_the_snr_that_is_predicted():
    radar = Radar(link_of(target(0.02, off=(0.3, -0.2))), QAM16)
    sources, w = Sources.of(np.random.default_rng(4)), np.ones((GRID.used, GRID.symbols))
    found, expected = [], []
    for _ in range(60):
        look = radar.look(radar.burst(sources, radar.targets.reflection[0]), 0)
        cell = tuple(radar.cells()[:, 0])
        found.append(look.map(w)[cell])
        expected.append(radar.echo_snr(look, w, 0))
        assert cell == (5, 3)
    # Mean of a cell is 1 + SNR; its deviation over 60 bursts is about sqrt(2 SNR / 60).
    s = np.mean(expected)
    assert s > 20
    assert abs(np.mean(found) - 1 - s) < 4 * np.sqrt((1 + 2 * s) / 60)


@pytest.mark.parametrize("detector", [CellAveraging(1e-2, 16), OrderedStatistic(1e-2, 16)], ids=["ca", "os"])
def test_false_alarms_are_as_many_as_asked_for(detector):
    link = link_of(target(1e-4), Transceiver(receive=MidRise(6)), 10)
    found = RangeDoppler(detector, bursts=60, modulation=QAM16).trial(link, np.random.default_rng(5))
    half = (found["map-false-alarm-high"] - found["map-false-alarm-low"])[0] / 2
    assert abs(found["map-false-alarm"][0] - 1e-2) < 2.1 * half  # four standard errors
    assert half < 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("swerling", [0, 1, 3])
@pytest.mark.parametrize(("bits", "si_db"), [(np.inf, None), (5, 20)])
def test_targets_are_found_with_the_probability_of_the_closed_form(swerling, bits, si_db):
    hardware = Transceiver() if np.isinf(bits) else Transceiver(receive=MidRise(bits))
    link = link_of(target(0.0085), hardware, si_db)
    n = 800
    one = RangeDoppler(CellAveraging(1e-2, 16), bursts=n, swerling=swerling)
    found = one.trial(link, np.random.default_rng(6))
    measured, expected = found["target-detection"][0, 0], found["predicted-detection"][0, 0]
    assert 0.2 < expected < 0.99
    # Four standard errors, and 0.03 for the reference cells, which see sidelobes of the echo.
    assert abs(measured - expected) < 4 * np.sqrt(expected * (1 - expected) / n) + 0.03


def test_motion_within_a_symbol_costs_what_its_doppler_says():
    doppler = 0.15 * GRID.spacing
    moving = attrs.evolve(target(), velocity=[[doppler * GRID.wavelength / 2]])
    kept = Radar(link_of(moving)).remaining ** 2
    np.testing.assert_allclose(kept, np.sinc(0.15) ** 2, rtol=1e-3)  # N = 64 is nearly continuous time
    np.testing.assert_array_equal(Radar(link_of(attrs.evolve(target(), velocity=[[0.0]]))).remaining, 1.0)


@pytest.mark.parametrize(("name", "loss_db"), [("rectangular", 0.0), ("hann", 1.76)])
def test_windows_lose_what_is_known(name, loss_db):
    w = window(name, 256)
    np.testing.assert_allclose(-10 * np.log10(w.sum() ** 2 / (256 * (w**2).sum())), loss_db, atol=5e-3)


def test_what_has_no_map_is_refused():
    rng = [np.random.default_rng(0)]
    with pytest.raises(InvalidInput, match="of a body"):
        RangeDoppler().measure(link_of(attrs.evolve(target(), delay=[[9e-6]])), rng)
    with pytest.raises(InvalidInput, match="velocity"):
        RangeDoppler().measure(link_of(attrs.evolve(target(), velocity=[[1e4]])), rng)
    with pytest.raises(InvalidInput, match="window"):
        RangeDoppler(CellAveraging(guard=40)).measure(link_of(target()), rng)
    with pytest.raises(InvalidInput, match="point targets"):
        RangeDoppler().measure(link_of(ResponseMatrix(np.ones((1, 6, 4)))), rng)
    with pytest.raises(InvalidInput, match="swerling"):
        RangeDoppler(swerling=5)


def test_an_unknown_background_is_removed_and_the_floor_stays():
    # 40 dB above the noise and not cancelled at all; without removal the map would be full of it.
    link = link_of(target(0.02, cell=(5, 3)), None, 40, residual=1.0)
    radar, sources = Radar(link, QAM16, static_removed=True), Sources.of(np.random.default_rng(2))
    w = np.outer(window("hann", GRID.used), window("hann", GRID.symbols))
    floors, found, expected = [], [], []
    for _ in range(40):
        look = radar.look(radar.burst(sources, np.zeros(1, complex)), 0)
        still, seen = look.map(w), look.energy(w) > 0
        floors.append(still[:, seen].mean())
        look = radar.look(radar.burst(sources, radar.targets.reflection[0]), 0)
        found.append(look.map(w)[tuple(radar.cells()[:, 0])])
        expected.append(radar.echo_snr(look, w, 0))
    # A window makes neighbouring cells alike: 40 maps of 720 cells have an error of about 1 %.
    assert abs(np.mean(floors) - 1) < 0.04
    s = np.mean(expected)
    assert s > 10
    assert abs(np.mean(found) - 1 - s) < 4 * np.sqrt((1 + 2 * s) / 40)


def test_nothing_is_left_where_a_target_would_stand_still():
    radar = Radar(link_of(target(), None, 20, residual=1.0), static_removed=True)
    look = radar.look(radar.burst(Sources.of(np.random.default_rng(2)), np.ones(1, complex)), 0)
    flat = np.ones((GRID.used, GRID.symbols))
    energy = look.energy(flat)
    assert energy[0] == 0
    np.testing.assert_array_equal(look.map(flat)[:, 0], 0)
    # Two streams take two of sixteen dimensions: one of them, on average, from each of the other shifts.
    np.testing.assert_allclose(energy[1:] / energy.max(), 1, atol=0.1)
    assert radar.echo_snr(look, flat, 0) > 0
    still = Radar(link_of(attrs.evolve(target(), velocity=[[0.0]])), static_removed=True)
    burst = still.burst(Sources.of(np.random.default_rng(2)), np.ones(1, complex))
    assert still.echo_snr(still.look(burst, 0), flat, 0) == 0


class Noting(Hardware):
    """Converters of three bits that note what their gain controls are set to."""

    def __init__(self):
        self.told = []

    def apply(self, x, rng=None, *, power=None):
        self.told.append(power)
        return MidRise(3).apply(x, rng, power=power)

    def linear_model(self, R):
        return MidRise(3).linear_model(R)


def test_gain_controls_are_set_as_with_an_echo_where_there_is_none():
    # Full scale must not tell whether there is a target: a burst without one is quantised as coarsely.
    targets, receive = target(reflection=0.3), Noting()
    link = link_of(targets, Transceiver(receive=receive))
    radar, sources = Radar(link, QPSK), Sources.of(np.random.default_rng(3))
    for reflection in (np.zeros(1, complex), targets.reflection[0]):
        radar.burst(sources, reflection)
    without, with_echo = receive.told
    np.testing.assert_array_equal(without, with_echo)
    echo = targets.band_response(GRID)[0] @ link.W[0]
    expected = NOISE + (np.abs(echo) ** 2).sum(axis=(0, -1)) / GRID.subcarriers
    assert expected.min() > 2 * NOISE  # the echo counts
    np.testing.assert_allclose(np.ravel(without), expected, rtol=1e-12)
