"""Records with leading batch axes: validation, flattening, taking and putting."""

from typing import Any, NamedTuple

import attrs
import numpy as np
import pytest
from attrs import field, frozen
from hypothesis import given
from hypothesis import strategies as st

from isacsim.batch import (
    as_array,
    batch_shape,
    batched,
    flatten,
    frobenius2,
    hermitian,
    inner,
    is_batched,
    joined,
    put,
    rows,
    same_array,
    squared,
    take,
    tuples,
)
from isacsim.errors import InvalidInput


@frozen
class Inner:
    vector: Any = batched(1)


@frozen
class Record:
    matrix: Any = batched(2, dtype=complex)
    level: Any = batched(0, above=0.0, default=1.0)
    share: Any = batched(0, least=0.0, default=0.5)
    inside: Inner = field(default=Inner([1.0, 2.0]))
    name: str = "plain"


def test_leading_axes_broadcast_over_all_fields_and_nested_records():
    record = Record(np.zeros((4, 1, 2, 3)), level=np.ones(5), inside=Inner(np.zeros((4, 5, 2))))
    assert batch_shape(record) == (4, 5)
    assert batch_shape(Record(np.zeros((2, 3)))) == ()


def test_leading_axes_that_do_not_broadcast_are_refused_by_name():
    with pytest.raises(
        InvalidInput, match=r"level: must have leading axes that broadcast with \(4,\), got.*\(5,\).*Give one entry"
    ):
        batch_shape(Record(np.zeros((4, 2, 3)), level=np.ones(5)))


def test_flattening_keeps_shared_fields_shared_and_repeats_the_others():
    shared, own = np.arange(6.0).reshape(2, 3), np.arange(20.0).reshape(4, 5) + 1
    flat = flatten(Record(shared, level=own))
    assert flat.matrix.shape == (1, 2, 3)
    assert flat.inside.vector.shape == (1, 2)
    np.testing.assert_array_equal(flat.level, own.ravel())
    partly = flatten(Record(np.arange(24.0).reshape(4, 1, 2, 3), level=own))
    assert partly.matrix.shape == (20, 2, 3)
    np.testing.assert_array_equal(partly.matrix[7], np.arange(24.0).reshape(4, 2, 3)[1])
    assert partly.name == "plain"


@pytest.mark.parametrize("level", [2.0, np.ones(1), np.ones((2, 3)), np.ones((2, 1)), np.ones(0)])
def test_a_flat_record_knows_how_many_members_it_has(level):
    record = Record(np.ones((3, 2, 3)) if np.shape(level) == (2, 1) else np.ones((2, 3)), level=level)
    flat = flatten(record)
    members = int(np.prod(batch_shape(record)))
    assert batch_shape(flat) == (members,)
    anew = attrs.evolve(flat)  # of which nothing is known yet
    assert batch_shape(anew) == (members,)
    assert flatten(anew) is anew
    assert flatten(flat) is flat


def test_taking_and_putting_members_leaves_shared_fields_alone():
    flat = flatten(Record(np.zeros((2, 3)), level=np.arange(1.0, 5.0)))
    some = take(flat, np.array([True, False, True, False]))
    np.testing.assert_array_equal(some.level, [1.0, 3.0])
    assert some.matrix is flat.matrix
    np.testing.assert_array_equal(take(flat, np.array([3, 0])).level, [4.0, 1.0])


def test_putting_replaces_members_and_does_not_write_into_the_old_record():
    @frozen(eq=False)
    class State:
        value: Any = rows()
        inside: Any = field()

    @frozen(eq=False)
    class Deep:
        value: Any = rows(1)

    old = State(np.arange(3.0), Deep(np.zeros((3, 2))))
    new = put(old, np.array([1]), State(np.array([9.0]), Deep(np.ones((1, 2)))))
    np.testing.assert_array_equal(new.value, [0.0, 9.0, 2.0])
    np.testing.assert_array_equal(new.inside.value, [[0, 0], [1, 1], [0, 0]])
    np.testing.assert_array_equal(old.value, [0.0, 1.0, 2.0])
    part = put(old, np.array([1]), State(np.array([9.0]), Deep(np.ones((1, 2)))), same=("inside",))
    assert part.inside is old.inside
    np.testing.assert_array_equal(part.value, new.value)


def test_batched_fields_are_read_only_copies_in_c_order():
    given_array = np.asfortranarray(np.zeros((2, 3)))
    record = Record(given_array)
    given_array[0, 0] = 7.0
    assert record.matrix[0, 0] == 0
    assert record.matrix.flags.c_contiguous
    with pytest.raises(ValueError, match="read-only"):
        record.matrix[0, 0] = 1


def test_records_are_equal_when_their_arrays_are_also_with_nan():
    assert Record(np.ones((2, 3))) == Record(np.ones((2, 3)))
    assert Record(np.ones((2, 3))) != Record(np.zeros((2, 3)))
    one = attrs.make_class("One", {"a": field(eq=same_array)})
    assert one(np.array([np.nan])) == one(np.array([np.nan]))
    assert is_batched(Record(np.ones((2, 3))))
    assert not is_batched(attrs.make_class("Plain", ["a"])(1))


@pytest.mark.parametrize(
    ("value", "dtype", "core", "message"),
    [
        ("3", float, 0, "field: must be real numbers, got '3'.*Give numbers"),
        (1 + 2j, float, 0, "field: must be real numbers"),
        (np.array([1j]), float, 0, "field: must be real numbers"),
        ([[1, 2], [3]], float, 0, "field: must be real numbers.*rectangular"),
        ({"a": 1}, float, 0, "field: must be real numbers"),
        (["1", "2"], float, 0, "field: must be real numbers"),
        (["1+2j"], complex, 0, "field: must be complex numbers"),
        (None, complex, 0, "field: must be complex numbers, got None"),
        ([1.0, np.nan], float, 0, r"field: must be finite, got array\(\[ 1., nan\]\).*Remove NaN"),
        (np.inf, float, 0, "field: must be finite"),
        (complex(0, np.inf), complex, 0, "field: must be finite"),
        ([1.0, 2.0], float, 2, r"field: must have at least 2 axes, got .*\(2,\)"),
    ],
)
def test_what_is_no_finite_array_is_refused(value, dtype, core, message):
    with pytest.raises(InvalidInput, match=message):
        as_array("field", value, dtype, core)


def test_limits_of_a_field_are_enforced():
    with pytest.raises(InvalidInput, match="level: must be greater than 0, got array"):
        Record(np.zeros((2, 3)), level=[1.0, 0.0])
    with pytest.raises(InvalidInput, match="share: must be at least 0, got"):
        Record(np.zeros((2, 3)), share=-1e-9)


@given(st.integers(0, 2**32 - 1), st.integers(0, 4), st.integers(1, 4))
def test_small_products_agree_with_plain_linear_algebra(kit, seed, batch, columns):
    a, b = (kit.complex_gaussian((batch, 3, columns), seed + i) for i in range(2))
    np.testing.assert_array_equal(hermitian(a), np.conj(np.transpose(a, (0, 2, 1))))
    np.testing.assert_allclose(squared(a), np.abs(a) ** 2, rtol=1e-12)
    np.testing.assert_allclose(frobenius2(a), np.linalg.norm(a, axis=(-2, -1)) ** 2, rtol=1e-12)
    trace = np.einsum("bij,bij->b", np.conj(a), b).real
    np.testing.assert_allclose(inner(a, b), trace, rtol=1e-12, atol=1e-12)


def test_a_record_that_is_shared_is_made_flat_once(kit):
    scene = kit.make_scene(2)
    one, other = (flatten(kit.make_problem(scene=scene, seed=seed)) for seed in (0, 1))
    assert one.targets is other.targets
    again = flatten(kit.make_problem(scene=attrs.evolve(scene)))
    np.testing.assert_array_equal(again.targets.transmit_basis(), one.targets.transmit_basis())
    assert batch_shape(one) == (1,)
    assert batch_shape(scene) == ()


class Pair(NamedTuple):
    shared: np.ndarray
    own: np.ndarray


@frozen(eq=False)
class Holder:
    level: np.ndarray = rows()
    pair: Pair | None = tuples(None)


def test_named_tuples_are_records_of_members_too():
    first, second = (
        Holder(np.arange(n) + 1.0, Pair(np.ones((1, 2)), np.arange(2.0 * n).reshape(n, 2))) for n in (4, 2)
    )
    taken = take(first, np.array([3, 1]))
    np.testing.assert_array_equal(taken.pair.own, [[6, 7], [2, 3]])
    assert taken.pair.shared is first.pair.shared
    assert isinstance(taken.pair, Pair)
    np.testing.assert_array_equal(take(first.pair, np.array([False, True, False, False])).own, [[2, 3]])
    np.testing.assert_array_equal(
        put(first.pair, np.array([0]), Pair(np.zeros((1, 2)), np.ones((1, 2)))).own[0], [1, 1]
    )
    assert joined([first, second]).pair.own.shape == (6, 2)
    assert take(Holder(first.level), np.array([2])).pair is None
