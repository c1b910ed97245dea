"""`fp-sgda`: monotone to stationary points, and the published fixed step with momentum."""

import numpy as np
import pytest

import isacsim
from isacsim import InvalidInput, Status
from isacsim.batch import frobenius2
from isacsim.solvers.sum_rate_crlb.merit import Merit

VARIANTS = {
    "plain": {},
    "per antenna": {"per_antenna": True},
    "rate only": {"crlb_weight": 0.0},
    "crlb only": {"rate_weight": 0.0},
    "more targets than users": {"users": 1, "targets": 3},
}


@pytest.mark.parametrize("variant", sorted(VARIANTS))
def test_it_climbs_to_a_stationary_point(kit, variant):
    problem = kit.make_problem(**VARIANTS[variant], seed=5)
    solution = isacsim.solve(problem, "fp-sgda", tolerance=1e-3)
    assert solution.status is Status.STATIONARY
    assert np.all(np.diff(solution.trace["objective"]) > 0)
    (slack,) = problem.constraints(solution.precoder).values()
    np.testing.assert_allclose(slack, 0.0, atol=1e-12)
    merit = Merit.of(problem)
    point = merit.evaluate(solution.precoder[None])
    assert merit.residual(point, frobenius2(merit.slope(point)))[0] == pytest.approx(solution.residual, rel=1e-6)


def test_it_ends_at_the_objective_of_sca(kit):
    problem = kit.make_problem(batch=(3,), seed=5)
    one, other = (isacsim.solve(problem, solver) for solver in ("fp-sgda", "sca"))
    # Of the same maximum, both off by the square of residuals of 1e-4 over its curvature.
    np.testing.assert_allclose(one.objective, other.objective, rtol=1e-5)


def published(kit, problem, W, steps, momentum):
    """The iteration with fixed constants, from values of the problem's objective alone."""
    entries = np.eye(W.size).reshape(W.size, *W.shape)
    average, objectives = W, []
    for _ in range(steps):
        slope = [
            kit.central_difference(lambda t, W=W, part=part: problem.objective(W + t * part * entries), 1e-4)
            for part in (1, 1j)
        ]
        g = (slope[0] + 1j * slope[1]).reshape(W.shape)
        X = W + 5e-6 * (g + (10.0 if momentum else -10.0) * (W - average))
        W = X * np.sqrt(problem.power) / np.linalg.norm(X)
        average = average + 0.02 * (W - average)
        objectives.append(problem.objective(W))
    return objectives


@pytest.mark.parametrize("momentum", [False, True])
def test_with_the_published_constants_it_is_the_published_iteration(kit, momentum):
    problem = kit.make_problem(sensing_streams=2)
    W = kit.complex_gaussian((6, 4), 0)
    W *= np.sqrt(0.02) / np.linalg.norm(W)
    solution = isacsim.solve(problem, "fp-sgda", initial=W, step_size=5e-6, published_momentum=momentum, max_steps=30)
    # The differences are off by some 1e-11 of the slope, by rounding.
    np.testing.assert_allclose(solution.trace["objective"][1:], published(kit, problem, W, 30, momentum), rtol=1e-9)
    assert solution.status is Status.MAX_STEPS


def test_a_fixed_step_that_is_too_long_may_descend_but_the_search_does_not(kit):
    problem = kit.make_problem(noise_power=1e-5)
    fixed, searched = (isacsim.solve(problem, "fp-sgda", step_size=step, max_steps=40) for step in (1e-2, None))
    assert np.any(np.diff(fixed.trace["objective"]) < 0)
    assert np.all(np.diff(searched.trace["objective"]) > 0)


def test_an_average_that_holds_a_member_back_is_forgotten(kit):
    # So heavy a smoothing would pin W to the average; without it the steps are those of the gradient.
    heavy, none = (isacsim.solve(kit.make_problem(), "fp-sgda", smoothing=s, max_steps=60) for s in (1e9, 0.0))
    np.testing.assert_array_equal(heavy.trace["objective"], none.trace["objective"])
    assert np.all(np.diff(heavy.trace["objective"]) > 0)


@pytest.mark.parametrize("options", [{}, {"step_size": 5e-6, "published_momentum": True, "step_tolerance": 1e-4}])
def test_a_member_of_a_batch_has_the_bytes_it_has_alone(kit, options):
    H = kit.complex_gaussian((4, 6, 2), 0)
    power = np.linspace(0.005, 0.03, 4)
    together = isacsim.solve(kit.make_problem(H=H, power=power), "fp-sgda", max_steps=40, tolerance=3e-2, **options)
    for i in range(4):
        problem = kit.make_problem(H=H[i], power=power[i])
        alone = isacsim.solve(problem, "fp-sgda", max_steps=40, tolerance=3e-2, **options)
        assert kit.raw_bytes(alone.precoder) == kit.raw_bytes(together.precoder[i])
        assert alone.iterations == together.iterations[i]
        assert alone.status is together.status[i]


def test_constants_out_of_range_are_refused(kit):
    for name in ("step_size", "averaging"):
        with pytest.raises(InvalidInput, match=f"{name}: must be a finite number greater than 0"):
            isacsim.solve(kit.make_problem(), "fp-sgda", **{name: 0.0})
    with pytest.raises(InvalidInput, match="smoothing: must be a finite number of at least 0"):
        isacsim.solve(kit.make_problem(), "fp-sgda", smoothing=-1.0)


@pytest.mark.parametrize("sensing_streams", [0, 2])
def test_the_published_received_power_matters_with_sensing_streams_alone(kit, sensing_streams):
    problem = kit.make_problem(sensing_streams=sensing_streams)
    W = kit.complex_gaussian((6, problem.streams), 0)
    one, other = (
        isacsim.solve(problem, "fp-sgda", initial=W, step_size=5e-6, published_received_power=flag, max_steps=5)
        for flag in (False, True)
    )
    assert (one.precoder.tobytes() == other.precoder.tobytes()) is (sensing_streams == 0)
