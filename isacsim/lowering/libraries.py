"""What LLVM makes of kernels: one module for each with all its parts, optimised and made machine code of once.

Numba does both for every part, and again for all parts in it.
"""
# mypy: disable-error-code="no-untyped-call, unused-ignore, assignment"

from __future__ import annotations

from typing import Any

from llvmlite.binding import Linkage, parse_assembly
from numba.core import cgutils, codegen

from isacsim.lowering.records import is_address

FIRST = 2  # arguments of every function: where the result goes, and what is known of an error


class NoCode:
    """What a part has in place of LLVM's engine."""

    @staticmethod
    def set_env(name: str, environment: Any) -> None:
        """Nothing that Python objects would be reached from: parts raise no errors that name any."""


class Library(codegen.JITCodeLibrary):  # type: ignore[misc]
    """A module that is not optimised before it has all that it needs."""

    def add_ir_module(self, module: Any) -> None:
        """Add a module, which a kernel verifies when it has all."""
        self._raise_if_finalized()
        self._final_module.link_in(parse_assembly(cgutils.normalize_ir_text(str(module))))


class PartLibrary(Library):
    """What LLVM makes of a part: its text as it is, which the kernels that need it take."""

    codegen = NoCode

    def __init__(self, compiled: Any, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.compiled = compiled

    def add_ir_module(self, module: Any) -> None:
        """Add the text of a part. What takes arrays is there once, and called: that costs nothing beside its loops."""
        brief = getattr(self.compiled.func_id.func, "is_brief", False)
        for each in module.functions:
            if not each.is_declaration and any(is_address(argument.type) for argument in each.args[FIRST:]):
                each.attributes.add("noinline")
                if brief:
                    each.attributes.add("optsize")
        super().add_ir_module(module)

    def finalize(self) -> None:
        """What needs no more than this."""
        self._finalize_dynamic_globals()
        self._finalized = True

    def get_pointer_to_function(self, name: str) -> int:
        """Numba's answer where there is no code."""
        self._ensure_finalized()
        return 0


class KernelLibrary(Library):
    """What LLVM makes of a kernel. Nothing else can call its parts: so what they take and return can be left out, too.

    And no two kernels can have one name for two functions.
    """

    def __init__(self, few_passes: bool, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.few_passes = few_passes

    def finalize(self) -> None:
        """Link all that the kernel needs, optimise it, and make machine code."""
        self._raise_if_finalized()
        module = self._final_module
        own = {each.name for each in _defined(module) if each.linkage == Linkage.external}
        for each in self._needed():
            self._reload_init.update(each._reload_init)
            taken = each._final_module if isinstance(each, PartLibrary) else each._get_module_for_linking()
            module.link_in(taken, preserve=True)
        for each in _defined(module):
            if each.name not in own:
                each.linkage = Linkage.internal
        few = {"opt": 1, "loop_vectorize": False, "slp_vectorize": False} if self.few_passes else {}
        passes, builder = self._codegen._module_pass_manager(**few)
        passes.run(module, builder)
        module.verify()
        self._finalize_final_module()

    def _needed(self) -> list[Any]:
        """The libraries of all parts, and Numba's own."""
        found: dict[Any, None] = {}
        todo: list[Any] = [self]
        while todo:
            new = [each for each in todo.pop()._linking_libraries if each not in found]
            found.update(dict.fromkeys(new))
            todo += [each for each in dict.fromkeys(new) if isinstance(each, PartLibrary)]
        return list(found)


def _defined(module: Any) -> list[Any]:
    """The functions that a module has itself."""
    return [each for each in module.functions if not each.is_declaration]
