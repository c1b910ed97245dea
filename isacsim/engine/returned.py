"""What a measure returned, looked at before it is kept: a wrong shape would put numbers into other trials."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from isacsim.errors import InvalidInput, printable
from isacsim.metrics.components import Measure, Quantity
from isacsim.typing import FloatArray

Labels = dict[str, list[Any]]


def checked(measure: Measure, found: Any, named: Any, members: int) -> list[tuple[Quantity, FloatArray, Labels]]:
    """Each quantity of a measure with its values (B, ...) and the coordinates of its axes.

    Args:
        measure: The measure.
        found: What its `measure` returned.
        named: What its `labels` returned.
        members: The number B of precoders that were judged.

    Raises:
        InvalidInput: It names the measure, if a quantity is missing or not as it is declared.
    """
    who = type(measure).__name__
    for what, given in (("measure", found), ("labels", named)):
        if not isinstance(given, Mapping):
            raise InvalidInput(who, f"must return a dict from {what}", given, "Return values by name.")
    for q in measure.quantities:
        if q.name not in found:
            raise InvalidInput(who, f"must return {q.name!r} from measure", list(found), "Return what is declared.")
    told = [(q, _values(who, q, found[q.name], members)) for q in measure.quantities]
    return [(q, values, _labels(who, q, values.shape[1:], named)) for q, values in told]


def _values(who: str, q: Quantity, value: Any, members: int) -> FloatArray:
    """Real numbers, with the batch axis and one more for each that is declared."""
    try:
        array = np.asarray(value)
    except ValueError:
        remedy = "Return one array for all trials."
        raise InvalidInput(who, f"must return {q.name!r} as a rectangular array", type(value), remedy) from None
    if array.dtype.kind not in "biuf":
        remedy = "Take the real part or the size of what is complex; NaN stands for what has no number."
        raise InvalidInput(who, f"must return {q.name!r} as real numbers", f"dtype {array.dtype}", remedy)
    if array.ndim != 1 + len(q.dims) or len(array) != members:
        rule = f"must return {q.name!r} with the axes ({', '.join(('trial', *q.dims))}), {members} trials"
        raise InvalidInput(who, rule, f"shape {array.shape}", "Keep the leading axis of link.W.")
    return np.asarray(array, float)


def _labels(who: str, q: Quantity, shape: tuple[int, ...], named: Mapping[str, Any]) -> Labels:
    """The coordinates that are told of a quantity's axes, as plain text and numbers."""
    told = {dim: [_plain(label) for label in named[dim]] for dim in q.dims if dim in named}
    for dim, size in zip(q.dims, shape, strict=True):
        if dim in told and len(told[dim]) != size:
            rule = f"must name each place of the axis {dim!r} of {q.name!r}, which has {size}"
            raise InvalidInput(who, rule, f"{len(told[dim])} labels", "Return as many labels as values.")
    return told


def _plain(label: Any) -> str | int | float:
    value = label.item() if isinstance(label, (np.generic, np.ndarray)) and np.ndim(label) == 0 else label
    number = isinstance(value, (int, float)) and not isinstance(value, bool) and value == value
    return value if number else printable(value if isinstance(value, str) else str(value))
