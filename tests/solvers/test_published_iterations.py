"""`sca` and `ld-sca` with the published options, against the published iterations step by step."""

from pathlib import Path

import attrs
import numpy as np
import pytest

import isacsim
from isacsim import InvalidInput, Status
from isacsim.batch import frobenius2
from isacsim.solvers.sum_rate_crlb.merit import Merit

INSTANCES = sorted(path.stem for path in (Path(__file__).parents[1] / "data" / "sum-rate-crlb").glob("*.npz"))
ITERATIONS = {
    "sca_main": ("sca", {"curvature": "paper"}),
    "sca_fig": ("sca", {"curvature": "figures"}),
    "LD_sca": ("ld-sca", {"curvature": "figures", "inner_updates": 20}),
}
CASES = [
    (name, iteration)
    for name in INSTANCES
    for iteration in ITERATIONS
    # Without a rate, lambda is 0 there and the condition of N^H N alone decides what rounding makes of 20 updates.
    if not (name.startswith("c08") and iteration == "LD_sca")
]


def replay(problem, W, iteration, **options):
    solver, published = ITERATIONS[iteration]
    # No residual of finite numbers is within this tolerance: the published rules alone end the solve.
    return isacsim.solve(problem, solver, initial=W, tolerance=1e-300, **published, **options)


@pytest.mark.parametrize("steps", [50, pytest.param(300, marks=pytest.mark.slow)])
@pytest.mark.parametrize("all_streams", [False, True], ids=["published T_k", "all streams"])
@pytest.mark.parametrize(("name", "iteration"), CASES)
def test_every_step_is_that_of_the_published_iteration(kit, name, iteration, all_streams, steps):
    d, problem, order = kit.reference(name)
    published = d[f"{iteration}{'_fixT' * all_streams}__traj"][:steps]
    solution = replay(
        problem,
        d["W0"][order],
        iteration,
        published_received_power=not all_streams,
        step_tolerance=float(d["tolerance"]),
        max_steps=steps,
    )
    # The published stopping rule ends at the same iteration, on c09, c11 and c15 before the 300th.
    assert solution.iterations == len(published)
    columns = {"sum_rate": published[:, 0], "crlb": -published[:, 1], "objective": published[:, 2]}
    for quantity, expected in columns.items():
        if problem.crlb_weight or quantity != "crlb":  # else the library does not evaluate it
            # Found: 1e-9 at most, where N^H N is badly conditioned; 1e-11 for `sca` but for c08.
            np.testing.assert_allclose(solution.trace[quantity][1:], expected, rtol=1e-8, err_msg=quantity)


def test_the_published_stopping_rule_is_told_and_is_no_convergence(kit):
    d, problem, order = kit.reference("c15_low_power_m5dbm")
    W = d["W0"][order]
    solution = replay(problem, W, "sca_main", step_tolerance=1e-5)
    assert solution.status is Status.MAX_STEPS
    assert solution.notes[-1] == "stopped by a step shorter than 1e-05"
    assert solution.residual > 1e-6
    before = replay(problem, W, "sca_main", max_steps=int(solution.iterations) - 1)
    assert np.linalg.norm(solution.precoder - before.precoder, 2) < 1e-5
    assert before.status is Status.MAX_STEPS
    assert before.notes == solution.notes[:-1]


@pytest.mark.parametrize("tolerance", [1e-3, 1e-4])
def test_a_member_ends_once_the_objective_and_both_its_terms_hardly_change(kit, tolerance):
    d, problem, order = kit.reference("c01_base_nt16_k4_m2_ns16")
    solution = replay(problem, d["W0"][order], "sca_fig", change_tolerance=tolerance, max_steps=2000)
    columns = (solution.trace[name] for name in ("objective", "sum_rate", "crlb"))
    changes = np.max([np.abs(np.diff(column) / column[:-1]) for column in columns], axis=0)
    assert len(changes) == solution.iterations
    assert np.all(changes[:-1] >= tolerance)
    assert changes[-1] < tolerance
    assert solution.status is Status.MAX_STEPS
    assert solution.notes[-1] == f"stopped by changes below {tolerance:g}"


def test_the_change_of_a_term_that_is_not_evaluated_does_not_count(kit):
    d, problem, order = kit.reference("c09_comm_only_ds0")
    solution = replay(problem, d["W0"][order], "sca_fig", change_tolerance=1e-3, max_steps=2000)
    assert solution.notes[-1] == "stopped by changes below 0.001"


def test_with_the_published_received_power_the_residual_is_still_that_of_the_problem(kit):
    d, problem, order = kit.reference("c06_nt16_k1_m3_ns2")
    solution = replay(problem, d["W0"][order], "sca_fig", published_received_power=True, max_steps=20)
    merit = Merit.of(problem)
    point = merit.evaluate(solution.precoder[None])
    assert solution.residual == pytest.approx(merit.residual(point, frobenius2(merit.slope(point)))[0], rel=1e-9)


def test_without_sensing_streams_the_published_received_power_changes_nothing(kit):
    d, problem, order = kit.reference("c02_nt16_k4_m2_ns0")
    one, other = (
        replay(problem, d["W0"][order], "sca_main", published_received_power=flag, max_steps=20)
        for flag in (False, True)
    )
    assert one.precoder.tobytes() == other.precoder.tobytes()


@pytest.mark.parametrize("solver", ["sca", "ld-sca"])
def test_backtracking_climbs_where_the_published_curvatures_fall(kit, solver):
    d, problem, order = kit.reference("c08_sensing_only_dc0_m3_ns9")
    options = {"initial": d["W0"][order], "max_steps": 60}
    published = isacsim.solve(problem, solver, curvature="paper", **options)
    assert np.any(np.diff(published.trace["objective"]) < 0)
    assert np.all(np.diff(isacsim.solve(problem, solver, **options).trace["objective"]) > 0)


VARIANTS = {
    "plain": {},
    "rate only": {"crlb_weight": 0.0},
    "more targets than users": {"users": 1, "targets": 3},
    "no users": {"users": 0, "targets": 2, "rate_weight": 0.0},
    "linear arrays": {"linear": True},
    "range smaller than the array": {"users": 1, "targets": 1, "sensing_streams": 2},
}


@pytest.mark.parametrize("curvature", ["backtracking", "paper"])
@pytest.mark.parametrize("variant", sorted(VARIANTS))
def test_in_an_orthonormal_basis_the_low_dimensional_iteration_is_the_plain_one(kit, variant, curvature):
    problem = kit.make_problem(**VARIANTS[variant], seed=3)
    plain, low = (isacsim.solve(problem, s, curvature=curvature, max_steps=30) for s in ("sca", "ld-sca"))
    # The same algebra in other coordinates; rounding grows by a small factor a step.
    np.testing.assert_allclose(low.trace["objective"], plain.trace["objective"], rtol=1e-9)
    np.testing.assert_allclose(low.precoder, plain.precoder, atol=1e-7 * np.abs(plain.precoder).max())


def test_an_initial_precoder_is_projected_onto_the_range(kit):
    problem = kit.make_problem(1, 1)
    W = kit.complex_gaussian((6, 1), 0)
    N = np.concatenate([problem.H, problem.targets.transmit_basis()], axis=1)
    kept = N @ np.linalg.pinv(N) @ W * np.sqrt(0.02) / np.linalg.norm(W)
    solution = isacsim.solve(problem, "ld-sca", initial=W, max_steps=3)
    assert solution.trace["objective"][0] == pytest.approx(problem.objective(kept), rel=1e-9)
    assert np.linalg.norm(solution.precoder) ** 2 == pytest.approx(0.02, rel=1e-12)
    np.testing.assert_allclose(N @ np.linalg.pinv(N) @ solution.precoder, solution.precoder, atol=1e-12)


@pytest.mark.parametrize("inner_updates", [1, 5])
def test_the_low_dimensional_answer_is_stationary_for_the_whole_precoder(kit, inner_updates):
    problem = kit.make_problem(seed=5)
    solution = isacsim.solve(problem, "ld-sca", inner_updates=inner_updates)
    assert solution.status is Status.STATIONARY
    assert np.all(np.diff(solution.trace["objective"]) > 0)
    merit = Merit.of(problem)
    point = merit.evaluate(solution.precoder[None])
    # Evaluated with all antennas: what the iteration saw, but for rounding.
    assert merit.residual(point, frobenius2(merit.slope(point)))[0] <= 1.01e-4


OPTIONS = {
    "paper": ("sca", {"curvature": "paper"}),
    "figures": ("sca", {"curvature": "figures", "published_received_power": True, "step_tolerance": 1e-4}),
    "low-dimensional": ("ld-sca", {}),
    "published low-dimensional": (
        "ld-sca",
        {"curvature": "figures", "published_received_power": True, "inner_updates": 20, "step_tolerance": 1e-4},
    ),
}


@pytest.mark.parametrize("shared", ["nothing", "scene", "channel"])
@pytest.mark.parametrize("options", sorted(OPTIONS))
def test_a_member_of_a_batch_has_the_bytes_it_has_alone(kit, options, shared):
    solver, chosen = OPTIONS[options]
    scene = kit.make_scene(2, batch=() if shared == "scene" else (4,))
    H = kit.complex_gaussian((6, 2) if shared == "channel" else (4, 6, 2), 0)
    problem = kit.make_problem(scene=scene, H=H, sensing_streams=2, power=np.linspace(0.005, 0.03, 4))
    together = isacsim.solve(problem, solver, max_steps=60, **chosen)
    for i in range(4):
        t = problem.targets
        own = t if shared == "scene" else attrs.evolve(
            t, azimuth=t.azimuth[i], zenith=t.zenith[i], reflection=t.reflection[i]
        )  # fmt: skip
        one = attrs.evolve(problem, H=H if shared == "channel" else H[i], targets=own, power=problem.power[i])
        alone = isacsim.solve(one, solver, max_steps=60, **chosen)
        assert kit.raw_bytes(alone.precoder) == kit.raw_bytes(together.precoder[i])
        assert alone.iterations == together.iterations[i]
        assert alone.status is together.status[i]
        assert alone.notes == together.notes[i]


def test_what_the_solvers_do_not_take_is_refused(kit):
    with pytest.raises(InvalidInput, match="ld-sca takes a total power only, not `per_antenna`.*Valid: .*sca"):
        isacsim.solve(kit.make_problem(per_antenna=True), "ld-sca")
    with pytest.raises(InvalidInput, match="curvature: must be one of its choices, got 'papers'.*'?paper"):
        isacsim.solve(kit.make_problem(), "sca", curvature="papers")
    with pytest.raises(InvalidInput, match="step_tolerance: must be a finite number greater than 0"):
        isacsim.solve(kit.make_problem(), "sca", step_tolerance=0.0)
    with pytest.raises(InvalidInput, match="inner_updates: must be a whole number of at least 1"):
        isacsim.solve(kit.make_problem(), "ld-sca", inner_updates=0)
