"""`SqnrMax` over a band behind hardware: derivatives, stationary points, and bounds that no precoder exceeds."""

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isacsim import Aqnm, MidRise, SqnrMax, Transceiver
from isacsim.grid import Grid
from isacsim.solvers.band_split import behind_hardware
from isacsim.solvers.solution import Status
from isacsim.solvers.sqnr_max.newton_mm import NewtonMm
from isacsim.solvers.sqnr_max.over_band import merit_over


def both_ways(bits, exact=False):
    stage = MidRise(bits) if exact else Aqnm(bits, table="uniform")
    return Transceiver(transmit=stage, receive=stage, user=stage)


def problem_of(kit, grid, antennas, hardware, asked=1.5, users=2, seed=0):
    F = grid.used
    H, G = kit.complex_gaussian((F, antennas, users), seed), kit.complex_gaussian((F, 3, antennas), seed + 1) / 4
    return SqnrMax(H, G, asked, 1.0, np.full((F, users), 0.05), np.full(F, 0.1), hardware)


def through_of(problem, grid):
    return problem.over_band(grid)


@pytest.mark.parametrize("exact", [False, True], ids=["aqnm", "exact"])
def test_derivatives_are_those_of_the_whole_band(kit, exact):
    # Noise of one subcarrier's converter follows what arrives on all: slacks of others move with each.
    grid = Grid(5, 1.0, active=3)
    problem = problem_of(kit, grid, 3, both_ways(2, exact), asked=[0.3, 0.4])
    merit = merit_over(through_of(problem, grid), 5.0)
    merit = attrs.evolve(merit, multipliers=np.linspace(0.1, 0.5, 6)[None])
    Z, D = (kit.complex_gaussian((1, 9, 4), seed) for seed in (3, 4))
    Z, step = merit.project(Z), 1e-6
    point = merit.evaluate(Z)
    assert (point.push > 0).all()  # far from where the penalty sets in
    up, down = merit.evaluate(Z + step * D), merit.evaluate(Z - step * D)

    def along(gradient):
        return 2 * (np.conj(gradient) * D).real.sum()

    # Central differences: step^2 beside 1e-16 / step.
    assert along(point.gradient) == pytest.approx((up.objective - down.objective)[0] / (2 * step), rel=1e-7)
    more, less = (merit.problem.sent(merit.surface.precoder(Z + by * D)).power.sum() for by in (step, -step))
    assert along(point.normal) == pytest.approx((more - less) / (2 * step), rel=1e-7)


@pytest.mark.parametrize("exact", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["aqnm", "exact"])
def test_the_joint_design_is_a_stationary_point_that_keeps_all_constraints(kit, exact):
    grid = Grid(3, 1.0, active=2)
    problem = problem_of(kit, grid, 3, both_ways(3, exact))
    found = behind_hardware(problem, NewtonMm(), grid, np.array([3.0]))
    through, W = through_of(problem, grid), found.precoder[0]
    assert found.status[0] is Status.STATIONARY
    assert found.residual[0] <= 1e-5
    assert through.constraints(W)["sqinr"].min() >= -1e-10
    np.testing.assert_allclose(through.sent(W).power.sum(), 3.0, rtol=1e-12)
    np.testing.assert_allclose(through.objective(W).mean(), found.objective[0], rtol=1e-12)
    assert found.objective[0] <= found.bound[0]


@pytest.mark.slow
def test_a_general_optimiser_gains_nothing(kit):
    from scipy.optimize import minimize

    grid = Grid(3, 1.0, active=2)
    problem = problem_of(kit, grid, 2, both_ways(3))
    through = through_of(problem, grid)
    found = behind_hardware(problem, NewtonMm(), grid, np.array([3.0]))
    W = found.precoder[0]

    def precoder(x):
        return x.view(complex).reshape(W.shape)

    rules = [
        {"type": "ineq", "fun": lambda x: through.constraints(precoder(x))["sqinr"].ravel()},
        {"type": "ineq", "fun": lambda x: 1 - through.sent(precoder(x)).power.sum() / 3.0},
    ]
    best = minimize(
        lambda x: -np.log(through.objective(precoder(x)).mean()), W.view(float).ravel(), constraints=rules,
        method="SLSQP", options={"maxiter": 200, "ftol": 1e-12},
    )  # fmt: skip
    # Slopes of a residual of 1e-5, and constraints that it keeps to some 1e-8.
    assert -best.fun <= np.log(found.objective[0]) + 1e-6


def sqinrs(through, W):
    return 1 + attrs.evolve(through, min_sqinr=1.0).constraints(W)["sqinr"]  # a slack is relative to what is asked


@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(2, 5), st.integers(1, 4), st.booleans())
def test_relaxed_problems_and_bounds_hold_for_every_precoder(kit, seed, antennas, subcarriers, bits, exact):
    grid = Grid(subcarriers + 2, 1.0, active=subcarriers)
    problem = problem_of(kit, grid, antennas, both_ways(bits, exact), asked=0.0, seed=seed % 10000)
    W = kit.complex_gaussian((subcarriers, antennas, 2 + antennas), seed)
    through = through_of(problem, grid)
    sent, total = through.sent(W), float(through.sent(W).power.sum())
    easier, left = attrs.evolve(problem, min_sqinr=sqinrs(through, W)).relaxed(grid, total)
    V = sent.precoder
    # What a precoder reaches through the hardware, its effective precoder reaches on ideal chains, with less power.
    assert (np.abs(V) ** 2).sum() <= left * (1 + 1e-12)
    assert easier.constraints(V)["sqinr"].min() >= -1e-12
    bound = NewtonMm().bound_over_band(problem, easier.objective(V).mean(), grid.used / grid.subcarriers)
    assert through.objective(W).mean() <= bound * (1 + 1e-12)


def test_sqinrs_that_distortion_forbids_are_proven_infeasible(kit):
    # Two bits: a user's own converter leaves an SQINR of at most 7.4 (alpha / beta) where all of the band is used.
    grid = Grid(2, 1.0)
    problem = problem_of(kit, grid, 4, both_ways(2), asked=8.0, users=1)
    found = behind_hardware(problem, NewtonMm(), grid, np.array([1e4]))
    assert found.status[0] is Status.INFEASIBLE
