"""`solve`: a problem in, a solution out."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial, reduce
from itertools import compress
from typing import Any

import attrs
import numpy as np

from isacsim.batch import all_of, as_array, batch_shape, each, flatten, replaced, take, unflattened
from isacsim.checks import doubt_power
from isacsim.errors import InvalidInput, PluginError, one_of, origin
from isacsim.memory import must_fit
from isacsim.plugin import Registry, default_registry
from isacsim.problems.base import Problem, Variable
from isacsim.problems.scaling import countable
from isacsim.solvers.base import Request, Solver, refusal
from isacsim.solvers.solution import Solution, Status, gathered, objects, placed, without
from isacsim.threads import allowance, one_blas_thread, side_by_side
from isacsim.typing import AnyArray, BoolArray, IntArray


def solve(
    problem: Problem,
    solver: str | Solver | None = None,
    *,
    initial: Any = None,
    starts: Sequence[str] | None = None,
    rng: np.random.Generator | Sequence[np.random.Generator] | None = None,
    callback: Callable[[Any], Any] | None = None,
    time_limit: float | None = None,
    threads: int | None = None,
    registry: Registry | None = None,
    **options: Any,
) -> Solution:
    """Solve a design problem, or a batch of them.

    Args:
        problem: The problem; its leading axes are those of the solution.
        solver: Name of a solver, a solver record, or None for the problem's default.
        initial: Precoder to start from, broadcast to (..., N_t, K+S), in sqrt(W); it is scaled
            to full power. Of a problem that decides on something else, its array, or a dict of them.
        starts: Names of starts, of which the best result counts; None is the solver's choice.
        rng: Source of random starts: one generator, or one for each member of the batch.
        callback: Called after each step with a `Progress`; a true result stops the solve.
        time_limit: Largest time, in s.
        threads: Number of threads that share the members of a batch, whose bytes do not depend on it; None is 1, and
            in a run what its executor says. It pays where compiled kernels are most of the work, which release
            Python's lock. With a callback, which sees all members, there is one.
        registry: Where names are looked up; None is the registry of this process.
        **options: Fields of the solver, ``max_steps=100`` for example.

    Returns:
        The solution; members without an answer carry their status and stop no other.

    Raises:
        InvalidInput: For arguments that break a rule, and for a solver that does not take
            the problem.
    """
    begin = time.perf_counter()
    if not isinstance(problem, Problem):
        raise InvalidInput("problem", "must be a design problem", problem, "Build a SumRateCrlb, for example.")
    if callback is not None and not callable(callback):
        raise InvalidInput("callback", "must be a function", callback, "It is given a Progress after each step.")
    # The engine's powers are those of a scenario, which has been doubted where it was made.
    if not str(sys._getframe(1).f_globals.get("__name__", "")).startswith("isacsim."):
        doubt_power("power", getattr(problem, "power", 0.0), stacklevel=4)
    chosen = make_solver(problem, solver, options, registry)
    shape, members = batch_shape(problem), problem.members
    # An empty batch of what cannot be is refused too.
    sizes = [(max(members, 1), *variable.shape) for variable in problem.decision.values()]
    must_fit("problem", "what is decided", sizes, *sizes)
    flat = _individual(flatten(problem, shape), members)
    threads = _threads(threads)
    rngs = _generators(rng, members)
    request = Request(_initial(initial, problem, shape), None, rngs, callback, time_limit, begun=begin)
    if initial is not None and starts is not None:
        raise InvalidInput("starts", "must not be given beside `initial`", starts, "Give one of them.")
    # The bytes a run stores, whatever the threads of this process; what breaks down is told by the status.
    with one_blas_thread(), np.errstate(all="ignore"):
        (scaled, lost), solutions = countable(flat), []
        for name in _starts(starts):
            own = request if name is None else attrs.evolve(request, start=name)
            solutions.append(_apart(scaled, lost, chosen, own, threads))
        solution = _without_claims(_with_precoder(flat, reduce(partial(_better, problem.sense), solutions)))
    return unflattened(solution, shape, runtime=time.perf_counter() - begin)


def make_solver(
    problem: Problem, solver: str | Solver | None, options: dict[str, Any], registry: Registry | None = None
) -> Solver:
    """The solver record that a name and options stand for, checked against the problem.

    The registry of this process is built where a name is looked up in it, and not for a solver that is given.
    """
    if isinstance(solver, Solver):
        given = attrs.evolve(solver, **options) if options else solver
        if refusal(given, problem) is not None:
            check_takes(problem, given, registry or default_registry())
        return given
    registry = registry or default_registry()
    if solver is None:
        solver = registry.default_solver(problem.kind)
    if not isinstance(solver, str):
        raise InvalidInput("solver", "must be a name or a solver", solver, one_of(registry.names("solvers")))
    try:
        cls = registry.load("solvers", solver)
    except InvalidInput as error:
        raise error.at("solver") from None
    known = [f.name for f in attrs.fields(cls)] if options else []
    for option in options:
        if option not in known:
            raise InvalidInput(option, f"must be an option of {solver}", options[option], one_of(known, option))
    chosen: Solver = cls(**options) if options else _as_it_is(cls)
    check_takes(problem, chosen, registry)
    return chosen


@cache
def _as_it_is(cls: type[Solver]) -> Solver:
    """A solver without options: a frozen record, of which one is enough."""
    return cls()


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
    told = refusal(solver, problem)
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
    """Names of the solvers that take a problem, of those that can be made from defaults or their example.

    Heuristics are left out: who needs a solver needs one that minds the requirements.
    """
    found = []
    for name in registry.names("solvers"):
        solver = made_by_default(name, registry)
        if solver is not None and not solver.heuristic and refusal(solver, problem) is None:
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
    """A flat problem whose channels, if it has any, have one entry a member, also where all were shared."""
    if not hasattr(problem, "H") or problem.H.shape[0] == members:
        return problem
    return replaced(problem, H=each(problem.H, members))


def _initial(initial: Any, problem: Problem, shape: tuple[int, ...]) -> Any:
    """The arrays to start from, flat: the decision's one array, or all of several by name."""
    if initial is None:
        return None
    variables = problem.decision
    if len(variables) == 1:
        (variable,) = variables.values()
        return _start("initial", initial, variable, shape)
    if not isinstance(initial, Mapping) or set(initial) != set(variables):
        raise InvalidInput("initial", f"must have the arrays {', '.join(variables)}", initial, "Give a dict of them.")
    return {name: _start(f"initial.{name}", initial[name], v, shape) for name, v in variables.items()}


def _start(field: str, value: Any, variable: Variable, shape: tuple[int, ...]) -> AnyArray:
    wanted, axes = (*shape, *variable.shape), len(variable.shape)
    is_precoder = variable.unit == "sqrt(W)"
    remedy = "It is (..., N_t, K+S)." if is_precoder else f"One member has {variable.shape}."
    array = as_array(field, value, variable.dtype, axes)
    try:
        flat = np.broadcast_to(array, wanted).reshape((-1, *variable.shape))
    except ValueError:
        raise InvalidInput(field, f"must broadcast to {wanted}", np.shape(value), remedy) from None
    if is_precoder and not flat.any(axis=tuple(range(1, flat.ndim))).all():
        raise InvalidInput("initial", "must not be zero", array, "A zero precoder has no direction.")
    return np.ascontiguousarray(flat)


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


def _apart(problem: Problem, lost: list[str], solver: Solver, request: Request, threads: int) -> Solution:
    """The solution where some members are ``lost``, with the reason why: they have failed, the others are solved."""
    if not any(lost):
        return _shared_out(problem, solver, request, threads)
    kept = np.array([not why for why in lost])
    solution = _nothing(problem).marked(~kept, Status.FAILED, [*filter(None, lost)])
    if kept.any():
        part = _shared_out(take(problem, kept), solver, _of(request, kept), threads)
        solution = placed(part, kept, solution)
    return solution


def _shared_out(problem: Problem, solver: Solver, request: Request, threads: int) -> Solution:
    """`_solve_screened`, for which so many threads share the members."""
    threads = min(threads, problem.members) if request.callback is None else 1
    if threads <= 1:
        return _solve_screened(problem, solver, request)
    parts = list(_parts(problem, request, threads))
    found = side_by_side([partial(_solve_screened, part, solver, own) for part, own, _ in parts])
    places = [members for _, _, members in parts]
    return gathered(list(zip(found, places, strict=True)), max(part.runtime for part in found))


def _parts(problem: Problem, request: Request, count: int) -> Iterator[tuple[Problem, Request, IntArray]]:
    """A batch and the request to it in some parts of equal size, with the places of their members."""
    for members in np.array_split(np.arange(problem.members), count):
        chosen = np.isin(np.arange(problem.members), members)
        yield take(problem, chosen), _of(request, chosen), members


def _threads(count: int | None) -> int:
    """A number of threads; where the caller says none, how many are allowed."""
    if count is None:
        return allowance()
    if not (isinstance(count, int | np.integer) and not isinstance(count, bool) and count >= 1):
        raise InvalidInput("threads", "must be a whole number of at least 1", count, "Leave it out for one.")
    return int(count)


def _solve_screened(problem: Problem, solver: Solver, request: Request) -> Solution:
    """Solve the members that can have an answer; the others get their status."""
    if not problem.members:
        return _nothing(problem)
    (sound, notes), hopeless = problem.screen(), problem.hopeless()
    if all_of(sound) and not any(hopeless):
        solution = _solved(problem, solver, request)
        if not any(notes):
            return solution
    else:
        out = sound & np.array([bool(why) for why in hopeless])
        least, open_ = np.where(out, np.inf, np.nan), sound & ~out
        solution = replaced(_nothing(problem), bound=least, least_power=least)
        solution = solution.marked(out, Status.INFEASIBLE, [*compress(hopeless, out)])
        if open_.any():
            solution = placed(_solved(take(problem, open_), solver, _of(request, open_)), open_, solution)
    told = [(*extra, *own) for extra, own in zip(notes, solution.notes, strict=True)]
    return replaced(solution, notes=objects(told))


def _of(request: Request, members: BoolArray) -> Request:
    """The request to some members."""
    initial, rngs = request.initial, request.rngs
    if isinstance(initial, Mapping):
        initial = {name: array[members] for name, array in initial.items()}
    elif initial is not None:
        initial = initial[members]
    return attrs.evolve(request, initial=initial, rngs=None if rngs is None else list(compress(rngs, members)))


def _solved(problem: Problem, solver: Solver, request: Request) -> Solution:
    """What the solver returns; arithmetic that breaks down for a member is its status and stops no other.

    Anything else that a solver raises is an error of its own, and is the caller's.
    """
    try:
        solution: object = solver.solve(problem, request)
        name, remedy = type(solver).__name__, "End with `Solution.of(problem, W)`."
        if not isinstance(solution, Solution):
            raise InvalidInput(name, "must return a Solution", type(solution).__name__, remedy)
        if odd := solution.odd(problem.members):
            rule = f"must return a Solution with a {odd} for each of {problem.members} members"
            raise InvalidInput(name, rule, getattr(solution, odd, ""), remedy)
        return solution
    except (np.linalg.LinAlgError, OverflowError, ZeroDivisionError) as error:
        if problem.members == 1:
            file, line = origin(error)
            return _nothing(problem, Status.FAILED, f"{type(error).__name__}: {error} ({file}:{line})")
    found = [(_solved(half, solver, own), members) for half, own, members in _parts(problem, request, 2)]
    return gathered(found, sum(part.runtime for part, _ in found))


def _better(sense: int, one: Solution, other: Solution) -> Solution:
    """Member by member the better of two solutions of one problem."""
    better = ~(sense * one.objective >= sense * other.objective) & ~np.isnan(other.objective)
    return placed(other.take(better), better, one) if better.any() else one


def _nothing(problem: Problem, status: Status = Status.UNIDENTIFIABLE, note: str = "") -> Solution:
    members = problem.members
    decision = {
        name: np.full((members, *variable.shape), np.nan, np.result_type(variable.dtype, float))
        for name, variable in problem.decision.items()
    }
    return Solution.resting(decision, status, [note] * members)


def _without_claims(solution: Solution) -> Solution:
    """The solution, in which nothing is good whose objective is not finite, as of angles that no digit is left of.

    A member whose precoder or objective is no number has no answer, whatever a solver says of it.
    """
    if all(all_of(np.isfinite(array)) for array in (solution.objective, *solution.decision.values())):
        return solution
    told = [status if isinstance(status, Status) else Status.FAILED for status in solution.status]
    answered, good = (np.array([getattr(each, name) for each in told], bool) for name in ("answered", "good"))
    broken = np.isnan(solution.objective)
    for array in solution.decision.values():
        broken = broken | ~np.isfinite(array.reshape(len(told), -1 if array.size else 0)).all(axis=-1)
    broken = broken & answered
    unsaid = ~np.isfinite(solution.objective) & good & ~broken
    numbers, objective = "numbers that are not finite", "an objective that is not finite"
    for members, status, point in ((broken, Status.FAILED, numbers), (unsaid, Status.STALLED, objective)):
        notes = [f"the solver said {told[i]} of {point}" for i in np.flatnonzero(members)]
        solution = solution.marked(members, status, notes)
    return replaced(solution, decision=without(solution.decision, broken)) if broken.any() else solution


def _with_precoder(problem: Problem, solution: Solution) -> Solution:
    """The solution with the precoder that its decision makes, so that it can be judged."""
    if "precoder" in solution.decision or (W := problem.to_precoder(solution.decision)) is None:
        return solution
    return attrs.evolve(solution, precoder=np.asarray(W, complex))
