"""`mm`: the published iteration step by step, monotone, and at the edges."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isacsim import Aqnm, SqnrMax, Status, Transceiver, solve
from isacsim.optimisation import semidefinite

DATA = Path(__file__).parents[1] / "data" / "sqnr-max"
HARDWARE = [
    Transceiver(Aqnm(3), Aqnm(3), Aqnm(3)),
    Transceiver(Aqnm([10, 2, 2, 1, np.inf]), Aqnm([1, 2, 3, 4]), Aqnm([2, np.inf])),
    Transceiver(),
]


def instance(name):
    """A reference instance, and its problem; powers are in mW."""
    d = np.load(DATA / f"{name}.npz")
    hardware = Transceiver(Aqnm(d["bits_dac"]), Aqnm(d["bits_adc"]), Aqnm(d["bits_user"]))
    return d, SqnrMax(d["H"], d["G"], d["gamma"], d["P"], d["sigma2_k"], d["sigma2_r"], hardware)


def problem_of(kit, seed=0, batch=(), transceiver=HARDWARE[0], **changes):
    arguments = {
        "H": kit.complex_gaussian((*batch, 5, 2), seed),
        "G": kit.complex_gaussian((*batch, 4, 5), seed + 1),
        "min_sqinr": [0.4, 0.3],
        "power": 5.0,
        "noise_power": [0.1, 0.2],
        "radar_noise_power": 0.3,
        "transceiver": transceiver,
    }
    return SqnrMax(**{**arguments, **changes})


@pytest.mark.parametrize("name", sorted(path.stem for path in (DATA / "mm").glob("*.npz")))
def test_from_the_reference_start_every_step_is_that_of_an_independent_program(name):
    d, (_, problem) = np.load(DATA / "mm" / f"{name}.npz"), instance(name)
    solution = solve(problem, "mm", initial=d["V0"], max_steps=10, tolerance=1e-9)
    # Two interior-point solutions of each step, each to about 1e-7, of which the differences add up.
    np.testing.assert_allclose(solution.trace["objective"], d["mm_cvx_traj"], rtol=1e-5)


@settings(max_examples=6)
@given(st.integers(0, 2**32 - 1), st.sampled_from(HARDWARE), st.sampled_from(["least-power", "random"]))
def test_the_objective_never_falls_and_every_constraint_is_kept(kit, seed, transceiver, start):
    problem = problem_of(kit, seed, transceiver=transceiver)
    solution = solve(problem, "mm", starts=[start], max_steps=8, rng=np.random.default_rng(seed))
    assert np.all(np.diff(solution.trace["objective"]) >= 0)
    assert all(np.all(slack >= -1e-9) for slack in problem.constraints(solution.precoder).values())


def test_without_users_all_power_goes_to_a_point_target(kit):
    # Radar only, converters of one resolution: R = (P / alpha) a a^H / N_t is optimal.
    a, b = kit.complex_gaussian((5,), 0), kit.complex_gaussian((4,), 1)
    problem = problem_of(kit, G=np.outer(b, np.conj(a / np.abs(a))), min_sqinr=0.0)
    alpha = 1 - Aqnm(3).distortion_factor(3)
    w = np.sqrt(problem.power / alpha / 5) * a / np.abs(a)
    best = problem.objective(np.concatenate([np.zeros((5, 2)), w[:, None]], axis=1))
    solution = solve(problem, "mm", tolerance=1e-4, max_steps=200)
    assert solution.objective == pytest.approx(float(best), rel=1e-4)  # the residual is of first order
    assert solution.objective <= best * (1 + 1e-9)


def test_a_point_target_is_proven_to_be_at_its_global_optimum():
    _, problem = instance("02_point_mixedDAC")
    solution = solve(problem, "mm")
    assert solution.status is Status.GLOBAL
    assert solution.objective <= solution.bound <= solution.objective * (1 + 1e-3)


def test_a_program_without_an_answer_ends_the_member_where_it_is(kit, monkeypatch):
    monkeypatch.setattr(semidefinite, "run_program", kit.failing_backend)
    problem = problem_of(kit)
    solution = solve(problem, "mm")
    assert solution.notes == (kit.FAILED_BACKENDS,)
    assert solution.status is Status.STALLED
    assert solution.objective == pytest.approx(solution.trace["objective"][0], rel=1e-12)
    assert all(np.all(slack >= -1e-9) for slack in problem.constraints(solution.precoder).values())


def test_the_unit_of_power_changes_nothing(kit):
    problem = problem_of(kit)
    scaled = problem_of(kit, power=5e-3, noise_power=[1e-4, 2e-4], radar_noise_power=3e-4)
    one, other = (solve(p, "mm", max_steps=5) for p in (problem, scaled))
    # The same program in normalised units, but for the rounding of its data.
    np.testing.assert_allclose(one.objective, other.objective, rtol=1e-7)


@pytest.mark.parametrize(
    ("shape", "asked"), [((4, 4), 0.3), ((3, 4), 0.2), ((5, 3), [0.3, 0.0, 1.0]), ((1, 1), 0.3)],
    ids=["as many users as antennas", "more users than antennas", "a user that asks nothing", "one antenna"],
)  # fmt: skip
def test_unusual_sizes_are_solved(kit, shape, asked):
    H, G = kit.complex_gaussian(shape, 0), kit.complex_gaussian((3, shape[0]), 1)
    problem = SqnrMax(H, G, asked, 10.0, 0.1, 0.1, HARDWARE[0])
    solution = solve(problem, "mm", max_steps=10)
    assert solution.status.answered
    assert np.all(np.diff(solution.trace["objective"]) >= 0)
    assert all(np.all(slack >= -1e-9) for slack in problem.constraints(solution.precoder).values())
