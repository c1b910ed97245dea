"""Records of arrays in kernels: what belongs to one member, in compiled code as in plain Python.

A record that a kernel alone reads can lie in one block of real numbers: its fields say their axes,
``Annotated[ComplexArray, "r K+1"]``, by the names of a record of sizes. Of each array that is passed to it a kernel is
told some ten numbers, a quarter of a microsecond; of sixty that is as long as a step of a small problem.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache, reduce
from typing import Any, TypeVar, cast, get_args, get_type_hints

import numpy as np

from isacsim.compiled import native
from isacsim.typing import ComplexArray, FloatArray

R = TypeVar("R", bound=tuple[Any, ...])


@cache
def _member() -> Callable[..., Any]:
    """`member` of types: a view of each array, or an item of it where it has one axis."""
    from llvmlite import ir
    from numba import extending
    from numba.core import imputils, types

    borrowed: Any = imputils.impl_ret_borrowed

    def viewed(builder: Any, place: Callable[[str], int], record: Any, i: int, b: Any, axes: int) -> dict[Any, Any]:
        """What is in the record of a view of array i, by place."""

        def leaf(name: str, *axis: int) -> Any:
            return builder.extract_value(record, (i, place(name), *axis))

        shape = {(place("shape"), axis - 1): leaf("shape", axis) for axis in range(1, axes)}
        items = reduce(builder.mul, shape.values(), ir.Constant(b.type, 1))
        strides = {(place("strides"), axis - 1): leaf("strides", axis) for axis in range(1, axes)}
        held = {(place(name),): leaf(name) for name in ("meminfo", "parent", "itemsize")}
        data = builder.gep(leaf("data"), [builder.mul(b, items)])
        return {(place("data"),): data, (place("nitems"),): items, **held, **shape, **strides}

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        (record, b), kinds = arguments, list(signature.args[0])
        value = ir.Constant(context.get_value_type(signature.return_type), ir.Undefined)
        for i, (whole, own) in enumerate(zip(kinds, signature.return_type, strict=True)):
            place = context.data_model_manager[whole].get_field_position
            view = viewed(builder, place, record, i, b, whole.ndim)
            if whole.ndim == 1:
                view = {(): context.unpack_value(builder, own, view[place("data"),], align=None)}
            for at, each in view.items():
                value = builder.insert_value(value, each, (i, *at))
        return borrowed(context, builder, signature.return_type, value)

    def typed(context: Any, record: Any, b: Any) -> Any:
        if not all(isinstance(each, types.Array) and each.layout == "C" for each in record):
            return None
        own = [each.copy(ndim=each.ndim - 1) if each.ndim > 1 else each.dtype for each in record]
        kind: Any = types.BaseTuple
        return kind.from_types(own, record.instance_class)(record, types.intp), code

    call: Any = extending.intrinsic(typed)

    def member(record: Any, b: int) -> Any:
        return call(record, b)

    return member


@native(_member, needed=True)
def member(record: R, b: int) -> R:
    """A record of what arrays (B, ...) have of member b, counted from 0."""
    return type(record)(*(each[b] for each in record))


@cache
def _fields(kind: Any) -> tuple[Any, ...]:
    """Of each field of a record its type, where that is a record too, or its axes and how many numbers an item is."""
    found: list[Any] = []
    for hint in get_type_hints(kind, include_extras=True).values():
        of = get_args(hint)
        found.append((of[1].split(), 2 if of[0] == ComplexArray else 1) if of else hint)
    return tuple(found)


@cache
def room_for(kind: Any, sizes: tuple[int, ...]) -> int:
    """How many real numbers the block of a record has."""
    total = 0
    for each in _fields(kind):
        total += each[1] * math.prod(_shape(each[0], sizes)) if isinstance(each, tuple) else room_for(each, sizes)
    return total


def _shape(axes: list[str], sizes: Any) -> tuple[int, ...]:
    parts = [axis.split("+") for axis in axes]
    return tuple(sum(int(each) if each.isdigit() else getattr(sizes, each) for each in terms) for terms in parts)


class _Layout:
    """The text that makes views of parts of a block, one behind the other."""

    def __init__(self, context: Any, builder: Any, kinds: Any, block: Any, sizes: Any) -> None:
        self.context, self.builder, self.block = context, builder, block
        self.place = context.data_model_manager[kinds[1]].get_field_position
        names = kinds[2].instance_class._fields
        self.sizes = {name: builder.extract_value(sizes, i) for i, name in enumerate(names)}
        self.here, self.count = self._of_block("data"), self._of_block("itemsize").type

    def _of_block(self, name: str) -> Any:
        return self.builder.extract_value(self.block, self.place(name))

    def record(self, kind: Any) -> Any:
        """A record of what comes next."""
        from llvmlite import ir

        value = ir.Constant(self.context.get_value_type(kind), ir.Undefined)
        for i, (own, each) in enumerate(zip(kind, _fields(kind.instance_class), strict=True)):
            of = self._view(own, each[0]) if isinstance(each, tuple) else self.record(own)
            value = self.builder.insert_value(value, of, i)
        return value

    def _length(self, axis: str) -> Any:
        terms = [self.count(int(each)) if each.isdigit() else self.sizes[each] for each in axis.split("+")]
        return reduce(self.builder.add, terms)

    def _view(self, kind: Any, axes: list[str]) -> Any:
        """An array of what comes next."""
        from llvmlite import ir

        builder, item = self.builder, self.count(kind.dtype.bitwidth // 8)
        shape = [self._length(axis) for axis in axes]
        strides = [item]
        for size in reversed(shape[1:]):
            strides.insert(0, builder.mul(strides[0], size))
        items = reduce(builder.mul, shape)
        leaves = {(self.place(name),): self._of_block(name) for name in ("meminfo", "parent")}
        own = {"nitems": items, "itemsize": item}
        own["data"] = builder.bitcast(self.here, self.context.get_value_type(kind.dtype).as_pointer())
        leaves |= {(self.place(name),): value for name, value in own.items()}
        leaves |= {(self.place("shape"), i): size for i, size in enumerate(shape)}
        leaves |= {(self.place("strides"), i): stride for i, stride in enumerate(strides)}
        value = ir.Constant(self.context.get_value_type(kind), ir.Undefined)
        for at, leaf in leaves.items():
            value = builder.insert_value(value, leaf, at)
        self.here = builder.gep(self.here, [builder.mul(items, self.count(kind.dtype.bitwidth // 64))])
        return value


@cache
def _laid() -> Callable[..., Any]:
    """`laid` of types: views of parts of the block."""
    from numba import extending
    from numba.core import imputils, types

    borrowed: Any = imputils.impl_ret_borrowed

    def type_of(kind: Any) -> Any:
        own, record = [], cast(Any, types.BaseTuple)
        for each in _fields(kind):
            if isinstance(each, tuple):
                axes, count = each
                own.append(types.Array(types.float64 if count == 1 else types.complex128, len(axes), "C"))
            else:
                own.append(type_of(each))
        return record.from_types(own, kind)

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        value = _Layout(context, builder, signature.args, *arguments[1:]).record(signature.return_type)
        return borrowed(context, builder, signature.return_type, value)

    def typed(context: Any, kind: Any, block: Any, sizes: Any) -> Any:
        if not (isinstance(block, types.Array) and (block.dtype, block.ndim, block.layout) == (types.float64, 1, "C")):
            return None
        return type_of(kind.instance_class)(kind, block, sizes), code

    call: Any = extending.intrinsic(typed)

    def laid(kind: Any, block: Any, sizes: Any) -> Any:
        return call(kind, block, sizes)

    return laid


@native(_laid, needed=True)
def laid(kind: type[R], block: FloatArray, sizes: tuple[int, ...]) -> R:
    """A record whose arrays lie in a block, one behind the other; in plain Python with the leading axes of the block.

    Args:
        kind: The record.
        block: Real numbers, (..., `room_for` it).
        sizes: Lengths of axes by name.
    """
    return _views(kind, block, sizes, 0)


def _views(kind: type[R], block: FloatArray, sizes: Any, begin: int) -> R:
    """The record in a block from a place on."""
    views: list[Any] = []
    for each in _fields(kind):
        if isinstance(each, tuple):
            (axes, count), lead = each, block.shape[:-1]
            shape = _shape(axes, sizes)
            end = begin + count * math.prod(shape)
            part = block[..., begin:end]
            views.append((part.view(complex) if count == 2 else part).reshape(lead + shape))
        else:
            end = begin + room_for(each, sizes)
            views.append(_views(each, block, sizes, begin))
        begin = end
    return cast(R, cast(Any, kind)(*views))


def blank(kind: Any, sizes: tuple[int, ...], *members: int) -> FloatArray:
    """The block of such a record, or those of some members, of zeros."""
    return np.zeros((*members, room_for(kind, sizes)))
