"""The run store: an SQLite ledger that never loses or changes a number.

A chunk is one transaction: it is there whole, or it is not there. Completion is looked up
by trial, whatever chunks the trials came in. Numbers are kept as the bytes of
little-endian arrays, so that what is read is what was computed; each row of the ledger has a
checksum of all that is in it, and a row that does not fit its checksum is an error that names it.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import Any, cast

import numpy as np
from attrs import frozen

from isacsim.engine import encoding
from isacsim.engine.sealed import Sealed
from isacsim.engine.work import OTHER_AXES, Entry, Failure, Known, Outcome, Partial, fitting, misfits, only_apart
from isacsim.errors import StoreError
from isacsim.typing import FloatArray, IntArray

FILE = "ledger.sqlite"
FORMAT = 3
READABLE = (2, FORMAT)
# An environment is what computed a row: versions, by number. The data of a design are its arrays behind
# one another, which the header tells: part (decision or trace), name, dtype and shape of each. Every table
# ends in the checksum of the columns before it.
SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL, checksum INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE environments (number INTEGER PRIMARY KEY, told TEXT NOT NULL, checksum INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE layouts (point TEXT PRIMARY KEY, entries TEXT NOT NULL, checksum INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE results (
    point TEXT NOT NULL, trial INTEGER NOT NULL, data BLOB NOT NULL, environment INTEGER NOT NULL,
    checksum INTEGER NOT NULL, PRIMARY KEY (point, trial)
) WITHOUT ROWID;
CREATE TABLE failures (
    point TEXT NOT NULL, trial INTEGER NOT NULL, error TEXT NOT NULL, parts TEXT NOT NULL, checksum INTEGER NOT NULL,
    PRIMARY KEY (point, trial)
) WITHOUT ROWID;
CREATE TABLE partial (
    point TEXT NOT NULL, trial INTEGER NOT NULL, entries TEXT NOT NULL, data BLOB NOT NULL,
    environment INTEGER NOT NULL, checksum INTEGER NOT NULL, PRIMARY KEY (point, trial)
) WITHOUT ROWID;
CREATE TABLE designs (
    design TEXT NOT NULL, trial INTEGER NOT NULL, scalars BLOB NOT NULL, header TEXT NOT NULL, data BLOB NOT NULL,
    notes TEXT NOT NULL, solve_time REAL NOT NULL, environment INTEGER NOT NULL, checksum INTEGER NOT NULL,
    PRIMARY KEY (design, trial)
) WITHOUT ROWID;
"""
# A ledger of format 2, seen as one of today: six scalars and the precoder were one blob, traces had a
# table of their own, and there was no checksum.
FORMAT_2 = """
CREATE TEMP VIEW meta AS SELECT key, value, NULL AS checksum FROM main.meta;
CREATE TEMP VIEW environments AS SELECT 0 AS number, '' AS told, NULL AS checksum WHERE 0;
CREATE TEMP VIEW layouts AS SELECT point, entries, NULL AS checksum FROM main.layouts;
CREATE TEMP VIEW results AS SELECT point, trial, data, 0 AS environment, NULL AS checksum FROM main.results;
CREATE TEMP VIEW failures AS SELECT point, trial, error, '' AS parts, NULL AS checksum FROM main.failures;
CREATE TEMP VIEW partial AS
    SELECT point, trial, '' AS entries, '' AS data, 0 AS environment, NULL AS checksum FROM main.results WHERE 0;
CREATE TEMP VIEW designs AS
    SELECT design, trial, substr(data, 1, 48) AS scalars,
        '[["decision", "precoder", "<c16", [' || antennas || ', ' || streams || ']]]' AS header,
        substr(data, 49) AS data, notes, solve_time, 0 AS environment, NULL AS checksum
    FROM main.designs;
"""

RESULT = "point, trial, data, environment"
PARTIAL = "point, trial, entries, data, environment"
DESIGN = "design, trial, scalars, header, data, notes, solve_time, environment"
Column = Sequence[Any]
MOST_TRIALS = 2**63 - 1  # that SQLite counts
AT_ONCE = 512  # rows: enough that arrays are made of many, and so few that they stay in the caches


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


class Store:
    """The ledger of one run folder; use it as a context manager.

    Attributes:
        folder: The run folder.
        format: Format of the ledger; one of an earlier format can be read.
    """

    def __init__(self, connection: sqlite3.Connection, folder: Path, *, write: bool) -> None:
        self.folder = folder
        self.format = FORMAT
        self._db = connection
        self._write = write
        self._environment = 0
        self._version, self._layouts = 0, cast(dict[str, str], {})  # layouts as of a version of the file
        told = os.stat(folder / FILE)
        self._place = told.st_dev, told.st_ino

    @classmethod
    def create(cls, folder: Path, meta: dict[str, Any], environment: dict[str, Any] | None = None) -> Store:
        """A new ledger in a new or empty folder, whose numbers will come from ``environment``.

        Raises:
            StoreError: If the folder cannot be written, or holds something already.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if any(folder.iterdir()):
                raise StoreError(f"out: {folder} is not empty. Continue it with --resume, or choose another --out.")
        except OSError as error:
            raise _unwritable(folder, error.strerror) from None
        try:
            store = cls(_connect(folder / FILE, write=True), folder, write=True)
        except sqlite3.Error as error:
            raise _unwritable(folder, error) from None
        try:
            store._make({"format": FORMAT, **meta}, environment or {})
        except sqlite3.Error as error:
            store._db.close()
            for part in folder.glob(f"{FILE}*"):  # half a ledger would be taken for a run
                part.unlink()
            raise _unwritable(folder, error) from None
        return store

    def _make(self, meta: dict[str, Any], environment: dict[str, Any]) -> None:
        """Lay out a new ledger."""
        # In pages of 4 KiB, the default, rows of 1 KiB have a further page each, as those of a precoder of 16 x 4.
        self._db.execute("PRAGMA page_size = 8192")
        _keep_journal(self._db)
        with self._db:
            self._db.executescript("BEGIN;" + SCHEMA)
            self._put_meta(meta)
            self._put_environment(0, environment)
        # Out of the journal and into the file: a journal that is damaged costs chunks, never the ledger.
        busy, *_ = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise sqlite3.OperationalError("its journal cannot be emptied")

    @classmethod
    def open(cls, folder: Path, *, write: bool = False) -> Store:
        """The ledger of a run folder.

        Raises:
            StoreError: If there is none, if it is of another format, or if it is of an earlier one
                and to be written.
        """
        path = folder / FILE
        if not path.is_file():
            raise StoreError(f"run: {folder} holds no run (no {FILE}). Give the folder that `isacsim run` wrote.")
        try:
            store = cls(_connect(path, write=write), folder, write=write)
        except BROKEN as error:
            raise StoreError(f"run: {path} cannot be read ({error}). Is it a run's ledger?") from None
        try:
            store._settle_format()
            if write:
                _keep_journal(store._db)
        except BROKEN as error:
            store.close()
            raise StoreError(f"run: {path} cannot be written ({error}). Is somebody else writing it?") from None
        except BaseException:
            store.close()
            raise
        return store

    def _settle_format(self) -> None:
        """Find out the format, and lay views of today's tables over an earlier one."""
        row = None
        with self._reading(), contextlib.suppress(sqlite3.OperationalError):  # another program's database
            row = self._db.execute("SELECT value FROM meta WHERE key = 'format'").fetchone()
        found = str(row[0] if row else None)
        if row is None:
            raise StoreError(
                f"run: {self.folder / FILE} is no run's ledger, or lost all of it. Give the folder of a run. {RESTORE}"
            )
        if found not in map(str, READABLE):
            raise StoreError(
                f"run: {self.folder / FILE} has format {found}, this isacsim reads "
                f"{' and '.join(map(str, READABLE))}. Use the version that wrote it."
            )
        self.format = int(found)
        if self.format == FORMAT:
            return
        if self._write:
            raise StoreError(
                f"out: {self.folder} holds a run of format {self.format}, from an earlier isacsim. It can be read, "
                f"plotted and verified, but not continued: addresses of format {FORMAT} are made otherwise. "
                "Run the scenario into another --out, or continue it with the version that wrote it."
            )
        self._db.executescript(FORMAT_2)

    def need(self, key: str) -> Any:
        """A value of the run's metadata that every run has.

        Raises:
            StoreError: If it is not there.
        """
        value = self.meta(key)
        if value is None:
            raise self.damaged(f"meta {key}")
        return value

    def meta(self, key: str) -> Any:
        """A value of the run's metadata; None if there is none."""
        row = next(self._rows("meta", "key, value", "key = ?", (key,)), None)
        return None if row is None else json.loads(row[1])

    def set_meta(self, values: dict[str, Any]) -> None:
        """Replace values of the run's metadata."""
        with self._transaction():
            self._put_meta(values)

    def environments(self) -> dict[int, dict[str, Any]]:
        """What the run's numbers were computed with, by number; empty in a ledger that does not tell."""
        return {number: json.loads(told) for number, told in self._rows("environments", "number, told", "1", ())}

    @property
    def numbers(self) -> np.dtype[Any]:
        """The least type that numbers of environments, and -1, fit in."""
        return np.min_scalar_type(-1 - max(self.environments(), default=0))

    def enter(self, number: int, environment: dict[str, Any]) -> None:
        """Say that what is committed from now on comes from an environment, a new one or a known one."""
        with self._transaction():
            self._put_environment(number, environment)
        self._environment = number

    @property
    def environment(self) -> int:
        """Number of the environment that what is committed now comes from."""
        return self._environment

    def commit(self, *outcomes: Outcome | Sealed) -> None:
        """Add what came of tasks, all or nothing; numbers that are there stay as they are.

        Raises:
            StoreError: If it cannot be written, or if the ledger is not where it was.
        """
        self._require_place()
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
        if others or sealed.partial:
            sealed = self._joined(sealed.opened(), others)
        self._insert("designs", sealed.designs)
        self._insert("results", sealed.results)
        self._forget(row[:2] for row in sealed.results)
        self._add_failures(sealed)

    def _laid_out(self, point: str, told: str) -> str:
        """The layout of a point, which is what is told of it unless it has one, as text."""
        if point not in self._layouts:
            self._put("layouts", [(point, told)])
            self._layouts[point] = self.layout_told(point) or told
        return self._layouts[point]

    def _joined(self, outcome: Outcome, others: Iterable[str]) -> Sealed:
        """An outcome that has other axes than the ledger at some points, and parts that may fit, made one with it."""
        for point in others:
            self._settle(point, outcome.layouts[point], outcome)
        for key, (entries, _) in list(outcome.partial.items()):
            if only_apart(outcome.failures[key]) and entries == self.layout(key[0]):
                outcome.bring_back(key)
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
        done = list(self._rows("results", RESULT, "point = ?", (point,)))
        apart = [row for row in self._rows("partial", PARTIAL, "point = ?", (point,)) if self._is_apart(row[:2])]
        self._layouts[point] = encoding.told(entries)
        self._put("layouts", [(point, self._layouts[point])], replace=True)
        self._db.execute("DELETE FROM results WHERE point = ?", (point,))
        self._put("partial", ((*row[:2], encoding.told(layout), *row[2:]) for row in done))
        lost = misfits(layout, entries)
        self._put("failures", ((*row[:2], encoding.sentence(lost), encoding.told(lost)) for row in done))
        back = [row for row in apart if encoding.entries(row[2]) == entries]
        self._put("results", ((*row[:2], *row[3:]) for row in back))
        self._forget(row[:2] for row in back)

    def _forget(self, keys: Iterable[tuple[Any, ...]]) -> None:
        """Remove what was said of trials that are whole now."""
        keys = list(keys)
        for table in ("failures", "partial"):
            if self._db.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone() is None:
                continue  # looking for each of the trials takes a quarter of a commit
            self._db.executemany(f"DELETE FROM {table} WHERE point = ? AND trial = ?", keys)

    def _is_news(self, key: tuple[str, int], has_some: bool) -> bool:
        """Whether a trial that failed, or has only some numbers, has no more of them here from another attempt."""
        where = "point = ? AND trial = ?"
        if self._db.execute(f"SELECT 1 FROM results WHERE {where}", key).fetchone():
            return False
        some = self._db.execute(f"SELECT 1 FROM partial WHERE {where}", key).fetchone()
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
        with self._reading():
            query = f"SELECT point, count(*) FROM {table} WHERE trial < ? GROUP BY point"
            found = dict(self._db.execute(query, (trials,)).fetchall())
            query = f"SELECT count(*) FROM {table} WHERE point = ? AND trial < ?"
            stops = self.stops()
            for point in found.keys() & stops.keys():
                (found[point],) = self._db.execute(query, (point, min(trials, stops[point]))).fetchone()
            return found

    def done(self, point: str) -> set[int]:
        """The trials that are there of a point."""
        with self._reading():
            return {t for (t,) in self._db.execute("SELECT trial FROM results WHERE point = ?", (point,))}

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

    def _require_place(self) -> None:
        """Refuse to write to a ledger that was removed or replaced: nobody would find it again."""
        try:
            found = os.stat(self.folder / FILE)
        except OSError as error:
            found, reason = None, error.strerror
        else:
            reason = "another file is in its place"
        if found is None or (found.st_dev, found.st_ino) != self._place:
            raise StoreError(
                f"run: {self.folder / FILE} is gone ({reason}). What was not committed before is lost; "
                "run the scenario again into another --out."
            )

    def tables(self, trials: int, point: str = "", first: int = 0) -> Iterator[Table]:
        """The rows of all points, or of one, from a ``first`` trial up to ``trials``, some thousand at a time."""
        where, values = "trial >= ? AND trial < ?" + " AND point = ?" * bool(point), [first, trials, point]
        stops = self.stops()
        found = self._blocks("results", RESULT, f"{where} ORDER BY point, trial", values[: 2 + bool(point)])
        for here, (numbers, blobs, environments) in _by_first(found):
            if len(set(map(len, blobs))) > 1:
                raise self.damaged(f"results {here}")
            table = np.frombuffer(b"".join(blobs), "<f8").reshape(len(blobs), -1)
            size = bisect_left(numbers, stops.get(here, MOST_TRIALS))
            if size:
                yield Table(here, np.array(numbers[:size]), table[:size], np.array(environments[:size]))

    def row(self, point: str, trial: int) -> tuple[FloatArray, int] | None:
        """The numbers of a trial at a point and the environment that they come from; None if it is not done."""
        found = next(self._rows("results", RESULT, "point = ? AND trial = ?", (point, trial)), None)
        return None if found is None else (np.frombuffer(found[2], "<f8"), found[3])

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
        where, values = "trial >= ? AND trial < ?" + " AND design = ?" * bool(design), [first, trials, design]
        found = self._blocks("designs", DESIGN, f"{where} ORDER BY design, trial", values[: 2 + bool(design)])
        for design, columns in _by_first(found):
            numbers, scalars, headers, _, _, times, environments = columns
            told = np.frombuffer(b"".join(scalars), "<f8").reshape(len(scalars), -1)
            traces = {}
            if any('["trace"' in header for header in set(headers)):
                traces = {row[0]: encoding.unpacked(*row[1:]).trace for row in zip(*columns, strict=True)}
            for trial, name, data in self._separate_traces(design, (min(numbers), max(numbers))):
                traces.setdefault(trial, {})[name] = np.frombuffer(data, "<f8")
            yield Solves(design, np.array(numbers), told, np.array(times), np.array(environments), traces)

    def designs(self, design: str, trials: Iterable[int]) -> Known:
        """Stored solutions of a design, those of ``trials`` that are there."""
        wanted = set(trials)
        if not wanted:
            return {}
        where, span = "design = ? AND trial BETWEEN ? AND ?", (design, min(wanted), max(wanted))
        rows = self._rows("designs", DESIGN, where, span)
        found = {(design, row[1]): encoding.unpacked(*row[2:]) for row in rows if row[1] in wanted}
        for trial, name, data in self._separate_traces(design, span[1:]):
            if trial in wanted:
                found[design, trial].trace[name] = np.frombuffer(data, "<f8")
        return found

    def _separate_traces(self, design: str, span: tuple[int, int]) -> list[tuple[int, str, bytes]]:
        """Trial, name and bytes of traces that a ledger of format 2 keeps apart from solutions."""
        if self.format > 2:
            return []
        where = "design = ? AND trial BETWEEN ? AND ?"
        with self._reading():
            return self._db.execute(f"SELECT trial, name, data FROM traces WHERE {where}", (design, *span)).fetchall()

    def check(self) -> None:
        """Read all of the ledger.

        Raises:
            StoreError: If a row or the file itself is not as it was written. Without this check a row
                whose key has changed is merely not found.
        """
        with self._reading():
            (found,) = self._db.execute("PRAGMA integrity_check(1)").fetchone()
            if found != "ok":
                raise self.damaged(found)
            tables = self._db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            for (table,) in tables:
                columns = [column for _, column, *_ in self._db.execute(f"PRAGMA table_info({table})")]
                for _ in self._rows(table, ", ".join(columns[:-1]), "1", ()):
                    pass

    def close(self) -> None:
        """Close the ledger; behind its writer it is one file, which read-only media can hold."""
        if self._write:
            with contextlib.suppress(sqlite3.DatabaseError):  # someone else is reading
                self._db.execute("PRAGMA journal_mode = DELETE")
        self._db.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        """Writes all of what is put within, or nothing of it."""
        try:
            with self._db:
                yield
        except BaseException as error:
            self._layouts = {}  # what was put in is out again
            if not isinstance(error, sqlite3.Error):
                raise
            raise StoreError(
                f"run: {self.folder} cannot be written ({error}). What is in it is kept: continue with --resume."
            ) from None

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except BROKEN as error:
            raise StoreError(f"run: {self.folder / FILE} cannot be read ({error}). {RESTORE}") from None

    def _rows(self, table: str, columns: str, where: str, values: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
        """Rows of a table, each as it was written.

        Args:
            table: The table.
            columns: All its columns but the checksum, in their order.
            where: Which rows.
            values: Of its placeholders.
        """
        for block in self._blocks(table, columns, where, values):
            yield from zip(*block, strict=True)

    def _blocks(self, table: str, columns: str, where: str, values: Sequence[Any]) -> Iterator[Sequence[Column]]:
        """The same, some thousand rows at a time, by their columns: what Python does for each row adds up."""
        with self._reading():
            found = self._db.execute(f"SELECT {columns}, checksum FROM {table} WHERE {where}", values)
            while rows := found.fetchmany(AT_ONCE):
                *told, sums = zip(*rows, strict=True)
                if self.format >= FORMAT and (right := encoding.checksums(told)) != list(sums):
                    at = next(i for i, pair in enumerate(zip(right, sums, strict=True)) if pair[0] != pair[1])
                    trial = f", trial {rows[at][1]}" if columns.split(", ")[1] == "trial" else ""
                    raise self.damaged(f"{table} {rows[at][0]}{trial}")
                yield told

    def damaged(self, place: str) -> StoreError:
        """The error of a ledger that is not as it was written."""
        return StoreError(f"run: {self.folder / FILE} is damaged at {place}. {RESTORE}")

    def _put(self, table: str, rows: Iterable[tuple[Any, ...]], *, replace: bool = False) -> None:
        """Add rows with their checksums; one that is there stays, unless it is to be replaced."""
        self._insert(table, encoding.with_checksums(rows), "REPLACE" if replace else "IGNORE")

    def _insert(self, table: str, sealed: Sequence[tuple[Any, ...]], otherwise: str = "IGNORE") -> None:
        """Add rows that have their checksums."""
        if sealed:
            marks = ", ".join("?" * len(sealed[0]))
            self._db.executemany(f"INSERT OR {otherwise} INTO {table} VALUES ({marks})", sealed)

    def _put_meta(self, values: dict[str, Any]) -> None:
        self._put("meta", ((key, json.dumps(value)) for key, value in values.items()), replace=True)

    def _put_environment(self, number: int, environment: dict[str, Any]) -> None:
        self._put("environments", [(number, json.dumps(environment))], replace=True)


# What reading a damaged ledger raises: SQLite's text of an error can hold bytes that are no text.
BROKEN = (sqlite3.Error, UnicodeDecodeError)
RESTORE = "Restore the folder from a copy, or run the scenario into another --out."


def _by_first(blocks: Iterator[Sequence[Column]]) -> Iterator[tuple[Any, list[Column]]]:
    """Blocks of rows, by their columns, cut where the first entry changes; equal ones follow each other."""
    for block in blocks:
        start = 0
        for first, alike in groupby(block[0]):
            end = start + sum(1 for _ in alike) if block[0][-1] != first else len(block[0])
            yield first, [column[start:end] for column in block[1:]]
            start = end
            if end == len(block[0]):
                break


def _unwritable(folder: Path, reason: Any) -> StoreError:
    return StoreError(f"out: {folder} cannot be written ({reason}). Choose another --out.")


def _connect(path: Path, *, write: bool) -> sqlite3.Connection:
    connection = sqlite3.connect(path) if write else sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
    try:
        connection.execute("SELECT * FROM sqlite_master")  # whether it is a database at all
    except BROKEN:
        connection.close()
        raise
    return connection


def _keep_journal(connection: sqlite3.Connection) -> None:
    """Let a commit survive the death of the process and of the machine."""
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
