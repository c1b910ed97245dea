"""Contracts of what a run uses: executors, sinks and observers."""

from __future__ import annotations

from concurrent.futures import Executor, Future, wait
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from threadpoolctl import threadpool_info

from isacsim.engine.events import ChunkEnd, Observer, PointSettled, RunEnd, RunStart, TrialFailed, Word
from isacsim.engine.executors import ExecutorFactory
from isacsim.engine.sinks import Sink
from isacsim.errors import InvalidInput
from isacsim.testing.rules import attempt, overrides, record, require

if TYPE_CHECKING:
    import xarray


PATIENCE = 600.0  # s: what a slow machine may take to start workers and run small tasks


def check_executor(factory: ExecutorFactory, workers: int = 2) -> None:
    """Check an executor: it runs picklable tasks, returns their errors, and caps BLAS threads.

    A script that calls this needs the usual ``if __name__ == "__main__":``, since worker
    processes may import it.

    Args:
        factory: Opens the executor.
        workers: Number of workers to open it with.

    Raises:
        ContractError: If it breaks a rule.
    """
    require(factory, isinstance(factory, ExecutorFactory), "be an ExecutorFactory", type(factory).__name__)
    overrides(factory, ExecutorFactory)
    before = blas_threads()
    executor = attempt(factory, f"open an executor of {workers} workers", factory.open, workers)
    require(factory, isinstance(executor, Executor), "open a concurrent.futures.Executor", type(executor).__name__)
    try:
        attempt(factory, "run tasks", _check_tasks, factory, executor)
    finally:
        attempt(factory, "shut down", lambda: executor.shutdown(wait=True, cancel_futures=True))
    require(factory, blas_threads() == before, f"leave the caller's BLAS its {before} threads", blas_threads())


def _check_tasks(factory: ExecutorFactory, executor: Executor) -> None:
    futures = [executor.submit(square, number) for number in range(4)]
    real = all(isinstance(future, Future) for future in futures)
    require(factory, real, "submit to a concurrent.futures.Future", type(futures[0]).__name__)
    unfinished = wait(futures, timeout=PATIENCE).not_done
    require(factory, not unfinished, f"finish four small tasks within {PATIENCE:g} s", f"{len(unfinished)} unfinished")
    found = [future.result() for future in futures]
    require(factory, found == [0, 1, 4, 9], "return what each task returns", found)
    mapped = list(executor.map(square, range(4)))
    require(factory, mapped == found, "map in order", mapped)
    error = executor.submit(refuse).exception(timeout=PATIENCE)
    same = isinstance(error, InvalidInput) and str(error) == str(refusal())
    require(factory, same, "return the error of a task that raises", repr(error))
    threads = executor.submit(blas_threads).result(timeout=PATIENCE)
    require(factory, threads <= 1, "run a task with one BLAS thread", threads)


def square(number: int) -> int:
    """A task: the square of a number."""
    return number * number


def refusal() -> InvalidInput:
    """The error that `refuse` raises."""
    return InvalidInput("number", "must be even", 1, "Add one.")


def refuse() -> None:
    """A task that raises."""
    raise refusal()


def blas_threads() -> int:
    """A task: the most threads that a BLAS may use here."""
    np.linalg.norm(np.eye(2))
    return max((library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"), default=0)


def check_sink(sink: Sink, folder: str | Path | None = None, dataset: xarray.Dataset | None = None) -> None:
    """Check a sink: it writes a file of the run folder, and writing again replaces it.

    Args:
        sink: The sink.
        folder: Folder to write to; None is a temporary one.
        dataset: The dataset of a run; None is that of a small run, which is done for it.

    Raises:
        ContractError: If it breaks a rule.
    """
    record(sink, Sink)
    with TemporaryDirectory() as temporary:
        folder = Path(temporary if folder is None else folder)
        dataset = _example_dataset(Path(temporary) / "run") if dataset is None else dataset
        copy = dataset.copy(deep=True)
        first = _written(sink, dataset, folder)
        size, files = _size(first), sorted(folder.rglob("*"))
        second = _written(sink, dataset, folder)
        require(sink, second == first, f"write {first.name} again", str(second))
        require(sink, sorted(folder.rglob("*")) == files, "replace its file and leave no other", second.name)
        grown = _size(second) / size
        require(sink, grown < 1.5, "replace what it wrote and not append", f"{grown:.2f} times the size")
        require(sink, dataset.identical(copy), "leave the dataset as it is", "a changed one")


def _written(sink: Sink, dataset: xarray.Dataset, folder: Path) -> Path:
    path = attempt(sink, "write a dataset", sink.write, dataset, folder)
    require(
        sink, isinstance(path, Path) and path.exists(), "return the path of the file it wrote, a pathlib.Path", path
    )
    require(sink, folder.resolve() in path.resolve().parents, "write to the run folder", str(path))
    require(sink, _size(path) > 0, "write something", f"{path.name} of 0 bytes")
    return path


def _size(path: Path) -> int:
    files = [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files)


def _example_dataset(folder: Path) -> Any:
    """The dataset of a small run with an axis, two quantities and one that has an axis of its own."""
    from isacsim.channels.models import Rayleigh
    from isacsim.engine.executors import Serial
    from isacsim.engine.run import run
    from isacsim.engine.scenario import BaseStation, Design, Evaluation, Scenario, Users
    from isacsim.engine.sweep import Axis
    from isacsim.metrics.communication import RateNats, SumRateNats
    from isacsim.plugin import build_registry
    from isacsim.problems.sum_rate_crlb import SumRateCrlbWeights
    from isacsim.solvers.sum_rate_crlb.sca import Sca
    from isacsim.targets.models import PointTarget
    from isacsim.testing.examples import RX_ARRAY, TX_ARRAY, USERS

    scenario = Scenario(
        base_station=BaseStation(TX_ARRAY, RX_ARRAY, power=0.02, radar_noise=1e-4, snapshots=16),
        users=Users(USERS, Rayleigh(), noise=1e-3),
        targets=PointTarget(azimuth=0.3, zenith=1.2, reflection=0.2),
        design={"sca": Design(SumRateCrlbWeights(rate_weight=1.0, crlb_weight=0.0), Sca(max_steps=2))},
        evaluate={"ideal": Evaluation(metrics=(SumRateNats(), RateNats()))},
        sweep={"power_dbm": Axis([0.0, 10.0], "base_station.power_dbm")},
        trials=3,
        sinks=(),
    )
    return run(scenario, folder, executor=Serial(), registry=build_registry(installed=False)).dataset()


def check_observer(observer: Observer) -> None:
    """Check an observer: it takes every event of a run, whole or cut short, without raising.

    Args:
        observer: A new observer.

    Raises:
        ContractError: If it breaks a rule.
    """
    require(observer, isinstance(observer, Observer), "be an Observer", type(observer).__name__)
    overrides(observer, Observer)
    events = [name for name in vars(Observer) if not name.startswith("_")]
    heard = any(getattr(type(observer), name) is not getattr(Observer, name) for name in events)
    methods = (name for name, method in vars(type(observer)).items() if callable(method))
    own = [name for name in methods if not (name.startswith("_") or name in events)]
    rule = f"hear of an event: its methods are those of {', '.join(events)}"
    require(observer, heard or not own, rule, ", ".join(own))
    coords: dict[str, object] = {"bits": 3.0, "array": "upa"}
    with TemporaryDirectory() as folder:
        for told in (
            ("run_start", RunStart("A run that is continued", Path(folder), requested=10, done=4)),
            ("word", Word("compiled push in 3.0 s")),
            ("chunk_end", ChunkEnd(done=3, failed=0)),
            ("trial_failed", TrialFailed(coords, trial=7, error="LinAlgError: Singular matrix")),
            ("chunk_end", ChunkEnd(done=1, failed=1)),
            ("point_settled", PointSettled(coords, trials=32)),
            ("run_end", RunEnd(requested=10, done=8, failed=1, skipped=1)),
        ):
            event, record = told
            attempt(observer, f"take {event}", getattr(observer, event), record)
