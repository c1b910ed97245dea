"""Contracts of design problems and of solvers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import numpy as np

from isacsim.batch import batch_shape, flatten, take
from isacsim.drop import Drop
from isacsim.hardware.base import Transceiver
from isacsim.problems.base import Problem, Requirements
from isacsim.solvers.base import Solver
from isacsim.solvers.solution import Solution, Status
from isacsim.solvers.solve import solve
from isacsim.testing.examples import example_drop, example_precoder
from isacsim.testing.rules import alone, attempt, difference, generators, outcome, record, require
from isacsim.typing import ComplexArray

SLACK = -1e-9  # relative slack down to which a constraint counts as met
ROUNDING = 1e-9  # relative error of an objective that is evaluated twice
SCALE = 2.0**-10  # far from 1, and exact in floating point
NUMBERS = ("precoder", "objective", "gap", "residual", "iterations", "bound")


def check_requirements(requirements: Requirements, kind: str | None = None, drop: Drop | None = None) -> None:
    """Check the requirements of a problem, and the problem that they pose.

    Args:
        requirements: The requirements, a problem table of a scenario.
        kind: Name under which the problem is offered, which it must have as its ``kind``;
            None leaves that open.
        drop: Realisations with one leading axis to pose it on; None is `example_drop`.

    Raises:
        ContractError: If they break a rule.
    """
    record(requirements, Requirements)
    drop = flatten(drop or example_drop())
    members = batch_shape(drop)[0]
    problem = _pose(requirements, drop)
    require(_name(problem), kind in (None, problem.kind), f"have the kind {kind!r}", problem.kind)
    W = example_precoder(drop, problem.streams)
    whole = _merit(problem, W, members)

    def part(i: int) -> Any:
        at = np.array([i])
        one = _pose(requirements, take(drop, at))
        streams = one.streams == problem.streams
        require(_name(problem), streams, "have as many streams for one member", one.streams)
        return _member(_merit(one, W[at], 1), 0)

    alone(_name(problem), "merit", members, lambda i: _member(whole, i), part)
    _check_screen(flatten(problem), members)


def _name(problem: Problem) -> str:
    """What errors call a problem: its arrays would say little."""
    return type(problem).__name__


def _pose(requirements: Requirements, drop: Drop) -> Problem:
    transceiver = Transceiver()
    problem = outcome(requirements, "pose a problem", lambda _: requirements.pose(drop, transceiver), drop=drop)
    require(requirements, isinstance(problem, Problem), "pose a Problem", type(problem).__name__)
    name = _name(problem)
    require(name, problem.sense in (-1, 1), "have a sense of 1 or -1", problem.sense)
    told = problem.transceiver == transceiver
    require(name, told, "design for the hardware that is believed in", problem.transceiver)
    lead = attempt(name, "be a record of batched fields", batch_shape, problem)
    require(name, lead == batch_shape(drop), f"have the leading axes {batch_shape(drop)} of the drop", lead)
    streams, users = problem.streams, drop.H.shape[-1]
    whole = isinstance(streams, (int, np.integer)) and streams >= max(1, users)
    require(name, whole, f"have a whole number of streams, at least one for each of {users} users", streams)
    return problem


def _merit(problem: Problem, W: ComplexArray, members: int) -> dict[str, Any]:
    """Objective and constraints at W, each with the leading axis."""
    name = _name(problem)
    value = outcome(name, "have an objective", lambda _: problem.objective(W), problem=problem, W=W)
    require(name, np.shape(value) == (members,), f"have an objective of shape {(members,)}", np.shape(value))
    require(name, np.isrealobj(value) and np.isfinite(value), "have a real and finite objective", value)
    slacks = outcome(name, "have constraints", lambda _: problem.constraints(W), problem=problem, W=W)
    require(name, isinstance(slacks, Mapping), "give its constraints by name", type(slacks).__name__)
    for key, slack in slacks.items():
        lead = np.shape(slack)[:1]
        require(name, lead == (members,), f"give the constraint {key!r} a leading axis of {members}", np.shape(slack))
        require(name, np.isrealobj(slack) and not np.any(np.isnan(slack)), f"give {key!r} a real slack", slack)
    return {"objective": value, **slacks}


def _member(arrays: Mapping[str, Any], i: int) -> dict[str, Any]:
    return {name: values[i] for name, values in arrays.items()}


def _check_screen(problem: Problem, members: int) -> None:
    name = _name(problem)
    sound, notes = outcome(name, "screen its members", lambda _: problem.screen(), problem=problem)
    shaped = np.shape(sound) == (members,) and np.asarray(sound).dtype == bool
    require(name, shaped, f"screen with booleans of shape {(members,)}", sound)
    texts = len(notes) == members and all(isinstance(text, str) for note in notes for text in note)
    require(name, texts, "give a tuple of texts for each member it screens", notes)


def check_solver(solver: Solver, problem: Problem, *, scale_rtol: float = 1e-6) -> None:
    """Check a solver on a problem; `example_problem` has some.

    Args:
        solver: The solver.
        problem: The problem, with at least one member that has an answer.
        scale_rtol: Relative difference of the objective when channels are scaled by c and
            the users' noise by c^2, which changes nothing but units.

    Raises:
        ContractError: If it breaks a rule.
    """
    record(solver, Solver)
    kinds = getattr(solver, "problems", ())
    listed = isinstance(kinds, tuple) and problem.kind in kinds
    require(solver, listed, f"list {problem.kind!r} in a tuple `problems`", kinds)
    problem = flatten(problem)
    members = batch_shape(problem)[0]
    rule = f"solve {_name(problem)}"
    solution = outcome(solver, rule, lambda rngs: solve(problem, solver, rng=rngs), range(members), problem=problem)
    _check_shapes(solver, problem, solution)
    _check_status(solver, solution)
    _check_answers(solver, problem, solution)
    hurried = attempt(solver, "end at a time limit", _solve, solver, problem, range(members), 1e-9)
    _check_status(solver, hurried)
    alone(solver, "solution", members, *_members(solver, problem, solution))
    _check_scaling(solver, problem, solution, scale_rtol)


def _solve(solver: Solver, problem: Problem, seeds: Sequence[int], time_limit: float | None = None) -> Solution:
    return solve(problem, solver, rng=generators(seeds), time_limit=time_limit)


def _check_shapes(solver: Solver, problem: Problem, solution: Solution) -> None:
    """Every field has the leading axis."""
    members = batch_shape(problem)[0]
    for name in (*NUMBERS, "status", "notes"):
        core = (problem.H.shape[-2], problem.streams) if name == "precoder" else ()
        shape, found = (members, *core), np.shape(getattr(solution, name))
        require(solver, found == shape, f"give {name} of shape {shape}", found)
    require(solver, np.iscomplexobj(solution.precoder), "give a complex precoder", solution.precoder.dtype)
    for name in ("objective", "time"):
        require(solver, name in solution.trace, f"trace the {name}", list(solution.trace))
    steps = solution.trace["time"].shape[1:]
    for name, values in solution.trace.items():
        fits = values.shape == (members, *steps) and len(steps) == 1
        require(solver, fits, f"trace {name} with the shape of the time, {(members, *steps)}", values.shape)
    elapsed = solution.trace["time"]
    ordered = not np.any(np.diff(elapsed, axis=1) < 0)
    require(solver, ordered, "trace a time that does not run backward", elapsed)


def _check_status(solver: Solver, solution: Solution) -> None:
    """A status says no more than residual, gap and bound bear out, and notes say what went wrong."""
    tolerance = getattr(solver, "tolerance", np.inf)
    for i, status in enumerate(solution.status):
        require(solver, isinstance(status, Status), "give a Status for each member", status)
        gap, residual = solution.gap[i], solution.residual[i]
        if status is Status.GLOBAL:
            proof = np.isfinite([gap, solution.bound[i]])
            require(solver, proof.any(), "have a finite gap or bound where it is GLOBAL", gap)
        if status is Status.OPTIMAL:
            require(solver, gap <= tolerance, "have a gap within its tolerance where it is OPTIMAL", gap)
        if status is Status.STATIONARY:
            within = "have a residual within its tolerance where it is STATIONARY"
            require(solver, residual <= tolerance, within, residual)
        if not status.answered:
            require(solver, len(solution.notes[i]) > 0, f"say in its notes why it is {status}", solution.notes[i])
        there = np.isfinite(solution.precoder[i])
        require(solver, there == status.answered, f"have {_precoder(status)} where it is {status}", there)


def _precoder(status: Status) -> str:
    return "a finite precoder" if status.answered else "a precoder of NaN"


def _check_answers(solver: Solver, problem: Problem, solution: Solution) -> None:
    """Precoders keep the constraints, and have the objective that is told."""
    answered = np.array([status.answered for status in solution.status])
    require(solver, answered.any(), "answer for at least one member", [str(s) for s in solution.status])
    W = np.where(answered[:, None, None], solution.precoder, 1.0)
    for name, slack in problem.constraints(W).items():
        least = np.min(slack[answered])
        require(solver, least >= SLACK, f"keep the constraint {name!r}, with a slack of at least {SLACK:g}", least)
    told, value = solution.objective[answered], problem.objective(W)[answered]
    require(solver, np.isfinite(told), "have a finite objective where there is a precoder", told)
    off = np.max(np.abs(told - value) / np.maximum(np.abs(value), np.finfo(float).tiny))
    require(solver, off <= ROUNDING, f"tell the problem's objective of its precoder within {ROUNDING:g}", off)
    missing = np.isnan(solution.objective[~answered])
    require(solver, missing, "have an objective of NaN where there is no precoder", solution.objective)


def _members(solver: Solver, problem: Problem, solution: Solution) -> Any:
    """One member's numbers out of the batch, and those it gets alone."""

    def member(of: Solution, i: int) -> dict[str, Any]:
        # A batch traces as many steps as its slowest member takes, also of those that take none.
        ends = int(of.iterations[i]) + 1
        trace = {name: rows[i, :ends] for name, rows in of.trace.items() if not np.isnan(rows[i]).all()}
        status, notes = str(of.status[i]), of.notes[i]
        return {name: getattr(of, name)[i] for name in NUMBERS} | {"status": status, "notes": notes, "trace": trace}

    def part(i: int) -> dict[str, Any]:
        return member(_solve(solver, take(problem, np.array([i])), [i]), 0)

    return lambda i: member(solution, i), part


def _check_scaling(solver: Solver, problem: Any, solution: Solution, rtol: float) -> None:
    """The unit of the users' received signal does not matter."""
    if not hasattr(problem, "noise_power") or not problem.transceiver.user.is_ideal:
        return
    scaled = attrs.evolve(problem, H=SCALE * problem.H, noise_power=SCALE**2 * problem.noise_power)
    seeds = range(batch_shape(problem)[0])
    other = attempt(solver, "solve a problem with scaled channels", _solve, solver, scaled, seeds)
    same = not difference(*([str(s) for s in x.status] for x in (solution, other)))
    require(solver, same, "keep its status when channels and noise are scaled", other.status)
    answered = np.isfinite(solution.objective)
    off = np.abs(other.objective - solution.objective)[answered] / np.abs(solution.objective[answered])
    require(solver, off <= rtol, f"keep its objective within {rtol:g} when channels and noise are scaled", np.max(off))
