"""What a solver returns, and how far it can be trusted, member by member."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

import numpy as np
from attrs import frozen

from isacsim.batch import all_of, joined, named, put, replaced, rows, take, unflattened
from isacsim.errors import InvalidInput
from isacsim.notebook import MOST, ranged, table
from isacsim.problems.base import Problem
from isacsim.typing import AnyArray, BoolArray, FloatArray, IntArray

ROUNDING = 1e-9  # relative slack below which a constraint is missed
# What of a solution is one entry for each member.
EACH = ("status", "objective", "gap", "residual", "iterations", "bound", "notes", "least_power")


class Status(Enum):
    """How a member of a solve ended; `sentence` is the text shown to people."""

    GLOBAL = "Globally optimal, with a certificate."
    OPTIMAL = "Optimal: the relative duality gap is within the tolerance."
    STATIONARY = "Stationary: the KKT residual is within the tolerance; a local optimum at best."
    MAX_STEPS = "Stopped at a limit of steps or time before the residual met the tolerance."
    STALLED = "No step improved the objective any more, with the residual above the tolerance."
    INFEASIBLE = "No precoder meets the requirements; `least_power` and `notes` hold the certificate."
    UNIDENTIFIABLE = "The scene's parameters cannot be estimated; `notes` name which and why."
    FAILED = "The computation broke down; `notes` say where."
    HEURISTIC = "A closed form within the power; nothing else is promised, and `notes` name what is not met."

    def __str__(self) -> str:
        return self.name

    @property
    def sentence(self) -> str:
        """The text shown to people."""
        return str(self.value)

    @property
    def code(self) -> int:
        """Position in this list; stored results use it, so that its order never changes."""
        return list(Status).index(self)

    @property
    def good(self) -> bool:
        """Whether the solver's own convergence test was met."""
        return self in (Status.GLOBAL, Status.OPTIMAL, Status.STATIONARY)

    @property
    def answered(self) -> bool:
        """Whether there is a precoder."""
        return self not in (Status.INFEASIBLE, Status.UNIDENTIFIABLE, Status.FAILED)


@frozen(eq=False, init=False)
class Solution:
    """The answer to a problem; every field has the problem's leading axes (...).

    Of a flat batch it is a record with one leading axis, which `isacsim.batch` takes members of
    and puts others into.

    Args:
        precoder: W, where the decision has one; the same as ``decision={"precoder": W}``.

    Attributes:
        decision: What was decided, by name: arrays ``(..., *shape)`` of the problem's
            `isacsim.problems.base.Problem.decision`, and the precoder that `solve` made of it; NaN
            where there is none.
        objective: The problem's merit at the decision, (...).
        gap: Relative duality gap, (...); NaN for a solver without a bound.
        residual: Norm of the KKT residual, relative, (...); NaN if none.
        iterations: Steps taken, (...).
        status: `Status`, or an object array of them.
        bound: A proven bound on the objective, (...); NaN if none. An infeasible member has no objective, and
            its ``least_power`` here too.
        notes: Tuple of remarks, or an object array of tuples.
        runtime: Time of the whole call, in s.
        trace: Arrays (..., steps+1) by name, NaN after a member's end; always ``objective``
            and ``time`` (s).
        least_power: The certificate of a member that is infeasible: a bound on the power that it
            needs, in W, infinite where none suffices, (...); NaN elsewhere.
    """

    decision: dict[str, Any] = named()
    objective: FloatArray = rows()
    gap: FloatArray = rows()
    residual: FloatArray = rows()
    iterations: IntArray = rows()
    status: AnyArray = rows()
    bound: FloatArray = rows()
    notes: AnyArray = rows()
    runtime: float
    trace: dict[str, Any] = named()
    least_power: FloatArray = rows()

    def __init__(
        self,
        precoder: Any = None,
        objective: Any = np.nan,
        gap: Any = np.nan,
        residual: Any = np.nan,
        iterations: Any = 0,
        status: Any = Status.FAILED,
        bound: Any = np.nan,
        notes: Any = (),
        runtime: float = 0.0,
        trace: dict[str, Any] | None = None,
        *,
        decision: Mapping[str, Any] | None = None,
        least_power: Any = None,
    ) -> None:
        decision = dict(decision or {}) if precoder is None else {**(decision or {}), "precoder": precoder}
        if least_power is None:
            least_power = np.full(np.shape(objective), np.nan)[()]
        self.__attrs_init__(
            decision, objective, gap, residual, iterations, status, bound, notes, runtime, trace or {}, least_power
        )

    @property
    def precoder(self) -> Any:
        """W, shape (..., N_t, K+S), in sqrt(W); NaN where there is none.

        Raises:
            InvalidInput: If the problem decides on no precoder and makes none of its decision.
        """
        if "precoder" not in self.decision:
            rule = "must have a precoder to be asked for one"
            raise InvalidInput("decision", rule, list(self.decision), "Read Solution.decision by name.")
        return self.decision["precoder"]

    @classmethod
    def resting(
        cls,
        decision: AnyArray | dict[str, Any],
        status: Status | AnyArray | list[Status],
        notes: list[str],
        **values: float | FloatArray,
    ) -> Solution:
        """The solution of a flat batch that took no iterations.

        Args:
            decision: Precoders (B, N_t, K+S), or arrays of other names.
            status: Status of all members, or of each.
            notes: A remark on each, empty for none.
            **values: Of the other fields and of the trace, one number or (B,); NaN where not given.
        """
        nothing = np.full(len(notes), np.nan)
        each: dict[str, Any] = dict.fromkeys(("gap", "residual", "bound", "least_power", "objective"), nothing)
        for name, value in values.items():
            each[name] = np.asarray(value, float) if np.ndim(value) else np.full(len(notes), value, float)
        statuses = [status] * len(notes) if isinstance(status, Status) else list(status)
        # Without an answer a trace is empty.
        time = np.array([0.0 if s.answered else np.nan for s in statuses])
        trace = {name: value for name, value in each.items() if name not in EACH or name == "objective"}
        return cls(
            decision=decision if isinstance(decision, dict) else {"precoder": decision},
            iterations=np.zeros(len(notes), int),
            status=objects(statuses),
            notes=objects([(note,) if note else () for note in notes]),
            trace={name: value[:, None] for name, value in {**trace, "time": time}.items()},
            **{name: value for name, value in each.items() if name in EACH},
        )

    @classmethod
    def of(
        cls, problem: Problem, precoder: Any, status: Any = Status.HEURISTIC, notes: Any = None, **values: Any
    ) -> Solution:
        """The solution of a flat batch that precoders are: their objective, and what constraints they miss.

        A solver that takes no iterations ends with it. A member whose precoder or objective is not finite has failed,
        unless its status says why it has no answer.

        Args:
            problem: The problem, with one leading axis.
            precoder: W (B, N_t, K) or (B, N_t, K+S), in sqrt(W); missing sensing streams are zero. What it says of
                members without an answer counts for nothing.
            status: Status of all members, or a list with that of each: ``Status.INFEASIBLE`` of some, for example.
            notes: A remark on each member; None leaves it at the constraints that are missed.
            **values: ``gap``, ``residual``, ``bound`` and ``least_power`` where they are known: one number or (B,).

        Raises:
            InvalidInput: If the precoders, or the statuses and notes, do not fit the problem.
        """
        shape = (problem.members, *problem.decision["precoder"].shape)
        W = np.asarray(precoder, complex)
        if W.ndim != 3 or W.shape[:2] != shape[:2] or W.shape[2] > shape[2]:
            remedy = f"`problem.streams` says how many columns it has room for: {shape[2]}."
            raise InvalidInput("precoder", f"must have the shape {shape}, or fewer columns", W.shape, remedy)
        W = np.pad(W, ((0, 0), (0, 0), (0, shape[2] - W.shape[2])))
        statuses, told = _each("status", status, W, Status), _each("notes", "" if notes is None else notes, W, str)
        objective, slacks = problem.objective(W), problem.constraints(W)
        finite = np.isfinite(objective) & np.isfinite(W).all(axis=(-2, -1))
        answered = np.array([s.answered for s in statuses], bool)
        for name, slack in slacks.items():
            worst = np.reshape(slack, (len(W), -1)).min(axis=-1, initial=np.inf)
            for i in np.flatnonzero((worst < -ROUNDING) & answered):
                told[i] = "; ".join(
                    filter(None, (told[i], f"misses the constraint {name} by {-worst[i]:.3g}, relative"))
                )
        for i in np.flatnonzero(answered & ~finite):
            statuses[i], told[i] = Status.FAILED, told[i] or "the precoder or its objective is not finite"
        sound = answered & finite
        kept = np.where(sound[:, None, None], W, np.nan)
        return cls.resting(kept, objects(statuses), told, objective=np.where(sound, objective, np.nan), **values)

    @property
    def converged(self) -> Any:
        """Whether the solver's own convergence test was met, (...)."""
        return self._where("good")

    @property
    def answered(self) -> Any:
        """Whether there is a precoder, (...)."""
        return self._where("answered")

    def _where(self, name: str) -> Any:
        status = np.asarray(self.status)
        return np.array([getattr(each, name) for each in status.flat], bool).reshape(status.shape)[()]

    def ended(self, *ends: Status) -> BoolArray:
        """Which members of the solution of a flat batch ended in one of some ways, (B,)."""
        return np.array([status in ends for status in self.status], bool)

    def marked(self, members: BoolArray, status: Status | None = None, note: str | Sequence[str] = "") -> Solution:
        """The solution of a flat batch with another status of ``members`` (B,), and a further remark on all or each."""
        statuses, notes, places = self.status.copy(), self.notes.copy(), np.flatnonzero(members)
        for i, told in zip(places, [note] * places.size if isinstance(note, str) else note, strict=True):
            statuses[i], notes[i] = status or statuses[i], (*notes[i], told) if told else notes[i]
        return replaced(self, status=statuses, notes=notes) if places.size else self

    def odd(self, members: int) -> str:
        """Name of what of the solution of a flat batch has not one entry for each of so many members; empty if all."""
        for name in EACH:
            if getattr(getattr(self, name), "shape", ()) != (members,):
                return name
        longer = [*self.decision.items(), *self.trace.items()]
        return next((name for name, array in longer if getattr(array, "shape", ())[:1] != (members,)), "")

    def take(self, members: Any) -> Solution:
        """The ``members`` of the solution of a flat batch."""
        return take(self, np.asarray(members))

    def best_of(self, count: int, sense: int) -> Solution:
        """Of ``count`` solutions for each member of a flat batch, one behind the other, the best."""
        merit = np.where(np.isnan(self.objective), -np.inf, sense * self.objective).reshape(-1, count)
        return self.take(np.arange(merit.shape[0]) * count + merit.argmax(axis=1))

    def reshape(self, shape: tuple[int, ...]) -> Solution:
        """The solution of a flat batch, with the leading axes ``shape``."""
        return unflattened(self, shape)

    def _statuses(self) -> str:
        names, counts = np.unique([str(s) for s in np.ravel(self.status)], return_counts=True)
        return ", ".join(f"{c} {n}" if np.size(self.status) > 1 else n for n, c in zip(names, counts, strict=True))

    def __repr__(self) -> str:
        if np.size(self.status) > MOST:
            objective, iterations = ranged(self.objective), ranged(self.iterations)
            return f"Solution({self._statuses()}, objective={objective}, iterations={iterations})"
        return f"Solution({self._statuses()}, objective={self.objective!r}, iterations={self.iterations!r})"

    def _repr_html_(self) -> str:
        rows = [("status", self._statuses())]
        rows += [(name, ranged(getattr(self, name))) for name in ("objective", "gap", "residual", "iterations")]
        rows += [(name, f"shape {np.shape(array)}") for name, array in self.decision.items()]
        notes = {note for of in np.ravel(np.asarray(self.notes, dtype=object)) for note in np.atleast_1d(of)}
        return table("Solution", [*rows, *(("note", note) for note in sorted(map(str, notes)))])


def _each(name: str, value: Any, W: AnyArray, kind: type) -> list[Any]:
    """One ``value`` for every member, or the list with that of each, checked."""
    values = [value] * len(W) if isinstance(value, kind) else list(value)
    if len(values) != len(W) or not all(isinstance(v, kind) for v in values):
        rule, remedy = f"must be one {kind.__name__}, or one for each of {len(W)} members", "Give a list of them."
        raise InvalidInput(name, rule, value, remedy)
    return values


def objects(values: list[Any]) -> Any:
    """A one-dimensional object array, also of tuples."""
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def without(arrays: Mapping[str, AnyArray], members: BoolArray) -> dict[str, AnyArray]:
    """Arrays of a flat batch by name, which are NaN of some ``members`` (B,)."""
    return {name: np.where(members.reshape(-1, *[1] * (x.ndim - 1)), np.nan, x) for name, x in arrays.items()}


def gathered(parts: list[tuple[Solution, IntArray]], runtime: float) -> Solution:
    """One solution of the parts of a flat batch, given with the places of their members."""
    (first, places), *others = parts
    if not others and (places.size == 1 or all_of(places[1:] > places[:-1])):
        return replaced(first, runtime=runtime)
    order = np.argsort(np.concatenate([places for _, places in parts]))
    return replaced(take(joined(aligned([part for part, _ in parts])), order), runtime=runtime)


def placed(part: Solution, members: BoolArray, whole: Solution) -> Solution:
    """``whole`` with ``part`` in the place of its ``members``."""
    part, whole = aligned([part, whole])
    return replaced(put(whole, members, part), runtime=whole.runtime + part.runtime)


def aligned(solutions: list[Solution]) -> list[Solution]:
    """Solutions of flat batches with traces of the same names and steps: NaN where one has none."""
    steps = max((values.shape[1] for s in solutions for values in s.trace.values()), default=0)
    names = dict.fromkeys(name for s in solutions for name in s.trace)
    return [replaced(s, trace={n: _padded(s, n, steps) for n in names}) for s in solutions]


def _padded(solution: Solution, name: str, steps: int) -> FloatArray:
    values = solution.trace.get(name, solution.trace["time"] * np.nan)
    return np.pad(values, ((0, 0), (0, steps - values.shape[1])), constant_values=np.nan)
