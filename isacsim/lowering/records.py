"""How functions of a kernel pass arrays and records of arrays: by their address, where nobody changes them.

Numba takes them apart and builds them anew at each call, some four hundred numbers for what a step of Newton's method
needs, and LLVM has all those to keep. Here an argument stays where the kernel has it, and is read where it is used.
"""
# mypy: disable-error-code="no-untyped-call, unused-ignore, assignment"

from __future__ import annotations

import copy
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.callconv import CPUCallConv
from numba.core.cpu import CPUContext
from numba.core.pythonapi import NativeValue, PythonAPI

ITEMS, SIZE, DATA, SHAPE, STRIDES = 2, 3, 4, 5, 6  # places in the record of an array, behind two of who holds it


class Whole(tuple[Any, ...]):
    """Types of arguments of a function that takes each as one value, or its address, not leaf by leaf."""


class Packer:
    """What Numba asks on arguments, of those: arrays and records of them lie where nobody changes them."""

    def __init__(self, context: Any, kinds: Whole) -> None:
        own = [context.get_value_type(kind) for kind in kinds]
        self.argument_types = tuple(kind.as_pointer() if _is_record(kind) else kind for kind in own)

    def as_arguments(self, builder: Any, values: Any) -> list[Any]:
        """Values as they are passed."""
        return [address(builder, each) if _is_record(each.type) else each for each in values]

    def from_arguments(self, builder: Any, arguments: Any) -> list[Any]:
        """Values as they were passed."""
        return [lasting(builder, each) if is_address(each.type) else each for each in arguments]

    def assign_names(self, arguments: Any, names: Any) -> None:
        """Name them, and say what is known of addresses."""
        for each, name in zip(arguments, names, strict=True):
            each.name = name
            if is_address(each.type):
                for known in ("captures(none)", "noalias"):
                    each.add_attribute(known)


def _is_array(kind: Any) -> bool:
    """Whether a type is the record of an array."""
    if not isinstance(kind, ir.LiteralStructType) or len(kind.elements) != STRIDES + 1:
        return False
    return isinstance(kind.elements[STRIDES], ir.ArrayType)


def _is_record(kind: Any) -> bool:
    """Whether a type is an array, or a tuple of arrays or tuples."""
    if not isinstance(kind, ir.LiteralStructType):
        return False
    return _is_array(kind) or any(isinstance(each, ir.LiteralStructType) for each in kind.elements)


def is_address(kind: Any) -> bool:
    """Whether an argument of a type is the address of such a record."""
    return isinstance(kind, ir.PointerType) and _is_record(kind.pointee)


def lasting(builder: Any, place: Any) -> Any:
    """The value at an address at which there never is another one."""
    value = builder.load(place)
    value.lasts = True
    return value


def lasts(value: Any) -> bool:
    """Whether a value is such."""
    return getattr(value, "lasts", False)


def address(builder: Any, value: Any) -> Any:
    """An address at which a value is till the next call has returned."""
    if isinstance(value, ir.LoadInstr) and (lasts(value) or _still_there(builder, value)):
        return value.operands[0]
    place = cgutils.alloca_once(builder, value.type)
    builder.store(value, place)
    return place


def _still_there(builder: Any, value: Any) -> bool:
    """Whether what was loaded from a variable in this block is still there."""
    place = value.operands[0]
    if not isinstance(place, ir.AllocaInstr):
        return False
    for each in reversed(builder.block.instructions):
        if each is value:
            return True
        if isinstance(each, (ir.StoreInstr, ir.CallInstr)) and any(of is place for of in each.operands):
            return False
    return False


class Convention(CPUCallConv):  # type: ignore[misc]
    """Numba's convention for calls, but for those."""

    def _get_arg_packer(self, argtypes: Any) -> Any:
        return Packer(self.context, argtypes) if isinstance(argtypes, Whole) else super()._get_arg_packer(argtypes)

    def call(self, builder: Any, callee: Any, kinds: Whole, returned: Any, arguments: Any) -> Any:
        """The value of a call; an error goes to the caller's caller, in the same place."""
        kind = self._get_return_argument(callee).type.pointee
        place, error = cgutils.alloca_once(builder, kind), self._get_excinfo_argument(builder.function)
        passed = self._get_arg_packer(kinds).as_arguments(builder, arguments)
        code = builder.call(callee, [place, error, *passed])
        with cgutils.if_unlikely(builder, builder.icmp_signed("!=", code, code.type(0))):
            builder.ret(code)
        if returned is types.none:
            return self.context.get_dummy_value()
        return self.context.get_returned_value(builder, returned, builder.load(place))


class Api(PythonAPI):  # type: ignore[misc]
    """What makes values of Python's objects: an array, or a record of them, by a function for its type."""

    def to_native_value(self, typ: Any, obj: Any) -> Any:
        """The value of an object, and whether it is none of that type."""
        if not _of_arrays(typ):
            return super().to_native_value(typ, obj)
        place = cgutils.alloca_once(self.builder, self.context.get_value_type(typ))
        wrong = self._read(typ, obj, place)
        return NativeValue(lasting(self.builder, place), is_error=wrong)

    def _read(self, typ: Any, obj: Any, place: Any) -> Any:
        """Write the record of an array, or of arrays, to a place; whether there is none."""
        name = f"isacsim_read_{typ}"
        function = self.module.globals.get(name)
        if function is None:
            function = ir.Function(self.module, ir.FunctionType(ir.IntType(1), [obj.type, place.type]), name)
            function.linkage = "linkonce_odr"
            function.attributes.add("noinline")
            inside = ir.IRBuilder(function.append_basic_block())
            api = Api(self.context, inside)
            (api._write_array if isinstance(typ, types.Array) else api._write_record)(typ, *function.args)
        return self.builder.call(function, [obj, place])

    def _write_array(self, typ: Any, obj: Any, place: Any) -> None:
        native = PythonAPI(self.context, self.builder).to_native_value(typ, obj)
        self.builder.store(native.value, place)
        self.builder.ret(native.is_error)

    def _write_record(self, typ: Any, obj: Any, place: Any) -> None:
        builder, size = self.builder, self.tuple_size(obj)
        with builder.if_then(builder.icmp_unsigned("!=", size, size.type(len(typ))), likely=False):
            self.err_set_string("PyExc_ValueError", f"{typ} has {len(typ)} arrays")
            builder.ret(cgutils.true_bit)
        failed = cgutils.false_bit
        for i, each in enumerate(typ):
            wrong = self._read(each, self.tuple_getitem(obj, i), cgutils.gep_inbounds(builder, place, 0, i))
            failed = builder.or_(failed, wrong)
        builder.ret(failed)


def _of_arrays(kind: Any) -> bool:
    """Whether a type is that of an array, or of a record of such."""
    if isinstance(kind, (types.NamedTuple, types.NamedUniTuple)):
        return all(_of_arrays(each) for each in kind)
    return isinstance(kind, types.Array)


class Context(CPUContext):  # type: ignore[misc]
    """Numba's context, with that convention."""

    known: dict[Any, Any]

    def get_python_api(self, builder: Any) -> Any:
        """What makes values of Python's objects."""
        return Api(self, builder)

    @property
    def call_conv(self) -> Any:
        """The convention for calls."""
        return Convention(self)

    def call_internal(self, builder: Any, fndesc: Any, sig: Any, args: Any) -> Any:
        """The value of a call."""
        if not isinstance(fndesc.argtypes, Whole):
            return super().call_internal(builder, fndesc, sig, args)
        if getattr(builder, "_in_try_block", False):  # an error goes to its handler
            return super().call_internal(builder, fndesc, sig.replace(args=Whole(sig.args)), args)
        callee = self.declare_function(builder.module, fndesc)
        return self.call_conv.call(builder, callee, fndesc.argtypes, sig.return_type, args)

    def get_function(self, fn: Any, sig: Any, _firstcall: bool = True) -> Any:
        """The form of a function for some types, looked for once."""
        if (fn, sig) not in self.known:
            self.known[fn, sig] = super().get_function(fn, sig, _firstcall)
        return self.known[fn, sig]


def lean(context: Any) -> Any:
    """Numba's context with what is here."""
    other = copy.copy(context)
    other.__class__, other.known = Context, {}
    return other


def leaf(builder: Any, value: Any, *at: int) -> Any:
    """A leaf of a record: what was put there, where that is seen."""
    if at and lasts(value) and not _is_array(value.type):
        return leaf(builder, lasting(builder, cgutils.gep_inbounds(builder, value.operands[0], 0, at[0])), *at[1:])
    if not at:
        return value
    while isinstance(value, ir.instructions.InsertValue):
        put = tuple(value.indices)
        if put == at:
            return value.value
        if put == at[: len(put)]:
            return builder.extract_value(value.value, at[len(put) :])
        if put[: len(at)] == at:  # a member of it
            break
        value = value.aggregate
    return builder.extract_value(value, at)


def record(builder: Any, kind: Any, *leaves: Any) -> Any:
    """A record of leaves; where one is a list, of those of its member."""
    value = ir.Constant(kind, ir.Undefined)
    for i, each in enumerate(leaves):
        if isinstance(each, list):
            for j, inner in enumerate(each):
                value = builder.insert_value(value, inner, (i, j))
        else:
            value = builder.insert_value(value, each, i)
    return value
