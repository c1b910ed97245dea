"""The scenario: a frozen tree of records, read from TOML or built in Python."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
from attrs import field, frozen

from isacsim import units
from isacsim.arrays import AntennaArray
from isacsim.batch import batched
from isacsim.channels.models import ChannelModel
from isacsim.checks import choice, number, whole
from isacsim.drop import Drop
from isacsim.engine.reader import joined, keys_of, scenario_key
from isacsim.engine.sinks import NetCdf, Sink
from isacsim.errors import InvalidInput, one_of
from isacsim.hardware.base import Transceiver
from isacsim.metrics.components import Metric, Quantity
from isacsim.problems.base import Requirements
from isacsim.random import Stream, generator
from isacsim.solvers.base import Solver
from isacsim.targets.models import TargetModel
from isacsim.waveform.base import Experiment

# Names of the dataset that no axis and no quantity may have.
RESERVED = (
    *("evaluate", "design", "trial"),
    *("objective", "gap", "residual", "bound", "iterations", "status", "solve_time"),
)


@frozen
class BaseStation:
    """The base station: its arrays, its power and the noise of its sensing receiver.

    Attributes:
        transmit_array: Transmit array.
        receive_array: Sensing receive array, co-located with it.
        power: Transmit power budget, in W.
        radar_noise: Noise power of each sensing receive chain, in W.
        snapshots: Samples L in a coherent sensing interval.
    """

    transmit_array: AntennaArray
    receive_array: AntennaArray
    power: float = field(validator=number(above=0), metadata=units.dbm())
    radar_noise: float = field(validator=number(above=0), metadata=units.dbm())
    snapshots: int = field(validator=whole(1))


@frozen
class Users:
    """The users and their channels.

    Attributes:
        count: Number of users K.
        channel: Channel model.
        noise: Noise power: one number, or one for each user (K,), in W.
    """

    count: int = field(validator=whole(0))
    channel: ChannelModel
    noise: Any = batched(0, above=0.0, metadata=units.dbm())

    def __attrs_post_init__(self) -> None:
        if self.noise.ndim > 1 or self.noise.size not in (1, self.count):
            raise InvalidInput(
                "noise", f"must be one number, or one for each of {self.count} users", self.noise, "Match it."
            )


@frozen
class Design:
    """What is optimised, by whom, believing in which hardware.

    Attributes:
        problem: The requirements of the design problem.
        solver: The solver.
        hardware: Name of the hardware the designer believes in.
    """

    problem: Requirements
    solver: Solver
    hardware: str = "ideal"


@frozen
class Evaluation:
    """What is measured on the designs, through which hardware.

    Attributes:
        hardware: Name of the hardware the precoders really meet.
        power: ``designed`` sends the precoder as it is; ``radiated`` scales it so that the
            power budget is what leaves the transmit chains.
        metrics: Metrics in closed form.
        experiments: Waveform experiments.
        designs: Names of the designs to judge; None is all.
    """

    metrics: tuple[Metric, ...] = ()
    experiments: tuple[Experiment, ...] = ()
    hardware: str = "ideal"
    power: Literal["designed", "radiated"] = field(default="designed", validator=choice("designed", "radiated"))
    designs: tuple[str, ...] | None = None

    def __attrs_post_init__(self) -> None:
        names = [q.name for measure in (*self.metrics, *self.experiments) for q in measure.quantities]
        if not names:
            raise InvalidInput("metrics", "must name a metric, or experiments an experiment", (), "Add one.")
        for name in names:
            if names.count(name) > 1:
                raise InvalidInput("metrics", "must record a quantity once", name, "Use a second [evaluate] table.")
        if self.designs is not None and (not self.designs or len(set(self.designs)) < len(self.designs)):
            raise InvalidInput("designs", "must name each design once", self.designs, "Leave it out for all designs.")


def _values(value: Any) -> Any:
    return tuple(value) if isinstance(value, (list, tuple, np.ndarray)) else value


def _paths(value: Any) -> tuple[str, ...]:
    paths = (value,) if isinstance(value, str) else value
    if not isinstance(paths, (list, tuple)) or not all(isinstance(path, str) for path in paths):
        raise InvalidInput("sets", "must be paths of places", value, "Write sets = ['base_station.power_dbm'].")
    return tuple(paths)


@frozen
class Axis:
    """A named axis of the sweep; each value is set at several places of the scenario at once.

    Attributes:
        values: The values.
        sets: Paths of the places, ``hardware.NAME.transmit.0.bits`` for example.
        label: Axis label of figures.
    """

    values: tuple[Any, ...] = field(converter=_values)
    sets: tuple[str, ...] = field(converter=_paths)
    label: str = ""

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.values, tuple) or not self.values:
            raise InvalidInput(
                "values", "must be a list with at least one value", self.values, "Write values = [1, 2]."
            )
        kinds = {isinstance(v, str) for v in self.values}
        scalars = all(isinstance(v, (str, int, float)) for v in self.values)
        if not scalars or len(kinds) > 1 or any(v != v for v in self.values):
            raise InvalidInput("values", "must be all numbers or all text", self.values, "Sweep a number or a name.")
        if len(set(self.values)) < len(self.values):
            raise InvalidInput("values", "must differ from each other", self.values, "Name each value once.")
        if not self.sets:
            raise InvalidInput(
                "sets", "must name at least one place", self.sets, "Write sets = ['base_station.power_dbm']."
            )


@frozen
class Figure:
    """A figure drawn from the dataset: the mean or median of a quantity over an axis.

    Attributes:
        x: Name of a sweep axis, or of an axis of the quantity.
        y: Name of the quantity.
        series: What has a colour each: ``design``, ``evaluate`` or another sweep axis. What
            else differs has a line style each.
        statistic: ``mean`` or ``median`` over the trials, with a 95 % confidence band.
        scale: Scale of the y axis, ``linear`` or ``log``.
        title: Title; empty is the scenario's.
        at: Value of each sweep axis that is neither x nor series.
    """

    x: str
    y: str
    series: str = "design"
    statistic: Literal["mean", "median"] = field(default="mean", validator=choice("mean", "median"))
    scale: Literal["linear", "log"] = field(default="linear", validator=choice("linear", "log"))
    title: str = ""
    at: dict[str, Any] = field(factory=dict)


@frozen
class Scenario:
    """A study: who is where, what is designed, through what it is judged, and what is swept.

    Attributes:
        title: What the study shows.
        seed: Seed of all randomness.
        trials: Number of Monte Carlo trials.
        base_station: The base station.
        users: The users.
        targets: Target model.
        hardware: Transceivers by name; ``ideal`` is there without being named.
        design: Designs by name.
        evaluate: Evaluations by name.
        sweep: Axes by name; the sweep is their product.
        figure: Figures by name.
        sinks: Where results go beside the store.
    """

    base_station: BaseStation
    users: Users
    targets: TargetModel
    design: dict[str, Design]
    evaluate: dict[str, Evaluation]
    title: str = ""
    seed: int = field(default=0, validator=whole(0))
    trials: int = field(default=1, validator=whole(1))
    hardware: dict[str, Transceiver] = field(factory=dict)
    sweep: dict[str, Axis] = field(factory=dict)
    figure: dict[str, Figure] = field(factory=dict)
    sinks: tuple[Sink, ...] = field(default=(NetCdf(),))

    def __attrs_post_init__(self) -> None:
        for table in ("design", "evaluate"):
            if not getattr(self, table):
                raise InvalidInput(table, "must have at least one entry", "", f"Add a table [{table}.NAME].")
        known = {"ideal", *self.hardware}
        for table in ("design", "evaluate"):
            for name, entry in getattr(self, table).items():
                if entry.hardware not in known:
                    path = f"{table}.{name}.hardware"
                    raise InvalidInput(
                        path, "must name a hardware table", entry.hardware, one_of(known, entry.hardware)
                    )
        for name, evaluation in self.evaluate.items():
            for design in evaluation.designs or ():
                if design not in self.design:
                    path = f"evaluate.{name}.designs"
                    raise InvalidInput(path, "must name designs", design, one_of(self.design, design))
        if not self.transceiver("ideal").is_ideal:
            raise InvalidInput("hardware.ideal", "must be ideal", self.hardware["ideal"], "Choose another name.")
        quantities = self._quantities()
        for name in self.sweep:
            if name in {*RESERVED, *quantities, *(dim for q in quantities.values() for dim in q.dims)}:
                raise InvalidInput(f"sweep.{name}", "must not have a name that results use", name, "Rename the axis.")
        for name, figure in self.figure.items():
            if Path(name).name != name:
                raise InvalidInput(f"figure.{name}", "must have a name that a file can have", name, "Rename it.")
            self._check_figure(f"figure.{name}", figure, quantities)

    def _quantities(self) -> dict[str, Quantity]:
        """What is recorded, by name."""
        found: dict[str, Quantity] = {}
        for label, evaluation in self.evaluate.items():
            for quantity in (q for m in (*evaluation.metrics, *evaluation.experiments) for q in m.quantities):
                before = found.setdefault(quantity.name, quantity)
                if quantity.name in RESERVED or (before.unit, before.dims) != (quantity.unit, quantity.dims):
                    raise InvalidInput(
                        f"evaluate.{label}.metrics",
                        "must not record another quantity under a name that is taken",
                        quantity.name,
                        "Leave one of them out.",
                    )
        return found

    def _check_figure(self, path: str, figure: Figure, quantities: dict[str, Quantity]) -> None:
        if figure.y not in quantities:
            raise InvalidInput(
                f"{path}.y", "must name a quantity that is evaluated", figure.y, one_of(quantities, figure.y)
            )
        axes = {*self.sweep, *quantities[figure.y].dims}
        if figure.x not in axes:
            raise InvalidInput(f"{path}.x", "must name an axis of the sweep", figure.x, one_of(axes, figure.x))
        series = {"design", "evaluate", *self.sweep} - {figure.x}
        if figure.series not in series:
            raise InvalidInput(f"{path}.series", "must name what differs", figure.series, one_of(series, figure.series))
        for axis in self.sweep:
            if axis not in (figure.x, figure.series) and axis not in figure.at:
                raise InvalidInput(
                    f"{path}.at", f"must fix the axis {axis!r}", figure.at, f"Write at = {{ {axis} = ... }}."
                )
        for axis, value in figure.at.items():
            if axis not in self.sweep or value not in self.sweep[axis].values:
                raise InvalidInput(
                    f"{path}.at", "must fix axes at swept values", {axis: value}, one_of(self.sweep, axis)
                )

    def transceiver(self, name: str) -> Transceiver:
        """The hardware of a name."""
        return self.hardware.get(name) or Transceiver()

    def drop(self, trials: tuple[int, ...]) -> Drop:
        """The realisations of ``trials``, the same whatever is swept, designed or judged."""
        station, users = self.base_station, self.users
        channel = [generator(self.seed, Stream.CHANNEL, t) for t in trials]
        target = [generator(self.seed, Stream.TARGET, t) for t in trials]
        with faults_of("users.channel", users.channel):
            H = users.channel.draw(station.transmit_array, users.count, trials, channel)
        with faults_of("targets", self.targets):
            targets = self.targets.draw(station.transmit_array, station.receive_array, trials, target)
        return Drop(
            H=H,
            targets=targets,
            tx_array=station.transmit_array,
            rx_array=station.receive_array,
            power=station.power,
            noise_power=np.broadcast_to(users.noise, (users.count,)),
            radar_noise_power=station.radar_noise,
            snapshots=station.snapshots,
        )


@contextlib.contextmanager
def faults_of(path: str, record: Any) -> Iterator[None]:
    """Moves what is said against a field of ``record`` to the place it has in the scenario."""
    try:
        yield
    except InvalidInput as error:
        key = scenario_key(type(record), error.field)
        if key.split(", ")[0] in keys_of(type(record)):
            raise error.at(joined(path, key)) from None
        known = error.field.split(".")[0] in keys_of(Scenario)
        raise (error if known else error.at(path)) from None
