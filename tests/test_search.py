"""The backtracking search: no step lowers the objective, and none is tried that could not be seen to raise it."""

import numpy as np
import pytest
from attrs import evolve, frozen

from isacsim.batch import rows
from isacsim.optimisation.search import FAST, LEAST, MAX_ATTEMPTS, PATIENT, SHRINK, Line, search
from isacsim.typing import ComplexArray, FloatArray


@frozen(eq=False)
class Point:
    W: ComplexArray = rows(2)
    objective: FloatArray = rows()


class Counted:
    """An objective of numbers x (B, 1, 1), with room for all that it was asked for."""

    def __init__(self, objective):
        self.objective, self.asked = objective, []

    def project(self, W):
        return W

    def evaluate(self, W):
        self.asked.append(W[:, 0, 0].real)
        return Point(W, self.objective(W[:, 0, 0].real))


def line_of(objective, slope, length=1.0):
    """A line from x = 0 upwards, of one member for each slope that is promised."""
    slope = np.array(slope, float)
    W, merit = np.zeros((slope.size, 1, 1), complex), Counted(objective)
    line = Line(merit, W, np.ones_like(W), np.full(slope.size, length), slope)
    return line, merit, Point(W, objective(W[:, 0, 0].real))


def test_a_member_takes_the_first_length_that_raises_the_objective_as_promised():
    kink = np.array([0.5, 3e-3, 1e-9])
    line, merit, before = line_of(lambda x: 1 + x - 1e3 * np.maximum(x - kink[: x.size], 0), [1, 1, 1])
    merit.objective = lambda x: 1 + x - 1e3 * np.maximum(x - kink[-x.size :], 0)  # those that go on are the last ones
    found, stalled = search(line, Line.propose, before)
    assert not stalled.any()
    x = found.W[:, 0, 0].real
    assert np.all((x > 0) & (found.objective > before.objective))
    lengths = SHRINK ** np.minimum(np.arange(30), PATIENT) * FAST ** np.maximum(np.arange(30) - PATIENT, 0)
    # What is beyond the kink by a thousandth has lost all that the way to it brought.
    expected = [lengths[lengths <= k * 1.001][0] for k in kink]
    np.testing.assert_allclose(x, expected, rtol=1e-12)


@pytest.mark.parametrize(("slope", "most"), [(1.0, 24), (1e-10, 14), (1e-17, 1)])
def test_a_search_without_success_ends_where_rounding_hides_what_is_promised(slope, most):
    line, merit, before = line_of(lambda x: 1 - x, [slope])
    found, stalled = search(line, Line.propose, before)
    assert stalled.all()
    np.testing.assert_array_equal(found.W, before.W)
    assert len(merit.asked) <= most
    # The last length is the first to promise less than the rounding of 1.
    promised = slope * np.concatenate(merit.asked)
    assert promised[-1] < LEAST
    assert np.all(promised[:-1] >= LEAST)


def test_beside_an_objective_of_zero_the_number_of_attempts_is_limited():
    line, merit, before = line_of(lambda x: -x, [1.0])
    _, stalled = search(evolve(line, shrink=0.5), Line.propose, before)
    assert stalled.all()
    assert len(merit.asked) == MAX_ATTEMPTS


def test_what_needs_not_rise_is_taken_as_it_is():
    line, merit, before = line_of(lambda x: -x, [1.0, 1.0])
    found, stalled = search(line, Line.propose, before, monotone=False)
    assert not stalled.any()
    assert len(merit.asked) == 1
    np.testing.assert_array_equal(found.objective, [-1, -1])
