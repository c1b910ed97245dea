"""What kernels are lowered by: the same results as plain Python, by forms of our own."""

from typing import NamedTuple

import numba
import numpy as np
import pytest

from isacsim.compiled import KNOWN, _jitted, _linked, _with_parts, compiled, few_passes, part

pytestmark = pytest.mark.skipif(tuple(numba.version_info.short) not in KNOWN, reason="another Numba than was tried")


def index_each(line, plane, block, truth, at, found):
    """Items of one to three axes, read and written, from both ends; and rows of them."""
    n = 0
    for i in range(at.size):
        for j in range(at.size):
            a, b = at[i], at[j]
            row, slab, third = plane[a], block[a], block[a, b]
            found[n] = line[a] + plane[a, b] + block[a, b, -1] + row[b] + slab[b, -2] + third[0]
            found[n] += slab.shape[1] * row.size + slab.size + len(third)
            if truth[a, b]:
                found[n] = -found[n]
            row[b] += 1.0
            block[b, -1, a] = line[-1]
            third[-1] *= 2.0
            truth[b, a] = not truth[a, b]
            n += 1


def count_each(ends, found):
    """Loops of all kinds, whose last number stays."""
    n = last = 0
    for k in range(ends.shape[0]):
        start, stop, step = ends[k]
        for ahead in range(stop):
            found[n] += 10 * ahead + 1
        for between in range(start, stop):
            found[n] += 100 * between + 1
            if between == 4:
                continue
            last = between
        for by in range(start, stop, step):
            found[n] += 1000 * by + 1
            if by > 30:
                break
        found[n] += last
        n += 1


def multiply_each(a, b, x, found):
    """Sums, differences and products of complex numbers, and of these with real ones."""
    for i in range(a.size):
        u, v = a[i], b[i]
        found[i] = (u * v - v.conjugate() * x[i] + u * v.real) * (u - v) + x[i] + v.imag
        found[i] -= u + i


def told(kernel, *arguments):
    """What a kernel writes, compiled and plain."""
    compiled_ones = [np.array(each) for each in arguments]
    plain_ones = [np.array(each) for each in arguments]
    compiled(kernel)(*compiled_ones)
    kernel(*plain_ones)
    return compiled_ones, plain_ones


def test_items_are_read_and_written_as_numpy_does_it():
    rng = np.random.default_rng(0)
    n, at = 4, np.array([0, 1, 3, -1, -4])
    arrays = (rng.normal(size=n), rng.normal(size=(n, n)), rng.normal(size=(n, n, n)), rng.normal(size=(n, n)) > 0)
    ours, plain = told(index_each, *arrays, at, np.zeros(at.size**2))
    for one, other in zip(ours, plain, strict=True):
        assert one.tobytes() == other.tobytes()


def test_loops_run_over_the_numbers_of_their_range():
    ends = np.array([[0, 5, 1], [-3, 7, 2], [7, -3, -2], [3, 3, 1], [5, 2, 1], [2, 90, 7], [0, -4, -1]])
    ours, plain = told(count_each, ends, np.zeros(len(ends), int))
    assert ours[1].tolist() == plain[1].tolist()


def test_complex_numbers_have_the_bytes_of_python():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 50)) + 1j * rng.normal(size=(2, 50))
    a[:4], b[2:6] = [0, np.inf, complex(0, np.nan), 1e300], [0, -0.0, 1e-310, 1e300j]
    with np.errstate(all="ignore"):
        ours, plain = told(multiply_each, a, b, rng.normal(size=50), np.zeros(50, complex))
    assert ours[-1][6:].tobytes() == plain[-1][6:].tobytes()
    # What is no number has no sign that Python would promise.
    np.testing.assert_array_equal(ours[-1][:6], plain[-1][:6])


@part
def strict(x, n):
    if n > 2:
        raise ValueError("too many")
    return x[n]


@part
def strict_twice(x, n):
    return strict(x, n) + strict(x, n + 1)


def strict_each(x, found):
    for i in range(found.size):
        found[i] = strict_twice(x, i)


def lenient_each(x, found):
    for i in range(found.size):
        try:
            found[i] = strict_twice(x, i)
        except Exception:
            found[i] = -1.0


def test_an_error_of_a_part_reaches_who_called_the_kernel_or_its_handler():
    x, found = np.arange(4.0), np.zeros(3)
    with pytest.raises(ValueError, match="too many"):
        compiled(strict_each, allocates=True)(x, found)
    assert found.tolist() == [1.0, 3.0, 0.0]
    compiled(lenient_each, allocates=True)(x, found)
    assert found.tolist() == [1.0, 3.0, -1.0]


class Inner(NamedTuple):
    """Two arrays."""

    x: np.ndarray
    Y: np.ndarray


class Outer(NamedTuple):
    """A record of records, and an array."""

    left: Inner
    right: Inner
    z: np.ndarray


@part
def added(x, y, into):
    for i in range(into.size):
        into[i] += x[i] - 2 * y[i]


@part
def inside(record, n):
    (x, Y), right = record.left, record.right
    for _ in range(n):
        if n > 1:
            added(x, Y[n], right.x)
        else:
            added(right.Y[0], x, record.z)
    return x.size, record.left


def exchanged_each(record, a, b, found):
    """Arrays that change their names in a loop, in branches, and are passed on as rows, records and results."""
    one, other = a, b
    for i in range(len(found)):
        row = found[i]
        added(one, other, row)
        kept = one
        one, other = other, one
        added(kept, one, row)
        if i % 2:
            other = row
        size, left = inside(record, i)
        added(other, left.x, row)
        found[i, 0] += size
        row = left.Y[i]
        added(one, row, found[i])


def test_records_and_arrays_are_those_that_they_are_in_python():
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=5), rng.normal(size=(4, 5)), rng.normal(size=5), rng.normal(size=(4, 5)), np.zeros(5)]
    others = rng.normal(size=5), rng.normal(size=5), np.zeros((4, 5))

    def found(kernel):
        x, Y, u, V, z = (each.copy() for each in arrays)
        a, b, result = (each.copy() for each in others)
        kernel(Outer(Inner(x, Y), Inner(u, V), z), a, b, result)
        return [each.tobytes() for each in (x, Y, u, V, z, a, b, result)]

    assert found(compiled(exchanged_each)) == found(exchanged_each)


def test_a_part_takes_each_array_and_each_record_by_its_address():
    from isacsim.lowering.records import Whole

    kernel = _jitted(_with_parts(strict_each, True), True)  # not from disk
    kernel(np.arange(4.0), np.zeros(1))
    (own,) = _linked(strict, True).overloads.values()
    assert isinstance(own.fndesc.argtypes, Whole)
    (function,) = (each for each in own.library.get_defined_functions() if each.name == own.fndesc.llvm_func_name)
    assert [str(each.type) for each in function.arguments] == ["ptr", "ptr", "ptr", "i64"]  # two for result and error


def test_nothing_but_the_kernel_is_seen_of_its_machine_code():
    from llvmlite.binding import Linkage

    kernel = _jitted(_with_parts(strict_each, True), True)
    kernel(np.arange(4.0), np.zeros(1))
    (made,) = kernel.overloads.values()
    seen = {each.name for each in made.library.get_defined_functions() if each.linkage != Linkage.internal}
    assert seen == {made.fndesc.llvm_func_name, made.fndesc.llvm_cpython_wrapper_name}


@few_passes
def few_each(a, b, x, found):
    multiply_each(a, b, x, found)


def test_few_passes_of_llvm_change_no_bytes():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 50)) + 1j * rng.normal(size=(2, 50))
    x, results = rng.normal(size=50), np.zeros((2, 50), complex)
    for kernel, found in zip((part(multiply_each), few_each), results, strict=True):
        compiled(kernel)(a, b, x, found)
    assert results[0].tobytes() == results[1].tobytes()
