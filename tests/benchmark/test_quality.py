"""What counts as a loss of quality, and what as rounding."""

import attrs
import numpy as np
import pytest

from isacsim.benchmark.quality import Quality, best, losses, quality_of, shortfall
from isacsim.solvers.solve import solve

GOOD = Quality(
    objective=(2.0, 4.0, 8.0),
    gap=(1e-9, 3e-9, 2e-9),
    residual=(2e-6, 8e-6, 5e-6),
    violation=(0.0, 1e-12, 0.0),
    iterations=(10, 12, 14),
    status=("OPTIMAL", "OPTIMAL", "OPTIMAL"),
    tolerance=1e-5,
)
REFERENCE = np.array([2.0, 4.0, 8.0])


def told(now, before=GOOD, sense=1, reference=REFERENCE):
    return [str(loss) for loss in losses(before, now, reference, sense)]


def test_the_same_answers_are_no_loss():
    assert told(GOOD) == []


@pytest.mark.parametrize(
    ("change", "loss"),
    [
        ({"objective": (2.0, 3.999, 8.0)}, "objective of member 1: 4 -> 3.999"),
        ({"objective": (2.0, np.nan, 8.0)}, "objective of member 1: 4 -> nan"),
        ({"gap": (1e-9, 3e-9, 2e-4)}, "gap of member 2: 2e-09 -> 0.0002"),
        ({"gap": (1e-9, np.nan, 2e-9)}, "gap of member 1: 3e-09 -> nan"),
        ({"residual": (2e-6, 8e-6, 1e-3)}, "residual of member 2: 5e-06 -> 0.001"),
        ({"violation": (0.0, 1e-3, 0.0)}, "violation of member 1: 1e-12 -> 0.001"),
        ({"iterations": (20, 24, 28)}, "iterations: 12 -> 24"),
        ({"status": ("OPTIMAL", "OPTIMAL", "MAX_STEPS")}, "status of member 2: OPTIMAL -> MAX_STEPS"),
        ({"status": ("STATIONARY", "OPTIMAL", "OPTIMAL")}, "status of member 0: OPTIMAL -> STATIONARY"),
    ],
)
def test_what_got_worse_is_named(change, loss):
    assert told(attrs.evolve(GOOD, **change)) == [loss]


@pytest.mark.parametrize(
    "change",
    [
        {"objective": (2.0 * (1 - 1e-8), 4.0, 8.0)},  # rounding
        {"objective": (2.0, 4.1, 8.0)},  # better
        {"gap": (1e-8, 3e-8, 2e-8)},  # below the tolerance, where the last step happened to lead
        {"residual": (9e-6, 9e-6, 9e-6)},
        {"violation": (1e-9, 0.0, 0.0)},
        {"iterations": (11, 14, 16)},
        {"status": ("GLOBAL", "OPTIMAL", "OPTIMAL")},
    ],
)
def test_what_another_library_may_change_is_no_loss(change):
    assert told(attrs.evolve(GOOD, **change)) == []


def test_less_is_better_where_the_objective_is_minimised():
    more = attrs.evolve(GOOD, objective=(2.0, 4.001, 8.0))
    assert told(more) == []
    assert told(more, sense=-1) == ["objective of member 1: 4 -> 4.001"]


def test_a_solver_far_from_the_best_may_move_by_half_of_its_distance():
    # It ended at a hundredth below the best: where it stops exactly is chance.
    loose = attrs.evolve(GOOD, objective=(1.98, 3.96, 7.92))
    assert told(attrs.evolve(loose, objective=(1.98, 3.95, 7.92)), before=loose) == []
    assert told(attrs.evolve(loose, objective=(1.98, 3.90, 7.92)), before=loose) != []


def test_an_infeasible_member_that_stays_so_is_no_loss():
    none = attrs.evolve(GOOD, objective=(np.nan, 4.0, 8.0), status=("INFEASIBLE", "OPTIMAL", "OPTIMAL"))
    assert told(none, before=none) == []
    assert told(none) == ["objective of member 0: 2 -> nan"]


def test_fewer_members_are_compared_where_fewer_are_there():
    one = attrs.evolve(
        GOOD, objective=(2.0,), gap=(1e-9,), residual=(1e-6,), violation=(0.0,), iterations=(10,), status=("OPTIMAL",)
    )
    assert told(one) == []
    assert told(GOOD, before=one) == []


def test_the_best_objective_is_that_of_an_answer_that_breaks_no_constraint():
    cheat = attrs.evolve(GOOD, objective=(9.0, 4.5, 1.0), violation=(0.1, 0.0, 0.0))
    np.testing.assert_array_equal(best([GOOD, cheat], 1), [2.0, 4.5, 8.0])
    np.testing.assert_array_equal(best([GOOD, cheat], -1), [2.0, 4.0, 1.0])
    np.testing.assert_allclose(shortfall(GOOD, np.array([2.0, 4.5, 8.0]), 1), [0, 1 / 9, 0], rtol=1e-15)


def test_the_quality_of_a_solution_is_that_of_its_problem(kit):
    problem = kit.make_crb_min(batch=(3,))
    solution = solve(problem)
    quality = quality_of([problem], [solution], 1e-8)
    np.testing.assert_array_equal(quality.objective, solution.objective)
    assert quality.status == ("OPTIMAL",) * 3
    assert max(quality.violation) < 1e-9  # what the solver leaves of its constraints by rounding
    half = attrs.evolve(solution, precoder=solution.precoder / np.sqrt(2))
    # Half the power is half the signal against noise alone, and at most that against interference.
    assert min(quality_of([problem], [half], 1e-8).violation) > 0.1
