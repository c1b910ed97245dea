"""Conic programs that are compiled once a shape: Hermitian matrices in them, and how they are solved.

A Hermitian matrix is the vector of its coordinates (`isacsim.linalg.hermitian`). A + jB is
positive semidefinite when [[A, -B], [B, A]] is. All data of a program are parameters that enter
affinely, so that cvxpy canonicalises a shape once.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import numpy as np
from attrs import evolve, field, frozen

from isacsim.errors import InvalidInput
from isacsim.linalg.hermitian import basis
from isacsim.typing import ComplexArray, FloatArray

# What each backend calls its tolerances: gaps and residuals.
BACKENDS = {"CLARABEL": ("tol_gap_abs", "tol_gap_rel", "tol_feas"), "SCS": ("eps_abs", "eps_rel")}
# Where an answer does not serve: the same backend with more regularisation against rounding and less asked, with that
# of small pivots left out, which can be larger than what counts of a nearly singular program, then SCS.
LOOSER = 1e2
REGULAR = {"static_regularization_constant": 1e-7, "iterative_refinement_max_iter": 50}
PIVOTS = {"dynamic_regularization_enable": False}
CONVEX = "isacsim[convex]"  # the extra with cvxpy and its backends
UNKNOWN = ("InsufficientProgress",)  # what a backend says of a point that it vouches for in no way
ROUGH, MOST_STEPS = 1e-7, 20_000  # accuracy that a first-order method can be asked for, and its steps
# Residuals and gap after some steps, relative to the data, from which the rest of them does not lead there: of programs
# that interior-point methods fail on, most are so degenerate that all 20,000 leave residuals of a hundredth and more.
FIRST_STEPS, LOST = 2_500, 1e-2


def cvxpy() -> Any:
    """The modelling language, imported when it is first needed.

    Raises:
        InvalidInput: If it is not installed.
    """
    try:
        import cvxpy
    except ModuleNotFoundError as error:
        if error.name != "cvxpy":
            raise
        rule, remedy = "must have cvxpy, which solves its cone programs", f"Install it: pip install '{CONVEX}'."
        raise InvalidInput("solver", rule, "", remedy) from None
    return cvxpy


@cache
def _settings(backend: str) -> dict[str, Any]:
    """Options of a backend that every program has.

    One thread, as `isacsim.threads` keeps the BLAS to: on these small programs Clarabel's pool costs
    more than it saves. Its chordal decomposition splits a cone along entries that are zero by
    their structure; the cones here are small, and the split ones of `inverse_trace` ended far from
    the optimum where some parameters do not count.
    Where it makes no progress any more its last point is told: it is for the caller to judge.
    """
    if backend != "CLARABEL":
        return {"max_iters": MOST_STEPS}
    import clarabel
    from cvxpy.reductions.solvers.conic_solvers import clarabel_conif

    options: dict[str, Any] = {"chordal_decomposition_enable": False}
    if hasattr(clarabel.DefaultSettings(), "max_threads"):  # versions without the setting have no pool
        options["max_threads"] = 1
    accept = getattr(clarabel_conif.CLARABEL, "ACCEPT_UNKNOWN", None)
    return options if accept is None else {**options, accept: True}


@frozen(eq=False)
class Answer:
    """What a backend made of a program."""

    primal: tuple[Any, ...] | None  #: Values of the program's variables; None where there is no point
    dual: tuple[Any, ...]  #: Multipliers of its rules
    steps: int  #: Steps that were taken, those of earlier settings included
    told: str  #: What each backend that was tried said, in its own words
    exact: bool  #: Whether the last one met what it was asked for
    near: bool  #: Whether it met that, or came near by its own account


class Parameters(dict[str, Any]):
    """The parameters of a program by name, as it is written down."""

    def given(self, name: str, *shape: int, **options: Any) -> Any:
        """A further one."""
        self[name] = cvxpy().Parameter(shape, name=name, **options)
        return self[name]


_SILENCE = threading.Lock()  # what is warned of is a matter of the process: threads would restore each other's rules


@frozen(eq=False)
class Program:
    """A compiled program; it is safe to solve from several threads."""

    problem: Any  #: The program
    parameters: Mapping[str, Any]  #: Its parameters by name
    variables: tuple[Any, ...]  #: The variables that an answer tells
    rules: tuple[Any, ...] = ()  #: The constraints whose multipliers it tells
    #: Settings of Clarabel by name that differ from those of other programs
    settings: Mapping[str, Any] = field(factory=dict)
    lock: Any = field(factory=threading.Lock)

    def solve(self, values: Mapping[str, Any], accuracy: float | None = None, backend: str = "CLARABEL") -> Answer:
        """The first answer that has what was asked for, or nearly; else the first that has a point, if any does.

        Args:
            values: Values of the parameters by name.
            accuracy: Gaps and residuals that the backend is asked for; None is its own choice.
            backend: One of `BACKENDS`; the first that is tried.
        """
        best = None
        for answer in self.answers(values, accuracy, backend):
            if answer.near:
                return answer
            if best is None or best.primal is None:
                best = answer
        assert best is not None
        return evolve(best, told=answer.told, steps=answer.steps)

    def answers(
        self, values: Mapping[str, Any], accuracy: float | None = None, backend: str = "CLARABEL"
    ) -> Iterator[Answer]:
        """Answers by one setting after the other, each solved for when it is asked for; it is asked as `solve` is."""
        if not all(np.isfinite(value).all() for value in values.values()):
            yield Answer(None, (), 0, "the program has entries that are no finite numbers", False, False)
            return
        steps, told = 0, []
        for name, options in attempts(backend, accuracy, self.settings):
            with self.lock:
                for key, parameter in self.parameters.items():
                    parameter.value = values[key]
                status, own, count = run_program(self.problem, name, options)
                primal: tuple[Any, ...] = ()
                dual: tuple[Any, ...] = ()
                if status in (cvxpy().OPTIMAL, cvxpy().OPTIMAL_INACCURATE):
                    primal = tuple(np.array(variable.value) for variable in self.variables)
                    dual = tuple(rule.dual_value for rule in self.rules)
                    if not all(np.isfinite(each).all() for each in primal):
                        primal = ()
            steps += count
            told.append(f"{name} said {own} after {count} steps")
            near = bool(primal) and own not in UNKNOWN
            yield Answer(primal or None, dual, steps, "; ".join(told), status == cvxpy().OPTIMAL, near)


def attempts(
    backend: str, accuracy: float | None, settings: Mapping[str, Any] | None = None
) -> list[tuple[str, dict[str, Any]]]:
    """The settings that are tried for a program, each with the backend's name."""

    def asked(name: str, accuracy: float | None, **options: Any) -> tuple[str, dict[str, Any]]:
        own = dict(settings or {}) if name == "CLARABEL" else {}
        tolerances = {} if accuracy is None else dict.fromkeys(BACKENDS[name], accuracy)
        return name, _settings(name) | own | tolerances | options

    first = asked(backend, accuracy)
    if backend == "SCS":
        return [first]
    looser = 1e-6 if accuracy is None else LOOSER * accuracy
    again = asked(backend, looser, **REGULAR), asked(backend, accuracy, **PIVOTS)
    return [first, *again, asked("SCS", max(ROUGH, accuracy or 0.0))]


def run_program(problem: Any, backend: str, options: dict[str, Any]) -> tuple[str, str, int]:
    """Solve a program whose parameters are set; cvxpy's status, the backend's own, and its steps.

    The answer lies in the program until its next call, for which several threads need a lock.
    """
    cp = cvxpy()
    with _SILENCE, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of an inaccurate solution; the caller judges what it is worth
        data, chain, inverse = problem.get_problem_data(backend, solver_opts=options)
        # Without a warm start the answer does not depend on what was solved before.
        try:
            raw = _solved(problem, chain, data, backend, options)
        except BaseException as error:  # of numbers that the backend cannot count with
            # Clarabel panics where an eigenvalue is not found, which is no Exception and would end the process.
            if not isinstance(error, (ValueError, ArithmeticError)) and type(error).__name__ != "PanicException":
                raise
            return cp.SOLVER_ERROR, f"{error}", 0
        try:
            problem.unpack_results(raw, chain, inverse)
            status = str(problem.status)
        except cp.error.SolverError:
            status = cp.SOLVER_ERROR
    if backend == "SCS":
        return status, str(raw["info"]["status"]), int(raw["info"]["iter"])
    return status, str(raw.status), int(raw.iterations)


def _solved(problem: Any, chain: Any, data: Any, backend: str, options: dict[str, Any]) -> Any:
    """The raw answer of a backend; a first-order method that has got nowhere after some steps is left there."""

    def solved(options: dict[str, Any]) -> Any:
        return chain.solve_via_data(problem, data, False, False, options)

    if backend != "SCS" or options["max_iters"] <= FIRST_STEPS:
        return solved(options)
    raw = solved(options | {"max_iters": FIRST_STEPS})
    info, (b, c) = raw["info"], (1 + np.abs(data[key]).max(initial=0.0) for key in ("b", "c"))
    off = (info["res_pri"] / b, info["res_dual"] / c, info["gap"] / (1 + abs(info["pobj"]) + abs(info["dobj"])))
    arrived = info["iter"] < FIRST_STEPS
    return solved(options) if not arrived and max(off) <= LOST and np.isfinite(off).all() else raw


def semidefinite(x: Any, side: int) -> Any:
    """The real embedding of the Hermitian matrix of coordinates x, an expression (2N, 2N)."""
    stacked = real(basis(side)).reshape(side**2, -1)
    return cvxpy().reshape(stacked.T @ x, (2 * side, 2 * side), order="F").T


def trace(x: Any, side: int) -> Any:
    """The trace of the Hermitian matrix (N, N) of coordinates x, an expression."""
    return np.trace(basis(side), axis1=-2, axis2=-1).real @ x


def real(A: ComplexArray) -> FloatArray:
    """The real embeddings (..., 2M, 2N) of matrices (..., M, N)."""
    return np.block([[A.real, -A.imag], [A.imag, A.real]])


def inverse_trace(entries: Any, weights: Any, counted: tuple[int, ...]) -> tuple[Any, Any]:
    """The rule that T is at least ``D^T F^-1 D`` for the columns of D that count, and the trace of T.

    Without rows of zeros: a parameter of weight 0 is in F alone.

    Args:
        entries: The upper triangle of the symmetric F, by rows, an expression (P (P + 1) / 2,).
        weights: A parameter, the weights that are not 0, (C,).
        counted: Their places among the P, (C,).
    """
    cp, size = cvxpy(), int(np.sqrt(2 * entries.size))
    i, j = np.triu_indices(size)
    scatter = np.zeros((size**2, i.size))
    scatter[i * size + j, np.arange(i.size)] = scatter[j * size + i, np.arange(i.size)] = 1
    F = cp.reshape(scatter @ entries, (size, size), order="F")
    T, D = cp.Variable((len(counted),) * 2, symmetric=True), np.eye(size)[:, list(counted)] @ cp.diag(weights)
    return cp.bmat([[F, D], [D.T, T]]) >> 0, cp.trace(T)
