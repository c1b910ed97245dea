"""Threads that share the members of a batch change nothing but the time."""

import threading
from typing import ClassVar

import numpy as np
import pytest
from attrs import field, frozen

import isacsim
from isacsim import InvalidInput, Solution, SqnrMax, Status
from isacsim.engine.executors import Serial
from isacsim.solvers.base import Solver
from isacsim.threads import allowance, allowed

FIELDS = ("precoder", "objective", "gap", "residual", "bound", "least_power", "iterations", "status", "notes")


def assert_same(found, wanted):
    for name in FIELDS:
        one, other = getattr(found, name), getattr(wanted, name)
        if np.asarray(other).dtype == object:
            assert one.tolist() == other.tolist()
        else:
            assert one.tobytes() == other.tobytes(), name
    assert found.trace.keys() == wanted.trace.keys()
    for name in found.trace.keys() - {"time"}:
        assert found.trace[name].tobytes() == wanted.trace[name].tobytes(), name


def sum_rate(kit):
    """The second member cannot be estimated: its targets lie in one direction."""
    azimuth = np.array([[0.2, 0.9], [0.4, 0.4], [-0.5, 0.3], [0.1, 0.6], [0.0, 1.0]])
    scene = kit.make_scene(2, seed=1, linear=True)
    scene = isacsim.PointTargets(scene.tx_array, scene.rx_array, azimuth, np.pi / 2, 0.7)
    return kit.make_problem(batch=(5,), scene=scene, noise_power=[[1e-3]] * 5)


def crb_min(kit):
    """The last member asks for what no power gives."""
    H = kit.complex_gaussian((5, 6, 3), 0)
    H[4, :, 2] = 0
    return isacsim.CrbMin(H, np.linspace(0.5, 3.0, 5)[:, None], 1.0, 0.1)


def sqnr_max(kit):
    """The first member asks for more than its power gives, and the last has no echo."""
    H, G = kit.complex_gaussian((5, 6, 3), 0), kit.complex_gaussian((5, 4, 1), 1) * kit.complex_gaussian((5, 1, 6), 2)
    G[4] = 0
    least = np.array([1e4, 0.5, 1.0, 2.0, 0.5])[:, None]
    return SqnrMax(H, G, least, 1.0, 0.1, 0.1)


@pytest.mark.parametrize("threads", [2, 3, 9])
@pytest.mark.parametrize("problem", [sum_rate, crb_min, sqnr_max], ids=lambda make: make.__name__)
def test_results_have_the_same_bytes_for_any_number_of_threads(kit, problem, threads):
    alone = isacsim.solve(problem(kit))
    assert len({str(status) for status in alone.status}) > 1  # members of several fates
    assert_same(isacsim.solve(problem(kit), threads=threads), alone)


def test_each_member_draws_what_its_own_generator_gives(kit):
    problem = kit.make_problem(batch=(2, 2))
    alone, shared = (
        isacsim.solve(problem, starts=["random", "mrt"], max_steps=3, rng=np.random.default_rng(5), threads=threads)
        for threads in (1, 3)
    )
    assert_same(shared, alone)


@frozen
class Placed(Solver):
    """Ends at once, and notes which thread solved how many members."""

    problems: ClassVar[tuple[str, ...]] = ("sum-rate-crlb",)
    seen: list = field(factory=list)
    worst: float = np.inf
    meeting: threading.Barrier = field(factory=lambda: threading.Barrier(1))

    def solve(self, problem, request):
        self.meeting.wait(60)
        self.seen.append((threading.get_ident(), problem.members))
        if problem.power.max() > self.worst:
            raise RuntimeError(f"power {problem.power.max():g}")
        return Solution.of(problem, problem.H)


def test_each_thread_solves_its_share_of_the_members(kit):
    solver = Placed(meeting=threading.Barrier(2))  # at which nobody gets past alone
    solution = isacsim.solve(kit.make_problem(batch=(5,)), solver, threads=2)
    assert sorted(count for _, count in solver.seen) == [2, 3]
    assert len({thread for thread, _ in solver.seen}) == 2
    assert list(solution.status) == [Status.HEURISTIC] * 5


def test_what_a_solver_raises_is_raised_as_without_threads(kit):
    problem = kit.make_problem(power=np.linspace(0.01, 0.05, 5))
    for threads in (1, 2):
        with pytest.raises(RuntimeError, match=r"power 0\.05"):
            isacsim.solve(problem, Placed(worst=0.04), threads=threads)


def test_a_time_limit_holds_in_every_thread(kit):
    solution = isacsim.solve(kit.make_problem(batch=(4,)), time_limit=1e-9, tolerance=1e-12, threads=2)
    assert list(solution.status) == [Status.MAX_STEPS] * 4
    assert list(solution.notes) == [("stopped by the time limit",)] * 4


def test_a_callback_sees_all_members_also_where_threads_are_given(kit):
    seen = []
    isacsim.solve(
        kit.make_problem(batch=(4,)), "sca", max_steps=1, threads=2, callback=lambda now: seen.append(now.members)
    )
    assert [list(members) for members in seen] == [[0, 1, 2, 3]]


@pytest.mark.parametrize("threads", [0, -1, 1.5, True, "two"])
def test_a_number_of_threads_is_whole_and_at_least_one(kit, threads):
    with pytest.raises(InvalidInput, match="threads: must be a whole number of at least 1"):
        isacsim.solve(kit.make_problem(), threads=threads)


def test_what_an_executor_allows_holds_where_no_number_is_given(kit):
    executor = Serial(threads=3).open(1)
    assert executor.submit(allowance).result() == 3
    executor.shutdown()
    assert allowance() == 1
    solver = Placed()
    with allowed(2):
        isacsim.solve(kit.make_problem(batch=(4,)), solver)
    assert [count for _, count in solver.seen] == [2, 2]
