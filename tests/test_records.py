"""Member b of a record of arrays, in plain Python and compiled."""

from typing import NamedTuple

import numpy as np
import pytest

from isacsim.compiled import _jitted, _with_parts
from isacsim.records import member


class Mixed(NamedTuple):
    level: np.ndarray
    vector: np.ndarray
    matrix: np.ndarray


def doubled_each(record, into):
    for b in range(len(into)):
        one = member(record, b)
        one.vector[1] *= 2
        into[b] = one.level + one.vector[-1].real + one.matrix[1, 0]


@pytest.mark.parametrize("compiled", [False, True])
def test_a_member_has_views_of_arrays_and_items_of_vectors(compiled):
    rng = np.random.default_rng(0)
    record = Mixed(rng.random(4), rng.random((4, 3)) * (1 + 2j), rng.random((4, 2, 5)))
    before, into = record.vector.copy(), np.empty(4)
    each = _jitted(_with_parts(doubled_each, False), False) if compiled else doubled_each
    each(record, into)
    np.testing.assert_array_equal(into, record.level + before[:, -1].real + record.matrix[:, 1, 0])
    np.testing.assert_array_equal(record.vector, before * [1, 2, 1])
