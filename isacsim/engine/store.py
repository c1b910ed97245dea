"""The run store: a ledger that never loses or changes a number.

A chunk is one transaction: it is there whole, or it is not there. Completion is looked up
by trial, whatever chunks the trials came in.
"""

from __future__ import annotations

import json
import sqlite3
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from attrs import frozen

from isacsim.engine import encoding, spans
from isacsim.engine.ledger import FORMAT, Column, Ledger
from isacsim.engine.sealed import Sealed
from isacsim.engine.work import OTHER_AXES, Entry, Failure, Known, Outcome, Partial, fitting, misfits, only_apart
from isacsim.typing import FloatArray, IntArray

# Keys and columns of the tables that have spans of trials, and what an earlier format has, with a row for each trial.
KEYS = {"results": "point", "designs": "design"}
SPANS = {
    "results": "point, trial, count, data, environment",
    "designs": "design, trial, count, scalars, header, data, notes, times, environment",
}
SINGLE = {
    "results": "point, trial, data, environment",
    "designs": "design, trial, scalars, header, data, notes, solve_time, environment",
}
PARTIAL = "point, trial, entries, data, environment"
MOST_TRIALS = 2**63 - 1  # that SQLite counts


@frozen(eq=False)
class Table:
    """Rows of a point: of ``trials`` (n,) the numbers (n, size) and the environments (n,) that they come from."""

    point: str
    trials: IntArray
    rows: FloatArray
    environments: IntArray


@frozen(eq=False)
class Solves:
    """Solves of a design: of ``trials`` (n,) the scalars (n, 6), times in s (n,), environments (n,) and traces."""

    design: str
    trials: IntArray
    scalars: FloatArray
    times: FloatArray
    environments: IntArray
    traces: dict[int, dict[str, FloatArray]]


class Store(Ledger):
    """What the driver commits to a ledger, and what is read of it."""

    def __init__(self, connection: sqlite3.Connection, folder: Path, *, write: bool) -> None:
        super().__init__(connection, folder, write=write)
        self._version = 0  # of the file, of which the layouts are that are known here
        self._layouts: dict[str, str] = {}

    def commit(self, *outcomes: Outcome | Sealed) -> None:
        """Add what came of tasks, all or nothing; numbers that are there stay as they are.

        Raises:
            StoreError: If it cannot be written, or if the ledger is not where it was.
        """
        self._require_place()
        try:
            self._commit(outcomes)
        except BaseException:
            self._layouts = {}  # what was put in is out again
            raise

    def _commit(self, outcomes: Iterable[Outcome | Sealed]) -> None:
        with self._transaction():
            # At once, so that no other driver comes between a question and its answer.
            self._db.execute("BEGIN IMMEDIATE")
            (version,) = self._db.execute("PRAGMA data_version").fetchone()
            if version != self._version:  # another driver has written
                self._version, self._layouts = version, {}
            for outcome in outcomes:
                self._add(outcome)

    def _add(self, outcome: Outcome | Sealed) -> None:
        here = self._environment
        if isinstance(outcome, Sealed) and outcome.environment != here:
            outcome = outcome.opened()
        sealed = outcome if isinstance(outcome, Sealed) else Sealed.of(outcome, here)
        others = [point for point, told in sealed.layouts.items() if self._laid_out(point, told) != told]
        if others or sealed.partial or self._has_some(sealed):
            sealed = self._joined(sealed.opened(), others)
        self._insert("designs", sealed.designs)
        self._insert("results", sealed.results)
        self._forget(row[:3] for row in sealed.results)
        self._add_failures(sealed)

    def _laid_out(self, point: str, told: str) -> str:
        """The layout of a point, which is what is told of it unless it has one, as text."""
        if point not in self._layouts:
            self._put("layouts", [(point, told)])
            self._layouts[point] = self.layout_told(point) or told
        return self._layouts[point]

    def _joined(self, outcome: Outcome, others: Iterable[str]) -> Sealed:
        """An outcome that has other axes than the ledger at some points, parts that may fit, and trials that are there.

        Returns what the ledger lacks of it, as it is to have it.
        """
        for point in others:
            self._settle(point, outcome.layouts[point], outcome)
        for key, (entries, _) in list(outcome.partial.items()):
            if only_apart(outcome.failures[key]) and entries == self.layout(key[0]):
                outcome.bring_back(key)
        for table, found in (("results", outcome.rows), ("designs", outcome.designs)):
            for key in [key for key in found if self._overlaps(table, *key)]:
                del found[key]  # the number that is there stays
        return Sealed.of(outcome, self._environment)

    def _add_failures(self, came: Sealed) -> None:
        """Add why trials failed, and what there is of them, where no more is known of them."""
        news = [key for key in came.failures if self._is_news(key, key in came.partial)]
        failures = [(key, came.failures[key]) for key in news]
        self._put("failures", ((*key, encoding.sentence(of), encoding.told(of)) for key, of in failures), replace=True)
        parts = [(key, came.partial[key]) for key in news if key in came.partial]
        told = (
            (*key, encoding.told(entries), encoding.as_bytes(row), came.environment) for key, (entries, row) in parts
        )
        self._put("partial", told, replace=True)

    def _settle(self, point: str, entries: tuple[Entry, ...], outcome: Outcome) -> None:
        """Where axes differ from trial to trial, let those of the lowest one be the point's, whatever comes first.

        Rows with other axes are set apart as partly done, whole, so that they can come back.
        """
        layout = self.layout(point)
        (first,) = self._db.execute("SELECT min(trial) FROM results WHERE point = ?", (point,)).fetchone()
        if first is not None and first <= min(trial for at, trial in outcome.rows if at == point):
            outcome.set_apart(point, layout)
            return
        done = [
            (point, trial, encoding.as_bytes(row), environment)
            for table in self._tables(MOST_TRIALS, point, 0, {})
            for trial, row, environment in zip(
                table.trials.tolist(), table.rows, table.environments.tolist(), strict=True
            )
        ]
        apart = [row for row in self._rows("partial", PARTIAL, "point = ?", (point,)) if self._is_apart(row[:2])]
        self._layouts[point] = encoding.told(entries)
        self._put("layouts", [(point, self._layouts[point])], replace=True)
        self._db.execute("DELETE FROM results WHERE point = ?", (point,))
        self._put("partial", ((*row[:2], encoding.told(layout), *row[2:]) for row in done))
        lost = misfits(layout, entries)
        self._put("failures", ((*row[:2], encoding.sentence(lost), encoding.told(lost)) for row in done))
        back = [row for row in apart if encoding.entries(row[2]) == entries]
        self._put("results", ((*row[:2], 1, *row[3:]) for row in back))
        self._forget((*row[:2], 1) for row in back)

    def _has_some(self, sealed: Sealed) -> bool:
        """Whether a trial of an outcome is there already, or one of its solutions."""
        both = ("designs", sealed.designs), ("results", sealed.results)
        return any(self._overlaps(table, *row[:3]) for table, rows in both for row in rows)

    def _overlaps(self, table: str, key: str, first: int, count: int = 1) -> bool:
        """Whether some of the trials of a span are there: spans do not overlap, so that the last one tells."""
        name, end = KEYS[table], first + count
        query = f"SELECT trial + count FROM {table} WHERE {name} = ? AND trial < ? ORDER BY trial DESC LIMIT 1"
        found = self._db.execute(query, (key, end)).fetchone()
        return found is not None and found[0] > first

    def _forget(self, keys: Iterable[tuple[Any, ...]]) -> None:
        """Remove what was said of the trials of spans, which are whole now."""
        keys = [(point, first, first + count) for point, first, count in keys]
        for table in ("failures", "partial"):
            if self._db.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone() is None:
                continue  # looking for each of the trials takes a quarter of a commit
            self._db.executemany(f"DELETE FROM {table} WHERE point = ? AND trial >= ? AND trial < ?", keys)

    def _is_news(self, key: tuple[str, int], has_some: bool) -> bool:
        """Whether a trial that failed, or has only some numbers, has no more of them here from another attempt."""
        if self._overlaps("results", *key):
            return False
        some = self._db.execute("SELECT 1 FROM partial WHERE point = ? AND trial = ?", key).fetchone()
        return not some or (has_some and not self._is_apart(key))

    def _is_apart(self, key: tuple[Any, ...]) -> bool:
        """Whether a trial is partly done for nothing but its axes."""
        parts = self._db.execute("SELECT parts FROM failures WHERE point = ? AND trial = ?", key).fetchone()
        return parts is not None and only_apart(Failure(**part) for part in json.loads(parts[0]))

    def stops(self) -> dict[str, int]:
        """Trials of the points that were given fewer than others, by id: what lies beyond them is not read."""
        found: dict[str, int] = self.meta("stops") or {}
        return found

    def count(self, table: str, trials: int) -> dict[str, int]:
        """How many of the first trials ``results``, ``partial`` or ``failures`` has, by point."""
        # A row of an earlier format, or of what is not whole, is one trial.
        of = "count(*)" if table not in KEYS or self.format < FORMAT else "sum(min(trial + count, :end) - trial)"
        with self._reading():
            query = f"SELECT point, {of} FROM {table} WHERE trial < :end"
            found = dict(self._db.execute(f"{query} GROUP BY point", {"end": trials}).fetchall())
            stops = self.stops()
            for point in found.keys() & stops.keys():
                end = {"end": min(trials, stops[point]), "point": point}
                (_, found[point]) = self._db.execute(f"{query} AND point = :point", end).fetchone()
            return found

    def done(self, point: str) -> set[int]:
        """The trials that are there of a point."""
        with self._reading():
            query = f"SELECT trial, trial + {self._count} FROM results WHERE point = ?"
            return {trial for span in self._db.execute(query, (point,)) for trial in range(*span)}

    def failures(self, point: str) -> dict[int, tuple[Failure, ...]]:
        """What is missing of a point's trials that failed, or are partly done, and why."""
        end = self.stops().get(point, MOST_TRIALS)
        rows = list(self._rows("failures", "point, trial, error, parts", "point = ? AND trial < ?", (point, end)))
        layout = self.layout(point) if rows else ()
        whole = {trial: entries for _, trial, (entries, _) in self._partials(point)} if layout else {}
        found = {}
        for _, trial, text, parts in rows:  # a ledger of an earlier format has the text alone
            told = [Failure(**part) for part in json.loads(parts)] if parts else [Failure(text)]
            own = (failure for failure in told if failure.error != OTHER_AXES or not layout)
            found[trial] = (*own, *misfits(whole.get(trial, ()), layout))
        return found

    def partial(self, point: str) -> dict[int, Partial]:
        """Entries and values of what there is of a point's trials that are partly done."""
        return {trial: part for _, trial, part in self.partials(point)}

    def partials(self, point: str = "") -> Iterator[tuple[str, int, Partial]]:
        """Point, trial, entries and values of all trials that are partly done, or of those of a point.

        What has other axes than the point's is left out.
        """
        layout = cache(self.layout)
        for here, trial, part in self._partials(point):
            yield here, trial, fitting(part, layout(here)) if layout(here) else part

    def _partials(self, point: str) -> Iterator[tuple[str, int, Partial]]:
        where, values = ("point = ?", (point,)) if point else ("1", ())
        stops = self.stops()
        for here, trial, told, data, _ in self._rows("partial", PARTIAL, where, values):
            if trial < stops.get(here, MOST_TRIALS):
                yield here, trial, (encoding.entries(told), np.frombuffer(data, "<f8"))

    def layouts(self) -> dict[str, tuple[Entry, ...]]:
        """Entries of the rows of every point of which there is one; points alike share them."""
        read = cache(encoding.entries)
        return {point: read(told) for point, told in self._rows("layouts", "point, entries", "1", ())}

    def layout(self, point: str) -> tuple[Entry, ...]:
        """Entries of a point's rows; empty if nothing is there yet."""
        told = self.layout_told(point)
        return () if told is None else encoding.entries(told)

    def layout_told(self, point: str) -> str | None:
        """The same as text, as the ledger has it; None if nothing is there yet."""
        row = next(self._rows("layouts", "point, entries", "point = ?", (point,)), None)
        return None if row is None else str(row[1])

    def tables(self, trials: int, point: str = "", first: int = 0) -> Iterator[Table]:
        """The rows of all points, or of one, from a ``first`` trial up to ``trials``, some at a time."""
        return self._tables(trials, point, first, self.stops())

    def _tables(self, trials: int, point: str, first: int, stops: Mapping[str, int]) -> Iterator[Table]:
        for here, (firsts, counts, blobs, environments) in _by_first(self._spans("results", point, first, trials)):
            numbers, table = spans.trials(firsts, counts), spans.stacked(blobs, counts)
            if table is None:
                raise self.damaged(f"results {here}")
            start, end = (bisect_left(numbers, t) for t in (first, min(trials, stops.get(here, MOST_TRIALS))))
            if start < end:
                yield Table(here, numbers[start:end], table[start:end], spans.repeated(environments, counts)[start:end])

    def row(self, point: str, trial: int) -> tuple[FloatArray, int] | None:
        """The numbers of a trial at a point and the environment that they come from; None if it is not done."""
        found = next(self._tables(trial + 1, point, trial, {}), None)
        return None if found is None else (found.rows[0], int(found.environments[0]))

    def rows(self, point: str, trials: int) -> FloatArray:
        """Rows of a point, shape (trials, size); NaN where a trial is not there."""
        whole = np.full((trials, sum(entry.size for entry in self.layout(point))), np.nan)
        for table in self.tables(trials, point):
            whole[table.trials] = self.fitting(table, whole.shape[1])
        return whole

    def fitting(self, table: Table, size: int) -> FloatArray:
        """The rows of a table, which are to have so many numbers each.

        Raises:
            StoreError: If they have not, which is damage of their layout.
        """
        if table.rows.shape[1] != size:
            raise self.damaged(f"layouts {table.point}")
        return table.rows

    def solves(self, trials: int, design: str = "", first: int = 0) -> Iterator[Solves]:
        """What is kept of solves but decisions and notes, as `tables`: design by design, or of one."""
        for here, columns in _by_first(self._spans("designs", design, first, trials)):
            firsts, counts, scalars, headers, _, _, times, environments = columns
            numbers, told = spans.trials(firsts, counts), spans.stacked(scalars, counts)
            lasting = spans.stacked(times, counts)
            if told is None or lasting is None:
                raise self.damaged(f"designs {here}")
            start, end = bisect_left(numbers, first), bisect_left(numbers, trials)
            if start == end:
                continue
            part, traces = slice(start, end), dict[int, dict[str, FloatArray]]()
            if any('["trace"' in header for header in set(headers)):
                opened = spans.opened_designs([(here, *row, 0) for row in zip(*columns, strict=True)])
                traces = {t: record.trace for (_, t), record in opened.items() if first <= t < trials}
            for trial, name, data in self._separate_traces(here, (int(numbers[start]), int(numbers[end - 1]))):
                traces.setdefault(trial, {})[name] = np.frombuffer(data, "<f8")
            origins = spans.repeated(environments, counts)[part]
            yield Solves(here, numbers[part], told[part], lasting[part, 0], origins, traces)

    def designs(self, design: str, trials: Iterable[int]) -> Known:
        """Stored solutions of a design, those of ``trials`` that are there."""
        wanted = set(trials)
        if not wanted:
            return {}
        span = min(wanted), max(wanted)
        found: Known = {}
        for block in self._spans("designs", design, span[0], span[1] + 1):
            for _, first, count, *told in zip(*block, strict=True):
                for trial in wanted.intersection(range(first, first + count)):
                    found[design, trial] = encoding.unpacked(trial - first, count, *told)
        for trial, name, data in self._separate_traces(design, span):
            if trial in wanted:
                found[design, trial].trace[name] = np.frombuffer(data, "<f8")
        return found

    @property
    def _count(self) -> str:
        """How many trials a row of results or designs has, as SQL."""
        return "count" if self.format == FORMAT else "1"

    def _spans(self, table: str, key: str, first: int, end: int) -> Iterator[Sequence[Column]]:
        """Columns of the spans with trials from ``first`` up to ``end`` of a point or design, or of all, in order."""
        name, ends = KEYS[table], f"trial < ? AND trial + {self._count} > ?"
        where = f"{ends} ORDER BY {name}, trial"
        values: tuple[str | int, ...] = (end, first)
        if key:  # no span before the last one that begins at ``first`` or earlier reaches it
            begin = f"coalesce((SELECT max(trial) FROM {table} WHERE {name} = ? AND trial <= ?), 0)"
            where = f"{name} = ? AND trial >= {begin} AND {ends} ORDER BY trial"
            values = (key, key, first, end, first)
        if self.format == FORMAT:
            yield from self._blocks(table, SPANS[table], where, values)
            return
        for keys, trials, *told in self._blocks(table, SINGLE[table], where, values):
            if table == "designs":  # a number where spans have the bytes of several
                told[-2] = [encoding.as_bytes(np.array(time)) for time in told[-2]]
            yield [keys, trials, [1] * len(keys), *told]

    def longest_traces(self) -> dict[str, int]:
        """The most steps that a trace has, by its name; empty where none is kept."""
        with self._reading():
            if self.format == 2:
                return dict(self._db.execute("SELECT name, max(length(data)) / 8 FROM traces GROUP BY name").fetchall())
            headers = self._db.execute("SELECT DISTINCT header FROM designs").fetchall()
        found: dict[str, int] = {}
        for (header,) in headers:
            for part, name, _, shape in json.loads(header) if '["trace"' in header else ():
                if part == "trace":
                    found[name] = max(found.get(name, 0), *shape)
        return found

    def _separate_traces(self, design: str, span: tuple[int, int]) -> list[tuple[int, str, bytes]]:
        """Trial, name and bytes of traces that a ledger of format 2 keeps apart from solutions."""
        if self.format > 2:
            return []
        where = "design = ? AND trial BETWEEN ? AND ?"
        with self._reading():
            return self._db.execute(f"SELECT trial, name, data FROM traces WHERE {where}", (design, *span)).fetchall()


def _by_first(blocks: Iterator[Sequence[Column]]) -> Iterator[tuple[Any, list[Column]]]:
    """Blocks of rows, by their columns, cut where the first entry changes, in whose order they are."""
    for block in blocks:
        start, size = 0, len(block[0])
        while start < size:
            first = block[0][start]
            end = bisect_right(block[0], first, start)
            yield first, [column[start:end] for column in block[1:]]
            start = end
