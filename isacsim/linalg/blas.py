"""Products and copies of arrays as BLAS makes them, in compiled code as in plain Python.

Numba has NumPy's `dot` itself, at a fifth of a second for each set of types, most of it for messages on shapes; and
what it gives back would need counts of references all through a kernel. So compiled code calls the same BLAS by itself.
It has no message where shapes do not fit, which plain Python refuses: the result is NaN.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, reduce
from typing import Any

import numpy as np

from isacsim.compiled import native
from isacsim.typing import AnyArray

NANS = 0xFF  # of all bytes, floating-point numbers are none


def numba_parts() -> tuple[Any, ...]:
    """What Numba has for it, whose types say nothing."""
    from numba.core import cgutils
    from numba.extending import intrinsic
    from numba.np import linalg
    from numba.np.arrayobj import make_array

    linalg.ensure_blas()  # type: ignore[no-untyped-call]
    return cgutils, linalg, make_array, intrinsic


def alike(*arrays: Any) -> bool:
    """Whether types of arrays are those that products are made of here."""
    return all(each.layout == "C" and each.dtype == arrays[0].dtype for each in arrays)


def once(builder: Any, kinds: tuple[Any, ...], values: list[Any], body: Callable[..., None]) -> None:
    """Call ``body`` of values with a builder: one function of a module, not one more text wherever it is called."""
    from llvmlite import ir

    arrays = [f"{each.dtype}{each.ndim}" for each in kinds if hasattr(each, "ndim")]
    name = "_".join(["isacsim", body.__qualname__.split(".")[0].strip("_"), *arrays])
    function = builder.module.globals.get(name)
    if function is None:
        function = ir.Function(builder.module, ir.FunctionType(ir.VoidType(), [each.type for each in values]), name)
        function.linkage = "linkonce_odr"
        function.attributes.add("noinline")
        inside = ir.IRBuilder(function.append_basic_block())
        body(inside, *function.args)
        inside.ret_void()
    builder.call(function, values)


def equal(builder: Any, *pairs: tuple[Any, Any]) -> Any:
    """Whether the sizes of all pairs are the same."""
    first, *others = (builder.icmp_signed("==", a, b) for a, b in pairs)
    for each in others:
        first = builder.and_(first, each)
    return first


@cache
def _multiply() -> Callable[..., Any]:
    """`multiply` of Numba's own calls of BLAS."""
    from numba.core import types

    cgutils, linalg, make_array, intrinsic = numba_parts()

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kinds = signature.args
        arrays = [make_array(kind)(context, builder, each) for kind, each in zip(kinds, arguments, strict=True)]
        sizes = [size for each in arrays for size in cgutils.unpack_tuple(builder, each.shape)]

        def body(inside: Any, A: Any, B: Any, into: Any, bytes_: Any, *sizes: Any) -> None:
            rest = iter(sizes)
            left, right, result = shapes = [[next(rest) for _ in range(kind.ndim)] for kind in kinds]
            fits = equal(inside, (left[-1], right[0]), *zip([*left[:-1], *right[1:]], result, strict=True))
            empty = inside.or_(*(equal(inside, (_product(inside, each), each[0].type(0))) for each in (left, right)))
            with inside.if_else(inside.and_(fits, inside.not_(empty))) as (something, nothing):
                with nothing:  # a sum over no terms, as BLAS refuses rows of no length; or no product
                    byte = inside.select(fits, cgutils.int8_t(0), cgutils.int8_t(NANS))
                    cgutils.memset(inside, into, inside.mul(bytes_, _product(inside, result)), byte)
                with something:
                    if kinds[0].ndim == kinds[1].ndim:
                        each = zip(kinds, shapes, (A, B, into), strict=True)
                        linalg.call_xxgemm(context, inside, *(value for array in each for value in array))
                    else:
                        row = kinds[0].ndim == 1
                        matrix = (kinds[1], right, B, A) if row else (kinds[0], left, A, B)
                        # To BLAS a matrix in C order is its transpose.
                        linalg.call_xxgemv(context, inside, not row, *matrix, into)

        once(builder, kinds, [*(each.data for each in arrays), arrays[2].itemsize, *sizes], body)
        return context.get_dummy_value()

    def typed(context: Any, A: Any, B: Any, into: Any) -> Any:
        # Of nothing Numba makes an error that names the types.
        return (types.none(A, B, into), code) if alike(A, B, into) else None

    call = intrinsic(typed)

    def multiply(A: AnyArray, B: AnyArray, into: AnyArray) -> None:
        call(A, B, into)

    return multiply


def _product(builder: Any, sizes: list[Any]) -> Any:
    return reduce(builder.mul, sizes)


@cache
def _scalar_product() -> Callable[..., Any]:
    """`scalar_product` of Numba's own call of BLAS."""
    cgutils, linalg, make_array, intrinsic = numba_parts()

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        a, b = (make_array(kind)(context, builder, each) for kind, each in zip(signature.args, arguments, strict=True))
        kind = signature.return_type
        result = cgutils.alloca_once(builder, context.get_value_type(kind))

        def body(inside: Any, a: Any, b: Any, result: Any, size: Any, other: Any, bytes_: Any) -> None:
            with inside.if_else(equal(inside, (size, other))) as (something, nothing):
                with something:
                    linalg.call_xxdot(context, inside, False, kind, size, a, b, result)
                with nothing:
                    cgutils.memset(inside, result, bytes_, NANS)

        once(builder, signature.args, [a.data, b.data, result, a.nitems, b.nitems, a.itemsize], body)
        return builder.load(result)

    def typed(context: Any, a: Any, b: Any) -> Any:
        return (a.dtype(a, b), code) if alike(a, b) else None

    call = intrinsic(typed)

    def scalar_product(a: AnyArray, b: AnyArray) -> Any:
        return call(a, b)

    return scalar_product


@cache
def _write() -> Callable[..., Any]:
    """`write` of bytes."""
    from numba.core import types

    cgutils, _, make_array, intrinsic = numba_parts()

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kinds = signature.args
        values, into = (make_array(kind)(context, builder, each) for kind, each in zip(kinds, arguments, strict=True))

        def body(inside: Any, values: Any, into: Any, size: Any, other: Any, bytes_: Any) -> None:
            with inside.if_else(equal(inside, (size, other))) as (something, nothing):
                with something:
                    cgutils.raw_memcpy(inside, into, values, size, bytes_)
                with nothing:
                    cgutils.memset(inside, into, inside.mul(bytes_, other), NANS)

        once(builder, kinds[:1], [values.data, into.data, values.nitems, into.nitems, into.itemsize], body)
        return context.get_dummy_value()

    def typed(context: Any, values: Any, into: Any) -> Any:
        return (types.none(values, into), code) if alike(values, into) else None

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
