"""What a solver returns, and how far it can be trusted, member by member."""

from __future__ import annotations

from enum import Enum
from typing import Any

import numpy as np
from attrs import evolve, field, frozen

from isacsim.batch import same_array
from isacsim.typing import ComplexArray, FloatArray, IntArray


class Status(Enum):
    """How a member of a solve ended; `sentence` is the text shown to people."""

    GLOBAL = "Globally optimal, with a certificate."
    OPTIMAL = "Optimal: the relative duality gap is within the tolerance."
    STATIONARY = "Stationary: the KKT residual is within the tolerance; a local optimum at best."
    MAX_STEPS = "Stopped at a limit of steps or time before the residual met the tolerance."
    STALLED = "No step improved the objective any more, with the residual above the tolerance."
    INFEASIBLE = "No precoder meets the requirements; `bound` and `notes` hold the certificate."
    UNIDENTIFIABLE = "The scene's parameters cannot be estimated; `notes` name which and why."
    FAILED = "The computation broke down; `notes` say where."

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


# The fields of a solution that have the problem's leading axes.
ARRAYS = ("precoder", "objective", "gap", "residual", "iterations", "status", "bound", "notes")


@frozen(eq=False)
class Solution:
    """The answer to a problem; every field has the problem's leading axes (...).

    Attributes:
        precoder: W, shape (..., N_t, K+S), in sqrt(W); NaN where there is none.
        objective: The problem's merit at the precoder, (...).
        gap: Relative duality gap, (...); NaN for a solver without a bound.
        residual: Norm of the KKT residual, relative, (...); NaN if none.
        iterations: Steps taken, (...).
        status: `Status`, or an object array of them.
        bound: A proven bound on the objective, or the certificate of infeasibility, (...);
            NaN if none.
        notes: Tuple of remarks, or an object array of tuples.
        runtime: Time of the whole call, in s.
        trace: Arrays (..., steps+1) by name, NaN after a member's end; always ``objective``
            and ``time`` (s).
    """

    precoder: Any = field(eq=same_array)
    objective: Any
    gap: Any
    residual: Any
    iterations: Any
    status: Any
    bound: Any
    notes: Any
    runtime: float
    trace: dict[str, Any]

    @classmethod
    def resting(
        cls, precoder: ComplexArray, status: Status, notes: list[str], **values: float | FloatArray
    ) -> Solution:
        """The solution of a flat batch that took no iterations.

        Args:
            precoder: W, (B, N_t, K+S).
            status: Status of all members.
            notes: A remark on each, empty for none.
            **values: Of the other fields and of the trace, one number or (B,); NaN where not given.
        """
        every = {"objective": np.nan, "gap": np.nan, "residual": np.nan, "bound": np.nan} | values
        each = {name: np.full(len(precoder), value, float) for name, value in every.items()}
        traced = {name: each[name][:, None] for name in each if name not in ("gap", "residual", "bound")}
        return cls(
            precoder=precoder,
            **{name: each[name] for name in ("objective", "gap", "residual", "bound")},
            iterations=np.zeros(len(precoder), int),
            status=objects([status] * len(precoder)),
            notes=objects([(note,) if note else () for note in notes]),
            runtime=0.0,
            trace=traced | {"time": np.zeros((len(precoder), 1))},
        )

    @property
    def converged(self) -> Any:
        """Whether the solver's own convergence test was met, (...)."""
        return np.vectorize(lambda s: s.good, otypes=[bool])(self.status)[()]

    def take(self, members: Any) -> Solution:
        """The ``members`` of the solution of a flat batch."""
        return evolve(
            self,
            **{name: getattr(self, name)[members] for name in ARRAYS},
            trace={name: values[members] for name, values in self.trace.items()},
        )

    def best_of(self, count: int, sense: int) -> Solution:
        """Of ``count`` solutions for each member of a flat batch, one behind the other, the best."""
        merit = np.where(np.isnan(self.objective), -np.inf, sense * self.objective).reshape(-1, count)
        return self.take(np.arange(merit.shape[0]) * count + merit.argmax(axis=1))

    def reshape(self, shape: tuple[int, ...]) -> Solution:
        """The solution of a flat batch, with the leading axes ``shape``."""

        def lead(x: Any) -> Any:
            x = np.asarray(x)
            return x.reshape(shape + x.shape[1:])[()]

        def objects(x: Any) -> Any:
            return x[0] if shape == () else x.reshape(shape)

        arrays = {
            n: lead(getattr(self, n)) for n in ("precoder", "objective", "gap", "residual", "iterations", "bound")
        }
        return Solution(
            **arrays,
            status=objects(self.status),
            notes=objects(self.notes),
            runtime=self.runtime,
            trace={name: lead(values) for name, values in self.trace.items()},
        )

    def __repr__(self) -> str:
        names, counts = np.unique([str(s) for s in np.ravel(self.status)], return_counts=True)
        told = ", ".join(f"{c} {n}" if np.size(self.status) > 1 else n for n, c in zip(names, counts, strict=True))
        return f"Solution({told}, objective={self.objective!r}, iterations={self.iterations!r})"


def objects(values: list[Any]) -> Any:
    """A one-dimensional object array, also of tuples."""
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def gathered(parts: list[tuple[Solution, IntArray]], runtime: float) -> Solution:
    """One solution of the parts of a flat batch, given with the places of their members."""
    order = np.argsort(np.concatenate([places for _, places in parts]))
    if len(parts) == 1 and np.all(order[1:] > order[:-1]):
        return evolve(parts[0][0], runtime=runtime)
    steps = max(part.trace["time"].shape[1] for part, _ in parts)
    trace = {}
    for name in dict.fromkeys(name for part, _ in parts for name in part.trace):
        columns = [_padded(part.trace.get(name, part.trace["time"] * np.nan), steps) for part, _ in parts]
        trace[name] = np.concatenate(columns)[order]
    fields = {name: np.concatenate([getattr(part, name) for part, _ in parts])[order] for name in ARRAYS}
    return Solution(**fields, runtime=runtime, trace=trace)


def _padded(values: FloatArray, steps: int) -> FloatArray:
    return np.pad(values, ((0, 0), (0, steps - values.shape[1])), constant_values=np.nan)
