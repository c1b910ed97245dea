"""Member b of a record of arrays, and records in one block, in plain Python and compiled."""

from typing import Annotated, NamedTuple

import numpy as np
import pytest

from isacsim.compiled import _jitted, _linked, _with_parts
from isacsim.records import blank, laid, member, room_for
from isacsim.typing import ComplexArray, FloatArray


@pytest.fixture(params=["plain", "compiled", "another Numba"])
def made(request, monkeypatch):
    """What a kernel is made into: itself, or compiled, also as with a Numba whose inner classes nobody has tried."""
    if request.param == "plain":
        yield lambda function: function
        return
    if request.param == "another Numba":
        monkeypatch.setattr("isacsim.compiled.KNOWN", ())
    _linked.cache_clear()
    yield lambda function: _jitted(_with_parts(function, False), False)
    _linked.cache_clear()


class Mixed(NamedTuple):
    level: np.ndarray
    vector: np.ndarray
    matrix: np.ndarray


def doubled_each(record, into):
    for b in range(len(into)):
        one = member(record, b)
        one.vector[1] *= 2
        into[b] = one.level + one.vector[-1].real + one.matrix[1, 0]


def test_a_member_has_views_of_arrays_and_items_of_vectors(made):
    rng = np.random.default_rng(0)
    record = Mixed(rng.random(4), rng.random((4, 3)) * (1 + 2j), rng.random((4, 2, 5)))
    before, into = record.vector.copy(), np.empty(4)
    made(doubled_each)(record, into)
    np.testing.assert_array_equal(into, record.level + before[:, -1].real + record.matrix[:, 1, 0])
    np.testing.assert_array_equal(record.vector, before * [1, 2, 1])


class Sizes(NamedTuple):
    m: int
    n: int


class Inner(NamedTuple):
    vector: Annotated[FloatArray, "n"]
    matrix: Annotated[ComplexArray, "m n"]


class Outer(NamedTuple):
    inner: Inner
    stack: Annotated[ComplexArray, "2 n n"]
    last: Annotated[FloatArray, "m m"]


def fill_each(blocks, sizes):
    for b in range(len(blocks)):
        one = laid(Outer, blocks[b], sizes)
        one.inner.vector[-1] += b + 1
        one.inner.matrix[1, 0] = 3 + 4j
        one.stack[1][0, 1] = 5j
        one.last[1, 1] = len(one.stack) + one.last.shape[0]


def test_a_record_in_a_block_has_views_of_its_parts(made):
    sizes = Sizes(2, 3)
    blocks = blank(Outer, sizes, 2)
    assert blocks.shape == (2, room_for(Outer, sizes)) == (2, 3 + 12 + 36 + 4)
    made(fill_each)(blocks, sizes)
    every = laid(Outer, blocks, sizes)
    expected = [np.zeros((2, 3)), np.zeros((2, 2, 3), complex), np.zeros((2, 2, 3, 3), complex), np.zeros((2, 2, 2))]
    vector, matrix, stack, last = expected
    vector[:, -1], matrix[:, 1, 0], stack[:, 1, 0, 1], last[:, 1, 1] = (1, 2), 3 + 4j, 5j, 4
    for mine, other in zip((*every.inner, *every[1:]), expected, strict=True):
        np.testing.assert_array_equal(mine, other)
