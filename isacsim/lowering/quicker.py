"""What Numba does again and again while it compiles, to the same result, and for a time does once.

All here replaces functions of Numba's and llvmlite's classes, and puts them back: within `isacsim.compiled`'s lock.
"""
# mypy: disable-error-code="no-untyped-call, unused-ignore, assignment"

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator
from typing import Any

from llvmlite.binding import ffi
from numba.core import ir, postproc, transforms, types


@contextlib.contextmanager
def quicker() -> Iterator[None]:
    """Within it Numba compiles with what is here."""
    with _answers_kept(), _hashes_kept(), _variables_listed(), _lifetimes_left(), _lock_untold(), _uncollected():
        yield


@contextlib.contextmanager
def _replaced(owner: Any, name: str, other: Any) -> Iterator[None]:
    """Within it an attribute is another one."""
    before = getattr(owner, name)
    setattr(owner, name, other)
    try:
        yield
    finally:
        setattr(owner, name, before)


def _answers_kept() -> contextlib.AbstractContextManager[None]:
    """Within it Numba looks once only for the form of one of its own functions that fits some types.

    It goes through a dozen forms of ``x[i]`` or ``x + y`` each time that they occur: a tenth of the work.
    """
    functions: Any = types.BaseFunction
    resolve, known = functions.get_call_type, {}

    def resolve_once(function: Any, context: Any, arguments: Any, keywords: Any) -> Any:
        if keywords:
            return resolve(function, context, arguments, keywords)
        if (function, arguments) not in known:
            known[function, arguments] = resolve(function, context, arguments, keywords)
        return known[function, arguments]

    return _replaced(functions, "get_call_type", resolve_once)


def _hashes_kept() -> contextlib.AbstractContextManager[None]:
    """Within it the hash of a type is worked out once: that of a record goes through all arrays in it."""
    known: dict[int, tuple[int, Any]] = {}

    def kept(kind: Any) -> int:
        found = known.get(id(kind))
        if found is None:
            found = known[id(kind)] = hash(kind.key), kind  # which keeps the type, so that no other gets its number
        return found[0]

    return _replaced(types.Type, "__hash__", kept)


def _variables_listed() -> contextlib.AbstractContextManager[None]:
    """Within it the variables of a statement are found by the types of what is in it, most of which holds none."""
    listed = ir.Inst._rec_list_vars
    holds: dict[type, bool] = {}

    def variables(self: Any, value: Any) -> list[Any]:
        kind = type(value)
        if kind is ir.Var:
            return [value]
        if kind not in holds:
            holds[kind] = issubclass(kind, (ir.Var, ir.Inst, list, tuple, dict))
        return listed(self, value) if holds[kind] else []  # type: ignore[no-any-return]

    return _replaced(ir.Inst, "_rec_list_vars", variables)


def _lifetimes_left() -> contextlib.AbstractContextManager[None]:
    """Within it no lifetimes of variables are worked out where nothing is deleted: they serve counts of references."""
    processor, run = postproc.PostProcessor, postproc.PostProcessor.run

    def canonicalise(self: Any, emit_dels: bool = False, extend_lifetimes: bool = False) -> None:
        if emit_dels or self.func_ir.is_generator:
            return run(self, emit_dels, extend_lifetimes)
        self.func_ir.blocks = transforms.canonicalize_cfg(self.func_ir.blocks)
        self.func_ir.variable_lifetime = postproc.VariableLifetime(self.func_ir.blocks)  # on request
        self.func_ir.generator_info = None

    return _replaced(processor, "run", canonicalise)


def _lock_untold() -> contextlib.AbstractContextManager[None]:
    """Within it nobody is told of each call of LLVM: twenty thousand, to as many clocks as parts are under way."""
    return _replaced(ffi.lib._lock, "_cblist", [])


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Within it Python looks for no garbage among the millions of objects that Numba makes: a twelfth of the work."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
