"""`isacsim.solve`: arguments, statuses, shapes, and members without an answer."""

import re
from itertools import count, pairwise
from types import SimpleNamespace
from typing import ClassVar

import attrs
import numpy as np
import pytest
from attrs import frozen

import isacsim
from isacsim import Aqnm, InvalidInput, PointCrbMin, Solution, Status, Transceiver, UniformPlanarArray
from isacsim.batch import batched, rows
from isacsim.plugin import SolverSpec, build_registry, hookimpl
from isacsim.problems.base import Problem
from isacsim.solvers.base import Request, Solver, other_kind
from isacsim.solvers.iterate import Stop, iterate
from isacsim.solvers.sum_rate_crlb.sca import Sca

QUICK = {"max_steps": 5}


@pytest.mark.parametrize("lead", [(), (3,), (2, 3), (1,), (1, 1)])
def test_every_field_has_the_leading_axes_of_the_problem(kit, lead):
    solution = isacsim.solve(kit.make_problem(batch=lead), **QUICK)
    assert solution.precoder.shape == (*lead, 6, 2)
    for name in ("objective", "gap", "residual", "iterations", "bound", "converged", "status", "notes"):
        value = getattr(solution, name)
        if name == "notes" and lead == ():
            assert value == ()
        elif name == "status" and lead == ():
            assert isinstance(value, Status)
        else:
            assert np.shape(value) == lead, name
    for values in solution.trace.values():
        assert values.shape == (*lead, 6)
    assert {"objective", "time", "residual"} <= set(solution.trace)
    assert isinstance(solution.runtime, float)
    assert solution.runtime > 0


def test_leading_axes_come_from_any_field(kit):
    problem = kit.make_problem(power=np.array([0.01, 0.02, 0.03]))
    solution = isacsim.solve(problem, **QUICK)
    assert solution.precoder.shape == (3, 6, 2)
    assert np.all(np.diff(solution.objective) > 0)
    both = isacsim.solve(attrs.evolve(problem, radar_noise_power=np.array([[1e-4], [2e-4]])), **QUICK)
    assert both.objective.shape == (2, 3)
    assert both.objective[0].tobytes() == solution.objective.tobytes()


def test_status_tells_itself_as_name_and_sentence():
    assert str(Status.STATIONARY) == "STATIONARY"
    assert Status.STATIONARY.sentence.startswith("Stationary: the KKT residual")
    assert len({s.sentence for s in Status}) == 9
    assert [s for s in Status if s.good] == [Status.GLOBAL, Status.OPTIMAL, Status.STATIONARY]
    assert [s for s in Status if not s.answered] == [Status.INFEASIBLE, Status.UNIDENTIFIABLE, Status.FAILED]
    # Stored runs hold these numbers.
    assert [(s.code, s.name) for s in Status] == list(
        enumerate(
            [
                "GLOBAL",
                "OPTIMAL",
                "STATIONARY",
                "MAX_STEPS",
                "STALLED",
                "INFEASIBLE",
                "UNIDENTIFIABLE",
                "FAILED",
                "HEURISTIC",
            ]
        )
    )


def test_a_limit_of_steps_is_told_apart_from_convergence(kit):
    problem = kit.make_problem(batch=(2,))
    few, many = isacsim.solve(problem, max_steps=3), isacsim.solve(problem, tolerance=1e-2)
    assert list(few.status) == [Status.MAX_STEPS] * 2
    assert not few.converged.any()
    assert list(few.iterations) == [3, 3]
    assert list(many.status) == [Status.STATIONARY] * 2
    assert many.converged.all()
    assert np.all(many.residual <= 1e-2)
    assert repr(few).startswith("Solution(2 MAX_STEPS, objective=array(")
    assert repr(isacsim.solve(kit.make_problem(), **QUICK)).startswith("Solution(MAX_STEPS, objective=")


def test_the_default_solver_a_name_and_a_record_are_the_same(kit):
    problem = kit.make_problem()
    by_default, by_name = (isacsim.solve(problem, name, **QUICK) for name in (None, "riemannian-lbfgs"))
    assert by_name.precoder.tobytes() == by_default.precoder.tobytes()
    by_name, by_record = isacsim.solve(problem, "sca", **QUICK), isacsim.solve(problem, Sca(max_steps=5))
    changed = isacsim.solve(problem, Sca(max_steps=9), **QUICK)
    for other in (by_record, changed):
        assert other.precoder.tobytes() == by_name.precoder.tobytes()


def test_an_initial_precoder_is_scaled_to_full_power_and_broadcast(kit):
    problem = kit.make_problem(batch=(3,))
    W = kit.complex_gaussian((6, 2), 0)
    solution = isacsim.solve(problem, initial=W, max_steps=1)
    scaled = W * np.sqrt(0.02) / np.linalg.norm(W)
    np.testing.assert_allclose(solution.trace["objective"][:, 0], problem.objective(scaled), rtol=1e-9)
    same = isacsim.solve(problem, initial=np.stack([7 * W] * 3), max_steps=1)
    np.testing.assert_allclose(same.objective, solution.objective, rtol=1e-9)


def test_the_best_of_several_starts_counts_member_by_member(kit):
    problem = kit.make_problem(4, 2, batch=(8,))
    options = {"max_steps": 40}
    each = {s: isacsim.solve(problem, "sca", starts=[s], **options) for s in ("mrt", "rzf")}
    best = isacsim.solve(problem, "sca", starts=["mrt", "rzf"], **options)
    objectives = np.stack([s.objective for s in each.values()])
    np.testing.assert_array_equal(best.objective, objectives.max(axis=0))
    winners = objectives.argmax(axis=0)
    assert set(winners) == {0, 1}  # else this test shows nothing
    for i, winner in enumerate(winners):
        source = list(each.values())[winner]
        assert best.precoder[i].tobytes() == source.precoder[i].tobytes()
        np.testing.assert_array_equal(best.trace["objective"][i], source.trace["objective"][i])


def test_random_starts_come_from_the_given_generators_alone(kit):
    problem = kit.make_problem(batch=(3,))
    options = {"starts": "random", "max_steps": 3}
    one = isacsim.solve(problem, rng=np.random.default_rng(4), **options)
    again = isacsim.solve(problem, rng=np.random.default_rng(4), **options)
    assert one.precoder.tobytes() == again.precoder.tobytes()
    listed = isacsim.solve(problem, rng=kit.generators([7, 8, 9]), **options)
    alone = isacsim.solve(
        kit.make_problem(H=problem.H[1], scene=member_scene(problem, 1)), rng=kit.generators([8]), **options
    )
    assert alone.precoder.tobytes() == listed.precoder[1].tobytes()
    assert listed.precoder.tobytes() != one.precoder.tobytes()


def member_scene(problem, i):
    t = problem.targets
    return attrs.evolve(t, azimuth=t.azimuth[i], zenith=t.zenith[i], reflection=t.reflection[i])


def test_a_callback_sees_each_step_and_can_stop(kit):
    seen = []
    solution = isacsim.solve(kit.make_problem(batch=(2,)), "sca", max_steps=4, callback=seen.append)
    assert [progress.step for progress in seen] == [1, 2, 3, 4]
    assert [list(progress.members) for progress in seen] == [[0, 1]] * 4
    np.testing.assert_array_equal(
        np.stack([p.state.objective for p in seen], axis=1), solution.trace["objective"][:, 1:]
    )
    assert all(later.time >= earlier.time for earlier, later in pairwise(seen))
    stopped = isacsim.solve(kit.make_problem(batch=(2,)), callback=lambda progress: progress.step == 2)
    assert list(stopped.status) == [Status.MAX_STEPS] * 2
    assert list(stopped.iterations) == [2, 2]
    assert list(stopped.notes) == [("stopped by the callback",)] * 2
    assert np.all(np.isfinite(stopped.precoder))


def test_a_time_limit_stops_with_what_there_is(kit):
    solution = isacsim.solve(kit.make_problem(), time_limit=1e-9, tolerance=1e-12)
    assert solution.status is Status.MAX_STEPS
    assert solution.iterations == 0
    assert solution.notes == ("stopped by the time limit",)
    assert np.all(np.isfinite(solution.precoder))


@pytest.mark.parametrize("limit", [0, -1, np.nan, np.inf, "1", True])
@pytest.mark.parametrize("solver", ["sca", "fisher-sdr"])
def test_a_time_limit_must_be_a_time_whatever_the_solver(kit, solver, limit):
    problem = kit.make_problem()
    if solver == "fisher-sdr":  # which iterates nothing
        problem = PointCrbMin(problem.H, problem.targets, 1.0, 1.0, 1e-3, 1e-3, 64)
    with pytest.raises(InvalidInput, match="time_limit: must be a finite number greater than 0, got .* Give seconds"):
        isacsim.solve(problem, solver, time_limit=limit)


# Members that have no answer


def spoiled(kit, azimuth=None, zenith=None, reflection=None):
    """Three members; the second one has the given targets in place of sound ones."""
    scene = kit.make_scene(2, seed=3, batch=(3,))
    fields = {n: np.array(getattr(scene, n)) for n in ("azimuth", "zenith", "reflection")}
    for name, value in (("azimuth", azimuth), ("zenith", zenith), ("reflection", reflection)):
        if value is not None:
            fields[name][1] = value
    return kit.make_problem(scene=attrs.evolve(scene, **fields), H=kit.complex_gaussian((3, 6, 2), 0))


SPOILED = {
    "zenith zero": ({"zenith": [0.0, 1.1]}, r"azimuth\[0\] is not identifiable: the echo does not depend on it"),
    "no reflection": ({"reflection": [0.2, 0.0]}, r"azimuth\[1\] is not identifiable"),
    "no reflection, zenith": ({"reflection": [0.2, 0.0]}, r"zenith\[1\] is not identifiable"),
    "end fire": ({"azimuth": [np.pi / 2, 0.1]}, r"azimuth\[0\] is not identifiable"),
    "twins": (
        {"azimuth": [0.3, 0.3], "zenith": [1.0, 1.0]},
        r"reflection_real\[0\], .* are not identifiable: the echo depends on them only in combination",
    ),
    "alias": (
        {"azimuth": [0.3, -0.3], "zenith": [1.0, -1.0]},
        r"reflection_real\[0\], .* are not identifiable: the echo depends on them only in combination",
    ),
}


@pytest.mark.parametrize("what", sorted(SPOILED))
def test_a_member_that_cannot_be_identified_has_its_status_and_stops_no_other(kit, what):
    changes, note = SPOILED[what]
    solution = isacsim.solve(spoiled(kit, **changes), max_steps=4)
    assert [str(s) for s in solution.status] == ["MAX_STEPS", "UNIDENTIFIABLE", "MAX_STEPS"]
    assert np.all(np.isnan(solution.precoder[1]))
    assert np.isnan(solution.objective[1])
    assert not solution.converged[1]
    assert any(re.search(note, told) for told in solution.notes[1])
    assert np.all(np.isnan(solution.trace["objective"][1]))
    sound = isacsim.solve(spoiled(kit), max_steps=4)
    for i in (0, 2):
        assert solution.precoder[i].tobytes() == sound.precoder[i].tobytes()
        np.testing.assert_array_equal(solution.trace["objective"][i], sound.trace["objective"][i])


def test_a_member_that_cannot_be_identified_keeps_starts_and_generators_of_the_others(kit):
    problem = spoiled(kit, zenith=[0.0, 1.1])
    initial, options = kit.complex_gaussian((3, 6, 2), 9), {"max_steps": 2}
    given = isacsim.solve(problem, initial=initial, **options)
    sound = isacsim.solve(spoiled(kit), initial=initial, **options)
    assert given.precoder[2].tobytes() == sound.precoder[2].tobytes()
    random = isacsim.solve(problem, starts="random", rng=kit.generators([1, 2, 3]), **options)
    other = isacsim.solve(spoiled(kit), starts="random", rng=kit.generators([1, 2, 3]), **options)
    assert random.precoder[2].tobytes() == other.precoder[2].tobytes()
    best = isacsim.solve(problem, "sca", starts=["mrt", "rzf"], **options)
    assert [str(s) for s in best.status] == ["MAX_STEPS", "UNIDENTIFIABLE", "MAX_STEPS"]


def test_a_single_problem_that_cannot_be_identified_is_an_answer(kit):
    scene = kit.make_scene(1)
    problem = kit.make_problem(scene=attrs.evolve(scene, reflection=[0.0]))
    solution = isacsim.solve(problem)
    assert solution.status is Status.UNIDENTIFIABLE
    assert np.all(np.isnan(solution.precoder))
    assert solution.precoder.shape == (6, 2)
    assert solution.notes == (
        "azimuth[0] is not identifiable: the echo does not depend on it",
        "zenith[0] is not identifiable: the echo does not depend on it",
    )


def test_without_weight_on_the_bound_every_scene_will_do(kit):
    problem = attrs.evolve(spoiled(kit, zenith=[0.0, 1.1]), crlb_weight=0.0)
    assert all(s.answered for s in isacsim.solve(problem, max_steps=10).status)


def test_too_few_receivers_are_found_out(kit):
    scene = kit.make_scene(2, tx=UniformPlanarArray(1, 1), rx=UniformPlanarArray(1, 2))
    solution = isacsim.solve(kit.make_problem(1, 2, scene=scene))
    assert solution.status is Status.UNIDENTIFIABLE


@pytest.mark.parametrize(("rx", "targets", "enough"), [((1, 1), 2, 4), ((2, 2), 3, 2)])
def test_too_few_streams_for_few_receivers_are_found_out(kit, rx, targets, enough):
    # 4M real unknowns need 2 N_r (K+S) real equations, which the two cases meet with equality and with room.
    scene = kit.make_scene(targets, rx=isacsim.UniformPlanarArray(*rx), tx=isacsim.UniformPlanarArray(4, 4))
    for streams in (enough - 1, enough):
        H = kit.complex_gaussian((16, 1), 0)
        solution = isacsim.solve(kit.make_problem(scene=scene, H=H, sensing_streams=streams - 1), max_steps=3)
        if streams < enough:
            assert solution.status is Status.UNIDENTIFIABLE
            assert "too few for the target parameters; add streams" in solution.notes[0]
        else:
            assert solution.status.answered


def test_a_bound_beyond_pi_is_noted(kit):
    problem = kit.make_problem(radar_noise_power=1e3)
    solution = isacsim.solve(problem, **QUICK)
    assert "the bound on azimuth[0] exceeds pi rad for isotropic transmission" in solution.notes
    assert solution.status.answered


# Pairs and options


def test_hardware_that_sca_cannot_design_for_is_refused_with_what_to_do(kit):
    problem = kit.make_problem(transceiver=Transceiver(transmit=Aqnm(3)))
    with pytest.raises(
        InvalidInput,
        match=r"sca designs for ideal hardware only, and transmit \(Aqnm\) is not, got 'sca'. Believe in ideal",
    ):
        isacsim.solve(problem, "sca")
    # Infinite resolution is ideal.
    assert isacsim.solve(kit.make_problem(transceiver=Transceiver(transmit=Aqnm(np.inf))), **QUICK).iterations == 5


@frozen
class Aware(Solver):
    """Solver of another kind of problem, for any hardware."""

    problems: ClassVar[tuple[str, ...]] = ("sum-rate-crlb",)

    def takes(self, problem):
        return other_kind(self, problem)

    def solve(self, problem, request: Request):
        return iterate(Sca().init(problem, request), lambda s: s, Stop(1e-9, 1))


@frozen
class Claiming(Solver):
    """Calls silence an optimum."""

    problems: ClassVar[tuple[str, ...]] = ("sum-rate-crlb",)

    def solve(self, problem, request: Request):
        silent = np.zeros((problem.members, 6, 2), complex)
        return Solution.resting(silent, Status.GLOBAL, ["said"] * problem.members, objective=problem.objective(silent))


def test_nothing_is_good_whose_objective_is_not_finite(kit):
    problem = kit.make_problem(batch=(2,))
    assert np.isneginf(problem.objective(np.zeros((2, 6, 2)))).all()  # nothing is known of the targets
    solution = isacsim.solve(problem, Claiming())
    assert list(solution.status) == [Status.STALLED] * 2
    assert solution.notes[0] == ("said", "the solver said GLOBAL of an objective that is not finite")


@frozen
class Foreign(Solver):
    """Solver that takes no known problem."""

    problems: ClassVar[tuple[str, ...]] = ("something-else",)

    def solve(self, problem, request: Request):
        raise NotImplementedError


class Plugin:
    """Offers the two above."""

    @staticmethod
    @hookimpl
    def isacsim_solvers():
        yield SolverSpec("aware", f"{__name__}:Aware")
        yield SolverSpec("foreign", f"{__name__}:Foreign")


@pytest.fixture
def registry():
    return build_registry([Plugin], installed=False)


def test_a_refusal_names_the_solvers_that_would_do(kit, registry):
    problem = kit.make_problem(transceiver=Transceiver(transmit=Aqnm(3)))
    with pytest.raises(InvalidInput, match="Valid: aware"):
        isacsim.solve(problem, "sca", registry=registry)
    with pytest.raises(
        InvalidInput,
        match="solver: must take the problem sum-rate-crlb; foreign takes something-else, not sum-rate-crlb, "
        "got 'foreign'.*Valid: aware, .*riemannian-lbfgs, sca",
    ):
        isacsim.solve(kit.make_problem(), "foreign", registry=registry)
    with pytest.raises(InvalidInput, match="must take the problem sum-rate-crlb"):
        isacsim.solve(kit.make_problem(), Foreign())


def test_a_member_whose_objective_breaks_down_is_failed_and_has_no_precoder(kit):
    problem = kit.make_problem(batch=(2,))

    @frozen(eq=False)
    class Broken:
        traced: ClassVar[tuple[str, ...]] = ()
        objective: np.ndarray = rows()
        precoder: np.ndarray = rows(2)
        residual: np.ndarray = rows()
        stalled: np.ndarray = rows()

    state = Broken(np.array([1.0, 2.0]), problem.H, np.ones(2), np.array([False, True]))
    solution = iterate(
        state, lambda s: Broken(np.array([np.nan]), problem.H[:1], np.ones(1), np.array([False])), Stop(0.1, 9)
    )
    assert [str(s) for s in solution.status] == ["FAILED", "STALLED"]
    assert solution.notes[0] == ("the objective became infinite or NaN at step 1",)
    assert np.all(np.isnan(solution.precoder[0]))
    assert np.isnan(solution.objective[0])
    assert solution.objective[1] == 2.0


def test_a_solution_is_of_the_promised_type(kit):
    problem = kit.make_problem()
    assert isinstance(problem, Problem)
    solution = isacsim.solve(problem, **QUICK)
    assert isinstance(solution, Solution)
    assert np.isnan(solution.gap)
    assert np.isnan(solution.bound)
    assert not solution.converged


def test_a_problem_and_a_solver_of_ones_own_go_through_the_same_door(kit):
    @frozen
    class NearestToChannel(Problem):
        """Minimise the distance of the precoder to the channel."""

        kind: ClassVar[str] = "nearest"
        sense: ClassVar[int] = -1
        H: np.ndarray = batched(2, dtype=complex)
        transceiver: Transceiver = Transceiver()
        streams: int = 2

        def objective(self, W):
            return np.linalg.norm(W - self.H, axis=(-2, -1))

        def constraints(self, W):
            return {}

    @frozen(eq=False)
    class Closing:
        traced: ClassVar[tuple[str, ...]] = ()
        precoder: np.ndarray = rows(2)
        objective: np.ndarray = rows()
        residual: np.ndarray = rows()
        stalled: np.ndarray = rows()

    @frozen
    class Halving(Solver):
        """Goes half of the way at each step."""

        problems: ClassVar[tuple[str, ...]] = ("nearest",)

        def solve(self, problem, request):
            def state(W):
                left = problem.objective(W)
                return Closing(W, left, left, np.zeros(left.shape, bool))

            H = problem.H
            start = {"near": 0.9 * H, "far": 0 * H}[request.start]
            steps = iter(range(1, 99))
            return iterate(state(start), lambda s: state(H + (start - H) / 2 ** next(steps)), Stop(1e-300, 5))

    problem = NearestToChannel(kit.complex_gaussian((2, 3, 6, 2), 0))
    solution = isacsim.solve(problem, Halving(), starts=["far", "near"])
    assert solution.precoder.shape == (2, 3, 6, 2)
    # The sense is to minimise: the near start wins everywhere.
    np.testing.assert_allclose(solution.objective, 0.1 * problem.objective(0 * problem.H) / 2**5, rtol=1e-9)
    assert {str(s) for s in solution.status.ravel()} == {"MAX_STEPS"}


@pytest.mark.parametrize(
    ("fault", "name"),
    [
        ({"gap": 0.5}, "gap"),
        ({"residual": np.zeros(1)}, "residual"),
        ({"least_power": np.zeros((2, 1))}, "least_power"),
        ({"decision": {"precoder": np.ones((6, 4), complex)}}, "precoder"),
        ({"trace": {"time": np.zeros(3)}}, "time"),
    ],
)
@pytest.mark.parametrize("shape", [(2,), (2, 1)])
def test_a_solution_without_an_entry_for_each_member_is_refused_by_name(kit, fault, name, shape):
    @frozen
    class Careless(Solver):
        problems: ClassVar[tuple[str, ...]] = ("sum-rate-crlb",)

        def solve(self, problem, request):
            W = np.ones((problem.members, *problem.decision["precoder"].shape), complex)
            return attrs.evolve(Solution.of(problem, W), **fault)

    problem = kit.make_problem(batch=shape)
    with pytest.raises(InvalidInput, match=f"must return a Solution with a {name} for each of 2 members"):
        isacsim.solve(problem, Careless())


def test_a_state_that_members_cannot_leave_is_refused():
    @frozen(eq=False)
    class Plain:
        traced: ClassVar[tuple[str, ...]] = ()
        precoder: np.ndarray
        objective: np.ndarray
        residual: np.ndarray
        stalled: np.ndarray

    state = Plain(np.ones((2, 3, 1), complex), np.ones(2), np.ones(2), np.zeros(2, bool))
    with pytest.raises(InvalidInput, match=r"state: must be a record .* isacsim\.batch\.rows, got 'Plain'"):
        iterate(state, lambda s: s, Stop(1e-6, 3))


@pytest.mark.parametrize("name", ["sca", "ld-sca", "fp-sgda", "riemannian-lbfgs"])
def test_users_without_a_channel_leave_their_streams_to_the_targets(kit, name):
    H = np.stack([kit.complex_gaussian((6, 2), 0), np.zeros((6, 2))])
    problem = kit.make_problem(H=H)
    options = {"random_load": 1.0} if name == "riemannian-lbfgs" else {}  # without random starts
    solution = isacsim.solve(problem, name, **options)
    assert solution.converged.all()
    without = attrs.evolve(problem, H=np.zeros((6, 0)), noise_power=1.0, sensing_streams=2)
    sensing = isacsim.solve(without, "sca")
    # Both are stationary within residuals of 1e-3 or less, whose square is the error of the objective.
    assert solution.objective[1] == pytest.approx(sensing.objective, rel=1e-4)


@pytest.mark.parametrize("name", ["sca", "fp-sgda", "riemannian-lbfgs"])
def test_an_antenna_that_no_user_hears_radiates_its_share_all_the_same(kit, name):
    H = kit.complex_gaussian((6, 2), 0)
    H[2] = 0
    solution = isacsim.solve(kit.make_problem(H=H, per_antenna=True), name, starts="mrt", max_steps=50)
    assert solution.status.answered
    assert np.all(np.diff(solution.trace["objective"]) >= 0)  # from the start on
    # Power is scaled to a few roundings.
    np.testing.assert_allclose((np.abs(solution.precoder) ** 2).sum(axis=-1), 0.02 / 6, rtol=1e-12)


@pytest.mark.parametrize("targets", [(), (0,)])
@pytest.mark.parametrize("name", ["sca", "riemannian-lbfgs"])
def test_an_empty_batch_has_an_empty_solution(kit, name, targets):
    problem = kit.make_problem(H=np.zeros((0, 6, 2), complex), scene=kit.make_scene(2, batch=targets))
    solution = isacsim.solve(problem, name)
    assert solution.precoder.shape == (0, 6, 2)
    assert solution.status.shape == solution.objective.shape == (0,)
    assert isacsim.metrics.crlb(problem.targets, solution.precoder, 1e-3, 64).shape == (0, 8)


@pytest.mark.parametrize("targets", [(), (0,)])
def test_an_empty_batch_of_angle_bounds_has_an_empty_solution(kit, targets):
    scene = kit.make_scene(2, batch=targets)
    solution = isacsim.solve(PointCrbMin(np.zeros((2, 0, 6, 2)), scene, 1.0, 1.0, 1e-3, 1e-3, 64))
    assert solution.precoder.shape == (2, 0, 6, 8)
    assert solution.status.shape == (2, 0)


def test_several_starts_share_a_time_limit(kit, monkeypatch):
    seconds = count()  # one passes whenever the clock is read
    clock = SimpleNamespace(perf_counter=lambda: float(next(seconds)))
    for module in ("solve", "base", "iterate"):
        monkeypatch.setattr(f"isacsim.solvers.{module}.time", clock)
    solution = isacsim.solve(kit.make_problem(), "sca", starts=["mrt", "rzf"], tolerance=1e-12, time_limit=8.5)
    assert solution.status is Status.MAX_STEPS
    assert "stopped by the time limit" in solution.notes[0]
    # The first start takes all, the second has nothing left but its first look at the clock: at most 9 and 2 s, and
    # what is read between and around them.
    assert 9 <= solution.runtime <= 9 + 2 + 8


def test_members_of_a_solution_are_marked_with_another_end_and_a_remark(kit):
    ends = np.array([Status.STATIONARY, Status.FAILED, Status.STALLED], dtype=object)
    before = Solution.resting(np.ones((3, 2, 1), complex), ends, ["", "broke", ""], objective=1.0)
    assert before.answered.tolist() == [True, False, True]
    assert before.ended(Status.STALLED, Status.FAILED).tolist() == [False, True, True]
    after = before.marked(before.answered, note="looked at").marked(before.ended(Status.STALLED), Status.GLOBAL, ["so"])
    assert after.status.tolist() == [Status.STATIONARY, Status.FAILED, Status.GLOBAL]
    assert after.notes.tolist() == [("looked at",), ("broke",), ("looked at", "so")]
    assert before.notes.tolist() == [(), ("broke",), ()]
    assert isacsim.solve(kit.make_problem(), **QUICK).answered


def test_a_point_that_is_no_number_is_no_answer_of_any_status():
    # Two users of one antenna, 370 dB above their noise: found with the seed 1651 of tests/test_extremes.py.
    problem = isacsim.SqnrMax(
        H=1e12 * np.array([[1.1 + 1.1j, -1.0 + 0.6j]]), G=np.full((1, 1), 8e-303), min_sqinr=16.0, power=2.0,
        noise_power=3.2e-13, radar_noise_power=2e11,
    )  # fmt: skip
    solution = isacsim.solve(problem, "newton-mm", max_steps=2)
    assert solution.status.answered == bool(np.isfinite(solution.precoder).all()) == (not np.isnan(solution.objective))
