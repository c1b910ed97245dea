"""Records of arrays in kernels: what belongs to one member, in compiled code as in plain Python."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, reduce
from typing import Any, TypeVar

from isacsim.compiled import native

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


@native(_member)
def member(record: R, b: int) -> R:
    """A record of what arrays (B, ...) have of member b, counted from 0."""
    return type(record)(*(each[b] for each in record))
