"""What is measured: each solver on each size of a problem, and each hardware stage.

Cases come from the registry, so that what a plugin offers is measured like what is bundled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
from attrs import field, frozen

from isacsim.batch import batch_shape, flatten, hermitian, take
from isacsim.benchmark.instances import SEED, Family, families
from isacsim.benchmark.quality import Quality, quality_of
from isacsim.plugin import Registry
from isacsim.problems.base import Problem
from isacsim.random import Stream, complex_normal, generator
from isacsim.solvers.base import Solver
from isacsim.solvers.solution import Solution
from isacsim.solvers.solve import check_takes, solve, takers
from isacsim.testing.examples import example_component

SAMPLES = 2**14  # of each chain that a hardware stage is given
COVARIANCES = 100
CHAINS = 16


@frozen
class Case:
    """One line of the results.

    Attributes:
        subject: A problem, or ``hardware``.
        size: Size of the instance, ``16x4``; of hardware what it does, ``apply``.
        name: The solver, or the stage.
        mode: ``alone``: one call for each member; ``batch``: one for all of them.
        members: Number of realisations; of hardware, samples or covariances.
    """

    subject: str
    size: str
    name: str
    mode: str
    members: int

    @property
    def title(self) -> str:
        """What reports call it."""
        return f"{self.subject} {self.size} {self.name} ({self.mode})"


@frozen(eq=False)
class Work:
    """A case made ready: the calls of a round, and what their results are worth.

    Attributes:
        calls: What is timed, one by one.
        judge: Makes the quality of the results of a round; None where there is none.
        warm_up: A short call, after which nothing is imported or compiled any more.
        sense: That of the problem.
        repeat: How often each call is made in a round.
    """

    calls: list[Callable[[], Any]]
    warm_up: Callable[[], Any]
    judge: Callable[[list[Any]], Quality] | None = None
    sense: int = 1
    repeat: int = 1


@frozen
class Entry:
    """A solver as it is measured.

    Attributes:
        label: What results call it: its name, or that of a published variant.
        name: Its name in the registry.
        options: Its options.
        sizes: Names of the sizes of its problem that it takes.
    """

    label: str
    name: str
    options: Mapping[str, Any] = field(factory=dict)
    sizes: tuple[str, ...] = ()

    def make(self, registry: Registry) -> Solver:
        """The solver; where it has no defaults, that of its example."""
        cls = registry.load("solvers", self.name)
        try:
            solver: Solver = cls(**self.options)
        except TypeError:
            solver = example_component("solvers", self.name, registry)
        return solver


def entries(family: Family, registry: Registry) -> Iterator[Entry]:
    """The solvers of a problem, the published variant last."""
    taken: dict[str, tuple[str, ...]] = {}
    for size in family.names(full=True):
        for name in takers(family.problem(size, 1, registry), registry):
            taken[name] = (*taken.get(name, ()), size)
    for name, sizes in taken.items():
        yield Entry(name, name, sizes=sizes)
    if family.solver in taken:
        yield Entry(family.published, family.solver, family.options, taken[family.solver])


def ready(case: Case, registry: Registry) -> Work:
    """The work of a case.

    Raises:
        InvalidInput: If the registry does not have what it names, or they do not fit.
    """
    if case.subject == "hardware":
        return _hardware_work(case, registry)
    known = families(registry)
    registry.spec("problems", case.subject)
    family = known[case.subject]
    entry = next((e for e in entries(family, registry) if e.label == case.name), Entry(case.name, case.name))
    solver = entry.make(registry)
    problem = flatten(family.problem(case.size, case.members, registry))
    check_takes(problem, solver, registry)
    # Realisation i alone has the bytes that it has in the batch.
    alone = [take(problem, np.array([i])) for i in range(case.members)]
    problems = [problem] if case.mode == "batch" else alone
    tolerance = getattr(solver, "tolerance", np.nan)
    return Work(
        calls=[partial(_solved, problem, solver, i, registry) for i, problem in enumerate(problems)],
        warm_up=partial(_solved, problems[0], solver, 0, registry, callback=lambda _: True),  # one step compiles all
        judge=lambda solutions: quality_of(problems, solutions, tolerance),
        sense=problem.sense,
    )


def _solved(problem: Problem, solver: Solver, first: int, registry: Registry, **options: Any) -> Solution:
    members = batch_shape(problem)[0]
    rngs = [generator(SEED, Stream.SOLVER, first + i) for i in range(members)]  # fresh: every round draws the same
    return solve(problem, solver, rng=rngs, registry=registry, **options)


def hardware_cases(name: str) -> list[Case]:
    """The two faces of a stage."""
    return [
        Case("hardware", "apply", name, "batch", CHAINS * SAMPLES),
        Case("hardware", "linear-model", name, "batch", COVARIANCES),
    ]


def _hardware_work(case: Case, registry: Registry) -> Work:
    stage = example_component("hardware", case.name, registry)
    rng = np.random.default_rng(SEED)
    if case.size == "apply":
        x = complex_normal(rng, (CHAINS, SAMPLES))

        def call() -> Any:
            return stage.apply(x, np.random.default_rng(SEED))
    else:
        W = complex_normal(rng, (COVARIANCES, CHAINS, 4))
        R = W @ hermitian(W)

        def call() -> Any:
            return stage.linear_model(R)

    return Work([call], call)
