"""`solve`: a problem in, a solution out."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from functools import partial, reduce
from typing import Any

import attrs
import numpy as np

from isacsim.batch import as_array, batch_shape, flatten, take
from isacsim.errors import InvalidInput, PluginError, one_of, origin
from isacsim.plugin import Registry, default_registry
from isacsim.problems.base import Problem
from isacsim.solvers.base import Request, Solver
from isacsim.solvers.solution import ARRAYS, Solution, Status, gathered, objects
from isacsim.threads import one_blas_thread
from isacsim.typing import BoolArray, ComplexArray


def solve(
    problem: Problem,
    solver: str | Solver | None = None,
    *,
    initial: Any = None,
    starts: Sequence[str] | None = None,
    rng: np.random.Generator | Sequence[np.random.Generator] | None = None,
    callback: Callable[[Any], Any] | None = None,
    time_limit: float | None = None,
    registry: Registry | None = None,
    **options: Any,
) -> Solution:
    """Solve a design problem, or a batch of them.

    Args:
        problem: The problem; its leading axes are those of the solution.
        solver: Name of a solver, a solver record, or None for the problem's default.
        initial: Precoder to start from, broadcast to (..., N_t, K+S), in sqrt(W); it is scaled
            to full power.
        starts: Names of starts, of which the best result counts; None is the solver's choice.
        rng: Source of random starts: one generator, or one for each member of the batch.
        callback: Called after each step with a `Progress`; a true result stops the solve.
        time_limit: Largest time, in s.
        registry: Where names are looked up; None is the registry of this process.
        **options: Fields of the solver, ``max_steps=100`` for example.

    Returns:
        The solution; members without an answer carry their status and stop no other.

    Raises:
        InvalidInput: For arguments that break a rule, and for a solver that does not take
            the problem.
    """
    begin = time.perf_counter()
    registry = registry or default_registry()
    if not isinstance(problem, Problem):
        raise InvalidInput("problem", "must be a design problem", problem, "Build a SumRateCrlb, for example.")
    if callback is not None and not callable(callback):
        raise InvalidInput("callback", "must be a function", callback, "It is given a Progress after each step.")
    chosen = make_solver(problem, solver, options, registry)
    shape = batch_shape(problem)
    flat = _individual(flatten(problem, shape), int(np.prod(shape)))
    request = Request(
        initial=_initial(initial, problem, shape),
        rngs=_generators(rng, int(np.prod(shape))),
        callback=callback,
        time_limit=time_limit,
    )
    if initial is not None and starts is not None:
        raise InvalidInput("starts", "must not be given beside `initial`", starts, "Give one of them.")
    solutions = []
    for name in _starts(starts):
        # The bytes a run stores, whatever the threads of this process; what breaks down is told by the status.
        with one_blas_thread(), np.errstate(all="ignore"):
            solutions.append(_solve_screened(flat, chosen, attrs.evolve(request, start=name)))
        if time_limit is not None:
            left = max(time_limit - (time.perf_counter() - begin), np.finfo(float).tiny)
            request = attrs.evolve(request, time_limit=left)
    solution = reduce(partial(_better, problem.sense), solutions)
    return attrs.evolve(solution.reshape(shape), runtime=time.perf_counter() - begin)


def make_solver(problem: Problem, solver: str | Solver | None, options: dict[str, Any], registry: Registry) -> Solver:
    """The solver record that a name and options stand for, checked against the problem."""
    if solver is None:
        solver = registry.default_solver(problem.kind)
    if isinstance(solver, str):
        try:
            cls = registry.load("solvers", solver)
        except InvalidInput as error:
            raise error.at("solver") from None
        known = [f.name for f in attrs.fields(cls)]
        for option in options:
            if option not in known:
                raise InvalidInput(option, f"must be an option of {solver}", options[option], one_of(known, option))
        chosen = cls(**options)
    else:
        chosen = attrs.evolve(solver, **options) if options else solver
    if not isinstance(chosen, Solver):
        raise InvalidInput("solver", "must be a name or a solver", solver, one_of(registry.names("solvers")))
    check_takes(problem, chosen, registry)
    return chosen


def check_takes(problem: Problem, solver: Solver, registry: Registry, hardware: str = "") -> None:
    """Refuse a solver that does not take a problem.

    Args:
        problem: The problem.
        solver: The solver.
        registry: Where other solvers are looked up.
        hardware: What a scenario calls the hardware believed in; empty outside of one.

    Raises:
        InvalidInput: It says why not, and names the solvers that would do, if there are any.
    """
    told = solver.takes(problem)
    if told is None:
        return
    others, name = takers(problem, registry), solver_name(solver, registry)
    remedy = one_of(others) if others else f"No solver that is installed takes the problem {problem.kind}."
    if problem.kind in getattr(solver, "problems", ()) and not problem.transceiver.is_ideal:
        remedy = "Believe in ideal hardware and judge through the real one."
        believed = f"hardware.{hardware}" if hardware else "this hardware"
        remedy += f" {one_of(others)}" if others else f" No solver of {problem.kind} takes {believed}."
    raise InvalidInput("solver", f"must take the problem {problem.kind}; {name} {told}", name, remedy)


def takers(problem: Problem, registry: Registry) -> list[str]:
    """Names of the solvers that take a problem, of those that can be made from defaults or their example."""
    found = []
    for name in registry.names("solvers"):
        solver = made_by_default(name, registry)
        if solver is not None and solver.takes(problem) is None:
            found.append(name)
    return found


def made_by_default(name: str, registry: Registry) -> Solver | None:
    """A solver as it is without options, or of its example; None where it cannot be made."""
    with contextlib.suppress(PluginError):
        cls, example = registry.load("solvers", name), registry.spec("solvers", name).example
        for options in ({}, example):
            with contextlib.suppress(TypeError, InvalidInput):
                made = cls(**options)
                return made if isinstance(made, Solver) else None
    return None


def solver_name(solver: Solver, registry: Registry) -> str:
    """The name that a solver is offered under; that of its class where it is not."""
    home = f"{type(solver).__module__}:{type(solver).__qualname__}"
    for name in registry.names("solvers"):
        with contextlib.suppress(PluginError):
            if registry.spec("solvers", name).target == home:
                return name
    return type(solver).__name__


def _individual(problem: Any, members: int) -> Any:
    """A flat problem whose channels have one entry a member, also where all were shared."""
    if problem.H.shape[0] == members:
        return problem
    return attrs.evolve(problem, H=np.broadcast_to(problem.H, (members, *problem.H.shape[1:])))


def _initial(initial: Any, problem: Problem, shape: tuple[int, ...]) -> ComplexArray | None:
    if initial is None:
        return None
    wanted = (*shape, problem.H.shape[-2], problem.streams)
    try:
        W = np.broadcast_to(as_array("initial", initial, complex, 2), wanted)
    except ValueError as error:
        if isinstance(error, InvalidInput):
            raise
        raise InvalidInput(
            "initial", f"must broadcast to {wanted}", np.shape(initial), "It is (..., N_t, K+S)."
        ) from None
    if not np.all(np.any(W, axis=(-2, -1))):
        raise InvalidInput("initial", "must not be zero", W, "A zero precoder has no direction.")
    return np.ascontiguousarray(W.reshape((-1, *wanted[-2:])))


def _starts(starts: Any) -> list[Any]:
    if starts is None:
        return [None]
    names = [starts] if isinstance(starts, str) else list(starts) if isinstance(starts, Sequence) else []
    if not names:
        raise InvalidInput("starts", "must be names of starts", starts, "Leave it out for the solver's own start.")
    return names


def _generators(rng: Any, members: int) -> Sequence[np.random.Generator] | None:
    if rng is None:
        return None
    if isinstance(rng, np.random.Generator):
        return rng.spawn(members)
    rngs = list(rng) if isinstance(rng, Sequence) else [rng]
    if len(rngs) != members or not all(isinstance(r, np.random.Generator) for r in rngs):
        raise InvalidInput("rng", f"must be one Generator, or one for each of the {members} members", rng, "See numpy.")
    return rngs


def _solve_screened(problem: Problem, solver: Solver, request: Request) -> Solution:
    """Solve the members that can have an answer; the others get their status."""
    members = problem.members
    if not members:
        return _nothing(problem, members)
    sound, notes = problem.screen()
    notes = list(notes)
    hopeless = problem.hopeless()
    open_ = sound & np.array([not why for why in hopeless])
    if open_.all():
        solution = _solved(problem, solver, request)
    else:
        solution = _nothing(problem, members)
        for i in np.flatnonzero(sound & ~open_):
            solution.status[i], solution.bound[i], notes[i] = Status.INFEASIBLE, np.inf, (*notes[i], hopeless[i])
        if open_.any():
            kept = _of(request, open_)
            solution = _scatter(_solved(take(problem, open_), solver, kept), open_, solution)
    told = [(*extra, *own) for extra, own in zip(notes, solution.notes, strict=True)]
    return attrs.evolve(solution, notes=objects(told))


def _of(request: Request, members: BoolArray) -> Request:
    """The request to some members."""
    return attrs.evolve(
        request,
        initial=None if request.initial is None else request.initial[members],
        rngs=None if request.rngs is None else [r for r, ok in zip(request.rngs, members, strict=True) if ok],
    )


def _solved(problem: Problem, solver: Solver, request: Request) -> Solution:
    """What the solver returns; arithmetic that breaks down for a member is its status and stops no other.

    Anything else that a solver raises is an error of its own, and is the caller's.
    """
    try:
        return solver.solve(problem, request)
    except (np.linalg.LinAlgError, OverflowError, ZeroDivisionError) as error:
        members = problem.members
        if members == 1:
            solution = _nothing(problem, 1)
            file, line = origin(error)
            solution.status[0], solution.notes[0] = Status.FAILED, (f"{type(error).__name__}: {error} ({file}:{line})",)
            return solution
    halves = np.array_split(np.arange(members), 2)
    chosen = [np.isin(np.arange(members), half) for half in halves]
    parts = [_solved(take(problem, of), solver, _of(request, of)) for of in chosen]
    return gathered(list(zip(parts, halves, strict=True)), sum(part.runtime for part in parts))


def _better(sense: int, one: Solution, other: Solution) -> Solution:
    """Member by member the better of two solutions of one problem."""
    better = ~(sense * one.objective >= sense * other.objective) & ~np.isnan(other.objective)
    return _scatter(other.take(better), better, one) if better.any() else one


def _nothing(problem: Problem, members: int) -> Solution:
    nan = np.full(members, np.nan)
    return Solution(
        precoder=np.full((members, problem.H.shape[-2], problem.streams), np.nan, complex),
        objective=nan,
        gap=nan,
        residual=nan,
        iterations=np.zeros(members, int),
        status=objects([Status.UNIDENTIFIABLE] * members),
        bound=nan,
        notes=objects([()] * members),
        runtime=0.0,
        trace={"objective": nan[:, None], "time": nan[:, None]},
    )


def _scatter(part: Solution, members: BoolArray, whole: Solution) -> Solution:
    """``whole`` with ``part`` in the place of its ``members``."""

    def spread(values: Any, into: Any) -> Any:
        result = np.array(into, dtype=values.dtype)
        result[members] = values
        return result

    steps = max(values.shape[1] for s in (part, whole) for values in s.trace.values())
    trace = {}
    for name in {**whole.trace, **part.trace}:
        trace[name] = np.full((members.size, steps), np.nan)
        for source, rows in ((whole, ~members), (part, members)):
            if name in source.trace:
                old = source.trace[name]
                trace[name][rows, : old.shape[1]] = old if source is part else old[rows]
    fields = {name: spread(getattr(part, name), getattr(whole, name)) for name in ARRAYS}
    return Solution(**fields, runtime=whole.runtime + part.runtime, trace=trace)
