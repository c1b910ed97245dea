"""Arrays that do not go together are told by their shapes, and long ones are short in a REPL."""

import numpy as np
import pytest

import isacsim
from isacsim import InvalidInput, metrics


def test_batches_that_do_not_fit_are_told_by_their_shapes(kit):
    H, W = kit.complex_gaussian((3, 4, 2), 0), kit.complex_gaussian((5, 4, 2), 1)
    told = r"H, W, noise_power: must have shapes that fit together, unlike \(3, 4, 2\) of H, \(5, 4, 2\) of W, "
    with pytest.raises(InvalidInput, match=told + r"\(2,\) of noise_power\. Axes before"):
        metrics.sum_rate(H, W, np.ones(2))


def test_a_precoder_of_another_batch_is_told_by_both_shapes(kit):
    problem = kit.make_problem(batch=(7,))
    told = r"W, problems: must have shapes that fit together, unlike \(3, 6, 2\) of W, \(7,\) of problems"
    with pytest.raises(InvalidInput, match=told):
        problem.objective(kit.complex_gaussian((3, 6, 2), 0))


@pytest.mark.parametrize("batch", [(), (100,)])
def test_records_of_long_arrays_are_short_in_a_plain_repl(kit, batch):
    problem = kit.make_problem(batch=batch)
    model = isacsim.Aqnm(3).linear_model(np.eye(64) + np.zeros((*batch, 1, 1)))
    for record in (problem, problem.targets, model):
        assert len(repr(record)) < 1500
    assert f"H=an array of shape {(*batch, 6, 2)}" in repr(problem)
    assert f"gain=an array of shape {(*batch, 64)}" in repr(model)


def test_short_arrays_are_shown_whole():
    array = isacsim.UniformLinearArray(4)
    targets = isacsim.PointTargets(array, array, [0.5], [np.pi / 2], [0.2])
    assert "azimuth=array([0.5])" in repr(targets)
