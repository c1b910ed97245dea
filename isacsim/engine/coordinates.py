"""Coordinates of the axes that quantities have of their own.

An axis is of the labels that its quantities give it, not of positions: where two evaluations, two points
of a sweep or two quantities name its places differently, the axis has the places of all of them, and
each number lies at its own label.
"""

from __future__ import annotations

import numpy as np
from attrs import define, field

from isacsim.engine.work import Entry
from isacsim.typing import FloatArray, IntArray

Label = str | int | float
Places = tuple[tuple[Label, int], ...]  # a label, and how often it came before in the same list


@define
class OwnAxes:
    """The own axes of all quantities of a run, by name; `add` every entry before anything else is asked.

    Attributes:
        names: The labels that an axis was given, each way of naming once, in the order of their coming.
    """

    names: dict[str, dict[tuple[Label, ...], None]] = field(factory=dict)
    _joined: dict[str, dict[tuple[Label, int], int]] = field(factory=dict)

    def add(self, entry: Entry) -> None:
        """Take in the axes of an entry."""
        for dim, size in zip(entry.dims, entry.shape, strict=True):
            self.names.setdefault(dim, {})[_labels(entry, dim, size)] = None

    def _places(self, dim: str) -> dict[tuple[Label, int], int]:
        """Where each label of an axis lies on it."""
        if dim not in self._joined:
            ways = list(self.names[dim])
            found = dict.fromkeys(place for labels in ways for place in _counted(labels))
            # One list stays as it is; numbers of several are put in order, which none of them has alone.
            numeric = not any(isinstance(label, str) for label, _ in found)
            places = sorted(found) if numeric and len(ways) > 1 else list(found)
            self._joined[dim] = {place: i for i, place in enumerate(places)}
        return self._joined[dim]

    def size(self, dim: str) -> int:
        """Length of an axis."""
        return len(self._places(dim))

    def coordinates(self) -> dict[str, list[Label]]:
        """The labels along each axis."""
        found = {dim: [label for label, _ in self._places(dim)] for dim in self.names}
        mixed = {dim for dim, labels in found.items() if len({isinstance(x, str) for x in labels}) > 1}
        return {dim: [str(x) for x in labels] if dim in mixed else labels for dim, labels in found.items()}

    def put(self, array: FloatArray, points: IntArray, trials: IntArray, entry: Entry, values: FloatArray) -> None:
        """Put numbers of an entry where they belong.

        Args:
            array: Where they go, (points, trials, ...).
            points: Point of each of them, (n,).
            trials: Its trial, (n,).
            entry: What they are.
            values: The numbers, (n, ...).
        """
        lists = [self._along(entry, dim, size) for dim, size in zip(entry.dims, entry.shape, strict=True)]
        rows, *places = np.ix_(np.arange(len(points)), *lists)
        array[(points[rows], trials[rows], *places)] = values

    def _along(self, entry: Entry, dim: str, size: int) -> IntArray:
        places = self._places(dim)
        return np.array([places[place] for place in _counted(_labels(entry, dim, size))], int)


def _labels(entry: Entry, dim: str, size: int) -> tuple[Label, ...]:
    return tuple(entry.labels.get(dim) or range(size))


def _counted(labels: tuple[Label, ...]) -> Places:
    """Each label with how often it came before, so that one that is given twice has two places."""
    seen: dict[Label, int] = {}
    counted = []
    for label in labels:
        count = seen[label] = seen.get(label, -1) + 1
        counted.append((label, count))
    return tuple(counted)
