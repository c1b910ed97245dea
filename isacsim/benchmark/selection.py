"""What a run of the benchmark measures: all, what its options name, or what an earlier run did."""

from __future__ import annotations

from collections.abc import Iterator

from attrs import evolve, frozen

from isacsim.benchmark.cases import entries
from isacsim.benchmark.instances import Family, families
from isacsim.benchmark.results import Result, Results
from isacsim.benchmark.suite import FULL, SHORT, Effort, Tell, hardware, plan
from isacsim.errors import InvalidInput, PluginError, one_of
from isacsim.plugin import Registry


@frozen
class Selection:
    """Names of what is measured; empty is everything.

    Attributes:
        problems: Kinds of problems.
        solvers: Solvers; where one is named, the default solver and the published algorithm of
            its problems are measured beside it, to compare with.
        hardware: Hardware stages.
        full: Whether all sizes are measured, the sweeps of the papers.
    """

    problems: tuple[str, ...] = ()
    solvers: tuple[str, ...] = ()
    hardware: tuple[str, ...] = ()
    full: bool = False

    @property
    def effort(self) -> Effort:
        """How long it may take."""
        return FULL if self.full else SHORT

    def check(self, registry: Registry) -> None:
        """Refuse names that the registry does not know.

        Raises:
            InvalidInput: It names the nearest one.
            PluginError: If a name is offered twice.
        """
        for kind in ("problems", "solvers", "hardware"):
            for name in getattr(self, kind):
                try:
                    registry.spec(kind, name)
                except InvalidInput as error:
                    raise error.at(f"--{kind.removesuffix('s')}") from None

    def planned(self, registry: Registry, tell: Tell) -> list[Result]:
        """The cases, as results without rounds; solvers are tried once to see what fits the time.

        Raises:
            InvalidInput: If no problem of the selection is taken by a solver of it.
        """
        self.check(registry)
        stages = self.hardware or ([] if self.problems or self.solvers else registry.usable("hardware"))
        chosen = list(self._chosen(registry))
        if not chosen and (self.solvers or not stages):
            takers = {e.name for family in families(registry).values() for e in entries(family, registry)}
            field, rule = ("--solver", "take a problem") if self.solvers else ("--problem", "have a solver")
            names = ", ".join(self.solvers or self.problems)
            raise InvalidInput(field, f"must {rule} that is measured", names, one_of(takers))
        return [*plan(chosen, self.effort, registry, tell), *hardware(stages)]

    def _chosen(self, registry: Registry) -> Iterator[tuple[Family, list[str], bool]]:
        if self.hardware and not (self.problems or self.solvers):
            return
        for kind, family in families(registry).items():
            if self.problems and kind not in self.problems:
                continue
            known = list(entries(family, registry))
            labels = [e.label for e in known if not self.solvers or e.name in self.solvers]
            if labels and self.solvers:
                labels += [_default(registry, kind), family.published]
            if labels:
                yield family, labels, self.full

    def again(self, before: Results, registry: Registry) -> list[Result]:
        """The cases of an earlier run, as results without rounds.

        Raises:
            InvalidInput: If it has none of the selection.
        """
        self.check(registry)
        found = [
            evolve(r, rounds=(), quality=None, error=_missing(r, registry))
            for r in before.results
            if r.rounds and self._holds(r)
        ]
        if not found:
            names = [*self.problems, *self.solvers, *self.hardware]
            raise InvalidInput(
                "--against", "must hold a case that is measured", ", ".join(names), "See what its file names."
            )
        return found

    def _holds(self, result: Result) -> bool:
        case = result.case
        if case.subject == "hardware":
            return case.name in self.hardware if self.hardware else not (self.problems or self.solvers)
        if self.hardware and not (self.problems or self.solvers):
            return False
        return (not self.problems or case.subject in self.problems) and (not self.solvers or case.name in self.solvers)


def _default(registry: Registry, kind: str) -> str:
    try:
        return registry.default_solver(kind)
    except PluginError:  # a plugin's problem need not have one, or have one too many
        return ""


def _missing(result: Result, registry: Registry) -> str:
    """Why a case cannot be measured here: a plugin may be missing."""
    case = result.case
    if case.subject == "hardware":
        return "" if case.name in registry.names("hardware") else "no hardware of that name is installed"
    if case.subject not in registry.names("problems"):
        return "no problem of that name is installed"
    labels = [e.label for e in entries(families(registry)[case.subject], registry)]
    return "" if case.name in labels else "no solver of that name is installed"
