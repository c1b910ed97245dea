"""What is looked at in a run: figures, and the numbers that are expected of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Literal

from attrs import field, frozen

from isacsim.checks import choice, instance, is_number, number, told
from isacsim.engine.sweep import Axis
from isacsim.errors import InvalidInput, one_of
from isacsim.units import worded

# What is recorded of each solve: name, unit, and what it is.
SOLVES: dict[str, tuple[str, str]] = {
    "objective": ("1", "merit of the design's problem"),
    "gap": ("1", "relative duality gap"),
    "residual": ("1", "relative KKT residual"),
    "bound": ("1", "proven bound on the objective, or certificate"),
    "iterations": ("1", "steps of the solver"),
    "solve_time": ("s", "time of the solve: this trial's share of its batch"),
}
TRACE, STEP = "trace-", "step"
# What says which code a row and a solve come from, where there is more than one.
ROWS_FROM, SOLVES_FROM = "row_environment", "solve_environment"
COUNT = "trial_count"  # of each point, where a precision is asked

# Axes that quantities have of their own: unit, and what it is.
AXES: dict[str, tuple[str, str]] = {
    "azimuth": ("rad", "azimuth"),
    "zenith": ("rad", "zenith angle"),
    "frequency": ("Hz", "frequency from the carrier"),
    "range": ("m", "range"),
    "velocity": ("m/s", "radial velocity"),
    "user": ("1", "user"),
    "parameter": ("1", "target parameter"),
    "symbol": ("1", "symbol"),
    "false-alarm-probability": ("1", "false-alarm probability"),
    STEP: ("1", "step of the solver"),
}

STATISTIC = choice("mean", "median")
SCALE = choice("auto", "linear", "log", "db")
# Sizes of figures in inches: of a screen, and of one and two columns of an IEEE journal.
SIZES = {"screen": (6.4, 4.4), "column": (3.5, 2.6), "page": (7.16, 3.6)}
SIZE = worded(f"{', '.join(f'`{name}`' for name in SIZES)}, [width, height] in inches")
FORMATS = ("png", "pdf", "svg", "pgf", "tikz")
FORMAT = worded(f"one or a list of {', '.join(f'`{name}`' for name in FORMATS)}")
LEGENDS = (
    "best", "upper right", "upper left", "lower left", "lower right", "center left", "center right", "lower center",
    "upper center", "center", "outside", "none",
)  # fmt: skip


@frozen
class Contents:
    """What the dataset of a scenario will have.

    Attributes:
        sweep: Axes of the sweep by name.
        quantities: Axes of each recorded quantity behind the trial, by name.
        designs: Names of the designs.
        evaluations: Names of the evaluations.
        traced: Whether the trace of a design is kept.
    """

    sweep: Mapping[str, Axis]
    quantities: Mapping[str, tuple[str, ...]]
    designs: tuple[str, ...]
    evaluations: tuple[str, ...]
    traced: bool
    _swept: dict[str, frozenset[Any]] = field(factory=dict, init=False)

    def dims(self, key: str, name: str) -> tuple[str, ...]:
        """Axes of a quantity, or of something recorded of each solve, behind the trial.

        Raises:
            InvalidInput: On ``key``, if nothing of that name is recorded.
        """
        if name.startswith(TRACE) and self.traced:
            return (STEP,)
        known = {**self.quantities, **dict.fromkeys(SOLVES, ())}
        if name not in known:
            remedy = one_of(known, name)
            if name.startswith(TRACE):
                remedy = "Write trace = true in a design to keep its trace."
            raise InvalidInput(key, "must name a quantity that is evaluated", name, remedy)
        return known[name]

    def swept(self, axis: str) -> frozenset[Any]:
        """The values of an axis; figures of a long one each ask for some."""
        if axis not in self._swept:
            self._swept[axis] = frozenset(self.sweep[axis].values)
        return self._swept[axis]

    def fix(self, at: Mapping[str, Any], free: Iterable[str]) -> None:
        """Check that ``at`` fixes every axis of the sweep that is not ``free`` and has more than one value.

        Raises:
            InvalidInput: On ``at``.
        """
        for axis in self.sweep:
            if axis not in free and axis not in at and len(self.swept(axis)) > 1:
                raise InvalidInput("at", f"must fix the axis {axis!r}", at, f"Write at = {{ {axis} = ... }}.")
        for axis, value in at.items():
            if axis not in self.sweep or value not in self.swept(axis):
                raise InvalidInput("at", "must fix axes at swept values", {axis: value}, one_of(self.sweep, axis))


def _size(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _is_size(_: Any, attribute: Any, value: Any) -> None:
    lengths = isinstance(value, tuple) and len(value) == 2 and all(is_number(v) and 1 <= v <= 40 for v in value)
    if not lengths and not (isinstance(value, str) and value in SIZES):
        rule = f"must be {', '.join(SIZES)} or [width, height] in inches"
        raise InvalidInput(attribute.name, rule, value, "Write size = 'column', or [3.5, 2.6].")


def _formats(value: Any) -> Any:
    return (value,) if isinstance(value, str) else tuple(value) if isinstance(value, (list, tuple)) else value


def _are_formats(_: Any, attribute: Any, value: Any) -> None:
    for kind in value if isinstance(value, tuple) else (value,):
        if kind not in FORMATS:
            raise InvalidInput(attribute.name, "must be file types of figures", kind, one_of(FORMATS, str(kind)))


@frozen
class Figure:
    """A figure drawn from the dataset: the mean or median of a quantity over an axis.

    Attributes:
        x: Name of a sweep axis, or of an axis of the quantity; or of another quantity, when
            ``along`` is given.
        y: Name of the quantity, of something recorded of each solve (``objective``,
            ``solve_time``, ...), or ``trace-NAME`` of a design that keeps its trace.
        beside: Quantities of the same kind as y that are drawn with it, each in a line style of
            its own: a bound or a prediction beside what is measured.
        up: Axis of the quantity that goes up in a heat map of it, over ``x``, another one of its axes.
        along: Axis that is followed where x and y are both quantities.
        series: What has a colour each: ``design``, ``evaluate`` or another sweep axis. What
            else differs has a line style each.
        statistic: ``mean`` or ``median`` over the trials, with a 95 % confidence band.
        band: Two quantities, the lower and the upper end of a band of y, that are shown by the
            same statistic instead of that confidence band; what is ``beside`` y then has none.
        scale: Scale of the y axis: ``linear``, ``log``, or ``db`` for a power ratio in dB, which
            is converted after the statistic; ``auto`` is dB for a pattern over directions and for a
            heat map, and a logarithm where positive numbers span two decades.
        x_scale: Scale of the x axis; ``db`` where that is a quantity.
        title: Title; empty is the scenario's on a screen, and none on paper, where the caption has it.
        at: Value of each sweep axis that is neither followed nor series.
        dots: Draw each number of each trial as a dot, as of a constellation.
        categories: Space the values of a swept axis evenly, instead of to scale.
        size: ``screen``, ``column`` or ``page`` (one and two columns of an IEEE journal), or width
            and height in inches.
        font: Font, ``Times New Roman`` for example; empty is matplotlib's, and on paper STIX, which goes with Times.
        font_size: Size of the font in points; 0 is 10 on a screen and 8 on paper.
        style: Style sheet of matplotlib, by its name or file, that is laid over this look.
        legend: Place of the legend, ``outside`` for below the axes, or ``none``.
        format: File types: ``png``, ``pdf``, ``svg``, ``pgf`` (which needs LaTeX) or ``tikz`` (for pgfplots).
    """

    known_as: ClassVar[str] = "figure"

    x: str
    y: str
    beside: tuple[str, ...] = ()
    up: str = ""
    along: str = ""
    series: str = "design"
    statistic: Literal["mean", "median"] = field(default="mean", validator=STATISTIC)
    band: tuple[str, ...] = ()
    scale: Literal["auto", "linear", "log", "db"] = field(default="auto", validator=SCALE)
    x_scale: Literal["auto", "linear", "log", "db"] = field(default="auto", validator=SCALE)
    title: str = ""
    at: dict[str, Any] = field(factory=dict)
    dots: bool = field(default=False, validator=instance(bool))
    categories: bool = field(default=False, validator=instance(bool))
    size: Any = field(default="screen", converter=_size, validator=_is_size, metadata=SIZE)
    font: str = ""
    font_size: float = field(default=0.0, validator=number(least=0))
    style: str = ""
    legend: str = field(default="best", validator=choice(*LEGENDS))
    format: Any = field(default=("png",), converter=_formats, validator=_are_formats, metadata=FORMAT)

    @property
    def inches(self) -> tuple[float, float]:
        """Width and height."""
        width, height = SIZES[self.size] if isinstance(self.size, str) else self.size
        return float(width), float(height)

    @property
    def printed(self) -> bool:
        """Whether it is made for paper: its title is the caption, its font that of the text around it."""
        return bool(self.size != "screen")

    @property
    def followed(self) -> str:
        """The axis along which a line runs."""
        return self.along or self.x

    def check(self, name: str, contents: Contents) -> None:
        """Check that the figure can be drawn.

        Raises:
            InvalidInput: If it names what is not there.
        """
        told("title", self.title)
        own = contents.dims("y", self.y)
        ends = [contents.dims("band", end) for end in self.band]
        if self.band and (ends != [own, own] or self.along):
            remedy = "Write band = [LOWER, UPPER], and leave `along` out."
            raise InvalidInput("band", f"must name two quantities with the axes of {self.y}", self.band, remedy)
        if self.up:
            self._check_heat(own)
        axes = {*contents.sweep, *own}
        key = "along" if self.along else "x"
        if self.followed not in axes:
            raise InvalidInput(key, "must name an axis of the sweep", self.followed, one_of(axes, self.followed))
        if self.along and not {*contents.dims("x", self.x)} <= {self.along, *own}:
            rule = f"must be a quantity without axes that {self.y!r} has not"
            raise InvalidInput("x", rule, self.x, "Choose another one.")
        if self.dots and self.band:
            raise InvalidInput("dots", "must be left out beside a band", self.dots, "Remove one of them.")
        if self.x_scale == "db" and not self.along:
            remedy = "Sweep values in dB, and name them so in the axis's label."
            raise InvalidInput("x_scale", "must not be db for an axis of the sweep", self.x_scale, remedy)
        for other in self.beside:
            if contents.dims("beside", other) != own:
                raise InvalidInput("beside", f"must be quantities with the axes of {self.y!r}", other, "Leave it out.")
        series = {"design", "evaluate", *contents.sweep} - {self.followed}
        if self.series not in series:
            raise InvalidInput("series", "must name what differs", self.series, one_of(series, self.series))
        contents.fix(self.at, (self.followed, self.series))

    def _check_heat(self, own: tuple[str, ...]) -> None:
        if self.up not in own or self.x not in own or self.up == self.x:
            rule = f"must be an axis of {self.y!r}, and x another one"
            raise InvalidInput("up", rule, self.up, one_of(own, self.up))
        for name in ("beside", "along", "band", "dots", "categories"):
            if getattr(self, name):
                raise InvalidInput(name, "must be left out in a heat map", getattr(self, name), "Remove it, or `up`.")
        if "tikz" in self.format:
            raise InvalidInput("format", "must not be tikz for a heat map", self.format, "Use pdf.")


def _numbers(value: Any) -> tuple[float, ...]:
    values = value if isinstance(value, (list, tuple)) else (value,)
    if not values or not all(map(is_number, values)):
        raise InvalidInput("values, errors", "must be numbers", value, "Write 0.1 or [0.1, nan]; nan is not compared.")
    return tuple(map(float, values))


@frozen
class Expectation:
    """Numbers that a run's statistic is compared with, and how close it must come.

    A number is met when the statistic differs from it by at most ``absolute``, plus
    ``relative`` times its size, plus ``standard_errors`` times the standard error of the
    difference.

    Attributes:
        quantity: Name of the quantity, or of something recorded of each solve.
        values: The numbers, one for each value of ``over``; nan is not compared.
        kind: Where they come from: ``published``, ``oracle`` (another implementation) or
            ``regression`` (an earlier run).
        source: Which publication, implementation or run.
        over: Sweep axis that they run over; without one there is a single number.
        design: Name of the design; it can be left out when there is one.
        evaluate: Name of the evaluation; it can be left out when there is one.
        at: Value of each other sweep axis.
        statistic: ``mean`` or ``median`` over the trials.
        absolute: Absolute tolerance.
        relative: Relative tolerance.
        standard_errors: Tolerance in standard errors of the difference.
        errors: Standard errors of the numbers themselves, one for all or one each.
        holds: Whether they are met; false says that they are known not to be.
        note: Why they are not, or what else a reader should know.
    """

    known_as: ClassVar[str] = "expectation"

    quantity: str
    values: tuple[float, ...] = field(converter=_numbers)
    kind: Literal["published", "oracle", "regression"] = field(validator=choice("published", "oracle", "regression"))
    source: str
    over: str = ""
    design: str = ""
    evaluate: str = ""
    at: dict[str, Any] = field(factory=dict)
    statistic: Literal["mean", "median"] = field(default="mean", validator=STATISTIC)
    absolute: float = field(default=0.0, validator=number(least=0))
    relative: float = field(default=0.0, validator=number(least=0))
    standard_errors: float = field(default=0.0, validator=number(least=0))
    errors: tuple[float, ...] = field(default=(0.0,), converter=_numbers)
    holds: bool = field(default=True, validator=instance(bool))
    note: str = ""

    def __attrs_post_init__(self) -> None:
        if not (self.absolute or self.relative or self.standard_errors):
            remedy = "Set absolute, relative or standard_errors."
            raise InvalidInput("absolute, relative, standard_errors", "must not all be 0", "", remedy)
        if any(not e >= 0 for e in self.errors) or len(self.errors) not in (1, len(self.values)):
            remedy = "Give one for all values, or one for each."
            raise InvalidInput("errors", "must be numbers of at least 0", self.errors, remedy)

    def check(self, name: str, contents: Contents) -> None:
        """Check that the numbers can be compared.

        Raises:
            InvalidInput: If the expectation names what is not there.
        """
        if contents.dims("quantity", self.quantity):
            raise InvalidInput("quantity", "must have no axes of its own", self.quantity, "Choose another one.")
        if self.over and self.over not in contents.sweep:
            raise InvalidInput("over", "must name an axis of the sweep", self.over, one_of(contents.sweep, self.over))
        size = len(contents.sweep[self.over].values) if self.over else 1
        if len(self.values) != size:
            raise InvalidInput("values", f"must have {size} entries", self.values, "Write nan for what is not known.")
        named = {"design": (self.design, contents.designs)}
        if self.quantity in contents.quantities:  # a solve knows of no evaluation
            named["evaluate"] = (self.evaluate, contents.evaluations)
        for key, (chosen, known) in named.items():
            if chosen not in known and (chosen or len(known) > 1):
                raise InvalidInput(key, "must name one of its tables", chosen, one_of(known, chosen))
        contents.fix(self.at, (self.over,))
