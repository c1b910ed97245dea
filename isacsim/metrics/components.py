"""What a metric is: a measure of precoders on realisations through hardware, and the quantities that it tells."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import wraps
from inspect import isfunction, signature
from typing import Any, ClassVar, Literal

import numpy as np
from attrs import frozen

from isacsim.deprecation import warn_deprecated
from isacsim.drop import Drop
from isacsim.errors import InvalidInput
from isacsim.link import Link, WidebandLink
from isacsim.typing import FloatArray


@frozen
class Quantity:
    """A named array that a run records for each trial.

    Attributes:
        name: Variable name in the dataset.
        unit: Its unit, ``1`` for a ratio.
        dims: Names of its axes behind the trial.
        summary: What it is, in one line.
    """

    name: str
    unit: str
    dims: tuple[str, ...] = ()
    summary: str = ""


class Measure(ABC):
    """Judges precoders on realisations, through hardware.

    Attributes:
        wideband: Whether it is of an OFDM signal alone, on the grid of the base station; None is of either.
    """

    wideband: ClassVar[bool | None] = False

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for name in ("measure", "value", "trial"):
            if isfunction(cls.__dict__.get(name)):
                setattr(cls, name, _taking_a_link(cls.__dict__[name], f"{cls.__name__}.{name}"))

    @property
    @abstractmethod
    def quantities(self) -> tuple[Quantity, ...]:
        """What it records."""

    def labels(self, drop: Drop) -> dict[str, Sequence[Any]]:
        """Coordinates of the quantities' axes; an axis without an entry is numbered."""
        return {}

    def check(self, link: Link) -> None:  # noqa: B027  # nothing to refuse
        """Refuse what could be measured in no trial; ``link`` is that of a stand-in for the precoders.

        Asked before a run, so that it must be cheap; nothing is refused by default.

        Raises:
            InvalidInput: If it cannot be measured.
        """

    @abstractmethod
    def measure(self, link: Link, rngs: Sequence[np.random.Generator]) -> dict[str, FloatArray]:
        """Values by quantity, each with the leading axis B of the link.

        Args:
            link: The precoders, the realisations they are judged on and the hardware they meet;
                all measures of an evaluation read the same one.
            rngs: One generator for each of the B trials.
        """


def _taking_a_link(method: Any, told: str) -> Any:
    """The method, behind an adapter where it takes (W, drop, transceiver, ...), as in version 1 of the plugin API."""
    if list(signature(method).parameters)[1:4] != ["W", "drop", "transceiver"]:
        return method
    new = "one that takes a link, and reads link.W, link.drop and link.transceiver"
    warn_deprecated(f"{told}(W, drop, transceiver)", new, gone="0.2", stacklevel=3)

    @wraps(method)
    def adapted(self: Any, link: Link, *rest: Any) -> Any:
        return method(self, link.W, link.drop, link.transceiver, *rest)

    del adapted.__wrapped__  # a class made anew by attrs is not to be adapted again
    return adapted


class Metric(Measure):
    """A measure of one quantity in closed form.

    Attributes:
        over_band: What becomes of the values (B, F, ...) on the subcarriers of an OFDM signal: their
            ``mean``; ``power``, their sum over the N bins, of what is a power of samples; ``own``,
            where `value` says that itself; None refuses.
    """

    quantity: ClassVar[Quantity]
    over_band: ClassVar[Literal["mean", "power", "own"] | None] = None

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        """The one quantity."""
        return (self.quantity,)

    @abstractmethod
    def value(self, link: Link) -> FloatArray:
        """The quantity, with leading axis B."""

    def measure(self, link: Link, rngs: Sequence[np.random.Generator]) -> dict[str, FloatArray]:
        """The value, by the quantity's name."""
        if not isinstance(link, WidebandLink):
            return {self.quantity.name: self.value(link)}
        if self.over_band is None:
            rule = "must have a meaning over a band, which this one lacks"
            raise InvalidInput("metrics", rule, self.quantity.name, "Judge without base_station.grid.")
        value = self.value(link)
        if self.over_band == "mean":
            value = value.mean(axis=1)
        elif self.over_band == "power":
            value = value.sum(axis=1) / link.grid.subcarriers
        return {self.quantity.name: value}
