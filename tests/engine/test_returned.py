"""What a measure may return: what it declares, real, of every trial; anything else is refused by name."""

import numpy as np
import pytest

from isacsim.engine.returned import checked
from isacsim.errors import InvalidInput
from isacsim.metrics.components import Metric, Quantity


class Pair(Metric):
    """A quantity with an axis."""

    quantity = Quantity("pair", "1", ("k",))

    def value(self, link):
        raise NotImplementedError


def told(value, labels=None):
    return checked(Pair(), {"pair": value}, labels or {}, 3)


def test_numbers_come_as_floats_with_their_labels():
    ((quantity, values, labels),) = told([[1, 2], [3, 4], [5, 6]], {"k": np.arange(2), "other": [1]})
    assert (quantity.name, values.dtype, values.shape, labels) == ("pair", float, (3, 2), {"k": [0, 1]})
    assert [type(label) for label in labels["k"]] == [int, int]  # as a ledger can hold them


@pytest.mark.parametrize(
    ("value", "rule"),
    [
        (np.ones((3, 2), complex), "as real numbers, got 'dtype complex128'"),
        (np.full((3, 2), "1"), "as real numbers"),
        (np.full((3, 2), None), "as real numbers, got 'dtype object'"),
        ([[1], [2, 3], [4]], "as a rectangular array"),
        (1.0, r"with the axes \(trial, k\), 3 trials"),
        (np.ones(3), r"with the axes \(trial, k\), 3 trials, got 'shape \(3,\)'"),
        (np.ones((1, 2)), r"with the axes \(trial, k\), 3 trials, got 'shape \(1, 2\)'"),
        (np.ones((4, 2)), ".*3 trials"),
        (np.ones((3, 2, 1)), ".*3 trials"),
    ],
)
def test_what_would_go_into_other_trials_or_lose_a_part_is_refused(value, rule):
    with pytest.raises(InvalidInput, match=f"Pair: must return 'pair' {rule}"):
        told(value)


def test_what_is_missing_or_misnamed_is_refused():
    with pytest.raises(InvalidInput, match="Pair: must return 'pair' from measure"):
        checked(Pair(), {"other": 1}, {}, 3)
    with pytest.raises(InvalidInput, match="Pair: must return a dict from measure"):
        checked(Pair(), np.ones(3), {}, 3)
    with pytest.raises(
        InvalidInput, match="must name each place of the axis 'k' of 'pair', which has 2, got '3 labels'"
    ):
        told(np.ones((3, 2)), {"k": [1, 2, 3]})
