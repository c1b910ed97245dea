"""The plan: the points of a sweep, and what each depends on."""

from __future__ import annotations

import contextlib
import pickle
from collections.abc import Iterator
from functools import lru_cache
from itertools import product
from typing import Any

import attrs
from attrs import frozen

from isacsim.engine.identity import Names, digest
from isacsim.engine.load import replace
from isacsim.engine.reader import Reader
from isacsim.engine.rehearsal import Raised, rehearse_designs
from isacsim.engine.scenario import Scenario
from isacsim.errors import InvalidInput
from isacsim.plugin import Registry


@frozen
class Point:
    """One point of the sweep.

    Attributes:
        coords: Value of each axis.
        scenario: The scenario at this point, without sweep and figures.
        id: Content address of everything its results depend on but the trial.
        design_ids: Content address of each design, by name: equal where no input of the
            design differs, so that points share precoders.
        drop_id: Content address of the realisations.
    """

    coords: dict[str, Any]
    scenario: Scenario
    id: str
    design_ids: dict[str, str]
    drop_id: str

    @classmethod
    def at(cls, coords: dict[str, Any], scenario: Scenario, bare: Scenario, reader: Reader, names: Names) -> Point:
        """The point of a scenario's sweep at these values of its axes; ``bare`` is its `Scenario.bare`.

        Raises:
            InvalidInput: If the values do not fit the scenario.
        """
        changes = [change for name, axis in scenario.sweep.items() for change in axis.changes(coords[name])]
        try:
            made = [name for name, design in scenario.design.items() if design.made_at(coords)]
            return cls.of(coords, replace(bare, changes, reader).keeping(made), names)
        except InvalidInput as error:
            raise _swept(error, scenario) from None

    @classmethod
    def of(cls, coords: dict[str, Any], scenario: Scenario, names: Names | None = None) -> Point:
        """The point of a scenario; ``names`` are those of its records.

        Of hardware counts what it is, not what its table is called. The order of designs and
        evaluations counts: it is that of the numbers in a row.
        """
        s = scenario
        drop = digest([s.seed, s.base_station, s.users, s.targets], names)
        designs = {
            name: digest([drop, attrs.evolve(d, hardware="ideal", only={}), s.transceiver(d.hardware)], names)
            for name, d in s.design.items()
        }
        judged = [
            (name, attrs.evolve(e, hardware="ideal"), s.transceiver(e.hardware)) for name, e in s.evaluate.items()
        ]
        heard = [] if s.background is None else [s.background]  # which no design knows of
        whole = digest([list(designs.items()), judged, *heard], names)
        return cls(coords, scenario, whole, designs, digest([drop, *heard], names) if heard else drop)


@frozen
class Plan:
    """All points of a scenario's sweep, and the groups of points that share a design.

    Attributes:
        scenario: The scenario.
        points: Its points, the last axis running fastest.
        groups: Indices of points that must be computed together to solve no design twice.
    """

    scenario: Scenario
    points: tuple[Point, ...]
    groups: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, scenario: Scenario, registry: Registry) -> Plan:
        """The plan of a scenario.

        Every point's problems are posed once, on the last trial, so that what cannot be
        computed is refused before anything is written.

        Args:
            scenario: The scenario.
            registry: Where solvers are looked up.

        Raises:
            InvalidInput: If the sweep does not fit the scenario, a problem cannot be posed, or
                its solver does not take it.
        """
        reader, names, bare = Reader(registry), Names(registry), scenario.bare()
        swept = (
            dict(zip(scenario.sweep, at, strict=True)) for at in product(*(a.values for a in scenario.sweep.values()))
        )
        points = [Point.at(coords, scenario, bare, reader, names) for coords in swept]
        for point in points:
            with contextlib.suppress(Raised):  # no complaint about the input: the trials will tell, one by one
                rehearse_designs(point.scenario, registry)
        return cls(scenario, tuple(points), tuple(_shared(points)))


def _swept(error: InvalidInput, scenario: Scenario) -> InvalidInput:
    """The error, with the axis of the sweep that leads to its field."""
    axes = (name for name, axis in scenario.sweep.items() if error.field in axis.sets)
    return error.at(f"sweep.{name} at {error.field}") if (name := next(axes, "")) else error


def _shared(points: list[Point]) -> Iterator[tuple[int, ...]]:
    """Connected components of points under "has a design in common"."""
    groups: dict[int, list[int]] = {}  # by the first point of each
    group_of: dict[str, int] = {}
    for index, point in enumerate(points):
        met = {group_of[address] for address in point.design_ids.values() if address in group_of}
        first = min(met, default=index)
        members = groups.setdefault(first, [])
        for other in met - {first}:
            members += groups.pop(other)
        members.append(index)
        # Those of a group that is merged name another one now.
        group_of.update((address, first) for i in (members if len(met) > 1 else [index])
                        for address in points[i].design_ids.values())  # fmt: skip
    yield from (tuple(sorted(members)) for _, members in sorted(groups.items()))


@frozen
class Task:
    """A chunk of work: some trials of points, of which those that share designs are together."""

    points: tuple[Point, ...]
    trials: tuple[int, ...]

    @property
    def items(self) -> int:
        """Pairs of a point and a trial."""
        return len(self.points) * len(self.trials)

    def __reduce__(self) -> tuple[Any, ...]:
        # Tasks follow each other that have the same points, whose scenarios take longer to pickle than all else.
        return _travelled, (_packed(_Itself(self.points)), self.trials)


@frozen(eq=False)
class _Itself:
    """Points as a key: equal to themselves alone, which nothing needs to be looked through for."""

    points: tuple[Point, ...]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Itself) and other.points is self.points

    def __hash__(self) -> int:
        return id(self.points)


@lru_cache(maxsize=4)
def _packed(key: _Itself) -> bytes:
    return pickle.dumps(key.points)


@lru_cache(maxsize=4)
def _unpacked(packed: bytes) -> tuple[Point, ...]:
    points: tuple[Point, ...] = pickle.loads(packed)
    return points


def _travelled(packed: bytes, trials: tuple[int, ...]) -> Task:
    return Task(_unpacked(packed), trials)
