"""From Numba's statements to LLVM's, for what kernels do most and in few words: most of what compiling takes is text.

Numba's own forms copy a whole array record for each ``A[i, j]``, take records apart and build them anew at each call,
and tell a loop over ``range(n)`` by a division. The forms here say the same in a third of the instructions; what they
do not know goes to Numba's. Imported when something is compiled, where Numba is one that it was tried with.
"""
# mypy: disable-error-code="no-untyped-call, unused-ignore, assignment"

from __future__ import annotations

import copy
import operator
from collections import Counter
from typing import Any

from llvmlite import ir
from numba.core import cgutils, codegen, compiler, lowering, typed_passes, types, untyped_passes
from numba.core.callconv import CPUCallConv
from numba.core.compiler_machinery import register_pass
from numba.core.cpu import CPUContext
from numba.core.ir import Assign, Var
from numba.core.pythonapi import NativeValue, PythonAPI

COMPLEX = (operator.add, operator.sub, operator.mul)


class Whole(tuple[Any, ...]):
    """Types of arguments of a function that takes each as one value, not leaf by leaf."""


class WholePacker:
    """What Numba asks on arguments, of those."""

    def __init__(self, context: Any, kinds: Whole) -> None:
        self.argument_types = tuple(context.get_value_type(kind) for kind in kinds)

    def as_arguments(self, builder: Any, values: Any) -> Any:
        """Values as they are passed."""
        return values

    def from_arguments(self, builder: Any, arguments: Any) -> list[Any]:
        """Values as they were passed."""
        return list(arguments)

    def assign_names(self, arguments: Any, names: Any) -> None:
        """Name them."""
        for each, name in zip(arguments, names, strict=True):
            each.name = name


class WholeConvention(CPUCallConv):  # type: ignore[misc]
    """Numba's convention for calls, but for those."""

    def _get_arg_packer(self, argtypes: Any) -> Any:
        return WholePacker(self.context, argtypes) if isinstance(argtypes, Whole) else super()._get_arg_packer(argtypes)

    def call(self, builder: Any, callee: Any, returned: Any, arguments: Any) -> Any:
        """The value of a call; an error goes to the caller's caller, in the same place."""
        kind = self._get_return_argument(callee).type.pointee
        place, error = cgutils.alloca_once(builder, kind), self._get_excinfo_argument(builder.function)
        code = builder.call(callee, [place, error, *arguments])
        with cgutils.if_unlikely(builder, builder.icmp_signed("!=", code, code.type(0))):
            builder.ret(code)
        if returned is types.none:
            return self.context.get_dummy_value()
        return self.context.get_returned_value(builder, returned, builder.load(place))


class Api(PythonAPI):  # type: ignore[misc]
    """What makes values of Python's objects: an array by a function for its type, a record of arrays in its place."""

    def to_native_value(self, typ: Any, obj: Any) -> Any:
        """The value of an object, and whether it is none of that type."""
        arrays: list[Any] = list(typ) if isinstance(typ, (types.NamedTuple, types.NamedUniTuple)) else [typ]
        if not all(isinstance(each, types.Array) for each in arrays):
            return super().to_native_value(typ, obj)
        builder, place = self.builder, cgutils.alloca_once(self.builder, self.context.get_value_type(typ))
        if typ in arrays:
            wrong = self._read(typ, obj, place)
            return NativeValue(builder.load(place), is_error=wrong)
        size, failed = self.tuple_size(obj), cgutils.alloca_once_value(builder, cgutils.false_bit)
        fits = builder.icmp_unsigned("==", size, size.type(len(arrays)))
        with builder.if_then(builder.not_(fits), likely=False):
            self.err_set_string("PyExc_ValueError", f"{typ} has {len(arrays)} arrays")
            builder.store(cgutils.true_bit, failed)
        with builder.if_then(fits):
            for i, each in enumerate(arrays):
                wrong = self._read(each, self.tuple_getitem(obj, i), cgutils.gep_inbounds(builder, place, 0, i))
                builder.store(builder.or_(builder.load(failed), wrong), failed)
        return NativeValue(builder.load(place), is_error=builder.load(failed))

    def _read(self, typ: Any, obj: Any, place: Any) -> Any:
        """Write the record of an array to a place; whether there is none."""
        name = f"isacsim_read_{typ}"
        function = self.module.globals.get(name)
        if function is None:
            function = ir.Function(self.module, ir.FunctionType(ir.IntType(1), [obj.type, place.type]), name)
            function.linkage = "linkonce_odr"
            function.attributes.add("noinline")
            inside = ir.IRBuilder(function.append_basic_block())
            native = PythonAPI(self.context, inside).to_native_value(typ, function.args[0])
            inside.store(native.value, function.args[1])
            inside.ret(native.is_error)
        return self.builder.call(function, [obj, place])


class Context(CPUContext):  # type: ignore[misc]
    """Numba's context, with that convention."""

    known: dict[Any, Any]

    def get_python_api(self, builder: Any) -> Any:
        """What makes values of Python's objects."""
        return Api(self, builder)

    @property
    def call_conv(self) -> Any:
        """The convention for calls."""
        return WholeConvention(self)

    def call_internal(self, builder: Any, fndesc: Any, sig: Any, args: Any) -> Any:
        """The value of a call."""
        if not isinstance(fndesc.argtypes, Whole):
            return super().call_internal(builder, fndesc, sig, args)
        if getattr(builder, "_in_try_block", False):  # an error goes to its handler
            return super().call_internal(builder, fndesc, sig.replace(args=Whole(sig.args)), args)
        return self.call_conv.call(builder, self.declare_function(builder.module, fndesc), sig.return_type, args)

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


ITEMS, SIZE, DATA, SHAPE, STRIDES = 2, 3, 4, 5, 6  # places in the record of an array, behind two of who holds it


class Lower(lowering.Lower):  # type: ignore[misc]
    """Numba's own, with the forms here."""

    def __init__(self, context: Any, library: Any, fndesc: Any, func_ir: Any, metadata: Any = None) -> None:
        if not any(isinstance(each, types.Omitted) for each in fndesc.argtypes):
            fndesc.argtypes = Whole(fndesc.argtypes)
        super().__init__(lean(context), library, fndesc, func_ir, metadata=metadata)
        targets = Counter(each.target.name for block in func_ir.blocks.values() for each in block.find_insts(Assign))
        self._once = {name for name, count in targets.items() if count == 1}
        self._counting: set[str] = set()  # variables that are ranges upwards from 0, or count along one
        self._members: dict[str, list[str]] = {}  # of variables that are tuples, what is in them

    def lower_assign(self, ty: Any, inst: Any) -> Any:
        """The value of a variable; what is known of it is noted."""
        value, name, source = super().lower_assign(ty, inst), inst.target.name, inst.value
        op = "copy" if isinstance(source, Var) else getattr(source, "op", "")
        if name in self._once and op in ("copy", "getiter", "iternext", "pair_first"):
            of = source if op == "copy" else source.value
            self._counting |= {name} if of.name in self._counting else set()
        elif name in self._once and _upwards(self.builder, ty, value):
            self._counting.add(name)
        elif name in self._once and op == "build_tuple":
            self._members[name] = [each.name for each in source.items]
        return value

    def storevar(self, value: Any, name: str, argidx: Any = None) -> None:
        """Store a variable; where no references are counted, what it was before is no matter."""
        if self.context.enable_nrt or name in self._singly_assigned_vars:
            super().storevar(value, name, argidx)
        else:
            self._alloca_var(name, self.typeof(name))
            self.builder.store(value, self.getvar(name))

    def delvar(self, name: str) -> None:
        """Forget a variable."""
        if self.context.enable_nrt:
            super().delvar(name)
        elif name not in self._blk_local_varmap:
            self._singly_assigned_vars.discard(name)
            self._alloca_var(name, self.typeof(name))

    def lower_expr(self, resty: Any, expr: Any) -> Any:
        """The value of an expression."""
        form = getattr(self, f"_lower_{expr.op}", None)
        value = form(resty, expr) if form else None
        return super().lower_expr(resty, expr) if value is None else value

    def lower_setitem(self, target_var: Any, index_var: Any, value_var: Any, signature: Any) -> Any:
        """``target[index] = value``."""
        kind = self.typeof(target_var.name)
        indices = self._indices(kind, index_var)
        if indices is None or len(indices) < kind.ndim:
            return super().lower_setitem(target_var, index_var, value_var, signature)
        value = self.context.cast(self.builder, self.loadvar(value_var.name), self.typeof(value_var.name), kind.dtype)
        place = self._place(self.loadvar(target_var.name), kind.ndim, indices)
        return self.context.pack_value(self.builder, kind.dtype, value, place, align=None)

    def _lower_getitem(self, resty: Any, expr: Any) -> Any:
        return self._item(resty, expr.value, expr.index)

    def _lower_static_getitem(self, resty: Any, expr: Any) -> Any:
        return None if expr.index_var is None else self._item(resty, expr.value, expr.index_var)

    def _item(self, resty: Any, array: Any, index: Any) -> Any:
        kind = self.typeof(array.name)
        indices = self._indices(kind, index)
        if indices is None:
            return None
        value, builder = self.loadvar(array.name), self.builder
        place = self._place(value, kind.ndim, indices)
        if len(indices) == kind.ndim:
            item = self.context.unpack_value(builder, kind.dtype, place, align=None)
            return self.context.cast(builder, item, kind.dtype, resty)
        rest = range(len(indices), kind.ndim)
        shape = [leaf(builder, value, SHAPE, axis) for axis in rest]
        items = shape[0]
        for each in shape[1:]:
            items = builder.mul(items, each)
        held, strides = [leaf(builder, value, i) for i in range(2)], [leaf(builder, value, STRIDES, i) for i in rest]
        size = leaf(builder, value, SIZE)
        view = record(builder, self.context.get_value_type(resty), *held, items, size, place, shape, strides)
        self.incref(resty, view)
        return view

    def _indices(self, kind: Any, index: Any) -> list[tuple[Any, bool]] | None:
        """The integers that index an array in C order, each with whether it is never negative; None of other things."""
        at: Any = self.typeof(index.name)
        several = isinstance(at, types.BaseTuple)
        kinds = list(at) if several else [at]
        if not (isinstance(kind, types.Array) and kind.layout == "C" and kind.aligned and len(kinds) <= kind.ndim):
            return None
        if not kinds or not all(isinstance(types.unliteral(each), types.Integer) for each in kinds):
            return None
        value, builder, found = self.loadvar(index.name), self.builder, []
        names = self._members.get(index.name, [""] * len(kinds)) if several else [index.name]
        for i, (of, name) in enumerate(zip(kinds, names, strict=True)):
            each = self.context.cast(builder, leaf(builder, value, i) if several else value, of, types.intp)
            found.append((each, name in self._counting or _natural(each)))
        return found

    def _place(self, array: Any, axes: int, indices: list[tuple[Any, bool]]) -> Any:
        """Where the first item of some indices is."""
        builder, offset = self.builder, None
        beyond: tuple[Any, bool] = (None, True)
        for axis in range(axes):
            index, natural = indices[axis] if axis < len(indices) else beyond
            length = leaf(builder, array, SHAPE, axis) if axis or not natural else None
            if not natural:  # negative ones count from the end
                below = builder.icmp_signed("<", index, index.type(0))
                index = builder.select(below, builder.add(index, length), index)
            offset = builder.mul(offset, length) if axis else index
            if axis and index is not None:
                offset = builder.add(offset, index)
        return builder.gep(leaf(builder, array, DATA), [offset])

    def _lower_getattr(self, resty: Any, expr: Any) -> Any:
        kind = self.typeof(expr.value.name)
        if isinstance(kind, types.Array) and expr.attr in ("shape", "size"):
            return leaf(self.builder, self.loadvar(expr.value.name), SHAPE if expr.attr == "shape" else ITEMS)
        if isinstance(kind, types.Complex) and expr.attr in ("real", "imag"):
            return leaf(self.builder, self.loadvar(expr.value.name), int(expr.attr == "imag"))
        return None

    def _lower_call(self, resty: Any, expr: Any) -> Any:
        if resty is not types.range_state64_type or expr.kws or expr.vararg:
            return None
        kinds = self.fndesc.calltypes[expr].args
        values = [self._cast_var(each, kind) for each, kind in zip(expr.args, kinds, strict=True)]
        zero, one = (self.context.get_constant(types.int64, i) for i in range(2))
        start, stop, step = {1: (zero, *values, one), 2: (*values, one), 3: values}[len(values)]
        return record(self.builder, self.context.get_value_type(resty), start, stop, step)

    def _lower_getiter(self, resty: Any, expr: Any) -> Any:
        if self.typeof(expr.value.name) is not types.range_state64_type:
            return None
        value, builder = self.loadvar(expr.value.name), self.builder
        start, stop, step = (leaf(builder, value, i) for i in range(3))
        if not (isinstance(step, ir.Constant) and step.constant == 1):
            return None
        length = builder.sub(stop, start)
        count = builder.select(builder.icmp_signed(">", length, length.type(0)), length, length.type(0))
        at, left = cgutils.alloca_once_value(builder, start), cgutils.alloca_once_value(builder, count)
        return record(builder, self.context.get_value_type(resty), at, stop, step, left)

    def _lower_iternext(self, resty: Any, expr: Any) -> Any:
        if self.typeof(expr.value.name) is not types.range_iter64_type:
            return None
        value, builder = self.loadvar(expr.value.name), self.builder
        at, step, left = (leaf(builder, value, i) for i in (0, 2, 3))
        count, item = builder.load(left), builder.load(at)
        builder.store(builder.sub(count, count.type(1)), left)
        builder.store(builder.add(item, step), at)
        more = builder.icmp_signed(">", count, count.type(0))
        return record(builder, self.context.get_value_type(resty), item, more)

    def _lower_pair_first(self, resty: Any, expr: Any) -> Any:
        return self._of_pair(expr, 0)

    def _lower_pair_second(self, resty: Any, expr: Any) -> Any:
        return self._of_pair(expr, 1)

    def _of_pair(self, expr: Any, i: int) -> Any:
        return None if self.context.enable_nrt else leaf(self.builder, self.loadvar(expr.value.name), i)

    def lower_binop(self, resty: Any, expr: Any, op: Any) -> Any:
        """A sum or product of complex numbers, or what Numba has."""
        signature = self.fndesc.calltypes[expr]
        if op not in COMPLEX or not all(each is types.complex128 for each in signature.args):
            return super().lower_binop(resty, expr, op)
        builder = self.builder
        left, right = (self._cast_var(each, types.complex128) for each in (expr.lhs, expr.rhs))
        (a, b), (c, d) = ([leaf(builder, each, i) for i in range(2)] for each in (left, right))
        if op is operator.mul:
            real = builder.fsub(builder.fmul(a, c), builder.fmul(b, d))
            imag = builder.fadd(builder.fmul(a, d), builder.fmul(b, c))
        else:
            real, imag = ((builder.fadd if op is operator.add else builder.fsub)(*pair) for pair in ((a, c), (b, d)))
        value = record(builder, self.context.get_value_type(types.complex128), real, imag)
        return self.context.cast(builder, value, types.complex128, resty)


def _natural(index: Any) -> bool:
    """Whether an index is known not to be negative."""
    return isinstance(index, ir.Constant) and index.constant >= 0


def _upwards(builder: Any, kind: Any, value: Any) -> bool:
    """Whether a value is a range from a natural number on, in natural steps."""
    if kind is not types.range_state64_type or not isinstance(value, ir.instructions.InsertValue):
        return False
    return _natural(leaf(builder, value, 0)) and _natural(leaf(builder, value, 2))


@register_pass(mutates_CFG=True, analysis_only=False)
class Lowering(typed_passes.BaseNativeLowering):  # type: ignore[misc]
    """Numba's pass, with the forms here."""

    _name = "isacsim_lowering"

    @property
    def lowering_class(self) -> Any:
        """What it lowers with."""
        return Lower


# Passes for functions that make no arrays, and so no closures, comprehensions, array expressions or exceptions either:
# each of Numba's other ones looks through all statements, mostly to find nothing. Deleting is for counts of references.
NEEDED = (
    untyped_passes.TranslateByteCode,
    untyped_passes.FixupArgs,
    untyped_passes.IRProcessing,
    untyped_passes.RewriteSemanticConstants,
    untyped_passes.DeadBranchPrune,
    untyped_passes.GenericRewrites,
    untyped_passes.ReconstructSSA,
    typed_passes.NopythonTypeInference,
    typed_passes.PreLowerStripPhis,
    typed_passes.AnnotateTypes,
    Lowering,
    typed_passes.NoPythonBackend,
)


class Compiler(compiler.Compiler):  # type: ignore[misc]
    """Numba's compiler, with that pass, and few others where no references are counted."""

    def define_pipelines(self) -> list[Any]:
        """Its passes."""
        (pipeline,) = super().define_pipelines()
        passes = [(Lowering if each is typed_passes.NativeLowering else each, name) for each, name in pipeline.passes]
        if not self.state.flags.nrt:
            passes = list({each: name for each, name in passes if each in NEEDED}.items())
        pipeline.passes = passes
        return [pipeline]


def _is_array(kind: Any) -> bool:
    """Whether a type is the record of an array."""
    return isinstance(kind, ir.LiteralStructType) and len(kind.elements) > STRIDES


class NoCode:
    """What a part has in place of LLVM's engine."""

    @staticmethod
    def set_env(name: str, environment: Any) -> None:
        """Nothing that Python objects would be reached from: parts raise no errors that name any."""


class PartLibrary(codegen.JITCodeLibrary):  # type: ignore[misc]
    """What LLVM makes of a part: no machine code."""

    codegen = NoCode

    def __init__(self, compiled: Any, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.compiled = compiled

    def add_ir_module(self, module: Any) -> None:
        """Add the text of a part. What takes arrays is there once, and called: that costs nothing beside its loops."""
        brief = getattr(self.compiled.func_id.func, "is_brief", False)
        for each in module.functions:
            if not each.is_declaration and any(_is_array(argument.type) for argument in each.args):
                each.attributes.add("noinline")
                if brief:
                    each.attributes.add("optsize")
        super().add_ir_module(module)

    def _optimize_final_module(self) -> None:
        pass

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()
        self._finalized = True

    def get_pointer_to_function(self, name: str) -> int:
        """Numba's answer where there is no code."""
        self._ensure_finalized()
        return 0


class PartCompiler(Compiler):
    """The compiler, without machine code for a part by itself.

    A part is typed and lowered; what calls it takes a copy, so that the kernel at the top is optimised and made
    machine code of once, as a whole. Numba would do both for every part, and for the parts in it.
    """

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.state.library = PartLibrary(self.state, self.state.targetctx.codegen(), "part")
