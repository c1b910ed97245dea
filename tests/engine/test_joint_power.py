"""One power for all subcarriers of a band: closed forms, brute force, and a bound that holds."""

import attrs
import numpy as np
import pytest
from scipy.optimize import brentq

from isacsim import InvalidInput, load_scenario, solve
from isacsim.drop import WidebandDrop
from isacsim.engine.scenario import Design
from isacsim.engine.subcarriers import solved
from isacsim.grid import Grid
from isacsim.hardware.base import Transceiver
from isacsim.optimisation.joint_power import Answer, Split
from isacsim.plugin import default_registry
from isacsim.problems.crb_min import CrbMinRequirements
from isacsim.problems.sqnr_max import SqnrMaxRequirements
from isacsim.testing.examples import example_drop


def split_of(optimum, weights, total):
    def ask(power):
        c = optimum(weights, power)
        return Answer(c, c, np.full(c.shape, np.nan))

    return Split.of(ask, total, weights.shape[1])


WEIGHTS, TOTAL = np.random.default_rng(0).uniform(0.1, 3, (2, 8)), np.array([4.0, 9.0])


def test_inverse_powers_are_split_by_square_roots():
    found = split_of(lambda w, P: w / P, WEIGHTS, TOTAL)
    root = np.sqrt(WEIGHTS)
    np.testing.assert_allclose(found.power, root / root.sum(axis=1, keepdims=True) * TOTAL[:, None], rtol=1e-6)
    best = root.sum(axis=1) ** 2 / TOTAL
    np.testing.assert_allclose(found.value, best, rtol=1e-12)
    assert np.all(found.bound <= best)
    assert np.all(found.gap < 2e-5)


def test_rates_are_split_like_water():
    found = split_of(lambda w, P: -np.log1p(w * P), WEIGHTS, TOTAL)
    for w, total, power, bound in zip(WEIGHTS, TOTAL, found.power, found.bound, strict=True):
        level = brentq(lambda u, w=w, total=total: np.maximum(u - 1 / w, 0).sum() - total, 0, 100, xtol=1e-13)
        poured = np.maximum(level - 1 / w, 0)
        np.testing.assert_allclose(power, poured, atol=0.01)  # the sum is flat about the best split
        assert bound <= -np.log1p(w * poured).sum()
    assert np.all(found.gap < 2e-5)


def test_the_band_of_a_batch_has_the_split_it_has_alone():
    together = split_of(lambda w, P: w / P**1.5, WEIGHTS, TOTAL)
    for b in range(2):
        alone = split_of(lambda w, P: w / P**1.5, WEIGHTS[b : b + 1], TOTAL[b : b + 1])
        np.testing.assert_array_equal(together.power[b], alone.power[0])
        np.testing.assert_array_equal(together.bound[b], alone.bound[0])


def band(gains, **changes):
    """The members of the example drop, whose channels are weaker on some subcarriers."""
    drop, grid = example_drop(2), Grid(len(gains), 120e3, symbols=16)
    H = drop.H[:, None] * np.sqrt(np.asarray(gains))[:, None, None]
    fields = {f.name: getattr(drop, f.name) for f in attrs.fields(type(drop)) if f.name != "H"}
    return WidebandDrop(H=H, grid=grid, **(fields | changes))


def designed(requirements, drop, split):
    solver = default_registry().load("solvers", default_registry().default_solver(requirements.problem.kind))()
    rngs = [np.random.default_rng(i) for i in range(len(drop.H))]
    return solved(Design(requirements, solver, split=split), drop, Transceiver(), rngs)


ASKED = CrbMinRequirements(min_sinr=3.0)


def test_two_subcarriers_are_split_as_brute_force_says():
    drop = band([1.0, 0.25])
    joint, even = (designed(ASKED, drop, split) for split in ("joint", "even"))
    problem = ASKED.pose(drop.subcarriers(), Transceiver())
    best = np.full(2, np.inf)
    for share in np.linspace(0.3, 0.6, 13):
        powers = np.outer(2 * np.broadcast_to(drop.power, 2), [share, 1 - share]).ravel()
        values = solve(attrs.evolve(problem, power=powers)).objective.reshape(2, 2).mean(axis=1)
        best = np.fmin(best, values)
    assert np.all(joint.objective <= best * (1 + 1e-6))
    assert np.all(joint.objective < even.objective)
    assert np.all(joint.bound <= joint.objective)
    assert np.all(joint.gap < 1e-4)
    np.testing.assert_allclose((np.abs(joint.precoder) ** 2).sum(axis=(1, 2, 3)) / 2, drop.power, rtol=1e-6)
    assert all(any("power split over subcarriers" in note for note in notes) for notes in joint.notes)


def test_a_weak_subcarrier_is_given_what_it_needs():
    drop = band([1.0, 0.1])
    even, joint = (designed(ASKED, drop, split) for split in ("even", "joint"))
    assert not all(status.answered for status in even.status)
    assert all(status.answered for status in joint.status)
    none = designed(ASKED, band([1.0, 1e-4]), "joint")
    assert not any(status.answered for status in none.status)


@pytest.mark.parametrize("asked", [ASKED, SqnrMaxRequirements(min_sqinr=3.0)], ids=["crb-min", "sqnr-max"])
def test_one_subcarrier_is_the_narrowband_design(asked):
    drop = band([1.0])
    joint, even = (designed(asked, drop, split) for split in ("joint", "even"))
    np.testing.assert_allclose(joint.objective, even.objective, rtol=1e-12)
    np.testing.assert_array_equal(joint.precoder, even.precoder)


SCENARIO = """
[base_station]
transmit_array = {{ kind = "ula", elements = 2 }}
receive_array = {{ kind = "ula", elements = 2 }}
power_dbm = 30
radar_noise_dbm = 0
grid = {{ subcarriers = 4, symbols = 4, spacing_hz = 120e3 }}
[users]
count = 1
channel = {{ kind = "rayleigh" }}
noise_dbm = 0
[targets]
kind = "points"
azimuth_deg = [10]
reflection = [0.1]
[design.one]
problem = {problem}
split = "joint"
[evaluate.ideal]
metrics = ["subcarrier-power"]
"""


def test_a_split_that_nothing_is_known_of_is_refused(tmp_path):
    from isacsim.engine.plan import Plan

    path = tmp_path / "s.toml"
    for problem, told in (
        ('{ kind = "sum-rate-crlb", rate_weight = 1, crlb_weight = 0 }', "not convex in the power"),
        ('{ kind = "band-sum-rate-crlb", rate_weight = 1, crlb_weight = 0 }', "no problem for each subcarrier"),
    ):
        path.write_text(SCENARIO.format(problem=problem))
        with pytest.raises(InvalidInput, match=told):
            Plan.of(load_scenario(path), default_registry())
