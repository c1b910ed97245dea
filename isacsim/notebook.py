"""How records look in a notebook: small tables of HTML, which say what `repr` says."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

import numpy as np

from isacsim.errors import brief

MOST = 8  # members that are listed one by one; more are told by their range


def table(title: str, rows: Iterable[Sequence[Any]], heads: Sequence[str] = ()) -> str:
    """A table with a title; every cell is text."""
    head = f"<tr>{''.join(f'<th>{escape(h)}</th>' for h in heads)}</tr>" if heads else ""
    body = "".join(f"<tr>{''.join(f'<td>{escape(str(cell))}</td>' for cell in row)}</tr>" for row in rows)
    return f"<div><b>{escape(title)}</b><table>{head}{body}</table></div>"


def ranged(values: Any) -> str:
    """Numbers in a line: few of them themselves, many by their range."""
    values = np.ravel(values)
    if values.size <= MOST:
        return ", ".join(f"{v:.6g}" for v in values)
    finite = values[np.isfinite(values)]
    told = f"{finite.min():.6g} to {finite.max():.6g}" if finite.size else "none finite"
    return f"{told} ({values.size} members)"


def fields(record: Any) -> str:
    """A record of attrs as a table of its fields, arrays by their shapes."""
    import attrs

    rows = [(f.name, brief(getattr(record, f.name), 160)) for f in attrs.fields(type(record)) if f.repr]
    return table(type(record).__name__, rows)
