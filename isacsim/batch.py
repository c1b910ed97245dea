"""Records of arrays that share leading batch axes.

A field made by `batched` declares how many of its last axes belong to one member
(``core``); all axes before them are batch axes, and the fields of a record broadcast
against each other over them. The functions here act on whole records, nested ones
included, so that no solver or engine repeats them field by field.

Nothing here or above sums or multiplies across a batch axis: member i of a batch has
the bytes it has alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, TypeVar, cast

import attrs
import numpy as np

from isacsim.checks import unmasked
from isacsim.errors import InvalidInput, brief
from isacsim.typing import AnyArray, BoolArray, ComplexArray, FloatArray, IntArray

CORE = "isacsim.core"
DTYPE = "isacsim.dtype"
# Under which records keep their leading axes, and one without any itself with one of length 1: where cached
# properties are, if their class has a place for these.
KEPT = SHAPE, FLAT, IS_FLAT = "_batch_shape", "_flat", "_is_flat"
# In place of the number of core axes: a mapping of arrays with one leading batch axis, by name; a NamedTuple of such
# arrays; and each of its fields.
NAMED, TUPLE, ROWS = -2, -3, -4
R = TypeVar("R")


def _same(a: Any, b: Any) -> bool:
    return a is b if a is None or b is None else np.array_equal(a, b, equal_nan=True)


same_array = attrs.cmp_using(eq=_same)


def as_array(name: str, value: Any, dtype: type = float, core: int = 0) -> AnyArray:
    """``value`` as a finite C-ordered array with at least ``core`` axes, or InvalidInput.

    C order is part of the promise of `isacsim.batch`: BLAS sees a member of a batch in
    the same layout as the member alone.
    """
    # Most are what they are to be, and need nothing but a copy.
    right = type(value) is float or (type(value) is np.ndarray and value.dtype == dtype)
    array = np.array(value, dtype, order="C") if right else _of_numbers(name, value, dtype)
    if array.ndim == 0 and core == 1:
        raise InvalidInput(name, "must be a list", value, f"Write [{value}].")
    if array.ndim < core:
        remedy = f"Its last {core} axes are those of one member; axes before them are a batch's."
        raise InvalidInput(name, f"must have at least {core} axes", array.shape, remedy)
    if not all_of(np.isfinite(array)):
        raise InvalidInput(name, "must be finite", array, "Remove NaN and infinite entries.")
    array.setflags(write=False)
    return array


def _of_numbers(name: str, value: Any, dtype: type) -> AnyArray:
    """``value`` as an array in C order, or InvalidInput where that would change it."""
    kind = "complex" if dtype is complex else "real"
    unmasked(name, value)
    try:
        array = np.asarray(value)
        if array.dtype.kind in ("biufc" if dtype is complex else "biuf"):
            return np.array(array, dtype=dtype, order="C")
        remedy = "Give numbers, not text or complex values."
    except (TypeError, ValueError):
        remedy = "Give a number or a rectangular array of numbers."
    raise InvalidInput(name, f"must be {kind} numbers", value, remedy)


def all_of(true: BoolArray) -> bool:
    """Whether all entries are true: a count, which takes a small array a quarter of the time of a reduction."""
    return np.count_nonzero(true) == true.size if true.ndim else bool(true)


def batched(
    core: int = 0,
    *,
    dtype: type = float,
    least: float | None = None,
    above: float | None = None,
    default: Any = attrs.NOTHING,
    scalar: bool = False,
    metadata: dict[str, Any] | None = None,
    of: Callable[[Any], Any] | None = None,
) -> Any:
    """An attrs field holding a finite array whose last ``core`` axes belong to a member.

    A field that users give numbers or lists is annotated as `Any`, for their type checkers, which see no
    converter here.

    Args:
        core: Number of axes of one member.
        dtype: ``float`` or ``complex``.
        least: Entries must be at least this, when given.
        above: Entries must be larger than this, when given.
        default: As in `attrs.field`.
        scalar: Whether a value with fewer axes is taken; the record's own post-init then
            broadcasts it to the core axes.
        metadata: Further metadata, a unit from `isacsim.units` for example.
        of: What makes numbers of a value that may be something else.
    """

    def convert(value: Any, _self: Any, attribute: attrs.Attribute[Any]) -> AnyArray:
        value = value if of is None else of(value)
        array = as_array(attribute.name, value, dtype, 0 if scalar else core)
        if least is not None and not all_of(array >= least):
            raise InvalidInput(attribute.name, f"must be at least {least:g}", array, "Check sign and unit.")
        if above is not None and not all_of(array > above):
            raise InvalidInput(attribute.name, f"must be greater than {above:g}", array, "Check sign and unit.")
        return array

    converter = attrs.Converter(convert, takes_self=True, takes_field=True)
    marks = {CORE: core, DTYPE: dtype, **(metadata or {})}
    return attrs.field(default=default, converter=converter, eq=same_array, repr=brief, metadata=marks)


def rows(core: int = 0) -> Any:
    """An attrs field of internal solver state: an array with one leading batch axis."""
    return attrs.field(eq=same_array, repr=brief, metadata={CORE: core})


def named() -> Any:
    """An attrs field of arrays by name, each with one leading batch axis and any further ones."""
    return attrs.field(metadata={CORE: NAMED})


def tuples(default: Any = attrs.NOTHING) -> Any:
    """An attrs field of a NamedTuple, as kernels take them, of arrays with one leading batch axis.

    `take`, `put` and `joined` take such a record by itself, too.
    """
    return attrs.field(default=default, metadata={CORE: TUPLE})


def _marks_of(cls: Any) -> tuple[tuple[str, int | None], ...]:
    """Name of each field of a class of records, with its core axes if it is a batched array; none of another class."""
    return tuple((f.name, f.metadata.get(CORE)) for f in attrs.fields(cls)) if attrs.has(cls) else ()


_marks: Callable[[Any], tuple[tuple[str, int | None], ...]] = cache(_marks_of)


def _marked(record: Any) -> Sequence[tuple[str, int | None]]:
    """Name of each field of a record, with its core axes if it is a batched array."""
    of: Any = record
    return [(name, ROWS) for name in of._fields] if isinstance(record, tuple) else _marks(type(record))


def is_batched(value: Any) -> bool:
    """Whether ``value`` is a record that holds batched fields, itself or nested."""
    marks = _marks(type(value))
    own = any(core is not None and core >= 0 for _, core in marks)
    return own or any(core is None and is_batched(getattr(value, name)) for name, core in marks)


def batch_shape(record: Any) -> tuple[int, ...]:
    """The leading axes of ``record``: those of its fields, broadcast together."""
    return _layout(record)[0]


def _layout(record: Any) -> tuple[tuple[int, ...], bool]:
    """The leading axes of ``record``, and whether each of its fields has exactly one; kept with it."""
    kept = getattr(record, "__dict__", {})
    if SHAPE not in kept:
        kept[SHAPE], kept[IS_FLAT] = _layout_of(record)
    return kept[SHAPE], kept[IS_FLAT]


def _layout_of(record: Any) -> tuple[tuple[int, ...], bool]:
    common: tuple[int, ...] = ()
    flat = True
    for name, core in _marks(type(record)):
        value = getattr(record, name)
        if core is not None and core >= 0:
            shape = value.shape[: value.ndim - core]
            flat = flat and len(shape) == 1
        elif core == TUPLE or (core is None and _marks(type(value))):
            shape, own = _layout(value)
            flat = flat and own
        else:
            continue
        if not shape or shape == common:
            continue
        try:
            common = np.broadcast_shapes(common, shape) if common else shape
        except ValueError:
            raise InvalidInput(
                name,
                f"must have leading axes that broadcast with {common}",
                f"leading axes {shape}",
                "Give one entry a realisation, or none to share one.",
            ) from None
    return common, flat


def flatten(record: R, shape: tuple[int, ...] | None = None) -> R:
    """``record`` with exactly one leading batch axis on each field.

    A field without batch axes of its own keeps an axis of length 1: it is shared by the
    members, and what is computed from it alone is computed once. A flat record is returned
    itself.
    """
    own, flat = _layout(record)
    shape = own if shape is None else shape
    if flat and len(shape) <= 1:
        return record

    def one(core: int, value: Any) -> Any:
        if not shape:
            return value[None]
        if len(shape) == 1 and value.ndim == core + 1:
            return value
        inner = value.shape[value.ndim - core :]
        if value.ndim == core or value.size == math.prod(inner):
            return value.reshape((1, *inner))
        return np.ascontiguousarray(np.broadcast_to(value, shape + inner).reshape((math.prod(shape), *inner)))

    def within(nested: Any) -> Any:
        kept = getattr(nested, "__dict__", None)
        if kept is None or batch_shape(nested):
            return _mapped(one, nested, within=within)
        # What one record works out serves all that share it: problems their scene, for example.
        return kept.setdefault(FLAT, _mapped(one, nested, within=within)) if FLAT not in kept else kept[FLAT]

    made = _mapped(one, record, within=within)
    kept = getattr(made, "__dict__", {})
    kept[SHAPE], kept[IS_FLAT] = (math.prod(shape),) if shape == own else batch_shape(made), True
    return made


def take(record: R, index: IntArray | BoolArray) -> R:
    """The members ``index`` (at least one) of a record with one leading batch axis.

    Fields of leading length 1 are shared by the members and stay as they are. All members are
    the record itself.
    """
    if index.dtype == bool and index.all():
        return record
    places = np.flatnonzero(index) if index.dtype == bool else index

    return _mapped(lambda _, value: value if value.shape[0] == 1 else value.take(places, axis=0), record)


def read_only(record: R) -> R:
    """``record``, with arrays that nobody it is handed to can change."""

    def fixed(_core: int, value: Any) -> Any:
        value.flags.writeable = False
        return value

    return _mapped(fixed, record)


def put(record: R, index: IntArray | BoolArray, new: R, same: tuple[str, ...] = ()) -> R:
    """``record`` with its members ``index`` replaced by those of ``new``, but for fields that are the ``same``."""

    def changed(_core: int, array: Any, others: Any) -> Any:
        array = array.copy()
        array[index] = others
        return array

    return _mapped(changed, record, new, same=same)


def joined(records: Sequence[R]) -> R:
    """One record of the members of several with one leading batch axis, behind one another."""
    return _mapped(lambda _core, *arrays: np.concatenate(arrays), *records)


def replaced(record: R, **values: Any) -> R:
    """``record`` with other values of some fields, which no converter or validator sees: for what is made here."""
    if isinstance(record, tuple):
        return cast(Any, record)._replace(**values)
    kind = type(record)
    new, fill = object.__new__(kind), object.__setattr__
    for name, _ in _marks(kind):
        fill(new, name, values[name] if name in values else getattr(record, name))
    return new


def each(array: AnyArray, members: int) -> AnyArray:
    """A flat array with an entry for every member, also where all share one; then it is not to be written to."""
    return array if len(array) == members else np.broadcast_to(array, (members, *array.shape[1:]))


def unflattened(record: R, shape: tuple[int, ...], **values: Any) -> R:
    """A record with one leading batch axis with the axes ``shape`` in its place; plain values where that is ().

    As in `replaced` some fields may have other ``values``, which are as they are to be.
    """
    if len(shape) == 1:
        return replaced(record, **values) if values else record

    def placed(_core: int, value: Any) -> Any:
        return value.reshape(shape + value.shape[1:]) if shape else value[0]

    return _mapped(placed, record, values=values)


def _mapped(
    change: Callable[..., Any],
    record: R,
    *others: R,
    within: Callable[[Any], Any] | None = None,
    same: Any = (),
    values: dict[str, Any] | None = None,
) -> R:
    """``record`` with `change` of the core axes of each batched array, and of that array in it and in the others.

    It is the record itself if that changes none. Nested ones of attrs are what ``within`` makes of them; None is the
    same as of ``record``. Fields that are the ``same`` are left, and those of ``values`` are what these say.
    """
    values = dict(values or {})
    for name, core in _marked(record):
        value = old = getattr(record, name)
        if old is None or name in same or name in values or (core is None and not _marks(type(old))):
            continue
        rest = [getattr(other, name) for other in others] if others else ()
        if core == NAMED:
            value = {key: change(core, array, *[one[key] for one in rest]) for key, array in old.items()}
        elif core is not None and core != TUPLE:
            value = change(core, old, *rest)
        else:
            value = within(old) if within and core is None else _mapped(change, old, *rest)
        if value is not old:
            values[name] = value
    return replaced(record, **values) if values else record


def hermitian(a: AnyArray) -> AnyArray:
    """Conjugate transpose of the last two axes, in C order."""
    return np.conjugate(a.swapaxes(-1, -2), order="C")  # in one pass


def hermitian_part(a: AnyArray) -> ComplexArray:
    """``(a + a^H) / 2`` of square matrices (..., n, n)."""
    return np.asarray((a + np.conj(a).swapaxes(-1, -2)) / 2)


def spectrum_of(matrix: AnyArray) -> FloatArray:
    """Ascending eigenvalues of Hermitian matrices (..., n, n); NaN of one whose entries are not all finite."""
    return _of_finite(np.linalg.eigvalsh, matrix)


def singular_values_of(matrix: AnyArray) -> FloatArray:
    """Descending singular values of matrices (..., m, n); NaN of one whose entries are not all finite."""
    return _of_finite(lambda A: np.asarray(np.linalg.svd(A, compute_uv=False)), matrix)


def _of_finite(values: Callable[[AnyArray], AnyArray], matrix: AnyArray) -> FloatArray:
    """LAPACK's ``values`` of matrices; it may not end, for all of a batch, where an entry is not finite."""
    finite = np.all(np.isfinite(matrix), axis=(-2, -1))[..., None]
    if finite.all():
        return np.asarray(values(matrix))
    return np.where(finite, values(np.where(finite[..., None], matrix, 0.0)), np.nan)


def squared(a: AnyArray) -> AnyArray:
    """Squared magnitude, without the square root that `numpy.abs` would take."""
    a = np.asarray(a)
    return a.real**2 + a.imag**2


def frobenius2(a: AnyArray) -> AnyArray:
    """Squared Frobenius norm over the last two axes."""
    return inner(a, a)


def inner(a: AnyArray, b: AnyArray) -> AnyArray:
    """Real inner product Re tr(a^H b) of real or of complex arrays over the last two axes."""
    return dot(real_vectors(a), real_vectors(b))


def dot(x: FloatArray, y: FloatArray) -> FloatArray:
    """Inner product of real vectors (..., n)."""
    # A product for each member; a sum over the axes of a batch takes several times as long.
    product: FloatArray = (x[..., None, :] @ y[..., None])[..., 0, 0]
    return product


def real_vectors(a: AnyArray) -> FloatArray:
    """Matrices (..., m, n) as vectors of their real numbers: (..., m n), or (..., 2 m n) if complex."""
    *lead, m, n = a.shape
    return np.ascontiguousarray(a.reshape((*lead, m * n))).view(float)
