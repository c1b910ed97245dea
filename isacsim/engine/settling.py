"""Which points of a sweep have enough trials: looked at in trial order, so that no executor changes the answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from attrs import define, field

from isacsim.engine.events import PointSettled
from isacsim.engine.plan import Point
from isacsim.engine.precision import FIRST, Precision
from isacsim.engine.store import Store
from isacsim.engine.work import Entry
from isacsim.typing import FloatArray

# From one look to the next trials grow by a quarter: a point gets at most a quarter more than it needs, and
# few looks keep small what looking again and again takes from the 95 % of an interval.
GROWTH = 5 / 4


def looks(trials: int) -> Iterator[int]:
    """After how many trials a point is looked at, up to all of them."""
    size = FIRST
    while size < trials:
        yield size
        size = int(np.ceil(size * GROWTH))
    yield trials


def enough(precisions: Sequence[Precision], entries: Sequence[Entry], rows: FloatArray) -> bool:
    """Whether all that is asked of a point is met by its first trials.

    Args:
        precisions: What is asked.
        entries: What a row holds.
        rows: A row for each of the trials, (n, size); NaN where one has failed.
    """
    ends = np.cumsum([entry.size for entry in entries])
    places = [slice(end - entry.size, end) for entry, end in zip(entries, ends, strict=True)]
    met = [
        len(rows) >= asked.least and asked.tight(rows[:, place].T)
        for asked in precisions
        for entry, place in zip(entries, places, strict=True)
        if asked.of(entry)
    ]
    return bool(met) and all(met)


@define
class Judge:
    """Says of points whether they have enough trials, by what the ledger has of them.

    Attributes:
        store: The ledger.
        precisions: What is asked.
        tell: Who is told of a point that has enough.
        stops: Trials of the points that have, by their ids.
    """

    store: Store
    precisions: Sequence[Precision]
    tell: Callable[[PointSettled], None]
    stops: dict[str, int] = field(factory=dict)

    def __call__(self, point: Point, trials: int) -> bool:
        """Whether a point has enough with its first trials, of which each is there or has failed."""
        found = enough(self.precisions, self.store.layout(point.id), self.store.rows(point.id, trials))
        if found:
            self.stops[point.id] = trials
            self.tell(PointSettled(point.coords, trials))
        return found
