"""Loops compiled by Numba when they are first called.

For loops over a member whose length depends on its numbers, and for arithmetic that NumPy could
only do in several passes over memory, or in calls that take longer than it. What is compiled is
plain Python that works alone, too. docs/architecture.md has the rule, and all that is compiled.
"""

from __future__ import annotations

import contextlib
import dis
import hashlib
import logging
import multiprocessing
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import FunctionType
from typing import Any, TypeVar, cast

import numpy as np

from isacsim.typing import AnyArray

F = TypeVar("F", bound=Callable[..., Any])
OPTIONS: dict[str, Any] = {
    "nogil": True,
    "error_model": "numpy",
    "no_cfunc_wrapper": True,
}  # nothing calls a kernel from C
# Versions of Numba whose inner classes `isacsim.lowering` was tried with; of others all is compiled as Numba does
# it, to the same results, in up to twice the time.
KNOWN = ((0, 68),)
MAKERS = (
    Path(__file__),
    *sorted(Path(__file__).with_name("lowering").glob("*.py")),
)  # what is on disk depends on these, too
LOG = logging.getLogger(__name__)
_ONE = threading.RLock()  # threads compile one after the other, and what is changed in Numba for it is changed once
ANNOUNCEMENT = "isacsim: compiling for the first use on this machine, which takes seconds (ahead: `isacsim warm-up`)"


def part(function: F) -> F:
    """``function`` itself, which compiled ones may call, and parts of them."""
    function.is_part = True  # type: ignore[attr-defined]
    return function


def brief(function: F) -> F:
    """A part whose loops are short, which LLVM need not unroll: half of the machine code."""
    function.is_brief = True  # type: ignore[attr-defined]
    return part(function)


def few_passes(function: F) -> F:
    """A kernel whose work is in BLAS and LAPACK: LLVM's first passes do, in half the time of all that it has."""
    function.few_passes = True  # type: ignore[attr-defined]
    return function


def native(form: Callable[[], Callable[..., Any]], needed: bool = False) -> Callable[[F], F]:
    """A decorator of a part that compiled code has in another form: a function that Numba takes, made when asked for.

    Args:
        form: Makes it.
        needed: Whether Numba cannot compile the part itself, so that every version takes the other form.
    """

    def decorate(function: F) -> F:
        function.native, function.needed = form, needed  # type: ignore[attr-defined]
        return part(function)

    return decorate


@cache
def compiled(function: Callable[..., Any], allocates: bool = False) -> Callable[..., Any]:
    """``function`` compiled, with what is compiled kept on disk where there is a place for it.

    The arithmetic is that of IEEE 754 in the order in which it is written, so that the bytes
    are those of the function itself, but for matrix products and factorisations, where SciPy's
    BLAS takes the place of NumPy's.

    Args:
        function: A kernel.
        allocates: Whether it or a part of it makes arrays. One that does not is compiled without counts of references,
            a tenth of the work; what it made after all would never be freed.
    """
    _listen()
    named = _named_by_parts(function, allocates)
    try:
        kernel = _jitted(named, allocates, cache=True)
    except RuntimeError:  # neither the package nor the user has a folder that can be written
        return _jitted(named, allocates)
    return _shared(_guarded(kernel))


def _jitted(named: Callable[..., Any], allocates: bool, **more: Any) -> Any:
    """A kernel that calls compiled parts, compiled when it is called."""
    import numba

    if _tried():
        from isacsim.lowering.compilers import Compiler

        more["pipeline_class"] = Compiler
    return numba.njit(**_options(allocates), **more)(named)


def _tried() -> bool:
    """Whether the Numba that is there is one whose inner classes were tried."""
    import numba

    return tuple(numba.version_info.short) in KNOWN


def _quicker() -> contextlib.AbstractContextManager[None]:
    """Within it Numba compiles as quickly as it can be made to."""
    if not _tried():
        return contextlib.nullcontext()
    from isacsim.lowering.quicker import quicker

    return quicker()


def _options(allocates: bool) -> dict[str, Any]:
    return {**OPTIONS, "_nrt": allocates or not _tried()}


def writable(array: AnyArray) -> AnyArray:
    """An array as kernels take it, in C order and to be written to; a copy where it is not."""
    flags = array.flags  # `numpy.require` takes as long as a call of a small kernel to see the same
    return array if flags.c_contiguous and flags.writeable else np.array(array, order="C")


def parts_of(function: Any) -> list[FunctionType]:
    """The parts that a function calls, and those that they call."""
    found: dict[FunctionType, None] = {}
    todo = [function]
    while todo:
        new = [each for each in _called(todo.pop()).values() if each not in found]
        found.update(dict.fromkeys(new))
        todo += new
    return list(found)


def _constants(function: Any) -> list[tuple[str, Any]]:
    """The numbers that a function takes from its module, with their names; they may come from other files."""
    return [(name, value) for name, value in _used(function) if isinstance(value, int | float | complex | tuple)]


def _used(function: Any) -> list[tuple[str, Any]]:
    """What a function takes from its module, by name."""
    names = {each.argval for each in dis.get_instructions(function) if each.opname == "LOAD_GLOBAL"}
    return [(name, function.__globals__.get(name)) for name in sorted(names)]


def _called(function: Any) -> dict[str, FunctionType]:
    """The parts that a function itself calls, by the names that it has for them."""
    return {name: each for name, each in _used(function) if getattr(each, "is_part", False)}


@contextlib.contextmanager
def compilations() -> Iterator[dict[str, float]]:
    """Within it: the seconds that each function takes which is compiled, by name; none that comes from disk."""
    seconds: dict[str, float] = {}
    _WATCHERS.append(seconds)
    try:
        yield seconds
    finally:
        _WATCHERS[:] = [each for each in _WATCHERS if each is not seconds]


def _guarded(kernel: Any) -> Any:
    """The kernel, for which what is on disk and cannot be read is not there.

    Numba names the types of arguments by their modules, and raises where one has moved or is gone.
    """
    load = kernel._cache.load_overload

    def load_overload(signature: Any, context: Any) -> Any:
        try:
            return load(signature, context)
        except Exception as error:  # whatever reading a pickle may raise
            LOG.info("compiling %s anew: what is on disk cannot be read (%r)", kernel.py_func.__name__, error)
            kernel._cache.flush()
            return None

    kernel._cache.load_overload = load_overload
    return kernel


def _shared(kernel: Any) -> Any:
    """The kernel, which of the processes that share the folder on disk one compiles; the others wait, and load it.

    Workers of a node begin together, and all with the same kernels.
    """
    compile_here = kernel.compile

    def compile_once(signature: Any) -> Any:
        with (
            _ONE,
            _alone(Path(kernel.stats.cache_path) / f"{kernel.py_func.__qualname__}.lock"),
            _quicker(),
        ):
            return compile_here(signature)

    kernel.compile = compile_once
    return kernel


@contextlib.contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Within it no other process is that names the same file; where the system cannot tell, others may be."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(ImportError, OSError):  # Windows; a folder of a network without locks
            import fcntl

            lock.parent.mkdir(parents=True, exist_ok=True)
            file = stack.enter_context(lock.open("ab"))
            fcntl.flock(file, fcntl.LOCK_EX)  # released with the file, and with a process that is killed
        yield


@cache
def _linked(function: FunctionType, allocates: bool) -> Any:
    """A part, compiled for others that call it, and without the entries that Python and C would call."""
    import numba

    options = {**_options(allocates), "no_cpython_wrapper": True}
    if not _tried():
        form = cast(Any, function).native() if getattr(function, "needed", False) else function
        return numba.njit(**options)(_with_parts(form, allocates))
    from isacsim.lowering.compilers import PartCompiler

    form = getattr(function, "native", lambda: function)()
    linked = numba.njit(**options, pipeline_class=PartCompiler)(_with_parts(form, allocates))
    resolve, plain = linked.get_call_template, cast(Any, numba.types.unliteral)

    def get_call_template(arguments: Any, keywords: Any) -> Any:
        # Numba takes a constant for a type of its own, and would compile the part anew for each.
        return resolve(tuple(plain(each) for each in arguments), {name: plain(each) for name, each in keywords.items()})

    linked.get_call_template = get_call_template
    return linked


def _with_parts(function: Any, allocates: bool) -> FunctionType:
    """A copy that calls the compiled parts."""
    names = {**function.__globals__, **{name: _linked(each, allocates) for name, each in _called(function).items()}}
    copy = FunctionType(function.__code__, names, function.__name__, function.__defaults__, function.__closure__)
    copy.__dict__.update(function.__dict__)
    copy.__module__, copy.__qualname__, copy.__doc__ = function.__module__, function.__qualname__, function.__doc__
    return copy


def _named_by_parts(function: Any, allocates: bool) -> FunctionType:
    """A copy whose qualified name tells the contents of the files that the parts are in, and of those that compile it.

    Numba renews what is on disk when the file of the function changes, not when those of its parts
    do, or a constant from elsewhere; but it keeps functions of different names apart.
    """
    parts = [function, *parts_of(function)]
    records = {each.__module__ for of in parts for _, each in _used(of) if isinstance(each, type)}
    made_of = (str(sys.modules[name].__file__) for name in records if name != "builtins")
    files = sorted({*(each.__code__.co_filename for each in parts[1:]), *map(str, MAKERS), *made_of})
    constants = [_constants(each) for each in parts]
    contents = [repr(constants).encode(), *(Path(file).read_bytes() for file in files)]
    digest = hashlib.sha256(b"".join(contents)).hexdigest()
    copy = _with_parts(function, allocates)
    copy.__qualname__ = f"{function.__qualname__}_{digest[:16]}"
    copy.is_kernel = True  # type: ignore[attr-defined]
    return copy


# Who is told of compilations is a matter of the process, like loggers and warnings; no result depends on it.
_WATCHERS: list[dict[str, float]] = []
_LISTENERS: list[Callable[[str], None]] = []


@contextlib.contextmanager
def heard(hear: Callable[[str], None]) -> Iterator[None]:
    """Within it: ``hear`` is called with what is said of compilations, before the first and after each."""
    _LISTENERS.append(hear)
    try:
        yield
    finally:
        _LISTENERS.remove(hear)


def _say(text: str) -> None:
    LOG.info("%s", text)
    for hear in _LISTENERS:
        hear(text)


@cache
def _listen() -> None:
    """Have Numba tell of what it compiles: `numba.core.event`, which its manual documents."""
    from numba.core import event

    began: list[float] = []  # Numba compiles under one lock

    class Listener(event.Listener):
        def on_start(self, event: Any) -> None:
            if _is_kernel(event):
                began.append(time.perf_counter())
                _announce()

        def on_end(self, event: Any) -> None:
            if _is_kernel(event) and began:
                name, seconds = event.data["dispatcher"].py_func.__name__, time.perf_counter() - began.pop()
                _say(f"compiled {name} in {seconds:.1f} s")
                for each in _WATCHERS:
                    each[name] = each.get(name, 0.0) + seconds

    event.register("numba:compile", Listener())  # type: ignore[no-untyped-call]


def _is_kernel(event: Any) -> bool:
    return getattr(event.data["dispatcher"].py_func, "is_kernel", False)


@cache
def _announce() -> None:
    """Tell, once a process, that there is a wait: the log, and who sits at a terminal.

    Workers of a run say nothing on it: there are many, and a progress bar.
    """
    _say(ANNOUNCEMENT)
    if sys.stderr is not None and sys.stderr.isatty() and multiprocessing.parent_process() is None:
        print(ANNOUNCEMENT, file=sys.stderr, flush=True)
