"""`run` a scenario."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import attrs

from isacsim.engine.backlog import Backlog
from isacsim.engine.code import Code, Job
from isacsim.engine.driver import Driver
from isacsim.engine.estimate import Estimate
from isacsim.engine.events import Observer, RunEnd, RunStart
from isacsim.engine.executors import ExecutorFactory
from isacsim.engine.folder import Counts, Run, counted
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
from isacsim.engine.store import Store
from isacsim.engine.views import SOLVES
from isacsim.errors import InvalidInput, PluginError, StoreError, one_line
from isacsim.plugin import Registry, default_registry
from isacsim.plugin.isolation import guarded


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
    told, complaints = _told(scenario, observers, registry)
    plan = Plan.of(scenario.of_results(), registry)
    code = _code(plan, registry)
    folder = Path(out) if out is not None else _new_folder(scenario)
    if not any_size:
        solves = len({address for point in plan.points for address in point.design_ids.values()})
        Estimate.of(scenario, len(plan.points), solves).require(folder)
    with _open(folder, plan, code.environment, registry, resume, force) as store:
        driver = Driver(store, factory, workers, Job.of(code, store.environment), told, complaints, policy)
        after = _driven(driver, plan, folder, chunk)
    finished = Run(folder, driver.complaints)
    kept = finished.once()
    for sink in scenario.sinks if after.done or after.partly else ():
        _write(sink, kept)
    return finished


def _driven(driver: Driver, plan: Plan, folder: Path, chunk: int | None) -> Counts:
    """Do what a plan asks for, between the events of its begin and end; where its trials are then."""
    store, scenario, current = driver.store, plan.scenario, Run(folder)
    wanted, before = store.meta("trials"), current.counts()
    extent = wanted, len(plan.points), driver.workers
    driver.tell("run_start", RunStart(scenario.title, folder, before.requested, before.done, *extent))
    precisions = list(scenario.precision.values())
    judge = Judge(store, precisions, partial(driver.tell, "point_settled"))
    try:
        driver.run(Backlog(plan, wanted, store.done, chunk, *((list(looks(wanted)), judge) if precisions else ())))
    finally:
        if precisions:
            store.set_meta({"stops": judge.stops})
        after = counted(store, current.points, wanted)
        driver.tell("run_end", RunEnd(after.requested, after.done, after.failed, after.skipped, after.partly))
    return after


def _write(sink: Sink, finished: Run) -> None:
    try:
        sink.write(finished.dataset(), finished.path)
    except (Exception, SystemExit) as error:  # a sink can fail in any way
        raise StoreError(
            f"sinks: {type(sink).__name__} failed on {finished.path} ({one_line(str(error))}). "
            "Every number is safe in the run folder: continue with --resume."
        ) from error


def _told(
    scenario: Scenario, observers: Sequence[str | Mapping[str, Any] | Observer], registry: Registry
) -> tuple[list[Observer], list[str]]:
    """Who is told of a run, and what is wrong with observers of plugins that cannot be made.

    These are told where they need no options; one that is asked for is not told twice.
    """
    asked = [_component(Observer, who, registry, f"observers.{i}") for i, who in enumerate(observers)]
    asked = [*scenario.observers, *asked]
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
    return [*made, *asked], complaints


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
        "merit": _merit(scenario),
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


def _merit(scenario: Scenario) -> list[str]:
    """Unit and title of the objective, where all designs have one."""
    problems = [design.problem for design in scenario.design.values()]
    told = {(problem.merit_unit, problem.merit_title) for problem in problems} or {SOLVES["objective"]}
    return list(told.pop() if len(told) == 1 else SOLVES["objective"])


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
