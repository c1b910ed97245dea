"""From Numba's statements to LLVM's, for what kernels do most and in few words: most of what compiling takes is text.

Numba's own forms copy a whole array record for each ``A[i, j]``, take records apart and build them anew at each call,
and tell a loop over ``range(n)`` by a division. The forms here say the same in a third of the instructions; what they
do not know goes to Numba's. Imported when something is compiled, where Numba is one that it was tried with.
"""
# mypy: disable-error-code="no-untyped-call, unused-ignore, assignment"

from __future__ import annotations

import operator
from collections import Counter
from typing import Any

from llvmlite import ir
from numba.core import cgutils, lowering, types
from numba.core.ir import Assign, Var

from isacsim.lowering.records import DATA, ITEMS, SHAPE, SIZE, STRIDES, Whole, lasts, leaf, lean, record

NAMED = types.NamedTuple, types.NamedUniTuple
COMPLEX = (operator.add, operator.sub, operator.mul)


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
        self._lasting: dict[str, Any] = {}  # values of variables that lie where nobody changes them

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

    def loadvar(self, name: str) -> Any:
        """The value of a variable."""
        return self._lasting[name] if name in self._lasting else super().loadvar(name)

    def storevar(self, value: Any, name: str, argidx: Any = None) -> None:
        """Store a variable; where no references are counted, what it was before is no matter."""
        if self.context.enable_nrt or name in self._singly_assigned_vars:
            super().storevar(value, name, argidx)
        elif name in self._once and name not in self.varmap and lasts(value):
            self._lasting[name] = value
        else:
            self._alloca_var(name, self.typeof(name))
            self.builder.store(value, self.getvar(name))

    def delvar(self, name: str) -> None:
        """Forget a variable."""
        if self.context.enable_nrt:
            super().delvar(name)
        elif name not in self._blk_local_varmap and name not in self._lasting:
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
        kind, index = self.typeof(expr.value.name), expr.index
        if isinstance(kind, types.BaseTuple) and isinstance(index, int) and not self.context.enable_nrt:
            return self._member(resty, expr, index % len(kind))
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
        if isinstance(kind, NAMED) and not self.context.enable_nrt and expr.attr in kind.fields:
            return self._member(resty, expr, kind.fields.index(expr.attr))
        if isinstance(kind, types.Array) and expr.attr in ("shape", "size"):
            return leaf(self.builder, self.loadvar(expr.value.name), SHAPE if expr.attr == "shape" else ITEMS)
        if isinstance(kind, types.Complex) and expr.attr in ("real", "imag"):
            return leaf(self.builder, self.loadvar(expr.value.name), int(expr.attr == "imag"))
        return None

    def _member(self, resty: Any, expr: Any, i: int) -> Any:
        value = leaf(self.builder, self.loadvar(expr.value.name), i)
        return self.context.cast(self.builder, value, self.typeof(expr.value.name)[i], resty)

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
