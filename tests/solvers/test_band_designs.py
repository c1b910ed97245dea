"""Designs over all subcarriers at once: closed forms, derivatives, and the narrowband problem as one subcarrier."""

import attrs
import numpy as np
import pytest
from scipy.optimize import brentq

from isacsim import Aqnm, InvalidInput, MidRise, PointTargets, SumRateCrlb, Transceiver, UniformLinearArray, solve
from isacsim.batch import flatten, take
from isacsim.grid import Grid
from isacsim.hardware.base import Hardware
from isacsim.metrics.cotangents import pulled_back
from isacsim.problems.band_sum_rate_crlb import BandSumRateCrlb, BandSumRateCrlbWeights
from isacsim.solvers.solution import Status
from isacsim.testing.capabilities import Compressing
from isacsim.testing.examples import example_drop, example_precoder, example_wideband_drop

DROP = example_wideband_drop()
BALANCED = BandSumRateCrlbWeights(rate_weight=0.25, crlb_weight=1.0)


def both_ways(stage):
    return Transceiver(transmit=stage, receive=stage, user=stage)


class Limiting(Hardware):
    """An amplifier that is known by its samples alone: distortion that chains share, and spectra of its own."""

    def apply(self, x, rng=None, *, power=None):
        return x / np.sqrt(1 + np.abs(x) ** 2)


@pytest.mark.parametrize("stage", [None, Aqnm(3), MidRise(3), Limiting()], ids=lambda s: type(s).__name__)
@pytest.mark.parametrize("mode", ["signal", "radiated"])
def test_the_gradient_is_that_of_differences(stage, mode):
    problem = attrs.evolve(BALANCED, mode=mode).pose(DROP, Transceiver() if stage is None else both_ways(stage))
    W = example_precoder(DROP, problem.streams)
    rng = np.random.default_rng(0)
    step = rng.standard_normal(W.shape) + 1j * rng.standard_normal(W.shape)
    step *= np.linalg.norm(W) / np.linalg.norm(step)
    h = 1e-3
    values = [problem.objective(W + t * step) for t in (-2 * h, -h, h, 2 * h)]
    differences = (8 * (values[2] - values[1]) - (values[3] - values[0])) / (12 * h)
    sent = problem.sent(W)
    worth, cotangent = problem.merit_cotangent(sent)
    told = problem.rate_weight * worth.sum_rate - problem.crlb_weight * worth.crlb
    np.testing.assert_allclose(told, problem.objective(W), rtol=1e-12)
    slope = 2 * (np.conj(pulled_back(W, sent, problem.transmit, cotangent)) * step).real.sum(axis=(-3, -2, -1))
    np.testing.assert_allclose(slope, differences, rtol=1e-7)


def one_subcarrier(**changes):
    drop = example_drop()
    fields = {
        "targets": drop.targets,
        "power": drop.power,
        "noise_power": drop.noise_power,
        "radar_noise_power": drop.radar_noise_power,
        "rate_weight": 0.25,
        "crlb_weight": 1.0,
    }
    grid = Grid(1, 120e3, symbols=drop.snapshots)
    known = ("azimuth", "zenith", "reflection")
    band = BandSumRateCrlb(H=drop.H[:, None], grid=grid, unknowns=known, **fields)
    return attrs.evolve(band, **changes), SumRateCrlb(H=drop.H, snapshots=drop.snapshots, **fields)


def test_one_subcarrier_is_the_narrowband_problem():
    band, narrow = one_subcarrier()
    W = example_precoder(example_drop(), narrow.streams)
    np.testing.assert_allclose(band.objective(W[:, None]), narrow.objective(W), rtol=1e-12)
    one, other = solve(band, tolerance=1e-7), solve(narrow, tolerance=1e-7)
    # Residuals of 1e-7 leave objectives of 1e-13.
    np.testing.assert_allclose(one.objective, other.objective, rtol=1e-11)


def scalar(gains, symbols=4, **changes):
    """One antenna, one user where it has a gain, and one target seen by one antenna."""
    array, gains = UniformLinearArray(1), np.asarray(gains)
    grid = Grid(len(gains), 120e3, symbols=symbols, prefix=1)  # which covers 0.72 samples of delay
    targets = PointTargets(array, array, [0.1], [np.pi / 2], [0.2], [1e-6], [5.0])
    own = {
        "H": np.sqrt(gains)[:, None, None],
        "targets": targets,
        "power": 2.0,
        "noise_power": 1.0,
        "radar_noise_power": 0.1,
        "grid": grid,
        "rate_weight": 1.0,
        "crlb_weight": 0.0,
        "unknowns": ("delay", "reflection"),
    }
    return BandSumRateCrlb(**(own | changes))


def test_the_power_of_one_user_is_poured_like_water():
    gains = np.array([0.05, 0.6, 2.0, 1.1, 0.3, 3.0])
    solution = solve(scalar(gains), tolerance=1e-8)
    levels = np.linspace(0, 20, 200001)
    poured = np.maximum(levels[:, None] - 1 / gains, 0)
    power = poured[np.argmin(np.abs(poured.sum(axis=1) - 2.0 * len(gains)))]
    # The level is found on a grid of 1e-4.
    np.testing.assert_allclose(np.abs(solution.precoder[:, 0, 0]) ** 2, power, atol=1e-3)


@pytest.mark.parametrize("cap", [1.3, 2.0, 3.0])
def test_the_delay_of_one_target_wants_its_power_at_the_edges_of_the_band(cap):
    sensing = {"rate_weight": 0.0, "crlb_weight": 1.0, "parameters": ("delay",), "subcarrier_cap": cap}
    problem = scalar(np.ones(6), **sensing)
    solution = solve(problem)
    assert solution.status is Status.STATIONARY
    # From both ends inwards, until the power is spent.
    left, power = 6.0, np.zeros(6)
    for pair in ((0, 5), (1, 4), (2, 3)):
        power[list(pair)] = min(cap, left / 2)
        left -= 2 * power[pair[0]]
    told = np.abs(solution.precoder[:, 0]).sum(axis=-1) ** 2 / 2.0
    np.testing.assert_allclose(told, power, atol=0.02)  # the bound is flat where power is next to 0
    # The closed form: an energy of 2 alpha^2 P T / noise, and the variance of the frequencies that it is on.
    index = np.arange(6) - 3.0
    variance = (power * index**2).sum() / 6 - ((power * index).sum() / 6) ** 2
    energy = 2 * 0.2**2 * 2.0 * 6 * 4 / 0.1
    bound = 1 / (energy * (2 * np.pi) ** 2 * variance) * 6**2  # in cells of 1 / (6 spacings)
    np.testing.assert_allclose(-solution.objective, bound, rtol=1e-6)


def test_a_delay_alone_is_refused_without_a_cap():
    sensing = attrs.evolve(BALANCED, rate_weight=0.0, parameters=("delay", "azimuth"))
    with pytest.raises(InvalidInput, match=r"subcarrier_cap.*two tones at the edges of the band"):
        sensing.pose(DROP, Transceiver())
    attrs.evolve(sensing, shared=True).pose(DROP, Transceiver())  # spreads its power evenly
    attrs.evolve(sensing, parameters=("azimuth",)).pose(DROP, Transceiver())


def test_subcarriers_together_do_no_worse_than_each_by_itself():
    weak = attrs.evolve(DROP, power=1e-3 * DROP.power)  # where it matters most which subcarriers get it
    problem = attrs.evolve(BALANCED, crlb_weight=0.0).pose(weak, Transceiver())
    each = solve(problem.subcarriers()).precoder
    apart = problem.objective(each.reshape(3, 6, *each.shape[1:]))
    together = solve(problem).objective
    assert np.all(together > 1.01 * apart)  # the channels fade, and so does the power that is worth sending


def test_one_precoder_for_all_subcarriers():
    free, shared = (attrs.evolve(BALANCED, shared=of).pose(DROP, Transceiver()) for of in (False, True))
    solution = solve(shared)
    assert all(status is Status.STATIONARY for status in solution.status)
    np.testing.assert_array_equal(solution.precoder, solution.precoder[:, :1].repeat(6, axis=1))
    np.testing.assert_allclose(shared.constraints(solution.precoder)["total"], 0, atol=1e-12)
    assert np.all(solution.objective < solve(free).objective)


def test_a_cap_is_kept_and_costs():
    ranging = attrs.evolve(BALANCED, rate_weight=1e-4, parameters=("delay",))
    capped, free = (attrs.evolve(ranging, subcarrier_cap=c) for c in (1.5, None))
    problem = capped.pose(DROP, Transceiver())
    solution = solve(problem)
    slacks = problem.constraints(solution.precoder)
    assert np.all(slacks["subcarrier"] >= -1e-12)
    assert np.any(slacks["subcarrier"] < 1e-9)
    np.testing.assert_allclose(slacks["total"], 0, atol=1e-12)
    assert np.all(solution.objective < solve(free.pose(DROP, Transceiver())).objective)


@pytest.mark.parametrize("stage", [Aqnm(2), MidRise(2)], ids=str)
def test_a_design_for_converters_is_better_behind_them_than_one_for_ideal_hardware(stage):
    drop = example_wideband_drop(1)
    through = BALANCED.pose(drop, both_ways(stage))
    unaware = solve(BALANCED.pose(drop, Transceiver())).precoder
    aware = solve(through)
    assert all(status is Status.STATIONARY for status in aware.status)
    assert np.all(aware.objective > through.objective(unaware))


@pytest.mark.parametrize(
    ("shared", "power", "spent"),
    [
        (False, 0.05, True),
        pytest.param(True, 0.05, True, marks=pytest.mark.slow),
        pytest.param(False, 2.0, False, marks=pytest.mark.slow),
        pytest.param(True, 50.0, False, marks=pytest.mark.slow),
    ],
)
def test_a_design_for_amplifiers_takes_the_drive_that_is_best(shared, power, spent):
    chains = Transceiver(transmit=Compressing())
    asked = attrs.evolve(BALANCED, shared=shared, crlb_weight=0.01)
    drop = attrs.evolve(example_wideband_drop(1), power=power)
    unaware = solve(asked.pose(drop, Transceiver())).precoder
    problem = asked.pose(drop, chains)
    solution = solve(problem, tolerance=1e-4)
    assert all(status is Status.STATIONARY for status in solution.status)
    slack = problem.constraints(solution.precoder)["total"]
    # Below saturation all that may be radiated is; far above it six antennas of 1 W would be distortion alone.
    np.testing.assert_allclose(slack[slack < 1e-8], 0, atol=1e-9)
    assert np.all((slack < 1e-8) == spent)
    best = problem.objective(rescale(unaware, chains.transmit, problem.grid, power) if spent else unaware)
    assert np.all(solution.objective > best)
    rng = np.random.default_rng(1)
    for scale in (1e-3, 1e-2):  # no neighbour of as little power is better
        step = rng.standard_normal(solution.precoder.shape) + 1j * rng.standard_normal(solution.precoder.shape)
        step = step.mean(axis=1, keepdims=True) + np.zeros_like(step) if shared else step
        near = solution.precoder + scale * np.sqrt(np.mean(np.abs(solution.precoder) ** 2)) * step
        if spent:
            near = rescale(near, chains.transmit, problem.grid, power)
        # A residual of 1e-4 leaves some 1e-8 of the objective.
        assert np.all(problem.objective(near) <= solution.objective * (1 + 1e-7))


def rescale(W, transmit, grid, power):
    """Precoders whose samples radiate a power."""

    def radiated(a):
        sample = (a**2 * W @ np.conj(W.swapaxes(-1, -2))).sum(axis=-3) / grid.subcarriers
        return transmit.linear_model(sample).output_power(sample).sum()

    return W * brentq(lambda a: radiated(a) - power, 1e-3, 1e2, xtol=1e-13)


def test_one_subcarrier_behind_amplifiers_is_the_narrowband_problem():
    band, narrow = one_subcarrier(transceiver=Transceiver(transmit=Compressing()))
    narrow = attrs.evolve(narrow, transceiver=Transceiver(transmit=Compressing()))
    one, other = solve(band, tolerance=1e-6), solve(narrow, tolerance=1e-6)
    # The narrowband solver has random starts too, and may find a better optimum.
    np.testing.assert_allclose(one.objective, other.objective, rtol=1e-6)


def test_a_member_behind_amplifiers_has_the_bytes_it_has_alone():
    problem = flatten(BALANCED.pose(example_wideband_drop(2), Transceiver(transmit=Compressing())))
    whole = solve(problem).precoder
    np.testing.assert_array_equal(whole[1], solve(take(problem, np.array([1]))).precoder[0])


@pytest.mark.parametrize(("grid", "unknown"), [(Grid(1, 120e3, symbols=4), "delay"), (Grid(6, 120e3), "doppler")])
def test_what_a_grid_cannot_tell_is_unidentifiable_unless_it_is_known(grid, unknown):
    drop = example_drop()
    H = np.repeat(drop.H[:, None], grid.used, axis=1)
    known = {
        "H": H,
        "targets": drop.targets,
        "power": drop.power,
        "noise_power": drop.noise_power,
        "radar_noise_power": drop.radar_noise_power,
        "grid": grid,
        "rate_weight": 0.25,
        "crlb_weight": 1.0,
    }
    angles = ("azimuth", "zenith", "reflection")
    solution = solve(BandSumRateCrlb(unknowns=(*angles, unknown), **known))
    assert all(status is Status.UNIDENTIFIABLE for status in solution.status)
    assert f"{unknown}[0]" in " ".join(solution.notes[0])
    assert all(status.answered for status in solve(BandSumRateCrlb(unknowns=angles, **known)).status)


def test_what_it_is_not_for_is_refused():
    with pytest.raises(InvalidInput, match=r"base_station.grid: must be there for band-sum-rate-crlb"):
        BALANCED.pose(example_drop(), Transceiver())
    amplified = attrs.evolve(BALANCED, subcarrier_cap=2.0).pose(DROP, Transceiver(transmit=Compressing()))
    with pytest.raises(InvalidInput, match="in proportion to their input"):
        solve(amplified, "riemannian-lbfgs")
    with pytest.raises(InvalidInput, match="6 active subcarriers and 6 transmit antennas"):
        amplified.objective(np.ones((5, 6, 2)))
