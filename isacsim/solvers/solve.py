"""`solve`: a problem in, a solution out."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial, reduce
from typing import Any

import attrs
import numpy as np

from isacsim.batch import as_array, batch_shape, flatten, take
from isacsim.errors import InvalidInput, one_of
from isacsim.plugin import Registry, default_registry
from isacsim.problems.base import Problem
from isacsim.solvers.base import Request, Solver
from isacsim.solvers.solution import ARRAYS, Solution, Status, objects
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
    check_pair(problem.kind, problem.transceiver.is_ideal, chosen, registry)
    return chosen


def check_pair(kind: str, ideal: bool, solver: Solver, registry: Registry) -> None:
    """Refuse a solver that does not take a kind of problem, or hardware that is not ideal.

    Raises:
        InvalidInput: It names the solvers that would do.
    """
    if kind not in solver.problems:
        remedy = one_of(_suitable(registry, kind, aware=not ideal))
        raise InvalidInput("solver", f"must take the problem {kind}", type(solver).__name__, remedy)
    if not ideal and not solver.hardware_aware:
        aware = _suitable(registry, kind, aware=True)
        remedy = "Believe in ideal hardware and judge through the real one." + (f" {one_of(aware)}" if aware else "")
        raise InvalidInput(
            "solver", "must be able to design for hardware that is not ideal", type(solver).__name__, remedy
        )


def _suitable(registry: Registry, kind: str, aware: bool) -> list[str]:
    classes = registry.loadable("solvers").components
    return [n for n, cls in classes.items() if kind in cls.problems and (cls.hardware_aware or not aware)]


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
    members = problem.H.shape[0]
    if not members:
        return _nothing(problem, members)
    sound, notes = problem.screen()
    if sound.all():
        solution = solver.solve(problem, request)
    elif not sound.any():
        solution = _nothing(problem, sound.size)
    else:
        kept = attrs.evolve(
            request,
            initial=None if request.initial is None else request.initial[sound],
            rngs=None if request.rngs is None else [r for r, ok in zip(request.rngs, sound, strict=True) if ok],
        )
        solution = _scatter(solver.solve(take(problem, sound), kept), sound, _nothing(problem, sound.size))
    told = [(*extra, *own) for extra, own in zip(notes, solution.notes, strict=True)]
    return attrs.evolve(solution, notes=objects(told))


def _better(sense: int, one: Solution, other: Solution) -> Solution:
    """Member by member the better of two solutions of one problem."""
    better = ~(sense * one.objective >= sense * other.objective) & ~np.isnan(other.objective)
    return _scatter(other.take(better), better, one) if better.any() else one


def _nothing(problem: Problem, members: int) -> Solution:
    nothing = np.full((members, problem.H.shape[-2], problem.streams), np.nan, complex)
    return Solution.resting(nothing, Status.UNIDENTIFIABLE, [""] * members)


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
