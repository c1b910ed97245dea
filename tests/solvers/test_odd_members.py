"""What is odd about one member's data is that member's status, and changes no byte of another's answer."""

import re
from typing import ClassVar

import attrs
import numpy as np
import pytest
from attrs import frozen

import isacsim
from isacsim import Status
from isacsim.batch import flatten, take
from isacsim.plugin import build_registry
from isacsim.solvers.base import Solver
from isacsim.solvers.sum_rate_crlb.sca import Sca
from isacsim.testing.examples import example_problem

BUNDLED = build_registry(installed=False)
ODD = 1  # the member that is odd, of three


def changed(array, *place, to=0.0):
    """An array with member ``ODD`` changed at a place."""
    array = array.copy()
    array[(ODD, *place)] = to
    return array


def blocked(problem):
    """A user that nothing reaches, as ray tracers write it."""
    return attrs.evolve(problem, H=changed(problem.H, slice(None), 1))


def unseen(problem):
    """Targets that reflect nothing."""
    if hasattr(problem, "G"):
        return attrs.evolve(problem, G=changed(problem.G))
    reflection = np.broadcast_to(problem.targets.reflection, problem.targets.azimuth.shape)
    return attrs.evolve(problem, targets=attrs.evolve(problem.targets, reflection=changed(reflection)))


def faint(problem):
    """A user whose channel's power is below what a double can hold."""
    return attrs.evolve(problem, H=changed(problem.H, slice(None), 1, to=1e-170))


CASES = [
    ("crb-min", blocked, Status.INFEASIBLE, "SINR .* of user 1 is unattainable: its channel is zero"),
    ("sqnr-max", blocked, Status.INFEASIBLE, "SQINR .* of user 1 is unattainable: its channel is zero"),
    ("point-crb-min", blocked, Status.INFEASIBLE, "of user 1 is unattainable: its channel is zero"),
    ("sum-rate-crlb", blocked, None, ""),  # that user's rate is zero
    ("crb-min", faint, Status.INFEASIBLE, "of user 1 is unattainable"),
    ("sqnr-max", faint, Status.INFEASIBLE, "of user 1 is unattainable"),
    ("sum-rate-crlb", unseen, Status.UNIDENTIFIABLE, "not identifiable"),
    ("point-crb-min", unseen, Status.UNIDENTIFIABLE, "not identifiable"),
    ("sqnr-max", unseen, Status.GLOBAL, "the target response is zero"),
]


@pytest.mark.parametrize(("kind", "odd", "status", "note"), CASES, ids=[f"{k}-{o.__name__}" for k, o, *_ in CASES])
def test_an_odd_member_has_its_status_and_the_others_their_answers(kind, odd, status, note):
    problem = flatten(example_problem(kind, BUNDLED))
    usual, told = isacsim.solve(problem), isacsim.solve(odd(problem))
    others = [i for i in range(problem.members) if i != ODD]
    assert status is None or told.status[ODD] is status
    assert not note or any(re.search(note, text) for text in told.notes[ODD])
    assert told.status[ODD].answered == np.isfinite(told.precoder[ODD]).all()
    assert told.precoder[others].tobytes() == usual.precoder[others].tobytes()
    assert [told.status[i] for i in others] == [usual.status[i] for i in others]
    alone = isacsim.solve(take(odd(problem), np.array([ODD])))
    assert alone.precoder[0].tobytes() == told.precoder[ODD].tobytes()
    assert alone.status[0] is told.status[ODD]


def test_a_member_without_hope_has_a_certificate_without_bound(kit):
    problem = kit.make_crb_min(2, 5)
    solution = isacsim.solve(attrs.evolve(problem, H=problem.H * [1.0, 0.0]))
    assert solution.status is Status.INFEASIBLE
    assert solution.bound == np.inf


@frozen
class Fragile(Solver):
    """SCA that breaks down where a channel is large."""

    problems: ClassVar[tuple[str, ...]] = ("sum-rate-crlb",)
    error: type = np.linalg.LinAlgError

    def solve(self, problem, request):
        if np.any(np.abs(problem.H) > 1e3):
            raise self.error("Singular matrix")
        return Sca(max_steps=3).solve(problem, request)


def test_arithmetic_that_breaks_down_is_the_status_of_the_member_it_broke_down_for():
    problem = flatten(example_problem("sum-rate-crlb", BUNDLED))
    loud = attrs.evolve(problem, H=changed(problem.H, 0, 0, to=1e4))
    solution, usual = isacsim.solve(loud, Fragile()), isacsim.solve(problem, Fragile())
    assert [s is Status.FAILED for s in solution.status] == [False, True, False]
    ((note,),) = [solution.notes[ODD]]
    assert note.startswith("LinAlgError: Singular matrix (solvers/test_odd_members.py:")
    assert solution.precoder[[0, 2]].tobytes() == usual.precoder[[0, 2]].tobytes()
    # An error of the program is no property of a member.
    with pytest.raises(TypeError, match="Singular"):
        isacsim.solve(loud, Fragile(TypeError))
