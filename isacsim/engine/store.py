"""The run store: an SQLite ledger that never loses or changes a number.

A chunk is one transaction: it is there whole, or it is not there. Completion is looked up
by trial, whatever chunks the trials came in. Numbers are kept as the bytes of 64-bit
little-endian floats, so that what is read is what was computed.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import attrs
import numpy as np

from isacsim.engine.work import SCALARS, DesignRecord, Entry, Known, Outcome
from isacsim.errors import StoreError
from isacsim.typing import AnyArray, FloatArray

FILE = "ledger.sqlite"
FORMAT = 2
SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE layouts (point TEXT PRIMARY KEY, entries TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE results (
    point TEXT NOT NULL, trial INTEGER NOT NULL, data BLOB NOT NULL, PRIMARY KEY (point, trial)
) WITHOUT ROWID;
CREATE TABLE failures (
    point TEXT NOT NULL, trial INTEGER NOT NULL, error TEXT NOT NULL, PRIMARY KEY (point, trial)
) WITHOUT ROWID;
CREATE TABLE designs (
    design TEXT NOT NULL, trial INTEGER NOT NULL, antennas INTEGER NOT NULL, streams INTEGER NOT NULL,
    data BLOB NOT NULL, notes TEXT NOT NULL, solve_time REAL NOT NULL, PRIMARY KEY (design, trial)
) WITHOUT ROWID;
CREATE TABLE traces (
    design TEXT NOT NULL, trial INTEGER NOT NULL, name TEXT NOT NULL, data BLOB NOT NULL,
    PRIMARY KEY (design, trial, name)
) WITHOUT ROWID;
"""


class Store:
    """The ledger of one run folder; use it as a context manager."""

    def __init__(self, connection: sqlite3.Connection, folder: Path, *, write: bool) -> None:
        self.folder = folder
        self._db = connection
        self._write = write

    @classmethod
    def create(cls, folder: Path, meta: dict[str, Any]) -> Store:
        """A new ledger in a new or empty folder.

        Raises:
            StoreError: If the folder cannot be written, or holds something already.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if any(folder.iterdir()):
                raise StoreError(f"out: {folder} is not empty. Continue it with --resume, or choose another --out.")
            store = cls(_connect(folder / FILE), folder, write=True)
            with store._transaction():
                store._db.executescript("BEGIN;" + SCHEMA)
                store._put_meta({"format": FORMAT, **meta})
        except (OSError, sqlite3.Error) as error:
            reason = getattr(error, "strerror", None) or error
            raise StoreError(f"out: {folder} cannot be written ({reason}). Choose another --out.") from None
        return store

    @classmethod
    def open(cls, folder: Path, *, write: bool = False) -> Store:
        """The ledger of a run folder.

        Raises:
            StoreError: If there is none, or it is of another format.
        """
        path = folder / FILE
        if not path.is_file():
            raise StoreError(f"run: {folder} holds no run (no {FILE}). Give the folder that `isacsim run` wrote.")
        try:
            store = cls(_connect(path, write=write), folder, write=write)
        except sqlite3.Error as error:
            raise StoreError(f"run: {path} cannot be read ({error}). Is it a run's ledger?") from None
        found = None
        with contextlib.suppress(sqlite3.OperationalError):  # another program's database
            found = store.meta("format")
        if found != FORMAT:
            store.close()
            raise StoreError(
                f"run: {path} has format {found}, this isacsim reads {FORMAT}. Use the version that wrote it."
            )
        return store

    def meta(self, key: str) -> Any:
        """A value of the run's metadata; None if there is none."""
        row = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return None if row is None else json.loads(row[0])

    def set_meta(self, values: dict[str, Any]) -> None:
        """Replace values of the run's metadata."""
        with self._transaction():
            self._put_meta(values)

    def commit(self, outcome: Outcome) -> None:
        """Add what came of a task, all or nothing; numbers that are there stay as they are."""
        with self._transaction():
            self._db.executemany(
                "INSERT OR IGNORE INTO layouts VALUES (?, ?)",
                ((point, json.dumps([attrs.asdict(e) for e in entries])) for point, entries in outcome.layouts.items()),
            )
            self._db.executemany(
                "INSERT OR IGNORE INTO designs VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    (d, t, *r.precoder.shape, _bytes(r.scalars) + _bytes(r.precoder), json.dumps(r.notes), r.solve_time)
                    for (d, t), r in outcome.designs.items()
                ),
            )
            self._db.executemany(
                "INSERT OR IGNORE INTO traces VALUES (?, ?, ?, ?)",
                ((*key, name, _bytes(v)) for key, r in outcome.designs.items() for name, v in r.trace.items()),
            )
            self._db.executemany(
                "INSERT OR IGNORE INTO results VALUES (?, ?, ?)",
                ((point, trial, _bytes(row)) for (point, trial), row in outcome.rows.items()),
            )
            self._db.executemany("DELETE FROM failures WHERE point = ? AND trial = ?", list(outcome.rows))
            self._db.executemany(
                "INSERT OR REPLACE INTO failures VALUES (?, ?, ?)",
                ((point, trial, text) for (point, trial), text in outcome.failures.items()),
            )

    def done(self, point: str) -> set[int]:
        """The trials that are there of a point."""
        return {t for (t,) in self._db.execute("SELECT trial FROM results WHERE point = ?", (point,))}

    def failures(self, point: str) -> dict[int, str]:
        """Error texts of a point's failed trials."""
        return dict(self._db.execute("SELECT trial, error FROM failures WHERE point = ?", (point,)))

    def layout(self, point: str) -> tuple[Entry, ...]:
        """Entries of a point's rows; empty if nothing is there yet."""
        row = self._db.execute("SELECT entries FROM layouts WHERE point = ?", (point,)).fetchone()
        entries = [] if row is None else json.loads(row[0])
        return tuple(Entry(**{**e, "dims": tuple(e["dims"]), "shape": tuple(e["shape"])}) for e in entries)

    def rows(self, point: str, trials: int) -> FloatArray:
        """Rows of a point, shape (trials, size); NaN where a trial is not there."""
        table = np.full((trials, sum(entry.size for entry in self.layout(point))), np.nan)
        for trial, data in self._db.execute(
            "SELECT trial, data FROM results WHERE point = ? AND trial < ?", (point, trials)
        ):
            table[trial] = np.frombuffer(data, "<f8")
        return table

    def designs(self, design: str, trials: Iterable[int]) -> Known:
        """Stored solutions of a design, those of ``trials`` that are there."""
        found: Known = {}
        for trial in trials:
            row = self._db.execute(
                "SELECT antennas, streams, data, notes, solve_time FROM designs WHERE design = ? AND trial = ?",
                (design, trial),
            ).fetchone()
            if row is not None:
                antennas, streams, data, notes, solve_time = row
                numbers = np.frombuffer(data, "<f8")
                precoder = numbers[len(SCALARS) :].view("<c16").reshape(antennas, streams)
                found[design, trial] = DesignRecord(
                    numbers[: len(SCALARS)], precoder, tuple(json.loads(notes)), solve_time, self._trace(design, trial)
                )
        return found

    def _trace(self, design: str, trial: int) -> dict[str, FloatArray]:
        rows = self._db.execute("SELECT name, data FROM traces WHERE design = ? AND trial = ?", (design, trial))
        return {name: np.frombuffer(data, "<f8") for name, data in rows}

    def close(self) -> None:
        """Close the ledger; behind its writer it is one file, which read-only media can hold."""
        if self._write:
            with contextlib.suppress(sqlite3.OperationalError):  # someone else is reading
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
        except sqlite3.Error as error:
            raise StoreError(
                f"run: {self.folder} cannot be written ({error}). What is in it is kept: continue with --resume."
            ) from None

    def _put_meta(self, values: dict[str, Any]) -> None:
        self._db.executemany(
            "INSERT OR REPLACE INTO meta VALUES (?, ?)", ((key, json.dumps(value)) for key, value in values.items())
        )


def _connect(path: Path, *, write: bool = True) -> sqlite3.Connection:
    connection = sqlite3.connect(path) if write else sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
    try:
        connection.execute("SELECT * FROM sqlite_master")  # whether it is a database at all
        if write:
            # A commit survives the death of the process and of the machine.
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _bytes(values: AnyArray) -> bytes:
    kind = "<c16" if np.iscomplexobj(values) else "<f8"
    return np.ascontiguousarray(values).astype(kind, copy=False).tobytes()
