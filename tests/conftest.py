"""Builders of scenes and problems that the tests of all rooms share."""

import gc
import importlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
from hypothesis import HealthCheck, settings

import isacsim
from isacsim import Hardware
from isacsim.batch import batch_shape, flatten
from isacsim.engine.store import Store
from isacsim.plugin import Registry, build_registry
from isacsim.solvers.crb_min.reduction import reductions
from isacsim.solvers.sqinr.least_power import least_power

DATA = Path(__file__).parent / "data"

# The examples are the same in every run, and none has a time limit, nor has what draws them.
for name, examples in (("quick", 5), ("whole", 25)):
    settings.register_profile(
        name, deadline=None, derandomize=True, max_examples=examples, suppress_health_check=[HealthCheck.too_slow]
    )


def pytest_configure(config: pytest.Config) -> None:
    """Tries fewer examples of each property where tests marked `slow` are left out."""
    settings.load_profile("quick" if config.option.markexpr == "not slow" else "whole")
    # A hundred processes of the tests import the package, a second and a half each where none keeps what it compiled.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
    # A shell that starts the tests in the background lets them ignore Ctrl-C, and so the commands that they start.
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """Takes what is imported and collected out of the garbage collector's sight, which went through all of it.

    It looks at young objects less often, too, though before they leave the processor's cache: with 50,000 of them
    tests of metrics and contracts took a twentieth longer.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 100)


def complex_gaussian(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """CN(0, 1) entries."""
    rng = np.random.default_rng(seed)
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)) / np.sqrt(2)


def make_scene(
    targets: int = 2,
    *,
    seed: int = 0,
    batch: tuple[int, ...] = (),
    linear: bool = False,
    tx: Any = None,
    rx: Any = None,
) -> isacsim.PointTargets:
    """Well separated point targets, away from every singular geometry."""
    rng = np.random.default_rng(seed)
    shape = (*batch, targets)
    azimuth = np.linspace(-0.9, 0.7, targets) + rng.uniform(-0.1, 0.1, shape)
    zenith = np.linspace(0.8, 1.3, targets) + rng.uniform(-0.1, 0.1, shape)
    reflection = rng.uniform(0.1, 0.3, shape) * np.exp(2j * np.pi * rng.uniform(size=shape))
    if linear:
        tx = tx or isacsim.UniformLinearArray(6)
        rx = rx or isacsim.UniformLinearArray(8)
        zenith = np.full(shape, np.pi / 2)
    tx = tx or isacsim.UniformPlanarArray(2, 3)
    rx = rx or isacsim.UniformPlanarArray(3, 3)
    return isacsim.PointTargets(tx, rx, azimuth, zenith, reflection)


def make_problem(
    users: int = 2,
    targets: int = 2,
    *,
    seed: int = 0,
    batch: tuple[int, ...] = (),
    linear: bool = False,
    **changes: Any,
) -> isacsim.SumRateCrlb:
    """A small `SumRateCrlb` whose two terms have similar size."""
    scene = changes.pop("scene", None) or make_scene(targets, seed=seed + 1, batch=batch, linear=linear)
    arguments = {
        "H": complex_gaussian((*batch, scene.tx_array.size, users), seed),
        "targets": scene,
        "power": 0.02,
        "noise_power": 1e-3,
        "radar_noise_power": 1e-4,
        "snapshots": 64,
        "rate_weight": 0.25,
        "crlb_weight": 1.0,
    }
    return isacsim.SumRateCrlb(**{**arguments, **changes})


def make_crb_min(
    users: int = 2,
    antennas: int = 6,
    *,
    seed: int = 0,
    batch: tuple[int, ...] = (),
    sinr_db: float = 10.0,
    excess: float | None = 3.0,
    **changes: Any,
) -> isacsim.CrbMin:
    """A `CrbMin` of Rayleigh channels; the power is ``excess`` times the least that suffices."""
    arguments = {
        "H": complex_gaussian((*batch, antennas, users), seed),
        "min_sinr": 10 ** (sinr_db / 10),
        "power": 1.0,
        "noise_power": 1.0,
    }
    problem = isacsim.CrbMin(**{**arguments, **changes})
    return problem if "power" in changes else attrs.evolve(problem, power=excess * least_watts(problem))


def steering(antennas: int, angle: float, sign: int = 1) -> np.ndarray:
    """Steering vector of a linear array, of entries of size 1."""
    return np.exp(sign * 1j * np.pi * np.arange(antennas) * np.sin(angle))


def point_response(receivers: int, antennas: int, angles: Sequence[float]) -> np.ndarray:
    """Response of point targets of one size and different phases between two linear arrays."""
    echoes = [np.outer(steering(receivers, t), steering(antennas, t, -1).conj()) for t in angles]
    return sum(np.exp(1j * n) * echo for n, echo in enumerate(echoes))


def make_sqnr_max(
    kind: str = "extended",
    seed: int = 0,
    *,
    antennas: int = 8,
    users: int = 2,
    receivers: int = 8,
    bits: float = 3,
    sqinr_db: float = 5.0,
    batch: tuple[int, ...] = (),
    **changes: Any,
) -> isacsim.SqnrMax:
    """Rayleigh channels at 20 dB of power over the noise; an extended target, a point or three points."""
    points = point_response(receivers, antennas, [0.7, -0.4, 0.1][: 1 if kind == "point" else 3])
    G = complex_gaussian((receivers, antennas), seed + 1) if kind == "extended" else points
    converters = isacsim.Aqnm(bits)
    arguments = {
        "H": complex_gaussian((*batch, antennas, users), seed),
        "G": 0.3 * G,
        "min_sqinr": 10 ** (sqinr_db / 10),
        "power": 100.0,
        "noise_power": 1.0,
        "radar_noise_power": 1.0,
        "transceiver": isacsim.Transceiver(converters, converters, converters),
    }
    return isacsim.SqnrMax(**{**arguments, **changes})


def least_watts(problem: isacsim.CrbMin) -> Any:
    """The least power that meets the SINRs of problems that some power suffices for, in W."""
    huge = flatten(attrs.evolve(problem, power=1e15))  # no member is given up before its power is found
    found = np.empty(len(huge.H))
    for group in reductions(huge):
        least = least_power(group.system)
        assert least.known.all(), "no power suffices"
        found[group.places] = least.power * group.system.unit
    return found.reshape(batch_shape(problem))


FAILED_BACKENDS = (
    "CLARABEL said NumericalError after 7 steps; CLARABEL said NumericalError after 7 steps; "
    "CLARABEL said NumericalError after 7 steps; SCS said NumericalError after 7 steps"
)


def failing_backend(problem: Any, backend: str, options: dict[str, Any]) -> tuple[str, str, int]:
    """A stand-in for `isacsim.optimisation.semidefinite.run_program` that never has an answer."""
    return "solver_error", "NumericalError", 7


def reference(name: str) -> tuple[Any, isacsim.SumRateCrlb, np.ndarray]:
    """A reference instance of tests/data/sum-rate-crlb, its problem, and the order of the antennas."""
    d = np.load(DATA / "sum-rate-crlb" / f"{name}.npz")
    horizontal, vertical = int(d["Nth"]), int(d["Ntv"])
    order = np.arange(horizontal * vertical).reshape(vertical, horizontal).T.ravel()  # a_v x a_h to a_h x a_v
    tx = isacsim.UniformPlanarArray(horizontal, vertical)
    rx = isacsim.UniformPlanarArray(int(d["Nrh"]), int(d["Nrv"]))
    problem = isacsim.SumRateCrlb(
        H=d["H"][order],
        targets=isacsim.PointTargets(tx, rx, d["theta"], d["phi"], d["alpha"]),
        power=d["Pt"],
        noise_power=d["noise_c"],
        radar_noise_power=d["noise_s"],
        snapshots=float(d["L"]),
        rate_weight=float(d["delta_c"]),
        crlb_weight=float(d["delta_s"]),
        sensing_streams=d["W0"].shape[1] - d["H"].shape[1],
    )
    return d, problem, order


def central_difference(f: Callable[[float], Any], h: float) -> Any:
    """Derivative of f at 0 to sixth order in h."""
    weights = ((1, 45.0), (2, -9.0), (3, 1.0))
    return sum(w * (f(k * h) - f(-k * h)) for k, w in weights) / (60 * h)


def raw_bytes(array: Any) -> bytes:
    """The bytes of an array's entries in C order."""
    return np.ascontiguousarray(array).tobytes()


def generators(seeds: Sequence[int]) -> list[np.random.Generator]:
    """One generator for each seed."""
    return [np.random.default_rng(seed) for seed in seeds]


class Helpers:
    """The builders above, as one session fixture."""

    complex_gaussian = staticmethod(complex_gaussian)
    make_scene = staticmethod(make_scene)
    make_problem = staticmethod(make_problem)
    make_crb_min = staticmethod(make_crb_min)
    steering = staticmethod(steering)
    point_response = staticmethod(point_response)
    make_sqnr_max = staticmethod(make_sqnr_max)
    least_watts = staticmethod(least_watts)
    central_difference = staticmethod(central_difference)
    raw_bytes = staticmethod(raw_bytes)
    reference = staticmethod(reference)
    generators = staticmethod(generators)
    failing_backend = staticmethod(failing_backend)
    FAILED_BACKENDS = FAILED_BACKENDS


@pytest.fixture(scope="session")
def kit() -> type[Helpers]:
    """Builders and small numerical tools."""
    return Helpers


@attrs.frozen(eq=False)
class Counted(Hardware):
    """A device that keeps the shapes of what it is asked a linear model for."""

    device: Hardware
    asked: list[tuple[int, ...]] = attrs.field(factory=list)

    def apply(self, x: Any, rng: Any = None, *, power: Any = None) -> Any:
        return self.device.apply(x, rng, power=power)

    def linear_model(self, R: Any) -> Any:
        self.asked.append(np.shape(R))
        return self.device.linear_model(R)

    def linear_model_vjp(self, R: Any, gain: Any, distortion: Any) -> Any:
        return self.device.linear_model_vjp(R, gain, distortion)


@pytest.fixture(scope="session")
def counted() -> type[Counted]:
    """Hardware that counts its evaluations."""
    return Counted


class Studies:
    """Small variants of a study, and what lies in the ledgers of their runs."""

    FILE = DATA / "study.toml"
    text = FILE.read_text(encoding="utf-8")
    SMALL = ("trials=6", "design.sca.solver.max_steps=3", "sinks=[]")
    PARTS = Path(__file__).parent / "parts"

    @staticmethod
    def load(
        *sets: str, text: str = "", folder: Path, small: tuple[str, ...] = SMALL, registry: Any = None
    ) -> isacsim.Scenario:
        """The study, or another text, with few trials, few steps and further settings."""
        file = folder / "study.toml"
        file.write_text(text or Studies.text, encoding="utf-8")
        return isacsim.load_scenario(file, set=(*small, *sets), registry=registry)

    @staticmethod
    def numbers(run: isacsim.Run, table: str = "results") -> dict[tuple[str, int], bytes]:
        """The stored bytes of a run, by point (or design) and trial."""
        with Store.open(run.path) as store:
            if table == "results":
                return {
                    (rows.point, trial): row.tobytes()
                    for rows in store.tables(run.trials)
                    for trial, row in zip(rows.trials.tolist(), rows.rows, strict=True)
                }
            addresses = {address for point in run.points for address in point["design_ids"].values()}
            found = {key: r for address in addresses for key, r in store.designs(address, range(run.trials)).items()}
            return {
                key: b"".join([r.scalars.tobytes(), *(a.tobytes() for a in (*r.decision.values(), *r.trace.values()))])
                for key, r in found.items()
            }


@pytest.fixture(scope="session")
def studies() -> type[Studies]:
    """Builders of small studies."""
    return Studies


@pytest.fixture
def study(tmp_path: Path) -> Callable[..., isacsim.Scenario]:
    """`Studies.load`, with its file in the test's own folder."""
    return partial(Studies.load, folder=tmp_path)


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The plugin of tests/parts, found by this process and by its workers."""
    monkeypatch.syspath_prepend(str(Studies.PARTS))
    module = importlib.import_module("isacsim_test_parts")
    module.SOLVED.clear()
    module.EVENTS.clear()
    return module


@pytest.fixture
def registry(parts: Any) -> Registry:
    """A registry that knows the plugin of tests/parts."""
    return knowing(parts)


@cache
def knowing(plugin: Any) -> Registry:
    """A registry that knows one more plugin; built once, which takes as long as a small run."""
    return build_registry(extra=[plugin])


@pytest.fixture
def distribution(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Writes an installed distribution with an entry point, found through sys.path alone."""
    place = tmp_path / "site"
    place.mkdir()

    def make(name: str, entry_point: str, source: str, entries: str = "[isacsim]\n{name} = {entry_point}\n") -> None:
        info = place / f"{name.replace('-', '_')}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n", encoding="utf-8")
        (info / "entry_points.txt").write_text(entries.format(name=name, entry_point=entry_point), encoding="utf-8")
        (place / f"{entry_point.split(':')[0]}.py").write_text(source, encoding="utf-8")
        monkeypatch.delitem(sys.modules, entry_point, raising=False)

    monkeypatch.syspath_prepend(place)
    return make
