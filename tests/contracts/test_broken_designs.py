"""Each contract of problems and solvers fails on a component that breaks it."""

import os
from typing import Any, ClassVar

import attrs
import numpy as np
import pytest
from attrs import frozen

from isacsim import SumRateCrlb, Transceiver
from isacsim.batch import batched, take
from isacsim.hardware.quantisers import MidRise
from isacsim.problems.base import Problem
from isacsim.problems.sum_rate_crlb import SumRateCrlbWeights
from isacsim.solvers.base import Solver
from isacsim.solvers.solution import Status, objects
from isacsim.solvers.sum_rate_crlb.sca import Sca
from isacsim.testing import ContractError, check_requirements, check_solver, example_problem


@frozen
class Broken(SumRateCrlb):
    """A problem that breaks the rule it is told."""

    fault: str = "none"

    @property
    def streams(self):
        return {"streams": 1, "members": 2 + len(self.H)}.get(self.fault, super().streams)

    @property
    def sense(self):
        return 0 if self.fault == "sense" else 1

    def objective(self, W):
        if self.fault == "no objective":
            raise ZeroDivisionError("no user")
        if self.fault == "wanders":
            os.chdir(os.sep)
        value = super().objective(W)
        return {"mean": value.mean(), "batch": value - value.sum(), "nan": value * np.nan}.get(self.fault, value)

    def constraints(self, W):
        slacks = super().constraints(W)
        if self.fault == "no constraints":
            raise ZeroDivisionError("no power")
        worst = {name: slack.min() for name, slack in slacks.items()}
        lost = {name: slack * np.nan for name, slack in slacks.items()}
        turned = {name: -slack for name, slack in slacks.items()}
        return {"worst": worst, "lost": lost, "turned": turned, "list": list(slacks.values())}.get(self.fault, slacks)

    def screen(self):
        if self.fault == "no screen":
            raise ZeroDivisionError("no target")
        sound, notes = super().screen()
        return {"numbers": (sound.astype(int), notes), "notes": (sound, notes[:1])}.get(self.fault, (sound, notes))


@frozen
class Uneven(Problem):
    """A problem whose arrays do not broadcast."""

    one: Any = batched(0, default=(1.0, 2.0))
    other: Any = batched(0, default=(1.0, 2.0, 3.0))
    transceiver = Transceiver()
    streams = 2

    def objective(self, W):
        raise NotImplementedError

    def constraints(self, W):
        raise NotImplementedError


@frozen(kw_only=True)
class Requires(SumRateCrlbWeights):
    """Poses the broken problem."""

    fault: str = "none"

    def pose(self, drop, transceiver):
        problem = super().pose(drop, transceiver)
        if self.fault == "nothing":
            return None
        if self.fault == "raises":
            raise ZeroDivisionError("no drop")
        if self.fault == "one":
            return take(problem, np.array([0]))
        if self.fault == "uneven":
            return Uneven()
        if self.fault == "hardware":
            return attrs.evolve(problem, transceiver=Transceiver(user=MidRise(1)))
        given = {f.name: getattr(problem, f.name) for f in attrs.fields(SumRateCrlb)}
        return Broken(**given, fault=self.fault)


@pytest.mark.parametrize(
    ("fault", "rule"),
    [
        ("nothing", "pose a Problem, got NoneType"),
        ("raises", "pose a problem, got ZeroDivisionError: no drop"),
        ("uneven", "Uneven must be a record of batched fields, got "),
        ("one", r"have the leading axes \(3,\) of the drop, got \(1,\)"),
        ("no objective", "have an objective, got ZeroDivisionError: no user"),
        ("no constraints", "have constraints, got ZeroDivisionError: no power"),
        ("no screen", "screen its members, got ZeroDivisionError: no target"),
        ("lost", "give 'total' a real slack"),
        ("turned", "give 'total' a slack that is positive within the power"),
        ("wanders", "leave the process as it is, got the working folder"),
        ("hardware", "design for the hardware that is believed in"),
        ("sense", "have a sense of 1 or -1, got 0"),
        ("streams", "have a whole number of streams, at least one for each of 2 users, got 1"),
        ("members", "have as many streams for one member"),
        ("mean", r"have an objective of shape \(3,\), got \(\)"),
        ("batch", "give member 0 of a batch the merit it has alone"),
        ("nan", "have a real and finite objective"),
        ("worst", "give the constraint 'total' a leading axis of 3"),
        ("list", "give its constraints by name, got list"),
        ("numbers", "screen with booleans"),
        ("notes", "give a tuple of texts for each member"),
    ],
)
def test_a_broken_problem_is_refused(fault, rule):
    with pytest.raises(ContractError, match=rule):
        check_requirements(Requires(rate_weight=1.0, crlb_weight=1.0, fault=fault))


def test_the_problem_that_the_broken_ones_change_keeps_the_contract():
    check_requirements(Requires(rate_weight=1.0, crlb_weight=1.0), "sum-rate-crlb")


@frozen
class Solves(Solver):
    """A few steps of `sca`, with the fault it is told."""

    fault: str
    problems: ClassVar[tuple[str, ...]] = ("sum-rate-crlb",)
    tolerance: float = 1e-4

    def solve(self, problem, request):
        solution = Sca(max_steps=3).solve(problem, self._request(problem, request))
        if self.fault == "writes":
            problem.noise_power.flags.writeable = True
            problem.noise_power[...] *= 2
        return attrs.evolve(solution, **getattr(self, f"_{self.fault}")(solution, problem))

    def _request(self, problem, request):
        if self.fault == "neighbour":  # starts every member where the channel of the last one points
            initial = np.broadcast_to(problem.H[-1], problem.H.shape) + 0.1 * problem.H
            return attrs.evolve(request, initial=np.ascontiguousarray(initial))
        if self.fault == "units":  # takes weak channels for none
            return attrs.evolve(request, initial=np.where(np.abs(problem.H) > 0.5, problem.H, 0.1))
        return request

    def _none(self, solution, problem):
        return {}

    _writes = _neighbour = _units = _none

    def _good_nan(self, solution, problem):
        status = objects([Status.OPTIMAL] * len(solution.status))
        return {"status": status, "precoder": solution.precoder * np.nan, "gap": np.zeros(len(status))}

    def _overspends(self, solution, problem):
        return {"precoder": 1.001 * solution.precoder}

    def _flatters(self, solution, problem):
        return {"objective": solution.objective * (1 + 1e-6)}

    def _boasts(self, solution, problem):
        return {"status": objects([Status.STATIONARY] * len(solution.status))}

    def _minimises(self, solution, problem):
        """What makes the rates smallest: all power in the first stream, to the last user."""
        last = problem.H[..., -1:] / np.linalg.norm(problem.H[..., -1:], axis=-2, keepdims=True)
        W = np.concatenate([last, 0 * last], axis=-1) * np.sqrt(problem.power)[:, None, None]
        return {
            "precoder": W,
            "objective": problem.objective(W),
            "status": objects([Status.STATIONARY] * len(solution.status)),
            "residual": 0 * solution.objective,
        }

    def _passes(self, solution, problem):
        status = objects([Status.GLOBAL] * len(solution.status))
        return {"status": status, "bound": solution.objective - 0.01 * np.abs(solution.objective)}

    def _gapless(self, solution, problem):
        return {"status": objects([Status.OPTIMAL] * len(solution.status))}

    def _proves_nothing(self, solution, problem):
        return {"status": objects([Status.GLOBAL] * len(solution.status))}

    def _silent(self, solution, problem):
        status = objects([Status.FAILED, *solution.status[1:]])
        return {"status": status}

    def _keeps(self, solution, problem):
        return {
            "status": objects([Status.FAILED, *solution.status[1:]]),
            "notes": objects([("why",)] * len(solution.status)),
        }

    def _gives_up(self, solution, problem):
        return {
            "status": objects([Status.FAILED] * len(solution.status)),
            "notes": objects([("why",)] * len(solution.status)),
            "precoder": solution.precoder * np.nan,
        }

    def _narrow(self, solution, problem):
        return {"precoder": solution.precoder[..., :1]}

    def _real(self, solution, problem):
        return {"precoder": solution.precoder.real}

    def _boundless(self, solution, problem):
        return {"objective": solution.objective * np.inf}

    def _remembers(self, solution, problem):
        """The objective of a member that it has no precoder for."""
        lost = np.arange(len(solution.status)) == 0
        return {
            "status": objects([Status.FAILED, *solution.status[1:]]),
            "notes": objects([("why",)] * len(solution.status)),
            "precoder": np.where(lost[:, None, None], np.nan, solution.precoder),
        }

    def _weak(self, solution, problem):
        return {} if np.abs(problem.H).max() > 0.1 else self._gives_up(solution, problem)

    def _deaf(self, solution, problem):
        if np.abs(problem.H).max() < 0.1:
            raise ZeroDivisionError("no channel")
        return {}

    def _timeless(self, solution, problem):
        return {"trace": {"objective": solution.trace["objective"]}}

    def _flat(self, solution, problem):
        return {"trace": {**solution.trace, "objective": solution.objective}}

    def _backward(self, solution, problem):
        return {"trace": {**solution.trace, "time": -solution.trace["time"]}}

    def _sums(self, solution, problem):
        return {"residual": solution.residual.sum()}

    def _draws(self, solution, problem):
        return {"residual": np.random.default_rng().uniform(size=len(solution.status))}

    def _texts(self, solution, problem):
        return {"status": objects([str(s) for s in solution.status])}


@pytest.mark.parametrize(
    ("fault", "rule"),
    [
        ("good_nan", "answer for at least one member.*the solver said OPTIMAL of numbers that are not finite"),
        ("overspends", "keep the constraint 'total'.* got .*-0.002"),
        ("flatters", "tell the problem's objective of its precoder within 1e-09, got .*e-0[67]"),
        ("boasts", "have a residual within its tolerance where it is STATIONARY"),
        ("minimises", "be no worse than a decision at random where it is STATIONARY, got"),
        ("passes", "have a bound that its objective does not pass, got"),
        ("gapless", "have a gap within its tolerance where it is OPTIMAL, got .*nan"),
        ("proves_nothing", "have a finite gap or bound where it is GLOBAL"),
        ("silent", "say in its notes why it is FAILED"),
        ("keeps", "have a precoder of NaN where it is FAILED"),
        ("gives_up", "answer for at least one member"),
        ("narrow", r"give precoder of shape \(3, 6, 2\), got \(3, 6, 1\)"),
        ("real", "give a complex precoder, got dtype"),
        ("boundless", "have a finite objective where there is a precoder"),
        ("remembers", "have an objective of NaN where there is no precoder"),
        ("weak", "keep its status when channels and noise are scaled"),
        ("deaf", "keep its status when channels and noise are scaled, got .*FAILED"),
        ("timeless", "trace the time"),
        ("flat", "trace objective with the shape of the time"),
        ("backward", "trace a time that does not run backward"),
        ("sums", "solve SumRateCrlb, got InvalidInput: .* a residual for each of 3 members"),
        ("draws", "give the same bytes for the same generators"),
        ("texts", "give a Status for each member, got MAX_STEPS"),
        ("neighbour", "give member 0 of a batch the solution it has alone"),
        ("units", "keep its (status|objective)"),
        ("writes", "solve SumRateCrlb, got ValueError"),
    ],
)
def test_a_broken_solver_is_refused(fault, rule):
    with pytest.raises(ContractError, match=rule):
        check_solver(Solves(fault), example_problem("sum-rate-crlb"))


def test_the_solver_that_the_broken_ones_change_keeps_the_contract():
    check_solver(Solves("none"), example_problem("sum-rate-crlb"))


@frozen
class Elsewhere(Solves):
    problems: ClassVar[tuple[str, ...]] = ("another",)


def test_a_solver_is_only_checked_on_problems_it_lists():
    with pytest.raises(ContractError, match="list 'sum-rate-crlb' in a tuple `problems`, got"):
        check_solver(Elsewhere("none"), example_problem("sum-rate-crlb"))
