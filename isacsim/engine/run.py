"""`run` a scenario, and the `Run` that it leaves behind."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import attrs
from attrs import frozen

from isacsim.engine.backlog import Backlog
from isacsim.engine.code import Code, Job
from isacsim.engine.driver import Driver
from isacsim.engine.estimate import Estimate
from isacsim.engine.events import Observer, RunEnd, RunStart
from isacsim.engine.executors import ExecutorFactory
from isacsim.engine.identity import Names, canonical, described, digest
from isacsim.engine.load import load_scenario
from isacsim.engine.plan import Plan
from isacsim.engine.policy import Policy
from isacsim.engine.provenance import differences, merged, provenance
from isacsim.engine.reader import Invalid, Reader
from isacsim.engine.scenario import Scenario
from isacsim.engine.settling import Judge, looks
from isacsim.engine.sinks import Sink
from isacsim.engine.spawning import require_begun
from isacsim.engine.store import FORMAT, Store
from isacsim.engine.unnumbered import Unnumbered, unnumbered
from isacsim.engine.views import Expectation, Figure
from isacsim.engine.work import DesignRecord, Failure
from isacsim.errors import InvalidInput, PluginError, StoreError, one_line, one_of
from isacsim.notebook import table
from isacsim.plugin import Registry, default_registry
from isacsim.plugin.isolation import guarded

if TYPE_CHECKING:
    from types import TracebackType

    import xarray

    from isacsim.engine.replay import Replay


@frozen
class Counts:
    """Where the trials of a run are: ``requested = done + partly + failed + skipped``.

    A trial is partly done where a design or a measure has failed and others have not.
    """

    requested: int
    done: int
    failed: int
    partly: int = 0

    @property
    def skipped(self) -> int:
        """Trials that were neither done nor failed yet."""
        return self.requested - self.done - self.partly - self.failed

    @property
    def complete(self) -> bool:
        """Whether every trial is done."""
        return self.done == self.requested

    def __str__(self) -> str:
        partly = f" + {self.partly} partly done" if self.partly else ""
        return f"{self.requested} requested = {self.done} done{partly} + {self.failed} failed + {self.skipped} skipped"


@frozen
class TrialFailure:
    """What failed of a trial at a point; unpacks as coordinates, trial and error.

    Attributes:
        coords: Value of each axis of the sweep.
        trial: The trial.
        what: Which part of it, and why.
    """

    coords: dict[str, Any]
    trial: int
    what: Failure

    @property
    def error(self) -> str:
        """The exception: its type and what it says."""
        return self.what.error

    def __iter__(self) -> Iterator[Any]:
        return iter((self.coords, self.trial, self.error))

    def __getitem__(self, place: int) -> Any:
        return tuple(self)[place]

    def __len__(self) -> int:
        return 3


class Run:
    """A run folder: what was asked, and every number that is there of it.

    Args:
        path: The folder.
        complaints: What observers said when they raised.

    Attributes:
        format: Format of the ledger; one of an earlier isacsim can be read and not continued.
    """

    def __init__(self, path: str | Path, complaints: Sequence[str] = ()) -> None:
        self.path = Path(path)
        self.complaints = tuple(complaints)
        self._keeps, self._kept = False, cast("xarray.Dataset | None", None)
        with self._store() as store:
            self.format = store.format
            self.points: list[dict[str, Any]] = store.need("points")
            self.trials: int = store.need("trials")
            self.title: str = store.need("title")
            self.figures = {name: Figure(**table) for name, table in store.need("figures").items()}
            self.expectations = {n: Expectation(**table) for n, table in store.need("expectations").items()}
            self.axes: dict[str, list[Any]] = store.need("axes")
            self.axis_labels: dict[str, str] = store.need("axis_labels")

    def _store(self) -> Store:
        return Store.open(self.path)

    def counts(self) -> Counts:
        """How many trials were requested, are done and failed, over all points."""
        with self._store() as store:
            return _counted(store, self.points, self.trials)

    def failures(self) -> list[TrialFailure]:
        """What failed: of every trial that is not whole each design and each measure that is missing, and why."""
        with self._store() as store:
            return [
                TrialFailure(point["coords"], trial, what)
                for point in self.points
                for trial, parts in store.failures(point["id"]).items()
                for what in parts
            ]

    def dataset(self, *, trials: range | None = None, **coords: Any) -> xarray.Dataset:
        """Every number, labelled: sweep axes x evaluate x design x trial, units and provenance.

        A run that does not fit the memory is read in parts: ``run.dataset(bits=[2, 3], trials=range(10_000))``.

        Args:
            trials: Which trials, a range of step 1; None is all.
            coords: A value of an axis of the sweep, or several, by its name; other axes are whole.

        Raises:
            InvalidInput: If there is no such axis or value.
        """
        from isacsim.engine.dataset import Part, build_dataset

        whole = not coords and trials is None
        if whole and self._kept is not None:
            return self._kept
        with self._store() as store:
            found = build_dataset(store, Part(coords, trials))
        self._kept = found if self._keeps and whole else self._kept
        return found

    def once(self) -> Run:
        """The same run for who asks it many things: its dataset is read once, and what is asked must not change it."""
        kept = copy(self)
        kept._keeps = True
        return kept

    @property
    def designs(self) -> list[str]:
        """Names of the designs."""
        return list(dict.fromkeys(name for point in self.points for name in point["design_ids"]))

    def precoders(self, design: str) -> xarray.DataArray:
        """The precoders of a design at every point and trial, shape (axes..., trial, antenna, stream), in sqrt(W).

        NaN where there is none, and where others have more antennas or streams.

        Raises:
            InvalidInput: If there is no such design.
        """
        from isacsim.engine.dataset import build_precoders

        if design not in self.designs:
            raise InvalidInput("design", "must name a design", design, one_of(self.designs, design))
        with self._store() as store:
            return build_precoders(store, design)

    def unnumbered(self) -> list[Unnumbered]:
        """Where a measure gave NaN although its design has an answer."""
        with self._store() as store:
            return unnumbered(store)

    def check(self) -> None:
        """Read every row of the ledger, and see that each trial that is done has its designs.

        Raises:
            StoreError: If a row or the file is not as it was written; it names the place.
        """
        with self._store() as store:
            store.check()
        self.dataset()

    def design(self, name: str, trial: int, **coords: Any) -> DesignRecord:
        """The stored solution of one design for one trial at one point of the sweep.

        Raises:
            InvalidInput: If there is no such design, point or trial.
        """
        chosen = [p for p in self.points if all(p["coords"].get(k) == v for k, v in coords.items())]
        if not chosen:
            raise InvalidInput("coords", "must be values of the sweep", coords, one_of(self.axes))
        names = dict.fromkeys(known for p in chosen for known in p["design_ids"])
        if name not in names:
            raise InvalidInput("name", "must name a design", name, one_of(names, name))
        chosen = [p for p in chosen if name in p["design_ids"]]
        address, *others = {p["design_ids"][name] for p in chosen}
        if others:
            remedy = f"Give the values of more axes: {', '.join(self.axes)}."
            raise InvalidInput("coords", f"must choose one of {1 + len(others)} solutions", coords, remedy)
        with self._store() as store:
            found = store.designs(address, [trial])
        if not found:
            raise InvalidInput("trial", f"must be a trial that is done, below {self.trials}", trial, "See `counts`.")
        return found[address, trial]

    def replay(
        self,
        point: Mapping[str, Any] | None = None,
        trial: int = 0,
        *,
        scenario: Scenario | str | Path | None = None,
        registry: Registry | None = None,
        debug: Callable[[TracebackType | None], Any] | None = None,
    ) -> Replay:
        """Run one trial at one point again, in this process, and compare it with what is stored.

        Nothing is written. Designs are solved anew.

        Args:
            point: Values of the axes that tell the point; an axis that makes no difference can be left out.
            trial: The trial, done, failed or missing.
            scenario: The scenario or its file; by default it is made again from what the ledger tells.
            registry: Where components are looked up; None is the registry of this process.
            debug: Called with the traceback of the first exception of a component, `pdb.post_mortem` for example;
                what fails is computed once more then.

        Raises:
            InvalidInput: If there is no such point or trial.
            StoreError: If the scenario cannot be made again, or is another.
        """
        from isacsim.engine.replay import replay

        registry = registry or default_registry()
        if isinstance(scenario, (str, Path)):
            scenario = load_scenario(scenario, registry=registry)
        with self._store() as store:
            return replay(store, point or {}, trial, registry, scenario=scenario, debug=debug)

    def _repr_html_(self) -> str:
        rows = [("folder", self.path), ("trials", self.counts()), ("designs", ", ".join(self.designs))]
        rows += [(f"sweep of {name}", ", ".join(map(str, values))) for name, values in self.axes.items()]
        return table(self.title or "Run", [*rows, ("figures", ", ".join(self.figures) or "none")])

    def __repr__(self) -> str:
        earlier = f", of the earlier format {self.format}" if self.format < FORMAT else ""
        return f"Run({str(self.path)!r}: {self.counts()}{earlier})"


def _counted(store: Store, points: list[dict[str, Any]], trials: int) -> Counts:
    done, partly, broken = (store.count(table, trials) for table in ("results", "partial", "failures"))
    ids, stops = [point["id"] for point in points], store.stops()
    some = sum(partly.get(i, 0) for i in ids)  # each has failures too, which tell what is missing
    failed = sum(broken.get(i, 0) for i in ids) - some
    requested = sum(min(trials, stops.get(i, trials)) for i in ids)
    return Counts(requested, sum(done.get(i, 0) for i in ids), failed, some)


def open_run(path: str | Path) -> Run:
    """The run of a folder that `run` wrote.

    Raises:
        StoreError: If there is none.
    """
    return Run(path)


def run(
    scenario: Scenario | str | Path,
    out: str | Path | None = None,
    *,
    trials: int | None = None,
    workers: int = 1,
    executor: str | Mapping[str, Any] | ExecutorFactory | None = None,
    resume: bool = False,
    force: bool = False,
    any_size: bool = False,
    on_failure: str = "skip",
    chunk: int | None = None,
    observers: Sequence[str | Mapping[str, Any] | Observer] = (),
    registry: Registry | None = None,
) -> Run:
    """Run a scenario; every chunk that is finished is kept, whatever happens after it.

    A script that defines components and runs them with several workers needs the usual
    ``if __name__ == "__main__":``, since workers import it to find them; others need it not.

    Args:
        scenario: The scenario, or the path of its file.
        out: Run folder; None is a new one under ``runs/``.
        trials: Number of trials in place of the scenario's.
        workers: Number of worker processes.
        executor: Name of an executor, a table with its name as ``kind`` and its options, or its
            factory; None is the scenario's, or else serial for one worker and processes for more.
        resume: Continue the run in ``out``: only what is missing is computed.
        force: Continue it also where isacsim, a library that computes, a plugin or a component is of
            another version than before; what came from what is recorded.
        any_size: Run it also where its ledger is estimated not to fit the disk, or its dataset the memory.
        on_failure: What is done about a trial that fails: ``skip`` keeps why and goes on, ``retry`` runs it once more
            before, ``abort`` ends the run. On resume all that failed are run again.
        chunk: Largest number of trials computed together; results do not depend on it. None is as many as
            take half a second, as trials before them say.
        observers: Who is told of the run's events, each as a name, a table or an observer,
            beside those of the scenario and those that plugins offer and that need no options.
        registry: Where components are looked up; None is the registry of this process.

    Raises:
        InvalidInput: If an argument or the scenario breaks a rule; nothing is written then.
        StoreError: If the folder cannot be created or continued.
    """
    require_begun()
    if force and not resume:
        raise InvalidInput("force", "needs resume=True", force, "Leave it out for a new run.")
    registry = registry or default_registry()
    if not isinstance(scenario, Scenario):
        scenario = load_scenario(scenario, registry=registry)
    if trials is not None:
        scenario = attrs.evolve(scenario, trials=trials)
    for name, value in (("workers", workers), ("chunk", 1 if chunk is None else chunk)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise InvalidInput(name, "must be a whole number of at least 1", value, "Leave it out for the default.")
    policy = Policy(on_failure)
    factory = _factory(executor or scenario.executor, workers, registry)
    asked = [_component(Observer, who, registry, f"observers.{i}") for i, who in enumerate(observers)]
    asked = [*scenario.observers, *asked]
    told, complaints = _offered(asked, registry)
    plan = Plan.of(scenario.of_results(), registry)
    code = _code(plan, registry)
    folder = Path(out) if out is not None else _new_folder(scenario)
    if not any_size:
        solves = len({address for point in plan.points for address in point.design_ids.values()})
        Estimate.of(scenario, len(plan.points), solves).require(folder)
    with _open(folder, plan, code.environment, registry, resume, force) as store:
        wanted = store.meta("trials")
        driver = Driver(store, factory, workers, Job.of(code, store.environment), [*told, *asked], complaints, policy)
        current = Run(folder)
        before, extent = current.counts(), (wanted, len(plan.points), workers)
        driver.tell("run_start", RunStart(scenario.title, folder, before.requested, before.done, *extent))
        precisions = list(scenario.precision.values())
        judge = Judge(store, precisions, partial(driver.tell, "point_settled"))
        try:
            driver.run(Backlog(plan, wanted, store.done, chunk, *((list(looks(wanted)), judge) if precisions else ())))
        finally:
            if precisions:
                store.set_meta({"stops": judge.stops})
            after = _counted(store, current.points, wanted)
            driver.tell("run_end", RunEnd(after.requested, after.done, after.failed, after.skipped, after.partly))
    finished = Run(folder, driver.complaints)
    kept = finished.once()
    for sink in scenario.sinks if after.done or after.partly else ():
        _write(sink, kept)
    return finished


def _write(sink: Sink, finished: Run) -> None:
    try:
        sink.write(finished.dataset(), finished.path)
    except (Exception, SystemExit) as error:  # a sink can fail in any way
        raise StoreError(
            f"sinks: {type(sink).__name__} failed on {finished.path} ({one_line(str(error))}). "
            "Every number is safe in the run folder: continue with --resume."
        ) from error


def _offered(asked: Sequence[Observer], registry: Registry) -> tuple[list[Observer], list[str]]:
    """The observers of plugins that need no options, and what is wrong with those that cannot be made.

    One that is asked for is not told twice.
    """
    found = registry.loadable("observers")
    made: list[Observer] = []
    complaints = [f"{name} cannot be told: {fault}" for name, fault in found.faults.items()]
    for name, cls in found.components.items():
        needs = attrs.has(cls) and any(f.init and f.default is attrs.NOTHING for f in attrs.fields(cls))
        if needs or any(type(who) is cls for who in asked):
            continue
        try:
            made.append(guarded(cls))
        except PluginError as error:  # an observer must not stop a run
            complaints.append(f"{name} cannot be told: {error}")
    return made, complaints


def _factory(executor: Any, workers: int, registry: Registry) -> ExecutorFactory:
    chosen = executor or ("serial" if workers == 1 else "processes")
    made: ExecutorFactory = _component(ExecutorFactory, chosen, registry, "executor")
    return made


def _component(base: type, chosen: Any, registry: Registry, path: str) -> Any:
    """A component, or the one that a name or a table stands for, as in a scenario file."""
    if isinstance(chosen, base):
        return chosen
    try:
        return Reader(registry).read(base, chosen, path)
    except Invalid as error:
        named = isinstance(chosen, str) and error.field == f"{path}.kind"
        raise (error.at(path) if named else error) from None


def _new_folder(scenario: Scenario) -> Path:
    words = re.sub(r"[^a-z0-9]+", "-", scenario.title.lower()).strip("-")[:40].strip("-")
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    base = Path("runs") / f"{words or 'run'}-{stamp}"
    folder, count = base, 1
    while folder.exists():
        folder, count = base.with_name(f"{base.name}-{count}"), count + 1
    return folder


def _identity(scenario: Scenario, names: Names) -> dict[str, str]:
    """What must be equal for a run to be continued: all but its extent, its looks and versions."""
    said: dict[str, Any] = canonical(scenario, names, versions=False)["fields"]
    extent = ("title", "trials", "figure", "expect", "precision", "sinks", "executor", "observers", "sweep")
    sets = {name: sorted(axis.sets) for name, axis in scenario.sweep.items()}
    parts = {**{key: value for key, value in said.items() if key not in extent}, "sweep": sets}
    return {name: digest(part) for name, part in parts.items()}


def _code(plan: Plan, registry: Registry) -> Code:
    """The code that the numbers of a plan come from."""
    scenarios = [point.scenario for point in plan.points]
    used = [[s.base_station, s.users, s.targets, s.hardware, s.design, s.evaluate, s.background] for s in scenarios]
    return Code.of(registry, used)


def _open(folder: Path, plan: Plan, here: dict[str, Any], registry: Registry, resume: bool, force: bool) -> Store:
    """The store of a new run, or of the one to continue."""
    scenario, names = plan.scenario, Names(registry)
    asked = {
        "title": scenario.title,
        "trials": scenario.trials,
        "axes": {name: list(axis.values) for name, axis in scenario.sweep.items()},
        "axis_labels": {name: axis.label_of(name) for name, axis in scenario.sweep.items()},
        "points": [{"coords": p.coords, "id": p.id, "design_ids": p.design_ids} for p in plan.points],
        "designs": list(scenario.design),
        "evaluations": list(scenario.evaluate),
        "figures": {name: attrs.asdict(figure) for name, figure in scenario.figure.items()},
        "stops": {} if scenario.precision else None,
        "expectations": {name: attrs.asdict(numbers) for name, numbers in scenario.expect.items()},
    }
    identity = _identity(scenario, names)
    if not resume:
        origin = {**provenance(registry), "seed": scenario.seed, "scenario": described(scenario, names)}
        return Store.create(folder, {**asked, "identity": identity, "provenance": origin}, here)
    store = Store.open(folder, write=True)
    try:
        store.check()
        _same_scenario(store, identity)
        number = _enter(store, here, force)
        origin = store.need("provenance")
        origin["scenario"] = described(scenario, names)
        origin["continued"] = [*origin.get("continued", []), {**provenance(registry), "environment": number}]
        store.set_meta({**asked, "trials": max(scenario.trials, store.meta("trials")), "provenance": origin})
    except BaseException:
        store.close()
        raise
    return store


def _same_scenario(store: Store, identity: dict[str, str]) -> None:
    """Refuse to continue the run of another scenario."""
    before = store.need("identity")
    changed = sorted(name for name in {*identity, *before} if identity.get(name) != before.get(name))
    if changed:
        raise StoreError(
            f"out: {store.folder} holds a run of another scenario: {', '.join(changed)} differ. "
            "Only trials, sweep values, precisions, figures, expectations and sinks may change; "
            "choose another --out for the rest."
        )


def _enter(store: Store, here: dict[str, Any], force: bool) -> int:
    """Number of the environment that the run goes on in, which is one it knows unless that is forced."""
    known = store.environments()
    for number, before in known.items():
        if not any(differences(before, here)):
            store.enter(number, merged(before, here))
            return number
    if not force:
        told = "; ".join(differences(known[max(known)], here))
        raise StoreError(
            f"out: {store.folder} was computed by other code, {told}. Numbers of both would be mixed: use the "
            "versions that it was begun with, choose another --out, or continue with --force, which records "
            "what came from what."
        )
    store.enter(len(known), here)
    return len(known)
