"""What came of a task, as rows that the ledger takes as they are: who computes it makes them, not the one driver."""

from __future__ import annotations

import pickle
import zlib
from collections.abc import Iterator
from typing import Any

import attrs
from attrs import field, frozen

from isacsim.engine import encoding, spans
from isacsim.engine.calls import TaskLost
from isacsim.engine.work import Cost, Entry, Failure, Outcome, Partial


@frozen(eq=False)
class Sealed:
    """An outcome whose numbers are rows of the ledger, each with its checksum.

    On its way from a worker it is one piece with a checksum: one that is damaged is lost, and computed again.

    Attributes:
        environment: Number of what it was computed with, as the ledger counts it.
        layouts: Entries of the rows of each point, by its id, as text.
        results: Rows of the table of results, each of a span of trials.
        designs: Rows of the table of designs, likewise.
        failures: As in the outcome.
        partial: As in the outcome.
        cost: As in the outcome.
    """

    environment: int = 0
    layouts: dict[str, str] = field(factory=dict)
    results: spans.Rows = field(factory=list)
    designs: spans.Rows = field(factory=list)
    failures: dict[tuple[str, int], tuple[Failure, ...]] = field(factory=dict)
    partial: dict[tuple[str, int], Partial] = field(factory=dict)
    cost: Cost = Cost()

    @classmethod
    def of(cls, outcome: Outcome, environment: int) -> Sealed:
        """An outcome, made ready."""
        rows = spans.of_rows(outcome.rows, environment), spans.of_designs(outcome.designs, environment)
        return cls(environment, dict(_told(outcome)), *rows, outcome.failures, outcome.partial, outcome.cost)

    def opened(self) -> Outcome:
        """The outcome, to be changed."""
        layouts = {point: encoding.entries(told) for point, told in self.layouts.items()}
        numbers = spans.opened_rows(self.results), spans.opened_designs(self.designs)
        return Outcome(layouts, *numbers, dict(self.failures), dict(self.partial), self.cost)

    @property
    def done(self) -> int:
        """How many trials of points are whole."""
        return sum(count for _, _, count, *_ in self.results)

    def __reduce__(self) -> tuple[Any, ...]:
        content = pickle.dumps(attrs.astuple(self, recurse=False))
        return _arrived, (content, zlib.crc32(content))


def _arrived(content: bytes, checksum: int) -> Sealed:
    if zlib.crc32(content) != checksum:
        raise TaskLost("it was damaged on its way")
    return Sealed(*pickle.loads(content))


def _told(outcome: Outcome) -> Iterator[tuple[str, str]]:
    """The layouts as text, which is made and sent once for points that follow each other with the same."""
    last: tuple[Entry, ...] = ()
    text = encoding.told(last)
    for point, entries in outcome.layouts.items():
        if entries != last:
            last, text = entries, encoding.told(entries)
        yield point, text
