"""Contracts of design problems and of solvers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import numpy as np

from isacsim.batch import batch_shape, flatten, take
from isacsim.drop import Drop
from isacsim.hardware.base import Transceiver
from isacsim.problems.base import Problem, Requirements, Variable
from isacsim.solvers.base import Solver
from isacsim.solvers.solution import Solution, Status
from isacsim.solvers.solve import solve
from isacsim.testing.examples import drop_for, example_decision
from isacsim.testing.rules import alone, attempt, difference, generators, outcome, overrides, record, require

SLACK = -1e-9  # relative slack down to which a constraint counts as met
POWER = ("total", "antenna", "subcarrier")  # constraints on the power, which a precoder keeps when it is scaled down
ROUNDING = 1e-9  # relative error of an objective that is evaluated twice
BEYOND = 1e-6  # relative, by which an objective may pass a bound: both are computed
SCALE = 2.0**-10  # far from 1, and exact in floating point
NUMBERS = ("objective", "gap", "residual", "iterations", "bound")


def check_requirements(requirements: Requirements, kind: str | None = None, drop: Drop | None = None) -> None:
    """Check the requirements of a problem, and the problem that they pose.

    Args:
        requirements: The requirements, a problem table of a scenario.
        kind: Name under which the problem is offered, which it must have as its ``kind``;
            None leaves that open.
        drop: Realisations with one leading axis to pose it on; None is `example_drop`, or
            of a ``wideband`` problem `example_wideband_drop`.

    Raises:
        ContractError: If they break a rule.
    """
    record(requirements, Requirements)
    drop = flatten(drop or drop_for(requirements))
    members = batch_shape(drop)[0]
    problem = _pose(requirements, drop)
    own = getattr(problem, "kind", None)
    rule = f"have the name that it is offered under as its `kind`, {kind or 'some text'!r}"
    require(_name(problem), isinstance(own, str) and kind in (None, own), rule, own)
    at_all = example_decision(problem, drop)
    whole = _merit(problem, at_all, members)
    _check_power(problem, at_all)

    def part(i: int) -> Any:
        at = np.array([i])
        one = _pose(requirements, take(drop, at))
        same = one.decision == problem.decision
        require(_name(problem), same, "have as many streams for one member, and the same decision", one.decision)
        return _member(_merit(one, _member(at_all, at), 1), 0)

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
    overrides(problem, Problem)
    require(name, problem.sense in (-1, 1), "have a sense of 1 or -1", problem.sense)
    told = problem.transceiver == transceiver
    require(name, told, "design for the hardware that is believed in", problem.transceiver)
    lead = attempt(name, "be a record of batched fields", batch_shape, problem)
    require(name, lead == batch_shape(drop), f"have the leading axes {batch_shape(drop)} of the drop", lead)
    _check_decision(problem, drop)
    return problem


def _check_decision(problem: Problem, drop: Drop) -> None:
    """What is decided is named arrays, and makes a precoder for every user, if it makes one."""
    name, users = _name(problem), drop.H.shape[-1]
    variables = attempt(name, "say its streams, or its decision", lambda: problem.decision)
    there = isinstance(variables, dict) and variables and all(isinstance(v, Variable) for v in variables.values())
    require(name, there, "have a decision of at least one Variable by name", variables)
    if "precoder" in variables:
        streams = problem.streams
        whole = isinstance(streams, (int, np.integer)) and streams >= max(1, users)
        require(name, whole, f"have a whole number of streams, at least one for each of {users} users", streams)
        return
    W = attempt(name, "say what precoder its decision makes", problem.to_precoder, example_decision(problem, drop))
    fits = W is None or (np.shape(W)[:-1] == (problem.members, drop.H.shape[-2]) and np.shape(W)[-1] >= users)
    require(name, fits, "make a precoder (B, N_t, K+S) of its decision, or None", np.shape(W))


def _merit(problem: Problem, decision: Mapping[str, Any], members: int) -> dict[str, Any]:
    """Objective and constraints at a decision, each with the leading axis."""
    name, W = _name(problem), problem.argument(decision)
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


def _check_power(problem: Problem, decision: Mapping[str, Any]) -> None:
    """Slacks of the power are positive within it and negative beyond it: all slacks have that sign."""
    if "precoder" not in decision:
        return
    for factor, within in ((1e-3, True), (1e3, False)):
        slacks = problem.constraints(problem.argument({**decision, "precoder": factor * decision["precoder"]}))
        for key in [key for key in POWER if key in slacks]:
            rule = f"give {key!r} a slack that is {'positive within' if within else 'negative beyond'} the power"
            least = np.min(np.asarray(slacks[key]).reshape(problem.members, -1), axis=-1)
            require(_name(problem), (least > 0) == within, rule, least)


def _member(arrays: Mapping[str, Any], i: Any) -> dict[str, Any]:
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
    kind = getattr(problem, "kind", None)
    require(solver, isinstance(kinds, tuple) and kind in kinds, f"list {kind!r} in a tuple `problems`", kinds)
    problem = flatten(problem)
    members = batch_shape(problem)[0]
    told = attempt(solver, "say whether it takes a problem", solver.takes, problem)
    require(solver, told is None or isinstance(told, str), "return None or a sentence from `takes`", told)
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
        found = np.shape(getattr(solution, name))
        require(solver, found == (members,), f"give {name} of shape {(members,)}", found)
    for name, variable in problem.decision.items():
        require(solver, name in solution.decision, f"give a {name}", list(solution.decision))
        array, shape = solution.decision[name], (members, *variable.shape)
        require(solver, np.shape(array) == shape, f"give {name} of shape {shape}", np.shape(array))
        kind = "complex" if variable.dtype is complex else "real"
        require(solver, np.iscomplexobj(array) == (kind == "complex"), f"give a {kind} {name}", array.dtype)
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
        for name, array in solution.decision.items():
            what = f"a finite {name}" if status.answered else f"a {name} of NaN"
            there = np.isfinite(array[i])
            require(solver, there == status.answered, f"have {what} where it is {status}", there)


def _check_answers(solver: Solver, problem: Problem, solution: Solution) -> None:
    """Precoders keep the constraints, and have the objective that is told."""
    answered = solution.answered
    first = "; ".join((str(solution.status[0]), *solution.notes[0]))
    require(solver, answered.any(), "answer for at least one member", first)
    stand_in = example_decision(problem)
    at = {n: np.where(_along(answered, stand_in[n]), solution.decision[n], stand_in[n]) for n in stand_in}
    W = problem.argument(at)
    for name, slack in problem.constraints(W).items():
        rule = f"keep the constraint {name!r}, with a slack of at least {SLACK:g}"
        for i in np.flatnonzero(answered):
            least = float(np.min(np.asarray(slack)[i], initial=np.inf))
            told = solution.status[i] is Status.HEURISTIC and any(name in note for note in solution.notes[i])
            said = told and name not in POWER  # a heuristic keeps the power, and says what else it misses
            require(solver, said or least >= SLACK, rule, least)
    told, value = solution.objective[answered], problem.objective(W)[answered]
    require(solver, np.isfinite(told), "have a finite objective where there is a precoder", told)
    off = np.max(np.abs(told - value) / np.maximum(np.abs(value), np.finfo(float).tiny))
    require(solver, off <= ROUNDING, f"tell the problem's objective of its precoder within {ROUNDING:g}", off)
    _check_best(solver, problem, solution)
    missing = np.isnan(solution.objective[~answered])
    require(solver, missing, "have an objective of NaN where there is no precoder", solution.objective)


def _check_best(solver: Solver, problem: Problem, solution: Solution) -> None:
    """What claims an optimum is no worse than a feasible decision at random, and no better than a bound.

    So that a solver which takes the objective with the wrong sign is seen.
    """
    W = problem.argument(example_decision(problem))
    slacks = [
        np.asarray(s).reshape(problem.members, -1).min(axis=-1, initial=np.inf) for s in problem.constraints(W).values()
    ]
    feasible = np.all([slack >= SLACK for slack in slacks], axis=0) if slacks else np.ones(problem.members, bool)
    value = np.asarray(problem.objective(W))
    for i, status in enumerate(solution.status):
        own, room = solution.objective[i], ROUNDING * abs(solution.objective[i])
        if status in (Status.GLOBAL, Status.OPTIMAL, Status.STATIONARY) and feasible[i]:
            rule = f"be no worse than a decision at random where it is {status}"
            require(solver, problem.sense * (own - value[i]) >= -room, rule, f"{own:.6g} for {value[i]:.6g}")
        bound = solution.bound[i]
        if status.answered and not np.isnan(bound):
            room += abs(own) * BEYOND
            rule = "have a bound that its objective does not pass"
            require(solver, problem.sense * (bound - own) >= -room, rule, f"{bound:.6g} for {own:.6g}")


def _along(members: Any, array: Any) -> Any:
    """Members (B,) with the axes of an array (B, ...)."""
    return members.reshape(-1, *[1] * (array.ndim - 1))


def _members(solver: Solver, problem: Problem, solution: Solution) -> Any:
    """One member's numbers out of the batch, and those it gets alone."""

    def member(of: Solution, i: int) -> dict[str, Any]:
        # A batch traces as many steps as its slowest member takes, also of those that take none.
        ends = int(of.iterations[i]) + 1
        trace = {name: rows[i, :ends] for name, rows in of.trace.items() if not np.isnan(rows[i]).all()}
        status, notes = str(of.status[i]), of.notes[i]
        numbers = {name: getattr(of, name)[i] for name in NUMBERS} | {n: x[i] for n, x in of.decision.items()}
        return numbers | {"status": status, "notes": notes, "trace": trace}

    def part(i: int) -> dict[str, Any]:
        return member(_solve(solver, take(problem, np.array([i])), [i]), 0)

    return lambda i: member(solution, i), part


def _check_scaling(solver: Solver, problem: Any, solution: Solution, rtol: float) -> None:
    """The unit of the users' received signal does not matter."""
    if not hasattr(problem, "noise_power") or not hasattr(problem, "H") or not problem.transceiver.user.is_ideal:
        return
    scaled = attrs.evolve(problem, H=SCALE * problem.H, noise_power=SCALE**2 * problem.noise_power)
    seeds = range(batch_shape(problem)[0])
    other = attempt(solver, "solve a problem with scaled channels", _solve, solver, scaled, seeds)
    same = not difference(*([str(s) for s in x.status] for x in (solution, other)))
    require(solver, same, "keep its status when channels and noise are scaled", other.status)
    answered = np.isfinite(solution.objective)
    off = np.abs(other.objective - solution.objective)[answered] / np.abs(solution.objective[answered])
    require(solver, off <= rtol, f"keep its objective within {rtol:g} when channels and noise are scaled", np.max(off))
