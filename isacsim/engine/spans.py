"""Consecutive trials in one row of the ledger: each row costs its writer and its reader some microseconds.

A span holds trials that follow each other, of one point or of one design, with numbers of the same form.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from isacsim.engine import encoding
from isacsim.engine.work import DesignRecord
from isacsim.typing import FloatArray, IntArray

Key = tuple[str, int]  # id of a point or address of a design, and trial
Rows = list[tuple[Any, ...]]

# Of the numbers of a span, unless one trial alone has more: four pages of the ledger. Beside that, a row costs
# nothing; and who asks for one trial, or loses a row to a damaged disk, has to do with that much.
MOST_BYTES = 2**15


def of_rows(rows: Mapping[Key, FloatArray], environment: int) -> Rows:
    """Rows of the table of results, of the numbers of each point and trial."""

    def form(key: Key) -> int:
        return rows[key].nbytes

    spans = _spans(rows, form, form)
    return encoding.with_checksums(
        (*run[0], len(run), encoding.as_bytes(np.concatenate([rows[key] for key in run])), environment) for run in spans
    )


def of_designs(designs: Mapping[Key, DesignRecord], environment: int) -> Rows:
    """Rows of the table of designs."""
    told = {key: encoding.packed(record) for key, record in designs.items()}

    def form(key: Key) -> tuple[str, str]:
        _, header, _, notes, _ = told[key]
        return header, notes

    def size(key: Key) -> int:
        return len(told[key][0]) + len(told[key][2])

    spans = []
    for run in _spans(told, form, size):
        scalars, headers, data, notes, times = zip(*map(told.__getitem__, run), strict=True)
        numbers = b"".join(scalars), headers[0], b"".join(data), notes[0], encoding.as_bytes(np.array(times))
        spans.append((*run[0], len(run), *numbers, environment))
    return encoding.with_checksums(spans)


def _spans(keys: Iterable[Key], form: Callable[[Key], Hashable], size: Callable[[Key], int]) -> Iterator[list[Key]]:
    """The keys in order, cut into spans."""
    run: list[Key] = []
    last, room = None, 0
    for key in sorted(keys):
        now = form(key)
        if run and (now != last or room < size(key) or key != (run[-1][0], run[-1][1] + 1)):
            yield run
            run = []
        if not run:
            last, room = now, MOST_BYTES
        room -= size(key)
        run.append(key)
    if run:
        yield run


def opened_rows(spans: Rows) -> dict[Key, FloatArray]:
    """The numbers of each point and trial of `of_rows`."""
    return {
        (point, first + i): row
        for point, first, count, data, *_ in spans
        for i, row in enumerate(np.frombuffer(data, "<f8").reshape(count, -1))
    }


def opened_designs(spans: Rows) -> dict[Key, DesignRecord]:
    """The solutions of `of_designs`."""
    return {
        (address, first + i): encoding.unpacked(i, count, *told)
        for address, first, count, *told, _ in spans
        for i in range(count)
    }


def trials(firsts: Sequence[int], counts: Sequence[int]) -> IntArray:
    """All trials of spans, (n,)."""
    if len(firsts) == 1:  # of each of many points, where the rest is most of the time
        return np.arange(firsts[0], firsts[0] + counts[0])
    ends = np.cumsum(counts)
    return np.repeat(np.array(firsts) - ends + counts, counts) + np.arange(ends[-1])


def repeated(values: Sequence[int], counts: Sequence[int]) -> IntArray:
    """A value of each span for each of its trials, (n,)."""
    return np.full(counts[0], values[0]) if len(values) == 1 else np.repeat(values, counts)


def stacked(blobs: Sequence[bytes], counts: Sequence[int]) -> FloatArray | None:
    """All numbers of spans, a row for each trial, (n, size); None where that is not the same for each."""
    sizes = {divmod(len(blob), 8 * count) for blob, count in zip(blobs, counts, strict=True)}
    if len(sizes) > 1 or any(rest for _, rest in sizes):
        return None
    return np.frombuffer(b"".join(blobs), "<f8").reshape(sum(counts), -1)
