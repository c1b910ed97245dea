"""Factorisations as LAPACK makes them, and what BLAS has beyond products, in compiled code as in plain Python.

A function of `numpy.linalg` takes Numba one to six seconds to compile, most of them for messages that no one reads and
for counts of references. Here compiled code calls SciPy's LAPACK by itself and in place, in a line of text each time.
What breaks down, or does not fit, becomes NaN. Arrays are in C order, and LAPACK sees their transposes: so what it
leaves of a Hermitian matrix are the conjugates of its eigenvectors as rows, and a lower triangle is an upper one to it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from isacsim.compiled import native
from isacsim.linalg.blas import NANS, equal, numba_parts, once
from isacsim.typing import AnyArray, ComplexArray, FloatArray

BLOCK = 32  # rows that LAPACK takes together in its larger matrices, with room for them


class _Data(NamedTuple):
    """An array in the text of a function."""

    data: Any
    sizes: list[Any]
    bytes_: int  #: of one number


class _Text:
    """The text of one function: calls of Fortran's functions, which take addresses."""

    def __init__(self, builder: Any) -> None:
        self.builder = builder

    def place(self, value: Any) -> Any:
        """Where a value lies; integers there have 32 bits."""
        from llvmlite import ir

        if isinstance(value, _Data):
            return value.data
        if isinstance(value, str):
            value = ir.Constant(ir.IntType(8), ord(value))
        elif isinstance(value, int):
            value = ir.Constant(ir.IntType(32), value)
        elif isinstance(value, float):
            value = ir.Constant(ir.DoubleType(), value)
        elif isinstance(value.type, ir.PointerType):
            return value
        elif isinstance(value.type, ir.IntType):
            value = self.builder.trunc(value, ir.IntType(32))
        address = self.builder.alloca(value.type)
        self.builder.store(value, address)
        return address

    def room(self, count: Any, times: int = 1) -> Any:
        """Memory for some complex numbers, till the function returns."""
        from llvmlite import ir

        size = self.builder.mul(count, count.type(times))
        return self.builder.alloca(ir.ArrayType(ir.DoubleType(), 2), size)

    def call(self, name: str, *values: Any) -> None:
        """Call a function by its name in Fortran."""
        from llvmlite import ir

        places = [self.builder.bitcast(self.place(each), ir.IntType(8).as_pointer()) for each in values]
        module, symbol = self.builder.module, f"isacsim_{name}"
        function = module.globals.get(symbol)
        if function is None:
            function = ir.Function(module, ir.FunctionType(ir.VoidType(), [each.type for each in places]), symbol)
        self.builder.call(function, places)

    def reals(self, array: _Data) -> Any:
        """How many real numbers an array has, two in each complex one."""
        total = array.sizes[0].type(array.bytes_ // 8)
        for size in array.sizes:
            total = self.builder.mul(total, size)
        return total

    def erase(self, array: _Data) -> None:
        """Write NaN over all numbers."""
        memset: Any = numba_parts()[0].memset
        total = self.reals(array)
        memset(self.builder, array.data, self.builder.mul(total, total.type(8)), NANS)

    def unless(self, info: Any, array: _Data) -> None:
        """Write NaN where LAPACK tells of a failure."""
        failed = self.builder.icmp_signed("!=", self.builder.load(info), self.builder.load(info).type(0))
        with self.builder.if_then(failed):
            self.erase(array)

    @contextlib.contextmanager
    def fitting(self, array: _Data, *pairs: tuple[Any, Any]) -> Iterator[None]:
        """Within it sizes are the same in pairs, and there are numbers; elsewhere the array is NaN."""
        some = self.builder.icmp_signed(">", pairs[0][0], pairs[0][0].type(0))
        with self.builder.if_else(self.builder.and_(some, equal(self.builder, *pairs))) as (sound, broken):
            with broken:
                self.erase(array)
            with sound:
                yield


def _routine(arguments: str, names: tuple[str, ...], write: Callable[..., None]) -> Callable[[], Callable[..., Any]]:
    """What makes the compiled form of a function, whose arrays are in C order.

    Args:
        arguments: A letter for each: ``d`` for an array of real numbers, ``z`` of complex ones, ``t`` of either, but
            then of one type, and ``s`` for a number.
        names: The functions that it calls, without their letter for the type.
        write: Writes the text, given the letter for the type of the first array.
    """

    @cache
    def make() -> Callable[..., Any]:
        from numba.core import types
        from numba.extending import intrinsic

        _known(tuple(letter + name for letter in "dz" for name in names))
        letters = {types.float64: "d", types.complex128: "z"}

        def typed(context: Any, *kinds: Any) -> Any:
            first = next((each.dtype for each, letter in zip(kinds, arguments, strict=True) if letter == "t"), None)
            for each, letter in zip(kinds, arguments, strict=True):
                if letter == "s":
                    sound = each == types.float64
                else:
                    sound = isinstance(each, types.Array) and each.layout == "C" and each.dtype in letters
                    sound = sound and (each.dtype == first if letter == "t" else letters[each.dtype] == letter)
                if not sound:
                    return None  # of which Numba makes an error that names the types
            return types.none(*kinds), _text(write, letters)

        # Numba asks for as many arguments as a call has.
        call: Any = intrinsic(
            {
                1: lambda context, a: typed(context, a),
                2: lambda context, a, b: typed(context, a, b),
                3: lambda context, a, b, c: typed(context, a, b, c),
                4: lambda context, a, b, c, d: typed(context, a, b, c, d),
            }[len(arguments)]
        )
        forms: dict[int, Callable[..., Any]] = {
            1: lambda a: call(a),
            2: lambda a, b: call(a, b),
            3: lambda a, b, c: call(a, b, c),
            4: lambda a, b, c, d: call(a, b, c, d),
        }
        form = forms[len(arguments)]
        # Machine code from disk and new one find each other's functions by these names, and a number that is the
        # same in two processes: of one name, an inverse could become a Cholesky factor.
        form.__name__ = form.__qualname__ = f"isacsim{write.__name__}"
        return form

    return make


def _text(write: Callable[..., None], letters: dict[Any, str]) -> Callable[..., Any]:
    """What Numba calls to lower a call: one function with the text of ``write`` for all calls of a module."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        from numba.core import types

        cgutils, _, make_array, _ = numba_parts()
        kinds, values, shapes = signature.args, [], []
        for kind, value in zip(kinds, arguments, strict=True):
            if isinstance(kind, types.Array):
                array = make_array(kind)(context, builder, value)
                values.append(array.data)
                shapes.append(cgutils.unpack_tuple(builder, array.shape))
            else:
                values.append(value)
                shapes.append([])

        def body(inside: Any, *given: Any) -> None:
            rest, arrays = iter(given[len(kinds) :]), []
            for kind, value, shape in zip(kinds, given, shapes, strict=False):
                sizes = [next(rest) for _ in shape]
                arrays.append(_Data(value, sizes, 8 if kind.dtype == types.float64 else 16) if shape else value)
            write(_Text(inside), letters[kinds[-1].dtype], *arrays)

        body.__qualname__ = write.__name__
        once(builder, kinds, [*values, *(size for shape in shapes for size in shape)], body)
        return context.get_dummy_value()

    return code


@cache
def _known(names: tuple[str, ...]) -> None:
    """Tell LLVM where SciPy's functions are: of a kernel that comes from disk, too."""
    from llvmlite import binding
    from numba.extending import get_cython_function_address

    for name in names:
        for library in ("blas", "lapack"):
            with contextlib.suppress(ValueError):  # it is in the other one, or of no such type
                binding.add_symbol(
                    f"isacsim_{name}", get_cython_function_address(f"scipy.linalg.cython_{library}", name)
                )


def _adjoint_times(text: _Text, letter: str, A: _Data, B: _Data, into: _Data) -> None:
    (m, n), (rows, p) = A.sizes, B.sizes
    with text.fitting(into, (n, into.sizes[0]), (p, into.sizes[1]), (m, rows)):
        text.call(f"{letter}gemm", "N", "C", p, n, m, _one(letter), B, p, A, n, _none(letter), into, p)


def _times_adjoint(text: _Text, letter: str, A: _Data, B: _Data, into: _Data) -> None:
    (m, n), (p, columns) = A.sizes, B.sizes
    with text.fitting(into, (m, into.sizes[0]), (p, into.sizes[1]), (n, columns)):
        text.call(f"{letter}gemm", "C", "N", p, m, n, _one(letter), B, n, A, n, _none(letter), into, p)


def _gram(text: _Text, letter: str, A: _Data, weight: Any, share: Any, into: _Data) -> None:
    (m, n), (rows, columns) = A.sizes, into.sizes
    with text.fitting(into, (n, rows), (n, columns)):
        text.call("dsyrk", "U", "N", n, m, weight, A, n, share, into, n)


def _eigen(text: _Text, letter: str, A: _Data, spectrum: _Data, job: str = "V") -> None:
    (rows, columns), (n,) = A.sizes, spectrum.sizes
    with text.fitting(spectrum, (n, rows), (n, columns)):
        info, length = text.place(0), text.builder.mul(n, n.type(BLOCK + 1))
        text.call("zheev", job, "L", n, A, n, spectrum, text.room(n, BLOCK + 1), length, text.room(n, 2), info)
        text.unless(info, spectrum)


def _eigenvalues(text: _Text, letter: str, A: _Data, spectrum: _Data) -> None:
    _eigen(text, letter, A, spectrum, "N")


def _invert(text: _Text, letter: str, A: _Data) -> None:
    n, columns = A.sizes
    with text.fitting(A, (n, columns)):
        info, pivots, length = text.place(0), text.room(n), text.builder.mul(n, n.type(BLOCK))
        text.call("zgetrf", n, n, A, n, pivots, info)
        text.unless(info, A)
        text.call("zgetri", n, A, n, pivots, text.room(n, BLOCK), length, info)


def _orthonormalise(text: _Text, letter: str, A: _Data) -> None:
    (rows, n), builder = A.sizes, text.builder
    with text.fitting(A, (rows, builder.select(builder.icmp_signed("<", rows, n), rows, n))):
        info, tau, room = text.place(0), text.room(rows), text.room(rows, BLOCK)
        length = builder.mul(rows, rows.type(BLOCK))
        text.call("zgeqrf", n, rows, A, n, tau, room, length, info)
        text.call("zungqr", n, rows, rows, A, n, tau, room, length, info)


def _factorise(text: _Text, letter: str, A: _Data) -> None:
    n, columns = A.sizes
    with text.fitting(A, (n, columns)):
        info, builder = text.place(0), text.builder
        text.call(f"{letter}potrf", "U", n, A, n, info)
        text.unless(info, A)
        rest, second = builder.sub(n, n.type(1)), builder.gep(A.data, [n.type(1)])
        with builder.if_then(builder.icmp_signed("==", builder.load(info), builder.load(info).type(0))):
            zero = _none(letter)
            text.call(f"{letter}laset", "L", rest, rest, zero, zero, second, n)


def _substitute(text: _Text, letter: str, L: _Data, x: _Data) -> None:
    (rows, columns), (n,) = L.sizes, x.sizes
    with text.fitting(x, (n, rows), (n, columns)):
        text.call("dpotrs", "U", n, 1, L, n, x, n, text.place(0))


def _combine(text: _Text, letter: str, a: Any, X: _Data, b: Any, Y: _Data) -> None:
    with text.fitting(Y, *zip(X.sizes, Y.sizes, strict=True)):
        size = text.reals(Y)
        text.call("dscal", size, b, Y, 1)
        text.call("daxpy", size, a, X, 1, Y, 1)


def _scale(text: _Text, letter: str, a: Any, X: _Data, Y: _Data) -> None:
    with text.fitting(Y, *zip(X.sizes, Y.sizes, strict=True)):
        size = text.reals(Y)
        text.call("dcopy", size, X, 1, Y, 1)
        text.call("dscal", size, a, Y, 1)


def _one(letter: str, value: float = 1.0) -> Any:
    """The number 1 of a type."""
    from llvmlite import ir

    return value if letter == "d" else ir.Constant(ir.ArrayType(ir.DoubleType(), 2), [value, 0.0])


def _none(letter: str) -> Any:
    """The number 0 of a type."""
    return _one(letter, 0.0)


@native(_routine("ttt", ("gemm",), _adjoint_times))
def adjoint_multiply(A: AnyArray, B: AnyArray, into: AnyArray) -> None:
    """Write A^H B of matrices; the transpose where they are real."""
    np.dot(np.ascontiguousarray(np.conj(A).T), B, into)


@native(_routine("ttt", ("gemm",), _times_adjoint))
def multiply_adjoint(A: AnyArray, B: AnyArray, into: AnyArray) -> None:
    """Write A B^H, likewise."""
    np.dot(A, np.ascontiguousarray(np.conj(B).T), into)


@native(_routine("dssd", ("syrk",), _gram))
def add_gram(A: FloatArray, weight: float, share: float, into: FloatArray) -> None:
    """Write ``weight A^T A + share into`` over the lower triangle of ``into``."""
    if share == 0:
        into[...] = 0.0  # whatever is there
    else:
        into *= share
    into += weight * np.dot(np.ascontiguousarray(A.T), A)


@native(_routine("stst", ("scal", "axpy"), _combine))
def combine(a: float, X: AnyArray, b: float, Y: AnyArray) -> None:
    """Write ``a X + b Y`` over Y, for real numbers a and b."""
    Y *= b
    Y += a * X


@native(_routine("stt", ("copy", "scal"), _scale))
def scale(a: float, X: AnyArray, into: AnyArray) -> None:
    """Write ``a X``, likewise; ``into`` may be X."""
    into[...] = a * X


@native(_routine("zd", ("heev",), _eigen))
def eigen(A: ComplexArray, spectrum: FloatArray) -> None:
    """Write the eigenvalues of a Hermitian A, rising, and over A the adjoint of its eigenvectors.

    Where there are none the eigenvalues are NaN.
    """
    try:
        values, U = np.linalg.eigh(A)
        spectrum[:] = values
        A[...] = np.conj(U).T
    except Exception:  # Numba compiles no narrower one
        spectrum[:] = np.nan


@native(_routine("zd", ("heev",), _eigenvalues))
def eigenvalues(A: ComplexArray, spectrum: FloatArray) -> None:
    """Write the eigenvalues alone, likewise; A is overwritten."""
    try:
        spectrum[:] = np.linalg.eigvalsh(A)
    except Exception:  # as above
        spectrum[:] = np.nan


@native(_routine("z", ("getrf", "getri"), _invert))
def invert(A: ComplexArray) -> None:
    """Write the inverse of A over it; NaN where it is singular."""
    try:
        A[...] = np.linalg.inv(A)
    except Exception:  # as above
        A[...] = np.nan


@native(_routine("z", ("geqrf", "ungqr"), _orthonormalise))
def orthonormalise(A: ComplexArray) -> None:
    """Write orthonormal rows over those of A (m, n), m at most n: the first i of them span what the first i did."""
    A[...] = np.linalg.qr(A.T)[0].T


@native(_routine("t", ("potrf", "laset"), _factorise))
def factorise(A: AnyArray) -> None:
    """Write the lower Cholesky factor of a Hermitian A over it; NaN if there is none. Its lower triangle is read."""
    try:
        A[...] = np.linalg.cholesky(A)
    except Exception:  # as above
        A[...] = np.nan


@native(_routine("dd", ("potrs",), _substitute))
def substitute(L: FloatArray, x: FloatArray) -> None:
    """Write the solution of ``L L^T x = b`` over b, for a lower factor L."""
    x[:] = np.linalg.solve(np.ascontiguousarray(L.T), np.linalg.solve(L, x))
