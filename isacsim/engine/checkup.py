"""What `isacsim check` does: it rehearses a bounded part of a run, whatever the file says, and estimates the whole."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from attrs import frozen

from isacsim.engine.estimate import Estimate
from isacsim.engine.identity import Names, canonical, text
from isacsim.engine.plan import Point
from isacsim.engine.reader import Reader
from isacsim.engine.rehearsal import rehearse_designs, rehearse_evaluations, require_memory
from isacsim.engine.scenario import Scenario
from isacsim.plugin import Registry

# So much is looked at that an ordinary study is looked at whole, and so little that it takes seconds.
MOST_LOOKS = 1000  # designs, and evaluations of a design, at all points together
MOST_POINTS = 256
MOST_LETTERS = 10**6  # of the descriptions of all points together, which their addresses are made of
MOST_ANTENNAS = 2000  # of an array whose covariances are made; a product of such takes half a second


@frozen
class Checkup:
    """What was found of a scenario that is valid.

    Attributes:
        points: Points of its sweep.
        looked: How many of them were rehearsed.
        trials: Trials at each.
        solves: Solves of all trials; an upper bound where not all points were looked at.
        estimate: What a run would take.
    """

    points: int
    looked: int
    trials: int
    solves: int
    estimate: Estimate


def check_up(scenario: Scenario, registry: Registry) -> Checkup:
    """Rehearse a scenario's points, one trial and no solve each; of many some, evenly among them.

    Raises:
        InvalidInput: If a point does not fit the scenario, or what a trial there does would fail.
    """
    reader, names, bare = Reader(registry), Names(registry), scenario.bare()
    seen: set[str] = set()
    solved: set[str] = set()
    points = math.prod(len(axis.values) for axis in scenario.sweep.values())
    pairs = sum(len(e.designs or scenario.design) for e in scenario.evaluate.values())
    letters = len(text(canonical(bare, names)))
    looks = min(points, MOST_POINTS, max(1, MOST_LOOKS // (len(scenario.design) + pairs)), 1 + MOST_LETTERS // letters)
    for coords in _places(scenario, points, looks):
        point = Point.at(coords, scenario, bare, reader, names)
        solved.update(point.design_ids.values())
        require_memory(point.scenario)
        if _antennas(point.scenario) <= MOST_ANTENNAS:
            drop, problems = rehearse_designs(point.scenario, registry)
            rehearse_evaluations(point.scenario, drop, problems, seen, MOST_LOOKS)
        else:
            looks -= 1
    solves = len(solved) if looks == points else points * len(scenario.design)
    estimate = Estimate.of(scenario, points, solves)
    return Checkup(points, looks, scenario.trials, estimate.solves, estimate)


def _antennas(scenario: Scenario) -> int:
    station, users = scenario.base_station, scenario.users
    return max(station.transmit_array.size, station.receive_array.size, users.count)


def _places(scenario: Scenario, points: int, looks: int) -> Iterator[dict[str, Any]]:
    """Coordinates of so many points, the first and the last among them."""
    for look in range(looks):
        index, coords = (look * (points - 1)) // max(1, looks - 1), {}
        for name, axis in reversed(scenario.sweep.items()):  # the last axis runs fastest
            index, place = divmod(index, len(axis.values))
            coords[name] = axis.values[place]
        yield {name: coords[name] for name in scenario.sweep}
