"""Numba's compiler with the forms of this room, and with what it does more often than needed left out."""
# mypy: disable-error-code="no-untyped-call, unused-ignore, assignment"

from __future__ import annotations

from typing import Any

from numba.core import compiler, typed_passes, untyped_passes
from numba.core.compiler_machinery import PassManager, register_pass

from isacsim.lowering.libraries import KernelLibrary, PartLibrary
from isacsim.lowering.statements import Lower


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


class Passes(PassManager):  # type: ignore[misc]
    """Numba's series of passes, without what it tells of each and what it works out anew behind each."""

    def _runPass(self, index: int, each: Any, state: Any) -> None:
        each.analysis = self._analysis
        each.run_initialization(state)
        each.run_pass(state)
        each.run_finalizer(state)


class Compiler(compiler.Compiler):  # type: ignore[misc]
    """Numba's compiler, with that pass, and few others where no references are counted."""

    def define_pipelines(self) -> list[Any]:
        """Its passes."""
        (pipeline,) = super().define_pipelines()
        passes = [(Lowering if each is typed_passes.NativeLowering else each, name) for each, name in pipeline.passes]
        if not self.state.flags.nrt:
            passes = list({each: name for each, name in passes if each in NEEDED}.items())
            pipeline.__class__ = Passes
        pipeline.passes = passes
        return [pipeline]

    def library(self, function: Any) -> Any:
        """What LLVM makes of a function."""
        few_passes = getattr(function, "few_passes", False)
        library = KernelLibrary(few_passes, self.state.targetctx.codegen(), function.__qualname__)
        library.enable_object_caching()
        return library

    def compile_extra(self, function: Any) -> Any:
        """What Numba makes of a function."""
        self.state.library = self.library(function)
        return super().compile_extra(function)


class PartCompiler(Compiler):
    """The compiler, without machine code: a part is typed and lowered, and what calls it takes a copy."""

    def library(self, function: Any) -> Any:
        """What LLVM makes of a function."""
        return PartLibrary(self.state, self.state.targetctx.codegen(), "part")
