"""What is read of a run, and where its points and designs lie along the axes of that."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from attrs import frozen

from isacsim.engine.store import Solves, Store, Table
from isacsim.errors import InvalidInput, one_of
from isacsim.typing import AnyArray, IntArray

Place = tuple[int, ...]


@frozen
class Part:
    """What is read of a run.

    Attributes:
        coords: A value of an axis of the sweep, or several, by its name; of other axes all.
        trials: Which trials, in one piece; None is all.
        names: Names of what is read; None is all.
    """

    coords: Mapping[str, Any] = {}
    trials: range | None = None
    names: frozenset[str] | None = None

    def has(self, name: str) -> bool:
        """Whether something is read."""
        return self.names is None or name in self.names

    def axes(self, axes: dict[str, list[Any]]) -> dict[str, list[Any]]:
        """What there is of the axes, in their order.

        Raises:
            InvalidInput: If there is no such axis or value.
        """
        found = dict(axes)
        for name, chosen in self.coords.items():
            if name not in axes:
                raise InvalidInput("coords", "must name axes of the sweep", name, one_of(axes, name))
            values = list(chosen) if isinstance(chosen, (list, tuple, np.ndarray)) else [chosen]
            for value in values:
                if value not in axes[name]:
                    known = one_of(map(str, axes[name]))
                    raise InvalidInput("coords", f"must have values of the axis {name!r}", value, known)
            found[name] = [value for value in axes[name] if value in values]
        return found

    def span(self, trials: int) -> range:
        """The trials, of so many.

        Raises:
            InvalidInput: If they are in no one piece.
        """
        if self.trials is None:
            return range(trials)
        if self.trials.step != 1 or self.trials.start < 0:
            raise InvalidInput("trials", "must be a range of step 1", self.trials, "Take each of them by `sel`.")
        return range(min(self.trials.start, trials), min(self.trials.stop, trials))


@frozen(eq=False)
class Frame:
    """The axes that all quantities have in common, and where points and designs lie along them.

    Attributes:
        axes: Values of each axis of the sweep.
        evaluations: Names of the evaluations.
        designs: Names of the designs.
        span: The trials.
        places: Which points of the sweep, the last axis running fastest, have an id.
        solved: Place along the axes of the sweep, and the number of the design, for each address of a design.
        origins: The environment that each row comes from, -1 where there is none, ``(*sweep, trials)``.
        limits: Where the trials of each point end, ``(*sweep,)``.
        whole: Whether the rows of all points are looked through at once.
        part: What is read.
    """

    axes: dict[str, list[Any]]
    evaluations: list[str]
    designs: list[str]
    span: range
    places: dict[str, list[int]]
    solved: dict[str, list[Place]]
    origins: IntArray
    limits: IntArray
    whole: bool
    part: Part

    @classmethod
    def of(cls, store: Store, part: Part, span: range | None = None) -> Frame:
        """The frame of a part of a run, of the trials that are there of it or of those of ``span``."""
        all_axes: dict[str, list[Any]] = store.need("axes")
        designs: list[str] = store.need("designs")
        axes, trials, stops = part.axes(all_axes), store.need("trials"), store.stops()
        lead = tuple(len(values) for values in axes.values())
        places: dict[str, list[int]] = {}
        solved: dict[str, list[Place]] = {}
        limits = np.full(lead, trials)
        points = [p for p in store.need("points") if all(p["coords"][name] in axes[name] for name in axes)]
        for number, (at, point) in enumerate(zip(np.ndindex(lead), points, strict=True)):
            places.setdefault(point["id"], []).append(number)
            limits[at] = stops.get(point["id"], trials)
            for name, address in point["design_ids"].items():
                solved.setdefault(address, []).append((*at, designs.index(name)))
        span = part.span(int(limits.max(initial=0))) if span is None else span
        origins = np.full((*lead, len(span)), -1, store.numbers)
        evaluations = store.need("evaluations")
        # To look for each of many points takes longer than to pass over a few trials of each.
        whole = axes == all_axes and (len(span) == trials or len(places) > len(span))
        return cls(axes, evaluations, designs, span, places, solved, origins, limits, whole, part)

    @property
    def first(self) -> int:
        """The first trial."""
        return self.span.start

    @property
    def trials(self) -> int:
        """Number of trials."""
        return len(self.span)

    def tables(self, store: Store) -> Iterator[Table]:
        """The rows that lie in the frame."""
        for point in self._looked_for(self.places):
            yield from store.tables(self.span.stop, point, self.first)

    def solves(self, store: Store) -> Iterator[Solves]:
        """The solves that lie in the frame."""
        for design in self._looked_for(self.solved):
            yield from store.solves(self.span.stop, design, self.first)

    def _looked_for(self, ids: Iterable[str]) -> Iterable[str]:
        if not self.span:
            return ()
        return ("",) if self.whole else ids

    def came(self, tables: Sequence[Table]) -> tuple[IntArray, IntArray]:
        """Note where the rows of tables come from; returns the places of each, again for points of the same id."""
        there = [(number, table) for table in tables for number in self.places.get(table.point, ())]
        sizes = [len(table.trials) for _, table in there]
        points = np.repeat(np.array([number for number, _ in there], int), sizes)
        trials = np.concatenate([np.zeros(0, int), *(table.trials - self.first for _, table in there)])
        environments = [np.zeros(0, int), *(table.environments for _, table in there)]
        self.origins.reshape(-1, self.trials)[points, trials] = np.concatenate(environments)
        return points, trials

    def empty(self, *behind: int | str, fill: float = np.nan) -> AnyArray:
        """An array of the sweep's axes, and of others of these lengths."""
        return np.full((*self.origins.shape[:-1], *behind), fill)
