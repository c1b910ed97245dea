"""A plugin whose components misbehave where a test tells them to."""

import builtins
import os
import signal
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

import attrs
import numpy as np
from attrs import field, frozen

from isacsim import PointTargets
from isacsim.channels.models import Rayleigh
from isacsim.engine.events import Observer
from isacsim.engine.sinks import Sink
from isacsim.metrics.components import Metric, Quantity
from isacsim.plugin import SolverSpec, Spec, hookimpl
from isacsim.solvers.base import Solver
from isacsim.solvers.solution import Status
from isacsim.solvers.sum_rate_crlb.sca import Sca
from isacsim.targets.models import TargetModel

isacsim_api = 2

SOLVED: list[int] = []  # trial of every solve of `Counting`
EVENTS: list[Any] = []  # every event that `Listener` was told


def trial_of(rng: np.random.Generator) -> int:
    """The trial that a generator of the engine belongs to."""
    return rng.bit_generator.seed_seq.spawn_key[-1]


@frozen
class Touchy(Metric):
    """``level``; at one trial it raises, quits, is interrupted, kills its process or waits instead."""

    quantity = Quantity("touchy", "1", (), "a constant")
    trial: int = 0
    how: str = "raise"
    armed: str = ""  # a file: without it, nothing happens
    level: float = 1.0
    none: bool = False  # gives NaN

    def measure(self, link: Any, rngs: Any) -> Any:
        if self.trial in map(trial_of, rngs) and (not self.armed or os.path.exists(self.armed)):
            if self.how == "once" and len(rngs) == 1:  # asked alone, and then by itself: that is one attempt
                fuse = Path(self.armed)
                fuse.unlink() if fuse.stat().st_size else fuse.write_text("asked", encoding="utf-8")
            if self.how == "die":
                signal.raise_signal(signal.SIGKILL)
            if self.how == "wait":
                Path(f"{self.armed}-reached").touch()
                time.sleep(1200)
            if self.how == "pressed":  # as by Ctrl-C
                signal.raise_signal(signal.SIGINT)
            if self.how == "quit":
                sys.exit("not today")
            if self.how == "wander":
                os.chdir("/")
                np.seterr(all="raise")
                return {"touchy": np.full(len(rngs), self.level)}
            raise KeyboardInterrupt if self.how == "interrupt" else ArithmeticError("this trial is touchy")
        return {"touchy": np.full(len(rngs), np.nan if self.none else self.level)}

    def value(self, link: Any) -> Any:
        raise NotImplementedError


@frozen
class Ragged(Metric):
    """Two places at even trials and three at odd ones; trials that differ cannot be judged together."""

    quantity = Quantity("ragged", "1", ("place",), "the number of the trial, and more")
    armed: str = ""  # a file: while it exists, trial 0 fails

    def measure(self, link: Any, rngs: Any) -> Any:
        trials = [trial_of(rng) for rng in rngs]
        if 0 in trials and self.armed and os.path.exists(self.armed):
            raise ArithmeticError("not yet")
        return {"ragged": np.array([t + np.arange(2.0 + t % 2) for t in trials])}  # raises where lengths differ

    def value(self, link: Any) -> Any:
        raise NotImplementedError


@frozen
class Impostor(Metric):
    """Records another quantity as ``crlb``."""

    quantity = Quantity("crlb", "W", (), "not the CRLB")

    def value(self, link: Any) -> Any:
        raise NotImplementedError


@frozen
class Counting(Solver):
    """Two steps of SCA; keeps count of the trials, lacks an answer for some and raises for some."""

    problems: ClassVar[tuple[str, ...]] = ("sum-rate-crlb",)
    without: Any = field(default=(), converter=tuple)
    raising: Any = field(default=(), converter=tuple)
    error: str = "FloatingPointError"

    def solve(self, problem: Any, request: Any) -> Any:
        trials = [trial_of(rng) for rng in request.rngs]
        SOLVED.extend(trials)
        if set(trials) & set(self.raising):
            raise getattr(builtins, self.error)("no step is finite")
        solution = Sca(max_steps=2).solve(problem, request)
        lost = np.isin(trials, self.without)
        status, precoder, objective = solution.status.copy(), solution.precoder.copy(), solution.objective.copy()
        status[lost], precoder[lost], objective[lost] = Status.INFEASIBLE, np.nan, np.nan
        return attrs.evolve(solution, status=status, precoder=precoder, objective=objective)


def _never(value: int) -> int:
    if value:
        raise LookupError("not on a Sunday")
    return value


@frozen
class Moody(Rayleigh):
    """Takes no mood."""

    mood: Any = field(default=0, converter=_never)


@frozen
class SometimesBlind(TargetModel):
    """Two targets, which coincide at one trial, so that nothing can be estimated there."""

    trial: int = 0
    lost: int = -1  # a trial that cannot be drawn
    error: str = "RuntimeError"

    def draw(self, tx_array: Any, rx_array: Any, trials: Any, rngs: Any) -> Any:
        if self.lost in trials:
            raise getattr(builtins, self.error)("the targets are gone")
        azimuth = np.array([[0.3, 0.3 if t == self.trial else -0.4] for t in trials])
        zenith = np.array([[1.2, 1.2 if t == self.trial else 0.9] for t in trials])
        return PointTargets(tx_array, rx_array, azimuth, zenith, np.full((len(trials), 2), 0.1))


class Listener(Observer):
    """Keeps what it is told."""

    def run_start(self, event: Any) -> None:
        EVENTS.append(event)

    def chunk_end(self, event: Any) -> None:
        EVENTS.append(event)

    def trial_failed(self, event: Any) -> None:
        EVENTS.append(event)

    def run_end(self, event: Any) -> None:
        EVENTS.append(event)


@frozen
class Leaky(Sink):
    """Cannot write."""

    def write(self, dataset: Any, folder: Path) -> Path:
        raise OSError("the pipe is leaky")


@hookimpl
def isacsim_metrics() -> Iterable[Spec]:
    yield Spec("touchy", f"{__name__}:Touchy")
    yield Spec("ragged", f"{__name__}:Ragged")
    yield Spec("impostor", f"{__name__}:Impostor")


@hookimpl
def isacsim_solvers() -> Iterable[SolverSpec]:
    yield SolverSpec("counting", f"{__name__}:Counting")


@hookimpl
def isacsim_channels() -> Iterable[Spec]:
    yield Spec("moody", f"{__name__}:Moody")


@hookimpl
def isacsim_targets() -> Iterable[Spec]:
    yield Spec("sometimes-blind", f"{__name__}:SometimesBlind")


@hookimpl
def isacsim_sinks() -> Iterable[Spec]:
    yield Spec("leaky", f"{__name__}:Leaky")


@hookimpl
def isacsim_observers() -> Iterable[Spec]:
    yield Spec("listener", f"{__name__}:Listener")
