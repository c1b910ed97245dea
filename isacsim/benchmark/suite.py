"""Measuring: which cases fit the time, and rounds in turns over all of them.

The rounds of a case are spread over the whole run, so that the minutes in which the machine
is slow fall on every case alike, and show in the scatter of each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from attrs import evolve, frozen

from isacsim.benchmark import clock
from isacsim.benchmark.cases import Case, Entry, Work, entries, hardware_cases, ready
from isacsim.benchmark.clock import Round, own_times, repetitions, run_block, timed
from isacsim.benchmark.instances import Family
from isacsim.benchmark.results import Result
from isacsim.plugin import Registry

Tell = Callable[[str], None]


@frozen
class Effort:
    """How long a run may take.

    Attributes:
        slow: A solver that takes longer than this on one realisation, in s, is not tried on
            larger instances.
        budget: Processor time for all rounds, in s; every case gets its first one all the same.
        rounds: Largest number of rounds of a case.
    """

    slow: float
    budget: float
    rounds: int


SHORT = Effort(slow=1.0, budget=60.0, rounds=11)
FULL = Effort(slow=10.0, budget=300.0, rounds=11)
SECOND_LOOK = Effort(slow=float("inf"), budget=30.0, rounds=15)
# Time of one realisation, in s, below which so many are solved one by one, and as one batch.
MEMBERS = ((0.02, 5, 20), (0.1, 3, 10), (float("inf"), 1, 0))
# Time of a round, in s, above which a case is not measured more often than this.
COSTLY = ((5.0, 1), (1.2, 3), (0.3, 5))


def plan(
    chosen: Iterable[tuple[Family, Sequence[str], bool]], effort: Effort, registry: Registry, tell: Tell
) -> Iterator[Result]:
    """The cases of problems, solvers and sizes that fit the effort, as results without rounds.

    Args:
        chosen: Families, the labels of the solvers to measure, and whether all sizes are.
        effort: How long it may take.
        registry: Where solvers are looked up.
        tell: Is told what is tried.
    """
    for family, labels, full in chosen:
        known = list(entries(family, registry))
        published = family.published if family.published in [e.label for e in known] else ""
        for entry in (e for e in known if e.label in labels):
            slow = ""
            for size in (size for size in family.names(full) if size in entry.sizes):
                case = Case(family.kind, size, entry.label, "alone", 1)
                blank = Result(case, published=published)
                if slow:
                    yield evolve(blank, error=f"left out: {slow}")
                    continue
                tell(case.title)
                took, error = _probe(case, registry)
                if error:
                    yield evolve(blank, error=error, failed=True)
                    continue
                slow = f"{took:.1f} s at {size}" if took > effort.slow else ""
                yield from _members(blank, entry, took)


def _probe(case: Case, registry: Registry) -> tuple[float, str]:
    """What one realisation takes, in s, or what is wrong."""
    try:
        work = ready(case, registry)
        work.warm_up()
        rounds = [Round(1.0, (timed(work.calls[0])[0],))]
        if own_times(rounds)[0, 0] > rounds[0].readings[0].cpu:  # it waited: once may be chance
            rounds.append(Round(1.0, (timed(work.calls[0])[0],)))
    except Exception as error:  # a component can fail in any way, and the others go on
        return 0.0, _told(error)
    return float(own_times(rounds).min()), ""


def _members(blank: Result, entry: Entry, took: float) -> Iterator[Result]:
    alone, batch = next((alone, batch) for least, alone, batch in MEMBERS if took < least)
    yield evolve(blank, case=evolve(blank.case, members=alone))
    if batch and not entry.options:  # the published algorithms solve one realisation at a time
        yield evolve(blank, case=evolve(blank.case, mode="batch", members=batch))


def hardware(names: Iterable[str]) -> Iterator[Result]:
    """The cases of hardware stages, as results without rounds."""
    for name in names:
        yield from (Result(case) for case in hardware_cases(name))


def measure(planned: Iterable[Result], effort: Effort, registry: Registry, tell: Tell) -> list[Result]:
    """The results of cases, measured in turns.

    Args:
        planned: Results without rounds; those with an error are passed on.
        effort: How long it may take.
        registry: Where components are looked up.
        tell: Is told what is measured.
    """
    results = list(planned)
    works: dict[int, Work] = {}
    for i, result in enumerate(results):
        if not result.error:
            tell(f"preparing {result.case.title}")
            try:
                works[i] = _warm(result.case, registry)
            except Exception as error:  # as above
                results[i] = evolve(result, error=_told(error), failed=True)
    begin = clock.CLOCK.cpu()
    for turn in range(effort.rounds):
        for i, work in works.items():
            late = turn and clock.CLOCK.cpu() - begin > effort.budget
            if not (late or _enough(results[i])):
                tell(f"round {turn + 1}: {results[i].case.title}")
                results[i] = _with_round(results[i], work)
    return results


def _warm(case: Case, registry: Registry) -> Work:
    """The work of a case, with all imported and compiled, and with calls of a good length."""
    work = ready(case, registry)
    work.warm_up()
    short = case.subject == "hardware" or case.mode == "batch"
    return evolve(work, repeat=repetitions(work.calls[0])) if short else work


def _enough(result: Result) -> bool:
    """Whether a case gets no further round."""
    cost = sum(reading.cpu for reading in result.rounds[-1].readings) if result.rounds else 0.0
    most = next((rounds for least, rounds in COSTLY if cost > least), len(result.rounds) + 1)
    return len(result.rounds) >= most or bool(result.error)


def _with_round(result: Result, work: Work) -> Result:
    """The result with one more round, and with the quality of its first."""
    try:
        one, returned = run_block(work.calls, work.repeat)
        quality = work.judge(returned) if work.judge and not result.rounds else result.quality
    except Exception as error:  # as above
        return evolve(result, error=_told(error), failed=True)
    return evolve(result, rounds=(*result.rounds, one), quality=quality, sense=work.sense)


def _told(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())
