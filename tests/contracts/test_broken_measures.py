"""Each contract of metrics, experiments, detectors and what a run uses fails on one that breaks it."""

from concurrent.futures import Executor, Future

import numpy as np
import pytest
from attrs import frozen
from threadpoolctl import threadpool_limits

from isacsim.engine.events import Observer
from isacsim.engine.executors import ExecutorFactory
from isacsim.engine.sinks import Sink
from isacsim.metrics.components import Measure, Quantity
from isacsim.plugin import ScenarioSpec, SolverSpec, Spec, build_registry, hookimpl
from isacsim.testing import (
    ContractError,
    check_component,
    check_detector,
    check_executor,
    check_measure,
    check_observer,
    check_sink,
)
from isacsim.testing.running import blas_threads
from isacsim.waveform.base import Detector
from isacsim.waveform.detectors import EnergyDetector


@frozen
class Gain(Measure):
    """Gain of each user, with the fault it is told."""

    fault: str = "none"

    @property
    def quantities(self):
        unit = "" if self.fault == "unit" else "1"
        dims = ("trial",) if self.fault == "taken" else ("user",)
        found = (Quantity("gain", unit, dims),)
        return {"list": list(found), "empty": (), "twice": found * 2, "more": (*found, Quantity("loss", "1"))}.get(
            self.fault, found
        )

    def labels(self, drop):
        if self.fault == "unlabelled":
            raise ZeroDivisionError("no user")
        return {"labels": {"user": ["a", "b", "c"]}, "axis": {"antenna": [0]}}.get(self.fault, {"user": ["a", "b"]})

    def measure(self, link, rngs):
        W, drop = link.W, link.drop
        gain = np.abs(drop.H[:, :, :2] * W).sum(axis=1)
        changed = {
            "sum": lambda: gain.sum(axis=-1),
            "lead": lambda: gain[0],
            "complex": lambda: gain + 0j,
            "nan": lambda: np.full_like(gain, np.nan),
            "batch": lambda: gain / gain.max(),
            "generator": lambda: gain + rngs[0].uniform(size=gain.shape),
            "writes": lambda: np.abs(np.multiply(W, 2, out=W)).sum(axis=1),
            "raises": lambda: gain @ gain,
        }
        return {"gain": changed.get(self.fault, lambda: gain)()}


@pytest.mark.parametrize(
    ("fault", "rule"),
    [
        ("list", "declare a tuple of Quantity, got"),
        ("empty", r"declare a tuple of Quantity, got \(\)"),
        ("twice", "declare each quantity once"),
        ("unit", "give a unit for 'gain'"),
        ("taken", "name the axes of 'gain' once each, and none"),
        ("more", r"return the quantities it declares, \['gain', 'loss'\], got \['gain'\]"),
        ("unlabelled", "label its axes, got ZeroDivisionError: no user"),
        ("labels", "give the axis 'user' of 'gain' 3 entries, as elsewhere, got 2"),
        ("axis", "label no axes but its own"),
        ("sum", r"return 'gain' with the axes \('trial', 'user'\), 3 trials, got \(3,\)"),
        ("lead", r"return 'gain' with the axes .* got \(2,\)"),
        ("complex", "return real numbers for 'gain', got dtype"),
        ("nan", "return no NaN of 'gain'"),
        ("batch", "give member 0 of a batch the values it has alone"),
        ("generator", "give member 1 of a batch the values it has alone"),
        ("writes", "leave its input as it is, got W that differ"),
        ("raises", "measure, got ValueError"),
    ],
)
def test_a_broken_measure_is_refused(fault, rule):
    with pytest.raises(ContractError, match=rule):
        check_measure(Gain(fault))


def test_the_measure_that_the_broken_ones_change_keeps_the_contract():
    check_measure(Gain())


@frozen
class Detects(Detector):
    """An energy detector with the fault it is told."""

    fault: str

    def statistic(self, y, symbols, echo, snapshots=1):
        if self.fault == "raises":
            raise ZeroDivisionError("no echo")
        T = EnergyDetector().statistic(y, symbols, echo, snapshots)
        with np.errstate(invalid="ignore"):
            ratio = T / np.abs(echo.mean).sum(axis=(-2, -1))[..., None]
        spread = T + T.max() if T.size else T
        return {"sign": -T, "decisions": T.sum(axis=-1), "zero": ratio, "batch": spread, "complex": T + 0j}[self.fault]


@pytest.mark.parametrize(
    ("fault", "rule"),
    [
        ("raises", "give a statistic, got ZeroDivisionError: no echo"),
        ("sign", "have a larger mean statistic where there is a target"),
        ("decisions", r"give statistics of shape \(2, 50\), got \(2,\)"),
        ("zero", "give real and finite statistics"),
        ("batch", "give member [01] of a batch the statistics it has alone"),
        ("complex", "give real and finite statistics"),
    ],
)
def test_a_broken_detector_is_refused(fault, rule):
    with pytest.raises(ContractError, match=rule):
        check_detector(Detects(fault))


class Here(Executor):
    """Runs tasks in this process, with the fault it is told."""

    def __init__(self, fault):
        self.fault = fault

    def submit(self, fn, /, *args, **kwargs):
        future = Future()
        if self.fault == "hangs":
            return future
        if self.fault == "never":
            raise RuntimeError("no worker")
        try:
            with threadpool_limits(None if self.fault == "threads" else 1):
                value = fn(*args, **kwargs)
                future.set_result(None if self.fault == "nothing" else value)
        except Exception as error:
            future.set_exception(RuntimeError(str(error)) if self.fault == "errors" else error)
        return value if self.fault == "values" else future

    def map(self, fn, *iterables, timeout=None, chunksize=1):
        found = super().map(fn, *iterables)
        return reversed(list(found)) if self.fault == "order" else found

    def shutdown(self, wait=True, *, cancel_futures=False):
        if self.fault == "stays":
            raise ZeroDivisionError("no worker")


@frozen
class Opens(ExecutorFactory):
    fault: str

    def open(self, workers):
        if self.fault == "none":
            return None
        if self.fault == "closed":
            raise ZeroDivisionError("no worker")
        if self.fault == "limits":
            threadpool_limits(1)
        return Here(self.fault)


@pytest.mark.parametrize(
    ("fault", "rule"),
    [
        ("closed", "open an executor of 2 workers, got ZeroDivisionError: no worker"),
        ("hangs", "finish four small tasks within 0.1 s, got 4 unfinished"),
        ("stays", "shut down, got ZeroDivisionError: no worker"),
        ("none", "open a concurrent.futures.Executor, got NoneType"),
        ("never", "run tasks, got RuntimeError: no worker"),
        ("values", "submit to a concurrent.futures.Future, got int"),
        ("nothing", r"return what each task returns, got \[None"),
        ("order", r"map in order, got \[9, 4, 1, 0\]"),
        ("errors", "return the error of a task that raises, got RuntimeError"),
        ("threads", "run a task with one BLAS thread, got 2"),
        ("limits", "leave the caller's BLAS its 2 threads, got 1"),
    ],
)
def test_a_broken_executor_is_refused(fault, rule, monkeypatch):
    if fault == "hangs":
        monkeypatch.setattr("isacsim.testing.running.PATIENCE", 0.1)
    with threadpool_limits(2):
        if blas_threads() != 2:
            pytest.skip("this BLAS has no second thread")
        with pytest.raises(ContractError, match=rule):
            check_executor(Opens(fault))


def test_what_opens_no_executor_is_refused():
    with pytest.raises(ContractError, match="^Here must be an ExecutorFactory, got Here"):
        check_executor(Here("none"))


@frozen
class Writes(Sink):
    """A text file, with the fault it is told."""

    fault: str = "none"

    def write(self, dataset, folder):
        if self.fault == "raises":
            raise ZeroDivisionError("no dataset")
        path = (folder.parent if self.fault == "outside" else folder) / "results.txt"
        if self.fault == "another":
            path = folder / f"results-{len(list(folder.glob('*.txt')))}.txt"
        if self.fault == "beside":
            (folder / f"{len(list(folder.iterdir()))}.log").touch()
        if self.fault == "changes":
            dataset["sum-rate-nats"][:] = 0.0
        text = "" if self.fault == "empty" else str(float(dataset["sum-rate-nats"].mean()))
        with path.open("a" if self.fault == "appends" else "w") as file:
            file.write(text)
        return {"text": str(path), "gone": folder / "other.txt"}.get(self.fault, path)


@pytest.fixture(scope="module")
def dataset():
    import xarray

    return xarray.Dataset({"sum-rate-nats": ("trial", np.array([1.0, 2.0]))}, {"trial": [0, 1]})


@pytest.mark.parametrize(
    ("fault", "rule"),
    [
        ("raises", "write a dataset, got ZeroDivisionError: no dataset"),
        ("outside", "write to the run folder"),
        ("another", r"write results-0.txt again, got .*results-1.txt"),
        ("beside", "replace its file and leave no other"),
        ("changes", "leave the dataset as it is"),
        ("empty", "write something, got results.txt of 0 bytes"),
        ("appends", "replace what it wrote and not append, got 2.00 times the size"),
        ("text", "return the path of the file it wrote"),
        ("gone", "return the path of the file it wrote"),
    ],
)
def test_a_broken_sink_is_refused(fault, rule, tmp_path, dataset):
    folder = tmp_path / "run"
    folder.mkdir()
    with pytest.raises(ContractError, match=rule):
        check_sink(Writes(fault), folder, dataset)


def test_the_sink_that_the_broken_ones_change_keeps_the_contract(tmp_path, dataset):
    check_sink(Writes(), tmp_path, dataset)
    assert [path.name for path in tmp_path.iterdir()] == ["results.txt"]


class CountsOnly(Observer):
    def trial_failed(self, event):
        self.failed += event.trial


def test_an_observer_that_raises_is_refused():
    with pytest.raises(ContractError, match="^CountsOnly must take trial_failed, got AttributeError"):
        check_observer(CountsOnly())


def test_what_is_no_observer_is_refused():
    with pytest.raises(ContractError, match="^nobody must be an Observer, got str"):
        check_observer("nobody")


class Offers:
    """A plugin whose specs are at fault."""

    @hookimpl
    def isacsim_hardware(self):
        yield Spec("untold", "isacsim.hardware.base:Ideal")
        yield Spec("no-example", "isacsim.hardware.quantisers:Aqnm", "Needs bits")
        yield Spec("wrong-example", "isacsim.hardware.quantisers:Aqnm", "Has no such key", {"bit": 3})

    @hookimpl
    def isacsim_solvers(self):
        yield SolverSpec("lonely", "isacsim_nowhere:Solver", "Cannot be imported")

    @hookimpl
    def isacsim_scenarios(self):
        yield ScenarioSpec("blank", "tempfile:gettempdir", "Is a folder")
        yield ScenarioSpec("lost", "isacsim.testing.running:square", "Returns no path")


@pytest.mark.parametrize(
    ("kind", "name", "rule"),
    [
        ("hardware", "untold", "^hardware 'untold' must have a one-line summary"),
        ("hardware", "no-example", "be built from the `example` of its spec, got Invalid: bits: is required"),
        ("hardware", "wrong-example", "be built from the `example` of its spec, got Invalid: bit: is not a known key"),
        ("solvers", "lonely", r"^'lonely' \(isacsim_nowhere:Solver\) cannot be imported: ModuleNotFoundError"),
        (
            "scenarios",
            "blank",
            "be a scenario that can be read, got InvalidInput: scenario: must be a readable file",
        ),
        ("scenarios", "lost", "^'lost' \\(isacsim.testing.running:square\\) .* TypeError"),
    ],
)
def test_a_spec_at_fault_is_refused(kind, name, rule):
    registry = build_registry([Offers()], installed=False)
    with pytest.raises(ContractError, match=rule):
        check_component(kind, name, registry)
