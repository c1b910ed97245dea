"""Complex channels that a file keeps as real ones: two arrays, or one with an axis of two entries."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from isacsim.errors import InvalidInput
from isacsim.typing import AnyArray

# How files name the parts of a complex number, in small letters; those at one place belong together.
REAL, IMAG = ("real", "re", "r", "real"), ("imag", "im", "i", "imaginary")
PART = "part"  # the axis of a real part and an imaginary one


def all_real(parts: Iterable[AnyArray]) -> bool:
    """Whether no array has complex entries."""
    return not any(np.iscomplexobj(part) for part in parts)


def partner(name: str, names: Iterable[str]) -> str | None:
    """Of ``names``, that of the imaginary parts whose real parts ``name`` has; None without."""
    for other in names:
        shared = _alike(name, other)
        rest = _alike(name[shared:][::-1], other[shared:][::-1])
        mine, theirs = (text[shared : len(text) - rest].lower() for text in (name, other))
        if (mine, theirs) in zip(REAL, IMAG, strict=True):
            return other
    return None


def _alike(a: str, b: str) -> int:
    """How many characters two names begin with alike."""
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def joined_parts(variable: str, real: Sequence[AnyArray], imaginary: Sequence[AnyArray]) -> list[AnyArray]:
    """Complex arrays of the arrays of both parts.

    Raises:
        InvalidInput: If they are not alike, or not real.
    """
    shapes = [[part.shape for part in parts] for parts in (real, imaginary)]
    if shapes[0] != shapes[1]:
        told = [", ".join(map(str, shape[:4])) for shape in shapes]
        rule = f"must have the shape of {variable!r}, {told[0]}"
        raise InvalidInput("imaginary_variable", rule, f"shape {told[1]}", "Name the array of its imaginary parts.")
    if not all_real([*real, *imaginary]):
        rule = "must be left out where an array is complex by itself"
        raise InvalidInput("imaginary_variable", rule, "", "Name arrays of real numbers, or `variable` alone.")
    return [re + 1j * im for re, im in zip(real, imaginary, strict=True)]


def without_part(variable: str, array: AnyArray, axes: tuple[str, ...]) -> tuple[AnyArray, tuple[str, ...]]:
    """The complex array of one that has the axis `PART`, if it has it, and the names of the axes that are left.

    Raises:
        InvalidInput: If that axis has not two entries, or the array is complex already.
    """
    if PART not in axes:
        return array, axes
    place = axes.index(PART)
    if array.shape[place] != 2 or np.iscomplexobj(array):
        rule = f"must name as '{PART}' an axis of 2 real entries, a real part and an imaginary one"
        told = f"{array.shape[place]} {'complex' if np.iscomplexobj(array) else 'real'} entries in {variable!r}"
        raise InvalidInput("axes", rule, told, f"The shape of {variable!r} is {array.shape}.")
    left = tuple(axis for axis in axes if axis != PART)
    return array.take(0, axis=place) + 1j * array.take(1, axis=place), left


def hint(array: AnyArray) -> str:
    """A word on two real numbers in place of a complex one, for errors about an array that may hold such."""
    if 2 not in array.shape or np.iscomplexobj(array):
        return ""
    return f" If an axis of 2 holds real and imaginary parts, name it '{PART}' in `axes`."
