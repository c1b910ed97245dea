"""`sca`: monotone, feasible, stationary, and against closed forms."""

from functools import partial

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import isacsim
from isacsim import Status
from isacsim.solvers.sum_rate_crlb.merit import Merit

solve = partial(isacsim.solve, solver="sca")

seeds = st.integers(0, 2**32 - 1)
VARIANTS = {
    "plain": {},
    "per antenna": {"per_antenna": True},
    "rate only": {"crlb_weight": 0.0},
    "crlb only": {"rate_weight": 0.0},
    "more targets than users": {"users": 1, "targets": 3},
    "no users": {"users": 0, "targets": 2, "rate_weight": 0.0},
    "sensing streams": {"sensing_streams": 2},
    "linear arrays": {"linear": True},
    "angles": {"parameters": ("azimuth", "zenith"), "parameter_weights": (1.0, 2.0)},
}


@pytest.fixture(params=sorted(VARIANTS))
def problem(request, kit):
    return kit.make_problem(**VARIANTS[request.param], seed=5)


def projected_slope(kit, problem, W):
    """Largest derivative of the objective over relative moves of full power, over its two terms.

    From values of `problem.objective` alone: along the real coordinates of W, with the
    result scaled back to full power.
    """
    merit = Merit.of(problem)  # only for the scaling to full power
    steps = np.eye(W.size).reshape(W.size, *W.shape) * np.sqrt(float(problem.power))

    def slope(direction):
        def along(t):
            moved = W + t * direction * steps
            return problem.objective(np.stack([merit.project(x[None])[0] for x in moved]))

        return kit.central_difference(along, 1e-4)

    slopes = np.concatenate([slope(1.0), slope(1j)])
    rate = problem.rate_weight * isacsim.metrics.sum_rate(problem.H, W, problem.noise_power)
    return np.linalg.norm(slopes) / (2 * rate - problem.objective(W) if problem.crlb_weight else rate)


def test_the_objective_never_falls_and_the_power_is_met(problem):
    solution = solve(problem, max_steps=300)
    trace = solution.trace["objective"]
    assert np.all(np.diff(trace) >= 0)
    assert trace[-1] > trace[0]
    (slack,) = problem.constraints(solution.precoder).values()
    np.testing.assert_allclose(slack, 0.0, atol=1e-12)
    assert solution.objective == trace[-1]
    assert problem.objective(solution.precoder) == pytest.approx(solution.objective, rel=1e-9)


def test_a_stationary_answer_has_no_ascent_direction_left(kit, problem):
    solution = solve(problem, tolerance=1e-4)
    assert solution.status is Status.STATIONARY
    assert solution.residual <= 1e-4
    # The library's own residual, here without its gradient; truncation of the differences
    # is below 1e-6 of the slope's scale.
    assert projected_slope(kit, problem, solution.precoder) <= 1.01e-4 + 1e-6
    start = solve(problem, max_steps=1)
    assert projected_slope(kit, problem, start.precoder) > 1e-3


@settings(max_examples=10)
@given(seeds, st.sampled_from([-10, 0, 10, 20, 30]))
def test_one_user_alone_starts_at_the_capacity_of_the_matched_filter(kit, seed, snr_db):
    problem = kit.make_problem(
        1, 1, seed=seed, crlb_weight=0.0, rate_weight=2.0, noise_power=0.02 / 10 ** (snr_db / 10)
    )
    capacity = np.log1p(0.02 * np.linalg.norm(problem.H) ** 2 / problem.noise_power[0])
    for start in ("mrt", "rzf"):
        solution = solve(problem, starts=start)
        assert solution.objective == pytest.approx(2.0 * capacity, rel=1e-12)
        assert solution.status is Status.STATIONARY
        assert solution.iterations == 0


@pytest.mark.parametrize("snr_db", [-20, -10, 0])
@pytest.mark.parametrize("seed", range(3))
def test_one_user_reaches_the_capacity_of_the_matched_filter_from_anywhere(kit, seed, snr_db):
    # Not above 0 dB: the first-order steps need thousands of iterations there.
    problem = kit.make_problem(
        1, 1, seed=seed, crlb_weight=0.0, rate_weight=2.0, noise_power=0.02 / 10 ** (snr_db / 10)
    )
    capacity = np.log1p(0.02 * np.linalg.norm(problem.H) ** 2 / problem.noise_power[0])
    solution = solve(problem, starts="random", rng=np.random.default_rng(seed), tolerance=1e-5, max_steps=2000)
    assert solution.status is Status.STATIONARY
    # The objective is quadratic about its maximum: off by the square of the residual.
    assert solution.objective == pytest.approx(2.0 * capacity, rel=1e-8)


def test_one_target_alone_is_lit_better_than_by_isotropic_transmission(kit):
    problem = kit.make_problem(0, 1, rate_weight=0.0, sensing_streams=3)
    isotropic = np.sqrt(0.02 / 6) * np.eye(6)
    bound = -isacsim.metrics.crlb(problem.targets, isotropic, 1e-4, 64).sum()
    solution = solve(problem)
    assert solution.objective > bound
    # A beam on the target's three directions cannot have more than all the power in each.
    assert solution.objective < bound / (6 / 1)


@settings(max_examples=10)
@given(seeds, st.floats(-2, 2), st.floats(-2, 2))
def test_scaling_channels_and_noise_together_changes_nothing(kit, seed, log_channel, log_power):
    c, p = 10**log_channel, 10**log_power
    problem = kit.make_problem(seed=seed)
    one = solve(problem, max_steps=20)
    scaled = attrs.evolve(problem, H=c * problem.H, noise_power=c**2 * problem.noise_power)
    other = solve(scaled, max_steps=20)
    # Twenty steps of the same algebra on scaled numbers.
    np.testing.assert_allclose(other.trace["objective"], one.trace["objective"], rtol=1e-8)
    np.testing.assert_allclose(other.precoder, one.precoder, atol=1e-6 * np.abs(one.precoder).max())
    # In units of another power, all precoders scale with its root.
    watts = attrs.evolve(
        problem,
        power=p * problem.power,
        noise_power=p * problem.noise_power,
        radar_noise_power=p * problem.radar_noise_power,
    )
    np.testing.assert_allclose(solve(watts, max_steps=20).objective, one.objective, rtol=1e-8)


@settings(max_examples=10)
@given(seeds)
def test_turning_the_phases_of_the_channels_changes_nothing_but_phases(kit, seed):
    problem = kit.make_problem(seed=seed)
    phases = np.exp(2j * np.pi * np.random.default_rng(seed).uniform(size=2))
    turned = attrs.evolve(problem, H=problem.H * phases)
    one, other = (solve(p, max_steps=20) for p in (problem, turned))
    np.testing.assert_allclose(other.trace["objective"], one.trace["objective"], rtol=1e-8)


@settings(max_examples=10)
@given(seeds)
def test_more_power_never_hurts(kit, seed):
    problem = kit.make_problem(seed=seed)
    less = solve(problem, max_steps=30)
    more = attrs.evolve(problem, power=2 * problem.power)
    assert solve(more, initial=less.precoder, max_steps=1).objective > less.objective


@pytest.mark.parametrize("variant", sorted(VARIANTS))
@pytest.mark.parametrize("start", ["mrt", "rzf", "random"])
def test_every_start_has_full_power_and_a_finite_objective(kit, variant, start):
    problem = kit.make_problem(**VARIANTS[variant], batch=(3,))
    solution = solve(problem, starts=start, rng=np.random.default_rng(0), max_steps=1)
    assert np.all(np.isfinite(solution.trace["objective"]))
    (slack,) = problem.constraints(solution.precoder).values()
    np.testing.assert_allclose(slack, 0.0, atol=1e-12)


def test_regularised_zero_forcing_starts_above_maximum_ratio_at_high_snr(kit):
    problem = kit.make_problem(4, 1, noise_power=1e-6, crlb_weight=0.0)
    first = {s: solve(problem, starts=s, max_steps=1).trace["objective"][0] for s in ("mrt", "rzf")}
    assert first["rzf"] > first["mrt"]


def test_the_input_is_not_modified_and_the_same_call_gives_the_same_bytes(kit):
    problem = kit.make_problem(batch=(3,))
    initial = kit.complex_gaussian((3, 6, 2), 0)
    before = initial.tobytes(), problem.H.tobytes()
    one = solve(problem, initial=initial, max_steps=15)
    other = solve(problem, initial=initial, max_steps=15)
    assert one.precoder.tobytes() == other.precoder.tobytes()
    assert (initial.tobytes(), problem.H.tobytes()) == before


SHARING = {
    "nothing": {"batch": (6,)},
    "scene": {"shared_scene": True},
    "channel": {"shared_channel": True},
    "one antenna power": {"batch": (6,), "per_antenna": True},
    "sensing only": {"batch": (6,), "rate_weight": 0.0},
    "rate only": {"batch": (6,), "crlb_weight": 0.0},
    "one user": {"batch": (6,), "users": 1, "targets": 2},
}


def member(problem, i):
    """One problem of a batch, without leading axes."""
    t = problem.targets

    def one(value, core):
        return value[i] if value.ndim > core else value

    return attrs.evolve(
        problem,
        H=one(problem.H, 2),
        targets=attrs.evolve(t, azimuth=one(t.azimuth, 1), zenith=one(t.zenith, 1), reflection=one(t.reflection, 1)),
        power=one(problem.power, 0),
        noise_power=one(problem.noise_power, 1),
        radar_noise_power=one(problem.radar_noise_power, 0),
    )


@pytest.mark.parametrize("what", sorted(SHARING))
def test_a_member_of_a_batch_has_the_bytes_it_has_alone(kit, what):
    options = dict(SHARING[what])
    shared_scene, shared_channel = options.pop("shared_scene", False), options.pop("shared_channel", False)
    if shared_scene:
        options |= {"H": kit.complex_gaussian((6, 6, 2), 0)}
    if shared_channel:
        options |= {"scene": kit.make_scene(2, batch=(6,)), "H": kit.complex_gaussian((6, 2), 0)}
    problem = kit.make_problem(
        **options, power=np.linspace(0.005, 0.03, 6), radar_noise_power=np.linspace(1e-4, 3e-4, 6)
    )
    together = solve(problem, max_steps=150, tolerance=2e-2)
    assert len(set(together.iterations.tolist())) > 1  # members leave the batch one by one
    for i in range(6):
        alone = solve(member(problem, i), max_steps=150, tolerance=2e-2)
        assert kit.raw_bytes(alone.precoder) == kit.raw_bytes(together.precoder[i])
        assert kit.raw_bytes(alone.objective) == kit.raw_bytes(together.objective[i])
        assert kit.raw_bytes(alone.residual) == kit.raw_bytes(together.residual[i])
        assert alone.iterations == together.iterations[i]
        assert alone.status is together.status[i]
        assert alone.notes == together.notes[i]
        steps = alone.iterations + 1
        for name, values in alone.trace.items():
            if "time" not in name:
                assert kit.raw_bytes(values) == kit.raw_bytes(together.trace[name][i, :steps])
                assert np.all(np.isnan(together.trace[name][i, steps:]))


def test_any_part_of_a_batch_has_the_same_bytes(kit):
    H = kit.complex_gaussian((7, 6, 2), 0)
    whole = solve(kit.make_problem(H=H), max_steps=40)
    for size in (2, 3):
        part = solve(kit.make_problem(H=H[:size]), max_steps=40)
        assert kit.raw_bytes(part.precoder) == kit.raw_bytes(whole.precoder[:size])


def hard_problem(kit):
    """Five members near singular geometry: the published step lengths descend at times."""
    scene = kit.make_scene(3, seed=1, batch=(5,))
    scene = attrs.evolve(
        scene,
        zenith=np.linspace(0.1, 0.4, 3) + 0.02 * np.arange(5)[:, None],
        reflection=scene.reflection * np.logspace(0, -1, 3),
    )
    return kit.make_problem(scene=scene, H=kit.complex_gaussian((5, 6, 2), 1), sensing_streams=6)


def test_where_the_published_step_descends_it_is_shortened_member_by_member(kit):
    problem, initial = hard_problem(kit), kit.complex_gaussian((5, 6, 8), 1)
    published = solve(problem, initial=initial, max_steps=40, curvature="paper")
    falls = (np.diff(published.trace["objective"]) < 0).sum(axis=1)
    assert falls.min() > 0
    assert falls.min() < falls.max()  # so that at some steps some members, not all, try again
    together = solve(problem, initial=initial, max_steps=40)
    assert np.all(np.diff(together.trace["objective"]) > 0)
    for i in range(5):
        alone = solve(member(problem, i), initial=initial[i], max_steps=40)
        assert kit.raw_bytes(alone.precoder) == kit.raw_bytes(together.precoder[i])
        assert kit.raw_bytes(alone.trace["objective"]) == kit.raw_bytes(together.trace["objective"][i])


def test_progress_that_ends_in_rounding_is_told_as_stalled(kit):
    problem = kit.make_problem(1, 1, crlb_weight=0.0, noise_power=0.02)
    solution = solve(problem, starts="random", rng=np.random.default_rng(0), tolerance=1e-300)
    assert solution.status is Status.STALLED
    assert solution.residual < 1e-5
    assert np.all(np.isfinite(solution.precoder))
