"""How precise a run is to become: a point of the sweep whose intervals are tight gets no more trials."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from attrs import field, frozen

from isacsim.checks import number, whole
from isacsim.engine.statistics import STATISTICS
from isacsim.engine.views import STATISTIC, Contents
from isacsim.errors import InvalidInput, one_of
from isacsim.typing import FloatArray

if TYPE_CHECKING:
    from isacsim.engine.work import Entry
FIRST = 32  # trials at the first look; an interval of fewer would mostly be of the luck of its spread


@frozen
class Precision:
    """How tight the interval of a quantity is to become; a point where all are tight gets no more trials.

    An interval, 95 % as in reports, is tight when half its width is at most ``absolute``, plus
    ``relative`` times the size of the statistic. Points are looked at after 32, 40, 50, ... trials, each a
    quarter more, so that the trials they get depend on the numbers alone.

    Attributes:
        quantity: Name of the quantity; of one with axes of its own, all entries are to be tight.
        relative: Half-width over the size of the statistic.
        absolute: Half-width, in the unit of the quantity.
        statistic: ``mean`` or ``median`` over the trials.
        design: Name of the design; empty is all.
        evaluate: Name of the evaluation; empty is all.
        least: Trials that a point gets in any case, as where what counts is rare.
    """

    known_as: ClassVar[str] = "precision"

    quantity: str
    relative: float = field(default=0.0, validator=number(least=0))
    absolute: float = field(default=0.0, validator=number(least=0))
    statistic: Literal["mean", "median"] = field(default="mean", validator=STATISTIC)
    design: str = ""
    evaluate: str = ""
    least: int = field(default=FIRST, validator=whole(1))

    def __attrs_post_init__(self) -> None:
        if not (self.relative or self.absolute):
            remedy = "Write relative = 0.02 for two per cent."
            raise InvalidInput("relative, absolute", "must not both be 0", "", remedy)

    def check(self, name: str, contents: Contents) -> None:
        """Check that the quantity is recorded.

        Raises:
            InvalidInput: If it names what is not there.
        """
        if self.quantity not in contents.quantities:
            remedy = one_of(contents.quantities, self.quantity)
            raise InvalidInput("quantity", "must name a quantity that is evaluated", self.quantity, remedy)
        for key, known in (("design", contents.designs), ("evaluate", contents.evaluations)):
            chosen = getattr(self, key)
            if chosen and chosen not in known:
                raise InvalidInput(key, "must name one of its tables", chosen, one_of(known, chosen))

    def of(self, entry: Entry) -> bool:
        """Whether it is about an entry of a row."""
        told = (self.quantity, self.design or entry.design, self.evaluate or entry.evaluation)
        return told == (entry.name, entry.design, entry.evaluation)

    def tight(self, samples: FloatArray) -> bool:
        """Whether the intervals of samples (..., trials) are tight; NaN are left out, as in reports."""
        found = STATISTICS[self.statistic](samples)
        with np.errstate(invalid="ignore"):
            half = np.maximum(found.high - found.value, found.value - found.low)
            bound = self.absolute + self.relative * np.abs(found.value)
        # Where no error has come yet, a rate is 0 in every trial, which says little of how small it is.
        return bool(np.all((half <= bound) & (bound > 0)))
