"""Any precoder that a problem is asked about: it fits and is judged member by member, or is refused."""

import numpy as np
import pytest

from isacsim import InvalidInput
from isacsim.plugin import build_registry
from isacsim.testing.examples import example_problem

BUNDLED = build_registry(installed=False)
KINDS = ("crb-min", "point-crb-min", "sqnr-max", "sum-rate-crlb")


@pytest.fixture(params=KINDS)
def problem(request):
    """The example of each problem, a batch."""
    return example_problem(request.param, BUNDLED)


def unlike(problem, *, rows=0, columns=0, members=0):
    """A precoder of other sizes than the problem's."""
    antennas, streams = problem.decision["precoder"].shape
    return np.ones((problem.members + members, antennas + rows, streams + columns))


@pytest.mark.parametrize("ask", ["objective", "constraints"])
@pytest.mark.parametrize(
    ("wrong", "rule"),
    [
        (lambda p: unlike(p, rows=1), "W: must have a row for each of the .* transmit antennas"),
        (lambda p: unlike(p)[..., :0], "W: must have a row .*, and a column for each stream"),
        (lambda p: unlike(p, members=1), "W, problems: must have shapes that fit"),
        (lambda p: unlike(p)[:0], "W, problems: must have shapes that fit"),
        (lambda p: "12", "W: must be complex numbers"),
        (lambda p: np.ones(3), "W: must have at least 2 axes"),
    ],
)
def test_what_is_no_precoder_of_the_problem_is_refused(problem, ask, wrong, rule):
    with pytest.raises(InvalidInput, match=rule):
        getattr(problem, ask)(wrong(problem))


@pytest.mark.parametrize("hole", [np.nan, np.inf])
def test_a_precoder_with_a_hole_changes_no_other_members_objective(problem, hole):
    antennas, streams = problem.decision["precoder"].shape
    rng = np.random.default_rng(0)
    W = rng.standard_normal((problem.members, antennas, streams)) + 0j
    before = problem.objective(W)
    assert np.isfinite(before).all()  # else this would test nothing
    W[0, 0, 0] = hole
    with np.errstate(all="ignore"):
        after = problem.objective(W)
    assert not np.isfinite(after[0])
    np.testing.assert_array_equal(after[1:], before[1:])


def test_many_precoders_may_be_asked_of_a_batch(problem):
    W = unlike(problem) * np.arange(1, problem.members + 1)[:, None, None]
    found = problem.objective(np.stack([W, 2 * W]))
    assert found.shape == (2, problem.members)
    np.testing.assert_array_equal(found[0], problem.objective(W))
