"""Columns of numbers in the files that laboratories leave: text with a header, MATLAB and NumPy files.

Text has one row a line, in columns apart by commas, semicolons, tabs or blanks; what follows ``#``, ``!`` or ``%`` is a
comment. The first line that is not empty names the columns, with their units: ``input_dbm, output_dbm, phase_deg``; a
file without one, as Touchstone's are, is read by names that are given beside it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from isacsim.api import FloatArray, InvalidInput

COMMENT, APART = re.compile(r"[#!%].*"), re.compile(r"\s*[,;\t]\s*|\s+")


def read_columns(path: Path, known: Sequence[str], names: Sequence[str] = ()) -> dict[str, FloatArray]:
    """The columns of a file by name.

    Args:
        path: A ``.mat`` or ``.npz`` file with an array for each column, or text.
        known: Names that mean something; others are left out.
        names: Names of the columns of text without a header.

    Raises:
        InvalidInput: It names the file and, of text, line and column.
    """
    if not path.is_file():
        remedy = f"Check the path of the measurement. Nothing is at {Path(path).absolute()}."
        raise InvalidInput("path", "must be a file that exists", str(path), remedy)
    found = _arrays(path) if path.suffix.lower() in (".mat", ".npz") else _text(path, names)
    kept = {name: values for name, values in found.items() if name in known}
    if not kept:
        rule = f"must have columns of the names {', '.join(known)}"
        remedy = "Name them in the first line, or by `columns`."
        raise InvalidInput("path", rule, f"{path.name} with {', '.join(found) or 'none'}", remedy)
    sizes = {values.size for values in kept.values()}
    if len(sizes) > 1:
        told = ", ".join(f"{name} {values.size}" for name, values in kept.items())
        raise InvalidInput("path", "must have columns of one length", f"{path.name}: {told}", "Give a row for each.")
    for name, values in kept.items():
        _refuse_gaps(path, name, values)
    return kept


def _refuse_gaps(path: Path, name: str, values: FloatArray) -> None:
    lost = np.flatnonzero(~np.isfinite(values))
    if lost.size:
        where = f"{path.name}, row {lost[0] + 1} of {name}"
        raise InvalidInput("path", "must hold finite numbers", where, "Leave the row out.")


def _arrays(path: Path) -> dict[str, FloatArray]:
    """The arrays of real numbers of a file, each flat."""
    try:
        if path.suffix.lower() == ".npz":
            with np.load(path) as content:
                found = dict(content)
        else:
            from scipy.io import loadmat

            found = {name: array for name, array in loadmat(path).items() if not name.startswith("__")}
    except Exception as error:  # the readers of a broken file raise whatever they meet
        remedy = f"It could not be read ({error}); MATLAB saves what is read by save -v7."
        raise InvalidInput("path", "must be a .npz or .mat file of arrays", path.name, remedy) from None
    numbers = {name: np.asarray(array) for name, array in found.items()}
    return {name: array.astype(float).ravel() for name, array in numbers.items() if array.dtype.kind in "biuf"}


def _text(path: Path, names: Sequence[str]) -> dict[str, FloatArray]:
    """The columns of a text file."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise InvalidInput("path", "must be text", path.name, "Save it as CSV in UTF-8.") from None
    cells = [(number, _cells(line)) for number, line in enumerate(lines, 1)]
    rows = [(number, row) for number, row in cells if row]
    if not names:
        if not rows:
            raise InvalidInput("path", "must have rows", path.name, "The file is empty.")
        names, rows = [name.lower() for name in rows[0][1]], rows[1:]
        if all(_number(name) is not None for name in names):
            remedy = "Name them in the first line, or by `columns`."
            raise InvalidInput("path", "must say what its columns are", f"{path.name}, line {cells[0][0]}", remedy)
    return dict(zip(names, np.array([_row(path, number, row, names) for number, row in rows]).T, strict=False))


def _cells(line: str) -> list[str]:
    line = COMMENT.sub("", line).strip().rstrip(",;")
    return APART.split(line) if line else []


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _row(path: Path, number: int, row: list[str], names: Sequence[str]) -> list[float]:
    where = f"{path.name}, line {number}"
    if len(row) != len(names):
        rule = f"must have {len(names)} columns in each line ({', '.join(names)})"
        raise InvalidInput("path", rule, f"{where}: {len(row)} of them", "Decimal commas are not read; write points.")
    values = [_number(text) for text in row]
    for column, value in enumerate(values):
        if value is None:
            told = f"{where}, column {column + 1} ({names[column]}): {row[column]!r}"
            raise InvalidInput("path", "must hold numbers", told, "Comments begin with #, ! or %.")
    return [value for value in values if value is not None]
