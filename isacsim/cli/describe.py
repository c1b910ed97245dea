"""What `isacsim show` tells of a component: its docstring and the keys of its table; of a scenario its file."""

from __future__ import annotations

import inspect
from itertools import takewhile
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from isacsim.batch import CORE, DTYPE
from isacsim.errors import InvalidInput, PluginError
from isacsim.plugin import Registry
from isacsim.units import key_of, unit_of


def describe(registry: Registry, kind: str, name: str) -> dict[str, Any]:
    """Name, home, docstring and fields of a component; of a scenario the file and the comment it begins with.

    Raises:
        InvalidInput: If there is none of that kind and name.
    """
    try:
        spec = registry.spec(kind, name)
    except InvalidInput as error:
        raise error.at("name" if kind in registry.kinds else "kind") from None
    component = registry.load(kind, name)
    told = {
        "kind": kind,
        "name": name,
        "target": spec.target,
        "plugin": registry.provider(kind, name),
        "summary": spec.summary,
    }
    if kind == "scenarios":
        file = component()
        return {**told, "doc": _opening(file) or spec.summary, "file": str(file)}
    if not isinstance(component, type):
        return {**told, "doc": f"{spec.summary}: {component!r}", "example": {"kind": name}, "fields": []}
    fields = attrs.fields(component) if attrs.has(component) else ()
    return {
        **told,
        "doc": inspect.getdoc(component) or "",
        "example": {"kind": name, **spec.example},
        "fields": [_field(f) for f in fields if f.init],
    }


def _opening(file: Path) -> str:
    """The comment that a scenario file begins with."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PluginError(f"{file} cannot be read: {error}") from None
    lines = takewhile(lambda line: line.startswith("#"), text.splitlines())
    return "\n".join(line.removeprefix("#").strip() for line in lines)


def _field(attribute: Any) -> dict[str, Any]:
    required = attribute.default is attrs.NOTHING
    return {
        "key": key_of(attribute),
        "type": _type(attribute),
        "required": required,
        "default": None if required else _default(attribute),
    }


def _type(attribute: Any) -> str:
    if CORE in attribute.metadata or attribute.type in (Any, "Any"):
        return "number, text or list" if attribute.metadata.get(DTYPE) is complex else "number or list"
    return str(getattr(attribute.type, "__name__", attribute.type))


def _default(attribute: Any) -> Any:
    """The default as a scenario file would write it."""
    default, unit = attribute.default, unit_of(attribute)
    if isinstance(default, attrs.Factory):  # type: ignore[arg-type]
        return f"{getattr(default.factory, '__name__', '...')}()"
    if unit is not None and default is not None:
        # Twelve digits, without the rounding of the conversion.
        default = np.vectorize(lambda x: float(f"{x:.12g}"), otypes=[float])(unit.from_si(default))
    if isinstance(default, (np.ndarray, np.generic)):
        default = default.tolist()
    if isinstance(default, tuple):
        default = list(default)
    return default if isinstance(default, (bool, int, float, str, list, type(None))) else str(default)
