"""The tables of a scenario file that are no components: what they are, and their keys."""

from __future__ import annotations

import inspect
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import attrs
import numpy as np
from attrs import frozen

from isacsim.batch import CORE, DTYPE
from isacsim.checks import choices_of
from isacsim.engine.precision import Precision
from isacsim.engine.reader import COMPONENTS, keys_of
from isacsim.engine.scenario import BaseStation, Design, Evaluation, Scenario, Users
from isacsim.engine.schema import field_docs, types_of
from isacsim.engine.sweep import Axis
from isacsim.engine.views import Expectation, Figure
from isacsim.grid import Grid
from isacsim.hardware.base import Hardware, Transceiver
from isacsim.targets.background import BackgroundModel, Clutter, SelfInterference
from isacsim.typing import FloatArray
from isacsim.units import unit_of, words_of

# Each as it is headed in a file.
SECTIONS: dict[str, tuple[str, type]] = {
    "scenario": ("the top of the file", Scenario),
    "base_station": ("[base_station]", BaseStation),
    "grid": ("[base_station.grid]", Grid),
    "users": ("[users]", Users),
    "transceiver": ("[hardware.NAME]", Transceiver),
    "design": ("[design.NAME]", Design),
    "evaluate": ("[evaluate.NAME]", Evaluation),
    "background": ("[background]", BackgroundModel),
    "self_interference": ("[background.self_interference]", SelfInterference),
    "clutter": ("[background.clutter]", Clutter),
    "sweep": ("[sweep.NAME]", Axis),
    "figure": ("[figure.NAME]", Figure),
    "expect": ("[expect.NAME]", Expectation),
    "precision": ("[precision.NAME]", Precision),
}


@frozen
class Key:
    """A key of a table.

    Attributes:
        key: As a file writes it, with the suffix of its unit.
        type: What its value is, in words.
        required: Whether it must be there.
        default: As a file would write it; None where there is none.
        doc: What it is.
    """

    key: str
    type: str
    required: bool
    default: Any
    doc: str


def keys(cls: type) -> list[Key]:
    """The keys of the table of a record class."""
    told, hints = field_docs(cls), types_of(cls)
    return [
        Key(
            key, _words(attribute, hints.get(attribute.name, Any)), attribute.default is attrs.NOTHING,
            _default(attribute), told.get(attribute.name, ""),
        )
        for key, attribute in keys_of(cls).items()
    ]  # fmt: skip


def markdown() -> str:
    """The reference of all sections: a heading, what it is, and a table of keys each."""
    return "\n\n".join("\n".join(_section(name)) for name in SECTIONS) + "\n"


def _section(name: str) -> Iterator[str]:
    heading, cls = SECTIONS[name]
    yield f"## {name}"
    yield ""
    yield f"{(inspect.getdoc(cls) or '').partition(chr(10))[0]} In a file: `{heading}`."
    yield ""
    yield "| key | value | default | what |"
    yield "|---|---|---|---|"
    for key in keys(cls):
        default = "required" if key.required else "" if key.default in (None, "") else f"`{key.default}`"
        doc = key.doc.replace("``", "`").replace("|", "\\|")
        yield f"| `{key.key}` | {key.type} | {default} | {doc} |"


def _words(attribute: Any, hint: Any) -> str:
    """What a value is."""
    if told := words_of(attribute):
        return told
    if CORE in attribute.metadata or unit_of(attribute) is not None:
        return "number, text or list" if attribute.metadata.get(DTYPE) is complex else "number or list"
    return ", ".join(f"`{word}`" for word in choices_of(attribute)) or _named(hint)


def _named(hint: Any) -> str:
    origin, inner = get_origin(hint), get_args(hint)
    plain = {
        bool: "true or false", int: "whole number", float: "number", str: "text", complex: "number or text",
        Path: "path", FloatArray: "number or list",
    }  # fmt: skip
    if hint in plain:
        return plain[hint]
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in inner)
    if origin is tuple:
        return f"list of {_named(inner[0])}"
    if origin is dict:
        return f"tables of {_named(inner[1])}"
    if origin in (types.UnionType, Union):
        return _named(next(part for part in inner if part is not type(None)))
    if hint is Hardware:
        return "one or a list of `hardware`"
    if hint in COMPONENTS:
        return f"one of `{COMPONENTS[hint]}`"
    return next((f"`{name}`" for name, (_, cls) in SECTIONS.items() if cls is hint), "any")


def _default(attribute: Any) -> Any:
    """The default as a scenario file would write it."""
    default, unit = attribute.default, unit_of(attribute)
    if default is attrs.NOTHING:
        return None
    if isinstance(default, attrs.Factory):  # type: ignore[arg-type]
        empty = default.factory in (dict, list, tuple)
        return None if empty else f"{getattr(default.factory, '__name__', '...')}()"
    if unit is not None and default is not None:
        default = unit.written(default)
    if isinstance(default, (np.ndarray, np.generic)):
        default = default.tolist()
    if isinstance(default, tuple):
        default = [item if isinstance(item, (bool, int, float, str)) else str(item) for item in default]
    return default if isinstance(default, (bool, int, float, str, list, type(None))) else str(default)
