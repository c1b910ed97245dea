"""What would go wrong in a trial, found before one is run: one realisation, and no solve."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from functools import cache
from itertools import islice
from typing import Any

import numpy as np

from isacsim.drop import Drop, WidebandDrop
from isacsim.engine.estimate import labelled
from isacsim.engine.identity import digest
from isacsim.engine.returned import checked
from isacsim.engine.scenario import Evaluation, Scenario, faults_of
from isacsim.engine.subcarriers import check_split, posed_on, posed_to_solver
from isacsim.errors import InvalidInput, IsacsimError, origin
from isacsim.hardware.base import Transceiver
from isacsim.hardware.places import SIDES, stages
from isacsim.link import link_over
from isacsim.memory import must_fit
from isacsim.metrics.components import Metric
from isacsim.metrics.power import radiating
from isacsim.plugin import Registry
from isacsim.plugin.isolation import cause, contained
from isacsim.plugin.surroundings import undisturbed
from isacsim.problems.base import Problem
from isacsim.random import Stream, generator
from isacsim.solvers.solve import check_takes
from isacsim.typing import ComplexArray

MOST_NUMBERS = 2 * 10**7  # that judging a stand-in goes through: a pattern of a million directions takes a second


class Raised(InvalidInput):
    """A component raised something that is no complaint about the input; another trial may be spared it."""


def rehearse_designs(scenario: Scenario, registry: Registry) -> tuple[Drop, dict[str, Problem]]:
    """Draw the last trial, pose every design's problem to its solver, and apply the hardware of every chain.

    Returns:
        The drop, and the problems by design.

    Raises:
        InvalidInput: For what no trial would survive; `Raised` for what this one does not.
    """
    require_memory(scenario)
    with _told("trials"):
        drop = scenario.drop((scenario.trials - 1,))
    problems = {}
    for name, design in scenario.design.items():
        path = f"design.{name}"
        with _told(f"{path}.problem"), faults_of(f"{path}.problem", design.problem):
            problem = design.problem.pose(posed_on(drop, design.problem), scenario.transceiver(design.hardware))
        with _told(f"{path}.solver"), faults_of(path, design):
            check_takes(posed_to_solver(design, drop, problem), design.solver, registry, design.hardware)
            check_split(design, drop, problem)
        with _told(f"{path}.problem"):
            judged = "precoder" in problem.decision or _made(problem) is not None
        if not judged:
            raise InvalidInput(
                f"{path}.problem", "must make a precoder of its decision, which evaluations judge", problem.kind,
                "Give the problem a `to_precoder`.",
            )  # fmt: skip
        problems[name] = problem
    _rehearse_hardware(scenario, drop)
    return drop, problems


def require_memory(scenario: Scenario) -> None:
    """Refuse arrays and users whose channels, response and covariances of one trial cannot be held.

    Raises:
        InvalidInput: With the estimate.
    """
    station, users = scenario.base_station, scenario.users
    transmit, receive = station.transmit_array.size, station.receive_array.size
    must_fit("base_station.transmit_array", "a covariance of one trial", transmit, (transmit, transmit))
    must_fit("base_station.receive_array", "a covariance of one trial", receive, (receive, receive))
    must_fit("users.count", "one trial", users.count, (transmit, users.count), (transmit, users.count + transmit))


def _rehearse_hardware(scenario: Scenario, drop: Drop) -> None:
    """Ask every stage that is named for its linear model."""
    sizes = dict(zip(SIDES, (drop.tx_array.size, drop.rx_array.size, drop.H.shape[-1]), strict=True))
    believed, met = scenario.design.values(), scenario.evaluate.values()
    for name in dict.fromkeys([d.hardware for d in believed] + [e.hardware for e in met]):
        for side, chains in sizes.items():
            for place, stage in stages(getattr(scenario.transceiver(name), side), f"hardware.{name}.{side}"):
                with _told(place), faults_of(place, stage):
                    stage.linear_model(np.eye(chains, dtype=complex))


def rehearse_evaluations(
    scenario: Scenario, drop: Drop, problems: dict[str, Problem], seen: set[str], most: int
) -> None:
    """Measure every metric on a stand-in for each design's precoder, and ask experiments what they refuse.

    Args:
        scenario: The scenario.
        drop: The realisation.
        problems: The problems posed on it, by design.
        seen: Addresses of what was rehearsed before, at other points of a sweep; added to.
        most: Number of pairs of evaluation and design that are looked at; others are left to the trials.

    Raises:
        InvalidInput: As `rehearse_designs`.
    """
    s = scenario
    place = digest((s.seed, s.base_station, s.users, s.targets, s.trials, s.background))
    met = cache(lambda name: digest(s.transceiver(name)))
    judged = cache(lambda label: digest(s.evaluate[label]))
    pairs = ((label, name) for label, e in s.evaluate.items() for name in e.designs or tuple(s.design))
    for label, name in islice(pairs, most):
        problem, evaluation = problems[name], s.evaluate[label]
        hardware = s.transceiver(evaluation.hardware)
        made = None if "precoder" in problem.decision else _made(problem)
        W = stand_in(drop, problem.streams if made is None else made.shape[-1])
        address = " ".join((place, judged(label), met(evaluation.hardware), str(W.shape[-1])))
        if address not in seen:
            seen.add(address)
            _rehearse_evaluation(scenario, label, W, drop, hardware)


def _rehearse_evaluation(scenario: Scenario, label: str, W: ComplexArray, drop: Drop, hardware: Transceiver) -> None:
    evaluation: Evaluation = scenario.evaluate[label]
    path, rngs = f"evaluate.{label}", [generator(scenario.seed, Stream.WAVEFORM, scenario.trials - 1)]
    link = link_over(W, drop, hardware)
    if evaluation.power != "designed":
        with _told(f"{path}.power"), faults_of(path, evaluation):
            link = radiating(link, drop.power, per_antenna=evaluation.power == "per-antenna")
    for table in ("metrics", "experiments"):
        for i, measure in enumerate(getattr(evaluation, table)):
            at = f"{path}.{table}.{i}"
            with _told(at), faults_of(at, measure):
                labels = measure.labels(drop)
                measure.check(link)
                work = W.size * math.prod(labelled(measure, drop).values())
                if isinstance(measure, Metric) and work <= MOST_NUMBERS:
                    checked(measure, measure.measure(link, rngs), labels, len(W))


def _made(problem: Problem) -> Any:
    """The precoder that a decision of ones makes; None if it makes none."""
    ones: dict[str, Any] = {name: np.ones((problem.members, *v.shape), v.dtype) for name, v in problem.decision.items()}
    return problem.to_precoder(ones)


def stand_in(drop: Drop, streams: int) -> ComplexArray:
    """Full-power precoders that stand in for a design's, of unrelated phases, (B, [F,] N_t, streams), in sqrt(W)."""
    members, antennas = len(drop.H), drop.H.shape[-2]
    phases = np.sqrt(2.0) * np.outer(np.arange(1, antennas + 1) ** 2, np.arange(1, streams + 1))
    power = np.broadcast_to(drop.power, (members,))
    W = np.asarray(np.sqrt(power / phases.size)[:, None, None] * np.exp(1j * phases))
    if isinstance(drop, WidebandDrop):  # alike on all subcarriers
        share = np.sqrt(drop.grid.subcarriers / drop.grid.used)
        W = np.ascontiguousarray(np.broadcast_to(share * W[:, None], (members, drop.grid.used, *W.shape[1:])))
    return W


@contextlib.contextmanager
def _told(path: str) -> Iterator[None]:
    """Turns an exception that is no complaint about the input into one that names the component's place."""
    try:
        with undisturbed(), np.errstate(all="ignore"), contained():
            yield
    except IsacsimError:
        raise
    except MemoryError as error:  # of sizes, which are those of every trial
        raise InvalidInput(path, "must fit in memory", str(error), "Take fewer or smaller arrays.") from error
    except Exception as error:  # a component can fail in any way
        what = cause(error)
        told = "{}: {} ({}:{})".format(type(what).__name__, what, *origin(what))
        raise Raised(path, "must not raise on the last trial", told, "Mend it, or choose another.") from what
