"""The file of a run's ledger: an SQLite database whose rows have checksums.

Numbers are kept as the bytes of little-endian arrays, so that what is read is what was computed; each row has a
checksum of all that is in it, and a row that does not fit its checksum is an error that names it.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from isacsim.engine import encoding
from isacsim.engine.estimate import PAGE
from isacsim.errors import StoreError, one_line

FILE = "ledger.sqlite"
FORMAT = 4
READABLE = (2, 3, FORMAT)


def _table(name: str, key: str, rest: str) -> str:
    """The statement that makes a table of the columns of its key and of others."""
    columns = f"{key}, {rest}, checksum INTEGER".replace(",", " NOT NULL,")
    names = ", ".join(column.split()[0] for column in key.split(", "))
    return f"CREATE TABLE {name} ({columns} NOT NULL, PRIMARY KEY ({names})) WITHOUT ROWID;"


# An environment is what computed a row: versions, by number. A row of results or designs is of ``count`` trials
# from ``trial`` on, whose numbers lie behind one another; rows do not overlap. The data of a design are its arrays,
# which the header tells: part (decision or trace), name, dtype and shape of each. Every table ends in the checksum
# of the columns before it.
DESIGN = "count INTEGER, scalars BLOB, header TEXT, data BLOB, notes TEXT, times BLOB, environment INTEGER"
SCHEMA = "\n".join(
    (
        _table("meta", "key TEXT", "value TEXT"),
        _table("environments", "number INTEGER", "told TEXT"),
        _table("layouts", "point TEXT", "entries TEXT"),
        _table("results", "point TEXT, trial INTEGER", "count INTEGER, data BLOB, environment INTEGER"),
        _table("failures", "point TEXT, trial INTEGER", "error TEXT, parts TEXT"),
        _table("partial", "point TEXT, trial INTEGER", "entries TEXT, data BLOB, environment INTEGER"),
        _table("designs", "design TEXT, trial INTEGER", DESIGN),
    )
)
# A ledger of format 2, seen as one of format 3, which has a row for each trial: six scalars and the precoder were one
# blob, traces had a table of their own, and there was no checksum.
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

Column = Sequence[Any]
AT_ONCE = 64  # rows: enough that arrays are made of many, and so few that they stay in the caches


class Ledger:
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
        told = os.stat(folder / FILE)
        self._place = told.st_dev, told.st_ino

    @classmethod
    def create(cls, folder: Path, meta: dict[str, Any], environment: dict[str, Any] | None = None) -> Self:
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
        self._db.execute(f"PRAGMA page_size = {PAGE}")
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
    def open(cls, folder: Path, *, write: bool = False) -> Self:
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
                f"{', '.join(map(str, READABLE[:-1]))} and {FORMAT}. Use the version that wrote it."
            )
        self.format = int(found)
        if self._write and self.format < FORMAT:
            raise StoreError(
                f"out: {self.folder} holds a run of format {self.format}, from an earlier isacsim. It can be read, "
                f"plotted and verified, but not continued: format {FORMAT} is written otherwise. "
                "Run the scenario into another --out, or continue it with the version that wrote it."
            )
        if self.format == 2:
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

    def check(self) -> None:
        """Read all of the ledger.

        Raises:
            StoreError: If a row or the file itself is not as it was written. Without this check a row
                whose key has changed is merely not found.
        """
        with self._reading():
            (found,) = self._db.execute("PRAGMA integrity_check(1)").fetchone()
            if found != "ok":
                raise self.damaged(one_line(found))
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

    def __enter__(self) -> Self:
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
        except sqlite3.Error as error:
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
                if self.format > 2 and (right := encoding.checksums(told)) != list(sums):
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
