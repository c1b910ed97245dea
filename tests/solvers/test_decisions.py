"""A problem without channels and without a precoder: named arrays from `solve` to the solution."""

from typing import Any, ClassVar

import attrs
import numpy as np
import pytest
from attrs import frozen

import isacsim
from isacsim import InvalidInput, Status
from isacsim.batch import batched, flatten, rows, squared, take
from isacsim.problems.base import Problem, Variable
from isacsim.random import complex_normal
from isacsim.solvers.base import Solver
from isacsim.solvers.iterate import Stop, iterate
from isacsim.solvers.solution import Solution, placed
from isacsim.testing import check_solver


@frozen
class Surface(Problem):
    """Phases t_n and an amplitude 0 <= b <= 1 that maximise ``b^2 |sum_n a_n exp(j t_n)|^2``: all in phase, b = 1."""

    kind: ClassVar[str] = "surface"
    a: Any = batched(1, dtype=complex)

    @property
    def decision(self):
        return {"phases": Variable(self.a.shape[-1:], float, "rad"), "amplitude": Variable((), float)}

    def objective(self, x):
        return x["amplitude"] ** 2 * squared((self.a * np.exp(1j * x["phases"])).sum(axis=-1))

    def constraints(self, x):
        return {"amplitude": np.stack([x["amplitude"], 1 - x["amplitude"]], axis=-1)}

    def hopeless(self):
        return ["" if np.any(a) else "infeasible: nothing arrives" for a in self.a]


@frozen
class State:
    traced: ClassVar[tuple[str, ...]] = ()
    problem: Surface
    phases: Any = rows(1)
    amplitude: Any = rows()
    stalled: Any = rows()

    @property
    def decision(self):
        return {"phases": self.phases, "amplitude": self.amplitude}

    @property
    def objective(self):
        return self.problem.objective(self.decision)

    @property
    def residual(self):
        best = np.abs(self.problem.a).sum(axis=-1) ** 2
        return np.abs(1 - self.objective / best)


@frozen
class Alignment(Solver):
    """Turns one element after the other into phase with the first."""

    problems: ClassVar[tuple[str, ...]] = ("surface",)
    tolerance: float = 1e-12

    def solve(self, problem, request):
        x = request.initial or {"phases": np.zeros(problem.a.shape), "amplitude": np.ones(problem.members)}
        state = State(problem, x["phases"], x["amplitude"], np.zeros(problem.members, bool))
        stop = Stop(self.tolerance, problem.a.shape[-1] + 1, request.time_limit, request.callback)
        count = iter(range(problem.a.shape[-1]))
        return iterate(state, lambda s: self.step(s, next(count)), stop)

    @staticmethod
    def step(state, n):
        phases = state.phases.copy()
        phases[:, n] = -np.angle(state.problem.a[:, n])
        return attrs.evolve(state, phases=phases)


def surfaces(*lead, elements=5):
    return Surface(complex_normal(np.random.default_rng(0), (*lead, elements)))


@pytest.mark.parametrize("lead", [(), (3,), (2, 3)])
def test_the_solution_has_the_arrays_of_the_decision(lead):
    problem = surfaces(*lead)
    solution = isacsim.solve(problem, Alignment())
    assert list(solution.decision) == ["phases", "amplitude"]
    assert solution.decision["phases"].shape == (*lead, 5)
    assert np.shape(solution.decision["amplitude"]) == lead
    # All in phase is the optimum in closed form.
    np.testing.assert_allclose(solution.objective, np.abs(problem.a).sum(axis=-1) ** 2, rtol=1e-12)
    assert np.all(solution.converged)
    with pytest.raises(InvalidInput, match=r"must have a precoder to be asked for one, got \['phases', 'amplitude'\]"):
        _ = solution.precoder


def test_a_member_without_an_answer_has_none_of_its_arrays():
    problem = flatten(surfaces(3))
    odd = Surface(problem.a * np.array([1, 0, 1])[:, None])
    solution, usual = isacsim.solve(odd, Alignment()), isacsim.solve(problem, Alignment())
    assert list(solution.status) == [Status.STATIONARY, Status.INFEASIBLE, Status.STATIONARY]
    for name, array in solution.decision.items():
        assert np.isnan(array[1]).all()
        assert array[[0, 2]].tobytes() == usual.decision[name][[0, 2]].tobytes()


def test_a_start_is_arrays_by_name():
    problem = surfaces(2)
    best = {"phases": -np.angle(problem.a), "amplitude": 1.0}
    assert list(isacsim.solve(problem, Alignment(), initial=best).iterations) == [0, 0]
    with pytest.raises(InvalidInput, match="initial: must have the arrays phases, amplitude"):
        isacsim.solve(problem, Alignment(), initial=np.zeros(5))
    with pytest.raises(InvalidInput, match=r"initial.phases: must broadcast to \(2, 5\)"):
        isacsim.solve(problem, Alignment(), initial={**best, "phases": np.zeros(4)})


def test_it_keeps_the_contract_of_solvers():
    check_solver(Alignment(), surfaces(3))


def test_a_solution_is_a_record_of_which_members_are_taken_and_replaced():
    one, other = (isacsim.solve(surfaces(3), Alignment(), initial={"phases": np.full(5, t), "amplitude": 1.0})
                  for t in (0.0, 1.0))  # fmt: skip
    put = placed(take(other, np.array([1])), np.array([False, True, False]), one)
    for name in ("phases", "amplitude"):
        assert put.decision[name][1].tobytes() == other.decision[name][1].tobytes()
        assert put.decision[name][[0, 2]].tobytes() == one.decision[name][[0, 2]].tobytes()
    assert put.status.shape == put.notes.shape == (3,)


def test_a_precoder_is_given_and_replaced_as_ever():
    W = np.ones((2, 3, 1), complex)
    solution = Solution(W, np.ones(2), np.zeros(2))
    assert solution.precoder is W
    assert attrs.evolve(solution, precoder=2 * W).decision["precoder"][0, 0, 0] == 2
    assert np.isnan(solution.least_power).all()


def test_the_least_power_is_told_apart_from_the_bound(kit):
    tight = isacsim.solve(kit.make_crb_min(2, 5, excess=0.5))
    assert tight.status is Status.INFEASIBLE
    assert tight.least_power == tight.bound > 0
    loose = isacsim.solve(kit.make_crb_min(2, 5))
    assert np.isnan(loose.least_power)
    assert np.isfinite(loose.bound)
