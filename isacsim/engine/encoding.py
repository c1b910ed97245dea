"""Records as the columns of a row of the ledger, and back; and the checksum of a row."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

import attrs
import numpy as np

from isacsim.engine.work import DesignRecord, Entry, Failure
from isacsim.typing import AnyArray


def told(records: Iterable[Entry | Failure]) -> str:
    """Records as text."""
    return json.dumps([attrs.asdict(record) for record in records])


def entries(told: str) -> tuple[Entry, ...]:
    """The entries of the text of `told`."""
    return tuple(Entry(**{**e, "dims": tuple(e["dims"]), "shape": tuple(e["shape"])}) for e in json.loads(told))


def sentence(failures: Iterable[Failure]) -> str:
    """The errors of a trial, each once, for who reads the ledger with other tools."""
    return "; ".join(dict.fromkeys(failure.error for failure in failures))


def with_checksums(rows: Iterable[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Rows of a table, each with its checksum behind it."""
    columns = list(zip(*rows, strict=True))
    return list(zip(*columns, checksums(columns), strict=True)) if columns else []


def checksums(columns: Sequence[Sequence[Any]]) -> list[int]:
    """CRC-32 of each row, given by their columns: any single bit that turns, or burst of up to 32, is found."""
    return list(map(zlib.crc32, map(b"".join, zip(*map(_parts, columns), strict=True))))


def _parts(column: Sequence[Any]) -> Iterable[bytes]:
    """What the entries of a column add to the checksums of their rows; bytes themselves, and the text of the others.

    A call for each entry would take most of the time of reading a ledger: numbers are told all at once, and text
    of a column is mostly the same again and again.
    """
    kinds = set(map(type, column))
    if kinds == {bytes}:
        return column
    if kinds == {int} or kinds == {float}:
        return f"{list(column)!r}\0"[1:].replace("]", "").replace(", ", "\0,").encode().split(b",")
    told = {value: _part(value) for value in set(column)} if len(kinds) == 1 else None
    return map(told.__getitem__, column) if told else map(_part, column)


def _part(value: Any) -> bytes:
    return value if type(value) is bytes else f"{value!r}\0".encode()


def packed(record: DesignRecord) -> tuple[Any, ...]:
    """A solution as columns: its scalars, the header of its arrays, their bytes, notes and time."""
    parts = {"decision": record.decision, "trace": record.trace}
    arrays = [(part, name, np.asarray(array)) for part, named in parts.items() for name, array in named.items()]
    header = tuple((part, name, a.dtype.newbyteorder("<").str, a.shape) for part, name, a in arrays)
    data = b"".join(as_bytes(a, dtype) for (*_, a), (*_, dtype, _) in zip(arrays, header, strict=True))
    return as_bytes(record.scalars), _json(header), data, _json(record.notes), float(record.solve_time)


# Most solutions of a run have the same header and no notes.
_json = lru_cache(json.dumps)
_read = lru_cache(json.loads)  # nobody changes what it gives


def unpacked(
    place: int, count: int, scalars: bytes, header: str, data: bytes, notes: str, times: bytes, environment: int
) -> DesignRecord:
    """One of ``count`` solutions of the same form whose columns of `packed` lie behind one another."""
    parts: dict[str, dict[str, AnyArray]] = {"decision": {}, "trace": {}}
    start = place * (len(data) // count)
    for part, name, dtype, shape in _read(header):
        array = np.ndarray(shape, dtype, data, start)
        parts[part][name], start = array, start + array.nbytes
    told = np.frombuffer(scalars, "<f8").reshape(count, -1)[place]
    time = float(np.frombuffer(times, "<f8")[place])
    return DesignRecord(told, parts["decision"], tuple(_read(notes)), time, parts["trace"], environment)


def as_bytes(values: AnyArray, dtype: str = "<f8") -> bytes:
    """Numbers in C order, little-endian."""
    return np.ascontiguousarray(values).astype(dtype, copy=False).tobytes()
