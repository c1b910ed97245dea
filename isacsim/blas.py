"""Products and copies of arrays as BLAS makes them, in compiled code as in plain Python.

Numba has NumPy's `dot` itself, at a fifth of a second for each set of types, most of it for messages on shapes; and
what it gives back would need counts of references all through a kernel. So compiled code calls the same BLAS by itself.
It has no message where shapes do not fit, which plain Python refuses: the result is NaN.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from isacsim.compiled import native
from isacsim.typing import AnyArray

NANS = 0xFF  # of all bytes, floating-point numbers are none


def _numba() -> tuple[Any, ...]:
    """What Numba has for it, whose types say nothing."""
    from numba.core import cgutils
    from numba.extending import intrinsic
    from numba.np import linalg
    from numba.np.arrayobj import make_array

    linalg.ensure_blas()  # type: ignore[no-untyped-call]
    return cgutils, linalg, make_array, intrinsic


def _alike(*arrays: Any) -> bool:
    """Whether types of arrays are those that products are made of here."""
    return all(each.layout == "C" and each.dtype == arrays[0].dtype for each in arrays)


def _equal(builder: Any, *pairs: tuple[Any, Any]) -> Any:
    """Whether the sizes of all pairs are the same."""
    first, *others = (builder.icmp_signed("==", a, b) for a, b in pairs)
    for each in others:
        first = builder.and_(first, each)
    return first


def _fill(builder: Any, cgutils: Any, array: Any, byte: int) -> None:
    """Set all bytes of an array."""
    cgutils.memset(builder, array.data, builder.mul(array.itemsize, array.nitems), byte)


@cache
def _multiply() -> Callable[..., Any]:
    """`multiply` of Numba's own calls of BLAS."""
    from numba.core import types

    cgutils, linalg, make_array, intrinsic = _numba()

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kinds = signature.args
        A, B, into = (make_array(kind)(context, builder, each) for kind, each in zip(kinds, arguments, strict=True))
        shapes = [cgutils.unpack_tuple(builder, each.shape) for each in (A, B, into)]
        left, right, result = shapes
        inner = (left[-1], right[0]), *zip([*left[:-1], *right[1:]], result, strict=True)
        fits = _equal(builder, *inner)
        empty = builder.or_(*(_equal(builder, (each.nitems, each.nitems.type(0))) for each in (A, B)))
        with builder.if_else(builder.and_(fits, builder.not_(empty)), likely=True) as (something, nothing):
            with nothing:  # a sum over no terms, as BLAS refuses rows of no length; or no product
                _fill(builder, cgutils, into, 0)
                with builder.if_then(builder.not_(fits), likely=False):
                    _fill(builder, cgutils, into, NANS)
            with something:
                if kinds[0].ndim == kinds[1].ndim:
                    each = zip(kinds, shapes, (A.data, B.data, into.data), strict=True)
                    linalg.call_xxgemm(context, builder, *(value for array in each for value in array))
                else:
                    row = kinds[0].ndim == 1
                    matrix = (kinds[1], shapes[1], B.data, A.data) if row else (kinds[0], shapes[0], A.data, B.data)
                    # To BLAS a matrix in C order is its transpose.
                    linalg.call_xxgemv(context, builder, not row, *matrix, into.data)
        return context.get_dummy_value()

    def typed(context: Any, A: Any, B: Any, into: Any) -> Any:
        # Of nothing Numba makes an error that names the types.
        return (types.none(A, B, into), code) if _alike(A, B, into) else None

    call = intrinsic(typed)

    def multiply(A: AnyArray, B: AnyArray, into: AnyArray) -> None:
        call(A, B, into)

    return multiply


@cache
def _scalar_product() -> Callable[..., Any]:
    """`scalar_product` of Numba's own call of BLAS."""
    cgutils, linalg, make_array, intrinsic = _numba()

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        a, b = (make_array(kind)(context, builder, each) for kind, each in zip(signature.args, arguments, strict=True))
        kind = signature.return_type
        result = cgutils.alloca_once(builder, context.get_value_type(kind))
        fits = _equal(builder, (a.nitems, b.nitems))
        with builder.if_else(fits, likely=True) as (something, nothing):
            with something:
                linalg.call_xxdot(context, builder, False, kind, a.nitems, a.data, b.data, result)
            with nothing:
                cgutils.memset(builder, result, a.itemsize, NANS)
        return builder.load(result)

    def typed(context: Any, a: Any, b: Any) -> Any:
        return (a.dtype(a, b), code) if _alike(a, b) else None

    call = intrinsic(typed)

    def scalar_product(a: AnyArray, b: AnyArray) -> Any:
        return call(a, b)

    return scalar_product


@cache
def _write() -> Callable[..., Any]:
    """`write` of bytes."""
    from numba.core import types

    cgutils, _, make_array, intrinsic = _numba()

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kinds = signature.args
        values, into = (make_array(kind)(context, builder, each) for kind, each in zip(kinds, arguments, strict=True))
        with builder.if_else(_equal(builder, (values.nitems, into.nitems)), likely=True) as (something, nothing):
            with something:
                cgutils.raw_memcpy(builder, into.data, values.data, values.nitems, values.itemsize)
            with nothing:
                _fill(builder, cgutils, into, NANS)
        return context.get_dummy_value()

    def typed(context: Any, values: Any, into: Any) -> Any:
        return (types.none(values, into), code) if _alike(values, into) else None

    call = intrinsic(typed)

    def write(values: AnyArray, into: AnyArray) -> None:
        call(values, into)

    return write


@native(_multiply)
def multiply(A: AnyArray, B: AnyArray, into: AnyArray) -> None:
    """Write A B; A, B or both are matrices, all in C order and of one type."""
    np.dot(A, B, into)


@native(_scalar_product)
def scalar_product(a: AnyArray, b: AnyArray) -> Any:
    """``sum_i a_i b_i`` of vectors, likewise."""
    return np.dot(a, b)


@native(_write)
def write(values: AnyArray, into: AnyArray) -> None:
    """``into[...] = values``, which lie apart, likewise; Numba takes three seconds to compile that."""
    into[...] = values
