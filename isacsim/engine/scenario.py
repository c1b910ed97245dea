"""The scenario: a frozen tree of records, read from TOML or built in Python."""

from __future__ import annotations

import contextlib
import math
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, Literal

import attrs
import numpy as np
from attrs import field, frozen

from isacsim import units
from isacsim.arrays import AntennaArray
from isacsim.batch import batch_shape, batched
from isacsim.channels.models import ChannelModel
from isacsim.checks import carried, choice, finite_numbers, number, told, whole
from isacsim.drop import Drop, WidebandDrop
from isacsim.engine.events import Observer
from isacsim.engine.executors import ExecutorFactory
from isacsim.engine.precision import Precision
from isacsim.engine.reader import joined, keys_of, scenario_key
from isacsim.engine.sinks import NetCdf, Sink
from isacsim.engine.sweep import Axis
from isacsim.engine.views import COUNT, ROWS_FROM, SOLVES, SOLVES_FROM, STEP, TRACE, Contents, Expectation, Figure
from isacsim.errors import InvalidInput, doubts_at, one_of, without_doubts
from isacsim.grid import Grid
from isacsim.hardware.base import Transceiver
from isacsim.keywords import keywords
from isacsim.metrics.components import Metric, Quantity
from isacsim.notebook import fields
from isacsim.problems.base import Requirements
from isacsim.random import Generators, Stream, generator
from isacsim.solvers.base import Solver
from isacsim.targets.background import BackgroundModel
from isacsim.targets.models import TargetModel
from isacsim.targets.scene import Scene
from isacsim.waveform.base import Experiment

# Names of the dataset that no axis and no quantity may have.
RESERVED = ("evaluate", "design", "trial", STEP, "status", COUNT, ROWS_FROM, SOLVES_FROM, *SOLVES)
MOST_POINTS = 10**6  # of a sweep, which are laid out before the first is run


@keywords()
@frozen
class BaseStation:
    """The base station: its arrays, its power and the noise of its sensing receiver.

    Attributes:
        transmit_array: Transmit array.
        receive_array: Sensing receive array, co-located with it.
        power: Transmit power budget, in W.
        radar_noise: Noise power of each sensing receive chain, in W.
        snapshots: Samples L in a coherent sensing interval; with a grid its OFDM symbols, which it need not say.
        grid: Subcarriers and symbols of an OFDM signal; None is a narrowband one.
    """

    known_as: ClassVar[str] = "base-station"

    transmit_array: AntennaArray
    receive_array: AntennaArray
    power: float = field(validator=number(above=0), metadata=units.dbm())
    radar_noise: float = field(validator=number(above=0), metadata=units.dbm())
    snapshots: int = field(default=0, validator=whole(0))
    grid: Grid | None = None

    def __attrs_post_init__(self) -> None:
        symbols = self.snapshots if self.grid is None else self.grid.symbols
        if symbols < 1 or self.snapshots not in (0, symbols):
            rule = "must be a whole number of at least 1" if self.grid is None else f"must be the {symbols} of the grid"
            raise InvalidInput("snapshots", rule, self.snapshots, "Give the number of samples L.")
        object.__setattr__(self, "snapshots", symbols)


@keywords()
@frozen
class Users:
    """The users and their channels.

    Attributes:
        count: Number of users K.
        channel: Channel model.
        noise: Noise power: one number, or one for each user (K,), in W.
    """

    known_as: ClassVar[str] = "users"

    count: int = field(validator=whole(0))
    channel: ChannelModel
    noise: Any = batched(0, above=0.0, metadata=units.dbm())

    def __attrs_post_init__(self) -> None:
        if self.noise.ndim > 1 or self.noise.size not in (1, self.count):
            raise InvalidInput(
                "noise", f"must be one number, or one for each of {self.count} users", self.noise, "Match it."
            )


def _lists(value: Any) -> Any:
    """A table whose entries are lists, of one entry where a single value is given."""
    if not isinstance(value, Mapping):
        raise InvalidInput("only", "must be a table of axes", value, "Write only = { antennas = [8, 16] }.")
    return {axis: tuple(v) if isinstance(v, (list, tuple)) else (v,) for axis, v in value.items()}


@keywords()
@frozen
class Design:
    """What is optimised, by whom, believing in which hardware and which channels.

    Attributes:
        problem: The requirements of the design problem.
        solver: The solver.
        hardware: Name of the hardware the designer believes in.
        trace: Whether the solver's trace is kept, for figures over its steps.
        only: Values of sweep axes at which the design is made; an axis that is not named has
            it everywhere.
        channel_error: Variance of the error in each entry of the channels the designer
            believes in: it designs for H + E with E of independent entries
            CN(0, channel_error), and is judged on H. 0 is perfect knowledge.
        split: How the power is split over the subcarriers of a grid, of a problem that is posed on each of
            them: ``even``, or ``joint``, by one price for the power of all, with a proven gap. Hardware meets all
            subcarriers together: through it a joint split keeps SQINRs and power. Of ``crb-min`` behind converters as
            ``aqnm`` has them it is proven to be optimal, of ``sqnr-max`` behind converters it is stationary, and
            otherwise nothing more is promised.
    """

    known_as: ClassVar[str] = "design"

    problem: Requirements
    solver: Solver
    hardware: str = "ideal"
    trace: bool = False
    only: dict[str, Any] = field(factory=dict, converter=_lists)
    channel_error: float = field(default=0.0, validator=number(least=0), metadata=units.db())
    split: Literal["even", "joint"] = field(default="even", validator=choice("even", "joint"))

    def made_at(self, coords: dict[str, Any]) -> bool:
        """Whether the design is made at a point of the sweep."""
        return all(coords[axis] in values for axis, values in self.only.items())


@keywords()
@frozen
class Evaluation:
    """What is measured on the designs, through which hardware.

    Attributes:
        hardware: Name of the hardware the precoders really meet.
        power: ``designed`` sends the precoder as it is; ``radiated`` scales it so that the
            power budget is what leaves the transmit chains; ``per-antenna`` scales each row, so that each antenna
            radiates the same share of it.
        metrics: Metrics in closed form.
        experiments: Waveform experiments.
        designs: Names of the designs to judge; None is all.
    """

    known_as: ClassVar[str] = "evaluation"

    metrics: tuple[Metric, ...] = ()
    experiments: tuple[Experiment, ...] = ()
    hardware: str = "ideal"
    power: Literal["designed", "radiated", "per-antenna"] = field(
        default="designed", validator=choice("designed", "radiated", "per-antenna")
    )
    designs: tuple[str, ...] | None = None

    def __attrs_post_init__(self) -> None:
        names = [q.name for measure in (*self.metrics, *self.experiments) for q in measure.quantities]
        if not names:
            raise InvalidInput("metrics", "must name a metric, or experiments an experiment", (), "Add one.")
        for name, times in Counter(names).items():
            if times > 1:
                raise InvalidInput("metrics", "must record a quantity once", name, "Use a second [evaluate] table.")
        if self.designs is not None and (not self.designs or len(set(self.designs)) < len(self.designs)):
            raise InvalidInput("designs", "must name each design once", self.designs, "Leave it out for all designs.")


def _has_128_bits(_: Any, attribute: Any, value: Any) -> None:
    if value >= 2**128:
        raise InvalidInput(attribute.name, "must be below 2^128", value, "Take a smaller one.")


@keywords()
@frozen
class Scenario:
    """A study: who is where, what is designed, through what it is judged, and what is swept.

    Attributes:
        title: What the study shows.
        seed: Seed of all randomness.
        trials: Number of Monte Carlo trials; the most, where a precision is asked.
        base_station: The base station.
        users: The users.
        targets: Target model.
        hardware: Transceivers by name; ``ideal`` is there without being named.
        design: Designs by name.
        evaluate: Evaluations by name.
        sweep: Axes by name; the sweep is their product.
        figure: Figures by name.
        expect: Numbers that are expected, by name.
        precision: How precise quantities are to become, by name; a point where all are gets no more trials.
        sinks: Where results go beside the store.
        executor: Where its tasks run; None is the choice of whoever runs it.
        observers: Who is told of a run's events, beside the observers that plugins offer.
        background: What the sensing receiver hears beside the targets; designs know nothing of it.
    """

    known_as: ClassVar[str] = "scenario"

    base_station: BaseStation
    users: Users
    targets: TargetModel
    design: dict[str, Design]
    evaluate: dict[str, Evaluation]
    title: str = ""
    seed: int = field(default=0, validator=[whole(0), _has_128_bits])
    trials: int = field(default=1, validator=whole(1))
    hardware: dict[str, Transceiver] = field(factory=dict)
    sweep: dict[str, Axis] = field(factory=dict)
    figure: dict[str, Figure] = field(factory=dict)
    expect: dict[str, Expectation] = field(factory=dict)
    precision: dict[str, Precision] = field(factory=dict)
    sinks: tuple[Sink, ...] = field(default=(NetCdf(),))
    executor: ExecutorFactory | None = None
    observers: tuple[Observer, ...] = ()
    background: BackgroundModel | None = None

    def __attrs_post_init__(self) -> None:
        for table in ("design", "evaluate"):
            if not getattr(self, table):
                raise InvalidInput(table, "must have at least one entry", "", f"Add a table [{table}.NAME].")
        self._check_names()
        self._check_views()
        for name, design in self.design.items():
            if design.trace and self.base_station.grid is not None and not design.problem.wideband:
                rule = "must be false where a design is one problem for each subcarrier"
                raise InvalidInput(f"design.{name}.trace", rule, design.trace, "Trace a narrowband scenario.")

    def _check_names(self) -> None:
        """Check that the hardware and the designs that tables name are there, and that names can be carried."""
        for table in ("hardware", "design", "evaluate", "sweep", "figure", "expect", "precision"):
            for name in getattr(self, table):
                carried(joined(table, name or "''"), name)
        told("title", self.title)
        for name, axis in self.sweep.items():
            told(f"sweep.{name}.label", axis.label)
            for value in axis.values:
                told(f"sweep.{name}.values", value)
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

    def _repr_html_(self) -> str:
        return fields(self)

    def _check_views(self) -> None:
        """Check that names are not taken, and that figures and expected numbers fit the results."""
        points = math.prod(len(axis.values) for axis in self.sweep.values())
        if points > MOST_POINTS:
            raise InvalidInput(
                "sweep", f"must have at most {MOST_POINTS} points", points, "Take fewer or shorter axes."
            )
        quantities = self._quantities()
        used = {*RESERVED, *quantities, *(dim for q in quantities.values() for dim in q.dims)}
        for name in self.sweep:
            if name in used or name.startswith(TRACE):
                raise InvalidInput(f"sweep.{name}", "must not have a name that results use", name, "Rename the axis.")
        contents = Contents(
            sweep=self.sweep,
            quantities={name: q.dims for name, q in quantities.items()},
            designs=tuple(self.design),
            evaluations=tuple(self.evaluate),
            traced=any(design.trace for design in self.design.values()),
        )
        for name, design in self.design.items():
            for axis, values in design.only.items():
                known = frozenset(self.sweep[axis].values) if axis in self.sweep else frozenset()
                for value in values:
                    if value not in known:
                        path = f"design.{name}.only"
                        raise InvalidInput(path, "must be swept values", {axis: value}, one_of(self.sweep, axis))
        for table in ("figure", "expect", "precision"):
            for name, view in getattr(self, table).items():
                try:
                    view.check(name, contents)
                except InvalidInput as error:
                    raise error.at(joined(table, name, error.field)) from None

    def _quantities(self) -> dict[str, Quantity]:
        """What is recorded, by name."""
        found: dict[str, Quantity] = {}
        for label, evaluation in self.evaluate.items():
            for quantity in (q for m in (*evaluation.metrics, *evaluation.experiments) for q in m.quantities):
                for word in (quantity.name, *quantity.dims):
                    carried(f"evaluate.{label}.metrics", word)
                before = found.setdefault(quantity.name, quantity)
                taken = quantity.name in RESERVED or quantity.name.startswith(TRACE)
                if taken or (before.unit, before.dims) != (quantity.unit, quantity.dims):
                    raise InvalidInput(
                        f"evaluate.{label}.metrics",
                        "must not record another quantity under a name that is taken",
                        quantity.name,
                        "Leave one of them out.",
                    )
        return found

    def of_results(self) -> Scenario:
        """The scenario without what cannot change its results: how it is run, and who is told."""
        return attrs.evolve(self, executor=None, observers=())

    def bare(self) -> Scenario:
        """The scenario without sweep and views, with designs that are made everywhere."""
        designs = {name: attrs.evolve(design, only={}) for name, design in self.design.items()}
        return attrs.evolve(self, design=designs, sweep={}, figure={}, expect={}, precision={})

    def keeping(self, designs: Collection[str]) -> Scenario:
        """The scenario with some of its designs, and what judges them.

        Raises:
            InvalidInput: If there is none.
        """
        if not designs:
            raise InvalidInput("design", "must have one that is made at every point", "", "Widen an `only`.")
        judged, kept = {}, frozenset(designs)
        for name, evaluation in self.evaluate.items():
            chosen = tuple(d for d in evaluation.designs or self.design if d in kept)
            if chosen:
                judged[name] = attrs.evolve(evaluation, designs=chosen if evaluation.designs else None)
        return attrs.evolve(self, design={name: self.design[name] for name in designs}, evaluate=judged)

    def transceiver(self, name: str) -> Transceiver:
        """The hardware of a name."""
        return self.hardware.get(name) or Transceiver()

    def drop(self, trials: tuple[int, ...]) -> Drop:
        """The realisations of ``trials``, the same whatever is swept, designed or judged."""
        station, users = self.base_station, self.users
        channel = [generator(self.seed, Stream.CHANNEL, t) for t in trials]
        target = Generators(self.seed, Stream.TARGET, trials)
        with faults_of("users.channel", users.channel):
            kind: Callable[..., Drop]
            asked = (station.transmit_array, users.count, trials, channel)
            if station.grid is None:
                H, kind = users.channel.draw(*asked), Drop
            else:
                H, motion = users.channel.draw_burst(station.grid, *asked)
                kind = partial(WidebandDrop, grid=station.grid, motion=motion)
            _require_channels(H, trials, station, users.count)
        with faults_of("targets", self.targets), without_doubts():
            if station.grid is None:
                targets = self.targets.draw(station.transmit_array, station.receive_array, trials, target)
            else:
                arrays = (station.transmit_array, station.receive_array)
                targets = self.targets.draw_band(station.grid, *arrays, trials, target)
            _require_scenes(targets, trials)
        background = None
        if self.background is not None:
            behind = [generator(self.seed, Stream.BACKGROUND, t) for t in trials]
            background = self.background.draw(station.transmit_array, station.receive_array, behind)
        return kind(
            H=H,
            targets=targets,
            tx_array=station.transmit_array,
            rx_array=station.receive_array,
            power=station.power,
            noise_power=np.broadcast_to(users.noise, (users.count,)),
            radar_noise_power=station.radar_noise,
            snapshots=station.snapshots,
            background=background,
        )


def _require_channels(H: Any, trials: Sequence[int], station: BaseStation, users: int) -> None:
    """Refuse channels of another number of trials, antennas or users than was asked for, and what is no number."""
    bins = () if station.grid is None else (station.grid.used,)
    shape = (len(trials), *bins, station.transmit_array.size, users)
    finite_numbers("H", H)
    if np.shape(H) != shape:
        rule = f"must draw channels of the shape {shape}, (trials, {'F, ' if bins else ''}N_t, K)"
        raise InvalidInput("H", rule, f"shape {np.shape(H)}", "Give each trial its own, and each user a column.")


def _require_scenes(targets: Any, trials: Sequence[int]) -> None:
    """Refuse what is no scene, or one of another number of trials; one for all has no axis of them, or of length 1."""
    if not isinstance(targets, Scene):
        raise InvalidInput("targets", "must draw a Scene", type(targets).__name__, "Return the scene that it draws.")
    shape = batch_shape(targets)
    if shape not in ((), (1,), (len(trials),)):
        rule = f"must draw a scene for each of {len(trials)} trials, or one for all"
        raise InvalidInput("targets", rule, f"leading axes {shape}", "Keep one leading axis, that of the trials.")


@contextlib.contextmanager
def faults_of(path: str, record: Any) -> Iterator[None]:
    """Moves what is said against a field of ``record``, or doubted of it, to the place it has in the scenario."""

    def place(named: str) -> str:
        key = scenario_key(type(record), named)
        if key.split(", ")[0] in keys_of(type(record)):
            return joined(path, key)
        return named if named.split(".")[0] in keys_of(Scenario) else path

    try:
        with doubts_at(place):
            yield
    except InvalidInput as error:
        raise error.at(place(error.field)) from None
