"""What `isacsim check` does: it rehearses a bounded part of a run, whatever the file says, and estimates the whole."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator
from typing import Any

from attrs import frozen
from threadpoolctl import threadpool_limits

from isacsim.engine.estimate import Estimate
from isacsim.engine.identity import Names, canonical, text
from isacsim.engine.pace import AIM, GROWTH
from isacsim.engine.plan import Point, Task
from isacsim.engine.reader import Reader
from isacsim.engine.rehearsal import rehearse_designs, rehearse_evaluations, require_memory
from isacsim.engine.scenario import Scenario
from isacsim.engine.work import Clock, measured
from isacsim.errors import InvalidInput
from isacsim.plugin import Registry

# So much is looked at that an ordinary study is looked at whole, and so little that it takes seconds.
MOST_LOOKS = 1000  # designs, and evaluations of a design, at all points together
MOST_POINTS = 256
MOST_LETTERS = 10**6  # of the descriptions of all points together, which their addresses are made of
MOST_MEASURED = 3  # points: the first, the one in the middle and the last
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
            with _told_of(coords):
                drop, problems = rehearse_designs(point.scenario, registry)
                rehearse_evaluations(point.scenario, drop, problems, seen, MOST_LOOKS)
        else:
            looks -= 1
    solves = len(solved) if looks == points else points * len(scenario.design)
    estimate = Estimate.of(scenario, points, solves)
    return Checkup(points, looks, scenario.trials, estimate.solves, estimate)


def seconds(scenario: Scenario, registry: Registry, found: Checkup, clock: Clock = time.process_time) -> float:
    """About how long a run takes on one core, in s, as its first trials do at up to three points.

    Args:
        scenario: The scenario.
        registry: Where components are looked up.
        found: What was found of it.
        clock: Gives the time, in s; of this process by default, whatever else the machine does.
    """
    reader, names, bare = Reader(registry), Names(registry), scenario.bare()
    places = list(_places(scenario, found.points, min(found.points, MOST_MEASURED)))
    with threadpool_limits(1):  # as in a worker
        shares = [_shares(Point.at(at, scenario, bare, reader, names), scenario.trials, clock) for at in places]
    judging, solving = (sum(of) / len(shares) for of in zip(*shares, strict=True))
    return found.points * found.trials * judging + found.solves * solving


def _shares(point: Point, trials: int, clock: Clock) -> tuple[float, float]:
    """Time of a trial at a point without its solves, and of a solve, in s, in a batch as a run has them."""
    measured(Task((point,), (0,)), {})  # imports and compiles
    count = 1
    while True:
        task = Task((point,), tuple(range(count)))
        whole = measured(task, {}, clock)
        if whole.cost.seconds >= AIM / GROWTH or count == trials:
            break
        count = min(trials, count * GROWTH)
    judged = measured(task, whole.designs, clock).cost.seconds
    # Points that differ in nothing a design sees share its solves.
    return judged / count, max(0.0, whole.cost.seconds - judged) / max(1, len(whole.designs))


@contextlib.contextmanager
def _told_of(coords: dict[str, Any]) -> Iterator[None]:
    """Within it an error says at which point of the sweep it is, where there are several."""
    try:
        yield
    except InvalidInput as error:
        place = ", ".join(f"{name} = {value}" for name, value in coords.items())
        if place:
            error.args = (*error.args[:3], f"{error.args[3]} This is at {place}.".strip())
        raise


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
